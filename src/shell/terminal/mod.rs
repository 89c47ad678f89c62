//! Results on a person's terminal: layouts that fit it, and the pager for what is taller.
//!
//! Drawing is `render`'s; reading what is typed is `editor`'s.

pub mod layout;
pub mod pager;

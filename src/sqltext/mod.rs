//! SQL as text: its tokens, and what a hosted database may do. Everything here works on text alone; nothing opens a
//! database, a file or a connection.

pub mod policy;
pub mod token;

//! SQL as text: its tokens, where statements end, what they are, quoting, and what a hosted database may do. Everything
//! here works on text alone; nothing opens a database, a file or a connection.

pub mod classify;
pub mod dialect;
pub mod insert_values;
#[cfg(feature = "server")]
pub mod policy;
pub mod quote;
pub mod split;
pub mod token;

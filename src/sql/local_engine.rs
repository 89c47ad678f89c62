//! What only a session on a file has: SQLite itself, in this process.

use rusqlite::Connection;

/// SQLite beneath a session on a file or in memory, with its hooks, limits and counters. A server's engine is its own.
pub trait LocalEngine {
    /// SQLite's connection. Statements that were prepared for later are dropped, because the caller may change what they mean.
    fn connection(&mut self) -> &mut Connection;

    /// Has every statement reach SQLite exactly as it is written, from now on. For callers of hooks, limits and counters,
    /// which see what SQLite is given.
    fn pass_verbatim(&mut self);
}

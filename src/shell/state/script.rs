//! What is remembered of a script while it runs on a server: statements on their way, and virtual tables that it makes.

use std::ops::Range;

/// The statements that wait to be sent together.
#[derive(Default)]
pub struct PendingBatch {
    pub texts: Vec<PendingText>,
    pub bytes: usize,
    pub statements: usize,
}

/// Statements that came on one line.
pub struct PendingText {
    pub sql: String,
    pub statements: Vec<Range<usize>>,
    /// The line where they began.
    pub line: u64,
}

/// A statement that waits, because its rows refer to a table that is not there yet.
pub struct DeferredRow {
    pub sql: String,
    /// The line where it stands.
    pub line: u64,
}

/// What is known of the script that a connection runs.
#[derive(Default)]
pub struct ScriptTranslation {
    /// What was reported as left behind.
    pub reported: Vec<&'static str>,
    pub virtual_tables: Vec<VirtualTable>,
    /// The vector indexes whose content is in the script: the server makes it anew.
    pub vector_indexes: Vec<String>,
}

/// A virtual table that the script made.
pub struct VirtualTable {
    /// The tables that hold its content.
    pub shadows: Vec<String>,
    /// The script fills them.
    pub filled: bool,
}

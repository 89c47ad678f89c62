//! Which statements of a session change something for good, for a command that ends in the middle (`crate::change_outcome`).

use super::statement::FileStatement;
use crate::change_outcome::{ChangeUnderWay, note_lasting_change};
use crate::sqltext::classify::{StatementKind, first_word_kind};
use rusqlite::Connection;

/// What is to be known of a session from one statement to the next.
#[derive(Debug, Default)]
pub(super) struct ChangeTracker {
    /// Nobody else sees the file before the work on it is done, so its statements change nothing for good.
    pub is_scratch: bool,
    /// The open transaction has changed something.
    is_pending: bool,
}

/// A statement that runs.
pub(super) struct TrackedStatement {
    is_tracked: bool,
    was_in_transaction: bool,
    was_pending: bool,
    total_changes: u64,
    writes: bool,
    commits: bool,
    under_way: Option<ChangeUnderWay>,
}

impl ChangeTracker {
    /// Begins a statement. Until more is known of it, it is one that writes.
    pub fn begin(&self, connection: &Connection, is_memory: bool) -> TrackedStatement {
        // What is in memory ends with the process; a database that is attached to it need not.
        let vanishes = self.is_scratch || (is_memory && connection.db_name(2).is_err());
        let was_in_transaction = !connection.is_autocommit();
        let is_tracked = !vanishes;
        TrackedStatement {
            is_tracked,
            was_in_transaction,
            was_pending: was_in_transaction && self.is_pending,
            total_changes: connection.total_changes(),
            writes: true,
            commits: false,
            under_way: (is_tracked && !was_in_transaction).then(ChangeUnderWay::begin),
        }
    }

    /// Ends a statement; `succeeded` is whether it did what it was to do.
    pub fn end(&mut self, statement: &TrackedStatement, connection: &Connection, succeeded: bool) {
        if !statement.is_tracked {
            return;
        }
        let in_transaction = !connection.is_autocommit();
        // One that fails may have changed rows all the same: `INSERT OR FAIL`.
        let changed = statement.writes && (succeeded || connection.total_changes() != statement.total_changes);
        let lasts = if statement.was_in_transaction {
            statement.commits && succeeded && !in_transaction
        } else {
            changed && !in_transaction
        };
        if lasts {
            note_lasting_change();
        }
        self.is_pending = in_transaction && (statement.was_pending || changed);
    }
}

impl TrackedStatement {
    /// There is no statement in the text.
    pub fn set_empty(&mut self) {
        self.writes = false;
    }

    /// Takes note of what the statement is, before it runs.
    pub fn describe(&mut self, statement: &FileStatement<'_>, sql: &str) {
        // One that begins a transaction takes a lock, and is none that only reads to SQLite.
        self.writes = !statement.describe().read_only && first_word_kind(sql) != StatementKind::Begin;
        if !self.is_tracked {
            return;
        }
        if !self.writes {
            self.under_way = None;
        }
        if self.was_pending && !self.writes && statement.width() == 0 {
            self.commits = matches!(first_word_kind(sql), StatementKind::Commit | StatementKind::Release);
            self.under_way = self.commits.then(ChangeUnderWay::begin);
        }
    }
}

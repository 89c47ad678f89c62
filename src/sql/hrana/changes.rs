//! Which statements change something on the server for good, for a command that ends in the middle (`crate::change_outcome`).

use super::State;
use crate::change_outcome::{ChangeUnderWay, note_lasting_change};
use crate::sqltext::classify::{StatementKind, StatementSummary};

/// A statement or a batch that may change something, while it is under way.
pub(super) struct RemoteChange {
    was_in_transaction: bool,
    was_pending: bool,
    commits: bool,
    _under_way: Option<ChangeUnderWay>,
}

/// Whether a statement may change the database, or make changes of its transaction last.
pub(super) fn may_last(summary: &StatementSummary) -> bool {
    let harmless = matches!(
        summary.kind,
        StatementKind::Begin
            | StatementKind::Savepoint
            | StatementKind::Pragma
            | StatementKind::Rollback
            | StatementKind::RollbackTo
    );
    !harmless && !summary.is_read_only()
}

impl State {
    /// Begins a change; `commits` is whether it may end the transaction by a COMMIT.
    pub(super) fn begin_change(&self, commits: bool) -> RemoteChange {
        let was_in_transaction = self.stream.in_transaction();
        RemoteChange {
            was_in_transaction,
            was_pending: was_in_transaction && self.is_pending,
            commits,
            _under_way: (!was_in_transaction || commits).then(ChangeUnderWay::begin),
        }
    }

    /// Ends it; `succeeded` is whether the server says that it is made.
    pub(super) fn end_change(&mut self, change: RemoteChange, succeeded: bool) {
        let in_transaction = self.stream.in_transaction();
        let is_last = !change.was_in_transaction || (change.commits && change.was_pending);
        if succeeded && is_last && !in_transaction {
            note_lasting_change();
        }
        self.is_pending = in_transaction && (change.was_pending || succeeded);
    }
}

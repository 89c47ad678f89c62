//! SQLite's errors as failures of a statement.

use crate::sql::{Failure, Phase};

/// SQLite's error as a failure in `phase`.
pub(super) fn failure(error: rusqlite::Error, phase: Phase) -> Failure {
    match error {
        rusqlite::Error::SqlInputError { error, msg, offset, .. } => Failure::Sql {
            phase,
            message: msg,
            code: error.extended_code,
            offset: usize::try_from(offset).ok(),
        },
        rusqlite::Error::SqliteFailure(error, message) => Failure::Sql {
            phase,
            message: message.unwrap_or_else(|| error.to_string()),
            code: error.extended_code,
            offset: None,
        },
        other => Failure::Sql {
            phase,
            message: other.to_string(),
            code: rusqlite::ffi::SQLITE_ERROR,
            offset: None,
        },
    }
}

//! Errors of statements that a replica's process had its primary run. The process passes on the primary's message only, in a
//! frame of its own, and without a code. What the primary's process itself would have answered is worked out from that, for the
//! gateway and for the client of other servers: who writes must read the same error wherever the write was sent.
//!
//! Messages are those of libSQL server 0.24 (`hrana/stmt.rs`, `error.rs`) and of `rusqlite`, around those of SQLite, whose
//! result codes are left to `sqlite_messages`.

use super::sqlite_messages::result_code;

/// What stands before the primary's message, in each version of Hrana.
pub const PREFIX: &str = "error executing a request on the primary: ";

/// The same in the HTTP API that was before Hrana; the number of a kind of error follows, and [`LEGACY_MESSAGE`].
pub const LEGACY_PREFIX: &str = "Failed to execute query via RPC. Error code: ";
const LEGACY_MESSAGE: &str = ", message: ";

/// The code that a replica's process gives such an error.
pub const PROXY_CODE: &str = "PROXY_ERROR";

/// Messages of libSQL server's own, as they begin: what its primary's process says for it, and with which code.
const SERVER: &[(&str, &str, &str)] = &[
    ("Transaction timed-out", "Transaction timed out", "TRANSACTION_TIMEOUT"),
    (
        "Server can't handle additional transactions",
        "Server cannot handle additional transactions",
        "TRANSACTION_BUSY",
    ),
    ("Response is too large", "Response is too large", "RESPONSE_TOO_LARGE"),
];

/// How a message about the values of parameters begins. What is wrong with them follows in backticks.
const ARGUMENTS: &str = "LibSQL failed to bind provided query parameters: `";

/// How the message of a blocked database begins; the reason follows.
const BLOCKED: &str = "Operation was blocked";

/// Words that a statement begins with, as it is repeated in a message.
const STATEMENTS: &[&str] = &[
    "select",
    "insert",
    "update",
    "delete",
    "replace",
    "with",
    "values",
    "create",
    "drop",
    "alter",
    "pragma",
    "explain",
    "begin",
    "commit",
    "end",
    "rollback",
    "savepoint",
    "release",
    "analyze",
    "reindex",
    "vacuum",
    "attach",
    "detach",
];

/// An error as the primary's process answers it to its own clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrimaryError {
    pub message: String,
    pub code: &'static str,
}

impl PrimaryError {
    /// Returns the primary's error in a message of its replica's process; none for any other message.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.strip_prefix(PREFIX).and_then(Self::from_message)
    }

    /// Works an error out from the primary's message. None where it is about the connection of the two processes.
    fn from_message(message: &str) -> Option<Self> {
        let error = |message: String, code| Some(Self { message, code });
        if let Some((_, message, code)) = SERVER.iter().find(|(start, ..)| message.starts_with(start)) {
            return error((*message).to_owned(), *code);
        }
        if let Some(rest) = message.strip_prefix(ARGUMENTS) {
            let why = rest.strip_suffix('`').unwrap_or(rest);
            return error(format!("Arguments do not match SQL parameters: {why}"), "ARGS_INVALID");
        }
        if message.starts_with(BLOCKED) {
            return error(message.to_owned(), "BLOCKED");
        }
        if message.starts_with("Not authorized to execute query") {
            return None;
        }
        if let Some((message, place)) = split_place(message) {
            return error(
                format!("SQL input error: {message} (at offset {place})"),
                "SQL_INPUT_ERROR",
            );
        }
        error(format!("SQLite error: {message}"), result_code(message))
    }
}

/// Returns the primary's message in an error of the HTTP API that was before Hrana, which is all that the primary's process answers
/// there; none for any other message.
#[must_use]
pub fn parse_legacy(text: &str) -> Option<&str> {
    let (kind, message) = text.strip_prefix(LEGACY_PREFIX)?.split_once(LEGACY_MESSAGE)?;
    kind.bytes().all(|byte| byte.is_ascii_digit()).then_some(message)
}

/// Splits a message of a statement that could not be prepared: `MESSAGE in STATEMENT at offset PLACE`.
fn split_place(message: &str) -> Option<(&str, usize)> {
    let (before, place) = message.rsplit_once(" at offset ")?;
    let place = place.parse().ok()?;
    let begins = |rest: &str| {
        let first = rest.split_ascii_whitespace().next().unwrap_or_default();
        STATEMENTS.iter().any(|word| first.eq_ignore_ascii_case(word))
    };
    let mut all = before
        .match_indices(" in ")
        .map(|(at, word)| (at, &before[at + word.len()..]));
    let (end, _) = all.find(|(_, rest)| begins(rest))?;
    Some((&before[..end], place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxied_errors_are_those_of_the_primary() {
        for (message, restored, code) in [
            (
                "no such table: nothing",
                "SQLite error: no such table: nothing",
                "SQLITE_UNKNOWN",
            ),
            (
                "NOT NULL constraint failed: t.y",
                "SQLite error: NOT NULL constraint failed: t.y",
                "SQLITE_CONSTRAINT",
            ),
            (
                "UNIQUE constraint failed: t.y",
                "SQLite error: UNIQUE constraint failed: t.y",
                "SQLITE_CONSTRAINT",
            ),
            (
                "cannot store TEXT value in INTEGER column t.x",
                "SQLite error: cannot store TEXT value in INTEGER column t.x",
                "SQLITE_CONSTRAINT",
            ),
            ("raised!", "SQLite error: raised!", "SQLITE_CONSTRAINT"),
            (
                "datatype mismatch",
                "SQLite error: datatype mismatch",
                "SQLITE_MISMATCH",
            ),
            (
                "database or disk is full",
                "SQLite error: database or disk is full",
                "SQLITE_FULL",
            ),
            ("database is locked", "SQLite error: database is locked", "SQLITE_BUSY"),
            ("integer overflow", "SQLite error: integer overflow", "SQLITE_UNKNOWN"),
            (
                "table t already exists in create table t(x) at offset 13",
                "SQL input error: table t already exists (at offset 13)",
                "SQL_INPUT_ERROR",
            ),
            (
                "no such column: born in Rome in SELECT \"born in Rome\" FROM t at offset 7",
                "SQL input error: no such column: born in Rome (at offset 7)",
                "SQL_INPUT_ERROR",
            ),
            ("Transaction timed-out", "Transaction timed out", "TRANSACTION_TIMEOUT"),
            (
                "LibSQL failed to bind provided query parameters: `value for parameter ?1 not found`",
                "Arguments do not match SQL parameters: value for parameter ?1 not found",
                "ARGS_INVALID",
            ),
            (
                "Operation was blocked: SQL write operations are forbidden",
                "Operation was blocked: SQL write operations are forbidden",
                "BLOCKED",
            ),
        ] {
            let error = PrimaryError::parse(&format!("{PREFIX}{message}")).unwrap();
            assert_eq!((error.message.as_str(), error.code), (restored, code), "{message}");
        }
        for other in [
            "SendFailure to execute queries via RPC protocol",
            "no such table: nothing",
            "error executing a request on the primary: Not authorized to execute query: no",
        ] {
            assert_eq!(PrimaryError::parse(other), None);
        }
    }

    #[test]
    fn legacy_proxied_errors_have_the_primary_s_message() {
        let text = "Failed to execute query via RPC. Error code: 0, message: no such table: a, message: b";
        assert_eq!(parse_legacy(text), Some("no such table: a, message: b"));
        assert_eq!(
            parse_legacy("Failed to execute query via RPC. Error code: x, message: y"),
            None
        );
        assert_eq!(parse_legacy("no such table: a"), None);
    }
}

//! A server's error messages as SQLite would report them: without the transport's prefixes, with a result code and the
//! place of the error.

use crate::error::{Code, Error};
use crate::hrana::messages::HranaError;
use crate::hrana::proxied_error::PrimaryError;
use crate::sql::{Failure, Phase};
use rusqlite::ffi;

/// A server's error message, taken apart.
#[derive(Debug, PartialEq)]
pub(super) struct ServerError {
    pub reason: Reason,
    pub message: String,
    /// SQLite's result code, extended if the message implies one.
    pub code: i32,
    /// Byte offset in the statement sent.
    pub offset: Option<usize>,
}

/// Which part of the server refused, as far as the answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The server's own parser did not understand the statement. SQLite may have better words for it.
    Parser,
    /// The server does not allow the statement.
    Unsupported,
    /// SQLite, preparing it.
    Prepare,
    /// SQLite, preparing or running it.
    Engine,
    /// The transaction was ended by the server.
    TransactionOver,
    /// The database is blocked.
    Blocked,
    /// The result is too large for this way of asking.
    TooLarge,
    /// The server failed.
    Server,
}

impl ServerError {
    pub(super) fn new(error: &HranaError, sql: &str) -> Self {
        // torso's gateway has restored it already; other servers have not.
        if let Some(PrimaryError { message, code }) = PrimaryError::parse(&error.message) {
            let code = Some(code.to_owned());
            return Self::new(&HranaError { message, code }, sql);
        }
        let code = error.code.as_deref().unwrap_or_default();
        let text = error.message.as_str();
        let refusal = |reason, message: &str, code, offset| Self {
            reason,
            message: message.to_owned(),
            code,
            offset,
        };
        if let Some(rest) = text.strip_prefix("SQL string could not be parsed: ") {
            if rest.starts_with("unsupported statement") {
                let mut words = sql
                    .split(|at: char| !at.is_alphanumeric() && at != '_')
                    .filter(|word| !word.is_empty());
                let mut what = words.next().unwrap_or_default().to_ascii_uppercase();
                if let ("PRAGMA", Some(name)) = (what.as_str(), words.next()) {
                    what = format!("PRAGMA {name}");
                }
                let message = format!("the server does not support {what}");
                return refusal(Reason::Unsupported, &message, ffi::SQLITE_ERROR, None);
            }
            let (message, offset) = parser_words(rest, sql);
            return refusal(Reason::Parser, &message, ffi::SQLITE_ERROR, offset);
        }
        if let Some(rest) = text.strip_prefix("SQL input error: ") {
            let (message, offset) = split_offset(rest);
            return refusal(Reason::Prepare, message, ffi::SQLITE_ERROR, offset);
        }
        match code {
            "TRANSACTION_TIMEOUT" => return refusal(Reason::TransactionOver, ENDED, ffi::SQLITE_ABORT, None),
            "TRANSACTION_BUSY" => return refusal(Reason::TransactionOver, text, ffi::SQLITE_ABORT, None),
            "BLOCKED" => return refusal(Reason::Blocked, text, ffi::SQLITE_ERROR, None),
            // Of what the statement reads, not of the server: it is so again when it is sent again.
            "TEXT_NOT_UTF8" => return refusal(Reason::Engine, text, ffi::SQLITE_ERROR, None),
            "RESPONSE_TOO_LARGE" => return refusal(Reason::TooLarge, text, ffi::SQLITE_TOOBIG, None),
            _ => {}
        }
        if let Some(message) = text.strip_prefix("Arguments do not match SQL parameters: ") {
            return refusal(Reason::Prepare, message, ffi::SQLITE_ERROR, None);
        }
        let message = text.strip_prefix("SQLite error: ").unwrap_or(text);
        if code.starts_with("SQLITE_") || text.len() != message.len() {
            return refusal(Reason::Engine, message, result_code(code, message), None);
        }
        let reason = if code.starts_with("SQL_") || code == "ARGS_INVALID" {
            Reason::Prepare
        } else {
            Reason::Server
        };
        refusal(reason, message, ffi::SQLITE_ERROR, None)
    }

    /// As the session's failure. `start` is where the statement that was sent begins in the caller's text.
    pub(super) fn failure(self, phase: Phase, start: usize) -> Failure {
        match self.reason {
            Reason::Blocked => Failure::Connection(Error::new(Code::Blocked, self.message)),
            Reason::Server => Failure::Connection(Error::new(
                Code::Unavailable,
                format!("the server failed: {}", self.message),
            )),
            Reason::TransactionOver => Failure::Connection(transaction_lost(&self.message)),
            Reason::TooLarge => Failure::Connection(
                Error::new(
                    Code::Unavailable,
                    format!("the result is too large for the server: {}", self.message),
                )
                .hint("ask for less at a time"),
            ),
            _ => Failure::Sql {
                phase: if self.reason == Reason::Engine {
                    phase
                } else {
                    Phase::Prepare
                },
                message: self.message,
                code: self.code,
                offset: self.offset.map(|offset| offset + start),
            },
        }
    }
}

/// Why a transaction is lost that a server has ended by itself, as far as that is known: however it is noticed.
pub(super) const ENDED: &str = "the server ended it, because it was idle or others waited for it";

/// The error for a lost transaction. Nothing that was written in it remains.
pub(super) fn transaction_lost(why: &str) -> Error {
    Error::new(
        Code::TransactionLost,
        format!("transaction lost: {why}; what it changed was rolled back"),
    )
    .hint("begin again; this statement was not run")
}

/// Splits `(at offset N)` off the end of a message.
fn split_offset(text: &str) -> (&str, Option<usize>) {
    let parts = text
        .strip_suffix(')')
        .and_then(|text| text.rsplit_once(" (at offset "))
        .and_then(|(message, offset)| Some((message, offset.parse().ok()?)));
    match parts {
        Some((message, offset)) => (message, Some(offset)),
        None => (text, None),
    }
}

/// The message of the server's own parser in SQLite's form. It has two forms: `` syntax error around L1:13: `frm` ``,
/// whose place is behind the token, and `near FROM, "None": syntax error at (1, 22)`.
fn parser_words(text: &str, sql: &str) -> (String, Option<usize>) {
    if let Some((place, token)) = text
        .strip_prefix("syntax error around L")
        .and_then(|rest| rest.split_once(": `"))
    {
        let token = token.strip_suffix('`').unwrap_or(token);
        if let Some((line, column)) = place.split_once(':') {
            let end = line.parse().ok().zip(column.parse().ok());
            let end = end.and_then(|(line, column)| at_line(sql, line, column));
            let start = end
                .and_then(|end| end.checked_sub(token.len()))
                .filter(|&start| sql.get(start..start + token.len()) == Some(token));
            return (format!("near \"{token}\": syntax error"), start);
        }
    }
    if let Some((message, place)) = text.rsplit_once(" at (") {
        let place = place.strip_suffix(')').and_then(|place| place.split_once(", "));
        if let Some((line, column)) = place {
            let end = line.parse().ok().zip(column.parse().ok());
            let offset = end.and_then(|(line, column)| at_line(sql, line, column));
            return (message.to_owned(), offset);
        }
    }
    (text.to_owned(), None)
}

/// Byte offset of a line and column, both from 1.
fn at_line(sql: &str, line: usize, column: usize) -> Option<usize> {
    let start: usize = sql.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let offset = start.checked_add(column.checked_sub(1)?)?;
    (offset <= sql.len() && sql.is_char_boundary(offset)).then_some(offset)
}

/// The result code of a name. Servers send the primary code only; some messages imply an extended one.
fn result_code(name: &str, message: &str) -> i32 {
    let says = |words: &str| message.starts_with(words);
    match name {
        "SQLITE_CONSTRAINT" if says("UNIQUE") => ffi::SQLITE_CONSTRAINT_UNIQUE,
        "SQLITE_CONSTRAINT" if says("NOT NULL") => ffi::SQLITE_CONSTRAINT_NOTNULL,
        "SQLITE_CONSTRAINT" if says("CHECK") => ffi::SQLITE_CONSTRAINT_CHECK,
        "SQLITE_CONSTRAINT" if says("FOREIGN KEY") => ffi::SQLITE_CONSTRAINT_FOREIGNKEY,
        "SQLITE_INTERNAL" => ffi::SQLITE_INTERNAL,
        "SQLITE_PERM" => ffi::SQLITE_PERM,
        "SQLITE_ABORT" => ffi::SQLITE_ABORT,
        "SQLITE_BUSY" => ffi::SQLITE_BUSY,
        "SQLITE_LOCKED" => ffi::SQLITE_LOCKED,
        "SQLITE_NOMEM" => ffi::SQLITE_NOMEM,
        "SQLITE_READONLY" => ffi::SQLITE_READONLY,
        "SQLITE_INTERRUPT" => ffi::SQLITE_INTERRUPT,
        "SQLITE_IOERR" => ffi::SQLITE_IOERR,
        "SQLITE_CORRUPT" => ffi::SQLITE_CORRUPT,
        "SQLITE_NOTFOUND" => ffi::SQLITE_NOTFOUND,
        "SQLITE_FULL" => ffi::SQLITE_FULL,
        "SQLITE_CANTOPEN" => ffi::SQLITE_CANTOPEN,
        "SQLITE_PROTOCOL" => ffi::SQLITE_PROTOCOL,
        "SQLITE_SCHEMA" => ffi::SQLITE_SCHEMA,
        "SQLITE_TOOBIG" => ffi::SQLITE_TOOBIG,
        "SQLITE_CONSTRAINT" => ffi::SQLITE_CONSTRAINT,
        "SQLITE_MISMATCH" => ffi::SQLITE_MISMATCH,
        "SQLITE_MISUSE" => ffi::SQLITE_MISUSE,
        "SQLITE_NOLFS" => ffi::SQLITE_NOLFS,
        "SQLITE_AUTH" => ffi::SQLITE_AUTH,
        "SQLITE_RANGE" => ffi::SQLITE_RANGE,
        "SQLITE_NOTADB" => ffi::SQLITE_NOTADB,
        _ => ffi::SQLITE_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: &str, message: &str, sql: &str) -> ServerError {
        let error = HranaError {
            message: message.to_owned(),
            code: Some(code.to_owned()),
        };
        ServerError::new(&error, sql)
    }

    #[test]
    fn sql_error_loses_its_prefix_and_keeps_its_offset() {
        for (code, text, message, offset, reason) in [
            (
                "SQL_INPUT_ERROR",
                "SQL input error: no such column: nope (at offset 7)",
                "no such column: nope",
                Some(7),
                Reason::Prepare,
            ),
            (
                "SQL_PARSE_ERROR",
                "SQL string could not be parsed: syntax error around L1:13: `frm`",
                "near \"frm\": syntax error",
                Some(9),
                Reason::Parser,
            ),
            (
                "SQL_PARSE_ERROR",
                "SQL string could not be parsed: near FROM, \"None\": syntax error at (1, 10)",
                "near FROM, \"None\": syntax error",
                Some(9),
                Reason::Parser,
            ),
            (
                "ARGS_INVALID",
                "Arguments do not match SQL parameters: value for parameter ?1 not found",
                "value for parameter ?1 not found",
                None,
                Reason::Prepare,
            ),
            (
                "SQLITE_UNKNOWN",
                "SQLite error: no such table: t (at offset x)",
                "no such table: t (at offset x)",
                None,
                Reason::Engine,
            ),
        ] {
            let got = refusal(code, text, "select * frm t");
            assert_eq!(
                (got.message.as_str(), got.offset, got.reason),
                (message, offset, reason)
            );
        }
    }

    #[test]
    fn sql_error_code_is_that_of_sqlite() {
        assert_eq!(
            refusal("SQLITE_CONSTRAINT", "SQLite error: UNIQUE constraint failed: t.a", "").code,
            2067
        );
        assert_eq!(refusal("SQLITE_BUSY", "SQLite error: database is locked", "").code, 5);
        assert_eq!(refusal("SQLITE_UNKNOWN", "SQLite error: integer overflow", "").code, 1);
        // It is so again when the statement is sent again.
        let failure = refusal("TEXT_NOT_UTF8", "a text in the result is not UTF-8", "").failure(Phase::Step, 0);
        assert!(matches!(failure, Failure::Sql { code: 1, .. }), "{failure:?}");
    }

    #[test]
    fn transaction_that_a_server_ended_is_one_error_for_all_its_names() {
        for (code, text) in [
            ("TRANSACTION_TIMEOUT", "Transaction timed out"),
            (
                "PROXY_ERROR",
                "error executing a request on the primary: Transaction timed-out",
            ),
        ] {
            let Failure::Connection(error) = refusal(code, text, "select 1").failure(Phase::Step, 0) else {
                panic!("{text}: not of the connection")
            };
            assert_eq!(error.message(), transaction_lost(ENDED).message(), "{text}");
        }
    }

    #[test]
    fn sql_error_with_an_impossible_position_has_no_offset() {
        for place in [
            "L0:0",
            "L9:9",
            "L1:1",
            "L1:99999999999999999999",
            "Lx:y",
            "L18446744073709551615:18446744073709551615",
        ] {
            let text = format!("SQL string could not be parsed: syntax error around {place}: `frm`");
            assert_eq!(refusal("SQL_PARSE_ERROR", &text, "é").offset, None, "{place}");
        }
    }
}

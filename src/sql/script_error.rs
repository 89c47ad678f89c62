//! The error about a statement of a script: SQLite's message, with the script's name and the line.

use super::restrict::{Beyond, Restriction};
use super::{Failure, Phase};
use crate::error::{Code, Error};
use crate::sqltext::split::trim_start;
use crate::sqltext::token::significant_tokens;

/// A statement within a script's text.
pub(super) struct StatementPlace<'a> {
    /// The script's name in errors.
    pub script: &'a str,
    /// A part of the script that the statement is in.
    pub text: &'a str,
    /// Where the statement begins in that part.
    pub start: usize,
    /// The number of the line on which the part begins.
    pub first_line: u64,
    /// The restriction that the statement ran under; none on a server.
    pub restriction: Option<&'a Restriction>,
}

impl StatementPlace<'_> {
    /// The error for a failure of the statement. `code` is that of a statement that SQLite refuses; a full disk, an interrupt
    /// and a connection that failed keep their own.
    pub fn error(&self, failure: Failure, code: Code) -> Error {
        let Failure::Sql {
            message,
            offset,
            code: number,
            ..
        } = failure
        else {
            return failure.into();
        };
        let line = self.line_of(offset);
        if let Some(beyond) = self.restriction.and_then(Restriction::take_beyond) {
            let statement = first_word_of(&self.text[self.start..]);
            if matches!(beyond, Beyond::File) && statement.eq_ignore_ascii_case("VACUUM") {
                return located(self.script, line, "a script may not use VACUUM", code)
                    .hint("leave the statement out; torso db compact NAME gives the room of deleted rows back");
            }
            let why = format!("a script may not use {beyond}, which reaches beyond its database");
            return located(self.script, line, &why, code)
                .hint("leave the statement out, or run it yourself: torso db shell NAME");
        }
        let general = Error::from(Failure::Sql {
            message: message.clone(),
            offset,
            code: number,
            phase: Phase::Step,
        });
        match general.code() {
            Code::SqlError if self.restriction.is_some() && lacks_vectors(&message) => {
                located(self.script, line, &message, code)
                    .hint("plain SQLite has no vectors: create the database on a torso server, which runs libSQL")
            }
            Code::SqlError => located(self.script, line, &message, code),
            // Not the script's fault.
            other => located(self.script, line, &message, other),
        }
    }

    /// The line of a byte of the statement; of its first word where SQLite names no byte.
    fn line_of(&self, offset: Option<usize>) -> u64 {
        let at = (self.start + offset.unwrap_or(0)).min(self.text.len());
        let at = match offset {
            Some(_) => at,
            None => at + leading_space(&self.text.as_bytes()[at..]),
        };
        self.first_line + count_lines(&self.text.as_bytes()[..at])
    }
}

/// Whether SQLite says that it has none of the functions for vectors that libSQL adds.
fn lacks_vectors(message: &str) -> bool {
    ["no such function: ", "no such table: "].iter().any(|start| {
        message
            .strip_prefix(start)
            .is_some_and(|name| name.starts_with("libsql_vector") || name.starts_with("vector"))
    })
}

fn first_word_of(text: &str) -> &str {
    significant_tokens(text).next().map_or("", |(_, word)| word)
}

/// The error for a transaction of a script that could not be committed.
pub(crate) fn commit_error(script: &str, failure: Failure) -> Error {
    let is_of_sql = matches!(failure, Failure::Sql { .. });
    let error = Error::from(failure);
    if is_of_sql {
        Error::new(error.code(), format!("{script}: {}", error.message()))
    } else {
        error
    }
}

/// An error about a line of a file.
pub(crate) fn located(file: &str, line: u64, why: &str, code: Code) -> Error {
    Error::new(code, format!("{file}:{line}: {why}"))
}

/// The number of line ends in a text.
pub(crate) fn count_lines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

fn leading_space(text: &[u8]) -> usize {
    text.len() - trim_start(text).len()
}

//! Runs a whole script, such as a dump, into a database: every statement, or an error that names file and line.
//!
//! Unlike the shell, it shows no results, knows no dot-commands, and lets a script touch nothing but its database.

use super::restrict::{Restriction, restrict};
use super::script_error::{StatementPlace, located};
use super::trailer::{self, Checksum};
use super::{Args, Failure, Session, Unseen};
use crate::error::{Code, Error, Result};
use crate::sqltext::dialect;
use crate::sqltext::split::{Accumulator, LineOutcome, first_statement, to_utf8, trim_start};
use std::io::BufRead;

/// Bytes between two reports of progress.
const STEP: u64 = 1 << 20;

/// Runs `script`, called `name` in errors. `progress` is called with the bytes read so far, and may stop the work with
/// an error. Returns how many statements ran. A dump's trailer, if there is one, must match what came before it. After
/// an error the database is half-filled: the caller discards it.
pub fn run(
    session: &mut dyn Session,
    script: &mut dyn BufRead,
    name: &str,
    progress: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<u64> {
    // The script is somebody else's.
    let restriction = restrict(session)?;
    let mut loader = Loader {
        session,
        restriction,
        name,
        statements: 0,
        rolled_back: false,
    };
    let mut pending = Accumulator::default();
    let (mut line, mut number) = (Vec::new(), 0);
    let (mut read, mut reported) = (0, 0);
    let mut checksum = Checksum::new();
    // The line of the trailer, after which nothing may follow.
    let mut ended = None;
    loop {
        line.clear();
        let got = script
            .read_until(b'\n', &mut line)
            .map_err(|error| Error::io(error, format!("cannot read {name}")))?;
        if got == 0 {
            break;
        }
        number += 1;
        read += got as u64;
        if read - reported >= STEP {
            reported = read;
            progress(read)?;
        }
        if let Some(last) = ended
            && !line.trim_ascii().is_empty()
        {
            return Err(loader.at(
                number,
                &format!("the dump ended on line {last}: what follows was added to it"),
            ));
        }
        if !pending.is_pending() && line.starts_with(trailer::MARK.trim_end().as_bytes()) {
            trailer::compare(&line, &checksum, name)?;
            ended = Some(number);
        }
        checksum.update(&line);
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = if number == 1 {
            text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text)
        } else {
            text
        };
        match pending.feed(text, number) {
            LineOutcome::Blank | LineOutcome::More => {}
            LineOutcome::Dropped => drop(pending.take()),
            LineOutcome::Command if text.starts_with(b"#") => {}
            LineOutcome::Command => {
                return Err(loader
                    .at(number, "a dot-command is for the shell, and this is not one")
                    .hint("create the database, then run the file in it: torso db shell NAME -f FILE"));
            }
            LineOutcome::Ready => {
                let begun = pending.start_line();
                loader.statements(&pending.take(), begun)?;
            }
        }
    }
    if pending.is_pending() {
        let begun = pending.start_line();
        let text = pending.take();
        // The last statement may lack its semicolon; one that was cut off does not parse.
        loader.statements(&text, begun)?;
    }
    loader.finish(number)
}

struct Loader<'a> {
    session: &'a mut dyn Session,
    /// None for a server, which has rules of its own.
    restriction: Option<Restriction>,
    name: &'a str,
    statements: u64,
    /// Whether the last statement was a ROLLBACK, which undid the script.
    rolled_back: bool,
}

impl Loader<'_> {
    /// Runs the statements in `text`, which begins on line `begun`.
    fn statements(&mut self, text: &[u8], begun: u64) -> Result<()> {
        // Bytes within a text literal are kept as they are, as the shell does with dumps of text in other encodings.
        let text = to_utf8(text);
        let text = &*text;
        let mut rest = text;
        while !rest.is_empty() {
            let outcome = match self.session.run(rest, &Args::default(), &mut Unseen) {
                Ok(outcome) => outcome,
                Err(failure) => {
                    let statement = &rest[..first_statement(rest.as_bytes())];
                    if self.instead(&failure, statement)? {
                        self.statements += 1;
                        rest = &rest[statement.len()..];
                        continue;
                    }
                    let before = text.len() - rest.len();
                    return Err(self.refused(failure, text, before, begun));
                }
            };
            if outcome.ran {
                self.statements += 1;
                let statement = trim_start(rest.as_bytes());
                self.rolled_back = statement.len() >= 8
                    && statement[..8].eq_ignore_ascii_case(b"rollback")
                    && !self.session.in_transaction();
            }
            if outcome.consumed == 0 {
                break;
            }
            rest = &rest[outcome.consumed..];
        }
        Ok(())
    }

    /// Handles a failed statement that can be translated, or need not run. False if it was neither.
    fn instead(&mut self, failure: &Failure, statement: &str) -> Result<bool> {
        match failure {
            Failure::Sql { message, .. } if message.starts_with("no such column: Inf") => {
                let Some(plain) = dialect::with_numbers_for_inf(statement) else {
                    return Ok(false);
                };
                Ok(self.session.run(&plain, &Args::default(), &mut Unseen).is_ok())
            }
            // Without an AUTOINCREMENT table there are no sequences to set.
            Failure::Sql { message, .. } => Ok(message == "no such table: sqlite_sequence"),
            _ => Ok(false),
        }
    }

    fn refused(&self, failure: Failure, text: &str, before: usize, begun: u64) -> Error {
        StatementPlace {
            script: self.name,
            text,
            start: before,
            first_line: begun,
            restriction: self.restriction.as_ref(),
        }
        .error(failure, Code::InvalidFile)
    }

    fn at(&self, line: u64, why: &str) -> Error {
        located(self.name, line, why, Code::InvalidFile)
    }

    fn finish(self, last_line: u64) -> Result<u64> {
        if self.session.in_transaction() {
            return Err(self.at(last_line, "the script ends within a transaction: it is cut off"));
        }
        if self.rolled_back {
            return Err(self
                .at(
                    last_line,
                    "the script ends by undoing its work: its maker could not read everything",
                )
                .hint("make the dump again from a sound database"));
        }
        if self.statements == 0 {
            return Err(Error::new(Code::InvalidFile, format!("{} holds no SQL", self.name)));
        }
        Ok(self.statements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Target, open, query};

    fn load(script: &str) -> Result<u64> {
        let mut session = open(&Target::Memory)?;
        run(session.as_mut(), &mut script.as_bytes(), "x.sql", &mut |_| Ok(()))
    }

    #[test]
    fn script_that_is_a_dump_is_loaded_whole() {
        let mut session = open(&Target::Memory).unwrap();
        let script = "\u{feff}PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n-- a comment;\nCREATE TABLE t(x);\n\
            INSERT INTO t VALUES('a;\nb');INSERT INTO t VALUES(2);\n/* tail */\nCOMMIT;\nSELECT 1";
        assert_eq!(
            run(session.as_mut(), &mut script.as_bytes(), "x.sql", &mut |_| Ok(())).unwrap(),
            7
        );
        assert_eq!(query::number(session.as_mut(), "SELECT count(*) FROM t").unwrap(), 2);
    }

    #[test]
    fn script_of_other_dump_programs_is_understood() {
        let mut session = open(&Target::Memory).unwrap();
        let script = "BEGIN;\nCREATE TABLE t(a);\nINSERT INTO t VALUES(Inf);INSERT INTO t VALUES(-Inf);\n\
            INSERT INTO t(a) VALUES(unistr('a\\u000ab'));\nDELETE FROM sqlite_sequence;\nCOMMIT;\n";
        assert_eq!(
            run(session.as_mut(), &mut script.as_bytes(), "x.sql", &mut |_| Ok(())).unwrap(),
            7
        );
        let there = "SELECT count(*) FROM t WHERE a IN (9e999, -9e999, 'a' || char(10) || 'b')";
        assert_eq!(query::number(session.as_mut(), there).unwrap(), 3);
    }

    #[test]
    fn script_trailer_is_the_end_and_must_fit() {
        let body = "BEGIN;\nCREATE TABLE t(x);\nINSERT INTO t VALUES('\n-- torso: no trailer, but text');\nCOMMIT;\n";
        let mut checksum = Checksum::new();
        checksum.update(body.as_bytes());
        let trailer = trailer::Trailer {
            rows: 1,
            checksum: checksum.value(),
        };
        assert_eq!(load(&format!("{body}{trailer}\n\n")).unwrap(), 4);
        let error = load(&format!("{}{trailer}\n", body.replace("no t", "a t"))).unwrap_err();
        assert!(error.message().contains("altered"), "{error}");
        let error = load(&format!("{body}{trailer}\nDROP TABLE t;\n")).unwrap_err();
        assert!(
            error.message().starts_with("x.sql:7: the dump ended on line 6"),
            "{error}"
        );
    }

    #[test]
    fn script_error_names_file_and_line() {
        for (script, reported) in [
            (
                "CREATE TABLE t(x);\n\nINSERT INTO t\n  VALUES(1, 2);",
                "x.sql:3: table t has 1 columns",
            ),
            ("SELECT 1;\nSELECT\n  nowhere;", "x.sql:3: no such column: nowhere"),
            (
                "BEGIN;\nCREATE TABLE t(x);\n",
                "x.sql:2: the script ends within a transaction",
            ),
            (
                "BEGIN;\nCREATE TABLE t(x);\nROLLBACK; -- due to errors\n",
                "x.sql:3: the script ends by undoing",
            ),
            (
                "CREATE TABLE t(x);\nINSERT INTO t VALUES('abc",
                "x.sql:2: unrecognized token",
            ),
            ("SELECT 1;\n.tables\n", "x.sql:2: a dot-command"),
            (
                "SELECT 1;\nATTACH 'other.db' AS o;\n",
                "x.sql:2: a script may not use ATTACH, which reaches beyond",
            ),
            (
                "SELECT 1;\n\nSELECT writefile('/nowhere/x', 'y');\n",
                "x.sql:3: a script may not use the writefile() function",
            ),
            (
                "CREATE TABLE t(a);\nVACUUM INTO 'other.db';\n",
                "x.sql:2: a script may not use VACUUM",
            ),
            (
                "CREATE TABLE t(a);\n\nvacuum;\n",
                "x.sql:3: a script may not use VACUUM",
            ),
            ("-- nothing\n", "x.sql holds no SQL"),
        ] {
            let error = load(script).unwrap_err();
            assert_eq!(error.code(), Code::InvalidFile, "{script:?}");
            assert!(error.message().contains(reported), "{script:?}: {error}");
        }
        for (script, reported) in [
            (
                "CREATE TABLE t(x);\n-- torso: 0 rows, fnv1a64 0000000000000000\n",
                "x.sql: the dump was altered",
            ),
            (
                "CREATE TABLE t(x);\n-- torso: 0 rows, fnv",
                "x.sql: the dump is cut off",
            ),
        ] {
            let error = load(script).unwrap_err();
            assert!(error.message().starts_with(reported), "{script:?}: {error}");
        }
        let mut session = open(&Target::Memory).unwrap();
        let bytes = b"CREATE TABLE t(a);\nINSERT INTO t VALUES('caf\xe9');\nSELECT \xff;\n";
        let error = run(session.as_mut(), &mut &bytes[..], "x.sql", &mut |_| Ok(())).unwrap_err();
        assert!(error.message().starts_with("x.sql:3: "), "{error}");
        let hex = query::text(session.as_mut(), "SELECT hex(a) || typeof(a) FROM t").unwrap();
        assert_eq!(hex, "636166E9text");
    }
}

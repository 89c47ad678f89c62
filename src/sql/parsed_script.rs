//! A script in memory, cut into its statements before any of them runs, so that what can be known to be wrong changes nothing.
//!
//! What the statements do in a database, and in which transaction, is its caller's business.

use super::restrict::Restriction;
use super::script_error::{StatementPlace, count_lines, located};
use super::{Args, BatchStatement, Failure, Outcome, Session, Sink};
use crate::error::{Code, Error, Result};
use crate::sqltext::classify::{Explain, StatementKind, StatementSummary};
use crate::sqltext::split::first_statement;
use crate::sqltext::token::{next_token, significant_tokens};
use std::collections::BTreeSet;
use std::ops::Range;

/// A script, and where its statements are.
#[derive(Debug, Clone)]
pub struct ParsedScript {
    name: String,
    text: String,
    statements: Vec<ScriptStatement>,
}

/// A statement of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptStatement {
    /// From its first word to behind its semicolon.
    range: Range<usize>,
    /// As far as its words tell.
    pub may_return_rows: bool,
    pub kind: StatementKind,
    /// The number of the line on which it begins, from 1.
    pub line: u64,
}

impl ParsedScript {
    /// Reads a whole text, called `name` in errors. Fails with `invalid_file`, which names the line, where a quote, a bracket or
    /// a comment is not closed, where a line is a dot-command, and where there is a NUL byte, at which SQLite ends a statement.
    pub fn parse(name: &str, text: String) -> Result<Self> {
        let whole = 0..text.len();
        Self::parse_parts(name, text, &[whole])
    }

    /// Reads parts of a text, each of which ends with a whole statement. Lines count from the beginning of the text.
    pub fn parse_parts(name: &str, text: String, parts: &[Range<usize>]) -> Result<Self> {
        if let Some(at) = memchr::memchr(0, text.as_bytes()) {
            let line = 1 + count_lines(&text.as_bytes()[..at]);
            return Err(located(
                name,
                line,
                "there is a NUL byte, which SQL cannot have",
                Code::InvalidFile,
            )
            .hint("take it out; in a value, write char(0) or x'00'"));
        }
        let mut statements = Vec::new();
        // Counted from one statement to the next: a large script is read once.
        let (mut line, mut counted) = (1, 0);
        for part in parts {
            let mut at = part.start;
            while at < part.end {
                let end = at + first_statement(&text.as_bytes()[at..part.end]);
                let sql = &text[at..end];
                check_closed(name, &text, at..end)?;
                if let Some(summary) = StatementSummary::of(sql) {
                    let start = at + summary.start;
                    if start < counted {
                        (line, counted) = (1, 0);
                    }
                    line += count_lines(&text.as_bytes()[counted..start]);
                    counted = start;
                    if text[start..].starts_with('.') {
                        let why = "a dot-command is for the shell, and this is not one";
                        return Err(located(name, line, why, Code::InvalidFile)
                            .hint("leave it out, or run the file in the shell: torso db shell NAME -f FILE"));
                    }
                    statements.push(ScriptStatement {
                        range: start..end,
                        may_return_rows: summary.may_return_rows()
                            || summary.explain != Explain::No
                            || summary.kind == StatementKind::Pragma,
                        kind: summary.kind,
                        line,
                    });
                }
                at = end;
            }
        }
        Ok(Self {
            name: name.to_owned(),
            text,
            statements,
        })
    }

    /// Its name in errors.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn statements(&self) -> &[ScriptStatement] {
        &self.statements
    }

    /// The text of a statement.
    #[must_use]
    pub fn text(&self, statement: &ScriptStatement) -> &str {
        &self.text[statement.range.clone()]
    }

    /// The names of all parameters, with their prefixes (`:x`); those without a name as they are written (`?`).
    #[must_use]
    pub fn parameters(&self) -> BTreeSet<&str> {
        self.statements
            .iter()
            .flat_map(|statement| significant_tokens(self.text(statement)))
            .filter(|(kind, _)| *kind == crate::sqltext::token::TokenKind::Parameter)
            .map(|(_, text)| text)
            .collect()
    }

    /// Leaves out a BEGIN that comes first and a COMMIT that comes last, for a caller who runs it in a transaction of its own.
    /// Fails with `invalid_file` where other statements begin or end a transaction.
    pub fn without_own_transaction(mut self) -> Result<Self> {
        let is = |statement: Option<&ScriptStatement>, kind| statement.is_some_and(|found| found.kind == kind);
        if self.statements.len() > 1
            && is(self.statements.first(), StatementKind::Begin)
            && is(self.statements.last(), StatementKind::Commit)
        {
            self.statements.pop();
            self.statements.remove(0);
        }
        let ends = |kind| {
            matches!(
                kind,
                StatementKind::Begin | StatementKind::Commit | StatementKind::Rollback
            )
        };
        match self.statements.iter().find(|statement| ends(statement.kind)) {
            Some(statement) => Err(located(
                &self.name,
                statement.line,
                "it runs in a transaction of its own, which this statement would begin or end",
                Code::InvalidFile,
            )
            .hint("take the statement out of the file")),
            None => Ok(self),
        }
    }

    /// Runs a statement. An error names the script and the line.
    pub fn run_statement(
        &self,
        session: &mut dyn Session,
        restriction: Option<&Restriction>,
        statement: &ScriptStatement,
        args: &Args,
        sink: &mut dyn Sink,
    ) -> Result<Outcome> {
        session
            .run(self.text(statement), args, sink)
            .map_err(|failure| self.error(failure, statement, restriction))
    }

    /// Runs all statements and ignores their results, in as few round trips as possible. It ends at the first that fails.
    /// Returns how many rows they changed, and counts in `done` the statements that did not fail.
    pub fn run_all(
        &self,
        session: &mut dyn Session,
        restriction: Option<&Restriction>,
        done: &mut usize,
    ) -> Result<u64> {
        let batch: Vec<_> = self
            .statements
            .iter()
            .enumerate()
            .map(|(at, statement)| BatchStatement {
                sql: self.text(statement),
                follows: at > 0,
            })
            .collect();
        let mut changes = 0;
        for (statement, outcome) in self.statements.iter().zip(session.run_batch(&batch)?) {
            match outcome {
                Some(Ok(outcome)) => {
                    changes += outcome.changes;
                    *done += 1;
                }
                Some(Err(failure)) => return Err(self.error(failure, statement, restriction)),
                // The one before it failed, and was returned.
                None => {}
            }
        }
        Ok(changes)
    }

    fn error(&self, failure: Failure, statement: &ScriptStatement, restriction: Option<&Restriction>) -> Error {
        StatementPlace {
            script: &self.name,
            text: &self.text,
            start: statement.range.start,
            first_line: 1,
            restriction,
        }
        .error(failure, Code::SqlError)
    }
}

/// Refuses a statement with a quote, a bracket or a comment that it does not close.
fn check_closed(name: &str, text: &str, statement: Range<usize>) -> Result<()> {
    let mut at = statement.start;
    while let Some((token, _)) = next_token(&text.as_bytes()[at..statement.end]) {
        if !token.closed {
            let line = 1 + count_lines(&text.as_bytes()[..at]);
            let why = "a quote, a bracket or a comment begins here and does not end";
            return Err(located(name, line, why, Code::InvalidFile));
        }
        at += token.text.len();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::restrict::restrict;
    use crate::sql::{Target, Unseen, open, query};

    fn parse(text: &str) -> Result<ParsedScript> {
        ParsedScript::parse("x.sql", text.to_owned())
    }

    #[test]
    fn parsed_script_has_its_statements_with_lines() {
        let script = parse("-- first\ncreate table t(x);\n\ncreate trigger r after insert on t begin select 1; end;;\n select :a, @b, ?").unwrap();
        let lines: Vec<_> = script.statements().iter().map(|statement| statement.line).collect();
        assert_eq!(lines, [2, 4, 5]);
        assert_eq!(script.text(&script.statements()[2]), "select :a, @b, ?");
        assert_eq!(Vec::from_iter(script.parameters()), [":a", "?", "@b"]);
    }

    #[test]
    fn parsed_script_that_is_cut_off_or_for_the_shell_names_the_line() {
        for (text, message) in [
            ("select 1;\nselect 'a\nb", "x.sql:2: a quote, a bracket"),
            ("select 1;\n/* a", "x.sql:2: a quote, a bracket"),
            ("select 1;\n.tables\nselect 2;", "x.sql:2: a dot-command"),
            ("select 1;\n\0select 2;\nselect 3;", "x.sql:2: there is a NUL byte"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.code(), Code::InvalidFile);
            assert!(error.message().starts_with(message), "{error}");
        }
    }

    #[test]
    fn own_transaction_is_left_out_where_it_spans_the_script() {
        let script = parse("begin;\ncreate table t(x);\ncommit;").unwrap();
        assert_eq!(script.without_own_transaction().unwrap().statements().len(), 1);
        for (text, line) in [("create table t(x);\ncommit", 2), ("begin; commit; begin; commit;", 1)] {
            let error = parse(text).unwrap().without_own_transaction().unwrap_err();
            assert!(error.message().starts_with(&format!("x.sql:{line}:")), "{error}");
        }
    }

    #[test]
    fn script_statement_that_fails_names_its_line() {
        let mut session = open(&Target::Memory).unwrap();
        let session = session.as_mut();
        let restriction = restrict(session).unwrap();
        let script = parse("create table t(x unique);\ninsert into t values (1),\n  (2, 3);").unwrap();
        let error = script.run_all(session, restriction.as_ref(), &mut 0).unwrap_err();
        assert_eq!(
            error.message(),
            "x.sql:2: all VALUES must have the same number of terms"
        );
        let script = parse("\n\nattach 'x' as y").unwrap();
        let statement = &script.statements()[0];
        let ran = script.run_statement(session, restriction.as_ref(), statement, &Args::default(), &mut Unseen);
        let error = ran.unwrap_err();
        assert!(
            error.message().starts_with("x.sql:3: a script may not use ATTACH"),
            "{error}"
        );
        assert_eq!(query::number(session, "select count(*) from t").unwrap(), 0);
    }
}

//! Statements of a script on their way to a server: those that only write wait for each other and travel together.
//!
//! What is shown, and what is run when something fails, stays as it would be one by one: everything else that a script
//! does lets those that wait go first. Nobody who types or wants something told of each statement is kept waiting.

use super::exec::Stopped;
use super::state::{End, Ran, Shell, ShowPlan};
use super::to_server::{only_writes, plain_words};
use crate::sql::{BatchStatement, Failure, split};
use std::ops::Range;

/// The most that waits: bytes, and statements.
const BYTES: usize = 1 << 20;
const STATEMENTS: usize = 500;

/// The statements that wait.
#[derive(Default)]
pub struct Waiting {
    texts: Vec<Text>,
    bytes: usize,
    statements: usize,
}

/// Statements that came on one line.
struct Text {
    sql: String,
    statements: Vec<Range<usize>>,
    /// Where they began.
    line: u64,
}

impl Shell<'_> {
    /// Takes the statements of a line for later. False where they cannot wait.
    pub(super) fn let_wait(&mut self, text: &[u8], line: u64) -> Ran<bool> {
        let settings = &self.settings;
        let told = settings.echo
            || settings.timer
            || settings.changes
            || settings.backslash
            || settings.stats > 0
            || settings.show_plan > ShowPlan::Off
            || self.traced.is_some()
            || self.parameters_used
            || self.advises;
        if told || !self.scripts_a_server()? {
            return Ok(false);
        }
        let Ok(text) = std::str::from_utf8(text) else {
            return Ok(false);
        };
        let mut taken = Text {
            sql: String::with_capacity(text.len()),
            statements: Vec::new(),
            line,
        };
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (sql, after) = rest.split_at(split::first_statement(rest.as_bytes()));
            if !only_writes(&self.slot().translation, sql) {
                return Ok(false);
            }
            let start = taken.sql.len();
            taken.sql.push_str(&plain_words(sql));
            taken.statements.push(start..taken.sql.len());
            rest = after.trim_start();
        }
        let waiting = &mut self.waiting;
        waiting.bytes += taken.sql.len();
        waiting.statements += taken.statements.len();
        waiting.texts.push(taken);
        if waiting.bytes >= BYTES || waiting.statements >= STATEMENTS {
            self.send_waiting()?;
        }
        Ok(true)
    }

    /// Runs what waits. If a statement fails, reports that and fails.
    pub(super) fn send_waiting(&mut self) -> Ran {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.texts.is_empty() {
            return Ok(());
        }
        let bail = self.settings.bail;
        let mut statements = Vec::with_capacity(waiting.statements);
        for text in &waiting.texts {
            for (at, range) in text.statements.iter().enumerate() {
                statements.push(BatchStatement {
                    sql: &text.sql[range.clone()],
                    follows: at > 0 || bail && !statements.is_empty(),
                });
            }
        }
        let done = self.session()?.run_batch(&statements);
        let mut done = match done {
            Ok(done) => done.into_iter(),
            Err(failure) => {
                let first = &waiting.texts[0];
                return self.tell_refused(failure, &first.sql, first.line);
            }
        };
        let mut failed = false;
        for text in &waiting.texts {
            for range in &text.statements {
                match done.next().flatten() {
                    Some(Ok(_)) => self.wrote = true,
                    Some(Err(failure)) => match self.tell_refused(failure, &text.sql[range.start..], text.line) {
                        Err(End::Failed(_)) => failed = true,
                        other => other?,
                    },
                    None => {}
                }
            }
        }
        if failed { Err(End::Failed(1)) } else { Ok(()) }
    }

    fn tell_refused(&mut self, failure: Failure, rest: &str, line: u64) -> Ran {
        match self.refused(failure, rest) {
            Stopped::Ended(end) => Err(end),
            Stopped::Refused(refused) => self.complain_of(refused, line),
        }
    }
}

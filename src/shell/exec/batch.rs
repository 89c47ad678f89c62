//! Statements of a script on their way to a server: those that only write wait for each other and travel together.
//!
//! What is shown, and what is run when something fails, stays as it would be one by one: everything else that a script
//! does lets those that wait go first. Nobody who types or wants something told of each statement is kept waiting.

use super::deferred::defer;
use super::long_statement::LONGEST;
use super::remote_script::{is_remote_script, only_writes, plain_words};
use super::{report_error, statement_error};
use crate::shell::state::script::PendingText;
use crate::shell::state::{Interrupt, Shell, ShellResult, ShowPlan};
use crate::sql::{BatchStatement, Failure};
use crate::sqltext::split;

/// The most that waits: bytes, and statements.
const BYTES: usize = 1 << 20;
const STATEMENTS: usize = 500;

/// Takes the statements of a line for later. False where they cannot wait.
pub fn queue(shell: &mut Shell<'_>, text: &[u8], line: u64) -> ShellResult<bool> {
    let settings = &shell.settings;
    let reports_each = settings.echo
        || settings.timer
        || settings.changes
        || settings.backslash
        || settings.stats > 0
        || settings.show_plan > ShowPlan::Off
        || shell.tracing.statements.is_some()
        || shell.statements.uses_parameters
        || shell.statements.advises;
    if reports_each || !is_remote_script(shell)? {
        return Ok(false);
    }
    let Ok(text) = std::str::from_utf8(text) else {
        return Ok(false);
    };
    let mut taken = PendingText {
        sql: String::with_capacity(text.len()),
        statements: Vec::new(),
        line,
    };
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (sql, after) = rest.split_at(split::first_statement(rest.as_bytes()));
        if sql.len() > LONGEST || !only_writes(&shell.slot().translation, sql) {
            return Ok(false);
        }
        let start = taken.sql.len();
        taken.sql.push_str(&plain_words(sql));
        taken.statements.push(start..taken.sql.len());
        rest = after.trim_start();
    }
    let pending = &mut shell.statements.pending;
    pending.bytes += taken.sql.len();
    pending.statements += taken.statements.len();
    pending.texts.push(taken);
    if pending.bytes >= BYTES || pending.statements >= STATEMENTS {
        send(shell)?;
    }
    Ok(true)
}

/// Runs what waits. If a statement fails, reports that and fails.
pub fn send(shell: &mut Shell<'_>) -> ShellResult {
    let pending = std::mem::take(&mut shell.statements.pending);
    if pending.texts.is_empty() {
        return Ok(());
    }
    let bail = shell.settings.bail;
    let mut statements = Vec::with_capacity(pending.statements);
    for text in &pending.texts {
        for (at, range) in text.statements.iter().enumerate() {
            statements.push(BatchStatement {
                sql: &text.sql[range.clone()],
                follows: at > 0 || bail && !statements.is_empty(),
            });
        }
    }
    let done = shell.session()?.run_batch(&statements);
    let mut done = match done {
        Ok(done) => done.into_iter(),
        Err(failure) => {
            let first = &pending.texts[0];
            return report_failure(shell, failure, &first.sql, first.line);
        }
    };
    let mut failed = false;
    for text in &pending.texts {
        for range in &text.statements {
            match done.next().flatten() {
                Some(Ok(_)) => shell.statements.wrote = true,
                Some(Err(failure)) => {
                    let sql = &text.sql[range.clone()];
                    if let Failure::Sql { message, .. } = &failure
                        && defer(shell, sql, text.line, message)?
                    {
                        continue;
                    }
                    match report_failure(shell, failure, &text.sql[range.start..], text.line) {
                        Err(Interrupt::Failed(_)) => failed = true,
                        other => other?,
                    }
                }
                None => {}
            }
        }
    }
    if failed { Err(Interrupt::Failed(1)) } else { Ok(()) }
}

fn report_failure(shell: &mut Shell<'_>, failure: Failure, rest: &str, line: u64) -> ShellResult {
    match statement_error(shell, failure, rest) {
        Interrupt::Statement(error) => report_error(shell, *error, line),
        end => Err(end),
    }
}

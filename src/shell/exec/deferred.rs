//! Rows of a script for a table whose foreign key refers to a table that the script makes later.
//!
//! Servers check foreign keys from the start, where files do not, and refuse such rows. Within a transaction they wait for its
//! end, where all keys are checked. Outside of one, keys are not checked for the rest of the script, and looked through at its
//! end: what a key lacks then is reported.

use super::{report_error, statement_error};
use crate::shell::state::script::DeferredRow;
use crate::shell::state::{Interrupt, Shell, ShellResult};
use crate::sql::{BatchStatement, Failure};

/// Rows wait up to so many bytes of SQL.
const BYTES: usize = 64 << 20;

/// Statements sent together.
const TOGETHER: usize = 500;

/// The table that `message` says is missing for a foreign key: SQLite names those with their schema.
fn missing_parent(message: &str) -> Option<&str> {
    message.lines().next()?.strip_prefix("no such table: main.")
}

/// Runs, now or later, a statement of a script that lacks nothing but the table that its rows refer to. False if it fails for
/// good.
pub fn defer(shell: &mut Shell<'_>, sql: &str, line: u64, message: &str) -> ShellResult<bool> {
    if missing_parent(message).is_none() {
        return Ok(false);
    }
    if !shell.session()?.in_transaction() {
        if shell.query("PRAGMA foreign_keys=OFF", &[])?.is_err() {
            return Ok(false);
        }
        shell.statements.keys_unchecked = true;
        return Ok(shell.query(sql, &[])?.is_ok());
    }
    let waiting: usize = shell.statements.deferred.iter().map(|row| row.sql.len()).sum();
    if waiting + sql.len() > BYTES || shell.query("PRAGMA defer_foreign_keys=ON", &[])?.is_err() {
        return Ok(false);
    }
    shell.statements.deferred.push(DeferredRow {
        sql: sql.to_owned(),
        line,
    });
    Ok(true)
}

/// Runs the rows that waited, at the end of their transaction.
pub fn run_deferred(shell: &mut Shell<'_>) -> ShellResult {
    let deferred = std::mem::take(&mut shell.statements.deferred);
    let mut failed = false;
    for rows in deferred.chunks(TOGETHER) {
        let statements: Vec<BatchStatement<'_>> = rows
            .iter()
            .map(|row| BatchStatement {
                sql: &row.sql,
                follows: false,
            })
            .collect();
        let outcomes = match shell.session()?.run_batch(&statements) {
            Ok(outcomes) => outcomes,
            Err(failure) => return report(shell, failure, &rows[0]),
        };
        for (row, outcome) in rows.iter().zip(outcomes) {
            match outcome {
                Some(Err(failure)) => match report(shell, failure, row) {
                    Err(Interrupt::Failed(_)) => failed = true,
                    other => other?,
                },
                Some(Ok(_)) => shell.statements.wrote = true,
                None => {}
            }
        }
    }
    if failed { Err(Interrupt::Failed(1)) } else { Ok(()) }
}

/// Has keys checked again at the end of a script, and reports the rows that refer to none.
pub fn check_keys(shell: &mut Shell<'_>) -> ShellResult {
    if !std::mem::take(&mut shell.statements.keys_unchecked) {
        return Ok(());
    }
    shell.ask("PRAGMA foreign_keys=ON", &[])?;
    let rows = shell.ask("PRAGMA foreign_key_check", &[])?;
    match rows.len() {
        0 => Ok(()),
        count => shell.fail(format_args!(
            "Error: {count} rows break a foreign key: .intck lists them"
        )),
    }
}

fn report(shell: &mut Shell<'_>, failure: Failure, row: &DeferredRow) -> ShellResult {
    match statement_error(shell, failure, &row.sql) {
        Interrupt::Statement(error) => report_error(shell, *error, row.line),
        end => Err(end),
    }
}

#[cfg(test)]
mod tests {
    use super::missing_parent;

    #[test]
    fn foreign_key_parents_are_found_in_statements_that_name_tables() {
        assert_eq!(missing_parent("no such table: main.B\n  insert"), Some("B"));
        assert_eq!(missing_parent("no such table: B"), None);
    }
}

//! `.intck`: looks for damage.

use super::CommandCall;
use crate::shell::state::{Shell, ShellResult};
use crate::sql::Failure;
use crate::sql::query::CollectedRows;
use crate::sql::text::value_to_text;
use crate::sqltext::quote::identifier;

/// Looks for damage, and for rows that refer to none.
pub fn intck(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    if !call.args.is_empty() {
        return shell.fail(format_args!("Usage: .intck"));
    }
    let (mut sound, ended) = check(shell, "PRAGMA integrity_check")?;
    if let Err(failure) = ended {
        // What was found before is shown already: the pages. A table each may be read further than all of them at once.
        let tables = shell.query(
            "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid",
            &[],
        )?;
        for row in tables.into_iter().flatten() {
            let name = value_to_text(&row[0]);
            let sql = format!("PRAGMA integrity_check({})", identifier(&name));
            if let (_, Err(failure)) = check(shell, &sql)? {
                shell.show(format_args!("table {name}: {failure}"))?;
            }
        }
        if failure.primary_code() == Some(rusqlite::ffi::SQLITE_NOTADB) {
            return shell.fail_because(failure);
        }
        return shell.fail(format_args!(
            "Error: the database is damaged: {failure}\n.recover saves what can be read"
        ));
    }
    for row in shell.ask("PRAGMA foreign_key_check", &[])? {
        sound = false;
        let [table, number, parent] = [0, 1, 2].map(|index| value_to_text(&row[index]));
        // Tables WITHOUT ROWID have no number.
        let which = if number.is_empty() {
            "a row".to_owned()
        } else {
            format!("row {number}")
        };
        shell.show(format_args!("{which} of {table} refers to no row of {parent}"))?;
    }
    if sound {
        Ok(())
    } else {
        shell.fail(format_args!("Error: the database is damaged"))
    }
}

/// Runs a check and shows what it finds. Whether nothing was found, and how it ended.
fn check(shell: &mut Shell<'_>, sql: &str) -> ShellResult<(bool, Result<(), Failure>)> {
    let mut found = CollectedRows::default();
    let ended = shell.run_into(sql, &mut found)?.map(drop);
    let findings: Vec<String> = found.0.iter().map(|row| value_to_text(&row[0])).collect();
    for finding in findings.iter().flat_map(|finding| finding.lines()) {
        shell.show(format_args!("{finding}"))?;
    }
    Ok((findings.iter().all(|finding| finding == "ok"), ended))
}

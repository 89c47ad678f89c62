//! `.databases`: the databases that are open.

use super::CommandCall;
use crate::shell::state::{Shell, ShellResult, Slot};
use crate::sql::Target;
use crate::sql::text::value_to_text;

/// Names of the attached databases, `main` first.
pub fn database_names(shell: &mut Shell<'_>) -> ShellResult<Vec<String>> {
    let rows = shell.ask("PRAGMA database_list", &[])?;
    Ok(rows.iter().map(|row| value_to_text(&row[1])).collect())
}

pub fn databases(shell: &mut Shell<'_>, _: &CommandCall) -> ShellResult {
    let rows = shell.ask("PRAGMA database_list", &[])?;
    // A path on a server says nothing here.
    let url = match shell.slot() {
        Slot {
            target: Some(Target::Remote { .. }),
            file,
            ..
        } => file.clone(),
        _ => None,
    };
    for row in rows {
        let name = value_to_text(&row[1]);
        let file = url.clone().unwrap_or_else(|| value_to_text(&row[2]));
        let (read_only, transaction) = database_state(shell, &name)?;
        let file = if file.is_empty() { "\"\"" } else { &file };
        let access = if read_only { "r/o" } else { "r/w" };
        shell.show(format_args!("{name}: {file} {access}{transaction}"))?;
    }
    Ok(())
}

/// Whether a database is read-only, and its transaction as `.databases` tells it.
fn database_state(shell: &mut Shell<'_>, name: &str) -> ShellResult<(bool, &'static str)> {
    let read_only = shell.slot().target.as_ref().is_some_and(Target::is_read_only);
    let Some(engine) = shell.session()?.engine() else {
        return Ok((read_only, ""));
    };
    let connection = engine.connection();
    let read_only = connection.is_readonly(name).unwrap_or(false);
    let transaction = match connection.transaction_state(Some(name)) {
        Ok(rusqlite::TransactionState::Read) => " read-txn",
        Ok(rusqlite::TransactionState::Write) => " write-txn",
        _ => "",
    };
    Ok((read_only, transaction))
}

//! `.intck`: looks for damage.

use super::Call;
use crate::shell::state::{Shell, ShellResult};
use crate::sql::text::value_to_text;

/// Looks for damage, and for rows that refer to none.
pub fn intck(shell: &mut Shell<'_>, call: &Call) -> ShellResult {
    if !call.args.is_empty() {
        return shell.fail(format_args!("Usage: .intck"));
    }
    let mut sound = true;
    for row in shell.ask("PRAGMA integrity_check", &[])? {
        let problem = value_to_text(&row[0]);
        sound &= problem == "ok";
        shell.show(format_args!("{problem}"))?;
    }
    for row in shell.ask("PRAGMA foreign_key_check", &[])? {
        sound = false;
        let [table, number, parent] = [0, 1, 2].map(|index| value_to_text(&row[index]));
        shell.show(format_args!("row {number} of {table} refers to no row of {parent}"))?;
    }
    if sound {
        Ok(())
    } else {
        shell.fail(format_args!("Error: the database is damaged"))
    }
}

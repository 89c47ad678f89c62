//! `.parameter`: values for the parameters of statements.

use super::Call;
use crate::shell::exec::parameters::{create_table, query};
use crate::shell::state::{Interrupt, Shell, ShellResult};
use crate::sql::text::{literal, value_to_text};
use std::io::Write;

/// Names are shown in a column no wider than this.
const WIDEST: usize = 40;

pub fn parameter(shell: &mut Shell<'_>, call: &Call) -> ShellResult {
    shell.session()?;
    match call.texts()[..] {
        ["clear"] => quietly(shell, "DROP TABLE IF EXISTS temp.sqlite_parameters"),
        ["list"] => list(shell),
        ["init"] => create_table(shell),
        ["set", name, value] => set(shell, name, value),
        ["unset", name] => quietly(
            shell,
            &format!("DELETE FROM temp.sqlite_parameters WHERE key={}", literal(name)),
        ),
        _ => super::help::print(shell, "parameter").map(drop),
    }
}

/// Runs a statement whose failure means that there was nothing to do.
fn quietly(shell: &mut Shell<'_>, sql: &str) -> ShellResult {
    query(shell, sql).map(drop)
}

fn list(shell: &mut Shell<'_>) -> ShellResult {
    let rows = query(shell, "SELECT key, quote(value) FROM temp.sqlite_parameters")?.unwrap_or_default();
    let width = rows
        .iter()
        .map(|row| value_to_text(&row[0]).chars().count())
        .max()
        .unwrap_or(0)
        .min(WIDEST);
    for row in rows {
        let (name, value) = (value_to_text(&row[0]), value_to_text(&row[1]));
        let pad = width.saturating_sub(name.len());
        writeln!(shell.out, "{name}{:pad$} {value}", "")?;
    }
    Ok(())
}

/// The value is an SQL expression if it can be read as one, and a text otherwise.
fn set(shell: &mut Shell<'_>, name: &str, value: &str) -> ShellResult {
    create_table(shell)?;
    let replace = |value: &str| {
        format!(
            "REPLACE INTO temp.sqlite_parameters(key,value) VALUES({},{value});",
            literal(name)
        )
    };
    // Prepared first: only what cannot be understood is a text, not what fails as it runs.
    let understood = query(shell, &format!("EXPLAIN {}", replace(value)))?.is_ok();
    let sql = if understood {
        replace(value)
    } else {
        replace(&literal(value))
    };
    match query(shell, &sql)? {
        Ok(_) => Ok(()),
        Err(_) if understood => Ok(()),
        Err(failure) => {
            shell.show(format_args!("Error: {failure}"))?;
            Err(Interrupt::Failed(1))
        }
    }
}

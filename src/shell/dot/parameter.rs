//! `.parameter`: values for the parameters of statements, kept in a temporary table that statements may use too.

use super::Call;
use super::schema::literal;
use crate::shell::state::{End, Ran, Shell, text_of};
use crate::sql::Value;
use std::io::Write;

/// Names are shown in a column no wider than this.
const WIDEST: usize = 40;

pub fn parameter(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.session()?;
    match call.texts()[..] {
        ["clear"] => quietly(shell, "DROP TABLE IF EXISTS temp.sqlite_parameters"),
        ["list"] => list(shell),
        ["init"] => make_table(shell),
        ["set", name, value] => set(shell, name, value),
        ["unset", name] => quietly(
            shell,
            &format!("DELETE FROM temp.sqlite_parameters WHERE key={}", literal(name)),
        ),
        _ => super::help::print(shell, "parameter").map(drop),
    }
}

/// Runs a statement whose failure means that there was nothing to do.
fn quietly(shell: &mut Shell<'_>, sql: &str) -> Ran {
    shell.query(sql, &[]).map(drop)
}

/// The table, which only a connection that may create it can have.
fn make_table(shell: &mut Shell<'_>) -> Ran {
    shell.parameters_used = true;
    let connection_config = |shell: &mut Shell<'_>, on: bool| -> Ran<Option<bool>> {
        use rusqlite::config::DbConfig::{SQLITE_DBCONFIG_DEFENSIVE, SQLITE_DBCONFIG_WRITABLE_SCHEMA};
        let Some(connection) = shell.session()?.local() else {
            return Ok(None);
        };
        let defensive = connection.db_config(SQLITE_DBCONFIG_DEFENSIVE).unwrap_or(false);
        // The table's name is reserved; the schema must be writable for the moment.
        let _ = connection.set_db_config(SQLITE_DBCONFIG_DEFENSIVE, false);
        let _ = connection.set_db_config(SQLITE_DBCONFIG_WRITABLE_SCHEMA, on);
        Ok(Some(defensive))
    };
    let defensive = connection_config(shell, true)?;
    quietly(
        shell,
        "CREATE TABLE IF NOT EXISTS temp.sqlite_parameters(\n  key TEXT PRIMARY KEY,\n  value\n) WITHOUT ROWID",
    )?;
    connection_config(shell, false)?;
    if let (Some(true), Some(connection)) = (defensive, shell.session()?.local()) {
        // It was allowed before, so it is again.
        let _ = connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true);
    }
    Ok(())
}

fn list(shell: &mut Shell<'_>) -> Ran {
    let rows = shell
        .query("SELECT key, quote(value) FROM temp.sqlite_parameters", &[])?
        .unwrap_or_default();
    let width = rows
        .iter()
        .map(|row| text_of(&row[0]).chars().count())
        .max()
        .unwrap_or(0)
        .min(WIDEST);
    for row in rows {
        let (name, value) = (text_of(&row[0]), text_of(&row[1]));
        let pad = width.saturating_sub(name.len());
        writeln!(shell.out, "{name}{:pad$} {value}", "")?;
    }
    Ok(())
}

/// The value is an SQL expression if it can be read as one, and a text otherwise.
fn set(shell: &mut Shell<'_>, name: &str, value: &str) -> Ran {
    make_table(shell)?;
    let replace = |value: &str| {
        format!(
            "REPLACE INTO temp.sqlite_parameters(key,value) VALUES({},{value});",
            literal(name)
        )
    };
    // Prepared first: only what cannot be understood is a text, not what fails as it runs.
    let understood = shell.query(&format!("EXPLAIN {}", replace(value)), &[])?.is_ok();
    let sql = if understood {
        replace(value)
    } else {
        replace(&literal(value))
    };
    match shell.query(&sql, &[] as &[Value])? {
        Ok(_) => Ok(()),
        Err(_) if understood => Ok(()),
        Err(failure) => {
            shell.show(format_args!("Error: {failure}"))?;
            Err(End::Failed)
        }
    }
}

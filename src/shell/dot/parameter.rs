//! `.parameter`: values for the parameters of statements, kept in a temporary table that statements may use too.
//!
//! Servers refuse temporary tables. The table for a connection to one is kept here, in a database in memory: the values are
//! bound all the same, but the server's statements cannot read the table, nor can a value be computed from the server's.

use super::Call;
use super::schema::literal;
use crate::shell::state::{End, Ran, Shell, text_of};
use crate::sql::query::collect;
use crate::sql::{Failure, Session, Target, Value, open};
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

/// The session that has the table.
fn keeper<'s>(shell: &'s mut Shell<'_>) -> Ran<&'s mut (dyn Session + 'static)> {
    if shell.session()?.is_local() {
        return shell.session();
    }
    if shell.slot().parameters.is_none() {
        match open(&Target::Memory) {
            Ok(session) => shell.slot().parameters = Some(session),
            Err(error) => return shell.fail(format_args!("Error: {error}")),
        }
    }
    match &mut shell.slot().parameters {
        Some(session) => Ok(session.as_mut()),
        None => Err(End::Failed(1)),
    }
}

fn query(shell: &mut Shell<'_>, sql: &str) -> Ran<Result<Vec<Vec<Value>>, Failure>> {
    Ok(collect(keeper(shell)?, sql, &[]))
}

/// Names and values, for binding.
pub fn values(shell: &mut Shell<'_>) -> Ran<Vec<(String, Value)>> {
    let rows = query(shell, "SELECT key, value FROM temp.sqlite_parameters")?.unwrap_or_default();
    let pair = |row: Vec<Value>| {
        let mut row = row.into_iter();
        Some((text_of(&row.next()?), row.next()?))
    };
    Ok(rows.into_iter().filter_map(pair).collect())
}

/// Runs a statement whose failure means that there was nothing to do.
fn quietly(shell: &mut Shell<'_>, sql: &str) -> Ran {
    query(shell, sql).map(drop)
}

/// The table, which only a connection that may create it can have.
fn make_table(shell: &mut Shell<'_>) -> Ran {
    shell.parameters_used = true;
    let connection_config = |shell: &mut Shell<'_>, on: bool| -> Ran<Option<bool>> {
        use rusqlite::config::DbConfig::{SQLITE_DBCONFIG_DEFENSIVE, SQLITE_DBCONFIG_WRITABLE_SCHEMA};
        let Some(connection) = keeper(shell)?.local() else {
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
    if let (Some(true), Some(connection)) = (defensive, keeper(shell)?.local()) {
        // It was allowed before, so it is again.
        let _ = connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true);
    }
    Ok(())
}

fn list(shell: &mut Shell<'_>) -> Ran {
    let rows = query(shell, "SELECT key, quote(value) FROM temp.sqlite_parameters")?.unwrap_or_default();
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
            Err(End::Failed(1))
        }
    }
}

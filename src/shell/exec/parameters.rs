//! Values for the parameters of statements, in the temporary table that `.parameter` fills.
//!
//! Servers refuse temporary tables. The table for a connection to one is in a database in memory here: the values are bound
//! all the same, but the server's statements cannot read the table, nor can a value be computed from the server's.

use crate::shell::state::{Interrupt, Shell, ShellResult};
use crate::sql::query::collect;
use crate::sql::text::value_to_text;
use crate::sql::{Args, Failure, Session, Target, Value, open};

/// Values for the parameters of `sql`.
pub fn bind(shell: &mut Shell<'_>, sql: &str) -> ShellResult<Args> {
    if !shell.statements.uses_parameters || !sql.contains(['?', ':', '@', '$', '#']) {
        return Ok(Args::default());
    }
    Ok(Args {
        positional: Vec::new(),
        named: values(shell)?,
    })
}

/// The session that has the table.
fn table_session<'s>(shell: &'s mut Shell<'_>) -> ShellResult<&'s mut (dyn Session + 'static)> {
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
        None => Err(Interrupt::Failed(1)),
    }
}

pub fn query(shell: &mut Shell<'_>, sql: &str) -> ShellResult<Result<Vec<Vec<Value>>, Failure>> {
    Ok(collect(table_session(shell)?, sql, &[]))
}

/// Names and values, for binding.
fn values(shell: &mut Shell<'_>) -> ShellResult<Vec<(String, Value)>> {
    let rows = query(shell, "SELECT key, value FROM temp.sqlite_parameters")?.unwrap_or_default();
    let pair = |row: Vec<Value>| {
        let mut row = row.into_iter();
        Some((value_to_text(&row.next()?), row.next()?))
    };
    Ok(rows.into_iter().filter_map(pair).collect())
}

/// The table, which only a connection that may create it can have.
pub fn create_table(shell: &mut Shell<'_>) -> ShellResult {
    shell.statements.uses_parameters = true;
    let connection_config = |shell: &mut Shell<'_>, on: bool| -> ShellResult<Option<bool>> {
        use rusqlite::config::DbConfig::{SQLITE_DBCONFIG_DEFENSIVE, SQLITE_DBCONFIG_WRITABLE_SCHEMA};
        let Some(engine) = table_session(shell)?.engine() else {
            return Ok(None);
        };
        let connection = engine.connection();
        let defensive = connection.db_config(SQLITE_DBCONFIG_DEFENSIVE).unwrap_or(false);
        // The table's name is reserved; the schema must be writable for the moment.
        let _ = connection.set_db_config(SQLITE_DBCONFIG_DEFENSIVE, false);
        let _ = connection.set_db_config(SQLITE_DBCONFIG_WRITABLE_SCHEMA, on);
        Ok(Some(defensive))
    };
    let defensive = connection_config(shell, true)?;
    query(
        shell,
        "CREATE TABLE IF NOT EXISTS temp.sqlite_parameters(\n  key TEXT PRIMARY KEY,\n  value\n) WITHOUT ROWID",
    )?
    .ok();
    connection_config(shell, false)?;
    if let (Some(true), Some(engine)) = (defensive, table_session(shell)?.engine()) {
        // It was allowed before, so it is again.
        let _ = engine
            .connection()
            .set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true);
    }
    Ok(())
}

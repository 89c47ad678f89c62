//! Rows that scripts write into the schema table, as dumps do for virtual tables. SQLite itself checks nothing there, and could not
//! read the database any more. So a schema that could be read before is read again before such rows are committed.

use super::{ends_transaction, remote_script, run_statement, statement_failed};
use crate::shell::state::{SchemaRows, Shell, ShellResult};
use crate::sql::Value;

/// Runs a statement on a file. One of a script's must leave a schema that can be read.
pub fn run_checked(shell: &mut Shell<'_>, sql: &str, rest: &str) -> ShellResult {
    if shell.input.nesting > 0 && writes_schema(sql) {
        return write_row(shell, sql, rest);
    }
    if shell.statements.schema_rows == SchemaRows::Written && ends_transaction(sql) && remote_script::commits(sql) {
        check_before_commit(shell)?;
    }
    run_statement(shell, sql, rest)
}

/// Has a connection read the schema again into which a script wrote, as dumps do.
pub fn reload_schema(shell: &mut Shell<'_>) -> ShellResult {
    if shell.statements.schema_rows == SchemaRows::None || shell.session()?.in_transaction() {
        return Ok(());
    }
    shell.statements.schema_rows = SchemaRows::None;
    // An engine that is too old for it reads the schema when the file is opened next.
    let _ = shell.query("PRAGMA writable_schema=RESET", &[])?;
    Ok(())
}

/// Whether a statement changes rows of the schema table.
fn writes_schema(sql: &str) -> bool {
    // Most statements do not even have the letters.
    memchr::memmem::find(sql.as_bytes(), b"sqlite_").is_some() && remote_script::changes_schema_table(sql)
}

fn write_row(shell: &mut Shell<'_>, sql: &str, rest: &str) -> ShellResult {
    if let Some(name) = remote_script::virtual_table_in(sql) {
        let there = shell.query(
            "SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE",
            &[Value::Text(name.clone())],
        )?;
        if there.is_ok_and(|rows| !rows.is_empty()) {
            return Err(statement_failed(format!("table {name} already exists")));
        }
    }
    if shell.statements.schema_rows == SchemaRows::None {
        shell.statements.schema_rows = match read_schema(shell)? {
            Ok(()) => SchemaRows::Written,
            Err(_) => SchemaRows::Repairing,
        };
    }
    if shell.statements.schema_rows == SchemaRows::Repairing || shell.session()?.in_transaction() {
        return run_statement(shell, sql, rest);
    }
    shell.ask("SAVEPOINT schema_row", &[])?;
    let ran = run_statement(shell, sql, rest);
    let refused = match &ran {
        Ok(()) => read_schema(shell)?.err(),
        Err(_) => None,
    };
    if ran.is_err() || refused.is_some() {
        shell.ask("ROLLBACK TO schema_row", &[])?;
    }
    shell.ask("RELEASE schema_row", &[])?;
    match refused {
        Some(why) => Err(statement_failed(format!("{why} (the row is not kept)"))),
        None => ran,
    }
}

/// Fails before a transaction is committed whose schema cannot be read, and undoes it.
fn check_before_commit(shell: &mut Shell<'_>) -> ShellResult {
    if !shell.session()?.in_transaction() {
        return Ok(());
    }
    let Err(why) = read_schema(shell)? else { return Ok(()) };
    shell.ask("ROLLBACK", &[])?;
    Err(statement_failed(format!("{why} (nothing of the transaction is kept)")))
}

/// Reads the schema, and says why it cannot be read. Whether it is writable stays as it was.
fn read_schema(shell: &mut Shell<'_>) -> ShellResult<Result<(), String>> {
    let writable = shell.query("PRAGMA writable_schema", &[])?;
    let is_writable = writable.is_ok_and(|rows| rows == [[Value::Integer(1)]]);
    let _ = shell.query("PRAGMA writable_schema=RESET", &[])?;
    let read = shell.query("SELECT count(*) FROM sqlite_schema", &[])?;
    if is_writable {
        shell.ask("PRAGMA writable_schema=ON", &[])?;
    }
    Ok(read.map(drop).map_err(|failure| failure.to_string()))
}

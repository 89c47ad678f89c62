//! Virtual tables that scripts write into the schema table, as dumps do. Where the database has a table of that name, the script is
//! told so in SQLite's words. What SQLite could not read is refused by the session (`crate::sql`).

use super::{remote_script, statement_failed};
use crate::shell::state::{Shell, ShellResult};
use crate::sql::Value;

/// Fails where a statement writes a virtual table into the schema of a file that has a table or view of that name.
pub fn check_new_virtual_table(shell: &mut Shell<'_>, sql: &str) -> ShellResult {
    // Most statements do not even have the letters.
    let writes_schema =
        memchr::memmem::find(sql.as_bytes(), b"sqlite_").is_some() && remote_script::changes_schema_table(sql);
    let Some(name) = writes_schema.then(|| remote_script::virtual_table_in(sql)).flatten() else {
        return Ok(());
    };
    let there = shell.query(
        "SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE",
        &[Value::Text(name.clone())],
    )?;
    if there.is_ok_and(|rows| !rows.is_empty()) {
        return Err(statement_failed(format!("table {name} already exists")));
    }
    Ok(())
}

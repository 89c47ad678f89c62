//! What was applied, as the database itself records it: the table `_torso_migrations`.

use super::Migration;
use crate::error::{Code, Error, Result};
use crate::sql::{Session, Value, query};
use crate::sqltext::quote::literal;

/// The table.
pub(super) const TABLE: &str = "_torso_migrations";

/// Makes the table where it is missing.
pub(super) const CREATE: &str = "CREATE TABLE IF NOT EXISTS _torso_migrations (version TEXT NOT NULL PRIMARY KEY, \
     name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at TEXT NOT NULL, adopted_from TEXT)";

/// A row of the table: a migration that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AppliedRow {
    pub version: String,
    pub name: String,
    pub checksum: String,
}

/// All rows, in no order. `has_table` says whether the table is there.
pub(super) fn read(session: &mut dyn Session, has_table: bool) -> Result<Vec<AppliedRow>> {
    if !has_table {
        return Ok(Vec::new());
    }
    let rows = query::rows(session, "SELECT version, name, checksum FROM _torso_migrations")?;
    rows.into_iter()
        .map(|row| match row.as_slice() {
            [Value::Text(version), Value::Text(name), Value::Text(checksum)] => Ok(AppliedRow {
                version: version.clone(),
                name: name.clone(),
                checksum: checksum.clone(),
            }),
            _ => Err(Error::new(
                Code::Conflict,
                format!("the table {TABLE} of the database is not one that torso made"),
            )
            .hint("rename that table; torso keeps in it which migrations were applied")),
        })
        .collect()
}

/// Which of these tables the database has.
pub(super) fn existing_tables(session: &mut dyn Session, names: &[&str]) -> Result<Vec<String>> {
    let list: Vec<_> = names.iter().map(|name| literal(name)).collect();
    let sql = format!(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN ({})",
        list.join(", ")
    );
    let rows = query::rows(session, &sql)?;
    let text = |row: Vec<Value>| match row.into_iter().next() {
        Some(Value::Text(name)) => Some(name),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(text).collect())
}

/// The statement that records a migration. `adopted_from` is the table of another tool that says it was applied.
pub(super) fn insert(migration: &Migration, adopted_from: Option<&str>) -> String {
    format!(
        "INSERT INTO {TABLE} (version, name, checksum, applied_at, adopted_from) \
         VALUES ({}, {}, {}, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), {})",
        literal(&migration.version),
        literal(&migration.name),
        literal(&migration.checksum),
        adopted_from.map_or_else(|| "NULL".to_owned(), literal)
    )
}

/// Whether a migration is recorded. The table must be there.
pub(super) fn is_recorded(session: &mut dyn Session, migration: &Migration) -> Result<bool> {
    let sql = format!(
        "SELECT count(*) FROM {TABLE} WHERE version = {}",
        literal(&migration.version)
    );
    Ok(query::number(session, &sql)? > 0)
}

//! What a database has that another one has not: rows of a former primary that its successor lacks.

use crate::engine::disk;
use crate::engine::file::{copy, sqlite};
use crate::error::{Error, Result};
use crate::sqltext::quote;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use std::io::Write as _;
use std::path::Path;

/// Rows that are written down of one table; all are counted.
const MOST_ROWS: u64 = 10_000;

/// The rows that only one of two databases has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divergence {
    pub tables: Vec<DivergedTable>,
}

/// A table with such rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DivergedTable {
    pub table: String,
    pub rows: u64,
}

impl fmt::Display for Divergence {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tables.is_empty() {
            return to.write_str("it has no row that its successor lacks");
        }
        to.write_str("it has rows that its successor lacks: ")?;
        for (n, table) in self.tables.iter().enumerate() {
            let comma = if n > 0 { ", " } else { "" };
            write!(to, "{comma}{} in {}", table.rows, table.table)?;
        }
        Ok(())
    }
}

/// Writes `diverged.jsonl`, a line for each row that the database `old` has and `now` has not, and `diverged.json`, which counts
/// them, beside `old`. A row that was changed since counts as well.
pub fn find_divergence(old: &Path, now: &Path) -> Result<()> {
    let home = old.parent().unwrap_or(old);
    let lines_path = home.join("diverged.jsonl");
    let mut lines = disk::private_file(&lines_path)?;
    lines
        .set_len(0)
        .map_err(|error| Error::io(error, format!("cannot write {}", lines_path.display())))?;
    let connection = copy::open_source(old)?;
    connection
        .execute("ATTACH ?1 AS successor", [now.to_string_lossy()])
        .map_err(|error| sqlite(now, error))?;
    let mut tables = Vec::new();
    for table in names(&connection).map_err(|error| sqlite(old, error))? {
        let rows = compare(&connection, &table, |row| {
            let line = json!({ "table": table, "row": row });
            writeln!(lines, "{line}")
                .map_err(|error| Error::io(error, format!("cannot write {}", lines_path.display())))
        })
        .map_err(|error| error.caused_by(format!("while the table {table} was compared")))?;
        if rows > 0 {
            tables.push(DivergedTable { table, rows });
        }
    }
    let path = home.join("diverged.json");
    let text = serde_json::to_vec(&Divergence { tables }).unwrap_or_default();
    let mut file = disk::private_file(&path)?;
    file.set_len(0)
        .and_then(|()| file.write_all(&text))
        .map_err(|error| Error::io(error, format!("cannot write {}", path.display())))
}

/// The tables that hold rows of their own.
fn names(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'
         AND substr(name, 1, 7) <> 'sqlite_' ORDER BY name",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Counts the rows of a table that the successor lacks, and passes the first of them on.
fn compare(connection: &Connection, table: &str, mut note: impl FnMut(Value) -> Result<()>) -> Result<u64> {
    let failed = |error| sqlite(Path::new(table), error);
    let quoted = quote::identifier(table);
    let exists: bool = connection
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM successor.sqlite_schema WHERE type = 'table' AND name = ?1)",
            [table],
            |row| row.get(0),
        )
        .map_err(failed)?;
    let all = format!("SELECT * FROM main.{quoted}");
    let differing = format!("{all} EXCEPT SELECT * FROM successor.{quoted}");
    // A table with other columns has no row in common.
    let mut statement = match connection.prepare(&differing) {
        Ok(statement) if exists => statement,
        _ => connection.prepare(&all).map_err(failed)?,
    };
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.query([]).map_err(failed)?;
    let mut count = 0;
    while let Some(row) = rows.next().map_err(failed)? {
        count += 1;
        if count <= MOST_ROWS {
            let mut members = serde_json::Map::new();
            for (n, column) in columns.iter().enumerate() {
                members.insert(column.clone(), value(row.get_ref(n).map_err(failed)?));
            }
            note(Value::Object(members))?;
        }
    }
    Ok(count)
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => json!(number),
        ValueRef::Real(number) => json!(number),
        ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "hex": digits })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_counts_and_keeps_rows_that_only_the_old_database_has() {
        let dir = tempfile::tempdir().unwrap();
        let (old, now) = (dir.path().join("data"), dir.path().join("now"));
        let make = |path: &Path, sql: &str| Connection::open(path).unwrap().execute_batch(sql).unwrap();
        let schema = "CREATE TABLE t(a INTEGER PRIMARY KEY, b); CREATE TABLE same(x); INSERT INTO same VALUES (1);";
        make(
            &old,
            &format!(
                "{schema} INSERT INTO t VALUES (1, 'x'), (2, x'00ff'), (3, 2.5); CREATE TABLE gone(y); INSERT INTO gone VALUES (7)"
            ),
        );
        make(&now, &format!("{schema} INSERT INTO t VALUES (1, 'x'), (4, 9)"));
        for _ in 0..2 {
            find_divergence(&old, &now).unwrap();
            let report: Divergence =
                serde_json::from_slice(&std::fs::read(dir.path().join("diverged.json")).unwrap()).unwrap();
            assert_eq!(
                report.to_string(),
                "it has rows that its successor lacks: 1 in gone, 2 in t"
            );
            let lines = std::fs::read_to_string(dir.path().join("diverged.jsonl")).unwrap();
            assert_eq!(
                lines.lines().collect::<Vec<_>>(),
                [
                    r#"{"table":"gone","row":{"y":7}}"#,
                    r#"{"table":"t","row":{"a":2,"b":{"hex":"00ff"}}}"#,
                    r#"{"table":"t","row":{"a":3,"b":2.5}}"#,
                ]
            );
        }
        find_divergence(&old, &old).unwrap();
        let none: Divergence =
            serde_json::from_slice(&std::fs::read(dir.path().join("diverged.json")).unwrap()).unwrap();
        assert_eq!(none.to_string(), "it has no row that its successor lacks");
    }
}

//! What a database has that another one has not: rows of a former primary that its successor lacks.

use crate::engine::disk;
use crate::engine::file::{comparison, copy, sqlite};
use crate::error::{Error, Result};
use crate::sqltext::quote;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, Statement};
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
    /// Why they could not be compared, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A table with such rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DivergedTable {
    pub table: String,
    pub rows: u64,
}

impl fmt::Display for Divergence {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(failure) = &self.failure {
            return write!(to, "it could not be compared with its successor: {failure}");
        }
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
    let (former, successor) = (copy::open_source(old)?, copy::open_source(now)?);
    let mut tables = Vec::new();
    for table in comparison::tables(&former).map_err(|error| sqlite(old, error))? {
        // Of these SQLite makes its own: counters and statistics.
        if table.starts_with("sqlite_") {
            continue;
        }
        let rows = compare(&former, &successor, &table, |row| {
            let line = json!({ "table": table, "row": row });
            writeln!(lines, "{line}")
                .map_err(|error| Error::io(error, format!("cannot write {}", lines_path.display())))
        })
        .map_err(|error| error.caused_by(format!("while the table {table} was compared")))?;
        if rows > 0 {
            tables.push(DivergedTable { table, rows });
        }
    }
    tables.sort_by(|one, other| one.table.cmp(&other.table));
    let path = home.join("diverged.json");
    let text = serde_json::to_vec(&Divergence { tables, failure: None }).unwrap_or_default();
    let mut file = disk::private_file(&path)?;
    file.set_len(0)
        .and_then(|()| file.write_all(&text))
        .map_err(|error| Error::io(error, format!("cannot write {}", path.display())))
}

/// Counts the rows of a table that the successor has not in the same place, with the very same values, and passes the first of
/// them on.
fn compare(
    former: &Connection,
    successor: &Connection,
    table: &str,
    mut note: impl FnMut(Value) -> Result<()>,
) -> Result<u64> {
    let failed = |error| sqlite(Path::new(table), error);
    let Some(keys) = comparison::keys(former, table).map_err(failed)? else {
        return Ok(0);
    };
    let columns = [keys.as_slice(), &["*".to_owned()]].concat().join(", ");
    let from = format!("SELECT {columns} FROM {}", quote::identifier(table));
    let mut all = former.prepare(&from).map_err(failed)?;
    let mut same = find_by_keys(successor, table, &keys, &from, &all).map_err(failed)?;
    let names: Vec<String> = all.column_names().map(str::to_owned).collect();
    let (mut count, mut ours, mut theirs) = (0, Vec::new(), Vec::new());
    let mut rows = all.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        ours.clear();
        comparison::encode(row, names.len(), &mut ours).map_err(failed)?;
        if let Some(same) = &mut same {
            theirs.clear();
            read_same(same, row, keys.len(), names.len(), &mut theirs).map_err(failed)?;
            if theirs == ours {
                continue;
            }
        }
        count += 1;
        if count <= MOST_ROWS {
            let mut members = serde_json::Map::new();
            for (n, name) in names.iter().enumerate().skip(keys.len()) {
                members.insert(name.clone(), value(row.get_ref(n).map_err(failed)?));
            }
            note(Value::Object(members))?;
        }
    }
    Ok(count)
}

/// A statement that finds the row of a key in the successor. None if it has no such table, or one with other columns or keys: then
/// they have no row in common. Nor is anything in common that has no key to find it by.
fn find_by_keys<'c>(
    successor: &'c Connection,
    table: &str,
    keys: &[String],
    from: &str,
    all: &Statement<'_>,
) -> rusqlite::Result<Option<Statement<'c>>> {
    if keys.is_empty() || comparison::keys(successor, table)?.is_none_or(|theirs| theirs != keys) {
        return Ok(None);
    }
    let condition: Vec<String> = keys.iter().map(|key| format!("{key} IS ?")).collect();
    let same = successor.prepare(&format!("{from} WHERE {}", condition.join(" AND ")))?;
    let is_alike = same.column_names().eq(all.column_names());
    Ok(is_alike.then_some(same))
}

/// Reads the successor's row that has the keys of this one, if there is one.
fn read_same(
    same: &mut Statement<'_>,
    row: &Row<'_>,
    keys: usize,
    columns: usize,
    to: &mut Vec<u8>,
) -> rusqlite::Result<()> {
    for key in 0..keys {
        same.raw_bind_parameter(key + 1, ToSqlOutput::Borrowed(row.get_ref(key)?))?;
    }
    let mut found = same.raw_query();
    match found.next()? {
        Some(row) => comparison::encode(row, columns, to),
        None => Ok(()),
    }
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
        assert_eq!(report(&old, &old), "it has no row that its successor lacks");
    }

    fn report(old: &Path, now: &Path) -> String {
        find_divergence(old, now).unwrap();
        let text = std::fs::read(old.with_file_name("diverged.json")).unwrap();
        serde_json::from_slice::<Divergence>(&text).unwrap().to_string()
    }

    #[test]
    fn divergence_sees_rows_that_differ_only_in_number_case_or_type() {
        const SCHEMA: &str = "CREATE TABLE plain(x); CREATE TABLE names(n TEXT COLLATE NOCASE);
            CREATE TABLE keyed(k TEXT COLLATE NOCASE PRIMARY KEY, v) WITHOUT ROWID;
            CREATE TABLE pair(a, b, c, PRIMARY KEY (b, a)) WITHOUT ROWID;
            CREATE TABLE typed(v); CREATE VIRTUAL TABLE words USING fts5(body);
            CREATE TABLE hidden(rowid, _rowid_, oid);
            INSERT INTO plain VALUES (NULL), ('twice'); INSERT INTO names VALUES ('ann'); INSERT INTO keyed VALUES ('bob', 1);
            INSERT INTO pair VALUES (1, 2, 3); INSERT INTO typed VALUES (1), ('1'), (x'31');";
        for (more, expected) in [
            ("", "it has no row that its successor lacks"),
            ("INSERT INTO plain VALUES ('twice')", "1 in plain"),
            ("UPDATE names SET n = 'ANN'", "1 in names"),
            ("UPDATE keyed SET k = 'BOB'", "1 in keyed"),
            ("UPDATE pair SET c = 4", "1 in pair"),
            ("UPDATE typed SET v = 1.0 WHERE v = 1", "1 in typed"),
            ("UPDATE typed SET v = 'x' WHERE typeof(v) = 'blob'", "1 in typed"),
            ("INSERT INTO hidden VALUES (1, 2, 3)", "1 in hidden"),
            ("INSERT INTO words VALUES ('only here')", "1 in words_content"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let (old, now) = (dir.path().join("data"), dir.path().join("now"));
            for path in [&old, &now] {
                Connection::open(path).unwrap().execute_batch(SCHEMA).unwrap();
            }
            Connection::open(&old).unwrap().execute_batch(more).unwrap();
            let text = report(&old, &now);
            assert!(text.contains(expected), "{more}: {text}");
        }
    }
}

//! Compares the content of a primary with that of its replicas, each as it is in one read transaction. A helper process does
//! it: it opens all transactions, says so, and compares once it is told that all were opened at the same position.

use super::{copy, sqlite};
use crate::checksum::hex;
use crate::damage_check::find_damage_of_indexes;
use crate::error::{Code, Error, Result};
use crate::sqltext::quote;
use ring::digest::{Context, SHA256};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Statement};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

/// What the helper says when all transactions are open.
pub const OPEN: &str = "open";

/// How much a comparison looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ComparisonDepth {
    /// The rows of all tables.
    #[default]
    Rows,
    /// Also what nobody reads as rows: pages, free pages, and that each index has what its table has.
    Structure,
}

impl ComparisonDepth {
    /// What the helper is told.
    #[must_use]
    pub fn line(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Structure => "structure",
        }
    }
}

/// The result of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentComparison {
    /// What the primary has.
    pub tables: u64,
    pub rows: u64,
    /// The SHA-256 of all of its tables.
    pub hash: String,
    /// The first table that differs in each replica, in their order; none where all is equal.
    pub replicas: Vec<Option<ContentDifference>>,
    /// What is wrong with the structure of each, the primary first. One that is damaged is not compared. Empty if only rows were
    /// looked at.
    #[serde(default)]
    pub damage: Vec<Option<String>>,
}

/// A table that differs, and between which keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentDifference {
    pub table: String,
    /// The first and the last key whose rows differ; none where the table is missing, or has other columns.
    pub keys: Option<(String, String)>,
}

/// Compares databases, the primary first. Reads a line between the opening and the comparison.
pub fn compare(paths: &[PathBuf], input: &mut impl BufRead, output: &mut impl Write) -> Result<()> {
    let spoken = |error| Error::io(error, "a helper process lost its connection");
    let mut open = Vec::new();
    for path in paths {
        let connection = copy::open_source(path)?;
        connection
            .execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")
            .map_err(|error| sqlite(path, error))?;
        open.push(connection);
    }
    writeln!(output, "{OPEN}")
        .and_then(|()| output.flush())
        .map_err(spoken)?;
    let mut line = String::new();
    if input.read_line(&mut line).map_err(spoken)? == 0 {
        return Ok(());
    }
    let Some((primary, replicas)) = open.split_first() else {
        return Err(Error::new(Code::Internal, "there is nothing to compare"));
    };
    let damage: Vec<Option<String>> = match line.trim() {
        line if line == ComparisonDepth::Structure.line() => open.iter().map(describe_damage).collect(),
        _ => Vec::new(),
    };
    let report = if damage.first().is_some_and(Option::is_some) {
        ContentComparison {
            replicas: vec![None; replicas.len()],
            damage,
            ..ContentComparison::default()
        }
    } else {
        compare_all(primary, replicas, damage).map_err(|error| sqlite(&paths[0], error))?
    };
    let text = serde_json::to_string(&report)
        .map_err(|error| Error::new(Code::Internal, "a comparison cannot be written").caused_by(error))?;
    writeln!(output, "{text}").map_err(spoken)
}

/// Compares databases of this process's own user, the primary first, as they are now.
pub fn compare_now(paths: &[PathBuf], depth: ComparisonDepth) -> Result<ContentComparison> {
    let mut output = Vec::new();
    compare(paths, &mut format!("{}\n", depth.line()).as_bytes(), &mut output)?;
    let text = String::from_utf8_lossy(&output).into_owned();
    let path = paths.first().cloned().unwrap_or_default();
    parse_answer(&path, text.lines().nth(1).unwrap_or_default())
}

/// What a whole check of a database finds first; none if it is sound.
fn describe_damage(connection: &Connection) -> Option<String> {
    match find_damage_of_indexes(connection) {
        // The first line says in which database, of which there is one.
        Ok(found) => found.map(|verdict| {
            let verdict = verdict.trim_start_matches("*** in database main ***");
            verdict.trim().replace('\n', "; ")
        }),
        Err(error) => Some(error.to_string()),
    }
}

/// Compares the rows of databases. `damage` says what is wrong with those that are left out, the primary first.
fn compare_all(
    primary: &Connection,
    replicas: &[Connection],
    damage: Vec<Option<String>>,
) -> rusqlite::Result<ContentComparison> {
    let is_damaged = |n: usize| damage.get(n + 1).is_some_and(Option::is_some);
    let mut names: BTreeSet<String> = tables(primary)?.into_iter().collect();
    for (_, replica) in replicas.iter().enumerate().filter(|(n, _)| !is_damaged(*n)) {
        names.extend(tables(replica)?);
    }
    let mut report = ContentComparison {
        tables: 0,
        rows: 0,
        hash: String::new(),
        replicas: vec![None; replicas.len()],
        damage: Vec::new(),
    };
    let mut whole = Context::new(&SHA256);
    for name in std::iter::once(SCHEMA.to_owned()).chain(names) {
        let (hash, rows) = hash_table(primary, &name)?;
        whole.update(name.as_bytes());
        whole.update(hash.as_bytes());
        if name != SCHEMA && rows.is_some() {
            report.tables += 1;
            report.rows += rows.unwrap_or(0);
        }
        for (n, (replica, difference)) in replicas.iter().zip(&mut report.replicas).enumerate() {
            if difference.is_none() && !is_damaged(n) && hash_table(replica, &name)?.0 != hash {
                let keys = differing_keys(primary, replica, &name)?;
                *difference = Some(ContentDifference {
                    table: name.clone(),
                    keys,
                });
            }
        }
    }
    report.hash = hex(whole.finish().as_ref());
    report.damage = damage;
    Ok(report)
}

/// The table of all others' definitions.
const SCHEMA: &str = "sqlite_schema";

/// The tables that hold rows, virtual ones' own tables among them.
pub(super) fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow')
         AND name NOT IN ('sqlite_schema', 'sqlite_master')",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// The hash of a table's rows in the order of their keys, and how many they are; none if there is no such table.
fn hash_table(connection: &Connection, table: &str) -> rusqlite::Result<(String, Option<u64>)> {
    let Some(mut statement) = select(connection, table, "ASC")? else {
        return Ok(("missing".to_owned(), None));
    };
    let mut context = Context::new(&SHA256);
    for name in statement.column_names() {
        context.update(name.as_bytes());
        context.update(b"\0");
    }
    let (mut count, mut encoded) = (0, Vec::new());
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        encoded.clear();
        encode(row, columns, &mut encoded)?;
        context.update(&encoded);
        count += 1;
    }
    Ok((hex(context.finish().as_ref()), Some(count)))
}

/// What identifies a row of a table, as SQL: its rowid or the columns of its primary key; nothing if columns hide the rowid. None if
/// there is no such table.
pub(super) fn keys(connection: &Connection, table: &str) -> rusqlite::Result<Option<Vec<String>>> {
    let mut described =
        connection.prepare("SELECT name, pk FROM pragma_table_xinfo(?1) WHERE hidden IN (0, 2, 3) ORDER BY cid")?;
    let columns: Vec<(String, i64)> = described
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    if columns.is_empty() {
        return Ok(None);
    }
    let quoted = quote::identifier(table);
    let is_column = |name: &str| columns.iter().any(|(column, _)| column.eq_ignore_ascii_case(name));
    for rowid in ["rowid", "_rowid_", "oid"].into_iter().filter(|name| !is_column(name)) {
        if connection.prepare(&format!("SELECT {rowid} FROM {quoted}")).is_ok() {
            return Ok(Some(vec![rowid.to_owned()]));
        }
    }
    let mut key: Vec<&(String, i64)> = columns.iter().filter(|(_, part)| *part > 0).collect();
    key.sort_by_key(|(_, part)| *part);
    Ok(Some(key.iter().map(|(name, _)| quote::identifier(name)).collect()))
}

/// A statement for all rows of a table, with the first part of the key in front; none if there is no such table.
fn select<'c>(connection: &'c Connection, table: &str, order: &str) -> rusqlite::Result<Option<Statement<'c>>> {
    let Some(keys) = keys(connection, table)? else {
        return Ok(None);
    };
    let quoted = quote::identifier(table);
    let (first, ordered) = match keys.as_slice() {
        [] => ("NULL".to_owned(), String::new()),
        key => {
            let ordered: Vec<String> = key.iter().map(|name| format!("{name} {order}")).collect();
            (key[0].clone(), format!("ORDER BY {}", ordered.join(", ")))
        }
    };
    connection
        .prepare(&format!("SELECT {first}, * FROM {quoted} {ordered}"))
        .map(Some)
}

/// The first and the last key of rows that differ.
fn differing_keys(
    primary: &Connection,
    replica: &Connection,
    table: &str,
) -> rusqlite::Result<Option<(String, String)>> {
    let first = first_difference(primary, replica, table, "ASC")?;
    let last = first_difference(primary, replica, table, "DESC")?;
    Ok(first.zip(last))
}

/// The key of the first row that differs in an order; none if there is no such table, or with other columns.
fn first_difference(
    primary: &Connection,
    replica: &Connection,
    table: &str,
    order: &str,
) -> rusqlite::Result<Option<String>> {
    let (Some(mut ours), Some(mut theirs)) = (select(primary, table, order)?, select(replica, table, order)?) else {
        return Ok(None);
    };
    if !ours.column_names().eq(theirs.column_names()) {
        return Ok(None);
    }
    let columns = ours.column_count();
    let (mut ours, mut theirs) = (ours.query([])?, theirs.query([])?);
    loop {
        let (mine, other) = (read(ours.next()?, columns)?, read(theirs.next()?, columns)?);
        match (mine, other) {
            (None, None) => return Ok(None),
            (Some(mine), Some(other)) if mine.encoded == other.encoded => {}
            (Some(mine), Some(other)) => return Ok(Some(nearer(mine, other, order))),
            (Some(only), None) | (None, Some(only)) => return Ok(Some(only.key)),
        }
    }
}

/// A row, and its key as people read it.
struct KeyedRow {
    key: String,
    number: Option<i64>,
    encoded: Vec<u8>,
}

fn read(row: Option<&Row<'_>>, columns: usize) -> rusqlite::Result<Option<KeyedRow>> {
    let Some(row) = row else { return Ok(None) };
    let mut encoded = Vec::new();
    encode(row, columns, &mut encoded)?;
    let (key, number) = match row.get_ref(0)? {
        ValueRef::Null => ("NULL".to_owned(), None),
        ValueRef::Integer(number) => (number.to_string(), Some(number)),
        ValueRef::Real(number) => (number.to_string(), None),
        ValueRef::Text(text) => (String::from_utf8_lossy(text).into_owned(), None),
        ValueRef::Blob(bytes) => (format!("x'{}'", hex(bytes)), None),
    };
    Ok(Some(KeyedRow { key, number, encoded }))
}

/// Of two rows that differ, the key that comes first in an order.
fn nearer(mine: KeyedRow, other: KeyedRow, order: &str) -> String {
    match (mine.number, other.number) {
        (Some(a), Some(b)) if (order == "ASC") == (b < a) && a != b => other.key,
        _ => mine.key,
    }
}

/// Appends a row in a form in which different rows differ.
pub(super) fn encode(row: &Row<'_>, columns: usize, to: &mut Vec<u8>) -> rusqlite::Result<()> {
    for column in 0..columns {
        let mut long = |kind: u8, bytes: &[u8]| {
            to.push(kind);
            to.extend((bytes.len() as u64).to_be_bytes());
            to.extend(bytes);
        };
        match row.get_ref(column)? {
            ValueRef::Null => to.push(0),
            ValueRef::Integer(number) => long(1, &number.to_be_bytes()),
            ValueRef::Real(number) => long(2, &number.to_bits().to_be_bytes()),
            ValueRef::Text(text) => long(3, text),
            ValueRef::Blob(bytes) => long(4, bytes),
        }
    }
    Ok(())
}

/// Reads what a helper answered.
pub fn parse_answer(path: &Path, text: &str) -> Result<ContentComparison> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(
            Code::Internal,
            format!("a helper process did not compare {}", path.display()),
        )
        .caused_by(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: &str = "CREATE TABLE t(a INTEGER PRIMARY KEY, b);
        WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 50) INSERT INTO t SELECT x, 'row ' || x FROM n;
        CREATE TABLE keyed(k TEXT PRIMARY KEY, v) WITHOUT ROWID; INSERT INTO keyed VALUES ('a', 1), ('b', 2), ('c', 3);
        CREATE TABLE rowid(rowid, _rowid_, oid); INSERT INTO rowid VALUES (1, 2, 3);
        CREATE VIRTUAL TABLE words USING fts5(body); INSERT INTO words VALUES ('one two');";

    fn compared(change: &str) -> ContentComparison {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["primary", "replica"].map(|name| dir.path().join(name));
        for path in &paths {
            Connection::open(path).unwrap().execute_batch(CONTENT).unwrap();
        }
        Connection::open(&paths[1]).unwrap().execute_batch(change).unwrap();
        let mut output = Vec::new();
        compare(&paths, &mut b"go on\n".as_slice(), &mut output).unwrap();
        let output = String::from_utf8(output).unwrap();
        let (first, rest) = output.split_once('\n').unwrap();
        assert_eq!(first, OPEN);
        parse_answer(&paths[0], rest).unwrap()
    }

    #[test]
    fn comparison_of_equal_databases_finds_nothing_and_counts_all() {
        let report = compared("");
        assert_eq!(report.replicas, [None]);
        assert!(report.tables >= 4 && report.rows >= 54, "{report:?}");
        assert_eq!(report.hash.len(), 64);
        assert_eq!(compared("").hash, report.hash);
    }

    #[test]
    fn deep_comparison_finds_an_index_that_lacks_a_row() {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["primary", "replica"].map(|name| dir.path().join(name));
        let mut root = 0;
        for path in &paths {
            let connection = Connection::open(path).unwrap();
            connection.execute_batch(CONTENT).unwrap();
            connection.execute_batch("CREATE INDEX i ON t(b)").unwrap();
            root = connection
                .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'i'", [], |row| {
                    row.get::<_, u32>(0)
                })
                .unwrap();
        }
        let mut bytes = std::fs::read(&paths[1]).unwrap();
        let root = usize::try_from(root).unwrap();
        let page = (root - 1) * 4096..root * 4096;
        let at = bytes[page.clone()]
            .windows(5)
            .position(|window| window == b"row 9")
            .unwrap();
        bytes[page.start + at + 2] = b'x';
        std::fs::write(&paths[1], bytes).unwrap();
        let rows = compare_now(&paths, ComparisonDepth::Rows).unwrap();
        assert_eq!((rows.replicas, rows.damage), (vec![None], vec![]));
        let deep = compare_now(&paths, ComparisonDepth::Structure).unwrap();
        assert_eq!(deep.damage[0], None);
        let found = deep.damage[1].as_ref().unwrap();
        assert!(found.contains("index i"), "{found}");
        // Nothing is compared with a primary that is damaged.
        let paths = [paths[1].clone(), paths[0].clone()];
        let deep = compare_now(&paths, ComparisonDepth::Structure).unwrap();
        assert!(deep.damage[0].is_some() && deep.damage[1].is_none());
        assert_eq!((deep.rows, deep.replicas), (0, vec![None]));
    }

    #[test]
    fn comparison_names_the_first_table_that_differs_and_its_keys() {
        for (change, table, keys) in [
            ("UPDATE t SET b = 'x' WHERE a IN (7, 9, 30)", "t", Some(("7", "30"))),
            ("DELETE FROM t WHERE a = 12", "t", Some(("12", "12"))),
            ("INSERT INTO t VALUES (99, 'more')", "t", Some(("99", "99"))),
            ("UPDATE t SET b = CAST(b AS BLOB) WHERE a = 1", "t", Some(("1", "1"))),
            ("UPDATE keyed SET v = 2.0 WHERE k = 'b'", "keyed", Some(("b", "b"))),
            ("DELETE FROM rowid", "rowid", Some(("NULL", "NULL"))),
            ("CREATE INDEX i ON t(b)", "sqlite_schema", Some(("6", "6"))),
        ] {
            let report = compared(change);
            let found = report.replicas[0].clone().unwrap_or_else(|| panic!("{change}"));
            assert_eq!(found.table, table, "{change}");
            if table != "sqlite_schema" {
                let keys = keys.map(|(from, to): (&str, &str)| (from.to_owned(), to.to_owned()));
                assert_eq!(found.keys, keys, "{change}");
            }
        }
    }
}

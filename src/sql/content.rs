//! A hash of what is in a database: schema and rows, so that two databases can be compared wherever they are.
//!
//! The rows are read through a [`Session`], table by table in the order they are stored, and hashed as they arrive.
//! Texts are read as their bytes and infinities by name, because not every transport carries them otherwise. Neither
//! the layout of the file nor tables of the engine's own count.

use super::digest::Digest;
use super::{Args, Failure, Session, Sink, Value, ValueRef, query};
use crate::error::{Code, Error, Result};
use crate::sqltext::quote::{identifier, literal};
use std::ops::ControlFlow;

/// The content of a database, summed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// SHA3-256, in hexadecimal.
    pub hash: String,
    pub tables: u64,
    pub rows: u64,
}

/// SQLite's own tables, but for the one that holds the last automatic ids, and libSQL's: a condition on `name`.
pub const ENGINE_TABLES: &str = "(name LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> 'sqlite_sequence')
    OR name LIKE 'libsql\\_%' ESCAPE '\\' OR name LIKE '\\_libsql\\_%' ESCAPE '\\'";

/// The most columns of a table that are read with their types: a result has 2,000 columns at most.
const TYPED: usize = 900;

/// Hashes a database, in one transaction. `progress` is called with the number of rows so far, and may stop the work
/// with an error.
pub fn content(session: &mut dyn Session, progress: &mut dyn FnMut(u64) -> Result<()>) -> Result<Content> {
    query::rows(session, "BEGIN")?;
    let hashed = all(session, progress);
    // The transaction was only for reading; how it ends changes nothing.
    let ended = query::rows(session, "COMMIT");
    let content = hashed?;
    ended?;
    Ok(content)
}

fn all(session: &mut dyn Session, progress: &mut dyn FnMut(u64) -> Result<()>) -> Result<Content> {
    let mut hash = Hashing {
        hash: Digest::new(256).ok_or_else(|| Error::new(Code::Internal, "there is no such hash"))?,
        rows: 0,
        stopped: None,
        progress,
    };
    let schema = format!(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE NOT ({ENGINE_TABLES}) AND name <> 'sqlite_sequence' \
         ORDER BY type, name"
    );
    hash.statement(session, "schema", &schema)?;
    let rows = hash.rows;
    let tables = query::rows(
        session,
        &format!(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL %' AND NOT ({ENGINE_TABLES}) \
             ORDER BY name"
        ),
    )?;
    let mut count = 0;
    for row in tables {
        let Some(Value::Text(table)) = row.into_iter().next() else {
            continue;
        };
        let sql = select(session, &table)?;
        hash.statement(session, &table, &sql)?;
        count += u64::from(table != "sqlite_sequence");
    }
    Ok(Content {
        rows: hash.rows - rows,
        tables: count,
        hash: hash.hash.hex(),
    })
}

/// The query for all of a table's rows, in an order that does not depend on its indexes.
fn select(session: &mut dyn Session, table: &str) -> Result<String> {
    let literal = literal(table);
    let columns = query::rows(session, &format!("SELECT name FROM pragma_table_info({literal})"))?;
    let typed = columns.len() <= TYPED;
    let expressions: Vec<String> = columns
        .into_iter()
        .filter_map(|row| match row.into_iter().next() {
            Some(Value::Text(name)) => Some(identifier(&name)),
            _ => None,
        })
        .map(|column| {
            if typed {
                format!(
                    "typeof({column}), CASE typeof({column}) WHEN 'text' THEN CAST({column} AS BLOB) WHEN 'real' THEN \
                     CASE {column} WHEN 9e999 THEN 'inf' WHEN -9e999 THEN '-inf' ELSE {column} END ELSE {column} END"
                )
            } else {
                column
            }
        })
        .collect();
    let order = if table == "sqlite_sequence" {
        " ORDER BY name, seq"
    } else {
        ""
    };
    Ok(format!(
        "SELECT {} FROM {} NOT INDEXED{order}",
        expressions.join(", "),
        identifier(table)
    ))
}

/// Adds rows to the hash.
struct Hashing<'a> {
    hash: Digest,
    rows: u64,
    stopped: Option<Error>,
    progress: &'a mut dyn FnMut(u64) -> Result<()>,
}

impl Hashing<'_> {
    fn statement(&mut self, session: &mut dyn Session, label: &str, sql: &str) -> Result<()> {
        self.hash.statement(label);
        match session.run(sql, &Args::default(), self) {
            Ok(_) => {}
            Err(Failure::Sink(error)) => {
                return Err(self
                    .stopped
                    .take()
                    .unwrap_or_else(|| Error::io(error, "cannot compare the rows")));
            }
            Err(failure) => return Err(failure.into()),
        }
        Ok(())
    }
}

impl Sink for Hashing<'_> {
    fn row(&mut self, row: &[ValueRef<'_>]) -> std::io::Result<ControlFlow<()>> {
        self.hash.row();
        for &value in row {
            self.hash.value(match value {
                // -0.0 is hashed as 0.0, because not every transport keeps its sign.
                ValueRef::Real(0.0) => ValueRef::Real(0.0),
                value => value,
            });
        }
        self.rows += 1;
        if self.rows.is_multiple_of(1024)
            && let Err(error) = (self.progress)(self.rows)
        {
            self.stopped = Some(error);
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Target, open};

    fn of(sql: &str) -> Content {
        let mut session = open(&Target::Memory).unwrap();
        for statement in sql.split(';').filter(|text| !text.trim().is_empty()) {
            query::rows(session.as_mut(), statement).unwrap();
        }
        content(session.as_mut(), &mut |_| Ok(())).unwrap()
    }

    #[test]
    fn content_hash_of_the_same_content_is_the_same() {
        let one = of("CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 'x'), (2.5, NULL), (x'00', 9e999)");
        // Another layout of the file.
        let other = of("CREATE TABLE z (q); DROP TABLE z; CREATE TABLE t (a, b);
            INSERT INTO t VALUES (1, 'x'), (0, 0), (2.5, NULL), (x'00', 9e999); DELETE FROM t WHERE b = 0");
        assert_eq!(one, other);
        assert_eq!((one.tables, one.rows), (1, 3));
    }

    #[test]
    fn content_hash_differs_for_each_difference() {
        let all: Vec<String> = [
            "CREATE TABLE t (a)",
            "CREATE TABLE t (a); INSERT INTO t VALUES (NULL)",
            "CREATE TABLE t (a); INSERT INTO t VALUES (1)",
            "CREATE TABLE t (a); INSERT INTO t VALUES (1.0)",
            "CREATE TABLE t (a); INSERT INTO t VALUES ('1')",
            "CREATE TABLE t (a); INSERT INTO t VALUES (x'31')",
            "CREATE TABLE t (a); INSERT INTO t VALUES (9e999)",
            "CREATE TABLE t (a); INSERT INTO t VALUES (-9e999)",
            "CREATE TABLE t (a); INSERT INTO t VALUES ('inf')",
            "CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 2)",
            "CREATE TABLE t (a); CREATE INDEX i ON t (a); INSERT INTO t VALUES (1)",
            "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO t VALUES (1)",
            "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO t VALUES (1), (9); DELETE FROM t WHERE a = 9",
        ]
        .iter()
        .map(|sql| of(sql).hash)
        .collect();
        let mut unique = all.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), all.len());
    }

    #[test]
    fn content_hash_takes_odd_names_and_generated_columns() {
        let content = of(r#"CREATE TABLE "o'd""d" ("a""b" INT, g AS ("a""b" * 2)); INSERT INTO "o'd""d" VALUES (1)"#);
        assert_eq!((content.tables, content.rows), (1, 1));
    }

    #[test]
    fn content_hash_that_is_stopped_is_interrupted() {
        let mut session = open(&Target::Memory).unwrap();
        query::rows(
            session.as_mut(),
            "CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000) SELECT i FROM n",
        )
        .unwrap();
        let stopped = content(session.as_mut(), &mut |_| {
            Err(Error::new(crate::error::Code::Interrupted, "enough"))
        });
        assert_eq!(stopped.unwrap_err().code(), crate::error::Code::Interrupted);
        query::rows(session.as_mut(), "BEGIN").unwrap();
    }
}

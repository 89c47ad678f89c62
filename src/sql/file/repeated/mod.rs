//! Statements of a dump that differ only in their values are prepared once, and then only bound to other values.
//!
//! The effect must be that of the statement as it is written. So this is not done for values that are not plain
//! literals, for SQLite's own tables, and while SQLite's hooks are in use; and every statement that is not an `INSERT`
//! ends it, because names may mean other things after it.

#[cfg(test)]
mod tests;

use super::{FileSession, failure};
use crate::sql::{Failure, Outcome, Phase, Prepared, Sink};
use crate::sqltext::literals::{Literal, literals, values_start};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection};

/// Bytes of the longest statement this is done for: parsing is a small part of running a longer one.
const LONGEST: usize = 1 << 20;

/// A statement with a parameter in place of each value.
#[derive(Default)]
pub(super) struct Shape {
    /// The beginning of its statements, up to the first value.
    head: String,
    /// The number of values, and the statement with as many parameters.
    width: usize,
    sql: String,
}

impl Shape {
    /// The statement for `width` values.
    fn sql(&mut self, width: usize) -> &str {
        if self.width != width {
            self.width = width;
            self.sql.clone_from(&self.head);
            for nth in 0..width {
                self.sql.push_str(if nth > 0 { ",?" } else { "?" });
            }
            self.sql.push(')');
        }
        &self.sql
    }
}

/// The result of trying to run a statement as a repeated one.
pub(super) enum Tried {
    Done(Outcome),
    Failed(Failure),
    /// It must be run as it is written.
    Otherwise,
}

impl FileSession {
    /// Runs the first statement of `sql` as a repeated one, if possible.
    pub(super) fn repeated(&mut self, sql: &str, sink: &mut dyn Sink) -> Tried {
        if self.verbatim || sql.len() > LONGEST || !matches!(sql.as_bytes().first(), Some(b'I' | b'i' | b'R' | b'r')) {
            return Tried::Otherwise;
        }
        if self.shape.head.is_empty() || !sql.starts_with(&self.shape.head) {
            let Some(start) = values_start(sql) else {
                return Tried::Otherwise;
            };
            // SQLite's own tables have rules of their own about who may write them.
            if memchr::memmem::find(sql[..start].to_ascii_lowercase().as_bytes(), b"sqlite_").is_some() {
                return Tried::Otherwise;
            }
            self.shape = Shape {
                head: sql[..start].to_owned(),
                ..Shape::default()
            };
        }
        let Some((values, length)) = literals(&sql[self.shape.head.len()..]) else {
            return Tried::Otherwise;
        };
        let consumed = self.shape.head.len() + length;
        let changes_before = self.connection.total_changes();
        let Ok(mut statement) = self.connection.prepare_cached(self.shape.sql(values.len())) else {
            return Tried::Otherwise;
        };
        if bind(&self.connection, &mut statement, &values).is_err() {
            return Tried::Otherwise;
        }
        let prepared = Prepared {
            read_only: statement.readonly(),
            ..Prepared::default()
        };
        if let Err(error) = sink.prepared(&prepared) {
            return Tried::Failed(Failure::Sink(error));
        }
        if let Err(error) = statement.raw_execute() {
            drop(statement);
            // If another program has changed the schema, the statement as written would fail when it is prepared.
            return Tried::Failed(match self.connection.prepare(&sql[..consumed]) {
                Ok(_) => failure(error, Phase::Step),
                Err(error) => failure(error, Phase::Prepare),
            });
        }
        drop(statement);
        Tried::Done(Outcome {
            consumed,
            ran: true,
            changes: self.changes_since(changes_before),
            last_insert_rowid: self.connection.last_insert_rowid(),
            ..Outcome::default()
        })
    }
}

fn bind(connection: &Connection, statement: &mut CachedStatement<'_>, values: &[Literal<'_>]) -> rusqlite::Result<()> {
    for (index, value) in values.iter().enumerate() {
        let value = match value {
            Literal::Null => ValueRef::Null,
            Literal::Integer(integer) => ValueRef::Integer(*integer),
            Literal::Real { negative, digits } => {
                let real = real(connection, digits)?;
                ValueRef::Real(if *negative { -real } else { real })
            }
            Literal::Text(text) => ValueRef::Text(text.as_bytes()),
            Literal::Blob(bytes) => ValueRef::Blob(bytes),
        };
        statement.raw_bind_parameter(index + 1, ToSqlOutput::Borrowed(value))?;
    }
    Ok(())
}

/// SQLite's value of a number, to the last bit.
fn real(connection: &Connection, digits: &str) -> rusqlite::Result<f64> {
    connection
        .prepare_cached("SELECT CAST(? AS REAL)")?
        .query_row([digits], |row| row.get(0))
}

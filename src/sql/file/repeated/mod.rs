//! Statements of a dump that differ only in their values are prepared once, and then only bound to other values.
//!
//! The effect must be that of the statement as it is written. So this is not done for values that are not plain
//! literals, for SQLite's own tables, and while SQLite's hooks are in use; and every statement that is not an `INSERT`
//! ends it, because names may mean other things after it.

#[cfg(test)]
mod tests;

use super::{FileSession, failure};
use crate::sql::{Failure, Outcome, Phase, Prepared, Sink};
use crate::sqltext::insert_values::{Literal, read_literals, values_start};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection};

/// Bytes of the longest statement this is done for: parsing is a small part of running a longer one.
const LONGEST: usize = 1 << 20;

/// A statement with a parameter in place of each value.
#[derive(Default)]
pub(super) struct RepeatedInsert {
    /// The beginning of its statements, up to the first value.
    head: String,
    /// The number of values, and the statement with as many parameters.
    width: usize,
    sql: String,
}

impl RepeatedInsert {
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
pub(super) enum RepeatedOutcome {
    Done(Outcome),
    Failed(Failure),
    /// It must be run as it is written.
    Otherwise,
}

impl FileSession {
    /// Runs the first statement of `sql` as a repeated one, if possible.
    pub(super) fn repeated(&mut self, sql: &str, sink: &mut dyn Sink) -> RepeatedOutcome {
        if self.verbatim || sql.len() > LONGEST || !matches!(sql.as_bytes().first(), Some(b'I' | b'i' | b'R' | b'r')) {
            return RepeatedOutcome::Otherwise;
        }
        if self.repeated_insert.head.is_empty() || !sql.starts_with(&self.repeated_insert.head) {
            let Some(start) = values_start(sql) else {
                return RepeatedOutcome::Otherwise;
            };
            // SQLite's own tables have rules of their own about who may write them.
            if memchr::memmem::find(sql[..start].to_ascii_lowercase().as_bytes(), b"sqlite_").is_some() {
                return RepeatedOutcome::Otherwise;
            }
            self.repeated_insert = RepeatedInsert {
                head: sql[..start].to_owned(),
                ..RepeatedInsert::default()
            };
        }
        let Some((values, length)) = read_literals(&sql[self.repeated_insert.head.len()..]) else {
            return RepeatedOutcome::Otherwise;
        };
        let consumed = self.repeated_insert.head.len() + length;
        let changes_before = self.connection.total_changes();
        let Ok(mut statement) = self.connection.prepare_cached(self.repeated_insert.sql(values.len())) else {
            return RepeatedOutcome::Otherwise;
        };
        if bind(&self.connection, &mut statement, &values).is_err() {
            return RepeatedOutcome::Otherwise;
        }
        let prepared = Prepared {
            read_only: statement.readonly(),
            ..Prepared::default()
        };
        if let Err(error) = sink.prepared(&prepared) {
            return RepeatedOutcome::Failed(Failure::Sink(error));
        }
        let was_in_transaction = !self.connection.is_autocommit();
        if let Err(error) = statement.raw_execute() {
            drop(statement);
            if was_in_transaction && self.connection.is_autocommit() {
                // OR ROLLBACK: the schema is another now, so preparing it again says nothing.
                return RepeatedOutcome::Failed(failure(error, Phase::Step));
            }
            // If another program has changed the schema, the statement as written would fail when it is prepared.
            return RepeatedOutcome::Failed(match self.connection.prepare(&sql[..consumed]) {
                Ok(_) => failure(error, Phase::Step),
                Err(error) => failure(error, Phase::Prepare),
            });
        }
        drop(statement);
        RepeatedOutcome::Done(Outcome {
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

//! A batch of rows sent as one value: a JSON array that the statement takes apart with `json_each`.
//!
//! Parsing and preparing a statement for each row is most of a server's work in an import; this needs one statement for
//! thousands of rows. A savepoint undoes the batch if any of its rows is refused. It is not used for values that JSON
//! does not carry to the bit (blobs, reals, texts with NUL), for statements other than `INSERT … VALUES(?,…)`, and for
//! databases where one statement differs from many: with triggers, or with tables that refer to themselves, whose
//! references are checked when a statement ends.

use super::pending_rows::{InsertCounts, PendingRows};
use super::server_error::ENDED;
use super::stream::{Api, HranaStream, batch_result};
use super::transport::Cancel;
use crate::hrana::entry::protocol_error;
use crate::hrana::messages::{
    Answer, Arg, Batch, BatchStep, Bound, Condition, Request, Response, ResultCell, Stmt, UNBOUND, json, single,
};
use crate::sql::{Failure, ValueRef};
use rusqlite::types::Value;
use std::io::Write;

type Result<T, E = Failure> = std::result::Result<T, E>;

/// Whether the database has something that makes one statement differ from many.
const DIFFERS: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger') OR EXISTS (SELECT 1 FROM \
                       sqlite_schema AS s, pragma_foreign_key_list(s.name) AS f WHERE s.type = 'table' AND \
                       lower(s.name) = lower(f.\"table\"))";
/// Refused batches after which all rows are sent one by one.
const PATIENCE: u32 = 4;

pub(super) struct Bulk {
    /// The statement that takes the array; none where this way cannot be used.
    sql: Option<String>,
    refused: u32,
}

impl Bulk {
    /// Finds out whether rows for `sql`, each of `width` values, can be sent as arrays.
    pub(super) fn new(stream: &mut HranaStream, cancel: &Cancel, sql: &str, width: usize) -> Result<Self> {
        let never = Self { sql: None, refused: 0 };
        let Some(sql) = many(sql, width) else {
            return Ok(never);
        };
        if stream.api() != Api::V3 || stream.describe(cancel, &sql)?.is_err() {
            return Ok(never);
        }
        let answer = stream
            .ask(cancel, &[single(DIFFERS, &UNBOUND, stream.condition())])?
            .pop();
        let same = match answer {
            Some(answer @ Answer::Ok { .. }) => {
                batch_result(answer)?
                    .step_results
                    .pop()
                    .flatten()
                    .is_some_and(|result| {
                        matches!(
                            result.rows.first().map(Vec::as_slice),
                            Some([ResultCell::Value(Value::Integer(0))])
                        )
                    })
            }
            _ => false,
        };
        Ok(Self {
            sql: same.then_some(sql),
            refused: 0,
        })
    }

    /// Sends a batch. None where it cannot be sent like this, or was refused and undone.
    pub(super) fn send(
        &mut self,
        stream: &mut HranaStream,
        cancel: &Cancel,
        batch: &PendingRows,
    ) -> Result<Option<InsertCounts>> {
        let Some(sql) = self.sql.as_deref().filter(|_| self.refused < PATIENCE) else {
            return Ok(None);
        };
        let Some(array) = array(batch) else {
            return Ok(None);
        };
        let array = Bound {
            args: vec![Arg(ValueRef::Text(&array))],
            named_args: Vec::new(),
        };
        let requests = [request(sql, &array, stream.condition()), Request::GetAutocommit];
        let was_open = stream.in_transaction();
        let mut answers = stream.ask(cancel, &requests)?.into_iter();
        let answer = answers.next();
        if let Some(Answer::Ok {
            response: Response::GetAutocommit { is_autocommit },
        }) = answers.next()
        {
            stream.set_transaction(!is_autocommit);
        }
        let result = match answer {
            // Not run at all.
            Some(Answer::Error { .. }) => {
                self.sql = None;
                return Ok(None);
            }
            Some(answer) => batch_result(answer)?,
            None => return Err(Failure::Connection(protocol_error("no answer"))),
        };
        let refusal = result.step_errors.into_iter().flatten().next();
        if was_open && !stream.in_transaction() {
            let why = refusal.map_or_else(|| ENDED.to_owned(), |error| error.message);
            return Err(stream.gone(&why));
        }
        if refusal.is_some() {
            self.refused += 1;
            return Ok(None);
        }
        match result.step_results.into_iter().nth(INSERT).flatten() {
            Some(inserted) => Ok(Some(InsertCounts {
                rows: batch.len() as u64,
                changes: inserted.affected_row_count,
                last_insert_rowid: inserted.last_insert_rowid,
            })),
            None => Err(Failure::Connection(protocol_error("a statement has no result"))),
        }
    }
}

/// The index of the request's step that inserts.
const INSERT: usize = 1;

/// The insertion within a savepoint, which is rolled back if it fails.
fn request<'a>(sql: &'a str, array: &'a Bound<'a>, condition: Option<Condition>) -> Request<'a> {
    let step = |sql: &'a str, args: &'a Bound<'a>, condition| BatchStep {
        condition,
        stmt: Stmt {
            sql,
            args: &args.args,
            named_args: &args.named_args,
            want_rows: false,
        },
    };
    let after = |step| Some(Condition::Ok { step });
    let failed = Condition::Not {
        cond: Box::new(Condition::Or {
            conds: vec![
                Condition::Ok { step: INSERT },
                Condition::Not {
                    cond: Box::new(Condition::Ok { step: 0 }),
                },
            ],
        }),
    };
    Request::Batch {
        batch: Batch {
            steps: vec![
                step("SAVEPOINT torso_rows", &UNBOUND, condition),
                step(sql, array, after(0)),
                step("RELEASE torso_rows", &UNBOUND, after(INSERT)),
                step("ROLLBACK TO torso_rows", &UNBOUND, Some(failed)),
                step("RELEASE torso_rows", &UNBOUND, after(3)),
            ],
        },
    }
}

/// The statement that inserts an array of rows, for one that inserts one row of parameters.
fn many(sql: &str, width: usize) -> Option<String> {
    let values = format!("VALUES(?{})", ",?".repeat(width.checked_sub(1)?));
    let insert = sql.strip_suffix(values.as_str())?;
    let columns: Vec<_> = (0..width).map(|column| format!("value->>{column}")).collect();
    Some(format!("{insert}SELECT {} FROM json_each(?)", columns.join(",")))
}

/// The rows as JSON, if JSON can carry all their values unchanged.
fn array(batch: &PendingRows) -> Option<Vec<u8>> {
    let mut array = Vec::with_capacity(1 << 16);
    array.push(b'[');
    let mut values = batch.values(0);
    for row in 0..batch.len() {
        array.extend_from_slice(if row > 0 { b",[" } else { b"[" });
        for (column, value) in values.by_ref().take(batch.width()).enumerate() {
            if column > 0 {
                array.push(b',');
            }
            match value {
                ValueRef::Null => array.extend_from_slice(b"null"),
                ValueRef::Integer(integer) => write!(array, "{integer}").ok()?,
                ValueRef::Text(text) if !text.contains(&0) => {
                    array.extend_from_slice(&json(&std::str::from_utf8(text).ok()?))
                }
                ValueRef::Text(_) | ValueRef::Real(_) | ValueRef::Blob(_) => return None,
            }
        }
        array.push(b']');
    }
    array.push(b']');
    Some(array)
}

#[cfg(test)]
mod tests {
    use super::many;

    #[test]
    fn bulk_insert_takes_arrays_for_plain_insertions_only() {
        assert_eq!(
            many("INSERT INTO \"a b\" VALUES(?,?)", 2).as_deref(),
            Some("INSERT INTO \"a b\" SELECT value->>0,value->>1 FROM json_each(?)")
        );
        for (sql, width) in [
            ("INSERT INTO t VALUES(?,?)", 3),
            ("INSERT INTO t VALUES(?,?,?)", 2),
            ("INSERT INTO t VALUES(?1)", 1),
            ("INSERT INTO t VALUES(?) RETURNING a", 1),
            ("INSERT INTO t VALUES(?) ON CONFLICT DO NOTHING", 1),
            ("INSERT INTO t DEFAULT VALUES", 0),
        ] {
            assert_eq!(many(sql, width), None, "{sql}");
        }
    }
}

//! Many rows by one statement, sent in batches of bounded size.
//!
//! Only one batch is in memory. A batch is sent as one value if it can be (`bulk`), in one statement for all its rows; if
//! that is refused, nothing of it has been done, and its rows are sent as statements of their own. As long as no row
//! was refused, each of these is conditional on the one before it: the first refusal stops the batch at its row, as it
//! would on a file. Once the caller has asked to go on after a refusal, rows are independent, and refusals are reported
//! afterwards with the number of their row.

use super::bulk::Bulk;
use super::pending_rows::{BYTES, InsertCounts, PendingRows};
use super::server_error::{ENDED, ServerError};
use super::stream::{Api, HranaStream, batch_result};
use super::transport::Cancel;
use crate::hrana::entry::protocol_error;
use crate::hrana::messages::{Answer, Arg, BatchResult, Condition, Response, json};
use crate::sql::{Failure, Phase, Rows, ValueRef};
use crate::sqltext::quote::cast_from_blob;
use crate::sqltext::token::{TokenKind, tokens};
use std::ops::ControlFlow;
use std::time::Duration;

/// The longest silence while a batch is worked on.
const PATIENCE: Duration = Duration::from_secs(300);

type Result<T, E = Failure> = std::result::Result<T, E>;

pub(super) fn insert_many(
    stream: &mut HranaStream,
    cancel: &Cancel,
    sql: &str,
    rows: &mut dyn Rows,
) -> Result<InsertCounts> {
    if let Err(refusal) = stream.describe(cancel, sql)? {
        return Err(refusal.failure(Phase::Prepare, 0));
    }
    let mut batch = PendingRows::new(rows.width());
    let mut sender = RowSender {
        bulk: Bulk::new(stream, cancel, sql, rows.width())?,
        stream,
        cancel,
        sql: json(&sql),
        text: sql,
        patient: true,
        done: InsertCounts::default(),
    };
    let mut nth = 0;
    while rows.advance().map_err(Failure::Connection)? {
        let row: Vec<ValueRef<'_>> = (0..rows.width()).map(|index| rows.value(index)).collect();
        let unsendable = row.iter().any(|&value| Arg(value).unsendable().is_some());
        if !unsendable {
            batch.push(nth, &row);
        }
        nth += 1;
        if (unsendable || batch.is_full()) && sender.flush(&mut batch, rows)?.is_break() {
            return Ok(sender.done);
        }
        if unsendable && sender.send_spelled(nth - 1, rows)?.is_break() {
            return Ok(sender.done);
        }
    }
    // No row follows, so nothing is left to stop.
    let _ = sender.flush(&mut batch, rows)?;
    Ok(sender.done)
}

struct RowSender<'a> {
    stream: &'a mut HranaStream,
    cancel: &'a Cancel,
    bulk: Bulk,
    /// The statement as a JSON string.
    sql: Vec<u8>,
    text: &'a str,
    /// No row was refused yet: each row is conditional on the one before.
    patient: bool,
    done: InsertCounts,
}

impl RowSender<'_> {
    fn refuse(&mut self, nth: u64, failure: Failure, rows: &mut dyn Rows) -> Result<ControlFlow<()>> {
        let flow = rows.refused(nth, failure).map_err(Failure::Connection)?;
        if flow.is_continue() {
            self.patient = false;
        }
        Ok(flow)
    }

    /// Sends the batch, until all of its rows are answered.
    fn flush(&mut self, batch: &mut PendingRows, rows: &mut dyn Rows) -> Result<ControlFlow<()>> {
        if batch.len() == 0 {
            return Ok(ControlFlow::Continue(()));
        }
        if let Some(taken) = self.bulk.send(self.stream, self.cancel, batch)? {
            self.done.add(&taken);
            batch.clear();
            return Ok(ControlFlow::Continue(()));
        }
        let mut from = 0;
        while from < batch.len() {
            let outcome = self.send(batch, from)?;
            let first = from;
            from += outcome.answered;
            for (at, refusal) in outcome.refused {
                let failure = refusal.failure(Phase::Step, 0);
                if !matches!(failure, Failure::Sql { .. }) {
                    return Err(failure);
                }
                if self.refuse(batch.row_number(first + at), failure, rows)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        batch.clear();
        Ok(ControlFlow::Continue(()))
    }

    /// Sends the current row, which has values that JSON cannot carry: they are written into the statement as literals.
    fn send_spelled(&mut self, nth: u64, rows: &mut dyn Rows) -> Result<ControlFlow<()>> {
        let row: Vec<ValueRef<'_>> = (0..rows.width()).map(|index| rows.value(index)).collect();
        let Some(sql) = write_unsendable_values(self.text, &row) else {
            let failure = Failure::Sql {
                phase: Phase::Step,
                message: "a value cannot be sent to a server in this statement".to_owned(),
                code: rusqlite::ffi::SQLITE_MISMATCH,
                offset: None,
            };
            return self.refuse(nth, failure, rows);
        };
        let sendable: Vec<ValueRef<'_>> = row
            .into_iter()
            .filter(|&value| Arg(value).unsendable().is_none())
            .collect();
        let mut one = PendingRows::new(sendable.len());
        one.push(nth, &sendable);
        let whole = std::mem::replace(&mut self.sql, json(&sql));
        let sent = self.send(&one, 0);
        self.sql = whole;
        let refusal = sent?.refused.pop();
        match refusal.map(|(_, refusal)| refusal.failure(Phase::Step, 0)) {
            None => Ok(ControlFlow::Continue(())),
            Some(failure @ Failure::Sql { .. }) => self.refuse(nth, failure, rows),
            Some(failure) => Err(failure),
        }
    }

    /// Sends rows as statements of their own, from row `from` of the batch on.
    fn send(&mut self, batch: &PendingRows, from: usize) -> Result<Sent> {
        let request = RowsRequest {
            sql: &self.sql,
            batch,
            from,
            in_transaction: self.stream.condition(),
            patient: self.patient,
            asks_for_transaction: self.stream.api() == Api::V3,
        };
        let was_open = self.stream.in_transaction();
        let answers = 1 + usize::from(request.asks_for_transaction);
        let mut answers = self
            .stream
            .ask_within(self.cancel, PATIENCE, answers, &|baton| request.to_body(baton))?
            .into_iter();
        let answer = answers
            .next()
            .ok_or_else(|| Failure::Connection(protocol_error("no answer")))?;
        if let Some(Answer::Ok {
            response: Response::GetAutocommit { is_autocommit },
        }) = answers.next()
        {
            self.stream.set_transaction(!is_autocommit);
        }
        if let Answer::Error { error } = &answer {
            // The statement itself was refused, not a row.
            return Err(ServerError::new(error, self.text).failure(Phase::Prepare, 0));
        }
        let result = batch_result(answer)?;
        if result.step_results.len() != batch.len() - from {
            return Err(Failure::Connection(protocol_error(
                "a batch has not as many results as statements",
            )));
        }
        self.count(result, was_open)
    }

    /// Counts the rows that a request inserted, and collects those that were refused.
    fn count(&mut self, result: BatchResult, was_open: bool) -> Result<Sent> {
        let mut sent = Sent {
            answered: 0,
            refused: Vec::new(),
        };
        for (at, (result, error)) in result.step_results.into_iter().zip(result.step_errors).enumerate() {
            match (result, error) {
                (_, Some(error)) => {
                    sent.answered = at + 1;
                    sent.refused.push((at, ServerError::new(&error, self.text)));
                }
                (Some(result), None) => {
                    sent.answered = at + 1;
                    self.done.add(&InsertCounts {
                        rows: 1,
                        changes: result.affected_row_count,
                        last_insert_rowid: result.last_insert_rowid,
                    });
                }
                // It was not run: a row before it was refused, or the transaction is lost.
                (None, None) if self.patient && !sent.refused.is_empty() => break,
                (None, None) if was_open => return Err(self.stream.gone(ENDED)),
                (None, None) => return Err(Failure::Connection(protocol_error("a statement has no result"))),
            }
        }
        Ok(sent)
    }
}

/// A request that inserts each row by a statement of its own.
struct RowsRequest<'a> {
    /// The statement as a JSON string.
    sql: &'a [u8],
    batch: &'a PendingRows,
    /// The first row that is sent.
    from: usize,
    /// Holds while the transaction is open in which the rows are inserted.
    in_transaction: Option<Condition>,
    /// Each row is conditional on the one before.
    patient: bool,
    /// Whether the transaction is still open is asked with it.
    asks_for_transaction: bool,
}

impl RowsRequest<'_> {
    fn to_body(&self, baton: Option<&str>) -> Vec<u8> {
        let rows = self.batch.len() - self.from;
        let mut body = Vec::with_capacity(rows * (self.sql.len() + 100) + 2 * BYTES);
        body.extend_from_slice(b"{\"baton\":");
        body.extend_from_slice(&json(&baton));
        body.extend_from_slice(b",\"requests\":[{\"type\":\"batch\",\"batch\":{\"steps\":[");
        let mut values = self.batch.values(self.from);
        for step in 0..rows {
            if step > 0 {
                body.push(b',');
            }
            body.extend_from_slice(b"{\"stmt\":{\"sql\":");
            body.extend_from_slice(self.sql);
            body.extend_from_slice(b",\"args\":");
            let args: Vec<_> = values.by_ref().take(self.batch.width()).map(Arg).collect();
            body.extend_from_slice(&json(&args));
            body.extend_from_slice(b",\"want_rows\":false}");
            let condition = match (&self.in_transaction, self.patient && step > 0) {
                (_, true) => Some(Condition::Ok { step: step - 1 }),
                (Some(condition), false) => Some(condition.clone()),
                (None, false) => None,
            };
            if let Some(condition) = condition {
                body.extend_from_slice(b",\"condition\":");
                body.extend_from_slice(&json(&condition));
            }
            body.push(b'}');
        }
        body.extend_from_slice(b"]}}");
        if self.asks_for_transaction {
            body.extend_from_slice(b",{\"type\":\"get_autocommit\"}");
        }
        body.extend_from_slice(b"]}");
        body
    }
}

/// The outcome of the rows of a request.
struct Sent {
    /// How many rows, from the first on, were answered and need not be sent again.
    answered: usize,
    refused: Vec<(usize, ServerError)>,
}

/// Returns `sql` with literals in place of the parameters whose values cannot be sent. None unless all parameters are a bare
/// `?`, one for each value.
fn write_unsendable_values(sql: &str, row: &[ValueRef<'_>]) -> Option<String> {
    let mut written = String::with_capacity(sql.len() + 64);
    let mut values = row.iter();
    for (kind, text) in tokens(sql) {
        if kind != TokenKind::Parameter {
            written.push_str(text);
            continue;
        }
        if text != "?" {
            return None;
        }
        match values.next()? {
            ValueRef::Text(text) if std::str::from_utf8(text).is_err() => written.push_str(&cast_from_blob(text)),
            ValueRef::Real(real) if !real.is_finite() => {
                written.push_str(if *real > 0.0 { "9e999" } else { "-9e999" });
            }
            _ => written.push('?'),
        }
    }
    values.next().is_none().then_some(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insert_value_that_cannot_be_sent_is_written_out() {
        let row = [
            ValueRef::Integer(1),
            ValueRef::Text(b"a\xff"),
            ValueRef::Real(f64::NEG_INFINITY),
            ValueRef::Text(b"?"),
        ];
        let written = write_unsendable_values("INSERT INTO \"t?\" VALUES (?, ?,?,?)", &row);
        assert_eq!(
            written.as_deref(),
            Some("INSERT INTO \"t?\" VALUES (?, CAST(x'61ff' AS TEXT),-9e999,?)")
        );
        assert_eq!(write_unsendable_values("INSERT INTO t VALUES(?,?)", &row), None);
        assert_eq!(write_unsendable_values("INSERT INTO t VALUES(?1,?,?,?)", &row), None);
    }
}

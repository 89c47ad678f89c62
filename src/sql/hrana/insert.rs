//! Many rows by one statement, sent in batches of bounded size.
//!
//! Rows are written as JSON while they are read, so nothing is held but the batch. As long as no row was refused, each step
//! waits for the one before it: the first refusal stops the batch at its row, as it would on a file. Once the caller has
//! said to go on after a refusal, rows no longer wait, and refusals are handed out afterwards with the number of their row.

use super::decode::malformed;
use super::link::{Api, Link, batch_result};
use super::refusal::Refusal;
use super::transport::Cancel;
use super::wire::{Answer, Arg, Condition, Response, json};
use crate::sql::{Failure, Flow, Phase, Rows, ValueRef};
use std::ops::Range;
use std::time::Duration;

/// The size of a request from which on it is sent, and the most rows in it.
const BYTES: usize = 512 << 10;
const ROWS: usize = 500;
/// How long a batch may take.
const PATIENCE: Duration = Duration::from_secs(300);

type Result<T, E = Failure> = std::result::Result<T, E>;

/// What was done.
#[derive(Default)]
pub(super) struct Inserted {
    pub rows: u64,
    pub changes: u64,
    pub last_insert_rowid: Option<i64>,
}

pub(super) fn insert_many(link: &mut Link, cancel: &Cancel, sql: &str, rows: &mut dyn Rows) -> Result<Inserted> {
    if let Err(refusal) = link.describe(cancel, sql)? {
        return Err(refusal.failure(Phase::Prepare, 0));
    }
    let mut batch = Pending::default();
    let mut work = Work {
        link,
        cancel,
        sql: json(&sql),
        text: sql,
        patient: true,
        done: Inserted::default(),
    };
    let mut nth = 0;
    while rows.advance().map_err(Failure::Connection)? {
        let row: Vec<ValueRef<'_>> = (0..rows.width()).map(|index| rows.value(index)).collect();
        let unsendable = row.iter().find_map(|&value| Arg(value).unsendable());
        if unsendable.is_none() {
            batch.push(nth, &row);
        }
        nth += 1;
        if (unsendable.is_some() || batch.is_full()) && work.flush(&mut batch, rows)? == Flow::Stop {
            return Ok(work.done);
        }
        if let Some(why) = unsendable {
            let failure = Failure::Sql {
                phase: Phase::Step,
                message: why.to_owned(),
                code: rusqlite::ffi::SQLITE_MISMATCH,
                offset: None,
            };
            if work.refuse(nth - 1, failure, rows)? == Flow::Stop {
                return Ok(work.done);
            }
        }
    }
    work.flush(&mut batch, rows)?;
    Ok(work.done)
}

/// Rows not yet sent: their values as JSON arrays, one behind the other.
#[derive(Default)]
struct Pending {
    json: Vec<u8>,
    rows: Vec<(u64, Range<usize>)>,
}

impl Pending {
    fn push(&mut self, nth: u64, row: &[ValueRef<'_>]) {
        let start = self.json.len();
        self.json.push(b'[');
        for (index, &value) in row.iter().enumerate() {
            if index > 0 {
                self.json.push(b',');
            }
            // Writing to memory does not fail, and the value was found to be one that can be sent.
            let _ = serde_json::to_writer(&mut self.json, &Arg(value));
        }
        self.json.push(b']');
        self.rows.push((nth, start..self.json.len()));
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= ROWS || self.json.len() >= BYTES
    }

    fn clear(&mut self) {
        self.json.clear();
        self.rows.clear();
    }
}

struct Work<'a> {
    link: &'a mut Link,
    cancel: &'a Cancel,
    /// The statement as a JSON string.
    sql: Vec<u8>,
    text: &'a str,
    /// No row was refused yet: rows wait for the one before.
    patient: bool,
    done: Inserted,
}

impl Work<'_> {
    fn refuse(&mut self, nth: u64, failure: Failure, rows: &mut dyn Rows) -> Result<Flow> {
        let flow = rows.refused(nth, failure).map_err(Failure::Connection)?;
        if flow == Flow::Continue {
            self.patient = false;
        }
        Ok(flow)
    }

    /// Sends what is pending, until all of it has an answer.
    fn flush(&mut self, batch: &mut Pending, rows: &mut dyn Rows) -> Result<Flow> {
        let mut from = 0;
        while from < batch.rows.len() {
            let pending = &batch.rows[from..];
            let outcome = self.send(&batch.json, pending)?;
            from += outcome.answered;
            for (at, refusal) in outcome.refused {
                let failure = refusal.failure(Phase::Step, 0);
                if !matches!(failure, Failure::Sql { .. }) {
                    return Err(failure);
                }
                if self.refuse(pending[at].0, failure, rows)? == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            }
        }
        batch.clear();
        Ok(Flow::Continue)
    }

    /// Sends rows once.
    fn send(&mut self, args: &[u8], rows: &[(u64, Range<usize>)]) -> Result<Sent> {
        let in_transaction = self.link.condition();
        let asks = self.link.api() == Api::V3;
        let patient = self.patient;
        let sql = &self.sql;
        let body = |baton: Option<&str>| {
            let mut body = Vec::with_capacity(args.len() + rows.len() * (sql.len() + 100) + 300);
            body.extend_from_slice(b"{\"baton\":");
            body.extend_from_slice(&json(&baton));
            body.extend_from_slice(b",\"requests\":[{\"type\":\"batch\",\"batch\":{\"steps\":[");
            for (step, (_, range)) in rows.iter().enumerate() {
                if step > 0 {
                    body.push(b',');
                }
                body.extend_from_slice(b"{\"stmt\":{\"sql\":");
                body.extend_from_slice(sql);
                body.extend_from_slice(b",\"args\":");
                body.extend_from_slice(&args[range.clone()]);
                body.extend_from_slice(b",\"want_rows\":false}");
                let condition = match (&in_transaction, patient && step > 0) {
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
            if asks {
                body.extend_from_slice(b",{\"type\":\"get_autocommit\"}");
            }
            body.extend_from_slice(b"]}");
            body
        };
        let was_open = self.link.in_transaction();
        let mut answers = self
            .link
            .ask_within(self.cancel, PATIENCE, 1 + usize::from(asks), &body)?
            .into_iter();
        let answer = answers
            .next()
            .ok_or_else(|| Failure::Connection(malformed("no answer")))?;
        if let Some(Answer::Ok {
            response: Response::GetAutocommit { is_autocommit },
        }) = answers.next()
        {
            self.link.set_transaction(!is_autocommit);
        }
        if let Answer::Error { error } = &answer {
            // The statement as such, not a row.
            return Err(Refusal::new(error, self.text).failure(Phase::Prepare, 0));
        }
        let result = batch_result(answer)?;
        if result.step_results.len() != rows.len() {
            return Err(Failure::Connection(malformed(
                "a batch has not as many results as statements",
            )));
        }
        let mut sent = Sent {
            answered: 0,
            refused: Vec::new(),
        };
        for (at, (result, error)) in result.step_results.into_iter().zip(result.step_errors).enumerate() {
            match (result, error) {
                (_, Some(error)) => {
                    sent.answered = at + 1;
                    sent.refused.push((at, Refusal::new(&error, self.text)));
                }
                (Some(result), None) => {
                    sent.answered = at + 1;
                    self.done.rows += 1;
                    self.done.changes += result.affected_row_count;
                    self.done.last_insert_rowid = result.last_insert_rowid.or(self.done.last_insert_rowid);
                }
                // Not run: behind a refusal, or outside the transaction it was meant for.
                (None, None) if patient && !sent.refused.is_empty() => break,
                (None, None) if was_open => return Err(self.link.gone("the server had ended it")),
                (None, None) => return Err(Failure::Connection(malformed("a statement has no result"))),
            }
        }
        Ok(sent)
    }
}

/// What became of the rows of a request.
struct Sent {
    /// How many of them need not be sent again.
    answered: usize,
    refused: Vec<(usize, Refusal)>,
}

//! Statements without results, many in a request.
//!
//! A request is a batch with a step for each statement. A step is run whatever became of the one before, unless it follows
//! it; inside a transaction, under the condition that there still is one. What the server does not run for that reason is
//! sent again once it has told what became of the transaction, so that a script does what it would do on a file. Where the
//! server's parser refuses any statement it runs none of the batch: then they are sent one by one.

use super::State;
use super::decode::malformed;
use super::link::{Api, batch_result};
use super::shape::{Shape, Verb};
use super::statement::Run;
use super::transport::Cancel;
use super::wire::{Answer, Batch, Condition, Request, Response, Step, Stmt, WireError};
use crate::sql::{Args, Errand, Errands, Explain, Failure, Outcome, Unseen};

type Result<T, E = Failure> = std::result::Result<T, E>;

/// The most that one request takes: statements, and bytes of them unless one alone is larger.
const STEPS: usize = 500;
const BYTES: usize = 1 << 20;

pub(super) fn run(state: &mut State, cancel: &Cancel, errands: &[Errand<'_>]) -> Result<Errands> {
    let mut done: Errands = Vec::with_capacity(errands.len());
    while let Some(next) = errands.get(done.len()) {
        if next.follows && !matches!(done.last(), None | Some(Some(Ok(_)))) {
            done.push(None);
            continue;
        }
        let batch = batch(state, &errands[done.len()..]);
        if batch < 2 || !send(state, cancel, &errands[done.len()..][..batch], &mut done)? {
            let many = batch.max(1);
            for _ in 0..many {
                let errand = errands[done.len()];
                let wanted = !errand.follows || matches!(done.last(), None | Some(Some(Ok(_))));
                done.push(
                    match wanted.then(|| state.run(cancel, errand.sql, &Args::default(), &mut Unseen)) {
                        Some(Err(failure @ (Failure::Connection(_) | Failure::Sink(_)))) => return Err(failure),
                        ran => ran,
                    },
                );
            }
        }
    }
    Ok(done)
}

/// How many statements from the first on can go together.
fn batch(state: &State, errands: &[Errand<'_>]) -> usize {
    // Whoever traces is told of one at a time.
    if state.read_only || state.tracer.is_some() || state.link.api() != Api::V3 {
        return 0;
    }
    let mut bytes = 0;
    errands
        .iter()
        .take(STEPS)
        .take_while(|errand| {
            bytes += errand.sql.len();
            bytes <= BYTES
                && Shape::of(errand.sql).is_some_and(|shape| {
                    shape.verb == Verb::Write && shape.explain == Explain::No && !shape.parameters && !shape.returning
                })
        })
        .count()
}

/// Sends statements together and notes what became of them, as far as the server has run them. False where it would not
/// have the request, and nothing was run.
fn send(state: &mut State, cancel: &Cancel, errands: &[Errand<'_>], done: &mut Errands) -> Result<bool> {
    if let Some(loss) = state.link.take_loss() {
        return Err(loss);
    }
    let within = state.link.condition();
    let steps = errands
        .iter()
        .enumerate()
        .map(|(at, errand)| Step {
            condition: if errand.follows && at > 0 {
                Some(Condition::Ok { step: at - 1 })
            } else {
                within.clone()
            },
            stmt: Stmt {
                sql: errand.sql,
                args: &[],
                named_args: &[],
                want_rows: false,
            },
        })
        .collect();
    let requests = [Request::Batch { batch: Batch { steps } }, Request::GetAutocommit];
    let was_open = state.link.in_transaction();
    let mut answers = state.link.ask(cancel, &requests)?.into_iter();
    let answer = answers.next();
    if let Some(Answer::Ok {
        response: Response::GetAutocommit { is_autocommit },
    }) = answers.next()
    {
        state.link.set_transaction(!is_autocommit);
    }
    let result = match answer {
        Some(Answer::Error { .. }) => return Ok(false),
        Some(answer) => batch_result(answer)?,
        None => return Err(Failure::Connection(malformed("no answer"))),
    };
    if result.step_results.len() != errands.len() {
        return Err(Failure::Connection(malformed(
            "a batch has not as many results as statements",
        )));
    }
    let mut failed = false;
    for (errand, (result, error)) in errands
        .iter()
        .zip(result.step_results.into_iter().zip(result.step_errors))
    {
        let ran = match (result, error) {
            (_, Some(error)) => {
                failed = true;
                Some(Err(refusal(state, cancel, errand.sql, &error)))
            }
            (Some(result), None) => {
                state.wrote = true;
                state.count(result.affected_row_count);
                state.last_changes = result.affected_row_count;
                state.last_insert_rowid = result.last_insert_rowid.unwrap_or(state.last_insert_rowid);
                Some(Ok(Outcome {
                    consumed: errand.sql.len(),
                    ran: true,
                    changes: result.affected_row_count,
                    last_insert_rowid: state.last_insert_rowid,
                    ..Outcome::default()
                }))
            }
            (None, None) if errand.follows && !matches!(done.last(), None | Some(Some(Ok(_)))) => None,
            // A failure ended the transaction: on a file the rest would run outside it.
            (None, None) if failed => return Ok(true),
            (None, None) if was_open => return Err(state.link.gone("the server had ended it")),
            (None, None) => return Err(Failure::Connection(malformed("a statement has no result"))),
        };
        done.push(ran);
    }
    Ok(true)
}

/// Why a statement was refused, in SQLite's words.
fn refusal(state: &mut State, cancel: &Cancel, sql: &str, error: &WireError) -> Failure {
    let Some(shape) = Shape::of(sql) else {
        return Failure::Connection(malformed("nothing was refused"));
    };
    let mut run = Run {
        state,
        cancel,
        sql: sql[shape.start..].into(),
        shape,
        sink: &mut Unseen,
        rows: 0,
        signless: 0,
        too_large: false,
    };
    run.explain(error)
}

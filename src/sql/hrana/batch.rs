//! Statements without results, many in a request.
//!
//! A request is a Hrana batch with a step for each statement. A step runs whether or not the one before it succeeded,
//! unless it `follows` it. Inside a transaction, every step is conditional on the transaction being open: steps that
//! the server skips for that reason are sent again outside it, as a script on a file would run them. If the server's
//! parser refuses any statement it runs none of the batch, and they are sent one by one.

use super::State;
use super::server_error::ENDED;
use super::statement::Run;
use super::stream::{Api, batch_result};
use super::transport::Cancel;
use crate::hrana::entry::protocol_error;
use crate::hrana::messages::{Answer, Batch, BatchStep, Condition, HranaError, Request, Response, Stmt};
use crate::sql::{Args, BatchOutcomes, BatchStatement, Explain, Failure, Outcome, Unseen};
use crate::sqltext::classify::{StatementKind, StatementSummary};
use crate::sqltext::token::significant_tokens;

type Result<T, E = Failure> = std::result::Result<T, E>;

/// The most statements in a request, and the most bytes of SQL.
const STEPS: usize = 500;
const BYTES: usize = 1 << 20;

pub(super) fn run(state: &mut State, cancel: &Cancel, statements: &[BatchStatement<'_>]) -> Result<BatchOutcomes> {
    let mut done: BatchOutcomes = Vec::with_capacity(statements.len());
    while let Some(next) = statements.get(done.len()) {
        if next.follows && !matches!(done.last(), None | Some(Some(Ok(_)))) {
            done.push(None);
            continue;
        }
        let batch = batch(state, &statements[done.len()..]);
        if batch < 2 || !send_tracked(state, cancel, &statements[done.len()..][..batch], &mut done)? {
            let many = batch.max(1);
            for _ in 0..many {
                let statement = statements[done.len()];
                let wanted = !statement.follows || matches!(done.last(), None | Some(Some(Ok(_))));
                done.push(
                    match wanted.then(|| state.run(cancel, statement.sql, &Args::default(), &mut Unseen)) {
                        Some(Err(failure @ (Failure::Connection(_) | Failure::Sink(_)))) => return Err(failure),
                        ran => ran,
                    },
                );
            }
        }
    }
    Ok(done)
}

/// How many statements, from the first on, can be sent as one batch; 0 for none.
fn batch(state: &State, statements: &[BatchStatement<'_>]) -> usize {
    // A tracer is called for one statement at a time.
    if state.read_only || state.tracer.is_some() || state.stream.api() != Api::V3 {
        return 0;
    }
    let mut bytes = 0;
    statements
        .iter()
        .take(STEPS)
        .take_while(|statement| {
            bytes += statement.sql.len();
            bytes <= BYTES
                && StatementSummary::of(statement.sql).is_some_and(|summary| {
                    (summary.kind == StatementKind::Write || changes_schema(&statement.sql[summary.start..]))
                        && summary.explain == Explain::No
                        && !summary.has_parameters
                        && !summary.has_returning
                })
        })
        .count()
}

/// Whether a statement, from its first word on, changes the schema and can stand in a batch: one with a meaning of its own there,
/// such as VACUUM, cannot.
fn changes_schema(statement: &str) -> bool {
    const FIRST: [&str; 3] = ["CREATE", "DROP", "ALTER"];
    let first = significant_tokens(statement).next();
    first.is_some_and(|(_, word)| FIRST.iter().any(|name| word.eq_ignore_ascii_case(name)))
}

/// The same as [`send`], noted as a change (`crate::change_outcome`).
fn send_tracked(
    state: &mut State,
    cancel: &Cancel,
    statements: &[BatchStatement<'_>],
    done: &mut BatchOutcomes,
) -> Result<bool> {
    let change = state.begin_change(true);
    if state.wait_replica && !state.stream.in_transaction() {
        state.stream.wait_for_replica();
    }
    let sent = send(state, cancel, statements, done);
    state.end_change(change, matches!(sent, Ok(true)));
    sent
}

/// Sends statements as one batch and appends the outcomes of those that the server has run. False if it refused the
/// request and ran nothing.
fn send(
    state: &mut State,
    cancel: &Cancel,
    statements: &[BatchStatement<'_>],
    done: &mut BatchOutcomes,
) -> Result<bool> {
    if let Some(loss) = state.stream.take_loss() {
        return Err(loss);
    }
    let within = state.stream.condition();
    let steps = statements
        .iter()
        .enumerate()
        .map(|(at, statement)| BatchStep {
            condition: if statement.follows && at > 0 {
                Some(Condition::Ok { step: at - 1 })
            } else {
                within.clone()
            },
            stmt: Stmt {
                sql: statement.sql,
                args: &[],
                named_args: &[],
                want_rows: false,
            },
        })
        .collect();
    let requests = [Request::Batch { batch: Batch { steps } }, Request::GetAutocommit];
    let was_open = state.stream.in_transaction();
    let mut answers = state.stream.ask(cancel, &requests)?.into_iter();
    let answer = answers.next();
    if let Some(Answer::Ok {
        response: Response::GetAutocommit { is_autocommit },
    }) = answers.next()
    {
        state.stream.set_transaction(!is_autocommit);
    }
    let result = match answer {
        Some(Answer::Error { .. }) => return Ok(false),
        Some(answer) => batch_result(answer)?,
        None => return Err(Failure::Connection(protocol_error("no answer"))),
    };
    if result.step_results.len() != statements.len() {
        return Err(Failure::Connection(protocol_error(
            "a batch has not as many results as statements",
        )));
    }
    let mut failed = false;
    for (statement, (result, error)) in statements
        .iter()
        .zip(result.step_results.into_iter().zip(result.step_errors))
    {
        let ran = match (result, error) {
            (_, Some(error)) => {
                failed = true;
                Some(Err(refusal(state, cancel, statement.sql, &error)))
            }
            (Some(result), None) => {
                state.wrote = true;
                state.count(result.affected_row_count);
                state.last_changes = result.affected_row_count;
                state.last_insert_rowid = result.last_insert_rowid.unwrap_or(state.last_insert_rowid);
                Some(Ok(Outcome {
                    consumed: statement.sql.len(),
                    ran: true,
                    changes: result.affected_row_count,
                    last_insert_rowid: state.last_insert_rowid,
                    ..Outcome::default()
                }))
            }
            (None, None) if statement.follows && !matches!(done.last(), None | Some(Some(Ok(_)))) => None,
            // A failed statement ended the transaction. On a file, the rest would run outside it: it is sent again.
            (None, None) if failed => return Ok(true),
            (None, None) if was_open => return Err(state.stream.gone(ENDED)),
            (None, None) => return Err(Failure::Connection(protocol_error("a statement has no result"))),
        };
        done.push(ran);
    }
    Ok(true)
}

/// The failure of a statement, with SQLite's message.
fn refusal(state: &mut State, cancel: &Cancel, sql: &str, error: &HranaError) -> Failure {
    let Some(summary) = StatementSummary::of(sql) else {
        return Failure::Connection(protocol_error("nothing was refused"));
    };
    let mut run = Run {
        state,
        cancel,
        sql: sql[summary.start..].into(),
        summary,
        sink: &mut Unseen,
        rows: 0,
        signless: 0,
        too_large: false,
    };
    run.explain(error)
}

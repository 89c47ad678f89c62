//! Running one statement: binding its parameters, choosing between cursor and pipeline, reading its result.

use super::cursor_answer::{CursorAnswer, CursorPosition, StepCounts};
use super::server_error::{ENDED, Reason, ServerError};
use super::stream::{Api, Denied, batch_result, interrupted};
use super::transport::{Cancel, HttpReply};
use super::{PING_PATIENCE, State};
use crate::error::Code;
use crate::hrana::entry::{CursorEntry, protocol_error};
use crate::hrana::messages::{
    Answer, Arg, Bound, Col, Condition, HranaError, NamedArg, Request, Response, ResultCell, Stmt, StmtResult,
    one_step, single,
};
use crate::sql::{Args, Column, Failure, Phase, Prepared, ServerCost, Sink, ValueRef};
use crate::sqltext::classify::{StatementKind, StatementSummary, number_parameters};
use std::borrow::Cow;
use std::ops::ControlFlow;
use std::time::Duration;

/// What a statement did.
#[derive(Default)]
pub(super) struct Done {
    pub changes: u64,
    pub last_insert_rowid: Option<i64>,
    pub cost: ServerCost,
}

/// A statement being run.
pub(super) struct Run<'a> {
    pub state: &'a mut State,
    pub cancel: &'a Cancel,
    /// The statement, from its first word on.
    pub sql: Cow<'a, str>,
    pub summary: StatementSummary,
    pub sink: &'a mut dyn Sink,
    /// Rows given to the sink.
    pub rows: u64,
    /// Infinite reals in them whose sign the server did not send.
    pub signless: u64,
    /// The server refused because the result is too large for a pipeline.
    pub too_large: bool,
}

impl Run<'_> {
    pub(super) fn run(&mut self, args: &Args) -> Result<Done, Failure> {
        if self.state.read_only && self.summary.kind != StatementKind::Read {
            match self.state.stream.describe(self.cancel, &self.sql) {
                Ok(Ok(description)) if description.is_readonly => {}
                Ok(Ok(_)) => return Err(read_only()),
                Ok(Err(refusal)) => return Err(refusal.failure(Phase::Prepare, self.summary.start)),
                // A server may refuse even to prepare a write of somebody who may only read.
                Err(Failure::Connection(error)) if error.code() == Code::Forbidden => return Err(read_only()),
                Err(failure) => return Err(failure),
            }
        }
        let (args, numbered) = self.bind(args)?;
        if let Some(numbered) = numbered {
            self.sql = numbered.into();
        }
        if std::mem::take(&mut self.state.ends_with_next) && !self.state.stream.in_transaction() {
            return self.by_only_request(&args);
        }
        // The answer of a cursor begins before its statement has run, so it can wait for nothing.
        let waits = self.state.wait_replica && !self.summary.is_read_only();
        if waits || !self.summary.may_return_rows() || self.state.stream.api() == Api::V2 {
            return self.by_pipeline(&args);
        }
        if self.state.set_cost_tracking {
            match self.by_pipeline(&args) {
                Err(_) if self.too_large => {}
                done => return done,
            }
        }
        self.by_cursor(&args)
    }

    /// The values for the statement's parameters. A server wants all of them, so it is asked for their names; a missing
    /// one is NULL. If only some parameters have names, also returns the statement with numbered ones instead.
    fn bind<'v>(&mut self, args: &'v Args) -> Result<(Bound<'v>, Option<String>), Failure> {
        let mut bound = Bound::default();
        if !self.summary.has_parameters {
            return Ok((bound, None));
        }
        let description = match self.state.stream.describe(self.cancel, &self.sql)? {
            Ok(description) => description,
            Err(refusal) => return Err(refusal.failure(Phase::Prepare, self.summary.start)),
        };
        let names: Vec<_> = description.params.into_iter().map(|parameter| parameter.name).collect();
        let has_name = |name: &Option<String>| name.as_ref().is_some_and(|name| !name.starts_with('?'));
        let by_name = !names.is_empty() && names.iter().all(has_name);
        let mixed = !by_name && names.iter().any(has_name);
        let numbered = mixed.then(|| number_parameters(&self.sql, &names));
        for (index, name) in names.into_iter().enumerate() {
            let name = name.unwrap_or_else(|| format!("?{}", index + 1));
            let named = || args.named.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
            let value = args.positional.get(index).or_else(named);
            let value = Arg(value.map_or(ValueRef::Null, ValueRef::from));
            if let Some(why) = value.unsendable() {
                return Err(self.refused_here(why));
            }
            if by_name {
                bound.named_args.push(NamedArg { name, value });
            } else {
                bound.args.push(value);
            }
        }
        Ok((bound, numbered))
    }

    fn refused_here(&self, why: &str) -> Failure {
        Failure::Sql {
            phase: Phase::Step,
            message: why.to_owned(),
            code: rusqlite::ffi::SQLITE_MISMATCH,
            offset: None,
        }
    }

    fn prepared(&mut self) -> Result<(), Failure> {
        let prepared = Prepared {
            explain: self.summary.explain,
            read_only: self.summary.is_read_only(),
        };
        self.sink.prepared(&prepared).map_err(Failure::Sink)
    }

    /// Has the next request wait for a replica, if the statement may commit something and that is wanted.
    fn wait_for_replica(&mut self) {
        use StatementKind::{Begin, Commit, Release, Rollback, RollbackTo, Savepoint};
        let commits = match self.summary.kind {
            Begin | Savepoint | Rollback | RollbackTo => false,
            Commit | Release => true,
            _ => !self.summary.is_read_only() && !self.state.stream.in_transaction(),
        };
        if self.state.wait_replica && commits {
            self.state.stream.wait_for_replica();
        }
    }

    /// Runs the statement with a pipeline, whose answer comes as a whole, and asks for the state of the transaction.
    fn by_pipeline(&mut self, args: &Bound<'_>) -> Result<Done, Failure> {
        self.wait_for_replica();
        let mut requests = vec![single(&self.sql, args, self.state.stream.condition())];
        if self.state.stream.api() == Api::V3 {
            requests.push(Request::GetAutocommit);
        }
        let was_open = self.state.stream.in_transaction();
        let mut answers = self.state.stream.ask(self.cancel, &requests)?.into_iter();
        let answer = answers.next();
        match answers.next() {
            Some(Answer::Ok {
                response: Response::GetAutocommit { is_autocommit },
            }) => self.state.stream.set_transaction(!is_autocommit),
            Some(_) => return Err(Failure::Connection(protocol_error("no word on the transaction"))),
            // The server speaks Hrana 2, which has no such request.
            None => {}
        }
        let result = match answer {
            Some(Answer::Error { error }) => {
                self.too_large = ServerError::new(&error, &self.sql).reason == Reason::TooLarge;
                return Err(self.explain(&error));
            }
            Some(answer) => batch_result(answer)?,
            None => return Err(Failure::Connection(protocol_error("no answer"))),
        };
        let mut errors = result.step_errors.into_iter();
        let mut results = result.step_results.into_iter();
        match (results.next().flatten(), errors.next().flatten()) {
            (_, Some(error)) => Err(self.explain(&error)),
            (Some(result), None) => {
                if self.state.stream.api() == Api::V2 {
                    self.guess_transaction();
                } else if self.summary.may_return_rows()
                    && self.summary.is_read_only()
                    && result
                        .rows
                        .iter()
                        .flatten()
                        .any(|cell| matches!(cell, ResultCell::Infinite))
                {
                    // A cursor sends the sign; the statement only reads, so it can be run again.
                    return self.by_cursor(args);
                }
                self.deliver(result)
            }
            (None, None) if was_open => Err(self.state.stream.gone(ENDED)),
            (None, None) => Err(Failure::Connection(protocol_error("a statement has no result"))),
        }
    }

    /// Runs the statement and ends the stream, in one request.
    fn by_only_request(&mut self, args: &Bound<'_>) -> Result<Done, Failure> {
        self.wait_for_replica();
        let stmt = Stmt {
            sql: &self.sql,
            args: &args.args,
            named_args: &args.named_args,
            want_rows: true,
        };
        let requests = [Request::Execute { stmt }, Request::Close];
        match self.state.stream.ask(self.cancel, &requests)?.into_iter().next() {
            Some(Answer::Ok {
                response: Response::Execute { result },
            }) => {
                let is_infinite = |cell: &ResultCell| matches!(cell, ResultCell::Infinite);
                if self.summary.is_read_only() && result.rows.iter().flatten().any(is_infinite) {
                    // A cursor sends the sign; the statement only reads, so it can be run again.
                    return self.by_cursor(args);
                }
                self.deliver(result)
            }
            Some(Answer::Error { error }) => {
                let is_too_large = ServerError::new(&error, &self.sql).reason == Reason::TooLarge;
                if is_too_large && self.summary.is_read_only() {
                    return self.by_cursor(args);
                }
                Err(self.explain(&error))
            }
            _ => Err(Failure::Connection(protocol_error("a statement has no result"))),
        }
    }

    /// Infers the transaction's state from a statement that succeeded: Hrana 2 cannot be asked for it.
    fn guess_transaction(&mut self) {
        match self.summary.kind {
            StatementKind::Begin | StatementKind::Savepoint => self.state.stream.set_transaction(true),
            StatementKind::Commit | StatementKind::Rollback => self.state.stream.set_transaction(false),
            _ => {}
        }
    }

    /// Gives the result of a pipeline to the sink.
    fn deliver(&mut self, result: StmtResult) -> Result<Done, Failure> {
        self.prepared()?;
        let width = result.cols.len();
        if width > 0 {
            self.sink.columns(&named(result.cols)).map_err(Failure::Sink)?;
            for row in &result.rows {
                if row.len() != width {
                    return Err(Failure::Connection(protocol_error(
                        "a row has not as many values as there are columns",
                    )));
                }
                let values: Vec<ValueRef<'_>> = row.iter().map(|cell| self.value(cell)).collect();
                self.rows += 1;
                if self.sink.row(&values).map_err(Failure::Sink)?.is_break() {
                    break;
                }
            }
        }
        Ok(Done {
            changes: result.affected_row_count,
            last_insert_rowid: result.last_insert_rowid,
            cost: ServerCost {
                rows_read: result.rows_read,
                rows_written: result.rows_written,
                server: result
                    .query_duration_ms
                    .and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok()),
                ..ServerCost::default()
            },
        })
    }

    fn value<'v>(&mut self, cell: &'v ResultCell) -> ValueRef<'v> {
        match cell {
            ResultCell::Value(value) => ValueRef::from(value),
            ResultCell::Infinite => {
                self.signless += 1;
                ValueRef::Real(f64::NAN)
            }
        }
    }

    /// Runs the statement with a cursor: rows arrive as the server finds them.
    fn by_cursor(&mut self, args: &Bound<'_>) -> Result<Done, Failure> {
        if self.state.stream.in_transaction() || (self.state.wrote && self.state.stream.is_open()) {
            self.check_parses(args)?;
        }
        let condition = self.state.stream.condition();
        let conditional = condition.is_some();
        let batch = one_step(&self.sql, args, condition);
        let mut reply = match self.state.stream.cursor(self.cancel, &batch) {
            Ok(reply) => reply,
            Err(Denied::Refused(error)) => return Err(self.explain(&error)),
            Err(Denied::Failed(_)) if self.state.stream.api() == Api::V2 => return self.by_pipeline(args),
            Err(Denied::Failed(failure)) => return Err(failure),
        };
        let done = self.read(&mut reply, conditional);
        self.state.stream.abandon(reply);
        if done.is_err() && self.state.stream.in_transaction() {
            // The error may have ended the transaction. If this request fails, the next statement reports it.
            let _ = self.state.stream.check(&Cancel::default(), PING_PATIENCE);
        }
        done
    }

    /// Has the server parse the statement without running it: a cursor over a statement that the parser refuses
    /// would end the stream, with its transaction.
    fn check_parses(&mut self, args: &Bound<'_>) -> Result<(), Failure> {
        let request = single(&self.sql, args, Some(Condition::never()));
        match self.state.stream.ask(self.cancel, &[request])?.pop() {
            Some(Answer::Error { error }) => Err(self.explain(&error)),
            _ => Ok(()),
        }
    }

    /// Reads a cursor's answer to its end, or until the sink stops.
    fn read(&mut self, reply: &mut HttpReply, conditional: bool) -> Result<Done, Failure> {
        let mut answer = CursorAnswer::new(reply.binary);
        loop {
            let is_more = self.receive(reply, &mut answer)?;
            if self.take_entries(&mut answer)?.is_break() {
                return Ok(Done::default());
            }
            if !is_more {
                return self.finish(answer, conditional);
            }
        }
    }

    /// Receives a piece of the answer. Returns whether another may follow.
    fn receive(&mut self, reply: &mut HttpReply, answer: &mut CursorAnswer) -> Result<bool, Failure> {
        match self.state.stream.chunk(self.cancel, reply) {
            Ok(Some(chunk)) => {
                answer.frames.feed(chunk);
                Ok(true)
            }
            Ok(None) => {
                let rest = answer.frames.rest();
                if rest.is_empty() {
                    return Ok(false);
                }
                if reply.binary {
                    return Err(Failure::Connection(protocol_error("it ends too early")));
                }
                // The last line may lack its line end.
                answer.frames.feed([&rest[..], b"\n"].concat().into());
                Ok(false)
            }
            // The usual reason for an answer that breaks off is a text that the server cannot send.
            Err(Failure::Connection(error))
                if answer.position == CursorPosition::Rows && error.code() == Code::Unavailable =>
            {
                Err(Failure::Connection(error.hint(
                    "the server stops like that at a text that is not valid UTF-8: ask for hex(column) or \
                     cast(column as blob)",
                )))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Takes the entries that have arrived whole. Breaks where the sink wants no more.
    fn take_entries(&mut self, answer: &mut CursorAnswer) -> Result<ControlFlow<()>, Failure> {
        if answer.position == CursorPosition::Head {
            let Some(head) = answer.next_head()? else {
                return Ok(ControlFlow::Continue(()));
            };
            self.state.stream.follow(head.baton, head.base_url.as_deref())?;
            self.state.stream.begin_keep_alive();
            answer.position = CursorPosition::Begin;
        }
        while let Some(entry) = answer.next_entry()? {
            match (entry, answer.position) {
                (CursorEntry::Begin(cols), CursorPosition::Begin) => {
                    answer.columns = named(cols);
                    answer.position = CursorPosition::Rows;
                    self.prepared()?;
                }
                (CursorEntry::Row, CursorPosition::Rows) if answer.row.width() == answer.columns.len() => {
                    if self.pass_row(answer)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                (
                    CursorEntry::End {
                        changes,
                        last_insert_rowid,
                    },
                    CursorPosition::Rows,
                ) => {
                    answer.position = CursorPosition::End;
                    answer.counts = Some(StepCounts {
                        changes,
                        last_insert_rowid,
                    });
                }
                (
                    CursorEntry::Refused(error) | CursorEntry::Failed(error),
                    CursorPosition::Begin | CursorPosition::Rows,
                ) => {
                    let phase = if answer.position == CursorPosition::Begin {
                        Phase::Prepare
                    } else {
                        Phase::Step
                    };
                    return Err(ServerError::new(&error, &self.sql).failure(phase, self.summary.start));
                }
                (CursorEntry::Other, _) => {}
                _ => return Err(Failure::Connection(protocol_error("its parts are out of order"))),
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Passes the row that was just decoded to the sink.
    fn pass_row(&mut self, answer: &mut CursorAnswer) -> Result<ControlFlow<()>, Failure> {
        self.describe_columns(answer)?;
        self.rows += 1;
        self.signless += std::mem::take(&mut answer.row.signless);
        let values: Vec<ValueRef<'_>> = answer.row.values().collect();
        if self.sink.row(&values).map_err(Failure::Sink)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if self.cancel.cancelled() {
            return Err(interrupted());
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Passes the columns to the sink, once.
    fn describe_columns(&mut self, answer: &mut CursorAnswer) -> Result<(), Failure> {
        if std::mem::replace(&mut answer.is_described, true) {
            return Ok(());
        }
        self.sink.columns(&answer.columns).map_err(Failure::Sink)
    }

    /// The outcome of an answer that has ended.
    fn finish(&mut self, mut answer: CursorAnswer, conditional: bool) -> Result<Done, Failure> {
        match answer.counts.take() {
            Some(counts) => {
                if !answer.columns.is_empty() {
                    self.describe_columns(&mut answer)?;
                }
                Ok(Done {
                    changes: counts.changes,
                    last_insert_rowid: counts.last_insert_rowid,
                    ..Done::default()
                })
            }
            None if answer.position == CursorPosition::Begin && conditional => Err(self.state.stream.gone(ENDED)),
            None => Err(Failure::Connection(protocol_error("it ends too early"))),
        }
    }

    /// An error as SQLite reports it. If the server's own parser refused, or the phase is unclear, SQLite is asked to
    /// describe the statement: its message is the usual one and has the place of the error.
    pub(super) fn explain(&mut self, error: &HranaError) -> Failure {
        let refusal = ServerError::new(error, &self.sql);
        let unclear = match refusal.reason {
            Reason::Parser => true,
            Reason::Engine => refusal.code == rusqlite::ffi::SQLITE_ERROR,
            Reason::TransactionOver => {
                self.state.stream.set_transaction(false);
                false
            }
            _ => false,
        };
        if unclear && let Ok(Err(better)) = self.state.stream.describe(self.cancel, &self.sql) {
            return better.failure(Phase::Prepare, self.summary.start);
        }
        refusal.failure(Phase::Step, self.summary.start)
    }
}

/// SQLite's error for a write in a read-only session.
pub(super) fn read_only() -> Failure {
    Failure::Sql {
        phase: Phase::Step,
        message: "attempt to write a readonly database".to_owned(),
        code: rusqlite::ffi::SQLITE_READONLY,
        offset: None,
    }
}

fn named(cols: Vec<Col>) -> Vec<Column> {
    cols.into_iter()
        .map(|col| Column {
            name: col.name.unwrap_or_default(),
            decltype: col.decltype,
        })
        .collect()
}

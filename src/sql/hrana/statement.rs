//! One statement on its way: its parameters, the way it is sent, its result.

use super::binary;
use super::decode::{self, Entry, Pieces, Row, malformed};
use super::link::{Api, Denied, batch_result, interrupted};
use super::refusal::{Reason, Refusal};
use super::shape::{self, Shape, Verb};
use super::transport::{Cancel, Reply};
use super::wire::{
    Answer, Arg, Bound, Cell, Col, Condition, CursorHead, NamedArg, Request, Response, StmtResult, WireError, one_step,
    single,
};
use super::{REMINDER, State};
use crate::sql::{Args, Column, Failure, Flow, Phase, Prepared, ServerCost, Sink, ValueRef};
use std::borrow::Cow;
use std::time::Duration;

/// What a statement did.
#[derive(Default)]
pub(super) struct Done {
    pub changes: u64,
    pub last_insert_rowid: Option<i64>,
    pub cost: ServerCost,
}

/// One statement on its way.
pub(super) struct Run<'a> {
    pub state: &'a mut State,
    pub cancel: &'a Cancel,
    /// The statement, from its first word.
    pub sql: Cow<'a, str>,
    pub shape: Shape,
    pub sink: &'a mut dyn Sink,
    /// Rows handed out.
    pub rows: u64,
    /// Infinite reals among them whose sign was not told.
    pub signless: u64,
    /// The result was too large to come whole.
    pub too_large: bool,
}

impl Run<'_> {
    pub(super) fn run(&mut self, args: &Args) -> Result<Done, Failure> {
        if self.state.read_only && self.shape.verb != Verb::Read {
            match self.state.link.describe(self.cancel, &self.sql)? {
                Ok(description) if description.is_readonly => {}
                Ok(_) => return Err(read_only()),
                Err(refusal) => return Err(refusal.failure(Phase::Prepare, self.shape.start)),
            }
        }
        let (args, numbered) = self.bind(args)?;
        if let Some(numbered) = numbered {
            self.sql = numbered.into();
        }
        if !self.shape.streams() || self.state.link.api() == Api::V2 {
            return self.whole(&args);
        }
        if self.state.tell_costs {
            match self.whole(&args) {
                Err(_) if self.too_large => {}
                done => return done,
            }
        }
        self.stream(&args)
    }

    /// The values for the statement's parameters. A server wants every one of them, so it is asked for their names; what is
    /// not given is NULL. Where some parameters have names and some have not, also the statement with numbers instead.
    fn bind<'v>(&mut self, args: &'v Args) -> Result<(Bound<'v>, Option<String>), Failure> {
        let mut bound = Bound::default();
        if !self.shape.parameters {
            return Ok((bound, None));
        }
        let description = match self.state.link.describe(self.cancel, &self.sql)? {
            Ok(description) => description,
            Err(refusal) => return Err(refusal.failure(Phase::Prepare, self.shape.start)),
        };
        let names: Vec<_> = description.params.into_iter().map(|parameter| parameter.name).collect();
        let has_name = |name: &Option<String>| name.as_ref().is_some_and(|name| !name.starts_with('?'));
        let by_name = !names.is_empty() && names.iter().all(has_name);
        let mixed = !by_name && names.iter().any(has_name);
        let numbered = mixed.then(|| shape::numbered(&self.sql, &names));
        for (index, name) in names.into_iter().enumerate() {
            let name = name.unwrap_or_else(|| format!("?{}", index + 1));
            let named = || {
                args.named
                    .iter()
                    .find(|(given, _)| *given == name)
                    .map(|(_, value)| value)
            };
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
            explain: self.shape.explain,
            read_only: self.shape.read_only(),
        };
        self.sink.prepared(&prepared).map_err(Failure::Sink)
    }

    /// Runs the statement by a pipeline, whose answer comes whole. Also asks what became of the transaction.
    fn whole(&mut self, args: &Bound<'_>) -> Result<Done, Failure> {
        let mut requests = vec![single(&self.sql, args, self.state.link.condition())];
        if self.state.link.api() == Api::V3 {
            requests.push(Request::GetAutocommit);
        }
        let was_open = self.state.link.in_transaction();
        let mut answers = self.state.link.ask(self.cancel, &requests)?.into_iter();
        let answer = answers.next();
        match answers.next() {
            Some(Answer::Ok {
                response: Response::GetAutocommit { is_autocommit },
            }) => self.state.link.set_transaction(!is_autocommit),
            Some(_) => return Err(Failure::Connection(malformed("no word on the transaction"))),
            // The question fell away with Hrana 3 while the pipeline was on its way, or was never there.
            None => {}
        }
        let result = match answer {
            Some(Answer::Error { error }) => {
                self.too_large = Refusal::new(&error, &self.sql).reason == Reason::TooLarge;
                return Err(self.explain(&error));
            }
            Some(answer) => batch_result(answer)?,
            None => return Err(Failure::Connection(malformed("no answer"))),
        };
        let mut errors = result.step_errors.into_iter();
        let mut results = result.step_results.into_iter();
        match (results.next().flatten(), errors.next().flatten()) {
            (_, Some(error)) => Err(self.explain(&error)),
            (Some(result), None) => {
                if self.state.link.api() == Api::V2 {
                    self.guess_transaction();
                } else if self.shape.streams()
                    && self.shape.read_only()
                    && result.rows.iter().flatten().any(|cell| matches!(cell, Cell::Infinite))
                {
                    // A cursor tells the sign, and asking twice changes nothing.
                    return self.stream(args);
                }
                self.deliver(result)
            }
            (None, None) if was_open => Err(self.state.link.gone("the server had ended it")),
            (None, None) => Err(Failure::Connection(malformed("a statement has no result"))),
        }
    }

    /// Follows the transaction by the words of statements that succeeded: all there is with Hrana 2.
    fn guess_transaction(&mut self) {
        match self.shape.verb {
            Verb::Begin | Verb::Savepoint => self.state.link.set_transaction(true),
            Verb::Finish => self.state.link.set_transaction(false),
            _ => {}
        }
    }

    /// Hands a result that came whole to the sink.
    fn deliver(&mut self, result: StmtResult) -> Result<Done, Failure> {
        self.prepared()?;
        let width = result.cols.len();
        if width > 0 {
            self.sink.columns(&named(result.cols)).map_err(Failure::Sink)?;
            for row in &result.rows {
                if row.len() != width {
                    return Err(Failure::Connection(malformed(
                        "a row has not as many values as there are columns",
                    )));
                }
                let values: Vec<ValueRef<'_>> = row.iter().map(|cell| self.value(cell)).collect();
                self.rows += 1;
                if self.sink.row(&values).map_err(Failure::Sink)? == Flow::Stop {
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

    fn value<'v>(&mut self, cell: &'v Cell) -> ValueRef<'v> {
        match cell {
            Cell::Value(value) => ValueRef::from(value),
            Cell::Infinite => {
                self.signless += 1;
                ValueRef::Real(f64::NAN)
            }
        }
    }

    /// Runs the statement through a cursor: rows arrive as the server finds them.
    fn stream(&mut self, args: &Bound<'_>) -> Result<Done, Failure> {
        if self.state.link.in_transaction() || (self.state.wrote && self.state.link.is_open()) {
            self.look_ahead(args)?;
        }
        let condition = self.state.link.condition();
        let conditional = condition.is_some();
        let batch = one_step(&self.sql, args, condition);
        let mut reply = match self.state.link.cursor(self.cancel, &batch) {
            Ok(reply) => reply,
            Err(Denied::Refused(error)) => return Err(self.explain(&error)),
            Err(Denied::Failed(_)) if self.state.link.api() == Api::V2 => return self.whole(args),
            Err(Denied::Failed(failure)) => return Err(failure),
        };
        let done = self.read(&mut reply, conditional);
        self.state.link.abandon(reply);
        if done.is_err() && self.state.link.in_transaction() {
            // An error may have ended the transaction. A failure to ask is told by the next statement.
            let _ = self.state.link.check(&Cancel::default(), REMINDER);
        }
        done
    }

    /// Lets the server's parser see the statement without running it. A cursor over a statement that it does not understand
    /// would end the stream, with its transaction.
    fn look_ahead(&mut self, args: &Bound<'_>) -> Result<(), Failure> {
        let request = single(&self.sql, args, Some(Condition::never()));
        match self.state.link.ask(self.cancel, &[request])?.pop() {
            Some(Answer::Error { error }) => Err(self.explain(&error)),
            _ => Ok(()),
        }
    }

    /// Reads a cursor's answer to its end, or until the sink has enough.
    fn read(&mut self, reply: &mut Reply, conditional: bool) -> Result<Done, Failure> {
        let mut pieces = Pieces::new(reply.binary);
        let mut row = Row::default();
        let mut place = Place::Head;
        let mut columns = Vec::new();
        let mut described = false;
        let mut done = None;
        let mut ended = false;
        while !ended {
            match self.state.link.chunk(self.cancel, reply) {
                Ok(Some(chunk)) => pieces.feed(chunk),
                Ok(None) => {
                    ended = true;
                    let rest = pieces.rest();
                    if rest.is_empty() {
                        break;
                    }
                    if reply.binary {
                        return Err(Failure::Connection(malformed("it ends too early")));
                    }
                    // The last line may do without its end.
                    pieces.feed([&rest[..], b"\n"].concat().into());
                }
                // An answer that is cut off is most often one with a text that the server cannot write.
                Err(Failure::Connection(error)) if place == Place::Rows => {
                    return Err(Failure::Connection(error.hint(
                        "the server stops like that at a text that is not valid UTF-8: ask for hex(column) or \
                         cast(column as blob)",
                    )));
                }
                Err(failure) => return Err(failure),
            }
            loop {
                if place == Place::Head {
                    let head = pieces.next(|piece| {
                        if reply.binary {
                            binary::head(piece)
                        } else {
                            serde_json::from_slice::<CursorHead>(piece).map_err(malformed)
                        }
                    });
                    let Some(head) = head.map_err(Failure::Connection)? else {
                        break;
                    };
                    self.state.link.follow(head.baton, head.base_url.as_deref())?;
                    self.state.link.begin_vigil();
                    place = Place::Begin;
                    continue;
                }
                let entry = pieces.next(|piece| {
                    if reply.binary {
                        binary::entry(piece, &mut row)
                    } else {
                        decode::entry(piece, &mut row)
                    }
                });
                let Some(entry) = entry.map_err(Failure::Connection)? else {
                    break;
                };
                match (entry, place) {
                    (Entry::Begin(cols), Place::Begin) => {
                        columns = named(cols);
                        place = Place::Rows;
                        self.prepared()?;
                    }
                    (Entry::Row, Place::Rows) if row.len() == columns.len() => {
                        if !described {
                            described = true;
                            self.sink.columns(&columns).map_err(Failure::Sink)?;
                        }
                        self.rows += 1;
                        self.signless += std::mem::take(&mut row.signless);
                        let values: Vec<ValueRef<'_>> = row.values().collect();
                        if self.sink.row(&values).map_err(Failure::Sink)? == Flow::Stop {
                            return Ok(Done::default());
                        }
                        if self.cancel.cancelled() {
                            return Err(interrupted());
                        }
                    }
                    (
                        Entry::End {
                            changes,
                            last_insert_rowid,
                        },
                        Place::Rows,
                    ) => {
                        place = Place::End;
                        done = Some(Done {
                            changes,
                            last_insert_rowid,
                            ..Done::default()
                        });
                    }
                    (Entry::Refused(error) | Entry::Failed(error), Place::Begin | Place::Rows) => {
                        let phase = if place == Place::Begin {
                            Phase::Prepare
                        } else {
                            Phase::Step
                        };
                        return Err(Refusal::new(&error, &self.sql).failure(phase, self.shape.start));
                    }
                    (Entry::Other, _) => {}
                    _ => return Err(Failure::Connection(malformed("its parts are out of order"))),
                }
            }
        }
        match done {
            Some(done) => {
                if !described && !columns.is_empty() {
                    self.sink.columns(&columns).map_err(Failure::Sink)?;
                }
                Ok(done)
            }
            None if place == Place::Begin && conditional => Err(self.state.link.gone("the server had ended it")),
            None => Err(Failure::Connection(malformed("it ends too early"))),
        }
    }

    /// A refusal as SQLite would have put it. The server's own parser has other words and says less of the place, and a
    /// pipeline does not tell when the engine refused: SQLite is asked to describe the statement.
    pub(super) fn explain(&mut self, error: &WireError) -> Failure {
        let refusal = Refusal::new(error, &self.sql);
        let unclear = match refusal.reason {
            Reason::Parser => true,
            Reason::Engine => refusal.code == rusqlite::ffi::SQLITE_ERROR,
            Reason::TransactionOver => {
                self.state.link.set_transaction(false);
                false
            }
            _ => false,
        };
        if unclear && let Ok(Err(better)) = self.state.link.describe(self.cancel, &self.sql) {
            return better.failure(Phase::Prepare, self.shape.start);
        }
        refusal.failure(Phase::Step, self.shape.start)
    }
}

/// A change that a session may not make, in SQLite's words.
pub(super) fn read_only() -> Failure {
    Failure::Sql {
        phase: Phase::Step,
        message: "attempt to write a readonly database".to_owned(),
        code: rusqlite::ffi::SQLITE_READONLY,
        offset: None,
    }
}

/// Where in a cursor's answer the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    Begin,
    Rows,
    End,
}

fn named(cols: Vec<Col>) -> Vec<Column> {
    cols.into_iter()
        .map(|col| Column {
            name: col.name.unwrap_or_default(),
            decltype: col.decltype,
        })
        .collect()
}

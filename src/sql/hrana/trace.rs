//! Calls a tracer for a statement while it is sent and answered.

use super::{Args, Failure, Outcome, Sink};
use crate::sql::{Column, Moment, Phase, Prepared, Sent, Tracer, ValueRef};
use std::io;
use std::ops::ControlFlow;
use std::time::Instant;

/// Passes a result on and calls the tracer.
struct Watched<'a> {
    sink: &'a mut dyn Sink,
    tracer: &'a Tracer,
    sql: &'a str,
    args: &'a Args,
    begun: bool,
    /// Columns not passed on yet: the tracer is called for the first row before.
    columns: Option<Vec<Column>>,
}

impl Watched<'_> {
    fn trace(&self, what: Moment) {
        (self.tracer)(&Sent {
            sql: self.sql,
            args: self.args,
            what,
        });
    }

    /// Passes the columns on, once.
    fn describe(&mut self) -> io::Result<()> {
        match self.columns.take() {
            Some(columns) => self.sink.columns(&columns),
            None => Ok(()),
        }
    }

    fn begin(&mut self) {
        if !std::mem::replace(&mut self.begun, true) {
            self.trace(Moment::Begun);
        }
    }
}

impl Sink for Watched<'_> {
    fn prepared(&mut self, statement: &Prepared) -> io::Result<()> {
        self.begin();
        self.sink.prepared(statement)
    }

    fn columns(&mut self, columns: &[Column]) -> io::Result<()> {
        self.columns = Some(columns.to_vec());
        Ok(())
    }

    fn row(&mut self, row: &[ValueRef<'_>]) -> io::Result<ControlFlow<()>> {
        self.trace(Moment::Row);
        self.describe()?;
        self.sink.row(row)
    }
}

/// Calls `run` with a sink that passes the result on to `sink` and calls the tracer.
pub(super) fn traced(
    tracer: &Tracer,
    sql: &str,
    args: &Args,
    sink: &mut dyn Sink,
    run: impl FnOnce(&mut dyn Sink) -> Result<Outcome, Failure>,
) -> Result<Outcome, Failure> {
    let started = Instant::now();
    let mut watched = Watched {
        sink,
        tracer,
        sql,
        args,
        begun: false,
        columns: None,
    };
    let mut ran = run(&mut watched);
    if ran.is_ok()
        && let Err(error) = watched.describe()
    {
        ran = Err(Failure::Sink(error));
    }
    // A statement that failed in this phase has begun.
    if matches!(ran, Err(Failure::Sql { phase: Phase::Step, .. })) {
        watched.begin();
    }
    if watched.begun {
        watched.trace(Moment::Ended(started.elapsed()));
    }
    ran
}

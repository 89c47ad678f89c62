//! A session on a remote libSQL server, over Hrana 3 and 2 on HTTP.
//!
//! It behaves as a session on a file does. One stream for its life, so transactions and settings hold from statement to
//! statement (`link`); results through a cursor, row by row, where the server has one (`decode`); statements one at a time,
//! never as a script, because a server skips what it does not understand in one. A statement that the server's own parser
//! refuses is described again by SQLite, for its words and the place of the error (`refusal`). While a transaction is open
//! and nobody types, the server is reminded that the stream is wanted; a transaction that is lost all the same is an error
//! at the next statement, which then does not run.

mod address;
mod binary;
mod bulk;
mod complaint;
mod decode;
mod errands;
#[cfg(test)]
mod fuzz;
mod insert;
mod link;
#[cfg(test)]
mod misbehaviour;
mod plain;
mod refusal;
mod shape;
mod statement;
mod trace;
mod transport;
mod vigil;
mod wire;

use self::address::Address;
pub(in crate::sql) use self::address::shown;
use self::link::{Link, batch_result};
use self::shape::{Shape, Verb};
use self::statement::Run;
use self::transport::Cancel;
use self::vigil::Vigil;
use self::wire::{Cell, UNBOUND, single};
use super::{Args, Errand, Errands, Failure, Interrupter, Moment, Outcome, Rows, Sent, Session, Sink, Tracer};
use crate::error::{Error, Result};
use crate::secret::{Renewal, Secret};
use crate::sync::lock;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};
use url::Url;

/// The longest silence of a server. A statement may think for long, so this is far above any sensible one; a server that
/// vanished is noticed much earlier, by its connection.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often a waiting transaction is looked after, and how long the stream may be idle: servers drop it after ten seconds.
const LOOK: Duration = Duration::from_millis(500);
const IDLE: Duration = Duration::from_secs(3);
/// How long the reminder may take.
const REMINDER: Duration = Duration::from_secs(5);

pub(super) struct HranaSession {
    shared: Arc<Mutex<State>>,
    cancel: Arc<Cancel>,
}

/// What the session and the thread that keeps its transaction alive share.
struct State {
    link: Link,
    /// The rows changed by statements of this session, as far as the server told.
    changes: u64,
    last_changes: u64,
    /// Of these, the ones made through streams that are gone.
    changes_before: u64,
    /// Which stream the changes since were made through.
    stream: u64,
    last_insert_rowid: i64,
    /// The stream has a memory worth keeping: of changes made through it.
    wrote: bool,
    keeper: bool,
    /// Nothing may be changed.
    read_only: bool,
    /// Somebody wants to know what statements cost, which servers do not tell of results that are streamed.
    tell_costs: bool,
    /// Hears of what is sent.
    tracer: Option<Tracer>,
}

impl HranaSession {
    /// Nothing is sent before the first statement.
    pub(super) fn open(url: &Url, token: Option<&Secret>, renewal: Option<Renewal>, read_only: bool) -> Result<Self> {
        let session = Self::new(Address::new(url, token)?, PATIENCE);
        session.state().read_only = read_only;
        session.state().link.renew_by(renewal);
        Ok(session)
    }

    fn new(address: Address, patience: Duration) -> Self {
        let state = State {
            link: Link::new(address, patience),
            changes: 0,
            last_changes: 0,
            changes_before: 0,
            stream: 0,
            last_insert_rowid: 0,
            wrote: false,
            keeper: false,
            read_only: false,
            tell_costs: false,
            tracer: None,
        };
        Self {
            shared: Arc::new(Mutex::new(state)),
            cancel: Arc::new(Cancel::default()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared)
    }

    /// Does something that an interrupt stops, and sees to it that a transaction that is open afterwards stays so.
    fn busy<T>(&mut self, work: impl FnOnce(&mut State, &Cancel) -> T) -> T {
        self.cancel.begin();
        let mut state = lock(&self.shared);
        let done = work(&mut state, &self.cancel);
        self.cancel.end();
        if state.link.in_transaction() && !state.keeper {
            let shared = Arc::downgrade(&self.shared);
            let vigil = state.link.vigil();
            let spawned = std::thread::Builder::new()
                .name("transaction".to_owned())
                .spawn(move || keep_alive(&shared, &vigil));
            state.keeper = spawned.is_ok();
        }
        done
    }
}

/// Reminds the server of an idle stream while a transaction is open on it.
fn keep_alive(shared: &Weak<Mutex<State>>, vigil: &Vigil) {
    let mut http = None;
    loop {
        std::thread::sleep(LOOK);
        let Some(shared) = shared.upgrade() else { return };
        let Ok(mut state) = shared.try_lock() else {
            // Held by a statement, whose rows may be all that keeps it.
            vigil.remind(&mut http);
            continue;
        };
        if state.link.in_transaction() && state.link.idle() >= IDLE {
            // A failure is told by the next statement, which meets it too.
            let _ = state.link.check(&Cancel::default(), REMINDER);
            if !state.link.in_transaction() {
                state.link.lose("the server ended it while it was idle");
            }
        }
        if !state.link.in_transaction() {
            state.keeper = false;
            return;
        }
    }
}

impl State {
    /// Counts changes made through the stream that is open now.
    fn count(&mut self, changes: u64) {
        if self.stream != self.link.opened() {
            self.stream = self.link.opened();
            self.changes_before = self.changes;
        }
        self.changes += changes;
    }

    fn run(&mut self, cancel: &Cancel, sql: &str, args: &Args, sink: &mut dyn Sink) -> Result<Outcome, Failure> {
        match self.tracer.clone() {
            None => self.send(cancel, sql, args, sink),
            Some(tracer) => {
                let statement = &sql[..super::split::first_statement(sql.as_bytes())];
                trace::traced(&tracer, statement, args, sink, |sink| {
                    self.send(cancel, sql, args, sink)
                })
            }
        }
    }

    fn send(&mut self, cancel: &Cancel, sql: &str, args: &Args, sink: &mut dyn Sink) -> Result<Outcome, Failure> {
        let consumed = super::split::first_statement(sql.as_bytes());
        let Some(shape) = Shape::of(&sql[..consumed]) else {
            return Ok(Outcome {
                consumed,
                ..Outcome::default()
            });
        };
        if let Some(loss) = self.link.take_loss() {
            return Err(loss);
        }
        let statement = &sql[shape.start..consumed];
        let begun = Instant::now();
        let waited = self.link.waited();
        let mut run = Run {
            state: self,
            cancel,
            sql: statement.into(),
            shape,
            sink,
            rows: 0,
            signless: 0,
            too_large: false,
        };
        let ran = run.run(args);
        let (rows, signless) = (run.rows, run.signless);
        if ran.is_err() && cancel.cancelled() {
            self.link.leave_behind();
        }
        let mut done = ran?;
        done.cost.total = begun.elapsed();
        done.cost.waited = self.link.waited() - waited;
        if shape.verb == Verb::Pragma
            && shape.explain == super::Explain::No
            && let Some(name) = shape::session_pragma(statement)
        {
            self.link.remember_pragma(name, statement);
        }
        self.wrote |= !shape.read_only();
        self.count(done.changes);
        if shape.verb == Verb::Write && shape.explain == super::Explain::No {
            self.last_changes = done.changes;
        }
        if let Some(rowid) = done.last_insert_rowid {
            self.last_insert_rowid = rowid;
        }
        Ok(Outcome {
            consumed,
            ran: true,
            rows,
            changes: done.changes,
            last_insert_rowid: self.last_insert_rowid,
            cost: Some(done.cost),
            work: None,
            signless_infinities: signless,
        })
    }
}

impl Session for HranaSession {
    fn run(&mut self, sql: &str, args: &Args, sink: &mut dyn Sink) -> Result<Outcome, Failure> {
        self.busy(|state, cancel| state.run(cancel, sql, args, sink))
    }

    fn insert_many(&mut self, sql: &str, rows: &mut dyn Rows) -> Result<u64, Failure> {
        self.busy(|state, cancel| {
            if let Some(loss) = state.link.take_loss() {
                return Err(loss);
            }
            if state.read_only {
                return Err(statement::read_only());
            }
            state.wrote = true;
            let tracer = state.tracer.clone();
            let tell = |what| {
                if let Some(tracer) = &tracer {
                    let args = &Args::default();
                    tracer(&Sent { sql, args, what });
                }
            };
            let started = Instant::now();
            tell(Moment::Begun);
            let inserted = insert::insert_many(&mut state.link, cancel, sql, rows);
            tell(Moment::Ended(started.elapsed()));
            if let Ok(inserted) = &inserted {
                state.count(inserted.changes);
                state.last_insert_rowid = inserted.last_insert_rowid.unwrap_or(state.last_insert_rowid);
            }
            inserted.map(|inserted| inserted.rows)
        })
    }

    fn run_many(&mut self, errands: &[Errand<'_>]) -> Result<Errands, Failure> {
        self.busy(|state, cancel| errands::run(state, cancel, errands))
    }

    fn in_transaction(&mut self) -> bool {
        let mut state = self.state();
        if state.link.in_doubt() {
            // If it cannot be asked, what was known last stands, and the next statement is sent under its condition.
            let _ = state.link.check(&Cancel::default(), REMINDER);
        }
        state.link.in_transaction()
    }

    fn interrupter(&self) -> Interrupter {
        let cancel = Arc::clone(&self.cancel);
        Arc::new(move || cancel.cancel())
    }

    fn changes(&mut self) -> u64 {
        self.state().last_changes
    }

    /// As the server counts, which includes what triggers changed. Where it cannot be asked, as its answers told.
    fn total_changes(&mut self) -> u64 {
        let mut state = self.state();
        if !state.link.is_open() || state.stream != state.link.opened() {
            return state.changes;
        }
        let request = single("select total_changes()", &UNBOUND, None);
        let counted = match state.link.ask(&Cancel::default(), &[request]) {
            Ok(mut answers) => answers.pop().and_then(|answer| batch_result(answer).ok()),
            Err(_) => None,
        };
        let cell = counted
            .and_then(|mut result| result.step_results.pop().flatten())
            .and_then(|mut result| result.rows.pop())
            .and_then(|mut row| row.pop());
        match cell {
            Some(Cell::Value(super::Value::Integer(count))) => {
                state.changes_before + u64::try_from(count).unwrap_or_default()
            }
            _ => state.changes,
        }
    }

    fn tell_costs(&mut self, on: bool) {
        self.state().tell_costs = on;
    }

    fn trace(&mut self, tracer: Option<Tracer>) {
        self.state().tracer = tracer;
    }

    fn set_timeout(&mut self, timeout: Duration) -> std::result::Result<(), Failure> {
        let patience = if timeout.is_zero() { PATIENCE } else { timeout };
        self.state().link.set_patience(patience);
        Ok(())
    }

    fn server_version(&mut self) -> Option<Result<String>> {
        Some(self.busy(|state, cancel| {
            state.link.version(cancel).map_err(|failure| match failure {
                Failure::Connection(error) => error,
                other => Error::new(crate::error::Code::Interrupted, other.to_string()),
            })
        }))
    }

    fn local(&mut self) -> Option<&mut rusqlite::Connection> {
        None
    }

    fn is_local(&self) -> bool {
        false
    }
}

impl Drop for HranaSession {
    fn drop(&mut self) {
        self.state().link.close();
    }
}

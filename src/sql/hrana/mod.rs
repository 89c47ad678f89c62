//! A session on a remote libSQL server, over Hrana 3 and 2 on HTTP.
//!
//! It behaves as a session on a file does. It uses one stream, so that transactions and settings hold from statement to
//! statement (`stream`). Results come through a cursor, row by row, where the server has one. Statements are
//! sent one at a time, never as a script, because a server skips what it does not understand in a script. When the
//! server's own parser refuses a statement, SQLite's message and the place of the error are obtained with a describe
//! request (`server_error`). An open transaction is kept alive while the session is idle; if it is lost all the same, the
//! next statement fails and does not run.

mod address;
mod batch;
mod bulk;
mod changes;
mod cursor_answer;
mod error_body;
#[cfg(test)]
mod fuzz;
mod insert;
mod keep_alive;
#[cfg(test)]
mod misbehaviour;
mod pending_rows;
mod server_error;
mod session_pragma;
mod statement;
mod stream;
mod trace;
mod transport;

use self::address::Address;
pub(in crate::sql) use self::address::display_url;
use self::changes::may_last;
use self::keep_alive::KeepAlive;
use self::server_error::ENDED;
use self::statement::Run;
use self::stream::{HranaStream, batch_result};
use self::transport::Cancel;
use super::{
    Args, BatchOutcomes, BatchStatement, Failure, Interrupter, LocalEngine, Moment, Outcome, Rows, Sent, Session, Sink,
    Tracer,
};
use crate::error::{Error, Result};
use crate::hrana::messages::{ResultCell, UNBOUND, single};
use crate::secret::{Renewal, Secret};
use crate::sqltext::classify::{StatementKind, StatementSummary};
use crate::sync::lock;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};
use url::Url;

/// The longest silence of a server. It is far above the time of any sensible statement; a server that has vanished is
/// noticed much earlier, by TCP keep-alive.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often a thread looks at an open transaction, and after what idle time it sends something: servers drop a stream
/// after ten seconds.
const POLL: Duration = Duration::from_millis(500);
const IDLE: Duration = Duration::from_secs(3);
/// How long that request may take.
const PING_PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct HranaSession {
    shared: Arc<Mutex<State>>,
    cancel: Arc<Cancel>,
}

/// What the session shares with the thread that keeps its transaction alive.
struct State {
    stream: HranaStream,
    /// Rows changed by statements of this session, as far as the server said.
    changes: u64,
    last_changes: u64,
    /// Of `changes`, those made through former streams.
    changes_before: u64,
    /// The number of the stream that the other changes were made through.
    counted: u64,
    last_insert_rowid: i64,
    /// Something was written through the stream, so its `total_changes()` must not be lost.
    wrote: bool,
    /// The open transaction has changed something.
    is_pending: bool,
    keeping_alive: bool,
    /// Statements that may write are refused.
    read_only: bool,
    /// A write is answered when a replica has it.
    wait_replica: bool,
    /// The caller wants costs, which servers do not report with a cursor.
    set_cost_tracking: bool,
    /// The next statement is the only one.
    ends_with_next: bool,
    /// Is called for each statement sent.
    tracer: Option<Tracer>,
}

impl HranaSession {
    /// Opens a session. Nothing is sent before the first statement.
    pub(super) fn open(url: &Url, token: Option<&Secret>, renewal: Option<Renewal>, read_only: bool) -> Result<Self> {
        let session = Self::new(Address::new(url, token)?, PATIENCE);
        session.state().read_only = read_only;
        session.state().stream.renew_by(renewal);
        Ok(session)
    }

    /// Has writes be answered when a replica has them.
    pub(super) fn wait_for_replicas(&mut self) {
        self.state().wait_replica = true;
    }

    fn new(address: Address, patience: Duration) -> Self {
        let state = State {
            stream: HranaStream::new(address, patience),
            changes: 0,
            last_changes: 0,
            changes_before: 0,
            counted: 0,
            last_insert_rowid: 0,
            wrote: false,
            is_pending: false,
            keeping_alive: false,
            read_only: false,
            wait_replica: false,
            set_cost_tracking: false,
            ends_with_next: false,
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

    /// Does interruptible work. If a transaction is open afterwards, a thread keeps it alive.
    fn busy<T>(&mut self, work: impl FnOnce(&mut State, &Cancel) -> T) -> T {
        self.cancel.begin();
        let mut state = lock(&self.shared);
        let done = work(&mut state, &self.cancel);
        self.cancel.end();
        if state.stream.in_transaction() && !state.keeping_alive {
            let shared = Arc::downgrade(&self.shared);
            let keep_alive = state.stream.keep_alive();
            let spawned = std::thread::Builder::new()
                .name("transaction".to_owned())
                .spawn(move || keep_transaction_alive(&shared, &keep_alive));
            state.keeping_alive = spawned.is_ok();
        }
        done
    }
}

/// Keeps an idle stream alive while a transaction is open on it; ends with the transaction.
fn keep_transaction_alive(shared: &Weak<Mutex<State>>, keep_alive: &KeepAlive) {
    let mut http = None;
    loop {
        std::thread::sleep(POLL);
        let Some(shared) = shared.upgrade() else { return };
        let Ok(mut state) = shared.try_lock() else {
            // A statement is running. If it is a long cursor, its stream needs the empty pipelines.
            keep_alive.ping(&mut http);
            continue;
        };
        if state.stream.in_transaction() && state.stream.idle() >= IDLE {
            // The next statement runs into the same failure and reports it.
            let _ = state.stream.check(&Cancel::default(), PING_PATIENCE);
            if !state.stream.in_transaction() {
                state.stream.lose(ENDED);
            }
        }
        if !state.stream.in_transaction() {
            state.keeping_alive = false;
            return;
        }
    }
}

impl State {
    /// Counts changes made through the stream that is open now.
    fn count(&mut self, changes: u64) {
        if self.counted != self.stream.opened() {
            self.counted = self.stream.opened();
            self.changes_before = self.changes;
        }
        self.changes += changes;
    }

    fn run(&mut self, cancel: &Cancel, sql: &str, args: &Args, sink: &mut dyn Sink) -> Result<Outcome, Failure> {
        match self.tracer.clone() {
            None => self.send(cancel, sql, args, sink),
            Some(tracer) => {
                let statement = &sql[..crate::sqltext::split::first_statement(sql.as_bytes())];
                trace::traced(&tracer, statement, args, sink, |sink| {
                    self.send(cancel, sql, args, sink)
                })
            }
        }
    }

    fn send(&mut self, cancel: &Cancel, sql: &str, args: &Args, sink: &mut dyn Sink) -> Result<Outcome, Failure> {
        let consumed = crate::sqltext::split::first_statement(sql.as_bytes());
        let Some(summary) = StatementSummary::of(&sql[..consumed]) else {
            return Ok(Outcome {
                consumed,
                ..Outcome::default()
            });
        };
        if let Some(loss) = self.stream.take_loss() {
            return Err(loss);
        }
        let statement = &sql[summary.start..consumed];
        let begun = Instant::now();
        let waited = self.stream.waited();
        let change = may_last(&summary).then(|| {
            let commits = matches!(summary.kind, StatementKind::Commit | StatementKind::Release);
            self.begin_change(commits)
        });
        let mut run = Run {
            state: self,
            cancel,
            sql: statement.into(),
            summary,
            sink,
            rows: 0,
            signless: 0,
            too_large: false,
        };
        let ran = run.run(args);
        let (rows, signless) = (run.rows, run.signless);
        if let Some(change) = change {
            self.end_change(change, ran.is_ok());
        }
        if ran.is_err() && cancel.cancelled() {
            self.stream.leave_behind();
        }
        let mut done = ran?;
        done.cost.total = begun.elapsed();
        done.cost.waited = self.stream.waited() - waited;
        if summary.kind == StatementKind::Pragma
            && summary.explain == super::Explain::No
            && let Some(name) = session_pragma::name_of_session_pragma(statement)
        {
            self.stream.remember_pragma(name, statement);
        }
        self.wrote |= !summary.is_read_only();
        self.count(done.changes);
        if summary.kind == StatementKind::Write && summary.explain == super::Explain::No {
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
            if let Some(loss) = state.stream.take_loss() {
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
            let change = state.begin_change(false);
            let inserted = insert::insert_many(&mut state.stream, cancel, sql, rows);
            state.end_change(change, inserted.is_ok());
            tell(Moment::Ended(started.elapsed()));
            if let Ok(inserted) = &inserted {
                state.count(inserted.changes);
                state.last_insert_rowid = inserted.last_insert_rowid.unwrap_or(state.last_insert_rowid);
            }
            inserted.map(|inserted| inserted.rows)
        })
    }

    fn run_batch(&mut self, statements: &[BatchStatement<'_>]) -> Result<BatchOutcomes, Failure> {
        self.busy(|state, cancel| batch::run(state, cancel, statements))
    }

    fn in_transaction(&mut self) -> bool {
        let mut state = self.state();
        if state.stream.is_uncertain() {
            // If the server cannot be asked, the last known state stands; the next statement carries it as a condition.
            let _ = state.stream.check(&Cancel::default(), PING_PATIENCE);
        }
        state.stream.in_transaction()
    }

    fn interrupter(&self) -> Interrupter {
        let cancel = Arc::clone(&self.cancel);
        Arc::new(move || cancel.cancel())
    }

    fn changes(&mut self) -> u64 {
        self.state().last_changes
    }

    /// As the server counts them, with those made by triggers; where it cannot be asked, the sum of its answers.
    fn total_changes(&mut self) -> u64 {
        let mut state = self.state();
        if !state.stream.is_open() || state.counted != state.stream.opened() {
            return state.changes;
        }
        let request = single("select total_changes()", &UNBOUND, None);
        let counted = match state.stream.ask(&Cancel::default(), &[request]) {
            Ok(mut answers) => answers.pop().and_then(|answer| batch_result(answer).ok()),
            Err(_) => None,
        };
        let cell = counted
            .and_then(|mut result| result.step_results.pop().flatten())
            .and_then(|mut result| result.rows.pop())
            .and_then(|mut row| row.pop());
        match cell {
            Some(ResultCell::Value(super::Value::Integer(count))) => {
                state.changes_before + u64::try_from(count).unwrap_or_default()
            }
            _ => state.changes,
        }
    }

    fn end_with_next(&mut self) {
        self.state().ends_with_next = true;
    }

    fn set_cost_tracking(&mut self, on: bool) {
        self.state().set_cost_tracking = on;
    }

    fn trace(&mut self, tracer: Option<Tracer>) {
        self.state().tracer = tracer;
    }

    fn set_timeout(&mut self, timeout: Duration) -> std::result::Result<(), Failure> {
        let patience = if timeout.is_zero() { PATIENCE } else { timeout };
        self.state().stream.set_patience(patience);
        Ok(())
    }

    fn server_version(&mut self) -> Option<Result<String>> {
        Some(self.busy(|state, cancel| {
            state.stream.version(cancel).map_err(|failure| match failure {
                Failure::Connection(error) => error,
                other => Error::new(crate::error::Code::Interrupted, other.to_string()),
            })
        }))
    }

    fn engine(&mut self) -> Option<&mut dyn LocalEngine> {
        None
    }

    fn is_local(&self) -> bool {
        false
    }
}

impl Drop for HranaSession {
    fn drop(&mut self) {
        self.state().stream.close();
    }
}

//! Supervises a program: starts it, restarts it with back-off when it ends, and stops it. The program has an environment of
//! its own, and its output goes to a capped log.
//!
//! The [`Job`] says what must be done before each start, and when the program is ready. `confine` makes sure that a
//! child does not outlive its supervisor unnoticed: the child holds a lock on its directory and ends with its parent.

pub mod control_group;
mod exit;
mod job;
mod listener;
mod log;
pub mod memory;
mod pause;
mod status;
mod stop;

pub use control_group::ControlGroups;
pub use job::{Job, Launch};
pub use listener::Listener;
pub use status::{OnlyDatabase, ProcessLabel, ProcessStatus};

use crate::error::{Code, Error, Result};
use crate::sync::{lock, wait};
pub use exit::ProgramEnd;
use exit::{end, pid_of};
use log::Log;
use pause::next_pause;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a program may take to become ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How often in a row a start is repeated at once. What hinders it again and again is an ordinary failure.
const REPEATED_AT_ONCE: u32 = 5;

/// How long a program may take to end after SIGTERM, before it is killed.
const GRACE: Duration = Duration::from_secs(7);

/// The state of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Running but not ready, or about to be started.
    Starting,
    Ready,
    /// It ended, or could not be started; it will be started again after a pause.
    Pausing,
    Stopped,
}

struct State {
    phase: Phase,
    pid: Option<Pid>,
    wanted: bool,
    /// When it was first asked to stop.
    stop_requested: Option<Instant>,
    /// Starts that failed, and ready programs that ended, since the beginning.
    failures: u64,
    /// Failures since it was last ready.
    in_a_row: u64,
    /// A description of the last failure.
    failure: String,
    /// Why it was killed, until it has ended.
    killed_because: Option<String>,
}

struct Shared {
    label: Mutex<ProcessLabel>,
    job: Box<dyn Job>,
    log: Arc<Log>,
    state: Mutex<State>,
    changed: Condvar,
}

/// A supervised program. Dropping it stops the program.
pub struct Process {
    shared: Arc<Shared>,
    supervisor: Mutex<Option<JoinHandle<()>>>,
}

impl Process {
    /// Starts supervising a program. `log` is the file for its output.
    pub fn start(label: ProcessLabel, log: PathBuf, job: impl Job) -> Result<Self> {
        let shared = Arc::new(Shared {
            label: Mutex::new(label),
            job: Box::new(job),
            log: Arc::new(Log::open(log)?),
            state: Mutex::new(State {
                phase: Phase::Starting,
                pid: None,
                wanted: true,
                stop_requested: None,
                failures: 0,
                in_a_row: 0,
                failure: String::new(),
                killed_because: None,
            }),
            changed: Condvar::new(),
        });
        let supervised = Arc::clone(&shared);
        // The thread must live as long as its child: on Linux, a child's parent-death signal is sent when the thread
        // that made it ends.
        let supervisor = std::thread::Builder::new()
            .name("supervisor".to_owned())
            .spawn(move || supervised.supervise())
            .map_err(|error| Error::io(error, "cannot start a thread"))?;
        Ok(Self {
            shared,
            supervisor: Mutex::new(Some(supervisor)),
        })
    }

    #[must_use]
    pub fn is_ready(&self) -> bool {
        lock(&self.shared.state).phase == Phase::Ready
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        let pid = lock(&self.shared.state).pid?;
        u32::try_from(pid.as_raw_nonzero().get()).ok()
    }

    /// The processor time it has used, in the system's ticks; none if that is not known.
    #[must_use]
    pub fn worked(&self) -> Option<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()?)).ok()?;
        // The fields after the program's name, which may contain anything.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<u64>().ok();
        Some(ticks()? + ticks()?)
    }

    /// How often it has failed to start or ended by itself.
    #[must_use]
    pub fn failures(&self) -> u64 {
        lock(&self.shared.state).failures
    }

    #[must_use]
    pub fn label(&self) -> ProcessLabel {
        lock(&self.shared.label).clone()
    }

    /// Calls the program something else: what it is for was renamed.
    pub fn set_label(&self, label: ProcessLabel) {
        *lock(&self.shared.label) = label;
    }

    #[must_use]
    pub fn status(&self) -> ProcessStatus {
        let pid = self.pid();
        let memory = pid.and_then(memory::anonymous);
        let state = lock(&self.shared.state);
        ProcessStatus {
            label: self.label(),
            is_ready: state.phase == Phase::Ready,
            // Whoever asks it knows.
            is_silent: false,
            delay: None,
            pid,
            memory,
            failures: state.failures,
            failure: Some(state.failure.clone()).filter(|failure| !failure.is_empty()),
        }
    }

    /// Waits until the program is ready. If it ends first, this fails at once, with the program's last output; it is
    /// restarted in the background all the same.
    pub fn wait_ready(&self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        let mut state = lock(&self.shared.state);
        let mut failures = state.failures;
        if state.phase == Phase::Pausing && state.in_a_row > 1 {
            // It fails repeatedly: the last failure is reported at once. After a single failure it is worth waiting.
            failures = failures.saturating_sub(1);
        }
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match state.phase {
                Phase::Ready => return Ok(()),
                Phase::Stopped => return Err(self.shared.trouble("is stopped")),
                _ if state.failures > failures => {
                    let why = state.failure.clone();
                    drop(state);
                    return Err(self.shared.trouble(&why));
                }
                _ if left.is_zero() => {
                    drop(state);
                    return Err(self.shared.trouble("is not ready yet"));
                }
                _ => {}
            }
            state = wait(&self.shared.changed, state, left);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn supervise(&self) {
        let (mut last_pause, mut repeated) = (None, 0);
        loop {
            let began = Instant::now();
            let end = self.run_once().unwrap_or_else(|error| ProgramEnd {
                text: format!("cannot be started: {}", error.full_message()),
                crashed: false,
                in_order: true,
            });
            let why = match self.job.ended(&end) {
                Some(doing) => format!("{} {doing}", end.text),
                None => end.text,
            };
            if self.is_hindered(repeated) {
                repeated += 1;
                continue;
            }
            repeated = 0;
            let mut state = lock(&self.state);
            let was_ready = state.in_a_row == 0;
            let why = match state.killed_because.take() {
                Some(reason) if state.wanted => format!("was ended: {reason}"),
                _ => why,
            };
            if state.wanted {
                self.log_failure(&why, state.phase == Phase::Ready);
            }
            let pause = next_pause(last_pause, was_ready, began.elapsed());
            last_pause = Some(pause);
            state.failure = why;
            state.failures += 1;
            state.in_a_row += 1;
            state.phase = Phase::Pausing;
            self.changed.notify_all();
            let until = Instant::now() + pause;
            while state.wanted && Instant::now() < until {
                let left = until.saturating_duration_since(Instant::now());
                state = wait(&self.changed, state, left);
            }
            if !state.wanted {
                state.phase = Phase::Stopped;
                self.changed.notify_all();
                return;
            }
            state.phase = Phase::Starting;
            drop(state);
        }
    }

    /// Whether a program that has ended before it was ready is to be started again at once. `repeated` counts how often it was.
    fn is_hindered(&self, repeated: u32) -> bool {
        let is_starting = {
            let state = lock(&self.state);
            state.wanted && state.phase == Phase::Starting && state.killed_because.is_none()
        };
        if !is_starting || repeated >= REPEATED_AT_ONCE {
            return false;
        }
        let Some(cause) = self.job.may_start_at_once() else {
            return false;
        };
        let label = lock(&self.label).clone();
        tracing::warn!(process = %label, %cause, "a database process is started again at once");
        true
    }

    /// Starts the program and waits until it has ended; returns how it ended.
    fn run_once(&self) -> Result<ProgramEnd> {
        if !lock(&self.state).wanted {
            return Ok(ProgramEnd {
                text: "is stopped".to_owned(),
                crashed: false,
                in_order: true,
            });
        }
        let launch = self.job.prepare()?;
        let mut child = self.spawn(&launch)?;
        let pid = pid_of(&child);
        {
            let mut state = lock(&self.state);
            state.pid = pid;
            if !state.wanted {
                drop(state);
                self.signal(Signal::TERM);
            }
        }
        if self.await_ready(&mut child) {
            self.job.became_ready();
            let label = lock(&self.label).clone();
            let ProcessLabel {
                location, group, role, ..
            } = &label;
            let database = label.database_name();
            tracing::info!(%location, %group, database, %role, pid = child.id(), "a database process has started");
            let mut state = lock(&self.state);
            state.phase = Phase::Ready;
            state.in_a_row = 0;
            self.changed.notify_all();
        }
        self.await_exit(&mut child, pid)
    }

    fn spawn(&self, launch: &Launch) -> Result<Child> {
        let doing = || format!("cannot run {}", launch.program.display());
        let (reader, writer) = std::io::pipe().map_err(|error| Error::io(error, doing()))?;
        let other = writer.try_clone().map_err(|error| Error::io(error, doing()))?;
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.args)
            .env_clear()
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(other);
        let child = command.spawn().map_err(|error| Error::io(error, doing()))?;
        // The command holds the writing end of the pipe, which would never be closed.
        drop(command);
        let log = Arc::clone(&self.log);
        let pump = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || log.fill(reader));
        if let Err(error) = pump {
            end(child);
            return Err(Error::io(error, "cannot start a thread"));
        }
        Ok(child)
    }

    /// Waits until the program is ready. False if it ended, is to stop, or takes too long.
    fn await_ready(&self, child: &mut Child) -> bool {
        let deadline = Instant::now() + READY_WITHIN;
        let mut pause = Duration::from_millis(5);
        while Instant::now() < deadline && lock(&self.state).wanted {
            if !matches!(child.try_wait(), Ok(None)) {
                return false;
            }
            if self.job.is_ready(child.id()) {
                return true;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(100));
        }
        let mut state = lock(&self.state);
        if state.wanted {
            state.killed_because = Some(format!("it was not ready within {} seconds", READY_WITHIN.as_secs()));
            drop(state);
            self.signal(Signal::KILL);
        }
        false
    }

    /// Waits for the end of the program.
    fn await_exit(&self, child: &mut Child, pid: Option<Pid>) -> Result<ProgramEnd> {
        loop {
            if let Some(pid) = pid {
                // Not reaped yet: as long as the id is in `state`, it belongs to this child and no other process.
                let _ = rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            }
            if let Some(status) = self.reap(child)? {
                return Ok(ProgramEnd::of(status));
            }
            // The wait was interrupted.
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Reaps the child, if it has ended.
    fn reap(&self, child: &mut Child) -> Result<Option<ExitStatus>> {
        let mut state = lock(&self.state);
        let status = child
            .try_wait()
            .map_err(|error| Error::io(error, "cannot wait for a process"))?;
        if status.is_some() {
            state.pid = None;
        }
        Ok(status)
    }

    fn signal(&self, signal: Signal) {
        let state = lock(&self.state);
        if let Some(pid) = state.pid {
            // An error means that it has ended and waits to be reaped.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    fn log_failure(&self, cause: &str, was_ready: bool) {
        let label = lock(&self.label).clone();
        let ProcessLabel {
            location, group, role, ..
        } = &label;
        let database = label.database_name();
        let last = self.log.last_lines().pop().unwrap_or_default();
        let what = if was_ready {
            "a database process has ended; it is started again"
        } else {
            "a database process does not start; it is tried again"
        };
        tracing::warn!(%location, %group, database, %role, %cause, %last, "{what}");
    }

    /// The error of a program that cannot be used now. Its own words stay in its log: they are not for users of a database, who read
    /// this, too.
    fn trouble(&self, what: &str) -> Error {
        let log = self.log.path().display();
        Error::new(Code::Unavailable, format!("{} {what}", lock(&self.label)))
            .hint(format!("it is tried again; its log is {log}"))
    }
}

#[cfg(test)]
mod tests;

//! `--timeout`: what happens to a command when its time is up.

use crate::change_outcome::hint_of_changes;
use crate::error::{Code, Error};
use crate::temporary_files::remove_unfinished;
#[cfg(unix)]
use crate::termination;
use crate::ui::{self, Ui, report};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What a command may take to say that its time is up.
const TO_SAY: Duration = Duration::from_secs(2);

/// How a command ends when its time is up.
#[derive(Debug, Clone, Copy)]
pub(super) enum TimeoutAction {
    /// At once. That is safe at any moment, as a kill is: what was acknowledged stays, files that are not finished are
    /// removed, and the next command clears what was half-made.
    Exit,
    /// By itself. It gets a moment more for that.
    Report,
    /// As at SIGTERM: it goes on until it is told to stop, and then has something to put in order. With what to do about it.
    #[cfg_attr(not(unix), allow(dead_code))] // no command there runs another one, or serves
    Stop { hint: fn() -> &'static str },
}

/// The time limit of the command that runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeLimit {
    limit: Duration,
    action: TimeoutAction,
}

/// When the time of the command began.
static BEGUN: OnceLock<Instant> = OnceLock::new();

/// Whether the command was told to stop because its time was up.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Whether the time of a command is up that has this limit, counted from the start of the program.
pub(super) fn is_up(limit: Option<Duration>) -> bool {
    limit.is_some_and(|limit| BEGUN.get().is_some_and(|begun| begun.elapsed() >= limit))
}

impl TimeLimit {
    pub fn new(limit: Duration, action: TimeoutAction) -> Self {
        Self { limit, action }
    }

    /// Counts the time from now on.
    pub fn start(self, ui: Ui, json: bool) {
        BEGUN.get_or_init(Instant::now);
        let span = match self.action {
            TimeoutAction::Report => self.limit + TO_SAY,
            TimeoutAction::Exit | TimeoutAction::Stop { .. } => self.limit,
        };
        std::thread::spawn(move || {
            std::thread::sleep(span);
            #[cfg(unix)]
            if matches!(self.action, TimeoutAction::Stop { .. }) && termination::is_caught() {
                STOPPED.store(true, Ordering::SeqCst);
                // It cannot fail: the process is this one.
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM);
                return;
            }
            remove_unfinished();
            std::process::exit(report::report(&ui, json, &self.to_error()).into());
        });
    }

    /// What a command answers that has ended by itself: an error if it was told to stop.
    pub fn result_of<T>(self, result: crate::error::Result<T>) -> crate::error::Result<T> {
        match result {
            Ok(_) if STOPPED.load(Ordering::SeqCst) => Err(self.to_error()),
            // A server was waited for until then.
            Err(error)
                if error.code() == Code::Timeout
                    && is_up(Some(self.limit))
                    && matches!(self.action, TimeoutAction::Stop { .. }) =>
            {
                Err(self.to_error().caused_by(error.full_message()))
            }
            result => result,
        }
    }

    fn to_error(self) -> Error {
        let (did, hint) = match self.action {
            TimeoutAction::Stop { hint } => ("stopped", hint()),
            TimeoutAction::Exit | TimeoutAction::Report => (
                "gave up",
                "run it again, perhaps with a longer --timeout; nothing half-made was left behind",
            ),
        };
        let span = ui::text::span(self.limit.as_millis() as u64);
        Error::new(Code::Timeout, format!("{did} after {span}")).hint(hint_of_changes().unwrap_or(hint))
    }
}

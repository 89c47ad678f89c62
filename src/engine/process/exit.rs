//! How a child process is ended, and how its end is described.

use rustix::process::{Pid, Signal};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};

pub(super) fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

pub(super) fn end(mut child: Child) {
    // It cannot be supervised, so it must not run.
    let _ = child.kill();
    let _ = child.wait();
}

/// Signals that a program gets for what it does itself.
const FAULTS: [Signal; 7] = [
    Signal::ABORT,
    Signal::SEGV,
    Signal::BUS,
    Signal::ILL,
    Signal::FPE,
    Signal::TRAP,
    Signal::SYS,
];

/// How a program ended.
#[derive(Debug, Clone)]
pub struct ProgramEnd {
    /// As the end of a sentence about it.
    pub text: String,
    /// By a fault of its own.
    pub crashed: bool,
    /// By itself, without an error: it has closed its files.
    pub in_order: bool,
}

impl ProgramEnd {
    /// By the status that its parent gets.
    pub fn of(status: ExitStatus) -> Self {
        let text = match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with exit code {code}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended".to_owned(),
        };
        let is_fault = |signal| FAULTS.iter().any(|fault| fault.as_raw() == signal);
        Self {
            text,
            in_order: status.success(),
            crashed: status.code().is_some_and(|code| code != 0) || status.signal().is_some_and(is_fault),
        }
    }
}

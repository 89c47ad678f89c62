//! How a child process is ended, and how its end is described.

use rustix::process::Pid;
use std::process::{Child, ExitStatus};

pub(super) fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

pub(super) fn end(mut child: Child) {
    // It cannot be supervised, so it must not run.
    let _ = child.kill();
    let _ = child.wait();
}

pub(super) fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

//! The processes of a run: those that have its id in their environment, as they inherit it from the command that the run
//! started. They are found where the system lists environments (Linux); elsewhere none is found, and none is ended.

use crate::settings::env;
use std::time::{Duration, Instant};

/// How long processes may take to end by themselves after they were asked to.
const GRACE: Duration = Duration::from_secs(2);

/// How long to wait for the end of processes that were killed. The system may hold one in a call to a disk or a network.
const KILLED: Duration = Duration::from_secs(2);

/// Ends the processes of a run: asks them to end, and kills those that do not in time.
pub fn end_processes(run: &str) {
    let deadline = Instant::now() + GRACE;
    let mut asked = Vec::new();
    while Instant::now() < deadline {
        let left = list(run);
        if left.is_empty() {
            return;
        }
        for process in left {
            if !asked.contains(&process) {
                signal(process, rustix::process::Signal::TERM);
                asked.push(process);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let deadline = Instant::now() + KILLED;
    while Instant::now() < deadline {
        let left = list(run);
        if left.is_empty() {
            return;
        }
        for process in left {
            signal(process, rustix::process::Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(process: rustix::process::Pid, signal: rustix::process::Signal) {
    // It may have ended since it was listed.
    let _ = rustix::process::kill_process(process, signal);
}

/// The run's processes but this one.
#[cfg(target_os = "linux")]
fn list(run: &str) -> Vec<rustix::process::Pid> {
    let entry = format!("{}={run}", env::RUN);
    let is_of_run = |pid: i32| {
        // Of other users' processes this cannot be read; those of a run are this user's.
        std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|one| one == entry.as_bytes()))
    };
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != std::process::id().cast_signed() && is_of_run(*pid))
        .filter_map(rustix::process::Pid::from_raw)
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn list(_run: &str) -> Vec<rustix::process::Pid> {
    Vec::new()
}

//! The processes of a run: those that have its id in their environment, as they inherit it from the command that the run
//! started. They are found where the system lists environments (Linux); elsewhere none is found, and none is ended.

use crate::settings::env;
use std::time::{Duration, Instant};

/// How long processes may take to end by themselves after they were asked to.
const GRACE: Duration = Duration::from_secs(2);

/// How long to wait for the end of processes that were killed. The system may hold one in a call to a disk or a network.
const KILLED: Duration = Duration::from_secs(2);

/// How often none must be found. In the middle of starting a program, a process has no environment.
const LOOKS: u32 = 3;

/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(4);

/// Ends the processes of a run: asks them to end, and kills those that do not in time.
pub fn end_processes(run: &str) {
    let begun = Instant::now();
    let mut terminated = Vec::new();
    let mut empty_looks = 0;
    while empty_looks < LOOKS && begun.elapsed() < GRACE + KILLED {
        let left = list(run);
        empty_looks = if left.is_empty() { empty_looks + 1 } else { 0 };
        for process in left {
            if begun.elapsed() > GRACE {
                signal(process, rustix::process::Signal::KILL);
            } else if !terminated.contains(&process) {
                signal(process, rustix::process::Signal::TERM);
                terminated.push(process);
            }
        }
        std::thread::sleep(PAUSE);
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

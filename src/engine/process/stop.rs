//! Ends of a program that its owner wants: it is killed or asked to end, and started again or stopped for good.

use super::{GRACE, Phase, Process};
use crate::sync::{lock, wait};
use rustix::process::Signal;
use std::time::{Duration, Instant};

impl Process {
    /// Kills the program, as a crash would; it is restarted. The reason is told as the cause of its end.
    pub fn kill(&self, because: &str) {
        {
            let mut state = lock(&self.shared.state);
            if state.pid.is_none() {
                return;
            }
            state.killed_because = Some(because.to_owned());
        }
        self.shared.signal(Signal::KILL);
    }

    /// Asks the program to end, so that it leaves its files in order; it is started again.
    pub fn end_and_restart(&self, because: &str) {
        tracing::warn!(%because, process = %self.label(), "a database process is started again");
        self.shared.signal(Signal::TERM);
    }

    /// Kills the program, and returns when it has ended: what is ready afterwards is another one.
    pub fn restart(&self, because: &str) {
        let Some(pid) = lock(&self.shared.state).pid else {
            return;
        };
        self.kill(because);
        let deadline = Instant::now() + GRACE;
        let mut state = lock(&self.shared.state);
        while state.pid == Some(pid) || (state.pid.is_none() && state.phase == Phase::Ready) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = wait(&self.shared.changed, state, left.min(Duration::from_millis(20)));
        }
    }

    /// Stops the program for good: asks it to end, and kills it if it does not in time.
    pub fn stop(&self) {
        self.begin_stop();
        let mut state = lock(&self.shared.state);
        while state.phase != Phase::Stopped {
            let left = state.stop_requested.map_or(Duration::ZERO, |stop_requested| {
                GRACE.saturating_sub(stop_requested.elapsed())
            });
            if left.is_zero() {
                drop(state);
                self.shared.signal(Signal::KILL);
                break;
            }
            state = wait(&self.shared.changed, state, left);
        }
        if let Some(supervisor) = lock(&self.supervisor).take() {
            // If the supervisor has panicked, there is nothing more to stop.
            let _ = supervisor.join();
        }
    }

    /// Stops the program for good as a crash would, without waiting for its clients.
    pub fn stop_at_once(&self) {
        lock(&self.shared.state).wanted = false;
        self.shared.signal(Signal::KILL);
        self.stop();
    }

    /// Asks the program to end, without waiting. [`Process::stop`] waits for it; so several programs can end at the
    /// same time.
    pub fn begin_stop(&self) {
        {
            let mut state = lock(&self.shared.state);
            state.wanted = false;
            state.stop_requested.get_or_insert_with(Instant::now);
        }
        self.shared.signal(Signal::TERM);
        self.shared.changed.notify_all();
    }
}

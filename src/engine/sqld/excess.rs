//! Ends processes that take too much of the machine: more memory than they may, which statements can reach only together
//! (one that needs too much fails by itself, see `--hard-heap-limit-mb` in `job`), or a processor for longer than any
//! statement may run. Usually a statement ends when nobody waits for it any more; but libSQL server can stop it only between
//! two steps of SQLite's machine, and a single call of a function is one step.

use super::Nodes;
use super::node::Node;
use crate::engine::process::memory;
use crate::sync::lock;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How much longer than a statement may take a thread may compute.
const MARGIN: Duration = Duration::from_secs(10);

/// What a process may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    /// Bytes of memory.
    pub memory: u64,
    /// For one statement.
    pub time: Duration,
}

/// Threads that compute, by process and thread id.
#[derive(Default)]
pub(super) struct Excess {
    computing: HashMap<(u32, u32), Computation>,
}

/// A thread that was running whenever it was looked at, and has not waited for anything in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Computation {
    since: Instant,
    /// How often it has waited for something since it began.
    waits: u64,
}

impl Excess {
    /// Looks at every process once, and ends those that exceed what they may take.
    pub fn check(&mut self, nodes: &Nodes, allowance: Allowance) {
        let nodes: Vec<_> = lock(nodes).values().cloned().collect();
        let mut computing = HashMap::new();
        for node in &nodes {
            let Some(pid) = node.process().pid().filter(|_| node.process().is_ready()) else {
                continue;
            };
            if let Some(bytes) = memory::anonymous(pid).filter(|bytes| *bytes > allowance.memory) {
                let (has, may) = (bytes >> 20, allowance.memory >> 20);
                node.process()
                    .kill(&format!("it took {has} MiB of memory, and may have {may} MiB"));
            } else if !node.is_importing() {
                self.check_threads(node, pid, allowance.time + MARGIN, &mut computing);
            }
        }
        self.computing = computing;
    }

    fn check_threads(
        &self,
        node: &Node,
        pid: u32,
        longest: Duration,
        computing: &mut HashMap<(u32, u32), Computation>,
    ) {
        for thread in running_threads(pid) {
            let Some(waits) = waits(pid, thread) else { continue };
            let before = self
                .computing
                .get(&(pid, thread))
                .filter(|before| before.waits == waits);
            let since = before.map_or_else(Instant::now, |before| before.since);
            if since.elapsed() > longest {
                let seconds = since.elapsed().as_secs();
                node.process().kill(&format!(
                    "a statement has run for {seconds} seconds and cannot be stopped otherwise"
                ));
                return;
            }
            computing.insert((pid, thread), Computation { since, waits });
        }
    }
}

/// The threads of a process that are running, or would if a processor were free.
fn running_threads(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    threads
        .filter_map(|thread| {
            let thread: u32 = thread.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat")).ok()?;
            // After the program's name, which may contain anything.
            let state = stat.rsplit_once(')')?.1.trim_start().chars().next()?;
            (state == 'R').then_some(thread)
        })
        .collect()
}

/// How often a thread has given its processor away to wait for something.
fn waits(pid: u32, thread: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    line.trim().parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn threads_that_compute_are_told_from_those_that_wait() {
        let pid = std::process::id();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let computing = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                rustix::thread::gettid().as_raw_nonzero().get()
            });
            std::thread::sleep(Duration::from_millis(100));
            let times = || -> HashMap<u32, u64> {
                running_threads(pid)
                    .into_iter()
                    .filter_map(|thread| Some((thread, waits(pid, thread)?)))
                    .collect()
            };
            let before = times();
            std::thread::sleep(Duration::from_millis(300));
            let after = times();
            done.store(true, Ordering::Relaxed);
            let thread = u32::try_from(computing.join().unwrap()).unwrap();
            assert!(before.contains_key(&thread));
            assert_eq!(before.get(&thread), after.get(&thread));
        });
    }
}

//! A background thread for running processes: it ends those that hang, so that they are restarted; repairs stuck
//! replicas (`replica_repair`), and has replicas follow what is written to at their primaries.

use super::Nodes;
use super::excess::{Allowance, Excess};
use super::replica_repair::ReplicaRepair;
use super::watch::Watch;
use crate::error::{Error, Result};
use crate::sync::lock;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often replicas are checked, and silent processes asked again.
const LOOK: Duration = Duration::from_secs(2);

/// How soon a file that is missing or damaged is looked at again, which decides.
const SECOND_LOOK: Duration = Duration::from_millis(250);

/// How often the health of every process is checked.
const ROUND: Duration = Duration::from_secs(4);

/// How long a process may not answer before it counts as hung. One that uses processor time meanwhile may only be slow.
const SILENT: Duration = Duration::from_secs(8);
const SILENT_AT_WORK: Duration = Duration::from_secs(60);

pub(super) struct Watchdog {
    /// Dropping it stops the thread, which is not waited for: it may be waiting for an answer.
    running: Mutex<Option<SyncSender<()>>>,
}

impl Watchdog {
    pub fn start(nodes: &Arc<Nodes>, allowance: Allowance) -> Result<Self> {
        let nodes = Arc::clone(nodes);
        let (stop, stopped) = mpsc::sync_channel(0);
        std::thread::Builder::new()
            .name("keeper".to_owned())
            .spawn(move || {
                let mut silent = Silent::default();
                let mut healer = ReplicaRepair::default();
                let mut excess = Excess::default();
                let mut watch = Watch::default();
                let verifying = Arc::new(AtomicBool::new(false));
                let mut checked = Instant::now();
                while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                    watch.check(&nodes);
                    if watch.has_faults() {
                        if stopped.recv_timeout(SECOND_LOOK) != Err(RecvTimeoutError::Timeout) {
                            break;
                        }
                        watch.check(&nodes);
                    }
                    verify(&nodes, &verifying);
                    healer.run(&nodes);
                    redirect(&nodes);
                    excess.check(&nodes, allowance);
                    let all = checked.elapsed() >= ROUND;
                    if all {
                        checked = Instant::now();
                    }
                    end_hung(&nodes, &mut silent, all);
                }
            })
            .map_err(|error| Error::io(error, "cannot start a thread"))?;
        Ok(Self {
            running: Mutex::new(Some(stop)),
        })
    }

    pub fn stop(&self) {
        drop(lock(&self.running).take());
    }
}

/// Has databases read that may be damaged, by a thread of its own, because that may take long.
fn verify(nodes: &Nodes, busy: &Arc<AtomicBool>) {
    let all: Vec<_> = lock(nodes).values().cloned().collect();
    let some: Vec<_> = all.into_iter().filter(|node| node.health().has_unverified()).collect();
    if some.is_empty() || busy.swap(true, Ordering::SeqCst) {
        return;
    }
    let ends = Arc::clone(busy);
    let thread = std::thread::Builder::new().name("verify".to_owned()).spawn(move || {
        for node in some {
            // What could not be read now is read in the next round.
            let _ = node.verify_all();
        }
        ends.store(false, Ordering::SeqCst);
    });
    if thread.is_err() {
        busy.store(false, Ordering::SeqCst);
    }
}

/// Processes that did not answer at the last check, by directory.
type Silent = HashMap<PathBuf, SilentProcess>;

/// Since when a process does not answer, and its processor time then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SilentProcess {
    since: Instant,
    pid: Option<u32>,
    worked: Option<u64>,
}

impl SilentProcess {
    fn is_too_long(self, now: Instant, worked: Option<u64>) -> bool {
        // If its processor time is not known, it may be working.
        let idle = self.worked.is_some() && self.worked == worked;
        now.duration_since(self.since) >= if idle { SILENT } else { SILENT_AT_WORK }
    }
}

/// Kills processes that were ready and do not answer any more. Those that answered at the last check are only asked
/// with `all`.
fn end_hung(nodes: &Nodes, silent: &mut Silent, all: bool) {
    let nodes: Vec<_> = lock(nodes).values().cloned().collect();
    silent.retain(|dir, _| nodes.iter().any(|node| node.dir() == dir));
    for node in nodes {
        let known = silent.get(node.dir()).copied();
        if known.is_none() && !all {
            continue;
        }
        let pid = node.process().pid();
        let worked = node.process().worked();
        let answers = !node.process().is_ready() || node.admin().is_ok_and(|admin| admin.healthy());
        node.is_silent.store(!answers, Ordering::SeqCst);
        if answers {
            silent.remove(node.dir());
            continue;
        }
        match known.filter(|known| known.pid == pid) {
            Some(known) if known.is_too_long(Instant::now(), worked) => {
                silent.remove(node.dir());
                node.process().kill(&format!(
                    "it did not answer for {} seconds",
                    known.since.elapsed().as_secs()
                ));
            }
            Some(_) => {}
            None => {
                let since = Instant::now();
                silent.insert(node.dir().to_owned(), SilentProcess { since, pid, worked });
            }
        }
    }
}

/// Restarts replicas whose primaries have got another port: they are told where it is when they start.
fn redirect(nodes: &Nodes) {
    let nodes: Vec<_> = lock(nodes).values().cloned().collect();
    for node in nodes.iter().filter(|node| node.is_misdirected()) {
        node.process().kill("its primary has another port now");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watchdog_gives_a_process_that_works_more_time() {
        let since = Instant::now();
        let after = |seconds| since + Duration::from_secs(seconds);
        let silence = |worked| SilentProcess {
            since,
            pid: Some(7),
            worked,
        };
        assert!(!silence(Some(5)).is_too_long(after(7), Some(5)));
        assert!(silence(Some(5)).is_too_long(after(8), Some(5)));
        assert!(!silence(Some(5)).is_too_long(after(59), Some(6)));
        assert!(silence(Some(5)).is_too_long(after(60), Some(6)));
        assert!(!silence(None).is_too_long(after(59), None));
    }
}

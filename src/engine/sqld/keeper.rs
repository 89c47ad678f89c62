//! What has to be done again and again for processes that run: ending one that hangs, so that it is started again,
//! looking after replicas that do not follow (`heal`), and touching every replica's namespaces, which are dropped when nobody
//! asks for them for a day.

use super::heal::Healer;
use super::node::{self, Common, Place};
use super::{Nodes, lock};
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often replicas are looked after.
const LOOK: Duration = Duration::from_secs(2);

/// How often every process is asked whether it lives.
const ROUND: Duration = Duration::from_secs(10);

/// Rounds without an answer before a process is taken for hung. A machine that is short of time is no reason.
const SILENT_ROUNDS: u32 = 6;

const TOUCH_EVERY: Duration = Duration::from_secs(4 * 3600);

pub(super) struct Keeper {
    /// Dropped to stop. The thread is not waited for: it may be waiting for an answer, and changes nothing by itself.
    running: Mutex<Option<SyncSender<()>>>,
}

impl Keeper {
    pub fn start(common: &Arc<Common>, nodes: &Arc<Nodes>) -> Result<Self> {
        let (common, nodes) = (Arc::clone(common), Arc::clone(nodes));
        let (stop, stopped) = mpsc::sync_channel(0);
        std::thread::Builder::new()
            .name("keeper".to_owned())
            .spawn(move || {
                let mut silent = HashMap::new();
                let mut healer = Healer::default();
                let mut touched = Instant::now();
                let mut asked = Instant::now();
                while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                    healer.look(&common, &nodes);
                    if asked.elapsed() < ROUND {
                        continue;
                    }
                    asked = Instant::now();
                    end_hung(&common, &nodes, &mut silent);
                    if touched.elapsed() > TOUCH_EVERY {
                        touched = Instant::now();
                        touch(&common, &nodes);
                    }
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

/// Counts rounds in which a process that was ready did not answer.
fn end_hung(common: &Common, nodes: &Nodes, silent: &mut HashMap<PathBuf, u32>) {
    let all: Vec<_> = lock(nodes).values().cloned().collect();
    silent.retain(|dir, _| all.iter().any(|node| node.dir() == dir));
    for node in all {
        let rounds = silent.entry(node.dir().to_owned()).or_default();
        if !node.process().is_ready() || common.admin.healthy(node.role.http_port) {
            *rounds = 0;
        } else {
            *rounds += 1;
            if *rounds >= SILENT_ROUNDS {
                *rounds = 0;
                node.process().kill();
            }
        }
    }
}

fn touch(common: &Common, nodes: &Nodes) {
    let all: Vec<_> = lock(nodes).values().cloned().collect();
    for node in all.iter().filter(|node| node.role.role == Place::Replica) {
        for id in node::acknowledged(node.dir()).unwrap_or_default() {
            // One that cannot be touched now is, at the latest, when a write has made it look stale.
            let _ = common.admin.usage(node.role.admin_port, &id);
        }
    }
}

//! Measures how long a write takes until replicas show it. Each primary's process with replicas has one database of torso's own
//! for that, the canary, however many databases it serves. torso writes to it now and then, and reads it at each replica until
//! what it wrote is there. The processes of one pool send all of their databases' logs by the same way, so the canary says what a
//! write to any other would meet there.
//!
//! It has no record and no site: it is in no list, quota, backup or hostname, and does not keep a process in use. Every primary's
//! process makes its own, so that there is one after a promotion, too. Losing it loses nothing: it does not wait for the disk, and
//! is made again when it cannot be written or its log has become long.

use super::admin::Admin;
use super::files::{self, CANARY};
use super::keys::Access;
use super::node::Node;
use super::role::{ProcessRole, db_path};
use super::{Nodes, host};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use crate::sync::lock;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often it is written.
const INTERVAL: Duration = Duration::from_secs(10);

/// How long it is read at replicas after each write, and how long a read may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The pauses between two reads.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// Bytes of its log, after which it is made again: about a thousand writes.
const LONGEST_LOG: u64 = 4 << 20;

/// The thread that writes and reads canaries.
pub(super) struct CanaryTask {
    /// Dropping it stops the thread, which is not waited for: it may be waiting for an answer.
    running: Mutex<Option<SyncSender<()>>>,
}

impl CanaryTask {
    pub fn start(nodes: &Arc<Nodes>) -> Result<Self> {
        let nodes = Arc::clone(nodes);
        let (stop, stopped) = mpsc::sync_channel(0);
        std::thread::Builder::new()
            .name("canary".to_owned())
            .spawn(move || {
                let mut canaries = Canaries::default();
                while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                    canaries.measure_all(&nodes);
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

/// The state between two measurements.
#[derive(Default)]
struct Canaries {
    /// The replicas' processes, by directory, that follow their canary: none was started again since.
    following: HashMap<PathBuf, Option<u32>>,
}

/// A process that answers, and how to reach its canary.
struct CanaryAccess<'n> {
    node: &'n Node,
    admin: Admin,
    token: Secret,
}

impl<'n> CanaryAccess<'n> {
    /// None for a process that does not run or does not answer.
    fn of(node: &'n Node) -> Option<Self> {
        let admin = node.admin().ok().filter(|_| !node.status().is_silent)?;
        let token = node.token(CANARY, Access::ReadWrite).ok()?;
        Some(Self { node, admin, token })
    }

    /// Runs statements; returns the value that the last one has read, null without one.
    fn run(&self, statements: &[&str]) -> Result<Value> {
        self.admin
            .run_statements(&host(CANARY), &self.token, statements, PATIENCE)
    }

    fn write(&self, number: i64) -> Result<()> {
        self.run(&[&format!("INSERT OR REPLACE INTO canary VALUES (1, {number})")])
            .map(drop)
    }

    fn read(&self) -> Option<i64> {
        let value = self.run(&["SELECT n FROM canary"]).ok()?;
        value.as_str()?.parse().ok()
    }
}

impl Canaries {
    fn measure_all(&mut self, nodes: &Nodes) {
        let all: Vec<_> = lock(nodes).values().cloned().collect();
        self.following.retain(|dir, _| all.iter().any(|node| node.dir() == dir));
        for primary in all.iter().filter(|node| node.place == ProcessRole::Primary) {
            let of_pool = all
                .iter()
                .filter(|node| node.place == ProcessRole::Replica && node.pool == primary.pool);
            let replicas: Vec<_> = of_pool.filter_map(|node| CanaryAccess::of(node)).collect();
            if replicas.is_empty() {
                continue;
            }
            if let Some(primary) = CanaryAccess::of(primary) {
                // What fails is tried again in the next round; what was written before and is not seen counts on.
                if let Err(error) = self.measure(&primary, &replicas) {
                    let (dir, cause) = (primary.node.dir().display(), error.full_message());
                    tracing::debug!(%dir, %cause, "how long writes take to replicas cannot be measured now");
                }
            }
        }
    }

    /// Writes the canary of a pool, and reads it at its replicas until they show it.
    fn measure(&mut self, primary: &CanaryAccess<'_>, replicas: &[CanaryAccess<'_>]) -> Result<()> {
        let log = files::log_bytes(&db_path(primary.node.dir()), CANARY);
        if log > LONGEST_LOG {
            self.remove(primary, replicas)?;
        }
        for replica in replicas {
            let (dir, pid) = (replica.node.dir(), replica.node.process().pid());
            let is_stuck = lock(&replica.node.delay).is_stuck(Instant::now());
            if is_stuck {
                replica.admin.delete(CANARY)?;
                lock(&replica.node.delay).copied_at = Some(Instant::now());
                self.following.remove(dir);
            }
            if self.following.get(dir) != Some(&pid) {
                // It has to exist before a replica can follow it.
                if primary.read().is_none() {
                    make(primary)?;
                }
                replica.admin.usage(CANARY)?;
                self.following.insert(dir.to_owned(), pid);
            }
        }
        let number = Timestamp::now().as_millisecond();
        if let Err(error) = primary.write(number) {
            if error.code() == Code::InvalidFile {
                self.remove(primary, replicas)?;
            }
            return Err(error);
        }
        let begun = Instant::now();
        for replica in replicas {
            lock(&replica.node.delay).note_write(number, begun);
        }
        read_until_seen(replicas, begun);
        Ok(())
    }

    /// Removes the canary of a pool; it is made again by the next measurement. A replica that had it would go on to ask for it.
    fn remove(&mut self, primary: &CanaryAccess<'_>, replicas: &[CanaryAccess<'_>]) -> Result<()> {
        primary.admin.delete(CANARY)?;
        for replica in replicas {
            replica.admin.delete(CANARY)?;
            self.following.remove(replica.node.dir());
        }
        Ok(())
    }
}

/// Makes the canary at a primary.
fn make(primary: &CanaryAccess<'_>) -> Result<()> {
    primary.admin.create_unsynced(CANARY)?;
    primary
        .run(&["CREATE TABLE IF NOT EXISTS canary (id INTEGER PRIMARY KEY, n INTEGER)"])
        .map(drop)
}

/// Reads the canary at replicas until each shows everything, or the time is over.
fn read_until_seen(replicas: &[CanaryAccess<'_>], begun: Instant) {
    let mut waiting: Vec<_> = replicas.iter().collect();
    let mut pause = FIRST_PAUSE;
    loop {
        waiting.retain(|replica| {
            let read = replica.read();
            !read.is_some_and(|number| lock(&replica.node.delay).note_read(number, Instant::now()))
        });
        if waiting.is_empty() || begun.elapsed() > PATIENCE {
            return;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

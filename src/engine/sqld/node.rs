//! One libSQL server process: its directory, its namespaces, and how far they are.
//!
//! ```text
//! <location>/<pool>/role.json      its role, epoch and ports
//! <location>/<pool>/lock           held by the process
//! <location>/<pool>/log, log.1     its output
//! <location>/<pool>/authority.pem  which servers of the network it trusts: none
//! <location>/<pool>/keys/          its certificate and key for replication, while it starts
//! <location>/<pool>/databases/<id> a namespace that was acknowledged, and what is enforced on it
//! <location>/<pool>/damaged/        databases that are not served (see `quarantine`)
//! <location>/<pool>/left.json       what its files were like when it ended (see `integrity`)
//! <location>/<pool>/aside/         what was in the way of a start
//! <location>/<pool>/sqld/          the process's own files; all it may touch, with tmp/
//! ```
//!
//! `role` and `records` have the files, `job` starts the process.

use super::admin::Admin;
use super::common::{Common, PrimaryElsewhere};
use super::files;
use super::health::Health;
use super::job::ProcessJob;
use super::keys::Access;
use super::records::records_dir;
use super::replica_delay::ReplicaDelay;
use super::role::{InstanceConfig, ProcessRole, db_path, role_of, write_role};
use crate::engine::process::{Process, ProcessLabel, ProcessStatus};
use crate::engine::{Damage, Frame, ProcessFacts, disk};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use crate::sync::lock;
use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

/// How long a caller waits for a process to serve.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How long a replica may make no progress before a caller stops waiting for it.
const STALL: Duration = Duration::from_secs(30);

/// A supervised process.
pub(super) struct Node {
    pub place: ProcessRole,
    /// The name of its pool.
    pub pool: String,
    server: Arc<ProcessJob>,
    process: Process,
    /// Whether it did not answer when the watchdog asked it last.
    pub is_silent: AtomicBool,
    /// Of a replica: what the canary tells.
    pub delay: Mutex<ReplicaDelay>,
    /// The namespaces of a replica whose content was not that of their primary when it was last compared.
    diverged: Mutex<HashSet<String>>,
}

impl Node {
    /// Starts a process over a directory, which is made if it is new. The process may not serve yet.
    pub fn start(common: &Arc<Common>, dir: &Path, label: ProcessLabel, role: InstanceConfig) -> Result<Self> {
        for part in [db_path(dir), dir.join("tmp"), records_dir(dir)] {
            disk::private_dir(&part)?;
        }
        if role_of(dir)?.is_none() {
            write_role(dir, &role)?;
        }
        let pool = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let place = role.role;
        let server = Arc::new(ProcessJob::new(dir, Arc::clone(common), common.pool(&pool)?, role));
        let process = Process::start(label, dir.join("log"), Arc::clone(&server))?;
        Ok(Self {
            place,
            pool,
            server,
            process,
            is_silent: AtomicBool::new(false),
            delay: Mutex::default(),
            diverged: Mutex::default(),
        })
    }

    pub fn status(&self) -> ProcessStatus {
        let status = self.process.status();
        ProcessStatus {
            is_silent: status.is_ready && self.is_silent.load(Ordering::SeqCst),
            // One that does not run shows nothing.
            delay: lock(&self.delay).at(Instant::now()).filter(|_| status.is_ready),
            ..status
        }
    }

    /// What is known of the process and of an instance that it serves.
    pub fn facts(&self, instance: &str) -> ProcessFacts {
        let status = self.status();
        ProcessFacts {
            is_silent: status.is_silent,
            failures: status.failures,
            failure: status.failure,
            level_ago: self.health().last_level(instance).map(|at| at.elapsed()),
            delay: status.delay,
            has_diverged: lock(&self.diverged).contains(instance),
        }
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    pub fn dir(&self) -> &Path {
        &self.server.dir
    }

    pub fn role(&self) -> InstanceConfig {
        self.server.role()
    }

    /// How to reach the process; `unavailable` unless it is ready.
    pub fn admin(&self) -> Result<Admin> {
        self.server
            .admin()
            .ok_or_else(|| Error::new(Code::Unavailable, format!("{} does not run now", self.process.label())))
    }

    /// Makes a token for a namespace, valid for a minute.
    pub fn token(&self, id: &str, access: Access) -> Result<Secret> {
        self.server.common.keys.token(id, access, Duration::from_secs(60))
    }

    /// Notes whether the content of a namespace was that of its primary when they were compared.
    pub fn note_compared(&self, id: &str, is_equal: bool) {
        let mut diverged = lock(&self.diverged);
        if is_equal {
            diverged.remove(id);
        } else {
            diverged.insert(id.to_owned());
        }
    }

    pub fn wait_ready(&self) -> Result<()> {
        self.process.wait_ready(START_PATIENCE)
    }

    /// Whether a replica's process was started for another log port than its primary has now.
    pub fn is_misdirected(&self) -> bool {
        self.place == ProcessRole::Replica && self.process.is_ready() && self.server.is_misdirected()
    }

    /// Whether the process is making a namespace of a file now, which may take it long.
    pub fn is_importing(&self) -> bool {
        self.server.importing.load(Ordering::SeqCst) > 0
    }

    /// Whether the process was asked for a namespace since its start. If not, it has not opened its files: a primary writes
    /// nothing to them, and a replica does not follow it.
    pub fn has_served(&self, id: &str) -> bool {
        lock(&self.server.requested).has(id)
    }

    /// The namespaces that the process was asked for since its start.
    pub fn served(&self) -> Vec<String> {
        lock(&self.server.requested).ids().cloned().collect()
    }

    /// Notes that the process is asked for a namespace by somebody else.
    pub fn note_used(&self, id: &str) {
        lock(&self.server.requested).note_now(id);
    }

    /// Whether a namespace is being removed.
    pub fn is_removing(&self, id: &str) -> bool {
        lock(&self.server.requested).is_removing(id)
    }

    /// Makes the process create a namespace, empty or from the file in its place, and load it. An existing one stays.
    pub fn make(&self, id: &str) -> Result<()> {
        self.server.make(&self.admin()?, id)?;
        files::sync_namespace(&db_path(self.dir()), id)?;
        self.health().note_file(self.dir(), id);
        Ok(())
    }

    /// Makes the process load a namespace.
    pub fn ask(&self, id: &str) -> Result<()> {
        self.server.ask(&self.admin()?, id)
    }

    /// The last frame of a namespace's log; none while that is not known.
    pub fn frame(&self, id: &str) -> Option<Frame> {
        files::position(self.place, &db_path(self.dir()), id).frame
    }

    /// When that was last written; none if there is no log yet.
    pub fn frame_changed(&self, id: &str) -> Option<SystemTime> {
        files::log_changed(self.place, &db_path(self.dir()), id)
    }

    /// Bytes of a namespace's database and of its write-ahead log.
    pub fn bytes(&self, id: &str) -> u64 {
        let database = files::database(&db_path(self.dir()), id);
        [database.clone(), disk::with_suffix(&database, "-wal")]
            .iter()
            .filter_map(|path| std::fs::metadata(path).ok())
            .map(|metadata| metadata.len())
            .sum()
    }

    /// Makes a replica follow a namespace, and waits until it has everything that its primary has now.
    pub fn follow(&self, id: &str, primary: &Self) -> Result<()> {
        if !primary.has_served(id) || primary.frame(id).is_none() {
            primary.ask(id)?;
        }
        let Some(mut target) = primary.frame(id) else {
            return Err(Error::new(
                Code::Unavailable,
                format!(
                    "the log of database {} at its primary cannot be read",
                    self.server.common.names.name_of(id)
                ),
            ));
        };
        self.ask(id)?;
        let mut last = None;
        let mut moved = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            let now = self.frame(id);
            if now.is_some_and(|now| has_reached(now, target)) {
                return Ok(());
            }
            target = aim(target, primary.frame(id));
            if now != last {
                last = now;
                moved = Instant::now();
            } else if moved.elapsed() > STALL {
                return Err(Error::new(
                    Code::Timeout,
                    format!(
                        "the replica of database {} does not catch up with its primary",
                        self.server.common.names.name_of(id)
                    ),
                )
                .hint("torso doctor has details"));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// Notes that a namespace is being removed.
    pub fn note_gone(&self, id: &str) -> Result<()> {
        lock(&self.server.requested).remove(id);
        lock(&self.diverged).remove(id);
        lock(&self.server.crashes).forget(id);
        self.health().forget(&self.server.common, self.dir(), id)
    }

    /// What is known of its primary, where that is on another machine.
    pub fn primary_elsewhere(&self) -> Option<PrimaryElsewhere> {
        self.server.pool.elsewhere()
    }

    pub fn health(&self) -> &Health {
        &self.server.health
    }

    /// Stops serving a database whose files were found damaged.
    pub fn withdraw(&self, id: &str, damage: Damage) -> Result<()> {
        self.health()
            .withdraw(&self.server.common, &self.process, self.dir(), id, damage)
    }

    /// Has the files of a database judged by their content, before a process that is started again for that.
    pub fn judge_again(&self, id: &str) {
        self.health().judge_again(&self.process, id);
    }

    /// Reads the databases that may be damaged, and does what follows.
    pub fn verify_all(&self) -> Result<()> {
        self.health()
            .verify_all(&self.server.common, &self.process, self.dir(), self.place)
    }
}

/// Whether a replica has reached a frame of its primary's log.
fn has_reached(now: Frame, target: Frame) -> bool {
    now == target || (now.log == target.log && now.count > target.count)
}

/// The frame that a replica must reach, given the primary's present one. A primary that was killed begins a new log,
/// and frames of the old one are never reached; but all of its content is in the new one.
fn aim(target: Frame, primary: Option<Frame>) -> Frame {
    primary.filter(|now| now.log != target.log).unwrap_or(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replica_follows_into_the_log_that_replaces_another() {
        let frame = |log, count| Frame { log, count };
        let target = frame(1, 10);
        // More in the same log is not waited for, and what cannot be read changes nothing.
        assert_eq!(aim(target, Some(frame(1, 12))), target);
        assert_eq!(aim(target, None), target);
        assert!(has_reached(frame(1, 11), target));
        assert!(!has_reached(frame(1, 9), target));
        // However far the replica comes in the new log, it has not reached the old one's end.
        assert!(!has_reached(frame(2, 99), target));
        let next = aim(target, Some(frame(2, 3)));
        assert_eq!(next, frame(2, 3));
        assert!(has_reached(frame(2, 99), next));
    }
}

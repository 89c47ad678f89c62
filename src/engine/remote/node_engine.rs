//! The engine of a location on a machine of its own, as a whole: it is given the whole wanted state, and says what there is. How both
//! are sent, and how a pool's primary is reached from here, is the caller's.

use super::{
    InstanceReport, NodeReport, RemotePrimary, ReportAnswer, ReportOrder, WantedInstance, WantedPool, WantedState,
};
use crate::engine::sqld::{PrimaryElsewhere, SqldEngine};
use crate::engine::{Engine as _, Site, database_of_instance, disk};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Runs the replicas and the primaries of one location.
pub struct NodeEngine {
    engine: SqldEngine,
    location: String,
    /// The directory of the location's pools.
    dir: PathBuf,
    wanted: Mutex<Arc<WantedState>>,
    /// Of the last report.
    reported: Mutex<ReportOrder>,
    /// The instances that had everything when they were last reported.
    level: Mutex<BTreeSet<String>>,
    /// The primaries whose writes are refused while they are moved, each with the number of that block: no write is under way.
    pub(super) blocked: Mutex<BTreeMap<String, u64>>,
    /// The pools whose process was started before they have a primary.
    pub(super) prepared: Mutex<BTreeSet<String>>,
}

/// Where a wanted state comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedSource {
    /// A file of an earlier run: it may be old, and what it does not name may be wanted. So nothing is removed.
    File,
    /// The server, in this run.
    Server,
}

/// What came of a wanted state.
#[derive(Debug, Default)]
pub struct AppliedState {
    pub unreached: Vec<UnreachedInstance>,
    /// Instances that are not wanted, and stay for now.
    pub retained: usize,
}

impl AppliedState {
    /// Whether there is nothing left to do.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unreached.is_empty() && self.retained == 0
    }
}

/// What could not be done of a wanted state.
#[derive(Debug)]
pub struct UnreachedInstance {
    pub instance: String,
    pub error: Error,
}

impl NodeEngine {
    #[must_use]
    pub fn new(engine: SqldEngine, location: &str, dir: PathBuf) -> Self {
        Self {
            engine,
            location: location.to_owned(),
            dir,
            wanted: Mutex::default(),
            reported: Mutex::new(ReportOrder {
                run: fastrand::u64(..),
                number: 0,
            }),
            level: Mutex::default(),
            blocked: Mutex::default(),
            prepared: Mutex::default(),
        }
    }

    /// The code of the location.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether a replica had everything when it was last reported.
    pub(super) fn is_level(&self, instance: &str) -> bool {
        lock(&self.level).contains(instance)
    }

    /// What was wanted last.
    #[must_use]
    pub fn wanted(&self) -> Arc<WantedState> {
        Arc::clone(&lock(&self.wanted))
    }

    /// The engine of the processes.
    #[must_use]
    pub fn engine(&self) -> &SqldEngine {
        &self.engine
    }

    /// The site of an instance of a wanted pool.
    #[must_use]
    pub fn site(&self, pool: &str, instance: &str) -> Site {
        let wanted = lock(&self.wanted);
        let known = wanted.pools.get(pool);
        let (id, epoch) = database_of_instance(instance);
        Site {
            location: self.location.clone(),
            dir: self.dir.clone(),
            external: false,
            pool: Some(pool.to_owned()),
            id: id.to_owned(),
            epoch,
            database: known.and_then(|pool| Some(pool.instances.get(instance)?.database.clone())),
            group: known.map(|pool| pool.group.clone()),
        }
    }

    /// Takes what is wanted here from now on. Streams are judged by it at once; [`NodeEngine::apply`] makes the rest so.
    pub fn take_wanted(&self, wanted: &WantedState) -> Result<()> {
        wanted.check_names()?;
        *lock(&self.wanted) = Arc::new(wanted.clone());
        Ok(())
    }

    /// Makes what there is what was taken as wanted, as far as it can; applying the same again changes nothing. `port` is where this
    /// machine leads to the primary of a pool; `progress` is called when the primaries are there. Returns what could not be done, and
    /// how many instances stay until their successors have everything.
    ///
    /// What is not wanted is removed, if it is a replica: its primary has everything. A primary is removed only if the server says so.
    /// The instance of an earlier epoch stays until that of the new one has everything, so that there is a copy at any moment.
    pub fn apply(
        &self,
        source: WantedSource,
        port: &dyn Fn(&str, &WantedPool) -> Result<u16>,
        progress: &dyn Fn(),
    ) -> Result<AppliedState> {
        let wanted = &*self.wanted();
        disk::private_dir(&self.dir)?;
        let mut applied = AppliedState::default();
        if !wanted.token_key.is_empty() {
            self.engine.trust_token_key(&wanted.token_key);
        }
        let (primaries, replicas): (Vec<_>, Vec<_>) = wanted.pools.iter().partition(|(_, pool)| self.is_primary(pool));
        for (name, pool) in primaries {
            self.apply_primaries(name, pool, &mut applied);
        }
        self.prepare(wanted, &mut applied);
        progress();
        let sources: BTreeSet<_> = wanted.sources().collect();
        for (name, pool) in replicas {
            let keys = pool.keys.clone().ok_or_else(|| not_heard(&pool.primary));
            let primary = keys.and_then(|keys| {
                Ok(RemotePrimary {
                    location: pool.primary.clone(),
                    port: port(name, pool)?,
                    keys,
                })
            });
            let follows = |instance: &&String| !sources.contains(&(name, *instance));
            for instance in pool.instances.keys().filter(follows) {
                let followed = match &primary {
                    Ok(primary) => self.engine.follow_remote(&self.site(name, instance), primary),
                    Err(error) => Err(Error::new(error.code(), error.full_message())),
                };
                if let Err(error) = followed {
                    let instance = instance.clone();
                    applied.unreached.push(UnreachedInstance { instance, error });
                }
            }
        }
        self.remove_unwanted(wanted, source, &mut applied)?;
        if source == WantedSource::Server {
            self.remove_primaries(wanted, &mut applied)?;
        }
        Ok(applied)
    }

    fn remove_unwanted(&self, wanted: &WantedState, source: WantedSource, applied: &mut AppliedState) -> Result<()> {
        let level = lock(&self.level).clone();
        let all = self.engine.instances_in(&self.dir)?.into_iter();
        for (pool, instance, _) in all.filter(|(.., is_primary)| !is_primary) {
            let known = wanted.pools.get(&pool);
            if known.is_some_and(|pool| pool.instances.contains_key(&instance)) {
                continue;
            }
            if known.is_none() {
                // Nobody says any more how far its primary is.
                self.engine.note_primary(&pool, None);
            }
            let (database, _) = database_of_instance(&instance);
            let mut successors = wanted
                .pools
                .iter()
                .flat_map(|(pool, known)| known.instances.iter().map(move |(other, known)| (pool, other, known)))
                .filter(|(_, other, _)| database_of_instance(other).0 == database);
            let is_unknown = source == WantedSource::File || wanted.is_partial;
            let has_all = |(pool, successor, known): (&String, &String, &WantedInstance)| {
                level.contains(successor) || self.is_standing_primary(pool, successor, known)
            };
            if is_unknown || !successors.all(has_all) {
                applied.retained += 1;
            } else if let Err(error) = self.engine.remove(&self.site(&pool, &instance)) {
                applied.unreached.push(UnreachedInstance { instance, error });
            }
        }
        Ok(())
    }

    /// What there is now.
    pub fn report(&self) -> Result<NodeReport> {
        let order = {
            let mut reported = lock(&self.reported);
            reported.number += 1;
            *reported
        };
        let wanted = Arc::clone(&lock(&self.wanted));
        let mut instances = BTreeMap::new();
        for (pool, instance, _) in self.engine.instances_in(&self.dir)? {
            // Before its position is read: nothing is written then.
            let blocked = lock(&self.blocked).get(&instance).copied();
            if let Some(report) = self.engine.report_of(&self.site(&pool, &instance))? {
                instances.insert(instance, InstanceReport { blocked, ..report });
            }
        }
        let mut keys = BTreeMap::new();
        for pool in self.primary_pools(&wanted) {
            keys.insert(pool.clone(), self.engine.replica_keys(&pool)?);
        }
        Ok(NodeReport {
            order,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine_version: crate::engine::sqld::program::VERSION.to_owned(),
            generation: wanted.generation,
            free_bytes: free_bytes(&self.dir),
            instances,
            keys,
            prepared: lock(&self.prepared).clone(),
        })
    }

    /// Takes what the primaries' machine has said of them, or, with none, that it cannot be reached. Replicas that are behind follow
    /// from then on, and are repaired if they do not, while `is_reached` says that there is a way to the primary of their pool.
    pub fn note_answer(&self, answer: Option<&ReportAnswer>, is_reached: &dyn Fn(&str) -> bool) {
        let wanted = Arc::clone(&lock(&self.wanted));
        *lock(&self.level) = answer.map(|answer| answer.level.clone()).unwrap_or_default();
        for (name, pool) in wanted.pools.iter().filter(|(_, pool)| !self.is_primary(pool)) {
            let primary = answer.map(|answer| {
                let behind = answer.behind.iter();
                let own = behind.filter(|(instance, _)| pool.instances.contains_key(*instance));
                PrimaryElsewhere {
                    logs: own.map(|(instance, position)| (instance.clone(), position.0)).collect(),
                    is_reached: is_reached(name),
                }
            });
            self.engine.note_primary(name, primary);
        }
    }
}

/// The error of a replica whose primary's machine has not said how it is followed.
fn not_heard(location: &str) -> Error {
    Error::new(
        Code::Unavailable,
        format!("the machine of location {location}, which has the primary, was not heard of yet"),
    )
}

/// Bytes that are free on the disk of a directory, where that is known.
fn free_bytes(dir: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

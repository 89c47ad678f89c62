//! The engine of a location on a machine of its own, as a whole: it is given the whole wanted state, and says what there is. How both
//! are sent, and how a pool's primary is reached from here, is the caller's.

use super::{NodeReport, RemotePrimary, ReportAnswer, WantedPool, WantedState};
use crate::engine::sqld::SqldEngine;
use crate::engine::{Engine as _, Frame, Site, database_of_instance, disk};
use crate::error::{Error, Result};
use crate::sync::lock;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Runs the replicas of one location.
pub struct NodeEngine {
    engine: SqldEngine,
    location: String,
    /// The directory of the location's pools.
    dir: PathBuf,
    wanted: Mutex<Arc<WantedState>>,
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
        }
    }

    /// The engine of the processes.
    #[must_use]
    pub fn engine(&self) -> &SqldEngine {
        &self.engine
    }

    /// The site of a replica of a wanted pool.
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

    /// Makes what there is what is wanted, as far as it can; applying the same again changes nothing. `port` is where this machine
    /// leads to the primary of a pool. Returns what could not be done.
    ///
    /// What is not wanted is removed, if it is a replica: its primary has everything.
    pub fn apply(
        &self,
        wanted: &WantedState,
        port: &dyn Fn(&str, &WantedPool) -> Result<u16>,
    ) -> Result<Vec<UnreachedInstance>> {
        disk::private_dir(&self.dir)?;
        *lock(&self.wanted) = Arc::new(wanted.clone());
        let mut unreached = Vec::new();
        for (pool, instance) in self.engine.replicas_in(&self.dir)? {
            let is_wanted = wanted
                .pools
                .get(&pool)
                .is_some_and(|pool| pool.instances.contains_key(&instance));
            if !is_wanted && let Err(error) = self.engine.remove(&self.site(&pool, &instance)) {
                unreached.push(UnreachedInstance { instance, error });
            }
        }
        for (name, pool) in &wanted.pools {
            let primary = port(name, pool).map(|port| RemotePrimary {
                location: pool.primary.clone(),
                port,
                keys: pool.keys.clone(),
            });
            for instance in pool.instances.keys() {
                let followed = match &primary {
                    Ok(primary) => self.engine.follow_remote(&self.site(name, instance), primary),
                    Err(error) => Err(Error::new(error.code(), error.full_message())),
                };
                if let Err(error) = followed {
                    let instance = instance.clone();
                    unreached.push(UnreachedInstance { instance, error });
                }
            }
        }
        Ok(unreached)
    }

    /// What there is now.
    pub fn report(&self) -> Result<NodeReport> {
        let wanted = Arc::clone(&lock(&self.wanted));
        let mut instances = BTreeMap::new();
        for (pool, instance) in self.engine.replicas_in(&self.dir)? {
            if let Some(report) = self.engine.report_of(&self.site(&pool, &instance))? {
                instances.insert(instance, report);
            }
        }
        Ok(NodeReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine_version: crate::engine::sqld::program::VERSION.to_owned(),
            generation: wanted.generation,
            free_bytes: free_bytes(&self.dir),
            instances,
        })
    }

    /// Takes what the primaries' machine has said of them, or, with none, that it cannot be reached. Replicas that are behind follow
    /// from then on, and are repaired if they do not.
    pub fn note_answer(&self, answer: Option<&ReportAnswer>) {
        let wanted = Arc::clone(&lock(&self.wanted));
        for (name, pool) in &wanted.pools {
            let logs = answer.map(|answer| {
                let names: BTreeSet<&String> = pool.instances.keys().collect();
                let behind = answer.behind.iter().filter(|(instance, _)| names.contains(instance));
                let logs: BTreeMap<String, Frame> = behind
                    .map(|(instance, position)| (instance.clone(), position.0))
                    .collect();
                logs
            });
            self.engine.note_primary_logs(name, logs);
        }
    }
}

/// Bytes that are free on the disk of a directory, where that is known.
fn free_bytes(dir: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

//! The primaries of a location on a machine of its own: made, limited and removed as the server wants it.

use super::node_engine::{AppliedState, NodeEngine, UnreachedInstance};
use super::{PrimarySource, WantedInstance, WantedPool, WantedPrimary, WantedState};
use crate::engine::{Engine as _, LocalFiles as _, Running, Site, database_of_instance};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use std::collections::BTreeSet;

impl NodeEngine {
    /// Whether a pool is one of primaries here.
    pub(super) fn is_primary(&self, pool: &WantedPool) -> bool {
        pool.primary == self.location()
    }

    /// Makes the primaries of a pool what is wanted, as far as it can.
    pub(super) fn apply_primaries(&self, name: &str, pool: &WantedPool, applied: &mut AppliedState) {
        let primaries: Vec<(Site, &WantedPrimary)> = pool
            .instances
            .iter()
            .filter_map(|(instance, wanted)| Some((self.site(name, instance), wanted.primary.as_ref()?)))
            .collect();
        let moves: Vec<(Site, Site)> = primaries
            .iter()
            .filter_map(|(site, wanted)| Some((self.source(wanted)?, site.clone())))
            .collect();
        // All of a process at once, so that it is stopped once. What fails is said of each.
        if let Err(cause) = self.engine().take_over(&moves) {
            tracing::warn!(
                pool = name,
                cause = cause.full_message(),
                "replicas could not become primaries"
            );
        }
        for (site, wanted) in primaries {
            if let Err(error) = self.make_primary(&site, wanted) {
                let instance = site.instance();
                applied.unreached.push(UnreachedInstance { instance, error });
            }
        }
    }

    /// The replica here that a primary is made of.
    fn source(&self, wanted: &WantedPrimary) -> Option<Site> {
        match &wanted.source {
            PrimarySource::Replica { pool, instance } => Some(self.site(pool, instance)),
            PrimarySource::Existing | PrimarySource::Empty => None,
        }
    }

    /// Whether an instance is a primary that was made, as the server has seen it, and is here and sound.
    pub(super) fn is_standing_primary(&self, pool: &str, instance: &str, known: &WantedInstance) -> bool {
        let is_made = known
            .primary
            .as_ref()
            .is_some_and(|primary| primary.source == PrimarySource::Existing);
        let running = || self.engine().running(&self.site(pool, instance));
        is_made && matches!(running(), Ok(Some(running)) if running.damage.is_none() && running.serving)
    }

    fn make_primary(&self, at: &Site, wanted: &WantedPrimary) -> Result<()> {
        let engine = self.engine();
        let running = match (engine.running(at)?, &wanted.source) {
            (Some(running), _) => running,
            (None, PrimarySource::Empty) => {
                engine.create(at)?;
                engine.running(at)?.ok_or_else(|| missing(at))?
            }
            (None, PrimarySource::Existing | PrimarySource::Replica { .. }) => return Err(missing(at)),
        };
        if let Some(damage) = &running.damage {
            return Err(engine.damage_error(damage, at));
        }
        if !running.serving {
            engine.start(at)?;
        }
        // Its replicas need its keys, which are made now if they were not.
        engine.replica_keys(at.pool.as_deref().unwrap_or_default())?;
        self.limit(at, &running, wanted)
    }

    /// Has the limits of a primary be in force. While writes are refused for a while, they are left as they are.
    fn limit(&self, at: &Site, running: &Running, wanted: &WantedPrimary) -> Result<()> {
        let engine = self.engine();
        let instance = at.instance();
        let blocked = lock(&self.blocked).get(&instance).copied();
        match &wanted.block {
            Some(block) if blocked == Some(block.number) => {}
            Some(block) => {
                engine.block_writes(at, &block.reason)?;
                lock(&self.blocked).insert(instance, block.number);
            }
            None if blocked.is_none() && running.limits.as_ref() == Some(&wanted.limits) => {}
            None => {
                lock(&self.blocked).remove(&instance);
                engine.configure(at, &wanted.limits)?;
            }
        }
        Ok(())
    }

    /// Has the processes run that soon have primaries, and ends those that have none in the end.
    pub(super) fn prepare(&self, wanted: &WantedState, applied: &mut AppliedState) {
        let site = |pool: &str| self.site(pool, "prepared");
        for pool in &wanted.prepared {
            match self.engine().prepare_primary(&site(pool)) {
                Ok(()) => {
                    lock(&self.prepared).insert(pool.clone());
                }
                Err(error) => applied.unreached.push(UnreachedInstance {
                    instance: pool.clone(),
                    error,
                }),
            }
        }
        let before = lock(&self.prepared).clone();
        for pool in before.difference(&wanted.prepared) {
            lock(&self.prepared).remove(pool);
            if !wanted.pools.contains_key(pool) {
                let _ = self.engine().remove(&site(pool));
            }
        }
    }

    /// Removes the primaries that are to go.
    pub(super) fn remove_primaries(&self, wanted: &WantedState, applied: &mut AppliedState) -> Result<()> {
        for (pool, instance, is_primary) in self.engine().instances_in(self.dir())? {
            let removal = wanted.removed.get(&instance).filter(|removal| removal.pool == pool);
            let Some(removal) = removal.filter(|_| is_primary) else {
                continue;
            };
            lock(&self.blocked).remove(&instance);
            let site = self.site(&pool, &instance);
            let removed = match removal.is_kept {
                true => self.engine().set_aside(&site).map(|path| {
                    let path = path.display();
                    tracing::warn!(pool, instance, %path, "the files of a former primary were set aside");
                }),
                false => self.engine().remove(&site).map(|()| {
                    tracing::info!(pool, instance, "a primary was removed");
                }),
            };
            if let Err(error) = removed {
                applied.unreached.push(UnreachedInstance { instance, error });
            }
        }
        Ok(())
    }

    /// Compares files that were set aside with what has taken their place here, once that has everything, and logs what only they have.
    /// Reads both as a whole, and holds up nobody.
    pub fn compare_set_aside(&self) -> Result<()> {
        let wanted = self.wanted();
        for (path, id) in self.engine().uncompared(self.dir())? {
            let mut instances = wanted.pools.iter().flat_map(|(pool, wanted)| {
                wanted
                    .instances
                    .iter()
                    .map(move |(instance, one)| (pool, instance, one))
            });
            let successor = instances.find(|(_, instance, one)| {
                let is_level = one.primary.is_some() || self.is_level(instance);
                is_level && database_of_instance(instance).0 == id
            });
            let Some((pool, instance, one)) = successor else {
                continue;
            };
            self.engine().report_divergence(&path, &self.site(pool, instance))?;
            let all = self.engine().orphans(self.dir(), &|_| true)?;
            let found = all.into_iter().find(|orphan| orphan.path == path);
            let divergence = found.and_then(|orphan| orphan.divergence).unwrap_or_default();
            let (database, path) = (&one.database, path.display());
            tracing::warn!(database, %path, divergence, "the files of a former primary were compared with what took their place");
        }
        Ok(())
    }

    /// The pools that have primaries here now.
    pub(super) fn primary_pools(&self, wanted: &WantedState) -> BTreeSet<String> {
        let pools = wanted.pools.iter().filter(|(_, pool)| self.is_primary(pool));
        pools.map(|(name, _)| name.clone()).collect()
    }
}

fn missing(at: &Site) -> Error {
    Error::new(
        Code::Unavailable,
        format!("the files of the primary of {} are not here", at.database_name()),
    )
    .hint("put them back; torso doctor on the server says what else can be done")
}

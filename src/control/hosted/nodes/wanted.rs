//! What each location on another machine is to run: a function of the catalogs of all organizations, read again when one may have
//! changed.

use crate::control::embedded::WantedPlacement;
use crate::control::hosted::Shared;
use crate::control::hosted::change_counter::ChangeCounter;
use crate::control::hosted::store::OrganizationRow;
use crate::engine::remote::{DatabaseSites, PrimarySource, ReplicaKeys, WantedPool, WantedPrimary, WantedState};
use crate::engine::{DatabaseLimits, Site};
use crate::error::Result;
use crate::sync::lock;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long what was read is used, were a change not signalled.
const OLDEST: Duration = Duration::from_secs(30);

/// What was wanted when that was read last.
pub(super) struct WantedStates {
    /// How often they may have changed.
    changes: ChangeCounter,
    read: Mutex<ReadState>,
    /// Held by whoever makes a state of what was read.
    order: Mutex<()>,
    /// By location, each with how often they may have changed before it was read.
    states: Mutex<BTreeMap<String, (u64, WantedState)>>,
}

#[derive(Default)]
struct ReadState {
    databases: Arc<Vec<DatabaseSites>>,
    /// What some organization wants is not known.
    is_partial: bool,
    /// How often they may have changed before they were read, and when that was.
    changes: u64,
    at: Option<Instant>,
}

impl Default for WantedStates {
    fn default() -> Self {
        let changes = ChangeCounter::default();
        // Nothing was read yet: whoever waits for the first change has missed none.
        changes.mark_changed();
        Self {
            changes,
            read: Mutex::default(),
            order: Mutex::default(),
            states: Mutex::default(),
        }
    }
}

impl WantedStates {
    /// Has the catalogs be read again.
    pub fn mark_changed(&self) {
        self.changes.mark_changed();
    }

    /// Waits until they may have changed more often than `seen`, or are old. Returns how often.
    pub fn await_change(&self, seen: u64) -> u64 {
        self.changes.await_change(seen, OLDEST)
    }

    /// The generation of what is wanted at a location; 0 before that was read.
    pub fn generation(&self, location: &str) -> u64 {
        lock(&self.states)
            .get(location)
            .map_or(0, |(_, state)| state.generation)
    }

    /// What a location is to run of a pool, without anything being read; none where that may have changed since it was.
    pub fn unchanged_pool<T>(&self, location: &str, pool: &str, get: impl FnOnce(&WantedPool) -> T) -> Option<T> {
        let changes = self.changes.count();
        let states = lock(&self.states);
        let (_, state) = states.get(location).filter(|(read_at, _)| *read_at == changes)?;
        state.pools.get(pool).map(get)
    }

    /// Takes what is wanted at a location, read when they may have changed so often; returns it with its generation, and whether it
    /// is another thing than before. Then the generation is higher, also than before the server's start.
    fn take(&self, location: &str, changes: u64, state: WantedState) -> (WantedState, bool) {
        let mut states = lock(&self.states);
        match states.get_mut(location) {
            Some((read_at, known)) if known.equals(&state) => {
                *read_at = changes;
                (known.clone(), false)
            }
            known => {
                let last = known.map_or(0, |(_, known)| known.generation);
                let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
                let generation = now.max(last + 1);
                let state = WantedState { generation, ..state };
                states.insert(location.to_owned(), (changes, state.clone()));
                (state, true)
            }
        }
    }
}

impl Shared {
    /// All databases that have an instance on another machine, and what one location is to run.
    pub(super) fn wanted_at(&self, location: &str) -> Result<(Arc<Vec<DatabaseSites>>, WantedState)> {
        // Held from reading to numbering: what was read earlier never gets the higher generation.
        let _in_order = lock(&self.nodes.wanted.order);
        let (databases, is_partial, changes) = self.wanted_databases()?;
        let mut state = WantedState {
            is_partial,
            token_key: self.sqld()?.token_key(),
            ..WantedState::of(location, &databases, &|primary| self.keys_of(primary))?
        };
        self.nodes.remote.add_orders(location, &mut state);
        let (state, is_new) = self.nodes.wanted.take(location, changes, state);
        if is_new && !is_partial {
            self.nodes.end_unwanted_streams(location, &state);
        }
        Ok((databases, state))
    }

    /// What replicas of a primary's pool prove themselves with, as far as that is known.
    fn keys_of(&self, primary: &Site) -> Result<Option<ReplicaKeys>> {
        if self.nodes.remote.has(&primary.location) {
            return Ok(self.nodes.remote.keys_of(primary));
        }
        let pool = primary.pool.as_deref().unwrap_or_default();
        self.sqld()?.replica_keys(pool).map(Some)
    }

    /// The databases, whether what some organization wants is not known, and how often that may have changed before it was read.
    fn wanted_databases(&self) -> Result<(Arc<Vec<DatabaseSites>>, bool, u64)> {
        let wanted = &self.nodes.wanted;
        let mut read = lock(&wanted.read);
        // Before it is read: what changes meanwhile is read once more.
        let changes = wanted.changes.count();
        if changes != read.changes || read.at.is_none_or(|at| at.elapsed() >= OLDEST) {
            *read = ReadState {
                changes,
                ..self.read_databases()?
            };
        }
        Ok((Arc::clone(&read.databases), read.is_partial, read.changes))
    }

    fn read_databases(&self) -> Result<ReadState> {
        let mut all = Vec::new();
        let mut is_partial = false;
        let organizations = self.records().organizations()?;
        for organization in organizations {
            match self.databases_elsewhere(&organization) {
                Ok(databases) => all.extend(databases),
                Err(error) => {
                    let (organization, cause) = (&organization.slug, error.full_message());
                    tracing::error!(%organization, cause, "what it has on other machines is not known, and stays as it is");
                    is_partial = true;
                }
            }
        }
        Ok(ReadState {
            databases: Arc::new(all),
            is_partial,
            at: Some(Instant::now()),
            ..ReadState::default()
        })
    }

    /// What an organization wants at locations of other machines. Fails where its catalog cannot be read, or is not the one that it had:
    /// from such a catalog nothing is concluded about copies elsewhere, which may be the last ones.
    fn databases_elsewhere(&self, organization: &OrganizationRow) -> Result<Vec<DatabaseSites>> {
        let read = self.plane_of(organization)?.wanted_placements()?;
        let identity = read.as_ref().map(|(identity, _)| identity.as_str());
        self.records().check_catalog_identity(&organization.id, identity)?;
        let placements = read.map(|(_, placements)| placements).unwrap_or_default();
        let is_elsewhere = |database: &DatabaseSites| {
            let mut sites = std::iter::once(&database.primary)
                .chain(&database.replicas)
                .chain(&database.retained);
            sites.any(|site| self.nodes.remote.has(&site.location))
        };
        let all = placements
            .into_iter()
            .flat_map(|placed| sites_of(&organization.id, placed));
        Ok(all.filter(is_elsewhere).collect())
    }
}

/// Where a database is wanted, as engines have it; while it is being moved, where it was as well.
fn sites_of(organization: &str, placed: WantedPlacement) -> Vec<DatabaseSites> {
    let sites = |sites: Vec<Site>, limits: DatabaseLimits, source: PrimarySource| {
        let mut sites = sites.into_iter();
        Some(DatabaseSites {
            organization: organization.to_owned(),
            primary: sites.next()?,
            replicas: sites.collect(),
            retained: Vec::new(),
            wanted: WantedPrimary {
                limits,
                block: None,
                source,
            },
        })
    };
    let source = if placed.is_empty {
        PrimarySource::Empty
    } else {
        PrimarySource::Existing
    };
    let now = placed.sites.into_iter().map(|(_, site)| site).collect();
    let now = sites(now, placed.limits.clone(), source);
    let retained = placed.retained;
    let now = now.map(|now| DatabaseSites { retained, ..now });
    let before = placed.moving.and_then(|before| {
        let limits = DatabaseLimits {
            block_writes: true,
            ..placed.limits
        };
        sites(before.into(), limits, PrimarySource::Existing)
    });
    now.into_iter().chain(before).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn wanted_changes_are_awaited_once_each() {
        let states = WantedStates::default();
        let first = states.await_change(0);
        states.mark_changed();
        states.mark_changed();
        let seen = states.await_change(first);
        assert_eq!(seen, first + 2);
        assert_eq!(states.changes.count(), seen, "nothing else is waiting to be read");
    }

    #[test]
    fn wanted_generation_rises_with_changes_only() {
        let states = WantedStates::default();
        let pool = WantedPool {
            organization: "o".to_owned(),
            group: "default".to_owned(),
            primary: "ams".to_owned(),
            epoch: 1,
            keys: None,
            followers: BTreeSet::new(),
            instances: BTreeMap::new(),
        };
        let with = WantedState {
            pools: BTreeMap::from([("p".to_owned(), pool)]),
            ..WantedState::default()
        };
        let (first, is_new) = states.take("lhr", 1, with.clone());
        assert!(first.generation > 0 && is_new);
        let (again, is_new) = states.take("lhr", 1, with.clone());
        assert!(again.generation == first.generation && !is_new);
        let (second, _) = states.take("lhr", 1, WantedState::default());
        let (third, _) = states.take("lhr", 1, with);
        assert!(first.generation < second.generation && second.generation < third.generation);
        assert_eq!(states.generation("lhr"), third.generation);
        assert_eq!(states.generation("fra"), 0);
        let epoch = |pool: &str| states.unchanged_pool("lhr", pool, |pool| pool.epoch);
        assert_eq!((epoch("p"), epoch("q")), (Some(1), None));
        states.mark_changed();
        assert_eq!(epoch("p"), None, "it may be another one");
    }
}

//! What each location on another machine is to run: a function of the catalogs of all organizations, read again when one may have
//! changed.

use crate::control::hosted::Shared;
use crate::control::hosted::store::OrganizationRow;
use crate::engine::remote::{ReplicaSite, WantedState};
use crate::error::Result;
use crate::sync::{lock, wait};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How long what was read is used, were a change not signalled.
const OLDEST: Duration = Duration::from_secs(30);

/// What was wanted when that was read last.
pub(super) struct WantedStates {
    /// How often they may have changed.
    changes: Mutex<u64>,
    signal: Condvar,
    read: Mutex<ReadState>,
    /// By location.
    states: Mutex<BTreeMap<String, WantedState>>,
}

#[derive(Default)]
struct ReadState {
    replicas: Arc<Vec<ReplicaSite>>,
    /// What some organization wants is not known.
    is_partial: bool,
    /// How often they may have changed before they were read, and when that was.
    changes: u64,
    at: Option<Instant>,
}

impl Default for WantedStates {
    fn default() -> Self {
        Self {
            changes: Mutex::new(1),
            signal: Condvar::default(),
            read: Mutex::default(),
            states: Mutex::default(),
        }
    }
}

impl WantedStates {
    /// Has the catalogs be read again.
    pub fn mark_changed(&self) {
        *lock(&self.changes) += 1;
        self.signal.notify_all();
    }

    /// Waits until they may have changed more often than `seen`, or are old. Returns how often.
    pub fn await_change(&self, seen: u64) -> u64 {
        let begun = Instant::now();
        let mut changes = lock(&self.changes);
        while *changes == seen && begun.elapsed() < OLDEST {
            changes = wait(&self.signal, changes, OLDEST.saturating_sub(begun.elapsed()));
        }
        *changes
    }

    /// The generation of what is wanted at a location; 0 before that was read.
    pub fn generation(&self, location: &str) -> u64 {
        lock(&self.states).get(location).map_or(0, |state| state.generation)
    }

    /// Takes what is wanted at a location; returns it with its generation, and whether it is another thing than before. Then the
    /// generation is higher, also than before the server's start.
    fn take(&self, location: &str, state: WantedState) -> (WantedState, bool) {
        let mut states = lock(&self.states);
        match states.get(location) {
            Some(known) if known.equals(&state) => (known.clone(), false),
            known => {
                let last = known.map_or(0, |known| known.generation);
                let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
                let generation = now.max(last + 1);
                let state = WantedState { generation, ..state };
                states.insert(location.to_owned(), state.clone());
                (state, true)
            }
        }
    }
}

impl Shared {
    /// All replicas that are wanted at locations of other machines, and what one of these is to run.
    pub(super) fn wanted_at(&self, location: &str) -> Result<(Arc<Vec<ReplicaSite>>, WantedState)> {
        let (replicas, is_partial) = self.wanted_replicas()?;
        let engine = self.sqld()?;
        let state = WantedState {
            is_partial,
            ..WantedState::of(location, &replicas, &|pool| engine.replica_keys(pool))?
        };
        let (state, is_new) = self.nodes.wanted.take(location, state);
        if is_new && !is_partial {
            self.nodes.end_unwanted_streams(location, &state);
        }
        Ok((replicas, state))
    }

    /// The replicas, and whether what some organization wants is not known.
    fn wanted_replicas(&self) -> Result<(Arc<Vec<ReplicaSite>>, bool)> {
        let wanted = &self.nodes.wanted;
        let mut read = lock(&wanted.read);
        // Before it is read: what changes meanwhile is read once more.
        let changes = *lock(&wanted.changes);
        if changes != read.changes || read.at.is_none_or(|at| at.elapsed() >= OLDEST) {
            *read = ReadState {
                changes,
                ..self.read_replicas()?
            };
        }
        Ok((Arc::clone(&read.replicas), read.is_partial))
    }

    fn read_replicas(&self) -> Result<ReadState> {
        let mut all = Vec::new();
        let mut is_partial = false;
        let organizations = self.records().organizations()?;
        for organization in organizations {
            match self.replicas_of(&organization) {
                Ok(replicas) => all.extend(replicas),
                Err(error) => {
                    let (organization, cause) = (&organization.slug, error.full_message());
                    tracing::error!(%organization, cause, "its replicas on other machines are not known, and stay as they are");
                    is_partial = true;
                }
            }
        }
        Ok(ReadState {
            replicas: Arc::new(all),
            is_partial,
            at: Some(Instant::now()),
            ..ReadState::default()
        })
    }

    /// What an organization wants at locations of other machines. Fails where its catalog cannot be read, or is not the one that it had:
    /// from such a catalog nothing is concluded about copies elsewhere, which may be the last ones.
    fn replicas_of(&self, organization: &OrganizationRow) -> Result<Vec<ReplicaSite>> {
        let read = self.plane_of(organization)?.wanted_placements()?;
        let identity = read.as_ref().map(|(identity, _)| identity.as_str());
        self.records().check_catalog_identity(&organization.id, identity)?;
        let mut all = Vec::new();
        for placed in read.map(|(_, placements)| placements).unwrap_or_default() {
            let mut sites = placed.sites.into_iter();
            let Some((_, primary)) = sites.next() else { continue };
            let elsewhere = sites.filter(|(location, _)| self.nodes.has(location));
            all.extend(elsewhere.map(|(_, site)| ReplicaSite {
                organization: organization.id.clone(),
                site,
                primary: primary.clone(),
            }));
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::remote::{ReplicaKeys, WantedPool};
    use crate::secret::Secret;

    #[test]
    fn wanted_changes_are_awaited_once_each() {
        let states = WantedStates::default();
        let first = states.await_change(0);
        states.mark_changed();
        states.mark_changed();
        let seen = states.await_change(first);
        assert_eq!(seen, first + 2);
        assert_eq!(*lock(&states.changes), seen, "nothing else is waiting to be read");
    }

    #[test]
    fn wanted_generation_rises_with_changes_only() {
        let states = WantedStates::default();
        let pool = WantedPool {
            organization: "o".to_owned(),
            group: "default".to_owned(),
            primary: "ams".to_owned(),
            epoch: 1,
            keys: ReplicaKeys {
                authority: String::new(),
                certificate: String::new(),
                key: Secret::new(String::new()),
            },
            instances: BTreeMap::new(),
        };
        let with = WantedState {
            generation: 0,
            is_partial: false,
            pools: BTreeMap::from([("p".to_owned(), pool)]),
        };
        let (first, is_new) = states.take("lhr", with.clone());
        assert!(first.generation > 0 && is_new);
        let (again, is_new) = states.take("lhr", with.clone());
        assert!(again.generation == first.generation && !is_new);
        let (second, _) = states.take("lhr", WantedState::default());
        let (third, _) = states.take("lhr", with);
        assert!(first.generation < second.generation && second.generation < third.generation);
        assert_eq!(states.generation("lhr"), third.generation);
        assert_eq!(states.generation("fra"), 0);
    }
}

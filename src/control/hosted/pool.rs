//! The embedded planes of organizations. One is for one thread at a time, so each organization has as many as are used at
//! the same time; what they share is on disk.

use super::store::OrganizationRow;
use super::{Engines, Shared};
use crate::control::embedded::{Embedded, Placed};
use crate::control::names::{DatabaseId, DatabaseName};
use crate::engine::Engine;
use crate::engine::file::FileEngine;
use crate::engine::remote::{PlacedEngine, RemoteLocations};
use crate::error::Result;
use crate::sync::lock;
use std::collections::HashMap;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

impl Engines {
    /// The engine of this machine alone, for one thread: nothing is known of instances elsewhere.
    pub(super) fn open_here(&self) -> Box<dyn Engine> {
        self.open(&RemoteLocations::default())
    }

    /// The engine, for one thread.
    pub(super) fn open(&self, remote: &RemoteLocations) -> Box<dyn Engine> {
        match self {
            Self::Files => Box::new(FileEngine::default()),
            Self::Sqld(engine) => Box::new(PlacedEngine::new(engine.clone(), remote.clone())),
        }
    }
}

/// Planes that an organization keeps open when nobody uses them.
const IDLE: usize = 4;

/// What an organization has in memory.
#[derive(Default)]
pub(super) struct OrganizationState {
    idle: Mutex<Vec<Embedded>>,
    /// Held while something is made that a quota counts.
    pub making: Mutex<()>,
    /// Held from the look at what labels lead to until they do: what was seen earlier is not set later.
    publishing: Mutex<()>,
    /// More is stored than the quota allows.
    pub over_quota: Arc<AtomicBool>,
    /// That is not enforced everywhere yet, or is enforced where it is no more so.
    pub unsettled: AtomicBool,
}

pub(super) struct PlanePool {
    dir: PathBuf,
    states: Mutex<HashMap<String, Arc<OrganizationState>>>,
}

impl PlanePool {
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            states: Mutex::default(),
        }
    }

    /// The directory of an organization.
    pub fn dir(&self, id: &str) -> PathBuf {
        self.dir.join(id)
    }

    pub fn state(&self, id: &str) -> Arc<OrganizationState> {
        Arc::clone(lock(&self.states).entry(id.to_owned()).or_default())
    }

    /// Closes what is open of an organization.
    pub fn close(&self, id: &str) {
        lock(&self.states).remove(id);
    }
}

/// An embedded plane in use by one thread. It goes back into the pool when it is dropped.
pub(super) struct PlaneGuard {
    plane: Option<Embedded>,
    state: Arc<OrganizationState>,
}

impl Deref for PlaneGuard {
    type Target = Embedded;
    fn deref(&self) -> &Embedded {
        // It is taken out only by `drop`.
        self.plane.as_ref().unwrap_or_else(|| unreachable!())
    }
}

impl Drop for PlaneGuard {
    fn drop(&mut self) {
        self.mark_changes(None);
        let mut idle = lock(&self.state.idle);
        if idle.len() < IDLE {
            idle.extend(self.plane.take());
        }
    }
}

impl Shared {
    /// A plane over an organization's databases, with no questions asked.
    pub(super) fn plane_of(&self, organization: &OrganizationRow) -> Result<PlaneGuard> {
        let state = self.plane_pool.state(&organization.id);
        let idle = lock(&state.idle).pop();
        let plane = match idle {
            Some(plane) => plane,
            None => Embedded::over(
                &self.plane_pool.dir(&organization.id),
                self.engine.open(&self.nodes.remote),
            )?
            .with_quota(Arc::clone(&state.over_quota)),
        };
        Ok(PlaneGuard {
            plane: Some(plane),
            state,
        })
    }

    /// Has labels lead to a database as it is now.
    pub(super) fn publish(&self, owner: &OrganizationRow, plane: &PlaneGuard, name: &DatabaseName) -> Result<Placed> {
        let state = self.plane_pool.state(&owner.id);
        let _publishing = lock(&state.publishing);
        let placed = plane.placement(name)?;
        self.hostnames.set((&owner.id, &owner.slug), &placed);
        Ok(placed)
    }

    /// Has labels lead to databases where they are now.
    pub(super) fn publish_placed(&self, owner: &OrganizationRow, all: &[Placed]) {
        let state = self.plane_pool.state(&owner.id);
        let _publishing = lock(&state.publishing);
        for placed in all {
            self.hostnames.set((&owner.id, &owner.slug), placed);
        }
    }

    /// Has no label lead to a database that is gone.
    pub(super) fn unpublish(&self, organization_id: &str, id: &DatabaseId) {
        let state = self.plane_pool.state(organization_id);
        let _publishing = lock(&state.publishing);
        self.hostnames.remove(id);
    }

    /// Has labels lead to what an organization has.
    pub(super) fn refresh(&self, organization: &OrganizationRow) -> Result<()> {
        let state = self.plane_pool.state(&organization.id);
        let _publishing = lock(&state.publishing);
        let all = self.plane_of(organization)?.placements()?;
        self.hostnames.set_all((&organization.id, &organization.slug), &all);
        Ok(())
    }

    /// Has no label lead to an organization's databases.
    pub(super) fn refresh_none(&self, organization: &OrganizationRow) {
        self.hostnames.set_all((&organization.id, &organization.slug), &[]);
    }
}

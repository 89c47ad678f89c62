//! The embedded planes of organizations. One is for one thread at a time, so each organization has as many as are used at
//! the same time; what they share is on disk.

use super::Shared;
use super::store::OrganizationRow;
use crate::control::embedded::{Embedded, Placed};
use crate::control::names::{DatabaseId, DatabaseName};
use crate::error::Result;
use crate::sync::lock;
use std::collections::HashMap;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

/// Planes that an organization keeps open when nobody uses them.
const IDLE: usize = 4;

/// What an organization has in memory.
#[derive(Default)]
pub(super) struct Tenancy {
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

pub(super) struct Pools {
    dir: PathBuf,
    tenancies: Mutex<HashMap<String, Arc<Tenancy>>>,
}

impl Pools {
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            tenancies: Mutex::default(),
        }
    }

    /// The directory of an organization.
    pub fn dir(&self, id: &str) -> PathBuf {
        self.dir.join(id)
    }

    pub fn tenancy(&self, id: &str) -> Arc<Tenancy> {
        Arc::clone(lock(&self.tenancies).entry(id.to_owned()).or_default())
    }

    /// Closes what is open of an organization.
    pub fn close(&self, id: &str) {
        lock(&self.tenancies).remove(id);
    }
}

/// A plane on loan. It goes back when it is dropped.
pub(super) struct Loan {
    plane: Option<Embedded>,
    tenancy: Arc<Tenancy>,
}

impl Deref for Loan {
    type Target = Embedded;
    fn deref(&self) -> &Embedded {
        // It is taken out only by `drop`.
        self.plane.as_ref().unwrap_or_else(|| unreachable!())
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let mut idle = lock(&self.tenancy.idle);
        if idle.len() < IDLE {
            idle.extend(self.plane.take());
        }
    }
}

impl Shared {
    /// A plane over an organization's databases, with no questions asked.
    pub(super) fn plane_of(&self, organization: &OrganizationRow) -> Result<Loan> {
        let tenancy = self.pools.tenancy(&organization.id);
        let idle = lock(&tenancy.idle).pop();
        let plane = match idle {
            Some(plane) => plane,
            None => self
                .embedded(&self.pools.dir(&organization.id))?
                .with_quota(Arc::clone(&tenancy.over_quota)),
        };
        Ok(Loan {
            plane: Some(plane),
            tenancy,
        })
    }

    /// Has labels lead to a database as it is now.
    pub(super) fn publish(&self, owner: &OrganizationRow, plane: &Loan, name: &DatabaseName) -> Result<Placed> {
        let tenancy = self.pools.tenancy(&owner.id);
        let _publishing = lock(&tenancy.publishing);
        let placed = plane.placement(name)?;
        self.labels.set((&owner.id, &owner.slug), &placed);
        Ok(placed)
    }

    /// Has no label lead to a database that is gone.
    pub(super) fn unpublish(&self, organization_id: &str, id: &DatabaseId) {
        let tenancy = self.pools.tenancy(organization_id);
        let _publishing = lock(&tenancy.publishing);
        self.labels.remove(id);
    }

    /// Has labels lead to what an organization has.
    pub(super) fn refresh(&self, organization: &OrganizationRow) -> Result<()> {
        let tenancy = self.pools.tenancy(&organization.id);
        let _publishing = lock(&tenancy.publishing);
        let all = self.plane_of(organization)?.placements()?;
        self.labels.set_all((&organization.id, &organization.slug), &all);
        Ok(())
    }

    /// Has no label lead to an organization's databases.
    pub(super) fn refresh_none(&self, organization: &OrganizationRow) {
        self.labels.set_all((&organization.id, &organization.slug), &[]);
    }
}

//! The limits of an organization: offered locations, quotas, free labels; and making a database, which checks all of
//! them.

use super::OrganizationPlane;
use crate::control::accounts::Quotas;
use crate::control::embedded::Embedded;
use crate::control::hosted::pool::PlaneGuard;
use crate::control::names::{DEFAULT_GROUP, DatabaseId, LocationCode};
use crate::control::types::{CreateDatabase, Database, DatabaseFilter, Group};
use crate::control::{DatabaseOperations as _, GroupOperations as _};
use crate::error::{Code, Error, Result};
use std::collections::BTreeSet;

impl OrganizationPlane<'_> {
    /// Whether the server offers a location.
    pub(super) fn offers(&self, code: &LocationCode) -> bool {
        let offered = self.shared.offered_locations();
        self.shared.nodes.has(code) || offered.is_none_or(|offered| offered.contains(code))
    }

    /// Refuses a location that the server does not offer.
    pub(super) fn offered(&self, code: &LocationCode) -> Result<()> {
        if self.offers(code) {
            return Ok(());
        }
        let all = self.shared.offered_locations().unwrap_or_default();
        let mut codes: Vec<_> = all.iter().map(LocationCode::to_string).collect();
        codes.extend(self.shared.nodes.locations().iter().map(LocationCode::to_string));
        Err(Error::new(
            Code::LocationNotFound,
            format!("there is no location {code} on this server"),
        )
        .hint(format!("it has {}", codes.join(", "))))
    }

    fn quotas(&self) -> Result<Quotas> {
        self.shared.quotas(&self.organization)
    }

    /// Refuses one more than the quota; 0 is no quota.
    fn within(&self, what: &str, have: u64, most: u64) -> Result<()> {
        if most == 0 || have < most {
            return Ok(());
        }
        Err(Error::new(
            Code::QuotaExceeded,
            format!(
                "organization {} has reached its limit of {most} {what}: it has {have}",
                self.organization.slug
            ),
        )
        .hint("delete what you do not need, or ask the server's administrator for more (torso server --quota)"))
    }

    pub(super) fn room_for_group(&self, plane: &PlaneGuard, location: &LocationCode) -> Result<()> {
        let quotas = self.quotas()?;
        if quotas.groups > 0 {
            self.within("groups", count(&plane.list_groups()?), quotas.groups)?;
        }
        self.room_for_location(plane, location)
    }

    /// Refuses a location beyond the quota, unless it is in use already.
    pub(super) fn room_for_location(&self, plane: &PlaneGuard, location: &LocationCode) -> Result<()> {
        let most = self.quotas()?.locations;
        if most == 0 {
            return Ok(());
        }
        let used = locations_in_use(plane)?;
        if used.contains(location) {
            return Ok(());
        }
        self.within("locations in use", count(&used), most)
    }

    /// Bytes that may still be stored; none if unlimited.
    pub(super) fn room_for_bytes(&self, plane: &PlaneGuard) -> Result<Option<u64>> {
        let most = self.quotas()?.storage;
        if most == 0 {
            return Ok(None);
        }
        let used = bytes_stored(plane)?;
        if used < most {
            return Ok(Some(most - used));
        }
        Err(Error::new(
            Code::QuotaExceeded,
            format!(
                "organization {} is over its storage limit: {used} bytes of {most}",
                self.organization.slug
            ),
        )
        .hint("delete what you do not need, or ask the server's administrator for more (torso server --quota)"))
    }

    /// Makes a database within all limits, and has its labels lead to it.
    pub(super) fn make_database(&self, plane: &PlaneGuard, request: CreateDatabase) -> Result<Database> {
        self.make_database_with_id(plane, DatabaseId::generate(), request, false)
    }

    /// The same with an id that was chosen before; nobody may write to it yet with `block_writes`.
    pub(super) fn make_database_with_id(
        &self,
        plane: &PlaneGuard,
        id: DatabaseId,
        mut request: CreateDatabase,
        block_writes: bool,
    ) -> Result<Database> {
        if let Some(location) = &request.location {
            self.offered(location)?;
        }
        let _making = self.making()?;
        let groups = plane.list_groups()?;
        let group = chosen(&groups, &request);
        if request.location.is_none() {
            // A group that is made on first use gets the server's default location.
            let place = match group {
                Some(group) => group.primary.clone(),
                None => self.shared.default_location()?,
            };
            self.offered(&place)?;
            request.location = Some(place);
        }
        // Whether the name is taken here is told by the plane, and before what is about the organization.
        let own: Option<DatabaseId> = plane.id_of(&request.name)?;
        if own.is_none() {
            let quotas = self.quotas()?;
            if quotas.databases > 0 {
                let have = plane.list_databases(&DatabaseFilter::default())?;
                self.within("databases", count(&have), quotas.databases)?;
            }
            self.room_for_bytes(plane)?;
        }
        let mut at: BTreeSet<&LocationCode> = group.iter().flat_map(|group| &group.locations).collect();
        at.extend(&request.location);
        for location in &at {
            self.room_for_location(plane, location)?;
        }
        let wanted = self.labels_of(&request.name, at);
        let _promise = self.shared.hostnames.reserve(wanted, own.as_ref())?;
        let made = plane.create_with_id(id, &request, block_writes)?;
        self.publish(plane, &made.name)?;
        Ok(made)
    }
}

/// The group that the plane will put a new database in, if it exists.
fn chosen<'g>(groups: &'g [Group], request: &CreateDatabase) -> Option<&'g Group> {
    match (&request.group, groups) {
        (Some(name), all) => all.iter().find(|group| group.name == *name),
        (None, [only]) => Some(only),
        (None, all) => all.iter().find(|group| group.name.as_str() == DEFAULT_GROUP),
    }
}

fn count<T>(all: &(impl IntoIterator<Item = T> + Clone)) -> u64 {
    u64::try_from(all.clone().into_iter().count()).unwrap_or(u64::MAX)
}

/// Every location where an organization has something.
pub(in crate::control::hosted) fn locations_in_use(plane: &PlaneGuard) -> Result<BTreeSet<LocationCode>> {
    let mut used: BTreeSet<LocationCode> = plane
        .list_groups()?
        .into_iter()
        .flat_map(|group| group.locations)
        .collect();
    used.extend(
        plane
            .list_databases(&DatabaseFilter::default())?
            .into_iter()
            .flat_map(|database| database.locations),
    );
    Ok(used)
}

/// Bytes that all primaries hold. Free pages do not count, so that who deletes rows is within the quota again.
pub(in crate::control::hosted) fn bytes_stored(plane: &Embedded) -> Result<u64> {
    plane.used_bytes()
}

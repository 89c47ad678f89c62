//! Where labels lead: to databases and their instances.
//!
//! A database's label is `<database>-<organization>`; that of one of its instances has `--<location>` behind it.

use crate::control::names::{DatabaseId, DatabaseName, GroupName, LocationCode, OrganizationSlug};
use crate::engine::Site;

/// The database, or one of its instances, that a label leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    pub label: String,
    pub organization: OrganizationSlug,
    pub organization_id: String,
    pub database: DatabaseName,
    pub id: DatabaseId,
    pub group: GroupName,
    pub group_uuid: String,
    pub location: LocationCode,
    pub primary_location: LocationCode,
    pub is_primary: bool,
    pub has_replicas: bool,
    /// Whether the label is that of the database, not of one of its instances.
    pub is_default: bool,
    pub block_reads: bool,
    pub block_writes: bool,
    /// The name of the instance at processes. It has the epoch of the primary, so another one is the same database with another
    /// primary.
    pub instance: String,
    pub site: Site,
    pub primary_site: Site,
}

impl Route {
    /// How many primaries the database has had, with this one.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.primary_site.epoch
    }

    /// The name of the pool whose processes serve it; none where it has none.
    #[must_use]
    pub fn pool(&self) -> Option<&str> {
        self.site.pool.as_deref()
    }
}

/// The label of a database, or of its instance at a location.
#[must_use]
pub fn label(database: &DatabaseName, organization: &OrganizationSlug, location: Option<&LocationCode>) -> String {
    match location {
        None => format!("{database}-{organization}"),
        Some(location) => format!("{database}-{organization}--{location}"),
    }
}

impl Route {
    /// Whether another route leads to the same database with the same primary.
    #[must_use]
    pub fn has_same_primary(&self, other: &Self) -> bool {
        self.instance == other.instance && self.primary_location == other.primary_location
    }

    /// Whether its database has had another primary before.
    #[must_use]
    pub fn is_promoted(&self) -> bool {
        self.site.epoch > 1
    }
}

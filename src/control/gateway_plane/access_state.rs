//! What a machine that is a location has to know to serve clients there, as its server sends it: verification keys, revoked tokens,
//! labels and blocks. Nothing in it opens a database.

use super::route::{Route, label};
use crate::control::names::{DatabaseId, DatabaseName, GroupName, LocationCode, OrganizationSlug};
use crate::engine::Site;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a machine asks for, and what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AccessRequest {
    /// The run of the server, the generation and the revoked tokens that it has; empty and 0 for none.
    #[serde(default)]
    pub run: String,
    #[serde(default)]
    pub generation: u64,
    #[serde(default)]
    pub revoked: usize,
    /// Where clients reach it; none where it serves none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Beyond which age of what it knows it refuses clients, in seconds.
    #[serde(default)]
    pub max_key_age: u64,
}

/// What it has to know: all of it, except for revoked tokens that it has already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessState {
    /// Generations and numbers of tokens are those of a run of the server.
    pub run: String,
    /// Another one after each change.
    pub generation: u64,
    /// The public key of database tokens, in hexadecimal.
    pub key: String,
    /// How many revoked tokens come before those that follow.
    pub revoked_before: usize,
    /// Tokens that end before they expire, by id, and when.
    pub revoked: Vec<(String, Timestamp)>,
    /// By the instances' names.
    pub instances: BTreeMap<String, InstanceAccess>,
    /// Labels that instances had before their databases were renamed.
    pub former_labels: BTreeMap<String, DatabaseId>,
    /// The ids of organizations that store more than they may.
    pub over_quota: BTreeSet<String>,
}

/// An instance at the location of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceAccess {
    pub pool: String,
    pub organization: OrganizationSlug,
    pub organization_id: String,
    pub database: DatabaseName,
    pub id: DatabaseId,
    pub group: GroupName,
    pub group_uuid: String,
    pub primary_location: LocationCode,
    pub has_replicas: bool,
    pub block_reads: bool,
    pub block_writes: bool,
    /// The address of the database itself, which its server answers.
    pub url: String,
}

impl InstanceAccess {
    /// What a machine has to know of a route; none of a route without a pool.
    #[must_use]
    pub fn of(route: &Route, url: String) -> Option<Self> {
        Some(Self {
            pool: route.site.pool.clone()?,
            organization: route.organization.clone(),
            organization_id: route.organization_id.clone(),
            database: route.database.clone(),
            id: route.id.clone(),
            group: route.group.clone(),
            group_uuid: route.group_uuid.clone(),
            primary_location: route.primary_location.clone(),
            has_replicas: route.has_replicas,
            block_reads: route.block_reads,
            block_writes: route.block_writes,
            url,
        })
    }

    /// The route to the instance at a location, whose site there is known.
    #[must_use]
    pub fn to_route(&self, location: &LocationCode, site: Site) -> Route {
        let site = Site {
            database: Some(self.database.to_string()),
            group: Some(self.group.to_string()),
            ..site
        };
        let primary_site = Site {
            location: self.primary_location.to_string(),
            ..site.clone()
        };
        Route {
            label: label(&self.database, &self.organization, Some(location)),
            organization: self.organization.clone(),
            organization_id: self.organization_id.clone(),
            database: self.database.clone(),
            id: self.id.clone(),
            group: self.group.clone(),
            group_uuid: self.group_uuid.clone(),
            is_primary: *location == self.primary_location,
            has_replicas: self.has_replicas,
            is_default: false,
            location: location.clone(),
            primary_location: self.primary_location.clone(),
            block_reads: self.block_reads,
            block_writes: self.block_writes,
            instance: site.instance(),
            site,
            primary_site,
        }
    }
}

/// The request for where the log of a database ends at its primary now, and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionRequest {
    pub id: DatabaseId,
}

/// None where that is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionAnswer {
    pub position: Option<String>,
}

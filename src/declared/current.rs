//! What there is on a control plane, as far as a declared state is about it.

use super::DeclaredState;
use crate::control::ControlPlane;
use crate::control::names::{DatabaseName, GroupName, LocationCode};
use crate::control::types::{Configuration, Database, DatabaseFilter, Group, GroupConfiguration, Location};
use crate::error::Result;
use std::collections::{BTreeMap, BTreeSet};

/// What there is.
#[derive(Debug, Default)]
pub struct CurrentState {
    /// The locations that the file declares, where they are known.
    pub locations: BTreeMap<LocationCode, Location>,
    /// Every location that there is.
    pub known_locations: BTreeSet<LocationCode>,
    pub groups: BTreeMap<GroupName, Group>,
    /// Of groups whose settings the file declares.
    pub group_configurations: BTreeMap<GroupName, GroupConfiguration>,
    pub databases: BTreeMap<DatabaseName, Database>,
    /// Of databases whose size limit the file declares: the rest is part of the database.
    pub configurations: BTreeMap<DatabaseName, Configuration>,
}

impl CurrentState {
    /// Asks a control plane.
    pub fn read(plane: &dyn ControlPlane, declared: &DeclaredState) -> Result<Self> {
        let mut current = Self::default();
        for location in plane.list_locations()? {
            current.known_locations.insert(location.code.clone());
            if declared.locations.iter().any(|new| new.code == location.code) {
                current.locations.insert(location.code.clone(), location);
            }
        }
        for group in plane.list_groups()? {
            let wanted = declared.groups.get(&group.name);
            if wanted.is_some_and(|wanted| wanted.isolation.is_some()) {
                let configuration = plane.get_group_configuration(&group.name)?;
                current.group_configurations.insert(group.name.clone(), configuration);
            }
            current.groups.insert(group.name.clone(), group);
        }
        for database in plane.list_databases(&DatabaseFilter::default())? {
            let wanted = declared.databases.get(&database.name);
            if wanted.is_some_and(|wanted| wanted.configuration.size_limit.is_some()) {
                let configuration = plane.get_configuration(&database.name)?;
                current.configurations.insert(database.name.clone(), configuration);
            }
            current.databases.insert(database.name.clone(), database);
        }
        Ok(current)
    }
}

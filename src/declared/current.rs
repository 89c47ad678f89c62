//! What there is on a control plane, as far as a declared state is about it.

use super::DeclaredState;
use crate::control::ControlPlane;
use crate::control::is_unanswered;
use crate::control::names::{DatabaseName, GroupName, LocationCode};
use crate::control::types::{Configuration, Database, DatabaseFilter, Group, GroupConfiguration, Location};
use crate::error::Result;
use std::collections::{BTreeMap, BTreeSet};

/// What there is.
#[derive(Debug, Default)]
pub struct CurrentState {
    /// The locations that the file declares, where they are known.
    pub locations: BTreeMap<LocationCode, Location>,
    /// Every location that is offered, or that something is at. None where the token in use may not ask, or the server does not
    /// list them: then the steps find out.
    pub known_locations: Option<BTreeSet<LocationCode>>,
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
        let offered = match plane.list_locations() {
            // A file that declares locations cannot be compared without.
            Err(error) if declared.locations.is_empty() && is_unanswered(&error) => None,
            listed => Some(listed?),
        };
        let mut known: Option<BTreeSet<_>> = offered
            .as_ref()
            .map(|all| all.iter().map(|one| one.code.clone()).collect());
        for location in offered.into_iter().flatten() {
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
        // What is at a location that is not offered any more stays there.
        if let Some(known) = &mut known {
            known.extend(
                current
                    .groups
                    .values()
                    .flat_map(|group| group.locations.iter().cloned()),
            );
            known.extend(
                current
                    .databases
                    .values()
                    .flat_map(|database| database.locations.iter().cloned()),
            );
        }
        current.known_locations = known;
        Ok(current)
    }
}

//! The steps from what there is to what is declared. Nothing here asks or changes anything.

use super::{CurrentState, DeclaredDatabase, DeclaredGroup, DeclaredSeed, DeclaredState};
use crate::control::name_pattern;
use crate::control::names::{DatabaseName, GroupName, LocationCode};
use crate::control::types::{ConfigurationPatch, Database, GroupConfigurationPatch, NewGroup, NewLocation};
use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The steps, in the order in which they are taken.
#[derive(Debug, Default, PartialEq)]
pub struct ApplyPlan {
    /// Those that make and change things.
    pub steps: Vec<Step>,
    /// Those that remove what the file does not name: replicas, and databases in the file's scope.
    pub removals: Vec<Step>,
}

impl ApplyPlan {
    /// Whether what there is equals what is declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.removals.is_empty()
    }
}

/// A step. Each may be taken again.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    AddLocation(NewLocation),
    CreateGroup(NewGroup),
    AddGroupLocation(GroupName, LocationCode),
    PromoteGroup(GroupName, LocationCode),
    ConfigureGroup(GroupName, GroupConfigurationPatch),
    CreateDatabase(DatabaseStep),
    ConfigureDatabase(DatabaseName, ConfigurationPatch),
    AddReplica(DatabaseName, LocationCode),
    PromoteDatabase(DatabaseName, LocationCode),
    RemoveReplica(DatabaseName, LocationCode),
    RemoveGroupLocation(GroupName, LocationCode),
    DestroyDatabase(DatabaseName),
}

/// The creation of a database.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseStep {
    pub name: DatabaseName,
    pub group: Option<GroupName>,
    pub location: Option<LocationCode>,
    pub size_limit: Option<String>,
    pub expires_at: Option<Timestamp>,
    pub seed: Option<DeclaredSeed>,
}

impl Step {
    /// What kind of step it is, for scripts.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match self {
            Self::AddLocation(_) => "add_location",
            Self::CreateGroup(_) => "create_group",
            Self::AddGroupLocation(..) => "add_group_location",
            Self::PromoteGroup(..) => "promote_group",
            Self::ConfigureGroup(..) => "configure_group",
            Self::CreateDatabase(_) => "create_database",
            Self::ConfigureDatabase(..) => "configure_database",
            Self::AddReplica(..) => "add_replica",
            Self::PromoteDatabase(..) => "promote_database",
            Self::RemoveReplica(..) => "remove_replica",
            Self::RemoveGroupLocation(..) => "remove_group_location",
            Self::DestroyDatabase(_) => "destroy_database",
        }
    }

    /// The name of the location, group or database that it is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::AddLocation(new) => new.code.as_str(),
            Self::CreateGroup(new) => new.name.as_str(),
            Self::AddGroupLocation(group, _)
            | Self::PromoteGroup(group, _)
            | Self::ConfigureGroup(group, _)
            | Self::RemoveGroupLocation(group, _) => group.as_str(),
            Self::CreateDatabase(new) => new.name.as_str(),
            Self::ConfigureDatabase(name, _)
            | Self::AddReplica(name, _)
            | Self::PromoteDatabase(name, _)
            | Self::RemoveReplica(name, _)
            | Self::DestroyDatabase(name) => name.as_str(),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddLocation(new) => write!(f, "add location {}", new.code),
            Self::CreateGroup(new) => write!(f, "create group {} at {}", new.name, new.location),
            Self::AddGroupLocation(group, location) => write!(f, "add location {location} to group {group}"),
            Self::PromoteGroup(group, location) => write!(f, "make {location} the primary location of group {group}"),
            Self::ConfigureGroup(group, patch) => write!(f, "set {} of group {group}", keys(patch)),
            Self::CreateDatabase(new) => {
                write!(f, "create database {}", new.name)?;
                if let Some(group) = &new.group {
                    write!(f, " in group {group}")?;
                }
                if let Some(location) = &new.location {
                    write!(f, " at {location}")?;
                }
                match &new.seed {
                    None => {}
                    Some(DeclaredSeed::File(path) | DeclaredSeed::Dump(path) | DeclaredSeed::Csv(path)) => {
                        write!(f, " from {}", path.display())?;
                    }
                    Some(DeclaredSeed::Database(other)) => write!(f, " from database {other}")?,
                }
                match new.expires_at {
                    None => Ok(()),
                    Some(end) => write!(f, ", which expires at {end}"),
                }
            }
            Self::ConfigureDatabase(name, patch) => write!(f, "set {} of database {name}", keys(patch)),
            Self::AddReplica(name, location) => write!(f, "replicate database {name} to {location}"),
            Self::PromoteDatabase(name, location) => write!(f, "make {location} the primary of database {name}"),
            Self::RemoveReplica(name, location) => write!(f, "remove the replica of database {name} at {location}"),
            Self::RemoveGroupLocation(group, location) => write!(f, "remove location {location} from group {group}"),
            Self::DestroyDatabase(name) => write!(f, "destroy database {name}"),
        }
    }
}

/// The settings that a patch changes: `size_limit 1024, block_reads true`.
fn keys(patch: &impl Serialize) -> String {
    let value = serde_json::to_value(patch).unwrap_or_default();
    let members = value.as_object().into_iter().flatten();
    let text = |(key, value): (&String, &serde_json::Value)| match value.as_str() {
        Some(text) => format!("{key} {text}"),
        None => format!("{key} {value}"),
    };
    members.map(text).collect::<Vec<_>>().join(", ")
}

/// Compares, and says what is to be done.
///
/// Fails with `conflict` where something cannot be changed into what is declared, and with `invalid_file` where the file lacks
/// something. Errors name the file and the line.
pub fn plan(declared: &DeclaredState, current: &CurrentState) -> Result<ApplyPlan> {
    let planner = Planner { declared, current };
    let mut plan = ApplyPlan::default();
    for new in &declared.locations {
        planner.location(new, &mut plan);
    }
    for (name, group) in &declared.groups {
        planner.group(name, group, &mut plan)?;
    }
    for (name, database) in planner.in_order_of_seeds()? {
        match current.databases.get(name) {
            Some(there) => planner.existing(name, database, there, &mut plan)?,
            None => planner.new_database(name, database, &mut plan)?,
        }
    }
    planner.undeclared(&mut plan);
    Ok(plan)
}

struct Planner<'a> {
    declared: &'a DeclaredState,
    current: &'a CurrentState,
}

impl Planner<'_> {
    fn error(&self, line: u64, code: Code, why: &str) -> Error {
        Error::new(code, format!("{}:{line}: {why}", self.declared.file))
    }

    fn location(&self, new: &NewLocation, plan: &mut ApplyPlan) {
        let is_there = self.current.locations.get(&new.code).is_some_and(|there| {
            let same = |wanted: Option<f64>, has: Option<f64>| wanted.is_none() || wanted == has;
            let described = there.builtin || there.description == new.description;
            let dir = new.dir.as_ref().is_none_or(|dir| there.dir.as_ref() == Some(dir));
            described && dir && same(new.lat, there.lat) && same(new.lon, there.lon)
        });
        if !is_there {
            plan.steps.push(Step::AddLocation(new.clone()));
        }
    }

    fn group(&self, name: &GroupName, group: &DeclaredGroup, plan: &mut ApplyPlan) -> Result<()> {
        let there = self.current.groups.get(name);
        let wanted = group.locations.as_deref().unwrap_or_default();
        let mut has: Vec<LocationCode> = there.map_or_else(Vec::new, |there| there.locations.clone());
        if there.is_none() {
            let Some(first) = wanted.first() else {
                let why = format!("groups.{name} is not there yet, and has no locations to be created at");
                return Err(self
                    .error(group.line, Code::InvalidFile, &why)
                    .hint("locations = [\"ams\"]; the first is the primary"));
            };
            plan.steps.push(Step::CreateGroup(NewGroup {
                name: name.clone(),
                location: first.clone(),
            }));
            has.push(first.clone());
        }
        for location in wanted.iter().filter(|location| !has.contains(location)) {
            plan.steps.push(Step::AddGroupLocation(name.clone(), location.clone()));
        }
        if let (Some(there), Some(first)) = (there, wanted.first()) {
            if there.primary != *first {
                plan.steps.push(Step::PromoteGroup(name.clone(), first.clone()));
            }
            for location in has.iter().filter(|location| !wanted.contains(location)) {
                plan.removals
                    .push(Step::RemoveGroupLocation(name.clone(), location.clone()));
            }
        }
        let isolation = self
            .current
            .group_configurations
            .get(name)
            .and_then(|found| found.isolation);
        let patch = GroupConfigurationPatch {
            delete_protection: changed(
                group.delete_protection,
                there.map_or(Some(false), |there| Some(there.delete_protection)),
            ),
            isolation: changed(group.isolation, isolation),
        };
        if patch != GroupConfigurationPatch::default() {
            plan.steps.push(Step::ConfigureGroup(name.clone(), patch));
        }
        Ok(())
    }

    /// The databases, those that others start with before these.
    fn in_order_of_seeds(&self) -> Result<Vec<(&DatabaseName, &DeclaredDatabase)>> {
        let mut ordered = Vec::new();
        let mut placed: BTreeSet<&DatabaseName> = BTreeSet::new();
        let mut left: BTreeMap<_, _> = self.declared.databases.iter().collect();
        while !left.is_empty() {
            let waits_for = |database: &DeclaredDatabase| match &database.seed {
                Some(DeclaredSeed::Database(source)) => {
                    self.declared.databases.contains_key(source)
                        && !placed.contains(source)
                        && !self.current.databases.contains_key(source)
                }
                _ => false,
            };
            let is_new = |name: &DatabaseName| !self.current.databases.contains_key(name);
            let free: Vec<_> = left
                .iter()
                .filter(|(name, database)| !(is_new(name) && waits_for(database)))
                .map(|(name, _)| *name)
                .collect();
            if free.is_empty() {
                let (name, database) = left
                    .into_iter()
                    .next()
                    .unwrap_or_else(|| unreachable!("it is not empty"));
                let why = format!("databases.{name}.seed: these databases start with each other");
                return Err(self.error(database.line, Code::InvalidFile, &why));
            }
            for name in free {
                if let Some((name, database)) = left.remove_entry(name) {
                    ordered.push((name, database));
                    placed.insert(name);
                }
            }
        }
        Ok(ordered)
    }

    /// The locations that a group gives its databases, once the plan is done. None for a group that nobody knows.
    fn locations_of_group(&self, group: &GroupName) -> Option<&[LocationCode]> {
        let declared = self
            .declared
            .groups
            .get(group)
            .and_then(|group| group.locations.as_deref());
        declared.or_else(|| self.current.groups.get(group).map(|group| group.locations.as_slice()))
    }

    fn new_database(&self, name: &DatabaseName, database: &DeclaredDatabase, plan: &mut ApplyPlan) -> Result<()> {
        let of_group = database.group.as_ref().and_then(|group| self.locations_of_group(group));
        let location = database.location.as_ref().or_else(|| of_group?.first());
        if let Some(DeclaredSeed::Database(source)) = &database.seed
            && !self.declared.databases.contains_key(source)
            && !self.current.databases.contains_key(source)
        {
            let why = format!("databases.{name}.seed.database: there is no database {source}");
            return Err(self.error(database.line, Code::DatabaseNotFound, &why));
        }
        let replicas = database.replicas.iter().flatten();
        let replicas: Vec<_> = replicas
            .filter(|replica| !of_group.unwrap_or_default().contains(replica))
            .collect();
        if !replicas.is_empty() && location.is_none() {
            let why = format!("databases.{name}.replicas need a location of the primary");
            return Err(self
                .error(database.line, Code::InvalidFile, &why)
                .hint("add location = \"ams\", or a group that has locations"));
        }
        let expires_at = database.configuration.expires_at.and_then(Option::<Timestamp>::from);
        if let Some(end) = expires_at.filter(|end| *end <= Timestamp::now()) {
            let why = format!("databases.{name}.expires_at is over, and the database is not there: {end}");
            return Err(self
                .error(database.line, Code::InvalidFile, &why)
                .hint("take the database out of the file, or give it more time"));
        }
        plan.steps.push(Step::CreateDatabase(DatabaseStep {
            name: name.clone(),
            group: database.group.clone(),
            location: location.cloned(),
            size_limit: database.configuration.size_limit.clone(),
            expires_at,
            seed: database.seed.clone(),
        }));
        let patch = ConfigurationPatch {
            // It is created with that.
            size_limit: None,
            allow_attach: None,
            block_reads: changed(database.configuration.block_reads, Some(false)),
            block_writes: changed(database.configuration.block_writes, Some(false)),
            delete_protection: changed(database.configuration.delete_protection, Some(false)),
            // It is created with that, too.
            expires_at: None,
            branched_at: None,
        };
        for replica in replicas.into_iter().filter(|replica| Some(*replica) != location) {
            plan.steps.push(Step::AddReplica(name.clone(), replica.clone()));
        }
        if patch != ConfigurationPatch::default() {
            plan.steps.push(Step::ConfigureDatabase(name.clone(), patch));
        }
        Ok(())
    }

    fn existing(
        &self,
        name: &DatabaseName,
        database: &DeclaredDatabase,
        there: &Database,
        plan: &mut ApplyPlan,
    ) -> Result<()> {
        if let Some(group) = &database.group
            && *group != there.group
        {
            let why = format!(
                "databases.{name}.group is {group}, and the database is in group {}",
                there.group
            );
            return Err(self
                .error(database.line, Code::Conflict, &why)
                .hint("databases stay in their group: correct the file, or copy the database into the other group"));
        }
        let of_group = self.locations_of_group(&there.group).unwrap_or_default();
        let primary = database.location.as_ref().unwrap_or(&there.primary);
        let mut wanted: Vec<&LocationCode> = database.replicas.iter().flatten().collect();
        if !there.locations.contains(primary) && !wanted.contains(&primary) && !of_group.contains(primary) {
            wanted.push(primary);
        }
        for location in wanted {
            if !there.locations.contains(location) && !of_group.contains(location) {
                plan.steps.push(Step::AddReplica(name.clone(), location.clone()));
            }
        }
        if *primary != there.primary {
            plan.steps.push(Step::PromoteDatabase(name.clone(), primary.clone()));
        }
        let patch = self.changes(name, database, there);
        if patch != ConfigurationPatch::default() {
            plan.steps.push(Step::ConfigureDatabase(name.clone(), patch));
        }
        if let Some(replicas) = &database.replicas {
            let is_extra = |location: &&LocationCode| {
                *location != primary && !replicas.contains(*location) && !of_group.contains(location)
            };
            for location in there.locations.iter().filter(is_extra) {
                // A location that the group gives up takes its replicas along.
                let of_former_group = self.current.groups.get(&there.group);
                if of_former_group.is_none_or(|group| !group.locations.contains(location)) || *location == there.primary
                {
                    plan.removals.push(Step::RemoveReplica(name.clone(), location.clone()));
                }
            }
        }
        Ok(())
    }

    fn changes(&self, name: &DatabaseName, database: &DeclaredDatabase, there: &Database) -> ConfigurationPatch {
        let has = self.current.configurations.get(name);
        let wanted = &database.configuration;
        ConfigurationPatch {
            size_limit: changed(wanted.size_limit.clone(), has.map(|has| has.size_limit.clone())),
            allow_attach: None,
            block_reads: changed(wanted.block_reads, Some(there.block_reads)),
            block_writes: changed(wanted.block_writes, Some(there.block_writes)),
            delete_protection: changed(wanted.delete_protection, Some(there.delete_protection)),
            expires_at: wanted.expires_at.filter(|end| Option::from(*end) != there.expires_at),
            branched_at: None,
        }
    }

    /// Databases of the file's scope that it does not name.
    fn undeclared(&self, plan: &mut ApplyPlan) {
        let scope = &self.declared.scope;
        for (name, database) in &self.current.databases {
            let matches = |pattern: &String| name_pattern::matches(pattern, name.as_str());
            let is_own = scope.groups.contains(&database.group) || scope.databases.iter().any(matches);
            if !is_own || self.declared.databases.contains_key(name) {
                continue;
            }
            plan.removals.push(Step::DestroyDatabase(name.clone()));
        }
    }
}

/// What is wanted, if it is not what there is.
fn changed<T: PartialEq>(wanted: Option<T>, has: Option<T>) -> Option<T> {
    if wanted == has { None } else { wanted }
}

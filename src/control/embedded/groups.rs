//! Groups: databases that share locations and settings.

use super::catalog::databases::DatabaseRow;
use super::catalog::locations::GroupRow;
use super::promotion;
use super::view::{Change, group_not_found, not_removed_yet};
use super::write_barrier::{NoBarrier, WriteBarrier};
use super::{Embedded, databases, instances};
use crate::control::names::{GroupName, LocationCode};
use crate::control::types::{Group, GroupConfiguration, GroupConfigurationPatch, Isolation, NewGroup};
use crate::control::{GroupOperations, ListPage};
use crate::error::{Code, Error, Result};
use jiff::Timestamp;

impl GroupOperations for Embedded {
    fn list_groups_after(&self, after: Option<&GroupName>, limit: usize) -> Result<ListPage<Group>> {
        let Some(view) = self.read()? else {
            return Ok(ListPage::of_first(Vec::new(), limit));
        };
        let rows = view.catalog.group_page(after, limit.saturating_add(1))?;
        let groups = rows.into_iter().map(|row| view.to_group(row)).collect::<Result<_>>()?;
        Ok(ListPage::of_first(groups, limit))
    }

    fn create_group(&self, new: &NewGroup) -> Result<Group> {
        create(self, uuid::Uuid::new_v4().to_string(), new)
    }

    fn get_group(&self, name: &GroupName) -> Result<Group> {
        let Some(view) = self.read()? else {
            return Err(group_not_found(name, std::iter::empty()));
        };
        view.to_group(view.group(name)?)
    }

    fn rename_group(&self, name: &GroupName, to: &GroupName) -> Result<Group> {
        let change = self.change()?;
        let mut row = change.group(name)?;
        if name != to {
            if change.catalog.group(to)?.is_some() {
                return Err(exists(to));
            }
            row.name = to.clone();
            change.commit(|catalog| catalog.update_group(&row))?;
        }
        change.to_group(row)
    }

    fn delete_group(&self, name: &GroupName) -> Result<()> {
        let change = self.change()?;
        let row = change.group(name)?;
        if row.delete_protection {
            return Err(Error::new(
                Code::DeleteProtected,
                format!("group {name} is protected from deletion"),
            )
            .hint(format!("torso group config set {name} delete-protection off lifts it")));
        }
        let all = change.catalog.databases_of_group(&row.uuid)?;
        for database in &all {
            databases::protect(&change, database)?;
        }
        databases::unused(&change, &all, || {
            databases::doom_with(&change, &all, |catalog| catalog.delete_group(&row.uuid))
        })
    }

    fn add_group_location(&self, name: &GroupName, location: &LocationCode) -> Result<Group> {
        let change = self.change()?;
        let row = change.group(name)?;
        change.known_location(location)?;
        if row.primary == *location || change.catalog.group_locations(&row.uuid)?.contains(location) {
            return change.to_group(row);
        }
        let all = change.catalog.databases_of_group(&row.uuid)?;
        let before = replicas_at(&change, &all, location)?;
        // A database whose primary is elsewhere has one more replica, at the group's primary location.
        let at_primary = replicas_at(&change, &all, &row.primary)?;
        let elsewhere = all.iter().filter(|database| database.primary != row.primary);
        let joining: Vec<_> = elsewhere
            .filter(|database| !at_primary.contains(&database.id))
            .collect();
        change.commit(|catalog| {
            catalog.add_group_location(&row.uuid, location)?;
            for database in &joining {
                catalog.remove_doomed(&database.id, &row.primary)?;
                catalog.add_database_location(&database.id, &row.primary)?;
            }
            all.iter().try_for_each(|database| {
                catalog.remove_doomed(&database.id, location)?;
                catalog.add_pending(&database.id)
            })
        })?;
        for database in &all {
            if let Some(error) = change.reach(&database.id)?.take_failure(location) {
                // A group replicates all of its databases or none, so a failure undoes the addition.
                change.commit(|catalog| {
                    catalog.remove_group_location(&row.uuid, location)?;
                    for database in &joining {
                        catalog.remove_database_location(&database.id, &row.primary)?;
                        catalog.add_doomed(&database.id, &row.primary)?;
                    }
                    for database in all.iter().filter(|database| !before.contains(&database.id)) {
                        if database.primary != *location {
                            catalog.add_doomed(&database.id, location)?;
                        }
                    }
                    Ok(())
                })?;
                for database in &all {
                    change.reach(&database.id)?;
                }
                return Err(error);
            }
        }
        change.to_group(row)
    }

    fn remove_group_location(&self, name: &GroupName, location: &LocationCode) -> Result<Group> {
        let change = self.change()?;
        let row = change.group(name)?;
        if row.primary == *location {
            return Err(Error::new(
                Code::PrimaryInstance,
                format!("{location} is the primary location of group {name}"),
            )
            .hint(format!(
                "torso group promote {name} LOCATION makes another one its primary first"
            )));
        }
        if !change.catalog.group_locations(&row.uuid)?.contains(location) {
            return change.to_group(row);
        }
        let all = change.catalog.databases_of_group(&row.uuid)?;
        let mut losing = Vec::new();
        for database in &all {
            let own = change.catalog.database_locations(&database.id)?.contains(location);
            if database.primary != *location && !own {
                losing.push(database);
            }
        }
        change.commit(|catalog| {
            catalog.remove_group_location(&row.uuid, location)?;
            losing
                .iter()
                .try_for_each(|database| catalog.add_doomed(&database.id, location))
        })?;
        for database in losing {
            if let Some(error) = change.reach(&database.id)?.take_failure(location) {
                return Err(not_removed_yet(&database.name, location, error));
            }
        }
        change.to_group(row)
    }

    fn promote_group(&self, name: &GroupName, location: &LocationCode) -> Result<Group> {
        self.promote_group_behind(name, location, &NoBarrier)
    }

    fn get_group_configuration(&self, name: &GroupName) -> Result<GroupConfiguration> {
        let Some(view) = self.read()? else {
            return Err(group_not_found(name, std::iter::empty()));
        };
        Ok(configuration(self, &view.group(name)?))
    }

    fn update_group_configuration(
        &self,
        name: &GroupName,
        patch: &GroupConfigurationPatch,
    ) -> Result<GroupConfiguration> {
        let change = self.change()?;
        let before = change.group(name)?;
        if patch.isolation.is_some() && !self.engine.has_processes() {
            return Err(Error::new(
                Code::Unsupported,
                format!("the databases of group {name} are files without a server process, which they could share"),
            )
            .hint("groups have this setting in contexts that name a server: torso context list"));
        }
        let row = GroupRow {
            delete_protection: patch.delete_protection.unwrap_or(before.delete_protection),
            isolation: patch.isolation.unwrap_or(before.isolation),
            ..before.clone()
        };
        if row != before {
            change.commit(|catalog| catalog.update_group(&row))?;
        }
        Ok(configuration(self, &row))
    }
}

impl Embedded {
    /// Promotes all databases of a group while `barrier` holds back what clients write.
    pub fn promote_group_behind(
        &self,
        name: &GroupName,
        location: &LocationCode,
        barrier: &dyn WriteBarrier,
    ) -> Result<Group> {
        let change = self.change()?;
        let mut row = change.group(name)?;
        // Databases of it may have been promoted alone.
        let is_moving = row.primary != *location;
        if is_moving && !change.catalog.group_locations(&row.uuid)?.contains(location) {
            return Err(Error::new(
                Code::InstanceNotFound,
                format!("group {name} has no replicas in {location}"),
            )
            .hint(format!("torso group locations add {name} {location} makes them")));
        }
        change.primary_location(location)?;
        let all = change.catalog.databases_of_group(&row.uuid)?;
        if self.engine.has_processes() {
            let former = std::mem::replace(&mut row.primary, location.clone());
            let promotion = promotion::promote(&change, &all, location, barrier, |catalog| {
                if !is_moving {
                    return Ok(());
                }
                catalog.update_group(&row)?;
                catalog.remove_group_location(&row.uuid, location)?;
                catalog.add_group_location(&row.uuid, &former)?;
                // What was a location of single databases is now the group's.
                all.iter()
                    .try_for_each(|database| catalog.remove_database_location(&database.id, &former))
            })?;
            return Ok(Group {
                promotion,
                ..change.to_group(row)?
            });
        }
        // Begin only if all databases can be held exclusively. If one is opened meanwhile, the rest is not promoted;
        // repeating the command continues.
        for database in &all {
            if database.primary != *location {
                let site = change.site(&database.primary, database);
                self.engine.hold(&site)?;
                self.engine.release(&site);
            }
        }
        for database in &all {
            instances::promote_locked(&change, database, location)?;
        }
        if !is_moving {
            return change.to_group(row);
        }
        let former = std::mem::replace(&mut row.primary, location.clone());
        change.commit(|catalog| {
            catalog.update_group(&row)?;
            catalog.remove_group_location(&row.uuid, location)?;
            catalog.add_group_location(&row.uuid, &former)?;
            // The locations that the promotions added to single databases are now the group's.
            all.iter().try_for_each(|database| {
                catalog.remove_database_location(&database.id, &former)?;
                catalog.add_pending(&database.id)
            })
        })?;
        for database in &all {
            if let Some((location, error)) = change.reach(&database.id)?.failures.into_iter().next() {
                return Err(Error::new(
                    Code::Partial,
                    format!(
                        "group {name} is promoted, but {} could not be replicated to {location} yet",
                        database.name
                    ),
                )
                .caused_by(error)
                .hint("every further command tries again; torso doctor shows what is pending"));
            }
        }
        change.to_group(row)
    }
}

pub fn create(plane: &Embedded, uuid: String, new: &NewGroup) -> Result<Group> {
    let change = plane.change()?;
    if change.catalog.group(&new.name)?.is_some() {
        return Err(exists(&new.name));
    }
    change.primary_location(&new.location)?;
    let row = GroupRow {
        uuid,
        name: new.name.clone(),
        primary: new.location.clone(),
        delete_protection: false,
        created_at: Timestamp::now(),
        isolation: Isolation::default(),
    };
    change.commit(|catalog| catalog.insert_group(&row))?;
    change.to_group(row)
}

/// Deletes a group that has no databases: whether it is gone.
#[cfg(feature = "server")]
pub fn delete_if_empty(plane: &Embedded, uuid: &str) -> Result<bool> {
    let change = plane.change()?;
    if !change.catalog.databases_of_group(uuid)?.is_empty() {
        return Ok(false);
    }
    change.commit(|catalog| catalog.delete_group(uuid))?;
    Ok(true)
}

/// Which of the databases have an instance of their own at a location.
fn replicas_at(
    change: &Change<'_>,
    all: &[DatabaseRow],
    location: &LocationCode,
) -> Result<Vec<crate::control::names::DatabaseId>> {
    let mut ids = Vec::new();
    for database in all {
        if change.want(database)?.replicas.contains(location) {
            ids.push(database.id.clone());
        }
    }
    Ok(ids)
}

fn configuration(plane: &Embedded, row: &GroupRow) -> GroupConfiguration {
    GroupConfiguration {
        delete_protection: row.delete_protection,
        isolation: plane.engine.has_processes().then_some(row.isolation),
    }
}

fn exists(name: &GroupName) -> Error {
    Error::new(Code::GroupExists, format!("group {name} exists already"))
        .hint(format!("torso group show {name} shows it"))
}

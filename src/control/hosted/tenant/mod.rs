//! An organization as one caller may use it: the embedded plane of the organization, and before each call the question
//! whether it is allowed, after each change an entry in the audit log and a fresh map of labels. Hostnames and URLs are
//! made the public ones; limits of the organization are held.

mod files;
mod limits;
mod tokens;
mod transfer;

pub use files::Export;
pub(super) use limits::{bytes_stored, locations_in_use};

use super::labels::label;
use super::permission::{Action, Rights, Target, permission};
use super::pool::{Loan, Tenancy};
use super::store::OrganizationRow;
use super::{Caller, Engines, Entry, Shared, lock};
use crate::control::embedded::Placed;
use crate::control::names::{DatabaseId, DatabaseName, GroupName, LocationCode, OrganizationSlug};
use crate::control::tokens::{DatabaseToken, DatabaseUsage, Minted, NewToken, QueryUsage, Span};
use crate::control::types::{
    Configuration, ConfigurationPatch, Connection, CreateDatabase, Database, DatabaseFilter, Finding, Group,
    GroupConfiguration, Instance, Location, NewGroup, NewLocation, Role, Seed, Synced,
};
use crate::control::{ControlPlane, Staging};
use crate::error::{Code, Error, Result};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// See the module.
pub(super) struct Tenant<'a> {
    pub(super) shared: &'a Shared,
    caller: &'a Caller,
    pub(super) organization: OrganizationRow,
    tenancy: Arc<Tenancy>,
    rights: Rights,
}

impl Shared {
    /// The organization and what the caller has in it. `organization_not_found` also where the caller is no member, or the
    /// token in use is for another organization.
    pub(super) fn rights(&self, caller: &Caller, slug: Option<&OrganizationSlug>) -> Result<(OrganizationRow, Rights)> {
        let session = &caller.session;
        let slug = slug.map_or(session.username.as_str(), OrganizationSlug::as_str);
        let found = {
            let records = self.records();
            match records.organization(slug)? {
                Some(row) => records.member(&row.id, &session.user_id)?.map(|member| (row, member)),
                None => None,
            }
        };
        let open = |id: &str| session.organization_id.as_deref().is_none_or(|only| only == id);
        let Some((organization, member)) = found.filter(|(row, _)| open(&row.id)) else {
            return Err(organization_not_found(slug));
        };
        let group = match &session.group_uuid {
            None => None,
            Some(uuid) => {
                let groups = self.plane_of(&organization)?.list_groups()?;
                let group = groups.into_iter().find(|group| group.uuid == *uuid);
                let gone = || {
                    Error::new(Code::Forbidden, "the group that the API token in use is for is no more")
                        .hint("use another token: torso auth api-tokens list")
                };
                Some(group.ok_or_else(gone)?.name)
            }
        };
        let rights = Rights {
            role: member.role,
            scopes: session.scopes.clone(),
            group,
        };
        Ok((organization, rights))
    }

    pub(super) fn tenant<'a>(&'a self, caller: &'a Caller, slug: Option<&OrganizationSlug>) -> Result<Tenant<'a>> {
        let (organization, rights) = self.rights(caller, slug)?;
        Ok(Tenant {
            tenancy: self.pools.tenancy(&organization.id),
            shared: self,
            caller,
            organization,
            rights,
        })
    }
}

pub(super) fn organization_not_found(slug: &str) -> Error {
    Error::new(Code::OrganizationNotFound, format!("there is no organization {slug}"))
        .hint("torso org list shows yours")
}

impl Tenant<'_> {
    fn plane(&self) -> Result<Loan> {
        self.shared.plane_of(&self.organization)
    }

    fn discreet(&self, error: Error) -> Error {
        self.shared.discreet(error)
    }

    /// Asks whether it is allowed. A refusal is written down.
    fn allow(&self, action: Action, target: Target<'_>, entry: Option<&Entry>) -> Result<()> {
        permission(&self.rights, action, target).inspect_err(|error| {
            let entry = entry
                .cloned()
                .unwrap_or_else(|| Entry::new("refused", error.message(), json!({})));
            self.note(entry, Some(error));
        })
    }

    fn note(&self, entry: Entry, error: Option<&Error>) {
        self.shared.note(&self.organization.id, self.caller, entry, error);
    }

    /// The group of a database, where it matters for what the caller may do.
    fn group_of(&self, plane: &Loan, name: &DatabaseName) -> Result<Option<GroupName>> {
        match self.rights.group {
            None => Ok(None),
            Some(_) => plane.get_database(name).map(|database| Some(database.group)),
        }
    }

    /// Looks at something, if that is allowed.
    pub(super) fn look<T>(&self, target: Target<'_>, work: impl FnOnce(&Loan) -> Result<T>) -> Result<T> {
        self.allow(Action::Look, target, None)?;
        work(&self.plane()?).map_err(|error| self.discreet(error))
    }

    /// Looks at a database.
    pub(super) fn look_at<T>(&self, name: &DatabaseName, work: impl FnOnce(&Loan) -> Result<T>) -> Result<T> {
        let plane = self.plane()?;
        let group = self.group_of(&plane, name)?;
        self.allow(
            Action::Look,
            group.as_ref().map_or(Target::Visible, Target::Group),
            None,
        )?;
        work(&plane).map_err(|error| self.discreet(error))
    }

    /// Changes something, if that is allowed, and writes it down whatever comes of it.
    fn change<T>(
        &self,
        action: Action,
        target: Target<'_>,
        entry: Entry,
        work: impl FnOnce(&Loan) -> Result<T>,
    ) -> Result<T> {
        self.allow(action, target, Some(&entry))?;
        let result = self
            .plane()
            .and_then(|plane| work(&plane))
            .map_err(|error| self.discreet(error));
        if let Err(error) = &result {
            // Part of it may have been done.
            let _ = self.shared.refresh(&self.organization);
            if error.code() == Code::Partial {
                self.shared.keep_trying();
            }
        }
        self.note(entry, result.as_ref().err());
        result
    }

    /// The same with a database, which must be there.
    fn change_database<T>(
        &self,
        action: Action,
        name: &DatabaseName,
        entry: Entry,
        work: impl FnOnce(&Loan) -> Result<T>,
    ) -> Result<T> {
        let group = match self.rights.group {
            None => None,
            Some(_) => self.group_of(&self.plane()?, name)?,
        };
        let target = group.as_ref().map_or(Target::Visible, Target::Group);
        self.change(action, target, entry, work)
    }

    /// Has labels lead to a database as it is now.
    fn publish(&self, plane: &Loan, name: &DatabaseName) -> Result<Placed> {
        let placed = plane.placement(name)?;
        self.shared.labels.set(self.owner(), &placed);
        Ok(placed)
    }

    fn publish_all(&self) -> Result<()> {
        self.shared.refresh(&self.organization)
    }

    fn owner(&self) -> (&str, &OrganizationSlug) {
        (&self.organization.id, &self.organization.slug)
    }

    /// The labels of a database that has instances at these locations.
    fn labels_of<'l>(&self, name: &DatabaseName, locations: impl IntoIterator<Item = &'l LocationCode>) -> Vec<String> {
        let slug = &self.organization.slug;
        let instances = locations.into_iter().map(|location| label(name, slug, Some(location)));
        std::iter::once(label(name, slug, None)).chain(instances).collect()
    }

    /// A database as the outside knows it.
    fn outside(&self, mut database: Database) -> Database {
        let label = label(&database.name, &self.organization.slug, None);
        database.hostname = self.shared.public.hostname(&label);
        if let Engines::Sqld(_) = self.shared.engine {
            database.url = self.shared.public.url(&label);
        }
        database
    }

    fn outside_instance(&self, name: &DatabaseName, mut instance: Instance) -> Instance {
        let label = label(name, &self.organization.slug, Some(&instance.location));
        instance.hostname = self.shared.public.hostname(&label);
        if let Engines::Sqld(_) = self.shared.engine {
            instance.url = self.shared.public.url(&label);
        }
        instance
    }

    /// A location as the outside knows it: where its files are is the server's affair.
    fn outside_location(location: Location) -> Location {
        Location { dir: None, ..location }
    }
}

impl ControlPlane for Tenant<'_> {
    fn list_locations(&self) -> Result<Vec<Location>> {
        self.look(Target::Visible, |plane| {
            let all = plane.list_locations()?;
            Ok(all
                .into_iter()
                .filter(|location| self.offers(&location.code))
                .map(Self::outside_location)
                .collect())
        })
    }

    fn get_location(&self, code: &LocationCode) -> Result<Location> {
        self.offered(code)?;
        self.look(Target::Visible, |plane| {
            plane.get_location(code).map(Self::outside_location)
        })
    }

    fn add_location(&self, new: &NewLocation) -> Result<Location> {
        let entry = Entry::new(
            "location-add",
            format!("added location {}", new.code),
            json!({ "location": new.code }),
        );
        self.change(Action::Maintain, Target::Organization, entry, |plane| {
            if new.dir.is_some() {
                return Err(Error::new(
                    Code::Forbidden,
                    format!("the directory of location {} is the server's to choose", new.code),
                )
                .hint("leave out --dir"));
            }
            if self.shared.locations.is_some() {
                return Err(Error::new(
                    Code::Unsupported,
                    format!(
                        "this server offers the locations it was started with, so {} cannot be added",
                        new.code
                    ),
                )
                .hint("torso location list shows them; torso server --locations chooses them"));
            }
            plane.add_location(new).map(Self::outside_location)
        })
    }

    fn remove_location(&self, code: &LocationCode) -> Result<Location> {
        let entry = Entry::new(
            "location-remove",
            format!("removed location {code}"),
            json!({ "location": code }),
        );
        self.change(Action::Maintain, Target::Organization, entry, |plane| {
            plane.remove_location(code).map(Self::outside_location)
        })
    }

    fn list_groups(&self) -> Result<Vec<Group>> {
        self.look(Target::Visible, |plane| {
            let mut all = plane.list_groups()?;
            if let Some(own) = &self.rights.group {
                all.retain(|group| group.name == *own);
            }
            Ok(all)
        })
    }

    fn create_group(&self, new: &NewGroup) -> Result<Group> {
        let entry = Entry::new(
            "group-create",
            format!("created group {}", new.name),
            json!({ "group": new.name, "location": new.location }),
        );
        self.change(Action::CreateGroup, Target::Organization, entry, |plane| {
            self.offered(&new.location)?;
            let _making = lock(&self.tenancy.making);
            self.room_for_group(plane, &new.location)?;
            plane.create_group(new)
        })
    }

    fn get_group(&self, name: &GroupName) -> Result<Group> {
        self.look(Target::Group(name), |plane| plane.get_group(name))
    }

    fn rename_group(&self, name: &GroupName, to: &GroupName) -> Result<Group> {
        let entry = Entry::new(
            "group-rename",
            format!("renamed group {name} to {to}"),
            json!({ "group": name, "to": to }),
        );
        self.change(Action::ConfigureGroup, Target::Group(name), entry, |plane| {
            let group = plane.rename_group(name, to)?;
            self.publish_all()?;
            Ok(group)
        })
    }

    fn delete_group(&self, name: &GroupName) -> Result<Group> {
        let entry = Entry::new(
            "group-delete",
            format!("deleted group {name}"),
            json!({ "group": name }),
        );
        self.change(Action::DeleteGroup, Target::Group(name), entry, |plane| {
            let doomed: Vec<DatabaseId> = plane
                .placements()?
                .into_iter()
                .filter(|placed| placed.group == *name)
                .map(|placed| placed.id)
                .collect();
            let group = plane.get_group(name)?;
            self.shared.removed(plane.delete_group(name).map(drop))?;
            self.publish_all()?;
            self.forget(&doomed, Some(&group.uuid));
            Ok(group)
        })
    }

    fn add_group_location(&self, name: &GroupName, location: &LocationCode) -> Result<Group> {
        let entry = Entry::new(
            "group-location-add",
            format!("added location {location} to group {name}"),
            json!({ "group": name, "location": location }),
        );
        self.change(Action::ConfigureGroup, Target::Group(name), entry, |plane| {
            self.offered(location)?;
            let _making = lock(&self.tenancy.making);
            self.room_for_location(plane, location)?;
            let members = plane.list_databases(&DatabaseFilter {
                group: Some(name.clone()),
                ..DatabaseFilter::default()
            })?;
            let mut promises = Vec::new();
            for database in &members {
                let wanted = vec![label(&database.name, &self.organization.slug, Some(location))];
                promises.push(self.shared.labels.promise(wanted, Some(&database.id))?);
            }
            let group = plane.add_group_location(name, location)?;
            self.publish_all()?;
            Ok(group)
        })
    }

    fn remove_group_location(&self, name: &GroupName, location: &LocationCode) -> Result<Group> {
        let entry = Entry::new(
            "group-location-remove",
            format!("removed location {location} from group {name}"),
            json!({ "group": name, "location": location }),
        );
        self.change(Action::ConfigureGroup, Target::Group(name), entry, |plane| {
            self.shared
                .removed(plane.remove_group_location(name, location).map(drop))?;
            self.publish_all()?;
            plane.get_group(name)
        })
    }

    fn promote_group(&self, name: &GroupName, location: &LocationCode) -> Result<Group> {
        let entry = Entry::new(
            "group-promote",
            format!("promoted {location} in group {name}"),
            json!({ "group": name, "location": location }),
        );
        self.change(Action::ConfigureGroup, Target::Group(name), entry, |plane| {
            let group = plane.promote_group(name, location)?;
            self.publish_all()?;
            Ok(group)
        })
    }

    fn get_group_configuration(&self, name: &GroupName) -> Result<GroupConfiguration> {
        self.look(Target::Group(name), |plane| plane.get_group_configuration(name))
    }

    fn update_group_configuration(&self, name: &GroupName, to: &GroupConfiguration) -> Result<GroupConfiguration> {
        let (code, doing) = if to.delete_protection {
            ("group-protect", "protected")
        } else {
            ("group-unprotect", "unprotected")
        };
        let entry = Entry::new(code, format!("{doing} group {name}"), json!({ "group": name }));
        self.change(Action::Protect, Target::Group(name), entry, |plane| {
            plane.update_group_configuration(name, to)
        })
    }

    fn list_databases(&self, filter: &DatabaseFilter) -> Result<Vec<Database>> {
        self.look(Target::Visible, |plane| {
            let mut all = plane.list_databases(filter)?;
            if let Some(own) = &self.rights.group {
                all.retain(|database| database.group == *own);
            }
            Ok(all.into_iter().map(|database| self.outside(database)).collect())
        })
    }

    fn create_database(&self, request: &CreateDatabase) -> Result<Database> {
        let entry = Entry::new(
            "db-create",
            format!("created database {}", request.name),
            json!({ "database": request.name, "group": request.group }),
        );
        let mut request = request.clone();
        if request.group.is_none() {
            request.group.clone_from(&self.rights.group);
        }
        let target = request.group.clone();
        let target = target.as_ref().map_or(Target::Organization, Target::Group);
        self.change(Action::CreateDatabase, target, entry, |plane| {
            // A branch holds what its parent does, so whoever makes one must be allowed to read that.
            if let Some(Seed::Database { name }) = &request.seed {
                let group = self.group_of(plane, name)?;
                let target = group.as_ref().map_or(Target::Visible, Target::Group);
                permission(&self.rights, Action::Look, target)?;
            }
            let made = self.make_with_seed(plane, request)?;
            Ok(self.outside(made))
        })
    }

    fn get_database(&self, name: &DatabaseName) -> Result<Database> {
        self.look_at(name, |plane| {
            plane.get_database(name).map(|database| self.outside(database))
        })
    }

    fn rename_database(&self, name: &DatabaseName, to: &DatabaseName) -> Result<Database> {
        let entry = Entry::new(
            "db-rename",
            format!("renamed database {name} to {to}"),
            json!({ "database": name, "to": to }),
        );
        self.change_database(Action::ConfigureDatabase, name, entry, |plane| {
            let placed = plane.placement(name)?;
            let wanted = self.labels_of(to, placed.sites.iter().map(|(location, _)| location));
            // Of this organization's own databases the plane tells better that the name is taken.
            let _promise = match plane.id_of(to)? {
                Some(_) => None,
                None => Some(self.shared.labels.promise(wanted, Some(&placed.id))?),
            };
            let database = plane.rename_database(name, to)?;
            self.publish(plane, to)?;
            Ok(self.outside(database))
        })
    }

    fn delete_database(&self, name: &DatabaseName) -> Result<Database> {
        let entry = Entry::new(
            "db-delete",
            format!("deleted database {name}"),
            json!({ "database": name }),
        );
        self.change_database(Action::DeleteDatabase, name, entry, |plane| {
            let database = plane.get_database(name)?;
            self.shared.removed(plane.delete_database(name).map(drop))?;
            self.shared.labels.remove(&database.id);
            self.forget(std::slice::from_ref(&database.id), None);
            Ok(self.outside(database))
        })
    }

    fn get_configuration(&self, name: &DatabaseName) -> Result<Configuration> {
        self.look_at(name, |plane| plane.get_configuration(name))
    }

    fn update_configuration(&self, name: &DatabaseName, patch: &ConfigurationPatch) -> Result<Configuration> {
        let (action, code) = match patch.delete_protection {
            None => (Action::ConfigureDatabase, "db-configure"),
            Some(true) => (Action::Protect, "db-protect"),
            Some(false) => (Action::Protect, "db-unprotect"),
        };
        let entry = Entry::new(
            code,
            format!("changed the configuration of database {name}"),
            json!({ "database": name, "changes": patch }),
        );
        let others = patch.size_limit.is_some()
            || patch.allow_attach.is_some()
            || patch.block_reads.is_some()
            || patch.block_writes.is_some();
        self.change_database(action, name, entry, |plane| {
            if others && action == Action::Protect {
                permission(&self.rights, Action::ConfigureDatabase, Target::Visible)?;
            }
            let configuration = plane.update_configuration(name, patch)?;
            self.publish(plane, name)?;
            Ok(configuration)
        })
    }

    fn list_instances(&self, name: &DatabaseName) -> Result<Vec<Instance>> {
        self.look_at(name, |plane| {
            let all = plane.list_instances(name)?;
            Ok(all
                .into_iter()
                .map(|instance| self.outside_instance(name, instance))
                .collect())
        })
    }

    fn add_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<Instance> {
        let entry = Entry::new(
            "instance-create",
            format!("replicated database {name} to {location}"),
            json!({ "database": name, "location": location }),
        );
        self.change_database(Action::ConfigureDatabase, name, entry, |plane| {
            let placed = plane.placement(name)?;
            self.offered(location)?;
            let _making = lock(&self.tenancy.making);
            self.room_for_location(plane, location)?;
            let wanted = vec![label(name, &self.organization.slug, Some(location))];
            let _promise = self.shared.labels.promise(wanted, Some(&placed.id))?;
            let instance = plane.add_instance(name, location)?;
            self.publish(plane, name)?;
            Ok(self.outside_instance(name, instance))
        })
    }

    fn remove_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<()> {
        let entry = Entry::new(
            "instance-delete",
            format!("removed the replica of database {name} in {location}"),
            json!({ "database": name, "location": location }),
        );
        self.change_database(Action::ConfigureDatabase, name, entry, |plane| {
            self.shared.removed(plane.remove_instance(name, location))?;
            self.publish(plane, name).map(drop)
        })
    }

    fn sync_database(&self, name: &DatabaseName, location: Option<&LocationCode>) -> Result<Vec<Synced>> {
        let entry = Entry::new(
            "db-sync",
            format!("synced database {name}"),
            json!({ "database": name, "location": location }),
        );
        self.change_database(Action::ConfigureDatabase, name, entry, |plane| {
            plane.sync_database(name, location)
        })
    }

    fn promote_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<Database> {
        let entry = Entry::new(
            "instance-promote",
            format!("promoted {location} for database {name}"),
            json!({ "database": name, "location": location }),
        );
        self.change_database(Action::ConfigureDatabase, name, entry, |plane| {
            let database = plane.promote_instance(name, location)?;
            self.publish(plane, name)?;
            Ok(self.outside(database))
        })
    }

    fn connection(&self, name: &DatabaseName, location: Option<&LocationCode>) -> Result<Connection> {
        self.look_at(name, |plane| {
            let mut connection = plane.connection(name, location)?;
            if let Engines::Sqld(_) = self.shared.engine {
                let at = (connection.role == Role::Replica || location.is_some()).then_some(&connection.location);
                connection.url = self.shared.public.url(&label(name, &self.organization.slug, at));
            }
            Ok(connection)
        })
    }

    fn create_database_token(&self, name: &DatabaseName, new: &NewToken) -> Result<Minted> {
        self.mint_for_database(name, new)
    }

    fn create_group_token(&self, name: &GroupName, new: &NewToken) -> Result<Minted> {
        self.mint_for_group(name, new)
    }

    fn list_database_tokens(&self, name: &DatabaseName) -> Result<Vec<DatabaseToken>> {
        self.tokens_of_database(name)
    }

    fn list_group_tokens(&self, name: &GroupName) -> Result<Vec<DatabaseToken>> {
        self.tokens_of_group(name)
    }

    fn revoke_database_token(&self, name: &DatabaseName, id: &str) -> Result<DatabaseToken> {
        self.revoke_of_database(name, id)
    }

    fn revoke_group_token(&self, name: &GroupName, id: &str) -> Result<DatabaseToken> {
        self.revoke_of_group(name, id)
    }

    fn rotate_database_tokens(&self, name: &DatabaseName, grace: Duration) -> Result<()> {
        self.rotate_of_database(name, grace)
    }

    fn rotate_group_tokens(&self, name: &GroupName, grace: Duration) -> Result<()> {
        self.rotate_of_group(name, grace)
    }

    fn database_usage(&self, name: &DatabaseName, span: Span) -> Result<DatabaseUsage> {
        self.usage_of(name, span)
    }

    fn top_queries(&self, name: &DatabaseName) -> Result<Vec<QueryUsage>> {
        self.queries_of(name)
    }

    fn transfer_database(&self, name: &DatabaseName, to: &OrganizationSlug) -> Result<()> {
        self.move_database(name, to)
    }

    fn transfer_group(&self, name: &GroupName, to: &OrganizationSlug) -> Result<Group> {
        self.move_group(name, to)
    }

    fn staging(&self) -> Result<Staging> {
        self.allow(Action::CreateDatabase, Target::Visible, None)?;
        self.plane()?.staging().map_err(|error| self.discreet(error))
    }

    fn check(&self, fix: bool) -> Result<Vec<Finding>> {
        let entry = Entry::new("check", "checked the organization", json!({ "fix": fix }));
        self.change(Action::Maintain, Target::Organization, entry, |plane| {
            let dir = self.shared.dir.to_string_lossy();
            let mut found = plane.check(fix)?;
            for finding in &mut found {
                finding.message = finding.message.replace(&*dir, "…");
                finding.fix = finding.fix.take().map(|fix| fix.replace(&*dir, "…"));
            }
            Ok(found)
        })
    }
}

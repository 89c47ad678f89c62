//! An organization as one caller may use it: its embedded plane, with permission checks. Each call is checked before; each
//! change is followed by an audit entry and an update of the labels. Hostnames and URLs are replaced by the public ones; the
//! organization's limits are enforced.
//!
//! This file has what all calls share; `plane` delegates each to the file of its noun.

mod databases;
mod files;
mod groups;
mod instances;
mod limits;
mod locations;
mod maintenance;
mod promotion;
mod tokens;
mod transfers;

use super::idempotency::MarkingRecords;
use super::permission::{Action, PermissionTarget, Rights, permission};
use super::pool::{OrganizationState, PlaneGuard};
use super::store::OrganizationRow;
use super::{Caller, NewAuditEntry, Shared};
use crate::control::embedded::Placed;
use crate::control::gateway_plane::label;
use crate::control::names::{DatabaseName, GroupName, LocationCode, OrganizationSlug};
use crate::control::types::{Database, Instance, Role};
use crate::control::{DatabaseOperations as _, GroupOperations as _};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use serde_json::json;
use std::sync::{Arc, MutexGuard};

pub(super) use limits::{bytes_stored, locations_in_use};
pub(super) use promotion::OrganizationBarrier;

/// See the module.
pub(super) struct OrganizationPlane<'a> {
    pub(super) shared: &'a Shared,
    caller: &'a Caller,
    pub(super) organization: OrganizationRow,
    state: Arc<OrganizationState>,
    rights: Rights,
}

impl Shared {
    /// The organization and the caller's rights in it. Fails with `organization_not_found` also if the caller is not a
    /// member, or the token is for another organization.
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
                    Error::new(Code::Forbidden, "the group of this API token does not exist any more")
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

    pub(super) fn organization_plane<'a>(
        &'a self,
        caller: &'a Caller,
        slug: Option<&OrganizationSlug>,
    ) -> Result<OrganizationPlane<'a>> {
        let (organization, rights) = self.rights(caller, slug)?;
        Ok(OrganizationPlane {
            state: self.plane_pool.state(&organization.id),
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

impl OrganizationPlane<'_> {
    /// The organization's plane, for changes that are the caller's request's.
    fn plane(&self) -> Result<PlaneGuard> {
        let plane = self.shared.plane_of(&self.organization)?;
        plane.mark_changes(self.caller.mark());
        Ok(plane)
    }

    /// The records, likewise.
    fn records(&self) -> MarkingRecords<'_> {
        self.shared.records_for(self.caller.mark())
    }

    fn discreet(&self, error: Error) -> Error {
        self.shared.discreet(error)
    }

    /// Checks the permission. A refusal is written into the audit log.
    fn allow(&self, action: Action, target: PermissionTarget<'_>, entry: Option<&NewAuditEntry>) -> Result<()> {
        permission(&self.rights, action, target).inspect_err(|error| {
            let entry = entry
                .cloned()
                .unwrap_or_else(|| NewAuditEntry::new("refused", error.message(), json!({})));
            self.note(entry, Some(error));
        })
    }

    fn note(&self, entry: NewAuditEntry, error: Option<&Error>) {
        self.shared.note(&self.organization.id, self.caller, entry, error);
    }

    /// The group of a database, if it matters for the caller's rights.
    fn group_of(&self, plane: &PlaneGuard, name: &DatabaseName) -> Result<Option<GroupName>> {
        match self.rights.group {
            None => Ok(None),
            Some(_) => plane.get_database(name).map(|database| Some(database.group)),
        }
    }

    /// Reads something, if that is allowed.
    pub(super) fn read<T>(
        &self,
        target: PermissionTarget<'_>,
        work: impl FnOnce(&PlaneGuard) -> Result<T>,
    ) -> Result<T> {
        self.allow(Action::View, target, None)?;
        work(&self.plane()?).map_err(|error| self.discreet(error))
    }

    /// Reads a database, if that is allowed.
    pub(super) fn read_database<T>(
        &self,
        name: &DatabaseName,
        work: impl FnOnce(&PlaneGuard) -> Result<T>,
    ) -> Result<T> {
        let plane = self.plane()?;
        let group = self.group_of(&plane, name)?;
        self.allow(
            Action::View,
            group
                .as_ref()
                .map_or(PermissionTarget::Visible, PermissionTarget::Group),
            None,
        )?;
        work(&plane).map_err(|error| self.discreet(error))
    }

    /// Changes something, if that is allowed, and writes it down whatever comes of it.
    fn change<T>(
        &self,
        action: Action,
        target: PermissionTarget<'_>,
        entry: NewAuditEntry,
        work: impl FnOnce(&PlaneGuard) -> Result<T>,
    ) -> Result<T> {
        self.change_noting(action, target, entry, |plane, _| work(plane))
    }

    /// The same, where the work adds to what is written down.
    fn change_noting<T>(
        &self,
        action: Action,
        target: PermissionTarget<'_>,
        mut entry: NewAuditEntry,
        work: impl FnOnce(&PlaneGuard, &mut NewAuditEntry) -> Result<T>,
    ) -> Result<T> {
        self.allow(action, target, Some(&entry))?;
        let result = self
            .plane()
            .and_then(|plane| work(&plane, &mut entry))
            .map_err(|error| self.discreet(error));
        if let Err(error) = &result {
            // A part of it may have been done.
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
        entry: NewAuditEntry,
        work: impl FnOnce(&PlaneGuard) -> Result<T>,
    ) -> Result<T> {
        self.change_database_noting(action, name, entry, |plane, _| work(plane))
    }

    /// The same, where the work adds to what is written down.
    fn change_database_noting<T>(
        &self,
        action: Action,
        name: &DatabaseName,
        entry: NewAuditEntry,
        work: impl FnOnce(&PlaneGuard, &mut NewAuditEntry) -> Result<T>,
    ) -> Result<T> {
        let group = match self.rights.group {
            None => None,
            Some(_) => self.group_of(&self.plane()?, name)?,
        };
        let target = group
            .as_ref()
            .map_or(PermissionTarget::Visible, PermissionTarget::Group);
        self.change_noting(action, target, entry, work)
    }

    /// Updates the labels of a database.
    fn publish(&self, plane: &PlaneGuard, name: &DatabaseName) -> Result<Placed> {
        self.shared.publish(&self.organization, plane, name)
    }

    fn publish_all(&self) -> Result<()> {
        self.shared.refresh(&self.organization)
    }

    /// Keeps others from making what a quota counts, and the organization from being deleted.
    fn making(&self) -> Result<MutexGuard<'_, ()>> {
        let held = lock(&self.state.making);
        // It may have been deleted while this call waited. What was made in it would be nobody's.
        if self
            .shared
            .records()
            .organization_by_id(&self.organization.id)?
            .is_none()
        {
            return Err(organization_not_found(self.organization.slug.as_str()));
        }
        Ok(held)
    }

    /// The labels of a database that has instances at these locations.
    fn labels_of<'l>(&self, name: &DatabaseName, locations: impl IntoIterator<Item = &'l LocationCode>) -> Vec<String> {
        let slug = &self.organization.slug;
        let instances = locations.into_iter().map(|location| label(name, slug, Some(location)));
        std::iter::once(label(name, slug, None)).chain(instances).collect()
    }

    /// A database as clients see it.
    fn outside(&self, mut database: Database) -> Database {
        let label = label(&database.name, &self.organization.slug, None);
        database.hostname = self.shared.public.hostname(&label);
        database.url = self.shared.public.database_url(&label);
        database
    }

    /// [`Self::outside`], with how it is used now.
    fn in_use(&self, database: Database) -> Database {
        let activity = self.shared.activity(&database.id);
        Database {
            activity,
            ..self.outside(database)
        }
    }

    fn outside_instance(&self, name: &DatabaseName, mut instance: Instance) -> Instance {
        let label = label(name, &self.organization.slug, Some(&instance.location));
        // The machine of a location serves its replicas itself, if any does.
        let is_replica = instance.role == Role::Replica;
        let elsewhere = is_replica
            .then(|| self.shared.node_address(&instance.location))
            .flatten();
        let public = elsewhere.as_ref().unwrap_or(&self.shared.public);
        instance.hostname = public.hostname(&label);
        instance.url = public.database_url(&label);
        instance.last_error = instance.last_error.map(|text| self.discreet_text(text));
        let route = self.shared.hostnames.route(&label);
        instance.connections = route.and_then(|route| self.shared.connections(&route.id, &route.location));
        instance
    }

    /// Why a process has failed, without what is not for clients.
    fn discreet_text(&self, cause: String) -> String {
        self.discreet(Error::new(Code::Unavailable, cause)).message().to_owned()
    }
}

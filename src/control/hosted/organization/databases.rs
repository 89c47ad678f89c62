//! Databases of an organization. Seeds and quotas are `limits`' and `files`'.

use super::OrganizationPlane;
use crate::control::embedded::Embedded;
use crate::control::hosted::NewAuditEntry;
use crate::control::hosted::permission::{Action, PermissionTarget, permission};
use crate::control::names::{DatabaseId, DatabaseName};
use crate::control::types::{Configuration, ConfigurationPatch, CreateDatabase, Database, DatabaseFilter, Seed};
use crate::control::{DatabaseOperations, DatabaseVisitor, GroupOperations as _};
use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use serde_json::json;
use std::cell::Cell;

impl DatabaseOperations for OrganizationPlane<'_> {
    fn visit_databases(&self, filter: &DatabaseFilter, visit: &mut DatabaseVisitor<'_>) -> Result<()> {
        self.read(PermissionTarget::Visible, |plane| {
            let mut filter = filter.clone();
            if let Some(own) = &self.rights.group {
                match &filter.group {
                    // Of another group nothing is seen but that it exists.
                    Some(other) if other != own => return plane.get_group(other).map(drop),
                    _ => filter.group = Some(own.clone()),
                }
            }
            plane.visit_databases(&filter, &mut |page| {
                visit(page.into_iter().map(|database| self.in_use(database)).collect())
            })
        })
    }

    fn create_database(&self, request: &CreateDatabase) -> Result<Database> {
        let entry = NewAuditEntry::new(
            "db-create",
            format!("created database {}", request.name),
            json!({ "database": request.name, "group": request.group }),
        );
        let mut request = request.clone();
        if request.group.is_none() {
            request.group.clone_from(&self.rights.group);
        }
        let target = request.group.clone();
        let target = target
            .as_ref()
            .map_or(PermissionTarget::Organization, PermissionTarget::Group);
        self.change(Action::CreateDatabase, target, entry, |plane| {
            // A branch has the data of its parent, so the caller must be allowed to read that.
            if let Some(Seed::Database { name }) = &request.seed {
                let group = self.group_of(plane, name)?;
                let target = group
                    .as_ref()
                    .map_or(PermissionTarget::Visible, PermissionTarget::Group);
                permission(&self.rights, Action::View, target)?;
            }
            let made = self.make_with_seed(plane, request)?;
            Ok(self.outside(made))
        })
    }

    fn get_database(&self, name: &DatabaseName) -> Result<Database> {
        self.read_database(name, |plane| {
            let database = self.shared.with_last_backup(plane.get_database(name)?);
            Ok(self.in_use(database))
        })
    }

    fn rename_database(&self, name: &DatabaseName, to: &DatabaseName) -> Result<Database> {
        let entry = NewAuditEntry::new(
            "db-rename",
            format!("renamed database {name} to {to}"),
            json!({ "database": name, "to": to }),
        );
        self.change_database(Action::ConfigureDatabase, name, entry, |plane| {
            let placed = plane.placement(name)?;
            let wanted = self.labels_of(to, placed.sites.iter().map(|(location, _)| location));
            // If the name belongs to another database of this organization, the plane's error is better.
            let _promise = match plane.id_of(to)? {
                Some(_) => None,
                None => Some(self.shared.hostnames.reserve(wanted, Some(&placed.id))?),
            };
            let database = plane.rename_database(name, to)?;
            self.publish(plane, to)?;
            if name != to {
                let slug = &self.organization.slug;
                self.shared.keep_labels(&placed, slug, &placed.id, None)?;
            }
            Ok(self.outside(database))
        })
    }

    fn delete_database(&self, name: &DatabaseName) -> Result<()> {
        self.delete_if(name, |_| true, Embedded::delete_by_id).map(drop)
    }

    fn delete_expired_database(&self, name: &DatabaseName) -> Result<bool> {
        let is_expired = |database: &Database| database.is_expired(Timestamp::now());
        match self.delete_if(name, is_expired, Embedded::delete_expired_by_id) {
            Err(error) if error.code() == Code::DatabaseNotFound => Ok(false),
            done => done,
        }
    }

    fn get_configuration(&self, name: &DatabaseName) -> Result<Configuration> {
        self.read_database(name, |plane| plane.get_configuration(name))
    }

    fn update_configuration(&self, name: &DatabaseName, patch: &ConfigurationPatch) -> Result<Configuration> {
        let (action, code) = match patch.delete_protection {
            None => (Action::ConfigureDatabase, "db-configure"),
            Some(true) => (Action::Protect, "db-protect"),
            Some(false) => (Action::Protect, "db-unprotect"),
        };
        let entry = NewAuditEntry::new(
            code,
            format!("changed the configuration of database {name}"),
            json!({ "database": name, "changes": patch }),
        );
        let others = patch.size_limit.is_some()
            || patch.allow_attach.is_some()
            || patch.block_reads.is_some()
            || patch.block_writes.is_some()
            || patch.expires_at.is_some()
            || patch.branched_at.is_some();
        self.change_database(action, name, entry, |plane| {
            if others && action == Action::Protect {
                permission(&self.rights, Action::ConfigureDatabase, PermissionTarget::Visible)?;
            }
            let configuration = plane.update_configuration(name, patch)?;
            self.publish(plane, name)?;
            Ok(configuration)
        })
    }
}

impl OrganizationPlane<'_> {
    /// Deletes a database that meets a condition, with what clients know of it. False if it does not meet it.
    fn delete_if(
        &self,
        name: &DatabaseName,
        condition: impl Fn(&Database) -> bool,
        delete: fn(&Embedded, &DatabaseId) -> Result<bool>,
    ) -> Result<bool> {
        let entry = NewAuditEntry::new(
            "db-delete",
            format!("deleted database {name}"),
            json!({ "database": name }),
        );
        // An error for the audit log: nothing was deleted.
        let is_unexpired = Cell::new(false);
        let keep = || {
            is_unexpired.set(true);
            Err(Error::new(Code::Conflict, format!("database {name} has not expired")))
        };
        let done = self.change_database(Action::DeleteDatabase, name, entry, |plane| {
            let id = plane.get_database(name)?.id;
            // A copy of one that is on its way would live on.
            let _alone = self.shared.transfers.begin(id.as_str(), &format!("database {name}"))?;
            // Whoever had it may have moved or deleted it.
            let database = plane.get_database(name)?;
            if database.id != id {
                return Err(Error::new(
                    Code::DatabaseBusy,
                    format!("database {name} was replaced while this command ran"),
                )
                .hint(format!("check it first: torso db show {name}")));
            }
            if !condition(&database) {
                return keep();
            }
            // Not by the name, which another may bear by now.
            let deleted = delete(plane, &database.id);
            if matches!(deleted, Ok(false)) && plane.id_of(&database.name)?.is_some() {
                return keep();
            }
            self.shared.removed(deleted.map(drop))?;
            self.shared.unpublish(&self.organization.id, &database.id);
            self.forget(std::slice::from_ref(&database.id), None);
            Ok(true)
        });
        if is_unexpired.get() { Ok(false) } else { done }
    }
}

//! Databases of an organization. Seeds and quotas are `limits`' and `files`'.

use super::OrganizationPlane;
use crate::control::DatabaseOperations;
use crate::control::hosted::NewAuditEntry;
use crate::control::hosted::permission::{Action, PermissionTarget, permission};
use crate::control::names::DatabaseName;
use crate::control::types::{Configuration, ConfigurationPatch, CreateDatabase, Database, DatabaseFilter, Seed};
use crate::error::{Code, Error, Result};
use serde_json::json;

impl DatabaseOperations for OrganizationPlane<'_> {
    fn list_databases(&self, filter: &DatabaseFilter) -> Result<Vec<Database>> {
        self.read(PermissionTarget::Visible, |plane| {
            let mut all = plane.list_databases(filter)?;
            if let Some(own) = &self.rights.group {
                all.retain(|database| database.group == *own);
            }
            Ok(all.into_iter().map(|database| self.in_use(database)).collect())
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
            plane.get_database(name).map(|database| self.in_use(database))
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
        let entry = NewAuditEntry::new(
            "db-delete",
            format!("deleted database {name}"),
            json!({ "database": name }),
        );
        self.change_database(Action::DeleteDatabase, name, entry, |plane| {
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
            // Not by the name, which another may bear by now.
            self.shared.removed(plane.delete_by_id(&database.id).map(drop))?;
            self.shared.unpublish(&self.organization.id, &database.id);
            self.forget(std::slice::from_ref(&database.id), None);
            Ok(())
        })
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
            || patch.block_writes.is_some();
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

//! Databases of an organization. Seeds and quotas are `limits`' and `files`'.

use super::OrganizationPlane;
use crate::control::ControlPlane as _;
use crate::control::hosted::Entry;
use crate::control::hosted::permission::{Action, Target, permission};
use crate::control::names::DatabaseName;
use crate::control::types::{Configuration, ConfigurationPatch, CreateDatabase, Database, DatabaseFilter, Seed};
use crate::error::{Code, Error, Result};
use serde_json::json;

pub(super) fn list(tenant: &OrganizationPlane<'_>, filter: &DatabaseFilter) -> Result<Vec<Database>> {
    tenant.look(Target::Visible, |plane| {
        let mut all = plane.list_databases(filter)?;
        if let Some(own) = &tenant.rights.group {
            all.retain(|database| database.group == *own);
        }
        Ok(all.into_iter().map(|database| tenant.outside(database)).collect())
    })
}

pub(super) fn create(tenant: &OrganizationPlane<'_>, request: &CreateDatabase) -> Result<Database> {
    let entry = Entry::new(
        "db-create",
        format!("created database {}", request.name),
        json!({ "database": request.name, "group": request.group }),
    );
    let mut request = request.clone();
    if request.group.is_none() {
        request.group.clone_from(&tenant.rights.group);
    }
    let target = request.group.clone();
    let target = target.as_ref().map_or(Target::Organization, Target::Group);
    tenant.change(Action::CreateDatabase, target, entry, |plane| {
        // A branch has the data of its parent, so the caller must be allowed to read that.
        if let Some(Seed::Database { name }) = &request.seed {
            let group = tenant.group_of(plane, name)?;
            let target = group.as_ref().map_or(Target::Visible, Target::Group);
            permission(&tenant.rights, Action::Look, target)?;
        }
        let made = tenant.make_with_seed(plane, request)?;
        Ok(tenant.outside(made))
    })
}

pub(super) fn get(tenant: &OrganizationPlane<'_>, name: &DatabaseName) -> Result<Database> {
    tenant.look_at(name, |plane| {
        plane.get_database(name).map(|database| tenant.outside(database))
    })
}

pub(super) fn rename(tenant: &OrganizationPlane<'_>, name: &DatabaseName, to: &DatabaseName) -> Result<Database> {
    let entry = Entry::new(
        "db-rename",
        format!("renamed database {name} to {to}"),
        json!({ "database": name, "to": to }),
    );
    tenant.change_database(Action::ConfigureDatabase, name, entry, |plane| {
        let placed = plane.placement(name)?;
        let wanted = tenant.labels_of(to, placed.sites.iter().map(|(location, _)| location));
        // If the name belongs to another database of this organization, the plane's error is better.
        let _promise = match plane.id_of(to)? {
            Some(_) => None,
            None => Some(tenant.shared.hostnames.reserve(wanted, Some(&placed.id))?),
        };
        let database = plane.rename_database(name, to)?;
        tenant.publish(plane, to)?;
        if name != to {
            let slug = &tenant.organization.slug;
            tenant.shared.keep_labels(&placed, slug, &placed.id, None)?;
        }
        Ok(tenant.outside(database))
    })
}

pub(super) fn delete(tenant: &OrganizationPlane<'_>, name: &DatabaseName) -> Result<Database> {
    let entry = Entry::new(
        "db-delete",
        format!("deleted database {name}"),
        json!({ "database": name }),
    );
    tenant.change_database(Action::DeleteDatabase, name, entry, |plane| {
        let id = plane.get_database(name)?.id;
        // A copy of one that is on its way would live on.
        let _alone = tenant
            .shared
            .transfers
            .begin(id.as_str(), &format!("database {name}"))?;
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
        tenant.shared.removed(plane.delete_by_id(&database.id).map(drop))?;
        tenant.shared.unpublish(&tenant.organization.id, &database.id);
        tenant.forget(std::slice::from_ref(&database.id), None);
        Ok(tenant.outside(database))
    })
}

pub(super) fn get_configuration(tenant: &OrganizationPlane<'_>, name: &DatabaseName) -> Result<Configuration> {
    tenant.look_at(name, |plane| plane.get_configuration(name))
}

pub(super) fn update_configuration(
    tenant: &OrganizationPlane<'_>,
    name: &DatabaseName,
    patch: &ConfigurationPatch,
) -> Result<Configuration> {
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
    tenant.change_database(action, name, entry, |plane| {
        if others && action == Action::Protect {
            permission(&tenant.rights, Action::ConfigureDatabase, Target::Visible)?;
        }
        let configuration = plane.update_configuration(name, patch)?;
        tenant.publish(plane, name)?;
        Ok(configuration)
    })
}

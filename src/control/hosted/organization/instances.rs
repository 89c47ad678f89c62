//! Instances of a database: its primary and its replicas.

use super::OrganizationPlane;
use crate::control::ControlPlane as _;
use crate::control::hosted::hostnames::label;
use crate::control::hosted::permission::Action;
use crate::control::hosted::{Engines, Entry};
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::types::{Connection, Database, Instance, Role, Synced};
use crate::error::Result;
use serde_json::json;

pub(super) fn list(tenant: &OrganizationPlane<'_>, name: &DatabaseName) -> Result<Vec<Instance>> {
    tenant.look_at(name, |plane| {
        let all = plane.list_instances(name)?;
        Ok(all
            .into_iter()
            .map(|instance| tenant.outside_instance(name, instance))
            .collect())
    })
}

pub(super) fn add(tenant: &OrganizationPlane<'_>, name: &DatabaseName, location: &LocationCode) -> Result<Instance> {
    let entry = Entry::new(
        "instance-create",
        format!("replicated database {name} to {location}"),
        json!({ "database": name, "location": location }),
    );
    tenant.change_database(Action::ConfigureDatabase, name, entry, |plane| {
        let placed = plane.placement(name)?;
        tenant.offered(location)?;
        let _making = tenant.making()?;
        tenant.room_for_location(plane, location)?;
        let wanted = vec![label(name, &tenant.organization.slug, Some(location))];
        let _promise = tenant.shared.hostnames.reserve(wanted, Some(&placed.id))?;
        let instance = plane.add_instance(name, location)?;
        tenant.publish(plane, name)?;
        Ok(tenant.outside_instance(name, instance))
    })
}

pub(super) fn remove(tenant: &OrganizationPlane<'_>, name: &DatabaseName, location: &LocationCode) -> Result<()> {
    let entry = Entry::new(
        "instance-delete",
        format!("removed the replica of database {name} in {location}"),
        json!({ "database": name, "location": location }),
    );
    tenant.change_database(Action::ConfigureDatabase, name, entry, |plane| {
        tenant.shared.removed(plane.remove_instance(name, location))?;
        tenant.publish(plane, name).map(drop)
    })
}

pub(super) fn sync(
    tenant: &OrganizationPlane<'_>,
    name: &DatabaseName,
    location: Option<&LocationCode>,
) -> Result<Vec<Synced>> {
    let entry = Entry::new(
        "db-sync",
        format!("synced database {name}"),
        json!({ "database": name, "location": location }),
    );
    tenant.change_database(Action::ConfigureDatabase, name, entry, |plane| {
        plane.sync_database(name, location)
    })
}

pub(super) fn promote(
    tenant: &OrganizationPlane<'_>,
    name: &DatabaseName,
    location: &LocationCode,
) -> Result<Database> {
    let entry = Entry::new(
        "instance-promote",
        format!("promoted {location} for database {name}"),
        json!({ "database": name, "location": location }),
    );
    tenant.change_database(Action::ConfigureDatabase, name, entry, |plane| {
        let database = plane.promote_instance(name, location)?;
        tenant.publish(plane, name)?;
        Ok(tenant.outside(database))
    })
}

pub(super) fn connection(
    tenant: &OrganizationPlane<'_>,
    name: &DatabaseName,
    location: Option<&LocationCode>,
) -> Result<Connection> {
    tenant.look_at(name, |plane| {
        let mut connection = plane.connection(name, location)?;
        if let Engines::Sqld(_) = tenant.shared.engine {
            let at = (connection.role == Role::Replica || location.is_some()).then_some(&connection.location);
            connection.url = tenant
                .shared
                .public
                .database_url(&label(name, &tenant.organization.slug, at));
        }
        Ok(connection)
    })
}

//! Instances of a database: its primary and its replicas.

use super::OrganizationPlane;
use crate::control::InstanceOperations;
use crate::control::hosted::hostnames::label;
use crate::control::hosted::permission::Action;
use crate::control::hosted::{Engines, NewAuditEntry};
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::promotion::ForcedPromotion;
use crate::control::types::{Connection, Database, Instance, Role, Synced};
use crate::control::verification::Verification;
use crate::error::Result;
use serde_json::json;

impl InstanceOperations for OrganizationPlane<'_> {
    fn list_instances(&self, name: &DatabaseName) -> Result<Vec<Instance>> {
        self.read_database(name, |plane| {
            let all = plane.list_instances(name)?;
            Ok(all
                .into_iter()
                .map(|instance| self.outside_instance(name, instance))
                .collect())
        })
    }

    fn add_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<Instance> {
        let entry = NewAuditEntry::new(
            "instance-create",
            format!("replicated database {name} to {location}"),
            json!({ "database": name, "location": location }),
        );
        self.change_database(Action::ConfigureDatabase, name, entry, |plane| {
            let placed = plane.placement(name)?;
            self.offered(location)?;
            let _making = self.making()?;
            self.room_for_location(plane, location)?;
            let wanted = vec![label(name, &self.organization.slug, Some(location))];
            let _promise = self.shared.hostnames.reserve(wanted, Some(&placed.id))?;
            let instance = plane.add_instance(name, location)?;
            self.publish(plane, name)?;
            Ok(self.outside_instance(name, instance))
        })
    }

    fn remove_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<()> {
        let entry = NewAuditEntry::new(
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
        let entry = NewAuditEntry::new(
            "db-sync",
            format!("synced database {name}"),
            json!({ "database": name, "location": location }),
        )
        // Commands sync after each of their writes.
        .once_a_day();
        self.change_database(Action::ConfigureDatabase, name, entry, |plane| {
            plane.sync_database(name, location)
        })
    }

    fn promote_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<Database> {
        let entry = NewAuditEntry::new(
            "instance-promote",
            format!("promoted {location} for database {name}"),
            json!({ "database": name, "location": location }),
        );
        self.change_database_noting(Action::ConfigureDatabase, name, entry, |plane, entry| {
            let database = self.retry_partial(plane.promote_instance_behind(name, location, &self.barrier()))?;
            self.publish(plane, name)?;
            self.note_promotion(database.promotion.as_ref(), entry);
            Ok(self.outside(database))
        })
    }

    fn force_promotion(&self, name: &DatabaseName, request: &ForcedPromotion) -> Result<Database> {
        let entry = NewAuditEntry::new(
            "instance-promote-forced",
            format!("promoted a replica of database {name} without its primary"),
            json!({ "database": name, "location": request.location, "dry_run": request.dry_run }),
        );
        self.change_database_noting(Action::ConfigureDatabase, name, entry, |plane, entry| {
            let database = self.retry_partial(plane.force_promotion_behind(name, request, &self.barrier()))?;
            if request.dry_run {
                entry.message = format!("checked what a promotion of database {name} without its primary would lose");
            } else {
                self.publish(plane, name)?;
                self.note_promotion(database.promotion.as_ref(), entry);
            }
            Ok(self.outside(database))
        })
    }

    fn verify_database(&self, name: &DatabaseName, repair: bool) -> Result<Verification> {
        let entry = NewAuditEntry::new(
            "db-verify",
            format!("checked the replicas of database {name}"),
            json!({ "database": name, "repair": repair }),
        );
        self.change_database(Action::ConfigureDatabase, name, entry, |plane| {
            let verified = plane.verify_behind(name, repair, &self.barrier())?;
            if let Some(id) = plane.id_of(name)? {
                self.shared.note_verified(id.as_str(), &verified);
            }
            Ok(verified)
        })
    }

    fn connection(&self, name: &DatabaseName, location: Option<&LocationCode>) -> Result<Connection> {
        self.read_database(name, |plane| {
            let mut connection = plane.connection(name, location)?;
            if let Engines::Sqld(_) = self.shared.engine {
                let at = (connection.role == Role::Replica || location.is_some()).then_some(&connection.location);
                connection.url = self
                    .shared
                    .public
                    .database_url(&label(name, &self.organization.slug, at));
            }
            Ok(connection)
        })
    }
}

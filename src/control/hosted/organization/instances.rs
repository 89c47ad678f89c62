//! Instances of a database: its primary and its replicas.

use super::OrganizationPlane;
use crate::backup::BackupId;
use crate::control::compaction::Compaction;
use crate::control::gateway_plane::label;
use crate::control::hosted::permission::Action;
use crate::control::hosted::{Engines, NewAuditEntry};
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::promotion::ForcedPromotion;
use crate::control::types::{Connection, Database, Instance, Role, Seed, Synced};
use crate::control::verification::{Verification, VerificationRequest};
use crate::control::{DatabaseOperations as _, InstanceOperations, MaintenanceOperations as _};
use crate::error::{Code, Error, Result};
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

    fn verify_database(&self, name: &DatabaseName, request: VerificationRequest) -> Result<Verification> {
        let entry = NewAuditEntry::new(
            "db-verify",
            format!("checked the replicas of database {name}"),
            json!({ "database": name, "repair": request.repair, "deep": request.deep }),
        );
        self.change_database(Action::ConfigureDatabase, name, entry, |plane| {
            let verified = plane.verify_behind(name, request, &self.barrier())?;
            if let Some(id) = plane.id_of(name)? {
                self.shared.note_verified(id.as_str(), &verified);
            }
            Ok(verified)
        })
    }

    fn compact_database(&self, name: &DatabaseName, dry_run: bool) -> Result<Compaction> {
        let entry = NewAuditEntry::new(
            "db-compact",
            format!("compacted database {name}"),
            json!({ "database": name, "dry_run": dry_run }),
        );
        self.change_database_noting(Action::ConfigureDatabase, name, entry, |plane, entry| {
            let compaction = self.retry_partial(plane.compact_behind(name, dry_run, &self.barrier()))?;
            if dry_run {
                entry.message = format!("checked what compacting database {name} would free");
            } else {
                self.publish(plane, name)?;
                // What fails is done in the next round.
                let _ = self.shared.hold_storage(true);
                entry.data["freed_bytes"] = json!(compaction.freed_bytes());
                entry.data["outage_ms"] = json!(compaction.outage_ms);
            }
            Ok(compaction)
        })
    }

    fn restore_backup(&self, name: &DatabaseName, backup: &str, content: Option<&Seed>) -> Result<Database> {
        let backup: BackupId = backup.parse()?;
        let entry = NewAuditEntry::new(
            "db-restore",
            format!("restored database {name} to backup {backup}"),
            json!({ "database": name, "backup": backup.to_string(), "primary_was_lost": content.is_some() }),
        );
        // Whoever may make a token that writes may replace all rows.
        self.change_database(Action::MintToken, name, entry, |plane| {
            let Some(content) = content else {
                plane.check_replaceable(name)?;
                return plane.get_database(name).map(|database| self.outside(database));
            };
            let Seed::Upload { id } = content else {
                return Err(Error::new(Code::Unsupported, "a backup is restored from an upload"));
            };
            let staging = plane.staging()?;
            let (organization, presence) = (&self.organization.id, &self.caller.origin().presence);
            let restored = self.shared.with_upload(organization, id, &staging.path, presence, || {
                self.retry_partial(plane.restore_lost_behind(name, &staging.path, &self.barrier()))
            })?;
            self.publish(plane, name)?;
            self.shared.await_former(&self.organization.id);
            Ok(self.outside(restored))
        })
    }

    fn connection(&self, name: &DatabaseName, location: Option<&LocationCode>) -> Result<Connection> {
        self.read_database(name, |plane| {
            let mut connection = plane.connection(name, location)?;
            if let Engines::Sqld(_) = self.shared.engine {
                let at = (connection.role == Role::Replica || location.is_some()).then_some(&connection.location);
                let elsewhere = at
                    .filter(|_| connection.role == Role::Replica)
                    .and_then(|location| self.shared.node_address(location));
                let public = elsewhere.as_ref().unwrap_or(&self.shared.public);
                connection.url = public.database_url(&label(name, &self.organization.slug, at));
            }
            Ok(connection)
        })
    }
}

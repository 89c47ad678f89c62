//! Instances of a database: its primary and its replicas.

use super::api_error::CallSubject;
use super::{Client, about_database, wire};
use crate::control::InstanceOperations;
use crate::control::compaction::Compaction;
use crate::control::endpoints::Operation;
use crate::control::names::{DatabaseName, LocationCode, TokenId};
use crate::control::promotion::ForcedPromotion;
use crate::control::types::{Connection, Database, Instance, Role, Seed, Synced};
use crate::control::verification::{Verification, VerificationRequest};
use crate::error::{Code, Error, Result};
use serde_json::json;

impl InstanceOperations for Client {
    fn list_instances(&self, name: &DatabaseName) -> Result<Vec<Instance>> {
        let call = self.call(Operation::ListInstances, &[name], about_database(name));
        let mut instances: Vec<Instance> = wire::list(self.http.ask(&call)?, "instances")?
            .into_iter()
            .map(wire::instance)
            .collect::<Result<_>>()?;
        instances.sort_by(|a, b| {
            let replica = |instance: &Instance| instance.role == Role::Replica;
            (replica(a), &a.location).cmp(&(replica(b), &b.location))
        });
        Ok(instances)
    }

    fn add_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<Instance> {
        let call = self
            .call(
                Operation::AddInstance,
                &[name],
                about_database(name)
                    .only_here("replicate a single database; torso group locations add replicates a group"),
            )
            .body(json!({ "location": location }))
            .repeatable();
        wire::instance(wire::within(self.http.ask(&call)?, "instance"))
    }

    fn remove_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<()> {
        let call = self.call(
            Operation::RemoveInstance,
            &[name, location],
            about_instance(name, location),
        );
        self.http.ask(&call).map(drop)
    }

    fn sync_database(&self, name: &DatabaseName, location: Option<&LocationCode>) -> Result<Vec<Synced>> {
        let mut call = self
            .call(
                Operation::SyncDatabase,
                &[name],
                about_database(name).only_here("sync replicas on request: it does so by itself"),
            )
            .repeatable();
        if let Some(location) = location {
            call = call.query("location", location);
        }
        wire::read(wire::within(self.http.ask(&call)?, "synced"), "what was refreshed")
    }

    fn promote_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<Database> {
        let call = self
            .call(
                Operation::PromoteInstance,
                &[name, location],
                about_instance(name, location).only_here("change the primary of a database"),
            )
            .repeatable();
        wire::database(wire::within(self.http.ask(&call)?, "database"))
    }

    fn force_promotion(&self, name: &DatabaseName, request: &ForcedPromotion) -> Result<Database> {
        let call = self
            .call(
                Operation::ForcePromotion,
                &[name],
                about_database(name).only_here("change the primary of a database"),
            )
            .body(json!(request));
        wire::database(wire::within(self.http.ask(&call)?, "database"))
    }

    fn verify_database(&self, name: &DatabaseName, request: VerificationRequest) -> Result<Verification> {
        let call = self
            .call(
                Operation::VerifyDatabase,
                &[name],
                about_database(name).only_here("compare replicas with their primary"),
            )
            .body(json!(request))
            .repeatable();
        wire::read(wire::within(self.http.ask(&call)?, "verification"), "what was compared")
    }

    fn compact_database(&self, name: &DatabaseName, dry_run: bool) -> Result<Compaction> {
        let about = about_database(name).only_here("compact databases on request");
        let call = self
            .call(Operation::CompactDatabase, &[name], about)
            .body(json!({ "dry_run": dry_run }))
            .repeatable();
        wire::read(wire::within(self.http.ask(&call)?, "compaction"), "what was compacted")
    }

    fn restore_backup(&self, name: &DatabaseName, backup: &str, content: Option<&Seed>) -> Result<Database> {
        let restore = |upload: Option<&TokenId>| {
            let about = about_database(name).only_here("restore backups in the place of a database");
            let call = self
                .call(Operation::RestoreBackup, &[name], about)
                .body(json!({ "backup": backup, "upload": upload.map(ToString::to_string) }));
            wire::database(wire::within(self.http.ask(&call)?, "database"))
        };
        match content {
            Some(Seed::DatabaseUpload { path }) => self.send_file(path, |upload| restore(Some(upload))),
            Some(_) => Err(Error::new(Code::Unsupported, "a backup is restored from a file")),
            None => restore(None),
        }
    }

    fn connection(&self, name: &DatabaseName, location: Option<&LocationCode>) -> Result<Connection> {
        self.connect(name, location, false)
    }

    fn connection_to_write(&self, name: &DatabaseName) -> Result<Connection> {
        self.connect(name, None, true)
    }
}

fn about_instance(name: &DatabaseName, location: &LocationCode) -> CallSubject<'static> {
    CallSubject::new(
        format!("instance of database {name} at {location}"),
        Code::InstanceNotFound,
        Code::InstanceExists,
    )
    .hint("torso db replicas NAME shows where a database is")
}

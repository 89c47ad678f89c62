//! The control plane: which databases, groups, locations and replicas are wanted, and the rules for changing that.
//!
//! [`ControlPlane`] is the seam between what a user types and where databases live. It has one method for each endpoint
//! of the Platform API, is synchronous and object-safe, and knows nothing of terminals or settings, so that it could
//! run on another machine. `embedded` implements it over files of this machine, `hosted` for many organizations on a
//! server, and `client` over HTTP; client and server are mirror images through `routes`.
//!
//! # Invariants
//!
//! 1. The catalog never stores observed state; ids are identity, assigned once.
//! 2. Only `reconcile` calls an `Engine` method that changes something.
//! 3. The catalog commits before any effect; effects are idempotent; a crash in between is healed by the next pass.
//!    Absence never deletes: data is dropped only for a row marked doomed. Unknown files are reported, never removed.
//! 4. One process changes a catalog at a time; readers need no lock.
//! 5. Names exist only as parsed types; SQL sees only bound parameters; storage is named by id, never by a user's name,
//!    and a re-created database gets a new id.
//! 6. Secrets have no `Display`.
//! 7. A plane value already is somebody; who may do what is decided in one function.
//! 8. A file that a running server process owns is never opened by torso's own process.

pub mod accounts;
pub mod builtin_locations;
pub mod client;
pub mod database_url;
pub mod embedded;
pub mod files;
#[cfg(unix)]
pub mod hosted;
pub mod names;
pub mod routes;
pub mod sizes;
mod store;
pub mod tokens;
pub mod types;

use crate::error::{Code, Error, Result};
use names::{DatabaseName, GroupName, LocationCode, OrganizationSlug};
use std::path::PathBuf;
use std::time::Duration;
use tokens::{DatabaseToken, DatabaseUsage, Minted, NewToken, QueryUsage, Span};
use types::{
    Configuration, ConfigurationPatch, Connection, CreateDatabase, Database, DatabaseFilter, Finding, Group,
    GroupConfiguration, GroupConfigurationPatch, Instance, Location, NewGroup, NewLocation, Synced,
};

/// Called with the bytes done and the total; may stop the work with an error.
pub type Progress<'a> = dyn FnMut(u64, u64) -> Result<()> + 'a;

/// A control plane. Mutations return when the result can be used.
///
/// Errors: `not_found`, `exists` and `conflict` kinds name the thing; `catalog_busy` when another process holds the
/// catalog for longer than the deadline.
pub trait ControlPlane {
    // Locations.

    /// Every known location, ordered by code.
    fn list_locations(&self) -> Result<Vec<Location>>;
    fn get_location(&self, code: &LocationCode) -> Result<Location>;
    /// Adds a location of the user's own, or gives a built-in one a directory.
    fn add_location(&self, new: &NewLocation) -> Result<Location>;
    /// Refused while there are instances. Of a built-in location, only what the user added is removed.
    fn remove_location(&self, code: &LocationCode) -> Result<Location>;

    // Groups.

    fn list_groups(&self) -> Result<Vec<Group>>;
    fn create_group(&self, new: &NewGroup) -> Result<Group>;
    fn get_group(&self, name: &GroupName) -> Result<Group>;
    fn rename_group(&self, name: &GroupName, to: &GroupName) -> Result<Group>;
    /// Destroys the group and every database in it. Refused under delete protection of the group or of any of them.
    fn delete_group(&self, name: &GroupName) -> Result<Group>;
    /// Adds a replica of every database of the group, now and in future. Adding a location twice changes nothing.
    fn add_group_location(&self, name: &GroupName, location: &LocationCode) -> Result<Group>;
    /// Removing a location the group does not have changes nothing; the primary is refused.
    fn remove_group_location(&self, name: &GroupName, location: &LocationCode) -> Result<Group>;
    /// Makes a location of the group its primary, and that of all its databases.
    fn promote_group(&self, name: &GroupName, location: &LocationCode) -> Result<Group>;
    fn get_group_configuration(&self, name: &GroupName) -> Result<GroupConfiguration>;
    fn update_group_configuration(
        &self,
        name: &GroupName,
        patch: &GroupConfigurationPatch,
    ) -> Result<GroupConfiguration>;

    // Databases.

    /// Ordered by name.
    fn list_databases(&self, filter: &DatabaseFilter) -> Result<Vec<Database>>;
    fn create_database(&self, request: &CreateDatabase) -> Result<Database>;
    /// [`ControlPlane::create_database`] that reports the progress of an upload. Without an upload, `progress` is not
    /// called.
    fn create_database_telling(&self, request: &CreateDatabase, _progress: &mut Progress<'_>) -> Result<Database> {
        self.create_database(request)
    }
    fn get_database(&self, name: &DatabaseName) -> Result<Database>;
    fn rename_database(&self, name: &DatabaseName, to: &DatabaseName) -> Result<Database>;
    /// Refused under delete protection.
    fn delete_database(&self, name: &DatabaseName) -> Result<Database>;
    fn get_configuration(&self, name: &DatabaseName) -> Result<Configuration>;
    fn update_configuration(&self, name: &DatabaseName, patch: &ConfigurationPatch) -> Result<Configuration>;

    // Instances.

    /// The primary first, then replicas by location.
    fn list_instances(&self, name: &DatabaseName) -> Result<Vec<Instance>>;
    /// Adds a replica. Adding one that exists changes nothing; the primary's own location is refused.
    fn add_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<Instance>;
    /// Removes a replica. Refused for the primary, and for a location of the group.
    fn remove_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<()>;
    /// Refreshes replicas that are behind: the one at `location`, else all.
    fn sync_database(&self, name: &DatabaseName, location: Option<&LocationCode>) -> Result<Vec<Synced>>;
    /// Makes the replica at `location` the primary, without losing a committed row. If it is the primary already,
    /// nothing changes.
    fn promote_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<Database>;
    /// How to reach the primary, or the instance at `location`. A replica that is behind is refreshed first.
    fn connection(&self, name: &DatabaseName, location: Option<&LocationCode>) -> Result<Connection>;

    // Tokens, usage and organizations, which only a server has. By default all of these fail with `unsupported`.

    /// Refused with permissions on tables, which no engine here can enforce.
    fn create_database_token(&self, name: &DatabaseName, _new: &NewToken) -> Result<Minted> {
        Err(without_tokens(&format!("database {name}")))
    }
    /// A token for every database of a group, now and in future.
    fn create_group_token(&self, name: &GroupName, _new: &NewToken) -> Result<Minted> {
        Err(without_tokens(&format!("group {name}")))
    }
    /// The tokens that open the database, with those of its group; the newest first.
    fn list_database_tokens(&self, name: &DatabaseName) -> Result<Vec<DatabaseToken>> {
        Err(without_tokens(&format!("database {name}")))
    }
    fn list_group_tokens(&self, name: &GroupName) -> Result<Vec<DatabaseToken>> {
        Err(without_tokens(&format!("group {name}")))
    }
    /// Revokes a token of a database, at once. Revoking it twice changes nothing.
    fn revoke_database_token(&self, name: &DatabaseName, _id: &str) -> Result<DatabaseToken> {
        Err(without_tokens(&format!("database {name}")))
    }
    fn revoke_group_token(&self, name: &GroupName, _id: &str) -> Result<DatabaseToken> {
        Err(without_tokens(&format!("group {name}")))
    }
    /// Revokes every token made so far that opens only this database, after a grace period.
    fn rotate_database_tokens(&self, name: &DatabaseName, _grace: Duration) -> Result<()> {
        Err(without_tokens(&format!("database {name}")))
    }
    /// Revokes every token made so far for the group or one of its databases, after a grace period.
    fn rotate_group_tokens(&self, name: &GroupName, _grace: Duration) -> Result<()> {
        Err(without_tokens(&format!("group {name}")))
    }
    fn database_usage(&self, name: &DatabaseName, _span: Span) -> Result<DatabaseUsage> {
        Err(without_counters(name))
    }
    /// The statements that read and wrote the most rows.
    fn top_queries(&self, name: &DatabaseName) -> Result<Vec<QueryUsage>> {
        Err(without_counters(name))
    }
    /// Moves a database to another organization, under the same name and with a new id.
    fn transfer_database(&self, name: &DatabaseName, _to: &OrganizationSlug) -> Result<()> {
        Err(without_organizations(&format!("database {name}")))
    }
    /// Moves a group with all its databases to another organization.
    fn transfer_group(&self, name: &GroupName, _to: &OrganizationSlug) -> Result<Group> {
        Err(without_organizations(&format!("group {name}")))
    }

    // The plane itself.

    /// A fresh path, on the plane's own disk, where a caller may build a SQLite file for
    /// [`types::Seed::DatabaseUpload`]. Files left by callers that died are removed by later ones.
    fn staging(&self) -> Result<Staging>;
    /// Checks for problems; with `fix`, repairs those that can be repaired without losing data.
    fn check(&self, fix: bool) -> Result<Vec<Finding>>;
}

fn without_tokens(what: &str) -> Error {
    Error::new(
        Code::Unsupported,
        format!("{what} is on this machine, where files are opened without a token"),
    )
    .hint("tokens belong to a server: start one with torso server, and name it with torso context add")
}

fn without_counters(name: &DatabaseName) -> Error {
    Error::new(
        Code::Unsupported,
        format!("database {name} is a file, and nobody counts what is read from it"),
    )
    .hint(format!("torso db inspect {name} shows its size; a server counts rows"))
}

fn without_organizations(what: &str) -> Error {
    Error::new(
        Code::Unsupported,
        format!("{what} is on this machine, where there are no organizations"),
    )
    .hint("torso db copy moves databases between contexts")
}

/// A place for a file under construction. Dropping it removes what is left there.
#[derive(Debug)]
pub struct Staging {
    /// The file to create.
    pub path: PathBuf,
    /// Locked while the builder lives, so that others do not remove the file.
    _lock: std::fs::File,
}

impl Staging {
    pub(crate) fn new(path: PathBuf, lock: std::fs::File) -> Self {
        Self { path, _lock: lock }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm", "-journal", ".lock"] {
            let mut path = self.path.clone().into_os_string();
            path.push(suffix);
            // Nothing can be done about a failure here; a later caller tries again.
            let _ = std::fs::remove_file(path);
        }
    }
}

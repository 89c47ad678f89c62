//! The nouns, as they travel on the wire: names and spellings of the Platform API (`platform-api.openapi.json`), which
//! mixes cases (`DbId`, `primaryRegion`, `block_reads`). The same values are what the control plane works with and what
//! `--output json` prints; there is no second set of types. Fields that only torso has are optional and additive.
//!
//! Times are RFC 3339 UTC, sizes bytes, durations milliseconds.

use super::names::{DatabaseId, DatabaseName, GroupName, LocationCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A logical database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Database {
    #[serde(rename = "Name")]
    pub name: DatabaseName,
    #[serde(rename = "DbId")]
    pub id: DatabaseId,
    /// Host of the data plane; empty where databases are files.
    #[serde(rename = "Hostname")]
    pub hostname: String,
    /// What a client connects to: `file:…` on the embedded plane, `libsql://…` or `http(s)://…` elsewhere.
    pub url: String,
    pub group: GroupName,
    #[serde(rename = "primaryRegion")]
    pub primary: LocationCode,
    /// Every location with an instance, the primary first.
    #[serde(rename = "regions")]
    pub locations: Vec<LocationCode>,
    pub block_reads: bool,
    pub block_writes: bool,
    pub delete_protection: bool,
    /// The database this one was branched from.
    #[serde(default)]
    pub parent: Option<Parent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// Bytes of the primary, where known without asking for it separately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
}

/// Where a branch came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parent {
    pub id: DatabaseId,
    pub name: DatabaseName,
    pub branched_at: Timestamp,
}

/// A group: databases that share locations and settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub name: GroupName,
    pub uuid: String,
    /// The primary location first.
    pub locations: Vec<LocationCode>,
    pub primary: LocationCode,
    pub delete_protection: bool,
    pub version: String,
    pub archived: bool,
}

/// A place where instances can be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Location {
    pub code: LocationCode,
    /// City and country, or what the user called it.
    pub description: String,
    /// Degrees north, degrees east.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lat: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lon: Option<f64>,
    /// The directory instances live in, where they are files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// Whether it is in the built-in table.
    pub builtin: bool,
    /// Whether instances live there now.
    pub in_use: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Primary,
    Replica,
}

/// How an instance is, as observed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    /// Serves, and a replica has everything its primary has.
    Ready,
    /// A replica that has not everything its primary has.
    Behind,
    /// Wanted but not there yet, or gone.
    Missing,
}

/// A database at a location.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    pub uuid: String,
    /// Equal to the location's code.
    pub name: String,
    #[serde(rename = "type")]
    pub role: Role,
    #[serde(rename = "region")]
    pub location: LocationCode,
    pub hostname: String,
    pub url: String,
    pub state: InstanceState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// When a replica was last made equal to its primary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced_at: Option<Timestamp>,
    /// How far a replica is behind: time between the state it has and its primary's last change. 0 when it has everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_ms: Option<u64>,
    /// How many frames of its primary's log a replica lacks, on an engine that has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_frames: Option<u64>,
    /// How many frames of its primary's log an instance has, on an engine that has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
}

/// What can be set on a database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// Bytes as a decimal string (the wire's form); `"0"` is unlimited.
    pub size_limit: String,
    pub allow_attach: bool,
    pub block_reads: bool,
    pub block_writes: bool,
    pub delete_protection: bool,
}

/// A change to a [`Configuration`]: absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigurationPatch {
    /// A size as in [`super::sizes`]; 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_limit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_attach: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_reads: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_writes: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_protection: Option<bool>,
}

/// What can be set on a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupConfiguration {
    pub delete_protection: bool,
}

/// What a new database starts with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Seed {
    /// A copy of another database (a branch).
    Database { name: DatabaseName },
    /// A SQLite file that the caller has made and checked. The embedded plane moves it into place, so it is gone
    /// afterwards; the caller gets its place from [`super::ControlPlane::staging`]. The path does not travel: on
    /// the wire an upload is its own request.
    DatabaseUpload {
        #[serde(skip)]
        path: PathBuf,
    },
    /// torso's own: what was uploaded to a server before, a SQLite file or a dump.
    Upload { id: String },
    /// A dump that was uploaded to the server before, by the URL that the server told.
    Dump { url: String },
}

/// The request for a new database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreateDatabase {
    pub name: DatabaseName,
    /// Absent: the only group, else `default`, made on first use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupName>,
    /// Absent: the group's primary location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationCode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<Seed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_limit: Option<String>,
}

/// Which databases to list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DatabaseFilter {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupName>,
    /// Those with an instance there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationCode>,
    /// Branches of this database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<DatabaseId>,
}

/// The request for a new group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewGroup {
    pub name: GroupName,
    pub location: LocationCode,
}

/// The request for a location of the user's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewLocation {
    pub code: LocationCode,
    pub description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lat: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lon: Option<f64>,
}

/// What came of refreshing one replica.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Synced {
    pub database: DatabaseName,
    pub location: LocationCode,
    /// False when the replica already had everything.
    pub changed: bool,
    pub duration_ms: u64,
}

/// How to reach one instance: enough for a shell, and nothing about accounts.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    pub database: DatabaseName,
    pub location: LocationCode,
    pub role: Role,
    pub url: String,
    pub token: Option<crate::secret::Secret>,
    /// Where the next token comes from; none for one that does not end.
    pub renewal: Option<crate::secret::Renewal>,
    /// Opened read-only: a replica, or writes are blocked.
    pub read_only: bool,
    /// Why it is read-only, for the message when a write is refused.
    pub read_only_reason: Option<String>,
    pub delete_protection: bool,
    /// Bytes; the file may not grow beyond it.
    pub size_limit: Option<u64>,
}

/// A finding of a health check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// A published code, such as `stale_replica`.
    pub code: String,
    pub severity: Severity,
    pub message: String,
    /// What to type.
    pub fix: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Ok,
    Note,
    Warning,
    Error,
}

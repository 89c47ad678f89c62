//! The types of databases, groups, locations and instances, with the names and spellings of the Platform API
//! (`tests/data/platform-api.openapi.json`), which mixes cases (`DbId`, `primaryRegion`, `block_reads`). The control plane works
//! with the same types, and `--output json` prints them; there is no second set. Fields that only torso has are
//! optional.
//!
//! Times are RFC 3339 UTC, sizes bytes, durations milliseconds.

use super::database_url::DatabaseUrl;
pub use super::instance::{Instance, InstanceState, Role};
use super::names::{DatabaseId, DatabaseName, GroupName, LocationCode};
use super::node_status::NodeState;
use super::promotion::PromotionReport;
use crate::error::{Code, Error};
use jiff::Timestamp;
use jiff::fmt::temporal::Pieces;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::str::FromStr;

/// A logical database.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Database {
    #[serde(rename = "Name")]
    pub name: DatabaseName,
    #[serde(rename = "DbId")]
    pub id: DatabaseId,
    /// Host of the data plane; empty where databases are files.
    #[serde(rename = "Hostname")]
    pub hostname: String,
    /// What an application connects to: `file:…` on the embedded plane, `libsql://…` or `http(s)://…` elsewhere.
    pub url: DatabaseUrl,
    pub group: GroupName,
    #[serde(rename = "primaryRegion")]
    pub primary: LocationCode,
    /// Every location with an instance, the primary first.
    #[serde(rename = "regions")]
    pub locations: Vec<LocationCode>,
    pub block_reads: bool,
    pub block_writes: bool,
    pub delete_protection: bool,
    /// [`Isolation::Database`] if it has processes of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// The database this one was branched from.
    #[serde(default)]
    pub parent: Option<Parent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub created_at: Option<Timestamp>,
    /// From when on `torso gc` destroys it; none if never. Not in the Platform API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub expires_at: Option<Timestamp>,
    /// Its last backup that torso knows of; told of one database alone. Not in the Platform API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_backup: Option<LastBackup>,
    /// Bytes of the primary, if known without a separate request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Set if the primary's file is missing or damaged, so that it is not used. Not in the Platform API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<InstanceState>,
    /// Set while applications use it, on a server. Not in the Platform API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<DatabaseActivity>,
    /// Set in the answer to a promotion, on a server. Not in the Platform API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<PromotionReport>,
}

/// The last backup of a database: what a crash of the whole machine would leave of it.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastBackup {
    pub id: String,
    /// When the content was last found to be in a backup.
    #[cfg_attr(test, schemars(with = "String"))]
    pub at: Timestamp,
    /// The directory or bucket.
    pub to: String,
}

/// How applications use a database now. Requests of torso's own commands do not count.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseActivity {
    /// Open streams and sockets.
    pub connections: u64,
    /// The time of the last request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub last_request_at: Option<Timestamp>,
}

impl Database {
    /// Whether it is past its end, so that [`super::DatabaseOperations::delete_expired_database`] deletes it.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// Where a branch came from.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parent {
    pub id: DatabaseId,
    pub name: DatabaseName,
    #[cfg_attr(test, schemars(with = "String"))]
    pub branched_at: Timestamp,
}

/// A group: databases that share locations and settings.
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// Set in the answer to a promotion, on a server. Not in the Platform API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<PromotionReport>,
}

/// A location: a place where instances can be.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Location {
    pub code: LocationCode,
    /// City and country, or the user's own description.
    pub description: String,
    /// Degrees north, degrees east.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lat: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lon: Option<f64>,
    /// The directory of its instances, if they are files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// Whether it is in the built-in table.
    pub builtin: bool,
    /// Whether there are instances now.
    pub in_use: bool,
    /// Of a location on another machine: how that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<LocationMachine>,
}

/// The machine of a location, on a server, where it is another one than the server's.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LocationMachine {
    pub state: NodeState,
    /// When it was last heard of, since the server's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub last_contact_at: Option<Timestamp>,
    /// Where it serves clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// When it last had the keys and revoked tokens of then, since the server's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub keys_confirmed_at: Option<Timestamp>,
}

/// The settings of a database.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// Bytes as a decimal string (the wire's form); `"0"` is unlimited.
    pub size_limit: String,
    pub allow_attach: bool,
    pub block_reads: bool,
    pub block_writes: bool,
    pub delete_protection: bool,
    /// As in [`Database`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub expires_at: Option<Timestamp>,
}

/// When a database may be destroyed: `never`, or a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseExpiry {
    Never,
    At(Timestamp),
}

impl From<DatabaseExpiry> for Option<Timestamp> {
    fn from(expiry: DatabaseExpiry) -> Self {
        match expiry {
            DatabaseExpiry::Never => None,
            DatabaseExpiry::At(end) => Some(end),
        }
    }
}

impl Serialize for DatabaseExpiry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Never => serializer.serialize_str("never"),
            Self::At(end) => end.serialize(serializer),
        }
    }
}

impl std::str::FromStr for DatabaseExpiry {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "never" {
            return Ok(Self::Never);
        }
        text.parse().map(Self::At).map_err(|_| {
            let is_time = Pieces::parse(text).is_ok_and(|time| time.time().is_some() && time.offset().is_some());
            let why = match is_time {
                true => format!(
                    "is later than {}, the last time there is",
                    Timestamp::MAX.strftime("%Y-%m-%dT%H:%M:%SZ")
                ),
                false => "is no time with its zone".to_owned(),
            };
            Error::new(Code::InvalidValue, format!("{text:?} {why}"))
                .hint("write one such as 2030-01-31T00:00:00Z, or never")
        })
    }
}

impl<'de> Deserialize<'de> for DatabaseExpiry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A change to a [`Configuration`]: absent fields stay as they are.
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
    /// Not in the Platform API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DatabaseExpiry>,
    /// Of a branch: when it got its source's content. Not in the Platform API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branched_at: Option<Timestamp>,
}

/// The settings of a group.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupConfiguration {
    pub delete_protection: bool,
    /// What a database that is made in it shares a process with; none where databases are not served by processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
}

/// Changes of a group's settings. What is none stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupConfigurationPatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_protection: Option<bool>,
    /// For databases that are made afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
}

/// What shares the server process of a database, at each location.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// Databases of its group with the same primary location.
    #[default]
    Group,
    /// No other database.
    Database,
}

impl Isolation {
    /// The word for it in the API and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Database => "database",
        }
    }
}

impl FromStr for Isolation {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "group" => Ok(Self::Group),
            "database" => Ok(Self::Database),
            _ => Err(
                Error::new(Code::InvalidValue, format!("{text:?} is not a kind of isolation"))
                    .hint("use group (databases of a group share a process) or database (each has its own)"),
            ),
        }
    }
}

/// The initial content of a new database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Seed {
    /// A copy of another database (a branch).
    Database { name: DatabaseName },
    /// A SQLite file that the caller has made and checked, at a path from [`super::ControlPlane::staging`]. The
    /// embedded plane moves it into place, so it is gone afterwards. The path is never sent: on the wire, an upload is
    /// a request of its own.
    DatabaseUpload {
        #[serde(skip)]
        path: PathBuf,
    },
    /// Something uploaded to the server before: a SQLite file or a dump. Not in the Platform API.
    Upload { id: String },
    /// A dump uploaded to the server before, by the URL that the server gave it.
    Dump { url: String },
}

/// The request for a new database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreateDatabase {
    pub name: DatabaseName,
    /// Without one: the only group, else `default`, which is made on first use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupName>,
    /// Without one: the group's primary location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationCode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<Seed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_limit: Option<String>,
    /// As in [`Database`]. Refused by servers that have no such thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Which databases to list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DatabaseFilter {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupName>,
    /// Only databases with an instance there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationCode>,
    /// Only branches of this database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<DatabaseId>,
    /// Only those whose names come after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<DatabaseName>,
    /// How many at most, of those that pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
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

/// The result of refreshing one replica.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Synced {
    pub database: DatabaseName,
    pub location: LocationCode,
    /// False if the replica had everything already.
    pub changed: bool,
    pub duration_ms: u64,
}

/// How to reach one instance: all that a shell needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    pub database: DatabaseName,
    pub location: LocationCode,
    pub role: Role,
    pub url: DatabaseUrl,
    pub token: Option<crate::secret::Secret>,
    /// Where the next token comes from; none if the token does not expire.
    pub renewal: Option<crate::secret::Renewal>,
    /// Whether it must be opened read-only: it is a replica, or writes are blocked.
    pub read_only: bool,
    /// Why it is read-only, for the error when a write is refused.
    pub read_only_reason: Option<String>,
    pub delete_protection: bool,
    /// The most bytes that the file may grow to.
    pub size_limit: Option<u64>,
}

impl Connection {
    /// Refuses a connection that only reads.
    pub fn check_writable(&self) -> Result<(), Error> {
        if !self.read_only {
            return Ok(());
        }
        let why = self
            .read_only_reason
            .as_deref()
            .unwrap_or("it does not accept writes now");
        Err(not_writable(&self.database, why))
    }
}

/// The error of whoever wants to write to a database that takes no writes.
pub fn not_writable(name: &DatabaseName, why: &str) -> Error {
    Error::new(Code::Blocked, format!("database {name} cannot be written to: {why}"))
}

/// The error of whoever wants to read a database whose reads are blocked.
pub fn reads_blocked(name: &DatabaseName) -> Error {
    Error::new(Code::Blocked, format!("reads of database {name} are blocked"))
        .hint(format!("torso db config set {name} block-reads off lifts it"))
}

/// The error of whoever wants to delete a database whose group is protected from that.
pub fn protected_by_group(name: &DatabaseName, group: &GroupName) -> Error {
    Error::new(
        Code::DeleteProtected,
        format!("database {name} is in group {group}, which is protected from deletion"),
    )
    .hint(format!("torso group config set {group} delete-protection off lifts it"))
}

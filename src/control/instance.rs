//! A database at a location, as the control plane describes it.

use super::database_url::DatabaseUrl;
use super::names::LocationCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Primary,
    Replica,
}

/// The observed state of an instance.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// It serves; a replica has everything that its primary has.
    Ready,
    /// A replica that lacks something that its primary has.
    Behind,
    /// A replica that copies everything: it is new, or its primary has begun another log.
    CatchingUp,
    /// A replica whose content is not its primary's: something else than torso has changed it, or `db verify` has found a
    /// difference.
    Diverged,
    /// It should exist but does not.
    Missing,
    /// Its file is not what it was left as, so it is not used.
    Damaged,
    /// The process that serves it does not run. It is started again.
    Down,
    /// The process that serves it runs and does not answer. It is ended and started again if it goes on.
    Hung,
}

impl InstanceState {
    /// The state in one word, as on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Behind => "behind",
            Self::CatchingUp => "catching_up",
            Self::Diverged => "diverged",
            Self::Missing => "missing",
            Self::Damaged => "damaged",
            Self::Down => "down",
            Self::Hung => "hung",
        }
    }

    /// Whether a replica can be read, and is not what its primary is.
    #[must_use]
    pub fn is_behind(self) -> bool {
        matches!(self, Self::Behind | Self::CatchingUp | Self::Diverged)
    }
}

/// A database at a location.
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    pub url: DatabaseUrl,
    pub state: InstanceState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// When a replica was last made equal to its primary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub synced_at: Option<Timestamp>,
    /// How far a replica is behind: the time between the state it has and its primary's last change, in milliseconds. 0
    /// if it has everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_ms: Option<u64>,
    /// How many frames of its primary's log a replica lacks, on an engine with a replication log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_frames: Option<u64>,
    /// How many frames of its primary's log an instance has, on an engine with a replication log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Of a replica: how many milliseconds a write takes until it is visible there, as torso has measured last; at least so
    /// many, while one is not visible. On a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visible_after_ms: Option<u64>,
    /// Open streams and sockets of clients, on a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u64>,
    /// Of a primary: how many frames of its log no replica has, so that they would be lost with it now. None without replicas,
    /// and while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_risk_frames: Option<u64>,
    /// How often the process that serves it has ended by itself or did not start, since the server's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u64>,
    /// Why, the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

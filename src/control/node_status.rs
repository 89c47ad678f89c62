//! Locations on other machines, as the operator of a server sees them.

use super::names::LocationCode;
use crate::secret::Secret;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How the machine of a location is.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// None has joined yet.
    Waiting,
    Connected,
    /// It was not heard of for some seconds. It goes on by itself when it is back.
    Away,
}

impl NodeState {
    /// The state in one word, as on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Connected => "connected",
            Self::Away => "away",
        }
    }
}

/// A location on another machine.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    pub location: LocationCode,
    pub state: NodeState,
    /// Where the machine says that others reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertise: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub joined_at: Option<Timestamp>,
    /// When it was last heard of, since the server's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub last_contact_at: Option<Timestamp>,
    /// Of torso there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Of libSQL server there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_version: Option<String>,
    /// Bytes that are free on its disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    /// How many replicas it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<u64>,
    /// Whether it has begun to do all that is wanted there now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to_date: Option<bool>,
    /// Where it serves clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// When it last had the keys and revoked tokens of then, since the server's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub keys_confirmed_at: Option<Timestamp>,
    /// Once they are so old, it refuses clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_key_age_seconds: Option<u64>,
}

/// What a machine becomes a location with.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeInvitation {
    pub location: LocationCode,
    /// Where the machine reaches the server: HOST:PORT.
    pub server: String,
    /// Can be used once. It says which server the machine is to trust.
    pub token: Secret,
    #[cfg_attr(test, schemars(with = "String"))]
    pub expires_at: Timestamp,
}

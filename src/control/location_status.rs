//! How all instances at a location are.

use super::names::LocationCode;
use super::types::{Instance, InstanceState, Role};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The state of a location: its instances, added up.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocationStatus {
    pub location: LocationCode,
    pub primaries: u64,
    pub replicas: u64,
    /// How many instances are in each state; states without any are left out.
    pub states: BTreeMap<String, u64>,
    pub size_bytes: u64,
    /// The furthest that a replica here is behind; none if that is not known of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_frames: Option<u64>,
    /// The longest that a write takes until a replica here shows it, as torso has measured last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visible_after_ms: Option<u64>,
    /// Open streams and sockets of clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u64>,
    /// Frames of the primaries here that no replica has, which would be lost with them now; none where that is not known of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_risk_frames: Option<u64>,
    /// How often processes here have ended by themselves or did not start, since the server's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u64>,
    /// Why, the last time, of one that is not ready; else of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

impl LocationStatus {
    /// A location without any instance.
    #[must_use]
    pub fn new(location: LocationCode) -> Self {
        Self {
            location,
            primaries: 0,
            replicas: 0,
            states: BTreeMap::new(),
            size_bytes: 0,
            lag_ms: None,
            lag_frames: None,
            visible_after_ms: None,
            connections: None,
            at_risk_frames: None,
            restarts: None,
            last_error: None,
        }
    }

    /// Adds an instance. Those that share a process are added with `shares_process`, all but one, so that its restarts count once.
    pub fn add(&mut self, instance: &Instance, shares_process: bool) {
        match instance.role {
            Role::Primary => self.primaries += 1,
            Role::Replica => self.replicas += 1,
        }
        *self.states.entry(instance.state.name().to_owned()).or_default() += 1;
        self.size_bytes += instance.size_bytes.unwrap_or(0);
        self.lag_ms = self.lag_ms.max(instance.lag_ms);
        self.lag_frames = self.lag_frames.max(instance.lag_frames);
        self.visible_after_ms = self.visible_after_ms.max(instance.visible_after_ms);
        if let Some(connections) = instance.connections {
            self.connections = Some(self.connections.unwrap_or(0) + connections);
        }
        if let Some(frames) = instance.at_risk_frames {
            self.at_risk_frames = Some(self.at_risk_frames.unwrap_or(0) + frames);
        }
        if let Some(restarts) = instance.restarts.filter(|_| !shares_process) {
            self.restarts = Some(self.restarts.unwrap_or(0) + restarts);
        }
        if self.last_error.is_none() || instance.state != InstanceState::Ready {
            self.last_error = instance.last_error.clone().or(self.last_error.take());
        }
    }
}

/// The states of all locations, while instances are added up.
#[derive(Default)]
pub struct LocationStatuses(BTreeMap<LocationCode, LocationStatus>);

impl LocationStatuses {
    /// Adds an instance at its location; see [`LocationStatus::add`].
    pub fn add(&mut self, instance: &Instance, shares_process: bool) {
        let location = &instance.location;
        self.0
            .entry(location.clone())
            .or_insert_with(|| LocationStatus::new(location.clone()))
            .add(instance, shares_process);
    }

    /// Ordered by code.
    #[must_use]
    pub fn into_vec(self) -> Vec<LocationStatus> {
        self.0.into_values().collect()
    }
}

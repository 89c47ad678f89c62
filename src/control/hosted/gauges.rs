//! What metrics tell of databases and organizations: sizes, how far replicas are behind, and who exceeds a quota.

use super::Shared;
use crate::control::gateway_plane::Route;
use crate::engine::{Running, Site};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The state of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceGauge {
    pub route: Arc<Route>,
    /// Bytes on disk.
    pub bytes: u64,
    /// Frames of its primary's log that a replica lacks; none for a primary, and while that is not known.
    pub lag_frames: Option<u64>,
    /// The same in milliseconds, at most.
    pub lag_ms: Option<u64>,
    /// Frames of a primary's log that no replica has; none for a replica, without replicas, and while that is not known.
    pub at_risk_frames: Option<u64>,
    /// Open streams and sockets of clients.
    pub connections: u64,
}

impl Shared {
    pub(super) fn instance_gauges(&self) -> Vec<InstanceGauge> {
        if self.sqld().is_err() {
            return Vec::new();
        }
        let engine = self.engine.open(&self.nodes.remote);
        let running = |site: &Site| engine.running(site).ok().flatten();
        let mut primaries: HashMap<String, Option<Running>> = HashMap::new();
        let mut at_risk: HashMap<String, u64> = HashMap::new();
        let mut all = Vec::new();
        for route in self.hostnames.instances() {
            let (mut lag_frames, mut lag_ms) = (None, None);
            if !route.is_primary {
                let primary = primaries
                    .entry(route.instance.clone())
                    .or_insert_with(|| running(&route.primary_site));
                if let (Some(primary), Some(own)) = (primary, running(&route.site)) {
                    lag_frames = own.lacking_frames(primary);
                    lag_ms = lacking_ms(primary, &own);
                }
            }
            if let Some(frames) = lag_frames {
                let least = at_risk.entry(route.instance.clone()).or_insert(frames);
                *least = frames.min(*least);
            }
            all.push(InstanceGauge {
                bytes: engine.size(&route.site).unwrap_or(0),
                lag_frames,
                lag_ms,
                at_risk_frames: None,
                connections: self.connections(&route.id, &route.location).unwrap_or(0),
                route,
            });
        }
        for gauge in all.iter_mut().filter(|gauge| gauge.route.is_primary) {
            gauge.at_risk_frames = at_risk.get(&gauge.route.instance).copied();
        }
        all
    }

    pub(super) fn organizations_over_quota(&self) -> usize {
        let all = self.records().organizations().unwrap_or_default();
        let is_over = |id: &str| self.plane_pool.state(id).over_quota.load(Ordering::SeqCst);
        all.iter().filter(|row| is_over(&row.id)).count()
    }
}

fn lacking_ms(primary: &Running, replica: &Running) -> Option<u64> {
    if primary.position == replica.position {
        return Some(0);
    }
    let level_ago = replica.process.as_ref().and_then(|process| process.level_ago);
    replica.position.behind_ms(&primary.position, level_ago)
}

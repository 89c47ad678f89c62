//! What metrics tell of databases and organizations: sizes, how far replicas are behind, and who exceeds a quota.

use super::Shared;
use super::hostnames::Route;
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
}

impl Shared {
    pub(super) fn instance_gauges(&self) -> Vec<InstanceGauge> {
        let Ok(engine) = self.sqld() else { return Vec::new() };
        use crate::engine::Engine as _;
        let mut primaries = HashMap::new();
        let all = self.hostnames.instances().into_iter();
        all.map(|route| {
            let bytes = engine.size(&route.site).unwrap_or(0);
            let frame = |site| engine.running(site).ok().flatten().and_then(|running| running.frame());
            let lag_frames = (!route.is_primary).then(|| {
                let primary = *primaries
                    .entry(route.id.clone())
                    .or_insert_with(|| frame(&route.primary_site));
                let (primary, own) = (primary?, frame(&route.site)?);
                // Positions in two logs cannot be compared: everything is still to come.
                let has = if primary.log == own.log { own.count } else { 0 };
                Some(primary.count.saturating_sub(has))
            });
            InstanceGauge {
                bytes,
                lag_frames: lag_frames.flatten(),
                route,
            }
        })
        .collect()
    }

    pub(super) fn organizations_over_quota(&self) -> usize {
        let all = self.records().organizations().unwrap_or_default();
        let is_over = |id: &str| self.plane_pool.state(id).over_quota.load(Ordering::SeqCst);
        all.iter().filter(|row| is_over(&row.id)).count()
    }
}

//! The entry of writes: they wait while the primary of their database is moved, and then go where it is.

use super::Core;
use super::error::GatewayError;
use super::upstream::being_moved;
use crate::control::gateway_plane::{PendingWrite, Route};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a write waits, and how often it looks.
const PATIENCE: Duration = Duration::from_millis(4500);
const LOOK: Duration = Duration::from_millis(3);

/// Waits until a write may pass. Returns where its database is then, and what is held until the write has been answered. One in
/// a transaction that is open already passes at once, so that it can end.
///
/// # Errors
///
/// `DATABASE_UNAVAILABLE` where that takes too long, or there is no way to the primary; nothing was written then.
pub(super) async fn enter_write(
    core: &Core,
    route: &Arc<Route>,
    in_transaction: bool,
) -> Result<(Arc<Route>, PendingWrite), GatewayError> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(entered) = core.plane.enter_write(route, in_transaction)? {
            let now = core.plane.route(&route.label).filter(|now| now.id == route.id);
            return Ok((now.unwrap_or_else(|| Arc::clone(route)), entered));
        }
        if Instant::now() >= end {
            return Err(being_moved());
        }
        tokio::time::sleep(LOOK).await;
    }
}

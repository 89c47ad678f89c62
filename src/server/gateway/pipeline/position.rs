//! Reading one's own writes at a replica: the answer to a write says how far the database's log was then, and a request to a
//! replica that says so waits until the replica has it.

use crate::control::hosted::{LogPosition, Route};
use crate::server::gateway::Core;
use crate::server::gateway::endpoints::EndpointKind;
use crate::server::gateway::error::GatewayError;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The header of a position, in requests and in answers.
const POSITION: HeaderName = HeaderName::from_static("torso-position");

/// How long a request waits for a replica, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(2);

/// What a request has to do with positions.
pub struct PositionUse {
    route: Arc<Route>,
    /// What the replica must have before the request goes on.
    wanted: Option<LogPosition>,
    /// The answer says how far the log is.
    is_write: bool,
}

impl PositionUse {
    /// # Errors
    ///
    /// `BAD_REQUEST` for a header that is no position.
    pub fn new(
        route: &Arc<Route>,
        headers: &HeaderMap,
        kind: EndpointKind,
        may_write: bool,
    ) -> Result<Self, GatewayError> {
        let text = headers.get(POSITION).map(HeaderValue::to_str);
        let wanted = match text {
            None => None,
            Some(text) => {
                let position = text.ok().and_then(|text| text.parse().ok());
                Some(position.ok_or_else(|| {
                    GatewayError::bad(
                        "the header torso-position is not one that an answer to a write had; leave it out",
                    )
                })?)
            }
        };
        Ok(Self {
            route: Arc::clone(route),
            // A primary has everything, and so have requests that go there.
            wanted: wanted.filter(|_| !route.is_primary && kind != EndpointKind::Proxy),
            // The head of a cursor's answer comes before its statements have run.
            is_write: kind == EndpointKind::Call && may_write,
        })
    }

    /// Waits until the replica has what the request asks for.
    ///
    /// # Errors
    ///
    /// `REPLICA_BEHIND` if it has not in time.
    pub async fn wait(&self, core: &Core) -> Result<(), GatewayError> {
        let Some(wanted) = &self.wanted else { return Ok(()) };
        let end = Instant::now() + PATIENCE;
        let mut is_asked = false;
        loop {
            // The primary may be moved meanwhile.
            let now = core.hosted.route(&self.route.label);
            let route = now
                .filter(|now| now.id == self.route.id)
                .unwrap_or_else(|| Arc::clone(&self.route));
            if route.is_primary || core.hosted.has_position(&route, wanted) {
                return Ok(());
            }
            if Instant::now() >= end {
                let message = format!(
                    "the replica in {} does not have the position of the request yet; try again, or ask the database's own URL",
                    route.location
                );
                return Err(GatewayError::later(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "REPLICA_BEHIND",
                    message,
                ));
            }
            if !std::mem::replace(&mut is_asked, true) {
                let hosted = Arc::clone(&core.hosted);
                // Its result is seen in the next looks.
                drop(tokio::task::spawn_blocking(move || hosted.follow(&route)));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Says in the answer to a write how far the log is now.
    pub fn note(&self, core: &Core, response: &mut Response<Body>) {
        if !self.is_write || response.status() != StatusCode::OK {
            return;
        }
        let now = core
            .hosted
            .route(&self.route.label)
            .filter(|now| now.id == self.route.id);
        let position = now.and_then(|now| core.hosted.written_position(&now));
        if let Some(value) = position.and_then(|position| HeaderValue::try_from(position.to_string()).ok()) {
            response.headers_mut().insert(POSITION, value);
        }
    }
}

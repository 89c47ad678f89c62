//! Reading one's own writes at a replica, and writes that a replica has: the answer to a write says how far the database's log was
//! then, in a header and a cookie. A request to a replica that says so waits until the replica has it, and so does what a stream
//! reads there after it has written. The answer to a write waits for a replica where the client asks for that.

use crate::control::gateway_plane::{LogPosition, Route};
use crate::server::gateway::Core;
use crate::server::gateway::endpoints::EndpointKind;
use crate::server::gateway::error::GatewayError;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The header of a position, in requests and in answers. With the database's id behind it, it is the name of the cookie.
const POSITION: HeaderName = HeaderName::from_static("torso-position");

/// The header by which a client asks for a write to be answered when a replica has it, and the one that says which has.
const WAIT_REPLICA: HeaderName = HeaderName::from_static("torso-wait-replica");
const REPLICATED: HeaderName = HeaderName::from_static("torso-replicated");

/// How long a request waits for a replica where it does not say so, the most seconds that it may ask for, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST: u64 = 60;
const LOOK: Duration = Duration::from_millis(2);

/// What a request has to do with positions.
pub struct PositionUse {
    route: Arc<Route>,
    /// What the replica must have before the request goes on.
    wanted: Option<LogPosition>,
    /// The answer says how far the log is.
    is_write: bool,
    /// How long the answer waits for a replica.
    replicated_within: Option<Duration>,
}

impl PositionUse {
    /// What a request to a route has to do with positions. `written` is how far the log was when its stream has last written.
    ///
    /// # Errors
    ///
    /// `BAD_REQUEST` for a header that is no position or no time, and for a write that cannot be waited for; `NO_REPLICA` without
    /// one to wait for.
    pub fn new(
        route: &Arc<Route>,
        headers: &HeaderMap,
        kind: EndpointKind,
        may_write: bool,
        written: Option<LogPosition>,
    ) -> Result<Self, GatewayError> {
        let named = match headers.get(POSITION) {
            Some(text) => Some(parse_position(text).ok_or_else(|| {
                GatewayError::bad("the header torso-position is not one that an answer to a write had; leave it out")
            })?),
            None => read_cookie(route, headers),
        };
        let replicated_within = headers.get(WAIT_REPLICA).map(parse_wait).transpose()?;
        let replicated_within = replicated_within.filter(|_| may_write);
        if replicated_within.is_some() {
            if kind != EndpointKind::Call {
                return Err(GatewayError::bad(
                    "the header torso-wait-replica is for writes to v2/pipeline and v3/pipeline: an answer of this endpoint begins \
                     before its statements have run",
                ));
            }
            if !route.has_replicas {
                return Err(GatewayError::new(
                    StatusCode::BAD_REQUEST,
                    "NO_REPLICA",
                    "the database has no replica that could be waited for, so nothing was written (torso db replicate makes one)",
                ));
            }
        }
        Ok(Self {
            route: Arc::clone(route),
            // A primary has everything, and so have requests that go there.
            wanted: named
                .or(written)
                .filter(|_| !route.is_primary && kind != EndpointKind::Proxy),
            // The head of a cursor's answer comes before its statements have run.
            is_write: kind == EndpointKind::Call && may_write,
            replicated_within,
        })
    }

    /// Waits until the replica has what the request asks for.
    ///
    /// # Errors
    ///
    /// `REPLICA_BEHIND` if it has not in time.
    pub async fn wait(&self, core: &Core) -> Result<(), GatewayError> {
        let Some(wanted) = &self.wanted else { return Ok(()) };
        // The primary may be moved meanwhile.
        let replica = || {
            let now = core.plane.route(&self.route.label);
            vec![
                now.filter(|now| now.id == self.route.id)
                    .unwrap_or_else(|| Arc::clone(&self.route)),
            ]
        };
        if await_position(core, wanted, PATIENCE, replica).await.is_some() {
            return Ok(());
        }
        let message = format!(
            "the replica in {} does not have the position of the request yet; try again, or ask the database's own URL",
            self.route.location
        );
        Err(GatewayError::later(
            StatusCode::SERVICE_UNAVAILABLE,
            "REPLICA_BEHIND",
            message,
        ))
    }

    /// Says in the answer to a write how far the log is now, and waits until a replica is there, where the client wants that.
    ///
    /// # Errors
    ///
    /// `NOT_REPLICATED` if no replica is there in time. The write was made.
    pub async fn finish(&self, core: &Core, mut response: Response<Body>) -> Result<Response<Body>, GatewayError> {
        if !self.is_write || response.status() != StatusCode::OK {
            return Ok(response);
        }
        let now = core.plane.route(&self.route.label);
        let now = now.filter(|now| now.id == self.route.id);
        let position = match now {
            Some(now) => written_position(core, &now).await,
            None => None,
        };
        if let Some(position) = &position {
            note_position(core, &self.route, position, response.headers_mut());
        }
        let Some(within) = self.replicated_within else {
            return Ok(response);
        };
        let replicas = || core.plane.replicas(&self.route.id);
        let reached = match &position {
            Some(position) => await_position(core, position, within, replicas).await,
            None => None,
        };
        let Some(replica) = reached else {
            let message = format!(
                "the request was carried out, but no replica has what it wrote after {} seconds: that would be lost with the \
                 primary now; do not repeat it, and see how the replicas are (torso db replicas {})",
                within.as_secs(),
                self.route.database
            );
            return Err(GatewayError::new(
                StatusCode::GATEWAY_TIMEOUT,
                "NOT_REPLICATED",
                message,
            ));
        };
        if let Ok(location) = HeaderValue::try_from(replica.location.as_str()) {
            response.headers_mut().insert(REPLICATED, location);
        }
        Ok(response)
    }
}

/// Where the log of a route's database ends at its primary; none while that is not known.
pub async fn written_position(core: &Core, route: &Arc<Route>) -> Option<LogPosition> {
    if !core.plane.asks_elsewhere() {
        return core.plane.written_position(route);
    }
    let (plane, route) = (Arc::clone(&core.plane), Arc::clone(route));
    let position = tokio::task::spawn_blocking(move || plane.written_position(&route));
    position.await.ok().flatten()
}

/// Refuses a socket that asks for what is said of each request: its messages have no headers.
///
/// # Errors
///
/// `BAD_REQUEST`.
pub fn check_socket(headers: &HeaderMap) -> Result<(), GatewayError> {
    match [POSITION, WAIT_REPLICA].iter().find(|name| headers.contains_key(*name)) {
        None => Ok(()),
        Some(name) => Err(GatewayError::bad(format!(
            "the header {name} is for requests over HTTP, not for a WebSocket"
        ))),
    }
}

fn parse_position(text: &HeaderValue) -> Option<LogPosition> {
    text.to_str().ok()?.parse().ok()
}

/// `true`, or the most seconds to wait.
fn parse_wait(text: &HeaderValue) -> Result<Duration, GatewayError> {
    if text == "true" {
        return Ok(PATIENCE);
    }
    let seconds = text
        .to_str()
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let seconds = seconds
        .and_then(|text| text.parse().ok())
        .filter(|seconds| (1..=LONGEST).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| {
        GatewayError::bad(format!(
            "the header torso-wait-replica is true, or a number of seconds from 1 to {LONGEST}"
        ))
    })
}

/// The name of the cookie of a database: a client may hold those of several.
fn cookie_name(route: &Route) -> String {
    format!("{POSITION}-{}", route.id)
}

/// The position in a request's cookie. One of another form is none: a client does not choose what it keeps.
fn read_cookie(route: &Route, headers: &HeaderMap) -> Option<LogPosition> {
    let mut all = headers.get_all(header::COOKIE).iter().peekable();
    all.peek()?;
    let name = cookie_name(route);
    let texts = all.filter_map(|cookies| cookies.to_str().ok());
    let mut pairs = texts
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name)?.1.parse().ok()
}

/// Puts a position into an answer; also as a cookie, which all instances of the database are sent, where there is a replica.
fn note_position(core: &Core, route: &Route, position: &LogPosition, headers: &mut HeaderMap) {
    let text = position.to_string();
    let Ok(value) = HeaderValue::try_from(&text) else {
        return;
    };
    headers.insert(POSITION, value);
    if !route.has_replicas {
        return;
    }
    let domain = core
        .plane
        .domain()
        .map_or_else(String::new, |domain| format!("; Domain={domain}"));
    let secure = if core.plane.url().scheme() == "https" {
        "; Secure"
    } else {
        ""
    };
    let name = cookie_name(route);
    let cookie = format!("{name}={text}; Path=/; Max-Age=3600; HttpOnly; SameSite=Strict{domain}{secure}");
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// Waits until one of some instances has a position; none if that takes too long. A primary has every position.
async fn await_position(
    core: &Core,
    wanted: &LogPosition,
    within: Duration,
    instances: impl Fn() -> Vec<Arc<Route>>,
) -> Option<Arc<Route>> {
    let began = Instant::now();
    let end = began + within;
    let mut is_followed = false;
    loop {
        let now = instances();
        let reached = now
            .iter()
            .find(|route| route.is_primary || core.plane.has_position(route, wanted, began));
        if let Some(route) = reached {
            return Some(Arc::clone(route));
        }
        if Instant::now() >= end {
            return None;
        }
        if !std::mem::replace(&mut is_followed, true) {
            for route in now {
                let plane = Arc::clone(&core.plane);
                // Its result is seen in the next looks.
                drop(tokio::task::spawn_blocking(move || plane.follow(&route)));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replica_wait_is_true_or_some_seconds() {
        let parse = |text: &'static str| parse_wait(&HeaderValue::from_static(text)).ok();
        assert_eq!(parse("true"), Some(PATIENCE));
        assert_eq!(parse("1"), Some(Duration::from_secs(1)));
        assert_eq!(parse("60"), Some(Duration::from_secs(60)));
        for text in ["", "0", "61", "-1", "+5", "1.5", "false", "99999999999999999999"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}

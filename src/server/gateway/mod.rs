//! The gateway: the only way from outside to the engine's processes, which must not be reachable directly.
//!
//! A request comes with a database's label and the path there. The gateway accepts only what is in one table
//! (`endpoints`), and takes it through a fixed row of steps (`pipeline`): the database token is checked (`auth`), the
//! database's share of requests is held (`limits`), the SQL is checked (`policy`), and the request goes on with a token of
//! the server's own and the right namespace (`upstream`); of the client's headers only a few harmless ones are forwarded.
//! Answers are streamed as they come (`response_body`), without what a process says of its own files (`engine_text`), and with
//! a primary's errors in the primary's words (`primary_errors`). Sockets (`websocket`) are checked message by message. What outlives
//! a request belongs to its database and is counted (`streams`).
//!
//! Which host and path belong to which label is the listener's to decide; which token opens what is the plane's.

mod auth;
mod counters;
mod endpoints;
mod engine_text;
mod error;
pub(super) mod export;
mod limits;
mod pipeline;
mod policy;
mod primary_errors;
mod read_answer;
mod request_body;
mod response_body;
mod streams;
mod upstream;
mod websocket;
mod write_entry;

pub use limits::GatewayLimits;

use super::metrics_text::MetricsText;
use crate::control::gateway_plane::{ActivitySource, GatewayPlane};
use crate::control::names::{DatabaseId, LocationCode};
use crate::control::types::DatabaseActivity;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use counters::Counters;
use engine_text::PathFilter;
use error::{ErrorEncoding, GatewayError, allow_browsers, answer_preflight};
use export::ExportStep;
use jiff::{SignedDuration, Timestamp};
use limits::DatabaseShares;
use std::sync::Arc;
use std::time::Duration;
use streams::{BatonLabels, ReadStreams, StreamRegistry};
use tokio::sync::{Semaphore, watch};
use upstream::Upstream;

/// What clients put where a label belongs when the URL they have does not end in a slash.
const ENDPOINTS: [&str; 4] = ["v1", "v2", "v3", "v3-protobuf"];

/// For how long a request says that a database is in use: longer than a pool of connections is quiet.
const RECENT: SignedDuration = SignedDuration::from_secs(60);

/// How often it is checked whether all sockets have ended.
const PAUSE: Duration = Duration::from_millis(10);

/// The gateway. Clones share everything.
#[derive(Clone)]
pub struct Gateway {
    core: Arc<Core>,
}

/// What all requests use.
struct Core {
    plane: Arc<dyn GatewayPlane>,
    limits: GatewayLimits,
    shares: Arc<DatabaseShares>,
    open: StreamRegistry,
    streams: BatonLabels,
    reads: ReadStreams,
    upstream: Upstream,
    paths: PathFilter,
    counters: Counters,
    /// For databases that are copied and sent as files.
    copies: Arc<Semaphore>,
    /// True once the server is to stop.
    ends: watch::Sender<bool>,
}

impl Core {
    /// Returns once the server is to stop.
    async fn ending(&self) {
        // The sender is in this very value.
        let _ = self.ends.subscribe().wait_for(|ends| *ends).await;
    }
}

impl Gateway {
    #[must_use]
    pub fn new(plane: Arc<dyn GatewayPlane>, limits: GatewayLimits) -> Self {
        let shares = Arc::new(DatabaseShares::new(limits.clone()));
        let open = StreamRegistry::new(limits.streams);
        let (known_shares, known_streams) = (Arc::clone(&shares), open.clone());
        plane.set_activity_source(Box::new(GatewayActivity {
            shares: known_shares,
            streams: known_streams,
        }));
        Self {
            core: Arc::new(Core {
                upstream: Upstream::new(Arc::clone(&plane), limits.clone()),
                shares,
                open,
                streams: BatonLabels::new(plane.stream_secret()),
                reads: ReadStreams::new(),
                paths: PathFilter::new(plane.data_dir()),
                counters: Counters::default(),
                copies: Arc::new(Semaphore::new(export::COPIES)),
                ends: watch::Sender::new(false),
                plane,
                limits,
            }),
        }
    }

    /// Answers a request for a label. `path` is the path below the label, as it was sent.
    pub async fn serve(&self, label: &str, path: &str, request: Request<Body>) -> Response<Body> {
        let mut response = if request.method() == Method::OPTIONS {
            answer_preflight()
        } else if let Some(step) = ExportStep::parse(path) {
            export::answer(&self.core, Some(label), step, request.method(), request.headers()).await
        } else {
            match endpoints::find(request.method(), path) {
                Ok(endpoint) => {
                    let answer = pipeline::answer(&self.core, label, endpoint, request).await;
                    let status = match &answer {
                        Ok(response) => response.status(),
                        Err(error) => error.status,
                    };
                    self.core.counters.count_answer(endpoint.kind, status);
                    answer.unwrap_or_else(|error| error.into_response(endpoint.error_encoding()))
                }
                Err(_) if ENDPOINTS.contains(&label) => GatewayError::no_slash().into_response(ErrorEncoding::Json),
                Err(error) => error.into_response(ErrorEncoding::Json),
            }
        };
        allow_browsers(response.headers_mut());
        response
    }

    /// Answers a request of the official CLI, which loses the path of a database's URL, by the database that its token is
    /// for.
    pub(super) async fn serve_root(
        &self,
        step: ExportStep<'_>,
        method: &Method,
        headers: &HeaderMap,
    ) -> Response<Body> {
        let mut response = export::answer(&self.core, None, step, method, headers).await;
        allow_browsers(response.headers_mut());
        response
    }

    /// Closes all sockets in order; returns when they are closed.
    pub async fn end(&self) {
        self.core.ends.send_replace(true);
        while self.core.counters.open_sockets() > 0 {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Appends what was counted, in the text form that Prometheus reads.
    pub fn write_metrics(&self, text: &mut MetricsText) {
        self.core.counters.write(text, self.core.open.count());
    }
}

/// What the gateway knows of how databases are used now. A socket and its streams are one connection.
struct GatewayActivity {
    shares: Arc<DatabaseShares>,
    streams: StreamRegistry,
}

impl ActivitySource for GatewayActivity {
    fn activity(&self, id: &DatabaseId) -> Option<DatabaseActivity> {
        let (sockets, last) = self.shares.use_of(id);
        let connections = self.streams.count_of(id).max(sockets) as u64;
        let last_request_at = last.filter(|last| last.duration_until(Timestamp::now()) < RECENT);
        (connections > 0 || last_request_at.is_some()).then_some(DatabaseActivity {
            connections,
            last_request_at,
        })
    }

    fn connections(&self, id: &DatabaseId, location: &LocationCode) -> u64 {
        let streams = self.streams.count_at(id, location);
        streams.max(self.shares.sockets_at(id, location)) as u64
    }
}

/// The answer to a page of another machine, at a database that takes no token. The page may not read it.
pub(super) fn refuse_origin() -> Response<Body> {
    GatewayError::new(
        StatusCode::FORBIDDEN,
        "ORIGIN_FORBIDDEN",
        "a page of another machine may not use a database that takes no token; torso dev --auth demands one",
    )
    .into_response(ErrorEncoding::Json)
}

/// The answer while the plane is not open yet.
pub(super) fn starting() -> Response<Body> {
    let mut response =
        GatewayError::unavailable("the server is starting; try again in a moment").into_response(ErrorEncoding::Json);
    allow_browsers(response.headers_mut());
    response
}

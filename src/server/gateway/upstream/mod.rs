//! Forwards requests to the engine's processes: finds their addresses and tokens, and waits for processes that are
//! being started. `connections` has the connections.

use crate::control::gateway_plane::{Endpoint, GatewayPlane, Listener, PrimaryAccess, Route};
use crate::control::tokens::Authorization;
use crate::server::gateway::error::GatewayError;
use crate::server::gateway::limits::GatewayLimits;
use crate::sync;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http_body_util::Full;
use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

pub mod connections;
mod failures;

pub use failures::{being_moved, left_behind, lost, no_primary, took_too_long};

use connections::{ConnectionPool, SendFailure, UpstreamBody};
use failures::{hangs, lost_twice, no_database, primary_elsewhere};

/// How long the address and token of a process are cached.
const BELIEVED: Duration = Duration::from_secs(1);

/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_millis(50);

/// The timeout of a health check.
const WELL: Duration = Duration::from_secs(1);

/// A pipeline that only shows its token: its stream ends with it.
const NO_STATEMENTS: &[u8] = br#"{"requests":[{"type":"close"}]}"#;

/// A namespace at a process.
#[derive(Debug)]
pub struct UpstreamTarget {
    pub process: Listener,
    host: HeaderValue,
    namespace: HeaderValue,
    /// With `Bearer`.
    authorization: HeaderValue,
    /// Without.
    pub token: String,
    known: Instant,
}

/// Which instance is meant, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TargetKey {
    instance: String,
    /// The location; none for the primary wherever it is.
    at: Option<String>,
    authorization: Authorization,
}

/// A request to a process, as often as it has to be sent. Only the pipeline makes one of a client's request.
pub struct UpstreamRequest {
    pub method: Method,
    pub path: PathAndQuery,
    /// Those that are let through, without what [`UpstreamTarget::present`] sets.
    pub headers: HeaderMap,
    pub body: Bytes,
    pub authorization: Authorization,
    /// None: no token is sent.
    pub token_header: Option<TokenHeader>,
    pub to_primary: bool,
    /// It leaves nothing behind, so that it may be sent again where a process ended before it answered.
    pub is_repeatable: bool,
    /// It runs SELECTs only, so that a replica answers it without its primary.
    pub is_query: bool,
}

/// In which header a token is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenHeader {
    Authorization,
    XAuthorization,
}

pub struct Upstream {
    plane: Arc<dyn GatewayPlane>,
    limits: GatewayLimits,
    pool: ConnectionPool,
    targets: RwLock<Targets>,
}

#[derive(Default)]
struct Targets {
    known: HashMap<TargetKey, Arc<UpstreamTarget>>,
    /// When what is not believed any more was last forgotten.
    swept: Option<Instant>,
}

impl UpstreamTarget {
    fn new(endpoint: &Endpoint, instance: &str, token: &str) -> Result<Self, GatewayError> {
        let broken = |_| GatewayError::unavailable("the database's process cannot be addressed");
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}")).map_err(broken)?;
        authorization.set_sensitive(true);
        Ok(Self {
            process: endpoint.listener,
            host: HeaderValue::try_from(&endpoint.host).map_err(broken)?,
            namespace: HeaderValue::try_from(STANDARD_NO_PAD.encode(instance)).map_err(broken)?,
            authorization,
            token: token.to_owned(),
            known: Instant::now(),
        })
    }

    /// Sets what says whose request it is.
    pub fn present(&self, headers: &mut HeaderMap, token_header: Option<TokenHeader>) {
        headers.insert(header::HOST, self.host.clone());
        headers.insert("x-namespace-bin", self.namespace.clone());
        match token_header {
            Some(TokenHeader::Authorization) => {
                headers.insert(header::AUTHORIZATION, self.authorization.clone());
            }
            Some(TokenHeader::XAuthorization) => {
                headers.insert("x-authorization", self.authorization.clone());
            }
            None => {}
        }
    }
}

impl Upstream {
    pub fn new(plane: Arc<dyn GatewayPlane>, limits: GatewayLimits) -> Self {
        Self {
            plane,
            limits,
            pool: ConnectionPool::default(),
            targets: RwLock::default(),
        }
    }

    /// Where a route's instance, or its primary, is now.
    pub fn target(
        &self,
        route: &Route,
        authorization: Authorization,
        primary: bool,
    ) -> Result<Arc<UpstreamTarget>, GatewayError> {
        let key = key(route, authorization, primary);
        {
            let targets = sync::read(&self.targets);
            if let Some(target) = targets
                .known
                .get(&key)
                .filter(|target| target.known.elapsed() < BELIEVED)
            {
                return Ok(Arc::clone(target));
            }
        }
        let endpoint = if primary {
            self.primary_endpoint(route)?
        } else {
            self.plane.endpoint(route)?
        };
        let token = self.plane.internal_token(route, authorization)?;
        let target = Arc::new(UpstreamTarget::new(&endpoint, &route.instance, token.expose())?);
        let mut targets = sync::write(&self.targets);
        // Once in a while: there may be thousands.
        if targets.swept.is_none_or(|swept| swept.elapsed() >= BELIEVED) {
            targets.known.retain(|_, target| target.known.elapsed() < BELIEVED);
            targets.swept = Some(Instant::now());
        }
        targets.known.insert(key, Arc::clone(&target));
        Ok(target)
    }

    fn forget(&self, route: &Route, authorization: Authorization, primary: bool) {
        let mut targets = sync::write(&self.targets);
        targets.known.remove(&key(route, authorization, primary));
    }

    /// The same, waiting for a process that is being started.
    pub async fn reach(
        &self,
        route: &Route,
        authorization: Authorization,
        primary: bool,
    ) -> Result<Arc<UpstreamTarget>, GatewayError> {
        let end = Instant::now() + self.limits.absence;
        loop {
            match self.target(route, authorization, primary) {
                Err(error) if error.retry_after.is_some() && Instant::now() + PAUSE < end => {
                    tokio::time::sleep(PAUSE).await;
                }
                other => return other,
            }
        }
    }

    /// Sends a request until a process has taken it, as long as it cannot have had an effect before. One that is repeatable
    /// goes to a second process where the first has ended before it answered, and no further: it may be why they end.
    pub async fn send(
        &self,
        route: &Arc<Route>,
        request: &UpstreamRequest,
    ) -> Result<Response<UpstreamBody>, GatewayError> {
        let mut end = Instant::now() + self.limits.absence;
        let mut refused_before = false;
        let mut lost_with = None;
        let mut route = Arc::clone(route);
        loop {
            let error = match self.try_send(&route, request).await {
                // It is our own token that it does not accept, so nothing was done: the clock was set, or the machine slept.
                Ok((response, target)) if refuses_token(&response) && request.token_header.is_some() => {
                    self.plane
                        .forget_internal_token(&route, request.authorization, &target.token);
                    self.forget(&route, request.authorization, request.to_primary);
                    if std::mem::replace(&mut refused_before, true) {
                        tracing::warn!(database = %route.label, "a database process refuses a token that was just made");
                        return Err(GatewayError::token_not_accepted());
                    }
                    GatewayError::token_not_accepted()
                }
                Ok((response, _)) if response.status() != StatusCode::NOT_FOUND => return Ok(response),
                // The process is ending, or has not yet learnt of the database. Nothing was done.
                Ok(_) => GatewayError::unavailable("the database does not run at the moment"),
                Err(AttemptFailure::Before(error)) => error,
                Err(AttemptFailure::Lost(process)) => {
                    match lost_with.replace(process) {
                        // The next one has as long to start, however long this one worked.
                        None => end = Instant::now() + self.limits.absence,
                        Some(first) if first != process => return Err(lost_twice()),
                        Some(_) => {}
                    }
                    GatewayError::unavailable("the database's process ended before it answered, and is not back yet")
                }
                Err(AttemptFailure::Final(error)) => return Err(error),
            };
            self.forget(&route, request.authorization, request.to_primary);
            // Its primary may have been moved.
            match self.plane.route(&route.label) {
                Some(now) if now.id == route.id => route = now,
                _ => return Err(no_database(&route.label)),
            }
            if Instant::now() + PAUSE >= end {
                return Err(error);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A token for the route's process that it accepts now: one that it refuses is made again, once.
    pub async fn accepted_token(
        &self,
        route: &Arc<Route>,
        authorization: Authorization,
    ) -> Result<String, GatewayError> {
        let request = UpstreamRequest {
            method: Method::POST,
            path: PathAndQuery::from_static("/v2/pipeline"),
            headers: HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]),
            body: Bytes::from_static(NO_STATEMENTS),
            authorization,
            token_header: Some(TokenHeader::Authorization),
            to_primary: false,
            is_repeatable: true,
            is_query: false,
        };
        let response = self.send(route, &request).await?;
        if !response.status().is_success() {
            tracing::warn!(database = %route.label, status = %response.status(), "a database process refuses a request without statements");
            return Err(GatewayError::unavailable("the database's process does not answer"));
        }
        Ok(self.target(route, authorization, false)?.token.clone())
    }

    /// Forgets the tokens for a route's process, which has refused one of them.
    pub fn forget_tokens(&self, route: &Route) {
        for authorization in [Authorization::FullAccess, Authorization::ReadOnly] {
            if let Ok(target) = self.target(route, authorization, false) {
                self.plane.forget_internal_token(route, authorization, &target.token);
            }
            self.forget(route, authorization, false);
        }
    }

    async fn try_send(
        &self,
        route: &Arc<Route>,
        request: &UpstreamRequest,
    ) -> Result<(Response<UpstreamBody>, Arc<UpstreamTarget>), AttemptFailure> {
        let target = self
            .target(route, request.authorization, request.to_primary)
            .map_err(|error| match error.retry_after {
                Some(_) => AttemptFailure::Before(error),
                None => AttemptFailure::Final(error),
            })?;
        let mut message = Request::new(Full::new(request.body.clone()));
        *message.method_mut() = request.method.clone();
        *message.uri_mut() = Uri::from(request.path.clone());
        *message.headers_mut() = request.headers.clone();
        target.present(message.headers_mut(), request.token_header);
        let sent = self.pool.send(target.process, message);
        let wait = WaitState::new(request.is_query);
        let watched = self.while_well(route, request.to_primary, wait, sent);
        match tokio::time::timeout(self.limits.answer, watched).await {
            Ok(Ok(Ok(response))) => Ok((response, target)),
            Ok(Ok(Err(SendFailure::After(error)))) => {
                tracing::warn!(%error, database = %route.label, "a process ended before it answered");
                Err(match request.is_repeatable {
                    true => AttemptFailure::Lost(target.process),
                    false => AttemptFailure::Final(lost()),
                })
            }
            Ok(Ok(Err(SendFailure::Before))) => Err(AttemptFailure::Before(GatewayError::unavailable(
                "the database's process does not answer",
            ))),
            Ok(Err(error)) => Err(AttemptFailure::Final(error)),
            Err(_) => Err(AttemptFailure::Final(took_too_long(self.limits.answer))),
        }
    }

    /// Waits for what a process does, as long as it may still do it: see [`Upstream::check_wait`].
    pub async fn while_well<T>(
        &self,
        route: &Route,
        to_primary: bool,
        mut wait: WaitState,
        waited_for: impl Future<Output = T>,
    ) -> Result<T, GatewayError> {
        tokio::pin!(waited_for);
        loop {
            tokio::select! {
                done = &mut waited_for => return Ok(done),
                () = tokio::time::sleep(self.limits.doubt) => {}
            }
            tokio::select! {
                done = &mut waited_for => return Ok(done),
                error = self.check_wait(route, to_primary, &mut wait) => {
                    if let Some(error) = error {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Whether a process that is silent is waited for in vain. A replica passes writes on, and waits for a dead primary for
    /// ever, so its primary has to answer. The process itself may be busy for a while, but one that does not even say that
    /// it is well for some time hangs; a statement that takes long is no reason.
    pub async fn check_wait(&self, route: &Route, to_primary: bool, wait: &mut WaitState) -> Option<GatewayError> {
        let primary = to_primary || route.is_primary;
        if !primary && !wait.is_query && !self.has_primary(route).await {
            return Some(no_primary());
        }
        let own = if primary {
            self.primary_endpoint(route)
        } else {
            self.plane.endpoint(route)
        };
        if self.is_well(own).await {
            wait.unwell_since = None;
            return None;
        }
        let since = *wait.unwell_since.get_or_insert_with(Instant::now);
        (since.elapsed() >= self.limits.hang).then(|| hangs(wait.is_query))
    }

    /// Where the process of a route's primary takes requests.
    fn primary_endpoint(&self, route: &Route) -> crate::error::Result<Endpoint> {
        match self.plane.primary_access(route)? {
            PrimaryAccess::Here(endpoint) => Ok(endpoint),
            PrimaryAccess::Elsewhere => Err(primary_elsewhere(route)),
        }
    }

    /// Whether writes of the route's process reach a primary that is well.
    async fn has_primary(&self, route: &Route) -> bool {
        match self.plane.primary_access(route) {
            Ok(PrimaryAccess::Here(endpoint)) => self.is_well(Ok(endpoint)).await,
            // Its own machine looks after it.
            Ok(PrimaryAccess::Elsewhere) => true,
            Err(_) => false,
        }
    }

    /// Whether a process is healthy.
    async fn is_well(&self, endpoint: crate::error::Result<Endpoint>) -> bool {
        let Ok(endpoint) = endpoint else {
            return false;
        };
        let mut request = Request::new(Full::default());
        *request.uri_mut() = Uri::from_static("/health");
        request
            .headers_mut()
            .insert(header::HOST, HeaderValue::from_static("localhost"));
        let answer = tokio::time::timeout(WELL, self.pool.send(endpoint.listener, request)).await;
        matches!(answer, Ok(Ok(response)) if response.status().is_success())
    }
}

/// Whether a process refuses the token that it was sent: by its status, or by that of gRPC, 16.
fn refuses_token(response: &Response<UpstreamBody>) -> bool {
    response.status() == StatusCode::UNAUTHORIZED
        || response
            .headers()
            .get("grpc-status")
            .is_some_and(|status| status == "16")
}

/// The state of waiting for a process.
#[derive(Debug, Default)]
pub struct WaitState {
    /// A replica answers it without its primary, and it changes nothing.
    is_query: bool,
    unwell_since: Option<Instant>,
}

impl WaitState {
    /// Waiting that begins now. `is_query` is whether a replica answers without its primary, and nothing is changed.
    pub fn new(is_query: bool) -> Self {
        Self {
            unwell_since: None,
            is_query,
        }
    }
}

fn key(route: &Route, authorization: Authorization, primary: bool) -> TargetKey {
    TargetKey {
        instance: route.instance.clone(),
        at: (!primary).then(|| route.location.to_string()),
        authorization,
    }
}

/// Why a request was not answered.
enum AttemptFailure {
    /// It cannot have had an effect.
    Before(GatewayError),
    /// The process ended before it answered a request that leaves nothing behind.
    Lost(Listener),
    Final(GatewayError),
}

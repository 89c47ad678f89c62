//! Forwards requests to the engine's processes: finds their addresses and tokens, and waits for processes that are
//! being started. `links` has the connections.

use super::limits::Limits;
use super::links::{Answer, Failed, Links};
use super::refusal::Refusal;
use crate::control::hosted::{Endpoint, Hosted, Listener, Route};
use crate::control::names::DatabaseId;
use crate::control::tokens::Authorization;
use crate::sync;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

/// How long the address and token of a process are cached.
const BELIEVED: Duration = Duration::from_secs(1);

/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_millis(50);

/// How the error of a replica's process begins that could not pass a request on to its primary.
const FORWARDING: [&str; 2] = [
    "Failed to execute queries via RPC protocol",
    "Connection with primary broken",
];

/// Bytes of a process's error that are read.
const LONGEST_FAILURE: usize = 64 << 10;

/// The timeout of a health check.
const WELL: Duration = Duration::from_secs(1);

/// A pipeline that only shows its token: its stream ends with it.
const NO_STATEMENTS: &[u8] = br#"{"requests":[{"type":"close"}]}"#;

/// A namespace at a process.
#[derive(Debug)]
pub(super) struct Target {
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
struct Key {
    id: DatabaseId,
    /// The location; none for the primary wherever it is.
    at: Option<String>,
    authorization: Authorization,
}

/// A request, as often as it has to be sent.
pub(super) struct Call {
    pub method: Method,
    pub path: PathAndQuery,
    /// Those that are let through, without what [`Target::present`] sets.
    pub headers: HeaderMap,
    pub body: Bytes,
    pub authorization: Authorization,
    /// None: no token is shown.
    pub shows: Option<Shows>,
    pub to_primary: bool,
    /// What was sent and not answered may be sent again.
    pub repeatable: bool,
}

/// In which header a token is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    Authorization,
    XAuthorization,
}

pub(super) struct Upstream {
    hosted: Arc<Hosted>,
    limits: Limits,
    links: Links,
    targets: RwLock<Targets>,
}

#[derive(Default)]
struct Targets {
    known: HashMap<Key, Arc<Target>>,
    /// When what is not believed any more was last forgotten.
    swept: Option<Instant>,
}

impl Target {
    fn new(endpoint: &Endpoint, id: &DatabaseId, token: &str) -> Result<Self, Refusal> {
        let broken = |_| Refusal::unavailable("the database's process cannot be addressed");
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}")).map_err(broken)?;
        authorization.set_sensitive(true);
        Ok(Self {
            process: endpoint.listener,
            host: HeaderValue::try_from(&endpoint.host).map_err(broken)?,
            namespace: HeaderValue::try_from(STANDARD_NO_PAD.encode(id.as_str())).map_err(broken)?,
            authorization,
            token: token.to_owned(),
            known: Instant::now(),
        })
    }

    /// Sets what says whose request it is.
    pub fn present(&self, headers: &mut HeaderMap, shows: Option<Shows>) {
        headers.insert(header::HOST, self.host.clone());
        headers.insert("x-namespace-bin", self.namespace.clone());
        match shows {
            Some(Shows::Authorization) => {
                headers.insert(header::AUTHORIZATION, self.authorization.clone());
            }
            Some(Shows::XAuthorization) => {
                headers.insert("x-authorization", self.authorization.clone());
            }
            None => {}
        }
    }
}

impl Upstream {
    pub fn new(hosted: Arc<Hosted>, limits: Limits) -> Self {
        Self {
            hosted,
            limits,
            links: Links::default(),
            targets: RwLock::default(),
        }
    }

    /// Where a route's instance, or its primary, is now.
    pub fn target(&self, route: &Route, authorization: Authorization, primary: bool) -> Result<Arc<Target>, Refusal> {
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
            self.hosted.primary_endpoint(route)?
        } else {
            self.hosted.endpoint(route)?
        };
        let token = self.hosted.internal_token(route, authorization)?;
        let target = Arc::new(Target::new(&endpoint, &route.id, token.expose())?);
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
    ) -> Result<Arc<Target>, Refusal> {
        let end = Instant::now() + self.limits.absence;
        loop {
            match self.target(route, authorization, primary) {
                Err(refusal) if refusal.retry_after.is_some() && Instant::now() + PAUSE < end => {
                    tokio::time::sleep(PAUSE).await;
                }
                other => return other,
            }
        }
    }

    /// Sends a request until a process has taken it, as long as it cannot have had an effect before.
    pub async fn send(&self, route: &Arc<Route>, call: &Call) -> Result<Response<Answer>, Refusal> {
        let end = Instant::now() + self.limits.absence;
        let mut refused_before = false;
        loop {
            let refusal = match self.try_send(route, call).await {
                // It is our own token that it does not accept, so nothing was done: the clock was set, or the machine slept.
                Ok((response, target)) if refuses_token(&response) && call.shows.is_some() => {
                    self.hosted
                        .forget_internal_token(route, call.authorization, &target.token);
                    self.forget(route, call.authorization, call.to_primary);
                    if std::mem::replace(&mut refused_before, true) {
                        tracing::warn!(database = %route.label, "a database process refuses a token that was just made");
                        return Err(Refusal::token_not_accepted());
                    }
                    Refusal::token_not_accepted()
                }
                Ok((response, _)) if response.status() != StatusCode::NOT_FOUND => return Ok(response),
                // The process is ending, or has not yet learnt of the database. Nothing was done.
                Ok(_) => Refusal::unavailable("the database does not run at the moment"),
                Err(Failure::Before(refusal)) => refusal,
                Err(Failure::Final(refusal)) => return Err(refusal),
            };
            self.forget(route, call.authorization, call.to_primary);
            if self.hosted.route(&route.label).is_none_or(|now| now.id != route.id) {
                return Err(no_database(&route.label));
            }
            if Instant::now() + PAUSE >= end {
                return Err(refusal);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A token for the route's process that it accepts now: one that it refuses is made anew, once.
    pub async fn accepted_token(&self, route: &Arc<Route>, authorization: Authorization) -> Result<String, Refusal> {
        let call = Call {
            method: Method::POST,
            path: PathAndQuery::from_static("/v2/pipeline"),
            headers: HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]),
            body: Bytes::from_static(NO_STATEMENTS),
            authorization,
            shows: Some(Shows::Authorization),
            to_primary: false,
            repeatable: true,
        };
        let response = self.send(route, &call).await?;
        if !response.status().is_success() {
            tracing::warn!(database = %route.label, status = %response.status(), "a database process refuses a request without statements");
            return Err(Refusal::unavailable("the database's process does not answer"));
        }
        Ok(self.target(route, authorization, false)?.token.clone())
    }

    /// Forgets the tokens for a route's process, which has refused one of them.
    pub fn forget_tokens(&self, route: &Route) {
        for authorization in [Authorization::FullAccess, Authorization::ReadOnly] {
            if let Ok(target) = self.target(route, authorization, false) {
                self.hosted.forget_internal_token(route, authorization, &target.token);
            }
            self.forget(route, authorization, false);
        }
    }

    async fn try_send(&self, route: &Arc<Route>, call: &Call) -> Result<(Response<Answer>, Arc<Target>), Failure> {
        let target = self
            .target(route, call.authorization, call.to_primary)
            .map_err(|refusal| match refusal.retry_after {
                Some(_) => Failure::Before(refusal),
                None => Failure::Final(refusal),
            })?;
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = Uri::from(call.path.clone());
        *request.headers_mut() = call.headers.clone();
        target.present(request.headers_mut(), call.shows);
        let sent = self.links.send(target.process, request);
        let watched = self.while_well(route, call.to_primary, sent);
        match tokio::time::timeout(self.limits.answer, watched).await {
            Ok(Ok(Ok(response))) => Ok((response, target)),
            Ok(Ok(Err(Failed::After(error)))) if !call.repeatable => {
                tracing::warn!(%error, database = %route.label, "a process ended before it answered");
                Err(Failure::Final(lost()))
            }
            Ok(Ok(Err(_))) => Err(Failure::Before(Refusal::unavailable(
                "the database's process does not answer",
            ))),
            Ok(Err(refusal)) => Err(Failure::Final(refusal)),
            Err(_) => Err(Failure::Final(took_too_long(self.limits.answer))),
        }
    }

    /// Waits for what a process does, as long as it may still do it: see [`Upstream::given_up`].
    pub async fn while_well<T>(
        &self,
        route: &Route,
        to_primary: bool,
        waited_for: impl Future<Output = T>,
    ) -> Result<T, Refusal> {
        tokio::pin!(waited_for);
        let mut wait = Wait::default();
        loop {
            tokio::select! {
                done = &mut waited_for => return Ok(done),
                () = tokio::time::sleep(self.limits.doubt) => {}
            }
            tokio::select! {
                done = &mut waited_for => return Ok(done),
                refusal = self.given_up(route, to_primary, &mut wait) => {
                    if let Some(refusal) = refusal {
                        return Err(refusal);
                    }
                }
            }
        }
    }

    /// Whether a process that is silent is waited for in vain. A replica passes writes on, and waits for a dead primary for
    /// ever, so its primary has to answer. The process itself may be busy for a while, but one that does not even say that
    /// it is well for some time hangs; a statement that takes long is no reason.
    pub async fn given_up(&self, route: &Route, to_primary: bool, wait: &mut Wait) -> Option<Refusal> {
        let primary = to_primary || route.is_primary;
        if !primary && !self.is_well(self.hosted.primary_endpoint(route)).await {
            return Some(no_primary());
        }
        let own = if primary {
            self.hosted.primary_endpoint(route)
        } else {
            self.hosted.endpoint(route)
        };
        if self.is_well(own).await {
            wait.unwell_since = None;
            return None;
        }
        let since = *wait.unwell_since.get_or_insert_with(Instant::now);
        (since.elapsed() >= self.limits.hang).then(hangs)
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
        let asked = tokio::time::timeout(WELL, self.links.send(endpoint.listener, request)).await;
        matches!(asked, Ok(Ok(response)) if response.status().is_success())
    }
}

/// Whether a process refuses the token that it was sent: by its status, or by that of gRPC, 16.
fn refuses_token(response: &Response<Answer>) -> bool {
    response.status() == StatusCode::UNAUTHORIZED
        || response
            .headers()
            .get("grpc-status")
            .is_some_and(|status| status == "16")
}

/// The error for a statement that nobody waits for any longer; with its connection, it ends.
pub(super) fn took_too_long(limit: Duration) -> Refusal {
    Refusal::new(
        StatusCode::GATEWAY_TIMEOUT,
        "TIMEOUT",
        format!(
            "the statement took longer than {} seconds and was ended; the server's --statement-timeout says how long one may take",
            limit.as_secs_f64()
        ),
    )
}

/// The state of waiting for a process.
#[derive(Debug, Default)]
pub(super) struct Wait {
    unwell_since: Option<Instant>,
}

fn key(route: &Route, authorization: Authorization, primary: bool) -> Key {
    Key {
        id: route.id.clone(),
        at: (!primary).then(|| route.location.to_string()),
        authorization,
    }
}

/// Why a request was not answered.
enum Failure {
    /// It cannot have had an effect.
    Before(Refusal),
    Final(Refusal),
}

/// A write through a replica was perhaps passed on before the primary went away.
pub(super) fn no_primary() -> Refusal {
    Refusal::unavailable("the database's primary does not answer; whether what was written took effect is not known")
}

/// What a client is told of a replica's process that failed: nearly always it could not pass a write on, and its words are
/// about that. A write may have reached the primary before that ended.
pub(super) async fn replica_failure(status: StatusCode, body: Answer) -> Refusal {
    let told = tokio::time::timeout(WELL, Limited::new(body, LONGEST_FAILURE).collect()).await;
    let told = match told {
        Ok(Ok(told)) => String::from_utf8_lossy(&told.to_bytes()).into_owned(),
        Ok(Err(_)) | Err(_) => String::new(),
    };
    tracing::warn!(%status, cause = %told, "a replica's process failed");
    if FORWARDING.iter().any(|words| told.contains(words)) {
        no_primary()
    } else {
        Refusal::unavailable("the replica's process failed; whether what was written took effect is not known")
    }
}

/// It is started again by whoever supervises it.
fn hangs() -> Refusal {
    Refusal::unavailable("the database's process does not answer; whether what was written took effect is not known")
}

pub(super) fn lost() -> Refusal {
    Refusal::new(
        StatusCode::BAD_GATEWAY,
        "DATABASE_LOST",
        "the database's process ended before it answered; whether the statements took effect is not known",
    )
}

fn no_database(label: &str) -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "DATABASE_NOT_FOUND",
        format!("there is no database at {label:?}"),
    )
}

//! The gateway: the only way from outside to the engine's processes, which must not be reachable directly.
//!
//! A request comes with a database's label and the path there. The gateway accepts only what is in one table
//! (`routes`), checks the database token itself, inspects the SQL (`inspect`), and forwards the request with its own
//! token and the right namespace (`upstream`, over `links`); of the client's headers only a few harmless ones are
//! forwarded. Answers flow back as they come (`flow`). Sockets (`socket`, `speech`, `account`) are vetted message by
//! message. What outlives a request belongs to its database (`streams`) and is counted (`open`). One database has a
//! bounded share of all that (`limits`).
//!
//! Which host and path belong to which label is the listener's to decide; which token opens what is the plane's.

mod account;
mod counters;
pub(super) mod export;
mod flow;
mod inspect;
mod integrity;
mod limits;
mod links;
mod open;
mod refusal;
mod routes;
mod socket;
mod speech;
mod stream_state;
mod streams;
mod upstream;
mod wire;

pub use limits::Limits;

use crate::control::hosted::{Grant, Hosted, Route};
use crate::control::tokens::Authorization;
use crate::sqltext::policy::InstanceKind;
use axum::body::Body;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use counters::Counters;
use export::Step;
use flow::Flow;
use inspect::{BodySummary, Format};
use limits::Shares;
use open::{Kept, Name, Open, Place};
use refusal::{Form, Refusal, leave, open_to_browsers};
use routes::{Entry, Kind};
use std::sync::Arc;
use std::time::Duration;
use stream_state::{StreamState, says_stream_is_gone};
use streams::{Inward, Streams};
use tokio::sync::{Semaphore, watch};
use upstream::{Call, Shows, Upstream};

/// Request headers that are forwarded to a process, besides those that the gateway sets.
const SHOWN: [HeaderName; 8] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::USER_AGENT,
    header::TE,
    HeaderName::from_static("grpc-accept-encoding"),
    HeaderName::from_static("x-session-token"),
    HeaderName::from_static("x-libsql-client-version"),
    HeaderName::from_static("x-turso-encryption-key"),
];

/// Headers that are about one connection.
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// What clients put in the place of a label when the URL they were given does not end in a slash.
const ENDPOINTS: [&str; 4] = ["v1", "v2", "v3", "v3-protobuf"];

/// How often it is looked whether all sockets have ended.
const PAUSE: Duration = Duration::from_millis(10);

/// Bytes of a body that takes so long to be looked at that others would notice.
const LARGE: usize = 32 << 10;

const X_AUTHORIZATION: HeaderName = HeaderName::from_static("x-authorization");

/// The gateway. Clones share everything.
#[derive(Clone)]
pub struct Gateway {
    core: Arc<Core>,
}

/// What all requests use.
struct Core {
    hosted: Arc<Hosted>,
    limits: Limits,
    shares: Shares,
    open: Open,
    streams: Streams,
    upstream: Upstream,
    counters: Counters,
    /// For databases that are copied and sent as files.
    copies: Arc<Semaphore>,
    /// True once the server was told to stop.
    ends: watch::Sender<bool>,
}

impl Core {
    /// Returns once the server was told to stop.
    async fn ending(&self) {
        // The sender is in this very value.
        let _ = self.ends.subscribe().wait_for(|ends| *ends).await;
    }
}

impl Gateway {
    #[must_use]
    pub fn new(hosted: Arc<Hosted>, limits: Limits) -> Self {
        Self {
            core: Arc::new(Core {
                upstream: Upstream::new(Arc::clone(&hosted), limits.clone()),
                shares: Shares::new(limits.clone()),
                open: Open::new(limits.streams),
                streams: Streams::new(hosted.stream_secret()),
                counters: Counters::default(),
                copies: Arc::new(Semaphore::new(export::COPIES)),
                ends: watch::Sender::new(false),
                hosted,
                limits,
            }),
        }
    }

    /// Answers a request for a label. `path` is the path below the label, as it was sent.
    pub async fn serve(&self, label: &str, path: &str, request: Request<Body>) -> Response<Body> {
        let mut response = if request.method() == Method::OPTIONS {
            leave()
        } else if let Some(step) = Step::parse(path) {
            export::answer(&self.core, Some(label), step, request.method(), request.headers()).await
        } else {
            match routes::find(request.method(), path) {
                Ok(entry) => {
                    let answered = answer(&self.core, label, entry, request).await;
                    let status = match &answered {
                        Ok(response) => response.status(),
                        Err(refusal) => refusal.status,
                    };
                    self.core.counters.answered(entry.kind, status);
                    answered.unwrap_or_else(|refusal| refusal.response(entry.form()))
                }
                Err(_) if ENDPOINTS.contains(&label) => Refusal::no_slash().response(Form::Json),
                Err(refusal) => refusal.response(Form::Json),
            }
        };
        open_to_browsers(response.headers_mut());
        response
    }

    /// Answers a request of the official CLI, which loses the path of a database's URL, by the database that its token is
    /// for.
    pub(super) async fn serve_root(&self, step: Step<'_>, method: &Method, headers: &HeaderMap) -> Response<Body> {
        let mut response = export::answer(&self.core, None, step, method, headers).await;
        open_to_browsers(response.headers_mut());
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
    pub fn write_metrics(&self, text: &mut String) {
        self.core.counters.write(text, self.core.open.count());
    }
}

/// The answer while the plane is not open yet.
pub(super) fn starting() -> Response<Body> {
    let mut response = Refusal::unavailable("the server is starting; try again in a moment").response(Form::Json);
    open_to_browsers(response.headers_mut());
    response
}

async fn answer(
    core: &Arc<Core>,
    label: &str,
    entry: &Entry,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    let headers = request.headers();
    if headers.get_all(header::HOST).iter().count() > 1 {
        return Err(Refusal::bad("the request names more than one host"));
    }
    if entry.kind == Kind::Socket {
        if !socket::is_wanted(headers) {
            return Err(Refusal::not_found());
        }
        return socket::open(core, label, request).await;
    }
    let authorized = token_of(entry, headers).and_then(|token| {
        let (route, grant) = authorize_label(core, label, token)?;
        Ok((token.to_owned(), route, grant.authorization))
    });
    let (token, route, mut authorization) = match authorized {
        Err(_) if entry.kind == Kind::Probe => return Ok(probed(entry)),
        authorized => authorized?,
    };
    let mut headers = shown(entry, headers)?;
    let place = core.shares.request(&route.id).await?;
    let query = request.uri().query().filter(|_| entry.kind == Kind::Dump);
    let path = match query {
        Some(query) => PathAndQuery::try_from(format!("{}?{query}", entry.path)),
        None => Ok(PathAndQuery::from_static(entry.path)),
    }
    .map_err(|_| Refusal::bad("the query is malformed"))?;
    let (parts, body) = request.into_parts();
    let mut ended_stream = None;
    let mut state = StreamState::Settings;
    let (body, held, stream) = match entry.format {
        // Whatever comes is not wanted, and nobody waits for it.
        None => (Bytes::new(), None, None),
        Some(format) => {
            let collected = flow::collect(core, &route, &parts.headers, body).await?;
            let Inward {
                body,
                name,
                state: before,
            } = if entry.names_a_stream() {
                core.streams.inward(format, &route.id, collected.bytes)?
            } else {
                Inward::unnamed(collected.bytes)
            };
            if format == Format::Json {
                state = before.after_request(&body);
                ended_stream = name.clone().filter(|_| before.is_replaceable(&body));
            }
            let summary = look(format, &body, authorization, instance(&route, entry))
                .await
                .inspect_err(|refusal| {
                    if refusal.code.starts_with("SQL_") {
                        core.counters.refused_sql();
                    }
                })?;
            refuse_growth(core, &route, &summary)?;
            if authorization == Authorization::ReadOnly && summary.reads_with_full_access() {
                // The process would refuse it, although it only reads.
                authorization = Authorization::FullAccess;
            }
            let asked_of_replica = (!route.is_primary)
                .then(|| integrity::ask_replica(format, &body))
                .flatten();
            let body = asked_of_replica.map_or(body, Bytes::from);
            let stream = stream(core, &route, entry, &body, name)?;
            (body, collected.held, stream)
        }
    };
    let labelled = entry.format.filter(|format| {
        let answers_baton = matches!(entry.kind, Kind::Call | Kind::Cursor) && entry.names_a_stream();
        answers_baton && !(entry.kind == Kind::Call && streams::ends(*format, &body))
    });
    if labelled.is_some() || ended_stream.is_some() {
        headers.remove(header::ACCEPT_ENCODING);
    }
    let mut call = Call {
        method: entry.method.clone(),
        path,
        headers,
        body,
        authorization,
        shows: shows(entry.kind),
        // A replica's process refuses to be dumped.
        to_primary: matches!(entry.kind, Kind::Proxy | Kind::Dump),
        repeatable: matches!(entry.kind, Kind::Probe | Kind::Dump | Kind::Sync),
    };
    let mut response = core.upstream.send(&route, &call).await?;
    if let Some(name) = ended_stream.filter(|_| response.status() == StatusCode::BAD_REQUEST) {
        let (parts, answer) = response.into_parts();
        let answer = flow::read_refusal(answer).await;
        let fresh = streams::without_baton(&call.body, &name).filter(|_| says_stream_is_gone(&answer));
        let Some(fresh) = fresh else {
            core.hosted.count(&route, 0);
            return Ok(whole(parts, answer));
        };
        call.body = fresh;
        // The state is what the request itself leaves.
        state = StreamState::Clean.after_request(&call.body);
        response = core.upstream.send(&route, &call).await?;
    }
    drop(held);
    if response.status() == StatusCode::FORBIDDEN
        && call.authorization == Authorization::ReadOnly
        && entry.form() == Form::Json
    {
        // The process says so in words that Hrana clients do not read.
        return Err(Refusal::read_only());
    }
    let (mut parts, body) = response.into_parts();
    for name in HOP_BY_HOP {
        parts.headers.remove(name);
    }
    if parts.status.is_server_error() && !route.is_primary {
        return Err(upstream::replica_failure(parts.status, body).await);
    }
    let lines = entry.kind == Kind::Cursor
        && entry.format == Some(Format::Json)
        && parts.status == StatusCode::OK
        && !parts.headers.contains_key(header::CONTENT_ENCODING);
    let labelled = labelled.filter(|_| parts.status == StatusCode::OK);
    let told = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|told| told.to_str().ok()?.parse::<u64>().ok());
    let mut flow = Flow::new(Arc::clone(core), route, entry.kind, lines, body, place)
        .labelled(labelled, state, told)
        .with_stream(stream)
        .while_allowed(token);
    if labelled.is_some() && parts.headers.contains_key(header::CONTENT_LENGTH) {
        let longer = flow.look_ahead().await;
        match told {
            Some(told) => parts.headers.insert(header::CONTENT_LENGTH, (told + longer).into()),
            None => parts.headers.remove(header::CONTENT_LENGTH),
        };
    }
    Ok(Response::from_parts(parts, Body::new(flow)))
}

/// An answer that was read already.
fn whole(mut parts: axum::http::response::Parts, answer: Bytes) -> Response<Body> {
    for name in HOP_BY_HOP {
        parts.headers.remove(name);
    }
    parts.headers.insert(header::CONTENT_LENGTH, answer.len().into());
    Response::from_parts(parts, Body::from(answer))
}

/// Room for the stream or the client's connection that a request uses, if it leaves one open or finds one.
fn stream(
    core: &Core,
    route: &Route,
    entry: &Entry,
    body: &[u8],
    name: Option<Name>,
) -> Result<Option<Place>, Refusal> {
    let passes = match entry.kind {
        Kind::Call => entry.format.is_some_and(|format| streams::ends(format, body)),
        Kind::Cursor => false,
        _ => name.is_none(),
    };
    if !entry.names_a_stream() || (passes && name.is_none()) {
        return Ok(None);
    }
    let mut place = core.open.place(&route.id, name.as_deref())?;
    if let Some(client) = name.filter(|_| entry.kind == Kind::Proxy && !entry.path.ends_with("/Disconnect")) {
        place.keep(client, Kept::Client);
    }
    Ok(Some(place))
}

/// Looks at a body's SQL: at a large one where nobody waits for it.
async fn look(
    format: Format,
    body: &Bytes,
    authorization: Authorization,
    instance: InstanceKind,
) -> Result<BodySummary, Refusal> {
    if body.len() <= LARGE {
        return inspect::check(format, body, authorization, instance);
    }
    let body = body.clone();
    tokio::task::spawn_blocking(move || inspect::check(format, &body, authorization, instance))
        .await
        .unwrap_or_else(|_| Err(Refusal::unavailable("the request could not be looked at")))
}

/// Refuses what adds to a database of an organization that stores more than its quota. What removes goes on; what is not seen
/// here is bounded by the process.
fn refuse_growth(core: &Core, route: &Route, summary: &BodySummary) -> Result<(), Refusal> {
    if !summary.text.adds || !core.hosted.is_over_quota(route) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::FORBIDDEN,
        "BLOCKED",
        "the organization stores more than its storage quota: delete rows, drop tables or destroy databases, or ask the \
         server's operator for a larger quota",
    ))
}

/// The kind of instance that a request is for.
fn instance(route: &Route, entry: &Entry) -> InstanceKind {
    if route.is_primary || entry.kind == Kind::Proxy {
        InstanceKind::Primary
    } else {
        InstanceKind::Replica
    }
}

fn shows(kind: Kind) -> Option<Shows> {
    match kind {
        Kind::Probe => None,
        Kind::Sync | Kind::Proxy => Some(Shows::XAuthorization),
        _ => Some(Shows::Authorization),
    }
}

/// The request's token.
fn token_of<'a>(entry: &Entry, headers: &'a HeaderMap) -> Result<&'a str, Refusal> {
    let token = match entry.form() {
        Form::Grpc => bearer(headers, &X_AUTHORIZATION)?,
        Form::Json => None,
    };
    match token {
        Some(token) => Ok(token),
        None => bearer(headers, &header::AUTHORIZATION)?.ok_or_else(Refusal::no_token),
    }
}

/// Where a label leads, and what the bearer of a token may do there. The refusal does not tell whether the label leads anywhere; who
/// has a token of the organization that its database moved from learns where that is.
fn authorize_label(core: &Core, label: &str, token: &str) -> Result<(Arc<Route>, Grant), Refusal> {
    core.hosted
        .authorize_label(label, token)
        .map_err(|error| match core.hosted.moved_to(label, token) {
            Some(url) => Refusal::new(
                StatusCode::NOT_FOUND,
                "DATABASE_MOVED",
                format!(
                    "the database at {label:?} moved to another organization: it is at {url}, with tokens made there"
                ),
            ),
            None => error.into(),
        })
}

/// The answer to a probe without a token that opens the database. It is the same whether or not there is a database: all that
/// it tells is which protocols are spoken. Source of the status: libSQL server answers its probes with 200 to everybody.
fn probed(entry: &Entry) -> Response<Body> {
    let text = if entry.path == "/version" { "libSQL server" } else { "" };
    let mut response = Response::new(Body::from(text));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// The token in a header; none where there is no such header.
fn bearer<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let mut all = headers.get_all(name).iter();
    let Some(value) = all.next() else { return Ok(None) };
    let malformed = || Refusal::unauthorized(format!("the header {name} must be one `Bearer TOKEN`"));
    if all.next().is_some() {
        return Err(malformed());
    }
    let text = value.to_str().map_err(|_| malformed())?;
    let (scheme, token) = text.trim().split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(malformed());
    }
    Ok(Some(token.trim()))
}

/// The headers for a process. Those about the body are replaced by what was checked.
fn shown(entry: &Entry, headers: &HeaderMap) -> Result<HeaderMap, Refusal> {
    let unsupported = |what: &str| {
        Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            what.to_owned(),
        )
    };
    for name in [header::CONTENT_ENCODING, HeaderName::from_static("grpc-encoding")] {
        if headers.get_all(&name).iter().any(|value| value != "identity") {
            return Err(unsupported("a request's body must not be compressed"));
        }
    }
    let mut shown = HeaderMap::new();
    for name in SHOWN {
        if let Some(value) = headers.get(&name) {
            shown.insert(name, value.clone());
        }
    }
    let content = match entry.format {
        None => return Ok(shown),
        Some(Format::Json) => "application/json",
        Some(Format::Protobuf(_)) => "application/x-protobuf",
        Some(Format::Grpc(_)) => {
            // Others are encoded once more.
            let told = headers.get(header::CONTENT_TYPE);
            if !told.is_some_and(|told| told == "application/grpc-web" || told == "application/grpc-web+proto") {
                return Err(unsupported("the content type must be application/grpc-web+proto"));
            }
            "application/grpc-web+proto"
        }
    };
    shown.insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
    Ok(shown)
}

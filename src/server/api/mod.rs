//! The Platform API: every endpoint of `control::endpoints`, over the server's hosted plane. A request is taken apart, a
//! method of the plane is called, and its result is put into the API's form.
//!
//! A success is always 200 with a JSON body. Without a valid token the answer is 401, except on a few public endpoints.
//! Request bodies may have any content type, may be empty, and have keys in any case.

mod absent;
mod account;
mod body;
mod call;
mod databases;
mod files;
mod groups;
mod instances;
mod locations;
mod maintenance;
mod multipart;
mod nodes;
pub(super) mod once;
mod operations;
mod operator;
mod organizations;
mod public;
mod reply;
mod tokens;

use super::gateway::export::{ExportStep, NO_SYNCHRONISATION, is_official_cli};
use super::request_context::RequestContext;
use super::{Server, defect};
use crate::control::endpoints::{ApiEndpoint, ENDPOINTS, Method};
use crate::control::hosted::{CallOrigin, Caller, ClientPresence, Hosted};
use crate::error::{Code, Error, Result};
use axum::Router;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method as HttpMethod, Request, Response, StatusCode, Uri, header};
use axum::routing::{MethodFilter, MethodRouter, on};
use call::{OperationCall, RequestTarget};
use files::Transfer;
use operations::{OperationHandler, handler};
use public::PublicRequest;
use reply::ApiReply;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use tower::ServiceExt as _;

/// Answers a request that is not for a database.
pub(super) async fn answer(server: &Arc<Server>, mut request: Request<Body>) -> Response<Body> {
    let meta = request.extensions().get::<RequestContext>().cloned();
    let id = meta.map(|meta| meta.id).unwrap_or_default();
    let hides_refusals = is_official_cli(request.headers()) && replaces_refusals(request.uri().path());
    let mut response = if request.method() == HttpMethod::OPTIONS {
        ApiReply::empty().into_response()
    } else {
        normalize(request.uri_mut());
        request.extensions_mut().insert(Arc::clone(server));
        match router().clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    };
    if let Some(error) = response.extensions_mut().remove::<Arc<Error>>() {
        response = reply::refusal(&error, &id);
        if hides_refusals && response.status() == StatusCode::FORBIDDEN {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
        }
    }
    response
}

/// The answer to a request under a name that is not the server's.
pub(super) fn unknown_host(request_id: &str) -> Response<Body> {
    let error = Error::new(Code::Forbidden, "the request is for a host that is not this server's")
        .hint("ask localhost or the server's address; torso server --url URL or --domain DOMAIN gives it another name");
    reply::refusal(&error, request_id)
}

/// Whether the official CLI says of any 403 at a path that one is no member of the organization, whatever the body says. It
/// prints what the body says when the status is 401.
fn replaces_refusals(path: &str) -> bool {
    path.split('/')
        .any(|part| matches!(part, "databases" | "groups" | "invoices"))
}

/// Some clients leave the organization in the path empty for the personal one.
fn normalize(uri: &mut Uri) {
    let Some(rest) = uri.path().strip_prefix("/v1/organizations//") else {
        return;
    };
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    if let Ok(short) = format!("/v1/{rest}{query}").parse() {
        *uri = short;
    }
}

/// The router, built from the table of endpoints.
fn router() -> &'static Router {
    static ROUTER: OnceLock<Router> = OnceLock::new();
    ROUTER.get_or_init(|| {
        let mut paths: BTreeMap<String, Vec<(&'static ApiEndpoint, String)>> = BTreeMap::new();
        let all: Vec<(&ApiEndpoint, String)> = ENDPOINTS
            .iter()
            .flat_map(|endpoint| endpoint.paths().into_iter().map(move |path| (endpoint, path)))
            .collect();
        for (endpoint, path) in &all {
            paths.entry(path.clone()).or_default().push((endpoint, path.clone()));
        }
        // The router prefers a literal path to one with parameters, whatever their methods. So the literal path also
        // gets the other's methods: a database may be called `dumps`.
        for (path, endpoints) in &mut paths {
            for (other, template) in &all {
                let taken = endpoints.iter().any(|(endpoint, _)| endpoint.method == other.method);
                if !taken && parameters(template, path).is_some() {
                    endpoints.push((other, template.clone()));
                }
            }
        }
        let mut router = Router::new();
        for (path, endpoints) in paths {
            let mut methods = MethodRouter::new();
            for (endpoint, template) in endpoints {
                methods = methods.merge(route(endpoint, template));
            }
            router = router.route(&path, methods);
        }
        router.fallback(no_path).method_not_allowed_fallback(no_method)
    })
}

fn route(endpoint: &'static ApiEndpoint, template: String) -> MethodRouter {
    let filter = match endpoint.method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Put => MethodFilter::PUT,
        Method::Patch => MethodFilter::PATCH,
        Method::Delete => MethodFilter::DELETE,
    };
    let template: Arc<str> = template.into();
    on(filter, move |request: Request<Body>| {
        let template = Arc::clone(&template);
        async move { reply::finish(handle(endpoint, &template, request).await) }
    })
}

async fn no_path(request: Request<Body>) -> Response<Body> {
    let path = request.uri().path();
    let hint = match ExportStep::parse(path) {
        Some(_) => NO_SYNCHRONISATION,
        None => "docs/api.md lists all paths; databases are at /db/NAME-ORGANIZATION/",
    };
    reply::finish(Err(Error::new(
        Code::PathNotFound,
        format!("there is nothing at {path:?}"),
    )
    .hint(hint)))
}

async fn no_method(request: Request<Body>) -> Response<Body> {
    let (method, path) = (request.method(), request.uri().path());
    reply::finish(Err(Error::new(
        Code::MethodNotAllowed,
        format!("{path:?} does not take {method}"),
    )
    .hint("docs/api.md lists the methods of each path")))
}

/// Matches a path with a template; returns the percent-decoded parameters, none if it does not match.
fn parameters(template: &str, path: &str) -> Option<BTreeMap<&'static str, String>> {
    let mut found = BTreeMap::new();
    let mut parts = path.split('/');
    for wanted in template.split('/') {
        let part = parts.next()?;
        match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => {
                let name = call::PARAMETERS.iter().find(|known| **known == name)?;
                found.insert(*name, call::decode(part)?);
            }
            None if wanted == part => {}
            None => return None,
        }
    }
    parts.next().is_none().then_some(found)
}

async fn handle(endpoint: &'static ApiEndpoint, template: &str, request: Request<Body>) -> Result<ApiReply> {
    let (parts, body) = request.into_parts();
    let (Some(server), Some(meta)) = (
        parts.extensions.get::<Arc<Server>>().cloned(),
        parts.extensions.get::<RequestContext>().cloned(),
    ) else {
        return Err(defect());
    };
    let handler = handler(endpoint.operation);
    if let OperationHandler::Public(answer) = handler {
        return answer(PublicRequest {
            server,
            parts,
            body,
            context: meta,
        })
        .await;
    }
    let hosted = server.hosted()?;
    // It is gone when nobody waits for this any more.
    let waiting = Arc::new(());
    let caller = identify(&server, &hosted, &parts.headers, &meta, ClientPresence::of(&waiting)).await?;
    server.limiter.take(caller.token_id())?;
    let target = RequestTarget {
        parameters: parameters(template, parts.uri.path()).ok_or_else(|| {
            Error::new(Code::InvalidValue, "the path is not UTF-8").hint("names have a-z, 0-9 and - only")
        })?,
        query: call::query(&parts),
        agent: agent(&parts.headers).to_owned(),
    };
    let organization = target.organization().map(str::to_owned);
    let answered = perform(&server, &hosted, &caller, target, handler, parts, body).await;
    let Err(error) = answered else { return answered };
    if error.code() == Code::Forbidden || endpoint.method != Method::Get {
        let what = format!("{} {template} was refused or failed", endpoint.method.name());
        return blocking(move || {
            hosted.note_refusal(&caller, organization.as_deref(), &what, &error);
            Err(error)
        })
        .await;
    }
    Err(error)
}

/// Performs an operation of an authenticated caller.
async fn perform(
    server: &Arc<Server>,
    hosted: &Arc<Hosted>,
    caller: &Caller,
    target: RequestTarget,
    handler: OperationHandler,
    parts: Parts,
    body: Body,
) -> Result<ApiReply> {
    let (hosted, caller) = (Arc::clone(hosted), caller.clone());
    if parts.method == HttpMethod::DELETE {
        hosted.make_room_to_delete();
    }
    match handler {
        OperationHandler::Call(answer) => {
            let body = body::whole(body).await?;
            work(server, move || {
                answer(&OperationCall::new(&hosted, &caller, &target, body)?)
            })
            .await
        }
        OperationHandler::Change(change, resume) => {
            change_once(server, (hosted, caller, target), (change, resume), parts, body).await
        }
        OperationHandler::Repeatable(change) => {
            change_once(server, (hosted, caller, target), (change, change), parts, body).await
        }
        OperationHandler::Transfer(answer) => {
            let transfer = Transfer::new(server, hosted, caller, target);
            answer(transfer, parts, body).await
        }
        OperationHandler::TransferOnce(answer) => {
            let Some(key) = once::key(&parts)? else {
                let transfer = Transfer::new(server, hosted, caller, target);
                return answer(transfer, parts, body).await;
            };
            let request = once::of_caller(&hosted, &caller, &key, &parts, &[]);
            let transfer = Transfer::new(server, Arc::clone(&hosted), caller.clone(), target.clone());
            let start = move |request: &_| once::begin(&hosted, &caller, &target, request);
            once::perform_streamed(server, request, start, move |request| {
                let caller = transfer.caller.in_request(request);
                answer(Transfer { caller, ..transfer }, parts, body)
            })
            .await
        }
        // It was answered before the caller was identified.
        OperationHandler::Public(_) => Err(defect()),
    }
}

/// Answers a request for a change.
type Answer = fn(&OperationCall<'_>) -> Result<ApiReply>;

/// Makes a change of a caller: once, if the request has a key. The second function answers where it was made before.
async fn change_once(
    server: &Arc<Server>,
    (hosted, caller, target): (Arc<Hosted>, Caller, RequestTarget),
    (change, resume): (Answer, Answer),
    parts: Parts,
    body: Body,
) -> Result<ApiReply> {
    let key = once::key(&parts)?;
    let body = body::whole(body).await?;
    let Some(key) = key else {
        return work(server, move || {
            change(&OperationCall::new(&hosted, &caller, &target, body)?)
        })
        .await;
    };
    let request = once::of_caller(&hosted, &caller, &key, &parts, &body);
    let of = Arc::new((hosted, caller, target));
    let same = Arc::clone(&of);
    let start = move |request: &_| once::begin(&same.0, &same.1, &same.2, request);
    once::perform(server, request, start, move |request| {
        let (hosted, caller, target) = &*of;
        let caller = caller.in_request(request);
        let answer = if request.resumes { resume } else { change };
        answer(&OperationCall::new(hosted, &caller, target, body)?)
    })
    .await
}

/// Runs blocking work on a thread for that, when there is room.
async fn work<T: Send + 'static>(server: &Server, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let permit = Arc::clone(&server.calls).acquire_owned().await;
    // The work goes on if the client disconnects, and so keeps its permit.
    blocking(move || {
        let _permit = permit;
        work()
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        tracing::error!(%error, "internal error, please report it");
        Err(defect())
    })
}

/// Authenticates the caller. Attempts with invalid tokens are rate-limited by address.
async fn identify(
    server: &Arc<Server>,
    hosted: &Arc<Hosted>,
    headers: &HeaderMap,
    meta: &RequestContext,
    presence: ClientPresence,
) -> Result<Caller> {
    let bearer = bearer(headers).unwrap_or_default().to_owned();
    let origin = CallOrigin {
        client: client(agent(headers)).to_owned(),
        request_id: meta.id.clone(),
        presence,
    };
    let hosted = Arc::clone(hosted);
    let found = work(server, move || hosted.authenticate(&bearer, &origin)).await;
    if found.is_err() {
        server.limiter.take(&meta.client.to_string())?;
    }
    found
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn agent(headers: &HeaderMap) -> &str {
    headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// The name of a client in the audit log.
fn client(agent: &str) -> &'static str {
    let name = agent.split('/').next().unwrap_or_default();
    if matches!(name, "torso" | "turso-cli") {
        "cli"
    } else {
        "api"
    }
}

/// What a request may see of the state of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StateAccess {
    /// Counts and ids.
    Ids,
    /// The names of everybody's databases as well: those of the operator, and of this machine.
    Names,
}

/// Returns what a request may see of the state of the server. It comes from this machine and not through a proxy, or has a token.
///
/// # Errors
///
/// `unauthenticated` and `rate_limited` for a request from elsewhere without a valid token.
async fn check_state_access(server: &Arc<Server>, parts: &Parts, meta: &RequestContext) -> Result<StateAccess> {
    const FORWARDED: [&str; 2] = ["forwarded", "x-forwarded-for"];
    let near = meta.peer.ip().to_canonical().is_loopback() && meta.client.to_canonical().is_loopback();
    if near && !FORWARDED.iter().any(|name| parts.headers.contains_key(*name)) {
        return Ok(StateAccess::Names);
    }
    let hosted = server.hosted()?;
    let caller = identify(server, &hosted, &parts.headers, meta, ClientPresence::default()).await?;
    let is_operator = work(server, move || hosted.is_operator(&caller)).await?;
    Ok(match is_operator {
        true => StateAccess::Names,
        false => StateAccess::Ids,
    })
}

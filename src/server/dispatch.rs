//! Routes each request to the Platform API or to the gateway, gives it an id, counts and logs it.

use super::gateway::export::{ExportStep, is_official_cli};
use super::request_context::RequestContext;
use super::{Server, api, gateway, log};
use crate::control::idempotency;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header};
use hyper::body::Incoming;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that a client may give its request.
const LONGEST_ID: usize = 64;

/// Which part of the server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    Api,
    /// The gateway: a database's label, and the path on the database's own host.
    Database {
        label: String,
        path: String,
    },
}

/// Decides by the host name `<label>.<domain>`, else by the path `/db/<label>/…`.
pub(super) fn destination(domain: Option<&str>, host: Option<&str>, path: &str) -> Destination {
    if let Some(label) = domain.and_then(|domain| label_below(domain, host?)) {
        return Destination::Database {
            label,
            path: path.to_owned(),
        };
    }
    match path.strip_prefix("/db/") {
        Some(rest) if !rest.is_empty() => {
            let (label, path) = rest.split_once('/').unwrap_or((rest, ""));
            Destination::Database {
                label: label.to_owned(),
                path: format!("/{path}"),
            }
        }
        _ => Destination::Api,
    }
}

fn label_below(domain: &str, host: &str) -> Option<String> {
    // Half of an IPv6 address may be left, which matches no domain.
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let label = host.strip_suffix(&domain.to_ascii_lowercase())?.strip_suffix('.')?;
    (!label.is_empty() && !label.contains('.')).then(|| label.to_owned())
}

/// Takes the path away below which a proxy has the server. Some proxies do so themselves.
fn without_prefix(prefix: &str, uri: &mut Uri) {
    let Some(rest) = uri.path().strip_prefix(prefix).filter(|_| !prefix.is_empty()) else {
        return;
    };
    let rest = match rest.chars().next() {
        None => "/",
        Some('/') => rest,
        Some(_) => return,
    };
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    if let Ok(short) = format!("{rest}{query}").parse() {
        *uri = short;
    }
}

/// The host that a request is for.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    uri.host()
        .or_else(|| headers.get(header::HOST).and_then(|value| value.to_str().ok()))
}

/// The client's own request id, if it is harmless in logs and does not look like a token; else a new one.
fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| {
            (1..=LONGEST_ID).contains(&id.len())
                && !log::mentions_token(id)
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        })
        .map_or_else(fresh_id, str::to_owned)
}

/// A new id. It need not be unpredictable.
fn fresh_id() -> String {
    let millis = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0));
    let mut random = [0; 10];
    fastrand::fill(&mut random);
    uuid::Builder::from_unix_timestamp_millis(millis, &random)
        .into_uuid()
        .to_string()
}

pub(super) async fn answer(server: Arc<Server>, peer: SocketAddr, request: Request<Incoming>) -> Response<Body> {
    let start = Instant::now();
    server.metrics.begin();
    let id = request_id(request.headers());
    let method = request.method().clone();
    let client = server.proxies.client(peer.ip(), request.headers());
    let mut request = request.map(Body::new);
    without_prefix(&server.prefix, request.uri_mut());
    let path = request.uri().path().to_owned();
    let named = host(request.uri(), request.headers());
    let is_known = server.knows_host(named);
    let to = server.destination(named, &path);
    request.extensions_mut().insert(RequestContext {
        id: id.clone(),
        peer,
        client,
    });
    let (part, mut response) = match to {
        _ if !is_known => ("api", api::unknown_host(&id)),
        _ if !server.takes_origin(request.headers()) => ("gateway", gateway::refuse_origin()),
        Destination::Api => match (ExportStep::parse(&path), server.gateway()) {
            (Some(step), Some(gateway)) if is_official_cli(request.headers()) => {
                let (method, headers) = (request.method().clone(), request.headers().clone());
                ("gateway", gateway.serve_root(step, &method, &headers).await)
            }
            _ => ("api", api::answer(&server, request).await),
        },
        Destination::Database { label, path } => {
            let response = match server.gateway() {
                Some(gateway) => gateway.serve(&label, &path, request).await,
                None => gateway::starting(),
            };
            ("gateway", response)
        }
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    if part == "api" {
        // So that clients know that they may send a change again.
        let announced = HeaderValue::from_static(idempotency::ANNOUNCED);
        response.headers_mut().insert(idempotency::ANNOUNCEMENT, announced);
    }
    let (status, took) = (response.status().as_u16(), start.elapsed());
    server.metrics.end(part, method.as_str(), status, took);
    let path = log::redacted_path(&path);
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    // Applications send thousands of requests a second; those of the Platform API are worth a line each.
    if part == "api" || status >= 500 {
        tracing::info!(%method, %path, status, ms = millis, request_id = id, %peer, %client, "{part}");
    } else {
        tracing::debug!(%method, %path, status, ms = millis, request_id = id, %peer, %client, "{part}");
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(label: &str, path: &str) -> Destination {
        Destination::Database {
            label: label.to_owned(),
            path: path.to_owned(),
        }
    }

    #[test]
    fn dispatch_by_host_and_path_leads_to_database_or_api() {
        let to = |host, path| destination(Some("db.example.com"), Some(host), path);
        assert_eq!(
            to("app-me.db.example.com", "/v2/pipeline"),
            database("app-me", "/v2/pipeline")
        );
        assert_eq!(to("APP-me.db.Example.com.:8443", "/"), database("app-me", "/"));
        // On a database's own host, every path belongs to the database.
        assert_eq!(to("app-me.db.example.com", "/db/x/"), database("app-me", "/db/x/"));
        for host in [
            "db.example.com",
            "a.b.db.example.com",
            "xdb.example.com",
            "example.com",
            "[::1]:8080",
            "",
        ] {
            assert_eq!(to(host, "/v1/databases"), Destination::Api, "{host}");
        }
        assert_eq!(to("db.example.com", "/db/app-me"), database("app-me", "/"));
        assert_eq!(to("db.example.com", "/db/app-me//v2"), database("app-me", "//v2"));
        assert_eq!(to("db.example.com", "/db/"), Destination::Api);
        assert_eq!(destination(None, Some("app-me.db.example.com"), "/"), Destination::Api);
        assert_eq!(
            destination(None, None, "/db/a/v2/pipeline"),
            database("a", "/v2/pipeline")
        );
    }

    #[test]
    fn path_prefix_that_the_proxy_left_is_removed() {
        let path = |prefix, text: &str| {
            let mut uri: Uri = text.parse().unwrap();
            without_prefix(prefix, &mut uri);
            uri.to_string()
        };
        assert_eq!(path("/torso", "/torso/v1/databases?limit=1"), "/v1/databases?limit=1");
        assert_eq!(path("/torso", "/torso"), "/");
        assert_eq!(path("/torso", "/v1/databases"), "/v1/databases");
        assert_eq!(path("/torso", "/torsos/v1"), "/torsos/v1");
        assert_eq!(path("", "/v1/databases"), "/v1/databases");
    }

    #[test]
    fn request_id_of_a_client_is_kept_when_it_is_harmless() {
        let with = |id: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_static(id));
            request_id(&headers)
        };
        assert_eq!(with("job-7.a_B"), "job-7.a_B");
        for bad in ["", "a b", "a\"b", "torso_abc", "eyJhbGciOi.x.y", "x".repeat(65).leak()] {
            assert_eq!(with(bad).len(), 36);
        }
    }
}

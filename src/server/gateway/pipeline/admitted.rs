//! The third step: a request in a form that is forwarded, with its database's permit.

use super::authorized::{Authorized, AuthorizedParts};
use crate::server::gateway::Core;
use crate::server::gateway::endpoints::{DataEndpoint, EndpointKind};
use crate::server::gateway::error::GatewayError;
use crate::server::gateway::limits::Permit;
use crate::server::gateway::policy::BodyEncoding;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// Headers of a request over HTTP that are forwarded to a process, besides those that the gateway sets. Which encodings a client
/// accepts is not: a process compresses at the highest level, on the threads that all its databases share. Answers of 2 MB took 9
/// seconds by Brotli, for which Node.js asks, 0.5 seconds by gzip and 0.13 seconds as they are (`curl`, a busy machine).
const FORWARDED: [HeaderName; 7] = [
    header::ACCEPT,
    header::USER_AGENT,
    header::TE,
    HeaderName::from_static("grpc-accept-encoding"),
    HeaderName::from_static("x-session-token"),
    HeaderName::from_static("x-libsql-client-version"),
    HeaderName::from_static("x-turso-encryption-key"),
];

/// A request that takes its part of what its database may have at the same time.
pub struct Admitted(AdmittedParts);

pub struct AdmittedParts {
    pub request: AuthorizedParts,
    /// The headers for the process.
    pub headers: HeaderMap,
    pub path: PathAndQuery,
    pub permit: Permit,
}

impl Admitted {
    /// Waits for a permit of the request's database.
    ///
    /// # Errors
    ///
    /// `UNSUPPORTED_MEDIA_TYPE` for a body that is compressed or of another type, `TOO_MANY_REQUESTS` where there is no
    /// permit in time, `BAD_REQUEST` for a malformed query.
    pub async fn acquire(core: &Core, authorized: Authorized) -> Result<Self, GatewayError> {
        let request = authorized.into_parts();
        let headers = forwarded_headers(request.endpoint, &request.head.headers)?;
        let permit = core.shares.request(&request.route.id).await?;
        if !is_own_command(&request.head.headers) {
            core.shares.note_use(&request.route.id);
        }
        let path = request.endpoint.path;
        let query = request
            .head
            .uri
            .query()
            .filter(|_| request.endpoint.kind == EndpointKind::Dump);
        let path = match query {
            Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
            None => Ok(PathAndQuery::from_static(path)),
        }
        .map_err(|_| GatewayError::bad("the query is malformed"))?;
        Ok(Self(AdmittedParts {
            request,
            headers,
            path,
            permit,
        }))
    }

    pub fn into_parts(self) -> AdmittedParts {
        self.0
    }
}

/// Whether a request is one of torso's own commands, as far as it says so itself.
fn is_own_command(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).map(HeaderValue::as_bytes);
    agent.is_some_and(|agent| agent.starts_with(b"torso/"))
}

/// Returns the headers for a process. Those about the body are replaced by what was checked.
fn forwarded_headers(endpoint: &DataEndpoint, headers: &HeaderMap) -> Result<HeaderMap, GatewayError> {
    let unsupported = |what: &str| {
        GatewayError::new(
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
    let mut forwarded = HeaderMap::new();
    for name in FORWARDED {
        if let Some(value) = headers.get(&name) {
            forwarded.insert(name, value.clone());
        }
    }
    let content = match endpoint.encoding {
        None => return Ok(forwarded),
        Some(BodyEncoding::Json) => "application/json",
        Some(BodyEncoding::Protobuf(_)) => "application/x-protobuf",
        Some(BodyEncoding::Grpc(_)) => {
            // Others are encoded once more.
            let content_type = headers.get(header::CONTENT_TYPE);
            if !content_type.is_some_and(|content_type| {
                content_type == "application/grpc-web" || content_type == "application/grpc-web+proto"
            }) {
                return Err(unsupported("the content type must be application/grpc-web+proto"));
            }
            "application/grpc-web+proto"
        }
    };
    forwarded.insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
    Ok(forwarded)
}

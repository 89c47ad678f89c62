//! The table of methods and paths that are forwarded to a database. Everything else is refused.

use super::error::{ErrorEncoding, GatewayError};
use super::policy::{BodyEncoding, protobuf};
use axum::http::{Method, StatusCode};
use std::borrow::Cow;

/// What a request to an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndpointKind {
    /// Tells what the engine is; it is forwarded only with a token.
    Probe,
    /// Reads the whole database as SQL.
    Dump,
    /// A message answered by a message.
    Call,
    /// Rows as they come.
    Cursor,
    /// The log, for replicas outside; never writes.
    Sync,
    /// Statements of replicas outside. Their transactions live in the primary's process, whatever was asked.
    Proxy,
    /// SQL over a socket.
    Socket,
}

/// A row of the table.
#[derive(Debug, PartialEq)]
pub(super) struct DataEndpoint {
    pub method: Method,
    pub path: &'static str,
    pub kind: EndpointKind,
    /// How the body contains SQL; none if there is no body.
    pub encoding: Option<BodyEncoding>,
}

const fn get(path: &'static str, kind: EndpointKind) -> DataEndpoint {
    DataEndpoint {
        method: Method::GET,
        path,
        kind,
        encoding: None,
    }
}

const fn post(path: &'static str, kind: EndpointKind, encoding: BodyEncoding) -> DataEndpoint {
    DataEndpoint {
        method: Method::POST,
        path,
        kind,
        encoding: Some(encoding),
    }
}

static TABLE: [DataEndpoint; 22] = [
    post("/v2/pipeline", EndpointKind::Call, BodyEncoding::Json),
    post("/v3/pipeline", EndpointKind::Call, BodyEncoding::Json),
    post("/v3/cursor", EndpointKind::Cursor, BodyEncoding::Json),
    get("/", EndpointKind::Socket),
    post(
        "/v3-protobuf/pipeline",
        EndpointKind::Call,
        BodyEncoding::Protobuf(protobuf::PIPELINE),
    ),
    post(
        "/v3-protobuf/cursor",
        EndpointKind::Cursor,
        BodyEncoding::Protobuf(protobuf::CURSOR),
    ),
    post("/v1/execute", EndpointKind::Call, BodyEncoding::Json),
    post("/v1/batch", EndpointKind::Call, BodyEncoding::Json),
    post("/", EndpointKind::Call, BodyEncoding::Json),
    get("/v2", EndpointKind::Probe),
    get("/v3", EndpointKind::Probe),
    get("/v3-protobuf", EndpointKind::Probe),
    get("/version", EndpointKind::Probe),
    get("/health", EndpointKind::Probe),
    get("/dump", EndpointKind::Dump),
    post(
        "/wal_log.ReplicationLog/Hello",
        EndpointKind::Sync,
        BodyEncoding::Grpc(protobuf::NO_SQL),
    ),
    post(
        "/wal_log.ReplicationLog/BatchLogEntries",
        EndpointKind::Sync,
        BodyEncoding::Grpc(protobuf::NO_SQL),
    ),
    post(
        "/wal_log.ReplicationLog/LogEntries",
        EndpointKind::Sync,
        BodyEncoding::Grpc(protobuf::NO_SQL),
    ),
    post(
        "/wal_log.ReplicationLog/Snapshot",
        EndpointKind::Sync,
        BodyEncoding::Grpc(protobuf::NO_SQL),
    ),
    post(
        "/proxy.Proxy/Execute",
        EndpointKind::Proxy,
        BodyEncoding::Grpc(protobuf::PROGRAM),
    ),
    post(
        "/proxy.Proxy/Describe",
        EndpointKind::Proxy,
        BodyEncoding::Grpc(protobuf::DESCRIBE),
    ),
    post(
        "/proxy.Proxy/Disconnect",
        EndpointKind::Proxy,
        BodyEncoding::Grpc(protobuf::NO_SQL),
    ),
];

impl DataEndpoint {
    /// The encoding of errors.
    pub fn error_encoding(&self) -> ErrorEncoding {
        match self.kind {
            EndpointKind::Sync | EndpointKind::Proxy => ErrorEncoding::Grpc,
            _ => ErrorEncoding::Json,
        }
    }

    /// Whether a request may name something that outlives it in the process: a stream, or a client's connection.
    pub fn names_a_stream(&self) -> bool {
        match self.kind {
            EndpointKind::Proxy | EndpointKind::Cursor => true,
            EndpointKind::Call => self.path.ends_with("/pipeline"),
            EndpointKind::Probe | EndpointKind::Dump | EndpointKind::Sync | EndpointKind::Socket => false,
        }
    }
}

/// The line for a request. Slashes may be doubled, and one may be behind: that is how clients append to a base with a path.
pub(super) fn find(method: &Method, path: &str) -> Result<&'static DataEndpoint, GatewayError> {
    let path = plain(path);
    let mut others = TABLE.iter().filter(|endpoint| endpoint.path == path).peekable();
    if others.peek().is_none() {
        return Err(GatewayError::not_found());
    }
    let mut allow = "GET";
    for endpoint in others {
        if endpoint.method == *method {
            return Ok(endpoint);
        }
        if endpoint.method == Method::POST {
            allow = if path == "/" {
                "GET, POST, OPTIONS"
            } else {
                "POST, OPTIONS"
            };
        }
    }
    Err(GatewayError {
        allow: Some(allow),
        ..GatewayError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "METHOD_NOT_ALLOWED",
            format!("{path} does not take {method}"),
        )
    })
}

fn plain(path: &str) -> Cow<'_, str> {
    let mut path = Cow::Borrowed(path);
    while let Some(at) = path.find("//") {
        path.to_mut().remove(at);
    }
    if path.len() > 1 && path.ends_with('/') {
        path.to_mut().pop();
    }
    if path.is_empty() { Cow::Borrowed("/") } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_path_differs_in_slashes_only() {
        let found = |path| find(&Method::POST, path).map(|endpoint| endpoint.path).ok();
        for path in ["/v2/pipeline", "//v2/pipeline", "/v2//pipeline/", "///v2///pipeline//"] {
            assert_eq!(found(path), Some("/v2/pipeline"), "{path}");
        }
        assert_eq!(found(""), Some("/"));
        for path in [
            "/v2/pipeline/x",
            "/v2/%70ipeline",
            "/V2/pipeline",
            "/dev/a/v2/pipeline",
            "/v2/cursor",
            "/x/../v2/pipeline",
            "/./v2/pipeline",
            "v2/pipeline",
            "/v2/pipeline?",
            "/v2;/pipeline",
            "/beta/listen",
            "/info",
            "/console",
            "/v1/jobs",
            "/metrics",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn endpoint_with_another_method_is_405_with_allow() {
        let error = find(&Method::PUT, "/v2/pipeline").unwrap_err();
        assert_eq!((error.status.as_u16(), error.allow), (405, Some("POST, OPTIONS")));
        let error = find(&Method::DELETE, "/").unwrap_err();
        assert_eq!((error.status.as_u16(), error.allow), (405, Some("GET, POST, OPTIONS")));
        assert_eq!(find(&Method::GET, "/info").unwrap_err().status.as_u16(), 404);
    }
}

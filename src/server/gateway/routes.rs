//! The table of methods and paths that are forwarded to a database. Everything else is refused.

use super::inspect::Format;
use super::refusal::{Form, Refusal};
use super::wire;
use axum::http::{Method, StatusCode};
use std::borrow::Cow;

/// What a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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
pub(super) struct Entry {
    pub method: Method,
    pub path: &'static str,
    pub kind: Kind,
    /// How the body contains SQL; none if there is no body.
    pub format: Option<Format>,
}

const fn get(path: &'static str, kind: Kind) -> Entry {
    Entry {
        method: Method::GET,
        path,
        kind,
        format: None,
    }
}

const fn post(path: &'static str, kind: Kind, format: Format) -> Entry {
    Entry {
        method: Method::POST,
        path,
        kind,
        format: Some(format),
    }
}

static TABLE: [Entry; 22] = [
    post("/v2/pipeline", Kind::Call, Format::Json),
    post("/v3/pipeline", Kind::Call, Format::Json),
    post("/v3/cursor", Kind::Cursor, Format::Json),
    get("/", Kind::Socket),
    post("/v3-protobuf/pipeline", Kind::Call, Format::Protobuf(wire::PIPELINE)),
    post("/v3-protobuf/cursor", Kind::Cursor, Format::Protobuf(wire::CURSOR)),
    post("/v1/execute", Kind::Call, Format::Json),
    post("/v1/batch", Kind::Call, Format::Json),
    post("/", Kind::Call, Format::Json),
    get("/v2", Kind::Probe),
    get("/v3", Kind::Probe),
    get("/v3-protobuf", Kind::Probe),
    get("/version", Kind::Probe),
    get("/health", Kind::Probe),
    get("/dump", Kind::Dump),
    post("/wal_log.ReplicationLog/Hello", Kind::Sync, Format::Grpc(wire::NO_SQL)),
    post(
        "/wal_log.ReplicationLog/BatchLogEntries",
        Kind::Sync,
        Format::Grpc(wire::NO_SQL),
    ),
    post(
        "/wal_log.ReplicationLog/LogEntries",
        Kind::Sync,
        Format::Grpc(wire::NO_SQL),
    ),
    post(
        "/wal_log.ReplicationLog/Snapshot",
        Kind::Sync,
        Format::Grpc(wire::NO_SQL),
    ),
    post("/proxy.Proxy/Execute", Kind::Proxy, Format::Grpc(wire::PROGRAM)),
    post("/proxy.Proxy/Describe", Kind::Proxy, Format::Grpc(wire::DESCRIBE)),
    post("/proxy.Proxy/Disconnect", Kind::Proxy, Format::Grpc(wire::NO_SQL)),
];

impl Entry {
    /// The form of errors.
    pub fn form(&self) -> Form {
        match self.kind {
            Kind::Sync | Kind::Proxy => Form::Grpc,
            _ => Form::Json,
        }
    }

    /// Whether a request may name something that outlives it in the process: a stream, or a client's connection.
    pub fn names_a_stream(&self) -> bool {
        match self.kind {
            Kind::Proxy | Kind::Cursor => true,
            Kind::Call => self.path.ends_with("/pipeline"),
            Kind::Probe | Kind::Dump | Kind::Sync | Kind::Socket => false,
        }
    }
}

/// The line for a request. Slashes may be doubled, and one may be behind: that is how clients append to a base with a path.
pub(super) fn find(method: &Method, path: &str) -> Result<&'static Entry, Refusal> {
    let path = plain(path);
    let mut others = TABLE.iter().filter(|entry| entry.path == path).peekable();
    if others.peek().is_none() {
        return Err(Refusal::not_found());
    }
    let mut allow = "GET";
    for entry in others {
        if entry.method == *method {
            return Ok(entry);
        }
        if entry.method == Method::POST {
            allow = if path == "/" {
                "GET, POST, OPTIONS"
            } else {
                "POST, OPTIONS"
            };
        }
    }
    Err(Refusal {
        allow: Some(allow),
        ..Refusal::new(
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
    fn slashes_do_not_matter_and_everything_else_does() {
        let found = |path| find(&Method::POST, path).map(|entry| entry.path).ok();
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
    fn another_method_is_told_what_is_taken() {
        let refusal = find(&Method::PUT, "/v2/pipeline").unwrap_err();
        assert_eq!((refusal.status.as_u16(), refusal.allow), (405, Some("POST, OPTIONS")));
        let refusal = find(&Method::DELETE, "/").unwrap_err();
        assert_eq!(
            (refusal.status.as_u16(), refusal.allow),
            (405, Some("GET, POST, OPTIONS"))
        );
        assert_eq!(find(&Method::GET, "/info").unwrap_err().status.as_u16(), 404);
    }
}

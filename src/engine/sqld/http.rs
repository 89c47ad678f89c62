//! One HTTP request to a process of ours: on a connection of its own, and only after it is known that the process has its
//! other end.

use crate::engine::process::Listener;
use crate::error::{Code, Error, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::handshake;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::time::Duration;
use tokio::net::TcpStream;

pub(super) use hyper::{Method, StatusCode};

/// A request to a process.
pub(super) struct ProcessRequest<'a> {
    pub method: Method,
    pub path: &'a str,
    /// The `Host` header, which names a namespace on the port that takes SQL.
    pub host: &'a str,
    /// The whole `Authorization` header.
    pub authorization: Option<String>,
    pub body: Option<&'a Value>,
    pub timeout: Duration,
}

/// Sends a request; returns the status and the text of its answer. Fails with `unavailable` if the process is gone or
/// another one listens in its place, and with `timeout` if it does not answer in time.
pub(super) fn send_request(to: &Listener, request: &ProcessRequest<'_>) -> Result<(StatusCode, String)> {
    let failed = |error: String| {
        Error::new(Code::Unavailable, "libSQL server does not answer")
            .caused_by(error)
            .hint("it is started again when it ended; try again in a moment")
    };
    let head = build_request(request).map_err(|error| failed(error.to_string()))?;
    // Threads of the engine may block, and each has one request at a time.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::io(error, "cannot talk to a process"))?;
    runtime.block_on(async {
        tokio::time::timeout(request.timeout, exchange(to, head))
            .await
            .map_err(|_| Error::new(Code::Timeout, "libSQL server does not answer in time"))?
            .map_err(|error| failed(error.to_string()))
    })
}

fn build_request(request: &ProcessRequest<'_>) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let mut head = Request::builder()
        .method(request.method.clone())
        .uri(request.path)
        .header(HOST, request.host);
    if let Some(text) = &request.authorization {
        let mut value = HeaderValue::try_from(text)?;
        value.set_sensitive(true);
        head = head.header(AUTHORIZATION, value);
    }
    if request.body.is_some() {
        head = head.header(CONTENT_TYPE, "application/json");
    }
    head.body(Full::new(
        request.body.map_or_else(Bytes::new, |body| body.to_string().into()),
    ))
}

async fn exchange(
    to: &Listener,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, String), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(to.address()).await?;
    if !to.is_listening() {
        return Err("another program listens on its port".into());
    }
    stream.set_nodelay(true)?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    // It ends with the runtime.
    tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

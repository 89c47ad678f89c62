//! Dials the listener: TCP, TLS with a check who is there, HTTP/2, and single requests over that.

use super::certificate::{LinkHolder, ParsedCertificate};
use super::messages::{BODY, json_request, parse_error, parse_json, read_body};
use super::tls::{ALPN, REVERSE_ALPN, server_name};
use super::transport::{LastHeard, WatchedStream, client_http};
use crate::error::{Code, Error, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The pause before the server is dialed again: it doubles up to the longest, and is up to a half longer by chance, so that all
/// nodes of a server that comes back do not come at once.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(200);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long it may take until requests can be sent.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long an answer may take, beyond the time that it waits for news.
const ANSWER: Duration = Duration::from_secs(30);

/// Sends requests over one connection.
pub(super) type RequestSender = SendRequest<Full<Bytes>>;

/// A connection over which requests can be sent.
pub(super) struct DialedConnection {
    pub sender: RequestSender,
    pub heard: LastHeard,
    /// Ends with the connection, and says why.
    pub ended: tokio::task::JoinHandle<Error>,
}

/// Dials `HOST:PORT`.
pub(super) async fn dial(address: &str, config: Arc<ClientConfig>) -> Result<DialedConnection> {
    tokio::time::timeout(PATIENCE, dial_patiently(address, config))
        .await
        .unwrap_or_else(|_| {
            Err(unreachable_error(address).caused_by(std::io::Error::from(std::io::ErrorKind::TimedOut)))
        })
}

/// A connection to the server under TLS, and when something last came over it.
type SecureConnection = (TlsStream<WatchedStream>, LastHeard);

/// Dials `HOST:PORT` for a connection over which this side answers.
pub(super) async fn dial_reverse(address: &str, config: Arc<ClientConfig>) -> Result<TlsStream<WatchedStream>> {
    let dialed = tokio::time::timeout(PATIENCE, dial_securely(address, config, REVERSE_ALPN)).await;
    let timed_out = |_| unreachable_error(address).caused_by(std::io::Error::from(std::io::ErrorKind::TimedOut));
    dialed.map_err(timed_out)?.map(|(tls, _)| tls)
}

async fn dial_patiently(address: &str, config: Arc<ClientConfig>) -> Result<DialedConnection> {
    let (tls, heard) = dial_securely(address, config, ALPN).await?;
    let (sender, connection) = client_http()
        .handshake(TokioIo::new(tls))
        .await
        .map_err(|cause| unreachable_error(address).caused_by(cause))?;
    let address = address.to_owned();
    let ended = tokio::spawn(async move {
        match connection.await {
            Ok(()) => Error::new(
                Code::Unavailable,
                format!("the server at {address} ended the connection"),
            ),
            Err(cause) => {
                let cause = crate::net::innermost(&cause);
                refused_error(&address, &cause).caused_by(std::io::Error::other(cause))
            }
        }
    });
    Ok(DialedConnection { sender, heard, ended })
}

async fn dial_securely(address: &str, config: Arc<ClientConfig>, protocol: &[u8]) -> Result<SecureConnection> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|cause| unreachable_error(address).caused_by(cause))?;
    let stream = WatchedStream::new(stream);
    let heard = stream.last_heard();
    let tls = TlsConnector::from(config)
        .connect(server_name(), stream)
        .await
        .map_err(|cause| refused_error(address, &cause.to_string()).caused_by(cause))?;
    let (_, session) = tls.get_ref();
    let certificate = session.peer_certificates().and_then(|chain| chain.first());
    let holder = certificate
        .map(ParsedCertificate::parse)
        .transpose()?
        .map(|parsed| parsed.holder);
    if holder != Some(LinkHolder::Server) || session.alpn_protocol() != Some(protocol) {
        return Err(Error::new(
            Code::Unavailable,
            format!("what answers at {address} is not the server"),
        ));
    }
    Ok((tls, heard))
}

fn unreachable_error(address: &str) -> Error {
    Error::new(Code::Unavailable, format!("cannot reach the server at {address}"))
}

/// The error of a connection that ended, with a hint where its certificate is the reason.
fn refused_error(address: &str, cause: &str) -> Error {
    let error = Error::new(Code::Unavailable, format!("no connection to the server at {address}"));
    if cause.contains("CertificateExpired") || cause.contains("Expired") {
        return error
            .hint("a certificate has ended; is the clock right? If this node was away for long, let it join again");
    }
    if cause.contains("UnknownCA") || cause.contains("UnknownIssuer") || cause.contains("BadSignature") {
        return error.hint(
            "the certificates are not of one authority: another server answers there, or the node has to join again",
        );
    }
    error
}

/// Sends a request with a JSON body, and reads the answer; none where there is no news in the time that it may wait.
pub(super) async fn send<T: for<'de> Deserialize<'de>>(
    mut sender: RequestSender,
    path: &str,
    body: &impl Serialize,
    wait: Duration,
) -> Result<Option<T>> {
    let request = json_request(path, body, wait)?;
    let answering = async {
        let lost = |cause: hyper::Error| {
            let cause = std::io::Error::other(crate::net::innermost(&cause));
            Error::new(Code::Unavailable, "the link broke off before the answer").caused_by(cause)
        };
        sender.ready().await.map_err(lost)?;
        let response = sender.send_request(request).await.map_err(lost)?;
        let status = response.status();
        let body = read_body(response.into_body(), BODY).await?;
        match status.as_u16() {
            200 => parse_json(&body).map(Some),
            204 => Ok(None),
            _ => Err(parse_error(status, &body)),
        }
    };
    tokio::time::timeout(wait + ANSWER, answering)
        .await
        .map_err(|_| Error::new(Code::Timeout, "the server did not answer in time"))?
}

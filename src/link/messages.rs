//! What is in the requests and answers of the link itself, as JSON.

use crate::error::{Code, Error, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// The header of a byte stream that says what it is for: a target as JSON.
pub(super) const TARGET_HEADER: &str = "torso-stream-target";

/// The header of a request that says for how many seconds its answer may wait for news.
pub(super) const WAIT_HEADER: &str = "torso-wait-seconds";

pub(super) const JOIN_PATH: &str = "/v1/join";
pub(super) const HELLO_PATH: &str = "/v1/hello";
pub(super) const RENEW_PATH: &str = "/v1/renew";

/// What comes before the name of a request that the handler answers.
pub(super) const REQUEST_PREFIX: &str = "/v1/requests/";

/// Bytes of a body of a node or for one. A wanted state has some hundred bytes for each database.
pub(super) const BODY: usize = 64 << 20;

/// Bytes of a request for a certificate, with what is said about it.
pub(super) const SMALL_BODY: usize = 64 << 10;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Serialize, Deserialize)]
pub(super) struct JoinMessage {
    pub token: String,
    /// A request for a certificate, in PEM.
    pub signing_request: String,
    pub details: Value,
}

#[derive(Serialize, Deserialize)]
pub(super) struct JoinedMessage {
    /// A certificate and the authority's, in PEM.
    pub certificate: String,
    pub details: Value,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RenewMessage {
    pub signing_request: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RenewedMessage {
    pub certificate: String,
}

/// An error on its way to the other side.
#[derive(Serialize, Deserialize)]
struct ErrorMessage {
    code: String,
    message: String,
    hint: Option<String>,
}

/// A request with a JSON body, whose answer may wait for news.
pub(super) fn json_request(path: &str, body: &impl Serialize, wait: Duration) -> Result<Request<Full<Bytes>>> {
    let invalid =
        |cause: &dyn std::fmt::Display| Error::new(Code::InvalidValue, format!("{path} cannot be asked: {cause}"));
    let body = serde_json::to_vec(body).map_err(|cause| invalid(&cause))?;
    Request::post(path)
        .header(WAIT_HEADER, wait.as_secs())
        .body(Full::new(body.into()))
        .map_err(|cause| invalid(&cause))
}

/// A response with a JSON body.
pub(super) fn json_response(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    let (status, body) = match serde_json::to_vec(value) {
        Ok(body) => (status, body),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Vec::new()),
    };
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}

/// An error as a response.
pub(super) fn error_response(error: &Error) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let message = ErrorMessage {
        code: error.code().name().to_owned(),
        message: error.full_message(),
        hint: error.hint_text().map(str::to_owned),
    };
    json_response(status, &message)
}

/// Reads the error in a response back.
pub(super) fn parse_error(status: StatusCode, body: &[u8]) -> Error {
    let Ok(message) = serde_json::from_slice::<ErrorMessage>(body) else {
        return Error::new(
            Code::Unavailable,
            format!("the other machine answered with status {status}"),
        );
    };
    let code = Code::ALL.iter().find(|code| code.name() == message.code);
    let error = Error::new(code.copied().unwrap_or(Code::Unavailable), message.message);
    match message.hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Reads a whole body, which has to be of a limited size and to arrive in time.
pub(super) async fn read_body(body: Incoming, most: usize) -> Result<Bytes> {
    let body = tokio::time::timeout(PATIENCE, Limited::new(body, most).collect())
        .await
        .map_err(|_| Error::new(Code::TooSlow, "the body did not arrive in time"))?;
    match body {
        Ok(body) => Ok(body.to_bytes()),
        Err(cause) => Err(Error::new(Code::Unavailable, "the body did not arrive").caused_by(cause)),
    }
}

/// Parses a JSON body.
pub(super) fn parse_json<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body)
        .map_err(|cause| Error::new(Code::InvalidValue, "the body cannot be parsed").caused_by(cause))
}

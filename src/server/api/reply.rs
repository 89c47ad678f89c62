//! Answers: documents, pages, files, and errors.

use crate::error::{Code, Error, Kind, Result};
use crate::server::public_text;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};
use std::pin::Pin;
use std::sync::Arc;

/// `Retry-After`, in seconds, for a client over its rate limit.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// A successful answer.
#[derive(Debug)]
pub(super) enum ApiReply {
    Json(Value),
    Page {
        content_type: &'static str,
        text: String,
        /// The page's content security policy.
        policy: Option<String>,
    },
    /// A SQLite file, its size in bytes, and its name.
    File {
        body: Body,
        size: u64,
        name: String,
    },
}

/// An answer under way.
pub(super) type ReplyFuture = Pin<Box<dyn Future<Output = Result<ApiReply>> + Send>>;

impl ApiReply {
    /// A value under a key.
    pub fn of<T: Serialize>(key: &str, value: &T) -> Result<Self> {
        Ok(Self::Json(json!({ key: to_json(value)? })))
    }

    /// A page of a list under a key. `next` is where the one behind it begins: the last item's key.
    pub fn page(key: &str, items: Vec<Value>, next: Option<String>) -> Self {
        Self::Json(json!({ key: items, "pagination": { "next": next } }))
    }

    /// A value as the whole document.
    pub fn bare<T: Serialize>(value: &T) -> Result<Self> {
        Ok(Self::Json(to_json(value)?))
    }

    /// An empty document: clients parse every answer.
    pub fn empty() -> Self {
        Self::Json(json!({}))
    }

    pub fn into_response(self) -> Response<Body> {
        let mut more = Vec::new();
        let (content_type, body) = match self {
            Self::Json(value) => ("application/json", Body::from(value.to_string())),
            Self::Page {
                content_type,
                text,
                policy,
            } => {
                more.extend(policy.map(|policy| (header::CONTENT_SECURITY_POLICY, policy)));
                (content_type, Body::from(text))
            }
            Self::File { body, size, name } => {
                more.push((header::CONTENT_LENGTH, size.to_string()));
                // The name is a label, which needs no escaping.
                let disposition = format!("attachment; filename=\"{name}\"");
                more.push((header::CONTENT_DISPOSITION, disposition));
                ("application/vnd.sqlite3", body)
            }
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        for (name, value) in more {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        response
    }
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value)
        .map_err(|error| Error::new(Code::Internal, "an answer cannot be written").caused_by(error))
}

/// Turns a result into a response. An error is attached to the response, and rendered once the request's id is known.
pub(super) fn finish(result: Result<ApiReply>) -> Response<Body> {
    match result {
        Ok(reply) => reply.into_response(),
        Err(error) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = status(&error);
            response.extensions_mut().insert(Arc::new(error));
            response
        }
    }
}

fn status(error: &Error) -> StatusCode {
    StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// An error in the form that clients read.
pub(super) fn refusal(error: &Error, request_id: &str) -> Response<Body> {
    let status = status(error);
    let code = error.code().name();
    let message = public_text::message(error);
    if status.is_server_error() {
        // What cannot be done, and what cannot be done now, is no fault of the server; whatever causes it has its own line.
        match error.kind() {
            Kind::Unsupported | Kind::Unavailable | Kind::Timeout => tracing::debug!(request_id, code, "{error}"),
            _ => tracing::error!(request_id, code, "{error}"),
        }
    } else if message != error.full_message() {
        tracing::warn!(request_id, code, "{error}");
    }
    let document = json!({
        "error": message,
        "code": code,
        "hint": public_text::hint(error),
        "retryable": error.kind().retryable(),
        "request_id": request_id,
    });
    let mut response = ApiReply::Json(document).into_response();
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        headers.insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    response
}

//! What goes back to a client: documents, pages, and refusals.

use crate::error::{Code, Error, Result};
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Seconds until a client whose requests were too many may ask again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// A success.
#[derive(Debug)]
pub(super) enum Reply {
    Json(Value),
    Page {
        content_type: &'static str,
        text: String,
        /// What the page may load and send to, where a browser shows it.
        policy: Option<String>,
    },
    /// A SQLite file of so many bytes, and what to call it.
    File {
        body: Body,
        size: u64,
        name: String,
    },
}

impl Reply {
    /// A value under a key.
    pub fn of<T: Serialize>(key: &str, value: &T) -> Result<Self> {
        Ok(Self::Json(json!({ key: to_json(value)? })))
    }

    /// A value as it is.
    pub fn bare<T: Serialize>(value: &T) -> Result<Self> {
        Ok(Self::Json(to_json(value)?))
    }

    /// Clients parse every answer, so there is always a document.
    pub fn nothing() -> Self {
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
                // Made of a label, which needs no escaping.
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

/// A success as it goes out; a failure travels as it is, until the id of the request is known.
pub(super) fn finish(result: Result<Reply>) -> Response<Body> {
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

/// A failure as clients read it.
pub(super) fn refusal(error: &Error, request_id: &str) -> Response<Body> {
    let status = status(error);
    // What went wrong on this machine is for its log: a cause may name files that are nobody's business.
    let told = if status.is_server_error() {
        tracing::error!(request_id, code = error.code().name(), "{error}");
        error.message().to_owned()
    } else {
        error.full_message()
    };
    let document = json!({
        "error": told,
        "code": error.code().name(),
        "hint": error.hint_text(),
        "retryable": error.kind().retryable(),
        "request_id": request_id,
    });
    let mut response = Reply::Json(document).into_response();
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

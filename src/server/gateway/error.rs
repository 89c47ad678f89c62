//! Answers of the gateway itself: errors in the encoding that the client reads, and CORS for browsers.
//!
//! Hrana clients read JSON with `message` and `code`, Platform API clients `error`; gRPC-Web clients read headers.

use crate::error::{Code, Error, Kind};
use crate::server::public_text;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::json;

/// The encoding of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorEncoding {
    Json,
    Grpc,
}

/// An error for a client: the request was refused, or has no answer.
#[derive(Debug, Clone)]
pub(super) struct GatewayError {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    /// Seconds after which the same request may succeed.
    pub retry_after: Option<u32>,
    /// Methods that would be answered, for a status of 405.
    pub allow: Option<&'static str>,
}

impl GatewayError {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: None,
            allow: None,
        }
    }

    /// The same request may succeed in a moment, and nothing was done.
    pub fn later(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(status, code, message)
        }
    }

    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message)
    }

    /// The error for a request without a token.
    pub fn no_token() -> Self {
        Self::unauthorized("the request has no database token: send `Authorization: Bearer TOKEN`")
    }

    /// The error for a write with a read-only token.
    pub fn read_only() -> Self {
        let message = "the token is read-only, and this writes (torso db tokens create DATABASE makes one that may)";
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", message)
    }

    /// The error for a pragma that only reads, and that the process runs over a socket only for tokens that may write.
    pub fn reads_in_another_form() -> Self {
        let message = "the token is read-only, and over a socket libSQL server runs this pragma only for one that may write; it only \
                       reads: ask for its table instead, as in `SELECT * FROM pragma_user_version`";
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", message)
    }

    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::later(StatusCode::SERVICE_UNAVAILABLE, "DATABASE_UNAVAILABLE", message)
    }

    /// The error for a token of the server's own that a process refuses.
    pub fn token_not_accepted() -> Self {
        Self::unavailable("the database's process does not accept the server's token")
    }

    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NOT_FOUND",
            "a database has nothing at this path; open it with a libSQL client",
        )
    }

    /// A client put its endpoint where the database's label belongs.
    pub fn no_slash() -> Self {
        let message = "the database's URL needs a slash at its end, as in http://HOST/db/LABEL/";
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    /// Whether a statement was refused for what it is.
    pub fn is_about_sql(&self) -> bool {
        self.code.starts_with("SQL_")
    }

    pub fn into_response(self, encoding: ErrorEncoding) -> Response<Body> {
        let mut response = match encoding {
            ErrorEncoding::Json => {
                let body = json!({ "message": self.message, "code": self.code, "error": self.message });
                let mut response = Response::new(Body::from(body.to_string()));
                *response.status_mut() = self.status;
                response
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
            ErrorEncoding::Grpc => {
                let mut response = Response::new(Body::empty());
                let headers = response.headers_mut();
                headers.insert(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/grpc-web+proto"),
                );
                headers.insert(GRPC_STATUS, HeaderValue::from(grpc_status(self.status)));
                if let Ok(message) = HeaderValue::try_from(percent_encoded(&self.message)) {
                    headers.insert(GRPC_MESSAGE, message);
                }
                response
            }
        };
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(methods) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// An error of the control plane.
impl From<Error> for GatewayError {
    fn from(error: Error) -> Self {
        let message = match public_text::hint(&error) {
            Some(hint) => format!("{} ({hint})", public_text::message(&error)),
            None => public_text::message(&error).into_owned(),
        };
        match error.kind() {
            _ if error.code() == Code::DatabaseDamaged => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "DATABASE_DAMAGED",
                "the database's file is missing or damaged, so it is not served; its replicas can be read (torso doctor says \
                 what to do)",
            ),
            Kind::Unauthenticated => Self::unauthorized(message),
            Kind::Unavailable | Kind::Timeout => Self::unavailable(message),
            Kind::Forbidden => Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", message),
            Kind::NotFound => Self::new(StatusCode::NOT_FOUND, "DATABASE_NOT_FOUND", message),
            _ if error.code() == Code::Unsupported => Self::new(StatusCode::NOT_IMPLEMENTED, "UNSUPPORTED", message),
            _ => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "INTERNAL",
                "the server cannot open the database; its log has the details",
            ),
        }
    }
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The gRPC status nearest to one of HTTP's.
fn grpc_status(status: StatusCode) -> u16 {
    match status.as_u16() {
        401 => 16,
        403 => 7,
        404 | 405 => 12,
        413 | 429 => 8,
        502..=504 => 14,
        400..=499 => 3,
        _ => 13,
    }
}

/// As gRPC wants messages: visible ASCII, all else as `%XX`.
fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (b' '..=b'~').contains(&byte) && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            // Writing into a text cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// The answer to a browser that asks whether it may send a request.
pub(super) fn answer_preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, OPTIONS"),
    );
    // A star does not stand for `authorization`, so it is named.
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "authorization, content-type, x-authorization, x-grpc-web, x-user-agent, x-session-token, \
             x-libsql-client-version, x-namespace-bin, x-request-id, torso-position, torso-wait-replica, *",
        ),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

/// Lets pages of any origin read an answer: a token is what opens a database, never a cookie.
pub(super) fn allow_browsers(headers: &mut HeaderMap) {
    headers
        .entry(header::ACCESS_CONTROL_ALLOW_ORIGIN)
        .or_insert(HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("x-request-id, retry-after, torso-position, torso-replicated"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_error_message_is_percent_encoded() {
        assert_eq!(percent_encoded("100% né\n"), "100%25 n%C3%A9%0A");
        let response = GatewayError::unauthorized("nó").into_response(ErrorEncoding::Grpc);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[GRPC_STATUS], "16");
        assert_eq!(response.headers()[GRPC_MESSAGE], "n%C3%B3");
    }
}

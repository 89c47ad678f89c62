//! The body of an answer whose status is not 200.

use crate::hrana::messages::HranaError;
use crate::hrana::protobuf;
use crate::secret::Secret;
use serde::Deserialize;

/// It is `{"message", "code"}`, `{"error"}`, or plain text.
#[derive(Deserialize, Default)]
pub(super) struct ErrorBody {
    #[serde(default)]
    pub message: String,
    /// Some servers use this key instead of `message`, and some both.
    #[serde(default)]
    error: String,
    #[serde(default)]
    pub code: Option<String>,
}

impl ErrorBody {
    /// Reads a body. The token is cut out of it, in case the server repeats what it was sent.
    pub(super) fn read(text: &[u8], binary: bool, token: Option<&Secret>) -> Self {
        let parsed = binary
            .then(|| protobuf::cursor::decode_error(text))
            .flatten()
            .map(|error| Self {
                message: error.message,
                code: error.code,
                ..Self::default()
            });
        let parsed = parsed.or_else(|| serde_json::from_slice(text).ok());
        let mut body = parsed.unwrap_or_else(|| Self {
            // The first line, unless it is an HTML page.
            message: String::from_utf8_lossy(text)
                .lines()
                .next()
                .filter(|line| !line.trim_start().starts_with('<'))
                .unwrap_or_default()
                .chars()
                .take(300)
                .collect(),
            ..Self::default()
        });
        if body.message.is_empty() {
            body.message = std::mem::take(&mut body.error);
        }
        if let Some(inner) = body.message.strip_prefix("Internal Error: `") {
            body.message = inner.strip_suffix('`').unwrap_or(inner).to_owned();
        }
        if let Some(token) = token.map(Secret::expose).filter(|token| !token.is_empty()) {
            body.message = body.message.replace(token, "…");
        }
        body
    }

    /// Whether it says that the stream has expired, or never existed.
    pub(super) fn is_expiry(&self) -> bool {
        self.code
            .as_deref()
            .is_some_and(|code| code.starts_with("STREAM_") || code.starts_with("BATON_"))
            || self.message.contains("baton")
            || self.message.contains("stream has expired")
    }

    pub(super) fn into_wire(self) -> HranaError {
        HranaError {
            message: self.message,
            code: self.code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_body_of_each_form_is_read() {
        for text in [
            r#"{"message":"no","code":"C"}"#,
            r#"{"error":"no","code":"C"}"#,
            r#"{"message":"no","code":"C","error":"no"}"#,
        ] {
            let read = ErrorBody::read(text.as_bytes(), false, None);
            assert_eq!(
                (read.message.as_str(), read.code.as_deref()),
                ("no", Some("C")),
                "{text}"
            );
        }
        assert_eq!(ErrorBody::read(b"no\nmore", false, None).message, "no");
        let read = ErrorBody::read(b"\x0a\x02no\x12\x01C", true, None);
        assert_eq!((read.message.as_str(), read.code.as_deref()), ("no", Some("C")));
    }
}

//! What a server says beside a status that is not 200.

use super::binary;
use super::wire::WireError;
use crate::secret::Secret;
use serde::Deserialize;

/// What a server says beside a status: `{"message", "code"}`, `{"error"}`, or plain text.
#[derive(Deserialize, Default)]
pub(super) struct Complaint {
    #[serde(default)]
    pub message: String,
    /// Some servers say it here, and some in both places.
    #[serde(default)]
    error: String,
    #[serde(default)]
    pub code: Option<String>,
}

impl Complaint {
    /// A server may repeat what it was sent; the token is not passed on.
    pub(super) fn read(text: &[u8], binary: bool, token: Option<&Secret>) -> Self {
        let told = binary.then(|| binary::error(text)).flatten().map(|error| Self {
            message: error.message,
            code: error.code,
            ..Self::default()
        });
        let told = told.or_else(|| serde_json::from_slice(text).ok());
        let mut complaint = told.unwrap_or_else(|| Self {
            // Pages for people say little to a program.
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
        if complaint.message.is_empty() {
            complaint.message = std::mem::take(&mut complaint.error);
        }
        if let Some(inner) = complaint.message.strip_prefix("Internal Error: `") {
            complaint.message = inner.strip_suffix('`').unwrap_or(inner).to_owned();
        }
        if let Some(token) = token.map(Secret::expose).filter(|token| !token.is_empty()) {
            complaint.message = complaint.message.replace(token, "…");
        }
        complaint
    }

    /// The stream is gone, or never was.
    pub(super) fn is_expiry(&self) -> bool {
        self.code
            .as_deref()
            .is_some_and(|code| code.starts_with("STREAM_") || code.starts_with("BATON_"))
            || self.message.contains("baton")
            || self.message.contains("stream has expired")
    }

    pub(super) fn into_wire(self) -> WireError {
        WireError {
            message: self.message,
            code: self.code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wherever_a_server_says_it() {
        for text in [
            r#"{"message":"no","code":"C"}"#,
            r#"{"error":"no","code":"C"}"#,
            r#"{"message":"no","code":"C","error":"no"}"#,
        ] {
            let read = Complaint::read(text.as_bytes(), false, None);
            assert_eq!(
                (read.message.as_str(), read.code.as_deref()),
                ("no", Some("C")),
                "{text}"
            );
        }
        assert_eq!(Complaint::read(b"no\nmore", false, None).message, "no");
        let read = Complaint::read(b"\x0a\x02no\x12\x01C", true, None);
        assert_eq!((read.message.as_str(), read.code.as_deref()), ("no", Some("C")));
    }
}

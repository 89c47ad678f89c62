//! Messages over a socket that a server sends, and the hello message of a client, in both encodings.

use super::client_message::{Encoding, HELLO, RequestKind};
use super::protobuf::fields::{FieldReader, RawField, field, put, put_number};
use serde_json::{Value, json};

/// The fields of a server's message.
const HELLO_ERROR: u32 = 2;
const RESPONSE_OK: u32 = 3;
const RESPONSE_ERROR: u32 = 4;

/// A message, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EncodedMessage {
    Text(String),
    Binary(Vec<u8>),
}

/// What a client is told of an error.
#[derive(Debug, Clone, Copy)]
pub struct ErrorText<'a> {
    pub message: &'a str,
    pub code: &'a str,
}

impl ErrorText<'_> {
    fn to_json(self) -> Value {
        json!({ "message": self.message, "code": self.code })
    }

    fn to_protobuf(self) -> Vec<u8> {
        let mut error = field(1, self.message.as_bytes());
        put(&mut error, 2, self.code.as_bytes());
        error
    }
}

impl Encoding {
    /// Returns a client's hello message with a token.
    #[must_use]
    pub fn hello_with_token(self, token: &str) -> EncodedMessage {
        match self {
            Self::Json => text(&json!({ "type": "hello", "jwt": token })),
            Self::Protobuf => nested(HELLO, &field(1, token.as_bytes())),
        }
    }

    /// Returns the refusal of a hello message.
    pub fn hello_error<'e>(self, error: impl Into<ErrorText<'e>>) -> EncodedMessage {
        let error = error.into();
        match self {
            Self::Json => text(&json!({ "type": "hello_error", "error": error.to_json() })),
            Self::Protobuf => nested(HELLO_ERROR, &field(1, &error.to_protobuf())),
        }
    }

    /// Whether a message is the refusal of a hello message. A server writes the type first.
    #[must_use]
    pub fn is_hello_error(self, message: &[u8]) -> bool {
        match self {
            Self::Json => message.starts_with(br#"{"type":"hello_error""#),
            Self::Protobuf => FieldReader::new(message).last(HELLO_ERROR).is_some(),
        }
    }

    /// Whether a message is an error as a whole: of a request, or of a hello message. A server writes the type first.
    #[must_use]
    pub fn is_error(self, message: &[u8]) -> bool {
        self.is_hello_error(message)
            || match self {
                Self::Json => message.starts_with(br#"{"type":"response_error""#),
                Self::Protobuf => FieldReader::new(message).last(RESPONSE_ERROR).is_some(),
            }
    }

    /// Returns the number of the request that a server's error is about; 0 for any other message.
    #[must_use]
    pub fn failed_request_id(self, error: &[u8]) -> i32 {
        match self {
            Self::Json => self.request_id(error),
            Self::Protobuf => match FieldReader::new(error).last(RESPONSE_ERROR) {
                Some(RawField::Bytes(inner)) => match FieldReader::new(inner).last(1) {
                    Some(RawField::Number(number)) => number as i32,
                    _ => 0,
                },
                _ => 0,
            },
        }
    }

    /// Returns the answer to a request that needs nothing done: one that closes something.
    #[must_use]
    pub fn closed_response(self, request_id: i32, kind: RequestKind) -> EncodedMessage {
        let (name, number) = match kind {
            RequestKind::CloseSql => ("close_sql", 12),
            RequestKind::CloseCursor => ("close_cursor", 7),
            _ => ("close_stream", 3),
        };
        match self {
            Self::Json => text(&json!({
                "type": "response_ok",
                "request_id": request_id,
                "response": { "type": name },
            })),
            Self::Protobuf => {
                let mut ok = request_id_field(request_id);
                put(&mut ok, number, b"");
                nested(RESPONSE_OK, &ok)
            }
        }
    }

    /// Returns the answer to a request that failed.
    pub fn error_response<'e>(self, request_id: i32, error: impl Into<ErrorText<'e>>) -> EncodedMessage {
        let error = error.into();
        match self {
            Self::Json => text(&json!({
                "type": "response_error",
                "request_id": request_id,
                "error": error.to_json(),
            })),
            Self::Protobuf => {
                let mut response = request_id_field(request_id);
                put(&mut response, 2, &error.to_protobuf());
                nested(RESPONSE_ERROR, &response)
            }
        }
    }
}

fn request_id_field(request_id: i32) -> Vec<u8> {
    let mut field = Vec::new();
    // Negative numbers are written as very large ones.
    put_number(&mut field, 1, i64::from(request_id).cast_unsigned());
    field
}

fn text(value: &Value) -> EncodedMessage {
    EncodedMessage::Text(value.to_string())
}

fn nested(number: u32, inner: &[u8]) -> EncodedMessage {
    EncodedMessage::Binary(field(number, inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hello_error_is_recognised_in_both_encodings_and_nothing_else_is() {
        let error = ErrorText {
            message: "no",
            code: "UNAUTHORIZED",
        };
        let is_hello_error = |encoding: Encoding, message: &EncodedMessage| match message {
            EncodedMessage::Text(text) => encoding.is_hello_error(text.as_bytes()),
            EncodedMessage::Binary(bytes) => encoding.is_hello_error(bytes),
        };
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            assert!(is_hello_error(encoding, &encoding.hello_error(error)));
            for other in [
                encoding.error_response(2, error),
                encoding.closed_response(2, RequestKind::CloseSql),
            ] {
                assert!(!is_hello_error(encoding, &other));
            }
        }
        let engine = br#"{"type":"hello_error","error":{"message":"Authentication failed","code":"AUTH_JWT_INVALID"}}"#;
        assert!(Encoding::Json.is_hello_error(engine));
        assert!(!Encoding::Json.is_hello_error(br#"{"type":"hello_ok"}"#));
        assert!(!Encoding::Protobuf.is_hello_error(&field(1, b"")));
    }
}

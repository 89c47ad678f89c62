//! Errors of a primary in the answers of its replica's process. The process wraps them in words of its own and gives them no code;
//! clients read what the primary's process would have answered (`hrana::proxied_error`).
//!
//! An answer is changed as it streams by, and keeps its length, which was told before: what became shorter is filled with what
//! no decoder reads.

mod json;
mod protobuf;

use super::endpoints::{DataEndpoint, EndpointKind};
use super::policy::BodyEncoding;
use crate::hrana::client_message::Encoding;
use crate::hrana::proxied_error::PREFIX;
use bytes::Bytes;
use json::JsonErrors;
use memchr::memmem;
use protobuf::ProtobufErrors;

/// Bytes of an error that is waited for, where pieces of an answer cut it.
const LONGEST: usize = 64 << 10;

/// Restores the errors in one answer, piece by piece.
pub enum ErrorRestorer {
    Json(JsonErrors),
    Protobuf(ProtobufErrors),
}

impl ErrorRestorer {
    /// For an answer over HTTP; none where no errors of statements are in it.
    pub fn new(endpoint: &DataEndpoint) -> Option<Self> {
        match (endpoint.kind, endpoint.encoding?) {
            (EndpointKind::Call | EndpointKind::Cursor, BodyEncoding::Json) => Some(Self::Json(JsonErrors::default())),
            (EndpointKind::Call, BodyEncoding::Protobuf(_)) => Some(Self::Protobuf(ProtobufErrors::of_pipeline())),
            (EndpointKind::Cursor, BodyEncoding::Protobuf(_)) => Some(Self::Protobuf(ProtobufErrors::of_cursor())),
            _ => None,
        }
    }

    /// Returns as much of an answer as is known not to change any more, after another piece of it.
    pub fn push(&mut self, piece: Bytes) -> Bytes {
        match self {
            Self::Json(errors) => errors.push(piece, false),
            Self::Protobuf(errors) => errors.push(piece, false),
        }
    }

    /// Returns what is left at the end of an answer.
    pub fn finish(&mut self) -> Bytes {
        match self {
            Self::Json(errors) => errors.push(Bytes::new(), true),
            Self::Protobuf(errors) => errors.push(Bytes::new(), true),
        }
    }
}

/// Restores the errors in a whole body of JSON.
pub fn restore_body(body: Bytes) -> Bytes {
    JsonErrors::default().push(body, true)
}

/// Restores the errors in a message over a socket.
pub fn restore_message(encoding: Encoding, message: Bytes) -> Bytes {
    if memmem::find(&message, PREFIX.as_bytes()).is_none() {
        return message;
    }
    match encoding {
        Encoding::Json => JsonErrors::default().push(message, true),
        Encoding::Protobuf => ProtobufErrors::of_socket().push(message, true),
    }
}

//! Messages of Hrana as WebSocket messages, and how sockets end.

use crate::hrana::server_message::{EncodedMessage, ErrorText};
use crate::server::gateway::error::GatewayError;
use axum::http::StatusCode;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

impl From<EncodedMessage> for Message {
    fn from(message: EncodedMessage) -> Self {
        match message {
            EncodedMessage::Text(text) => Self::Text(text.into()),
            EncodedMessage::Binary(bytes) => Self::Binary(bytes.into()),
        }
    }
}

impl<'e> From<&'e GatewayError> for ErrorText<'e> {
    fn from(error: &'e GatewayError) -> Self {
        Self {
            message: &error.message,
            code: error.code,
        }
    }
}

/// Returns a close frame. A frame has no room for more than 120 bytes of a reason.
pub fn close_frame(code: CloseCode, reason: &str) -> CloseFrame {
    let mut end = reason.len().min(120);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    CloseFrame {
        code,
        reason: reason[..end].into(),
    }
}

/// Returns how a socket ends whose hello message is refused.
pub fn close_frame_of_error(error: &GatewayError) -> CloseFrame {
    let code = if error.status == StatusCode::SERVICE_UNAVAILABLE {
        CloseCode::Again
    } else {
        CloseCode::Policy
    };
    close_frame(code, &error.message)
}

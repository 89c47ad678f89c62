//! Messages of Hrana as WebSocket messages, and how sockets end.

use crate::hrana::client_message::Encoding;
use crate::hrana::server_message::{EncodedMessage, ErrorText};
use crate::server::gateway::engine_text::{ErrorPart, PathFilter, is_about_forwarding};
use crate::server::gateway::error::GatewayError;
use crate::server::gateway::primary_errors::restore_message;
use crate::server::gateway::upstream::no_primary;
use axum::http::StatusCode;
use bytes::Bytes;
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

/// Returns a process's message as the client gets it. A replica's process that could not reach its primary says so in words of
/// its own, in the place of which stand the gateway's; errors of the primary are restored.
pub fn filter_message(paths: &PathFilter, is_replica: bool, message: Message) -> Message {
    let (encoding, bytes) = match &message {
        Message::Text(text) => (Encoding::Json, Bytes::from(text.clone())),
        Message::Binary(bytes) => (Encoding::Protobuf, bytes.clone()),
        _ => return message,
    };
    let part = match (encoding, encoding.is_error(&bytes)) {
        (_, true) if is_replica && is_about_forwarding(&bytes) => {
            let request_id = encoding.failed_request_id(&bytes);
            return encoding.error_response(request_id, &no_primary()).into();
        }
        (_, true) => ErrorPart::All,
        (_, false) => ErrorPart::Messages,
    };
    let restored = if is_replica {
        restore_message(encoding, bytes.clone())
    } else {
        bytes.clone()
    };
    let filtered = paths.hide(restored, part);
    match encoding {
        _ if filtered == bytes => message,
        Encoding::Json => String::from_utf8(filtered.to_vec()).map_or(message, Message::text),
        Encoding::Protobuf => Message::Binary(filtered),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn socket_errors_are_filtered_in_both_encodings() {
        let paths = PathFilter::new(Path::new("/srv/torso"));
        let error = |message: &str| GatewayError::new(StatusCode::BAD_REQUEST, "X", message);
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            let answer = |message: &str| Message::from(encoding.error_response(7, &error(message)));
            let text = |message: Message| String::from_utf8_lossy(&message.into_data()).into_owned();
            let filtered = text(filter_message(&paths, false, answer("cannot open /srv/torso/a")));
            assert!(
                filtered.contains("cannot open ************") && !filtered.contains("/srv"),
                "{filtered}"
            );
            let forwarding = answer("Failed to execute queries via RPC protocol: x");
            assert_eq!(filter_message(&paths, false, forwarding.clone()), forwarding);
            let ours = Message::from(encoding.error_response(7, &no_primary()));
            assert_eq!(filter_message(&paths, true, forwarding), ours);
        }
    }
}

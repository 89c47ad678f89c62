//! The hello message of a socket: the client's token is checked, and the process gets one of the server's own. What follows
//! on it is left to `check`.

use super::messages::close_frame_of_error;
use super::session::SocketSession;
use crate::control::tokens::Authorization;
use crate::hrana::client_message::Encoding;
use crate::server::gateway::error::GatewayError;
use crate::sync::lock;
use std::sync::atomic::Ordering;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

impl SocketSession {
    /// Whether the client has sent a token.
    pub fn has_token(&self) -> bool {
        lock(&self.token).is_some()
    }

    /// The token to show to the process instead of a client's: one that the process has just accepted, because it ends a
    /// socket, with all that is open on it, for a hello message that it refuses.
    pub async fn authorize_hello(&self, token: Option<String>) -> Result<String, GatewayError> {
        let open = self.core.plane.open_token().map(str::to_owned);
        let token = open
            .or(token)
            .or_else(|| self.header_token.clone())
            .ok_or_else(no_token_in_hello)?;
        let grant = self.core.plane.authorize(&token, &self.route)?;
        let internal = self
            .core
            .upstream
            .accepted_token(&self.route, grant.authorization)
            .await?;
        self.is_read_only
            .store(grant.authorization == Authorization::ReadOnly, Ordering::Relaxed);
        *lock(&self.token) = Some(token);
        Ok(internal)
    }

    /// What a client reads instead of a process's refusal of a hello message, if a message is one: the token in it was the
    /// server's.
    pub fn replace_hello_error(&self, message: &Message) -> Option<(Message, CloseFrame)> {
        let (encoding, bytes) = match message {
            Message::Text(text) => (Encoding::Json, text.as_bytes()),
            Message::Binary(bytes) => (Encoding::Protobuf, &bytes[..]),
            _ => return None,
        };
        if !encoding.is_hello_error(bytes) {
            return None;
        }
        let error = if self.has_token() {
            self.core.upstream.forget_tokens(&self.route);
            GatewayError::token_not_accepted()
        } else {
            // No token of the server's was sent: the client's message was not read as a hello message here.
            GatewayError::unauthorized("the hello message cannot be parsed")
        };
        let end = close_frame_of_error(&error);
        Some((encoding.hello_error(&error).into(), end))
    }
}

/// Returns the error for a hello message without a token.
pub fn no_token_in_hello() -> GatewayError {
    GatewayError::unauthorized("the hello message has no database token")
}

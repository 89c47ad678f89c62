//! The greeting of a socket: the client's token is checked, and the process is greeted with one of the server's own. What
//! follows on it is the parent's.

use super::Session;
use crate::control::tokens::Authorization;
use crate::server::gateway::refusal::Refusal;
use crate::server::gateway::speech::Speech;
use crate::sync::lock;
use axum::http::StatusCode;
use std::sync::atomic::Ordering;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

impl Session {
    /// Whether the client has shown a token.
    pub(super) fn is_greeted(&self) -> bool {
        lock(&self.token).is_some()
    }

    /// The token to show to the process instead of a client's: one that the process has just accepted, because it ends a
    /// socket, with all that is open on it, for a greeting that it refuses.
    pub(super) async fn greet(&self, token: Option<String>) -> Result<String, Refusal> {
        let token = token
            .or_else(|| self.header_token.clone())
            .ok_or_else(no_token_in_greeting)?;
        let grant = self.core.hosted.authorize(&token, &self.route)?;
        let internal = self
            .core
            .upstream
            .accepted_token(&self.route, grant.authorization)
            .await?;
        self.reads_only
            .store(grant.authorization == Authorization::ReadOnly, Ordering::Relaxed);
        *lock(&self.token) = Some(token);
        Ok(internal)
    }

    /// What a client reads instead of a process's refusal of a greeting, if a message is one: the token in it was the
    /// server's.
    pub(super) fn replace_hello_error(&self, message: &Message) -> Option<(Message, CloseFrame)> {
        let speech = Speech::of_hello_error(message)?;
        let refusal = if self.is_greeted() {
            self.core.upstream.forget_tokens(&self.route);
            Refusal::token_not_accepted()
        } else {
            // No token of the server's was sent: the client's message was not read as a greeting here.
            Refusal::unauthorized("the greeting cannot be read")
        };
        let end = close_frame(&refusal);
        Some((speech.hello_error(&refusal), end))
    }
}

/// The error for a greeting without a token.
pub(super) fn no_token_in_greeting() -> Refusal {
    Refusal::unauthorized("the greeting has no database token")
}

/// How a socket ends whose greeting is refused.
pub(super) fn close_frame(refusal: &Refusal) -> CloseFrame {
    let code = if refusal.status == StatusCode::SERVICE_UNAVAILABLE {
        CloseCode::Again
    } else {
        CloseCode::Policy
    };
    super::close_frame(code, &refusal.message)
}

//! When a socket ends: with its token, its database, its client, its primary, or the server.

use super::messages::close_frame;
use super::session::{MOVED, SocketSession};
use crate::server::gateway::error::GatewayError;
use crate::server::gateway::upstream::{WaitState, took_too_long};
use crate::sync::lock;
use bytes::Bytes;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// How long an answer that is under way may take once the server is to end.
const LAST_ANSWER: Duration = Duration::from_millis(1_500);

/// How often an idle client is asked whether it is there.
const PING: Duration = Duration::from_secs(30);

impl SocketSession {
    /// Ends a socket whose token, database, client or primary is gone.
    pub async fn watch(&self, replies: &mpsc::Sender<Message>) -> Option<CloseFrame> {
        let limits = &self.core.limits;
        let mut pinged = Instant::now();
        let mut wait = WaitState::default();
        loop {
            tokio::select! {
                () = tokio::time::sleep(limits.recheck) => {}
                () = self.core.ending() => return Some(self.last_answer().await),
            }
            if self
                .core
                .plane
                .route(&self.route.label)
                .is_none_or(|now| now.id != self.route.id)
            {
                return Some(close_frame(CloseCode::Away, "the database was deleted"));
            }
            if self.is_left_behind() {
                return Some(close_frame(CloseCode::Again, MOVED));
            }
            if let Err(error) = self.check_token() {
                return Some(close_frame(CloseCode::Policy, &error.message));
            }
            if self.clock.age() > limits.hello && !self.has_token() {
                return Some(close_frame(CloseCode::Policy, "no token was sent in time"));
            }
            let silent = self.clock.client_silence();
            if silent > limits.silence {
                return Some(close_frame(CloseCode::Away, "the client sent nothing for too long"));
            }
            if silent > PING && pinged.elapsed() > PING {
                pinged = Instant::now();
                let _ = replies.try_send(Message::Ping(Bytes::new()));
            }
            if self.clock.wait() > Some(limits.answer) {
                return Some(close_frame(CloseCode::Again, &took_too_long(limits.answer).message));
            }
            if self.clock.wait() <= Some(limits.doubt) {
                wait = WaitState::default();
            } else if let Some(error) = self.core.upstream.check_wait(&self.route, false, &mut wait).await {
                return Some(close_frame(CloseCode::Again, &error.message));
            }
        }
    }

    /// The end of the server. What was asked for is answered, if it does not take long.
    async fn last_answer(&self) -> CloseFrame {
        let end = Instant::now() + LAST_ANSWER;
        while self.clock.wait().is_some() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        close_frame(CloseCode::Away, "the server is shutting down")
    }

    /// Whether the token of the last hello message is still good.
    pub fn check_token(&self) -> Result<(), GatewayError> {
        let token = lock(&self.token);
        match &*token {
            Some(token) => Ok(self.core.plane.authorize(token, &self.route).map(drop)?),
            None => Ok(()),
        }
    }
}

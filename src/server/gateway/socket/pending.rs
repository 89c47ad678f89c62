//! Sockets whose clients have not shown a token yet. They are the same at every label, and no process hears of them; the first
//! message must be a greeting.

use super::greeting::{close_frame, no_token_in_greeting};
use super::{Connected, Session, frame};
use crate::server::gateway::Core;
use crate::server::gateway::limits::Guest;
use crate::server::gateway::refusal::Refusal;
use crate::server::gateway::speech::Speech;
use axum::http::HeaderValue;
use futures_util::StreamExt as _;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};

/// An accepted socket whose client has not shown a token: nothing it says goes on, and it learns nothing of the label.
pub(super) struct Pending {
    pub core: Arc<Core>,
    pub label: String,
    pub protocol: Option<HeaderValue>,
    pub guest: Guest,
}

/// The connection to a process, and the greeting for it.
pub(super) type Greeted = (Connected, Message);

/// What a client is told before its socket is closed.
pub(super) type Farewell = (Option<Message>, Option<CloseFrame>);

impl Pending {
    /// Waits for a greeting with a token that opens the database.
    pub async fn wait_for_token<S>(self, client: &mut WebSocketStream<S>) -> Result<Greeted, Farewell>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let evicted = self.guest.sent_away();
        let too_late = tokio::time::sleep(self.core.limits.greeting);
        tokio::pin!(too_late);
        loop {
            let said = tokio::select! {
                said = client.next() => said,
                () = &mut too_late => return Err((None, frame(CloseCode::Policy, "no token was shown for too long"))),
                () = evicted.notified() => {
                    return Err((None, frame(CloseCode::Again, "too many others wait to show their tokens")));
                }
                () = self.core.ending() => return Err((None, frame(CloseCode::Away, "the server is ending"))),
            };
            match said {
                Some(Ok(Message::Text(text))) => return self.greet(Speech::Json, text.as_bytes()).await,
                Some(Ok(Message::Binary(bytes))) => return self.greet(Speech::Protobuf, &bytes).await,
                Some(Ok(Message::Close(end))) => return Err((None, end)),
                Some(Ok(_)) => {}
                Some(Err(tungstenite::Error::Capacity(_))) => {
                    return Err((None, frame(CloseCode::Size, "the message is too long")));
                }
                Some(Err(_)) | None => return Err((None, None)),
            }
        }
    }

    async fn greet(&self, speech: Speech, message: &[u8]) -> Result<Greeted, Farewell> {
        let Some(token) = speech.hello(message) else {
            // Whatever is no request was meant to greet.
            let (refusal, answer) = match speech.find_request_id(message) {
                Some(id) => {
                    let refusal = Refusal::unauthorized("the first message must be a greeting with a database token");
                    let answer = speech.error(id, &refusal);
                    (refusal, answer)
                }
                None => {
                    let refusal = Refusal::unauthorized("the greeting cannot be read");
                    let answer = speech.hello_error(&refusal);
                    (refusal, answer)
                }
            };
            return Err((Some(answer), Some(close_frame(&refusal))));
        };
        let connected = self.connect(token).await;
        connected.map_or_else(
            |refusal| {
                let end = Some(close_frame(&refusal));
                Err((Some(speech.hello_error(&refusal)), end))
            },
            |(connected, token)| Ok((connected, speech.say_hello(&token))),
        )
    }

    /// Connects to the database that a greeting's token opens. Returns the token for its process with it.
    async fn connect(&self, token: Option<String>) -> Result<(Connected, String), Refusal> {
        let token = token.ok_or_else(no_token_in_greeting)?;
        let (session, upstream) = Session::connect(&self.core, &self.label, &token, self.protocol.as_ref()).await?;
        let internal = session.greet(Some(token)).await?;
        Ok((Box::new((session, upstream)), internal))
    }
}

//! Sockets whose clients have not sent a token yet. They are the same at every label, and no process hears of them; the
//! first message must be a hello message.

use super::hello::no_token_in_hello;
use super::messages::{close_frame, close_frame_of_error};
use super::session::{ConnectedSocket, SocketSession};
use crate::hrana::client_message::Encoding;
use crate::server::gateway::Core;
use crate::server::gateway::error::GatewayError;
use crate::server::gateway::limits::PendingSocket;
use axum::http::HeaderValue;
use futures_util::StreamExt as _;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};

/// An accepted socket whose client has not sent a token: nothing it says goes on, and it learns nothing of the label.
pub struct UnauthorizedSocket {
    pub core: Arc<Core>,
    pub label: String,
    pub protocol: Option<HeaderValue>,
    pub slot: PendingSocket,
}

/// The connection to a process, and the hello message for it.
pub type AuthorizedSocket = (ConnectedSocket, Message);

/// What is sent to a client before its socket is closed.
pub type Farewell = (Option<Message>, Option<CloseFrame>);

impl UnauthorizedSocket {
    /// Waits for a hello message with a token that opens the database.
    pub async fn wait_for_token<S>(self, client: &mut WebSocketStream<S>) -> Result<AuthorizedSocket, Farewell>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let evicted = self.slot.eviction();
        let too_late = tokio::time::sleep(self.core.limits.hello);
        tokio::pin!(too_late);
        loop {
            let said = tokio::select! {
                said = client.next() => said,
                () = &mut too_late => return Err((None, close(CloseCode::Policy, "no token was sent in time"))),
                () = evicted.notified() => {
                    return Err((None, close(CloseCode::Again, "too many connections are waiting to send their tokens")));
                }
                () = self.core.ending() => return Err((None, close(CloseCode::Away, "the server is shutting down"))),
            };
            match said {
                Some(Ok(Message::Text(text))) => return self.connect_with_hello(Encoding::Json, text.as_bytes()).await,
                Some(Ok(Message::Binary(bytes))) => return self.connect_with_hello(Encoding::Protobuf, &bytes).await,
                Some(Ok(Message::Close(end))) => return Err((None, end)),
                Some(Ok(_)) => {}
                Some(Err(tungstenite::Error::Capacity(_))) => {
                    return Err((None, close(CloseCode::Size, "the message is too long")));
                }
                Some(Err(_)) | None => return Err((None, None)),
            }
        }
    }

    async fn connect_with_hello(&self, encoding: Encoding, message: &[u8]) -> Result<AuthorizedSocket, Farewell> {
        let Some(token) = encoding.hello(message) else {
            // Whatever is no request was meant as a hello message.
            let (error, answer) = match encoding.find_request_id(message) {
                Some(id) => {
                    let error =
                        GatewayError::unauthorized("the first message must be a hello message with a database token");
                    let answer = encoding.error_response(id, &error);
                    (error, answer)
                }
                None => {
                    let error = GatewayError::unauthorized("the hello message cannot be parsed");
                    let answer = encoding.hello_error(&error);
                    (error, answer)
                }
            };
            return Err((Some(answer.into()), Some(close_frame_of_error(&error))));
        };
        let connected = self.connect(token).await;
        connected.map_or_else(
            |error| {
                let end = Some(close_frame_of_error(&error));
                Err((Some(encoding.hello_error(&error).into()), end))
            },
            |(connected, token)| Ok((connected, encoding.hello_with_token(&token).into())),
        )
    }

    /// Connects to the database that a hello message's token opens. Returns the token for its process with it.
    async fn connect(&self, token: Option<String>) -> Result<(ConnectedSocket, String), GatewayError> {
        let token = token.ok_or_else(no_token_in_hello)?;
        let (session, upstream) =
            SocketSession::connect(&self.core, &self.label, &token, self.protocol.as_ref()).await?;
        let internal = session.authorize_hello(Some(token)).await?;
        Ok((Box::new((session, upstream)), internal))
    }
}

#[allow(clippy::unnecessary_wraps)] // as the end of a socket is passed on
fn close(code: CloseCode, reason: &str) -> Option<CloseFrame> {
    Some(close_frame(code, reason))
}

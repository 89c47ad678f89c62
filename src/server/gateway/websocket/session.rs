//! A client's socket that is connected to a process: messages are passed on in both directions.

use super::clock::SocketClock;
use super::messages::{close_frame, filter_message};
use super::process::open_socket;
use super::state::SocketState;
use super::writes::SocketWrites;
use crate::control::gateway_plane::{Listener, Route};
use crate::control::tokens::Authorization;
use crate::server::gateway::Core;
use crate::server::gateway::auth::authorize_label;
use crate::server::gateway::engine_text::{mentions_damage, mentions_missing_table};
use crate::server::gateway::error::GatewayError;
use crate::server::gateway::limits::SocketPermit;
use crate::server::gateway::policy::{BodyEncoding, protobuf};
use crate::server::gateway::upstream::{connections, no_primary};
use axum::http::HeaderValue;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};

/// How long the process may take for its part of the handshake, and a client for taking a message.
const HANDSHAKE: Duration = Duration::from_secs(5);
const TAKE: Duration = Duration::from_secs(30);

/// Why a socket ends whose database has another primary now.
pub const MOVED: &str = "the database's primary was moved; connect again, and begin open transactions again";

/// How long it may take to tell a client why its socket ends.
pub const FAREWELL: Duration = Duration::from_secs(2);

/// Answers of the gateway that wait for the answer to a hello message. With so many, the client is not read on.
const HELD: usize = 64;

/// A client's socket with its socket to a process.
pub type ConnectedSocket = Box<(SocketSession, WebSocketStream<TcpStream>)>;

/// An open socket.
pub struct SocketSession {
    pub core: Arc<Core>,
    pub route: Arc<Route>,
    process: Listener,
    /// Whether the token of the last hello message may only read.
    pub is_read_only: AtomicBool,
    /// A hello message was passed on and is not answered yet. Clients take nothing else for the first answer.
    pub awaits_hello: AtomicBool,
    pub state: Mutex<SocketState>,
    /// Shown when it was opened.
    pub header_token: Option<String>,
    /// Shown in the last hello message.
    pub token: Mutex<Option<String>>,
    pub clock: SocketClock,
    pub writes: SocketWrites,
    /// What the socket takes of its database's share.
    _permit: SocketPermit,
}

/// What is done with a client's message.
pub enum MessageAction {
    Pass,
    Replace(Message),
    Answer(Message),
    /// The client gets an answer, and then the socket ends.
    AnswerAndEnd(Message, CloseFrame),
}

impl SocketSession {
    /// Connects to the instance that a token opens at a label.
    pub async fn connect(
        core: &Arc<Core>,
        label: &str,
        token: &str,
        protocol: Option<&HeaderValue>,
    ) -> Result<(Self, WebSocketStream<TcpStream>), GatewayError> {
        let (route, _) = authorize_label(core, label, token)?;
        let permit = core.shares.socket(&route.id, &route.location)?;
        core.shares.note_use(&route.id);
        // Only what is shown in a hello message says what it may do.
        let target = core.upstream.reach(&route, Authorization::ReadOnly, false).await?;
        let upstream = tokio::time::timeout(HANDSHAKE, open_socket(&target, protocol))
            .await
            .map_err(|_| GatewayError::unavailable("the database's process does not answer"))??;
        let session = Self {
            core: Arc::clone(core),
            process: target.process,
            is_read_only: AtomicBool::new(false),
            awaits_hello: AtomicBool::new(false),
            state: Mutex::default(),
            route,
            header_token: None,
            token: Mutex::default(),
            clock: SocketClock::start(),
            writes: SocketWrites::default(),
            _permit: permit,
        };
        Ok((session, upstream))
    }

    /// The same with the token of the request that opened the socket, which serves for a hello message without one.
    pub fn with_header_token(self, token: String) -> Self {
        Self {
            header_token: Some(token),
            ..self
        }
    }

    /// Passes messages on in both directions until the socket ends, beginning with the client's hello message if it has come.
    pub async fn relay<S>(
        &self,
        client: WebSocketStream<S>,
        upstream: WebSocketStream<TcpStream>,
        hello: Option<Message>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.core.plane.count(&self.route, 0);
        let (mut client_out, client_in) = client.split();
        let (mut upstream_out, upstream_in) = upstream.split();
        let (replies, mut waiting) = mpsc::channel(16);
        let from_client = async {
            if let Some(hello) = hello {
                self.awaits_hello.store(true, Ordering::Relaxed);
                self.clock.note_request();
                self.writes.note_request();
                if upstream_out.send(hello).await.is_err() {
                    return Some(self.broken_off().await);
                }
            }
            self.relay_from_client(client_in, &mut upstream_out, &replies).await
        };
        let end = tokio::select! {
            end = from_client => end,
            end = self.relay_from_process(upstream_in, &mut client_out, &mut waiting) => end,
            end = self.watch(&replies) => end,
        };
        let farewell = async {
            // What was answered before the end is sent.
            while let Ok(message) = waiting.try_recv() {
                client_out.feed(message).await?;
            }
            client_out.send(Message::Close(end)).await
        };
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
        let _ = tokio::time::timeout(Duration::from_secs(1), upstream_out.close()).await;
    }

    /// Passes on what the client says, after it was checked.
    async fn relay_from_client<S>(
        &self,
        mut client: SplitStream<WebSocketStream<S>>,
        upstream: &mut SplitSink<WebSocketStream<TcpStream>, Message>,
        replies: &mpsc::Sender<Message>,
    ) -> Option<CloseFrame>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        while let Some(message) = client.next().await {
            self.clock.note_client();
            let message = match message {
                Ok(message) => message,
                Err(tungstenite::Error::Capacity(_)) => {
                    return Some(close_frame(CloseCode::Size, "the message is too long"));
                }
                Err(_) => return None,
            };
            let action = match &message {
                Message::Text(text) => self.check_message(BodyEncoding::Json, &Bytes::from(text.clone())).await,
                Message::Binary(bytes) => {
                    self.check_message(BodyEncoding::Protobuf(protobuf::SOCKET), bytes)
                        .await
                }
                Message::Close(end) => return end.clone(),
                _ => continue,
            };
            let on = match action {
                MessageAction::Pass => message,
                MessageAction::Replace(other) => other,
                MessageAction::Answer(answer) => {
                    let _ = replies.send(answer).await;
                    continue;
                }
                MessageAction::AnswerAndEnd(answer, end) => {
                    let _ = replies.send(answer).await;
                    return Some(end);
                }
            };
            if self.is_left_behind() {
                return Some(close_frame(CloseCode::Again, MOVED));
            }
            self.clock.note_request();
            self.writes.note_request();
            if upstream.send(on).await.is_err() {
                return Some(self.broken_off().await);
            }
        }
        None
    }

    /// Passes on what the process says, and what the gateway says itself: that after the answer to a hello message.
    async fn relay_from_process<S>(
        &self,
        mut upstream: SplitStream<WebSocketStream<TcpStream>>,
        client: &mut SplitSink<WebSocketStream<S>, Message>,
        replies: &mut mpsc::Receiver<Message>,
    ) -> Option<CloseFrame>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut held = VecDeque::new();
        loop {
            if !self.awaits_hello.load(Ordering::Relaxed) {
                for message in held.drain(..) {
                    send(client, message).await?;
                }
            }
            let message = tokio::select! {
                said = upstream.next() => match said {
                    // What a replica's process says is about its primary, in words of its own.
                    Some(Ok(Message::Close(Some(end)))) if end.code == CloseCode::Error && !self.route.is_primary => {
                        return Some(close_frame(CloseCode::Again, &no_primary().message));
                    }
                    Some(Ok(Message::Close(end))) => return end,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(message)) => {
                        self.clock.note_answer();
                        self.writes.note_answer();
                        self.awaits_hello.store(false, Ordering::Relaxed);
                        if let Some((answer, end)) = self.replace_hello_error(&message) {
                            let _ = tokio::time::timeout(TAKE, client.send(answer)).await;
                            return Some(end);
                        }
                        let has_answer = matches!(message, Message::Text(_) | Message::Binary(_));
                        if has_answer {
                            self.check_answer(&message.clone().into_data());
                        }
                        filter_message(&self.core.paths, !self.route.is_primary, message)
                    }
                    _ => return Some(self.broken_off().await),
                },
                reply = replies.recv(), if held.len() < HELD => {
                    let reply = reply?;
                    if self.awaits_hello.load(Ordering::Relaxed) {
                        held.push_back(reply);
                        continue;
                    }
                    reply
                }
            };
            send(client, message).await?;
        }
    }

    /// Does what an answer of the process asks for that speaks of damage.
    fn check_answer(&self, answer: &[u8]) {
        if mentions_damage(answer) {
            self.core.plane.suspect(&self.route);
        }
        if mentions_missing_table(answer) {
            self.core.plane.check_file(&self.route);
        }
    }

    /// Why a process ended the socket without a word. One that goes on does so to who wrote and may only read, to who does not
    /// keep to the protocol, and when roles change.
    async fn broken_off(&self) -> CloseFrame {
        if connections::connect(self.process).await.is_none() {
            return close_frame(CloseCode::Again, "the database's process has ended");
        }
        if self.is_read_only.load(Ordering::Relaxed) {
            return close_frame(CloseCode::Policy, &GatewayError::read_only().message);
        }
        // A replica's process does so, too, when its primary has ended, and a primary's when the database is moved.
        close_frame(
            CloseCode::Again,
            "libSQL server has ended the socket: it was moved, or did not understand a message",
        )
    }
}

/// Sends a message to a client; none if it does not take it in time.
async fn send<S>(client: &mut SplitSink<WebSocketStream<S>, Message>, message: Message) -> Option<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    tokio::time::timeout(TAKE, client.send(message)).await.ok()?.ok()
}

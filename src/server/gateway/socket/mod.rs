//! SQL over WebSockets. Each message of a client is looked at before it goes on; the token in a greeting is checked and
//! replaced, which `greeting` does, and before it nothing is asked of a process, which `pending` sees to; streams that it opens are counted. A socket ends when its token does, and with the
//! server. What messages look like is in `speech`.

mod greeting;
mod pending;

use super::Core;
use super::account::Account;
use super::bearer;
use super::flow::tells_of_damage;
use super::inspect::{BodySummary, Format};
use super::integrity;
use super::limits::Permit;
use super::links;
use super::refusal::Refusal;
use super::speech::{Does, Speech};
use super::upstream::{Target, Wait, no_primary, took_too_long};
use super::wire;
use crate::control::hosted::{Listener, Route};
use crate::control::tokens::Authorization;
use crate::sqltext::policy::InstanceKind;
use crate::sync::lock;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper_util::rt::TokioIo;
use pending::Pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Bytes of a client's longest message. Processes take no longer ones.
const LONGEST_MESSAGE: usize = 16 << 20;

/// How long the process may take for its part of the handshake, and a client for taking a message.
const HANDSHAKE: Duration = Duration::from_secs(5);
const TAKE: Duration = Duration::from_secs(30);

/// How long it may take to tell a client why its socket ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// Subprotocols of libSQL server, the one that it prefers first.
const SUBPROTOCOLS: [&str; 4] = ["hrana3-protobuf", "hrana3", "hrana2", "hrana1"];

/// How long an answer that is under way may take once the server is to end.
const LAST_ANSWER: Duration = Duration::from_millis(1_500);

/// How often an idle client is asked whether it is there.
const PING: Duration = Duration::from_secs(30);

/// Whether a request asks for a socket.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let is = |name, word: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    };
    is(header::UPGRADE, "websocket") && is(header::CONNECTION, "upgrade")
}

/// Opens a socket to the client. With a token in the request's header it is connected to the database at once. Without, it is
/// opened at every label, and nothing is asked of the database until a greeting has shown a token that opens it.
pub(super) async fn open(core: &Arc<Core>, label: &str, mut request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let headers = request.headers();
    let key = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .cloned()
        .filter(|_| {
            headers
                .get(header::SEC_WEBSOCKET_VERSION)
                .is_some_and(|version| version == "13")
        })
        .ok_or_else(|| Refusal::bad("only version 13 of WebSocket is spoken here"))?;
    let protocol = subprotocol(headers)?;
    let entrance = match bearer(headers, &header::AUTHORIZATION)? {
        Some(token) => {
            let token = token.to_owned();
            let (session, upstream) = Session::connect(core, label, &token, protocol.as_ref()).await?;
            let session = Session {
                header_token: Some(token),
                ..session
            };
            Entrance::Connected(Box::new((session, upstream)))
        }
        None => Entrance::Pending(Pending {
            core: Arc::clone(core),
            label: label.to_owned(),
            protocol: protocol.clone(),
            guest: core.shares.guest(label),
        }),
    };
    let upgrade = hyper::upgrade::on(&mut request);
    let core = Arc::clone(core);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(stream) => {
                let config = config(Some(LONGEST_MESSAGE));
                let client = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, Some(config)).await;
                core.counters.sockets(1);
                converse(entrance, client).await;
                core.counters.sockets(-1);
            }
            Err(error) => tracing::debug!(%error, "a client did not open its socket"),
        }
    });

    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Ok(accept) = HeaderValue::try_from(derive_accept_key(key.as_bytes())) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(protocol) = protocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(response)
}

/// Chooses one of the subprotocols that a client offers, as libSQL server does (`hrana/ws/handshake.rs` there); none if the
/// client offers none, which means the first version.
fn subprotocol(headers: &HeaderMap) -> Result<Option<HeaderValue>, Refusal> {
    let Some(offered) = headers.get(header::SEC_WEBSOCKET_PROTOCOL) else {
        return Ok(None);
    };
    let offered = offered.to_str().unwrap_or_default();
    SUBPROTOCOLS
        .into_iter()
        .find(|known| offered.split(',').any(|one| one.trim().eq_ignore_ascii_case(known)))
        .map(|chosen| Some(HeaderValue::from_static(chosen)))
        .ok_or_else(|| {
            Refusal::bad("the database speaks none of these subprotocols; hrana3, hrana2 and hrana1 are known")
        })
}

/// A client's socket with its socket to a process.
type Connected = Box<(Session, WebSocketStream<TcpStream>)>;

/// A client's socket that has been accepted.
enum Entrance {
    Pending(Pending),
    Connected(Connected),
}

async fn converse<S>(entrance: Entrance, mut client: WebSocketStream<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (connected, hello) = match entrance {
        Entrance::Connected(connected) => (connected, None),
        Entrance::Pending(pending) => match pending.wait_for_token(&mut client).await {
            Ok((connected, hello)) => (connected, Some(hello)),
            Err((answer, end)) => {
                let farewell = async {
                    if let Some(answer) = answer {
                        client.feed(answer).await?;
                    }
                    client.send(Message::Close(end)).await
                };
                let _ = tokio::time::timeout(FAREWELL, farewell).await;
                return;
            }
        },
    };
    let (session, upstream) = *connected;
    session.core.hosted.count(&session.route, 0);
    session.converse(client, upstream, hello).await;
}

fn config(longest: Option<usize>) -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(longest)
        .max_frame_size(longest)
}

/// A socket to a process.
async fn connect(target: &Target, protocol: Option<&HeaderValue>) -> Result<WebSocketStream<TcpStream>, Refusal> {
    let broken = || Refusal::unavailable("the database's process does not answer");
    let stream = links::connect(target.process).await.ok_or_else(broken)?;
    let mut request = Request::new(());
    *request.uri_mut() = format!("ws://{}/", target.process.address())
        .parse()
        .map_err(|_| broken())?;
    let headers = request.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(
        header::SEC_WEBSOCKET_KEY,
        HeaderValue::try_from(generate_key()).map_err(|_| broken())?,
    );
    if let Some(protocol) = protocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol.clone());
    }
    target.present(headers, None);
    let opened = client_async_with_config(request, stream, Some(config(None))).await;
    opened.map(|(socket, _)| socket).map_err(|error| {
        tracing::debug!(%error, "a database process did not open a socket");
        broken()
    })
}

/// An open socket.
struct Session {
    core: Arc<Core>,
    route: Arc<Route>,
    process: Listener,
    /// Whether the token of the last greeting may only read.
    reads_only: AtomicBool,
    account: Mutex<Account>,
    /// Shown when it was opened.
    header_token: Option<String>,
    /// Shown in the last greeting.
    token: Mutex<Option<String>>,
    start: Instant,
    /// Milliseconds since the start: when the client was heard last, when something was asked that has no answer yet,
    /// and when the process was heard last.
    heard: AtomicU64,
    asked: AtomicU64,
    answered: AtomicU64,
    /// What the socket takes of its database's share.
    _permit: Permit,
}

/// What is done with a client's message.
enum Verdict {
    Pass,
    Replace(Message),
    Answer(Message),
    /// The client is told, and then the socket ends.
    AnswerAndEnd(Message, CloseFrame),
}

impl Session {
    /// Connects to the instance that a token opens at a label.
    async fn connect(
        core: &Arc<Core>,
        label: &str,
        token: &str,
        protocol: Option<&HeaderValue>,
    ) -> Result<(Self, WebSocketStream<TcpStream>), Refusal> {
        let (route, _) = super::authorize_label(core, label, token)?;
        let permit = core.shares.socket(&route.id)?;
        // Only what is shown in a greeting says what it may do.
        let target = core.upstream.reach(&route, Authorization::ReadOnly, false).await?;
        let upstream = tokio::time::timeout(HANDSHAKE, connect(&target, protocol))
            .await
            .map_err(|_| Refusal::unavailable("the database's process does not answer"))??;
        let session = Self {
            core: Arc::clone(core),
            process: target.process,
            reads_only: AtomicBool::new(false),
            account: Mutex::default(),
            route,
            header_token: None,
            token: Mutex::default(),
            start: Instant::now(),
            heard: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            _permit: permit,
        };
        Ok((session, upstream))
    }

    /// Passes messages on in both directions until the socket ends, beginning with the client's greeting if it has come.
    async fn converse<S>(
        &self,
        client: WebSocketStream<S>,
        upstream: WebSocketStream<TcpStream>,
        hello: Option<Message>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut client_out, client_in) = client.split();
        let (mut upstream_out, upstream_in) = upstream.split();
        let (replies, mut waiting) = mpsc::channel(16);
        let inward = async {
            if let Some(hello) = hello {
                self.note_request();
                if upstream_out.send(hello).await.is_err() {
                    return Some(self.broken_off().await);
                }
            }
            self.inward(client_in, &mut upstream_out, &replies).await
        };
        let end = tokio::select! {
            end = inward => end,
            end = self.outward(upstream_in, &mut client_out, &mut waiting) => end,
            end = self.watch(&replies) => end,
        };
        let farewell = async {
            // What was said before the end is said.
            while let Ok(message) = waiting.try_recv() {
                client_out.feed(message).await?;
            }
            client_out.send(Message::Close(end)).await
        };
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
        let _ = tokio::time::timeout(Duration::from_secs(1), upstream_out.close()).await;
    }

    /// Passes on what the client says.
    async fn inward<S>(
        &self,
        mut client: SplitStream<WebSocketStream<S>>,
        upstream: &mut SplitSink<WebSocketStream<TcpStream>, Message>,
        replies: &mpsc::Sender<Message>,
    ) -> Option<CloseFrame>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        while let Some(message) = client.next().await {
            self.heard.store(self.millis(), Ordering::Relaxed);
            let message = match message {
                Ok(message) => message,
                Err(tungstenite::Error::Capacity(_)) => {
                    return frame(CloseCode::Size, "the message is too long");
                }
                Err(_) => return None,
            };
            let verdict = match &message {
                Message::Text(text) => self.vet(Format::Json, &Bytes::from(text.clone())).await,
                Message::Binary(bytes) => self.vet(Format::Protobuf(wire::SOCKET), bytes).await,
                Message::Close(end) => return end.clone(),
                _ => continue,
            };
            let on = match verdict {
                Verdict::Pass => message,
                Verdict::Replace(other) => other,
                Verdict::Answer(answer) => {
                    let _ = replies.send(answer).await;
                    continue;
                }
                Verdict::AnswerAndEnd(answer, end) => {
                    let _ = replies.send(answer).await;
                    return Some(end);
                }
            };
            self.note_request();
            if upstream.send(on).await.is_err() {
                return Some(self.broken_off().await);
            }
        }
        None
    }

    /// Passes on what the process says, and what the gateway says itself.
    async fn outward<S>(
        &self,
        mut upstream: SplitStream<WebSocketStream<TcpStream>>,
        client: &mut SplitSink<WebSocketStream<S>, Message>,
        replies: &mut mpsc::Receiver<Message>,
    ) -> Option<CloseFrame>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let message = tokio::select! {
                said = upstream.next() => match said {
                    // What a replica's process says is about its primary, in words of its own.
                    Some(Ok(Message::Close(Some(end)))) if end.code == CloseCode::Error && !self.route.is_primary => {
                        return Some(close_frame(CloseCode::Again, &no_primary().message));
                    }
                    Some(Ok(Message::Close(end))) => return end,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(message)) => {
                        let asked = self.asked.load(Ordering::Relaxed);
                        self.answered.store(self.millis().max(asked), Ordering::Relaxed);
                        if let Some((answer, end)) = self.replace_hello_error(&message) {
                            let _ = tokio::time::timeout(TAKE, client.send(answer)).await;
                            return Some(end);
                        }
                        let has_answer = matches!(message, Message::Text(_) | Message::Binary(_));
                        if has_answer && tells_of_damage(&message.clone().into_data()) {
                            self.core.hosted.suspect(&self.route);
                        }
                        message
                    }
                    _ => return Some(self.broken_off().await),
                },
                reply = replies.recv() => match reply {
                    Some(reply) => reply,
                    None => return None,
                },
            };
            match tokio::time::timeout(TAKE, client.send(message)).await {
                Ok(Ok(())) => {}
                _ => return None,
            }
        }
    }

    /// Why a process ended the socket without a word. One that goes on does so to who wrote and may only read.
    async fn broken_off(&self) -> CloseFrame {
        if self.reads_only.load(Ordering::Relaxed) && links::connect(self.process).await.is_some() {
            return close_frame(CloseCode::Policy, &Refusal::read_only().message);
        }
        close_frame(CloseCode::Again, "the database's process has ended")
    }

    /// Ends a socket whose token, database, client or primary is gone.
    async fn watch(&self, replies: &mpsc::Sender<Message>) -> Option<CloseFrame> {
        let limits = &self.core.limits;
        let mut pinged = Instant::now();
        let mut wait = Wait::default();
        loop {
            tokio::select! {
                () = tokio::time::sleep(limits.recheck) => {}
                () = self.core.ending() => return Some(self.last_answer().await),
            }
            if self
                .core
                .hosted
                .route(&self.route.label)
                .is_none_or(|now| now.id != self.route.id)
            {
                return frame(CloseCode::Away, "the database was deleted");
            }
            if let Err(refusal) = self.still_allowed() {
                return frame(CloseCode::Policy, &refusal.message);
            }
            if self.start.elapsed() > limits.greeting && !self.is_greeted() {
                return frame(CloseCode::Policy, "no token was shown for too long");
            }
            let silent = self.since(&self.heard);
            if silent > limits.silence {
                return frame(CloseCode::Away, "nothing was heard for too long");
            }
            if silent > PING && pinged.elapsed() > PING {
                pinged = Instant::now();
                let _ = replies.try_send(Message::Ping(Bytes::new()));
            }
            if self.waits() && self.since(&self.asked) > limits.answer {
                return frame(CloseCode::Again, &took_too_long(limits.answer).message);
            }
            if !self.waits() || self.since(&self.asked) <= limits.doubt {
                wait = Wait::default();
            } else if let Some(refusal) = self.core.upstream.given_up(&self.route, false, &mut wait).await {
                return frame(CloseCode::Again, &refusal.message);
            }
        }
    }

    /// Notes that something was sent which has no answer yet.
    fn note_request(&self) {
        if !self.waits() {
            // Later than what was answered last, also within a millisecond.
            let answered = self.answered.load(Ordering::Relaxed);
            self.asked.store(self.millis().max(answered + 1), Ordering::Relaxed);
        }
    }

    /// Whether the client waits for an answer.
    fn waits(&self) -> bool {
        self.asked.load(Ordering::Relaxed) > self.answered.load(Ordering::Relaxed)
    }

    /// The end of the server. What was asked for is answered, if it does not take long.
    async fn last_answer(&self) -> CloseFrame {
        let end = Instant::now() + LAST_ANSWER;
        while self.waits() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        close_frame(CloseCode::Away, "the server is ending")
    }

    /// Milliseconds since the start. Zero is never: one is added.
    fn millis(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    fn since(&self, clock: &AtomicU64) -> Duration {
        let then = Duration::from_millis(clock.load(Ordering::Relaxed).saturating_sub(1));
        self.start.elapsed().saturating_sub(then)
    }

    /// Whether the token of the last greeting is still good.
    fn still_allowed(&self) -> Result<(), Refusal> {
        let token = lock(&self.token);
        match &*token {
            Some(token) => Ok(self.core.hosted.authorize(token, &self.route).map(drop)?),
            None => Ok(()),
        }
    }

    async fn vet(&self, format: Format, message: &Bytes) -> Verdict {
        let speech = if format == Format::Json {
            Speech::Json
        } else {
            Speech::Protobuf
        };
        if let Some(token) = speech.hello(message) {
            return match self.greet(token).await {
                Ok(internal) => Verdict::Replace(speech.say_hello(&internal)),
                Err(refusal) => {
                    let end = greeting::close_frame(&refusal);
                    Verdict::AnswerAndEnd(speech.hello_error(&refusal), end)
                }
            };
        }
        if let Err(refusal) = self.still_allowed() {
            let end = close_frame(CloseCode::Policy, &refusal.message);
            return Verdict::AnswerAndEnd(speech.error(speech.request_id(message), &refusal), end);
        }
        let reads_only = self.reads_only.load(Ordering::Relaxed);
        let checked = self.look(format, message, reads_only).await;
        let mut account = lock(&self.account);
        let asked = if reads_only || speech.may_open(message) || account.has_refused() {
            match speech.asked(message) {
                Some(asked) => Some(asked),
                None => {
                    let refusal = Refusal::bad("the message is no request");
                    return Verdict::Answer(speech.error(speech.request_id(message), &refusal));
                }
            }
        } else {
            None
        };
        let summary = match checked {
            Ok(summary) => summary,
            Err(refusal) => {
                if refusal.code.starts_with("SQL_") {
                    self.core.counters.refused_sql();
                }
                let answer = speech.error(speech.request_id(message), &refusal);
                // What follows on it is refused here, too.
                match asked.or_else(|| speech.asked(message)) {
                    Some(asked) if asked.does == Does::StoreSql => account.refuse_sql(&asked, refusal),
                    Some(asked) => account.refuse_run(&asked, refusal),
                    None => {}
                }
                return Verdict::Answer(answer);
            }
        };
        if let Some(asked) = &asked {
            if asked.does == Does::StoreSql {
                // With another token it would be a write.
                account.note_sql(asked, summary.text.writes);
            } else if reads_only && account.runs_writing_sql(asked) {
                // The process would end the socket.
                let refusal = Refusal::read_only();
                let answer = speech.error(asked.request_id, &refusal);
                account.refuse_run(asked, refusal);
                return Verdict::Answer(answer);
            }
        }
        match asked.and_then(|asked| account.enter(&asked, speech, || self.core.open.place(&self.route.id, None))) {
            Some(answer) => Verdict::Answer(answer),
            None if !self.route.is_primary => integrity::ask_replica(format, message)
                .and_then(|message| match speech {
                    Speech::Json => Some(Message::Text(String::from_utf8(message).ok()?.into())),
                    Speech::Protobuf => Some(Message::Binary(message.into())),
                })
                .map_or(Verdict::Pass, Verdict::Replace),
            None => Verdict::Pass,
        }
    }

    /// Looks at the SQL of a message.
    async fn look(&self, format: Format, message: &Bytes, reads_only: bool) -> Result<BodySummary, Refusal> {
        let authorization = if reads_only {
            Authorization::ReadOnly
        } else {
            Authorization::FullAccess
        };
        let instance = if self.route.is_primary {
            InstanceKind::Primary
        } else {
            InstanceKind::Replica
        };
        let summary = super::look(format, message, authorization, instance).await?;
        super::refuse_growth(&self.core, &self.route, &summary)?;
        // The process would end the socket.
        if reads_only && summary.text.read_needs_full_access {
            return Err(Refusal::reads_in_another_form());
        }
        Ok(summary)
    }
}

fn close_frame(code: CloseCode, reason: &str) -> CloseFrame {
    // A frame has no room for more.
    let mut end = reason.len().min(120);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    CloseFrame {
        code,
        reason: reason[..end].into(),
    }
}

#[allow(clippy::unnecessary_wraps)]
fn frame(code: CloseCode, reason: &str) -> Option<CloseFrame> {
    Some(close_frame(code, reason))
}

//! SQL over WebSockets: the handshake with the client, and what becomes of an accepted socket.
//!
//! Before a token is sent nothing is asked of a process (`pending`); the token in a hello message is checked and replaced
//! (`hello`); then messages are passed on in both directions (`session`), each of the client's after it was checked
//! (`check`), until the socket's token, database, client or server ends (`liveness`). What a socket has open is in `state`,
//! what messages look like in `messages`.

mod check;
mod clock;
mod hello;
mod liveness;
mod messages;
mod moved;
mod pending;
mod process;
mod session;
mod state;
mod writes;

use super::Core;
use super::auth::read_authorization;
use super::error::GatewayError;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper_util::rt::TokioIo;
use pending::UnauthorizedSocket;
use process::message_limit;
use session::{ConnectedSocket, FAREWELL, SocketSession};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{self, Message};

/// Bytes of a client's longest message. Processes take no longer ones.
const LONGEST_MESSAGE: usize = 16 << 20;

/// Subprotocols of libSQL server, the one that it prefers first.
const SUBPROTOCOLS: [&str; 4] = ["hrana3-protobuf", "hrana3", "hrana2", "hrana1"];

/// Whether a request asks for a socket.
pub fn is_requested(headers: &HeaderMap) -> bool {
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
/// opened at every label, and nothing is asked of the database until a hello message has sent a token that opens it.
pub async fn open(core: &Arc<Core>, label: &str, mut request: Request<Body>) -> Result<Response<Body>, GatewayError> {
    let headers = request.headers();
    let key = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .cloned()
        .filter(|_| {
            headers
                .get(header::SEC_WEBSOCKET_VERSION)
                .is_some_and(|version| version == "13")
        })
        .ok_or_else(|| GatewayError::bad("only version 13 of the WebSocket protocol is supported"))?;
    let protocol = subprotocol(headers)?;
    let socket = match read_authorization(core, headers)? {
        Some(token) => {
            let token = token.to_owned();
            let (session, upstream) = SocketSession::connect(core, label, &token, protocol.as_ref()).await?;
            let session = session.with_header_token(token);
            AcceptedSocket::Connected(Box::new((session, upstream)))
        }
        None => AcceptedSocket::Unauthorized(UnauthorizedSocket {
            core: Arc::clone(core),
            label: label.to_owned(),
            protocol: protocol.clone(),
            slot: core.shares.pending_socket(label),
        }),
    };
    let upgrade = hyper::upgrade::on(&mut request);
    let core = Arc::clone(core);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(stream) => {
                let config = message_limit(Some(LONGEST_MESSAGE));
                let client = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, Some(config)).await;
                core.counters.count_sockets(1);
                run_socket(socket, client).await;
                core.counters.count_sockets(-1);
            }
            Err(error) => tracing::debug!(%error, "a client did not complete the WebSocket handshake"),
        }
    });
    Ok(switch_protocols(&key, protocol))
}

/// The answer that turns a connection into a socket.
fn switch_protocols(key: &HeaderValue, protocol: Option<HeaderValue>) -> Response<Body> {
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
    response
}

/// Chooses one of the subprotocols that a client offers, as libSQL server does (`hrana/ws/handshake.rs` there); none if the
/// client offers none, which means the first version.
fn subprotocol(headers: &HeaderMap) -> Result<Option<HeaderValue>, GatewayError> {
    let Some(offered) = headers.get(header::SEC_WEBSOCKET_PROTOCOL) else {
        return Ok(None);
    };
    let offered = offered.to_str().unwrap_or_default();
    SUBPROTOCOLS
        .into_iter()
        .find(|known| offered.split(',').any(|one| one.trim().eq_ignore_ascii_case(known)))
        .map(|chosen| Some(HeaderValue::from_static(chosen)))
        .ok_or_else(|| GatewayError::bad("none of these subprotocols is supported; use hrana3, hrana2 or hrana1"))
}

/// A client's socket that has been accepted.
enum AcceptedSocket {
    Unauthorized(UnauthorizedSocket),
    Connected(ConnectedSocket),
}

async fn run_socket<S>(socket: AcceptedSocket, mut client: WebSocketStream<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (connected, hello) = match socket {
        AcceptedSocket::Connected(connected) => (connected, None),
        AcceptedSocket::Unauthorized(socket) => match socket.wait_for_token(&mut client).await {
            Ok((connected, hello)) => (connected, Some(hello)),
            Err((answer, end)) => {
                let farewell = async {
                    if let Some(answer) = answer {
                        client.feed(answer).await?;
                    }
                    client.send(Message::Close(end)).await?;
                    // Clients do not wait for an answer before they go on. A connection that is closed while what they have sent is
                    // unread is reset, and the answer is lost with it.
                    while client.next().await.is_some_and(|message| message.is_ok()) {}
                    Ok::<_, tungstenite::Error>(())
                };
                let _ = tokio::time::timeout(FAREWELL, farewell).await;
                return;
            }
        },
    };
    let (session, upstream) = *connected;
    session.relay(client, upstream, hello).await;
}

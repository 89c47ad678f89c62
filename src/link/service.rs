//! What the listener does with a request of a node: who it is, whether it may, and what it gets. What the answers are is the
//! handler's.

use super::authority::{Authority, SigningRequest};
use super::identity::to_pem;
use super::messages::{
    BODY, HELLO_PATH, JOIN_PATH, JoinMessage, JoinedMessage, RENEW_PATH, REQUEST_PREFIX, RenewMessage, RenewedMessage,
    SMALL_BODY, TARGET_HEADER, WAIT_HEADER, error_response, json_response, parse_json, read_body,
};
use super::newcomers::Newcomers;
use super::node_connections::NodeConnections;
use super::streams::{OpenStreams, StreamGuard};
use super::transport::bridge;
use super::{NodeName, StreamTarget};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

/// The longest that an answer may wait for news.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How long the process on this machine may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Bytes of a path in the log. No path of the link is longer.
const LOGGED_PATH: usize = 100;

/// Answers nodes. Its functions may block: each call has a thread.
pub trait LinkHandler: Send + Sync + 'static {
    /// Decides about a machine that joins: checks its token, which can be used once, and names the node. A machine that asks again
    /// with the same public key has not got the answer, and may have it again.
    fn join(&self, request: &JoinRequest) -> Result<JoinApproval>;

    /// Fails when a node is not, or no longer, the machine of its location. Called before everything else that a node asks.
    fn check_node(&self, node: &NodeName) -> Result<()>;

    /// Answers a request.
    fn answer(&self, node: &NodeName, request: &NodeRequest) -> Result<HandlerAnswer>;

    /// Allows a byte stream, and returns where it leads. Fails when there is no such pool, or the epoch is not the one in force. That
    /// the target's location is the node's has been checked.
    fn authorize(&self, node: &NodeName, target: &StreamTarget) -> Result<StreamEnd>;
}

/// Where a byte stream of a node leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEnd {
    /// To a port of this machine.
    Here(SocketAddr),
    /// To the machine of another location, which checks it too.
    Location(String),
}

/// A machine's wish to become a node.
pub struct JoinRequest {
    pub token: Secret,
    /// The SHA-256 of the machine's public key, in hexadecimal.
    pub public_key: String,
    /// Where it asks from.
    pub peer: SocketAddr,
    /// What the machine says about itself, unchecked.
    pub details: Value,
}

/// What a machine that may join gets.
pub struct JoinApproval {
    pub node: NodeName,
    pub details: Value,
}

/// A request of a node, whose meaning is the handler's.
pub struct NodeRequest {
    pub name: String,
    pub body: Value,
}

/// What a handler has for a request.
pub enum HandlerAnswer {
    Ready(Value),
    /// There is no news: the request waits, and is answered again after a notification.
    NotYet,
}

/// What all connections share.
pub(super) struct LinkService {
    pub authority: Arc<Authority>,
    pub handler: Arc<dyn LinkHandler>,
    pub streams: Arc<OpenStreams>,
    /// Changes with every notification.
    pub news: watch::Sender<u64>,
    pub newcomers: Arc<Newcomers>,
    pub nodes: NodeConnections,
}

/// Where a request comes from.
#[derive(Clone)]
pub(super) struct RequestOrigin {
    pub peer: SocketAddr,
    /// None without a certificate.
    pub node: Option<NodeName>,
}

impl LinkService {
    /// Answers a request. What is refused is logged.
    pub async fn serve(self: Arc<Self>, origin: RequestOrigin, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let what = match request.uri().path() {
            "" => request.method().to_string(),
            path => path.to_owned(),
        };
        let service = Arc::clone(&self);
        let answer = match (&origin.node, request.method(), request.uri().path()) {
            (_, &Method::POST, JOIN_PATH) => service.join(origin.peer, request).await,
            (Some(node), &Method::CONNECT, _) => service.open_stream(node.clone(), request).await,
            (Some(node), &Method::POST, HELLO_PATH) => service.hello(node.clone()).await,
            (Some(node), &Method::POST, RENEW_PATH) => service.renew(node.clone(), request).await,
            (Some(node), &Method::POST, path) if path.starts_with(REQUEST_PREFIX) => {
                service.request(node.clone(), request).await
            }
            (None, ..) => Err(Error::new(
                Code::Unauthenticated,
                "a machine without a certificate can only join",
            )),
            _ => Err(Error::new(
                Code::PathNotFound,
                format!("the link has no {}", what.get(..LOGGED_PATH).unwrap_or(&what)),
            )),
        };
        answer.unwrap_or_else(|error| {
            let left_out = if origin.node.is_some() {
                Some(0)
            } else {
                self.newcomers.log_line()
            };
            if let Some(left_out) = left_out {
                let node = origin.node.map(|node| node.to_string()).unwrap_or_default();
                let request = what.get(..LOGGED_PATH).unwrap_or(&what);
                tracing::warn!(node, peer = %origin.peer, request, cause = error.full_message(), left_out, "link refused");
            }
            error_response(&error)
        })
    }

    async fn join(self: Arc<Self>, peer: SocketAddr, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
        let message: JoinMessage = parse_json(&read_body(request.into_body(), SMALL_BODY).await?)?;
        let signing_request = SigningRequest::parse(&message.signing_request)?;
        blocking(move || {
            let request = JoinRequest {
                token: Secret::new(message.token),
                public_key: signing_request.public_key(),
                peer,
                details: message.details,
            };
            let approval = self.handler.join(&request)?;
            let certificate = self.authority.issue_for_node(&signing_request, &approval.node)?;
            tracing::info!(node = %approval.node, %peer, "node joined");
            let answer = JoinedMessage {
                certificate: to_pem("CERTIFICATE", &certificate) + &to_pem("CERTIFICATE", self.authority.certificate()),
                details: approval.details,
            };
            Ok(json_response(StatusCode::OK, &answer))
        })
        .await
    }

    async fn hello(self: Arc<Self>, node: NodeName) -> Result<Response<Full<Bytes>>> {
        blocking(move || self.handler.check_node(&node)).await?;
        Ok(json_response(StatusCode::OK, &json!({})))
    }

    async fn renew(self: Arc<Self>, node: NodeName, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
        let message: RenewMessage = parse_json(&read_body(request.into_body(), SMALL_BODY).await?)?;
        let signing_request = SigningRequest::parse(&message.signing_request)?;
        blocking(move || {
            self.handler.check_node(&node)?;
            let certificate = self.authority.issue_for_node(&signing_request, &node)?;
            tracing::info!(%node, "certificate renewed");
            let certificate = to_pem("CERTIFICATE", &certificate);
            Ok(json_response(StatusCode::OK, &RenewedMessage { certificate }))
        })
        .await
    }

    async fn request(self: Arc<Self>, node: NodeName, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
        let wait = wait_of(request.headers());
        let name = request.uri().path().trim_start_matches(REQUEST_PREFIX).to_owned();
        // Before its body, which may be large.
        let (service, asking) = (Arc::clone(&self), node.clone());
        blocking(move || service.handler.check_node(&asking)).await?;
        let body = parse_json(&read_body(request.into_body(), BODY).await?)?;
        let request = Arc::new(NodeRequest { name, body });
        let deadline = Instant::now() + wait;
        let mut news = self.news.subscribe();
        loop {
            news.borrow_and_update();
            let (service, node, request) = (Arc::clone(&self), node.clone(), Arc::clone(&request));
            let answer = blocking(move || {
                service.handler.check_node(&node)?;
                service.handler.answer(&node, &request)
            });
            if let HandlerAnswer::Ready(value) = answer.await? {
                return Ok(json_response(StatusCode::OK, &value));
            }
            tokio::select! {
                changed = news.changed() => if changed.is_err() {
                    return Err(Error::new(Code::Unavailable, "the server is stopping"));
                },
                () = tokio::time::sleep_until(deadline) => {
                    let mut nothing = Response::new(Full::default());
                    *nothing.status_mut() = StatusCode::NO_CONTENT;
                    return Ok(nothing);
                }
            }
        }
    }

    async fn open_stream(
        self: Arc<Self>,
        node: NodeName,
        mut request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>> {
        let target = request
            .headers()
            .get(TARGET_HEADER)
            .map(|value| value.as_bytes().to_vec());
        let target: StreamTarget = parse_json(&target.unwrap_or_default())?;
        if target.location != node.location() {
            return Err(Error::new(
                Code::Forbidden,
                format!(
                    "the node of {} asks for a stream to {}",
                    node.location(),
                    target.location
                ),
            ));
        }
        let guard = self.streams.register(&node, &target);
        let (service, asking) = (Arc::clone(&self), target.clone());
        let end = blocking(move || {
            service.handler.check_node(&node)?;
            service.handler.authorize(&node, &asking)
        })
        .await?;
        let upgrade = hyper::upgrade::on(&mut request);
        match end {
            StreamEnd::Here(address) => {
                let upstream = connect(address).await?;
                tokio::spawn(carry(upgrade, upstream, guard, target));
            }
            StreamEnd::Location(location) => {
                let upstream = self.nodes.open_stream(&location, &target).await?;
                tokio::spawn(carry(upgrade, upstream, guard, target));
            }
        }
        Ok(Response::new(Full::default()))
    }
}

/// Connects to a process on this machine.
pub(super) async fn connect(address: SocketAddr) -> Result<TcpStream> {
    if !address.ip().is_loopback() {
        return Err(Error::new(Code::Internal, format!("{address} is not on this machine")));
    }
    let failed = || {
        Error::new(Code::Unavailable, format!("nothing listens on {address}"))
            .hint("the primary's process is not up; the replica tries again")
    };
    let connected = tokio::time::timeout(CONNECT, TcpStream::connect(address)).await;
    let stream = connected
        .map_err(|_| failed())?
        .map_err(|cause| failed().caused_by(cause))?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Carries a stream until a side ends it, or somebody does.
pub(super) async fn carry(
    upgrade: hyper::upgrade::OnUpgrade,
    mut upstream: impl AsyncRead + AsyncWrite + Unpin,
    mut guard: StreamGuard,
    target: StreamTarget,
) {
    if guard.is_ended() {
        return;
    }
    let Ok(downstream) = upgrade.await else {
        return;
    };
    let mut downstream = TokioIo::new(downstream);
    tokio::select! {
        carried = bridge(&mut downstream, &mut upstream) => tracing::debug!(%target, ?carried, "stream ended"),
        () = guard.ended() => tracing::info!(%target, "stream ended from here"),
    }
}

/// How long an answer may wait, as a request says.
fn wait_of(headers: &HeaderMap) -> Duration {
    let seconds = headers
        .get(WAIT_HEADER)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or_default()).min(LONGEST_WAIT)
}

/// Runs what may block on a thread for that.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|cause| Err(Error::new(Code::Internal, "the link's handler failed").caused_by(cause)))
}

//! The listener of the link: accepts nodes' connections, keeps a list of them, and ends them and their streams when asked to.

use super::authority::Authority;
use super::certificate::{LinkHolder, ParsedCertificate};
use super::newcomers::{Newcomer, Newcomers};
use super::node_connections::NodeConnections;
use super::service::{LinkHandler, LinkService, RequestOrigin, blocking};
use super::tls::{ALPN, CurrentCertificate, REVERSE_ALPN, server_config};
use super::transport::{LastHeard, WatchedStream, client_http, joining_http, server_http};
use super::{ForwardedPort, NodeName, StreamTarget};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Connections at a time, of which a node has one.
const CONNECTIONS: usize = 1_024;

/// How long the handshake of TLS may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a machine that is refused may take to close its end, and how many bytes of it are read meanwhile.
const FAREWELL: Duration = Duration::from_secs(1);
const UNREAD: u64 = 64 << 10;

/// How long a machine without a certificate may stay.
const JOINING: Duration = Duration::from_secs(20);

/// The longest pause before the server's certificate is looked at again.
const CHECK_CERTIFICATE: Duration = Duration::from_secs(3_600);

/// A node that is connected.
#[derive(Debug, Clone)]
pub struct ConnectedNode {
    pub node: NodeName,
    pub peer: SocketAddr,
    pub connected_since: SystemTime,
    /// When something last came from it: at most a few seconds ago.
    pub last_heard: SystemTime,
    /// How many byte streams it has open.
    pub streams: usize,
}

/// The listener, which runs until it is dropped.
pub struct LinkServer {
    shared: Arc<Listening>,
    address: SocketAddr,
    /// Taken when this is dropped.
    runtime: Option<Runtime>,
}

struct Listening {
    service: Arc<LinkService>,
    connections: Mutex<Connections>,
}

#[derive(Default)]
struct Connections {
    next: u64,
    open: BTreeMap<u64, OpenConnection>,
}

struct OpenConnection {
    node: NodeName,
    peer: SocketAddr,
    since: SystemTime,
    heard: LastHeard,
    /// Over it this side asks.
    is_reverse: bool,
    ended: watch::Sender<bool>,
}

impl LinkServer {
    /// Accepts nodes on a bound listener, on threads of its own.
    pub fn start(
        listener: std::net::TcpListener,
        authority: Arc<Authority>,
        handler: Arc<dyn LinkHandler>,
    ) -> Result<Self> {
        let failed = |error| Error::io(error, "cannot listen for nodes");
        let runtime = runtime().map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let first = authority.issue_for_server()?;
        let current = CurrentCertificate::new(&first);
        let config = server_config(authority.certificate(), Arc::clone(&current))?;
        let shared = Arc::new(Listening {
            service: Arc::new(LinkService {
                authority: Arc::clone(&authority),
                handler,
                streams: Arc::default(),
                news: watch::Sender::new(0),
                newcomers: Arc::default(),
                nodes: NodeConnections::default(),
            }),
            connections: Mutex::default(),
        });
        {
            let _entered = runtime.enter();
            let listener = TcpListener::from_std(listener).map_err(failed)?;
            let acceptor = TlsAcceptor::from(Arc::new(config));
            tokio::spawn(accept(listener, acceptor, Arc::clone(&shared)));
        }
        let renewal_in = ParsedCertificate::parse(first.certificate())?.renewal_in();
        runtime.spawn(renew_certificate(authority, current, renewal_in));
        Ok(Self {
            shared,
            address,
            runtime: Some(runtime),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has requests that wait for news answered again.
    pub fn notify(&self) {
        self.shared.service.news.send_modify(|number| *number += 1);
    }

    /// Opens a port of this machine whose connections go to the primary of a target's pool at a location of another machine. While
    /// that is not connected, or refuses, connections to the port end at once.
    pub fn forward(&self, location: &str, target: StreamTarget) -> Result<ForwardedPort> {
        // None only while this is dropped.
        let stopping = || Error::new(Code::Unavailable, "the link is being closed");
        let runtime = self.runtime.as_ref().ok_or_else(stopping)?;
        let connection = self.shared.service.nodes.of(location);
        ForwardedPort::open(runtime.handle(), connection, target, None)
    }

    /// Ends the byte streams that a filter chooses, and returns how many. Nodes open new ones, which are checked again.
    pub fn end_streams(&self, filter: impl Fn(&NodeName, &StreamTarget) -> bool) -> usize {
        self.shared.service.streams.end(filter)
    }

    /// Ends the connections of a node with all that goes over them, and returns how many. It dials again, and is checked again.
    pub fn disconnect(&self, node: &NodeName) -> usize {
        let connections = lock(&self.shared.connections);
        let chosen = connections.open.values().filter(|connection| connection.node == *node);
        chosen.fold(0, |count, connection| {
            connection.ended.send_replace(true);
            count + 1
        })
    }

    /// The nodes that are connected, in the order of their names. One that dials again is there twice until the old connection is
    /// noticed to be dead.
    #[must_use]
    pub fn nodes(&self) -> Vec<ConnectedNode> {
        let connections = lock(&self.shared.connections);
        let mut nodes: Vec<_> = connections
            .open
            .values()
            .filter(|connection| !connection.is_reverse)
            .map(|connection| ConnectedNode {
                node: connection.node.clone(),
                peer: connection.peer,
                connected_since: connection.since,
                last_heard: connection.heard.time(),
                streams: self.shared.service.streams.count(&connection.node),
            })
            .collect();
        nodes.sort_by(|one, other| one.node.cmp(&other.node));
        nodes
    }
}

impl Drop for LinkServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not waited for: this may be an async thread, where waiting is not allowed, and a handler may take long.
            runtime.shutdown_background();
        }
    }
}

/// The threads of a listener or a client.
pub(super) fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("link")
        .enable_all()
        .build()
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Listening>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // It is never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
                let newcomers = Arc::clone(&shared.service.newcomers);
                let Some(newcomer) = newcomers.register(peer.ip()) else {
                    log_refusal(
                        &newcomers,
                        peer,
                        "too many machines without a certificate are connected",
                    );
                    continue;
                };
                tokio::spawn(async move {
                    if let Err(error) = serve_connection(stream, newcomer, peer, acceptor, shared).await {
                        log_refusal(&newcomers, peer, &error.full_message());
                    }
                    drop(permit);
                });
            }
            // No file descriptors are left, or the node has gone. The pause keeps this from spinning.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a node's connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Logs why a machine that is not known to be a node was refused.
fn log_refusal(newcomers: &Newcomers, peer: SocketAddr, cause: &str) {
    if let Some(left_out) = newcomers.log_line() {
        tracing::warn!(%peer, cause, left_out, "link refused");
    }
}

/// Lets a machine that is refused hear why. It may have sent its first request already, and a connection that is closed while that is
/// unread is reset: the reason is lost with it.
async fn say_farewell(mut stream: WatchedStream) {
    let farewell = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(UNREAD), &mut tokio::io::sink()).await
    };
    // Whether it was heard is the machine's business.
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}

/// Serves a connection until it ends. Fails when it is refused before its first request.
async fn serve_connection(
    stream: TcpStream,
    newcomer: Newcomer,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    shared: Arc<Listening>,
) -> Result<()> {
    let stream = WatchedStream::new(stream);
    let heard = stream.last_heard();
    let refused = || Error::new(Code::Unauthenticated, "no TLS connection");
    let accepted = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream).into_fallible())
        .await
        .map_err(|_| refused().caused_by(std::io::Error::from(std::io::ErrorKind::TimedOut)))?;
    let tls = match accepted {
        Ok(tls) => tls,
        Err((cause, stream)) => {
            say_farewell(stream).await;
            return Err(refused().caused_by(cause));
        }
    };
    let origin = RequestOrigin {
        peer,
        node: node_of(&tls)?,
    };
    if tls.get_ref().1.alpn_protocol() == Some(REVERSE_ALPN) {
        drop(newcomer);
        return ask_over(tls, origin, heard, &shared).await;
    }
    let entry = origin
        .node
        .clone()
        .map(|node| ConnectionGuard::register(&shared, node, peer, heard, false));
    let is_joining = entry.is_none();
    // A node is none any more.
    let _newcomer = is_joining.then_some(newcomer);
    let http = if is_joining { joining_http() } else { server_http() };
    let (service, asking) = (Arc::clone(&shared.service), origin.clone());
    let serving = http.serve_connection(
        TokioIo::new(tls),
        service_fn(move |request| {
            let (service, origin) = (Arc::clone(&service), asking.clone());
            async move { Ok::<_, Infallible>(service.serve(origin, request).await) }
        }),
    );
    tokio::select! {
        ended = serving => if let (Some(node), Err(error)) = (&origin.node, ended) {
            tracing::info!(%node, %peer, cause = crate::net::innermost(&error), "node disconnected");
        },
        () = async { match entry {
            Some(mut entry) => entry.ended().await,
            None => std::future::pending().await,
        } } => {}
        () = tokio::time::sleep(JOINING), if is_joining => {}
    }
    Ok(())
}

/// Uses a connection over which a node answers, until it ends.
async fn ask_over(
    tls: TlsStream<WatchedStream>,
    origin: RequestOrigin,
    heard: LastHeard,
    shared: &Arc<Listening>,
) -> Result<()> {
    let Some(node) = origin.node else {
        return Err(Error::new(
            Code::Unauthenticated,
            "a machine without a certificate can only join",
        ));
    };
    // Registered before it is checked, so that none slips by when the node is removed.
    let mut entry = ConnectionGuard::register(shared, node.clone(), origin.peer, heard.clone(), true);
    let (service, peer) = (Arc::clone(&shared.service), node.clone());
    blocking(move || service.handler.check_node(&peer)).await?;
    let lost = |cause| Error::new(Code::Unavailable, "the node ended the connection").caused_by(cause);
    let (sender, connection) = client_http().handshake(TokioIo::new(tls)).await.map_err(lost)?;
    let state = shared.service.nodes.of(node.location());
    let number = state.connected(sender, heard);
    let cause = tokio::select! {
        ended = connection => match ended {
            Ok(()) => "the node ended it".to_owned(),
            Err(cause) => crate::net::innermost(&cause),
        },
        () = entry.ended() => "the node was disconnected".to_owned(),
    };
    tracing::info!(%node, peer = %origin.peer, cause, "no streams to the node any more");
    state.disconnected(number, &Error::new(Code::Unavailable, cause));
    Ok(())
}

/// The node on the other side of a connection; none without a certificate.
fn node_of(tls: &TlsStream<WatchedStream>) -> Result<Option<NodeName>> {
    let (_, session) = tls.get_ref();
    if !session
        .alpn_protocol()
        .is_some_and(|protocol| [ALPN, REVERSE_ALPN].contains(&protocol))
    {
        return Err(Error::new(Code::InvalidValue, "the peer does not speak HTTP/2"));
    }
    let Some(certificate) = session.peer_certificates().and_then(|chain| chain.first()) else {
        return Ok(None);
    };
    match ParsedCertificate::parse(certificate)?.holder {
        LinkHolder::Node(node) => Ok(Some(node)),
        LinkHolder::Server => Err(Error::new(Code::Forbidden, "the peer's certificate is not a node's")),
    }
}

/// A connection's entry in the list, which goes with it.
struct ConnectionGuard {
    shared: Arc<Listening>,
    number: u64,
    when_ended: watch::Receiver<bool>,
}

impl ConnectionGuard {
    fn register(shared: &Arc<Listening>, node: NodeName, peer: SocketAddr, heard: LastHeard, is_reverse: bool) -> Self {
        let (ended, when_ended) = watch::channel(false);
        let mut connections = lock(&shared.connections);
        connections.next += 1;
        let number = connections.next;
        if !is_reverse {
            tracing::info!(%node, %peer, "node connected");
        }
        let connection = OpenConnection {
            node,
            peer,
            since: SystemTime::now(),
            heard,
            is_reverse,
            ended,
        };
        connections.open.insert(number, connection);
        Self {
            shared: Arc::clone(shared),
            number,
            when_ended,
        }
    }

    async fn ended(&mut self) {
        // The sender is in the list for as long as this is.
        let _ = self.when_ended.wait_for(|ended| *ended).await;
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        lock(&self.shared.connections).open.remove(&self.number);
    }
}

/// Replaces the server's certificate long before it ends.
async fn renew_certificate(authority: Arc<Authority>, current: Arc<CurrentCertificate>, first: Duration) {
    let mut due = SystemTime::now() + first;
    loop {
        // In pieces: a machine that slept has its clock moved, and not its timers.
        let left = due.duration_since(SystemTime::now()).unwrap_or_default();
        tokio::time::sleep(left.min(CHECK_CERTIFICATE)).await;
        if SystemTime::now() < due {
            continue;
        }
        let renewed = authority.issue_for_server().and_then(|identity| {
            let next = ParsedCertificate::parse(identity.certificate())?.renewal_in();
            current.replace(&identity);
            Ok(next)
        });
        match renewed {
            Ok(next) => due = SystemTime::now() + next,
            Err(error) => {
                tracing::warn!(cause = error.full_message(), "cannot renew the link's certificate");
                due = SystemTime::now() + CHECK_CERTIFICATE;
            }
        }
    }
}

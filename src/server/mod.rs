//! The server: a hosted control plane behind HTTP. It listens, does TLS, passes each request to the Platform API
//! (`api`) or to the databases' gateway (`gateway`), and shuts down in order. All async code is here; the plane below
//! is called on threads that may block.
//!
//! Who may do what is decided by the plane; the command line is `commands::server`.

mod addresses;
mod api;
mod certificate;
mod dispatch;
mod file_body;
pub mod gateway;
mod listen;
mod local_origin;
mod log;
mod metrics;
pub mod metrics_text;
mod process_metrics;
mod public_text;
mod rate_limit;
mod request_context;
mod stop;
pub mod tls;
mod trusted_proxies;
mod write_timeout;

pub use log::{LogFormat, start as start_log};
pub use stop::StopSignals;

use crate::control::gateway_plane::GatewayPlane;
use crate::control::hosted::Hosted;
use crate::control::node::{NodePlane, ServingNode};
use crate::error::{Code, Error, Result};
use addresses::Addresses;
use api::once::RunningRequests;
use axum::http::HeaderMap;
use dispatch::Destination;
use gateway::Gateway;
use ipnet::IpNet;
use metrics::Metrics;
use rate_limit::Limiter;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use trusted_proxies::TrustedProxies;

/// How long requests under way may still take when the server is told to stop. Longer ones are aborted: the engine
/// needs the rest of the 10 seconds to stop.
const LAST_REQUESTS: Duration = Duration::from_millis(2_000);

/// How long the whole shutdown may take.
const END: Duration = Duration::from_millis(9_500);

/// Calls of the API at the same time; more wait. Each may hold a thread and a body of the largest size.
const CALLS: usize = 128;

/// Uploads and downloads of files at the same time; more wait.
const TRANSFERS: usize = 64;

/// How to run a server.
pub struct ServerConfig {
    /// Bound already, so that the plane can be told its address.
    pub listener: TcpListener,
    /// None: plain HTTP.
    pub tls: Option<tls::Identity>,
    /// Databases are also at `<label>.<domain>`.
    pub domain: Option<String>,
    /// The path below which clients reach the server, without a slash at its end; empty where there is none.
    pub prefix: String,
    /// Proxies whose word for a client's address is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// The rate limit of each token, in requests a second; 0 is unlimited.
    pub requests_per_second: u32,
    /// Connections that one address may have at the same time, this machine's own aside; 0 is unlimited.
    pub connections_per_address: u32,
    /// How long a statement may take.
    pub statement_timeout: Duration,
    /// Where the plane keeps its files, for the log.
    pub data_dir: PathBuf,
    /// Whether SIGHUP stops it. It has no certificate then, which SIGHUP would have it read again.
    pub ends_with_terminal: bool,
}

/// What all requests share.
struct Server {
    /// Empty while the plane is being opened.
    plane: OnceLock<ServedPlane>,
    gateway: OnceLock<Gateway>,
    domain: Option<String>,
    /// Whether it listens on this machine only.
    on_loopback: bool,
    statement_timeout: Duration,
    prefix: String,
    proxies: TrustedProxies,
    limiter: Limiter,
    addresses: Arc<Addresses>,
    metrics: Metrics,
    calls: Arc<Semaphore>,
    running_requests: RunningRequests,
    transfers: Arc<Semaphore>,
    /// True once the server was told to stop.
    stopping: watch::Receiver<bool>,
}

impl Server {
    fn new(config: &ServerConfig, stopping: watch::Receiver<bool>) -> Self {
        Self {
            plane: OnceLock::new(),
            gateway: OnceLock::new(),
            domain: config.domain.clone(),
            on_loopback: config
                .listener
                .local_addr()
                .is_ok_and(|address| address.ip().to_canonical().is_loopback()),
            statement_timeout: config.statement_timeout,
            prefix: config.prefix.clone(),
            proxies: TrustedProxies::new(config.trusted_proxies.clone()),
            limiter: Limiter::new(config.requests_per_second),
            addresses: Arc::new(Addresses::new(config.connections_per_address)),
            metrics: Metrics::default(),
            calls: Arc::new(Semaphore::new(CALLS)),
            running_requests: RunningRequests::default(),
            transfers: Arc::new(Semaphore::new(TRANSFERS)),
            stopping,
        }
    }

    /// The plane; `unavailable` until it is open.
    fn hosted(&self) -> Result<Arc<Hosted>> {
        match self.plane.get() {
            Some(ServedPlane::Hosted(hosted)) => Ok(Arc::clone(hosted)),
            Some(ServedPlane::Node(node)) => Err(Error::new(
                Code::PathNotFound,
                format!(
                    "this machine is location {} of a server, and has databases only: the Platform API is at the server",
                    node.location()
                ),
            )),
            None => Err(Error::new(Code::Unavailable, "the server is starting")
                .hint("try again in a moment; /ready returns 200 when it has started")),
        }
    }

    /// The plane of a machine that is a location of a server.
    fn node(&self) -> Option<&Arc<NodePlane>> {
        match self.plane.get() {
            Some(ServedPlane::Node(node)) => Some(node),
            _ => None,
        }
    }

    /// Whether a request may be under a name. On loopback only names that are known: anybody's name can be made to lead to
    /// this machine, and then a page of that name could ask. An address is no such name.
    fn knows_host(&self, host: Option<&str>) -> bool {
        let Some(host) = host.filter(|_| self.on_loopback) else {
            return true;
        };
        let parsed = url::Url::parse(&format!("http://{host}/"));
        let name = match parsed.as_ref().map(url::Url::host) {
            Ok(Some(url::Host::Domain(name))) => name.trim_end_matches('.').to_ascii_lowercase(),
            Ok(Some(_)) => return true,
            _ => return false,
        };
        let plane = self.plane.get().map(ServedPlane::to_gateway_plane);
        let base = plane.as_ref().and_then(|plane| plane.url().host_str());
        ["localhost"]
            .into_iter()
            .chain(self.domain.as_deref())
            .chain(base)
            .any(|known| {
                let known = known.to_ascii_lowercase();
                name.strip_suffix(&known)
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })
    }

    /// The database that a request is for, and the path there: the only one, where there is only one.
    fn destination(&self, host: Option<&str>, path: &str) -> Destination {
        let sole = match self.plane.get() {
            Some(ServedPlane::Hosted(hosted)) => hosted.sole_database(),
            _ => None,
        };
        match sole {
            Some(sole) => Destination::Database {
                label: sole.label.clone(),
                path: path.to_owned(),
            },
            None => dispatch::destination(self.domain.as_deref(), host, path),
        }
    }

    /// Whether a request may be answered by where it comes from. Where requests bring no token, pages of other machines may not.
    fn takes_origin(&self, headers: &HeaderMap) -> bool {
        let is_open = match self.plane.get() {
            Some(ServedPlane::Hosted(hosted)) => hosted.open_token().is_some(),
            _ => false,
        };
        !is_open || local_origin::is_local(headers)
    }

    /// The gateway; none until the plane is open.
    fn gateway(&self) -> Option<&Gateway> {
        let plane = self.plane.get()?;
        let made = || {
            let limits = gateway::GatewayLimits {
                answer: self.statement_timeout,
                ..gateway::GatewayLimits::default()
            };
            Gateway::new(plane.to_gateway_plane(), limits)
        };
        Some(self.gateway.get_or_init(made))
    }
}

/// What is behind a server.
#[derive(Clone)]
enum ServedPlane {
    Hosted(Arc<Hosted>),
    /// Databases only.
    Node(Arc<NodePlane>),
}

impl ServedPlane {
    fn to_gateway_plane(&self) -> Arc<dyn GatewayPlane> {
        match self {
            Self::Hosted(hosted) => Arc::clone(hosted) as _,
            Self::Node(node) => Arc::clone(node) as _,
        }
    }

    fn shutdown(&self) {
        match self {
            Self::Hosted(hosted) => hosted.shutdown(),
            Self::Node(node) => node.shutdown(),
        }
    }
}

/// A plane that is opened while the server answers already.
trait OpenedPlane: Send + Sync + 'static {
    fn to_served(self: &Arc<Self>) -> ServedPlane;
}

impl OpenedPlane for Hosted {
    fn to_served(self: &Arc<Self>) -> ServedPlane {
        ServedPlane::Hosted(Arc::clone(self))
    }
}

impl OpenedPlane for ServingNode {
    fn to_served(self: &Arc<Self>) -> ServedPlane {
        ServedPlane::Node(Arc::clone(&self.plane))
    }
}

/// Runs a server until it is told to stop by SIGTERM or SIGINT. It answers at once, with 503 until `open` has opened
/// the plane; then `started` is called with the plane and the other result of `open`.
pub fn run<T: Send + 'static>(
    config: ServerConfig,
    open: impl FnOnce() -> Result<(Hosted, T)> + Send + 'static,
    started: impl FnOnce(&Hosted, T) -> Result<()>,
) -> Result<()> {
    run_plane(config, open, started)
}

/// The same for a machine that is a location of a server, and serves clients.
pub fn run_node(
    config: ServerConfig,
    open: impl FnOnce() -> Result<ServingNode> + Send + 'static,
    started: impl FnOnce(&ServingNode) -> Result<()>,
) -> Result<()> {
    run_plane(config, || open().map(|node| (node, ())), |node, ()| started(node))
}

fn run_plane<P: OpenedPlane, T: Send + 'static>(
    config: ServerConfig,
    open: impl FnOnce() -> Result<(P, T)> + Send + 'static,
    started: impl FnOnce(&P, T) -> Result<()>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("torso-server")
        .build()
        .map_err(|error| Error::io(error, "cannot start threads"))?;
    let result = runtime.block_on(serve(config, open, started));
    // What still runs has had its time to end.
    runtime.shutdown_background();
    result
}

async fn serve<P: OpenedPlane, T: Send + 'static>(
    config: ServerConfig,
    open: impl FnOnce() -> Result<(P, T)> + Send + 'static,
    started: impl FnOnce(&P, T) -> Result<()>,
) -> Result<()> {
    let mut signals = stop::Signals::new(config.ends_with_terminal)?;
    let (stop, stopping) = watch::channel(false);
    let server = Arc::new(Server::new(&config, stopping));
    let acceptor = match config.ends_with_terminal {
        true => None,
        false => certificate::reloading(config.tls)?,
    };
    let listener = listen::adopt(config.listener)?;
    let accepting = tokio::spawn(listen::accept(listener, acceptor, Arc::clone(&server)));
    let (result, cause) = open_and_wait(&server, &config.data_dir, &mut signals, open, started).await;
    tracing::info!(cause, "server is shutting down");
    // Fails only if nobody listens, and then there is nobody to tell. Below, what takes too long is cut off.
    let _ = stop.send(true);
    tokio::select! {
        _ = tokio::time::timeout(END, shut_down(&server, accepting)) => {}
        // A second signal: end now. Processes that are left end with this one.
        _ = signals.next() => {}
    }
    tracing::info!("server stopped");
    result
}

/// Opens the plane, reports the start, and waits for a signal to stop. Returns the result, and why the server stops.
async fn open_and_wait<P: OpenedPlane, T: Send + 'static>(
    server: &Server,
    data_dir: &Path,
    signals: &mut stop::Signals,
    open: impl FnOnce() -> Result<(P, T)> + Send + 'static,
    started: impl FnOnce(&P, T) -> Result<()>,
) -> (Result<()>, &'static str) {
    let opening = tokio::task::spawn_blocking(open);
    tokio::pin!(opening);
    let opened = tokio::select! {
        opened = &mut opening => opened.unwrap_or_else(|_| Err(defect())),
        // Opening cannot be interrupted. If it takes too long, the processes that it has started end with this one.
        signal = signals.next() => {
            if let Ok(Ok(Ok((plane, _)))) = tokio::time::timeout(END, &mut opening).await {
                let _ = server.plane.set(Arc::new(plane).to_served());
            }
            return (Ok(()), signal);
        }
    };
    let (plane, token) = match opened {
        Ok((plane, token)) => (Arc::new(plane), token),
        Err(error) => return (Err(error), "error"),
    };
    let served = server.plane.get_or_init(|| plane.to_served());
    if let (ServedPlane::Hosted(hosted), Some((level, switch))) = (served, log::level_switch()) {
        hosted.set_log_switch(level, switch);
    }
    if let Err(error) = started(&plane, token) {
        return (Err(error), "error");
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        url = %served.to_gateway_plane().url(),
        data = %data_dir.display(),
        "server started"
    );
    (Ok(()), signals.next().await)
}

/// Waits for requests and sockets that are under way, and stops the plane.
async fn shut_down(server: &Server, accepting: JoinHandle<()>) {
    let requests = tokio::time::timeout(LAST_REQUESTS, accepting);
    let sockets = async {
        if let Some(gateway) = server.gateway() {
            let _ = tokio::time::timeout(LAST_REQUESTS, gateway.end()).await;
        }
    };
    let _ = tokio::join!(requests, sockets);
    if let Some(plane) = server.plane.get().cloned() {
        let _ = tokio::task::spawn_blocking(move || plane.shutdown()).await;
    }
}

/// The error for a panic on another thread.
fn defect() -> Error {
    Error::new(Code::Internal, "internal error: the request could not be answered")
        .hint("please report it; the server's log has the details")
}

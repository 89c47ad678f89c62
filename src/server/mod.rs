//! The server: a hosted control plane behind HTTP. It listens, speaks TLS, hands each request to the Platform API (`api`)
//! or to the gateway to databases, and ends in order. Everything that awaits is here; the plane below is called on threads
//! that may block.
//!
//! What may be done and by whom is the plane's; what the command line says is `commands::server`'s.

mod addresses;
mod api;
mod certificate;
mod dispatch;
pub mod gateway;
mod lanes;
mod limits;
mod listen;
mod log;
mod metrics;
mod patient;
mod stop;
pub mod tls;

pub use log::{Form as LogForm, Level as LogLevel, start as start_log};

use crate::control::hosted::Hosted;
use crate::error::{Code, Error, Result};
use addresses::Addresses;
use gateway::Gateway;
use lanes::Lanes;
use limits::Limiter;
use metrics::Metrics;
use std::net::TcpListener;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// How long requests under way may take once the server is to end. What runs longer is broken off: the engine's own end
/// needs the rest of the 10 seconds.
const LAST_REQUESTS: Duration = Duration::from_millis(2_000);

/// How long all that may take.
const END: Duration = Duration::from_millis(9_500);

/// Calls that work at the same time; more wait. Each may hold a thread and a request of the largest size.
const CALLS: usize = 128;

/// Files that come or go at the same time; more wait.
const TRANSFERS: usize = 64;

/// How a server is run.
pub struct Config {
    /// Bound already, so that the plane can be told its address.
    pub listener: TcpListener,
    /// None: plain HTTP.
    pub tls: Option<tls::Identity>,
    /// Databases are at `<label>.<domain>`, too.
    pub domain: Option<String>,
    /// Requests a second that one token may make in the long run; 0 is unlimited.
    pub requests_per_second: u32,
    /// Connections that one address may have at the same time, this machine's own aside; 0 is unlimited.
    pub connections_per_address: u32,
}

/// What every request can reach.
struct Server {
    /// None while the plane is being opened.
    hosted: OnceLock<Arc<Hosted>>,
    gateway: OnceLock<Gateway>,
    domain: Option<String>,
    limiter: Limiter,
    addresses: Arc<Addresses>,
    metrics: Metrics,
    calls: Arc<Semaphore>,
    transfers: Arc<Semaphore>,
    /// True once the server is to end.
    stopping: watch::Receiver<bool>,
}

impl Server {
    /// The plane: `unavailable` until it is open.
    fn hosted(&self) -> Result<Arc<Hosted>> {
        self.hosted.get().map(Arc::clone).ok_or_else(|| {
            Error::new(Code::Unavailable, "the server is starting")
                .hint("try again in a moment; /ready tells when it has started")
        })
    }

    /// The way to databases: none until the plane is open.
    fn gateway(&self) -> Option<&Gateway> {
        let hosted = self.hosted.get()?;
        let made = || Gateway::new(Arc::clone(hosted), gateway::Limits::default());
        Some(self.gateway.get_or_init(made))
    }
}

/// Runs a server until it is told to end by SIGTERM or SIGINT. It answers at once, with 503 until `open` has opened the
/// plane; then `started` is told of the plane, and of what else `open` has to tell.
pub fn run<T: Send + 'static>(
    config: Config,
    open: impl FnOnce() -> Result<(Hosted, T)> + Send + 'static,
    started: impl FnOnce(&Hosted, T) -> Result<()>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("torso-server")
        .build()
        .map_err(|error| Error::io(error, "cannot start threads"))?;
    let result = runtime.block_on(serve(config, open, started));
    // What still works has been given its time.
    runtime.shutdown_background();
    result
}

async fn serve<T: Send + 'static>(
    config: Config,
    open: impl FnOnce() -> Result<(Hosted, T)> + Send + 'static,
    started: impl FnOnce(&Hosted, T) -> Result<()>,
) -> Result<()> {
    let mut signals = stop::Signals::new()?;
    let (stop, stopping) = watch::channel(false);
    let server = Arc::new(Server {
        hosted: OnceLock::new(),
        gateway: OnceLock::new(),
        domain: config.domain,
        limiter: Limiter::new(config.requests_per_second),
        addresses: Arc::new(Addresses::new(config.connections_per_address)),
        metrics: Metrics::default(),
        calls: Arc::new(Semaphore::new(CALLS)),
        transfers: Arc::new(Semaphore::new(TRANSFERS)),
        stopping,
    });
    let acceptor = certificate::kept(config.tls)?;
    let listener = listen::adopt(config.listener)?;
    // Sockets are on them until the very end.
    let lanes = Arc::new(Lanes::start()?);
    let accepting = tokio::spawn(listen::accept(
        listener,
        acceptor,
        Arc::clone(&lanes),
        Arc::clone(&server),
    ));

    let opening = tokio::task::spawn_blocking(open);
    tokio::pin!(opening);
    let opened = tokio::select! {
        opened = &mut opening => Some(opened),
        () = signals.next() => None,
    };
    let mut result = Ok(());
    match opened {
        Some(opened) => match opened.unwrap_or_else(|_| Err(defect())) {
            Ok((hosted, told)) => {
                let hosted = Arc::new(hosted);
                let _ = server.hosted.set(Arc::clone(&hosted));
                result = started(&hosted, told);
                if result.is_ok() {
                    tracing::info!("started");
                    signals.next().await;
                }
            }
            Err(error) => result = Err(error),
        },
        // It cannot be given up half way. When it takes too long, the processes it has begun end with this one.
        None => {
            if let Ok(Ok(Ok((hosted, _)))) = tokio::time::timeout(END, &mut opening).await {
                let _ = server.hosted.set(Arc::new(hosted));
            }
        }
    }
    tracing::info!("ending");
    let _ = stop.send(true);
    let ending = async {
        let requests = tokio::time::timeout(LAST_REQUESTS, accepting);
        let sockets = async {
            if let Some(gateway) = server.gateway() {
                let _ = tokio::time::timeout(LAST_REQUESTS, gateway.end()).await;
            }
        };
        let _ = tokio::join!(requests, sockets);
        if let Some(hosted) = server.hosted.get().map(Arc::clone) {
            let _ = tokio::task::spawn_blocking(move || hosted.shutdown()).await;
        }
    };
    tokio::select! {
        _ = tokio::time::timeout(END, ending) => {}
        // Somebody is in a hurry; what processes are left end with this one.
        () = signals.next() => {}
    }
    drop(lanes);
    tracing::info!("ended");
    result
}

/// A panic on a thread of ours.
fn defect() -> Error {
    Error::new(
        Code::Internal,
        "a request could not be answered because of a defect in torso",
    )
    .hint("please report it; the server's log has the details")
}

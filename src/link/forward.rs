//! A port of a machine whose connections go over the link: a replica's process is pointed at it once and for all. The connection, the
//! primary behind it and its epoch may change.

use super::StreamTarget;
use super::connection_state::ConnectionState;
use super::messages::{BODY, TARGET_HEADER, parse_error, read_body};
use super::transport::bridge;
use crate::error::{Code, Error, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long the other side may take to open a stream: less than a client waits for its write.
const OPEN: Duration = Duration::from_secs(4);

/// A port that leads over the link. It is closed, with its connections, when this is dropped.
pub struct ForwardedPort {
    address: SocketAddr,
    target: watch::Sender<StreamTarget>,
    /// Held by each connection that is carried.
    carried: Arc<()>,
    accepting: JoinHandle<()>,
}

impl ForwardedPort {
    pub(super) fn open(
        runtime: &Handle,
        shared: Arc<ConnectionState>,
        target: StreamTarget,
        port: Option<u16>,
    ) -> Result<Self> {
        let listener = port
            .and_then(|port| std::net::TcpListener::bind(loopback(port)).ok())
            .map_or_else(|| std::net::TcpListener::bind(loopback(0)), Ok);
        let failed = |error| Error::io(error, "cannot open a port of this machine");
        let listener = listener.map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let _entered = runtime.enter();
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        let (target, targets) = watch::channel(target);
        let carried = Arc::new(());
        Ok(Self {
            address,
            target,
            carried: Arc::clone(&carried),
            accepting: tokio::spawn(accept(listener, shared, targets, carried)),
        })
    }

    /// Where it is, which does not change.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether a connection is carried now: the server allows it, and the primary takes it.
    #[must_use]
    pub fn is_carrying(&self) -> bool {
        // This, and the one that accepts.
        Arc::strong_count(&self.carried) > 2
    }

    /// Leads the port elsewhere. Its connections end if that is another target; new ones go there.
    pub fn repoint(&self, target: StreamTarget) {
        self.target.send_if_modified(|current| {
            let is_other = *current != target;
            *current = target;
            is_other
        });
    }
}

impl Drop for ForwardedPort {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    shared: Arc<ConnectionState>,
    targets: watch::Receiver<StreamTarget>,
    carried: Arc<()>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (shared, targets) = (Arc::clone(&shared), targets.clone());
                let carried = Arc::downgrade(&carried);
                tokio::spawn(async move {
                    if let Err(error) = carry(stream, &shared, targets, &carried).await {
                        shared.note_error(&error);
                        tracing::warn!(
                            peer = shared.peer(),
                            cause = error.full_message(),
                            "no stream over the link"
                        );
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Carries a connection until a side ends it, the link is lost, or the port leads elsewhere. Fails when it cannot be carried; it then
/// ends at once.
async fn carry(
    mut stream: TcpStream,
    shared: &ConnectionState,
    mut targets: watch::Receiver<StreamTarget>,
    carried: &Weak<()>,
) -> Result<()> {
    let _ = stream.set_nodelay(true);
    let target = targets.borrow_and_update().clone();
    let Some(sender) = shared.sender() else {
        // What is not connected is logged where it is dialed.
        return Ok(());
    };
    let mut remote = open_stream(sender, &target).await?;
    let _carried = carried.upgrade();
    tokio::select! {
        bytes = bridge(&mut stream, &mut remote) => tracing::debug!(%target, ?bytes, "stream ended"),
        // An error means that the port is closed.
        _ = targets.changed() => tracing::debug!(%target, "stream ended: its port leads elsewhere"),
    }
    Ok(())
}

/// Opens a byte stream over a connection. Fails when the other side does not allow it, and when it does not answer in time.
pub(super) async fn open_stream(
    sender: super::dial::RequestSender,
    target: &StreamTarget,
) -> Result<TokioIo<hyper::upgrade::Upgraded>> {
    tokio::time::timeout(OPEN, ask_for_stream(sender, target))
        .await
        .map_err(|_| {
            Error::new(
                Code::Timeout,
                format!("the other machine opened no stream for {target} in time"),
            )
        })?
}

async fn ask_for_stream(
    mut sender: super::dial::RequestSender,
    target: &StreamTarget,
) -> Result<TokioIo<hyper::upgrade::Upgraded>> {
    let invalid = |cause: &dyn std::fmt::Display| Error::new(Code::InvalidValue, format!("{target}: {cause}"));
    let header = serde_json::to_string(target).map_err(|cause| invalid(&cause))?;
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(super::certificate::DNS_NAME)
        .header(TARGET_HEADER, header)
        .body(Full::<Bytes>::default())
        .map_err(|cause| invalid(&cause))?;
    let lost = |cause: hyper::Error| {
        let cause = std::io::Error::other(crate::net::innermost(&cause));
        Error::new(
            Code::Unavailable,
            format!("the link broke off before there was a stream for {target}"),
        )
        .caused_by(cause)
    };
    sender.ready().await.map_err(lost)?;
    let response = sender.send_request(request).await.map_err(lost)?;
    let status = response.status();
    if !status.is_success() {
        return Err(parse_error(status, &read_body(response.into_body(), BODY).await?));
    }
    hyper::upgrade::on(response).await.map(TokioIo::new).map_err(lost)
}

/// The address of a port on this machine.
fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

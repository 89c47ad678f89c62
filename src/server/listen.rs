//! Connections: accepted while there is room, spoken to in HTTP/1.1 with or without TLS, and closed when their other end is
//! too slow or the server ends.

use super::lanes::Lanes;
use super::patient::{Patience, Patient};
use super::stop::stopped;
use super::{Server, dispatch};
use crate::error::{Error, Result};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// Connections at the same time; more wait in the system's queue.
const CONNECTIONS: u32 = 8_192;

/// How long a client may take for TLS's greetings.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a client may take for the head of a request, and an idle connection until its next one.
const HEAD: Duration = Duration::from_secs(30);

/// How long a client may take nothing of what it is sent, and how slowly it may take it: whoever is slower than a kilobyte
/// a second for minutes is no slow network.
const PATIENCE: Patience = Patience {
    stuck: Duration::from_secs(30),
    pace: 1_024,
    lag: Duration::from_secs(180),
};

/// Bytes of a request's head. As pieces of that size are read, it may have up to twice as many.
const HEAD_BYTES: usize = 32 << 10;

/// A bound listener, for the runtime.
pub(super) fn adopt(listener: std::net::TcpListener) -> Result<TcpListener> {
    listener
        .set_nonblocking(true)
        .and_then(|()| TcpListener::from_std(listener))
        .map_err(|error| Error::io(error, "cannot listen"))
}

/// Accepts until the server ends, and returns when the last connection is closed.
pub(super) async fn accept(
    listener: TcpListener,
    tls: Option<watch::Receiver<TlsAcceptor>>,
    lanes: Arc<Lanes>,
    server: Arc<Server>,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS as usize));
    loop {
        let next = async {
            // It is never closed.
            let permit = Arc::clone(&room).acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            () = stopped(server.stopping.clone()) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(share) = server.addresses.enter(peer.ip()) else {
                    continue;
                };
                let (server, tls) = (Arc::clone(&server), tls.as_ref().map(|tls| tls.borrow().clone()));
                let Ok(stream) = stream.into_std() else { continue };
                lanes.spawn(async move {
                    // From here on it is that lane's.
                    if let Ok(stream) = TcpStream::from_std(stream) {
                        greet(stream, peer, tls, server).await;
                    }
                    drop((permit, share));
                });
            }
            // No file handles are left, or the client went away; neither is a reason to stop, nor to spin.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    let _ = room.acquire_many(CONNECTIONS).await;
}

async fn greet(stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, server: Arc<Server>) {
    let _ = stream.set_nodelay(true);
    let stream = Patient::new(stream, PATIENCE);
    let Some(tls) = tls else {
        return converse(stream, peer, server).await;
    };
    match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => converse(stream, peer, server).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
        Err(_) => tracing::debug!(%peer, "TLS takes too long"),
    }
}

async fn converse<S>(stream: S, peer: SocketAddr, server: Arc<Server>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stopping = server.stopping.clone();
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(dispatch::answer(server, peer, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}

//! Accepts connections, up to a limit, and serves HTTP/1.1 on them, with or without TLS. They are closed when the
//! client is too slow, and when the server ends.

use super::stop::stopped;
use super::write_timeout::{WritePace, WriteTimeout};
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

/// Open connections; more wait in the system's queue.
const CONNECTIONS: u32 = 8_192;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a client may take to send the head of a request, and how long a connection may be idle before its next one.
const HEAD: Duration = Duration::from_secs(30);

/// How slowly a client may read its answer. No network that is merely slow is below a kilobyte a second for minutes.
const PATIENCE: WritePace = WritePace {
    stuck: Duration::from_secs(30),
    pace: 1_024,
    lag: Duration::from_secs(180),
};

/// Bytes of a request's head. Because it is read in pieces of this size, it may have up to twice as many.
const HEAD_BYTES: usize = 32 << 10;

/// Turns a bound listener into one of the async runtime.
pub(super) fn adopt(listener: std::net::TcpListener) -> Result<TcpListener> {
    listener
        .set_nonblocking(true)
        .and_then(|()| TcpListener::from_std(listener))
        .map_err(|error| Error::io(error, "cannot listen"))
}

/// Accepts connections until the server ends; returns when the last one is closed.
pub(super) async fn accept(listener: TcpListener, tls: Option<watch::Receiver<TlsAcceptor>>, server: Arc<Server>) {
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
                // A proxy's connections are those of all its clients.
                let share = match server.proxies.has(peer.ip()) {
                    true => None,
                    false => match server.addresses.enter(peer.ip()) {
                        Some(share) => Some(share),
                        None => continue,
                    },
                };
                let (server, tls) = (Arc::clone(&server), tls.as_ref().map(|tls| tls.borrow().clone()));
                tokio::spawn(async move {
                    accept_connection(stream, peer, tls, server).await;
                    drop((permit, share));
                });
            }
            // No file descriptors are left, or the client has gone. Neither is a reason to stop; the pause keeps this
            // from spinning.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    // Each connection has a permit: all permits together are had when the last one is closed. The semaphore is never closed.
    let _ = room.acquire_many(CONNECTIONS).await;
}

async fn accept_connection(stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, server: Arc<Server>) {
    let _ = stream.set_nodelay(true);
    let stream = WriteTimeout::new(stream, PATIENCE);
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

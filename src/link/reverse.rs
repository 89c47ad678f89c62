//! Streams towards a node. HTTP/2 has requests of one side only, and a node dials: it may be behind a gateway that lets nobody in. So it
//! dials a second connection, with the same certificates and heartbeats, over which the server asks and the node answers.

use super::connection_state::ConnectionState;
use super::dial::{FIRST_PAUSE, LONGEST_PAUSE, dial_reverse};
use super::messages::{TARGET_HEADER, error_response, parse_json};
use super::service::{blocking, carry, connect};
use super::streams::OpenStreams;
use super::tls::reverse_config;
use super::transport::server_http;
use super::{NodeName, StreamTarget};
use crate::error::{Code, Error, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A connection that lasts for so long was not refused.
const ACCEPTED: Duration = Duration::from_secs(5);

/// Decides about the streams that the server opens at a node. Its functions may block: each call has a thread.
pub trait StreamHandler: Send + Sync + 'static {
    /// Allows a stream, and returns where it leads. Fails when this machine has no such primary, or the epoch is not the one in force.
    fn authorize(&self, target: &StreamTarget) -> Result<StreamPort>;
}

/// A port of this machine.
pub struct StreamPort {
    pub address: SocketAddr,
    /// Asked after a connection was made, and before anything is sent: whether it is the process that is meant.
    pub is_right: Box<dyn Fn() -> bool + Send + Sync>,
}

/// What is needed to answer the server.
pub(super) struct StreamServer {
    pub node: NodeName,
    pub handler: Arc<dyn StreamHandler>,
    /// Of the connection over which this machine asks.
    pub config: Arc<ClientConfig>,
    pub connection: Arc<ConnectionState>,
    pub streams: Arc<OpenStreams>,
}

impl StreamServer {
    /// Dials while there is a connection to the server, and answers it over that.
    pub async fn run(self) {
        let config = Arc::new(reverse_config(&self.config));
        let this = Arc::new(self);
        let server = this.connection.peer();
        let mut pause = FIRST_PAUSE;
        loop {
            this.connection.wait_connected().await;
            let began = Instant::now();
            let ended = Arc::clone(&this).serve(Arc::clone(&config)).await;
            let cause = ended.err().map(|error| error.full_message());
            if began.elapsed() >= ACCEPTED {
                tracing::info!(server, cause, "the server opens no streams any more");
                pause = FIRST_PAUSE;
            } else {
                tracing::warn!(server, cause, "the server cannot open streams to this machine");
            }
            tokio::time::sleep(pause.mul_f64(1.0 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn serve(self: Arc<Self>, config: Arc<ClientConfig>) -> Result<()> {
        let tls = dial_reverse(self.connection.peer(), config).await?;
        let answer = service_fn(move |request| {
            let this = Arc::clone(&self);
            async move {
                Ok::<_, Infallible>(this.answer(request).await.unwrap_or_else(|error| {
                    tracing::warn!(cause = error.full_message(), "a stream of the server is refused");
                    error_response(&error)
                }))
            }
        });
        server_http()
            .serve_connection(TokioIo::new(tls), answer)
            .await
            .map_err(|cause| {
                let cause = std::io::Error::other(crate::net::innermost(&cause));
                Error::new(Code::Unavailable, "the connection has ended").caused_by(cause)
            })
    }

    async fn answer(&self, mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
        if request.method() != Method::CONNECT {
            return Err(Error::new(Code::PathNotFound, "a node only has streams"));
        }
        let target = request.headers().get(TARGET_HEADER);
        let target: StreamTarget = parse_json(target.map(HeaderValue::as_bytes).unwrap_or_default())?;
        // Registered before it is checked, as at the listener.
        let guard = self.streams.register(&self.node, &target);
        let (handler, wanted) = (Arc::clone(&self.handler), target.clone());
        let port = blocking(move || handler.authorize(&wanted)).await?;
        let upstream = connect(port.address).await?;
        if !(port.is_right)() {
            return Err(Error::new(
                Code::Unavailable,
                format!("another program listens on {}", port.address),
            ));
        }
        tokio::spawn(carry(hyper::upgrade::on(&mut request), upstream, guard, target));
        Ok(Response::new(Full::default()))
    }
}

//! A node's end of the link: holds one connection to the server, dials again when it is lost, renews the certificate, and has
//! requests and byte streams go over the connection of the moment.

use super::authority::generate_request;
use super::connection_state::{ConnectionState, LinkStatus};
use super::dial::{DialedConnection, FIRST_PAUSE, LONGEST_PAUSE, dial, send};
use super::forward::ForwardedPort;
use super::identity::NodeIdentity;
use super::messages::{HELLO_PATH, RENEW_PATH, REQUEST_PREFIX, RenewMessage, RenewedMessage};
use super::reverse::{StreamHandler, StreamServer};
use super::server::runtime;
use super::streams::OpenStreams;
use super::tls::{CurrentCertificate, client_config};
use super::{NodeName, StreamTarget};
use crate::error::{Code, Error, Result};
use crate::sync::{read, write};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};
use tokio::runtime::Runtime;

/// How long a request waits for a connection.
const CONNECTION: Duration = Duration::from_secs(5);

/// How long the end of a connection may take to be known once a request over it has failed.
const END: Duration = Duration::from_secs(1);

/// The longest pause before the certificate is looked at again, and the pause after a renewal that failed.
const CHECK_CERTIFICATE: Duration = Duration::from_secs(600);

/// A node's end of the link, which runs until it is dropped.
pub struct LinkClient {
    shared: Arc<ClientState>,
    /// Taken when this is dropped.
    runtime: Option<Runtime>,
}

struct ClientState {
    config: Arc<ClientConfig>,
    certificate: Arc<CurrentCertificate>,
    identity: RwLock<Arc<NodeIdentity>>,
    connection: Arc<ConnectionState>,
    /// Those that the server has opened.
    streams: Arc<OpenStreams>,
}

impl LinkClient {
    /// Dials the server at `HOST:PORT` until it answers, and again whenever the connection is lost, on threads of its own.
    pub fn start(address: &str, identity: NodeIdentity) -> Result<Self> {
        let runtime = runtime().map_err(|error| Error::io(error, "cannot start the link"))?;
        let certificate = CurrentCertificate::new(&identity.tls);
        let shared = Arc::new(ClientState {
            config: Arc::new(client_config(identity.tls.authority(), Arc::clone(&certificate))?),
            certificate,
            identity: RwLock::new(Arc::new(identity)),
            connection: Arc::new(ConnectionState::new(address)),
            streams: Arc::default(),
        });
        runtime.spawn(keep_connected(Arc::clone(&shared)));
        runtime.spawn(renew_certificate(Arc::clone(&shared)));
        Ok(Self {
            shared,
            runtime: Some(runtime),
        })
    }

    /// The node that this is.
    #[must_use]
    pub fn node(&self) -> NodeName {
        read(&self.shared.identity).name().clone()
    }

    /// When the node's certificate ends.
    #[must_use]
    pub fn certificate_valid_until(&self) -> SystemTime {
        read(&self.shared.identity).valid_until()
    }

    /// Renews the certificate now. The connection goes on; the next one uses the new certificate.
    pub fn renew_certificate(&self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        self.wait_for(async move { renew(&shared).await })
    }

    /// How the link is.
    #[must_use]
    pub fn status(&self) -> LinkStatus {
        self.shared.connection.status()
    }

    /// Sends a request and waits for its answer. Blocks. Fails with the server's error, or with `unavailable` and the cause when
    /// there is no connection for some seconds.
    pub fn request(&self, name: &str, body: &Value) -> Result<Value> {
        self.request_within(name, body, Duration::ZERO)?
            .ok_or_else(|| Error::new(Code::Unavailable, format!("the server has no answer to {name} yet")))
    }

    /// Sends a request whose answer may wait for news, and blocks for so long; none when there was no news.
    pub fn request_within(&self, name: &str, body: &Value, wait: Duration) -> Result<Option<Value>> {
        let (shared, path, body) = (
            Arc::clone(&self.shared),
            format!("{REQUEST_PREFIX}{name}"),
            body.clone(),
        );
        self.wait_for(async move {
            let sender = shared.connection.sender_within(CONNECTION).await?;
            send(sender, &path, &body, wait).await
        })
    }

    /// Opens a port of this machine whose connections go over the link to a target's primary. The address stays the same whatever
    /// becomes of the connection and of the target; `port` is the one to use where it is free. While there is no connection, or the
    /// server refuses, connections to it end at once.
    pub fn forward(&self, target: StreamTarget, port: Option<u16>) -> Result<ForwardedPort> {
        // None only while this is dropped.
        let runtime = self.runtime.as_ref().ok_or_else(stopping)?;
        ForwardedPort::open(runtime.handle(), Arc::clone(&self.shared.connection), target, port)
    }

    /// Lets the server open streams to this machine, which a handler allows each. To be called once.
    pub fn serve_streams(&self, handler: Arc<dyn StreamHandler>) -> Result<()> {
        let runtime = self.runtime.as_ref().ok_or_else(stopping)?;
        let server = StreamServer {
            node: read(&self.shared.identity).name().clone(),
            handler,
            config: Arc::clone(&self.shared.config),
            connection: Arc::clone(&self.shared.connection),
            streams: Arc::clone(&self.shared.streams),
        };
        runtime.spawn(server.run());
        Ok(())
    }

    /// Ends the streams of the server that a filter chooses, and returns how many. It opens new ones, which are checked again.
    pub fn end_streams(&self, filter: impl Fn(&StreamTarget) -> bool) -> usize {
        self.shared.streams.end(|_, target| filter(target))
    }

    /// Blocks until work is done on the link's own threads, so that the caller may be on any.
    fn wait_for<T: Send + 'static>(&self, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        let runtime = self.runtime.as_ref().ok_or_else(stopping)?;
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        runtime.spawn(async move {
            // The receiver is there until it has the answer.
            let _ = answer.send(work.await);
        });
        answered.recv().unwrap_or_else(|_| Err(stopping()))
    }
}

impl Drop for LinkClient {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn stopping() -> Error {
    Error::new(Code::Unavailable, "the link is being closed")
}

/// Dials, and dials again.
async fn keep_connected(shared: Arc<ClientState>) {
    let state = &shared.connection;
    let mut pause = FIRST_PAUSE;
    loop {
        match connect(&shared).await {
            Ok(connection) => {
                pause = FIRST_PAUSE;
                let number = state.connected(connection.sender, connection.heard);
                tracing::info!(server = state.peer(), "link connected");
                let error = connection.ended.await.unwrap_or_else(|_| stopping());
                state.disconnected(number, &error);
                tracing::warn!(server = state.peer(), cause = error.full_message(), "link lost");
            }
            Err(error) => {
                state.dial_failed(&error);
                tracing::warn!(
                    server = state.peer(),
                    cause = error.full_message(),
                    "cannot connect the link"
                );
            }
        }
        tokio::time::sleep(pause.mul_f64(1.0 + fastrand::f64() / 2.0)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Dials once. It counts only when the server has answered: with TLS 1.3 it refuses a certificate after the handshake.
async fn connect(shared: &ClientState) -> Result<DialedConnection> {
    let mut connection = dial(shared.connection.peer(), Arc::clone(&shared.config)).await?;
    match send::<Value>(connection.sender.clone(), HELLO_PATH, &json!({}), Duration::ZERO).await {
        Ok(_) => Ok(connection),
        Err(error) => {
            // Where the connection has ended, its end says more than that of the request.
            let ended = tokio::time::timeout(END, &mut connection.ended).await;
            connection.ended.abort();
            match ended {
                Ok(Ok(cause)) if error.code() == Code::Unavailable => Err(cause),
                _ => Err(error),
            }
        }
    }
}

/// Renews the certificate when a third of its time is over, which leaves two thirds for trying again.
async fn renew_certificate(shared: Arc<ClientState>) {
    loop {
        // In pieces: a machine that slept has its clock moved, and not its timers.
        let left = read(&shared.identity).renewal_in();
        tokio::time::sleep(left.clamp(Duration::from_millis(100), CHECK_CERTIFICATE)).await;
        if !read(&shared.identity).renewal_in().is_zero() {
            continue;
        }
        if let Err(error) = renew(&shared).await {
            tracing::warn!(cause = error.full_message(), "cannot renew the node's certificate");
            tokio::time::sleep(CHECK_CERTIFICATE).await;
        }
    }
}

async fn renew(shared: &ClientState) -> Result<()> {
    let (key, signing_request) = generate_request()?;
    let sender = shared.connection.sender_within(CONNECTION).await?;
    let message = RenewMessage { signing_request };
    let renewed: Option<RenewedMessage> = send(sender, RENEW_PATH, &message, Duration::ZERO).await?;
    let unusable = || Error::new(Code::Unavailable, "the server's answer has no certificate");
    let certificate = CertificateDer::from_pem_slice(renewed.ok_or_else(unusable)?.certificate.as_bytes())
        .map_err(|cause| unusable().caused_by(cause))?;
    let next = read(&shared.identity).renewed(certificate, key)?;
    next.store()?;
    shared.certificate.replace(&next.tls);
    *write(&shared.identity) = Arc::new(next);
    tracing::info!("certificate renewed");
    Ok(())
}

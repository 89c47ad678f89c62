//! How a node's connection is at the moment: what sends requests over it, and what is said about it.

use super::dial::RequestSender;
use super::transport::LastHeard;
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// How the link is.
#[derive(Debug, Clone, Default)]
pub struct LinkStatus {
    /// None while there is no connection.
    pub connected_since: Option<SystemTime>,
    /// When something last came from the server, over this connection or the one before.
    pub last_heard: Option<SystemTime>,
    /// Why the last connection ended or could not be made, or the last stream was refused; with its cause.
    pub last_error: Option<String>,
}

/// The connection of the moment.
pub(super) struct ConnectionState {
    server: String,
    sender: watch::Sender<Option<RequestSender>>,
    status: Mutex<(LinkStatus, Option<LastHeard>)>,
}

impl ConnectionState {
    /// There is no connection yet to the server at an address.
    pub fn new(server: &str) -> Self {
        Self {
            server: server.to_owned(),
            sender: watch::Sender::new(None),
            status: Mutex::default(),
        }
    }

    /// The address of the server.
    pub fn server(&self) -> &str {
        &self.server
    }

    pub fn status(&self) -> LinkStatus {
        let status = lock(&self.status);
        LinkStatus {
            last_heard: status.1.as_ref().map(LastHeard::time),
            ..status.0.clone()
        }
    }

    /// Has a new connection used from now on.
    pub fn connected(&self, sender: RequestSender, heard: LastHeard) {
        {
            let mut status = lock(&self.status);
            status.0.connected_since = Some(SystemTime::now());
            status.0.last_error = None;
            status.1 = Some(heard);
        }
        self.sender.send_replace(Some(sender));
    }

    /// Has no connection used until there is another.
    pub fn disconnected(&self, error: &Error) {
        self.sender.send_replace(None);
        lock(&self.status).0.connected_since = None;
        self.note_error(error);
    }

    /// Notes why something does not work.
    pub fn note_error(&self, error: &Error) {
        lock(&self.status).0.last_error = Some(error.full_message());
    }

    /// What sends requests now; none without a connection.
    pub fn sender(&self) -> Option<RequestSender> {
        self.sender.borrow().clone()
    }

    /// What sends requests, as soon as there is a connection.
    pub async fn sender_within(&self, patience: Duration) -> Result<RequestSender> {
        let mut current = self.sender.subscribe();
        let connected = tokio::time::timeout(patience, current.wait_for(Option::is_some)).await;
        let sender = connected.ok().and_then(|connected| connected.ok()?.clone());
        sender.ok_or_else(|| {
            let error = Error::new(
                Code::Unavailable,
                format!("no connection to the server at {}", self.server),
            );
            match lock(&self.status).0.last_error.clone() {
                Some(cause) => error.caused_by(std::io::Error::other(cause)),
                None => error,
            }
        })
    }
}

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
    /// The server has refused this machine when it last dialed: it is its location no more.
    pub is_refused: bool,
}

/// The connection of the moment.
pub(super) struct ConnectionState {
    /// Who is at the other end.
    peer: String,
    sender: watch::Sender<Option<RequestSender>>,
    status: Mutex<Status>,
}

#[derive(Default)]
struct Status {
    link: LinkStatus,
    heard: Option<LastHeard>,
    /// How many connections there have been.
    connections: u64,
}

impl ConnectionState {
    /// There is no connection yet to a peer: the server at an address, or the node of a location.
    pub fn new(peer: &str) -> Self {
        Self {
            peer: peer.to_owned(),
            sender: watch::Sender::new(None),
            status: Mutex::default(),
        }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    pub fn status(&self) -> LinkStatus {
        let status = lock(&self.status);
        LinkStatus {
            last_heard: status.heard.as_ref().map(LastHeard::time),
            ..status.link.clone()
        }
    }

    /// Has a new connection used from now on; returns its number.
    pub fn connected(&self, sender: RequestSender, heard: LastHeard) -> u64 {
        let mut status = lock(&self.status);
        status.link.connected_since = Some(SystemTime::now());
        status.link.last_error = None;
        status.link.is_refused = false;
        status.heard = Some(heard);
        status.connections += 1;
        self.sender.send_replace(Some(sender));
        status.connections
    }

    /// Has no connection used until there is another, unless there is one already since that of a number.
    pub fn disconnected(&self, number: u64, error: &Error) {
        {
            let mut status = lock(&self.status);
            if status.connections != number {
                return;
            }
            self.sender.send_replace(None);
            status.link.connected_since = None;
        }
        self.note_error(error);
    }

    /// Notes why something does not work.
    pub fn note_error(&self, error: &Error) {
        lock(&self.status).link.last_error = Some(error.full_message());
    }

    /// Notes why the server could not be dialed.
    pub fn dial_failed(&self, error: &Error) {
        self.note_error(error);
        lock(&self.status).link.is_refused = error.code() == Code::Forbidden;
    }

    /// What sends requests now; none without a connection.
    pub fn sender(&self) -> Option<RequestSender> {
        self.sender.borrow().clone()
    }

    /// Waits until there is a connection.
    pub async fn wait_connected(&self) {
        // The sender is there for as long as this is.
        let _ = self.sender.subscribe().wait_for(Option::is_some).await;
    }

    /// What sends requests, as soon as there is a connection.
    pub async fn sender_within(&self, patience: Duration) -> Result<RequestSender> {
        let mut current = self.sender.subscribe();
        let connected = tokio::time::timeout(patience, current.wait_for(Option::is_some)).await;
        let sender = connected.ok().and_then(|connected| connected.ok()?.clone());
        sender.ok_or_else(|| {
            let error = Error::new(
                Code::Unavailable,
                format!("no connection to the server at {}", self.peer),
            );
            match lock(&self.status).link.last_error.clone() {
                Some(cause) => error.caused_by(std::io::Error::other(cause)),
                None => error,
            }
        })
    }
}

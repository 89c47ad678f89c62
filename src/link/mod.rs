//! The link between machines: requests and byte streams of nodes, over one TLS 1.3 connection for each node, with certificates on both
//! sides and heartbeats.
//!
//! The server's machine listens ([`LinkServer`]); each node dials ([`LinkClient`]). Certificates come from an [`Authority`] of the
//! server's own and say which location and node their holder is. Above TLS there is HTTP/2: requests with JSON bodies, and `CONNECT`
//! for byte streams. So flow control, many streams in one connection and heartbeats (`PING`) are the library's.
//!
//! Streams towards a node go over a second connection, which the node dials too, and over which it answers (`reverse`).
//!
//! What is said over the link, who may be told what, and which epoch is in force, is left to a [`LinkHandler`].

mod authority;
mod certificate;
mod client;
mod connection_state;
mod dial;
mod forward;
mod identity;
mod join;
mod messages;
mod newcomers;
mod node_connections;
mod reverse;
mod server;
mod service;
mod streams;
#[cfg(test)]
mod tests;
mod tls;
mod transport;

pub use authority::Authority;
pub use client::LinkClient;
pub use connection_state::LinkStatus;
pub use forward::ForwardedPort;
pub use identity::NodeIdentity;
pub use join::{JoinedNode, join};
pub use reverse::{StreamHandler, StreamPort};
pub use server::{ConnectedNode, LinkServer};
pub use service::{HandlerAnswer, JoinApproval, JoinRequest, LinkHandler, NodeRequest, StreamEnd};

use crate::error::{Code, Error, Result};
use serde::{Deserialize, Serialize};

/// A node: the machine that is, or was, a location. It comes from a certificate that was verified, never from what a peer says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeName {
    location: String,
    node: String,
}

impl NodeName {
    /// Names a node. Both parts have 1 to 64 of a-z, 0-9 and `-`.
    pub fn new(location: &str, node: &str) -> Result<Self> {
        for part in [location, node] {
            let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if part.is_empty() || part.len() > 64 || !part.bytes().all(is_allowed) {
                return Err(Error::new(
                    Code::InvalidName,
                    format!("{part:?} cannot be in the name of a node"),
                ));
            }
        }
        Ok(Self {
            location: location.to_owned(),
            node: node.to_owned(),
        })
    }

    /// The code of its location.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Its id, which no other machine ever has.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }
}

impl std::fmt::Display for NodeName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.location, self.node)
    }
}

/// What a byte stream leads to at the process of a pool's primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamPurpose {
    /// The replication log, for replicas.
    #[default]
    Log,
    /// The port that takes SQL, for a gateway.
    Sql,
}

/// What a byte stream is for: a pool, and who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StreamTarget {
    /// The organization's id.
    pub organization: String,
    pub pool: String,
    /// Where the replicas are; for SQL, where the primary is. Of a stream that a node opens it has to be the location in the
    /// certificate.
    pub location: String,
    /// The primary's epoch, as the side that opens the stream knows it.
    pub epoch: u64,
    #[serde(default)]
    pub purpose: StreamPurpose,
}

impl StreamTarget {
    /// Fails unless it is for the epoch that is in force.
    pub fn check_epoch(&self, epoch: u64) -> Result<()> {
        if self.epoch == epoch {
            return Ok(());
        }
        Err(Error::new(
            Code::Conflict,
            format!(
                "pool {} is in epoch {epoch}, and the stream is for epoch {}",
                self.pool, self.epoch
            ),
        ))
    }
}

impl std::fmt::Display for StreamTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            organization,
            pool,
            location,
            epoch,
            purpose,
        } = self;
        let what = match purpose {
            StreamPurpose::Log => "",
            StreamPurpose::Sql => "SQL of ",
        };
        write!(f, "{what}{organization}/{pool} to {location} in epoch {epoch}")
    }
}

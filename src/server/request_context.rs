//! The id of a request, and who sent it.

use std::net::{IpAddr, SocketAddr};

/// What is known of every request. It is among the request's extensions.
#[derive(Debug, Clone)]
pub(super) struct RequestContext {
    pub id: String,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// Whoever asks, perhaps through a proxy.
    pub client: IpAddr,
}

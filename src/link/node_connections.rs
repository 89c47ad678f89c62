//! The connections over which nodes answer the server, by location.

use super::StreamTarget;
use super::connection_state::ConnectionState;
use super::forward::open_stream;
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The table of these.
#[derive(Default)]
pub(super) struct NodeConnections(Mutex<BTreeMap<String, Arc<ConnectionState>>>);

impl NodeConnections {
    /// That of a location, which may not be connected.
    pub fn of(&self, location: &str) -> Arc<ConnectionState> {
        let mut all = lock(&self.0);
        let new = || Arc::new(ConnectionState::new(location));
        Arc::clone(all.entry(location.to_owned()).or_insert_with(new))
    }

    /// Opens a stream at the node of a location.
    pub async fn open_stream(&self, location: &str, target: &StreamTarget) -> Result<TokioIo<Upgraded>> {
        let away = || {
            Error::new(
                Code::Unavailable,
                format!("the machine of location {location} is not connected"),
            )
        };
        open_stream(self.of(location).sender().ok_or_else(away)?, target).await
    }
}

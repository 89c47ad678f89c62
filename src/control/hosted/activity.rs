//! How clients use databases now, which the gateway knows.

use super::Shared;
use crate::control::names::{DatabaseId, LocationCode};
use crate::control::types::DatabaseActivity;

impl Shared {
    pub(super) fn activity(&self, id: &DatabaseId) -> Option<DatabaseActivity> {
        self.activity.get().and_then(|source| source.activity(id))
    }

    /// None without a gateway.
    pub(super) fn connections(&self, id: &DatabaseId, location: &LocationCode) -> Option<u64> {
        Some(self.activity.get()?.connections(id, location))
    }
}

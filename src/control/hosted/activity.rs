//! How clients use databases now, which the gateway knows.

use super::{Hosted, Shared};
use crate::control::names::{DatabaseId, LocationCode};
use crate::control::types::DatabaseActivity;

/// Who knows how databases are used now.
pub trait ActivitySource: Send + Sync {
    /// How applications use a database; none where they do not.
    fn activity(&self, id: &DatabaseId) -> Option<DatabaseActivity>;

    /// Open streams and sockets of clients at an instance of a database.
    fn connections(&self, id: &DatabaseId, location: &LocationCode) -> u64;
}

impl Hosted {
    /// Has databases say how they are used now. Only the first source is asked.
    pub fn set_activity_source(&self, source: Box<dyn ActivitySource>) {
        let _ = self.shared.activity.set(source);
    }
}

impl Shared {
    pub(super) fn activity(&self, id: &DatabaseId) -> Option<DatabaseActivity> {
        self.activity.get().and_then(|source| source.activity(id))
    }

    /// None without a gateway.
    pub(super) fn connections(&self, id: &DatabaseId, location: &LocationCode) -> Option<u64> {
        Some(self.activity.get()?.connections(id, location))
    }
}

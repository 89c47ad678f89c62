//! The plane itself: files on their way to it, and its health.

use crate::control::Staging;
use crate::control::types::Finding;
use crate::error::Result;

/// What concerns a control plane as a whole.
pub trait MaintenanceOperations {
    /// A fresh path, on the plane's own disk, where a caller may build a SQLite file for
    /// [`types::Seed::DatabaseUpload`]. Files left by callers that died are removed by later ones.
    fn staging(&self) -> Result<Staging>;
    /// Checks for problems; with `fix`, repairs those that can be repaired without losing data.
    fn check(&self, fix: bool) -> Result<Vec<Finding>>;
}

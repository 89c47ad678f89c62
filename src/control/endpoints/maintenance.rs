//! The plane itself: files on their way to it, and its health.

use crate::control::Staging;
use crate::control::findings::Finding;
use crate::error::Result;

/// What concerns a control plane as a whole.
pub trait MaintenanceOperations {
    /// A fresh path, on the plane's own disk, where a caller may build a SQLite file for
    /// [`types::Seed::DatabaseUpload`]. Files left by callers that died are removed by later ones.
    fn staging(&self) -> Result<Staging>;
    /// Checks for problems; with `fix`, repairs those that can be repaired without losing data.
    fn check(&self, fix: bool) -> Result<Vec<Finding>>;
}

/// The endpoints of the health of an organization, as rows of the table in [`endpoints`](crate::control::endpoints). Not in the
/// Platform API.
macro_rules! maintenance_endpoints {
    ($next:ident $($others:ident)*; $($rows:tt)*) => {
        $next! {
            $($others)*; $($rows)*
            Check, Call(maintenance::check): scoped Get "/check";
            /// [`Operation::Check`] that also repairs what can be repaired.
            Mend, Repeatable(maintenance::repair): scoped Post "/check";
        }
    };
}
pub(crate) use maintenance_endpoints;

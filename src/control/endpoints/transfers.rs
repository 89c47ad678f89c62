//! Transfers to another organization.

use crate::control::names::{DatabaseName, GroupName, OrganizationSlug};
use crate::control::types::Group;
use crate::error::Result;

/// Moves databases and groups to another organization. Where there are no organizations, these fail with `unsupported`.
pub trait TransferOperations {
    /// Moves a database to another organization, under the same name and with a new id.
    fn transfer_database(&self, name: &DatabaseName, to: &OrganizationSlug) -> Result<()>;
    /// Moves a group with all its databases to another organization.
    fn transfer_group(&self, name: &GroupName, to: &OrganizationSlug) -> Result<Group>;
}

/// The endpoints of transfers, as rows of the table in [`endpoints`](crate::control::endpoints).
macro_rules! transfer_endpoints {
    ($next:ident $($others:ident)*; $($rows:tt)*) => {
        $next! {
            $($others)*; $($rows)*
            TransferGroup, Change(groups::transfer, groups::transferred): scoped Post "/groups/{groupName}/transfer";
            TransferDatabase, Change(databases::transfer, databases::transferred):
                scoped Post "/databases/{databaseName}/transfer";
        }
    };
}
pub(crate) use transfer_endpoints;

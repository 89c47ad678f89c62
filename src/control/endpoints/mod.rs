//! The Platform API, written once for both ends. Each noun's file has what a control plane can do with it, as a trait with a
//! method for each operation, and the endpoints by which clients ask a server for that, as rows of a table (`table`).
//! [`ControlPlane`] is the sum of the traits for databases and what belongs to them, [`Accounts`] for who uses them.

mod api_tokens;
mod backups;
mod database_tokens;
mod databases;
mod groups;
mod instances;
mod invites;
mod locations;
mod maintenance;
mod members;
mod nodes;
mod organizations;
mod pages;
mod server;
mod server_only;
mod table;
mod transfers;
mod usage;

use crate::error::Result;

pub use api_tokens::ApiTokenOperations;
pub use backups::BackupOperations;
pub use database_tokens::DatabaseTokenOperations;
pub use databases::{DatabaseOperations, DatabaseVisitor};
pub use groups::GroupOperations;
pub use instances::InstanceOperations;
pub use invites::InviteOperations;
pub use locations::LocationOperations;
pub use maintenance::MaintenanceOperations;
pub use members::MemberOperations;
pub use nodes::NodeOperations;
pub use organizations::OrganizationOperations;
pub use pages::{LIST_PAGE, ListPage, read_all_pages};
pub use server::ServerOperations;
pub use table::*;
pub use transfers::TransferOperations;
pub use usage::UsageOperations;

/// Called with the bytes done and the total; may stop the work with an error.
pub type Progress<'a> = dyn FnMut(u64, u64) -> Result<()> + 'a;

/// A control plane. Mutations return when the result can be used.
///
/// Errors: `not_found`, `exists` and `conflict` kinds name the thing; `catalog_busy` when another process holds the
/// catalog for longer than the deadline.
pub trait ControlPlane:
    LocationOperations
    + GroupOperations
    + DatabaseOperations
    + InstanceOperations
    + DatabaseTokenOperations
    + UsageOperations
    + TransferOperations
    + MaintenanceOperations
    + BackupOperations
{
}

impl<T> ControlPlane for T where
    T: LocationOperations
        + GroupOperations
        + DatabaseOperations
        + InstanceOperations
        + DatabaseTokenOperations
        + UsageOperations
        + TransferOperations
        + MaintenanceOperations
        + BackupOperations
{
}

/// The accounts of a server, as one user sees and may change them.
///
/// Errors: `unauthenticated` for a token that is not valid, `forbidden` where the role or the token's scopes do not allow
/// it, `not_found` and `exists` kinds naming the thing.
pub trait Accounts:
    ApiTokenOperations + OrganizationOperations + MemberOperations + InviteOperations + ServerOperations + NodeOperations
{
}

impl<T> Accounts for T where
    T: ApiTokenOperations
        + OrganizationOperations
        + MemberOperations
        + InviteOperations
        + ServerOperations
        + NodeOperations
{
}

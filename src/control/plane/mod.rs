//! What a control plane can do: a trait for each noun of the Platform API, with a method for each operation. [`ControlPlane`] is
//! their sum for databases and what belongs to them, [`Accounts`] for who uses them.

mod api_tokens;
mod database_tokens;
mod databases;
mod groups;
mod instances;
mod invites;
mod locations;
mod maintenance;
mod members;
mod organizations;
mod server;
mod transfers;
mod usage;

use crate::error::Result;

pub use api_tokens::ApiTokenOperations;
pub use database_tokens::DatabaseTokenOperations;
pub use databases::DatabaseOperations;
pub use groups::GroupOperations;
pub use instances::InstanceOperations;
pub use invites::InviteOperations;
pub use locations::LocationOperations;
pub use maintenance::MaintenanceOperations;
pub use members::MemberOperations;
pub use organizations::OrganizationOperations;
pub use server::ServerOperations;
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
{
}

/// The accounts of a server, as one user sees and may change them.
///
/// Errors: `unauthenticated` for a token that is not valid, `forbidden` where the role or the token's scopes do not allow
/// it, `not_found` and `exists` kinds naming the thing.
pub trait Accounts:
    ApiTokenOperations + OrganizationOperations + MemberOperations + InviteOperations + ServerOperations
{
}

impl<T> Accounts for T where
    T: ApiTokenOperations + OrganizationOperations + MemberOperations + InviteOperations + ServerOperations
{
}

/// The rows of each noun in the table of endpoints.
pub(crate) mod endpoints {
    pub(crate) use super::api_tokens::api_token_endpoints;
    pub(crate) use super::database_tokens::database_token_endpoints;
    pub(crate) use super::databases::database_endpoints;
    pub(crate) use super::groups::group_endpoints;
    pub(crate) use super::instances::instance_endpoints;
    pub(crate) use super::invites::invite_endpoints;
    pub(crate) use super::locations::location_endpoints;
    pub(crate) use super::maintenance::maintenance_endpoints;
    pub(crate) use super::members::member_endpoints;
    pub(crate) use super::organizations::organization_endpoints;
    pub(crate) use super::server::server_endpoints;
    pub(crate) use super::transfers::transfer_endpoints;
    pub(crate) use super::usage::usage_endpoints;
}

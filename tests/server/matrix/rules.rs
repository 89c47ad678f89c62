//! What each operation takes: a permission in an organization, or something of the bearer. Written down here a second time,
//! apart from the server's own code, and whole: an operation that is not here does not compile.

use serde_json::{Value, json};
use torso::control::endpoints::Operation as O;
use torso::control::hosted::permission::{Action, PermissionTarget};

/// What an action is done to. The group is always `default`.
#[derive(Debug, Clone, Copy)]
pub enum On {
    Organization,
    Group,
    Visible,
}

impl On {
    pub fn target(self, group: &torso::control::names::GroupName) -> PermissionTarget<'_> {
        match self {
            Self::Organization => PermissionTarget::Organization,
            Self::Group => PermissionTarget::Group(group),
            Self::Visible => PermissionTarget::Visible,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Rule {
    Public,
    /// Whoever has a token.
    Bearer,
    /// Whoever has a token for everything.
    Unlimited,
    /// The user of the server's first start, with a token for everything.
    Operator,
    /// Whoever is in the organization.
    Member,
    /// In the organization, with a token for everything: what is the bearer's own.
    MemberUnlimited,
    May(&'static [(Action, On)]),
}

use Action as A;
use Rule::{Bearer, May, Member, MemberUnlimited, Operator, Public, Unlimited};

const fn may(needed: &'static [(Action, On)]) -> Rule {
    May(needed)
}

#[rustfmt::skip]
pub fn rule(operation: O) -> Rule {
    match operation {
        O::Landing | O::Health | O::Ready | O::Metrics | O::LatestRelease | O::AcceptInvite => Public,
        O::ValidateToken | O::ListApiTokens | O::CurrentUser | O::ListOrganizations | O::ListOrganizationsWrapped
        | O::PaymentAccount | O::PaymentPortal | O::PaymentMethods => Bearer,
        O::CreateApiToken | O::CreateApiTokenNested | O::RevokeApiToken | O::InvalidateSessions | O::CreateOrganization => Unlimited,
        O::ListUsers | O::DisableUser | O::RemoveUser | O::ListQuotas | O::SetQuota | O::ListServerOrganizations
        | O::GetServerConfiguration | O::UpdateServerConfiguration
        | O::ListBackupSchedules | O::SetBackupSchedule | O::RemoveBackupSchedule
        | O::ListNodes | O::InviteNode | O::RemoveNode => Operator,
        O::GetOrganization | O::ListOrganizationTokens | O::Subscription | O::ListPlans | O::ListInvoices
        | O::Subscribe | O::BillingCustomer | O::ListIssuers | O::AddIssuer | O::RemoveIssuer | O::IssuerTemplate => Member,
        O::RevokeOrganizationToken => MemberUnlimited,
        O::UpdateOrganization | O::DeleteOrganization => may(&[(A::ManageOrganization, On::Organization)]),
        O::ListMembers | O::GetMember | O::ListInvites => may(&[(A::SeeMembers, On::Organization)]),
        O::AddMember | O::UpdateMember | O::RemoveMember | O::CreateInvite | O::DeleteInvite => may(&[(A::ManageMembers, On::Organization)]),
        O::AuditLog => may(&[(A::SeeAudit, On::Organization)]),
        O::OrganizationUsage => may(&[(A::View, On::Organization)]),
        O::ListLocations | O::GetLocation | O::LocationStatus | O::ListLocationsByPlatform | O::ListGroups | O::ListDatabases => may(&[(A::View, On::Visible)]),
        O::CreateGroup => may(&[(A::CreateGroup, On::Organization)]),
        O::DeleteGroup => may(&[(A::DeleteGroup, On::Group)]),
        O::RenameGroup | O::AddGroupLocation | O::RemoveGroupLocation | O::PromoteGroup => may(&[(A::ConfigureGroup, On::Group)]),
        O::UpdateGroupConfiguration => may(&[(A::Protect, On::Group)]),
        O::TransferGroup | O::TransferDatabase => may(&[(A::Transfer, On::Group)]),
        O::GetGroup | O::UnarchiveGroup | O::UpdateGroup | O::GetGroupConfiguration | O::WaitForGroupLocation
        | O::ListGroupTokens | O::GetGroupById | O::MigrationInfo | O::Migrate => may(&[(A::View, On::Group)]),
        O::CreateGroupToken => may(&[(A::MintGroupToken, On::Group)]),
        O::CreateGroupTokenById => may(&[(A::View, On::Visible), (A::MintGroupToken, On::Group)]),
        O::RevokeGroupToken | O::RotateGroupTokens => may(&[(A::RotateGroup, On::Group)]),
        O::CreateDatabase | O::CreateExpiringDatabase => may(&[(A::CreateDatabase, On::Group)]),
        O::UploadDump | O::BeginUpload | O::GetUpload | O::PutChunk | O::DropUpload => may(&[(A::CreateDatabase, On::Visible)]),
        O::DeleteDatabase => may(&[(A::DeleteDatabase, On::Group)]),
        O::DeleteDatabaseById => may(&[(A::View, On::Visible), (A::DeleteDatabase, On::Group)]),
        O::RenameDatabase | O::SyncDatabase | O::UpdateConfiguration | O::AddInstance | O::RemoveInstance
        | O::PromoteInstance | O::ForcePromotion | O::VerifyDatabase
        | O::CompactDatabase => may(&[(A::ConfigureDatabase, On::Group)]),
        O::ExportDatabase => may(&[(A::ExportDatabase, On::Group)]),
        O::GetDatabase | O::GetDatabaseById | O::WakeDatabase | O::UpdateDatabase | O::GetConfiguration | O::DatabaseUsage
        | O::TopQueries | O::DatabaseStats | O::ListDatabaseTokens | O::ListInstances | O::GetInstance
        | O::WaitForInstance => may(&[(A::View, On::Group)]),
        O::CreateDatabaseToken | O::RestoreBackup => may(&[(A::MintToken, On::Group)]),
        O::CreateDatabaseTokenById => may(&[(A::View, On::Visible), (A::MintToken, On::Group)]),
        O::RevokeDatabaseToken | O::RotateDatabaseTokens => may(&[(A::RotateDatabase, On::Group)]),
        O::Check | O::Mend => may(&[(A::Maintain, On::Organization)]),
    }
}

/// Whether an operation can change anything, or has somebody wait.
pub fn changes(operation: O) -> bool {
    !matches!(
        operation,
        O::Landing
            | O::Health
            | O::Ready
            | O::Metrics
            | O::LatestRelease
            | O::ValidateToken
            | O::ListApiTokens
            | O::CurrentUser
            | O::ListOrganizations
            | O::ListOrganizationsWrapped
            | O::GetOrganization
            | O::ListMembers
            | O::GetMember
            | O::ListInvites
            | O::ListOrganizationTokens
            | O::ListUsers
            | O::ListServerOrganizations
            | O::GetServerConfiguration
            | O::ListQuotas
            | O::ListBackupSchedules
            | O::ListNodes
            | O::AuditLog
            | O::OrganizationUsage
            | O::Subscription
            | O::ListPlans
            | O::ListInvoices
            | O::ListLocations
            | O::GetLocation
            | O::LocationStatus
            | O::ListLocationsByPlatform
            | O::ListGroups
            | O::GetGroup
            | O::GetGroupConfiguration
            | O::WaitForGroupLocation
            | O::ListGroupTokens
            | O::ListDatabases
            | O::GetDatabase
            | O::GetConfiguration
            | O::DatabaseUsage
            | O::TopQueries
            | O::DatabaseStats
            | O::ListDatabaseTokens
            | O::ListInstances
            | O::GetInstance
            | O::WaitForInstance
            | O::GetUpload
            | O::Check
            | O::GetDatabaseById
            | O::GetGroupById
            | O::ExportDatabase
    )
}

/// A body with which the operation would do something, were it allowed.
pub fn body(operation: O) -> Value {
    match operation {
        O::CreateOrganization => json!({ "name": "intruders" }),
        O::UpdateOrganization => json!({ "overages": true }),
        O::AddMember => json!({ "username": "eve", "role": "viewer" }),
        O::UpdateMember => json!({ "role": "viewer" }),
        O::CreateInvite => json!({ "email": "intruder@example.com", "role": "viewer" }),
        O::CreateGroup => json!({ "name": "intruders", "location": "ams" }),
        O::RenameGroup | O::RenameDatabase => json!({ "name": "taken-over" }),
        O::TransferGroup | O::TransferDatabase => json!({ "organization": "alice" }),
        O::UpdateGroupConfiguration => json!({ "delete_protection": true }),
        O::CreateDatabase | O::CreateExpiringDatabase => json!({ "name": "intruder", "group": "default" }),
        O::UpdateConfiguration => json!({ "block_reads": true }),
        O::AddInstance => json!({ "location": "lhr" }),
        O::SetQuota => json!({ "name": "databases", "value": 1 }),
        O::UpdateServerConfiguration => json!({ "log_level": "debug" }),
        O::SetBackupSchedule => json!({ "every_seconds": 60 }),
        O::RestoreBackup => json!({ "backup": "20261130-031500-4f3a9c1b" }),
        O::BeginUpload => json!({ "size": 10 }),
        O::PutChunk | O::UploadDump => json!("0123456789"),
        _ => json!({}),
    }
}

//! The paths of the Platform API, written once for both ends. [`ENDPOINTS`] lists every method and path that a server answers,
//! and its router is built from that; `paths` has a function for each path that the client asks for. A test holds the two
//! together.

mod paths;

pub use paths::*;

/// An HTTP method that the Platform API uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// What a request asks for. Several endpoints may ask for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The login page, and the nearest region for clients that ask for it.
    Landing,
    Health,
    Ready,
    Metrics,
    /// The newest release of the official CLI: the client is told its own version, so that it does not ask for an update.
    LatestRelease,
    /// Makes a user of the bearer of an invitation. Not in the Platform API.
    AcceptInvite,
    ValidateToken,
    ListApiTokens,
    CreateApiToken,
    /// In the form of version 2.
    CreateApiTokenNested,
    RevokeApiToken,
    InvalidateSessions,
    CurrentUser,
    ListOrganizations,
    /// In the form of version 2.
    ListOrganizationsWrapped,
    CreateOrganization,
    GetOrganization,
    UpdateOrganization,
    DeleteOrganization,
    ListMembers,
    AddMember,
    GetMember,
    UpdateMember,
    RemoveMember,
    ListInvites,
    CreateInvite,
    DeleteInvite,
    /// API tokens that open an organization.
    ListOrganizationTokens,
    RevokeOrganizationToken,
    AuditLog,
    OrganizationUsage,
    Subscription,
    ListPlans,
    ListInvoices,
    // For the operator of the server. Not in the Platform API.
    ListUsers,
    DisableUser,
    RemoveUser,
    ListQuotas,
    SetQuota,
    // Payment, which clients ask about: nothing has to be paid here.
    PaymentAccount,
    PaymentPortal,
    PaymentMethods,
    Subscribe,
    BillingCustomer,
    // Other issuers of tokens: there are none.
    ListIssuers,
    AddIssuer,
    RemoveIssuer,
    IssuerTemplate,
    ListLocations,
    GetLocation,
    /// In the form of version 2.
    ListLocationsByPlatform,
    ListGroups,
    CreateGroup,
    GetGroup,
    DeleteGroup,
    RenameGroup,
    TransferGroup,
    /// Does nothing: groups are never archived.
    UnarchiveGroup,
    /// Does nothing: the server decides about versions.
    UpdateGroup,
    GetGroupConfiguration,
    UpdateGroupConfiguration,
    AddGroupLocation,
    RemoveGroupLocation,
    WaitForGroupLocation,
    // The move of a group to another cloud: there is none.
    MigrationInfo,
    Migrate,
    PromoteGroup,
    ListGroupTokens,
    CreateGroupToken,
    RevokeGroupToken,
    RotateGroupTokens,
    ListDatabases,
    CreateDatabase,
    UploadDump,
    GetDatabase,
    DeleteDatabase,
    RenameDatabase,
    TransferDatabase,
    /// Does nothing: databases never sleep.
    WakeDatabase,
    /// Does nothing: the server decides about versions.
    UpdateDatabase,
    SyncDatabase,
    ExportDatabase,
    GetConfiguration,
    UpdateConfiguration,
    DatabaseUsage,
    TopQueries,
    DatabaseStats,
    ListDatabaseTokens,
    CreateDatabaseToken,
    RevokeDatabaseToken,
    RotateDatabaseTokens,
    ListInstances,
    AddInstance,
    GetInstance,
    RemoveInstance,
    WaitForInstance,
    PromoteInstance,
    BeginUpload,
    GetUpload,
    PutChunk,
    DropUpload,
    Check,
    /// [`Operation::Check`] that also repairs what can be repaired.
    Mend,
    GetDatabaseById,
    DeleteDatabaseById,
    CreateDatabaseTokenById,
    GetGroupById,
    CreateGroupTokenById,
}

/// A method on a path. Parameters are in braces, as in the API's OpenAPI document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiEndpoint {
    pub method: Method,
    /// Without its prefix if `scoped`, else complete.
    pub path: &'static str,
    /// Whether it is about an organization, so that it is answered below [`PERSONAL`] and below [`ORGANIZATION`].
    pub scoped: bool,
    /// Whether it is answered without a token.
    pub public: bool,
    pub operation: Operation,
}

/// The prefix of paths about the caller's personal organization.
pub const PERSONAL: &str = "/v1";
/// The prefix of paths about the organization they name.
pub const ORGANIZATION: &str = "/v1/organizations/{organizationSlug}";

impl ApiEndpoint {
    /// Every complete path it is answered on.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        if self.scoped {
            [PERSONAL, ORGANIZATION]
                .map(|prefix| format!("{prefix}{}", self.path))
                .into()
        } else {
            vec![self.path.to_owned()]
        }
    }
}

const fn global(method: Method, path: &'static str, operation: Operation) -> ApiEndpoint {
    ApiEndpoint {
        method,
        path,
        scoped: false,
        public: false,
        operation,
    }
}

const fn scoped(method: Method, path: &'static str, operation: Operation) -> ApiEndpoint {
    ApiEndpoint {
        scoped: true,
        ..global(method, path, operation)
    }
}

const fn public(method: Method, path: &'static str, operation: Operation) -> ApiEndpoint {
    ApiEndpoint {
        public: true,
        ..global(method, path, operation)
    }
}

use Method::{Delete, Get, Patch, Post, Put};
use Operation as O;

/// Every endpoint of a server, except for those of its gateway to databases.
#[rustfmt::skip]
pub const ENDPOINTS: &[ApiEndpoint] = &[
    // Public.
    public(Get, "/", O::Landing),
    public(Get, "/signup", O::Landing),
    public(Get, "/health", O::Health),
    public(Get, "/ready", O::Ready),
    public(Get, "/metrics", O::Metrics),
    public(Get, "/releases/latest", O::LatestRelease),
    public(Post, ACCEPT_INVITE, O::AcceptInvite),
    // The caller.
    global(Get, "/v1/auth/validate", O::ValidateToken),
    global(Get, "/v1/auth/api-tokens/validate", O::ValidateToken),
    global(Get, "/v1/auth/api-tokens", O::ListApiTokens),
    global(Post, "/v1/auth/api-tokens/{tokenName}", O::CreateApiToken),
    global(Post, "/v2/auth/api-tokens/{tokenName}", O::CreateApiTokenNested),
    global(Delete, "/v1/auth/api-tokens/{tokenName}", O::RevokeApiToken),
    global(Post, "/v1/auth/invalidate", O::InvalidateSessions),
    global(Get, "/v1/current-user", O::CurrentUser),
    global(Get, "/v1/user", O::CurrentUser),
    // Organizations.
    global(Get, "/v1/organizations", O::ListOrganizations),
    global(Get, "/v2/organizations", O::ListOrganizationsWrapped),
    global(Post, "/v1/organizations", O::CreateOrganization),
    global(Get, "/v1/organizations/{organizationSlug}", O::GetOrganization),
    global(Patch, "/v1/organizations/{organizationSlug}", O::UpdateOrganization),
    global(Delete, "/v1/organizations/{organizationSlug}", O::DeleteOrganization),
    scoped(Get, "/members", O::ListMembers),
    scoped(Post, "/members", O::AddMember),
    scoped(Get, "/members/{username}", O::GetMember),
    scoped(Post, "/members/{username}", O::AddMember),
    scoped(Patch, "/members/{username}", O::UpdateMember),
    scoped(Delete, "/members/{username}", O::RemoveMember),
    scoped(Get, "/invites", O::ListInvites),
    scoped(Post, "/invite", O::CreateInvite),
    scoped(Post, "/invites", O::CreateInvite),
    scoped(Delete, "/invites/{email}", O::DeleteInvite),
    global(Get, "/v2/organizations/{organizationSlug}/invites", O::ListInvites),
    global(Post, "/v2/organizations/{organizationSlug}/invites", O::CreateInvite),
    global(Delete, "/v2/organizations/{organizationSlug}/invites/{email}", O::DeleteInvite),
    scoped(Get, "/api-tokens", O::ListOrganizationTokens),
    scoped(Delete, "/api-tokens/{tokenId}", O::RevokeOrganizationToken),
    scoped(Get, "/audit-logs", O::AuditLog),
    scoped(Get, "/usage", O::OrganizationUsage),
    scoped(Get, "/subscription", O::Subscription),
    scoped(Get, "/plans", O::ListPlans),
    scoped(Get, "/invoices", O::ListInvoices),
    global(Post, "/v1/organizations/stripe-customer", O::PaymentAccount),
    global(Post, "/v1/billing/portal", O::PaymentPortal),
    global(Get, "/v1/billing/payment-methods", O::PaymentMethods),
    scoped(Post, "/subscription", O::Subscribe),
    scoped(Get, "/billing/customer", O::BillingCustomer),
    scoped(Put, "/billing/customer", O::BillingCustomer),
    global(Get, "/v2/organizations/{organizationSlug}/jwks", O::ListIssuers),
    global(Put, "/v2/organizations/{organizationSlug}/jwks/{issuerName}", O::AddIssuer),
    global(Delete, "/v2/organizations/{organizationSlug}/jwks/{issuerName}", O::RemoveIssuer),
    global(Get, "/v2/organizations/{organizationSlug}/jwks-template", O::IssuerTemplate),
    // For the operator of the server.
    global(Get, USERS, O::ListUsers),
    global(Post, "/v1/server/users/{username}/disable", O::DisableUser),
    global(Delete, "/v1/server/users/{username}", O::RemoveUser),
    global(Get, QUOTAS, O::ListQuotas),
    global(Put, QUOTAS, O::SetQuota),
    // Locations.
    global(Get, "/v1/locations", O::ListLocations),
    global(Get, "/v1/locations/{location}", O::GetLocation),
    global(Get, "/v2/locations", O::ListLocationsByPlatform),
    global(Get, "/v2/organizations/{organizationSlug}/locations", O::ListLocationsByPlatform),
    // Groups.
    scoped(Get, "/groups", O::ListGroups),
    scoped(Post, "/groups", O::CreateGroup),
    scoped(Get, "/groups/{groupName}", O::GetGroup),
    scoped(Delete, "/groups/{groupName}", O::DeleteGroup),
    scoped(Post, "/groups/{groupName}/rename", O::RenameGroup),
    scoped(Post, "/groups/{groupName}/transfer", O::TransferGroup),
    scoped(Post, "/groups/{groupName}/unarchive", O::UnarchiveGroup),
    scoped(Post, "/groups/{groupName}/update", O::UpdateGroup),
    scoped(Get, "/groups/{groupName}/configuration", O::GetGroupConfiguration),
    scoped(Patch, "/groups/{groupName}/configuration", O::UpdateGroupConfiguration),
    scoped(Post, "/groups/{groupName}/locations/{location}", O::AddGroupLocation),
    scoped(Delete, "/groups/{groupName}/locations/{location}", O::RemoveGroupLocation),
    scoped(Get, "/groups/{groupName}/locations/{location}/wait", O::WaitForGroupLocation),
    scoped(Post, "/groups/{groupName}/locations/{location}/promote", O::PromoteGroup),
    scoped(Get, "/groups/{groupName}/aws/migration/info", O::MigrationInfo),
    scoped(Post, "/groups/{groupName}/aws/migration/start", O::Migrate),
    scoped(Post, "/groups/{groupName}/aws/migration/abort", O::Migrate),
    scoped(Get, "/groups/{groupName}/auth/tokens", O::ListGroupTokens),
    scoped(Post, "/groups/{groupName}/auth/tokens", O::CreateGroupToken),
    scoped(Delete, "/groups/{groupName}/auth/tokens/{tokenId}", O::RevokeGroupToken),
    scoped(Post, "/groups/{groupName}/auth/rotate", O::RotateGroupTokens),
    // Databases.
    scoped(Get, "/databases", O::ListDatabases),
    scoped(Post, "/databases", O::CreateDatabase),
    scoped(Post, "/databases/dumps", O::UploadDump),
    scoped(Get, "/databases/{databaseName}", O::GetDatabase),
    scoped(Delete, "/databases/{databaseName}", O::DeleteDatabase),
    scoped(Post, "/databases/{databaseName}/rename", O::RenameDatabase),
    scoped(Post, "/databases/{databaseName}/transfer", O::TransferDatabase),
    scoped(Post, "/databases/{databaseName}/wakeup", O::WakeDatabase),
    scoped(Post, "/databases/{databaseName}/update", O::UpdateDatabase),
    scoped(Post, "/databases/{databaseName}/sync", O::SyncDatabase),
    scoped(Get, "/databases/{databaseName}/export", O::ExportDatabase),
    scoped(Get, "/databases/{databaseName}/configuration", O::GetConfiguration),
    scoped(Patch, "/databases/{databaseName}/configuration", O::UpdateConfiguration),
    scoped(Get, "/databases/{databaseName}/usage", O::DatabaseUsage),
    scoped(Get, "/databases/{databaseName}/usage/queries", O::TopQueries),
    scoped(Get, "/databases/{databaseName}/stats", O::DatabaseStats),
    scoped(Get, "/databases/{databaseName}/auth/tokens", O::ListDatabaseTokens),
    scoped(Post, "/databases/{databaseName}/auth/tokens", O::CreateDatabaseToken),
    scoped(Delete, "/databases/{databaseName}/auth/tokens/{tokenId}", O::RevokeDatabaseToken),
    scoped(Post, "/databases/{databaseName}/auth/rotate", O::RotateDatabaseTokens),
    scoped(Get, "/databases/{databaseName}/instances", O::ListInstances),
    scoped(Post, "/databases/{databaseName}/instances", O::AddInstance),
    scoped(Get, "/databases/{databaseName}/instances/{instanceName}", O::GetInstance),
    scoped(Delete, "/databases/{databaseName}/instances/{instanceName}", O::RemoveInstance),
    scoped(Get, "/databases/{databaseName}/instances/{instanceName}/wait", O::WaitForInstance),
    scoped(Post, "/databases/{databaseName}/instances/{instanceName}/promote", O::PromoteInstance),
    // Not in the Platform API: uploads, and health checks of an organization.
    scoped(Post, "/uploads", O::BeginUpload),
    scoped(Get, "/uploads/{uploadId}", O::GetUpload),
    scoped(Put, "/uploads/{uploadId}", O::PutChunk),
    scoped(Delete, "/uploads/{uploadId}", O::DropUpload),
    scoped(Get, "/check", O::Check),
    scoped(Post, "/check", O::Mend),
    // Version 3, which uses ids.
    global(Get, "/v3/organizations/{organizationId}/databases", O::ListDatabases),
    global(Post, "/v3/organizations/{organizationId}/databases", O::CreateDatabase),
    global(Get, "/v3/organizations/{organizationId}/databases/{databaseId}", O::GetDatabaseById),
    global(Delete, "/v3/organizations/{organizationId}/databases/{databaseId}", O::DeleteDatabaseById),
    global(Post, "/v3/organizations/{organizationId}/databases/{databaseId}/auth/tokens", O::CreateDatabaseTokenById),
    global(Get, "/v3/organizations/{organizationId}/groups", O::ListGroups),
    global(Get, "/v3/organizations/{organizationId}/groups/{groupId}", O::GetGroupById),
    global(Post, "/v3/organizations/{organizationId}/groups/{groupId}/auth/tokens", O::CreateGroupTokenById),
];

#[cfg(test)]
mod tests;

//! The Platform API's paths, written once: what a client asks for and what a server answers to.
//!
//! A function makes each path that torso's own client asks for, below `/v1` or `/v1/organizations/{slug}`. [`ENDPOINTS`]
//! lists every method and path that a server answers; its router is built from it, and tests go through it. Names are
//! parsed types whose characters need no escaping in a URL, so a path cannot be steered by a name.

use super::names::{DatabaseName, GroupName, LocationCode, OrganizationSlug, TokenId, TokenName, Username};

/// An HTTP method, as far as the Platform API uses them.
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

/// What is asked for; several paths may ask for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The login page, and the nearest region for clients that ask for it.
    Landing,
    Health,
    Ready,
    Metrics,
    /// What the asking client takes for the newest release: itself.
    LatestRelease,
    /// torso's own: whoever has the text of an invitation becomes a user.
    AcceptInvite,
    ValidateToken,
    ListApiTokens,
    CreateApiToken,
    /// As the second version answers it.
    CreateApiTokenNested,
    RevokeApiToken,
    InvalidateSessions,
    CurrentUser,
    ListOrganizations,
    /// As the second version answers it.
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
    /// What clients ask who pays for an organization: nothing has to be paid here.
    PaymentAccount,
    PaymentPortal,
    PaymentMethods,
    Subscribe,
    BillingCustomer,
    /// Issuers of tokens beside this server: there are none.
    ListIssuers,
    AddIssuer,
    RemoveIssuer,
    IssuerTemplate,
    ListLocations,
    GetLocation,
    /// As the second version answers it.
    ListLocationsByPlatform,
    ListGroups,
    CreateGroup,
    GetGroup,
    DeleteGroup,
    RenameGroup,
    TransferGroup,
    /// Nothing is archived here; answered for clients that ask.
    UnarchiveGroup,
    /// Versions are the server's own; answered for clients that ask.
    UpdateGroup,
    GetGroupConfiguration,
    UpdateGroupConfiguration,
    AddGroupLocation,
    RemoveGroupLocation,
    WaitForGroupLocation,
    /// To a cloud of Turso's: there is no such move.
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
    /// Nothing sleeps here; answered for clients that ask.
    WakeDatabase,
    /// Versions are the server's own; answered for clients that ask.
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
    /// [`Operation::Check`], mending what can be mended.
    Mend,
    GetDatabaseById,
    DeleteDatabaseById,
    CreateDatabaseTokenById,
    GetGroupById,
    CreateGroupTokenById,
}

/// A method on a path. Parameters are in braces, as in the API's own document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    pub method: Method,
    /// Below the prefix, for an organization's resources; complete, for what is outside one.
    pub path: &'static str,
    /// Whether the path goes below `/v1` and `/v1/organizations/{organizationSlug}` alike.
    pub scoped: bool,
    /// Answered without a token.
    pub public: bool,
    pub operation: Operation,
}

/// What paths begin with that mean the personal organization of whoever asks.
pub const PERSONAL: &str = "/v1";
/// What paths begin with that name an organization.
pub const ORGANIZATION: &str = "/v1/organizations/{organizationSlug}";

impl Endpoint {
    /// Every path it is answered on.
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

const fn global(method: Method, path: &'static str, operation: Operation) -> Endpoint {
    Endpoint {
        method,
        path,
        scoped: false,
        public: false,
        operation,
    }
}

const fn scoped(method: Method, path: &'static str, operation: Operation) -> Endpoint {
    Endpoint {
        scoped: true,
        ..global(method, path, operation)
    }
}

const fn public(method: Method, path: &'static str, operation: Operation) -> Endpoint {
    Endpoint {
        public: true,
        ..global(method, path, operation)
    }
}

use Method::{Delete, Get, Patch, Post, Put};
use Operation as O;

/// Every endpoint of a server, its gateway to databases aside.
#[rustfmt::skip]
pub const ENDPOINTS: &[Endpoint] = &[
    // For everybody.
    public(Get, "/", O::Landing),
    public(Get, "/signup", O::Landing),
    public(Get, "/health", O::Health),
    public(Get, "/ready", O::Ready),
    public(Get, "/metrics", O::Metrics),
    public(Get, "/releases/latest", O::LatestRelease),
    public(Post, ACCEPT_INVITE, O::AcceptInvite),
    // The bearer.
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
    // torso's own: files on their way here, and the server's health as a tenant sees it.
    scoped(Post, "/uploads", O::BeginUpload),
    scoped(Get, "/uploads/{uploadId}", O::GetUpload),
    scoped(Put, "/uploads/{uploadId}", O::PutChunk),
    scoped(Delete, "/uploads/{uploadId}", O::DropUpload),
    scoped(Get, "/check", O::Check),
    scoped(Post, "/check", O::Mend),
    // The third version: by ids.
    global(Get, "/v3/organizations/{organizationId}/databases", O::ListDatabases),
    global(Post, "/v3/organizations/{organizationId}/databases", O::CreateDatabase),
    global(Get, "/v3/organizations/{organizationId}/databases/{databaseId}", O::GetDatabaseById),
    global(Delete, "/v3/organizations/{organizationId}/databases/{databaseId}", O::DeleteDatabaseById),
    global(Post, "/v3/organizations/{organizationId}/databases/{databaseId}/auth/tokens", O::CreateDatabaseTokenById),
    global(Get, "/v3/organizations/{organizationId}/groups", O::ListGroups),
    global(Get, "/v3/organizations/{organizationId}/groups/{groupId}", O::GetGroupById),
    global(Post, "/v3/organizations/{organizationId}/groups/{groupId}/auth/tokens", O::CreateGroupTokenById),
];

/// Not scoped: locations are everybody's.
pub const LOCATIONS: &str = "/v1/locations";

#[must_use]
pub fn location(code: &LocationCode) -> String {
    format!("{LOCATIONS}/{code}")
}

pub const GROUPS: &str = "/groups";

#[must_use]
pub fn group(name: &GroupName) -> String {
    format!("{GROUPS}/{name}")
}

#[must_use]
pub fn group_rename(name: &GroupName) -> String {
    format!("{GROUPS}/{name}/rename")
}

#[must_use]
pub fn group_configuration(name: &GroupName) -> String {
    format!("{GROUPS}/{name}/configuration")
}

#[must_use]
pub fn group_location(name: &GroupName, location: &LocationCode) -> String {
    format!("{GROUPS}/{name}/locations/{location}")
}

/// torso's own.
#[must_use]
pub fn group_promote(name: &GroupName, location: &LocationCode) -> String {
    format!("{GROUPS}/{name}/locations/{location}/promote")
}

pub const DATABASES: &str = "/databases";

#[must_use]
pub fn database(name: &DatabaseName) -> String {
    format!("{DATABASES}/{name}")
}

/// torso's own.
#[must_use]
pub fn database_rename(name: &DatabaseName) -> String {
    format!("{DATABASES}/{name}/rename")
}

#[must_use]
pub fn database_configuration(name: &DatabaseName) -> String {
    format!("{DATABASES}/{name}/configuration")
}

#[must_use]
pub fn instances(name: &DatabaseName) -> String {
    format!("{DATABASES}/{name}/instances")
}

/// An instance is named by its location.
#[must_use]
pub fn instance(name: &DatabaseName, location: &LocationCode) -> String {
    format!("{DATABASES}/{name}/instances/{location}")
}

/// torso's own.
#[must_use]
pub fn instance_promote(name: &DatabaseName, location: &LocationCode) -> String {
    format!("{DATABASES}/{name}/instances/{location}/promote")
}

/// torso's own.
#[must_use]
pub fn database_sync(name: &DatabaseName) -> String {
    format!("{DATABASES}/{name}/sync")
}

/// torso's own.
#[must_use]
pub fn database_export(name: &DatabaseName) -> String {
    format!("{DATABASES}/{name}/export")
}

#[must_use]
pub fn database_usage(name: &DatabaseName) -> String {
    format!("{DATABASES}/{name}/usage")
}

#[must_use]
pub fn database_stats(name: &DatabaseName) -> String {
    format!("{DATABASES}/{name}/stats")
}

#[must_use]
pub fn database_transfer(name: &DatabaseName) -> String {
    format!("{DATABASES}/{name}/transfer")
}

#[must_use]
pub fn group_transfer(name: &GroupName) -> String {
    format!("{GROUPS}/{name}/transfer")
}

/// Tokens of a database or group; `of` is the path of either.
#[must_use]
pub fn tokens(of: &str) -> String {
    format!("{of}/auth/tokens")
}

/// torso's own.
#[must_use]
pub fn token(of: &str, id: &TokenId) -> String {
    format!("{of}/auth/tokens/{id}")
}

#[must_use]
pub fn rotate(of: &str) -> String {
    format!("{of}/auth/rotate")
}

/// torso's own.
pub const UPLOADS: &str = "/uploads";

#[must_use]
pub fn upload(id: &TokenId) -> String {
    format!("{UPLOADS}/{id}")
}

/// torso's own.
pub const CHECK: &str = "/check";

pub const ORGANIZATIONS: &str = "/v1/organizations";

#[must_use]
pub fn organization(slug: &OrganizationSlug) -> String {
    format!("{ORGANIZATIONS}/{slug}")
}

#[must_use]
pub fn members(of: &OrganizationSlug) -> String {
    format!("{ORGANIZATIONS}/{of}/members")
}

#[must_use]
pub fn member(of: &OrganizationSlug, user: &Username) -> String {
    format!("{ORGANIZATIONS}/{of}/members/{user}")
}

#[must_use]
pub fn invites(of: &OrganizationSlug) -> String {
    format!("/v2/organizations/{of}/invites")
}

#[must_use]
pub fn audit_logs(of: &OrganizationSlug) -> String {
    format!("{ORGANIZATIONS}/{of}/audit-logs")
}

#[must_use]
pub fn organization_usage(of: &OrganizationSlug) -> String {
    format!("{ORGANIZATIONS}/{of}/usage")
}

#[must_use]
pub fn subscription(of: &OrganizationSlug) -> String {
    format!("{ORGANIZATIONS}/{of}/subscription")
}

pub const ACCEPT_INVITE: &str = "/v1/invitations/accept";
pub const PLANS: &str = "/plans";
pub const VALIDATE: &str = "/v1/auth/validate";
pub const INVALIDATE: &str = "/v1/auth/invalidate";
pub const USER: &str = "/v1/user";
pub const API_TOKENS: &str = "/v1/auth/api-tokens";

#[must_use]
pub fn api_token(name: &TokenName) -> String {
    format!("{API_TOKENS}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths that the functions make, with the parameters' names for values.
    fn made() -> Vec<String> {
        let (name, group_name, code) = (
            "name".parse().unwrap(),
            "group".parse().unwrap(),
            "location".parse().unwrap(),
        );
        let (slug, id) = ("org".parse().unwrap(), "id".parse().unwrap());
        vec![
            LOCATIONS.to_owned(),
            location(&code),
            GROUPS.to_owned(),
            group(&group_name),
            group_rename(&group_name),
            group_configuration(&group_name),
            group_location(&group_name, &code),
            group_promote(&group_name, &code),
            DATABASES.to_owned(),
            database(&name),
            database_rename(&name),
            database_configuration(&name),
            instances(&name),
            instance(&name, &code),
            instance_promote(&name, &code),
            database_sync(&name),
            database_export(&name),
            database_usage(&name),
            database_stats(&name),
            database_transfer(&name),
            group_transfer(&group_name),
            tokens(&database(&name)),
            token(&group(&group_name), &id),
            rotate(&group(&group_name)),
            UPLOADS.to_owned(),
            upload(&id),
            CHECK.to_owned(),
            ORGANIZATIONS.to_owned(),
            organization(&slug),
            VALIDATE.to_owned(),
            INVALIDATE.to_owned(),
            USER.to_owned(),
            API_TOKENS.to_owned(),
            api_token(&"token".parse().unwrap()),
            ACCEPT_INVITE.to_owned(),
            PLANS.to_owned(),
            invites(&slug),
        ]
        .into_iter()
        .chain([
            members(&slug),
            member(&slug, &"user".parse().unwrap()),
            audit_logs(&slug),
            organization_usage(&slug),
            subscription(&slug),
        ])
        .collect()
    }

    #[test]
    fn every_path_that_is_made_is_listed() {
        let fill = |path: &str| {
            path.replace("{location}", "location")
                .replace("{groupName}", "group")
                .replace("{databaseName}", "name")
                .replace("{instanceName}", "location")
                .replace("{organizationSlug}", "org")
                .replace("{username}", "user")
                .replace("{tokenId}", "id")
                .replace("{uploadId}", "id")
                .replace("{tokenName}", "token")
        };
        let listed: Vec<String> = ENDPOINTS
            .iter()
            .flat_map(|endpoint| {
                let mut paths = endpoint.paths();
                paths.push(endpoint.path.to_owned());
                paths
            })
            .map(|path| fill(&path))
            .collect();
        for path in made() {
            assert!(listed.contains(&path), "{path}");
        }
    }

    #[test]
    fn no_endpoint_is_listed_twice() {
        let mut seen = std::collections::HashSet::new();
        for endpoint in ENDPOINTS {
            for path in endpoint.paths() {
                assert!(seen.insert((endpoint.method, path)), "{endpoint:?}");
            }
        }
    }
}

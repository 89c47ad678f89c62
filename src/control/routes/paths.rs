//! A function for each path that torso's own client asks for. Paths are below [`PERSONAL`](super::PERSONAL) or the path of an
//! organization, except for those that begin with `/v1` or `/v2` themselves. Names are parsed types whose characters need no
//! escaping in a URL, so a name cannot change where a path leads.
//!
//! What is marked "Not in the Platform API" is answered by torso's own server only.

use crate::control::names::{DatabaseName, GroupName, LocationCode, OrganizationSlug, TokenId, TokenName, Username};

/// Locations belong to no organization.
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

/// Not in the Platform API.
#[must_use]
pub fn group_promote(name: &GroupName, location: &LocationCode) -> String {
    format!("{GROUPS}/{name}/locations/{location}/promote")
}

pub const DATABASES: &str = "/databases";

#[must_use]
pub fn database(name: &DatabaseName) -> String {
    format!("{DATABASES}/{name}")
}

/// Not in the Platform API.
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

/// Not in the Platform API.
#[must_use]
pub fn instance_promote(name: &DatabaseName, location: &LocationCode) -> String {
    format!("{DATABASES}/{name}/instances/{location}/promote")
}

/// Not in the Platform API.
#[must_use]
pub fn database_sync(name: &DatabaseName) -> String {
    format!("{DATABASES}/{name}/sync")
}

/// Not in the Platform API.
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

/// Not in the Platform API.
#[must_use]
pub fn token(of: &str, id: &TokenId) -> String {
    format!("{of}/auth/tokens/{id}")
}

#[must_use]
pub fn rotate(of: &str) -> String {
    format!("{of}/auth/rotate")
}

/// Not in the Platform API.
pub const UPLOADS: &str = "/uploads";

#[must_use]
pub fn upload(id: &TokenId) -> String {
    format!("{UPLOADS}/{id}")
}

/// Not in the Platform API.
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

/// Users of the server, for its operator. Not in the Platform API.
pub const USERS: &str = "/v1/server/users";

#[must_use]
pub fn user(name: &Username) -> String {
    format!("{USERS}/{name}")
}

#[must_use]
pub fn user_disable(name: &Username) -> String {
    format!("{USERS}/{name}/disable")
}

/// Quotas of organizations, for the operator of the server. Not in the Platform API.
pub const QUOTAS: &str = "/v1/server/quotas";

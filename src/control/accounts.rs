//! Who uses a control plane: users, organizations and their members, API tokens, the audit log and quotas. The types of
//! [`super::Accounts`]. The embedded plane has no accounts. Spellings are the Platform API's
//! (`tests/data/platform-api.openapi.json`).

use super::names::{GroupName, OrganizationSlug, TokenName, Username};
use super::tokens::{DatabaseUsage, Usage};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The user that a token belongs to.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub username: Username,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub email: String,
    #[serde(default, rename = "avatarUrl")]
    pub avatar_url: String,
    #[serde(default)]
    pub plan: String,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrganizationKind {
    Personal,
    Team,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Organization {
    #[serde(default)]
    pub id: String,
    pub name: String,
    pub slug: OrganizationSlug,
    #[serde(rename = "type")]
    pub kind: OrganizationKind,
    #[serde(default)]
    pub overages: bool,
    #[serde(default)]
    pub require_mfa: bool,
    #[serde(default)]
    pub blocked_reads: bool,
    #[serde(default)]
    pub blocked_writes: bool,
    #[serde(default)]
    pub plan_id: String,
    #[serde(default)]
    pub plan_timeline: String,
    #[serde(default)]
    pub platform: String,
}

/// A change to an organization: absent fields stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OrganizationPatch {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overages: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_mfa: Option<bool>,
}

/// The role of a member in an organization. Each role may do all that the roles before it may.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberRole {
    /// May look at everything, and read databases.
    Viewer,
    /// May also create, change and destroy databases and groups.
    Member,
    /// May also manage members, invitations and delete protection.
    Admin,
    /// May also change and destroy the organization.
    Owner,
}

impl MemberRole {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

impl fmt::Display for MemberRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for MemberRole {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        [Self::Viewer, Self::Member, Self::Admin, Self::Owner]
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or_else(|| {
                Error::new(Code::InvalidValue, format!("{text:?} is not a role"))
                    .hint("roles are owner, admin, member and viewer")
            })
    }
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    pub username: Username,
    pub role: MemberRole,
    #[serde(default)]
    pub email: String,
}

/// An invitation that has not been accepted yet.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Invite {
    pub id: u64,
    pub email: String,
    pub role: MemberRole,
    #[serde(default)]
    pub accepted: bool,
    #[cfg_attr(test, schemars(with = "String"))]
    pub created_at: Timestamp,
    /// What the invited person opens or types. Only in the answer to whoever invites; no mail is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Secret>,
}

/// An API token as it is stored: everything but its text.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApiToken {
    pub name: TokenName,
    pub id: String,
    #[serde(default)]
    pub organization: Option<OrganizationSlug>,
    #[serde(default)]
    pub group: Option<GroupName>,
    /// Empty: everything that its owner may do. A group's token names all that it has.
    #[serde(default)]
    pub scopes: Vec<String>,
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub created_at: Option<Timestamp>,
    /// Not in the Platform API.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub last_used_at: Option<Timestamp>,
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub expires_at: Option<Timestamp>,
    /// The first characters of its text, by which its owner can recognize it.
    #[serde(default)]
    pub prefix: Option<String>,
}

/// The request for an API token.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NewApiToken {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationSlug>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Not in the Platform API; in the form of [`super::tokens::Expiration`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration: Option<String>,
}

/// A new API token, with its text, which is not stored.
#[derive(Debug, Clone, PartialEq)]
pub struct MintedApiToken {
    pub token: ApiToken,
    pub value: Secret,
}

/// A token that a user made, as far as others may know it.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MadeToken {
    /// What it opens: `api`, `database` or `group`.
    pub kind: String,
    pub id: String,
    #[serde(default)]
    pub name: Option<String>,
    /// The organization that it opens something of; none for an API token that is not limited to one.
    #[serde(default)]
    pub organization: Option<OrganizationSlug>,
}

/// A member that was removed, or a user whose access was ended.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndedAccess {
    /// The tokens that the user made and that could still be used.
    pub tokens: Vec<MadeToken>,
    /// Whether these ended with it.
    pub tokens_ended: bool,
}

/// A user of a server, as its operator sees one.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerUser {
    pub username: Username,
    #[serde(default)]
    pub email: String,
    #[cfg_attr(test, schemars(with = "String"))]
    pub created_at: Timestamp,
    /// May manage users and quotas.
    #[serde(default)]
    pub operator: bool,
    /// Those that the user is a member of, the personal one first.
    #[serde(default)]
    pub organizations: Vec<OrganizationSlug>,
    /// How many could be used now.
    #[serde(default)]
    pub api_tokens: u64,
    /// When one of these was used last.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub last_used_at: Option<Timestamp>,
}

/// An organization on a server, as its operator sees one.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerOrganization {
    pub slug: OrganizationSlug,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: OrganizationKind,
    #[cfg_attr(test, schemars(with = "String"))]
    pub created_at: Timestamp,
    /// Those who own it.
    pub owners: Vec<Username>,
    pub members: u64,
    pub databases: u64,
    /// Bytes of all primaries.
    pub storage_bytes: u64,
    /// Whether writes are refused because more is stored than the quota allows.
    pub over_quota: bool,
}

/// A quota that a server's operator has set.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaSetting {
    /// None for all organizations.
    #[serde(default)]
    pub organization: Option<OrganizationSlug>,
    pub name: String,
    /// 0 is unlimited.
    pub value: u64,
}

/// A group of an organization on a server, as its operator names it: `acme/default`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledGroup {
    pub organization: OrganizationSlug,
    pub group: GroupName,
}

impl fmt::Display for ScheduledGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.organization, self.group)
    }
}

impl FromStr for ScheduledGroup {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((organization, group)) = text.split_once('/') else {
            return Err(Error::new(
                Code::InvalidValue,
                format!("{text:?} does not name a group of an organization"),
            )
            .hint("write ORGANIZATION/GROUP, such as acme/default"));
        };
        Ok(Self {
            organization: organization.parse()?,
            group: group.parse()?,
        })
    }
}

/// When a server makes backups, and which it keeps.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSchedule {
    /// Both none for the whole server.
    pub organization: Option<OrganizationSlug>,
    pub group: Option<GroupName>,
    /// From one to the next.
    pub every_seconds: u64,
    /// Counts of hours, days, weeks, months and years: `7d,4w,12m`.
    pub keep: String,
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub last_backup_at: Option<Timestamp>,
    /// Whether the last one that was tried failed.
    #[serde(default)]
    pub failing: bool,
}

/// A change of a schedule. What is none stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupScheduleChange {
    /// Both none for the whole server.
    pub organization: Option<OrganizationSlug>,
    pub group: Option<GroupName>,
    pub every_seconds: Option<u64>,
    pub keep: Option<String>,
}

impl BackupScheduleChange {
    /// The group; none for the whole server. Fails with `invalid_value` where only one of the two names is there.
    pub fn of(&self) -> Result<Option<ScheduledGroup>> {
        match (self.organization.clone(), self.group.clone()) {
            (None, None) => Ok(None),
            (Some(organization), Some(group)) => Ok(Some(ScheduledGroup { organization, group })),
            _ => {
                Err(Error::new(Code::InvalidValue, "a group is named with its organization")
                    .hint("give both or neither"))
            }
        }
    }
}

/// An entry of the audit log: something that was done, or refused.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// A published code, such as `db-create`.
    pub code: String,
    pub message: String,
    /// Where it came from: `cli`, `api` or the client's own name.
    pub origin: String,
    /// Who.
    pub author: String,
    #[cfg_attr(test, schemars(with = "String"))]
    pub created_at: Timestamp,
    /// What it was done to, and `result` and `request_id`, which are not in the Platform API.
    pub data: serde_json::Value,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pagination {
    pub page: u64,
    #[serde(default)]
    pub page_size: u64,
    pub total_pages: u64,
    pub total_rows: u64,
}

/// A page of the audit log, the newest first.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditPage {
    pub audit_logs: Vec<AuditEntry>,
    pub pagination: Pagination,
}

/// The quotas of an organization; 0 is unlimited, and sizes are bytes.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Quotas {
    pub rows_read: u64,
    pub rows_written: u64,
    pub databases: u64,
    pub locations: u64,
    pub storage: u64,
    pub groups: u64,
    pub bytes_synced: u64,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub name: String,
    #[serde(default)]
    pub price: String,
    #[serde(default)]
    pub prices: Vec<serde_json::Value>,
    pub quotas: Quotas,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    #[serde(default)]
    pub name: String,
    pub plan: String,
    #[serde(default)]
    pub timeline: String,
    #[serde(default)]
    pub overages: bool,
}

/// What an organization uses now.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrganizationUsage {
    pub uuid: String,
    pub usage: OrganizationTotals,
    pub databases: Vec<DatabaseUsage>,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OrganizationTotals {
    #[serde(flatten)]
    pub used: Usage,
    pub databases: u64,
    pub locations: u64,
    pub groups: u64,
}

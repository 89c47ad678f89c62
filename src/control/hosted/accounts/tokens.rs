//! The user, and the user's API tokens.

use super::CallerAccounts;
use crate::control::accounts::{ApiToken, AuditEntry, MintedApiToken, NewApiToken, User};
use crate::control::hosted::permission::{Action, PermissionTarget, Scope, Scopes, permission};
use crate::control::hosted::store::{ApiTokenRow, OrganizationRow, UserRow};
use crate::control::hosted::{API_TOKEN, NewAuditEntry, PLAN, Shared, new_id, prefix, secrets};
use crate::control::names::{GroupName, OrganizationSlug, TokenName, Username};
use crate::control::tokens::Expiration;
use crate::control::{ApiTokenOperations, GroupOperations as _, ListPage};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

impl ApiTokenOperations for CallerAccounts<'_> {
    fn validate(&self) -> Result<Option<Timestamp>> {
        Ok(self.caller.expires_at())
    }

    fn current_user(&self) -> Result<User> {
        let name = self.caller.username();
        let row = self.records().user(name.as_str())?.ok_or_else(|| {
            Error::new(Code::Unauthenticated, format!("there is no user {name} any more"))
                .hint("log in as another user: torso auth login")
        })?;
        Ok(User {
            username: row.username,
            name: row.name,
            email: row.email,
            avatar_url: String::new(),
            plan: PLAN.to_owned(),
        })
    }

    fn list_api_tokens_after(&self, after: Option<&TokenName>, limit: usize) -> Result<ListPage<ApiToken>> {
        self.shared.write_uses();
        let session = &self.caller.session;
        let rows = match &session.group_uuid {
            // A token of one group sees itself: what its owner may do elsewhere is not the group's business.
            Some(_) if after.is_some() => Vec::new(),
            Some(_) => {
                let own = self
                    .records()
                    .api_token(&session.user_id, session.token_name.as_str())?;
                own.into_iter().collect()
            }
            None => self
                .records()
                .api_token_page(&session.user_id, after, limit.saturating_add(1))?,
        };
        let tokens = rows
            .into_iter()
            .map(|row| self.to_api_token(row))
            .collect::<Result<_>>()?;
        Ok(ListPage::of_first(tokens, limit))
    }

    fn create_api_token(&self, name: &TokenName, new: &NewApiToken) -> Result<MintedApiToken> {
        let entry = NewAuditEntry::new(
            "user-token-create",
            format!("created API token {name}"),
            json!({ "token": name, "organization": new.organization, "group": new.group, "scopes": new.scopes }),
        );
        let result = self.make(name, new);
        if let Ok(personal) = self.personal() {
            self.shared
                .note(&personal.id, self.caller, entry, result.as_ref().err());
        }
        result
    }

    fn revoke_api_token(&self, name: &TokenName) -> Result<()> {
        let entry = NewAuditEntry::new(
            "user-token-revoke",
            format!("revoked API token {name}"),
            json!({ "token": name }),
        );
        let personal = self.personal()?;
        let result = (|| {
            let records = self.records();
            let found = records.api_token(&self.caller.session.user_id, name.as_str())?;
            let row = found.ok_or_else(|| {
                Error::new(Code::TokenNotFound, format!("you have no API token {name}"))
                    .hint("torso auth api-tokens list shows them")
            })?;
            // A restricted token may revoke itself, and no other.
            if row.id != self.caller.session.token_id {
                self.unlimited("revoke other tokens")?;
            }
            records.write(|| records.delete_api_token(&row.id))?;
            self.shared.sessions.forget();
            Ok(())
        })();
        self.shared
            .note(&personal.id, self.caller, entry, result.as_ref().err());
        result
    }

    fn invalidate_sessions(&self) -> Result<Timestamp> {
        self.unlimited("end all sessions")?;
        let personal = self.personal()?;
        let now = Timestamp::now();
        {
            let records = self.records();
            records.write(|| records.delete_api_tokens_of(&self.caller.session.user_id))?;
            self.shared.sessions.forget();
        }
        let entry = NewAuditEntry::new("user-sessions-invalidate", "ended all sessions", json!({}));
        self.shared.note(&personal.id, self.caller, entry, None);
        Ok(now)
    }
}

impl CallerAccounts<'_> {
    /// The API tokens that are restricted to an organization, with whoever made them: of all members for those who manage
    /// them, else the caller's own.
    pub(in crate::control::hosted) fn organization_tokens(
        &self,
        of: &OrganizationSlug,
    ) -> Result<Vec<(ApiToken, UserRow)>> {
        let (organization, rights) = self.shared.rights(self.caller, Some(of))?;
        let sees_all = permission(&rights, Action::ManageMembers, PermissionTarget::Organization).is_ok();
        self.shared.write_uses();
        let rows = {
            let records = self.records();
            let mut rows = Vec::new();
            for row in records.api_tokens_of_organization(&organization.id)? {
                let is_other_of_group = rights.group.is_some() && row.id != self.caller.session.token_id;
                if is_other_of_group || !sees_all && row.user_id != self.caller.session.user_id {
                    continue;
                }
                if let Some(user) = records.user_by_id(&row.user_id)? {
                    rows.push((row, user));
                }
            }
            rows
        };
        rows.into_iter()
            .map(|(row, user)| Ok((self.to_api_token(row)?, user)))
            .collect()
    }

    fn to_api_token(&self, row: ApiTokenRow) -> Result<ApiToken> {
        let organization = match &row.organization_id {
            None => None,
            Some(id) => self.records().organization_by_id(id)?,
        };
        let group = match (&row.group_uuid, &organization) {
            (Some(uuid), Some(organization)) => self.group_name(organization, uuid)?,
            _ => None,
        };
        // Of a group's token every scope is told, also where it has all of them.
        let scopes = match (row.scopes.is_empty(), &row.group_uuid) {
            (true, Some(_)) => Scope::ALL.iter().map(ToString::to_string).collect(),
            _ => row.scopes,
        };
        Ok(ApiToken {
            name: row.name,
            id: row.id,
            organization: organization.map(|row| row.slug),
            group,
            scopes,
            created_at: Some(row.created_at),
            last_used_at: row.last_used_at,
            expires_at: row.expires_at,
            prefix: Some(row.prefix),
        })
    }

    fn group_name(&self, organization: &OrganizationRow, uuid: &str) -> Result<Option<GroupName>> {
        let all = self.shared.plane_of(organization)?.list_groups()?;
        Ok(all.into_iter().find(|group| group.uuid == uuid).map(|group| group.name))
    }

    fn make(&self, name: &TokenName, new: &NewApiToken) -> Result<MintedApiToken> {
        let session = &self.caller.session;
        let scopes = Scopes::parse(new.scopes.as_deref().unwrap_or_default())?;
        if !session.scopes.cover(&scopes) {
            return Err(too_much(name));
        }
        let organization = match &new.organization {
            None => None,
            Some(slug) => Some(self.shared.rights(self.caller, Some(slug))?.0),
        };
        let group = match (&new.group, &organization) {
            (None, _) => None,
            (Some(group), Some(organization)) => Some(self.shared.plane_of(organization)?.get_group(group)?.uuid),
            (Some(group), None) => {
                return Err(Error::new(
                    Code::InvalidValue,
                    format!("a token for group {group} needs the group's organization, which is not named"),
                )
                .hint("add its name: --org NAME, or organization in the body; torso org list shows yours"));
            }
        };
        // A restricted token cannot make one with more rights.
        let organization_id = organization.as_ref().map(|row| row.id.clone());
        let within = |own: &Option<String>, requested: &Option<String>| own.is_none() || own == requested;
        if !within(&session.organization_id, &organization_id) || !within(&session.group_uuid, &group) {
            return Err(too_much(name));
        }
        let now = Timestamp::now();
        let expires_at = expiry(new, session.expires_at, now)?;
        let text = secrets::secret(API_TOKEN)?;
        let row = ApiTokenRow {
            id: new_id(),
            user_id: session.user_id.clone(),
            name: name.clone(),
            prefix: prefix(&text),
            organization_id,
            group_uuid: group,
            scopes: scopes.names(),
            created_at: now,
            expires_at,
            last_used_at: None,
        };
        {
            let records = self.records();
            records.write(|| {
                let old = records.api_token(&session.user_id, name.as_str())?;
                // A request that is made again replaces the token of its first time, whose text nobody got.
                if self.caller.resumes() {
                    let old = old.ok_or_else(|| {
                        Error::new(
                            Code::TokenNotFound,
                            format!("API token {name} was made, and revoked since"),
                        )
                        .hint("make another one")
                    })?;
                    records.delete_api_token(&old.id)?;
                } else if old.is_some() {
                    return Err(
                        Error::new(Code::TokenExists, format!("you have an API token {name} already"))
                            .hint("choose another name, or revoke it first: torso auth api-tokens list"),
                    );
                }
                records.insert_api_token(&row, &secrets::hash(&text))
            })?;
        }
        Ok(MintedApiToken {
            token: self.to_api_token(row)?,
            value: Secret::new(text),
        })
    }
}

impl Shared {
    /// Makes an API token for a user, without a permission check.
    pub(in crate::control::hosted) fn issue(&self, username: &Username) -> Result<Secret> {
        let text = secrets::secret(API_TOKEN)?;
        let id = new_id();
        let records = self.records();
        let (Some(user), Some(personal)) = (
            records.user(username.as_str())?,
            records.organization(username.as_str())?,
        ) else {
            return Err(Error::new(
                Code::UserNotFound,
                format!("there is no user {username} on this server"),
            )
            .hint("the first start printed the owner's name; it is admin unless --owner was given"));
        };
        let row = ApiTokenRow {
            user_id: user.id,
            name: format!("issued-{}", &id[..8]).parse()?,
            prefix: prefix(&text),
            organization_id: None,
            group_uuid: None,
            scopes: Vec::new(),
            created_at: Timestamp::now(),
            expires_at: None,
            last_used_at: None,
            id,
        };
        records.write(|| records.insert_api_token(&row, &secrets::hash(&text)))?;
        let line = AuditEntry {
            code: "user-token-create".to_owned(),
            message: format!("the administrator issued API token {}", row.name),
            origin: "server".to_owned(),
            author: username.as_str().to_owned(),
            created_at: row.created_at,
            data: json!({ "token": row.name }),
        };
        let _ = records.audit(&personal.id, &line, "ok", "");
        Ok(Secret::new(text))
    }
}

/// When a new token expires: not later than the one that it is made with.
fn expiry(new: &NewApiToken, own: Option<Timestamp>, now: Timestamp) -> Result<Option<Timestamp>> {
    let wanted = match new.expiration.as_deref().map_or(Ok(Expiration::Never), str::parse)? {
        Expiration::Never => return Ok(own),
        Expiration::After(span) => span,
    };
    let span = SignedDuration::from_secs(i64::try_from(wanted.as_secs()).unwrap_or(i64::MAX));
    let end = now
        .checked_add(span)
        .map_err(|error| Error::new(Code::InvalidValue, "the token would be valid for too long").caused_by(error))?;
    Ok(Some(own.map_or(end, |own| own.min(end))))
}

fn too_much(name: &TokenName) -> Error {
    Error::new(
        Code::Forbidden,
        format!("the API token in use may do less than {name} would"),
    )
    .hint("use a token with full access, or make one for less")
}

/// Makes a slug of an organization's name: `My Team` becomes `my-team`.
pub(super) fn slug(name: &str) -> Result<OrganizationSlug> {
    let mut slug = String::new();
    for c in name.trim().chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').parse()
}

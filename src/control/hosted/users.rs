//! Making users: the first one of a server, and whoever accepts an invitation.

use super::store::{AccountStore, ApiTokenRow, OrganizationRow, UserRow};
use super::{PLAN, Shared, new_id, secrets};
use crate::control::GroupOperations as _;
use crate::control::accounts::{MemberRole, OrganizationKind};
use crate::control::idempotency::RequestMark;
use crate::control::names::{DEFAULT_GROUP, Username};
use crate::control::types::NewGroup;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use jiff::Timestamp;

/// The name of the first user, unless another one is given.
const OWNER: &str = "admin";

/// The beginning of the text of API tokens.
pub(super) const API_TOKEN: &str = "torso_";

/// The part of a token's text that is stored, to recognize it in lists.
pub(super) fn prefix(text: &str) -> String {
    text.chars().take(API_TOKEN.len() + 8).collect()
}

impl Shared {
    /// Whether a user is the operator of the server: the one of its first start.
    pub(super) fn is_first_user(&self, id: &str) -> Result<bool> {
        let first = self.records().users()?.into_iter().next();
        Ok(first.is_some_and(|first| first.id == id))
    }

    /// Makes the first user, unless there are users already; returns the user's API token.
    pub(super) fn first_owner(&self, name: Option<Username>) -> Result<Option<Secret>> {
        if !self.records().users()?.is_empty() {
            return Ok(None);
        }
        let name = name.map_or_else(|| OWNER.parse(), Ok)?;
        let (_, token) = self.make_user(&name, "", None, |_, _| Ok(()))?;
        Ok(Some(token))
    }

    /// Makes a user with a personal organization, a group in that, and an API token. `more` is part of the
    /// transaction, which `mark` marks.
    pub(super) fn make_user(
        &self,
        username: &Username,
        email: &str,
        mark: Option<RequestMark>,
        more: impl FnOnce(&AccountStore, &UserRow) -> Result<()>,
    ) -> Result<(UserRow, Secret)> {
        let now = Timestamp::now();
        let user = UserRow {
            id: new_id(),
            username: username.clone(),
            name: String::new(),
            email: email.to_owned(),
            created_at: now,
        };
        let organization = OrganizationRow {
            id: new_id(),
            slug: username.as_str().parse()?,
            name: username.as_str().to_owned(),
            kind: OrganizationKind::Personal,
            plan: PLAN.to_owned(),
            overages: false,
            require_mfa: false,
            created_at: now,
        };
        let (token, text) = first_token(&user.id)?;
        {
            let records = self.records_for(mark);
            records.write(|| {
                if records.user(username.as_str())?.is_some() || records.organization(username.as_str())?.is_some() {
                    return Err(Error::new(Code::UserExists, format!("the name {username} is taken"))
                        .hint("choose another name"));
                }
                records.insert_user(&user)?;
                records.insert_organization(&organization)?;
                records.set_member(&organization.id, &user.id, MemberRole::Owner)?;
                records.insert_api_token(&token, &secrets::hash(&text))?;
                more(&records, &user)
            })?;
        }
        self.first_group(&organization);
        Ok((user, Secret::new(text)))
    }

    /// Replaces the first API token of a user, which was made and got lost on its way.
    pub(super) fn replace_first_token(&self, user: &UserRow) -> Result<Secret> {
        let (token, text) = first_token(&user.id)?;
        let records = self.records();
        records.write(|| {
            if let Some(lost) = records.api_token(&user.id, token.name.as_str())? {
                records.delete_api_token(&lost.id)?;
            }
            records.insert_api_token(&token, &secrets::hash(&text))
        })?;
        self.sessions.forget();
        Ok(Secret::new(text))
    }

    /// Makes the default group, because clients expect one. Where it cannot be made, the first database brings it along: no
    /// reason to keep the organization, or a user's only token, from whom it was made for.
    pub(super) fn first_group(&self, organization: &OrganizationRow) {
        let made = self.plane_of(organization).and_then(|plane| {
            plane.create_group(&NewGroup {
                name: DEFAULT_GROUP.parse()?,
                location: self.default_location()?,
            })
        });
        if let Err(error) = made {
            tracing::warn!(organization = %organization.slug, %error, "the first group could not be made");
        }
    }
}

/// A user's first API token, and its text.
fn first_token(user_id: &str) -> Result<(ApiTokenRow, String)> {
    let text = secrets::secret(API_TOKEN)?;
    let row = ApiTokenRow {
        id: new_id(),
        user_id: user_id.to_owned(),
        name: "first".parse()?,
        prefix: prefix(&text),
        organization_id: None,
        group_uuid: None,
        scopes: Vec::new(),
        created_at: Timestamp::now(),
        expires_at: None,
        last_used_at: None,
    };
    Ok((row, text))
}

//! Invitations to become a member of an organization.

use super::CallerAccounts;
use super::members::{may_give, refuse_personal};
use crate::control::InviteOperations;
use crate::control::accounts::{Invite, MemberRole, User};
use crate::control::hosted::permission::Action;
use crate::control::hosted::store::{InviteRow, UserRow};
use crate::control::hosted::{CallRequest, NewAuditEntry, PLAN, Shared, secrets};
use crate::control::names::{OrganizationSlug, Username};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// The beginning of the text of invitations.
const INVITATION: &str = "torso_invite_";

/// How long an invitation is valid.
const VALID: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Bytes of the longest e-mail address.
const LONGEST_EMAIL: usize = 254;

impl InviteOperations for CallerAccounts<'_> {
    fn list_invites(&self, of: &OrganizationSlug) -> Result<Vec<Invite>> {
        let (organization, _) = self.allow(of, Action::SeeMembers, None)?;
        let rows = self.records().invites(&organization.id)?;
        Ok(rows.into_iter().map(|row| to_invite(row, None)).collect())
    }

    fn create_invite(&self, of: &OrganizationSlug, email: &str, role: MemberRole) -> Result<Invite> {
        let email = email.trim();
        let entry = NewAuditEntry::new(
            "org-invite-create",
            format!("invited somebody to organization {of}"),
            json!({ "email": email.chars().take(LONGEST_EMAIL).collect::<String>(), "role": role }),
        );
        self.change(of, Action::ManageMembers, entry, |organization, rights| {
            may_give(rights, role)?;
            refuse_personal(organization)?;
            let (before, after) = email.split_once('@').unwrap_or_default();
            let plain = email.chars().all(|c| !c.is_control() && !c.is_whitespace());
            if before.is_empty() || after.is_empty() || !plain || email.len() > LONGEST_EMAIL {
                return Err(Error::new(Code::InvalidValue, format!("{email:?} is not an address"))
                    .hint("use one such as ada@example.com"));
            }
            let text = secrets::secret(INVITATION)?;
            let now = Timestamp::now();
            let mut row = InviteRow {
                id: 0,
                organization_id: organization.id.clone(),
                email: email.to_owned(),
                role,
                created_at: now,
                expires_at: now
                    .checked_add(VALID)
                    .map_err(|error| Error::new(Code::Internal, "cannot read the clock").caused_by(error))?,
            };
            let records = self.records();
            records.write(|| {
                if let Some(old) = records.invite(&organization.id, email)? {
                    if old.expires_at > now {
                        return Err(Error::new(
                            Code::InviteExists,
                            format!("{email} is invited to organization {of} already"),
                        )
                        .hint(format!("torso org invites remove {email} withdraws it")));
                    }
                    records.delete_invite(old.id)?;
                }
                row.id = records.insert_invite(&row, &secrets::hash(&text))?;
                Ok(())
            })?;
            let base = self.shared.public.base.as_str().trim_end_matches('/');
            Ok(to_invite(
                row,
                Some(Secret::new(format!("{base}/signup?invite={text}"))),
            ))
        })
    }

    fn delete_invite(&self, of: &OrganizationSlug, email: &str) -> Result<()> {
        let entry = NewAuditEntry::new(
            "org-invite-delete",
            format!("withdrew an invitation to organization {of}"),
            json!({ "email": email.chars().take(LONGEST_EMAIL).collect::<String>() }),
        );
        self.change(of, Action::ManageMembers, entry, |organization, _| {
            let records = self.records();
            let row = records.invite(&organization.id, email)?.ok_or_else(|| {
                Error::new(
                    Code::InviteNotFound,
                    format!("{email:?} is not invited to organization {of}"),
                )
                .hint("torso org invites list shows the invitations")
            })?;
            records.write(|| records.delete_invite(row.id)).map(drop)
        })
    }
}

impl Shared {
    /// Whether an invitation with a text can be accepted.
    pub(in crate::control::hosted) fn is_invitation_open(&self, text: &str) -> Result<bool> {
        let invite = self.records().invite_by_hash(&secrets::hash(text))?;
        Ok(invite.is_some_and(|invite| invite.expires_at > Timestamp::now()))
    }

    /// Makes a new user of whoever has the text of an invitation, and a member of the organization. The user's API token.
    pub(in crate::control::hosted) fn accept(
        &self,
        text: &str,
        username: &Username,
        request: Option<CallRequest>,
    ) -> Result<(User, Secret)> {
        // The same request has made the user already.
        if request.is_some_and(|request| request.resumes)
            && let Some(user) = { self.records().user(username.as_str())? }
        {
            let token = self.replace_first_token(&user)?;
            return Ok((to_user(user), token));
        }
        let invalid = || {
            Error::new(
                Code::InviteNotFound,
                "the invitation is not valid: it was used, withdrawn, or is older than a week",
            )
            .hint("ask for another one")
        };
        let invite = self.records().invite_by_hash(&secrets::hash(text))?;
        let invite = invite
            .filter(|invite| invite.expires_at > Timestamp::now())
            .ok_or_else(invalid)?;
        let mark = request.map(|request| request.mark);
        let (user, token) = self.make_user(username, &invite.email, mark, |records, user| {
            // Two may have come with the same one.
            if !records.delete_invite(invite.id)? {
                return Err(invalid());
            }
            records.set_member(&invite.organization_id, &user.id, invite.role)
        })?;
        Ok((to_user(user), token))
    }
}

fn to_user(user: UserRow) -> User {
    User {
        username: user.username,
        name: user.name,
        email: user.email,
        avatar_url: String::new(),
        plan: PLAN.to_owned(),
    }
}

fn to_invite(row: InviteRow, link: Option<Secret>) -> Invite {
    Invite {
        id: row.id,
        email: row.email,
        role: row.role,
        accepted: false,
        created_at: row.created_at,
        link,
    }
}

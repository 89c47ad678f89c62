//! Members of organizations, and invitations to become one.

use super::CallerAccounts;
use crate::control::accounts::{EndedAccess, Invite, MadeToken, Member, MemberRole, User};
use crate::control::hosted::permission::{Action, Rights};
use crate::control::hosted::store::{ApiTokenRow, DatabaseTokenRow, InviteRow, MemberRow, OrganizationRow, Records};
use crate::control::hosted::{Entry, PLAN, Shared, secrets};
use crate::control::names::{OrganizationSlug, Username};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// The beginning of the text of invitations.
const INVITATION: &str = "torso_invite_";

/// How long an invitation is valid.
const VALID: SignedDuration = SignedDuration::from_hours(7 * 24);

impl CallerAccounts<'_> {
    pub(super) fn member(&self, organization: &OrganizationRow, user: &Username) -> Result<MemberRow> {
        member(&self.shared.records(), organization, user)
    }

    pub(super) fn admit(&self, of: &OrganizationSlug, user: &Username, role: MemberRole) -> Result<Member> {
        let entry = Entry::new(
            "org-member-add",
            format!("added {user} to organization {of}"),
            json!({ "user": user, "role": role }),
        );
        self.change(of, Action::ManageMembers, entry, |organization, rights| {
            may_give(rights, role)?;
            refuse_personal(organization)?;
            let records = self.shared.records();
            let row = records.user(user.as_str())?.ok_or_else(|| {
                Error::new(Code::UserNotFound, format!("there is no user {user} on this server"))
                    .hint("torso org invites create EMAIL invites a new person")
            })?;
            records.write(|| {
                if records.member(&organization.id, &row.id)?.is_some() {
                    return Err(Error::new(
                        Code::MemberExists,
                        format!("{user} is a member of organization {of} already"),
                    )
                    .hint("torso org members list shows them"));
                }
                records.set_member(&organization.id, &row.id, role)
            })?;
            Ok(Member {
                username: row.username,
                role,
                email: row.email,
            })
        })
    }

    pub(super) fn set_role(&self, of: &OrganizationSlug, user: &Username, role: MemberRole) -> Result<Member> {
        let entry = Entry::new(
            "org-member-update",
            format!("changed the role of {user} in organization {of}"),
            json!({ "user": user, "role": role }),
        );
        self.change(of, Action::ManageMembers, entry, |organization, rights| {
            let records = self.shared.records();
            records.write(|| {
                let row = member(&records, organization, user)?;
                may_give(rights, role)?;
                may_give(rights, row.role)?;
                if role < MemberRole::Owner {
                    another_owner(&records.members(&organization.id)?, &row, of)?;
                }
                records.set_member(&organization.id, &row.user_id, role)?;
                Ok(told(MemberRow { role, ..row }))
            })
        })
    }

    pub(super) fn dismiss(&self, of: &OrganizationSlug, user: &Username, keep_tokens: bool) -> Result<EndedAccess> {
        // Every member may leave.
        let leaves = user == self.caller.username();
        let (code, doing, action) = if leaves {
            ("org-member-leave", "left", Action::SeeMembers)
        } else {
            ("org-member-rm", "was removed from", Action::ManageMembers)
        };
        let entry = Entry::new(
            code,
            format!("{user} {doing} organization {of}"),
            json!({ "user": user, "keep_tokens": keep_tokens }),
        );
        self.change(of, action, entry, |organization, rights| {
            if leaves {
                self.unlimited("leave organizations")?;
            }
            let records = self.shared.records();
            let row = member(&records, organization, user)?;
            if !leaves {
                may_give(rights, row.role)?;
            }
            another_owner(&records.members(&organization.id)?, &row, of)?;
            let now = Timestamp::now();
            let api = records.api_tokens_in(&organization.id, &row.user_id)?;
            let database = records.database_tokens_by(user.as_str(), Some(&organization.id), now)?;
            records.write(|| {
                // API tokens for this organization go with the membership.
                records.delete_member(&organization.id, &row.user_id)?;
                if !keep_tokens {
                    database
                        .iter()
                        .try_for_each(|token| records.revoke(&token.id, now).map(drop))?;
                }
                Ok(())
            })?;
            self.shared.sessions.forget();
            let mut tokens: Vec<MadeToken> = Vec::new();
            if !keep_tokens {
                // Under the lock, so that a later time does not replace this one.
                self.shared
                    .token_authority
                    .end(database.iter().map(|token| (token.id.clone(), now)));
                tokens.extend(api.iter().map(|token| made_api_token(token, Some(of))));
            }
            tokens.extend(database.iter().map(|token| made_database_token(token, Some(of))));
            Ok(EndedAccess {
                tokens,
                tokens_ended: !keep_tokens,
            })
        })
    }

    pub(super) fn invite(&self, of: &OrganizationSlug, email: &str, role: MemberRole) -> Result<Invite> {
        let email = email.trim();
        let entry = Entry::new(
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
                    .map_err(|error| Error::new(Code::Internal, "cannot tell the time").caused_by(error))?,
            };
            let records = self.shared.records();
            records.write(|| {
                if let Some(old) = records.invite(&organization.id, email)? {
                    if old.expires_at > now {
                        return Err(Error::new(
                            Code::InviteExists,
                            format!("{email} is invited to organization {of} already"),
                        )
                        .hint(format!("torso org invites remove {email} takes it back")));
                    }
                    records.delete_invite(old.id)?;
                }
                row.id = records.insert_invite(&row, &secrets::hash(&text))?;
                Ok(())
            })?;
            let base = self.shared.public.base.as_str().trim_end_matches('/');
            Ok(told_invite(
                row,
                Some(Secret::new(format!("{base}/signup?invite={text}"))),
            ))
        })
    }

    pub(super) fn uninvite(&self, of: &OrganizationSlug, email: &str) -> Result<()> {
        let entry = Entry::new(
            "org-invite-delete",
            format!("took back an invitation to organization {of}"),
            json!({ "email": email.chars().take(LONGEST_EMAIL).collect::<String>() }),
        );
        self.change(of, Action::ManageMembers, entry, |organization, _| {
            let records = self.shared.records();
            let row = records.invite(&organization.id, email)?.ok_or_else(|| {
                Error::new(
                    Code::InviteNotFound,
                    format!("nobody of address {email:?} is invited to organization {of}"),
                )
                .hint("torso org invites list shows the invitations")
            })?;
            records.write(|| records.delete_invite(row.id)).map(drop)
        })
    }
}

fn member(records: &Records, organization: &OrganizationRow, user: &Username) -> Result<MemberRow> {
    let row = match records.user(user.as_str())? {
        Some(user) => records.member(&organization.id, &user.id)?,
        None => None,
    };
    row.ok_or_else(|| {
        Error::new(
            Code::UserNotFound,
            format!("{user} is no member of organization {}", organization.slug),
        )
        .hint("torso org members list shows them")
    })
}

/// Bytes of the longest e-mail address.
const LONGEST_EMAIL: usize = 254;

impl Shared {
    /// Whether an invitation with a text can be accepted.
    pub(in crate::control::hosted) fn is_invitation_open(&self, text: &str) -> Result<bool> {
        let invite = self.records().invite_by_hash(&secrets::hash(text))?;
        Ok(invite.is_some_and(|invite| invite.expires_at > Timestamp::now()))
    }

    /// Makes a new user of whoever has the text of an invitation, and a member of the organization. The user's API token.
    pub(in crate::control::hosted) fn accept(&self, text: &str, username: &Username) -> Result<(User, Secret)> {
        let invalid = || {
            Error::new(
                Code::InviteNotFound,
                "the invitation is not valid: it was used, taken back, or is older than a week",
            )
            .hint("ask for another one")
        };
        let invite = self.records().invite_by_hash(&secrets::hash(text))?;
        let invite = invite
            .filter(|invite| invite.expires_at > Timestamp::now())
            .ok_or_else(invalid)?;
        let (user, token) = self.make_user(username, &invite.email, |records, user| {
            // Two may have come with the same one.
            if !records.delete_invite(invite.id)? {
                return Err(invalid());
            }
            records.set_member(&invite.organization_id, &user.id, invite.role)
        })?;
        let user = User {
            username: user.username,
            name: user.name,
            email: user.email,
            avatar_url: String::new(),
            plan: PLAN.to_owned(),
        };
        Ok((user, token))
    }
}

/// Refuses to give or take a role above the caller's own.
fn may_give(rights: &Rights, role: MemberRole) -> Result<()> {
    if role <= rights.role {
        return Ok(());
    }
    Err(Error::new(
        Code::Forbidden,
        format!("as {} you may not make or change an {role}", rights.role),
    )
    .hint("an owner of the organization may: torso org members list"))
}

fn refuse_personal(organization: &OrganizationRow) -> Result<()> {
    match organization.kind {
        crate::control::accounts::OrganizationKind::Team => Ok(()),
        crate::control::accounts::OrganizationKind::Personal => Err(Error::new(
            Code::Conflict,
            format!("{} is a personal organization, for its user alone", organization.slug),
        )
        .hint("torso org create NAME makes one for a team")),
    }
}

/// Refuses to remove the last owner.
pub(super) fn another_owner(all: &[MemberRow], row: &MemberRow, of: &OrganizationSlug) -> Result<()> {
    let owners = all.iter().filter(|member| member.role == MemberRole::Owner);
    if row.role < MemberRole::Owner || owners.count() > 1 {
        return Ok(());
    }
    Err(Error::new(
        Code::Conflict,
        format!("{} is the only owner of organization {of}", row.username),
    )
    .hint("make somebody else an owner first: torso org members role USER owner"))
}

/// An API token, as others may know it.
pub(super) fn made_api_token(row: &ApiTokenRow, of: Option<&OrganizationSlug>) -> MadeToken {
    MadeToken {
        kind: "api".to_owned(),
        id: row.id.clone(),
        name: Some(row.name.to_string()),
        organization: of.cloned(),
    }
}

/// A database token, as others may know it.
pub(super) fn made_database_token(row: &DatabaseTokenRow, of: Option<&OrganizationSlug>) -> MadeToken {
    let kind = if row.database_id.is_some() { "database" } else { "group" };
    MadeToken {
        kind: kind.to_owned(),
        id: row.id.clone(),
        name: row.name.clone(),
        organization: of.cloned(),
    }
}

pub(super) fn told(row: MemberRow) -> Member {
    Member {
        username: row.username,
        role: row.role,
        email: row.email,
    }
}

pub(super) fn told_invite(row: InviteRow, link: Option<Secret>) -> Invite {
    Invite {
        id: row.id,
        email: row.email,
        role: row.role,
        accepted: false,
        created_at: row.created_at,
        link,
    }
}

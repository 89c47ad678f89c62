//! Members of organizations, and invitations to become one.

use super::CallerAccounts;
use crate::control::MemberOperations;
use crate::control::accounts::{EndedAccess, MadeToken, Member, MemberRole};
use crate::control::hosted::NewAuditEntry;
use crate::control::hosted::permission::{Action, Rights};
use crate::control::hosted::store::{AccountStore, ApiTokenRow, DatabaseTokenRow, MemberRow, OrganizationRow};
use crate::control::names::{OrganizationSlug, Username};
use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use serde_json::json;

impl MemberOperations for CallerAccounts<'_> {
    fn list_members(&self, of: &OrganizationSlug) -> Result<Vec<Member>> {
        let (organization, _) = self.allow(of, Action::SeeMembers, None)?;
        let rows = self.records().members(&organization.id)?;
        Ok(rows.into_iter().map(to_member).collect())
    }

    fn get_member(&self, of: &OrganizationSlug, user: &Username) -> Result<Member> {
        let (organization, _) = self.allow(of, Action::SeeMembers, None)?;
        self.member(&organization, user).map(to_member)
    }

    fn add_member(&self, of: &OrganizationSlug, user: &Username, role: MemberRole) -> Result<Member> {
        let entry = NewAuditEntry::new(
            "org-member-add",
            format!("added {user} to organization {of}"),
            json!({ "user": user, "role": role }),
        );
        self.change(of, Action::ManageMembers, entry, |organization, rights| {
            may_give(rights, role)?;
            refuse_personal(organization)?;
            let records = self.records();
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

    fn update_member(&self, of: &OrganizationSlug, user: &Username, role: MemberRole) -> Result<Member> {
        let entry = NewAuditEntry::new(
            "org-member-update",
            format!("changed the role of {user} in organization {of}"),
            json!({ "user": user, "role": role }),
        );
        self.change(of, Action::ManageMembers, entry, |organization, rights| {
            let records = self.records();
            records.write(|| {
                let row = member(&records, organization, user)?;
                may_give(rights, role)?;
                may_give(rights, row.role)?;
                if role < MemberRole::Owner {
                    another_owner(&records.members(&organization.id)?, &row, of)?;
                }
                records.set_member(&organization.id, &row.user_id, role)?;
                Ok(to_member(MemberRow { role, ..row }))
            })
        })
    }

    fn remove_member(&self, of: &OrganizationSlug, user: &Username, keep_tokens: bool) -> Result<EndedAccess> {
        // Every member may leave.
        let leaves = user == self.caller.username();
        let (code, doing, action) = if leaves {
            ("org-member-leave", "left", Action::SeeMembers)
        } else {
            ("org-member-rm", "was removed from", Action::ManageMembers)
        };
        let entry = NewAuditEntry::new(
            code,
            format!("{user} {doing} organization {of}"),
            json!({ "user": user, "keep_tokens": keep_tokens }),
        );
        self.change(of, action, entry, |organization, rights| {
            if leaves {
                self.unlimited("leave organizations")?;
            }
            let records = self.records();
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
}

impl CallerAccounts<'_> {
    pub(super) fn member(&self, organization: &OrganizationRow, user: &Username) -> Result<MemberRow> {
        member(&self.records(), organization, user)
    }
}

fn member(records: &AccountStore, organization: &OrganizationRow, user: &Username) -> Result<MemberRow> {
    let row = match records.user(user.as_str())? {
        Some(user) => records.member(&organization.id, &user.id)?,
        None => None,
    };
    row.ok_or_else(|| {
        Error::new(
            Code::UserNotFound,
            format!("{user} is not a member of organization {}", organization.slug),
        )
        .hint("torso org members list shows them")
    })
}

/// Refuses to give or take a role above the caller's own.
pub(super) fn may_give(rights: &Rights, role: MemberRole) -> Result<()> {
    if role <= rights.role {
        return Ok(());
    }
    Err(Error::new(
        Code::Forbidden,
        format!("as {} you may not make or change an {role}", rights.role),
    )
    .hint("an owner of the organization may: torso org members list"))
}

pub(super) fn refuse_personal(organization: &OrganizationRow) -> Result<()> {
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

pub(super) fn to_member(row: MemberRow) -> Member {
    Member {
        username: row.username,
        role: row.role,
        email: row.email,
    }
}

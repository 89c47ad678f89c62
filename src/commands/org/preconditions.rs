//! What changes of organizations, members and API tokens need, as far as their caller can know: asked by their dry runs. The server,
//! which knows more, says the same where the change itself is refused.

use crate::commands::preconditions::if_known;
use crate::context::Context;
use crate::control::accounts::{Member, MemberRole, OrganizationKind};
use crate::control::names::{OrganizationSlug, TokenName, Username};
use crate::error::{Code, Error, Result};
use jiff::Timestamp;

/// Fails where an organization is for its user alone.
pub(in crate::commands) fn check_team(ctx: &Context, slug: &OrganizationSlug) -> Result<()> {
    let organization = if_known(ctx.accounts()?.get_organization(slug), Code::OrganizationNotFound)?;
    match organization {
        Some(found) if found.kind == OrganizationKind::Personal => Err(Error::new(
            Code::Conflict,
            format!("{slug} is a personal organization, for its user alone"),
        )
        .hint("torso org create NAME makes one for a team")),
        _ => Ok(()),
    }
}

/// Fails where somebody is a member already.
pub(in crate::commands) fn check_new_member(ctx: &Context, slug: &OrganizationSlug, user: &Username) -> Result<()> {
    check_team(ctx, slug)?;
    let members = members(ctx, slug)?;
    if members.iter().any(|member| member.username == *user) {
        return Err(Error::new(
            Code::MemberExists,
            format!("{user} is a member of organization {slug} already"),
        )
        .hint("torso org members list shows them"));
    }
    Ok(())
}

/// Fails where somebody is the only owner, whom an organization cannot lose.
pub(in crate::commands) fn check_other_owner(ctx: &Context, slug: &OrganizationSlug, user: &Username) -> Result<()> {
    let members = members(ctx, slug)?;
    let mut owners = members.iter().filter(|member| member.role == MemberRole::Owner);
    match (owners.next(), owners.next()) {
        (Some(only), None) if only.username == *user => Err(Error::new(
            Code::Conflict,
            format!("{user} is the only owner of organization {slug}"),
        )
        .hint("make somebody else an owner first: torso org members role USER owner")),
        _ => Ok(()),
    }
}

fn members(ctx: &Context, slug: &OrganizationSlug) -> Result<Vec<Member>> {
    let members = if_known(ctx.accounts()?.list_members(slug), Code::OrganizationNotFound)?;
    Ok(members.unwrap_or_default())
}

/// Fails where an organization cannot be deleted: a personal one, and one that has databases.
pub(in crate::commands) fn check_deletable(ctx: &Context, slug: &OrganizationSlug) -> Result<()> {
    let accounts = ctx.accounts()?;
    if accounts.get_organization(slug)?.kind == OrganizationKind::Personal {
        return Err(Error::new(
            Code::Conflict,
            format!("{slug} is a personal organization and stays as long as its user"),
        )
        .hint("destroy its databases one by one: torso db list"));
    }
    let usage = if_known(accounts.organization_usage(slug), Code::OrganizationNotFound)?;
    match usage.map_or(0, |found| found.usage.databases) {
        0 => Ok(()),
        databases => Err(Error::new(
            Code::Conflict,
            format!("organization {slug} still has databases: {databases}"),
        )
        .hint("destroy or move them first: torso db list")),
    }
}

/// Fails where databases cannot move to an organization: to the one that has them, and to one that cannot be seen.
pub(in crate::commands) fn check_transfer_target(ctx: &Context, to: &OrganizationSlug) -> Result<()> {
    if ctx.organization()? == *to {
        return Err(
            Error::new(Code::Conflict, format!("it is in organization {to} already"))
                .hint("torso org list shows your organizations"),
        );
    }
    crate::commands::preconditions::check_organization(ctx, to)
}

/// Fails where an API token cannot be made: under a name that is taken, and for an organization that cannot be seen.
pub(in crate::commands) fn check_new_api_token(
    ctx: &Context,
    name: &TokenName,
    organization: Option<&OrganizationSlug>,
) -> Result<()> {
    if let Some(slug) = organization {
        crate::commands::preconditions::check_organization(ctx, slug)?;
    }
    let tokens = if_known(ctx.accounts()?.list_api_tokens(), Code::TokenNotFound)?;
    let now = Timestamp::now();
    // One that has expired gives its name to the new one.
    let is_there = tokens
        .into_iter()
        .flatten()
        .any(|token| token.name == *name && token.expires_at.is_none_or(|end| end > now));
    if is_there {
        return Err(
            Error::new(Code::TokenExists, format!("you have an API token {name} already"))
                .hint("choose another name, or revoke it first: torso auth api-tokens list"),
        );
    }
    Ok(())
}

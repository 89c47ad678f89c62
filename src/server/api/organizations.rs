//! Organizations, their members, and their usage. Nothing is billed here; requests about it get empty answers in the
//! API's form.

use super::call::OperationCall;
use super::reply::ApiReply;
use crate::control::accounts::{EndedAccess, MemberRole, OrganizationPatch};
use crate::control::names::Username;
use crate::error::{Code, Error, Result};
use serde::Deserialize;
use serde_json::json;

/// Entries of the audit log on a page: the default and the maximum.
const PAGE: u64 = 100;
const LARGEST_PAGE: u64 = 1_000;

/// The official SDK expects an object here; the API's document has a bare list.
pub(super) fn list(call: &OperationCall<'_>) -> Result<ApiReply> {
    if call.target.agent.starts_with("@tursodatabase/api") {
        return list_wrapped(call);
    }
    ApiReply::bare(&call.accounts().list_organizations()?)
}

pub(super) fn list_wrapped(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("organizations", &call.accounts().list_organizations()?)
}

#[derive(Deserialize)]
struct NewOrganization {
    name: String,
}

pub(super) fn create(call: &OperationCall<'_>) -> Result<ApiReply> {
    let new: NewOrganization = call.body()?;
    // The official CLI first asks with `dry_run`.
    let made = if call.query("dry_run") == Some("true") {
        call.hosted.plan_organization(call.caller, &new.name)?
    } else {
        call.accounts().create_organization(&new.name)?
    };
    // Some clients read the one, some the other.
    Ok(ApiReply::Json(json!({ "organization": made, "org": made })))
}

/// The answer to a request that has created an organization before.
pub(super) fn created(call: &OperationCall<'_>) -> Result<ApiReply> {
    let new: NewOrganization = call.body()?;
    let mut mine = call.accounts().list_organizations()?.into_iter();
    let made = mine.find(|organization| organization.name == new.name.trim());
    let made = made.ok_or_else(|| {
        Error::new(
            Code::OrganizationNotFound,
            format!("organization {:?} was created, and is gone", new.name),
        )
        .hint("torso org list shows yours")
    })?;
    Ok(ApiReply::Json(json!({ "organization": made, "org": made })))
}

pub(super) fn get(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of(
        "organization",
        &call.accounts().get_organization(&call.organization()?)?,
    )
}

pub(super) fn update(call: &OperationCall<'_>) -> Result<ApiReply> {
    let patch: OrganizationPatch = call.body()?;
    let organization = call.accounts().update_organization(&call.organization()?, &patch)?;
    ApiReply::of("organization", &organization)
}

pub(super) fn delete(call: &OperationCall<'_>) -> Result<ApiReply> {
    let slug = call.organization()?;
    call.accounts().delete_organization(&slug)?;
    ApiReply::of("organization", &slug)
}

/// The answer to a request that has deleted an organization before.
pub(super) fn deleted(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("organization", &call.organization()?)
}

pub(super) fn list_members(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("members", &call.accounts().list_members(&call.organization()?)?)
}

/// A user and a role, in the spellings of all clients.
#[derive(Deserialize)]
struct Membership {
    #[serde(alias = "member")]
    username: Option<String>,
    role: Option<String>,
}

impl Membership {
    fn role(&self) -> Result<Option<MemberRole>> {
        self.role
            .as_deref()
            .filter(|role| !role.is_empty())
            .map(str::parse)
            .transpose()
    }
}

/// The user may be in the path or in the body.
fn named_user(call: &OperationCall<'_>, new: &Membership) -> Result<Username> {
    match (call.text("username"), &new.username) {
        (Ok(name), _) => name.parse(),
        (Err(_), Some(name)) => name.parse(),
        (Err(_), None) => Err(Error::new(Code::InvalidValue, "no user is named").hint("send {\"username\": \"…\"}")),
    }
}

/// The answer to a request that has added a member before.
pub(super) fn member_added(call: &OperationCall<'_>) -> Result<ApiReply> {
    let user = named_user(call, &call.body()?)?;
    let member = call.accounts().get_member(&call.organization()?, &user)?;
    Ok(ApiReply::Json(
        json!({ "member": member.username, "role": member.role }),
    ))
}

pub(super) fn add_member(call: &OperationCall<'_>) -> Result<ApiReply> {
    let new: Membership = call.body()?;
    let user = named_user(call, &new)?;
    let role = new.role()?.unwrap_or(MemberRole::Member);
    let member = call.accounts().add_member(&call.organization()?, &user, role)?;
    Ok(ApiReply::Json(
        json!({ "member": member.username, "role": member.role }),
    ))
}

pub(super) fn get_member(call: &OperationCall<'_>) -> Result<ApiReply> {
    let member = call
        .accounts()
        .get_member(&call.organization()?, &call.name("username")?)?;
    ApiReply::of("member", &member)
}

pub(super) fn update_member(call: &OperationCall<'_>) -> Result<ApiReply> {
    let new: Membership = call.body()?;
    let role = new
        .role()?
        .ok_or_else(|| Error::new(Code::InvalidValue, "no role is named").hint("send {\"role\": \"admin\"}"))?;
    let member = call
        .accounts()
        .update_member(&call.organization()?, &call.name("username")?, role)?;
    ApiReply::of("member", &member)
}

pub(super) fn remove_member(call: &OperationCall<'_>) -> Result<ApiReply> {
    let user: Username = call.name("username")?;
    let keep_tokens = call.query("keep_tokens") == Some("true");
    let ended = call
        .accounts()
        .remove_member(&call.organization()?, &user, keep_tokens)?;
    let mut value = super::reply::to_json(&ended)?;
    value["member"] = json!(user);
    Ok(ApiReply::Json(value))
}

/// The answer to a request that has removed a member before. Which tokens ended with it is in the audit log.
pub(super) fn member_removed(call: &OperationCall<'_>) -> Result<ApiReply> {
    let ended = EndedAccess {
        tokens: Vec::new(),
        tokens_ended: call.query("keep_tokens") != Some("true"),
    };
    let mut value = super::reply::to_json(&ended)?;
    value["member"] = json!(call.text("username")?);
    Ok(ApiReply::Json(value))
}

pub(super) fn list_invites(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("invites", &call.accounts().list_invites(&call.organization()?)?)
}

#[derive(Deserialize)]
struct NewInvite {
    #[serde(default)]
    email: String,
    #[serde(flatten)]
    membership: Membership,
}

pub(super) fn create_invite(call: &OperationCall<'_>) -> Result<ApiReply> {
    let new: NewInvite = call.body()?;
    let organization = call.organization()?;
    let role = new.membership.role()?.unwrap_or(MemberRole::Member);
    let invite = call.accounts().create_invite(&organization, &new.email, role)?;
    let mut value = super::reply::to_json(&invite)?;
    value["organization"] = json!(organization);
    Ok(ApiReply::Json(json!({ "invited": value })))
}

/// Replaces the invitation that the request made before: nobody got its link.
pub(super) fn invited_again(call: &OperationCall<'_>) -> Result<ApiReply> {
    let new: NewInvite = call.body()?;
    call.accounts().delete_invite(&call.organization()?, new.email.trim())?;
    create_invite(call)
}

/// The answer to a request that has withdrawn an invitation before.
pub(super) fn invite_deleted(_: &OperationCall<'_>) -> Result<ApiReply> {
    Ok(ApiReply::empty())
}

pub(super) fn delete_invite(call: &OperationCall<'_>) -> Result<ApiReply> {
    call.accounts()
        .delete_invite(&call.organization()?, call.text("email")?)?;
    Ok(ApiReply::empty())
}

pub(super) fn audit_log(call: &OperationCall<'_>) -> Result<ApiReply> {
    let page = call.number("page")?.unwrap_or(1).max(1);
    let size = call.number("page_size")?.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    ApiReply::bare(&call.accounts().audit_log(&call.organization()?, page, size)?)
}

pub(super) fn usage(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of(
        "organization",
        &call.accounts().organization_usage(&call.organization()?)?,
    )
}

pub(super) fn subscription(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("subscription", &call.accounts().subscription(&call.organization()?)?)
}

pub(super) fn plans(call: &OperationCall<'_>) -> Result<ApiReply> {
    // An error for a caller who is not a member.
    call.accounts().get_organization(&call.organization()?)?;
    ApiReply::of("plans", &call.accounts().list_plans()?)
}

pub(super) fn invoices(call: &OperationCall<'_>) -> Result<ApiReply> {
    call.accounts().get_organization(&call.organization()?)?;
    Ok(ApiReply::Json(json!({ "invoices": [] })))
}

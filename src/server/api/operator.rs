//! Users and quotas of the server, for its operator.

use super::body::Named;
use super::call::OperationCall;
use super::reply::ApiReply;
use crate::control::accounts::{EndedAccess, QuotaSetting};
use crate::control::names::{OrganizationSlug, Username};
use crate::error::Result;
use serde::Deserialize;

pub(super) fn list_users(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("users", &call.accounts().list_users()?)
}

pub(super) fn disable_user(call: &OperationCall<'_>) -> Result<ApiReply> {
    let user: Username = call.name("username")?;
    ApiReply::bare(&call.accounts().disable_user(&user)?)
}

pub(super) fn remove_user(call: &OperationCall<'_>) -> Result<ApiReply> {
    let user: Username = call.name("username")?;
    ApiReply::bare(&call.accounts().remove_user(&user)?)
}

/// The answer to a request that has disabled or removed a user before. Which tokens ended with it is in the audit log.
pub(super) fn user_removed(_: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::bare(&EndedAccess {
        tokens: Vec::new(),
        tokens_ended: true,
    })
}

pub(super) fn list_quotas(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("quotas", &call.accounts().list_quotas()?)
}

#[derive(Deserialize)]
struct NewQuota {
    organization: Option<Named<OrganizationSlug>>,
    name: String,
    value: u64,
}

fn wanted_quota(call: &OperationCall<'_>) -> Result<QuotaSetting> {
    let new: NewQuota = call.body()?;
    Ok(QuotaSetting {
        organization: new.organization.map(Named::get).transpose()?,
        name: new.name,
        value: new.value,
    })
}

pub(super) fn set_quota(call: &OperationCall<'_>) -> Result<ApiReply> {
    let quota = wanted_quota(call)?;
    call.accounts().set_quota(&quota)?;
    ApiReply::of("quota", &quota)
}

/// The answer to a request that has set a quota before.
pub(super) fn quota_set(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("quota", &wanted_quota(call)?)
}

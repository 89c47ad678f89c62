//! Endpoints that the official CLI calls for things that a self-hosted server does not have: payment, keys of other
//! issuers, moving a group to another cloud. The answers say so in the form that the CLI expects; what should change
//! something is refused.

use super::call::OperationCall;
use super::reply::ApiReply;
use crate::control::gateway_plane::GatewayPlane as _;
use crate::error::{Code, Error, Result};
use serde_json::json;

fn unsupported(what: &str, hint: &str) -> Error {
    Error::new(Code::Unsupported, what).hint(hint)
}

/// The account at a payment service: a fixed value. The CLI sends it back in its next request.
pub(super) fn payment_account(_: &OperationCall<'_>) -> Result<ApiReply> {
    Ok(ApiReply::Json(json!({ "stripeCustomerId": "self-hosted" })))
}

/// The page to enter a payment method, which the CLI opens. It is this server's own page: there is nothing to enter.
pub(super) fn payment_portal(call: &OperationCall<'_>) -> Result<ApiReply> {
    Ok(ApiReply::Json(
        json!({ "portal": { "url": call.hosted.url().as_str() } }),
    ))
}

/// Whether there is a payment method: yes, because the CLI waits for one.
pub(super) fn payment_methods(_: &OperationCall<'_>) -> Result<ApiReply> {
    Ok(ApiReply::Json(json!({ "exists": true })))
}

/// Changing the plan: there is only one, which is the answer.
pub(super) fn subscribe(call: &OperationCall<'_>) -> Result<ApiReply> {
    super::organizations::subscription(call)
}

pub(super) fn billing_customer(call: &OperationCall<'_>) -> Result<ApiReply> {
    call.accounts().get_organization(&call.organization()?)?;
    Err(unsupported(
        "this server bills nothing, so organizations have no billing customer",
        "leave it out",
    ))
}

pub(super) fn list_issuers(call: &OperationCall<'_>) -> Result<ApiReply> {
    call.accounts().get_organization(&call.organization()?)?;
    Ok(ApiReply::Json(json!({ "jwks": [] })))
}

pub(super) fn refuse_issuers(call: &OperationCall<'_>) -> Result<ApiReply> {
    call.accounts().get_organization(&call.organization()?)?;
    Err(unsupported(
        "databases are opened by tokens of this server only, not by those of other issuers",
        "make tokens here: torso db tokens create NAME",
    ))
}

pub(super) fn remove_issuer(call: &OperationCall<'_>) -> Result<ApiReply> {
    call.accounts().get_organization(&call.organization()?)?;
    let name = call.text("issuerName")?;
    Err(Error::new(
        Code::TokenNotFound,
        format!("there is no other issuer {name:?} of tokens"),
    )
    .hint("databases are opened by tokens of this server only: torso db tokens list NAME"))
}

pub(super) fn migration_info(call: &OperationCall<'_>) -> Result<ApiReply> {
    call.plane()?.get_group(&call.name("groupName")?)?;
    Ok(ApiReply::Json(json!({
        "status": "none",
        "comment": "groups of this server do not move to another cloud",
    })))
}

pub(super) fn migrate(call: &OperationCall<'_>) -> Result<ApiReply> {
    call.plane()?.get_group(&call.name("groupName")?)?;
    Err(unsupported(
        "groups of this server do not move to another cloud",
        "copy its databases, one by one: torso db copy NAME CONTEXT:NAME",
    ))
}

//! What the official CLI asks about and a server of one's own does not have: payment, keys of other issuers, the move of a
//! group to another cloud. It is told so in the form it knows, and where something would be expected to happen, refused.

use super::call::Call;
use super::reply::Reply;
use crate::error::{Code, Error, Result};
use serde_json::json;

fn unsupported(what: &str, hint: &str) -> Error {
    Error::new(Code::Unsupported, what).hint(hint)
}

/// Whose account of a payment service it is: nobody's. The CLI hands the answer back with what it asks next.
pub(super) fn payment_account(_: &Call<'_>) -> Result<Reply> {
    Ok(Reply::Json(json!({ "stripeCustomerId": "self-hosted" })))
}

/// Where one enters how to pay: the CLI shows the page and waits for it. Here there is nothing to enter.
pub(super) fn payment_portal(call: &Call<'_>) -> Result<Reply> {
    Ok(Reply::Json(json!({ "portal": { "url": call.hosted.url().as_str() } })))
}

/// Whether it is known how what is used will be paid: it is, since it costs nothing. The CLI waits for that.
pub(super) fn payment_methods(_: &Call<'_>) -> Result<Reply> {
    Ok(Reply::Json(json!({ "exists": true })))
}

/// Whatever plan is asked for, there is one; the answer tells which.
pub(super) fn subscribe(call: &Call<'_>) -> Result<Reply> {
    super::organizations::subscription(call)
}

pub(super) fn billing_customer(call: &Call<'_>) -> Result<Reply> {
    call.accounts().get_organization(&call.organization()?)?;
    Err(unsupported(
        "nothing is billed here, so there is nobody to bill",
        "leave it out: organizations need no customer here",
    ))
}

pub(super) fn list_issuers(call: &Call<'_>) -> Result<Reply> {
    call.accounts().get_organization(&call.organization()?)?;
    Ok(Reply::Json(json!({ "jwks": [] })))
}

pub(super) fn refuse_issuers(call: &Call<'_>) -> Result<Reply> {
    call.accounts().get_organization(&call.organization()?)?;
    Err(unsupported(
        "databases are opened by tokens of this server only, not by those of other issuers",
        "make tokens here: torso db tokens create NAME",
    ))
}

pub(super) fn remove_issuer(call: &Call<'_>) -> Result<Reply> {
    call.accounts().get_organization(&call.organization()?)?;
    let name = call.text("issuerName")?;
    Err(Error::new(
        Code::TokenNotFound,
        format!("there is no other issuer {name:?} of tokens"),
    )
    .hint("databases are opened by tokens of this server only: torso db tokens list NAME"))
}

pub(super) fn migration_info(call: &Call<'_>) -> Result<Reply> {
    call.plane()?.get_group(&call.name("groupName")?)?;
    Ok(Reply::Json(json!({
        "status": "none",
        "comment": "groups of this server do not move to another cloud",
    })))
}

pub(super) fn migrate(call: &Call<'_>) -> Result<Reply> {
    call.plane()?.get_group(&call.name("groupName")?)?;
    Err(unsupported(
        "groups of this server do not move to another cloud",
        "copy its databases, one by one: torso db copy NAME CONTEXT:NAME",
    ))
}

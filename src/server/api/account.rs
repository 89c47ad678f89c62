//! The caller: its token, its user, and the user's API tokens.

use super::body::Named;
use super::call::OperationCall;
use super::reply::{ApiReply, to_json};
use crate::control::accounts::{ApiToken, MintedApiToken, NewApiToken};
use crate::control::names::{GroupName, OrganizationSlug, TokenName};
use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

/// `exp` is always in the future, because clients otherwise validate twice for each command. For a token that never
/// expires it is the last possible time, and `expires_at`, which is not in the Platform API, is null.
pub(super) fn validate(call: &OperationCall<'_>) -> Result<ApiReply> {
    let expires = call.accounts().validate()?;
    Ok(ApiReply::Json(json!({
        "exp": expires.unwrap_or(Timestamp::MAX).as_second(),
        "expires_at": expires,
    })))
}

pub(super) fn current_user(call: &OperationCall<'_>) -> Result<ApiReply> {
    let mut user = to_json(&call.accounts().current_user()?)?;
    user["mfa"] = json!(false);
    user["has_pending_invites"] = json!(false);
    Ok(ApiReply::Json(json!({ "user": user })))
}

pub(super) fn list_tokens(call: &OperationCall<'_>) -> Result<ApiReply> {
    let after = call.query_as("cursor")?;
    let page = call
        .accounts()
        .list_api_tokens_after(after.as_ref(), call.page_limit()?)?;
    let next = page.next(|token| token.name.to_string());
    Ok(ApiReply::page("tokens", listed(page.items)?, next))
}

/// Tokens in the form of lists: restrictions that a token does not have are absent.
fn listed(tokens: Vec<ApiToken>) -> Result<Vec<serde_json::Value>> {
    tokens
        .iter()
        .map(|token| {
            let mut token = to_json(token)?;
            if let Some(members) = token.as_object_mut() {
                members.retain(|_, value| !value.is_null());
            }
            Ok(token)
        })
        .collect()
}

/// The request for an API token.
#[derive(Default, Deserialize)]
#[serde(default)]
struct NewToken {
    organization: Option<Named<OrganizationSlug>>,
    group: Option<Named<GroupName>>,
    scopes: Option<Vec<String>>,
    expiration: Option<String>,
}

fn mint(call: &OperationCall<'_>) -> Result<MintedApiToken> {
    let name: TokenName = call.name("tokenName")?;
    let new: NewToken = call.body()?;
    // A script that has computed an empty list does not mean everything.
    if new.scopes.as_ref().is_some_and(Vec::is_empty) {
        return Err(Error::new(Code::InvalidValue, "the list of scopes is empty")
            .hint("name at least one scope, or leave scopes out for full access"));
    }
    let new = NewApiToken {
        organization: new.organization.map(Named::get).transpose()?,
        group: new.group.map(Named::get).transpose()?,
        scopes: new.scopes,
        expiration: new.expiration,
    };
    call.accounts().create_api_token(&name, &new)
}

pub(super) fn create_token(call: &OperationCall<'_>) -> Result<ApiReply> {
    let minted = mint(call)?;
    let mut value = to_json(&minted.token)?;
    value["token"] = json!(minted.value);
    Ok(ApiReply::Json(value))
}

pub(super) fn create_token_nested(call: &OperationCall<'_>) -> Result<ApiReply> {
    let minted = mint(call)?;
    let mut value = to_json(&minted.token)?;
    value["value"] = json!(minted.value);
    Ok(ApiReply::Json(json!({ "token": value })))
}

pub(super) fn revoke_token(call: &OperationCall<'_>) -> Result<ApiReply> {
    let name: TokenName = call.name("tokenName")?;
    call.accounts().revoke_api_token(&name)?;
    ApiReply::of("token", &name)
}

/// The answer to a request that has revoked a token before.
pub(super) fn token_revoked(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("token", &call.name::<TokenName>("tokenName")?)
}

/// The same for a token of which only the id is known.
pub(super) fn organization_token_revoked(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("token", &call.text("tokenId")?)
}

pub(super) fn invalidate_sessions(call: &OperationCall<'_>) -> Result<ApiReply> {
    let from = call.accounts().invalidate_sessions()?;
    Ok(ApiReply::Json(json!({ "validFrom": from.as_second() })))
}

/// The caller's tokens that are restricted to the organization in the path.
fn of_organization(call: &OperationCall<'_>) -> Result<Vec<ApiToken>> {
    let organization = call.organization()?;
    // An error for a caller who is not a member.
    call.accounts().get_organization(&organization)?;
    let mut tokens = call.accounts().list_api_tokens()?;
    tokens.retain(|token| token.organization.as_ref() == Some(&organization));
    Ok(tokens)
}

pub(super) fn list_organization_tokens(call: &OperationCall<'_>) -> Result<ApiReply> {
    let all = call.hosted.organization_tokens(call.caller, &call.organization()?)?;
    let mut value = Vec::with_capacity(all.len());
    for (token, username, email) in all {
        let mut token = listed(vec![token])?.remove(0);
        token["owner"] = json!({ "username": username, "email": email });
        value.push(token);
    }
    ApiReply::of("tokens", &value)
}

pub(super) fn revoke_organization_token(call: &OperationCall<'_>) -> Result<ApiReply> {
    let id = call.text("tokenId")?;
    let token = of_organization(call)?
        .into_iter()
        .find(|token| token.id == id)
        .ok_or_else(|| {
            Error::new(
                Code::TokenNotFound,
                format!("there is no API token {id:?} for this organization"),
            )
            .hint("torso auth api-tokens list shows yours")
        })?;
    call.accounts().revoke_api_token(&token.name)?;
    ApiReply::of("token", &token.name)
}

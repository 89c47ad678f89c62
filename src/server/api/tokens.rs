//! Database tokens.

use super::call::OperationCall;
use super::reply::{ApiReply, to_json};
use super::{databases, groups};
use crate::control::ListPage;
use crate::control::names::{DatabaseName, GroupName};
use crate::control::tokens::{Authorization, DatabaseToken, Expiration, NewToken, TokenPermissions};
use crate::error::{Code, Error, Result};
use serde::Deserialize;
use std::time::Duration;

/// The body of a request for a token. What the Platform API has in the query counts here, too: left out of account it would give
/// more than was asked for.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WantedToken {
    #[serde(flatten)]
    permissions: TokenPermissions,
    authorization: Option<String>,
    expiration: Option<String>,
}

/// A value of the query or of the body. Fails if they differ.
fn either<'v>(key: &str, query: Option<&'v str>, body: Option<&'v str>) -> Result<Option<&'v str>> {
    match (query, body) {
        (Some(one), Some(other)) if one != other => Err(Error::new(
            Code::InvalidValue,
            format!("{key} is {one:?} in the query and {other:?} in the body"),
        )
        .hint("send it once")),
        _ => Ok(query.or(body)),
    }
}

/// The token that is asked for.
fn wanted(call: &OperationCall<'_>) -> Result<NewToken> {
    let body: WantedToken = call.body()?;
    let expiration = either("expiration", call.query("expiration"), body.expiration.as_deref())?;
    let authorization = either(
        "authorization",
        call.query("authorization"),
        body.authorization.as_deref(),
    )?;
    let authorization = match authorization {
        None | Some("full-access") => Authorization::FullAccess,
        Some("read-only") => Authorization::ReadOnly,
        Some(text) => {
            return Err(
                Error::new(Code::InvalidValue, format!("{text:?} is not an authorization"))
                    .hint("it is full-access or read-only"),
            );
        }
    };
    Ok(NewToken {
        name: call.query("name").map(str::to_owned),
        expiration: expiration.map(str::parse).transpose()?.unwrap_or_default(),
        authorization,
        permissions: body.permissions,
    })
}

/// The grace period of a rotation. Not in the Platform API.
fn grace(call: &OperationCall<'_>) -> Result<Duration> {
    Ok(match call.query_as::<Expiration>("grace")? {
        Some(Expiration::After(span)) => span,
        Some(Expiration::Never) | None => Duration::ZERO,
    })
}

pub(super) fn create_for_database(call: &OperationCall<'_>) -> Result<ApiReply> {
    let name: DatabaseName = call.name("databaseName")?;
    ApiReply::bare(&call.plane()?.create_database_token(&name, &wanted(call)?)?)
}

pub(super) fn create_for_database_by_id(call: &OperationCall<'_>) -> Result<ApiReply> {
    let plane = call.plane()?;
    let database = databases::by_id(&*plane, call.text("databaseId")?)?;
    ApiReply::bare(&plane.create_database_token(&database.name, &wanted(call)?)?)
}

pub(super) fn create_for_group(call: &OperationCall<'_>) -> Result<ApiReply> {
    let name: GroupName = call.name("groupName")?;
    ApiReply::bare(&call.plane()?.create_group_token(&name, &wanted(call)?)?)
}

pub(super) fn create_for_group_by_id(call: &OperationCall<'_>) -> Result<ApiReply> {
    let plane = call.plane()?;
    let group = groups::by_id(&*plane, call.text("groupId")?)?;
    ApiReply::bare(&plane.create_group_token(&group.name, &wanted(call)?)?)
}

pub(super) fn list_of_database(call: &OperationCall<'_>) -> Result<ApiReply> {
    let name: DatabaseName = call.name("databaseName")?;
    let after = call.query_as("cursor")?;
    page(
        &call
            .plane()?
            .list_database_tokens_after(&name, after.as_ref(), call.page_limit()?)?,
    )
}

pub(super) fn list_of_group(call: &OperationCall<'_>) -> Result<ApiReply> {
    let name: GroupName = call.name("groupName")?;
    let after = call.query_as("cursor")?;
    page(
        &call
            .plane()?
            .list_group_tokens_after(&name, after.as_ref(), call.page_limit()?)?,
    )
}

fn page(page: &ListPage<DatabaseToken>) -> Result<ApiReply> {
    let tokens = page.items.iter().map(to_json).collect::<Result<_>>()?;
    Ok(ApiReply::page("tokens", tokens, page.next(|token| token.id.clone())))
}

pub(super) fn revoke_of_database(call: &OperationCall<'_>) -> Result<ApiReply> {
    let name: DatabaseName = call.name("databaseName")?;
    ApiReply::of(
        "token",
        &call.plane()?.revoke_database_token(&name, call.text("tokenId")?)?,
    )
}

pub(super) fn revoke_of_group(call: &OperationCall<'_>) -> Result<ApiReply> {
    let name: GroupName = call.name("groupName")?;
    ApiReply::of(
        "token",
        &call.plane()?.revoke_group_token(&name, call.text("tokenId")?)?,
    )
}

pub(super) fn rotate_of_database(call: &OperationCall<'_>) -> Result<ApiReply> {
    let name: DatabaseName = call.name("databaseName")?;
    call.plane()?.rotate_database_tokens(&name, grace(call)?)?;
    Ok(ApiReply::empty())
}

pub(super) fn rotate_of_group(call: &OperationCall<'_>) -> Result<ApiReply> {
    let name: GroupName = call.name("groupName")?;
    call.plane()?.rotate_group_tokens(&name, grace(call)?)?;
    Ok(ApiReply::empty())
}

/// The answer to a request that has invalidated tokens before. A second time would end those that were made since.
pub(super) fn rotated(_: &OperationCall<'_>) -> Result<ApiReply> {
    Ok(ApiReply::empty())
}

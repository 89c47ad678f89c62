//! Who may open a database: tokens in headers, and where labels lead.

use super::Core;
use super::endpoints::DataEndpoint;
use super::error::{ErrorEncoding, GatewayError};
use crate::control::gateway_plane::{Grant, Route};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use std::sync::Arc;

const X_AUTHORIZATION: HeaderName = HeaderName::from_static("x-authorization");

/// Returns the token of a request.
///
/// # Errors
///
/// `UNAUTHORIZED` where it has none, or a malformed header.
pub(super) fn read_token<'a>(
    core: &'a Core,
    endpoint: &DataEndpoint,
    headers: &'a HeaderMap,
) -> Result<&'a str, GatewayError> {
    let token = match endpoint.error_encoding() {
        ErrorEncoding::Grpc => read_bearer(core, headers, &X_AUTHORIZATION)?,
        ErrorEncoding::Json => None,
    };
    match token {
        Some(token) => Ok(token),
        None => read_authorization(core, headers)?.ok_or_else(GatewayError::no_token),
    }
}

/// Returns the token in the header `Authorization`; none where there is no such header.
///
/// # Errors
///
/// `UNAUTHORIZED` for anything but one `Bearer TOKEN`.
pub(super) fn read_authorization<'a>(core: &'a Core, headers: &'a HeaderMap) -> Result<Option<&'a str>, GatewayError> {
    read_bearer(core, headers, &header::AUTHORIZATION)
}

/// Returns the token in a header; the same one for every request, where none has to bring one.
fn read_bearer<'a>(core: &'a Core, headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, GatewayError> {
    if let Some(open) = core.plane.open_token() {
        return Ok(Some(open));
    }
    let mut all = headers.get_all(name).iter();
    let Some(value) = all.next() else { return Ok(None) };
    let malformed = || GatewayError::unauthorized(format!("the header {name} must be one `Bearer TOKEN`"));
    if all.next().is_some() {
        return Err(malformed());
    }
    let text = value.to_str().map_err(|_| malformed())?;
    let (scheme, token) = text.trim().split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(malformed());
    }
    Ok(Some(token.trim()))
}

/// Returns where a label leads, and what the bearer of a token may do there.
///
/// # Errors
///
/// One that does not tell whether the label leads anywhere; `DATABASE_MOVED` for who has a token of the organization that
/// the database moved from.
pub(super) fn authorize_label(core: &Core, label: &str, token: &str) -> Result<(Arc<Route>, Grant), GatewayError> {
    core.plane
        .authorize_label(label, token)
        .map_err(|error| match core.plane.moved_to(label, token) {
            Some(url) => GatewayError::new(
                StatusCode::NOT_FOUND,
                "DATABASE_MOVED",
                format!(
                    "the database at {label:?} moved to another organization: it is at {url}, with tokens made there"
                ),
            ),
            None => error.into(),
        })
}

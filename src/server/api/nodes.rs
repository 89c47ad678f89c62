//! Locations on other machines, for the operator of the server.

use super::call::OperationCall;
use super::reply::ApiReply;
use crate::control::names::LocationCode;
use crate::error::Result;

/// The locations on other machines. With `add` or `remove`, a location's code, it fails where that change would.
pub(super) fn list(call: &OperationCall<'_>) -> Result<ApiReply> {
    if let Some(location) = call.query_as("add")? {
        call.accounts().check_invited_node(&location)?;
    }
    if let Some(location) = call.query_as("remove")? {
        call.accounts().check_removed_node(&location)?;
    }
    ApiReply::of("nodes", &call.accounts().list_nodes()?)
}

pub(super) fn invite(call: &OperationCall<'_>) -> Result<ApiReply> {
    let location: LocationCode = call.name("location")?;
    ApiReply::of("invitation", &call.accounts().invite_node(&location)?)
}

pub(super) fn remove(call: &OperationCall<'_>) -> Result<ApiReply> {
    let location: LocationCode = call.name("location")?;
    call.accounts().remove_node(&location)?;
    ApiReply::of("location", &location)
}

/// The answer to a request that has removed one before.
pub(super) fn removed(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("location", &call.name::<LocationCode>("location")?)
}

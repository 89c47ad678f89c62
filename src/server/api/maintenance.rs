//! Health checks of an organization.

use super::call::OperationCall;
use super::reply::ApiReply;
use crate::error::Result;

pub(super) fn check(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("findings", &call.plane()?.check(false)?)
}

/// Checks, and repairs what can be repaired without losing data.
pub(super) fn repair(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("findings", &call.plane()?.check(true)?)
}

//! Which function answers which operation: the server's side of the table in `control::endpoints`.

use super::call::OperationCall;
use super::files::{self, Transfer};
use super::public::{self, PublicRequest};
use super::reply::{ApiReply, ReplyFuture};
use super::{
    absent, account, databases, groups, instances, locations, maintenance, nodes, operator, organizations, tokens,
};
use crate::control::endpoints::{
    Operation, absent_endpoints, api_token_endpoints, database_endpoints, database_token_endpoints, file_endpoints,
    group_endpoints, instance_endpoints, invite_endpoints, location_endpoints, maintenance_endpoints, member_endpoints,
    node_endpoints, organization_endpoints, public_endpoints, server_endpoints, transfer_endpoints, usage_endpoints,
    with_all_endpoints,
};
use crate::error::Result;
use axum::body::Body;
use axum::http::request::Parts;

/// The function that answers an operation, and how it is called.
pub(super) enum OperationHandler {
    /// Reads something, on a thread that may block, with the whole body.
    Call(fn(&OperationCall<'_>) -> Result<ApiReply>),
    /// The same for a change, which a request with an idempotency key makes once. The second function answers where an earlier
    /// request with the same key has made it and its answer was lost.
    Change(
        fn(&OperationCall<'_>) -> Result<ApiReply>,
        fn(&OperationCall<'_>) -> Result<ApiReply>,
    ),
    /// A change that may be made again in that case.
    Repeatable(fn(&OperationCall<'_>) -> Result<ApiReply>),
    /// Reads something, or takes a piece of a file that says where it begins; the body is streamed in or out.
    Transfer(fn(Transfer, Parts, Body) -> ReplyFuture),
    /// The same for a change.
    TransferOnce(fn(Transfer, Parts, Body) -> ReplyFuture),
    /// Without a token.
    Public(fn(PublicRequest) -> ReplyFuture),
}

macro_rules! declare_handlers {
    (; $(
        $(#[$doc:meta])*
        $operation:ident, $how:ident($($room:ident::$function:ident),+): $($scope:ident $method:ident $path:literal),+;
    )*) => {
        pub(super) fn handler(operation: Operation) -> OperationHandler {
            match operation {
                $(Operation::$operation => OperationHandler::$how($($room::$function),+),)*
            }
        }
    };
}

with_all_endpoints!(declare_handlers);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::endpoints::{ENDPOINTS, Method};

    #[test]
    fn endpoint_that_changes_something_is_performed_once_for_a_key() {
        // A piece of an upload says where it begins, so one that comes twice changes nothing. Whoever accepts an invitation has
        // no account yet; `public` sees to the key.
        let others = [Operation::PutChunk, Operation::AcceptInvite];
        for endpoint in ENDPOINTS {
            let is_once = match handler(endpoint.operation) {
                OperationHandler::Change(..) | OperationHandler::Repeatable(_) | OperationHandler::TransferOnce(_) => {
                    true
                }
                OperationHandler::Call(_) | OperationHandler::Transfer(_) | OperationHandler::Public(_) => {
                    others.contains(&endpoint.operation)
                }
            };
            assert!(
                is_once || endpoint.method == Method::Get || endpoint.operation == Operation::Landing,
                "{endpoint:?}"
            );
        }
    }

    #[test]
    fn endpoint_without_a_token_is_answered_by_a_public_function_only() {
        for endpoint in ENDPOINTS {
            let is_public = matches!(handler(endpoint.operation), OperationHandler::Public(_));
            assert_eq!(is_public, endpoint.public, "{endpoint:?}");
        }
    }
}

//! Which function answers which operation: the server's side of the table in `control::endpoints`.

use super::call::OperationCall;
use super::files::{self, Transfer};
use super::public::{self, PublicRequest};
use super::reply::{ApiReply, ReplyFuture};
use super::{absent, account, databases, groups, locations, maintenance, operator, organizations, tokens};
use crate::control::endpoints::{
    Operation, absent_endpoints, api_token_endpoints, database_endpoints, database_token_endpoints, file_endpoints,
    group_endpoints, instance_endpoints, invite_endpoints, location_endpoints, maintenance_endpoints, member_endpoints,
    organization_endpoints, public_endpoints, server_endpoints, transfer_endpoints, usage_endpoints,
    with_all_endpoints,
};
use crate::error::Result;
use axum::body::Body;
use axum::http::request::Parts;

/// The function that answers an operation, and how it is called.
pub(super) enum OperationHandler {
    /// On a thread that may block, with the whole body.
    Call(fn(&OperationCall<'_>) -> Result<ApiReply>),
    /// With a body that is streamed in or out.
    Transfer(fn(Transfer, Parts, Body) -> ReplyFuture),
    /// Without a token.
    Public(fn(PublicRequest) -> ReplyFuture),
}

macro_rules! declare_handlers {
    (; $(
        $(#[$doc:meta])*
        $operation:ident, $how:ident($room:ident::$function:ident): $($scope:ident $method:ident $path:literal),+;
    )*) => {
        pub(super) fn handler(operation: Operation) -> OperationHandler {
            match operation {
                $(Operation::$operation => OperationHandler::$how($room::$function),)*
            }
        }
    };
}

with_all_endpoints!(declare_handlers);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::endpoints::ENDPOINTS;

    #[test]
    fn endpoint_without_a_token_is_answered_by_a_public_function_only() {
        for endpoint in ENDPOINTS {
            let is_public = matches!(handler(endpoint.operation), OperationHandler::Public(_));
            assert_eq!(is_public, endpoint.public, "{endpoint:?}");
        }
    }
}

//! The table of endpoints. An operation is one row: its endpoints (method and path) and the function of `server::api` that
//! answers it. The rows of a noun are in its file beside this one, those that no plane stands behind in `server_only`. Made from
//! them: [`Operation`] and [`ENDPOINTS`] here, the paths of the client
//! ([`Operation::path`]), and the server's router and dispatch.

pub(crate) use super::api_tokens::api_token_endpoints;
pub(crate) use super::database_tokens::database_token_endpoints;
pub(crate) use super::databases::database_endpoints;
pub(crate) use super::groups::group_endpoints;
pub(crate) use super::instances::instance_endpoints;
pub(crate) use super::invites::invite_endpoints;
pub(crate) use super::locations::location_endpoints;
pub(crate) use super::maintenance::maintenance_endpoints;
pub(crate) use super::members::member_endpoints;
pub(crate) use super::nodes::node_endpoints;
pub(crate) use super::organizations::organization_endpoints;
pub(crate) use super::server::server_endpoints;
pub(crate) use super::server_only::{absent_endpoints, file_endpoints, public_endpoints};
pub(crate) use super::transfers::transfer_endpoints;
pub(crate) use super::usage::usage_endpoints;
use crate::control::names::OrganizationSlug;
use std::fmt::Display;

/// An HTTP method that the Platform API uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// A method on a path. Parameters are in braces, as in the API's OpenAPI document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiEndpoint {
    pub method: Method,
    /// Without its prefix if `scoped`, else complete.
    pub path: &'static str,
    /// Whether it is about an organization, so that it is answered below [`PERSONAL`] and below [`ORGANIZATION`].
    pub scoped: bool,
    /// Whether it is answered without a token.
    pub public: bool,
    pub operation: Operation,
}

/// The prefix of paths about the caller's personal organization.
pub const PERSONAL: &str = "/v1";
/// The prefix of paths about the organization they name.
pub const ORGANIZATION: &str = "/v1/organizations/{organizationSlug}";

impl ApiEndpoint {
    /// Every complete path it is answered on.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        if self.scoped {
            [PERSONAL, ORGANIZATION]
                .map(|prefix| format!("{prefix}{}", self.path))
                .into()
        } else {
            vec![self.path.to_owned()]
        }
    }
}

const fn global(method: Method, path: &'static str, operation: Operation) -> ApiEndpoint {
    ApiEndpoint {
        method,
        path,
        scoped: false,
        public: false,
        operation,
    }
}

const fn scoped(method: Method, path: &'static str, operation: Operation) -> ApiEndpoint {
    ApiEndpoint {
        scoped: true,
        ..global(method, path, operation)
    }
}

const fn public(method: Method, path: &'static str, operation: Operation) -> ApiEndpoint {
    ApiEndpoint {
        public: true,
        ..global(method, path, operation)
    }
}

/// Passes the rows of all nouns to a macro, as `; ROW ROW …`. A row is `OPERATION, HOW(ROOM::FUNCTION): SCOPE METHOD PATH, …;`: the
/// operation, the function of `server::api` that answers it and how it is called, and the endpoints that ask for it. A change is
/// `Change(ROOM::FUNCTION, ROOM::FUNCTION)`: the second one answers where an earlier request with the same idempotency key has made
/// the change and its answer was lost. A change that may be made again then is `Repeatable(ROOM::FUNCTION)`; one whose body is
/// streamed is `TransferOnce(ROOM::FUNCTION)`. torso's own client asks by the first one. Whoever calls this imports the macros that
/// it names.
macro_rules! with_all_endpoints {
    ($callback:ident) => {
        public_endpoints! {
            api_token_endpoints organization_endpoints member_endpoints invite_endpoints server_endpoints
            node_endpoints
            absent_endpoints location_endpoints group_endpoints database_endpoints instance_endpoints transfer_endpoints
            usage_endpoints database_token_endpoints file_endpoints maintenance_endpoints
            $callback;
        }
    };
}
#[cfg(feature = "server")]
pub(crate) use with_all_endpoints;

macro_rules! declare_operations {
    (; $(
        $(#[$doc:meta])*
        $operation:ident, $how:ident($($room:ident::$function:ident),+): $($scope:ident $method:ident $path:literal),+;
    )*) => {
        /// What a request asks for. Several endpoints may ask for the same.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Operation {
            $($(#[$doc])* $operation,)*
        }

        /// Every endpoint of a server, except for those of its gateway to databases.
        pub const ENDPOINTS: &[ApiEndpoint] = &[
            $($($scope(Method::$method, $path, Operation::$operation),)+)*
        ];
    };
}

with_all_endpoints!(declare_operations);

impl Operation {
    /// The endpoint by which torso's own client asks for it.
    fn endpoint(self) -> &'static ApiEndpoint {
        let mut endpoints = ENDPOINTS.iter();
        endpoints
            .find(|endpoint| endpoint.operation == self)
            .unwrap_or(&ENDPOINTS[0])
    }

    #[must_use]
    pub fn method(self) -> Method {
        self.endpoint().method
    }

    /// The path by which the client asks for it: in an organization, or in the caller's personal one. `parameters` take the
    /// place of those in braces, in order, and cannot change where the path leads.
    #[must_use]
    pub fn path(self, organization: Option<&OrganizationSlug>, parameters: &[&dyn Display]) -> String {
        let endpoint = self.endpoint();
        let mut path = match (endpoint.scoped, organization) {
            (false, _) => String::new(),
            (true, None) => PERSONAL.to_owned(),
            (true, Some(slug)) => ORGANIZATION.replace("{organizationSlug}", slug.as_str()),
        };
        let mut parameters = parameters.iter();
        for part in endpoint.path.split('/').skip(1) {
            path.push('/');
            if !part.starts_with('{') {
                path.push_str(part);
            } else if let Some(parameter) = parameters.next() {
                push_segment(&mut path, &parameter.to_string());
            } else {
                debug_assert!(false, "{self:?} needs more parameters: {}", endpoint.path);
            }
        }
        debug_assert!(
            parameters.next().is_none(),
            "{self:?} has fewer parameters: {}",
            endpoint.path
        );
        path
    }
}

/// Adds a text as a part of a path: everything but letters, digits and a few marks is escaped.
fn push_segment(path: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'@' | b'-' | b'_') {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests;

//! The first step: a request to one host, for an endpoint that there is.

use crate::server::gateway::endpoints::{DataEndpoint, EndpointKind};
use crate::server::gateway::error::GatewayError;
use crate::server::gateway::websocket;
use axum::body::Body;
use axum::http::{Request, header};

/// A request for an endpoint of the database at a label, whoever sent it.
pub struct Routed<'l>(RoutedParts<'l>);

pub struct RoutedParts<'l> {
    pub label: &'l str,
    pub endpoint: &'static DataEndpoint,
    pub request: Request<Body>,
}

impl<'l> Routed<'l> {
    /// Takes a request for `endpoint`.
    ///
    /// # Errors
    ///
    /// `BAD_REQUEST` where it names more than one host; `NOT_FOUND` at the endpoint of sockets for a request that asks for none.
    pub fn new(label: &'l str, endpoint: &'static DataEndpoint, request: Request<Body>) -> Result<Self, GatewayError> {
        if request.headers().get_all(header::HOST).iter().count() > 1 {
            return Err(GatewayError::bad("the request names more than one host"));
        }
        if endpoint.kind == EndpointKind::Socket && !websocket::is_requested(request.headers()) {
            return Err(GatewayError::not_found());
        }
        Ok(Self(RoutedParts {
            label,
            endpoint,
            request,
        }))
    }

    pub fn into_parts(self) -> RoutedParts<'l> {
        self.0
    }
}

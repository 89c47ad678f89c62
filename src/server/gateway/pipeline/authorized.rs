//! The second step: a request of somebody whose token opens the database.

use super::routed::{Routed, RoutedParts};
use crate::control::gateway_plane::Route;
use crate::control::tokens::Authorization;
use crate::server::gateway::Core;
use crate::server::gateway::auth::{authorize_label, read_token};
use crate::server::gateway::endpoints::DataEndpoint;
use crate::server::gateway::error::GatewayError;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, header};
use std::sync::Arc;

/// A request whose token was checked.
pub struct Authorized(AuthorizedParts);

pub struct AuthorizedParts {
    pub endpoint: &'static DataEndpoint,
    pub route: Arc<Route>,
    pub token: String,
    /// What the token allows.
    pub authorization: Authorization,
    pub head: Parts,
    pub body: Body,
}

impl Authorized {
    /// Checks a request's token.
    ///
    /// # Errors
    ///
    /// `UNAUTHORIZED` and what else the control plane says of the token and the label.
    pub fn authorize(core: &Core, routed: Routed<'_>) -> Result<Self, GatewayError> {
        let RoutedParts {
            label,
            endpoint,
            request,
        } = routed.into_parts();
        let token = read_token(core, endpoint, request.headers())?.to_owned();
        let (route, grant) = authorize_label(core, label, &token)?;
        let (head, body) = request.into_parts();
        Ok(Self(AuthorizedParts {
            endpoint,
            route,
            token,
            authorization: grant.authorization,
            head,
            body,
        }))
    }

    pub fn into_parts(self) -> AuthorizedParts {
        self.0
    }
}

/// Returns the answer to a probe without a token that opens the database. It is the same whether or not there is a database: all that
/// it tells is which protocols are spoken. Source of the status: libSQL server answers its probes with 200 to everybody.
pub fn probe_answer(endpoint: &DataEndpoint) -> Response<Body> {
    let text = if endpoint.path == "/version" {
        "libSQL server"
    } else {
        ""
    };
    let mut response = Response::new(Body::from(text));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

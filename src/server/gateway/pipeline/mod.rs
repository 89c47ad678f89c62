//! The way of a request over HTTP to a process: routed, authorized, admitted, inspected, forwarded.
//!
//! Each step is a type that is made of the one before it and consumes that; only its own file can make it. So nothing is
//! forwarded to a process that was not authorized, admitted and inspected.

mod admitted;
mod authorized;
mod forward;
mod inspected;
mod position;
mod routed;

use super::Core;
use super::endpoints::{DataEndpoint, EndpointKind};
use super::error::GatewayError;
use super::websocket;
use admitted::Admitted;
use authorized::{Authorized, probe_answer};
use axum::body::Body;
use axum::http::{Request, Response};
use inspected::Inspected;
use routed::Routed;
use std::sync::Arc;

/// Answers a request to an endpoint of a database.
///
/// # Errors
///
/// Those of the first step that refuses it, or why its process has no answer.
pub(super) async fn answer(
    core: &Arc<Core>,
    label: &str,
    endpoint: &'static DataEndpoint,
    request: Request<Body>,
) -> Result<Response<Body>, GatewayError> {
    let routed = Routed::new(label, endpoint, request)?;
    if endpoint.kind == EndpointKind::Socket {
        let request = routed.into_parts().request;
        position::check_socket(request.headers())?;
        // Its messages are authorized and inspected one by one.
        return websocket::open(core, label, request).await;
    }
    let authorized = match Authorized::authorize(core, routed) {
        Err(_) if endpoint.kind == EndpointKind::Probe => return Ok(probe_answer(endpoint)),
        authorized => authorized?,
    };
    let admitted = Admitted::acquire(core, authorized).await?;
    let inspected = Inspected::inspect(core, admitted).await?;
    let (inspected, position) = inspected.into_parts();
    position.wait(core).await?;
    let response = forward::forward(core, inspected).await?;
    position.finish(core, response).await
}

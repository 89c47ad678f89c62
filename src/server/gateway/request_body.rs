//! Bodies of requests, read into memory.

use super::Core;
use super::error::GatewayError;
use super::limits::MemoryPermit;
use crate::control::gateway_plane::Route;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use std::time::Instant;

/// A request body in memory, and the permit for that memory.
pub(super) struct RequestBody {
    pub bytes: Bytes,
    pub memory: Option<MemoryPermit>,
}

impl RequestBody {
    /// Reads a request's body into memory.
    ///
    /// # Errors
    ///
    /// `BODY_TOO_LARGE` and `TIMEOUT` for what is too long or too slow, `SERVER_BUSY` while its organization holds too much memory.
    pub async fn read(core: &Core, route: &Route, headers: &HeaderMap, body: Body) -> Result<Self, GatewayError> {
        let limit = core.limits.body;
        let too_large = || {
            GatewayError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "BODY_TOO_LARGE",
                format!("the request has more than {limit} bytes"),
            )
        };
        let declared = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let late = || {
            GatewayError::new(
                StatusCode::REQUEST_TIMEOUT,
                "TIMEOUT",
                "the request's body took too long to arrive",
            )
        };
        let end = Instant::now() + core.limits.upload;
        let mut body = body;
        let mut held = match declared {
            Some(length) => core.shares.memory(&route.organization_id, length).await?,
            None => None,
        };
        let mut counted = 0;
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        loop {
            let patience = core
                .limits
                .upload_piece
                .min(end.saturating_duration_since(Instant::now()));
            let frame = tokio::time::timeout(patience, body.frame()).await.map_err(|_| late())?;
            let Some(frame) = frame else { break };
            let frame =
                frame.map_err(|_| GatewayError::bad("the request's body is incomplete: the connection was closed"))?;
            let Ok(data) = frame.into_data() else { continue };
            let length = first.len() + all.len() + data.len();
            if length > limit {
                return Err(too_large());
            }
            if declared.is_none() {
                // What comes in small pieces takes its memory in larger ones.
                if length > counted {
                    counted = length.max(2 * counted).min(limit);
                    drop(held.take());
                    held = core.shares.memory(&route.organization_id, counted).await?;
                }
            }
            // Nearly all bodies arrive in one piece, which is not copied.
            if first.is_empty() && all.is_empty() {
                first = data;
            } else {
                if all.is_empty() {
                    all.reserve(declared.unwrap_or(length));
                    all.extend_from_slice(&std::mem::take(&mut first));
                }
                all.extend_from_slice(&data);
            }
        }
        let bytes = if all.is_empty() { first } else { all.freeze() };
        Ok(Self { bytes, memory: held })
    }
}

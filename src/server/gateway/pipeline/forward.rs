//! The last step: an inspected request is sent to its process, and the answer is streamed back.

use super::inspected::{InspectedParts, ReadPlace, StreamUse, WriteUse};
use crate::control::gateway_plane::{PendingWrite, Route};
use crate::control::tokens::Authorization;
use crate::server::gateway::Core;
use crate::server::gateway::endpoints::EndpointKind;
use crate::server::gateway::engine_text::{ErrorPart, read_failure};
use crate::server::gateway::error::{ErrorEncoding, GatewayError};
use crate::server::gateway::policy::BodyEncoding;
use crate::server::gateway::primary_errors::{ErrorRestorer, restore_body};
use crate::server::gateway::read_answer::{AnswerBody, ReadAnswer};
use crate::server::gateway::response_body::{ResponseBody, read_error};
use crate::server::gateway::streams::{StreamState, says_stream_is_gone, without_baton};
use crate::server::gateway::upstream::connections::UpstreamBody;
use crate::server::gateway::upstream::{UpstreamRequest, left_behind};
use crate::server::gateway::write_entry::enter_write;
use axum::body::Body;
use axum::http::response::Parts;
use axum::http::{HeaderMap, HeaderName, Response, StatusCode, header};
use bytes::Bytes;
use std::sync::Arc;

/// Headers that are about one connection.
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Sends a request to its process and returns the answer, whose body is streamed.
///
/// # Errors
///
/// `DATABASE_UNAVAILABLE`, `DATABASE_LOST` and `TIMEOUT` where there is no answer; `FORBIDDEN` where the process refuses a write
/// of a token that may only read.
pub async fn forward(core: &Arc<Core>, inspected: InspectedParts) -> Result<Response<Body>, GatewayError> {
    let InspectedParts {
        mut request,
        endpoint,
        route,
        token,
        permit,
        mut stream,
        write,
        memory,
    } = inspected;
    let (route, write) = await_entry(core, route, write).await?;
    let response = match send(core, &route, &mut request, &mut stream).await? {
        ProcessAnswer::Streamed(response) => response,
        ProcessAnswer::Read(response) => return Ok(response),
    };
    drop(memory);
    if write.is_some() && !route.is_primary {
        stream.note_written(core, &route).await;
    }
    if response.status() == StatusCode::FORBIDDEN
        && request.authorization == Authorization::ReadOnly
        && endpoint.error_encoding() == ErrorEncoding::Json
    {
        // The process says so in words that Hrana clients do not read.
        return Err(GatewayError::read_only());
    }
    let (mut head, body) = response.into_parts();
    remove_hop_by_hop(&mut head.headers);
    if head.status.is_server_error() {
        return match read_failure(head.status, body, !route.is_primary).await {
            Ok(about_statement) => Ok(with_whole_body(head, core.paths.hide(about_statement, ErrorPart::All))),
            Err(failure) => {
                if failure.mentions_damage {
                    core.plane.suspect(&route);
                }
                Err(failure.error)
            }
        };
    }
    let restorer = (!route.is_primary).then(|| ErrorRestorer::new(endpoint)).flatten();
    if restorer.is_some() && head.status == StatusCode::BAD_REQUEST && endpoint.encoding == Some(BodyEncoding::Json) {
        let error = restore_body(read_error(body).await);
        head.status = status_of_error(&error);
        core.plane.count(&route, 0);
        return Ok(with_whole_body(head, core.paths.hide(error, ErrorPart::All)));
    }
    let errors = if head.status.is_client_error() {
        ErrorPart::All
    } else {
        ErrorPart::Messages
    };
    let is_ok = head.status == StatusCode::OK;
    let has_lines = endpoint.kind == EndpointKind::Cursor && endpoint.encoding == Some(BodyEncoding::Json) && is_ok;
    let labelled = stream.labelled.filter(|_| is_ok);
    let length = content_length(&head.headers);
    let (body, read) = match stream.read.filter(|_| is_ok) {
        Some((read, ReadPlace::OpenStream)) => {
            let (answer, length) = ReadAnswer::begin(core, read, body, length).await;
            set_content_length(&mut head.headers, length);
            (AnswerBody::Read(answer), None)
        }
        Some((read, ReadPlace::Own)) => (AnswerBody::Process(body), Some(read)),
        None => (AnswerBody::Process(body), None),
    };
    let mut body = ResponseBody::new(Arc::clone(core), route, endpoint.kind, has_lines, body, permit)
        .of_read(read)
        .of_query(request.is_query)
        .labelled(labelled, stream.state, length)
        .with_stream(stream.slot)
        .with_errors(errors)
        .with_restorer(restorer)
        .of_write(write)
        .while_allowed(token);
    if labelled.is_some() && head.headers.contains_key(header::CONTENT_LENGTH) {
        let longer = body.read_first_piece().await;
        set_content_length(&mut head.headers, length.map(|length| length + longer));
    }
    Ok(Response::from_parts(head, Body::new(body)))
}

/// Has a request that may write wait while its database's primary is moved.
async fn await_entry(
    core: &Core,
    route: Arc<Route>,
    write: WriteUse,
) -> Result<(Arc<Route>, Option<PendingWrite>), GatewayError> {
    if write == WriteUse::ReadsOnly {
        return Ok((route, None));
    }
    let (route, entered) = enter_write(core, &route, write == WriteUse::InTransaction).await?;
    Ok((route, Some(entered)))
}

/// What a process answered.
#[allow(clippy::large_enum_variant)] // there is one a request, which is taken apart at once
enum ProcessAnswer {
    /// To be streamed.
    Streamed(Response<UpstreamBody>),
    /// An error that was read already.
    Read(Response<Body>),
}

/// Sends a request; once more, on a fresh stream, where its stream has ended and nothing was lost with it.
async fn send(
    core: &Core,
    route: &Arc<Route>,
    request: &mut UpstreamRequest,
    stream: &mut StreamUse,
) -> Result<ProcessAnswer, GatewayError> {
    let response = core.upstream.send(route, request).await?;
    let is_refused = response.status() == StatusCode::BAD_REQUEST;
    if is_refused && stream.is_continued && stream.replaceable.is_none() && route.is_promoted() {
        let (head, body) = response.into_parts();
        let answer = read_error(body).await;
        if says_stream_is_gone(&answer) {
            return Err(left_behind());
        }
        let answer = core.paths.hide(answer, ErrorPart::All);
        return Ok(ProcessAnswer::Read(with_whole_body(head, answer)));
    }
    let Some(name) = stream.replaceable.take().filter(|_| is_refused) else {
        return Ok(ProcessAnswer::Streamed(response));
    };
    let (head, body) = response.into_parts();
    let answer = read_error(body).await;
    let fresh = without_baton(&request.body, &name).filter(|_| says_stream_is_gone(&answer));
    let Some(fresh) = fresh else {
        core.plane.count(route, 0);
        let answer = core.paths.hide(answer, ErrorPart::All);
        return Ok(ProcessAnswer::Read(with_whole_body(head, answer)));
    };
    request.body = fresh;
    // The state is what the request itself leaves.
    stream.state = StreamState::Clean.after_request(&request.body);
    core.upstream.send(route, request).await.map(ProcessAnswer::Streamed)
}

/// An answer whose body was read already.
fn with_whole_body(mut head: Parts, body: Bytes) -> Response<Body> {
    remove_hop_by_hop(&mut head.headers);
    head.headers.insert(header::CONTENT_LENGTH, body.len().into());
    Response::from_parts(head, Body::from(body))
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

fn set_content_length(headers: &mut HeaderMap, length: Option<u64>) {
    match length {
        Some(length) => headers.insert(header::CONTENT_LENGTH, length.into()),
        None => headers.remove(header::CONTENT_LENGTH),
    };
}

/// The status that libSQL server gives an error of a statement, where that is the whole answer: 400 if it has no code. Source: its
/// `http/user/hrana_over_http_1.rs`.
fn status_of_error(error: &[u8]) -> StatusCode {
    let error: serde_json::Value = serde_json::from_slice(error).unwrap_or_default();
    match error["code"].as_str() {
        Some("TRANSACTION_TIMEOUT" | "TRANSACTION_BUSY") => StatusCode::SERVICE_UNAVAILABLE,
        Some(code) if code.starts_with("SQLITE_") => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// How many bytes an answer has, where its head says so.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

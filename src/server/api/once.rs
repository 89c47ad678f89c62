//! Requests with an `Idempotency-Key`: each takes effect once, however often it arrives. Those with the same key wait for each
//! other; what is remembered of them, and for how long, is the plane's.

use super::call::{self, RequestTarget};
use super::reply::{ApiReply, ReplyFuture};
use super::{Server, blocking, defect, work};
use crate::control::hosted::{CallRequest, Caller, Hosted, KeyedRequest, RequestAccount, RequestStart};
use crate::control::idempotency::{HEADER, IdempotencyKey, RequestMark};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use axum::http::request::Parts;
use ring::digest::{Context, SHA256};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// The requests with keys that are being performed or waited for.
#[derive(Default)]
pub(in crate::server) struct RunningRequests(Mutex<HashMap<RequestMark, Arc<AsyncMutex<()>>>>);

/// While it lives, requests with the same key wait.
struct RequestTurn {
    server: Arc<Server>,
    mark: RequestMark,
    turn: Option<OwnedMutexGuard<()>>,
}

impl RequestTurn {
    /// Waits for the requests with the same key that came before.
    async fn wait(server: &Arc<Server>, mark: RequestMark) -> Self {
        let queue = Arc::clone(lock(&server.running_requests.0).entry(mark).or_default());
        // Whoever stops waiting removes the queue, too, if nobody else is in it.
        let mut turn = Self {
            server: Arc::clone(server),
            mark,
            turn: None,
        };
        turn.turn = Some(queue.lock_owned().await);
        turn
    }
}

impl Drop for RequestTurn {
    fn drop(&mut self) {
        let mut running = lock(&self.server.running_requests.0);
        drop(self.turn.take());
        // Nobody else waits: whoever does has a reference, and new ones need the lock held here.
        if running
            .get(&self.mark)
            .is_some_and(|queue| Arc::strong_count(queue) == 1)
        {
            running.remove(&self.mark);
        }
    }
}

/// The key of a request. Fails if it is malformed, or if there are two.
pub(super) fn key(parts: &Parts) -> Result<Option<IdempotencyKey>> {
    let mut values = parts.headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Error::new(Code::InvalidValue, "there are two Idempotency-Keys").hint("send one"));
    }
    // What is not ASCII is refused by the parser, which has the rule.
    value.to_str().unwrap_or_default().parse().map(Some)
}

/// A hash of what a request asks for.
pub(super) fn fingerprint(parts: &Parts, body: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    for part in [parts.method.as_str().as_bytes(), path.as_bytes()] {
        context.update(part);
        context.update(b"\0");
    }
    context.update(body);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

/// Performs a change on a thread that may block, unless it was performed before. It goes on if the client disconnects.
pub(super) async fn perform(
    server: &Arc<Server>,
    request: KeyedRequest,
    start: impl FnOnce(&KeyedRequest) -> Result<RequestStart> + Send + 'static,
    change: impl FnOnce(CallRequest) -> Result<ApiReply> + Send + 'static,
) -> Result<ApiReply> {
    let hosted = server.hosted()?;
    let turn = RequestTurn::wait(server, request.mark()).await;
    let answered = work(server, move || {
        let _turn = turn;
        match start(&request)? {
            RequestStart::Answered(answer) => answer,
            RequestStart::Perform(call) => {
                let answer = change(call).and_then(document);
                hosted.finish_request(&request, &answer);
                answer
            }
        }
    });
    answered.await.map(ApiReply::Json)
}

/// The same for a change whose body is streamed. If the client disconnects it is not performed.
pub(super) async fn perform_streamed(
    server: &Arc<Server>,
    request: KeyedRequest,
    start: impl FnOnce(&KeyedRequest) -> Result<RequestStart> + Send + 'static,
    change: impl FnOnce(CallRequest) -> ReplyFuture,
) -> Result<ApiReply> {
    let hosted = server.hosted()?;
    let _turn = RequestTurn::wait(server, request.mark()).await;
    let (request, begun) = blocking(move || start(&request).map(|begun| (request, begun))).await?;
    let answer = match begun {
        RequestStart::Answered(answer) => answer,
        RequestStart::Perform(call) => {
            let answer = change(call).await.and_then(document);
            blocking(move || {
                hosted.finish_request(&request, &answer);
                answer
            })
            .await
        }
    };
    answer.map(ApiReply::Json)
}

/// Begins a request of a caller, about the organization of its target.
pub(super) fn begin(
    hosted: &Hosted,
    caller: &Caller,
    target: &RequestTarget,
    request: &KeyedRequest,
) -> Result<RequestStart> {
    let organization = call::organization(hosted, caller, target).ok().flatten();
    hosted.begin_request(request, Some(caller), organization.as_ref())
}

/// The request of a caller with a key.
pub(super) fn of_caller(
    hosted: &Hosted,
    caller: &Caller,
    key: &IdempotencyKey,
    parts: &Parts,
    body: &[u8],
) -> KeyedRequest {
    hosted.keyed_request(RequestAccount::Caller(caller), key, fingerprint(parts, body))
}

/// The document of an answer. Changes have no others.
fn document(reply: ApiReply) -> Result<Value> {
    match reply {
        ApiReply::Json(value) => Ok(value),
        ApiReply::Page { .. } | ApiReply::File { .. } => Err(defect()),
    }
}

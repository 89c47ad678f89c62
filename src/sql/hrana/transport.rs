//! HTTP requests that can be cancelled at once.
//!
//! The one place outside the server where futures are awaited: a blocking read cannot be stopped from another thread,
//! but a future can be dropped, which closes its connection. Callers see blocking functions. Timeouts: ten seconds to
//! connect, then [`Call::patience`] for each silence; a peer that has vanished is noticed by TCP keep-alive.

use super::address::{Address, display_url};
use crate::error::{Code, Error, Result};
use crate::hrana::protobuf::cursor::CONTENT_TYPE as PROTOBUF;
use crate::net::{connect_hint, innermost};
use crate::secret::Secret;
use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use url::Url;

const CONNECT: Duration = Duration::from_secs(10);
/// The header that asks a server of torso to answer a write when a replica has it.
const WAIT_REPLICA: HeaderName = HeaderName::from_static("torso-wait-replica");
/// Tries of a request whose connection could not be made. Nothing was sent, so nothing can happen twice.
const TRIES: u32 = 3;
/// Bytes of the longest answer that is read into memory.
const WHOLE: usize = 64 << 20;
/// Bytes of a piece of a long answer, and how many pieces may be queued.
const PIECE: usize = 64 << 10;
const GATHERED: usize = 2;
/// How often the reader yields to the connection's task, for more bytes, before it hands a piece on.
const TURNS: u32 = 2;

/// Cancels what is running. Between two statements it has no effect.
#[derive(Default)]
pub(super) struct Cancel {
    running: AtomicBool,
    cancelled: AtomicBool,
    notify: Notify,
}

impl Cancel {
    /// Begins work that may be cancelled.
    pub(super) fn begin(&self) {
        self.cancelled.store(false, Ordering::SeqCst);
        self.running.store(true, Ordering::SeqCst);
    }

    pub(super) fn end(&self) {
        self.running.store(false, Ordering::SeqCst);
    }

    pub(super) fn cancel(&self) {
        if self.running.load(Ordering::SeqCst) {
            self.cancelled.store(true, Ordering::SeqCst);
            self.notify.notify_one();
        }
    }

    pub(super) fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    async fn wait(&self) {
        while !self.cancelled() {
            self.notify.notified().await;
        }
    }
}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum RequestFailure {
    Interrupted,
    /// Nothing was sent.
    Unsent(Error),
    /// The request was sent; whether it was carried out is not known.
    Broken(Error),
}

/// What may end the wait for a request.
#[derive(Clone, Copy)]
pub(super) struct HttpCall<'a> {
    pub cancel: &'a Cancel,
    /// The longest silence, before the answer and within it.
    pub patience: Duration,
}

/// An answer whose body has not been read.
pub(super) struct HttpReply {
    pub status: u16,
    /// The content type says that the body is protobuf, or just bytes.
    pub binary: bool,
    body: Body,
    from: String,
}

/// The body of an answer.
enum Body {
    Here(reqwest::Response),
    /// Read by a task of its own, which joins small pieces into larger ones.
    Flowing(Flowing),
    Ended,
}

/// The pieces that a task has read. Dropping it ends the task.
struct Flowing {
    pieces: Receiver<reqwest::Result<Bytes>>,
    reader: JoinHandle<()>,
}

impl Drop for Flowing {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// How a client is set up: those of the same kind can take each other's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ClientKind {
    has_tls: bool,
    has_proxy: bool,
}

/// A client whose session has ended, with its open connections: for the thread's next session.
struct IdleClient {
    kind: ClientKind,
    client: reqwest::Client,
    runtime: Option<Runtime>,
}

impl Drop for IdleClient {
    fn drop(&mut self) {
        // A DNS lookup that is under way must not delay the end of the program.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Idle clients that a thread keeps. Setting one up takes longer than a query of a server nearby, and work on many databases has
/// a session for each.
const IDLE: usize = 2;

thread_local! {
    static IDLE_CLIENTS: RefCell<Vec<IdleClient>> = const { RefCell::new(Vec::new()) };
}

pub(super) struct HttpClient {
    kind: ClientKind,
    runtime: Option<Runtime>,
    client: reqwest::Client,
    authorization: Option<HeaderValue>,
    waited: Cell<Duration>,
}

impl HttpClient {
    pub(super) fn new(address: &Address) -> Result<Self> {
        let internal =
            |error: &dyn std::fmt::Display| Error::new(Code::Internal, format!("cannot set up HTTP: {error}"));
        let authorization = address.token.as_ref().map(bearer).transpose()?;
        let kind = ClientKind {
            // Reading the system's certificates takes longer than a local query.
            has_tls: address.base.scheme() != "http",
            has_proxy: !crate::net::is_loopback(&address.base),
        };
        if let Some((client, runtime)) = take_idle(kind) {
            return Ok(Self {
                kind,
                runtime: Some(runtime),
                client,
                authorization,
                waited: Cell::default(),
            });
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("torso/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .tcp_keepalive(Duration::from_secs(15))
            .tcp_keepalive_interval(Duration::from_secs(10))
            .tcp_keepalive_retries(3)
            .redirect(reqwest::redirect::Policy::none());
        if !kind.has_tls {
            builder = builder.tls_certs_only([]);
        }
        if !kind.has_proxy {
            builder = builder.no_proxy();
        }
        crate::net::use_ring();
        let client = builder.build().map_err(|error| internal(&error))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| internal(&error))?;
        Ok(Self {
            kind,
            runtime: Some(runtime),
            client,
            authorization,
            waited: Cell::default(),
        })
    }

    /// Uses another token for the next requests.
    pub(super) fn authorize(&mut self, token: &Secret) -> Result<()> {
        self.authorization = Some(bearer(token)?);
        Ok(())
    }

    /// The total time spent waiting for answers.
    pub(super) fn waited(&self) -> Duration {
        self.waited.get()
    }

    /// Waits for `work`, until it is cancelled or times out.
    fn wait<T>(&self, call: HttpCall<'_>, work: impl Future<Output = T>) -> std::result::Result<T, Waited> {
        let Some(runtime) = &self.runtime else {
            return Err(Waited::Cancelled);
        };
        let begun = Instant::now();
        let done = runtime.block_on(async {
            let waited = {
                let mut work = pin!(tokio::time::timeout(call.patience, work));
                let mut stop = pin!(call.cancel.wait());
                std::future::poll_fn(|context| {
                    if stop.as_mut().poll(context).is_ready() {
                        return Poll::Ready(Err(Waited::Cancelled));
                    }
                    work.as_mut().poll(context).map(|done| done.map_err(|_| Waited::Late))
                })
                .await
            };
            if waited.is_err() {
                // So that the connection is closed now, not at the next request.
                run_connection_tasks().await;
            }
            waited
        });
        self.waited.set(self.waited.get() + begun.elapsed());
        done
    }

    /// Sends a request and waits for the head of its answer: a POST with a body, else a GET. With `waits_for_replica`, the server
    /// answers when a replica has what the request writes.
    pub(super) fn send(
        &self,
        call: HttpCall<'_>,
        url: &Url,
        body: Option<(&'static str, Bytes)>,
        waits_for_replica: bool,
    ) -> std::result::Result<HttpReply, RequestFailure> {
        let mut tried = 0;
        loop {
            tried += 1;
            let mut request = match &body {
                Some((kind, body)) => self
                    .client
                    .post(url.clone())
                    .header(CONTENT_TYPE, HeaderValue::from_static(kind))
                    .body(body.clone()),
                None => self.client.get(url.clone()),
            };
            // Connections make progress only while something is awaited: a closed one must be noticed before it is used
            // again. It is done once a request, not for every piece of an answer, of which there may be one a row.
            if let Some(runtime) = &self.runtime {
                runtime.block_on(run_connection_tasks());
            }
            if let Some(authorization) = &self.authorization {
                request = request.header(AUTHORIZATION, authorization.clone());
            }
            if waits_for_replica {
                request = request.header(WAIT_REPLICA, HeaderValue::from_static("true"));
            }
            match self.wait(call, request.send()) {
                Ok(Ok(response)) => {
                    let content_type = response
                        .headers()
                        .get(CONTENT_TYPE)
                        .and_then(|value| value.to_str().ok());
                    return Ok(HttpReply {
                        status: response.status().as_u16(),
                        binary: content_type.is_some_and(|value| {
                            value.starts_with(PROTOBUF) || value.starts_with("application/octet-stream")
                        }),
                        body: Body::Here(response),
                        from: display_url(url),
                    });
                }
                Ok(Err(error)) if error.is_connect() => {
                    if tried == TRIES || error.is_timeout() {
                        let error = Error::new(Code::Unavailable, format!("cannot connect to {}", origin(url)))
                            .hint(connect_hint(
                                &innermost(&error),
                                "is the server running, and is the URL right?",
                            ))
                            .caused_by(error.without_url());
                        return Err(RequestFailure::Unsent(error));
                    }
                    let pause = Duration::from_millis(fastrand::u64(50..150) * u64::from(tried));
                    if let Err(Waited::Cancelled) = self.wait(call, async { tokio::time::sleep(pause).await }) {
                        return Err(RequestFailure::Interrupted);
                    }
                }
                Ok(Err(error)) => return Err(broken(&origin(url), error)),
                Err(waited) => return Err(waited.into_failure(&origin(url), call)),
            }
        }
    }

    /// The next piece of a long answer, or none at its end.
    pub(super) fn chunk(
        &self,
        call: HttpCall<'_>,
        reply: &mut HttpReply,
    ) -> std::result::Result<Option<Bytes>, RequestFailure> {
        if let (Body::Here(_), Some(runtime)) = (&reply.body, &self.runtime)
            && let Body::Here(response) = std::mem::replace(&mut reply.body, Body::Ended)
        {
            let (sender, pieces) = channel(GATHERED);
            let reader = runtime.spawn(gather(response, sender));
            reply.body = Body::Flowing(Flowing { pieces, reader });
        }
        let Body::Flowing(flowing) = &mut reply.body else {
            return Ok(None);
        };
        match self.wait(call, flowing.pieces.recv()) {
            Ok(None) => Ok(None),
            Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
            Ok(Some(Err(error))) => Err(broken(&reply.from, error)),
            Err(waited) => Err(waited.into_failure(&reply.from, call)),
        }
    }

    /// Abandons an answer: closing its connection tells the server to stop.
    pub(super) fn abandon(&self, reply: HttpReply) {
        drop(reply);
        if let Some(runtime) = &self.runtime {
            runtime.block_on(run_connection_tasks());
        }
    }

    /// Reads the rest of an answer into memory.
    pub(super) fn whole(
        &self,
        call: HttpCall<'_>,
        reply: &mut HttpReply,
    ) -> std::result::Result<Vec<u8>, RequestFailure> {
        let mut body = Vec::new();
        let Body::Here(response) = &mut reply.body else {
            return Ok(body);
        };
        loop {
            let chunk = match self.wait(call, response.chunk()) {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Ok(body),
                Ok(Err(error)) => return Err(broken(&reply.from, error)),
                Err(waited) => return Err(waited.into_failure(&reply.from, call)),
            };
            body.extend_from_slice(&chunk);
            if body.len() > WHOLE {
                return Err(RequestFailure::Broken(Error::new(
                    Code::Unavailable,
                    format!("{} sent an answer of more than {} MB", reply.from, WHOLE >> 20),
                )));
            }
        }
    }
}

/// Reads an answer to its end, or until the receiver is gone. Servers send a piece for each row. All that has arrived is passed
/// on together, at once, so that the receiver is not woken for each row.
async fn gather(mut response: reqwest::Response, sender: Sender<reqwest::Result<Bytes>>) {
    let mut gathered = BytesMut::new();
    loop {
        let mut turns = 0;
        let next = {
            let mut next = pin!(response.chunk());
            std::future::poll_fn(|context| match next.as_mut().poll(context) {
                Poll::Ready(next) => Poll::Ready(Some(next)),
                Poll::Pending if gathered.is_empty() => Poll::Pending,
                // The connection's task may have more bytes ready, once it gets its turn.
                Poll::Pending if turns < TURNS => {
                    turns += 1;
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                Poll::Pending => Poll::Ready(None),
            })
            .await
        };
        let (full, last) = match next {
            Some(Ok(Some(chunk))) => {
                gathered.extend_from_slice(&chunk);
                (gathered.len() >= PIECE, None)
            }
            None => (true, None),
            Some(Ok(None)) => (true, Some(None)),
            Some(Err(error)) => (true, Some(Some(error))),
        };
        if full && !gathered.is_empty() && sender.send(Ok(gathered.split().freeze())).await.is_err() {
            return;
        }
        match last {
            None => {}
            Some(None) => return,
            // If the receiver is gone, nobody needs the error.
            Some(Some(error)) => return drop(sender.send(Err(error)).await),
        }
    }
}

impl Drop for HttpClient {
    fn drop(&mut self) {
        let idle = IdleClient {
            kind: self.kind,
            client: self.client.clone(),
            runtime: self.runtime.take(),
        };
        // A thread that ends keeps nothing.
        let _ = IDLE_CLIENTS.try_with(|all| {
            if let Ok(mut all) = all.try_borrow_mut()
                && all.len() < IDLE
            {
                all.push(idle);
            }
        });
    }
}

/// A client of a kind that this thread has no use for at the moment.
fn take_idle(kind: ClientKind) -> Option<(reqwest::Client, Runtime)> {
    let found = IDLE_CLIENTS.try_with(|all| {
        let mut all = all.try_borrow_mut().ok()?;
        let at = all.iter().position(|idle| idle.kind == kind)?;
        Some(all.swap_remove(at))
    });
    let mut idle = found.ok()??;
    Some((idle.client.clone(), idle.runtime.take()?))
}

/// Lets the connections' tasks run: they see what has arrived, and close what was dropped.
async fn run_connection_tasks() {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}

/// Why a wait ended before its work.
enum Waited {
    Cancelled,
    Late,
}

impl Waited {
    fn into_failure(self, from: &str, call: HttpCall<'_>) -> RequestFailure {
        match self {
            Self::Cancelled => RequestFailure::Interrupted,
            Self::Late => RequestFailure::Broken(Error::new(
                Code::Timeout,
                format!("{from} was silent for {} s", call.patience.as_secs_f32()),
            )),
        }
    }
}

fn bearer(token: &Secret) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| {
        Error::new(
            Code::InvalidValue,
            "the token contains invalid characters; was it copied completely?",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn origin(url: &Url) -> String {
    let mut origin = url.clone();
    origin.set_path("");
    display_url(&origin)
}

fn broken(from: &str, error: reqwest::Error) -> RequestFailure {
    let error = error.without_url();
    RequestFailure::Broken(
        Error::new(
            Code::Unavailable,
            format!("{from} closed the connection before its answer was complete"),
        )
        .caused_by(error),
    )
}

//! Requests over HTTP that can be given up at once.
//!
//! The one place outside the server where a future is awaited: a blocking read cannot be stopped from another thread, a
//! future can be dropped, and dropping it closes its connection. Callers see blocking functions. Deadlines: ten seconds to
//! connect; [`Call::patience`] for each silence after that; a peer that vanished is noticed by TCP's own probes.

use super::address::{Address, shown};
use super::binary::CONTENT_TYPE as BINARY;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use std::cell::Cell;
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
/// How often a request is tried whose connection could not be made: nothing was sent, so nothing can happen twice.
const TRIES: u32 = 3;
/// The most that is read of an answer that has to be held whole.
const WHOLE: usize = 64 << 20;
/// Bytes of a long answer that are handed on together, and how many such pieces may wait.
const PIECE: usize = 64 << 10;
const GATHERED: usize = 2;
/// How often a reader lets others go first before it takes what there is.
const TURNS: u32 = 2;

/// Stops what runs, and nothing else: an interrupt between two statements has no effect.
#[derive(Default)]
pub(super) struct Cancel {
    running: AtomicBool,
    cancelled: AtomicBool,
    told: Notify,
}

impl Cancel {
    /// Something begins that may be stopped.
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
            self.told.notify_one();
        }
    }

    pub(super) fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    async fn wait(&self) {
        while !self.cancelled() {
            self.told.notified().await;
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Fault {
    Interrupted,
    /// The request never left.
    Unsent(Error),
    /// The request was sent, and what became of it is not known.
    Broken(Error),
}

/// How long, and until when, to wait for a request.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub cancel: &'a Cancel,
    /// The longest silence to bear, before the answer begins and within it.
    pub patience: Duration,
}

/// An answer whose body is still to come.
pub(super) struct Reply {
    pub status: u16,
    /// The body is protobuf, which its server calls so, or bytes.
    pub binary: bool,
    body: Body,
    from: String,
}

/// The body of an answer.
enum Body {
    Here(reqwest::Response),
    /// Read by a task of its own, which gathers small pieces into large ones.
    Flowing(Flowing),
    Ended,
}

/// What a task reads; the task ends when nobody wants it any more.
struct Flowing {
    pieces: Receiver<reqwest::Result<Bytes>>,
    reader: JoinHandle<()>,
}

impl Drop for Flowing {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

pub(super) struct Http {
    runtime: Option<Runtime>,
    client: reqwest::Client,
    authorization: Option<HeaderValue>,
    waited: Cell<Duration>,
}

impl Http {
    pub(super) fn new(address: &Address) -> Result<Self> {
        let internal =
            |error: &dyn std::fmt::Display| Error::new(Code::Internal, format!("cannot set up HTTP: {error}"));
        let authorization = address.token.as_ref().map(bearer).transpose()?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("torso/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .tcp_keepalive(Duration::from_secs(15))
            .tcp_keepalive_interval(Duration::from_secs(10))
            .tcp_keepalive_retries(3)
            .redirect(reqwest::redirect::Policy::none());
        if address.base.scheme() == "http" {
            // The system's certificates take longer to read than a local query to run.
            builder = builder.tls_certs_only([]);
        }
        if crate::net::is_loopback(&address.base) {
            builder = builder.no_proxy();
        }
        crate::net::use_ring();
        let client = builder.build().map_err(|error| internal(&error))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| internal(&error))?;
        Ok(Self {
            runtime: Some(runtime),
            client,
            authorization,
            waited: Cell::default(),
        })
    }

    /// Uses another token from now on.
    pub(super) fn authorize(&mut self, token: &Secret) -> Result<()> {
        self.authorization = Some(bearer(token)?);
        Ok(())
    }

    /// All the time that was spent waiting for answers.
    pub(super) fn waited(&self) -> Duration {
        self.waited.get()
    }

    /// Waits for `work`, until the user or the deadline ends it.
    fn wait<T>(&self, call: Call<'_>, work: impl Future<Output = T>) -> std::result::Result<T, Waited> {
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
                // What was given up is closed now, not at the next request.
                settle().await;
            }
            waited
        });
        self.waited.set(self.waited.get() + begun.elapsed());
        done
    }

    /// Sends a request and waits for the head of its answer. With a body it is a POST.
    pub(super) fn send(
        &self,
        call: Call<'_>,
        url: &Url,
        body: Option<(&'static str, Bytes)>,
    ) -> std::result::Result<Reply, Fault> {
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
            // Connections are looked after only while something is awaited: one that was closed in the meantime must be
            // noticed before it is used again. Not done for each piece of an answer, of which there may be one a row.
            if let Some(runtime) = &self.runtime {
                runtime.block_on(settle());
            }
            if let Some(authorization) = &self.authorization {
                request = request.header(AUTHORIZATION, authorization.clone());
            }
            match self.wait(call, request.send()) {
                Ok(Ok(response)) => {
                    let told = response.headers().get(CONTENT_TYPE).and_then(|told| told.to_str().ok());
                    return Ok(Reply {
                        status: response.status().as_u16(),
                        binary: told.is_some_and(|told| {
                            told.starts_with(BINARY) || told.starts_with("application/octet-stream")
                        }),
                        body: Body::Here(response),
                        from: shown(url),
                    });
                }
                Ok(Err(error)) if error.is_connect() => {
                    if tried == TRIES || error.is_timeout() {
                        let error = Error::new(Code::Unavailable, format!("cannot connect to {}", origin(url)))
                            .caused_by(error.without_url())
                            .hint("is the server running, and is the URL right?");
                        return Err(Fault::Unsent(error));
                    }
                    let pause = Duration::from_millis(fastrand::u64(50..150) * u64::from(tried));
                    if let Err(Waited::Cancelled) = self.wait(call, async { tokio::time::sleep(pause).await }) {
                        return Err(Fault::Interrupted);
                    }
                }
                Ok(Err(error)) => return Err(broken(&origin(url), error)),
                Err(waited) => return Err(waited.fault(&origin(url), call)),
            }
        }
    }

    /// The next piece of a long answer, or none at its end.
    pub(super) fn chunk(&self, call: Call<'_>, reply: &mut Reply) -> std::result::Result<Option<Bytes>, Fault> {
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
            Err(waited) => Err(waited.fault(&reply.from, call)),
        }
    }

    /// Gives up an answer: its connection is closed, by which the server knows that nobody listens.
    pub(super) fn abandon(&self, reply: Reply) {
        drop(reply);
        if let Some(runtime) = &self.runtime {
            runtime.block_on(settle());
        }
    }

    /// All that is left of an answer.
    pub(super) fn whole(&self, call: Call<'_>, reply: &mut Reply) -> std::result::Result<Vec<u8>, Fault> {
        let mut body = Vec::new();
        let Body::Here(response) = &mut reply.body else {
            return Ok(body);
        };
        loop {
            let chunk = match self.wait(call, response.chunk()) {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Ok(body),
                Ok(Err(error)) => return Err(broken(&reply.from, error)),
                Err(waited) => return Err(waited.fault(&reply.from, call)),
            };
            body.extend_from_slice(&chunk);
            if body.len() > WHOLE {
                return Err(Fault::Broken(Error::new(
                    Code::Unavailable,
                    format!("{} sent an answer of more than {} MB", reply.from, WHOLE >> 20),
                )));
            }
        }
    }
}

/// Reads an answer to its end, or until nobody wants it. Servers send a piece for each row: handing on every one of them by
/// itself would cost more than all else that is done with it. What has arrived is handed on together, and at once.
async fn gather(mut response: reqwest::Response, sender: Sender<reqwest::Result<Bytes>>) {
    let mut gathered = BytesMut::new();
    loop {
        let mut turns = 0;
        let next = {
            let mut next = pin!(response.chunk());
            std::future::poll_fn(|context| match next.as_mut().poll(context) {
                Poll::Ready(next) => Poll::Ready(Some(next)),
                Poll::Pending if gathered.is_empty() => Poll::Pending,
                // The task of the connection may have more at hand and has not had its turn.
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
            // Whoever has gone has no use for it.
            Some(Some(error)) => return drop(sender.send(Err(error)).await),
        }
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        // A name that is still being looked up must not hold up the end of the program.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Lets the connections' tasks see what arrived and do what they were told.
async fn settle() {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}

/// Why waiting ended before the work did.
enum Waited {
    Cancelled,
    Late,
}

impl Waited {
    fn fault(self, from: &str, call: Call<'_>) -> Fault {
        match self {
            Self::Cancelled => Fault::Interrupted,
            Self::Late => Fault::Broken(Error::new(
                Code::Timeout,
                format!("{from} was silent for {} s", call.patience.as_secs_f32()),
            )),
        }
    }
}

fn bearer(token: &Secret) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
        .map_err(|_| Error::new(Code::InvalidValue, "the token has characters that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn origin(url: &Url) -> String {
    let mut origin = url.clone();
    origin.set_path("");
    shown(&origin)
}

fn broken(from: &str, error: reqwest::Error) -> Fault {
    let error = error.without_url();
    Fault::Broken(Error::new(Code::Unavailable, format!("{from} broke off its answer")).caused_by(error))
}

//! Bodies of answers, streamed to the client.

use super::Core;
use super::endpoints::EndpointKind;
use super::engine_text::{ErrorPart, mentions_damage, mentions_missing_table};
use super::error::GatewayError;
use super::limits::Permit;
use super::policy::BodyEncoding;
use super::primary_errors::ErrorRestorer;
use super::read_answer::AnswerBody;
use super::streams::{StreamKind, StreamRead, StreamSlot, StreamState};
use super::upstream::connections::UpstreamBody;
use super::upstream::{WaitState, lost, no_primary, took_too_long};
use crate::control::gateway_plane::{PendingWrite, Route};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use serde_json::json;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Bytes of a process's error that are read.
const LONGEST_ERROR: usize = 64 << 10;

/// Returns a process's error, which is short, as one piece.
pub(super) async fn read_error(answer: UpstreamBody) -> Bytes {
    let read = http_body_util::Limited::new(answer, LONGEST_ERROR).collect().await;
    read.map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes)
}

/// The streamed body of an answer. It holds the request's permit until its end, counts bytes, and ends when nothing
/// arrives for too long.
pub(super) struct ResponseBody {
    core: Arc<Core>,
    route: Arc<Route>,
    kind: EndpointKind,
    inner: AnswerBody,
    _permit: Permit,
    bytes: u64,
    /// The answer is lines of JSON, and the last of them is complete.
    between_lines: Option<bool>,
    /// How long the process was waited for before the last piece, and since when it is now.
    waited: Duration,
    waiting_since: Option<Instant>,
    /// Watches over the silence since the last piece.
    watch: Option<Pin<Box<dyn Future<Output = StreamEnd> + Send>>>,
    ended: bool,
    /// The encoding of the baton in the first piece, until it has a label.
    labelled: Option<BodyEncoding>,
    /// What the stream has after the request, as far as that is known before the answer.
    state: StreamState,
    /// Bytes of the answer, where the process said how many.
    length: Option<u64>,
    /// The stream that the request uses.
    stream: Option<StreamSlot>,
    /// The first piece, when it was waited for.
    first: Option<Bytes>,
    /// Which part of the answer is an error.
    errors: ErrorPart,
    /// It answers SELECTs only.
    is_query: bool,
    /// Restores errors of the primary in the answer of a replica's process.
    restorer: Option<ErrorRestorer>,
    /// The token of the request, and when it was last looked at.
    token: Option<(String, Instant)>,
    /// The read that this is the answer to, which may run in a kept stream the next time.
    read: Option<StreamRead>,
    /// The write that this is the answer to: a promotion waits for it.
    _write: Option<PendingWrite>,
}

/// Why an answer ends early.
enum StreamEnd {
    /// Whoever would give it is away.
    Away(GatewayError),
    Silence,
}

impl ResponseBody {
    pub fn new(
        core: Arc<Core>,
        route: Arc<Route>,
        kind: EndpointKind,
        lines: bool,
        inner: AnswerBody,
        permit: Permit,
    ) -> Self {
        Self {
            core,
            route,
            kind,
            inner,
            _permit: permit,
            bytes: 0,
            between_lines: lines.then_some(true),
            waited: Duration::ZERO,
            waiting_since: None,
            watch: None,
            ended: false,
            labelled: None,
            state: StreamState::Settings,
            length: None,
            stream: None,
            first: None,
            errors: ErrorPart::Messages,
            restorer: None,
            token: None,
            read: None,
            is_query: false,
            _write: None,
        }
    }

    /// Has the baton in the first piece labelled, with what the stream has after the request. `length` is how many bytes the
    /// answer has, where that is known.
    pub fn labelled(mut self, labelled: Option<BodyEncoding>, state: StreamState, length: Option<u64>) -> Self {
        (self.labelled, self.state, self.length) = (labelled, state, length);
        self
    }

    /// Holds the place of the stream that the request uses, and leaves it to the baton in the answer.
    pub fn with_stream(mut self, stream: Option<StreamSlot>) -> Self {
        self.stream = stream;
        self
    }

    /// Has paths hidden in what of the answer is an error.
    pub fn with_errors(mut self, errors: ErrorPart) -> Self {
        self.errors = errors;
        self
    }

    /// Has the length of the answer remembered for the next time that the read comes.
    pub fn of_read(mut self, read: Option<StreamRead>) -> Self {
        self.read = read;
        self
    }

    /// Says whether it answers SELECTs only.
    pub fn of_query(mut self, is_query: bool) -> Self {
        self.is_query = is_query;
        self
    }

    /// Holds a write until it has been answered.
    pub fn of_write(mut self, write: Option<PendingWrite>) -> Self {
        self._write = write;
        self
    }

    /// Has errors of the primary restored.
    pub fn with_restorer(mut self, restorer: Option<ErrorRestorer>) -> Self {
        self.restorer = restorer;
        self
    }

    /// A piece with its baton labelled, which is what the stream is known by from now on.
    fn label(&mut self, format: BodyEncoding, piece: Bytes) -> Bytes {
        let is_whole = self.length == Some(piece.len() as u64);
        let state = match format {
            BodyEncoding::Json if is_whole => self.state.after_answer(&piece),
            _ => self.state,
        };
        let (piece, baton) = self.core.streams.add_label(format, &self.route.id, state, piece);
        if let (Some(stream), Some(baton)) = (&mut self.stream, baton) {
            stream.keep_open(baton, StreamKind::Stream);
        }
        piece
    }

    /// Has the answer end when its token does, or its database.
    pub fn while_allowed(mut self, token: String) -> Self {
        self.token = Some((token, Instant::now()));
        self
    }

    /// Waits for the first piece: by how many bytes it is longer than what the process sent.
    pub async fn read_first_piece(&mut self) -> u64 {
        let Some(format) = self.labelled else { return 0 };
        let next = self.core.limits.await_piece(self.inner.frame()).await;
        let Some(Some(Ok(Ok(piece)))) = next.map(|next| next.map(|next| next.map(Frame::into_data))) else {
            return 0;
        };
        self.labelled = None;
        let before = piece.len();
        let piece = self.label(format, piece);
        let longer = piece.len() - before;
        self.first = Some(piece);
        longer as u64
    }

    /// Whether the client may still receive the answer.
    fn is_allowed(&mut self) -> bool {
        let Some((token, checked)) = &mut self.token else {
            return true;
        };
        if checked.elapsed() < self.core.limits.recheck {
            return true;
        }
        *checked = Instant::now();
        let plane = &self.core.plane;
        plane
            .route(&self.route.label)
            .is_some_and(|now| now.id == self.route.id)
            && plane.authorize(token, &self.route).is_ok()
    }

    fn watch(&self) -> Pin<Box<dyn Future<Output = StreamEnd> + Send>> {
        let (core, route) = (Arc::clone(&self.core), Arc::clone(&self.route));
        let to_primary = self.kind == EndpointKind::Proxy;
        // A statement whose rows come slowly computes as long as one with a single row.
        let patience = match self.kind {
            EndpointKind::Call | EndpointKind::Cursor => core.limits.answer.saturating_sub(self.waited),
            _ => core.limits.answer,
        };
        let wait = WaitState::new(self.is_query);
        Box::pin(async move {
            let silence = tokio::time::sleep(patience);
            match core.upstream.while_well(&route, to_primary, wait, silence).await {
                Ok(()) => StreamEnd::Silence,
                Err(error) => StreamEnd::Away(error),
            }
        })
    }

    /// A piece of the process's answer as the client gets it.
    fn pass_on(&mut self, mut frame: Frame<Bytes>) -> Frame<Bytes> {
        self.watch = None;
        if let Some(format) = self.labelled.take_if(|_| frame.is_data()) {
            frame = frame.map_data(|data| self.label(format, data));
        }
        if !matches!(self.kind, EndpointKind::Dump | EndpointKind::Sync) {
            frame = frame.map_data(|data| self.core.paths.hide(data, self.errors));
        }
        let has_words = !matches!(self.kind, EndpointKind::Dump | EndpointKind::Sync);
        if let Some(data) = frame.data_ref().filter(|_| has_words) {
            if mentions_damage(data) {
                self.core.plane.suspect(&self.route);
            }
            if mentions_missing_table(data) {
                self.core.plane.check_file(&self.route);
            }
        }
        if let Some(restorer) = &mut self.restorer {
            frame = frame.map_data(|data| restorer.push(data));
        }
        if let Some(data) = frame.data_ref().filter(|data| !data.is_empty()) {
            self.bytes += data.len() as u64;
            if let Some(between) = &mut self.between_lines {
                *between = data.ends_with(b"\n");
            }
        }
        frame
    }

    /// Counts how long the process is waited for.
    fn note_wait(&mut self, is_pending: bool) {
        match (is_pending, self.waiting_since) {
            (true, None) => self.waiting_since = Some(Instant::now()),
            (false, Some(since)) => {
                self.waited += since.elapsed();
                self.waiting_since = None;
            }
            _ => {}
        }
    }

    /// An error as the last line, for a client that reads rows line by line.
    fn last_line(&self, error: &GatewayError) -> Bytes {
        let error = json!({ "type": "error", "error": { "message": error.message, "code": error.code } });
        let head = if self.bytes == 0 {
            "{\"baton\":null,\"base_url\":null}\n"
        } else {
            ""
        };
        Bytes::from(format!("{head}{error}\n"))
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        let next = match this.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => Pin::new(&mut this.inner).poll_frame(context),
        };
        this.note_wait(next.is_pending());
        match next {
            Poll::Ready(Some(Ok(_))) if !this.is_allowed() => {
                this.ended = true;
                Poll::Ready(Some(Err(axum::Error::new("the token is not valid any more"))))
            }
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(this.pass_on(frame)))),
            Poll::Ready(Some(Err(_))) if this.between_lines == Some(true) => {
                this.ended = true;
                let error = if this.route.is_primary { lost() } else { no_primary() };
                Poll::Ready(Some(Ok(Frame::data(this.last_line(&error)))))
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::warn!(database = %this.route.label, cause = %error, "an answer of a database process broke off");
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                let rest = this.restorer.take().map(|mut restorer| restorer.finish());
                Poll::Ready(rest.filter(|rest| !rest.is_empty()).map(|rest| Ok(Frame::data(rest))))
            }
            Poll::Pending => {
                let mut watch = this.watch.take().unwrap_or_else(|| this.watch());
                let Poll::Ready(end) = watch.as_mut().poll(context) else {
                    this.watch = Some(watch);
                    return Poll::Pending;
                };
                this.ended = true;
                match (end, this.between_lines) {
                    (StreamEnd::Away(error), Some(true)) => Poll::Ready(Some(Ok(Frame::data(this.last_line(&error))))),
                    (StreamEnd::Away(error), _) => Poll::Ready(Some(Err(axum::Error::new(error.message)))),
                    (StreamEnd::Silence, Some(true)) => {
                        let error = took_too_long(this.core.limits.answer);
                        Poll::Ready(Some(Ok(Frame::data(this.last_line(&error)))))
                    }
                    (StreamEnd::Silence, _) => Poll::Ready(Some(Err(axum::Error::new("the database does not answer")))),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || (self.first.is_none() && self.restorer.is_none() && self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        // The restorer may hold something.
        if self.restorer.is_some() {
            return SizeHint::default();
        }
        match (&self.first, self.labelled) {
            (Some(first), _) => {
                let rest = self.inner.size_hint();
                let first = first.len() as u64;
                let mut hint = SizeHint::new();
                hint.set_lower(rest.lower() + first);
                if let Some(upper) = rest.upper() {
                    hint.set_upper(upper + first);
                }
                hint
            }
            // It becomes longer.
            (None, Some(_)) => SizeHint::default(),
            (None, None) => self.inner.size_hint(),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let synced = if self.kind == EndpointKind::Sync { self.bytes } else { 0 };
        if synced > 0 {
            self.core.counters.count_synced(synced);
        }
        if let Some(read) = &self.read {
            self.core.reads.remember(read, self.bytes);
        }
        self.core.plane.count(&self.route, synced);
    }
}

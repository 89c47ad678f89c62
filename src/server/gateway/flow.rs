//! Bodies: those of requests are read into memory, those of answers are streamed.

use super::Core;
use super::inspect::Format;
use super::limits::{Memory, Permit};
use super::links::Answer;
use super::open::{Kept, Place};
use super::refusal::Refusal;
use super::routes::Kind;
use super::stream_state::StreamState;
use super::upstream::{lost, no_primary};
use crate::control::hosted::Route;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use serde_json::json;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

/// A request body in memory, and the permit for that memory.
pub(super) struct Collected {
    pub bytes: Bytes,
    pub held: Option<Memory>,
}

/// Reads a request's body into memory.
pub(super) async fn collect(core: &Core, route: &Route, headers: &HeaderMap, body: Body) -> Result<Collected, Refusal> {
    let limit = core.limits.body;
    let too_large = || {
        Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "BODY_TOO_LARGE",
            format!("the request has more than {limit} bytes"),
        )
    };
    let told = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if told.is_some_and(|told| told > limit) {
        return Err(too_large());
    }
    let late = || {
        Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "TIMEOUT",
            "the request's body took too long to arrive",
        )
    };
    let end = Instant::now() + core.limits.upload;
    let mut body = body;
    let mut held = match told {
        Some(told) => core.shares.memory(&route.organization_id, told).await?,
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
        let frame = frame.map_err(|_| Refusal::bad("the request's body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = first.len() + all.len() + data.len();
        if length > limit {
            return Err(too_large());
        }
        if told.is_none() {
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
                all.reserve(told.unwrap_or(length));
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&data);
        }
    }
    let bytes = if all.is_empty() { first } else { all.freeze() };
    Ok(Collected { bytes, held })
}

/// Bytes of a process's refusal that are read.
const REFUSAL: usize = 64 << 10;

/// A process's refusal, which is short, as one piece.
pub(super) async fn read_refusal(answer: Answer) -> Bytes {
    let read = http_body_util::Limited::new(answer, REFUSAL).collect().await;
    read.map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes)
}

/// The streamed body of an answer. It holds the request's permit until its end, counts bytes, and ends when nothing
/// arrives for too long.
pub(super) struct Flow {
    core: Arc<Core>,
    route: Arc<Route>,
    kind: Kind,
    inner: Answer,
    _place: Permit,
    bytes: u64,
    /// The answer is lines of JSON that are not compressed, and the last of them is complete.
    between_lines: Option<bool>,
    /// Watches over the silence since the last piece.
    watch: Option<Pin<Box<dyn Future<Output = End> + Send>>>,
    ended: bool,
    /// How the baton in the first piece is told, until it has a label.
    labelled: Option<Format>,
    /// What the stream has after the request, as far as that is known before the answer.
    state: StreamState,
    /// Bytes of the answer, where the process said how many.
    told: Option<u64>,
    /// The stream that the request uses.
    stream: Option<Place>,
    /// The first piece, when it was waited for.
    first: Option<Bytes>,
    /// The token of the request, and when it was last looked at.
    token: Option<(String, Instant)>,
}

/// Why an answer ends early.
enum End {
    /// Whoever would give it is away.
    Away(Refusal),
    Silence,
}

impl Flow {
    pub fn new(core: Arc<Core>, route: Arc<Route>, kind: Kind, lines: bool, inner: Answer, place: Permit) -> Self {
        Self {
            core,
            route,
            kind,
            inner,
            _place: place,
            bytes: 0,
            between_lines: lines.then_some(true),
            watch: None,
            ended: false,
            labelled: None,
            state: StreamState::Settings,
            told: None,
            stream: None,
            first: None,
            token: None,
        }
    }

    /// Has the baton in the first piece labelled, with what the stream has after the request. `told` is how many bytes the
    /// answer has, where that is known.
    pub fn labelled(mut self, labelled: Option<Format>, state: StreamState, told: Option<u64>) -> Self {
        (self.labelled, self.state, self.told) = (labelled, state, told);
        self
    }

    /// Holds the place of the stream that the request uses, and leaves it to the baton in the answer.
    pub fn with_stream(mut self, stream: Option<Place>) -> Self {
        self.stream = stream;
        self
    }

    /// A piece with its baton labelled, which is what the stream is known by from now on.
    fn label(&mut self, format: Format, piece: Bytes) -> Bytes {
        let is_whole = self.told == Some(piece.len() as u64);
        let state = match format {
            Format::Json if is_whole => self.state.after_answer(&piece),
            _ => self.state,
        };
        let (piece, baton) = self.core.streams.outward(format, &self.route.id, state, piece);
        if let (Some(stream), Some(baton)) = (&mut self.stream, baton) {
            stream.keep(baton, Kept::Stream);
        }
        piece
    }

    /// Has the answer end when its token does, or its database.
    pub fn while_allowed(mut self, token: String) -> Self {
        self.token = Some((token, Instant::now()));
        self
    }

    /// Waits for the first piece: by how many bytes it is longer than what the process sent.
    pub async fn look_ahead(&mut self) -> u64 {
        let Some(format) = self.labelled else { return 0 };
        let next = tokio::time::timeout(self.core.limits.answer, self.inner.frame()).await;
        let Ok(Some(Ok(Ok(piece)))) = next.map(|next| next.map(|next| next.map(Frame::into_data))) else {
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
        let hosted = &self.core.hosted;
        hosted
            .route(&self.route.label)
            .is_some_and(|now| now.id == self.route.id)
            && hosted.authorize(token, &self.route).is_ok()
    }

    fn watch(&self) -> Pin<Box<dyn Future<Output = End> + Send>> {
        let (core, route) = (Arc::clone(&self.core), Arc::clone(&self.route));
        let to_primary = self.kind == Kind::Proxy;
        Box::pin(async move {
            let silence = tokio::time::sleep(core.limits.answer);
            match core.upstream.while_well(&route, to_primary, silence).await {
                Ok(()) => End::Silence,
                Err(refusal) => End::Away(refusal),
            }
        })
    }

    /// An error as the last line, for a client that reads rows line by line.
    fn last_line(&self, refusal: &Refusal) -> Bytes {
        let error = json!({ "type": "error", "error": { "message": refusal.message, "code": refusal.code } });
        let head = if self.bytes == 0 {
            "{\"baton\":null,\"base_url\":null}\n"
        } else {
            ""
        };
        Bytes::from(format!("{head}{error}\n"))
    }
}

/// Whether an answer has the code of an error that SQLite gives on damaged files. It may be in somebody's rows; then the
/// database is read in vain.
pub(super) fn tells_of_damage(data: &[u8]) -> bool {
    const CODES: [&[u8]; 2] = [b"SQLITE_CORRUPT", b"SQLITE_NOTADB"];
    CODES.iter().any(|code| memchr::memmem::find(data, code).is_some())
}

impl HttpBody for Flow {
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
        match next {
            Poll::Ready(Some(Ok(_))) if !this.is_allowed() => {
                this.ended = true;
                Poll::Ready(Some(Err(axum::Error::new("the token is not valid any more"))))
            }
            Poll::Ready(Some(Ok(mut frame))) => {
                this.watch = None;
                if let Some(format) = this.labelled.take_if(|_| frame.is_data()) {
                    frame = frame.map_data(|data| this.label(format, data));
                }
                if let Some(data) = frame.data_ref().filter(|data| !data.is_empty()) {
                    if this.kind != Kind::Dump && this.kind != Kind::Sync && tells_of_damage(data) {
                        this.core.hosted.suspect(&this.route);
                    }
                    this.bytes += data.len() as u64;
                    if let Some(between) = &mut this.between_lines {
                        *between = data.ends_with(b"\n");
                    }
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) if this.between_lines == Some(true) => {
                this.ended = true;
                let refusal = if this.route.is_primary { lost() } else { no_primary() };
                Poll::Ready(Some(Ok(Frame::data(this.last_line(&refusal)))))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(axum::Error::new(error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let mut watch = this.watch.take().unwrap_or_else(|| this.watch());
                let Poll::Ready(end) = watch.as_mut().poll(context) else {
                    this.watch = Some(watch);
                    return Poll::Pending;
                };
                this.ended = true;
                match (end, this.between_lines) {
                    (End::Away(refusal), Some(true)) => Poll::Ready(Some(Ok(Frame::data(this.last_line(&refusal))))),
                    (End::Away(refusal), _) => Poll::Ready(Some(Err(axum::Error::new(refusal.message)))),
                    (End::Silence, _) => Poll::Ready(Some(Err(axum::Error::new("the database does not answer")))),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || (self.first.is_none() && self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
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

impl Drop for Flow {
    fn drop(&mut self) {
        let synced = if self.kind == Kind::Sync { self.bytes } else { 0 };
        if synced > 0 {
            self.core.counters.synced(synced);
        }
        self.core.hosted.count(&self.route, synced);
    }
}

//! The connection below TLS: it ends when nothing has come from the other machine for some seconds. Both sides send heartbeats, so
//! something always comes while the other machine, its power and the network are there.
//!
//! TCP alone would wait for many minutes: a machine that lost its power sends nothing more, not even that it is gone.

use crate::sync::lock;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// After so long without anything from the other side, a heartbeat is sent, which it answers.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// After so long without anything from the other side, it counts as gone.
pub(super) const SILENT_FOR: Duration = Duration::from_secs(4);

/// How long an answer to a heartbeat may take while other things do come, which only a program in disorder does.
const HEARTBEAT_ANSWER: Duration = Duration::from_secs(8);

/// Streams in one connection at a time.
const STREAMS: u32 = 4_096;

/// Bytes that may be under way to a reader that does not read: of one stream, and of a connection. A gigabit at 50 ms is 6 MB.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// The same of a machine that joins.
const JOINING_WINDOW: u32 = 64 << 10;

/// Bytes that wait to be sent, of one stream.
const SEND_BUFFER: usize = 256 << 10;

/// Bytes of a frame: few enough that streams take turns.
const FRAME: u32 = 64 << 10;

/// Bytes of a request's headers.
const HEADERS: u32 = 16 << 10;

/// When something last came over a connection.
#[derive(Clone)]
pub(super) struct LastHeard(Arc<Mutex<SystemTime>>);

impl LastHeard {
    pub fn time(&self) -> SystemTime {
        *lock(&self.0)
    }
}

/// A TCP connection that notices when the other side is silent.
pub(super) struct WatchedStream {
    stream: TcpStream,
    last: Instant,
    heard: LastHeard,
    check: Pin<Box<Sleep>>,
}

impl WatchedStream {
    pub fn new(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            // What is sent and not acknowledged, also while the system is busy with it, ends the connection as well. An error leaves
            // the heartbeats, which are enough.
            let millis = u32::try_from(SILENT_FOR.as_millis()).unwrap_or(u32::MAX);
            let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, millis);
        }
        let now = Instant::now();
        Self {
            stream,
            last: now,
            heard: LastHeard(Arc::new(Mutex::new(SystemTime::now()))),
            check: Box::pin(tokio::time::sleep_until(now + SILENT_FOR)),
        }
    }

    pub fn last_heard(&self) -> LastHeard {
        self.heard.clone()
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(cx, buffer) {
            if buffer.filled().len() > before {
                this.last = Instant::now();
                *lock(&this.heard.0) = SystemTime::now();
            }
            return Poll::Ready(read);
        }
        loop {
            ready!(this.check.as_mut().poll(cx));
            let limit = this.last + SILENT_FOR;
            if Instant::now() >= limit {
                let cause = format!(
                    "nothing came from the other machine for {} seconds",
                    SILENT_FOR.as_secs()
                );
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, cause)));
            }
            this.check.as_mut().reset(limit);
        }
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// HTTP/2 at the listener's side.
pub(super) fn server_http() -> hyper::server::conn::http2::Builder<TokioExecutor> {
    let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .keep_alive_interval(HEARTBEAT)
        .keep_alive_timeout(HEARTBEAT_ANSWER)
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_frame_size(FRAME)
        .max_header_list_size(HEADERS);
    http
}

/// The same for a machine without a certificate, which sends one small request.
pub(super) fn joining_http() -> hyper::server::conn::http2::Builder<TokioExecutor> {
    let mut http = server_http();
    http.max_concurrent_streams(1)
        .initial_stream_window_size(JOINING_WINDOW)
        .initial_connection_window_size(JOINING_WINDOW);
    http
}

/// HTTP/2 at the node's side.
pub(super) fn client_http() -> hyper::client::conn::http2::Builder<TokioExecutor> {
    let mut http = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .keep_alive_interval(HEARTBEAT)
        .keep_alive_timeout(HEARTBEAT_ANSWER)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_frame_size(FRAME)
        .max_header_list_size(HEADERS);
    http
}

/// Carries bytes both ways until one side ends; a side that has sent all may still receive. Returns when both are through.
pub(super) async fn bridge(
    one: &mut (impl AsyncRead + AsyncWrite + Unpin),
    other: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> io::Result<(u64, u64)> {
    /// Bytes read at once.
    const BUFFER: usize = 64 << 10;
    tokio::io::copy_bidirectional_with_sizes(one, other, BUFFER, BUFFER).await
}

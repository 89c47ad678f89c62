//! Connections to processes. They are kept between requests, and whoever uses one drives it: a request, its answer and the
//! connection are one task, so that nothing has to be woken but that task. An exchange takes 37 µs this way on a quiet machine; a new
//! connection for each request adds 225 µs, without the proof of its listener: `cargo bench -- parts` measures both. A task of its
//! own for each connection takes the same time (36 µs), and needs a channel to hand requests to it.
//!
//! Where processes are and what they are asked is `upstream`'s.

use crate::control::gateway_plane::Listener;
use crate::sync::lock;
use axum::http::{Request, Response};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// How long a connection to this very machine may take.
const CONNECT: Duration = Duration::from_secs(2);

/// How long idle connections are kept, and how many to a process.
const IDLE: Duration = Duration::from_secs(30);
const MOST_IDLE: usize = 64;

/// The connections that are kept. Clones are the same.
#[derive(Clone, Default)]
pub struct ConnectionPool(Arc<Mutex<IdleConnections>>);

#[derive(Default)]
struct IdleConnections {
    /// By process, those used last at the end.
    idle: HashMap<Listener, Vec<(PooledConnection, Instant)>>,
    swept: Option<Instant>,
}

/// Why a request has no answer.
#[derive(Debug)]
pub enum SendFailure {
    /// Nothing was sent.
    Before,
    /// It was sent, at least in part.
    After(hyper::Error),
}

/// A connection.
struct PooledConnection {
    process: Listener,
    sender: SendRequest<Full<Bytes>>,
    /// None once it has ended.
    wire: Option<Connection<TokioIo<TcpStream>, Full<Bytes>>>,
}

/// The body of an answer. When it has passed, its connection is kept; when it is dropped before, that ends.
pub struct UpstreamBody {
    body: Incoming,
    passed: bool,
    connection: Option<PooledConnection>,
    pool: ConnectionPool,
}

impl ConnectionPool {
    /// Sends a request and waits for the head of its answer.
    pub async fn send(
        &self,
        process: Listener,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<UpstreamBody>, SendFailure> {
        loop {
            let (mut connection, is_new) = match self.take(&process) {
                Some(connection) => (connection, false),
                None => (PooledConnection::open(process).await?, true),
            };
            match connection.ask(request).await {
                Ok(response) => {
                    return Ok(response.map(|body| UpstreamBody {
                        body,
                        passed: false,
                        connection: Some(connection),
                        pool: self.clone(),
                    }));
                }
                // It had ended since it was last used.
                Err((Some(unsent), _)) if !is_new => request = unsent,
                Err((Some(_), _)) => return Err(SendFailure::Before),
                Err((None, error)) => return Err(SendFailure::After(error)),
            }
        }
    }

    fn take(&self, process: &Listener) -> Option<PooledConnection> {
        let mut pool = lock(&self.0);
        let (connection, since) = pool.idle.get_mut(process)?.pop()?;
        (since.elapsed() < IDLE).then_some(connection)
    }

    fn keep(&self, connection: PooledConnection) {
        let now = Instant::now();
        let mut pool = lock(&self.0);
        if pool.swept.is_none_or(|swept| now.duration_since(swept) > IDLE) {
            pool.swept = Some(now);
            pool.idle.retain(|_, connections| {
                connections.retain(|(_, since)| now.duration_since(*since) < IDLE);
                !connections.is_empty()
            });
        }
        let connections = pool.idle.entry(connection.process).or_default();
        if connections.len() < MOST_IDLE {
            connections.push((connection, now));
        }
    }
}

/// Connects to a process; none if it does not listen there any more, whoever does.
pub async fn connect(process: Listener) -> Option<TcpStream> {
    let connecting = TcpStream::connect(process.address());
    let stream = tokio::time::timeout(CONNECT, connecting).await.ok()?.ok()?;
    // Before anything is sent.
    process.is_listening().then_some(())?;
    let _ = stream.set_nodelay(true);
    Some(stream)
}

impl PooledConnection {
    async fn open(process: Listener) -> Result<Self, SendFailure> {
        let stream = connect(process).await.ok_or(SendFailure::Before)?;
        let (sender, wire) = handshake(TokioIo::new(stream)).await.map_err(|_| SendFailure::Before)?;
        Ok(Self {
            process,
            sender,
            wire: Some(wire),
        })
    }

    /// The head of the answer; else the request where it was not sent.
    #[allow(clippy::type_complexity)]
    async fn ask(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, (Option<Request<Full<Bytes>>>, hyper::Error)> {
        let mut sent = pin!(self.sender.try_send_request(request));
        let wire = &mut self.wire;
        let answered = poll_fn(|context| {
            drive(wire, context);
            sent.as_mut().poll(context)
        });
        answered
            .await
            .map_err(|mut failed| (failed.take_message(), failed.into_error()))
    }

    /// Whether the next request can be sent.
    fn is_free(&mut self) -> bool {
        if !self.sender.is_ready() {
            drive(&mut self.wire, &mut Context::from_waker(Waker::noop()));
        }
        self.wire.is_some() && self.sender.is_ready()
    }
}

/// Has a connection do what there is to do. One that has ended is let go, which tells whoever waits for something of it.
fn drive(wire: &mut Option<Connection<TokioIo<TcpStream>, Full<Bytes>>>, context: &mut Context<'_>) {
    if let Some(open) = wire
        && Pin::new(open).poll(context).is_ready()
    {
        *wire = None;
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        // A piece is asked for by the first poll, and has come by the second if it is there.
        let mut piece = Pin::new(&mut this.body).poll_frame(context);
        if piece.is_pending() {
            if let Some(connection) = &mut this.connection {
                drive(&mut connection.wire, context);
            }
            piece = Pin::new(&mut this.body).poll_frame(context);
        }
        this.passed |= matches!(piece, Poll::Ready(None));
        piece
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && (self.passed || self.body.is_end_stream())
            && connection.is_free()
        {
            self.pool.keep(connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Uri;
    use http_body_util::BodyExt as _;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// A process that gives each connection the next of these answers to each of its requests, and ends it after the last.
    async fn process(answers: &'static [&'static [&'static str]]) -> (Listener, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = own(&listener);
        let opened = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&opened);
        tokio::spawn(async move {
            for answers in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut seen = [0; 1024];
                    for answer in *answers {
                        if stream.read(&mut seen).await.unwrap() == 0 {
                            return;
                        }
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        (address, opened)
    }

    fn own(listener: &TcpListener) -> Listener {
        let port = listener.local_addr().unwrap().port();
        Listener::of_process(std::process::id(), port).unwrap()
    }

    fn request() -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(Bytes::from_static(b"{}")));
        *request.uri_mut() = Uri::from_static("/v2/pipeline");
        request.headers_mut().insert("host", "x".parse().unwrap());
        request
    }

    async fn ask(pool: &ConnectionPool, address: Listener) -> Result<Bytes, SendFailure> {
        let response = pool.send(address, request()).await?;
        Ok(response
            .into_body()
            .collect()
            .await
            .map_err(SendFailure::After)?
            .to_bytes())
    }

    const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    const HALF: &str = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok";

    #[tokio::test]
    async fn connection_is_used_again_once_its_answer_has_passed() {
        let (address, opened) = process(&[&[WHOLE, CHUNKED, EMPTY, WHOLE]]).await;
        let pool = ConnectionPool::default();
        for expected in ["ok", "ok", "", "ok"] {
            assert_eq!(ask(&pool, address).await.unwrap(), expected);
        }
        assert_eq!(opened.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn connection_whose_answer_is_dropped_is_closed() {
        let (address, opened) = process(&[&[HALF, WHOLE], &[WHOLE]]).await;
        let pool = ConnectionPool::default();
        drop(pool.send(address, request()).await.unwrap());
        assert_eq!(ask(&pool, address).await.unwrap(), "ok");
        assert_eq!(opened.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn connection_that_ended_while_idle_is_replaced() {
        let (address, opened) = process(&[&[WHOLE], &[WHOLE]]).await;
        let pool = ConnectionPool::default();
        assert_eq!(ask(&pool, address).await.unwrap(), "ok");
        // The end has to arrive.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(ask(&pool, address).await.unwrap(), "ok");
        assert_eq!(opened.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn connection_failure_tells_before_from_after_sending() {
        let (address, _) = process(&[&[""]]).await;
        let pool = ConnectionPool::default();
        assert!(matches!(ask(&pool, address).await, Err(SendFailure::After(_))));
        let nobody = own(&TcpListener::bind("127.0.0.1:0").await.unwrap());
        assert!(matches!(ask(&pool, nobody).await, Err(SendFailure::Before)));
    }

    #[tokio::test]
    async fn connection_to_another_program_at_the_port_is_sent_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let process = own(&listener);
        drop(listener);
        let stranger = TcpListener::bind(process.address()).await.unwrap();
        let pool = ConnectionPool::default();
        assert!(matches!(ask(&pool, process).await, Err(SendFailure::Before)));
        let (mut connection, _) = stranger.accept().await.unwrap();
        let mut received = Vec::new();
        connection.read_to_end(&mut received).await.unwrap();
        assert!(received.is_empty(), "{received:?}");
    }
}

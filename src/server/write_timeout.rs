//! A connection with a write timeout: it fails when the other end reads nothing for a while, or too slowly for long. Without
//! that, a client that hardly reads would hold its place, and perhaps a thread of the engine, for ever.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How slowly the other end may read.
#[derive(Debug, Clone, Copy)]
pub(super) struct WritePace {
    /// The longest time in which it reads nothing.
    pub stuck: Duration,
    /// Bytes a second that it has to read on average, while something waits to be written.
    pub pace: u32,
    /// How far it may fall behind that pace.
    pub lag: Duration,
}

/// See the module.
pub(super) struct WriteTimeout<S> {
    inner: S,
    patience: WritePace,
    waiting: Option<Wait>,
    /// How far the other end has fallen behind.
    lag: Duration,
}

struct Wait {
    since: Instant,
    end: Pin<Box<Sleep>>,
}

impl<S> WriteTimeout<S> {
    pub fn new(inner: S, patience: WritePace) -> Self {
        Self {
            inner,
            patience,
            waiting: None,
            lag: Duration::ZERO,
        }
    }

    /// Accounts for an attempt to write: the time it waited, and the bytes that `taken` finds in its result.
    fn watched<T>(
        &mut self,
        tried: Poll<io::Result<T>>,
        taken: impl FnOnce(&T) -> usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(done) = tried {
            if let Some(waited) = self.waiting.take() {
                self.lag += waited.since.elapsed();
            }
            if !self.lag.is_zero() {
                let bytes = done.as_ref().map_or(0, taken);
                let paid = Duration::from_secs_f64(bytes as f64 / f64::from(self.patience.pace.max(1)));
                self.lag = self.lag.saturating_sub(paid);
            }
            return Poll::Ready(done);
        }
        let (patience, lag) = (self.patience, self.lag);
        let waiting = self.waiting.get_or_insert_with(|| {
            let since = Instant::now();
            let most = patience.stuck.min(patience.lag.saturating_sub(lag));
            Wait {
                since,
                end: Box::pin(tokio::time::sleep_until(since + most)),
            }
        });
        match waiting.end.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.watched(tried, |taken| *taken, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.inner).poll_write_vectored(context, bytes);
        self.watched(tried, |taken| *taken, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.inner).poll_flush(context);
        self.watched(tried, |()| 0, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.inner).poll_shutdown(context);
        self.watched(tried, |()| 0, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    const STUCK: Duration = Duration::from_millis(300);

    fn patience(pace: u32, lag: Duration) -> WritePace {
        WritePace {
            stuck: STUCK,
            pace,
            lag,
        }
    }

    #[tokio::test]
    async fn write_timeout_ends_a_client_that_takes_nothing() {
        let (mut far, near) = duplex(4);
        let mut near = WriteTimeout::new(near, patience(1, Duration::from_secs(9)));
        let begun = Instant::now();
        let error = near.write_all(b"more than fits").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= STUCK);
        assert_eq!(far.read_u8().await.unwrap(), b'm');
    }

    #[tokio::test]
    async fn write_timeout_spares_a_client_that_takes_little_by_little() {
        let (mut far, near) = duplex(2);
        let mut near = WriteTimeout::new(near, patience(1, Duration::from_secs(9)));
        let sent = tokio::spawn(async move { near.write_all(&[7; 12]).await });
        for _ in 0..12 {
            tokio::time::sleep(STUCK / 5).await;
            assert_eq!(far.read_u8().await.unwrap(), 7);
        }
        sent.await.unwrap().unwrap();
    }

    /// Sends far more than is taken: what comes of it within a time while the other end takes about fifty bytes a second.
    async fn against_a_slow_reader(pace: u32, lag: Duration, time: Duration) -> Option<io::Error> {
        let (mut far, near) = duplex(2);
        let mut near = WriteTimeout::new(near, patience(pace, lag));
        let reading = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if far.read_u8().await.is_err() {
                    return;
                }
            }
        });
        let sent = tokio::time::timeout(time, near.write_all(&[7; 10_000])).await;
        reading.abort();
        sent.ok().map(|sent| sent.unwrap_err())
    }

    #[tokio::test]
    async fn write_timeout_ends_a_client_that_is_too_slow_in_the_long_run() {
        let lag = Duration::from_millis(500);
        let begun = Instant::now();
        let error = against_a_slow_reader(500, lag, Duration::from_secs(20)).await.unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= lag);
        // At the pace or faster, for as long as it takes.
        assert!(against_a_slow_reader(5, lag, 4 * lag).await.is_none());
    }
}

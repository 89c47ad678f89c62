//! When something was heard on a socket, and for how long its client has been waiting.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When something was last heard on a socket.
pub struct SocketClock {
    start: Instant,
    /// Milliseconds since the start: when the client was heard last, when a request was passed on that has no answer yet,
    /// and when the process was heard last.
    client: AtomicU64,
    request: AtomicU64,
    answer: AtomicU64,
}

impl SocketClock {
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
            client: AtomicU64::new(0),
            request: AtomicU64::new(0),
            answer: AtomicU64::new(0),
        }
    }

    /// Notes that the client was heard.
    pub fn note_client(&self) {
        self.client.store(self.millis(), Ordering::Relaxed);
    }

    /// Notes that something was passed on which has no answer yet.
    pub fn note_request(&self) {
        if self.wait().is_none() {
            // Later than the last answer, also within a millisecond.
            let answer = self.answer.load(Ordering::Relaxed);
            self.request.store(self.millis().max(answer + 1), Ordering::Relaxed);
        }
    }

    /// Notes that the process was heard.
    pub fn note_answer(&self) {
        let request = self.request.load(Ordering::Relaxed);
        self.answer.store(self.millis().max(request), Ordering::Relaxed);
    }

    /// How long the client has been waiting for an answer; none if it is not.
    pub fn wait(&self) -> Option<Duration> {
        (self.request.load(Ordering::Relaxed) > self.answer.load(Ordering::Relaxed)).then(|| self.since(&self.request))
    }

    /// How long nothing was heard of the client.
    pub fn client_silence(&self) -> Duration {
        self.since(&self.client)
    }

    /// How long the socket has been open.
    pub fn age(&self) -> Duration {
        self.start.elapsed()
    }

    /// Milliseconds since the start. Zero is never: one is added.
    fn millis(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    fn since(&self, then: &AtomicU64) -> Duration {
        let then = Duration::from_millis(then.load(Ordering::Relaxed).saturating_sub(1));
        self.start.elapsed().saturating_sub(then)
    }
}

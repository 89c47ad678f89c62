//! When something was heard on a socket, and for how long its client has been waiting.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When something was last heard on a socket.
pub struct SocketClock {
    start: Instant,
    /// Milliseconds since the start, when the client was heard last.
    client: AtomicU64,
    /// Requests that were passed on and have no answer yet. Each has one.
    unanswered: AtomicU64,
    /// Milliseconds since the start, when the first of these was passed on, or the one before it was answered.
    waiting_since: AtomicU64,
}

impl SocketClock {
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
            client: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            waiting_since: AtomicU64::new(0),
        }
    }

    /// Notes that the client was heard.
    pub fn note_client(&self) {
        self.client.store(self.millis(), Ordering::Relaxed);
    }

    /// Notes that something was passed on which has no answer yet.
    pub fn note_request(&self) {
        if self.unanswered.load(Ordering::SeqCst) == 0 {
            self.waiting_since.store(self.millis(), Ordering::SeqCst);
        }
        self.unanswered.fetch_add(1, Ordering::SeqCst);
    }

    /// Notes that the process has answered what it was asked first.
    pub fn note_answer(&self) {
        self.waiting_since.store(self.millis(), Ordering::SeqCst);
        let _ = self
            .unanswered
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1));
    }

    /// How long the client has been waiting for the next answer; none if it is not.
    pub fn wait(&self) -> Option<Duration> {
        (self.unanswered.load(Ordering::SeqCst) > 0).then(|| self.since(&self.waiting_since))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_clock_waits_until_the_last_of_several_requests_is_answered() {
        let clock = SocketClock::start();
        assert_eq!(clock.wait(), None);
        // A client sends a hello, a stream and a statement before it reads an answer.
        for _ in 0..3 {
            clock.note_request();
        }
        for _ in 0..2 {
            clock.note_answer();
            std::thread::sleep(Duration::from_millis(5));
            assert!(clock.wait() >= Some(Duration::from_millis(4)));
        }
        clock.note_answer();
        assert_eq!(clock.wait(), None);
        // What the process says by itself answers nothing.
        clock.note_answer();
        clock.note_request();
        assert!(clock.wait().is_some());
    }
}

//! Writes over a socket, which wait while the primary of its database is moved.

use crate::control::gateway_plane::PendingWrite;
use crate::sync::lock;
use memchr::memmem;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a process leaves a transaction open that others wait for. Source: libSQL server's `txn_timeout_s`.
const LONGEST_TRANSACTION: Duration = Duration::from_secs(5);

/// What a socket writes.
#[derive(Default)]
pub struct SocketWrites {
    /// That of the message that is to be passed on next.
    next: Mutex<Option<PendingWrite>>,
    /// Those of the messages that have no answer yet. Each message has one answer.
    unanswered: Mutex<VecDeque<Option<PendingWrite>>>,
    /// When the socket last began a transaction, perhaps.
    begun: Mutex<Option<Instant>>,
}

impl SocketWrites {
    /// Notes the write of the message that is passed on next.
    pub fn note_entered(&self, write: PendingWrite) {
        *lock(&self.next) = Some(write);
    }

    /// Notes that a message is passed on.
    pub fn note_request(&self) {
        let write = lock(&self.next).take();
        lock(&self.unanswered).push_back(write);
    }

    /// Notes that the process has answered one.
    pub fn note_answer(&self) {
        lock(&self.unanswered).pop_front();
    }

    /// Whether a transaction may be open.
    pub fn is_in_transaction(&self) -> bool {
        lock(&self.begun).is_some_and(|begun| begun.elapsed() < LONGEST_TRANSACTION)
    }

    /// Notes whether a message begins a transaction. A word in a value counts as well.
    pub fn note_begin(&self, message: &[u8]) {
        let message = message.to_ascii_lowercase();
        let mentions = |word: &str| memmem::find(&message, word.as_bytes()).is_some();
        if mentions("begin") || mentions("savepoint") {
            *lock(&self.begun) = Some(Instant::now());
        }
    }
}

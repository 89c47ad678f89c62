//! Sockets whose clients have not sent a token yet, and which of them has to go for a new one.

use crate::sync::lock;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Sockets that have not sent a token yet, by label, whether or not there is a database; the oldest of a label first. Anybody
/// can open such, so they take nothing from those that have, and do not keep others out: the oldest has to go for a new one.
#[derive(Default)]
pub struct PendingSockets {
    last: u64,
    waiting: HashMap<String, VecDeque<(u64, Arc<Notify>)>>,
}

impl PendingSockets {
    /// Adds a socket of a label, which may have `limit` of them.
    pub fn add(all: &Arc<Mutex<Self>>, label: &str, limit: usize) -> PendingSocket {
        let eviction = Arc::new(Notify::new());
        let mut pending = lock(all);
        pending.last += 1;
        let number = pending.last;
        let waiting = pending.waiting.entry(label.to_owned()).or_default();
        while waiting.len() >= limit {
            let Some((_, oldest)) = waiting.pop_front() else {
                break;
            };
            oldest.notify_one();
        }
        waiting.push_back((number, Arc::clone(&eviction)));
        PendingSocket {
            all: Arc::clone(all),
            label: label.to_owned(),
            number,
            eviction,
        }
    }
}

/// A socket that has not sent a token yet. Dropped, it is no longer pending.
pub struct PendingSocket {
    all: Arc<Mutex<PendingSockets>>,
    label: String,
    number: u64,
    eviction: Arc<Notify>,
}

impl PendingSocket {
    /// Returns what is notified when the socket has to go.
    pub fn eviction(&self) -> Arc<Notify> {
        Arc::clone(&self.eviction)
    }
}

impl Drop for PendingSocket {
    fn drop(&mut self) {
        let mut pending = lock(&self.all);
        let Some(waiting) = pending.waiting.get_mut(&self.label) else {
            return;
        };
        waiting.retain(|(number, _)| *number != self.number);
        if waiting.is_empty() {
            pending.waiting.remove(&self.label);
        }
    }
}

//! Counts changes of something, for those who wait for the next one.

use crate::sync::{lock, wait};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How often something may have changed. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct ChangeCounter(Arc<(Mutex<u64>, Condvar)>);

impl ChangeCounter {
    /// Says that it may have changed.
    pub fn mark_changed(&self) {
        *lock(&self.0.0) += 1;
        self.0.1.notify_all();
    }

    pub fn count(&self) -> u64 {
        *lock(&self.0.0)
    }

    /// Waits until it may have changed more often than `seen`, for `patience` at most. Returns how often.
    pub fn await_change(&self, seen: u64, patience: Duration) -> u64 {
        let began = Instant::now();
        let mut changes = lock(&self.0.0);
        while *changes == seen && began.elapsed() < patience {
            changes = wait(&self.0.1, changes, patience.saturating_sub(began.elapsed()));
        }
        *changes
    }
}

//! Holds back writes of clients while the primary of their database is moved. The gateway enters before it passes a write on,
//! and waits where the gate is closed; a promotion closes it, and waits until those that are in have been answered.

use crate::control::names::DatabaseId;
use crate::sync::{lock, wait};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How long a promotion waits for writes under way. What is still running then is refused or ended by the process.
const DRAIN: Duration = Duration::from_millis(1500);

/// The gates of all databases. One that is open and that nobody is in takes no memory.
#[derive(Default)]
pub struct WriteGate {
    databases: Mutex<HashMap<DatabaseId, GateState>>,
    left: Condvar,
}

#[derive(Default)]
struct GateState {
    /// How many promotions have closed it.
    closed: usize,
    /// Whether the process takes no writes any more, not even in transactions.
    is_blocked: bool,
    /// Writes under way.
    writes: usize,
}

/// A write under way; dropping it ends it.
pub struct PendingWrite {
    gate: Arc<WriteGate>,
    id: DatabaseId,
}

impl WriteGate {
    /// Lets a write in; none while the gate is closed. One in a transaction that is open already is let in all the same, so that
    /// it can end; until [`WriteGate::block`].
    #[must_use]
    pub fn enter(self: &Arc<Self>, id: &DatabaseId, in_transaction: bool) -> Option<PendingWrite> {
        let mut databases = lock(&self.databases);
        match databases.get_mut(id) {
            Some(state) if state.closed > 0 && (state.is_blocked || !in_transaction) => return None,
            Some(state) => state.writes += 1,
            None => {
                let state = GateState {
                    writes: 1,
                    ..GateState::default()
                };
                databases.insert(id.clone(), state);
            }
        }
        Some(PendingWrite {
            gate: Arc::clone(self),
            id: id.clone(),
        })
    }

    /// Closes the gates of databases, and waits for what is in.
    pub fn close(&self, ids: &[DatabaseId]) {
        let mut databases = lock(&self.databases);
        for id in ids {
            databases.entry(id.clone()).or_default().closed += 1;
        }
        let end = Instant::now() + DRAIN;
        let is_used = |databases: &HashMap<DatabaseId, GateState>| {
            ids.iter()
                .any(|id| databases.get(id).is_some_and(|state| state.writes > 0))
        };
        while is_used(&databases) && Instant::now() < end {
            let left = end.saturating_duration_since(Instant::now());
            databases = wait(&self.left, databases, left);
        }
    }

    /// Lets nothing in any more while the gates are closed: transactions that were open have ended, and the process refuses writes.
    pub fn block(&self, ids: &[DatabaseId]) {
        let mut databases = lock(&self.databases);
        for id in ids {
            databases.entry(id.clone()).or_default().is_blocked = true;
        }
    }

    pub fn open(&self, id: &DatabaseId) {
        let mut databases = lock(&self.databases);
        if let Some(state) = databases.get_mut(id) {
            state.closed = state.closed.saturating_sub(1);
            state.is_blocked &= state.closed > 0;
            if state.closed == 0 && state.writes == 0 {
                databases.remove(id);
            }
        }
    }
}

impl Drop for PendingWrite {
    fn drop(&mut self) {
        let mut databases = lock(&self.gate.databases);
        if let Some(state) = databases.get_mut(&self.id) {
            state.writes = state.writes.saturating_sub(1);
            if state.closed == 0 && state.writes == 0 {
                databases.remove(&self.id);
            } else if state.closed > 0 {
                self.gate.left.notify_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_gate_that_is_closed_lets_only_open_transactions_go_on() {
        let gate = Arc::new(WriteGate::default());
        let (one, two) = (DatabaseId::generate(), DatabaseId::generate());
        gate.close(std::slice::from_ref(&one));
        assert!(gate.enter(&one, false).is_none());
        assert!(gate.enter(&one, true).is_some());
        assert!(gate.enter(&two, false).is_some());
        gate.block(std::slice::from_ref(&one));
        assert!(gate.enter(&one, true).is_none());
        gate.open(&one);
        gate.close(std::slice::from_ref(&one));
        assert!(gate.enter(&one, true).is_some());
        gate.open(&one);
        assert!(gate.enter(&one, false).is_some());
        assert!(lock(&gate.databases).is_empty());
    }

    #[test]
    fn write_gate_waits_for_what_is_under_way_and_not_for_ever() {
        let gate = Arc::new(WriteGate::default());
        let id = DatabaseId::generate();
        let under_way = gate.enter(&id, false).unwrap();
        let ids = [id.clone()];
        std::thread::scope(|scope| {
            let closing = scope.spawn(|| {
                let began = Instant::now();
                gate.close(&ids);
                began.elapsed()
            });
            std::thread::sleep(Duration::from_millis(50));
            drop(under_way);
            assert!(closing.join().unwrap() < DRAIN);
        });
        let _stuck = gate.enter(&id, true).unwrap();
        let began = Instant::now();
        gate.close(&ids);
        assert!(began.elapsed() >= DRAIN);
    }
}

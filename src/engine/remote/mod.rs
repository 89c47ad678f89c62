//! Locations on other machines: what is wanted there and what they have said last. [`PlacedEngine`] is the engine of a server with
//! such locations. How both are sent is the caller's (`control::hosted::nodes` and `node`).

mod node_engine;
mod node_primaries;
mod orders;
mod placed;
mod primaries;
mod report;
mod wanted;

pub use node_engine::{AppliedState, NodeEngine, UnreachedInstance, WantedSource};
pub use placed::PlacedEngine;
pub use report::{InstanceReport, NodeReport, ReportAnswer, ReportOrder, ReportedPosition};
pub use wanted::{
    DatabaseSites, PrimaryRemoval, PrimarySource, RemotePrimary, ReplicaKeys, WantedInstance, WantedPool,
    WantedPrimary, WantedState, WriteBlock,
};

use crate::engine::Site;
use crate::error::{Code, Error, Result};
use crate::sync::{lock, wait};
use jiff::Timestamp;
use orders::Orders;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// After so long without a report, a location counts as away. Nodes report every second.
const AWAY_AFTER: Duration = Duration::from_secs(10);

/// How long a caller waits for a replica elsewhere, and with it whoever waits for the caller's lock. Its machine goes on by itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// For so long after a wait for a location was in vain, others do not wait for it: a change of a thousand databases would wait for each.
const SLOW_FOR: Duration = Duration::from_secs(10);

/// The locations of other machines, and what each has reported last. Clones are the same.
#[derive(Clone)]
pub struct RemoteLocations {
    shared: Arc<SharedLocations>,
    patience: Duration,
}

impl Default for RemoteLocations {
    fn default() -> Self {
        Self::with_patience(PATIENCE)
    }
}

#[derive(Default)]
struct SharedLocations {
    /// By code.
    all: Mutex<BTreeMap<String, Option<ReceivedReport>>>,
    news: Condvar,
    /// When a wait for a location was last in vain, by code.
    slow: Mutex<BTreeMap<String, Instant>>,
    /// Called when what is wanted somewhere may be another thing.
    changed: Mutex<Option<ChangeSignal>>,
    orders: Mutex<Orders>,
    ways: Mutex<Option<Arc<dyn PrimaryWays>>>,
}

/// The ways to primaries on other machines.
pub trait PrimaryWays: Send + Sync {
    /// The port of this machine that leads to the replication log of a primary's pool.
    fn log_port(&self, primary: &Site) -> Result<u16>;

    /// Whether a replica here follows a primary's pool that way now.
    fn is_carrying(&self, primary: &Site) -> bool;
}

/// Has what is wanted be read again.
type ChangeSignal = Arc<dyn Fn() + Send + Sync>;

/// A report, and when it came.
#[derive(Debug, Clone)]
pub struct ReceivedReport {
    pub report: Arc<NodeReport>,
    /// How many instances the machine had then, also such as are not wanted there.
    pub instances: usize,
    pub received_at: Timestamp,
    at: Instant,
}

impl ReceivedReport {
    /// How old it is.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.at.elapsed()
    }

    /// Whether its location counts as there.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.age() < AWAY_AFTER
    }
}

impl RemoteLocations {
    /// With none yet. A caller waits for so long for a replica at one of them, if its machine is heard of.
    #[must_use]
    pub fn with_patience(patience: Duration) -> Self {
        Self {
            shared: Arc::default(),
            patience,
        }
    }

    /// Makes a location one of another machine, of which nothing is known yet.
    pub fn add(&self, location: &str) {
        lock(&self.shared.all).insert(location.to_owned(), None);
        self.signal_change();
    }

    /// Makes it one of this machine.
    pub fn remove(&self, location: &str) {
        lock(&self.shared.all).remove(location);
        self.shared.news.notify_all();
    }

    /// Whether a location is on another machine.
    #[must_use]
    pub fn has(&self, location: &str) -> bool {
        lock(&self.shared.all).contains_key(location)
    }

    /// Whether there are any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        lock(&self.shared.all).is_empty()
    }

    /// What a location has reported last.
    #[must_use]
    pub fn last_report(&self, location: &str) -> Option<ReceivedReport> {
        lock(&self.shared.all).get(location)?.clone()
    }

    /// Takes a report, of a machine with so many instances. One of a location that is no more is dropped.
    pub fn receive(&self, location: &str, report: NodeReport, instances: usize) {
        if let Some(known) = lock(&self.shared.all).get_mut(location) {
            // One that was held up says what was before, as if it were so now: a move would end too early.
            if known
                .as_ref()
                .is_some_and(|last| report.order.is_before(last.report.order))
            {
                return;
            }
            *known = Some(ReceivedReport {
                report: Arc::new(report),
                instances,
                received_at: Timestamp::now(),
                at: Instant::now(),
            });
        }
        self.shared.news.notify_all();
    }

    /// Has a function called whenever what is wanted somewhere may be another thing. It must not block.
    pub fn on_change(&self, signal: impl Fn() + Send + Sync + 'static) {
        *lock(&self.shared.changed) = Some(Arc::new(signal));
    }

    /// Says that what is wanted somewhere may be another thing.
    pub fn signal_change(&self) {
        let signal = lock(&self.shared.changed).clone();
        if let Some(signal) = signal {
            signal();
        }
    }

    /// How primaries on other machines are reached.
    pub fn set_ways(&self, ways: Arc<dyn PrimaryWays>) {
        *lock(&self.shared.ways) = Some(ways);
    }

    fn ways(&self) -> Result<Arc<dyn PrimaryWays>> {
        lock(&self.shared.ways)
            .clone()
            .ok_or_else(|| Error::new(Code::Unavailable, "this server does not listen for other machines"))
    }

    /// Adds to what the catalogs want at a location what else is wanted there now.
    pub fn add_orders(&self, location: &str, state: &mut WantedState) {
        lock(&self.shared.orders).add_to(location, state);
    }

    /// How long to wait for a location now.
    fn patience(&self, location: &str) -> Duration {
        let slow = lock(&self.shared.slow).get(location).copied();
        match slow {
            Some(at) if at.elapsed() < SLOW_FOR => Duration::ZERO,
            _ => self.patience,
        }
    }

    /// Notes that a wait for a location was in vain. One that did not wait says nothing new.
    fn note_slow(&self, location: &str) {
        let mut slow = lock(&self.shared.slow);
        if slow.get(location).is_none_or(|at| at.elapsed() >= SLOW_FOR) {
            slow.insert(location.to_owned(), Instant::now());
        }
    }

    /// Waits for news of any location, for a part of a second.
    fn wait_for_news(&self) {
        drop(wait(
            &self.shared.news,
            lock(&self.shared.all),
            Duration::from_millis(250),
        ));
    }

    /// The error of what needs the location of a site now.
    fn away(&self, at: &Site) -> Error {
        let location = &at.location;
        let since = match self.last_report(location) {
            Some(last) => format!("was last heard of {} seconds ago", last.age().as_secs()),
            None => "was not heard of since the server's start".to_owned(),
        };
        Error::new(Code::Unavailable, format!("the machine of location {location} {since}")).hint(format!(
            "it goes on by itself when it can reach this server: systemctl status torso-node there; torso location show {location}"
        ))
    }
}

/// The error of what is only done with instances whose files are on this machine.
fn elsewhere(at: &Site) -> Error {
    Error::new(
        Code::Unsupported,
        format!(
            "the files of {} in {} are on another machine",
            at.database_name(),
            at.location
        ),
    )
    .hint(if is_primary(at) {
        format!(
            "make a replica on the server's machine, which has them too: torso db replicate {} LOCATION",
            at.database_name()
        )
    } else {
        "leave out --location".to_owned()
    })
}

/// The location of the primary of an instance's pool, which is in the pool's name: `<uuid>-<location>`.
fn primary_of(at: &Site) -> &str {
    let pool = at.pool.as_deref().unwrap_or_default();
    pool.rsplit_once('-').map_or("", |(_, location)| location)
}

/// Whether an instance is its database's primary.
fn is_primary(at: &Site) -> bool {
    primary_of(at) == at.location
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_that_was_held_up_does_not_replace_a_newer_one() {
        let locations = RemoteLocations::default();
        locations.add("lhr");
        let report = |run, number| NodeReport {
            order: ReportOrder { run, number },
            generation: number,
            ..NodeReport::default()
        };
        let generation = || locations.last_report("lhr").unwrap().report.generation;
        for (run, number, expected) in [(7, 4, 4), (7, 5, 5), (7, 3, 5), (7, 5, 5), (9, 1, 1), (9, 2, 2)] {
            locations.receive("lhr", report(run, number), 0);
            assert_eq!(generation(), expected, "{number} of run {run}");
        }
    }
}

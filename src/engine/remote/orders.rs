//! What is wanted on other machines beside what the catalogs want, and only for a while: writes that are refused while a primary is
//! moved, the steps of that, and primaries that are to go. It is in memory only: after a start of the server, whoever still wants it says
//! so again.

use super::{NodeReport, PrimaryRemoval, PrimarySource, WantedState, WriteBlock};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// For so long after an order machines report what there is more often: somebody waits for it.
const HURRY: Duration = Duration::from_secs(5);

/// By location.
#[derive(Default)]
pub(super) struct Orders {
    locations: BTreeMap<String, LocationOrders>,
    hurry: Option<Instant>,
}

#[derive(Default)]
struct LocationOrders {
    /// The primaries whose writes are refused, by instance.
    blocks: BTreeMap<String, WriteBlock>,
    /// The primaries that are to go, by instance.
    removals: BTreeMap<String, PrimaryRemoval>,
    /// The pools whose process is to run before it has a primary.
    prepared: BTreeSet<String>,
    /// The pool and the name of the replica that a primary is made of, by instance.
    take_overs: BTreeMap<String, (String, String)>,
}

impl Orders {
    fn of(&mut self, location: &str) -> &mut LocationOrders {
        self.locations.entry(location.to_owned()).or_default()
    }

    /// Has machines report often for a while.
    pub fn hurry(&mut self) {
        self.hurry = Some(Instant::now());
    }

    /// Whether machines are to report often.
    pub fn is_hurry(&self) -> bool {
        self.hurry.is_some_and(|at| at.elapsed() < HURRY)
    }

    /// Has writes to a primary be refused; returns the number of that block.
    pub fn block(&mut self, location: &str, instance: &str, reason: &str) -> u64 {
        self.hurry();
        let (number, reason) = (fastrand::u64(..), reason.to_owned());
        let block = WriteBlock { number, reason };
        self.of(location).blocks.insert(instance.to_owned(), block);
        number
    }

    /// Lets writes to a primary in again, as far as its limits do.
    pub fn unblock(&mut self, location: &str, instance: &str) {
        self.of(location).blocks.remove(instance);
    }

    /// Has the process of a pool of primaries run.
    pub fn prepare(&mut self, location: &str, pool: &str) {
        self.hurry();
        self.of(location).prepared.insert(pool.to_owned());
    }

    /// Has a primary be made of a replica's files: its pool and its name.
    pub fn take_over(&mut self, location: &str, instance: &str, from: (String, String)) {
        self.hurry();
        let orders = self.of(location);
        orders.removals.remove(instance);
        orders.take_overs.insert(instance.to_owned(), from);
    }

    /// Has a primary go.
    pub fn remove(&mut self, location: &str, instance: &str, removal: PrimaryRemoval) {
        let orders = self.of(location);
        orders.blocks.remove(instance);
        orders.take_overs.remove(instance);
        orders.prepared.remove(&removal.pool);
        orders.removals.insert(instance.to_owned(), removal);
    }

    /// The instances that are to go at a location.
    pub fn removals(&mut self, location: &str) -> Vec<String> {
        self.of(location).removals.keys().cloned().collect()
    }

    /// Forgets what a location has done.
    pub fn note_report(&mut self, location: &str, report: &NodeReport) {
        let orders = self.of(location);
        orders
            .removals
            .retain(|instance, _| report.instances.contains_key(instance));
        orders
            .take_overs
            .retain(|instance, _| !report.instances.contains_key(instance));
    }

    /// Adds what is wanted at a location to its state.
    pub fn add_to(&mut self, location: &str, state: &mut WantedState) {
        let orders = self.of(location);
        for pool in state.pools.values_mut() {
            pool.instances.retain(|name, _| !orders.removals.contains_key(name));
            for (name, instance) in &mut pool.instances {
                if let Some(primary) = &mut instance.primary {
                    primary.block = orders.blocks.get(name).cloned();
                    if let Some((pool, instance)) = orders.take_overs.get(name).cloned() {
                        primary.source = PrimarySource::Replica { pool, instance };
                    }
                }
            }
        }
        state.removed.clone_from(&orders.removals);
        // From then on it has a primary, or none is to be there.
        orders.prepared.retain(|pool| !state.pools.contains_key(pool));
        state.prepared.clone_from(&orders.prepared);
    }
}

//! Primaries on other machines, as the server sees them: what is wanted of one is waited for, and replicas here follow it.

use super::placed::PlacedEngine;
use super::{DatabaseSites, PrimaryRemoval, ReceivedReport, RemoteLocations, RemotePrimary, ReplicaKeys, primary_of};
use crate::engine::sqld::PrimaryElsewhere;
use crate::engine::{DatabaseLimits, Frame, Running, SeenLog, Site};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a primary on another machine may take to be as it is wanted: a process may have to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// The same for refusing writes, while clients wait: a transaction that does not end is ended after 5 seconds.
const BLOCK: Duration = Duration::from_secs(8);

/// How long a replica here may make no progress towards the end of its primary's log.
const STALL: Duration = Duration::from_secs(10);

impl RemoteLocations {
    /// Whether a location was heard of a moment ago.
    #[must_use]
    pub fn is_current(&self, location: &str) -> bool {
        self.last_report(location)
            .as_ref()
            .is_some_and(ReceivedReport::is_current)
    }

    /// Fails with `unavailable` unless the machine of a primary has said just now that it serves it.
    pub fn check_serving(&self, primary: &Site) -> Result<()> {
        let last = self.last_report(&primary.location).filter(ReceivedReport::is_current);
        let last = last.ok_or_else(|| self.away(primary))?;
        let known = last.report.instances.get(&primary.instance());
        if known.is_some_and(|known| known.serving && known.limits.is_some() && known.damage.is_none()) {
            return Ok(());
        }
        Err(not_running(primary))
    }

    /// Whether machines are to report often.
    pub(super) fn is_hurry(&self) -> bool {
        lock(&self.shared.orders).is_hurry()
    }

    /// The primaries that are to go at a location, by instance.
    pub(super) fn removals(&self, location: &str) -> Vec<String> {
        lock(&self.shared.orders).removals(location)
    }

    /// What replicas of a primary on another machine prove themselves with, as far as that is known.
    #[must_use]
    pub fn keys_of(&self, primary: &Site) -> Option<ReplicaKeys> {
        let last = self.last_report(&primary.location)?;
        last.report.keys.get(primary.pool.as_ref()?).cloned()
    }

    /// Has other machines hear of keys that a report has and the one before had not.
    pub(super) fn note_keys(&self, location: &str, report: &super::NodeReport) {
        lock(&self.shared.orders).note_report(location, report);
        let before = self.last_report(location);
        if before.is_none_or(|before| before.report.keys != report.keys) {
            self.signal_change();
        }
    }
}

impl PlacedEngine {
    /// Waits until what its machine says of a primary is so. `not_so` is what is said if it is not.
    pub(super) fn await_primary(&self, at: &Site, not_so: &str, is_so: impl Fn(&Running) -> bool) -> Result<()> {
        self.await_primary_within(at, PATIENCE, not_so, is_so)
    }

    fn await_primary_within(
        &self,
        at: &Site,
        patience: Duration,
        not_so: &str,
        is_so: impl Fn(&Running) -> bool,
    ) -> Result<()> {
        self.remote.signal_change();
        let began = Instant::now();
        loop {
            if !self.remote.is_current(&at.location) {
                return Err(self.remote.away(at));
            }
            let known = self.reported(at);
            if let Some(damage) = known.as_ref().and_then(|known| known.damage.as_ref()) {
                return Err(crate::engine::Engine::damage_error(self, damage, at));
            }
            if known.as_ref().is_some_and(&is_so) {
                return Ok(());
            }
            if began.elapsed() >= patience {
                let (database, location) = (at.database_name(), &at.location);
                return Err(Error::new(
                    Code::Unavailable,
                    format!("the primary of database {database} in {location} {not_so}"),
                )
                .hint(format!(
                    "try again in a moment; the log of torso node there has the reason, torso location show {location} its state"
                )));
            }
            self.remote.wait_for_news();
        }
    }

    /// Has limits be in force on a primary, also where its writes were refused for a while.
    pub(super) fn await_limits(&self, at: &Site, limits: &DatabaseLimits) -> Result<()> {
        lock(&self.remote.shared.orders).unblock(&at.location, &at.instance());
        self.await_primary(at, "has not its new settings yet", |running| {
            running.limits.as_ref() == Some(limits) && self.block_number(at).is_none()
        })
    }

    /// Refuses writes to a primary until [`PlacedEngine::await_limits`], and waits until none is under way.
    pub(super) fn block_elsewhere(&self, at: &Site, reason: &str) -> Result<()> {
        let number = lock(&self.remote.shared.orders).block(&at.location, &at.instance(), reason);
        let blocked = self.await_primary_within(at, BLOCK, "still takes writes", |_| {
            self.block_number(at) == Some(number)
        });
        if blocked.is_err() {
            // A machine that hears of it later would refuse writes for nothing.
            lock(&self.remote.shared.orders).unblock(&at.location, &at.instance());
            self.remote.signal_change();
        }
        blocked
    }

    /// The block of a primary's writes of which its machine has said that it is in force, and that none is under way.
    fn block_number(&self, at: &Site) -> Option<u64> {
        let last = self.remote.last_report(&at.location)?;
        last.report.instances.get(&at.instance())?.blocked
    }

    /// Has the process run that a primary will need, and its machine report often.
    pub(super) fn prepare_elsewhere(&self, at: &Site) -> Result<()> {
        let pool = at.pool.clone().unwrap_or_default();
        lock(&self.remote.shared.orders).prepare(&at.location, &pool);
        self.remote.signal_change();
        let began = Instant::now();
        loop {
            let Some(last) = self.remote.last_report(&at.location).filter(ReceivedReport::is_current) else {
                return Err(self.remote.away(at));
            };
            // One that has primaries runs anyway.
            if last.at > began && (last.report.prepared.contains(&pool) || last.report.keys.contains_key(&pool)) {
                return Ok(());
            }
            if began.elapsed() >= PATIENCE {
                return Err(Error::new(
                    Code::Unavailable,
                    format!("the machine of location {} has not started a process yet", at.location),
                )
                .hint("the log of torso node there has the reason"));
            }
            self.remote.wait_for_news();
        }
    }

    /// Has replicas on other machines become primaries, and waits until they are.
    pub(super) fn take_over_elsewhere(&self, moves: &[(Site, Site)]) -> Result<()> {
        for (from, to) in moves {
            let source = (from.pool.clone().unwrap_or_default(), from.instance());
            lock(&self.remote.shared.orders).take_over(&to.location, &to.instance(), source);
        }
        moves
            .iter()
            .try_for_each(|(_, to)| self.await_primary(to, "is not made yet", |running| running.serving))
    }

    /// Has a primary go, with its files or without, and waits a little until it has. Fails with `unavailable` while its machine is away.
    pub(super) fn end_elsewhere(&self, at: &Site, is_kept: bool) -> Result<()> {
        let (location, instance) = (&at.location, at.instance());
        let pool = at.pool.clone().unwrap_or_default();
        let removal = PrimaryRemoval { pool, is_kept };
        lock(&self.remote.shared.orders).remove(location, &instance, removal);
        self.remote.signal_change();
        let began = Instant::now();
        let patience = self.remote.patience(location);
        loop {
            let Some(last) = self.remote.last_report(location).filter(ReceivedReport::is_current) else {
                return Err(self.remote.away(at));
            };
            // Before it was ordered, nothing was said of what is not wanted.
            if last.at > began && !last.report.instances.contains_key(&instance) {
                return Ok(());
            }
            if began.elapsed() >= patience {
                self.remote.note_slow(location);
                return Err(Error::new(
                    Code::Unavailable,
                    format!(
                        "the machine of location {location} has not removed {} yet",
                        at.database_name()
                    ),
                )
                .hint("the log of torso node there has the reason"));
            }
            self.remote.wait_for_news();
        }
    }

    /// Where the log of a primary ends, as its machine has said it last. Fails with `unavailable` if it does not serve.
    pub(super) fn reported_end(&self, primary: &Site) -> Result<Frame> {
        if !self.remote.is_current(&primary.location) {
            return Err(self.remote.away(primary));
        }
        let known = self
            .reported(primary)
            .filter(|known| known.serving && known.damage.is_none());
        known
            .and_then(|known| known.frame())
            .ok_or_else(|| not_running(primary))
    }

    /// Where the log of a replica's primary on another machine ended when that was last heard of.
    pub(super) fn reported_seen(&self, replica: &Site) -> Option<SeenLog> {
        let primary = Site {
            location: primary_of(replica).to_owned(),
            ..replica.clone()
        };
        let frame = self.reported(&primary)?.frame()?;
        let at = self.remote.last_report(&primary.location)?.received_at;
        Some(SeenLog { frame, at })
    }

    /// The way to a primary, for replicas here.
    fn way_to(&self, primary: &Site) -> Result<RemotePrimary> {
        let keys = self.remote.keys_of(primary).ok_or_else(|| self.remote.away(primary))?;
        Ok(RemotePrimary {
            location: primary.location.clone(),
            port: self.remote.ways()?.log_port(primary)?,
            keys,
        })
    }

    /// Makes a replica here that has everything that a primary elsewhere had a moment ago.
    pub(super) fn copy_here(&self, from: &Site, to: &Site) -> Result<()> {
        // Its machine has to hear of a new follower before it lets that in.
        self.remote.signal_change();
        self.reported_end(from)?;
        self.local.follow_remote(to, &self.way_to(from)?)?;
        self.local.await_log(to, STALL, &|| self.reported_end(from))
    }

    /// Tells the replicas here how far the primaries at a location are, and how they are reached now.
    pub(super) fn lead_followers(&self, location: &str, wanted: &[DatabaseSites]) {
        let mut pools: BTreeMap<&str, (&Site, PrimaryElsewhere)> = BTreeMap::new();
        for database in wanted.iter().filter(|database| database.primary.location == location) {
            let Some(pool) = database.primary.pool.as_deref() else {
                continue;
            };
            let end = self.reported(&database.primary).and_then(|known| known.frame());
            for replica in database.replicas.iter().filter(|replica| !self.is_remote(replica)) {
                let (_, known) = pools
                    .entry(pool)
                    .or_insert_with(|| (&database.primary, PrimaryElsewhere::default()));
                if let Some(end) = end.filter(|end| self.local.frame(replica) != Some(*end)) {
                    known.logs.insert(replica.instance(), end);
                }
            }
        }
        for (pool, (primary, known)) in pools {
            let way = self.way_to(primary);
            let is_reached = self.remote.ways().is_ok_and(|ways| ways.is_carrying(primary));
            if let Err(cause) = way.and_then(|way| self.local.redirect_replicas(pool, &way)) {
                tracing::warn!(
                    location,
                    pool,
                    cause = cause.full_message(),
                    "replicas cannot be led to their primary"
                );
            }
            self.local
                .note_primary(pool, Some(PrimaryElsewhere { is_reached, ..known }));
        }
    }
}

/// The error of what needs a primary on another machine that its machine does not serve now.
fn not_running(primary: &Site) -> Error {
    let (database, location) = (primary.database_name(), &primary.location);
    Error::new(
        Code::Unavailable,
        format!("the primary of database {database} in {location} does not run now"),
    )
    .hint("try again in a moment; the log of torso node there has the reason")
}

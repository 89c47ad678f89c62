//! The engine of a server with locations on other machines: it passes on what is about its own machine to the engine there, and
//! answers for the others from what they have reported.
//!
//! What is elsewhere is made there because the catalog wants it; here it is only waited for. A replica that is not wanted any more goes
//! when its machine hears of it, at once or when it is back; a primary goes when it is told to. So nothing here waits for a machine that
//! is away, and only for seconds for one that is slow. `primaries` has what is done with primaries elsewhere.

use super::{
    DatabaseSites, NodeReport, RemoteLocations, ReportAnswer, ReportedPosition, elsewhere, is_primary, primary_of,
};
use crate::engine::sqld::SqldEngine;
use crate::engine::{
    DatabaseLimits, Engine, Frame, InstanceRole, LocalFiles, Orphan, Position, ProcessFacts, Running, SeenLog, Site,
    copy_in_parallel,
};
use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Places instances by their location: on this machine, or on another one.
#[derive(Clone)]
pub struct PlacedEngine {
    pub(super) local: SqldEngine,
    pub(super) remote: RemoteLocations,
}

impl PlacedEngine {
    #[must_use]
    pub fn new(local: SqldEngine, remote: RemoteLocations) -> Self {
        Self { local, remote }
    }

    /// Takes the report of a location, and says what it lacks of the replicas that are wanted.
    pub fn receive_report(&self, location: &str, report: NodeReport, wanted: &[DatabaseSites]) -> ReportAnswer {
        let mut answer = ReportAnswer::default();
        let instances = report.instances.len();
        let report = self.bound_report(location, report, wanted);
        for database in wanted {
            let here = database.replicas.iter().find(|replica| replica.location == location);
            let Some(replica) = here else { continue };
            let instance = replica.instance();
            let has = report.instances.get(&instance).and_then(|known| known.position);
            match self.log_end_now(&database.primary) {
                Some(end) if has == Some(ReportedPosition(end)) => {
                    answer.level.insert(instance);
                }
                Some(end) if end.count > 0 => {
                    answer.behind.insert(instance, ReportedPosition(end));
                }
                Some(_) | None => {}
            }
        }
        self.remote.note_keys(location, &report);
        self.remote.receive(location, report, instances);
        self.lead_followers(location, wanted);
        answer.is_hurry = self.remote.is_hurry();
        answer
    }

    /// A report without what nobody wants to know of.
    fn bound_report(&self, location: &str, report: NodeReport, wanted: &[DatabaseSites]) -> NodeReport {
        let all = wanted.iter().flat_map(|database| {
            std::iter::once(&database.primary)
                .chain(&database.replicas)
                .chain(&database.retained)
        });
        let here = || all.clone().filter(|site| site.location == location);
        let mut known: BTreeSet<String> = here().map(Site::instance).collect();
        known.extend(self.remote.removals(location));
        let primaries = here()
            .filter(|site| is_primary(site))
            .filter_map(|site| site.pool.clone());
        report.bounded(&known, &primaries.collect())
    }

    /// Where the log of a primary ends, if it can be copied from now.
    fn log_end_now(&self, primary: &Site) -> Option<Frame> {
        if self.is_remote(primary) {
            self.answers(primary).then(|| self.reported(primary)?.frame())?
        } else {
            self.local.log_end_now(primary)
        }
    }

    pub(super) fn is_remote(&self, at: &Site) -> bool {
        self.remote.has(&at.location)
    }

    /// What is known of an instance on another machine, which may be away since.
    pub(super) fn reported(&self, at: &Site) -> Option<Running> {
        let last = self.remote.last_report(&at.location);
        let is_current = last.as_ref().is_some_and(super::ReceivedReport::is_current);
        let known = last.as_ref().and_then(|last| last.report.instances.get(&at.instance()));
        let known = known?;
        let frame = known.position.map(|position| position.0);
        let changed_ns = known.changed_ns;
        let position = Position {
            frame,
            changed_ns,
            uncertain: frame.is_none(),
            ..Position::default()
        };
        let away = (!is_current).then(|| self.remote.away(at).message().to_owned());
        let role = match known.limits {
            Some(_) => InstanceRole::Primary,
            None => InstanceRole::Replica {
                of: primary_of(at).to_owned(),
                position: position.clone(),
                synced_at: Timestamp::from_nanosecond(i128::from(changed_ns)).unwrap_or(Timestamp::UNIX_EPOCH),
                altered: false,
            },
        };
        Some(Running {
            role,
            damage: known.damage.clone(),
            size: known.size,
            position,
            serving: is_current && known.serving,
            process: Some(ProcessFacts {
                is_silent: is_current && known.is_silent,
                failures: known.failures,
                failure: away.or_else(|| known.failure.clone()),
                level_ago: None,
                delay: None,
                has_diverged: false,
            }),
            limits: known.limits.clone(),
        })
    }

    /// Waits a little until a replica on another machine has reported that it has everything that its primary has now. One that needs
    /// longer counts as away: it makes up for that by itself.
    fn await_copy(&self, from: &Site, to: &Site) -> Result<()> {
        self.remote.signal_change();
        let mut target = if self.is_remote(from) {
            self.reported_end(from)?
        } else {
            self.local.open_log(from)?
        };
        let patience = self.remote.patience(&to.location);
        let began = Instant::now();
        loop {
            let is_current = |report: super::ReceivedReport| report.is_current();
            if !self.remote.last_report(&to.location).is_some_and(is_current) {
                return Err(self.remote.away(to));
            }
            let now = self.reported(to).as_ref().and_then(Running::frame);
            if now.is_some_and(|now| now == target || (now.log == target.log && now.count >= target.count)) {
                return Ok(());
            }
            // A primary that was killed begins another log, which has everything.
            let end = if self.is_remote(from) {
                self.reported(from).as_ref().and_then(Running::frame)
            } else {
                self.local.frame(from)
            };
            if let Some(primary) = end.filter(|primary| primary.log != target.log) {
                target = primary;
            }
            if began.elapsed() >= patience {
                self.remote.note_slow(&to.location);
                return Err(being_copied(to));
            }
            self.remote.wait_for_news();
        }
    }
}

/// The error of what needs a replica elsewhere that its machine is still copying.
fn being_copied(to: &Site) -> Error {
    let (database, location) = (to.database_name(), &to.location);
    Error::new(
        Code::Unavailable,
        format!("the replica of database {database} in {location} is still being copied"),
    )
    .hint(format!(
        "it goes on by itself: torso db replicas {database} shows how far it is; the log of torso node there has the reason if it does not"
    ))
}

impl Engine for PlacedEngine {
    fn local_files(&self, at: &Site) -> Result<&dyn LocalFiles> {
        if self.is_remote(at) {
            return Err(elsewhere(at));
        }
        self.local.local_files(at)
    }

    fn open_location(&self, location: &str, dir: &Path) -> Result<()> {
        self.local.open_location(location, dir)
    }

    fn close_location(&self, dir: &Path) -> Result<()> {
        self.local.close_location(dir)
    }

    fn has_processes(&self) -> bool {
        true
    }

    fn running(&self, at: &Site) -> Result<Option<Running>> {
        if !self.is_remote(at) {
            return self.local.running(at);
        }
        match self.reported(at) {
            // Nothing is concluded about a primary whose machine has not said anything.
            None if is_primary(at) && !self.remote.is_current(&at.location) => Err(self.remote.away(at)),
            known => Ok(known),
        }
    }

    fn size(&self, at: &Site) -> Option<u64> {
        if self.is_remote(at) {
            return self.reported(at).map(|running| running.size);
        }
        self.local.size(at)
    }

    fn used(&self, at: &Site) -> Option<u64> {
        if self.is_remote(at) {
            self.size(at)
        } else {
            self.local.used(at)
        }
    }

    fn url(&self, at: &Site) -> String {
        if self.is_remote(at) {
            String::new()
        } else {
            self.local.url(at)
        }
    }

    fn start(&self, at: &Site) -> Result<()> {
        if self.is_remote(at) {
            return self.await_primary(at, "does not run", |running| running.serving);
        }
        self.local.start(at)
    }

    fn configure(&self, at: &Site, limits: &DatabaseLimits) -> Result<()> {
        if self.is_remote(at) {
            return self.await_limits(at, limits);
        }
        self.local.configure(at, limits)
    }

    fn await_writers(&self, at: &Site) -> Result<()> {
        self.local_files(at)?;
        self.local.await_writers(at)
    }

    fn create(&self, at: &Site) -> Result<()> {
        if self.is_remote(at) {
            return self.await_primary(at, "is not made yet", |running| running.serving);
        }
        self.local.create(at)
    }

    fn check_seed(&self, seed: &Path) -> Result<()> {
        self.local.check_seed(seed)
    }

    fn copy(&self, from: &Site, to: &Site) -> Result<()> {
        match (self.is_remote(from), self.is_remote(to)) {
            (_, true) => self.await_copy(from, to),
            (true, false) => self.copy_here(from, to),
            (false, false) => self.local.copy(from, to),
        }
    }

    fn is_copied_elsewhere(&self, to: &Site) -> bool {
        let is_remote = self.is_remote(to);
        if is_remote {
            self.remote.signal_change();
        }
        is_remote
    }

    fn copy_to_all(&self, from: &Site, to: &[Site]) -> Vec<Result<()>> {
        copy_in_parallel(to, |to| self.copy(from, to))
    }

    fn copy_again(&self, from: &Site, to: &Site) -> Result<()> {
        self.local_files(to)?;
        self.local_files(from)?;
        self.local.copy_again(from, to)
    }

    fn note_missing(&self, id: &str, is_missing: bool) {
        self.local.note_missing(id, is_missing);
    }

    fn note_compared(&self, replica: &Site, is_equal: bool) {
        if !self.is_remote(replica) {
            self.local.note_compared(replica, is_equal);
        }
    }

    /// Elsewhere a replica goes on with what it has.
    fn serve_alone(&self, at: &Site) -> Result<()> {
        if self.is_remote(at) {
            return Ok(());
        }
        self.local.serve_alone(at)
    }

    fn hold(&self, at: &Site) -> Result<()> {
        self.local_files(at)?;
        self.local.hold(at)
    }

    fn release(&self, at: &Site) {
        self.local.release(at);
    }

    fn demote(&self, from: &Site, to: &Site) -> Result<()> {
        self.local.demote(from, to)
    }

    fn promote(&self, at: &Site) -> Result<()> {
        self.local.promote(at)
    }

    fn block_writes(&self, at: &Site, reason: &str) -> Result<()> {
        if self.is_remote(at) {
            return self.block_elsewhere(at, reason);
        }
        self.local.block_writes(at, reason)
    }

    fn prepare_primary(&self, at: &Site) -> Result<()> {
        if self.is_remote(at) {
            return self.prepare_elsewhere(at);
        }
        self.local.prepare_primary(at)
    }

    fn take_over(&self, moves: &[(Site, Site)]) -> Result<()> {
        let (there, here): (Vec<_>, Vec<_>) = moves.iter().cloned().partition(|(_, to)| self.is_remote(to));
        if !here.is_empty() {
            self.local.take_over(&here)?;
        }
        self.take_over_elsewhere(&there)
    }

    fn answers(&self, at: &Site) -> bool {
        if !self.is_remote(at) {
            return self.local.answers(at);
        }
        let is_silent = |running: &Running| running.process.as_ref().is_some_and(|process| process.is_silent);
        self.reported(at)
            .is_some_and(|running| running.serving && running.damage.is_none() && !is_silent(&running))
    }

    fn log_end(&self, at: &Site) -> Option<Frame> {
        if self.is_remote(at) {
            // What a machine that is away has now is not known, and neither is what its primary has written since.
            let is_known = !is_primary(at) && self.remote.is_current(&at.location);
            is_known
                .then(|| self.reported(at)?.frame())?
                .filter(|frame| frame.count > 0)
        } else {
            self.local.log_end(at)
        }
    }

    fn last_seen_primary(&self, replica: &Site) -> Option<SeenLog> {
        if self.is_remote(replica) {
            return None;
        }
        self.reported_seen(replica)
            .or_else(|| self.local.last_seen_primary(replica))
    }

    fn fence(&self, at: &Site) -> Result<()> {
        if self.is_remote(at) {
            Ok(())
        } else {
            self.local.fence(at)
        }
    }

    fn set_aside_elsewhere(&self, at: &Site) -> Result<()> {
        if self.is_remote(at) {
            return self.end_elsewhere(at, true);
        }
        self.local_files(at)?.set_aside(at).map(drop)
    }

    fn uncompared(&self, dir: &Path) -> Result<Vec<(PathBuf, String)>> {
        self.local.uncompared(dir)
    }

    fn remove(&self, at: &Site) -> Result<()> {
        match self.is_remote(at) {
            true if is_primary(at) => self.end_elsewhere(at, false),
            true => {
                self.remote.signal_change();
                Ok(())
            }
            false => self.local.remove(at),
        }
    }

    fn orphans(&self, dir: &Path, known: &dyn Fn(&str) -> bool) -> Result<Vec<Orphan>> {
        self.local.orphans(dir, known)
    }

    fn unfinished(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        self.local.unfinished(dir)
    }
}

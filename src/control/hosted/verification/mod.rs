//! Comparisons of replicas with their primaries in the background (`torso server --verify-every`). One database is compared at a
//! time, with pauses, and none that is as it was when it was last compared. What a comparison is, is the plane's (`embedded::verification`);
//! `status` is what is known of them, and who says so.

mod status;

pub use status::{DatabaseVerification, VerificationStatus};

use super::organization::OrganizationBarrier;
use super::store::{AccountStore, OrganizationRow};
use super::{Hosted, Shared};
use crate::control::gateway_plane::Route;
use crate::control::verification::{Verification, VerificationRequest};
use crate::engine::{Engine as _, InstanceRole, Position};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The setting that remembers how often, in seconds.
const SETTING: &str = "verify-every";
/// The first pause before what could not be compared is tried again; each further pause is twice as long, up to an hour.
const RETRY: Duration = Duration::from_secs(60);
const LONGEST_RETRY: Duration = Duration::from_secs(3600);
/// How often it is seen which databases there are.
const LOOK: Duration = Duration::from_secs(30);
/// A comparison is followed by a pause of so many times what it took: it never takes more than a tenth of a processor.
const REST: u32 = 9;
/// The longest pause that only spreads comparisons over their time.
const LONGEST_SPREAD: Duration = Duration::from_secs(60);
/// What has not changed is read again all the same after so many times the interval: disks rot.
const REREAD: u32 = 7;
/// The longest interval, in seconds: ten years.
const LONGEST_INTERVAL: u64 = 10 * 366 * 24 * 3600;

/// What the thread and its callers share.
#[derive(Default)]
pub(super) struct SharedVerification {
    status: Mutex<VerificationStatus>,
    /// Has the thread look at the setting again. Dropping it stops the thread.
    wake: Mutex<Option<SyncSender<()>>>,
}

impl SharedVerification {
    /// Stops the thread at its next step.
    pub fn stop(&self) {
        drop(lock(&self.wake).take());
    }
}

/// The instances of a database and where each is in its log, as they were when they were compared.
type Content = Vec<(String, Position)>;

/// When a database is due.
#[derive(Debug)]
struct Progress {
    seen: Instant,
    /// When it was last found to be equal or to differ, be it because nothing had changed.
    checked: Option<Instant>,
    /// When it was last read, and what it was then if all was equal.
    compared: Option<(Instant, Option<Content>)>,
    /// When one that could not be compared is tried again, and the pause after that.
    retry: Option<(Instant, Duration)>,
}

impl Progress {
    fn new() -> Self {
        Self {
            seen: Instant::now(),
            checked: None,
            compared: None,
            retry: None,
        }
    }

    /// How long it is until the next comparison, and since when it has been waiting for one.
    fn pause(&self, every: Duration) -> Duration {
        match (self.retry, self.checked) {
            (Some((at, _)), _) => at.saturating_duration_since(Instant::now()).min(every),
            (None, Some(checked)) => every.saturating_sub(checked.elapsed()),
            (None, None) => Duration::ZERO,
        }
    }

    /// Whether it need not be read, because it is as it was when it was last read, not long ago.
    fn is_unchanged(&self, now: Option<&Content>, every: Duration) -> bool {
        match (&self.compared, now) {
            (Some((at, Some(then))), Some(now)) => then == now && at.elapsed() < every.saturating_mul(REREAD),
            _ => false,
        }
    }

    fn fail(&mut self) {
        let pause = self.retry.map_or(RETRY, |(_, next)| next);
        self.retry = Some((Instant::now() + pause, (pause * 2).min(LONGEST_RETRY)));
    }
}

/// The thread's own state.
struct Scheduler<'a> {
    shared: &'a Shared,
    wakeups: Receiver<()>,
    progress: HashMap<String, Progress>,
    /// Until when it rests after the last comparison.
    rest: Instant,
}

impl Scheduler<'_> {
    /// Compares until it is stopped.
    fn run(mut self) {
        loop {
            let every = lock(&self.shared.verification.status).every;
            let replicated = self.shared.replicated();
            self.progress.retain(|id, _| replicated.contains_key(id));
            self.shared.retain_verified(&replicated);
            let next = every.and_then(|every| self.next(&replicated, every));
            let pause = next.as_ref().map_or(LOOK, |(_, pause)| *pause);
            match self.wakeups.recv_timeout(pause.min(LOOK)) {
                Ok(()) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) if pause > LOOK => continue,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let (Some((id, _)), Some(every)) = (next, every) {
                self.check(&replicated[&id], every, replicated.len());
            }
        }
    }

    /// The database that is due first, and how long it is until then.
    fn next(&mut self, replicated: &Replicated, every: Duration) -> Option<(String, Duration)> {
        for id in replicated.keys() {
            self.progress.entry(id.clone()).or_insert_with(Progress::new);
        }
        let due = self.progress.iter().map(|(id, progress)| {
            let since = progress.checked.unwrap_or(progress.seen);
            (progress.pause(every), since, id)
        });
        let (pause, _, id) = due.min()?;
        let rest = self.rest.saturating_duration_since(Instant::now());
        Some((id.clone(), pause.max(rest)))
    }

    /// Compares the instances of a database, unless nothing has changed since they were last compared.
    fn check(&mut self, routes: &[Arc<Route>], every: Duration, of: usize) {
        let Some(first) = routes.first() else { return };
        let begun = Instant::now();
        let content = self.shared.content_of(routes);
        let progress = self.progress.entry(first.id.to_string()).or_insert_with(Progress::new);
        if progress.is_unchanged(content.as_ref(), every) {
            progress.checked = Some(begun);
            progress.retry = None;
            self.shared.note_unchanged(first.id.as_str());
            return;
        }
        match self.shared.compare_instances(first) {
            Ok(verified) => {
                let is_equal = verified.differing().count() == 0;
                progress.checked = Some(Instant::now());
                progress.compared = Some((begun, content.filter(|_| is_equal)));
                progress.retry = None;
            }
            // It was deleted, or renamed, while its turn came.
            Err(error) if matches!(error.code(), Code::DatabaseNotFound | Code::OrganizationNotFound) => {
                progress.fail();
            }
            Err(error) => {
                progress.fail();
                self.shared.note_not_verified(first.id.as_str(), &error);
            }
        }
        let spread = every / u32::try_from(of.saturating_mul(2)).unwrap_or(u32::MAX);
        self.rest = Instant::now() + (begun.elapsed() * REST).max(spread.min(LONGEST_SPREAD)).min(every);
    }
}

/// The instances of each database that has replicas, by its id, in the order of their locations. Those whose primaries are on other
/// machines cannot be read together.
type Replicated = BTreeMap<String, Vec<Arc<Route>>>;

impl Shared {
    fn replicated(&self) -> Replicated {
        let mut all = Replicated::new();
        for route in self
            .hostnames
            .instances()
            .into_iter()
            .filter(|route| route.has_replicas && !self.nodes.remote.has(&route.primary_site.location))
        {
            all.entry(route.id.to_string()).or_default().push(route);
        }
        for routes in all.values_mut() {
            routes.sort_by(|one, other| one.location.cmp(&other.location));
        }
        all
    }

    /// What instances are now, by their files' headers; none if one of them is not whole.
    fn content_of(&self, routes: &[Arc<Route>]) -> Option<Content> {
        let engine = self.sqld().ok()?;
        let each = routes.iter().map(|route| {
            let running = engine.running(&route.site).ok().flatten()?;
            let position = match running.role {
                InstanceRole::Replica { altered: true, .. } | InstanceRole::Promoting => return None,
                InstanceRole::Replica { position, .. } => position,
                InstanceRole::Primary => running.position,
            };
            let is_whole = running.damage.is_none();
            is_whole.then(|| (format!("{} {}", route.location, route.instance), position))
        });
        each.collect()
    }

    fn compare_instances(&self, route: &Route) -> Result<Verification> {
        let found = self.records().organization_by_id(&route.organization_id)?;
        let organization: OrganizationRow =
            found.ok_or_else(|| super::organization::organization_not_found(route.organization.as_str()))?;
        let plane = self.plane_of(&organization)?;
        let barrier = OrganizationBarrier {
            shared: self,
            organization: &organization,
        };
        let verified = plane.verify_behind(&route.database, VerificationRequest::default(), &barrier)?;
        self.note_verified(route.id.as_str(), &verified);
        Ok(verified)
    }

    /// Sets how often replicas are compared with their primaries, and remembers it; none for never.
    pub(super) fn set_verify_every(&self, every: Option<Duration>) -> Result<()> {
        let seconds = every.map_or(0, |every| every.as_secs());
        if seconds > LONGEST_INTERVAL || (every.is_some() && seconds == 0) {
            return Err(Error::new(
                Code::InvalidValue,
                format!("replicas cannot be compared every {seconds} seconds"),
            )
            .hint("give one second to ten years, such as 24h, or never"));
        }
        {
            let records = self.records();
            records.write(|| records.set(SETTING, &seconds.to_string()))?;
        }
        lock(&self.verification.status).every = every;
        if let Some(wake) = &*lock(&self.verification.wake) {
            // One that is waiting for the thread already is as good.
            let _ = wake.try_send(());
        }
        Ok(())
    }

    /// How often they are compared; none for never.
    pub(super) fn verify_every(&self) -> Option<Duration> {
        lock(&self.verification.status).every
    }
}

/// How often, as remembered; none for never.
fn remembered_interval(records: &AccountStore) -> Result<Option<Duration>> {
    let text = records.setting(SETTING)?.unwrap_or_default();
    let seconds = text.parse().unwrap_or(0);
    Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
}

impl Hosted {
    /// Compares replicas with their primaries in the background from now on: as often as `every` says, which is remembered, else
    /// as often as was remembered. `Some(None)` is for never.
    ///
    /// # Errors
    ///
    /// `invalid_value` for a time that is too long, and those of the records.
    pub fn start_verification(&self, every: Option<Option<Duration>>) -> Result<()> {
        match every {
            Some(every) => self.shared.set_verify_every(every)?,
            None => {
                let remembered = remembered_interval(&self.shared.records())?;
                lock(&self.shared.verification.status).every = remembered;
            }
        }
        let (wake, wakeups) = mpsc::sync_channel(1);
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new()
            .name("verification".to_owned())
            .spawn(move || {
                let scheduler = Scheduler {
                    shared: &shared,
                    wakeups,
                    progress: HashMap::new(),
                    rest: Instant::now(),
                };
                scheduler.run();
            })
            .map_err(|error| Error::io(error, "cannot start a thread"))?;
        *lock(&self.shared.verification.wake) = Some(wake);
        Ok(())
    }

    /// What is known of comparisons of replicas with their primaries, in the background and by hand.
    #[must_use]
    pub fn verification_status(&self) -> VerificationStatus {
        lock(&self.shared.verification.status).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Frame;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn content(count: u64) -> Content {
        let position = Position {
            frame: Some(Frame { log: 1, count }),
            ..Position::default()
        };
        vec![("ams a".to_owned(), position.clone()), ("lhr a".to_owned(), position)]
    }

    #[test]
    fn verification_is_due_at_once_and_then_after_the_interval() {
        let mut progress = Progress::new();
        assert_eq!(progress.pause(DAY), Duration::ZERO);
        progress.checked = Some(Instant::now());
        assert!(progress.pause(DAY) > DAY - Duration::from_secs(60));
        assert_eq!(progress.pause(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn verification_of_what_has_not_changed_is_skipped() {
        let mut progress = Progress::new();
        assert!(!progress.is_unchanged(Some(&content(1)), DAY));
        progress.compared = Some((Instant::now(), Some(content(1))));
        assert!(progress.is_unchanged(Some(&content(1)), DAY));
        assert!(!progress.is_unchanged(Some(&content(2)), DAY));
        assert!(!progress.is_unchanged(None, DAY));
        // It was read long ago, measured by the interval.
        assert!(!progress.is_unchanged(Some(&content(1)), Duration::ZERO));
        // It differed.
        progress.compared = Some((Instant::now(), None));
        assert!(!progress.is_unchanged(Some(&content(1)), DAY));
    }

    #[test]
    fn verification_that_fails_is_tried_again_less_and_less_often() {
        let mut progress = Progress::new();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            progress.fail();
            pauses.push(progress.pause(DAY).as_secs_f64().round());
        }
        assert_eq!(pauses[..3], [60.0, 120.0, 240.0]);
        assert_eq!(pauses[8], 3600.0);
        // One that is due often is tried again as often.
        assert!(progress.pause(Duration::from_secs(5)) <= Duration::from_secs(5));
    }
}

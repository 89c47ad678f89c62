//! The background thread: after a start it starts all databases; now and then it stores what is only in memory, and
//! removes what is old.

use super::store::OrganizationRow;
use super::{ProcessStatus, Shared, SqldEngine};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const ROUND: Duration = Duration::from_secs(30);
/// How often storage is checked against quotas.
const LOOK: Duration = Duration::from_secs(2);
/// The first pause before what failed is tried again; each further pause is twice as long, up to a round.
const RETRY: Duration = Duration::from_secs(1);
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// Organizations that are started in parallel.
const STARTERS: usize = 4;

#[derive(Default)]
pub(super) struct BackgroundTask {
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The progress of a start.
#[derive(Default)]
pub(super) struct BackgroundProgress {
    tried: AtomicBool,
    /// Organizations of which something could not be started or removed; and the last reason.
    left: AtomicUsize,
    failure: Mutex<String>,
    stopping: AtomicBool,
    /// The ids of organizations with former primaries whose files may come back.
    awaiting: Mutex<BTreeSet<String>>,
    /// Wakes the background to try again. Dropping it stops the background.
    background: Mutex<Option<SyncSender<()>>>,
}

impl BackgroundTask {
    pub fn start(&self, shared: &Arc<Shared>) -> Result<()> {
        let background = &shared.progress.background;
        let shared = Arc::clone(shared);
        let (wake, wakeups) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("hosted".to_owned())
            .spawn(move || {
                // TransferLocks first: what they leave to be done is done with the rest.
                let reconcile = || {
                    let left = shared.finish_transfers() + shared.reconcile_all();
                    shared.progress.left.store(left, Ordering::SeqCst);
                    left
                };
                // Before any process runs, so that nothing is written while a quota is exceeded.
                let _ = shared.hold_storage(true);
                shared.watch_disk();
                let mut left = reconcile();
                shared.progress.tried.store(true, Ordering::SeqCst);
                let mut swept = Instant::now();
                let mut written = Instant::now();
                let mut retry = RETRY;
                let mut due = Instant::now() + retry;
                let mut looked = Instant::now();
                let mut damaged = Vec::new();
                let mut comparison = DivergenceTask::default();
                comparison.start(&shared, shared.take_back_former());
                loop {
                    let next = looked + LOOK;
                    let next = if left > 0 { next.min(due) } else { next };
                    match wakeups.recv_timeout(next.saturating_duration_since(Instant::now())) {
                        Ok(()) => {
                            // What has just failed is not tried again at once.
                            if left == 0 {
                                retry = RETRY;
                                due = Instant::now() + retry;
                            }
                            left = left.max(1);
                            continue;
                        }
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => return,
                    }
                    if left > 0 && due <= Instant::now() {
                        left = reconcile();
                        retry = (retry * 2).min(ROUND);
                        due = Instant::now() + retry;
                    }
                    looked = Instant::now();
                    shared.watch_disk();
                    // What the replicas of a damaged primary need is found out by looking at everything.
                    let now_damaged = shared.damaged_ids();
                    if now_damaged.iter().any(|id| !damaged.contains(id)) {
                        left = left.max(1);
                        retry = RETRY;
                        due = Instant::now();
                    }
                    damaged = now_damaged;
                    let round = written.elapsed() >= ROUND;
                    // A failure is repeated in the next round.
                    let _ = shared.hold_storage(round);
                    if !round {
                        continue;
                    }
                    written = Instant::now();
                    comparison.start(&shared, shared.take_back_former());
                    // A failure is repeated in the next round.
                    let _ = shared.write_usage();
                    shared.write_uses();
                    if swept.elapsed() > SWEEP_EVERY {
                        swept = Instant::now();
                        let _ = shared.sweep();
                    }
                }
            })
            .map_err(|error| Error::io(error, "cannot start a thread"))?;
        *lock(background) = Some(wake);
        *lock(&self.thread) = Some(thread);
        Ok(())
    }

    /// Stops the background, without waiting for work under way.
    pub fn stop(&self, shared: &Shared) {
        shared.progress.stopping.store(true, Ordering::SeqCst);
        drop(lock(&shared.progress.background).take());
    }

    /// Waits until it has stopped.
    pub fn wait(&self) {
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // A panic has been reported already.
            let _ = thread.join();
        }
    }
}

/// Compares files of former primaries with their successors, beside all else: it may take as long as reading both.
#[derive(Default)]
struct DivergenceTask {
    thread: Option<JoinHandle<()>>,
}

impl DivergenceTask {
    /// Compares those of some organizations, unless it is at work. What fails is logged, and tried again in a later round.
    fn start(&mut self, shared: &Arc<Shared>, organizations: Vec<OrganizationRow>) {
        if organizations.is_empty() || self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        let shared = Arc::clone(shared);
        let compare = move || {
            for organization in organizations {
                if shared.progress.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let plane = shared.plane_of(&organization);
                let _ = plane.and_then(|plane| plane.compare_set_aside());
            }
        };
        self.thread = std::thread::Builder::new()
            .name("compare".to_owned())
            .spawn(compare)
            .ok();
    }
}

impl Shared {
    /// Fails with `unavailable` unless everything that is wanted runs.
    pub(super) fn check_ready(&self) -> Result<()> {
        self.check_disk()?;
        let unavailable = |message: String| Error::new(Code::Unavailable, message);
        if !self.progress.tried.load(Ordering::SeqCst) {
            return Err(unavailable("the server is starting its databases".to_owned())
                .hint("try again in a moment; those that run answer already"));
        }
        let processes = self.processes();
        let down: Vec<_> = processes.iter().filter(|process| !process.is_ready).collect();
        let hint = "the server's log and torso doctor have the reasons; what runs answers";
        if let Some(first) = down.first() {
            let (count, all) = (down.len(), processes.len());
            let cause = first.failure.as_deref().unwrap_or("is being started");
            let message = format!(
                "{count} of {all} database processes do not run; one in {} {}",
                first.label.location,
                cause.lines().next().unwrap_or_default()
            );
            return Err(self.discreet(unavailable(message).hint(hint)));
        }
        if self.progress.left.load(Ordering::SeqCst) > 0 {
            let failure = lock(&self.progress.failure).clone();
            return Err(self.discreet(unavailable(format!("some database processes do not run: {failure}")).hint(hint)));
        }
        Ok(())
    }

    pub(super) fn processes(&self) -> Vec<ProcessStatus> {
        let mut all = self.sqld().map(SqldEngine::processes).unwrap_or_default();
        all.sort_by(|one, other| one.label.cmp(&other.label));
        all
    }

    /// Remembers and logs why an organization's databases do not all run, unless that was the last thing that was logged.
    fn note_unsettled(&self, organization: &OrganizationRow, causes: &[String]) {
        let cause = causes.first().cloned().unwrap_or_default();
        let mut last = lock(&self.progress.failure);
        if *last == cause {
            return;
        }
        let (organization, failures) = (&organization.slug, causes.len());
        tracing::warn!(%organization, failures, %cause, "some database processes of an organization do not run; trying again");
        *last = cause;
    }

    /// The databases whose primaries are damaged.
    fn damaged_ids(&self) -> Vec<String> {
        self.sqld()
            .map_or_else(|_| Vec::new(), |engine| engine.all_damaged().into_keys().collect())
    }

    /// Has the files of an organization's former primaries be looked for.
    pub(super) fn await_former(&self, organization_id: &str) {
        lock(&self.progress.awaiting).insert(organization_id.to_owned());
    }

    /// Sets aside the files of former primaries that have come back. What fails is tried again in the next round. Returns the
    /// organizations that have files to compare.
    fn take_back_former(&self) -> Vec<OrganizationRow> {
        let awaiting = lock(&self.progress.awaiting).clone();
        if awaiting.is_empty() {
            return Vec::new();
        }
        let mut organizations = self.records().organizations().unwrap_or_default();
        organizations.retain(|organization| awaiting.contains(&organization.id));
        organizations.retain(|organization| {
            let taken = self
                .plane_of(organization)
                .and_then(|plane| Ok((plane.take_back_former()?, !plane.uncompared()?.is_empty())));
            if matches!(taken, Ok((false, false))) {
                lock(&self.progress.awaiting).remove(&organization.id);
            }
            matches!(taken, Ok((_, true)))
        });
        organizations
    }

    /// Makes the background retry what could not be done just now.
    pub(super) fn keep_trying(&self) {
        if let Some(background) = lock(&self.progress.background).as_ref() {
            // One word is enough, and nobody waits for it.
            let _ = background.try_send(());
        }
    }

    /// The result of a removal. What is out of the catalog counts as removed; the background retries to remove its files.
    pub(super) fn removed(&self, result: Result<()>) -> Result<()> {
        match result {
            Err(error) if error.code() == Code::Partial => {
                self.keep_trying();
                Ok(())
            }
            result => result,
        }
    }

    /// Starts all databases. Returns for how many organizations that failed in part.
    fn reconcile_all(&self) -> usize {
        let Ok(all) = self.records().organizations() else {
            return 1;
        };
        let waiting = Mutex::new(all);
        let left = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..STARTERS {
                scope.spawn(|| {
                    while let Some(organization) = { lock(&waiting).pop() } {
                        if self.progress.stopping.load(Ordering::SeqCst) {
                            return;
                        }
                        let causes: Vec<String> =
                            match self.plane_of(&organization).and_then(|plane| plane.reconcile_all()) {
                                Ok(failures) => failures
                                    .iter()
                                    .map(|(location, error)| format!("in {location}: {}", error.full_message()))
                                    .collect(),
                                Err(error) => vec![error.full_message()],
                            };
                        // Whether there are any is found out in the next round.
                        self.await_former(&organization.id);
                        if !causes.is_empty() {
                            self.note_unsettled(&organization, &causes);
                            left.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        left.into_inner()
    }

    /// Removes expired tokens and uploads, and what is left of moves.
    pub(super) fn sweep(&self) -> Result<()> {
        self.uploads.sweep(None)?;
        self.sweep_group_transfers()?;
        let records = self.records();
        records.write(|| records.forget_expired_tokens(Timestamp::now()))
    }
}

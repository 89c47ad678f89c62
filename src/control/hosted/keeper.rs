//! What is done beside the calls: everything that is wanted is brought to run after a start, and now and then what is only
//! in memory is written down and what is old is removed.

use super::Shared;
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use jiff::Timestamp;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const ROUND: Duration = Duration::from_secs(30);
/// How often it is looked whether somebody stores too much.
const LOOK: Duration = Duration::from_secs(2);
/// After a start that left something, it is tried again so soon; each further pause is twice the one before, up to a round.
const RETRY: Duration = Duration::from_secs(1);
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// Organizations that are brought to run at the same time.
const STARTERS: usize = 4;

#[derive(Default)]
pub(super) struct Keeper {
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// How far a start has come.
#[derive(Default)]
pub(super) struct Progress {
    tried: AtomicBool,
    stopping: AtomicBool,
    /// Tells the keeper that something is left to be done. Dropped to stop it.
    keeper: Mutex<Option<SyncSender<()>>>,
}

impl Keeper {
    pub fn start(&self, shared: &Arc<Shared>) -> Result<()> {
        let keeper = &shared.progress.keeper;
        let shared = Arc::clone(shared);
        let (tell, told) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("hosted".to_owned())
            .spawn(move || {
                // Moves first: what they leave to be done is done with the rest.
                let settle = || shared.settle_moves() + shared.settle();
                // Before anything runs, so that nothing is written in between.
                let _ = shared.hold_storage(true);
                let mut left = settle();
                shared.progress.tried.store(true, Ordering::SeqCst);
                let mut swept = Instant::now();
                let mut written = Instant::now();
                let mut retry = RETRY;
                let mut due = Instant::now() + retry;
                let mut looked = Instant::now();
                loop {
                    let next = looked + LOOK;
                    let next = if left > 0 { next.min(due) } else { next };
                    match told.recv_timeout(next.saturating_duration_since(Instant::now())) {
                        Ok(()) => {
                            // What just failed is not tried at once.
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
                        left = settle();
                        retry = (retry * 2).min(ROUND);
                        due = Instant::now() + retry;
                    }
                    looked = Instant::now();
                    let round = written.elapsed() >= ROUND;
                    // What cannot be told now is the next time.
                    let _ = shared.hold_storage(round);
                    if !round {
                        continue;
                    }
                    written = Instant::now();
                    // What cannot be written now is the next time.
                    let _ = shared.write_usage();
                    shared.write_uses();
                    if swept.elapsed() > SWEEP_EVERY {
                        swept = Instant::now();
                        let _ = shared.sweep();
                    }
                }
            })
            .map_err(|error| Error::io(error, "cannot start a thread"))?;
        *lock(keeper) = Some(tell);
        *lock(&self.thread) = Some(thread);
        Ok(())
    }

    /// Begins no further work.
    pub fn stop(&self, shared: &Shared) {
        shared.progress.stopping.store(true, Ordering::SeqCst);
        drop(lock(&shared.progress.keeper).take());
    }

    /// Waits until it has stopped.
    pub fn wait(&self) {
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // Its panic was told where it happened.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Whether everything that is wanted was brought to run, or was tried to be.
    pub(super) fn is_ready(&self) -> bool {
        self.progress.tried.load(Ordering::SeqCst)
    }

    /// Has what could not be done just now be done as soon as it can be.
    pub(super) fn keep_trying(&self) {
        if let Some(keeper) = lock(&self.progress.keeper).as_ref() {
            // One word is enough, and nobody waits for it.
            let _ = keeper.try_send(());
        }
    }

    /// What is out of the catalog is gone for everybody; files that could not be removed are the keeper's.
    pub(super) fn removed(&self, result: Result<()>) -> Result<()> {
        match result {
            Err(error) if error.code() == Code::Partial => {
                self.keep_trying();
                Ok(())
            }
            result => result,
        }
    }

    /// Brings everything that is wanted to run: how many organizations have something left to be done.
    fn settle(&self) -> usize {
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
                        let settled = self.plane_of(&organization).and_then(|plane| plane.settle());
                        if !settled.is_ok_and(|failures| failures.is_empty()) {
                            left.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        left.into_inner()
    }

    /// Removes what is old.
    pub(super) fn sweep(&self) -> Result<()> {
        self.uploads.sweep(None)?;
        self.sweep_group_moves()?;
        let records = self.records();
        records.write(|| records.forget_expired_tokens(Timestamp::now()))
    }
}

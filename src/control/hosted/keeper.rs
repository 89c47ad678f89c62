//! What is done beside the calls: everything that is wanted is brought to run after a start, and now and then what is only
//! in memory is written down and what is old is removed.

use super::{Shared, lock};
use crate::error::{Error, Result};
use jiff::Timestamp;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const ROUND: Duration = Duration::from_secs(30);
/// After a start that left something, it is tried again so soon; each further pause is twice the one before, up to a round.
const RETRY: Duration = Duration::from_secs(1);
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// Organizations that are brought to run at the same time.
const STARTERS: usize = 4;

#[derive(Default)]
pub(super) struct Keeper {
    /// Dropped to stop.
    running: Mutex<Option<SyncSender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// How far a start has come.
#[derive(Default)]
pub(super) struct Progress {
    tried: AtomicBool,
    stopping: AtomicBool,
}

impl Keeper {
    pub fn start(&self, shared: &Arc<Shared>) -> Result<()> {
        let shared = Arc::clone(shared);
        // Those of an earlier process; what begins from now on has somebody who sees to its end.
        let mut moves = shared.records().moves()?;
        let (stop, stopped) = mpsc::sync_channel(0);
        let thread = std::thread::Builder::new()
            .name("hosted".to_owned())
            .spawn(move || {
                let mut settle = || {
                    moves.retain(|row| shared.settle_move(row).is_err());
                    shared.settle() + moves.len()
                };
                let mut left = settle();
                shared.progress.tried.store(true, Ordering::SeqCst);
                let mut swept = Instant::now();
                let mut written = Instant::now();
                let mut retry = RETRY;
                loop {
                    let pause = if left > 0 { retry } else { ROUND };
                    if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                    if left > 0 {
                        left = settle();
                        retry = (retry * 2).min(ROUND);
                    }
                    if written.elapsed() < ROUND {
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
        *lock(&self.running) = Some(stop);
        *lock(&self.thread) = Some(thread);
        Ok(())
    }

    /// Begins no further work.
    pub fn stop(&self, shared: &Shared) {
        shared.progress.stopping.store(true, Ordering::SeqCst);
        drop(lock(&self.running).take());
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
        let records = self.records();
        records.write(|| records.forget_expired_tokens(Timestamp::now()))
    }
}

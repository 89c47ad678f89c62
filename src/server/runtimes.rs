//! The threads that serve connections (one for each processor). Each has an async runtime of its own, and a connection stays on
//! its runtime: what a request awaits wakes that thread and no other.
//!
//! A single exchange is no faster for it. On two busy processors, one that is relayed by one task took 73 to 104 µs, and 52 to 70 µs
//! with a task for each connection on a shared runtime: `cargo bench -- parts` measures both.
//!
//! Code on a runtime must not block or compute for long: other connections wait for it.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// How often a runtime wakes when nothing happens. Setting a timer that is earlier than all others wakes the runtime at
/// once; with this one always pending, the longer timers of requests never do.
const WAKE_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct CoreRuntimes {
    runtimes: Vec<CoreRuntime>,
    next: AtomicUsize,
}

struct CoreRuntime {
    handle: Handle,
    /// Dropping it ends the runtime.
    _running: oneshot::Sender<()>,
}

impl CoreRuntimes {
    /// Starts one runtime for each processor.
    pub fn start() -> Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let runtimes = (0..count).map(|_| CoreRuntime::start()).collect::<Result<_>>()?;
        Ok(Self {
            runtimes,
            next: AtomicUsize::new(0),
        })
    }

    /// Runs `work` on the next runtime.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.runtimes.len();
        self.runtimes[next].handle.spawn(work);
    }
}

impl CoreRuntime {
    fn start() -> Result<Self> {
        let failed = |error| Error::io(error, "cannot start a thread");
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_name("torso-call")
            .build()
            .map_err(failed)?;
        let handle = runtime.handle().clone();
        let (running, mut ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("torso-runtime".to_owned())
            .spawn(move || {
                runtime.block_on(async { while tokio::time::timeout(WAKE_INTERVAL, &mut ended).await.is_err() {} });
                // What still runs has had its time to end.
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        Ok(Self {
            handle,
            _running: running,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::mpsc;

    #[test]
    fn runtimes_take_turns_and_end_with_their_owner() {
        let runtimes = CoreRuntimes::start().unwrap();
        let (sender, receiver) = mpsc::channel();
        let all = 2 * runtimes.runtimes.len();
        for _ in 0..all {
            let sender = sender.clone();
            runtimes.spawn(async move { sender.send(Handle::current().id()).unwrap() });
        }
        let seen: Vec<_> = receiver.iter().take(all).collect();
        assert_eq!(seen.iter().collect::<HashSet<_>>().len(), all / 2);
        // What waits on a runtime is dropped with it.
        runtimes.spawn(async move {
            let _held = sender;
            std::future::pending::<()>().await;
        });
        drop(runtimes);
        assert!(receiver.recv().is_err());
    }
}

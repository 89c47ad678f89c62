//! The signals that stop a server: SIGTERM and SIGINT, and SIGHUP where it ends with its terminal. Otherwise
//! [`super::certificate`] handles SIGHUP.

use crate::error::{Error, Result};
use crate::termination;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// The signals that stop a server. Once this exists, they do not end the process by themselves.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    /// `ends_with_terminal` says whether SIGHUP is one of them.
    pub fn new(ends_with_terminal: bool) -> Result<Self> {
        let listen = |kind| signal(kind).map_err(|error| Error::io(error, "cannot listen for signals"));
        let signals = Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: ends_with_terminal.then(|| listen(SignalKind::hangup())).transpose()?,
        };
        termination::note_caught();
        Ok(signals)
    }

    /// Waits for one, and returns its name.
    pub async fn next(&mut self) -> &'static str {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = hangup => "SIGHUP",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The same for a program that waits on an ordinary thread.
pub struct StopSignals {
    signals: Signals,
    runtime: Runtime,
}

impl StopSignals {
    /// From now on the signals do not end the process by themselves.
    pub fn new() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::io(error, "cannot listen for signals"))?;
        let signals = {
            let _entered = runtime.enter();
            Signals::new(false)?
        };
        Ok(Self { signals, runtime })
    }

    /// Waits for one, and returns its name.
    pub fn wait(mut self) -> &'static str {
        self.runtime.block_on(self.signals.next())
    }
}

/// Returns once the server was told to stop.
pub(super) async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the sender is gone, and the server with it.
    let _ = stopping.wait_for(|stop| *stop).await;
}

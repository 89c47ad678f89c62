//! When to end: SIGTERM and SIGINT. SIGHUP is [`super::certificate`]'s.

use crate::error::{Error, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// The signals that end a server. From when this is made, they do not end the process by themselves.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub fn new() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(|error| Error::io(error, "cannot listen for signals"));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Returns when one comes.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Returns once the server is to end.
pub(super) async fn stopped(mut stopping: watch::Receiver<bool>) {
    // The sender lives as long as the server; without it there is nothing left to serve.
    let _ = stopping.wait_for(|stop| *stop).await;
}

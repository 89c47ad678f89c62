//! Reloads the TLS certificate: on SIGHUP, and soon after its files have changed. Open connections keep the certificate
//! that they began with. If the new files cannot be used, that is logged, and the certificate in use stays.

use super::tls::Identity;
use crate::error::{Error, Result};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// How often the files are checked for changes.
const PAUSE: Duration = Duration::from_secs(5);

/// Returns a receiver of the current TLS acceptor; none without TLS. From then on, SIGHUP does not end the process.
pub(super) fn reloading(identity: Option<Identity>) -> Result<Option<watch::Receiver<TlsAcceptor>>> {
    let hangup = signal(SignalKind::hangup()).map_err(|error| Error::io(error, "cannot listen for signals"))?;
    let Some(identity) = identity else {
        tokio::spawn(heed(hangup, None));
        return Ok(None);
    };
    let files = identity.files();
    let (current, acceptor) = watch::channel(identity.acceptor()?);
    tokio::spawn(heed(hangup, files.map(|files| (files, current))));
    Ok(Some(acceptor))
}

type Files = (PathBuf, PathBuf);

/// Reads the files again on SIGHUP and after changes.
async fn heed(mut hangup: Signal, reloading: Option<(Files, watch::Sender<TlsAcceptor>)>) {
    let Some(((certificate, key), current)) = reloading else {
        while hangup.recv().await.is_some() {
            tracing::info!("SIGHUP ignored: no --tls-cert is configured");
        }
        return;
    };
    let read_state = || (state(&certificate), state(&key));
    let mut seen = read_state();
    loop {
        let is_signalled = tokio::select! {
            is_signalled = hangup.recv() => is_signalled.is_some(),
            () = tokio::time::sleep(PAUSE) => false,
        };
        let now = read_state();
        if !is_signalled && now == seen {
            continue;
        }
        seen = now;
        let (certificate, key) = (certificate.clone(), key.clone());
        let read = move || Identity::load(&certificate, &key).and_then(|identity| identity.acceptor());
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(acceptor)) => {
                // There is no receiver any more once the server ends.
                let _ = current.send(acceptor);
                tracing::info!("certificate reloaded");
            }
            Ok(Err(error)) => tracing::warn!(
                error = error.full_message(),
                "new certificate is invalid; still using the old one"
            ),
            Err(_) => return,
        }
    }
}

/// Identifies a version of a file: device, inode and time of change; none while it is missing. Links are followed,
/// because some programs only replace those.
fn state(path: &Path) -> Option<(u64, u64, i64, i64)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

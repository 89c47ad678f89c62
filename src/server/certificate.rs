//! The certificate in use. Its files are read again on SIGHUP, and soon after they have changed; connections that are open keep
//! the one they began with. Files that are of no use change nothing: the log tells, and the certificate in use stays.

use super::tls::Identity;
use crate::error::{Error, Result};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at.
const PAUSE: Duration = Duration::from_secs(5);

/// What accepts connections, now and whenever it is asked again; none without TLS. From then on SIGHUP ends nothing.
pub(super) fn kept(identity: Option<Identity>) -> Result<Option<watch::Receiver<TlsAcceptor>>> {
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

/// Reads the files again when there is a reason.
async fn heed(mut hangup: Signal, kept: Option<(Files, watch::Sender<TlsAcceptor>)>) {
    let Some(((certificate, key), current)) = kept else {
        while hangup.recv().await.is_some() {
            tracing::info!("told to read its certificate again, and it has none of a file");
        }
        return;
    };
    let look = || (state(&certificate), state(&key));
    let mut seen = look();
    loop {
        let told = tokio::select! {
            told = hangup.recv() => told.is_some(),
            () = tokio::time::sleep(PAUSE) => false,
        };
        let now = look();
        if !told && now == seen {
            continue;
        }
        seen = now;
        let (certificate, key) = (certificate.clone(), key.clone());
        let read = move || Identity::load(&certificate, &key).and_then(|identity| identity.acceptor());
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(acceptor)) => {
                // Nobody listens any more once the server ends.
                let _ = current.send(acceptor);
                tracing::info!("uses the certificate that is in its file now");
            }
            Ok(Err(error)) => tracing::warn!(
                error = error.full_message(),
                "keeps its certificate: what is in the files now is of no use"
            ),
            Err(_) => return,
        }
    }
}

/// What tells a file from its successor; none while there is none. Links are followed: some programs change only those.
fn state(path: &Path) -> Option<(u64, u64, i64, i64)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

//! A SQLite file that a libSQL server process serves: what keeps all others from it meanwhile, and how it comes back.
//!
//! The process works on a copy in a folder beside the file. As long as it has the newest state, the file's header has a mark with
//! which no SQLite opens it. The mark alone says which state is the newest: that in the folder, or that in the file. So whatever is
//! killed, there is one truth, and nobody takes an older state for it.
//!
//! ```text
//! FILE-torso/lock          held by the torso that serves the file, for as long as it lives
//! FILE-torso/session.json  how far it is, and where the newest state is
//! FILE-torso/server/       the server's own files
//! FILE-torso/result.db     the newest state, on its way back
//! ```
//!
//! [`TakenFile`] is the way there, [`ServedFile`] the way back. Whatever else opens or removes databases' files in
//! torso calls [`check_free`] first, which brings back what a killed torso has left. Running the server is `commands/dev`'s.

mod openers;
mod restore;
mod served;
mod session;
mod taken;

pub use served::ServedFile;
pub use taken::{TakenFile, accept_older};

use crate::error::{Code, Error, Result};
use crate::sync::lock;
use restore::Restored;
use session::{SessionLock, read_record, session_folder};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a torso may take that is about to serve a file, or to bring it back.
const PATIENCE: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(20);

/// What was brought back on the way, for [`take_notices`].
static RESTORED: Mutex<Vec<Restored>> = Mutex::new(Vec::new());

/// Makes sure that a file is in nobody's service, and has its newest state: what a killed torso has left is brought back. The file
/// need not exist. Costs two calls to the system where nothing was served.
///
/// # Errors
///
/// `database_busy` while the file is served; why the newest state cannot be brought back.
pub fn check_free(path: &Path) -> Result<()> {
    let path = real_path(path);
    let folder = session_folder(&path);
    let begun = Instant::now();
    while folder.is_dir() {
        if let Some(held) = SessionLock::try_acquire(&folder)? {
            if let Some(restored) = restore::restore(&path, &folder)? {
                lock(&RESTORED).push(restored);
            }
            return held.remove_folder();
        }
        let served = read_record(&folder)
            .ok()
            .flatten()
            .filter(|record| record.url.is_some());
        if served.is_some() || begun.elapsed() > PATIENCE {
            return Err(busy(
                &path,
                served.as_ref().and_then(|record| record.url.as_deref()),
                &folder,
            ));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Sentences about what was brought back since the last call.
#[must_use]
pub fn take_notices() -> Vec<String> {
    std::mem::take(&mut *lock(&RESTORED))
        .iter()
        .map(Restored::to_string)
        .collect()
}

/// The file itself where a link leads to one; the path as it is where there is none.
fn real_path(path: &Path) -> PathBuf {
    std::fs::canonicalize(path)
        .or_else(|_| {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let parent = std::fs::canonicalize(parent.unwrap_or(Path::new(".")))?;
            Ok::<_, std::io::Error>(
                path.file_name()
                    .map_or_else(|| parent.clone(), |name| parent.join(name)),
            )
        })
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_owned())
}

/// The error of whoever wants a file that is served.
fn busy(path: &Path, url: Option<&str>, folder: &Path) -> Error {
    let process = SessionLock::holder(folder).map_or(String::new(), |pid| format!(" (process {pid})"));
    let file = path.display();
    match url {
        Some(url) => Error::new(
            Code::DatabaseBusy,
            format!("{file} is served by torso dev{process} at {url}"),
        )
        .hint(format!(
            "work on it there, as in torso db shell {url}; or stop torso dev first"
        )),
        None => Error::new(
            Code::DatabaseBusy,
            format!("torso dev{process} is about to serve {file}, or to put it back"),
        )
        .hint("try again in a moment"),
    }
}

/// A failure to write something of a session's.
fn unwritable(path: &Path) -> impl Fn(std::io::Error) -> Error + '_ {
    move |error| Error::io(error, format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests;

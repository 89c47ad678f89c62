//! The catalog's lock: one process changes a catalog at a time. It is a file lock, which the system releases when the
//! process ends, however it ends. The holder's process id is in the file, for people.

use crate::engine::disk;
use crate::error::{Code, Error, Result};
use std::fs::{File, TryLockError};
use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// The lock file that a server holds as long as it runs.
pub const SERVER: &str = "server.lock";

/// How long a mutation waits for the lock.
const PATIENCE: Duration = Duration::from_secs(60);

/// A held lock; dropping it releases it.
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock. Fails with `catalog_busy` after a minute.
    pub fn acquire(path: &Path) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        let file = disk::private_file(path)?;
        let mut pause = Duration::from_micros(200);
        while !attempt(&file, path)? {
            if Instant::now() >= deadline {
                return Err(busy(path));
            }
            // The jitter keeps waiters that woke up together apart.
            std::thread::sleep(pause.mul_f64(0.5 + fastrand::f64()));
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        Self::taken(file)
    }

    /// Takes the lock if it is free.
    pub fn try_acquire(path: &Path) -> Result<Option<Self>> {
        let file = disk::private_file(path)?;
        if attempt(&file, path)? {
            Self::taken(file).map(Some)
        } else {
            Ok(None)
        }
    }

    fn taken(mut file: File) -> Result<Self> {
        // The process id is only for people, so a failure to write it (a full disk) is ignored.
        let _ = file
            .rewind()
            .and_then(|()| writeln!(file, "{:<10}", std::process::id()));
        Ok(Self { file })
    }

    /// The process id of the lock's holder, from the file; none if it is free.
    pub fn holder(path: &Path) -> Result<Option<String>> {
        let Ok(file) = File::open(path) else { return Ok(None) };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(_) => Ok(std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file would release it too, unless a child process has inherited the file.
        let _ = self.file.unlock();
    }
}

fn attempt(file: &File, path: &Path) -> Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(Error::io(error, format!("cannot lock {}", path.display()))),
    }
}

fn busy(path: &Path) -> Error {
    let who = Lock::holder(path)
        .ok()
        .flatten()
        .map_or(String::new(), |pid| format!(" (process {pid})"));
    Error::new(
        Code::CatalogBusy,
        format!("another torso{who} has been changing the catalog for a minute"),
    )
    .hint("wait for it to end; if it hangs, stop it, then try again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalog_lock_is_held_by_one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.lock");
        assert_eq!(Lock::holder(&path).unwrap(), None);
        let lock = Lock::acquire(&path).unwrap();
        assert!(Lock::try_acquire(&path).unwrap().is_none());
        assert_eq!(Lock::holder(&path).unwrap(), Some(std::process::id().to_string()));
        drop(lock);
        assert_eq!(Lock::holder(&path).unwrap(), None);
        assert!(Lock::try_acquire(&path).unwrap().is_some());
    }
}

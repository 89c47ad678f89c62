//! The catalog's lock: one process changes a catalog at a time. The system releases it when a process ends, however it
//! ends. The holder's process id is written into the file, for people.

use crate::engine::disk;
use crate::error::{Code, Error, Result};
use std::fs::{File, TryLockError};
use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// The file in a data directory that a server holds for life.
pub const SERVER: &str = "server.lock";

/// How long a mutation waits for another one.
const PATIENCE: Duration = Duration::from_secs(60);

/// Held while it lives.
pub struct Lock {
    file: File,
}

impl Lock {
    /// Waits for the lock, for at most a minute.
    pub fn acquire(path: &Path) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        let file = disk::private_file(path)?;
        let mut pause = Duration::from_micros(200);
        while !attempt(&file, path)? {
            if Instant::now() >= deadline {
                return Err(busy(path));
            }
            // Waiters that woke up together should not meet again.
            std::thread::sleep(pause.mul_f64(0.5 + fastrand::f64()));
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        Self::taken(file)
    }

    /// The lock, if it is free now.
    pub fn try_acquire(path: &Path) -> Result<Option<Self>> {
        let file = disk::private_file(path)?;
        if attempt(&file, path)? {
            Self::taken(file).map(Some)
        } else {
            Ok(None)
        }
    }

    fn taken(mut file: File) -> Result<Self> {
        // A wrong number in the file confuses only a reader of the file, so a full disk is no reason to stop.
        let _ = file
            .rewind()
            .and_then(|()| writeln!(file, "{:<10}", std::process::id()));
        Ok(Self { file })
    }

    /// Who holds the lock now, as told by the file; none when it is free.
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
        // Closing the file releases it too; a child process that inherited the file must not keep it.
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
    .hint("wait for it to end, or look whether it hangs, then try again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
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

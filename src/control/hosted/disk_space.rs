//! The room on the disk of the data directory: how much is free, and a reserve for deleting. What is deleted has to be recorded
//! first, which a full disk would refuse.

use super::{Hosted, Shared};
use crate::control::findings::{Finding, Severity};
use crate::engine::disk;
use crate::error::{Code, Error, Result};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// The file that takes the room of the reserve.
const FILE: &str = "reserve";
/// Bytes of the reserve.
const RESERVE: u64 = 4 << 20;
/// With so few free bytes the disk is full: a write of some pages may still succeed.
const FULL: u64 = 1 << 20;
/// With so many free bytes there is room for a reserve.
const ROOMY: u64 = 4 * RESERVE;

/// What was last said of the disk.
#[derive(Default)]
pub(super) struct DiskWatch {
    is_full: AtomicBool,
}

impl Shared {
    fn reserve(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// Bytes that are free on the disk of the data directory, if the system tells.
    pub(super) fn free_bytes(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.dir).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Logs when the disk becomes full and when it is not any more, and makes the reserve when there is room for it.
    pub(super) fn watch_disk(&self) {
        let Some(free) = self.free_bytes() else { return };
        let is_full = free < FULL;
        if self.disk_watch.is_full.swap(is_full, Ordering::SeqCst) != is_full {
            let (dir, free_bytes) = (self.dir.display(), free);
            if is_full {
                tracing::error!(%dir, free_bytes, "the disk of the data directory is full; databases cannot be written to");
            } else {
                tracing::info!(%dir, free_bytes, "the disk of the data directory has room again");
            }
        }
        if free >= ROOMY && !self.has_reserve() {
            // It is tried again in the next round.
            let _ = self.make_reserve();
        }
    }

    fn has_reserve(&self) -> bool {
        std::fs::metadata(self.reserve()).is_ok_and(|found| found.len() == RESERVE)
    }

    fn make_reserve(&self) -> Result<()> {
        let path = self.reserve();
        let failed = |error| Error::io(error, format!("cannot write {}", path.display()));
        let mut file = disk::private_file(&path)?;
        let zeros = vec![0; 1 << 16];
        file.set_len(0).map_err(failed)?;
        let written = (0..RESERVE / zeros.len() as u64).try_for_each(|_| file.write_all(&zeros));
        if written.is_err() {
            disk::remove(&path)?;
        }
        written.map_err(failed)
    }

    /// Fails with `unavailable` if the disk is full.
    pub(super) fn check_disk(&self) -> Result<()> {
        match self.free_bytes() {
            Some(free) if free < FULL => Err(Error::new(
                Code::Unavailable,
                "the disk of the server's data directory is full: databases are read, and cannot be written to",
            )
            .hint("free some space, or destroy databases that nobody needs: torso db destroy NAME")),
            _ => Ok(()),
        }
    }

    /// What `torso doctor` says of a disk that has little room.
    pub(super) fn disk_finding(&self) -> Option<Finding> {
        let free = self.free_bytes()?;
        let (severity, fix) = match free {
            free if free < FULL => (
                Severity::Error,
                "free some space, or destroy databases that nobody needs: torso db destroy NAME",
            ),
            free if free < ROOMY => (Severity::Warning, "free some space, or move the data directory"),
            _ => return None,
        };
        Some(Finding {
            code: "disk_full".to_owned(),
            severity,
            message: format!(
                "the disk of the server's data directory has {} MiB that are free",
                free >> 20
            ),
            fix: Some(fix.to_owned()),
        })
    }
}

impl Hosted {
    /// Bytes that are free on the disk of the data directory, if the system tells.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        self.shared.free_bytes()
    }

    /// Gives the reserve up if the disk is full, for a request that deletes something.
    pub fn make_room_to_delete(&self) {
        let is_full = self.shared.free_bytes().is_some_and(|free| free < FULL);
        if is_full && self.shared.has_reserve() {
            // Without it the request fails as it would have.
            let _ = disk::remove(&self.shared.reserve());
            tracing::warn!("the disk is full: its reserve is used for a request that deletes something");
        }
    }
}

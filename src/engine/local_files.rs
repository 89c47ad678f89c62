//! What can be done with an instance only where its files are on this machine. An engine has it for those of its instances of
//! which that is so ([`Engine::local_files`](super::Engine::local_files)); all else an instance elsewhere can do as well.

use super::{OpenContent, Site, file};
use crate::error::{Code, Error, Result};
use std::path::{Path, PathBuf};

/// Works with the files of instances.
///
/// Errors are those of [`Engine`](super::Engine).
pub trait LocalFiles {
    /// The file that holds the instance.
    fn path(&self, at: &Site) -> PathBuf;
    /// Moves a SQLite file into place as the primary, unless there is one. The seed is gone afterwards.
    fn adopt(&self, seed: &Path, at: &Site) -> Result<()>;
    /// Writes a consistent copy of an instance to a new file.
    fn snapshot(&self, from: &Site, to: &Path) -> Result<()>;
    /// The same, whether or not this process serves the instance.
    fn export(&self, from: &Site, to: &Path) -> Result<()> {
        self.snapshot(from, to)
    }
    /// Gives the free pages of a primary's file back to the disk, in its place. Fails with `database_busy` while an application
    /// writes or reads.
    fn compact(&self, at: &Site) -> Result<()> {
        Err(Error::new(
            Code::Internal,
            format!("the files of {} belong to a process", at.database_name()),
        ))
    }
    /// Writes a copy of a primary without free pages to a new file, while nothing is written to it.
    fn compact_to(&self, from: &Site, to: &Path) -> Result<()> {
        self.snapshot(from, to)
    }
    /// Bytes of all pages of a primary, without its log.
    fn content_size(&self, at: &Site) -> Option<u64> {
        file::content_bytes(&self.path(at))
    }
    /// Fails where a file could not be adopted as a primary: `disk_full` if there is no room for it, and as
    /// [`LocalFiles::adopt`].
    fn check_adoptable(&self, _seed: &Path, _at: &Site) -> Result<()> {
        Ok(())
    }
    /// Opens the content of a primary and of its replicas, all at one position, so that it can be compared while writes go on.
    /// Fails with `timeout` if they do not come to one position.
    fn open_content(&self, primary: &Site, replicas: &[Site]) -> Result<OpenContent> {
        let paths: Vec<PathBuf> = std::iter::once(primary)
            .chain(replicas)
            .map(|site| self.path(site))
            .collect();
        Ok(Box::new(move |depth| file::comparison::compare_now(&paths, depth)))
    }
    /// Moves an instance's file aside, complete, under a new name beside it.
    fn set_aside(&self, at: &Site) -> Result<PathBuf>;
    /// Writes beside a file that was set aside which rows it has that the primary at `now` has not. Reads both as a whole, and holds
    /// up nobody.
    fn report_divergence(&self, _aside: &Path, _now: &Site) -> Result<()> {
        Ok(())
    }
}

//! A file whose newest state a server has, until it is put back.

use super::restore::restore;
use super::session::{SessionLock, SessionRecord};
use crate::error::Result;
use std::path::{Path, PathBuf};

/// A file that is served. Dropping it leaves that to the next command that opens the file.
#[derive(Debug)]
pub struct ServedFile {
    path: PathBuf,
    folder: PathBuf,
    record: SessionRecord,
    session: SessionLock,
}

impl ServedFile {
    pub(super) fn new(path: PathBuf, folder: PathBuf, record: SessionRecord, session: SessionLock) -> Self {
        Self {
            path,
            folder,
            record,
            session,
        }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records where the file can be reached, for messages to those who want to open it.
    pub fn publish(&mut self, url: &str) -> Result<()> {
        self.record.url = Some(url.to_owned());
        self.record.write(&self.folder)
    }

    /// Puts the newest state in the place of the file, once the server's process has ended, and ends the session. Returns a
    /// sentence if it had to go elsewhere, because somebody has put another file there.
    pub fn put_back(self) -> Result<Option<String>> {
        let restored = restore(&self.path, &self.folder)?;
        self.session.remove_folder()?;
        Ok(restored
            .filter(|restored| restored.is_aside())
            .map(|restored| restored.to_string()))
    }
}

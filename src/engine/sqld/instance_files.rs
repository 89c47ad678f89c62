//! Where the state of an instance is on disk, for those who take the file over when its process has ended, and how far its log is.

use super::role::db_path;
use super::{SqldEngine, files};
use crate::engine::{Frame, Site};
use std::path::PathBuf;

impl SqldEngine {
    /// Where the log of an instance ends; none while no process of this engine has it, or that is not known.
    #[must_use]
    pub fn frame(&self, at: &Site) -> Option<Frame> {
        self.node(&at.dir.join(at.pool.as_ref()?))?.frame(&at.instance())
    }

    /// The file of an instance, and the lock that its process holds as long as it lives; none if there is no instance.
    #[must_use]
    pub fn files(&self, at: &Site) -> Option<(PathBuf, PathBuf)> {
        let dir = self.find(at).ok().flatten()?;
        Some((files::database(&db_path(&dir), &at.instance()), dir.join("lock")))
    }
}

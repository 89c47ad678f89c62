//! What a control plane knows for backups: whether a database has changed, and when it was last backed up.

use crate::control::names::DatabaseName;
use crate::control::types::LastBackup;
use crate::error::Result;

/// What makes backups cheap and visible. A plane that cannot tell does nothing here: then each backup is made anew.
pub trait BackupOperations {
    /// A text that differs whenever a database's content may differ, found out without reading the content. None where that is
    /// not known.
    fn content_position(&self, _name: &DatabaseName) -> Result<Option<String>> {
        Ok(None)
    }

    /// Records a backup, which [`DatabaseOperations::get_database`](crate::control::DatabaseOperations) then tells.
    fn note_backup(&self, _name: &DatabaseName, _backup: &LastBackup) -> Result<()> {
        Ok(())
    }
}

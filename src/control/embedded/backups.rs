//! What is known about backups of databases: their positions, and a note for each of its last backup.
//!
//! ```text
//! <data>/backups/<id>.json     the last backup of a database, wherever it is
//! ```

use super::Embedded;
use super::view::database_not_found;
use crate::control::BackupOperations;
use crate::control::names::{DatabaseId, DatabaseName};
use crate::control::types::{Database, LastBackup};
use crate::engine::{Position, disk};
use crate::error::{Code, Error, Result};
use crate::private_files;
use jiff::Timestamp;
use std::path::PathBuf;
use std::time::Duration;

/// Two changes of a file within this time may get the same time stamp.
const GRAIN: Duration = Duration::from_millis(25);

impl BackupOperations for Embedded {
    fn content_position(&self, name: &DatabaseName) -> Result<Option<String>> {
        let Some(view) = self.read()? else {
            return Err(database_not_found(name, std::iter::empty()));
        };
        let row = view.database(name)?;
        let site = view.site(&row.primary, &row);
        let Some(running) = self.engine.running(&site)? else {
            return Ok(None);
        };
        let mut position = running.position;
        if !is_conclusive(&position) {
            std::thread::sleep(GRAIN);
            match self.engine.running(&site)? {
                Some(later) if later.position == position => position = later.position,
                _ => return Ok(None),
            }
        }
        if position.uncertain {
            return Ok(None);
        }
        serde_json::to_string(&position)
            .map(Some)
            .map_err(|error| Error::new(Code::Internal, "cannot write a position").caused_by(error))
    }

    fn note_backup(&self, name: &DatabaseName, backup: &LastBackup) -> Result<()> {
        let change = self.change()?;
        let row = change.database(name)?;
        let dir = self.backups_dir();
        disk::private_dir(&dir)?;
        let text = serde_json::to_vec(backup)
            .map_err(|error| Error::new(Code::Internal, "cannot write a note").caused_by(error))?;
        let path = self.backup_note(&row.id);
        let is_first = !path.exists();
        disk::write_durably(&path, &text)?;
        if !is_first {
            return Ok(());
        }
        // Those of databases that are gone.
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let id = name
                .to_str()
                .and_then(|name| name.strip_suffix(".json")?.parse::<DatabaseId>().ok());
            let is_gone = match &id {
                Some(id) => change.catalog.database_by_id(id)?.is_none(),
                // Left by a loss of power.
                None => name.to_string_lossy().ends_with(private_files::UNFINISHED),
            };
            if is_gone {
                disk::remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

impl Embedded {
    fn backups_dir(&self) -> PathBuf {
        self.dir.join("backups")
    }

    fn backup_note(&self, id: &DatabaseId) -> PathBuf {
        self.backups_dir().join(format!("{id}.json"))
    }

    /// A database with its last backup. A note that cannot be read is as good as none: it is only shown.
    pub(super) fn with_last_backup(&self, mut database: Database) -> Result<Database> {
        let text = std::fs::read(self.backup_note(&database.id)).ok();
        database.last_backup = text.and_then(|text| serde_json::from_slice(&text).ok());
        Ok(database)
    }
}

/// Whether a further change would be seen in the position.
fn is_conclusive(position: &Position) -> bool {
    if position.frame.is_some() {
        return true;
    }
    let age = Timestamp::now().as_nanosecond() - i128::from(position.last_change_ns());
    // One that is in the future by another clock does not get older by waiting.
    age < 0 || age >= i128::try_from(GRAIN.as_nanos()).unwrap_or(0)
}

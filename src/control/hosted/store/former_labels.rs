//! Hostnames that databases had before they were renamed or moved.

use super::AccountStore;
use crate::control::names::{DatabaseId, LocationCode};
use crate::control::store::{parsed, parsed_maybe};
use crate::error::Result;
use jiff::Timestamp;
use rusqlite::params;

#[derive(Debug, Clone, PartialEq)]
pub struct FormerLabelRow {
    pub label: String,
    /// The database that it had, or the copy that took that one's place.
    pub database_id: DatabaseId,
    /// Of an instance's label.
    pub location: Option<LocationCode>,
    /// The id of the organization that the database was in; none if it was only renamed.
    pub moved_from: Option<String>,
    pub until: Timestamp,
}

impl AccountStore {
    /// Those that still count at a time.
    pub fn former_labels(&self, at: Timestamp) -> Result<Vec<FormerLabelRow>> {
        self.rows(
            "SELECT label, database_id, location, moved_from, until FROM former_labels WHERE unixepoch(until) > ?1",
            [at.as_second()],
            |row| {
                Ok(FormerLabelRow {
                    label: row.get(0)?,
                    database_id: parsed(row, 1)?,
                    location: parsed_maybe(row, 2)?,
                    moved_from: row.get(3)?,
                    until: parsed(row, 4)?,
                })
            },
        )
    }

    /// Takes the place of what the label was before. Forgets those whose time was over at a time.
    pub fn insert_former_label(&self, row: &FormerLabelRow, at: Timestamp) -> Result<()> {
        self.execute(
            "DELETE FROM former_labels WHERE unixepoch(until) <= ?1",
            [at.as_second()],
        )?;
        self.execute(
            "INSERT OR REPLACE INTO former_labels (label, database_id, location, moved_from, until)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                row.label,
                row.database_id.as_str(),
                row.location.as_ref().map(LocationCode::as_str),
                row.moved_from,
                row.until.to_string()
            ],
        )?;
        Ok(())
    }
}

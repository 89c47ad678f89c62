//! The catalog's instances of earlier epochs: what promotions have left to be done.

use super::{Catalog, parsed};
use crate::control::names::{DatabaseId, LocationCode};
use crate::control::store::count;
use crate::error::Result;
use rusqlite::params;

/// An instance of an earlier epoch of its database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FormerInstance {
    pub location: LocationCode,
    pub epoch: u64,
    /// The name of its pool then.
    pub pool: String,
    pub was_primary: bool,
    /// It may have rows that its successor lacks, so its files are set aside when they are there, and not removed. That may be
    /// never: it is no pending work.
    pub is_kept: bool,
}

impl Catalog {
    /// The former instances of a database, by location and epoch.
    pub fn former_instances(&self, id: &DatabaseId) -> Result<Vec<FormerInstance>> {
        self.rows(
            "SELECT location, epoch, pool, role, is_kept FROM former_instances WHERE database_id = ?1
             ORDER BY location, epoch",
            [id.as_str()],
            |row| former_instance(row, 0),
        )
    }

    /// The former instances whose files are kept, of all databases that there are.
    pub fn retained_instances(&self) -> Result<Vec<(DatabaseId, FormerInstance)>> {
        self.rows(
            "SELECT database_id, location, epoch, pool, role, is_kept FROM former_instances
             WHERE is_kept = 1 AND database_id IN (SELECT id FROM databases) ORDER BY database_id, location, epoch",
            [],
            |row| Ok((parsed(row, 0)?, former_instance(row, 1)?)),
        )
    }

    /// All former instances, also of databases that there are no more.
    pub fn all_former_instances(&self) -> Result<Vec<(DatabaseId, FormerInstance)>> {
        self.rows(
            "SELECT database_id, location, epoch, pool, role, is_kept FROM former_instances
             ORDER BY database_id, location, epoch",
            [],
            |row| Ok((parsed(row, 0)?, former_instance(row, 1)?)),
        )
    }

    /// Waits no more for the files of former primaries at a location. Should they come back, they belong to no database.
    pub fn delete_retained_instances(&self, location: &LocationCode) -> Result<()> {
        self.execute(
            "DELETE FROM former_instances WHERE is_kept = 1 AND location = ?1",
            [location.as_str()],
        )?;
        Ok(())
    }

    pub fn add_former_instance(&self, id: &DatabaseId, former: &FormerInstance) -> Result<()> {
        self.execute(
            "INSERT OR REPLACE INTO former_instances (database_id, location, epoch, pool, role, is_kept)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                id.as_str(),
                former.location.as_str(),
                epoch_column(former.epoch),
                former.pool,
                if former.was_primary { "primary" } else { "replica" },
                former.is_kept,
            ],
        )?;
        Ok(())
    }

    /// Forgets all of them: in a copy of the catalog, whose directory has no files of theirs.
    #[cfg(feature = "server")]
    pub fn forget_former_instances(&self) -> Result<()> {
        self.execute("DELETE FROM former_instances", []).map(drop)
    }

    pub fn remove_former_instance(&self, id: &DatabaseId, location: &LocationCode, epoch: u64) -> Result<()> {
        self.execute(
            "DELETE FROM former_instances WHERE database_id = ?1 AND location = ?2 AND epoch = ?3",
            params![id.as_str(), location.as_str(), epoch_column(epoch)],
        )?;
        Ok(())
    }
}

/// Reads a former instance whose columns begin with this one.
fn former_instance(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<FormerInstance> {
    Ok(FormerInstance {
        location: parsed(row, first)?,
        epoch: count(row, first + 1)?,
        pool: row.get(first + 2)?,
        was_primary: row.get_ref(first + 3)?.as_str()? == "primary",
        is_kept: row.get(first + 4)?,
    })
}

/// An epoch as SQLite stores it.
pub fn epoch_column(epoch: u64) -> i64 {
    i64::try_from(epoch).unwrap_or(i64::MAX)
}

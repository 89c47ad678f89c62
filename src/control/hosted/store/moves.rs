//! Moves of databases between organizations that have begun and not ended.

use super::Records;
use crate::control::names::DatabaseId;
use crate::control::store::parsed;
use crate::error::Result;
use rusqlite::params;

/// A database on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct MoveRow {
    pub database_id: DatabaseId,
    pub organization_id: String,
    pub to_organization_id: String,
    /// The id that its copy has, or is to have.
    pub copy_id: DatabaseId,
    /// Whether its writes were blocked before.
    pub block_writes: bool,
}

impl Records {
    /// Writes down that a move begins, or begins anew with another copy.
    pub fn begin_move(&self, row: &MoveRow) -> Result<()> {
        self.execute(
            "INSERT OR REPLACE INTO moves (database_id, organization_id, to_organization_id, copy_id, block_writes)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                row.database_id.as_str(),
                row.organization_id,
                row.to_organization_id,
                row.copy_id.as_str(),
                row.block_writes
            ],
        )?;
        Ok(())
    }

    pub fn end_move(&self, database_id: &DatabaseId) -> Result<()> {
        self.execute("DELETE FROM moves WHERE database_id = ?1", [database_id.as_str()])?;
        Ok(())
    }

    pub fn moves(&self) -> Result<Vec<MoveRow>> {
        self.rows(
            "SELECT database_id, organization_id, to_organization_id, copy_id, block_writes FROM moves ORDER BY database_id",
            [],
            |row| {
                Ok(MoveRow {
                    database_id: parsed(row, 0)?,
                    organization_id: row.get(1)?,
                    to_organization_id: row.get(2)?,
                    copy_id: parsed(row, 3)?,
                    block_writes: row.get(4)?,
                })
            },
        )
    }
}

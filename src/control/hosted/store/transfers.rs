//! TransferLocks of databases and groups between organizations that have begun and not ended.

use super::AccountStore;
use crate::control::names::DatabaseId;
use crate::control::store::parsed;
use crate::error::Result;
use rusqlite::params;

/// A database on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct TransferRow {
    pub database_id: DatabaseId,
    pub organization_id: String,
    pub to_organization_id: String,
    /// The id that its copy has, or is to have.
    pub copy_id: DatabaseId,
    /// Whether its writes were blocked before.
    pub block_writes: bool,
}

/// A group on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupTransferRow {
    pub group_uuid: String,
    pub organization_id: String,
    pub to_organization_id: String,
    /// The uuid that the group there has, or is to have.
    pub copy_uuid: String,
}

impl AccountStore {
    /// Writes down that a move begins, or begins again with another copy.
    pub fn begin_transfer(&self, row: &TransferRow) -> Result<()> {
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

    pub fn end_transfer(&self, database_id: &DatabaseId) -> Result<()> {
        self.execute("DELETE FROM moves WHERE database_id = ?1", [database_id.as_str()])?;
        Ok(())
    }

    pub fn transfers(&self) -> Result<Vec<TransferRow>> {
        self.rows(
            "SELECT database_id, organization_id, to_organization_id, copy_id, block_writes FROM moves ORDER BY database_id",
            [],
            |row| {
                Ok(TransferRow {
                    database_id: parsed(row, 0)?,
                    organization_id: row.get(1)?,
                    to_organization_id: row.get(2)?,
                    copy_id: parsed(row, 3)?,
                    block_writes: row.get(4)?,
                })
            },
        )
    }

    /// Writes down that a group's move begins, or begins again.
    pub fn begin_group_transfer(&self, row: &GroupTransferRow) -> Result<()> {
        self.execute(
            "INSERT OR REPLACE INTO group_moves (group_uuid, organization_id, to_organization_id, copy_uuid)
             VALUES (?1, ?2, ?3, ?4)",
            [
                &row.group_uuid,
                &row.organization_id,
                &row.to_organization_id,
                &row.copy_uuid,
            ],
        )?;
        Ok(())
    }

    /// Forgets the moves from and to a group.
    pub fn end_group_transfer(&self, group_uuid: &str) -> Result<()> {
        self.execute(
            "DELETE FROM group_moves WHERE group_uuid = ?1 OR copy_uuid = ?1",
            [group_uuid],
        )?;
        Ok(())
    }

    pub fn group_transfers(&self) -> Result<Vec<GroupTransferRow>> {
        self.rows(
            "SELECT group_uuid, organization_id, to_organization_id, copy_uuid FROM group_moves ORDER BY group_uuid",
            [],
            |row| {
                Ok(GroupTransferRow {
                    group_uuid: row.get(0)?,
                    organization_id: row.get(1)?,
                    to_organization_id: row.get(2)?,
                    copy_uuid: row.get(3)?,
                })
            },
        )
    }
}

//! The schedules of backups.

use super::AccountStore;
use crate::backup::Retention;
use crate::control::store::{count, parsed};
use crate::error::Result;
use rusqlite::params;

/// A group, as a schedule names it: neither id changes when something is renamed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    pub organization_id: String,
    pub group_id: String,
}

/// How often backups are made of a group or of the whole server, and which are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct BackupScheduleRow {
    /// None for the whole server.
    pub group: Option<GroupKey>,
    pub every_seconds: u64,
    pub retention: Retention,
}

impl AccountStore {
    /// All schedules, that of the whole server first.
    pub fn backup_schedules(&self) -> Result<Vec<BackupScheduleRow>> {
        self.rows(
            "SELECT organization_id, group_id, every_seconds, retention FROM backup_schedules
             ORDER BY organization_id, group_id",
            [],
            |row| {
                let (organization_id, group_id): (String, String) = (row.get(0)?, row.get(1)?);
                let group = GroupKey {
                    organization_id,
                    group_id,
                };
                Ok(BackupScheduleRow {
                    group: (!group.group_id.is_empty()).then_some(group),
                    every_seconds: count(row, 2)?,
                    retention: parsed(row, 3)?,
                })
            },
        )
    }

    pub fn set_backup_schedule(&self, row: &BackupScheduleRow) -> Result<()> {
        let (organization, group) = ids(row.group.as_ref());
        self.execute(
            "INSERT OR REPLACE INTO backup_schedules (organization_id, group_id, every_seconds, retention)
             VALUES (?1, ?2, ?3, ?4)",
            params![
                organization,
                group,
                i64::try_from(row.every_seconds).unwrap_or(i64::MAX),
                row.retention.to_string()
            ],
        )?;
        Ok(())
    }

    /// Returns whether there was one.
    pub fn delete_backup_schedule(&self, group: &GroupKey) -> Result<bool> {
        let (organization, group) = ids(Some(group));
        let deleted = self.execute(
            "DELETE FROM backup_schedules WHERE organization_id = ?1 AND group_id = ?2",
            [organization, group],
        )?;
        Ok(deleted > 0)
    }
}

/// The ids in the table: empty for the whole server.
fn ids(group: Option<&GroupKey>) -> (&str, &str) {
    group.map_or(("", ""), |group| (&group.organization_id, &group.group_id))
}

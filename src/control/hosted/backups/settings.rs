//! The schedules of backups, as the operator of a server sees and sets them.

use crate::backup::Retention;
use crate::control::GroupOperations as _;
use crate::control::accounts::{BackupSchedule, BackupScheduleChange, ScheduledGroup};
use crate::control::hosted::Shared;
use crate::control::hosted::store::{BackupScheduleRow, GroupKey, OrganizationRow};
use crate::control::types::Group;
use crate::error::{Code, Error, Result};
use crate::sync::lock;

/// The longest time from one backup to the next, in seconds: ten years.
const LONGEST_INTERVAL: u64 = 10 * 366 * 24 * 3600;

impl Shared {
    /// A group that has a schedule, and its organization; none if it was deleted.
    pub(super) fn scheduled_group(&self, key: &GroupKey) -> Result<Option<(OrganizationRow, Group)>> {
        let Some(organization) = self.records().organization_by_id(&key.organization_id)? else {
            return Ok(None);
        };
        let groups = self.plane_of(&organization)?.list_groups()?;
        let found = groups.into_iter().find(|group| group.uuid == key.group_id);
        Ok(found.map(|group| (organization, group)))
    }

    /// All schedules that are followed, that of the whole server first. None where the server has no place for backups.
    pub(in crate::control::hosted) fn backup_schedules(&self) -> Result<Vec<BackupSchedule>> {
        let mut schedules = Vec::new();
        if lock(&self.backups.status).is_none() {
            return Ok(schedules);
        }
        for row in self.backup_schedule_rows()? {
            let group = match &row.group {
                None => None,
                Some(key) => match self.scheduled_group(key)? {
                    Some((organization, group)) => Some((organization.slug, group.name)),
                    None => continue,
                },
            };
            schedules.push(self.to_schedule(
                row,
                group.map(|(organization, group)| ScheduledGroup { organization, group }),
            ));
        }
        Ok(schedules)
    }

    fn to_schedule(&self, row: BackupScheduleRow, of: Option<ScheduledGroup>) -> BackupSchedule {
        let (mut last_backup_at, mut failing) = (None, false);
        self.with_schedule_status(row.group.as_ref(), |status| {
            last_backup_at = status.last_success;
            failing = status.failure.is_some();
        });
        let (organization, group) = of.map(|of| (of.organization, of.group)).unzip();
        BackupSchedule {
            organization,
            group,
            every_seconds: row.every_seconds,
            keep: row.retention.to_string(),
            last_backup_at,
            failing,
        }
    }

    /// Sets when backups are made, and which are kept. What the change does not say stays, or is as for the whole server.
    pub(in crate::control::hosted) fn set_backup_schedule(
        &self,
        change: &BackupScheduleChange,
    ) -> Result<BackupSchedule> {
        if lock(&self.backups.status).is_none() {
            return Err(Error::new(Code::Conflict, "the server has no place for backups")
                .hint("start it with torso server --backup-to DESTINATION"));
        }
        let of = change.of()?;
        let key = of.as_ref().map(|of| self.group_key(of)).transpose()?;
        let rows = self.backup_schedule_rows()?;
        let set = rows.into_iter().find(|row| row.group == key);
        let mut row = set.map_or_else(|| self.server_schedule(), Ok)?;
        row.group = key;
        row.every_seconds = change.every_seconds.unwrap_or(row.every_seconds);
        if let Some(keep) = &change.keep {
            row.retention = keep.parse::<Retention>()?;
        }
        self.store_schedule(&row)?;
        self.backups.wake();
        Ok(self.to_schedule(row, of))
    }

    /// Stores a schedule, if backups can be made as often as it says.
    pub(super) fn store_schedule(&self, row: &BackupScheduleRow) -> Result<()> {
        if !(1..=LONGEST_INTERVAL).contains(&row.every_seconds) {
            return Err(Error::new(
                Code::InvalidValue,
                format!("backups cannot be made every {} seconds", row.every_seconds),
            )
            .hint("give one second to ten years, such as 6h or 1d"));
        }
        let records = self.records();
        records.write(|| records.set_backup_schedule(row))
    }

    /// Has a group be backed up with the server alone. Its backups stay.
    pub(in crate::control::hosted) fn remove_backup_schedule(&self, of: &ScheduledGroup) -> Result<()> {
        let key = self.group_key(of)?;
        let records = self.records();
        if !records.write(|| records.delete_backup_schedule(&key))? {
            return Err(Error::new(
                Code::SettingNotFound,
                format!("group {of} has no schedule of backups of its own"),
            )
            .hint("torso server schedules list shows the schedules"));
        }
        drop(records);
        self.backups.wake();
        Ok(())
    }

    fn group_key(&self, of: &ScheduledGroup) -> Result<GroupKey> {
        let slug = of.organization.as_str();
        let organization = self.records().organization(slug)?;
        let organization =
            organization.ok_or_else(|| crate::control::hosted::organization::organization_not_found(slug))?;
        let group = self.plane_of(&organization)?.get_group(&of.group)?;
        Ok(GroupKey {
            organization_id: organization.id,
            group_id: group.uuid,
        })
    }
}

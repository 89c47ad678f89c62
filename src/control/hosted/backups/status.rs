//! What is known of a server's backups since its start, and who says so: metrics, the log, `torso db show` and `torso doctor`.

use super::copy::BackupReport;
use super::databases::FailedCopy;
use crate::backup::Manifest;
use crate::control::findings::{Finding, Severity};
use crate::control::hosted::Shared;
use crate::control::hosted::store::GroupKey;
use crate::control::types::{Database, Group, LastBackup};
use crate::error::Error;
use crate::sync::lock;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// What is known, once backups are made. It is in memory only: the place of the backups tells the rest.
#[derive(Debug, Clone, Default)]
pub struct BackupStatus {
    /// Of the whole server.
    pub server: ScheduleStatus,
    /// Of groups that have a schedule of their own.
    pub groups: HashMap<GroupKey, ScheduleStatus>,
    /// The last backup of each database, by its id.
    pub databases: HashMap<String, LastBackup>,
}

/// The backups of one schedule.
#[derive(Debug, Clone, Default)]
pub struct ScheduleStatus {
    pub every: Duration,
    /// When the last whole backup was made, or was found to have everything.
    pub last_success: Option<Timestamp>,
    /// Databases in it.
    pub databases: usize,
    /// Bytes that the last one stored.
    pub stored_bytes: u64,
    /// How long the last one took.
    pub seconds: f64,
    /// How often one failed since the start, and why the last one did; none if it did not.
    pub failures: u64,
    pub failure: Option<String>,
    /// How many databases the last one could not copy.
    pub skipped: usize,
}

/// The status; none where the server has no place for backups.
pub(in crate::control::hosted) type SharedBackupStatus = Mutex<Option<BackupStatus>>;

impl BackupStatus {
    fn schedule(&mut self, group: Option<&GroupKey>) -> &mut ScheduleStatus {
        match group {
            None => &mut self.server,
            Some(group) => self.groups.entry(group.clone()).or_default(),
        }
    }

    /// Takes over what the last backup of a schedule says about itself.
    pub(super) fn note_last(&mut self, group: Option<&GroupKey>, last: &Manifest) {
        let schedule = self.schedule(group);
        schedule.last_success = Some(last.created_at);
        schedule.databases = last.included().len();
        self.note_databases(last, last.created_at, &[]);
    }

    /// Notes the databases of a backup whose content was in it at a time: all but those that could not be copied.
    fn note_databases(&mut self, manifest: &Manifest, at: Timestamp, failures: &[FailedCopy]) {
        for database in manifest.included() {
            let is_older = self.databases.get(&database.id).is_some_and(|known| known.at >= at);
            if is_older || failures.iter().any(|failed| failed.database_id == database.id) {
                continue;
            }
            let backup = LastBackup {
                id: database.backup.to_string(),
                at,
                to: "the server's backups".to_owned(),
            };
            self.databases.insert(database.id.clone(), backup);
        }
    }
}

impl ScheduleStatus {
    /// Whether the last backup is older than it may be.
    fn is_late(&self, now: Timestamp) -> bool {
        let longest = (self.every * 2).as_secs_f64();
        self.last_success
            .is_none_or(|last| now.duration_since(last).as_secs_f64() > longest)
    }

    /// What to say about it. Its cause of failure is not for everybody: it may name a bucket.
    fn findings(&self, what: &str) -> Vec<Finding> {
        let (severity, message) = match (&self.failure, self.last_success) {
            (Some(_), Some(last)) => (
                Severity::Warning,
                format!("backups of {what} fail since the last one of {last}"),
            ),
            (Some(_), None) => (
                Severity::Warning,
                format!("no backup of {what} was made yet: they fail"),
            ),
            (None, Some(last)) if self.is_late(Timestamp::now()) => (
                Severity::Warning,
                format!("the last backup of {what} is of {last}, and they are to be made more often"),
            ),
            (None, Some(last)) => (Severity::Ok, format!("{what} was last backed up at {last}")),
            (None, None) => (Severity::Note, format!("the first backup of {what} is being made")),
        };
        let fix = (severity == Severity::Warning).then(|| {
            "the server tries again by itself; its log has the cause: check its --backup-to and the keys of the object storage"
                .to_owned()
        });
        let mut findings = vec![Finding {
            code: "server_backups".to_owned(),
            severity,
            message,
            fix,
        }];
        if self.skipped > 0 {
            findings.push(Finding {
                code: "backup_skipped".to_owned(),
                severity: Severity::Warning,
                message: format!(
                    "{} databases could not be copied for the last backup of {what}",
                    self.skipped
                ),
                fix: Some("the server's log has the causes".to_owned()),
            });
        }
        findings
    }
}

impl Shared {
    /// Changes the status of a schedule, if backups are made at all.
    pub(super) fn with_schedule_status(&self, group: Option<&GroupKey>, change: impl FnOnce(&mut ScheduleStatus)) {
        if let Some(status) = &mut *lock(&self.backups.status) {
            change(status.schedule(group));
        }
    }

    pub(super) fn note_backup_made(&self, group: Option<&GroupKey>, report: &BackupReport, took: Duration) {
        let databases = report.manifest.included().len();
        let (id, copied, bytes) = (&report.manifest.id, report.copied, report.stored_bytes);
        let (seconds, what) = (took.as_secs_f64(), group.map_or("server", |group| &group.group_id));
        tracing::info!(%what, %id, databases, copied, bytes, seconds, "backed up");
        for FailedCopy { database_id, error, .. } in &report.failures {
            let cause = error.full_message();
            tracing::warn!(database = %database_id, %cause, "a database is not in the backup as it is now");
        }
        if let Some(status) = &mut *lock(&self.backups.status) {
            status.note_databases(&report.manifest, report.checked_at, &report.failures);
            let schedule = status.schedule(group);
            schedule.last_success = Some(report.checked_at);
            schedule.databases = databases;
            schedule.stored_bytes = bytes;
            schedule.seconds = seconds;
            schedule.failure = None;
            schedule.skipped = report.failures.len();
        }
    }

    /// A database with its last backup, as far as that is known.
    pub(in crate::control::hosted) fn with_last_backup(&self, mut database: Database) -> Database {
        if let Some(status) = &*lock(&self.backups.status) {
            database.last_backup = status.databases.get(database.id.as_str()).cloned();
        }
        database
    }

    /// `doing` is what failed; the same cause is logged once.
    pub(super) fn note_backup_failed(&self, group: Option<&GroupKey>, doing: &str, error: &Error) {
        let cause = format!("{doing}: {}", error.full_message());
        let what = group.map_or("server", |group| &group.group_id).to_owned();
        self.with_schedule_status(group, |schedule| {
            schedule.failures += 1;
            if schedule.failure.as_ref() != Some(&cause) {
                tracing::warn!(%what, %cause, "a backup failed; trying again");
            }
            schedule.failure = Some(cause);
        });
    }

    /// What `torso doctor` says about backups of an organization's groups, and of the server; nothing where none are made.
    pub(in crate::control::hosted) fn check_backups(&self, organization: &str, groups: &[Group]) -> Vec<Finding> {
        let Some(status) = lock(&self.backups.status).clone() else {
            return Vec::new();
        };
        let mut findings = status.server.findings("the server");
        for group in groups {
            let key = GroupKey {
                organization_id: organization.to_owned(),
                group_id: group.uuid.clone(),
            };
            if let Some(schedule) = status.groups.get(&key) {
                findings.extend(schedule.findings(&format!("group {}", group.name)));
            }
        }
        findings
    }
}

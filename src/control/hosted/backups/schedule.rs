//! Backups in the background, of the whole server and of groups that have a schedule of their own: one at a time, on a thread of its
//! own, which waits for the place while nobody else does. What fails is tried again, less and less often.

use super::copy::{BackupReport, back_up_server, server_id};
use super::expiry::delete_expired;
use super::group::back_up_group;
use super::status::{BackupStatus, SharedBackupStatus};
use crate::backup::{BackupDestination, BackupKey, Manifest, Repository, Retention};
use crate::control::hosted::store::{BackupScheduleRow, GroupKey};
use crate::control::hosted::{Hosted, Shared};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The first pause before what failed is tried again; each further pause is twice as long, up to an hour.
const RETRY: Duration = Duration::from_secs(10);
const LONGEST_RETRY: Duration = Duration::from_secs(3600);
/// How often the whole server is backed up, unless something else was set.
const USUAL_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// Where a server's backups go. When they are made is in its own records.
#[derive(Debug, Clone)]
pub struct BackupPlan {
    pub destination: BackupDestination,
    pub key: Option<BackupKey>,
}

/// What the thread and its callers share.
#[derive(Default)]
pub(in crate::control::hosted) struct SharedBackups {
    pub status: SharedBackupStatus,
    /// Has the thread look at the schedules again. Dropping it stops the thread.
    wake: Mutex<Option<SyncSender<()>>>,
}

impl SharedBackups {
    /// Has changed schedules be followed from now on.
    pub fn wake(&self) {
        if let Some(wake) = &*lock(&self.wake) {
            // One that is waiting for the thread already is as good.
            let _ = wake.try_send(());
        }
    }

    /// Stops the thread at its next step.
    pub fn stop(&self) {
        drop(lock(&self.wake).take());
    }
}

/// When backups of a subject are due.
#[derive(Debug, Clone)]
struct Progress {
    /// When the last one was made, here or at an earlier start.
    last: Option<Timestamp>,
    /// When one that failed is tried again, and the pause after that.
    retry: Option<(Instant, Duration)>,
}

impl Progress {
    /// How long it is until the next backup. Never longer than from one to the next, whatever the clock was set to.
    fn pause(&self, every: Duration) -> Duration {
        if let Some((at, _)) = self.retry {
            return at.saturating_duration_since(Instant::now()).min(every);
        }
        let Some(last) = self.last else { return Duration::ZERO };
        let age = Timestamp::now().duration_since(last).max(SignedDuration::ZERO);
        every.saturating_sub(Duration::try_from(age).unwrap_or(Duration::ZERO))
    }

    fn fail(&mut self) {
        let pause = self.retry.map_or(RETRY, |(_, next)| next);
        self.retry = Some((Instant::now() + pause, (pause * 2).min(LONGEST_RETRY)));
    }
}

/// The thread's own state.
struct Scheduler<'a> {
    shared: &'a Shared,
    plan: &'a BackupPlan,
    wakeups: Receiver<()>,
    progress: HashMap<Option<GroupKey>, Progress>,
}

impl Scheduler<'_> {
    /// Makes backups until it is stopped.
    fn run(mut self) {
        loop {
            let next = match self.next() {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(cause = %error.full_message(), "cannot read the schedules of backups; trying again");
                    None
                }
            };
            let pause = next.as_ref().map_or(RETRY, |(_, pause)| *pause);
            match self.wakeups.recv_timeout(pause) {
                Ok(()) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let Some((schedule, _)) = next else { continue };
            if let Err(error) = self.perform(&schedule)
                && error.code() == Code::Interrupted
            {
                return;
            }
        }
    }

    /// The schedule that is due first, and how long it is until then. Of those that are overdue it is the one whose last backup is
    /// the oldest.
    fn next(&mut self) -> Result<Option<(BackupScheduleRow, Duration)>> {
        let schedules = self.shared.backup_schedule_rows()?;
        let is_followed = |group: &GroupKey| schedules.iter().any(|row| row.group.as_ref() == Some(group));
        self.progress.retain(|group, _| group.as_ref().is_none_or(is_followed));
        if let Some(status) = &mut *lock(&self.shared.backups.status) {
            status.groups.retain(|group, _| is_followed(group));
        }
        let due = schedules.into_iter().map(|schedule| {
            let every = Duration::from_secs(schedule.every_seconds);
            let progress = self.progress_of(&schedule);
            let (pause, last) = (progress.pause(every), progress.last);
            (schedule, pause, last)
        });
        let first = due.min_by_key(|(_, pause, last)| (*pause, *last));
        Ok(first.map(|(schedule, pause, _)| (schedule, pause)))
    }

    /// What is known of a subject. At first that is what the place of the backups says; if it cannot say, one is due.
    fn progress_of(&mut self, schedule: &BackupScheduleRow) -> &mut Progress {
        let every = Duration::from_secs(schedule.every_seconds);
        let group = &schedule.group;
        self.shared
            .with_schedule_status(group.as_ref(), |status| status.every = every);
        let (shared, plan) = (self.shared, self.plan);
        self.progress.entry(group.clone()).or_insert_with(|| {
            let last = last_backup(shared, plan, group.as_ref()).ok().flatten();
            if let (Some(last), Some(status)) = (&last, &mut *lock(&shared.backups.status)) {
                status.note_last(group.as_ref(), last);
            }
            Progress {
                last: last.map(|last| last.created_at),
                retry: None,
            }
        })
    }

    /// Makes a backup, and deletes those that are not kept any more.
    fn perform(&mut self, schedule: &BackupScheduleRow) -> Result<()> {
        let begun = Instant::now();
        let group = schedule.group.as_ref();
        let made = self.back_up(group);
        let progress = self.progress_of(schedule);
        match made {
            Ok(Some((report, repository))) => {
                progress.last = Some(report.checked_at);
                progress.retry = None;
                self.shared.note_backup_made(group, &report, begun.elapsed());
                let server = server_id(&self.shared.dir)?;
                if let Err(error) = delete_expired(&repository, &server, group, &schedule.retention) {
                    self.shared
                        .note_backup_failed(group, "old backups were not deleted", &error);
                }
                Ok(())
            }
            // The group is gone, and its schedule with it.
            Ok(None) => Ok(()),
            Err(error) => {
                progress.fail();
                // While somebody makes one by hand, this one waits.
                if !matches!(error.code(), Code::Interrupted | Code::Conflict) {
                    self.shared.note_backup_failed(group, "no backup was made", &error);
                }
                Err(error)
            }
        }
    }

    fn back_up(&self, group: Option<&GroupKey>) -> Result<Option<(BackupReport, Repository)>> {
        let is_stopped = || match self.wakeups.try_recv() {
            Err(TryRecvError::Disconnected) => Err(Error::new(Code::Interrupted, "the server is being stopped")),
            _ => Ok(()),
        };
        let shared = self.shared;
        let repository = Repository::create(&self.plan.destination, self.plan.key.clone())?;
        let report = match group {
            None => back_up_server(&shared.dir, &shared.engine, &repository, &is_stopped)?,
            Some(key) => match shared.scheduled_group(key)? {
                Some((organization, found)) => {
                    back_up_group(shared, &repository, (&organization, &found), &is_stopped)?
                }
                None => {
                    let records = shared.records();
                    records.write(|| records.delete_backup_schedule(key))?;
                    return Ok(None);
                }
            },
        };
        Ok(Some((report, repository)))
    }
}

/// The last backup of the server, or of one of its groups.
fn last_backup(shared: &Shared, plan: &BackupPlan, group: Option<&GroupKey>) -> Result<Option<Manifest>> {
    let repository = Repository::create(&plan.destination, plan.key.clone())?;
    let server = server_id(&shared.dir)?;
    let all = match group {
        None => repository.backups_of_server(&server)?,
        Some(_) => repository.backups_of_groups(&server)?,
    };
    let is_subject =
        |manifest: &Manifest| group.is_none_or(|group| manifest.group().is_some_and(|of| of.id == group.group_id));
    Ok(all.into_iter().find(is_subject))
}

impl Hosted {
    /// Makes backups in the background from now on. What is given of the whole server's schedule is remembered.
    pub fn start_backups(&self, plan: BackupPlan, every: Option<Duration>, retention: Option<Retention>) -> Result<()> {
        let shared = &self.shared;
        if every.is_some() || retention.is_some() {
            let mut row = shared.server_schedule()?;
            row.every_seconds = every.map_or(row.every_seconds, |every| every.as_secs());
            row.retention = retention.unwrap_or(row.retention);
            shared.store_schedule(&row)?;
        }
        *lock(&shared.backups.status) = Some(BackupStatus::default());
        let (wake, wakeups) = mpsc::sync_channel(1);
        let shared = Arc::clone(shared);
        std::thread::Builder::new()
            .name("backups".to_owned())
            .spawn(move || {
                let scheduler = Scheduler {
                    shared: &shared,
                    plan: &plan,
                    wakeups,
                    progress: HashMap::new(),
                };
                scheduler.run();
            })
            .map_err(|error| Error::io(error, "cannot start a thread"))?;
        *lock(&self.shared.backups.wake) = Some(wake);
        Ok(())
    }

    /// What is known of the server's backups; none where it has no place for them.
    #[must_use]
    pub fn backup_status(&self) -> Option<BackupStatus> {
        lock(&self.shared.backups.status).clone()
    }
}

impl Shared {
    /// The schedule of the whole server.
    pub(super) fn server_schedule(&self) -> Result<BackupScheduleRow> {
        let rows = self.records().backup_schedules()?;
        let set = rows.into_iter().find(|row| row.group.is_none());
        Ok(set.unwrap_or(BackupScheduleRow {
            group: None,
            every_seconds: USUAL_INTERVAL.as_secs(),
            retention: Retention::USUAL,
        }))
    }

    /// All schedules, that of the whole server first.
    pub(super) fn backup_schedule_rows(&self) -> Result<Vec<BackupScheduleRow>> {
        let of_groups = self.records().backup_schedules()?;
        let of_groups = of_groups.into_iter().filter(|row| row.group.is_some());
        Ok(std::iter::once(self.server_schedule()?).chain(of_groups).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn after(seconds: i64) -> Duration {
        let progress = Progress {
            last: Some(Timestamp::now() - SignedDuration::from_secs(seconds)),
            retry: None,
        };
        progress.pause(DAY)
    }

    #[test]
    fn backup_is_due_when_the_last_one_is_old_enough() {
        let never = Progress {
            last: None,
            retry: None,
        };
        assert_eq!(never.pause(DAY), Duration::ZERO);
        assert!(after(3600) > Duration::from_secs(22 * 3600) && after(3600) <= Duration::from_secs(23 * 3600));
        assert_eq!(after(2 * 24 * 3600), Duration::ZERO);
        // The clock was set back since.
        assert_eq!(after(-365 * 24 * 3600), DAY);
    }

    #[test]
    fn backup_that_fails_is_tried_again_less_and_less_often() {
        let mut progress = Progress {
            last: None,
            retry: None,
        };
        let mut pauses = Vec::new();
        for _ in 0..12 {
            progress.fail();
            pauses.push(progress.pause(DAY).as_secs_f64().round());
        }
        assert_eq!(pauses[..3], [10.0, 20.0, 40.0]);
        assert_eq!(pauses[11], 3600.0);
        // One that is due often is tried again as often.
        assert!(progress.pause(Duration::from_secs(5)) <= Duration::from_secs(5));
    }
}

//! A primary that is replaced by a file: by a compact copy of itself, or by a backup where it is missing or damaged. The database
//! stays what it is; its id, URL, tokens and settings are not touched.
//!
//! Where processes serve databases, the new primary is an instance of a newer epoch at the same location, as after a promotion. The
//! file is staged as a seed, and the commit that begins the epoch is the moment of the switch. Before it, the next reconcile lifts
//! the block on writes; after it, the next reconcile makes the primary of the seed, copies replicas from it and lets the former
//! instances go, or sets a lost primary's files aside. So the one or the other primary is whole, whatever ends in between. Files are
//! compacted in their places by SQLite, and replaced after they were set aside.

use super::Embedded;
use super::catalog::databases::DatabaseRow;
use super::catalog::former_instances::FormerInstance;
use super::databases::{protect_content, stage_seed};
use super::primary::check_primary;
use super::promotion::{check_movable, complete_without_primary, placements};
use super::staging;
use super::view::{Change, pool};
use super::write_barrier::{HeldWrites, NoBarrier, WriteBarrier};
use crate::control::compaction::Compaction;
use crate::control::names::DatabaseName;
use crate::control::types::{Database, Seed};
use crate::control::{DatabaseOperations as _, MaintenanceOperations as _};
use crate::engine::{Running, Site, disk};
use crate::error::{Code, Error, Result};
use std::path::Path;
use std::time::Instant;

/// What a client is told whose write meets a primary that is being compacted.
const REASON: &str = "the database is being compacted; nothing was written: try again";

impl Embedded {
    /// Gives the free pages of a primary back to the disk, and then those of its replicas, while `barrier` holds back what clients
    /// write. With `dry_run`, only tells how much that would be.
    ///
    /// # Errors
    ///
    /// `database_busy` if an application has a file open, `unsupported` for what only libSQL can make again.
    pub fn compact_behind(&self, name: &DatabaseName, dry_run: bool, barrier: &dyn WriteBarrier) -> Result<Compaction> {
        // Where processes serve. It is begun before the lock, which it takes for a moment.
        let staging = (self.engine.has_processes() && !dry_run)
            .then(|| self.staging())
            .transpose()?;
        let change = self.change()?;
        let row = change.database(name)?;
        check_primary(&change, &row)?;
        // A plan promises no more than the change does.
        if self.engine.has_processes() {
            check_movable(&change, &row)?;
        }
        let site = change.site(&row.primary, &row);
        let files = self.engine.local_files(&site)?;
        let size = || self.engine.size(&site).unwrap_or(0);
        let before = size();
        let mut compaction = Compaction {
            database: name.clone(),
            bytes_before: before,
            bytes_after: self.engine.used(&site).unwrap_or(before).min(before),
            compacted: false,
            outage_ms: None,
        };
        if dry_run {
            return Ok(compaction);
        }
        let Some(staging) = staging else {
            files.compact(&site)?;
            compaction.bytes_after = size();
            compaction.compacted = compaction.bytes_after < before;
            if let Some((_, error)) = change.reach(&row.id)?.failures.into_iter().next() {
                return Err(not_everywhere(name, "compacted", error));
            }
            return Ok(compaction);
        };
        let began = Instant::now();
        let switched = self.switch_to_compact(&change, &row, &staging.path, barrier)?;
        compaction.outage_ms = Some(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
        if switched {
            let now = change.database(name)?;
            compaction.bytes_after = self.engine.size(&change.site(&now.primary, &now)).unwrap_or(0);
            compaction.compacted = true;
            // Replicas follow; those that cannot now do so when they are back.
            change.reach(&row.id)?;
        } else {
            compaction.bytes_after = before;
        }
        Ok(compaction)
    }

    /// Makes a compact copy the primary, while writes wait. False if it would not be smaller.
    fn switch_to_compact(
        &self,
        change: &Change<'_>,
        row: &DatabaseRow,
        copy: &Path,
        barrier: &dyn WriteBarrier,
    ) -> Result<bool> {
        let site = change.site(&row.primary, row);
        // Whatever ends here, the block on writes is lifted by the next reconcile.
        change.catalog.write(|| change.catalog.add_pending(&row.id))?;
        let mut held = HeldWrites::hold(barrier, std::slice::from_ref(&row.id));
        let is_smaller = self.engine.block_writes(&site, REASON).and_then(|()| {
            let files = self.engine.local_files(&site)?;
            files.compact_to(&site, copy)?;
            let size = std::fs::metadata(copy).map_or(u64::MAX, |copy| copy.len());
            // The log is not counted: it gets shorter by itself.
            let is_smaller = size < files.content_size(&site).unwrap_or(0);
            if is_smaller {
                // After the switch there is no way back.
                files.check_adoptable(copy, &site)?;
            }
            Ok(is_smaller)
        });
        let switched = if let Ok(true) = is_smaller {
            self.switch_to_seed(change, row, copy, false)
        } else {
            change.reach_at(&row.id, &row.primary).map(drop)
        };
        held.now = placements(change, std::slice::from_ref(&row.id)).unwrap_or_default();
        drop(held);
        is_smaller.and_then(|is_smaller| switched.map(|()| is_smaller))
    }

    /// Refuses a database whose content may not be replaced.
    #[cfg(feature = "server")]
    pub fn check_replaceable(&self, name: &DatabaseName) -> Result<()> {
        protect_content(&self.change()?.database(name)?)
    }

    /// What the content of a backup is needed for here: a primary that is lost. Nobody writes an audit log.
    pub(super) fn restore_from(&self, name: &DatabaseName, content: Option<&Seed>) -> Result<Database> {
        match content {
            Some(Seed::DatabaseUpload { path }) => self.restore_lost_behind(name, path, &NoBarrier),
            Some(_) => Err(Error::new(Code::Unsupported, "this machine takes no uploads")),
            None => self.get_database(name),
        }
    }

    /// Puts a complete file in the place of a primary that is missing or damaged. What is left of its files is set aside.
    ///
    /// # Errors
    ///
    /// `conflict` if the primary is there, `delete_protected`, and `invalid_file` for a file that is no sound database.
    pub fn restore_lost_behind(
        &self,
        name: &DatabaseName,
        file: &Path,
        barrier: &dyn WriteBarrier,
    ) -> Result<Database> {
        staging::check(self, file)?;
        let change = self.change()?;
        let row = change.database(name)?;
        protect_content(&row)?;
        let site = change.site(&row.primary, &row);
        if self.engine.has_processes() {
            // A switch that has begun is completed first. Where that cannot be done, what the former primary has is kept.
            change.reach_at(&row.id, &row.primary)?;
            complete_without_primary(&change, &row)?;
        }
        if !self.is_lost(&site)? {
            return Err(Error::new(
                Code::Conflict,
                format!("the primary of {name} is neither missing nor damaged"),
            )
            .hint("nothing was changed; try the restore again"));
        }
        // What cannot be served afterwards is refused before.
        if self.engine.has_processes() {
            self.engine.prepare_primary(&site)?;
        }
        let mut held = HeldWrites::hold(barrier, std::slice::from_ref(&row.id));
        let switched = self
            .set_file_aside(&site)
            .and_then(|()| self.switch_to_seed(&change, &row, file, true));
        held.now = placements(&change, std::slice::from_ref(&row.id)).unwrap_or_default();
        drop(held);
        switched?;
        // Replicas follow; those that cannot now do so when they are back.
        change.reach(&row.id)?;
        change.to_database(change.database(name)?)
    }

    /// Whether a primary's file is missing or damaged.
    fn is_lost(&self, site: &Site) -> Result<bool> {
        match self.engine.running(site)? {
            None | Some(Running { damage: Some(_), .. }) => Ok(true),
            // What a process has open is checked by it.
            Some(_) if self.engine.has_processes() => Ok(false),
            Some(_) => Ok(self.engine.examine(site)?.is_some()),
        }
    }

    /// Sets aside what is left of a lost primary where its place is needed at once. Where processes serve, its successor is elsewhere.
    fn set_file_aside(&self, site: &Site) -> Result<()> {
        if !self.engine.has_processes() {
            self.engine.local_files(site)?.set_aside(site)?;
        }
        Ok(())
    }

    /// Begins the epoch whose primary is made of a file, and makes it. `is_lost`: what is left of the former primary is kept.
    fn switch_to_seed(&self, change: &Change<'_>, row: &DatabaseRow, file: &Path, is_lost: bool) -> Result<()> {
        stage_seed(self, file, &row.id)?;
        let mut former = Vec::new();
        if self.engine.has_processes() {
            let replicas = change.want(row)?.replicas;
            former.extend(
                std::iter::once(&row.primary)
                    .chain(&replicas)
                    .map(|location| FormerInstance {
                        location: location.clone(),
                        epoch: row.epoch,
                        pool: pool(row),
                        was_primary: *location == row.primary,
                        is_kept: is_lost && *location == row.primary,
                    }),
            );
        }
        let now = DatabaseRow {
            epoch: row.epoch + 1,
            ..row.clone()
        };
        let committed = change.commit(|catalog| {
            catalog.update_database(&now)?;
            catalog.want_seed(&row.id)?;
            former
                .iter()
                .try_for_each(|former| catalog.add_former_instance(&row.id, former))?;
            catalog.add_pending(&row.id)
        });
        if let Err(error) = committed {
            let _ = disk::remove(&self.seed(&row.id));
            let _ = change.reach_at(&row.id, &row.primary);
            return Err(error);
        }
        match change.reach_at(&row.id, &row.primary)?.take_failure(&row.primary) {
            None => Ok(()),
            Some(error) => Err(not_everywhere(&row.name, "replaced", error)),
        }
    }
}

fn not_everywhere(name: &DatabaseName, done: &str, error: Error) -> Error {
    Error::new(
        Code::Partial,
        format!("{name} was {done}, but does not serve everywhere yet"),
    )
    .caused_by(error)
    .hint("it is tried again until it does; torso doctor shows what is pending")
}

//! TransferLocks to another organization that have begun. A move of a database is written down before its first step, with the id
//! that the copy is to have. As long as the former database is there, the move can be undone: the copy goes, and the former
//! one takes writes again. Once it is gone the move is complete, and the copy takes writes. Nobody writes to a copy before.
//!
//! Whoever moves a database has it alone, and brings the move to its end or undoes it; what fails at that, or was left by a
//! server that ended, is the background's to do again. A group's move is its databases', one by one; that it has begun is written
//! down, so that the same call goes on with it.
//!
//! The steps of a move are the tenant's.

use super::Shared;
use super::pool::PlaneGuard;
use super::store::{GroupTransferRow, OrganizationRow, TransferRow};
use crate::control::names::{DatabaseId, DatabaseName};
use crate::control::types::ConfigurationPatch;
use crate::control::{DatabaseOperations as _, GroupOperations as _};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use std::collections::HashSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long who wants to move something waits for others that do.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// Databases and groups that somebody moves, or brings a move to its end of.
#[derive(Default)]
pub(super) struct TransferLocks {
    taken: Mutex<HashSet<String>>,
}

/// Keeps others from moving something, for as long as it lives.
pub(super) struct TransferLock<'a> {
    locks: &'a TransferLocks,
    ids: Vec<String>,
}

impl Drop for TransferLock<'_> {
    fn drop(&mut self) {
        let mut taken = lock(&self.locks.taken);
        for id in &self.ids {
            taken.remove(id);
        }
    }
}

impl TransferLocks {
    /// None while somebody else moves it.
    fn take(&self, id: &str) -> Option<TransferLock<'_>> {
        lock(&self.taken).insert(id.to_owned()).then(|| TransferLock {
            locks: self,
            ids: vec![id.to_owned()],
        })
    }

    /// The same, which is an error then. The background has done what it does in a moment, and is waited for.
    pub fn begin(&self, id: &str, what: &str) -> Result<TransferLock<'_>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(moving) = self.take(id) {
                return Ok(moving);
            }
            if Instant::now() >= deadline {
                return Err(
                    Error::new(Code::DatabaseBusy, format!("{what} is being moved or deleted"))
                        .hint("wait until that is done, then look where it is: torso db list"),
                );
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl TransferLock<'_> {
    /// Keeps others from moving the copy on.
    pub fn with_copy(&mut self, id: &DatabaseId) {
        lock(&self.locks.taken).insert(id.as_str().to_owned());
        self.ids.push(id.as_str().to_owned());
    }
}

impl Shared {
    pub(super) fn begin_transfer(&self, row: &TransferRow) -> Result<()> {
        let records = self.records();
        records.write(|| records.begin_transfer(row))
    }

    /// Takes a database for a move, and ends an earlier one of it first.
    pub(super) fn moving(&self, id: &DatabaseId, what: &str) -> Result<TransferLock<'_>> {
        let moving = self.transfers.begin(id.as_str(), what)?;
        let left = self
            .records()
            .transfers()?
            .into_iter()
            .find(|row| row.database_id == *id);
        if let Some(row) = left {
            self.finish_transfer(&row).map_err(|error| {
                Error::new(
                    Code::DatabaseBusy,
                    format!("an earlier move of {what} cannot be undone yet"),
                )
                .caused_by(error)
                .hint("the server keeps trying; try again later")
            })?;
        }
        Ok(moving)
    }

    /// Brings moves to their ends that nobody is at work on: how many could not be.
    pub(super) fn finish_transfers(&self) -> usize {
        let Ok(all) = self.records().transfers() else { return 1 };
        let mut left = 0;
        for row in all {
            // Whoever has taken it tells the background of what is left.
            let Some(_moving) = self.transfers.take(row.database_id.as_str()) else {
                continue;
            };
            // It may have ended since, or have begun again.
            let still = self.records().transfers().map(|all| all.contains(&row));
            match still {
                Ok(false) => {}
                Ok(true) if self.finish_transfer(&row).is_ok() => {}
                _ => left += 1,
            }
        }
        left
    }

    /// Brings a move to its end, or undoes it. Whoever calls has taken the database.
    pub(super) fn finish_transfer(&self, row: &TransferRow) -> Result<()> {
        let organization = |id: &str| self.records().organization_by_id(id);
        let former = organization(&row.organization_id)?;
        let target = organization(&row.to_organization_id)?;
        let mut is_gone = true;
        if let Some(former) = &former {
            let plane = self.plane_of(former)?;
            if let Some(found) = plane.placement_of(&row.database_id)? {
                is_gone = false;
                if let Some(target) = &target {
                    self.discard_copy(&target.id, &self.plane_of(target)?, &row.copy_id)?;
                }
                self.set_block_writes(former, &plane, &found.name, row.block_writes)?;
            }
        }
        if is_gone {
            self.unpublish(&row.organization_id, &row.database_id);
            if let Some(target) = &target {
                let plane = self.plane_of(target)?;
                if let Some(found) = plane.placement_of(&row.copy_id)? {
                    self.set_block_writes(target, &plane, &found.name, row.block_writes)?;
                }
            }
        }
        let records = self.records();
        records.write(|| {
            if is_gone {
                records.forget_database(row.database_id.as_str())?;
            }
            records.end_transfer(&row.database_id)
        })
    }

    /// Lets writes to a database in or keeps them out, and has its labels lead there.
    pub(super) fn set_block_writes(
        &self,
        owner: &OrganizationRow,
        plane: &PlaneGuard,
        name: &DatabaseName,
        block_writes: bool,
    ) -> Result<()> {
        let patch = ConfigurationPatch {
            block_writes: Some(block_writes),
            ..ConfigurationPatch::default()
        };
        plane.update_configuration(name, &patch)?;
        self.publish(owner, plane, name).map(drop)
    }

    /// Removes a copy that is not used.
    pub(super) fn discard_copy(&self, organization_id: &str, plane: &PlaneGuard, id: &DatabaseId) -> Result<()> {
        self.removed(plane.discard(id).map(drop))?;
        self.unpublish(organization_id, id);
        Ok(())
    }

    /// Writes down that a group's move begins.
    pub(super) fn begin_group_transfer(&self, row: &GroupTransferRow) -> Result<()> {
        let records = self.records();
        records.write(|| records.begin_group_transfer(row))
    }

    /// A group is where it is to be, or is no more.
    pub(super) fn end_group_transfer(&self, group_uuid: &str) -> Result<()> {
        let records = self.records();
        records.write(|| records.end_group_transfer(group_uuid))
    }

    /// Forgets moves of groups that are no more.
    pub(super) fn sweep_group_transfers(&self) -> Result<()> {
        let all = self.records().group_transfers()?;
        for row in all {
            let owner = self.records().organization_by_id(&row.organization_id)?;
            let groups = owner.map_or(Ok(Vec::new()), |owner| self.plane_of(&owner)?.list_groups())?;
            if groups.iter().all(|group| group.uuid != row.group_uuid) {
                self.end_group_transfer(&row.group_uuid)?;
            }
        }
        Ok(())
    }
}

//! Moves to another organization that have begun. A move of a database is written down before its first step, with the id
//! that the copy is to have. As long as the former database is there, the move can be undone: the copy goes, and the former
//! one takes writes again. Once it is gone the move is complete, and the copy takes writes. Nobody writes to a copy before.
//!
//! Whoever moves a database has it alone, and brings the move to its end or undoes it; what fails at that, or was left by a
//! server that ended, is the keeper's to do again. A group's move is its databases', one by one; that it has begun is written
//! down, so that the same call goes on with it.
//!
//! The steps of a move are the tenant's.

use super::Shared;
use super::pool::Loan;
use super::store::{GroupMoveRow, MoveRow, OrganizationRow};
use crate::control::ControlPlane as _;
use crate::control::names::{DatabaseId, DatabaseName};
use crate::control::types::ConfigurationPatch;
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
pub(super) struct Moves {
    taken: Mutex<HashSet<String>>,
}

/// Keeps others from moving something, for as long as it lives.
pub(super) struct Moving<'a> {
    moves: &'a Moves,
    ids: Vec<String>,
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        let mut taken = lock(&self.moves.taken);
        for id in &self.ids {
            taken.remove(id);
        }
    }
}

impl Moves {
    /// None while somebody else moves it.
    fn take(&self, id: &str) -> Option<Moving<'_>> {
        lock(&self.taken).insert(id.to_owned()).then(|| Moving {
            moves: self,
            ids: vec![id.to_owned()],
        })
    }

    /// The same, which is an error then. The keeper has done what it does in a moment, and is waited for.
    pub fn begin(&self, id: &str, what: &str) -> Result<Moving<'_>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(moving) = self.take(id) {
                return Ok(moving);
            }
            if Instant::now() >= deadline {
                return Err(
                    Error::new(Code::DatabaseBusy, format!("{what} is being moved or deleted just now"))
                        .hint("wait until that is done, then look where it is: torso db list"),
                );
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Moving<'_> {
    /// Keeps others from moving the copy on.
    pub fn with_copy(&mut self, id: &DatabaseId) {
        lock(&self.moves.taken).insert(id.as_str().to_owned());
        self.ids.push(id.as_str().to_owned());
    }
}

impl Shared {
    pub(super) fn begin_move(&self, row: &MoveRow) -> Result<()> {
        let records = self.records();
        records.write(|| records.begin_move(row))
    }

    /// Takes a database for a move, and ends an earlier one of it first.
    pub(super) fn moving(&self, id: &DatabaseId, what: &str) -> Result<Moving<'_>> {
        let moving = self.moves.begin(id.as_str(), what)?;
        let left = self.records().moves()?.into_iter().find(|row| row.database_id == *id);
        if let Some(row) = left {
            self.settle_move(&row).map_err(|error| {
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
    pub(super) fn settle_moves(&self) -> usize {
        let Ok(all) = self.records().moves() else { return 1 };
        let mut left = 0;
        for row in all {
            // Whoever has taken it tells the keeper of what is left.
            let Some(_moving) = self.moves.take(row.database_id.as_str()) else {
                continue;
            };
            // It may have ended since, or have begun anew.
            let still = self.records().moves().map(|all| all.contains(&row));
            match still {
                Ok(false) => {}
                Ok(true) if self.settle_move(&row).is_ok() => {}
                _ => left += 1,
            }
        }
        left
    }

    /// Brings a move to its end, or undoes it. Whoever calls has taken the database.
    pub(super) fn settle_move(&self, row: &MoveRow) -> Result<()> {
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
            records.end_move(&row.database_id)
        })
    }

    /// Lets writes to a database in or keeps them out, and has its labels lead there.
    pub(super) fn set_block_writes(
        &self,
        owner: &OrganizationRow,
        plane: &Loan,
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
    pub(super) fn discard_copy(&self, organization_id: &str, plane: &Loan, id: &DatabaseId) -> Result<()> {
        self.removed(plane.discard(id).map(drop))?;
        self.unpublish(organization_id, id);
        Ok(())
    }

    /// Writes down that a group's move begins.
    pub(super) fn begin_group_move(&self, row: &GroupMoveRow) -> Result<()> {
        let records = self.records();
        records.write(|| records.begin_group_move(row))
    }

    /// A group is where it is to be, or is no more.
    pub(super) fn end_group_move(&self, group_uuid: &str) -> Result<()> {
        let records = self.records();
        records.write(|| records.end_group_move(group_uuid))
    }

    /// Forgets moves of groups that are no more.
    pub(super) fn sweep_group_moves(&self) -> Result<()> {
        let all = self.records().group_moves()?;
        for row in all {
            let owner = self.records().organization_by_id(&row.organization_id)?;
            let groups = owner.map_or(Ok(Vec::new()), |owner| self.plane_of(&owner)?.list_groups())?;
            if groups.iter().all(|group| group.uuid != row.group_uuid) {
                self.end_group_move(&row.group_uuid)?;
            }
        }
        Ok(())
    }
}

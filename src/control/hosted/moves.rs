//! Moves to another organization that ended in the middle, with the server or by an error. A move is written down before its
//! first step, with the id that the copy is to have. As long as the former database is there, the move is undone: the copy
//! goes, and the former one takes writes again. Once it is gone the move is complete, and only what was kept for it goes.
//!
//! The steps of a move are the tenant's.

use super::Shared;
use super::pool::Loan;
use super::store::MoveRow;
use crate::control::ControlPlane as _;
use crate::control::names::DatabaseId;
use crate::control::types::ConfigurationPatch;
use crate::error::Result;

impl Shared {
    pub(super) fn begin_move(&self, row: &MoveRow) -> Result<()> {
        let records = self.records();
        records.write(|| records.begin_move(row))
    }

    /// Brings a move to its end, or undoes it.
    pub(super) fn settle_move(&self, row: &MoveRow) -> Result<()> {
        let organization = |id: &str| self.records().organization_by_id(id);
        let former = match organization(&row.organization_id)? {
            None => None,
            Some(owner) => {
                let plane = self.plane_of(&owner)?;
                let found = plane
                    .placements()?
                    .into_iter()
                    .find(|placed| placed.id == row.database_id);
                found.map(|placed| (owner, plane, placed))
            }
        };
        let is_gone = former.is_none();
        match former {
            None => self.labels.remove(&row.database_id),
            Some((owner, plane, former)) => {
                if let Some(target) = organization(&row.to_organization_id)? {
                    self.discard_copy(&self.plane_of(&target)?, &row.copy_id)?;
                }
                let patch = ConfigurationPatch {
                    block_writes: Some(row.block_writes),
                    ..ConfigurationPatch::default()
                };
                plane.update_configuration(&former.name, &patch)?;
                self.labels
                    .set((&owner.id, &owner.slug), &plane.placement(&former.name)?);
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

    /// Removes a copy that is not used.
    pub(super) fn discard_copy(&self, plane: &Loan, id: &DatabaseId) -> Result<()> {
        self.removed(plane.delete_by_id(id).map(drop))?;
        self.labels.remove(id);
        Ok(())
    }
}

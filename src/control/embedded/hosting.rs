//! What the hosted plane, which has an embedded plane for each organization, needs beyond the methods of a control
//! plane: the engine's sites of instances, and snapshots.

use super::catalog::Catalog;
use super::catalog::databases::{DatabaseOrigin, DatabaseRow};
use super::catalog::former_instances::FormerInstance;
use super::elsewhere::readable_site;
use super::lock::Lock;
use super::placement::{Placed, placed};
use super::reconcile::former::{is_successor, is_there};
use super::view::{CatalogView, database_not_found};
use super::{Embedded, databases, groups};
use crate::control::names::{DatabaseId, DatabaseName, LocationCode};
use crate::control::types::{CreateDatabase, Database, Group, NewGroup, reads_blocked};
use crate::engine::{DatabaseLimits, Position, Site};
use crate::error::{Code, Error, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

impl Embedded {
    /// Sets aside the files of former primaries that have come back. Returns whether any have not.
    pub fn take_back_former(&self) -> Result<bool> {
        let Some(view) = self.read()? else { return Ok(false) };
        let (mut back, mut is_awaited) = (BTreeSet::new(), false);
        for (id, former) in view.catalog.retained_instances()? {
            if is_there(&view, &id, None, &former) {
                back.insert(id);
            } else {
                is_awaited = true;
            }
        }
        if !back.is_empty() {
            let change = self.change()?;
            for id in back {
                is_awaited |= !change.reach(&id)?.failures.is_empty();
            }
        }
        Ok(is_awaited)
    }

    /// The files of former primaries that were set aside and not compared yet, each with its database.
    pub fn uncompared(&self) -> Result<Vec<(PathBuf, DatabaseRow)>> {
        let Some(view) = self.read()? else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        for dir in view.directories().into_keys() {
            for (path, id) in self.engine.uncompared(&dir)? {
                let row = view.catalog.database_by_id(&id.parse()?)?;
                all.extend(row.map(|row| (path, row)));
            }
        }
        Ok(all)
    }

    /// Compares these with the primaries that took their places. Holds no lock: that may take as long as reading both.
    pub fn compare_set_aside(&self) -> Result<()> {
        let Some(view) = self.read()? else { return Ok(()) };
        for (path, row) in self.uncompared()? {
            let primary = view.site(&row.primary, &row);
            let files = self.engine.local_files(&primary);
            let compared = files.and_then(|files| files.report_divergence(&path, &primary));
            let (database, path) = (&row.name, path.display());
            match compared {
                Ok(()) => {
                    tracing::info!(%database, %path, "the files of a former primary were compared with the primary")
                }
                Err(cause) => {
                    tracing::warn!(%database, %path, %cause, "the files of a former primary could not be compared now");
                }
            }
        }
        Ok(())
    }

    /// Creates a database with an id that was generated before. With `block_writes`, its writes are blocked at first.
    pub fn create_with_id(&self, id: DatabaseId, request: &CreateDatabase, block_writes: bool) -> Result<Database> {
        let new = databases::New {
            id,
            request,
            block_writes,
        };
        databases::create(self, new)
    }

    /// Creates a group with a uuid that was generated before.
    pub fn create_group_with_uuid(&self, uuid: String, new: &NewGroup) -> Result<Group> {
        groups::create(self, uuid, new)
    }

    /// Deletes the group with a uuid if it has no databases, even if it has delete protection. Returns whether it is gone.
    pub fn delete_empty_group(&self, uuid: &str) -> Result<bool> {
        groups::delete_if_empty(self, uuid)
    }

    /// Deletes the database with an id, whatever its name is now. False if there was none.
    pub fn delete_by_id(&self, id: &DatabaseId) -> Result<bool> {
        databases::delete_by_id(self, id)
    }

    /// The same if it is past its end now; else false, too.
    pub fn delete_expired_by_id(&self, id: &DatabaseId) -> Result<bool> {
        databases::delete_expired_by_id(self, id)
    }

    /// Like [`Self::delete_by_id`], even with delete protection: for a copy that nobody uses yet.
    pub fn discard(&self, id: &DatabaseId) -> Result<bool> {
        databases::discard(self, id)
    }

    /// Deletes a database that was copied elsewhere when it was at `position`, unless it has changed since or takes writes
    /// again. Returns whether it is gone.
    pub fn retire(&self, id: &DatabaseId, position: &Position) -> Result<bool> {
        databases::retire(self, id, position)
    }

    /// Waits until no transaction that writes to a database is under way. Useful while writes are blocked, because then none
    /// begins.
    pub fn await_writers(&self, name: &DatabaseName) -> Result<()> {
        match self.placement(name)?.sites.first() {
            Some((_, primary)) => self.engine.await_writers(primary),
            None => Ok(()),
        }
    }

    /// Every database, ordered by name.
    pub fn placements(&self) -> Result<Vec<Placed>> {
        let Some(view) = self.read()? else {
            return Ok(Vec::new());
        };
        view.catalog
            .databases()?
            .into_iter()
            .map(|row| placed(&view, row))
            .collect()
    }

    /// The same as the catalog has it now, whoever is changing it, with the catalog's identity; none without a catalog. Nothing is
    /// reconciled.
    pub fn wanted_placements(&self) -> Result<Option<(String, Vec<WantedPlacement>)>> {
        let Some(catalog) = Catalog::open(&self.catalog_path())? else {
            return Ok(None);
        };
        if !catalog.is_current()? {
            let _lock = Lock::acquire(&self.lock_path())?;
            catalog.migrate()?;
        }
        let view = CatalogView::new(self, &catalog)?;
        let rows = catalog.databases()?.into_iter();
        let all: Result<Vec<_>> = rows.map(|row| wanted_placement(&view, row)).collect();
        Ok(Some((catalog.identity()?, all?)))
    }

    /// Whether anything is, is to be or is still to be removed at a location; `with_kept`, also whether files of a former primary may
    /// come back there. Waits for a change under way, and changes nothing.
    pub fn uses_location(&self, location: &LocationCode, with_kept: bool) -> Result<bool> {
        // Whoever changes anything makes the catalog before deciding about locations.
        if Catalog::open(&self.catalog_path())?.is_none() {
            return Ok(false);
        }
        let _lock = Lock::acquire(&self.lock_path())?;
        let Some(catalog) = Catalog::open(&self.catalog_path())? else {
            return Ok(false);
        };
        catalog.migrate()?;
        let former = catalog.all_former_instances()?;
        let mut former = former.iter().filter(|(_, one)| with_kept || !one.is_kept);
        Ok(catalog.locations_in_use()?.contains(location) || former.any(|(_, one)| one.location == *location))
    }

    /// Waits no more for the files of former primaries at a location, whose machine is to be none any more.
    pub fn forget_former_primaries(&self, location: &LocationCode) -> Result<()> {
        if !self.uses_location(location, true)? {
            return Ok(());
        }
        self.change()?
            .commit(|catalog| catalog.delete_retained_instances(location))
    }

    /// Every database that is in a copy of the catalog. Nothing is reconciled, so nothing needs to run.
    pub fn placements_in(&self, catalog: &Path) -> Result<Vec<Placed>> {
        let Some(catalog) = Catalog::open(catalog)? else {
            return Ok(Vec::new());
        };
        catalog.migrate()?;
        self.placements_of(&catalog)
    }

    fn placements_of(&self, catalog: &Catalog) -> Result<Vec<Placed>> {
        let view = CatalogView::new(self, catalog)?;
        let rows = catalog.databases()?;
        rows.into_iter().map(|row| placed(&view, row)).collect()
    }

    /// Bytes that all primaries hold.
    pub fn used_bytes(&self) -> Result<u64> {
        let all = self.placements()?;
        let used = all
            .iter()
            .filter_map(|placed| self.engine.used(&placed.sites.first()?.1));
        Ok(used.sum())
    }

    /// The id of a database, if it exists. Faster than [`crate::control::ControlPlane::get_database`], whose error
    /// looks for similar names.
    pub fn id_of(&self, name: &DatabaseName) -> Result<Option<DatabaseId>> {
        let Some(view) = self.read()? else { return Ok(None) };
        Ok(view.catalog.database(name)?.map(|row| row.id))
    }

    pub fn placement(&self, name: &DatabaseName) -> Result<Placed> {
        let Some(view) = self.read()? else {
            return Err(database_not_found(name, std::iter::empty()));
        };
        placed(&view, view.database(name)?)
    }

    /// The same of an id; none when there is no such database.
    pub fn placement_of(&self, id: &DatabaseId) -> Result<Option<Placed>> {
        let Some(view) = self.read()? else { return Ok(None) };
        let row = view.catalog.database_by_id(id)?;
        row.map(|row| placed(&view, row)).transpose()
    }

    /// Writes a consistent copy of a database, as it is at a location or at its primary, into a new file.
    pub fn snapshot(&self, name: &DatabaseName, location: Option<&LocationCode>, to: &Path) -> Result<()> {
        let placed = self.placement(name)?;
        if placed.block_reads {
            return Err(reads_blocked(name));
        }
        let Some(location) = location else {
            let site = readable_site(self.engine.as_ref(), &placed)?;
            return self.engine.local_files(site)?.snapshot(site, to);
        };
        match placed.sites.iter().find(|(at, _)| at == location) {
            Some((_, site)) => self.engine.local_files(site)?.snapshot(site, to),
            None => Err(Error::new(
                Code::InstanceNotFound,
                format!("database {name} has no instance in {location}"),
            )
            .hint(format!("torso db replicas {name} shows where it is"))),
        }
    }
}

impl Embedded {
    /// The state of a database's content at its primary.
    pub fn position(&self, name: &DatabaseName) -> Result<Position> {
        let placed = self.placement(name)?;
        let primary = placed.sites.first().map(|(_, site)| self.engine.running(site));
        match primary.transpose()?.flatten() {
            Some(running) => Ok(running.position),
            None => Err(
                Error::new(Code::Unavailable, format!("the primary of {name} is missing"))
                    .hint("torso doctor has details"),
            ),
        }
    }
}

/// Where a database is wanted, and what of.
#[derive(Debug, Clone)]
pub struct WantedPlacement {
    /// The primary first.
    pub sites: Vec<(LocationCode, Site)>,
    pub limits: DatabaseLimits,
    /// Its primary is to be made, with nothing in it.
    pub is_empty: bool,
    /// While its primary is being moved: the former one, which takes no writes, and the replica that the next one is made of.
    pub moving: Option<[Site; 2]>,
    /// Former primaries whose files are set aside when they come back.
    pub retained: Vec<Site>,
}

/// Reads that of a row.
fn wanted_placement(view: &CatalogView<'_>, row: DatabaseRow) -> Result<WantedPlacement> {
    let former = view.catalog.former_instances(&row.id)?;
    let successor = former.iter().find(|former| is_successor(&row, former));
    let moving = successor.and_then(|successor| {
        let is_before = |one: &&FormerInstance| one.was_primary && one.epoch == successor.epoch && !one.is_kept;
        let site = |former| view.former_site(&row.id, Some(&row), former);
        Some([site(former.iter().find(is_before)?), site(successor)])
    });
    Ok(WantedPlacement {
        limits: view.want(&row)?.limits,
        // One that had another primary before is never made with nothing in it.
        is_empty: row.origin == Some(DatabaseOrigin::Empty) && former.is_empty(),
        retained: former
            .iter()
            .filter(|former| former.is_kept)
            .map(|former| view.former_site(&row.id, Some(&row), former))
            .collect(),
        moving,
        sites: placed(view, row)?.sites,
    })
}

/// Where a data directory has the file that a database is made of.
#[must_use]
pub fn seed_path(dir: &Path, id: &DatabaseId) -> std::path::PathBuf {
    dir.join("staging").join(format!("{id}.seed"))
}

/// Has the next reconciliation of a data directory, which has only its catalog and seeds, make each database of its seed. Returns
/// those that have none: they count as missing.
pub fn want_seeds(dir: &Path) -> Result<Vec<(DatabaseId, DatabaseName)>> {
    let catalog = Catalog::prepare(&dir.join("catalog.db"))?;
    catalog.durable()?;
    let mut missing = Vec::new();
    catalog.write(|| {
        catalog.forget_former_instances()?;
        for row in catalog.databases()? {
            if seed_path(dir, &row.id).exists() {
                catalog.want_seed(&row.id)?;
                catalog.add_pending(&row.id)?;
            } else {
                missing.push((row.id, row.name));
            }
        }
        Ok(())
    })?;
    Ok(missing)
}

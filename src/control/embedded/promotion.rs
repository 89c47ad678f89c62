//! Promotion where processes serve databases. The new primary is another instance, of a newer epoch and in another pool; the
//! commit that says so is the moment of the switch. Before it, everything can be undone, and is, by the next reconcile: the
//! database is pending, and a primary whose writes are blocked has not the limits that it should have. After it, everything
//! can be completed, and is, by the next reconcile: the catalog has the instances of the old epoch (`former_instances`), from
//! which the primary is taken over, and which are let go when their successors have what they had.

use super::catalog::Catalog;
use super::catalog::databases::DatabaseRow;
use super::catalog::former_instances::FormerInstance;
use super::placement::{Placed, placed};
use super::primary::{check_primary, missing};
use super::view::{CatalogView, Change, pool};
use super::write_barrier::{HeldWrites, WriteBarrier};
use crate::control::names::{DatabaseId, LocationCode};
use crate::control::promotion::PromotionReport;
use crate::engine::{InstanceRole, Running};
use crate::error::{Code, Error, Result};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// What a client is told whose write meets a primary that is being moved.
const REASON: &str = "the database's primary is being moved; nothing was written: try again";

/// How long a replica may take to have what its primary has, while nothing is written and writers wait; and how often it is looked at.
const EQUALITY: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);
/// How long writers wait for the process of a replica that does not run, and how often a promotion holds them back.
const ANSWER: Duration = Duration::from_secs(1);
const TRIES: u32 = 3;

/// Makes the replicas of databases at a location their primaries, with what `more` changes in the catalog at the same moment.
/// Databases whose primaries are there already stay as they are. None if there was nothing to do.
pub fn promote(
    change: &Change<'_>,
    rows: &[DatabaseRow],
    location: &LocationCode,
    barrier: &dyn WriteBarrier,
    more: impl FnOnce(&Catalog) -> Result<()>,
) -> Result<Option<PromotionReport>> {
    let moving: Vec<DatabaseRow> = rows.iter().filter(|row| row.primary != *location).cloned().collect();
    let Some(first) = moving.first() else {
        change.commit(|catalog| more(catalog))?;
        return Ok(None);
    };
    for row in &moving {
        check_movable(change, row)?;
        // Most of what a replica lacks is copied while writes go on.
        if let Some(error) = change.reach_at(&row.id, location)?.take_at(location) {
            return Err(error);
        }
    }
    // Not a commit of the request: what it asks for is done with the switch.
    let catalog = change.catalog;
    catalog.write(|| moving.iter().try_for_each(|row| catalog.add_pending(&row.id)))?;
    let ids: Vec<DatabaseId> = moving.iter().map(|row| row.id.clone()).collect();
    let mut waited = Duration::ZERO;
    let (mut held, began) = hold_when_equal(change, &moving, location, barrier, &mut waited)?;
    let switched = match commit(change, &moving, location, false, more) {
        Ok(()) => complete(change, &moving, location),
        Err(error) => {
            moving.iter().for_each(|row| recover(change, row, location));
            Err(error)
        }
    };
    // Where the catalog cannot be read, clients are led to where the databases were.
    held.now = placements(change, &ids).unwrap_or_default();
    drop(held);
    let outage = waited + began.elapsed();
    switched?;
    let mut pending = BTreeSet::new();
    for id in &ids {
        pending.extend(change.reach(id)?.failures.into_iter().map(|(at, _)| at));
    }
    Ok(Some(PromotionReport {
        from: first.primary.clone(),
        to: location.clone(),
        outage_ms: u64::try_from(outage.as_millis()).unwrap_or(u64::MAX),
        pending: pending.into_iter().collect(),
        loss: None,
    }))
}

/// Lifts the block of a promotion that failed before its commit. What fails now is left to later passes.
fn recover(change: &Change<'_>, row: &DatabaseRow, location: &LocationCode) {
    let Ok(Some(now)) = change.catalog.database_by_id(&row.id) else {
        return;
    };
    let _ = change.reach_at(&row.id, &now.primary);
    if now.epoch == row.epoch {
        // Its process was started for nothing.
        let _ = change
            .plane
            .engine
            .remove(&change.site(location, &promoted(row, location)));
    }
}

/// Where databases are now.
pub fn placements(change: &Change<'_>, ids: &[DatabaseId]) -> Result<Vec<Placed>> {
    let mut all = Vec::new();
    for id in ids {
        if let Some(row) = change.catalog.database_by_id(id)? {
            all.push(placed(change, row)?);
        }
    }
    Ok(all)
}

/// Refuses a database whose primary does not serve.
pub fn check_movable(change: &Change<'_>, row: &DatabaseRow) -> Result<()> {
    check_primary(change, row)?;
    match change.plane.engine.running(&change.site(&row.primary, row))? {
        Some(Running {
            role: InstanceRole::Primary,
            ..
        }) => Ok(()),
        _ => Err(missing(change, row)),
    }
}

/// Holds writes back when the replicas have everything. A target that does not answer within a second then ends that: writes go on
/// while it is waited for, and it is tried again. Returns since when writes wait; `waited` is how long they did in vain.
fn hold_when_equal<'b>(
    change: &Change<'_>,
    moving: &[DatabaseRow],
    location: &LocationCode,
    barrier: &'b dyn WriteBarrier,
    waited: &mut Duration,
) -> Result<(HeldWrites<'b>, Instant)> {
    let engine = &change.plane.engine;
    let ids: Vec<DatabaseId> = moving.iter().map(|row| row.id.clone()).collect();
    let mut tries = 0;
    loop {
        for row in moving {
            engine.prepare_primary(&change.site(location, &promoted(row, location)))?;
        }
        let began = Instant::now();
        let mut held = HeldWrites::hold(barrier, &ids);
        let Err(error) = make_equal(change, moving, location, &held) else {
            return Ok((held, began));
        };
        // Only the blocks are lifted while writes wait.
        for row in moving {
            let _ = change.reach_at(&row.id, &row.primary);
        }
        held.now = placements(change, &ids).unwrap_or_default();
        drop(held);
        moving.iter().for_each(|row| recover(change, row, location));
        *waited += began.elapsed();
        tries += 1;
        if tries == TRIES || !error.kind().retryable() {
            return Err(error);
        }
        for row in moving {
            if let Some(error) = change.reach_at(&row.id, location)?.take_at(location) {
                return Err(error);
            }
        }
    }
}

/// Waits until nothing is written and the replicas have everything.
fn make_equal(
    change: &Change<'_>,
    moving: &[DatabaseRow],
    location: &LocationCode,
    held: &HeldWrites<'_>,
) -> Result<()> {
    let engine = &change.plane.engine;
    for row in moving {
        engine.block_writes(&change.site(&row.primary, row), REASON)?;
        held.block(&row.id);
    }
    moving.iter().try_for_each(|row| copy_rest(change, row, location))
}

/// Fails if a replica's process does not run, after a second.
fn await_process(change: &Change<'_>, row: &DatabaseRow, location: &LocationCode) -> Result<()> {
    let end = Instant::now() + ANSWER;
    loop {
        match change.plane.engine.running(&change.site(location, row))? {
            Some(running) if running.serving => return Ok(()),
            _ if Instant::now() < end => std::thread::sleep(PAUSE),
            _ => {
                return Err(Error::new(
                    Code::Unavailable,
                    format!("the process of {} in {location} does not answer", row.name),
                )
                .hint("nothing was changed; try again when it runs: torso location status"));
            }
        }
    }
}

/// Makes the primaries of a promotion that was committed. Fails with `partial` where that cannot be done now.
fn complete(change: &Change<'_>, moving: &[DatabaseRow], location: &LocationCode) -> Result<()> {
    let mut moves = Vec::new();
    for row in moving {
        let now = promoted(row, location);
        moves.push((change.site(location, row), change.site(location, &now)));
    }
    // All of a process at once, so that it is stopped once. What fails is repeated by reconcile, which says why.
    let _ = change.plane.engine.take_over(&moves);
    for row in moving {
        let reached = change.reach_at(&row.id, location);
        let failed = reached.map_or_else(Some, |mut report| report.take_at(location));
        if let Some(error) = failed {
            return Err(Error::new(
                Code::Partial,
                format!(
                    "the primary of {} was moved to {location}, but does not serve there yet",
                    row.name
                ),
            )
            .caused_by(error)
            .hint("the server tries again until it does; torso doctor shows what is pending"));
        }
    }
    Ok(())
}

/// Moves a primary that is not there to a replica.
pub fn switch_without_primary(change: &Change<'_>, row: &DatabaseRow, location: &LocationCode) -> Result<()> {
    let moving = std::slice::from_ref(row);
    commit(change, moving, location, true, |_| Ok(()))?;
    complete(change, moving, location)
}

/// Completes a promotion that was decided while the former primary was there and cannot be completed with it: what it may
/// have that the replica lacks is kept.
pub fn complete_without_primary(change: &Change<'_>, row: &DatabaseRow) -> Result<()> {
    let engine = &change.plane.engine;
    let former = change.catalog.former_instances(&row.id)?;
    let decided = former
        .iter()
        .find(|former| former.was_primary && former.epoch + 1 == row.epoch && !former.is_kept);
    let Some(primary) = decided else { return Ok(()) };
    // One on another machine that is away is not there either, as far as this goes.
    if !matches!(engine.running(&change.site(&row.primary, row)), Ok(None)) {
        return Ok(());
    }
    let lost = FormerInstance {
        is_kept: true,
        ..primary.clone()
    };
    change
        .catalog
        .write(|| change.catalog.add_former_instance(&row.id, &lost))?;
    change.reach_at(&row.id, &row.primary).map(drop)
}

/// A database's row with the primary at a location.
fn promoted(row: &DatabaseRow, location: &LocationCode) -> DatabaseRow {
    DatabaseRow {
        primary: location.clone(),
        epoch: row.epoch + 1,
        ..row.clone()
    }
}

/// Copies to a replica, while nothing is written, what it lacks. A primary that was started again begins another log when it is
/// used first, which may be just now.
fn copy_rest(change: &Change<'_>, row: &DatabaseRow, location: &LocationCode) -> Result<()> {
    let (from, to) = (change.site(&row.primary, row), change.site(location, row));
    let end = Instant::now() + EQUALITY;
    loop {
        // It would be waited for until it is started again.
        await_process(change, row, location)?;
        change.plane.engine.copy(&from, &to)?;
        match check_equal(change, row, location) {
            Err(error) if error.code() == Code::Timeout && Instant::now() < end => std::thread::sleep(PAUSE),
            checked => return checked,
        }
    }
}

/// Checks, while nothing is written, that a replica has everything.
fn check_equal(change: &Change<'_>, row: &DatabaseRow, location: &LocationCode) -> Result<()> {
    let frame = |at: &LocationCode| -> Result<_> {
        let running = change.plane.engine.running(&change.site(at, row))?;
        Ok(running.and_then(|running| running.frame()))
    };
    match (frame(&row.primary)?, frame(location)?) {
        (Some(primary), Some(replica))
            if primary == replica || (primary.log == replica.log && replica.count > primary.count) =>
        {
            Ok(())
        }
        _ => Err(Error::new(
            Code::Timeout,
            format!("the replica of {} in {location} is not equal to the primary", row.name),
        )
        .hint(format!(
            "nothing was changed; torso db replicas {} shows how far it is; then try again",
            row.name
        ))),
    }
}

/// The switch: one transaction.
fn commit(
    change: &Change<'_>,
    moving: &[DatabaseRow],
    location: &LocationCode,
    is_forced: bool,
    more: impl FnOnce(&Catalog) -> Result<()>,
) -> Result<()> {
    let mut former = Vec::new();
    for row in moving {
        former.push(instances_of(change, row, is_forced)?);
    }
    change.commit(|catalog| {
        more(catalog)?;
        for (row, former) in moving.iter().zip(&former) {
            catalog.update_database(&promoted(row, location))?;
            catalog.remove_database_location(&row.id, location)?;
            if !catalog.group_locations(&row.group_uuid)?.contains(&row.primary) {
                catalog.add_database_location(&row.id, &row.primary)?;
            }
            former
                .iter()
                .try_for_each(|former| catalog.add_former_instance(&row.id, former))?;
            catalog.add_pending(&row.id)?;
        }
        Ok(())
    })
}

/// All instances of a database as they are left by a promotion. What the primary has is kept if that was not there.
fn instances_of(view: &CatalogView<'_>, row: &DatabaseRow, is_forced: bool) -> Result<Vec<FormerInstance>> {
    let replicas = view.want(row)?.replicas;
    let instance = |location: &LocationCode| FormerInstance {
        location: location.clone(),
        epoch: row.epoch,
        pool: pool(row),
        was_primary: *location == row.primary,
        is_kept: is_forced && *location == row.primary,
    };
    Ok(std::iter::once(&row.primary).chain(&replicas).map(instance).collect())
}

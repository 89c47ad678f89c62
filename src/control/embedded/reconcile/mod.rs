//! Reconciliation: the one place that changes what exists into what is wanted.
//!
//! [`plan`] is a pure function from the wanted and the observed state to the steps between them; [`reconcile`]
//! observes, plans and executes the steps on the engine. Creating, replicating, promoting, destroying and recovering
//! from a crash are this one code path. If the observed state is the wanted one, the plan is empty.

pub mod former;
mod plan;
mod report;
mod step;

pub use plan::{ObservedDatabase, ObservedInstance, WantedDatabase, plan};
pub use report::ReconcileReport;
use report::is_away;
pub use step::ReconcileStep;

use super::CatalogView;
use super::catalog::Catalog;
use super::catalog::databases::DatabaseRow;
use super::catalog::former_instances::FormerInstance;
use crate::control::names::{DatabaseId, LocationCode};
use crate::engine::{InstanceRole, Position, Running, Site};
use crate::error::Result;
use std::collections::{BTreeMap, BTreeSet};

/// Observes one database. A location that is away is unknown and reported as a failure.
fn observe(
    view: &CatalogView<'_>,
    id: &DatabaseId,
    row: Option<&DatabaseRow>,
    locations: &BTreeSet<LocationCode>,
    former: Vec<FormerInstance>,
    report: &mut ReconcileReport,
) -> ObservedDatabase {
    let successor = |row: &DatabaseRow| former.iter().any(|former| former::is_successor(row, former));
    let mut observed = ObservedDatabase {
        has_successor: row.is_some_and(successor),
        former,
        seed: view.plane.seed(id).exists(),
        at: BTreeMap::new(),
        limits: None,
        linked: row.is_none_or(|row| view.plane.engine.is_linked(&site(view, id, Some(row), &row.primary))),
    };
    let mut primaries: BTreeMap<String, Position> = BTreeMap::new();
    let mut replicas: Vec<(LocationCode, String, Position)> = Vec::new();
    for location in locations {
        let have = match view.plane.engine.running(&site(view, id, row, location)) {
            Ok(None) => continue,
            Ok(Some(Running {
                role: InstanceRole::Primary,
                damage: Some(damage),
                ..
            })) if row.is_some_and(|row| row.primary == *location) => {
                let site = site(view, id, row, location);
                let error = view.plane.engine.damage_error(&damage, &site);
                report.failures.push((location.clone(), error));
                ObservedInstance::Damaged
            }
            Ok(Some(running)) => match running.role {
                InstanceRole::Primary => {
                    if row.is_some_and(|row| row.primary == *location) {
                        observed.limits = running.limits;
                    }
                    primaries.insert(location.as_str().to_owned(), running.position);
                    if running.serving {
                        ObservedInstance::Primary
                    } else {
                        ObservedInstance::Idle
                    }
                }
                InstanceRole::Promoting => ObservedInstance::Promoting,
                InstanceRole::Replica { altered: true, of, .. } => ObservedInstance::Altered { of },
                InstanceRole::Replica { of, position, .. } => {
                    replicas.push((location.clone(), of, position));
                    continue;
                }
            },
            Err(error) if is_away(view, &site(view, id, row, location), &error) => {
                report.away.push((location.clone(), error));
                ObservedInstance::Unknown
            }
            Err(error) => {
                report.failures.push((location.clone(), error));
                ObservedInstance::Unknown
            }
        };
        observed.at.insert(location.clone(), have);
    }
    for (location, of, position) in replicas {
        let fresh = primaries.get(&of) == Some(&position);
        observed.at.insert(location, ObservedInstance::Replica { of, fresh });
    }
    observed
}

/// Brings one database to its wanted state, as far as possible; with `only`, it leaves all replicas but that one alone.
/// The lock must be held.
pub fn reconcile(view: &CatalogView<'_>, id: &DatabaseId, only: Option<&LocationCode>) -> Result<ReconcileReport> {
    bring(view, id, only, true)
}

/// The same for a caller that asked for something else: it waits for no other machine.
fn reconcile_here(view: &CatalogView<'_>, id: &DatabaseId) -> Result<ReconcileReport> {
    bring(view, id, None, false)
}

fn bring(view: &CatalogView<'_>, id: &DatabaseId, only: Option<&LocationCode>, waits: bool) -> Result<ReconcileReport> {
    let catalog = view.catalog;
    let row = catalog.database_by_id(id)?;
    let want = row.as_ref().map(|row| view.want(row)).transpose()?;
    let doomed = catalog.doomed(id)?;
    let mut locations = doomed.clone();
    if let Some(want) = &want {
        locations.insert(want.primary.clone());
        locations.extend(want.replicas.iter().cloned());
    }
    let mut report = ReconcileReport::default();
    let former = former::due(view, id, row.as_ref())?;
    let observed = observe(view, id, row.as_ref(), &locations, former, &mut report);
    let steps = plan(want.as_ref(), &doomed, &observed);
    let mut stands = want
        .as_ref()
        .is_none_or(|want| observed.at.get(&want.primary) == Some(&ObservedInstance::Primary));
    // A location that is wanted again is no longer doomed.
    let mut spared_or_gone: BTreeSet<LocationCode> = doomed
        .iter()
        .filter(|at| want.as_ref().is_some_and(|want| want.has(at)))
        .cloned()
        .collect();
    let mut discarded: Vec<FormerInstance> = Vec::new();
    let mut failed: BTreeSet<LocationCode> = BTreeSet::new();
    let is_other = |at: &LocationCode| {
        only.is_some_and(|only| only != at) && want.as_ref().is_some_and(|want| want.primary != *at)
    };
    let mut waiting = steps.as_slice();
    'steps: while !waiting.is_empty() {
        // Copies do not depend on each other, so they are made together.
        let copies = waiting
            .iter()
            .take_while(|step| matches!(step, ReconcileStep::Copy { .. }));
        let (now, later) = waiting.split_at(copies.count().max(1));
        waiting = later;
        let now: Vec<&ReconcileStep> = now
            .iter()
            .filter(|step| !step.location().is_some_and(|at| failed.contains(at) || is_other(at)))
            .filter(|step| may_discard(step, only, &report))
            .filter(|step| waits || !is_made_elsewhere(view, id, row.as_ref(), step))
            .collect();
        for (step, taken) in now.iter().zip(take(view, id, row.as_ref(), &now, &mut report)) {
            match (taken, step.location()) {
                (Ok(()), Some(at)) => {
                    if step.makes_primary() {
                        stands = true;
                    } else if matches!(step, ReconcileStep::Drop { .. }) {
                        spared_or_gone.insert(at.clone());
                    } else if let ReconcileStep::Discard { former } = step {
                        discarded.push(former.clone());
                    }
                }
                // A seed that could not be removed is only a file in the staging directory, which is swept later.
                (_, None) => {}
                (Err(error), Some(at)) => {
                    let is_primary = want.as_ref().is_some_and(|want| want.primary == *at);
                    if is_away(view, &site(view, id, row.as_ref(), at), &error) {
                        report.away.push((at.clone(), error));
                        stands &= !is_primary;
                    } else {
                        report.failures.push((at.clone(), error));
                        failed.insert(at.clone());
                    }
                    // Without its primary, nothing more can be done for an existing database.
                    if is_primary {
                        break 'steps;
                    }
                }
            }
        }
    }
    release_demoted(view, id, row.as_ref(), &steps);
    let is_missing = !stands && is_missing(want.as_ref(), &observed, &report);
    view.plane.engine.note_missing(id.as_str(), is_missing);
    let is_done = stands && report.failures.is_empty() && only.is_none();
    record_done(catalog, id, is_done, &spared_or_gone, &discarded)?;
    Ok(report)
}

/// Whether the wanted primary is not there, although its location is, and nothing was tried in vain to make it.
fn is_missing(want: Option<&WantedDatabase>, observed: &ObservedDatabase, report: &ReconcileReport) -> bool {
    want.is_some_and(|want| {
        let mut failed = report.failures.iter().chain(&report.away);
        !observed.at.contains_key(&want.primary) && !failed.any(|(at, _)| *at == want.primary)
    })
}

/// Unlocks the former primaries of promotions.
fn release_demoted(view: &CatalogView<'_>, id: &DatabaseId, row: Option<&DatabaseRow>, steps: &[ReconcileStep]) {
    for step in steps {
        if let ReconcileStep::Demote { from, .. } = step {
            view.plane.engine.release(&site(view, id, row, from));
        }
    }
}

/// Whether another machine takes a step by itself, which then hears of it.
fn is_made_elsewhere(view: &CatalogView<'_>, id: &DatabaseId, row: Option<&DatabaseRow>, step: &ReconcileStep) -> bool {
    match step {
        ReconcileStep::Copy { to, .. } => view.plane.engine.is_copied_elsewhere(&site(view, id, row, to)),
        _ => false,
    }
}

/// Whether an instance of an earlier epoch may be let go now: not while callers wait for its successor, and a primary only when
/// every replica that can be reached has been made again.
fn may_discard(step: &ReconcileStep, only: Option<&LocationCode>, report: &ReconcileReport) -> bool {
    match step {
        ReconcileStep::Discard { former } => {
            only.is_none() && (!former.was_primary || former.is_kept || report.failures.is_empty())
        }
        _ => true,
    }
}

/// Records which doomed locations are so no more, and, if all is as wanted, that nothing is pending.
fn record_done(
    catalog: &Catalog,
    id: &DatabaseId,
    is_done: bool,
    spared_or_gone: &BTreeSet<LocationCode>,
    discarded: &[FormerInstance],
) -> Result<()> {
    if !discarded.is_empty() || (catalog.has_work()? && (is_done || !spared_or_gone.is_empty())) {
        // If this cannot be recorded, on a full disk, the database is reconciled once more.
        let _ = catalog.write_lazily(|| {
            spared_or_gone.iter().try_for_each(|at| catalog.remove_doomed(id, at))?;
            for former in discarded {
                catalog.remove_former_instance(id, &former.location, former.epoch)?;
            }
            if is_done { catalog.record_reconciled(id) } else { Ok(()) }
        });
    }
    Ok(())
}

/// The site of an instance; its database may have left the catalog.
fn site(view: &CatalogView<'_>, id: &DatabaseId, row: Option<&DatabaseRow>, location: &LocationCode) -> Site {
    match row {
        Some(row) => view.site(location, row),
        None => view.remains(location, id),
    }
}

/// Executes one step, or several copies of one primary together. Returns the result of each.
fn take(
    view: &CatalogView<'_>,
    id: &DatabaseId,
    row: Option<&DatabaseRow>,
    steps: &[&ReconcileStep],
    report: &mut ReconcileReport,
) -> Vec<Result<()>> {
    let taken = match steps {
        [ReconcileStep::Copy { from, .. }, _, ..] => {
            let places = steps.iter().filter_map(|step| step.location());
            let to: Vec<_> = places.map(|at| site(view, id, row, at)).collect();
            view.plane.engine.copy_to_all(&site(view, id, row, from), &to)
        }
        _ => steps.iter().map(|step| take_one(view, id, row, step, report)).collect(),
    };
    for (step, taken) in steps.iter().zip(&taken) {
        if let (ReconcileStep::Copy { to, .. }, Ok(())) = (step, taken) {
            report.copied.push(to.clone());
        }
    }
    taken
}

fn take_one(
    view: &CatalogView<'_>,
    id: &DatabaseId,
    row: Option<&DatabaseRow>,
    step: &ReconcileStep,
    report: &mut ReconcileReport,
) -> Result<()> {
    let engine = &view.plane.engine;
    let site = |location: &LocationCode| site(view, id, row, location);
    match step {
        ReconcileStep::Create { at } => engine.create(&site(at)),
        ReconcileStep::Start { at } => engine.start(&site(at)),
        ReconcileStep::Configure { at, limits } => engine.configure(&site(at), limits),
        ReconcileStep::Adopt { at } => engine.local_files(&site(at))?.adopt(&view.plane.seed(id), &site(at)),
        ReconcileStep::Link { at } => engine.link(&site(at)),
        ReconcileStep::SetAside { at } => {
            let path = engine.local_files(&site(at))?.set_aside(&site(at))?;
            report.kept_aside.push((at.clone(), path));
            Ok(())
        }
        ReconcileStep::Demote { from, to } => engine.demote(&site(from), &site(to)),
        ReconcileStep::Promote { at } => engine.promote(&site(at)),
        ReconcileStep::Copy { from, to } => engine.copy(&site(from), &site(to)),
        ReconcileStep::ServeAlone { at } => engine.serve_alone(&site(at)),
        ReconcileStep::TakeOver { .. } => row.map_or(Ok(()), |row| former::take_over(view, row)),
        ReconcileStep::Discard { former } => {
            let path = former::discard(view, id, row, former)?;
            report
                .kept_aside
                .extend(path.map(|path| (former.location.clone(), path)));
            Ok(())
        }
        ReconcileStep::Drop { at } => engine.remove(&site(at)),
        ReconcileStep::DropSeed => crate::engine::disk::remove(&view.plane.seed(id)),
    }
}

/// Reconciles every database, as a server does when it starts.
pub fn all(view: &CatalogView<'_>) -> Result<ReconcileReport> {
    let mut total = ReconcileReport::default();
    for row in view.catalog.databases()? {
        let report = reconcile_here(view, &row.id)?;
        total.failures.extend(report.failures);
        total.copied.extend(report.copied);
        total.kept_aside.extend(report.kept_aside);
    }
    Ok(total)
}

/// Does all pending work. What cannot be done now stays pending and is not an error.
pub fn resume_pending(view: &CatalogView<'_>) -> Result<()> {
    if !view.catalog.has_work()? {
        return Ok(());
    }
    for id in view.catalog.work()? {
        reconcile_here(view, &id)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

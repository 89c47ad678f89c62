//! The one place that makes what is equal to what is wanted.
//!
//! [`plan`] is a pure function from the two to the steps between; [`reconcile`] observes, plans and has the engine take
//! the steps. Creating, replicating, promoting, destroying and recovering from a crash are this one code path. The plan of
//! a state that is as wanted is empty.

use super::View;
use super::catalog::databases::{DatabaseRow, Origin};
use crate::control::names::{DatabaseId, LocationCode};
use crate::engine::{Limits, Position, Role, Site};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What is wanted of one database.
#[derive(Debug, Clone, PartialEq)]
pub struct Want {
    pub primary: LocationCode,
    /// Without the primary's location.
    pub replicas: BTreeSet<LocationCode>,
    /// What its first primary is made from; none once it stood.
    pub origin: Option<Origin>,
    /// What is to be enforced on it.
    pub limits: Limits,
}

impl Want {
    fn has(&self, location: &LocationCode) -> bool {
        self.primary == *location || self.replicas.contains(location)
    }
}

/// What is at one location.
#[derive(Debug, Clone, PartialEq)]
pub enum Have {
    Primary,
    /// A primary whose process does not run.
    Idle,
    Replica {
        /// The location of the primary it is a copy of.
        of: String,
        /// Whether it has everything that primary has.
        fresh: bool,
    },
    /// A replica whose promotion has begun.
    Rising,
    /// A copy of the primary at the location `of` that something else has changed.
    Altered {
        of: String,
    },
    /// It cannot be told: the location's directory is away.
    Unknown,
}

/// What there is of one database. A location that is not listed has nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct World {
    pub seed: bool,
    pub at: BTreeMap<LocationCode, Have>,
    /// What is enforced on the wanted primary, where the engine enforces anything.
    pub limits: Option<Limits>,
}

/// One call of the engine.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Create { at: LocationCode },
    Start { at: LocationCode },
    Configure { at: LocationCode, limits: Limits },
    Adopt { at: LocationCode },
    SetAside { at: LocationCode },
    HandOver { from: LocationCode, to: LocationCode },
    Promote { at: LocationCode },
    Copy { from: LocationCode, to: LocationCode },
    Drop { at: LocationCode },
    DropSeed,
}

impl Step {
    /// Where a failure of the step is felt. None for the seed, which waits in no location.
    fn location(&self) -> Option<&LocationCode> {
        match self {
            Self::Create { at }
            | Self::Start { at }
            | Self::Configure { at, .. }
            | Self::Adopt { at }
            | Self::SetAside { at }
            | Self::Promote { at }
            | Self::Drop { at } => Some(at),
            Self::HandOver { to, .. } | Self::Copy { to, .. } => Some(to),
            Self::DropSeed => None,
        }
    }
}

/// The steps from what there is to what is wanted.
///
/// Data is removed only at `doomed` locations, and there only if they are not wanted and, while the database lives, hold
/// nothing but an unaltered copy. A primary that is missing is not replaced, except by what its `origin` says.
#[must_use]
pub fn plan(want: Option<&Want>, doomed: &BTreeSet<LocationCode>, have: &World) -> Vec<Step> {
    let mut steps = Vec::new();
    let Some(want) = want else {
        if have.seed {
            steps.push(Step::DropSeed);
        }
        steps.extend(doomed.iter().map(|at| Step::Drop { at: at.clone() }));
        return steps;
    };
    let Some(base) = plan_primary(want, doomed, have, &mut steps) else {
        return steps;
    };
    let enforced = have
        .limits
        .clone()
        .or_else(|| (base != Base::Stood).then(Limits::default));
    if enforced.is_some_and(|enforced| enforced != want.limits) {
        steps.push(Step::Configure {
            at: want.primary.clone(),
            limits: want.limits.clone(),
        });
    }
    for at in &want.replicas {
        match have.at.get(at) {
            Some(Have::Unknown) => continue,
            Some(Have::Replica { of, fresh: true }) if base == Base::Stood && of == want.primary.as_str() => continue,
            Some(what) => steps.extend(way_cleared(at, what, &base)),
            None => {}
        }
        steps.push(Step::Copy {
            from: want.primary.clone(),
            to: at.clone(),
        });
    }
    for at in doomed.iter().filter(|at| !want.has(at)) {
        steps.extend(have.at.get(at).and_then(|what| way_cleared(at, what, &base)));
        steps.push(Step::Drop { at: at.clone() });
    }
    steps
}

/// How the wanted primary comes to stand.
#[derive(PartialEq)]
enum Base {
    /// It did before.
    Stood,
    /// It takes the role over from another location, which becomes its replica.
    Given(LocationCode),
    Made,
}

/// The step that saves what is more than a copy, before its place is used or dropped.
fn way_cleared(at: &LocationCode, what: &Have, base: &Base) -> Option<Step> {
    match what {
        Have::Primary if *base == Base::Given(at.clone()) => None,
        Have::Primary | Have::Idle | Have::Altered { .. } | Have::Rising => Some(Step::SetAside { at: at.clone() }),
        Have::Replica { .. } | Have::Unknown => None,
    }
}

/// Another location that holds the primary's role: the one that the wanted primary is a copy of, if there are several.
fn giver<'a>(want: &Want, doomed: &BTreeSet<LocationCode>, have: &'a World) -> Option<&'a LocationCode> {
    let named = match have.at.get(&want.primary) {
        Some(Have::Replica { of, .. }) => of.as_str(),
        _ => "",
    };
    let ours = |at: &LocationCode| want.replicas.contains(at) || doomed.contains(at);
    let others = have
        .at
        .iter()
        .filter(|(at, what)| **at != want.primary && ours(at) && **what == Have::Primary);
    others.map(|(at, _)| at).max_by_key(|at| at.as_str() == named)
}

/// The steps until the wanted primary stands; none when it cannot be made to.
fn plan_primary(want: &Want, doomed: &BTreeSet<LocationCode>, have: &World, steps: &mut Vec<Step>) -> Option<Base> {
    let at = want.primary.clone();
    let here = have.at.get(&at);
    match here {
        Some(Have::Primary | Have::Idle) => {
            if here == Some(&Have::Idle) {
                steps.push(Step::Start { at: at.clone() });
            }
            if have.seed {
                steps.push(Step::Adopt { at });
            }
            return Some(Base::Stood);
        }
        Some(Have::Rising) => {
            steps.push(Step::Promote { at });
            return Some(Base::Made);
        }
        Some(Have::Unknown) => return None,
        Some(Have::Replica { .. } | Have::Altered { .. }) | None => {}
    }
    if let Some(from) = giver(want, doomed, have) {
        if matches!(here, Some(Have::Altered { .. })) {
            steps.push(Step::SetAside { at: at.clone() });
        }
        steps.push(Step::HandOver {
            from: from.clone(),
            to: at.clone(),
        });
        steps.push(Step::Promote { at });
        return Some(Base::Given(from.clone()));
    }
    let given = |what: &Have| matches!(what, Have::Replica { of, .. } | Have::Altered { of } if of == at.as_str());
    match (here, want.origin) {
        // The former primary has given its role away; the promotion was cut short.
        (Some(Have::Replica { .. }), _) if have.at.values().any(given) => steps.push(Step::Promote { at }),
        (None, Some(Origin::Seed)) if have.seed => steps.push(Step::Adopt { at }),
        (None, Some(Origin::Empty)) if have.at.is_empty() => steps.push(Step::Create { at }),
        _ => return None,
    }
    Some(Base::Made)
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// By location. The work stays pending, and the next command tries again.
    pub failures: Vec<(LocationCode, Error)>,
    pub copied: Vec<LocationCode>,
    /// Files that were kept because something else had changed them.
    pub kept_aside: Vec<(LocationCode, PathBuf)>,
}

impl Report {
    /// The failure at a location, which the caller asked for.
    pub fn take_failure(&mut self, location: &LocationCode) -> Option<Error> {
        let index = self.failures.iter().position(|(at, _)| at == location)?;
        Some(self.failures.remove(index).1)
    }
}

/// Observes one database. What is at a location that is away is unknown, and so reported.
fn observe(
    view: &View<'_>,
    id: &DatabaseId,
    row: Option<&DatabaseRow>,
    locations: &BTreeSet<LocationCode>,
    report: &mut Report,
) -> World {
    let mut world = World {
        seed: view.plane.seed(id).exists(),
        at: BTreeMap::new(),
        limits: None,
    };
    let mut primaries: BTreeMap<String, Position> = BTreeMap::new();
    let mut replicas: Vec<(LocationCode, String, Position)> = Vec::new();
    for location in locations {
        let have = match view.plane.engine.running(&site(view, id, row, location)) {
            Ok(None) => continue,
            Ok(Some(running)) => match running.role {
                Role::Primary => {
                    if row.is_some_and(|row| row.primary == *location) {
                        world.limits = running.limits;
                    }
                    primaries.insert(location.as_str().to_owned(), running.position);
                    if running.serving { Have::Primary } else { Have::Idle }
                }
                Role::Rising => Have::Rising,
                Role::Replica { altered: true, of, .. } => Have::Altered { of },
                Role::Replica { of, position, .. } => {
                    replicas.push((location.clone(), of, position));
                    continue;
                }
            },
            Err(error) => {
                report.failures.push((location.clone(), error));
                Have::Unknown
            }
        };
        world.at.insert(location.clone(), have);
    }
    for (location, of, position) in replicas {
        let fresh = primaries.get(&of) == Some(&position);
        world.at.insert(location, Have::Replica { of, fresh });
    }
    world
}

/// Brings one database to what is wanted of it, as far as the machine lets us; with `only`, none of its replicas but that
/// one. The lock is held.
pub fn reconcile(view: &View<'_>, id: &DatabaseId, only: Option<&LocationCode>) -> Result<Report> {
    let catalog = view.catalog;
    let row = catalog.database_by_id(id)?;
    let want = row.as_ref().map(|row| view.want(row)).transpose()?;
    let doomed = catalog.doomed(id)?;
    let mut locations = doomed.clone();
    if let Some(want) = &want {
        locations.insert(want.primary.clone());
        locations.extend(want.replicas.iter().cloned());
    }
    let mut report = Report::default();
    let world = observe(view, id, row.as_ref(), &locations, &mut report);
    let steps = plan(want.as_ref(), &doomed, &world);
    let mut stands = want
        .as_ref()
        .is_none_or(|want| world.at.get(&want.primary) == Some(&Have::Primary));
    // What is wanted again is doomed no longer.
    let mut spared_or_gone: BTreeSet<LocationCode> = doomed
        .iter()
        .filter(|at| want.as_ref().is_some_and(|want| want.has(at)))
        .cloned()
        .collect();
    let mut failed: BTreeSet<LocationCode> = BTreeSet::new();
    let is_other = |at: &LocationCode| {
        only.is_some_and(|only| only != at) && want.as_ref().is_some_and(|want| want.primary != *at)
    };
    let mut waiting = steps.as_slice();
    'steps: while !waiting.is_empty() {
        // Copies do not depend on each other.
        let copies = waiting.iter().take_while(|step| matches!(step, Step::Copy { .. }));
        let (now, later) = waiting.split_at(copies.count().max(1));
        waiting = later;
        let now: Vec<&Step> = now
            .iter()
            .filter(|step| !step.location().is_some_and(|at| failed.contains(at) || is_other(at)))
            .collect();
        for (step, taken) in now.iter().zip(take(view, id, row.as_ref(), &now, &mut report)) {
            match (taken, step.location()) {
                (Ok(()), Some(at)) => {
                    if matches!(
                        step,
                        Step::Create { .. } | Step::Start { .. } | Step::Adopt { .. } | Step::Promote { .. }
                    ) {
                        stands = true;
                    } else if matches!(step, Step::Drop { .. }) {
                        spared_or_gone.insert(at.clone());
                    }
                }
                // A forgotten seed is only a file in the staging directory, which is swept.
                (_, None) => {}
                (Err(error), Some(at)) => {
                    report.failures.push((at.clone(), error));
                    failed.insert(at.clone());
                    // Without its primary nothing further can be done for a living database.
                    if want.as_ref().is_some_and(|want| want.primary == *at) {
                        break 'steps;
                    }
                }
            }
        }
    }
    for step in &steps {
        if let Step::HandOver { from, .. } = step {
            view.plane.engine.release(&site(view, id, row.as_ref(), from));
        }
    }
    let settled = stands && report.failures.is_empty() && only.is_none();
    if catalog.has_work()? && (settled || !spared_or_gone.is_empty()) {
        // What cannot be noted, on a full disk, is done already; it will be looked at once more.
        let _ = catalog.write_lazily(|| {
            spared_or_gone.iter().try_for_each(|at| catalog.remove_doomed(id, at))?;
            if settled { catalog.settled(id) } else { Ok(()) }
        });
    }
    Ok(report)
}

/// The site of an instance, of a database that may be in the catalog no more.
fn site(view: &View<'_>, id: &DatabaseId, row: Option<&DatabaseRow>, location: &LocationCode) -> Site {
    match row {
        Some(row) => view.site(location, row),
        None => view.remains(location, id),
    }
}

/// Has the engine take one step, or copies of one primary together: what came of each.
fn take(
    view: &View<'_>,
    id: &DatabaseId,
    row: Option<&DatabaseRow>,
    steps: &[&Step],
    report: &mut Report,
) -> Vec<Result<()>> {
    let taken = match steps {
        [Step::Copy { from, .. }, _, ..] => {
            let places = steps.iter().filter_map(|step| step.location());
            let to: Vec<_> = places.map(|at| site(view, id, row, at)).collect();
            view.plane.engine.copy_to_all(&site(view, id, row, from), &to)
        }
        _ => steps.iter().map(|step| take_one(view, id, row, step, report)).collect(),
    };
    for (step, taken) in steps.iter().zip(&taken) {
        if let (Step::Copy { to, .. }, Ok(())) = (step, taken) {
            report.copied.push(to.clone());
        }
    }
    taken
}

fn take_one(
    view: &View<'_>,
    id: &DatabaseId,
    row: Option<&DatabaseRow>,
    step: &Step,
    report: &mut Report,
) -> Result<()> {
    let engine = &view.plane.engine;
    let site = |location: &LocationCode| site(view, id, row, location);
    match step {
        Step::Create { at } => engine.create(&site(at)),
        Step::Start { at } => engine.start(&site(at)),
        Step::Configure { at, limits } => engine.configure(&site(at), limits),
        Step::Adopt { at } => engine.adopt(&view.plane.seed(id), &site(at)),
        Step::SetAside { at } => {
            let path = engine.set_aside(&site(at))?;
            report.kept_aside.push((at.clone(), path));
            Ok(())
        }
        Step::HandOver { from, to } => engine.hand_over(&site(from), &site(to)),
        Step::Promote { at } => engine.promote(&site(at)),
        Step::Copy { from, to } => engine.copy(&site(from), &site(to)),
        Step::Drop { at } => engine.remove(&site(at)),
        Step::DropSeed => crate::engine::disk::remove(&view.plane.seed(id)),
    }
}

/// Brings every database to what is wanted of it: what a server does when it starts.
pub fn all(view: &View<'_>) -> Result<Report> {
    let mut total = Report::default();
    for row in view.catalog.databases()? {
        let report = reconcile(view, &row.id, None)?;
        total.failures.extend(report.failures);
        total.copied.extend(report.copied);
        total.kept_aside.extend(report.kept_aside);
    }
    Ok(total)
}

/// Does all work that waits, whoever left it. What cannot be done now stays, and is nobody else's failure.
pub fn heal(view: &View<'_>) -> Result<()> {
    if !view.catalog.has_work()? {
        return Ok(());
    }
    for id in view.catalog.work()? {
        reconcile(view, &id, None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

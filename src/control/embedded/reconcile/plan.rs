//! The plan of a reconciliation: the steps from what is observed of a database to what is wanted of it.
//!
//! It is a pure function. Observing and executing are its parent's.

use super::step::ReconcileStep;
use crate::control::embedded::catalog::databases::DatabaseOrigin;
use crate::control::embedded::catalog::former_instances::FormerInstance;
use crate::control::names::LocationCode;
use crate::engine::DatabaseLimits;
use std::collections::{BTreeMap, BTreeSet};

/// The wanted state of one database.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedDatabase {
    pub primary: LocationCode,
    /// Locations of replicas; the primary's is not among them.
    pub replicas: BTreeSet<LocationCode>,
    /// What its first primary is made from; none once it has been made.
    pub origin: Option<DatabaseOrigin>,
    /// The limits to enforce on it.
    pub limits: DatabaseLimits,
}

impl WantedDatabase {
    pub fn has(&self, location: &LocationCode) -> bool {
        self.primary == *location || self.replicas.contains(location)
    }
}

/// The observed state at one location.
#[derive(Debug, Clone, PartialEq)]
pub enum ObservedInstance {
    Primary,
    /// A primary whose process is not running.
    Idle,
    /// A primary whose file is missing or damaged. It is not used, and nothing takes its place.
    Damaged,
    Replica {
        /// The location of the primary it is a copy of.
        of: String,
        /// Whether it has everything that the primary has.
        fresh: bool,
    },
    /// A replica whose promotion has begun and must be completed.
    Promoting,
    /// A copy of the primary at the location `of` that another program has changed.
    Altered {
        of: String,
    },
    /// Unknown: the location's directory is away.
    Unknown,
}

/// The observed state of one database. A location that is not listed has nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ObservedDatabase {
    pub seed: bool,
    pub at: BTreeMap<LocationCode, ObservedInstance>,
    /// The limits in force on the wanted primary, if the engine enforces any.
    pub limits: Option<DatabaseLimits>,
    /// Whether the database's URL leads to the wanted primary.
    pub linked: bool,
    /// Instances of earlier epochs that promotions have left.
    pub former: Vec<FormerInstance>,
    /// Whether one of them is the replica that the wanted primary is to be made from.
    pub has_successor: bool,
}

/// The steps from the observed state to the wanted one.
///
/// Data is removed only at `doomed` locations: only if they are not wanted and, while the database exists, only if they
/// hold an unaltered copy. A missing primary is not replaced, except from its `origin`.
#[must_use]
pub fn plan(
    want: Option<&WantedDatabase>,
    doomed: &BTreeSet<LocationCode>,
    have: &ObservedDatabase,
) -> Vec<ReconcileStep> {
    let mut steps = Vec::new();
    let Some(want) = want else {
        if have.seed {
            steps.push(ReconcileStep::DropSeed);
        }
        steps.extend(doomed.iter().map(|at| ReconcileStep::Drop { at: at.clone() }));
        steps.extend(have.former.iter().cloned().map(discard));
        return steps;
    };
    let Some(base) = plan_primary(want, doomed, have, &mut steps) else {
        if have.at.get(&want.primary) == Some(&ObservedInstance::Damaged) {
            let readable = |at: &&LocationCode| matches!(have.at.get(*at), Some(ObservedInstance::Replica { .. }));
            let replicas = want.replicas.iter().filter(readable);
            steps.extend(replicas.map(|at| ReconcileStep::ServeAlone { at: at.clone() }));
        }
        return steps;
    };
    if !have.linked {
        steps.push(ReconcileStep::Link {
            at: want.primary.clone(),
        });
    }
    let enforced = have
        .limits
        .clone()
        .or_else(|| (base != PrimaryOrigin::Existing).then(DatabaseLimits::default));
    if enforced.is_some_and(|enforced| enforced != want.limits) {
        steps.push(ReconcileStep::Configure {
            at: want.primary.clone(),
            limits: want.limits.clone(),
        });
    }
    for at in &want.replicas {
        match have.at.get(at) {
            Some(ObservedInstance::Unknown) => continue,
            Some(ObservedInstance::Replica { of, fresh: true })
                if base == PrimaryOrigin::Existing && of == want.primary.as_str() =>
            {
                continue;
            }
            Some(what) => steps.extend(set_aside_step(at, what, &base)),
            None => {}
        }
        steps.push(ReconcileStep::Copy {
            from: want.primary.clone(),
            to: at.clone(),
        });
    }
    for at in doomed.iter().filter(|at| !want.has(at)) {
        steps.extend(have.at.get(at).and_then(|what| set_aside_step(at, what, &base)));
        steps.push(ReconcileStep::Drop { at: at.clone() });
    }
    // Only what has its successor is let go.
    steps.extend(have.former.iter().cloned().map(discard));
    steps
}

fn discard(former: FormerInstance) -> ReconcileStep {
    ReconcileStep::Discard { former }
}

/// How the wanted primary comes into being.
#[derive(PartialEq)]
enum PrimaryOrigin {
    /// It exists.
    Existing,
    /// It takes the role over from another location, which becomes a replica.
    Promoted(LocationCode),
    /// It is created, from its origin or from a replica.
    Created,
}

/// The step that keeps a file aside if it is more than a copy, before its place is used or dropped.
fn set_aside_step(at: &LocationCode, what: &ObservedInstance, base: &PrimaryOrigin) -> Option<ReconcileStep> {
    match what {
        ObservedInstance::Primary if *base == PrimaryOrigin::Promoted(at.clone()) => None,
        ObservedInstance::Primary
        | ObservedInstance::Idle
        | ObservedInstance::Damaged
        | ObservedInstance::Altered { .. }
        | ObservedInstance::Promoting => Some(ReconcileStep::SetAside { at: at.clone() }),
        ObservedInstance::Replica { .. } | ObservedInstance::Unknown => None,
    }
}

/// Another location that has the primary's role; if there are several, the one that the wanted primary is a copy of.
fn former_primary<'a>(
    want: &WantedDatabase,
    doomed: &BTreeSet<LocationCode>,
    have: &'a ObservedDatabase,
) -> Option<&'a LocationCode> {
    let named = match have.at.get(&want.primary) {
        Some(ObservedInstance::Replica { of, .. }) => of.as_str(),
        _ => "",
    };
    let ours = |at: &LocationCode| want.replicas.contains(at) || doomed.contains(at);
    let others = have
        .at
        .iter()
        .filter(|(at, what)| **at != want.primary && ours(at) && **what == ObservedInstance::Primary);
    others.map(|(at, _)| at).max_by_key(|at| at.as_str() == named)
}

/// Adds the steps to the wanted primary. None if there is no way to it.
fn plan_primary(
    want: &WantedDatabase,
    doomed: &BTreeSet<LocationCode>,
    have: &ObservedDatabase,
    steps: &mut Vec<ReconcileStep>,
) -> Option<PrimaryOrigin> {
    let at = want.primary.clone();
    let here = have.at.get(&at);
    match here {
        Some(ObservedInstance::Primary | ObservedInstance::Idle) => {
            if here == Some(&ObservedInstance::Idle) {
                steps.push(ReconcileStep::Start { at: at.clone() });
            }
            if have.seed {
                steps.push(ReconcileStep::Adopt { at });
            }
            return Some(PrimaryOrigin::Existing);
        }
        Some(ObservedInstance::Promoting) => {
            steps.push(ReconcileStep::Promote { at });
            return Some(PrimaryOrigin::Created);
        }
        Some(ObservedInstance::Unknown | ObservedInstance::Damaged) => return None,
        Some(ObservedInstance::Replica { .. } | ObservedInstance::Altered { .. }) | None => {}
    }
    if let Some(from) = former_primary(want, doomed, have) {
        if matches!(here, Some(ObservedInstance::Altered { .. })) {
            steps.push(ReconcileStep::SetAside { at: at.clone() });
        }
        steps.push(ReconcileStep::Demote {
            from: from.clone(),
            to: at.clone(),
        });
        steps.push(ReconcileStep::Promote { at });
        return Some(PrimaryOrigin::Promoted(from.clone()));
    }
    let is_copy_of_it = |what: &ObservedInstance| matches!(what, ObservedInstance::Replica { of, .. } | ObservedInstance::Altered { of } if of == at.as_str());
    match (here, want.origin) {
        (None, _) if have.has_successor => steps.push(ReconcileStep::TakeOver { at }),
        // The former primary has given up its role already; the promotion was interrupted.
        (Some(ObservedInstance::Replica { .. }), _) if have.at.values().any(is_copy_of_it) => {
            steps.push(ReconcileStep::Promote { at })
        }
        (None, Some(DatabaseOrigin::Seed)) if have.seed => steps.push(ReconcileStep::Adopt { at }),
        (None, Some(DatabaseOrigin::Empty)) if have.at.is_empty() => steps.push(ReconcileStep::Create { at }),
        _ => return None,
    }
    Some(PrimaryOrigin::Created)
}

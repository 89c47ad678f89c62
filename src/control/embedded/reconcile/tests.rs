//! Properties of [`plan`]: it reaches the wanted state and then is empty, also if it is interrupted after any step and
//! begun again; it drops nothing that is not doomed; and no row is lost.

use super::*;
use crate::control::embedded::catalog::databases::DatabaseOrigin;
use crate::engine::DatabaseLimits;
use proptest::prelude::*;

const CODES: [&str; 4] = ["ams", "fra", "lhr", "syd"];

fn code(index: usize) -> LocationCode {
    CODES[index].parse().unwrap()
}

/// A file at a location: what it is, and the rows in it.
#[derive(Debug, Clone, PartialEq)]
struct File {
    have: ObservedInstance,
    rows: BTreeSet<u32>,
}

/// One database's files, and what became of others.
#[derive(Debug, Clone, Default)]
struct Model {
    seed: Option<BTreeSet<u32>>,
    at: BTreeMap<LocationCode, File>,
    limits: Option<DatabaseLimits>,
    aside: Vec<BTreeSet<u32>>,
    dropped: BTreeSet<LocationCode>,
    /// Where the database's URL leads.
    link: Option<LocationCode>,
}

impl Model {
    fn observed(&self, want: Option<&WantedDatabase>) -> ObservedDatabase {
        let at = self
            .at
            .iter()
            .map(|(at, file)| (at.clone(), file.have.clone()))
            .collect();
        ObservedDatabase {
            seed: self.seed.is_some(),
            limits: self.limits.clone(),
            linked: want.is_none_or(|want| self.link.as_ref() == Some(&want.primary)),
            at,
            ..ObservedDatabase::default()
        }
    }

    fn file(&mut self, at: &LocationCode, have: ObservedInstance, rows: BTreeSet<u32>) {
        self.at.insert(at.clone(), File { have, rows });
    }

    /// What an engine does, with an engine's refusals as panics: a plan never asks for them.
    fn take(&mut self, step: &ReconcileStep) {
        match step {
            ReconcileStep::Create { at } => {
                assert!(!self.at.contains_key(at), "creates over something");
                self.file(at, ObservedInstance::Primary, BTreeSet::new());
            }
            ReconcileStep::Start { at } => {
                let file = self.at.get_mut(at).expect("a primary to start");
                assert_eq!(file.have, ObservedInstance::Idle);
                file.have = ObservedInstance::Primary;
            }
            ReconcileStep::Configure { at, limits } => {
                assert_eq!(
                    self.at[at].have,
                    ObservedInstance::Primary,
                    "sets limits on what is no primary"
                );
                self.limits = Some(limits.clone());
            }
            ReconcileStep::Adopt { at } => {
                let seed = self.seed.take().expect("a seed");
                if !self.at.contains_key(at) {
                    self.file(at, ObservedInstance::Primary, seed);
                }
            }
            ReconcileStep::Link { at } => {
                assert_eq!(
                    self.at[at].have,
                    ObservedInstance::Primary,
                    "links to what is no primary"
                );
                self.link = Some(at.clone());
            }
            ReconcileStep::SetAside { at } => {
                let file = self.at.remove(at).expect("a file to set aside");
                self.aside.push(file.rows);
            }
            ReconcileStep::Demote { from, to } => {
                let rows = self.at[from].rows.clone();
                assert_eq!(self.at[from].have, ObservedInstance::Primary);
                if let Some(there) = self.at.get(to) {
                    assert!(
                        matches!(there.have, ObservedInstance::Replica { .. }),
                        "overwrites {there:?}"
                    );
                }
                self.file(
                    to,
                    ObservedInstance::Replica {
                        of: from.as_str().to_owned(),
                        fresh: false,
                    },
                    rows,
                );
                self.at.get_mut(from).unwrap().have = ObservedInstance::Replica {
                    of: to.as_str().to_owned(),
                    fresh: false,
                };
            }
            ReconcileStep::Promote { at } => {
                let file = self.at.get_mut(at).expect("a replica to promote");
                assert!(matches!(
                    file.have,
                    ObservedInstance::Replica { .. } | ObservedInstance::Promoting
                ));
                file.have = ObservedInstance::Primary;
            }
            ReconcileStep::Copy { from, to } => {
                assert_eq!(
                    self.at[from].have,
                    ObservedInstance::Primary,
                    "copies from what is no primary"
                );
                if let Some(there) = self.at.get(to) {
                    assert!(
                        matches!(there.have, ObservedInstance::Replica { .. }),
                        "overwrites {there:?}"
                    );
                }
                let rows = self.at[from].rows.clone();
                self.file(
                    to,
                    ObservedInstance::Replica {
                        of: from.as_str().to_owned(),
                        fresh: true,
                    },
                    rows,
                );
            }
            ReconcileStep::Drop { at } => {
                self.at.remove(at);
                self.dropped.insert(at.clone());
            }
            ReconcileStep::ServeAlone { at } => {
                assert!(
                    matches!(self.at[at].have, ObservedInstance::Replica { .. }),
                    "serves what is no replica"
                );
            }
            ReconcileStep::TakeOver { .. } | ReconcileStep::Discard { .. } => {
                panic!("{step:?} where nothing was promoted")
            }
            ReconcileStep::DropSeed => self.seed = None,
        }
    }

    /// Rows that are somewhere: in a primary, in what was set aside, or in a file that is nobody's copy.
    fn rows(&self) -> BTreeSet<u32> {
        let files = self.at.values().map(|file| &file.rows);
        files.chain(&self.aside).chain(&self.seed).flatten().copied().collect()
    }
}

/// Doomed locations that still have something to do: what reconcile would have noted as done is not.
fn left(doomed: &BTreeSet<LocationCode>, model: &Model) -> BTreeSet<LocationCode> {
    doomed.difference(&model.dropped).cloned().collect()
}

fn want() -> impl Strategy<Value = WantedDatabase> {
    let origin = prop_oneof![
        Just(None),
        Just(Some(DatabaseOrigin::Empty)),
        Just(Some(DatabaseOrigin::Seed))
    ];
    (
        0..4_usize,
        proptest::collection::btree_set(0..4_usize, 0..4),
        origin,
        limits(),
    )
        .prop_map(|(primary, replicas, origin, limits)| WantedDatabase {
            primary: code(primary),
            replicas: replicas.into_iter().filter(|at| *at != primary).map(code).collect(),
            origin,
            limits,
        })
}

fn file() -> impl Strategy<Value = File> {
    let have = prop_oneof![
        3 => Just(ObservedInstance::Primary),
        4 => (0..4_usize, any::<bool>()).prop_map(|(of, fresh)| ObservedInstance::Replica { of: CODES[of].to_owned(), fresh }),
        1 => Just(ObservedInstance::Idle),
        1 => (0..4_usize).prop_map(|of| ObservedInstance::Altered { of: CODES[of].to_owned() }),
        1 => Just(ObservedInstance::Promoting),
    ];
    (have, proptest::collection::btree_set(0..9_u32, 0..4)).prop_map(|(have, rows)| File { have, rows })
}

fn limits() -> impl Strategy<Value = DatabaseLimits> {
    (proptest::option::of(1..3_u64), any::<bool>()).prop_map(|(max_size, block_writes)| DatabaseLimits {
        max_size,
        block_writes,
        ..DatabaseLimits::default()
    })
}

fn model() -> impl Strategy<Value = Model> {
    let files = proptest::collection::btree_map((0..4_usize).prop_map(code), file(), 0..5);
    let seed = proptest::option::weighted(0.2, proptest::collection::btree_set(20..29_u32, 1..4));
    (files, seed, proptest::option::of(limits())).prop_map(|(at, seed, limits)| Model {
        seed,
        at,
        limits,
        ..Model::default()
    })
}

fn doomed() -> impl Strategy<Value = BTreeSet<LocationCode>> {
    proptest::collection::btree_set((0..4_usize).prop_map(code), 0..3)
}

/// Plans and takes steps until the plan is empty.
fn reconcile_until_equal(model: &mut Model, want: Option<&WantedDatabase>, doomed: &BTreeSet<LocationCode>) {
    for _ in 0..3 {
        let steps = plan(want, &left(doomed, model), &model.observed(want));
        if steps.is_empty() {
            return;
        }
        steps.iter().for_each(|step| model.take(step));
    }
    panic!(
        "does not come to rest: {:?}",
        plan(want, &left(doomed, model), &model.observed(want))
    );
}

/// Whether anything can be made a primary where one is wanted.
fn can_stand(want: &WantedDatabase, doomed: &BTreeSet<LocationCode>, model: &Model) -> bool {
    !plan(Some(want), doomed, &model.observed(Some(want))).is_empty()
        || model
            .at
            .get(&want.primary)
            .is_some_and(|file| matches!(file.have, ObservedInstance::Primary | ObservedInstance::Idle))
}

fn assert_as_wanted(want: &WantedDatabase, model: &Model) {
    assert_eq!(model.at[&want.primary].have, ObservedInstance::Primary);
    assert_eq!(model.link.as_ref(), Some(&want.primary));
    assert_eq!(*model.limits.as_ref().unwrap_or(&want.limits), want.limits);
    for at in &want.replicas {
        let of = want.primary.as_str().to_owned();
        assert_eq!(model.at[at].have, ObservedInstance::Replica { of, fresh: true });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn reconcile_reaches_what_is_wanted_and_then_plans_nothing(want in want(), start in model(), doomed in doomed()) {
        let mut model = start.clone();
        let can = can_stand(&want, &doomed, &start);
        reconcile_until_equal(&mut model, Some(&want), &doomed);
        if can {
            assert_as_wanted(&want, &model);
            // Nothing is left at doomed locations, nor forgotten elsewhere.
            for at in doomed.iter().filter(|at| !want.has(at)) {
                prop_assert!(!model.at.contains_key(at));
            }
        }
        prop_assert!(plan(Some(&want), &left(&doomed, &model), &model.observed(Some(&want))).is_empty());
    }

    #[test]
    fn reconcile_after_a_crash_at_any_step_repairs(want in want(), start in model(), doomed in doomed()) {
        let can = can_stand(&want, &doomed, &start);
        let steps = plan(Some(&want), &doomed, &start.observed(Some(&want)));
        for cut in 0..steps.len() {
            let mut model = start.clone();
            steps[..cut].iter().for_each(|step| model.take(step));
            reconcile_until_equal(&mut model, Some(&want), &doomed);
            if can {
                assert_as_wanted(&want, &model);
            }
        }
    }

    #[test]
    fn reconcile_without_a_wanted_state_deletes_nothing(want in want(), start in model(), doomed in doomed()) {
        let mut model = start.clone();
        reconcile_until_equal(&mut model, Some(&want), &doomed);
        for (at, file) in &start.at {
            if !want.has(at) && !doomed.contains(at) && *at != want.primary {
                // What nobody wants and nobody doomed is there, unless it was the primary that handed its role over.
                let now = model.at.get(at);
                prop_assert!(now.is_some_and(|now| now.rows == file.rows), "{at}: {file:?} became {now:?}");
            }
        }
        prop_assert!(model.dropped.is_subset(&doomed));
        prop_assert!(!model.dropped.iter().any(|at| want.has(at)));
    }

    #[test]
    fn reconcile_keeps_rows_that_are_in_no_other_copy(want in want(), start in model(), doomed in doomed()) {
        let mut model = start.clone();
        reconcile_until_equal(&mut model, Some(&want), &doomed);
        let after = model.rows();
        for (at, file) in &start.at {
            if !matches!(file.have, ObservedInstance::Replica { .. }) {
                prop_assert!(file.rows.is_subset(&after), "{at}: {file:?} lost rows");
            }
        }
    }

    #[test]
    fn reconcile_of_a_destroyed_database_removes_all_of_it(start in model(), doomed in doomed()) {
        let mut model = start.clone();
        reconcile_destroyed(&mut model, &doomed);
        for at in start.at.keys() {
            prop_assert_eq!(model.at.contains_key(at), !doomed.contains(at));
        }
        prop_assert!(model.seed.is_none());
    }

    #[test]
    fn reconcile_leaves_locations_that_it_cannot_see_alone(want in want(), start in model(), doomed in doomed(), away in 0..4_usize) {
        let mut observed = start.observed(Some(&want));
        observed.at.insert(code(away), ObservedInstance::Unknown);
        for step in plan(Some(&want), &doomed, &observed) {
            let touched = match &step {
                ReconcileStep::Demote { from, to } | ReconcileStep::Copy { from, to } => vec![from.clone(), to.clone()],
                ReconcileStep::Drop { .. } | ReconcileStep::DropSeed => vec![],
                other => other.location().cloned().into_iter().collect(),
            };
            prop_assert!(!touched.contains(&code(away)), "{step:?}");
        }
    }
}

fn reconcile_destroyed(model: &mut Model, doomed: &BTreeSet<LocationCode>) {
    for step in plan(None, &left(doomed, model), &model.observed(None)) {
        model.take(&step);
    }
    assert!(plan(None, &left(doomed, model), &model.observed(None)).is_empty());
}

#[test]
fn reconcile_of_a_missing_primary_makes_no_empty_one() {
    let want = WantedDatabase {
        primary: code(0),
        replicas: [code(1)].into(),
        origin: None,
        limits: DatabaseLimits::default(),
    };
    let replica = ObservedInstance::Replica {
        of: CODES[0].to_owned(),
        fresh: false,
    };
    let observed = ObservedDatabase {
        seed: false,
        limits: None,
        linked: false,
        at: [(code(1), replica)].into(),
        ..ObservedDatabase::default()
    };
    assert_eq!(plan(Some(&want), &BTreeSet::new(), &observed), []);
    assert_eq!(plan(Some(&want), &BTreeSet::new(), &ObservedDatabase::default()), []);
}

#[test]
fn reconcile_of_a_promotion_demotes_promotes_and_copies_back() {
    let want = WantedDatabase {
        primary: code(1),
        replicas: [code(0)].into(),
        origin: None,
        limits: DatabaseLimits::default(),
    };
    let replica = ObservedInstance::Replica {
        of: CODES[0].to_owned(),
        fresh: true,
    };
    let observed = ObservedDatabase {
        seed: false,
        limits: None,
        linked: false,
        at: [(code(0), ObservedInstance::Primary), (code(1), replica)].into(),
        ..ObservedDatabase::default()
    };
    let expected = [
        ReconcileStep::Demote {
            from: code(0),
            to: code(1),
        },
        ReconcileStep::Promote { at: code(1) },
        ReconcileStep::Link { at: code(1) },
        ReconcileStep::Copy {
            from: code(1),
            to: code(0),
        },
    ];
    assert_eq!(plan(Some(&want), &BTreeSet::new(), &observed), expected);
}

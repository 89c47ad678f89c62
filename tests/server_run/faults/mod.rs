//! Faults under load, checked against a model: processes that are killed or hang, promotions with kills in their midst, primaries
//! whose disk is lost, full disks, and files that vanish, are cut short or rot. No acknowledged write is lost where none may be, no
//! more than stated elsewhere, and every replica ends up equal to its primary by hash.
//!
//! | variable | number of | without it |
//! |---|---|---|
//! | `TORSO_KILLS` | kills of the server, a primary or a replica | 100 |
//! | `TORSO_PLANNED` | planned promotions, half of them with a kill | 4 |
//! | `TORSO_FORCED` | promotions without the primary, half of them with replicas that lack something | 2 |
//! | `TORSO_DAMAGE` | files that vanish, are cut short or rot | 2 |
//! | `TORSO_HANGS` | processes that are stopped for some seconds | 1 |
//! | `TORSO_FULL_DISKS` | disks that fill up | 1 |
//! | `TORSO_SEED` | where the random numbers begin | the same in every run |

mod ballast;
mod clients;
mod figures;
mod history;
mod injector;
mod losses;

use super::{Deployment, number};
use crate::support::World;
pub use ballast::Disk;
use clients::Subject;
use figures::Figures;
use history::{History, Totals};
use injector::{Damage, Fault, Injector, Victim};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// All rows are compared after so many faults, and at the end.
const ROUND: usize = 20;

/// The faults of a run, in their order.
fn plan(random: &mut fastrand::Rng) -> Vec<Fault> {
    let victims = [Victim::Server, Victim::Primary, Victim::Replica];
    let times = |variable: &str, default: u64| 0..usize::try_from(number(variable, default)).unwrap();
    let kinds = [Damage::Vanish, Damage::Truncate, Damage::Flip];
    let mut all = Vec::new();
    all.extend(times("TORSO_KILLS", 100).map(|n| Fault::Kill(victims[n % 3])));
    all.extend(times("TORSO_PLANNED", 4).map(|n| Fault::Planned((n % 2 == 1).then_some(victims[n / 2 % 3]))));
    all.extend(times("TORSO_FORCED", 2).map(|n| Fault::Forced {
        behind: n % 2 == 1,
        kill: n % 4 > 1,
    }));
    all.extend(times("TORSO_DAMAGE", 2).map(|n| Fault::Damage {
        of: victims[1 + n % 2],
        kind: kinds[n / 2 % 3],
    }));
    all.extend(times("TORSO_HANGS", 1).map(|n| Fault::Hang(victims[1 + n % 2])));
    all.extend(times("TORSO_FULL_DISKS", 1).map(|_| Fault::FullDisk));
    random.shuffle(&mut all);
    all
}

fn subject(server: &Deployment, name: &str) -> Subject {
    let database = server.database(name);
    let shown = server.ok("GET", &format!("/v1/databases/{name}"), None);
    let subject = Subject {
        name: name.to_owned(),
        id: shown["database"]["DbId"].as_str().unwrap().to_owned(),
        database,
        history: Arc::new(History::default()),
    };
    subject.create_tables();
    subject
}

/// Runs clients while faults happen.
fn run_round(injector: &mut Injector<'_>, faults: &[Fault]) {
    let stop = AtomicBool::new(false);
    let subjects = injector.subjects.clone();
    std::thread::scope(|scope| {
        for subject in &subjects {
            let stop = &stop;
            scope.spawn(move || subject.write(&subject.database, 0, stop));
            scope.spawn(move || subject.write(&subject.database.at("lhr"), 1, stop));
            scope.spawn(move || subject.write_transactions(&subject.database, 2, stop));
            scope.spawn(move || subject.read(stop));
            scope.spawn(move || subject.read_replicas(stop));
        }
        // A failed check must not leave the clients running.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            injector.await_writes();
            faults.iter().for_each(|fault| injector.inject(*fault));
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
    });
    injector.check_rows();
    injector.await_equality();
}

#[test]
#[allow(clippy::print_stdout)] // The table is the proof; `--nocapture` shows it.
fn faults_under_load_lose_no_more_than_is_stated() {
    let seed = number("TORSO_SEED", 20_261_130);
    let mut random = fastrand::Rng::with_seed(seed);
    let world = World::new();
    let disk = Disk::new(&world);
    let mut server = Deployment::of(world);
    let subjects = vec![subject(&server, "app"), subject(&server, "neighbour")];
    let faults = plan(&mut random);
    let mut injector = Injector {
        server: &mut server,
        disk: &disk,
        subjects,
        random,
        figures: Figures::default(),
    };
    let mut violations = Vec::new();
    for faults in faults.chunks(ROUND) {
        run_round(&mut injector, faults);
        violations.extend(
            injector
                .subjects
                .iter()
                .flat_map(|subject| subject.history.violations()),
        );
        if !violations.is_empty() {
            break;
        }
    }
    let (mut totals, mut refusals) = (Totals::default(), BTreeMap::<String, u64>::new());
    for subject in &injector.subjects {
        totals.add(&subject.history.totals());
        for (kind, count) in subject.history.refusals() {
            *refusals.entry(kind).or_default() += count;
        }
    }
    let table = injector.figures.render(&totals, &refusals, violations.len());
    println!("seed {seed}, full disk: a {}\n{table}", disk.kind());
    assert!(
        violations.is_empty(),
        "{}\n{}",
        violations.join("\n"),
        injector.server.log()
    );
}

//! Databases whose files end their process whenever they are used, and the others of the process.

use super::{Fleet, number};
use crate::support::{make_fatal, until};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use torso::engine::process::ProcessStatus;
use torso::engine::{Engine as _, Site};
use torso::error::Code;

const COUNT: &str = "select count(*) from t";

/// A fleet with a primary that is followed, and another one of the same process, both with a row.
fn fleet() -> (Fleet, [Site; 3]) {
    let fleet = Fleet::new();
    let (fatal, other) = (fleet.site("ams", "fatal"), fleet.site("ams", "other"));
    for at in [&fatal, &other] {
        fleet.engine.create(at).unwrap();
        fleet.sql(at, "create table t (x); insert into t values (1)").unwrap();
    }
    let replica = fleet.site("lhr", "fatal");
    fleet.engine.copy(&fatal, &replica).unwrap();
    (fleet, [fatal, other, replica])
}

fn is_set_aside(fleet: &Fleet, at: &Site) -> bool {
    let endpoint = fleet.engine.endpoint(at);
    endpoint.is_err_and(|error| error.code() == Code::DatabaseDamaged)
}

fn primary_status(fleet: &Fleet) -> ProcessStatus {
    let mut all = fleet.engine.processes().into_iter();
    all.find(|status| status.label.role == "primary").unwrap()
}

#[test]
fn database_whose_files_end_its_process_is_set_aside() {
    let (mut fleet, [fatal, other, replica]) = fleet();
    fleet.engine.shutdown();
    let home = fleet.home(&fatal).join("sqld/dbs/fatal");
    make_fatal(&home);
    // As after a crash of the machine: nothing is noted of the files.
    std::fs::remove_file(fleet.home(&fatal).join("left.json")).unwrap();
    fleet.restart();
    // What can be told without SQLite is in order.
    fleet.engine.start(&fatal).unwrap();
    let mut failed = 0;
    until("it is set aside", || {
        failed += u32::from(fleet.try_sql(&fatal, "insert into t values (2)").is_err());
        is_set_aside(&fleet, &fatal)
    });
    until("the other one answers", || {
        fleet.try_sql(&other, COUNT).is_ok_and(|rows| number(&rows) == 1)
    });
    let status = primary_status(&fleet);
    assert!(failed >= 1 && status.failures >= 1, "{failed} {status:?}");
    let damage = fleet.engine.running(&fatal).unwrap().unwrap().damage.unwrap();
    assert!(damage.reason.contains("pages have another size"), "{damage:?}");
    // It stays so, and nothing crashes any more.
    fleet.sql(&other, "insert into t values (2)").unwrap();
    assert!(fleet.try_sql(&fatal, COUNT).is_err());
    assert_eq!(primary_status(&fleet).failures, status.failures);
    assert_eq!(
        super::damage::rows_in_files(&fleet.home(&replica).join("sqld/dbs/fatal")),
        1
    );
}

#[test]
fn database_whose_opening_ends_its_process_is_set_aside() {
    let (mut fleet, [fatal, other, _]) = fleet();
    fleet.restart();
    fleet.engine.start(&other).unwrap();
    let sentinel = fleet.home(&fatal).join("sqld/dbs/fatal/.sentinel");
    let done = AtomicBool::new(false);
    // Its process ends whenever it has opened it, as by a fault of its own.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                if sentinel.exists() {
                    let pid = fleet.pid(&fatal);
                    let _ = signal::kill(Pid::from_raw(pid), Signal::SIGABRT);
                    until("it has ended", || !super::is_alive(pid));
                    let _ = std::fs::remove_file(&sentinel);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        until("it is set aside", || {
            let _ = fleet.try_sql(&fatal, COUNT);
            is_set_aside(&fleet, &fatal)
        });
        done.store(true, Ordering::SeqCst);
    });
    until("the other one answers", || {
        fleet.try_sql(&other, COUNT).is_ok_and(|rows| number(&rows) == 1)
    });
    let damage = fleet.engine.running(&fatal).unwrap().unwrap().damage.unwrap();
    assert!(
        damage.reason.contains("ends its process whenever it is opened"),
        "{damage:?}"
    );
    assert_eq!(fleet.engine.all_damaged().keys().collect::<Vec<_>>(), ["fatal"]);
    let failure = primary_status(&fleet).failure.unwrap();
    assert!(failure.contains("signal 6 while it opened database fatal"), "{failure}");
    // It stays so in the next run, until its files have changed.
    fleet.restart();
    fleet.engine.start(&other).unwrap();
    assert_eq!(fleet.engine.start(&fatal).unwrap_err().code(), Code::DatabaseDamaged);
    fleet.engine.shutdown();
    let data = fleet.home(&fatal).join("sqld/dbs/fatal/data");
    let file = std::fs::File::options().append(true).open(data).unwrap();
    file.set_modified(std::time::SystemTime::now()).unwrap();
    fleet.restart();
    fleet.engine.start(&fatal).unwrap();
    assert_eq!(fleet.number(&fatal, COUNT), 1);
}

#[test]
fn process_that_crashes_over_no_database_opens_all_and_serves_them() {
    let fleet = Fleet::new();
    let sites: Vec<_> = ["a", "b", "c"].map(|id| fleet.site("ams", id)).into();
    for at in &sites {
        fleet.engine.create(at).unwrap();
        fleet.sql(at, "create table t (x); pragma user_version = 7").unwrap();
    }
    for _ in 0..3 {
        let pid = fleet.pid(&sites[0]);
        signal::kill(Pid::from_raw(pid), Signal::SIGABRT).unwrap();
        until("it is back", || {
            fleet.pid(&sites[0]) != pid && sites.iter().all(|at| fleet.engine.endpoint(at).is_ok())
        });
    }
    for at in &sites {
        assert_eq!(fleet.number(at, COUNT), 0);
        assert_eq!(fleet.number(at, "pragma user_version"), 7);
    }
    assert!(fleet.engine.all_damaged().is_empty());
}

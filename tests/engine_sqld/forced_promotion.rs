//! Promotions without the primary: which replica is chosen, what is said to be lost, and what becomes of files that come back.

use super::promotion::Machine;
use crate::conformance::{at, create, db};
use crate::support::until;
use std::path::PathBuf;
use std::time::Duration;
use torso::control::promotion::ForcedPromotion;
use torso::control::verification::VerificationRequest;
use torso::control::{
    DatabaseOperations as _, InstanceOperations as _, LocationOperations as _, MaintenanceOperations as _,
};

/// `app` with its primary on a disk that can be away and replicas in lhr and fra, which lack its last `lost` rows.
fn with_lost_rows(machine: &Machine, lost: i64) -> PathBuf {
    let disk = machine.dir.path().join("disk");
    let plane = machine.plane();
    plane
        .add_location(&torso::control::types::NewLocation {
            code: at("nas"),
            description: "A disk that can be away".to_owned(),
            dir: Some(disk.clone()),
            lat: None,
            lon: None,
        })
        .unwrap();
    create(&plane, "app", "nas");
    machine.write("app", "create table t (x)").unwrap();
    machine.write("app", "insert into t values (1), (2)").unwrap();
    for location in ["lhr", "fra"] {
        plane.add_instance(&db("app"), &at(location)).unwrap();
    }
    // Longer than the server looks at where logs end.
    std::thread::sleep(Duration::from_millis(2500));
    let signal = |role: &str, signal: nix::sys::signal::Signal| {
        for process in machine.engine.processes() {
            if process.label.role == role {
                let pid = i32::try_from(process.pid.unwrap()).unwrap();
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
            }
        }
    };
    signal("replica", nix::sys::signal::Signal::SIGSTOP);
    for row in 0..lost {
        machine
            .write("app", &format!("insert into t values ({})", 10 + row))
            .unwrap();
    }
    signal("primary", nix::sys::signal::Signal::SIGKILL);
    std::fs::rename(&disk, machine.dir.path().join("away")).unwrap();
    // What has reached them, and was not applied, goes with them.
    signal("replica", nix::sys::signal::Signal::SIGKILL);
    disk
}

#[allow(clippy::print_stderr)] // The figures are part of the proof; `--nocapture` shows them.
#[test]
fn forced_promotion_chooses_a_replica_and_keeps_what_comes_back() {
    let machine = Machine::new();
    let disk = with_lost_rows(&machine, 3);
    let plane = machine.plane();
    let ask = |location: Option<&str>, dry_run| {
        plane.force_promotion(
            &db("app"),
            &ForcedPromotion {
                location: location.map(at),
                dry_run,
                ..ForcedPromotion::default()
            },
        )
    };
    let planned = ask(None, true).unwrap();
    assert_eq!(planned.primary, at("nas"), "a dry run changed something");
    let loss = planned.promotion.unwrap().loss.unwrap();
    assert!(!loss.is_exact, "{loss:?}");
    // It was the same log until the end.
    assert!(loss.frames.is_some() && loss.seen_at.is_some(), "{loss:?}");
    assert!(loss.to_string().contains("not known"), "{loss}");
    let began = std::time::Instant::now();
    let promoted = ask(None, false).unwrap();
    eprintln!(
        "forced: writes after {} ms, all in {:?}",
        promoted.promotion.as_ref().unwrap().outage_ms,
        began.elapsed()
    );
    let report = promoted.promotion.unwrap();
    assert_eq!((report.from, &report.to), (at("nas"), &promoted.primary));
    assert_eq!(report.pending, [at("nas")]);
    let other = if promoted.primary == at("lhr") { "fra" } else { "lhr" };
    machine.write("app", "insert into t values (3)").unwrap();
    for location in ["lhr", "fra"] {
        until("it has everything", || machine.count("app", location) == 3);
    }
    let error = ask(Some(other), false).unwrap_err();
    assert_eq!(error.code(), torso::error::Code::Conflict, "{error}");
    assert!(error.message().contains("runs"), "{error}");
    // The disk comes back: nothing of it is served, nothing is wiped, and the rows that only it has are told.
    std::fs::rename(machine.dir.path().join("away"), &disk).unwrap();
    until("the disk is taken up again", || {
        plane.reconcile_all().unwrap().is_empty()
    });
    until("it is a replica now", || machine.count("app", "nas") == 3);
    let aside: Vec<_> = std::fs::read_dir(disk.join("set-aside")).unwrap().flatten().collect();
    assert_eq!(aside.len(), 1);
    let kept = rusqlite::Connection::open(aside[0].path().join("data")).unwrap();
    let rows: i64 = kept.query_row("select count(*) from t", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 5, "a row of the former primary is gone");
    plane.compare_set_aside().unwrap();
    assert!(plane.uncompared().unwrap().is_empty());
    let found = plane.check(false).unwrap();
    let told = found
        .iter()
        .find(|finding| finding.code == "diverged_file")
        .unwrap_or_else(|| panic!("{found:?}"));
    assert!(
        told.message.contains("rows that its successor lacks: 3 in t"),
        "{told:?}"
    );
    let lines = std::fs::read_to_string(aside[0].path().join("diverged.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 3, "{lines}");
    machine.write("app", "insert into t values (4)").unwrap();
    until("replicas follow", || {
        machine.count("app", "nas") == 4 && machine.count("app", other) == 4
    });
}

#[test]
fn forced_promotion_works_where_the_process_does_not_start() {
    let machine = Machine::new();
    machine.world();
    let pool = std::fs::read_dir(machine.data().join("locations/ams"))
        .unwrap()
        .flatten()
        .next()
        .unwrap()
        .path();
    let plane = machine.plane();
    let force = |name: &str, location: Option<&str>| {
        plane.force_promotion(
            &db(name),
            &ForcedPromotion {
                location: location.map(at),
                dry_run: false,
                ..ForcedPromotion::default()
            },
        )
    };
    let error = force("app", None).unwrap_err();
    assert_eq!(error.code(), torso::error::Code::Conflict, "{error}");
    super::kill(super::pid(&pool));
    std::fs::remove_file(pool.join("lock")).unwrap();
    std::fs::create_dir(pool.join("lock")).unwrap();
    let promoted = force("app", Some("fra")).unwrap();
    assert_eq!(promoted.primary, at("fra"));
    let loss = promoted.promotion.unwrap().loss.unwrap();
    // Its files can be read, so what they have is known.
    assert_eq!((loss.frames, loss.is_exact), (Some(0), true), "{loss:?}");
    machine.write("app", "insert into t values (3)").unwrap();
    until("it has everything", || machine.count("app", "lhr") == 3);
    std::fs::remove_dir(pool.join("lock")).unwrap();
    until("all is as wanted", || plane.reconcile_all().unwrap().is_empty());
    until("the former primary is a replica", || machine.count("app", "ams") == 3);
    // Its neighbour was not moved.
    assert_eq!(plane.get_database(&db("other")).unwrap().primary, at("ams"));
    machine.write("other", "insert into t values (3)").unwrap();
}

impl Machine {
    /// The directory of the only process in a location.
    fn only_process(&self, location: &str) -> PathBuf {
        let home = self.data().join("locations").join(location);
        let mut all = std::fs::read_dir(home).unwrap().flatten();
        let only = all.next().unwrap().path();
        assert!(all.next().is_none());
        only
    }

    fn force(&self, name: &str) {
        let request = ForcedPromotion::default();
        self.plane().force_promotion(&db(name), &request).unwrap();
    }

    /// The codes of what is found.
    fn findings(&self) -> Vec<String> {
        let found = self.plane().check(false).unwrap();
        found.into_iter().map(|finding| finding.code).collect()
    }
}

#[test]
fn forced_promotion_takes_in_files_that_come_back_later() {
    let machine = Machine::new();
    machine.world();
    let (pool, away) = (machine.only_process("ams"), machine.dir.path().join("away"));
    super::kill(super::pid(&pool));
    std::fs::rename(&pool, &away).unwrap();
    for name in ["app", "other"] {
        machine.force(name);
        machine.write(name, "insert into t values (3)").unwrap();
    }
    let plane = machine.plane();
    until("the rest is as wanted", || plane.reconcile_all().unwrap().is_empty());
    let count = |code: &str| machine.findings().iter().filter(|found| *found == code).count();
    assert_eq!(count("former_primary_away"), 2, "{:?}", machine.findings());
    assert_eq!(count("pending_work"), 0, "{:?}", machine.findings());
    assert!(plane.take_back_former().unwrap(), "nothing is awaited");
    // What the supervisor may have left there meanwhile.
    let _ = std::fs::remove_dir_all(&pool);
    std::fs::rename(&away, &pool).unwrap();
    assert!(!plane.take_back_former().unwrap(), "something is still awaited");
    assert_eq!(count("former_primary_away"), 0);
    assert_eq!(count("diverged_file"), 2, "{:?}", machine.findings());
    for name in ["app", "other"] {
        machine.write(name, "insert into t values (4)").unwrap();
        for location in ["ams", "lhr", "fra"] {
            until("it has everything", || machine.count(name, location) == 4);
        }
    }
}

#[test]
fn forced_promotion_takes_in_a_whole_location_that_comes_back() {
    let machine = Machine::new();
    machine.world();
    let (location, away) = (machine.data().join("locations/ams"), machine.dir.path().join("away"));
    let process = super::pid(&machine.only_process("ams"));
    std::fs::rename(&location, &away).unwrap();
    super::kill(process);
    let plane = machine.plane();
    for name in ["app", "other"] {
        until("the loss is seen", || {
            plane.force_promotion(&db(name), &ForcedPromotion::default()).is_ok()
        });
        machine.write(name, "insert into t values (3)").unwrap();
    }
    // A replica was made where the disk is to come back.
    until("the rest is as wanted", || plane.reconcile_all().unwrap().is_empty());
    std::fs::rename(&location, machine.dir.path().join("hidden")).unwrap();
    std::fs::rename(&away, &location).unwrap();
    until("the former primaries are taken in", || {
        !plane.take_back_former().unwrap() && plane.reconcile_all().unwrap().is_empty()
    });
    for name in ["app", "other"] {
        machine.write(name, "insert into t values (4)").unwrap();
        until("every replica is equal", || {
            plane
                .verify_database(&db(name), VerificationRequest::default())
                .is_ok_and(|verified| verified.instances.len() == 3 && verified.differing().count() == 0)
        });
    }
}

#[test]
fn forced_promotion_of_a_vanished_file_leaves_its_neighbours() {
    let machine = Machine::new();
    machine.world();
    let plane = machine.plane();
    let id = plane.get_database(&db("app")).unwrap().id;
    std::fs::remove_dir_all(machine.only_process("ams").join("sqld/dbs").join(id.as_str())).unwrap();
    until("the loss is seen", || !machine.engine.all_damaged().is_empty());
    machine.force("app");
    machine.write("app", "insert into t values (3)").unwrap();
    until("all is as wanted", || plane.reconcile_all().unwrap().is_empty());
    assert_eq!(plane.get_database(&db("other")).unwrap().primary, at("ams"));
    until("its neighbour takes writes", || {
        machine.write("other", "insert into t values (3)").is_ok()
    });
    for (name, location) in [("app", "ams"), ("app", "fra"), ("other", "lhr")] {
        until("it has everything", || machine.count(name, location) == 3);
    }
}

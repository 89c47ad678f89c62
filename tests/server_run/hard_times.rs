//! A server on a full disk, one whose replicas have no files yet, and one whose primary is lost.

use super::faults::Disk;
use super::{Deployment, until, until_or};
use crate::support::World;
use nix::sys::signal::Signal;

fn metric(server: &Deployment, name: &str) -> Option<u64> {
    let text = server.metrics();
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[test]
fn full_disk_is_told_and_databases_can_be_destroyed_on_it() {
    let world = World::new();
    let disk = Disk::new(&world);
    if disk.kind() != "file system" {
        // No small disk can be made here.
        return;
    }
    let server = Deployment::of(world);
    server.log_in();
    let ready = || server.server().request("GET", "/ready").send().unwrap();
    until(
        "the reserve is made",
        || server.data().join("reserve").exists(),
        |made| *made,
    );
    server.database("app").sql(&["CREATE TABLE t(x)"]).unwrap();
    let other = server.database("other");
    other.sql(&["CREATE TABLE t(x)"]).unwrap();
    assert_eq!(ready().status(), 200);
    disk.fill(&server);
    assert_eq!(metric(&server, "torso_free_bytes"), Some(0));
    let answer = ready();
    assert_eq!(answer.status(), 503);
    let text = answer.text().unwrap();
    assert!(text.contains("is full"), "{text}");
    until(
        "it is logged",
        || server.log(),
        |log| log.contains("the disk of the data directory is full"),
    );
    let doctor = server.world.torso(["doctor"]);
    assert!(
        doctor.code() == 1 && doctor.stdout.contains("that are free"),
        "{}",
        doctor.report()
    );
    let insert = other.sql(&["INSERT INTO t VALUES (hex(zeroblob(2000000)))"]);
    assert!(insert.is_err(), "{insert:?}");
    server.world.ok(["db", "destroy", "app", "--yes"]);
    assert!(!server.world.databases().contains(&"app".to_owned()));
    disk.free(&server);
    until(
        "there is room again",
        || ready().status().as_u16(),
        |status| *status == 200,
    );
    until(
        "the reserve is made again",
        || server.data().join("reserve").exists(),
        |made| *made,
    );
}

/// Replicas of databases that were never written to have no files after a start, until somebody asks for them.
#[test]
fn backup_after_a_restart_has_databases_whose_replicas_have_no_files() {
    let mut server = Deployment::new();
    server.log_in();
    for name in ["one", "two", "three"] {
        server.world.ok(["db", "create", name]);
        server.world.ok(["db", "replicate", name, "lhr"]);
    }
    server.end(Signal::SIGTERM);
    let backups = server.world.work().join("backups").to_str().unwrap().to_owned();
    server.args.extend(["--backup-to".to_owned(), backups.clone()]);
    server.start();
    until_or(
        "a backup is made",
        || metric(&server, "torso_backup_databases"),
        |count| count.is_some_and(|count| count >= 3),
        |_| server.log(),
    );
    assert_eq!(
        metric(&server, "torso_backup_skipped_databases"),
        Some(0),
        "{}",
        server.log()
    );
}

#[test]
fn lost_primary_is_told_and_its_replica_is_read_by_the_shell() {
    let mut server = Deployment::new();
    server.log_in();
    let database = server.database("app");
    database
        .sql(&["CREATE TABLE t(x)", "INSERT INTO t VALUES (1), (2)"])
        .unwrap();
    server.world.ok(["db", "replicate", "app", "lhr"]);
    let at_replica = ["db", "shell", "app", "--location", "lhr", "select count(*) from t"];
    until(
        "the replica has it",
        || server.world.torso(at_replica).stdout,
        |told| told.trim() == "2",
    );
    // Its files and all that its process knew of it.
    let shown = server.ok("GET", "/v1/databases/app", None);
    let primary = shown["database"]["primaryRegion"].as_str().unwrap().to_owned();
    for pool in server.pools_in(&primary) {
        for home in std::fs::read_dir(pool.join("sqld/dbs")).into_iter().flatten().flatten() {
            let name = home.file_name().into_string().unwrap();
            if name.starts_with(shown["database"]["DbId"].as_str().unwrap()) {
                std::fs::remove_dir_all(home.path()).unwrap();
            }
        }
    }
    until_or(
        "it is told",
        || metric(&server, "torso_damaged_databases"),
        |count| *count == Some(1),
        |_| server.log(),
    );
    let answer = server.server().request("GET", "/ready").send().unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(server.world.ok(at_replica).trim(), "2");
    // Nothing at all is left of it, as after a restore without it.
    server.end(Signal::SIGTERM);
    for pool in server.pools_in(&primary) {
        std::fs::remove_dir_all(pool).unwrap();
    }
    server.start();
    until_or(
        "it is told after a start",
        || metric(&server, "torso_damaged_databases"),
        |count| *count == Some(1),
        |_| server.log(),
    );
}

//! Databases that nobody uses: a process does not open them, and what follows when somebody does.

use super::Fleet;
use crate::support::until;
use torso::engine::{Engine as _, LocalFiles as _, Site};
use torso::error::Code;

const COUNT: &str = "select count(*) from t";

/// A database with one row, at its primary and a replica.
fn followed(fleet: &Fleet, id: &str) -> [Site; 2] {
    let [ams, lhr] = ["ams", "lhr"].map(|location| fleet.site(location, id));
    fleet.engine.create(&ams).unwrap();
    fleet.sql(&ams, "create table t (x); insert into t values (1)").unwrap();
    fleet.engine.copy(&ams, &lhr).unwrap();
    [ams, lhr]
}

/// Two databases of one pool after a start; only the first is used.
fn used_and_unused() -> (Fleet, [Site; 2], [Site; 2]) {
    let mut fleet = Fleet::new();
    let (used, unused) = (followed(&fleet, "used"), followed(&fleet, "unused"));
    fleet.restart();
    fleet.engine.start(&used[0]).unwrap();
    fleet.engine.copy(&used[0], &used[1]).unwrap();
    assert_eq!(fleet.number(&used[1], COUNT), 1);
    (fleet, used, unused)
}

/// Whether the process of an instance has a file of it open.
fn is_open(fleet: &Fleet, at: &Site) -> bool {
    let part = format!("/dbs/{}/", at.id);
    let open = std::fs::read_dir(format!("/proc/{}/fd", fleet.pid(at))).unwrap();
    open.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
        .any(|path| path.to_string_lossy().contains(&part))
}

#[test]
fn database_is_opened_by_its_processes_when_it_is_used_first() {
    let (fleet, used, unused) = used_and_unused();
    assert!(used.iter().all(|at| is_open(&fleet, at)));
    // To say how far a replica is, nothing has to be opened.
    assert!(fleet.is_fresh(&unused[0], &unused[1]));
    assert!(!unused.iter().any(|at| is_open(&fleet, at)));
    assert_eq!(fleet.number(&unused[1], COUNT), 1);
    assert!(unused.iter().all(|at| is_open(&fleet, at)));
}

#[test]
fn database_that_is_empty_is_not_opened_after_a_start_either() {
    let mut fleet = Fleet::new();
    let used = followed(&fleet, "used");
    let empty = ["ams", "lhr"].map(|location| fleet.site(location, "empty"));
    fleet.engine.create(&empty[0]).unwrap();
    fleet.engine.copy(&empty[0], &empty[1]).unwrap();
    fleet.restart();
    fleet.engine.start(&used[0]).unwrap();
    fleet.engine.copy(&used[0], &used[1]).unwrap();
    assert!(fleet.is_fresh(&empty[0], &empty[1]));
    assert!(!empty.iter().any(|at| is_open(&fleet, at)));
    // A first write reaches the replica that has no files, and so does a copy of it.
    assert!(!fleet.engine.path(&empty[1]).exists());
    fleet
        .sql(&empty[0], "create table t (x); insert into t values (1)")
        .unwrap();
    until("the replica has it", || fleet.is_fresh(&empty[0], &empty[1]));
    assert_eq!(fleet.number(&empty[1], COUNT), 1);
}

#[test]
fn database_that_is_empty_is_exported_from_a_replica_without_files() {
    let mut fleet = Fleet::new();
    let [ams, lhr] = ["ams", "lhr"].map(|location| fleet.site(location, "empty"));
    fleet.engine.create(&ams).unwrap();
    fleet.engine.copy(&ams, &lhr).unwrap();
    fleet.restart();
    fleet.engine.start(&ams).unwrap();
    let exported = fleet.dir.path().join("exported.db");
    fleet.engine.snapshot(&lhr, &exported).unwrap();
    let exported_database = rusqlite::Connection::open(&exported).unwrap();
    let tables = exported_database.query_row("select count(*) from sqlite_schema", [], |row| row.get::<_, i64>(0));
    assert_eq!(tables, Ok(0));
    // A primary without its file is no empty database.
    fleet.restart();
    std::fs::remove_file(fleet.engine.path(&ams)).unwrap();
    let error = fleet.engine.snapshot(&ams, &exported).unwrap_err();
    assert_eq!(error.code(), Code::DatabaseDamaged, "{error}");
}

#[test]
fn replica_without_files_is_copied_unless_its_database_is_empty() {
    let (mut fleet, used, [ams, lhr]) = used_and_unused();
    fleet.engine.shutdown();
    std::fs::remove_dir_all(fleet.engine.path(&lhr).parent().unwrap()).unwrap();
    fleet.restart();
    fleet.engine.start(&ams).unwrap();
    assert!(!fleet.is_fresh(&ams, &lhr));
    // Its process is started for the other one, and nobody asks for this one.
    fleet.engine.copy(&used[0], &used[1]).unwrap();
    until("the replica has everything", || fleet.is_fresh(&ams, &lhr));
    assert!(fleet.engine.path(&lhr).exists());
    assert_eq!(fleet.number(&lhr, COUNT), 1);
}

#[test]
fn replica_that_nobody_reads_follows_the_writes_to_its_primary() {
    let (fleet, _, [ams, lhr]) = used_and_unused();
    fleet.sql(&ams, "insert into t values (2)").unwrap();
    until("the replica has it", || fleet.is_fresh(&ams, &lhr));
    assert!(is_open(&fleet, &lhr));
    assert_eq!(fleet.number(&lhr, COUNT), 2);
}

#[test]
fn database_without_its_file_is_refused_at_its_first_use() {
    for at in 0..2 {
        let (fleet, used, unused) = used_and_unused();
        let file = fleet.engine.path(&unused[0]);
        std::fs::remove_file(&file).unwrap();
        let error = fleet.engine.endpoint(&unused[at]).unwrap_err();
        assert_eq!(error.code(), Code::DatabaseDamaged, "{error}");
        assert!(!file.exists(), "an empty one was made in its place");
        until("the other one is served", || {
            fleet.number_or_none(&used[0], COUNT) == Some(1)
        });
    }
}

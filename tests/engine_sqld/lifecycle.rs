//! Namespaces when all is well.

use super::Fleet;
use crate::support::{damaged_database, until};
use std::time::Duration;
use torso::engine::sqld::Access;
use torso::engine::{DatabaseLimits, Engine as _, InstanceRole, LocalFiles as _};
use torso::error::Code;

#[test]
fn database_is_created_replicated_and_removed() {
    let fleet = Fleet::new();
    let (ams, lhr) = (fleet.site("ams", "app"), fleet.site("lhr", "app"));
    let engine = &fleet.engine;
    assert!(engine.running(&ams).unwrap().is_none());
    assert_eq!(engine.endpoint(&ams).unwrap_err().code(), Code::Unavailable);
    engine.create(&ams).unwrap();
    engine.create(&ams).unwrap();
    fleet.sql(&ams, "create table t (x); insert into t values (1)").unwrap();
    engine.copy(&ams, &lhr).unwrap();
    // What was acknowledged before the copy is there when it returns.
    assert_eq!(fleet.number(&lhr, "select count(*) from t"), 1);
    fleet.sql(&ams, "insert into t values (2)").unwrap();
    until("the replica has it", || {
        fleet.number(&lhr, "select count(*) from t") == 2
    });
    until("it is told", || fleet.is_fresh(&ams, &lhr));
    let replica = engine.running(&lhr).unwrap().unwrap();
    assert!(matches!(replica.role, InstanceRole::Replica { of, .. } if of == "ams"));
    // A replica forwards writes, with the engine's own token.
    fleet.sql(&lhr, "insert into t values (3)").unwrap();
    assert_eq!(fleet.number(&ams, "select count(*) from t"), 3);
    assert!(engine.usage(&ams).unwrap().rows_written >= 3);
    engine.remove(&ams).unwrap();
    engine.remove(&lhr).unwrap();
    engine.remove(&lhr).unwrap();
    for site in [&ams, &lhr] {
        assert!(engine.running(site).unwrap().is_none());
        assert!(!fleet.home(site).exists(), "an empty process goes with its directory");
    }
}

#[test]
fn commits_wait_for_the_disk() {
    let fleet = Fleet::new();
    let ams = fleet.site("ams", "app");
    fleet.engine.create(&ams).unwrap();
    assert_eq!(fleet.number(&ams, "pragma synchronous"), 2);
    // Also after settings were changed, which replaces all of them.
    fleet.engine.configure(&ams, &DatabaseLimits::default()).unwrap();
    assert_eq!(fleet.number(&ams, "pragma synchronous"), 2);
}

#[test]
fn token_opens_one_database_only() {
    let fleet = Fleet::new();
    let (a, b) = (fleet.site("ams", "aaa"), fleet.site("ams", "bbb"));
    for site in [&a, &b] {
        fleet.engine.create(site).unwrap();
        fleet.sql(site, "create table t (x)").unwrap();
    }
    let minute = Duration::from_secs(60);
    let try_with = |token: &str, sql: &str| super::query(&fleet.engine.endpoint(&b).unwrap(), token, sql);
    let of_a = fleet.engine.token("aaa", Access::ReadWrite, minute).unwrap();
    assert!(try_with(of_a.expose(), "select 1").is_err());
    assert!(try_with("", "select 1").is_err());
    let read_only = fleet.engine.token("bbb", Access::ReadOnly, minute).unwrap();
    try_with(read_only.expose(), "select * from t").unwrap();
    assert!(try_with(read_only.expose(), "insert into t values (1)").is_err());
    let of_another = super::engine().token("bbb", Access::ReadWrite, minute).unwrap();
    assert!(try_with(of_another.expose(), "select 1").is_err());
    assert_eq!(fleet.number(&b, "select count(*) from t"), 0);
}

#[test]
fn limits_are_enforced_and_lifted() {
    let fleet = Fleet::new();
    let ams = fleet.site("ams", "app");
    fleet.engine.create(&ams).unwrap();
    fleet.sql(&ams, "create table t (x)").unwrap();
    let set = |limits: DatabaseLimits| {
        fleet.engine.configure(&ams, &limits).unwrap();
        assert_eq!(fleet.engine.running(&ams).unwrap().unwrap().limits, Some(limits));
    };
    set(DatabaseLimits {
        block_writes: true,
        ..DatabaseLimits::default()
    });
    until("writes are refused", || {
        fleet.sql(&ams, "insert into t values (1)").is_err()
    });
    fleet.sql(&ams, "select * from t").unwrap();
    set(DatabaseLimits {
        max_size: Some(1 << 20),
        ..DatabaseLimits::default()
    });
    let grow = || fleet.sql(&ams, "insert into t values (zeroblob(2000000))");
    assert!(grow().unwrap_err().contains("FULL"));
    set(DatabaseLimits::default());
    until("the limit is lifted", || grow().is_ok());
}

#[test]
fn seed_file_of_any_page_size_becomes_a_database() {
    let fleet = Fleet::new();
    for (id, page_size, mode) in [("small", 1024, "delete"), ("same", 4096, "wal"), ("large", 8192, "wal")] {
        let seed = fleet.dir.path().join(format!("{id}.seed"));
        let connection = rusqlite::Connection::open(&seed).unwrap();
        connection
            .execute_batch(&format!(
                "pragma page_size = {page_size}; pragma journal_mode = {mode}; pragma user_version = 7;
                 create table t (x); with recursive n(x) as (select 1 union all select x + 1 from n limit 1000)
                 insert into t select x from n"
            ))
            .unwrap();
        connection.close().unwrap();
        let (ams, lhr) = (fleet.site("ams", id), fleet.site("lhr", id));
        fleet.engine.check_seed(&seed).unwrap();
        fleet.engine.adopt(&seed, &ams).unwrap();
        assert!(!seed.exists());
        fleet.engine.copy(&ams, &lhr).unwrap();
        fleet.sql(&ams, "insert into t values (0)").unwrap();
        until("the replica has it", || {
            fleet.number(&lhr, "select count(*) from t") == 1001
        });
        assert_eq!(fleet.number(&ams, "pragma user_version"), 7);
    }
}

#[test]
fn seed_file_that_is_damaged_is_refused_and_leaves_nothing() {
    let fleet = Fleet::new();
    let ams = fleet.site("ams", "app");
    let other = fleet.site("ams", "other");
    fleet.engine.create(&other).unwrap();
    let seed = fleet.dir.path().join("seed");
    damaged_database(&seed);
    let error = fleet.engine.adopt(&seed, &ams).unwrap_err();
    assert_eq!(error.code(), Code::InvalidFile, "{error}");
    assert!(fleet.engine.running(&ams).unwrap().is_none());
    assert!(!fleet.engine.path(&ams).exists());
    assert_eq!(fleet.number(&other, "select 1"), 1);
    fleet.engine.create(&ams).unwrap();
}

#[test]
fn export_while_others_write_is_a_sound_file() {
    let fleet = Fleet::new();
    let (ams, lhr) = (fleet.site("ams", "app"), fleet.site("lhr", "app"));
    fleet.engine.create(&ams).unwrap();
    fleet.sql(&ams, "create table t (x)").unwrap();
    fleet.engine.copy(&ams, &lhr).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for _ in 0..100 {
                fleet
                    .sql(
                        &ams,
                        "begin; insert into t values (1); insert into t values (-1); commit",
                    )
                    .unwrap();
            }
        });
        let mut exports = 0;
        while !writer.is_finished() || exports == 0 {
            for site in [&ams, &lhr] {
                let to = fleet.dir.path().join("export.db");
                fleet.engine.snapshot(site, &to).unwrap();
                let copy = rusqlite::Connection::open(&to).unwrap();
                let ask = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
                assert_eq!(ask("select coalesce(sum(x), 0) from t"), 0, "half a transaction");
                let verdict: String = copy.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
                assert_eq!(verdict, "ok");
                drop(copy);
                std::fs::remove_file(&to).unwrap();
                exports += 1;
            }
        }
    });
    assert_eq!(fleet.number(&ams, "select count(*) from t"), 200);
}

//! Databases that applications have open, and what stays of a database when its content is replaced or its primary moves.

use crate::support::World;
use rusqlite::Connection;

/// A world with `app` (one row) and `other` (two), of which `app` has a replica at lhr.
fn world() -> World {
    let world = World::with_app("create table t (x); insert into t values (1)");
    world.ok(["db", "replicate", "app", "lhr"]);
    world.ok(["db", "create", "other", "--location", "ams"]);
    world.ok([
        "db",
        "shell",
        "other",
        "create table t (x); insert into t values (1), (2)",
    ]);
    world
}

/// An application with a database open.
fn open(world: &World, name: &str) -> Connection {
    let path = world.ok(["db", "show", name, "--path"]);
    let connection = Connection::open(path.trim()).unwrap();
    let count: i64 = connection
        .query_row("select count(*) from t", [], |row| row.get(0))
        .unwrap();
    assert!(count > 0);
    connection
}

#[test]
fn destroy_of_a_database_in_use_is_refused() {
    let world = world();
    let application = open(&world, "app");
    let refused = world.torso(["db", "destroy", "app", "--yes", "--json"]);
    refused.fails(7, "database_busy");
    application.execute("insert into t values (2)", []).unwrap();
    drop(application);
    assert_eq!(world.query("app", "select count(*) from t"), "2");
    world.ok(["db", "destroy", "app", "--yes"]);
    assert_eq!(world.databases(), ["other"]);
}

#[test]
fn copy_over_a_database_in_use_is_refused_and_else_keeps_all_but_its_content() {
    let world = world();
    world.ok(["db", "config", "set", "app", "size-limit", "64mb"]);
    let before = world.json(["db", "show", "app"]);
    let application = open(&world, "app");
    let overwrite = ["db", "copy", "other", "app", "--overwrite", "--yes", "--json"];
    world.torso(overwrite).fails(7, "database_busy");
    assert_eq!(world.query("app", "select count(*) from t"), "1");
    drop(application);
    let copied = world.torso(overwrite).success().json();
    assert_eq!((&copied["copied"], &copied["replaced"]), (&true.into(), &true.into()));
    let after = world.json(["db", "show", "app"]);
    for key in ["DbId", "url", "regions", "configuration", "group"] {
        assert_eq!(before[key], after[key], "{key}");
    }
    assert_eq!(world.query("app", "select count(*) from t"), "2");
    let at_replica = world.ok(["db", "shell", "app", "--location", "lhr", "select count(*) from t"]);
    assert_eq!(at_replica.trim(), "2");
    assert_eq!(world.databases(), ["app", "other"]);
    // What is larger than the limit leaves what was there.
    world.ok(["db", "config", "set", "app", "size-limit", "8kb"]);
    world.ok(["db", "shell", "other", "insert into t values (zeroblob(100000))"]);
    world.torso(overwrite).fails(5, "size_limit");
    assert_eq!(world.query("app", "select count(*) from t"), "2");
}

#[test]
fn promotion_on_files_prints_the_new_url() {
    let world = world();
    let said = world.ok(["db", "promote", "app", "lhr"]);
    let url = world.ok(["db", "show", "app", "--url"]);
    assert!(said.contains(&format!("Its URL is now {}", url.trim())), "{said}");
    let again = world.ok(["db", "promote", "app", "lhr"]);
    assert!(!again.contains("URL"), "{again}");
}

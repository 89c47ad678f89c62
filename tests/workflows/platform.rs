//! The workflows against a server that speaks the public Platform API and nothing more: what they do there is what they do
//! elsewhere, and what cannot be done is one clear refusal that changes nothing.

use crate::support::World;
use crate::support::platform::Platform;
use serde_json::{Value, json};

fn world(platform: &Platform) -> World {
    let mut world = World::new();
    world.set("TORSO_API_URL", platform.url());
    world.set("TORSO_TOKEN", "secret-of-the-platform");
    world.set("TORSO_DATA_DIR", world.path("data-of-user"));
    world
}

#[test]
fn workflows_on_a_platform_api_run_sql_and_migrations() {
    let platform = Platform::start();
    let world = world(&platform);
    for name in ["tenant-1", "tenant-2"] {
        world.ok(["db", "create", name]);
    }
    let migrations = world.work().join("migrations");
    std::fs::create_dir(&migrations).unwrap();
    std::fs::write(migrations.join("0001_first.sql"), "create table t (x);").unwrap();
    world.ok(["db", "migrate", "tenant-1"]);
    world.ok(["db", "migrate", "--match", "tenant-*"]);
    world.ok(["db", "exec", "--match", "tenant-*", "insert into t values (7)"]);
    for name in ["tenant-1", "tenant-2"] {
        assert_eq!(world.query(name, "select x from t"), "7");
    }
    let schema = world.ok(["db", "schema", "tenant-1"]);
    assert!(schema.to_lowercase().contains("create table t"), "{schema}");
    for name in ["plain-1", "plain-2"] {
        world.ok(["db", "create", name]);
    }
    world.ok(["db", "exec", "--match", "plain-*", "create table t (x)"]);
    world.torso(["db", "diff", "plain-1", "plain-2"]).success();
    world.ok(["db", "shell", "plain-2", "insert into t values (8)"]);
    assert_eq!(world.torso(["db", "diff", "plain-1", "plain-2"]).code(), 5);
}

#[test]
fn workflows_on_a_platform_api_branch_reset_and_run() {
    let platform = Platform::start();
    let world = world(&platform);
    world.ok(["db", "create", "app"]);
    world.ok(["db", "shell", "app", "create table t (x); insert into t values (1)"]);
    world.ok(["db", "branch", "app", "test"]);
    world.ok(["db", "shell", "test", "delete from t"]);
    world.ok(["db", "branch", "app", "test", "--reset", "--yes"]);
    assert_eq!(world.query("test", "select x from t"), "1");
    // It keeps no ends: nothing is made that would never be destroyed.
    world
        .torso(["db", "branch", "app", "short", "--expires-in", "1d", "--json"])
        .fails(1, "unsupported");
    assert_eq!(platform.databases(), ["app", "test"]);
    assert_eq!(world.json(["db", "list", "--expired"]), json!([]));
    assert_eq!(world.json(["gc"]), json!([]));
    let environment = world.ok(["db", "env", "app"]);
    assert!(environment.contains("TURSO_AUTH_TOKEN=token-of-app"), "{environment}");
    let out = world.ok(["run", "--db", "app", "--", "sh", "-c", "echo $TURSO_AUTH_TOKEN"]);
    assert_eq!(out, "token-of-app\n");
    world.ok(["run", "--", "sh", "-c", "test -n \"$DATABASE_URL\""]);
    assert_eq!(platform.databases(), ["app", "test"]);
    world.ok(["wait", "db", "app", "--for", "ready", "--timeout", "20s"]);
}

#[test]
fn workflows_on_a_platform_api_apply_a_declared_state() {
    let platform = Platform::start();
    let world = world(&platform);
    let file = "[groups.shop]\nlocations = [\"ams\"]\n\
        [databases.shop-eu]\ngroup = \"shop\"\nblock_writes = true\n[databases.log]\ngroup = \"default\"\n";
    world.write("torso.toml", file);
    assert_eq!(world.torso(["apply", "--check"]).code(), 5);
    world.ok(["apply"]);
    assert_eq!(platform.databases(), ["log", "shop-eu"]);
    world.torso(["apply", "--check"]).success();
    let ends = "[databases.log]\nexpires_at = \"2999-01-01T00:00:00Z\"\n";
    world.write("torso.toml", ends);
    let run = world.torso(["apply", "--json"]);
    assert_ne!(run.code(), 0, "{}", run.report());
    assert!(
        run.stderr.contains("cannot keep when a database expires"),
        "{}",
        run.report()
    );
}

#[test]
fn list_of_a_platform_api_is_in_pages_by_name() {
    let platform = Platform::start_without_databases();
    let world = world(&platform);
    for name in ["e", "b", "g", "a", "d", "f", "c"] {
        world.ok(["db", "create", name, "--group", "default"]);
    }
    let names = |arguments: &[&str]| {
        let all = ["db", "list", "--output", "name"].iter().chain(arguments);
        world.torso(all).success().stdout.replace('\n', " ")
    };
    assert_eq!(names(&[]), "a b c d e f g ");
    assert_eq!(names(&["--limit", "2"]), "a b ");
    assert_eq!(names(&["--limit", "3", "--after", "b"]), "c d e ");
    assert_eq!(names(&["--after", "f"]), "g ");
    let page: Value = world.json(["db", "list", "--limit", "2", "--after", "f"]);
    assert_eq!(page.as_array().unwrap().len(), 1);
}

//! `torso apply`: from nothing to what a file declares, again, after changes, after kills, and on a server.

use crate::support::server::Server;
use crate::support::{Run, World};
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;

const FILE: &str = r#"
[scope]
databases = ["shop-*"]

[groups.shop]
locations = ["ams", "lhr"]

[databases.shop-eu]
group = "shop"
size_limit = "64mb"
seed = { dump = "schema.sql" }

[databases.shop-us]
group = "shop"
location = "ams"
delete_protection = false
seed = { database = "shop-eu" }

[groups.logs]
locations = ["nrt"]

[databases.log]
group = "logs"
replicas = ["syd"]
"#;

fn world() -> World {
    let world = World::new();
    world.write("torso.toml", FILE);
    world.write(
        "schema.sql",
        "create table items(name); insert into items values ('lamp');",
    );
    world
}

fn json(world: &World, line: &[&str]) -> Run {
    let mut command = world.torso_command(line);
    command.arg("--json");
    Run::of(command)
}

fn descriptions(answer: &Value) -> Vec<String> {
    let steps = answer["steps"].as_array().unwrap();
    steps
        .iter()
        .map(|step| step["description"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn apply_makes_what_is_declared_and_nothing_twice() {
    let world = world();
    let check = json(&world, &["apply", "--check"]);
    assert_eq!(
        (check.code(), &check.error()["code"]),
        (5, &"drifted".into()),
        "{}",
        check.report()
    );
    assert_eq!(descriptions(&check.json()).len(), 7);
    assert_eq!(world.databases(), [""; 0]);
    let plan = world.ok(["apply", "--dry-run", "--output", "name"]);
    assert!(
        plan.starts_with("create group logs at nrt\ncreate group shop at ams\n"),
        "{plan}"
    );
    let applied = json(&world, &["apply"]).success().json();
    assert!(
        applied["steps"]
            .as_array()
            .unwrap()
            .iter()
            .all(|step| step["done"] == true),
        "{applied}"
    );
    assert_eq!(world.query("shop-us", "select name from items"), "lamp");
    assert_eq!(world.json(["db", "config", "show", "shop-eu"])["size_limit"], 64 << 20);
    let log = world.json(["db", "show", "log"]);
    assert_eq!(log["regions"], serde_json::json!(["nrt", "syd"]));
    assert_eq!(world.ok(["apply"]), "Everything is as torso.toml declares.\n");
    assert_eq!(json(&world, &["apply"]).json()["changed"], false);
    json(&world, &["apply", "--check"]).success();
    // Content is not its business.
    world.ok(["db", "shell", "shop-eu", "delete from items"]);
    json(&world, &["apply", "--check"]).success();
}

#[test]
fn apply_prunes_only_what_is_its_own() {
    let world = world();
    world.ok(["apply"]);
    for name in ["shop-old", "theirs"] {
        world.ok(["db", "create", name, "--group", "shop"]);
    }
    world.ok(["db", "replicate", "log", "fra"]);
    let check = json(&world, &["apply", "--check"]);
    assert_eq!(
        descriptions(&check.json()),
        ["remove the replica of database log at fra", "destroy database shop-old"]
    );
    // Without the option, nothing goes.
    let run = world.torso(["apply"]).success();
    assert!(
        run.stderr.contains("2 things that the file does not name"),
        "{}",
        run.report()
    );
    assert_eq!(world.databases(), ["log", "shop-eu", "shop-old", "shop-us", "theirs"]);
    json(&world, &["apply", "--prune"]).fails(6, "unconfirmed");
    world.ok(["db", "config", "set", "shop-old", "delete-protection", "on"]);
    json(&world, &["apply", "--prune", "--yes"]).fails(5, "delete_protected");
    world.ok(["db", "config", "set", "shop-old", "delete-protection", "off"]);
    json(&world, &["apply", "--prune", "--yes"]).success();
    assert_eq!(world.databases(), ["log", "shop-eu", "shop-us", "theirs"]);
    json(&world, &["apply", "--check"]).success();
}

#[test]
fn apply_of_a_wrong_file_names_line_and_key_and_changes_nothing() {
    let world = world();
    for (text, message, exit, code) in [
        (
            "[databases.a]\n[databases.b]\nreplica = []\n",
            "torso.toml:3: databases.b.replica: there is no such key",
            1,
            "invalid_file",
        ),
        (
            "[databases.a]\n[databases.b]\nseed = { file = \"none.db\" }\n",
            "torso.toml:3: databases.b.seed: there is no file none.db",
            3,
            "file_not_found",
        ),
        (
            "[databases.a]\n[databases.b]\nlocation = \"Nowhere\"\n",
            "torso.toml:3: databases.b.location:",
            1,
            "invalid_file",
        ),
        (
            "[databases.a]\nlocation = \"ams\"\n[databases.b]\nlocation = \"nowhere\"\n",
            "torso.toml:4: databases.b.location: there is no location nowhere",
            3,
            "location_not_found",
        ),
        (
            "[groups.g]\nlocations = [\"ams\"]\n[databases.b]\ngroup = \"none\"\n",
            "torso.toml:4: databases.b.group: there is no group none",
            3,
            "group_not_found",
        ),
        ("[databases.a]\nx", "torso.toml:2: this is not TOML", 1, "invalid_file"),
    ] {
        world.write("torso.toml", text);
        let error = json(&world, &["apply"]).fails(exit, code).error();
        assert!(error["message"].as_str().unwrap().starts_with(message), "{error}");
    }
    assert_eq!(world.databases(), [""; 0]);
    world.write("torso.toml", [b'#', 0xff]);
    json(&world, &["apply"]).fails(1, "invalid_file");
    json(&world, &["apply", "-f", "none.toml"]).fails(3, "file_not_found");
    // A step that fails keeps those before it, and says so.
    world.write(
        "torso.toml",
        "[databases.a]\nlocation = \"ams\"\n[databases.b]\nseed = { dump = \"broken.sql\" }\n",
    );
    world.write("broken.sql", "create table t (x); insert into none values (1);");
    let run = json(&world, &["apply"]);
    assert_eq!(run.code(), 8, "{}", run.report());
    assert_eq!(run.json()["steps"][1]["error"]["code"], "invalid_file");
    assert_eq!(world.databases(), ["a"]);
}

#[test]
fn apply_that_is_killed_anywhere_reaches_the_declared_state_when_repeated() {
    let mut kills = 0;
    let mut random = 11_u64;
    for _ in 0..15 {
        let world = world();
        for _ in 0..3 {
            let mut command = world.torso_command(["apply", "--quiet"]);
            let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            std::thread::sleep(Duration::from_micros(3_000 + random % 40_000));
            kills += usize::from(run.try_wait().unwrap().is_none());
            let _ = run.kill();
            run.wait().unwrap();
        }
        world.ok(["apply"]);
        json(&world, &["apply", "--check"]).success();
        assert_eq!(world.query("shop-us", "select name from items"), "lamp");
        let complaints = world.torso(["doctor"]);
        assert_eq!(complaints.code(), 0, "{}", complaints.report());
    }
    assert!(kills > 10, "{kills}");
}

#[test]
fn apply_works_on_a_server_as_on_files() {
    let mut world = world();
    let server = Server::start(&world, &["--owner", "alice"]);
    let token = server.token.clone();
    world.set("TORSO_API_URL", server.url());
    world.set("TORSO_TOKEN", &token);
    world.ok(["apply"]);
    assert_eq!(world.ok(["apply"]), "Everything is as torso.toml declares.\n");
    assert_eq!(world.query("shop-us", "select name from items"), "lamp");
    assert_eq!(
        world.json(["db", "show", "log"])["regions"],
        serde_json::json!(["nrt", "syd"])
    );
    world.ok(["db", "create", "shop-old"]);
    world.ok(["db", "config", "set", "log", "block-writes", "on"]);
    world.write(
        "torso.toml",
        FILE.replace("[databases.log]", "[databases.log]\nblock_writes = false"),
    );
    let check = json(&world, &["apply", "--check"]);
    assert_eq!(
        descriptions(&check.json()),
        ["set block_writes false of database log", "destroy database shop-old"]
    );
    json(&world, &["apply", "--prune", "--yes"]).success();
    json(&world, &["apply", "--check"]).success();
}

#[test]
fn apply_check_with_prune_fails_where_there_is_more_than_declared() {
    let world = World::new();
    world.write("torso.toml", "");
    world.ok(["apply", "--check", "--prune"]);
    world.ok(["db", "create", "extra"]);
    world.write("torso.toml", "[databases.app]\n");
    let run = world.torso(["apply", "--check", "--prune", "--json"]);
    assert_eq!(
        (run.code(), run.error()["code"].as_str()),
        (5, Some("drifted")),
        "{}",
        run.report()
    );
    assert_eq!(world.databases(), ["extra"]);
}

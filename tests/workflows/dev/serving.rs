//! What is served, to whom, and what is in the file afterwards.

use super::{Dev, remains, said, sqlite3};
use crate::support::server::Server;
use crate::support::{Run, World, golden, hrana, installed, sqld};
use nix::sys::signal::Signal;
use serde_json::json;

/// What must come back as it was, whatever the file's form.
const CONTENT: &str = "PRAGMA user_version = 7; PRAGMA application_id = 99;
    CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT, b TEXT DEFAULT 'x', c BLOB, d REAL);
    CREATE INDEX i ON t (b); CREATE VIEW v AS SELECT a FROM t;
    CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET d = 1.5 WHERE a = new.a; END;
    CREATE VIRTUAL TABLE f USING fts5(body); INSERT INTO f VALUES ('quick fox');
    INSERT INTO t (b, c) VALUES ('ü', x'00ff'), (NULL, zeroblob(5000));";

fn sorted(text: &str) -> Vec<String> {
    // Zeros of a long value say nothing.
    let mut lines: Vec<_> = text.lines().map(|line| line.replace("0000", "")).collect();
    lines.sort();
    lines
}

#[test]
fn dev_serves_a_file_and_puts_everything_into_it() {
    let world = World::new();
    for (name, form, signal) in [
        ("delete.db", "", Signal::SIGTERM),
        ("wal.db", "PRAGMA journal_mode = WAL;", Signal::SIGINT),
        ("small.db", "PRAGMA page_size = 512;", Signal::SIGTERM),
        ("utf16.db", "PRAGMA encoding = 'UTF-16le';", Signal::SIGINT),
    ] {
        let (file, twin) = (world.work().join(name), world.work().join(format!("twin_{name}")));
        for path in [&file, &twin] {
            sqlite3(&world, path, &format!("{form} {CONTENT}")).unwrap();
        }
        let change = "INSERT INTO t (b) VALUES ('served')";
        sqlite3(&world, &twin, change).unwrap();
        let mut dev = Dev::start(&world, &["--db-file", name]);
        dev.execute(change);
        assert_eq!(dev.execute("SELECT count(*) FROM t")[0][0]["value"], "3");
        assert_eq!(dev.end(signal), Some(0), "{}", said(&world));
        for question in [
            ".dump",
            "PRAGMA integrity_check",
            "PRAGMA journal_mode",
            "PRAGMA user_version",
            "PRAGMA application_id",
            "PRAGMA encoding",
            "SELECT * FROM f('fox')",
        ] {
            // A file of another page size comes back in another order.
            let answer = |path| sqlite3(&world, path, question).map(|text| sorted(&text));
            assert_eq!(answer(&file), answer(&twin), "{name}: {question}");
        }
        assert_eq!(remains(&world), Vec::<String>::new());
    }
}

#[test]
fn dev_keeps_its_file_from_being_replaced() {
    let world = World::new();
    let file = world.work().join("app.db");
    sqlite3(&world, &file, "CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
    let mut dev = Dev::start(&world, &["--db-file", "app.db"]);
    for command in [
        ".open --new app.db",
        ".open app.db",
        ".restore app.db",
        ".backup app.db",
        ".save app.db",
    ] {
        let refused = world.torso(["db", "shell", ":memory:", command]);
        assert_ne!(refused.code(), 0, "{command}: {}", refused.report());
    }
    dev.execute("INSERT INTO t VALUES (2)");
    assert_eq!(dev.end(Signal::SIGTERM), Some(0), "{}", said(&world));
    assert_eq!(sqlite3(&world, &file, "SELECT sum(x) FROM t").unwrap(), "3");
}

#[test]
fn dev_keeps_permissions_and_links() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    let world = World::new();
    let file = world.work().join("real.db");
    sqlite3(&world, &file, "CREATE TABLE t (x)").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real.db", world.work().join("link.db")).unwrap();
    let mut dev = Dev::start(&world, &["--db-file", "link.db"]);
    assert_eq!(dev.started["file"], file.to_str().unwrap());
    dev.execute("INSERT INTO t VALUES (1)");
    // By either name it is the same file.
    for name in ["link.db", "./real.db"] {
        let refused = world.torso(["db", "shell", name, "SELECT 1"]);
        assert!(
            refused.stderr.contains("is served by torso dev"),
            "{}",
            refused.report()
        );
    }
    assert_eq!(dev.end(Signal::SIGTERM), Some(0));
    assert!(world.work().join("link.db").is_symlink());
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
    assert_eq!(sqlite3(&world, &file, "SELECT * FROM t").unwrap(), "1");
}

#[test]
fn dev_without_a_name_makes_a_file_and_says_which() {
    let world = World::new();
    let mut dev = Dev::start(&world, &[]);
    golden::check(&world, "dev", dev.started.clone());
    assert_eq!(dev.started["created"], true);
    dev.execute("CREATE TABLE t (x)");
    dev.execute("INSERT INTO t VALUES (1)");
    assert_eq!(dev.end(Signal::SIGTERM), Some(0));
    let file = world.work().join("dev.db");
    assert!(said(&world).contains(file.to_str().unwrap()), "{}", said(&world));
    let mut again = Dev::start(&world, &[]);
    assert_eq!(again.started["created"], false);
    assert_eq!(again.execute("SELECT x FROM t")[0][0]["value"], "1");
    // As when its terminal is closed.
    assert_eq!(again.end(Signal::SIGHUP), Some(0));
    assert_eq!(sqlite3(&world, &file, "SELECT x FROM t").unwrap(), "1");
}

#[test]
fn dev_that_nobody_used_leaves_a_whole_file() {
    let world = World::new();
    let mut dev = Dev::start(&world, &["--db-file", "empty.db"]);
    assert_eq!(dev.end(Signal::SIGTERM), Some(0), "{}", said(&world));
    let file = world.work().join("empty.db");
    assert_eq!(sqlite3(&world, &file, "PRAGMA integrity_check").unwrap(), "ok");
    assert_eq!(
        sqlite3(&world, &file, "SELECT count(*) FROM sqlite_schema").unwrap(),
        "0"
    );
}

#[test]
fn dev_of_a_database_shuts_other_commands_out_until_it_ends() {
    let mut world = World::with_app("create table t (x); insert into t values (1)");
    world.ok(["db", "replicate", "app", "lhr"]);
    world.ok(["db", "create", "other"]);
    world.ok(["link", "app"]);
    world.set("TORSO_SQLD", sqld::program());
    // The linked database is what is meant.
    let mut dev = Dev::start(&world, &[]);
    assert_eq!(dev.started["database"], "app");
    dev.execute("INSERT INTO t VALUES (2)");
    for line in [
        "db export app --output-file out.db",
        "db dump app",
        "db branch app twig",
        "db copy app copied",
        "db sync app",
        "db replicate app nrt",
        "db promote app lhr",
        "db destroy app --yes",
        "group destroy default --yes",
        "db env app",
        "db exec app values(1)",
        "db diff app other",
        "dev --db app --port 0",
    ] {
        let refused = world.torso(line.split(' ').chain(["--json"]));
        assert_ne!(refused.code(), 0, "{}", refused.report());
        let said = refused.stdout.clone() + &refused.stderr;
        assert!(
            said.contains("is served by torso dev (process "),
            "{}",
            refused.report()
        );
        assert!(said.contains(dev.url()), "{}", refused.report());
    }
    // What does not need the file goes on.
    assert_eq!(world.databases(), ["app", "other"]);
    world.ok(["db", "rename", "app", "renamed"]);
    assert_eq!(dev.end(Signal::SIGTERM), Some(0), "{}", said(&world));
    assert_eq!(world.query("renamed", "select sum(x) from t"), "3");
    let replica = ["db", "shell", "renamed", "--location", "lhr", "select sum(x) from t"];
    assert_eq!(world.ok(replica), "3\n");
    assert_eq!(world.query("renamed", "pragma journal_mode"), "wal");
    world.ok(["db", "destroy", "renamed", "--yes"]);
}

#[test]
fn dev_holds_the_limits_of_a_database() {
    let world = World::with_app("create table t (x)");
    world.ok(["db", "config", "set", "app", "block-writes", "on"]);
    let dev = Dev::start(&world, &["--db", "app"]);
    dev.execute("SELECT * FROM t");
    let refused = hrana::execute(dev.pipeline(), ["INSERT INTO t VALUES (1)"]).unwrap_err();
    assert!(refused.contains("blocked"), "{refused}");
    // So do the rules of the gateway.
    let refused = hrana::execute(dev.pipeline(), ["ATTACH 'other.db' AS other"]).unwrap_err();
    assert!(refused.contains("SQL_"), "{refused}");
}

#[test]
fn dev_is_for_programs_and_pages_of_this_machine() {
    let world = World::new();
    let dev = Dev::start(&world, &[]);
    let status = |origin: &str| {
        let request = dev.pipeline().header("origin", origin).json(&json!({ "requests": [] }));
        request.send().unwrap().status().as_u16()
    };
    assert_eq!(status("http://localhost:3000"), 200);
    assert_eq!(status("https://example.com"), 403);
    assert_eq!(status("null"), 403);
    let rebound = dev
        .pipeline()
        .header("host", "example.com")
        .json(&json!({ "requests": [] }));
    assert_eq!(rebound.send().unwrap().status().as_u16(), 403);
    // A token that means nothing here does no harm: clients are configured with one.
    let request = dev.pipeline().bearer_auth("not-a-token");
    assert_eq!(hrana::execute(request, ["SELECT 1"]).unwrap()[0][0]["value"], "1");
}

#[test]
fn dev_with_auth_demands_the_token_that_it_prints() {
    let world = World::new();
    let dev = Dev::start(&world, &["--auth"]);
    let token = dev.started["token"].as_str().unwrap();
    let refused = hrana::execute(dev.pipeline(), ["SELECT 1"]).unwrap_err();
    assert!(refused.starts_with("401"), "{refused}");
    let refused = hrana::execute(dev.pipeline().bearer_auth("wrong"), ["SELECT 1"]).unwrap_err();
    assert!(refused.starts_with("401"), "{refused}");
    let answer = hrana::execute(dev.pipeline().bearer_auth(token), ["SELECT 1"]).unwrap();
    assert_eq!(answer[0][0]["value"], "1");
    let mut shell = world.torso_command(["db", "shell", dev.url(), "select 5"]);
    shell.env("TORSO_DATABASE_TOKEN", token);
    assert_eq!(Run::of(shell).success().stdout, "5\n");
}

#[test]
fn dev_serves_clients_of_node_and_drizzle() {
    let world = World::new();
    for auth in [false, true] {
        let more: &[&str] = if auth { &["--auth"] } else { &[] };
        let mut dev = Dev::start(&world, &[&["--db-file", "app.db"], more].concat());
        let address = dev.url().strip_prefix("http://").unwrap().to_owned();
        let mut node = world.command("node");
        node.arg(installed::script("dev.mjs"))
            .args([dev.url(), dev.started["libsql_url"].as_str().unwrap()])
            .arg(format!("ws://{address}"));
        // Where no token is demanded, one of an application's settings does no harm.
        node.env("DATABASE_TOKEN", dev.started["token"].as_str().unwrap_or("not-a-token"));
        if let Some(path) = std::env::var_os("PATH") {
            node.env("PATH", path);
        }
        let bodies: Vec<String> = serde_json::from_str(&Run::of(node).success().stdout).unwrap();
        assert_eq!(bodies.len(), if auth { 36 } else { 18 }, "{bodies:?}");
        assert_eq!(dev.end(Signal::SIGTERM), Some(0), "{}", said(&world));
    }
    let file = world.work().join("app.db");
    assert_eq!(sqlite3(&world, &file, "SELECT count(*) FROM notes").unwrap(), "36");
    assert_eq!(sqlite3(&world, &file, "PRAGMA integrity_check").unwrap(), "ok");
}

#[test]
fn dev_with_a_timeout_stops_in_order() {
    let world = World::new();
    let mut command = world.torso_command(["dev", "--port", "0", "--timeout", "2s", "--json", "--sqld"]);
    command.arg(sqld::program());
    let run = Run::of(command);
    assert_eq!(run.code(), 7, "{}", run.report());
    assert_eq!(run.error()["code"], "timeout");
    assert_eq!(remains(&world), Vec::<String>::new());
    assert!(world.work().join("dev.db").exists());
}

#[test]
fn dev_whose_process_is_killed_goes_on() {
    let world = World::new();
    let mut dev = Dev::start(&world, &[]);
    dev.execute("CREATE TABLE t (x)");
    dev.execute("INSERT INTO t VALUES (1)");
    for child in super::kills::children(dev.pid()) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), Signal::SIGKILL);
    }
    let begun = std::time::Instant::now();
    let request = || Server::client().post(format!("{}/v2/pipeline", dev.url()));
    while hrana::execute(request(), ["INSERT INTO t VALUES (2)"]).is_err() {
        assert!(begun.elapsed().as_secs() < 30, "{}", said(&world));
    }
    assert_eq!(dev.end(Signal::SIGTERM), Some(0), "{}", said(&world));
    let file = world.work().join("dev.db");
    assert_eq!(sqlite3(&world, &file, "SELECT DISTINCT x FROM t").unwrap(), "1\n2");
}

//! The tokens that commands make for themselves: out of the way in lists, soon over, and replaced while somebody works.

use crate::support::server::Server;
use crate::support::{World, redact, until};
use serde_json::{Value, json};
use std::io::Write;
use std::process::Stdio;

/// A server of the owner `alice`, and a context for it in which the database `app` is.
fn serve(world: &World) -> Server {
    let server = Server::start(world, &["--locations", "ams", "--owner", "alice"]);
    world.write("token", &server.token);
    world.ok([
        "context",
        "add",
        "there",
        "--url",
        server.url(),
        "--token-file",
        "token",
    ]);
    world.ok(["context", "use", "there"]);
    world.ok(["db", "create", "app"]);
    server
}

fn tokens(world: &World, more: &[&str]) -> Vec<Value> {
    let listed = world.json([&["db", "tokens", "list", "app"], more].concat());
    listed.as_array().unwrap().clone()
}

#[test]
fn tokens_of_commands_do_not_last_and_are_not_listed() {
    let world = World::new();
    let _server = serve(&world);
    world.ok(["db", "shell", "app", "create table t (x); insert into t values (1)"]);
    world.ok(["db", "dump", "app", "--output-file", "app.sql"]);
    world.ok(["db", "copy", "app", "local:copied"]);
    assert_eq!(tokens(&world, &[]), Vec::<Value>::new());
    let all = tokens(&world, &["--all"]);
    assert!(all.len() >= 2, "{all:?}");
    for token in &all {
        let time = |key: &str| token[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let life = time("expires_at").duration_since(time("created_at"));
        assert!(token["name"] == "torso" && life.as_secs() <= 3_600, "{token}");
    }
    // What lasts is listed, whatever it is called.
    world.ok(["db", "tokens", "create", "app", "--label", "torso"]);
    world.ok([
        "db",
        "tokens",
        "create",
        "app",
        "--label",
        "torso",
        "--expiration",
        "2h",
    ]);
    world.ok(["db", "tokens", "create", "app", "--expiration", "10m"]);
    assert_eq!(tokens(&world, &[]).len(), 3);
}

#[test]
fn shell_outlives_its_token() {
    let world = World::new();
    let _server = serve(&world);
    let mut shell = world.torso_command(["db", "shell", "app"]);
    let mut shell = shell
        .stdin(Stdio::piped())
        .stdout(std::fs::File::create(world.path("out")).unwrap())
        .stderr(std::fs::File::create(world.path("err")).unwrap())
        .spawn()
        .unwrap();
    let mut typed = shell.stdin.take().unwrap();
    let mut type_in = |text: &str| {
        typed.write_all(text.as_bytes()).unwrap();
        typed.flush().unwrap();
    };
    let read = |name: &str| std::fs::read_to_string(world.path(name)).unwrap();
    type_in("create table t (x);\nbegin;\ninsert into t values (1);\nselect 'first', count(*) from t;\n");
    until("the shell has begun", || read("out").contains("first|1"));
    world.ok(["db", "tokens", "invalidate", "app", "--yes"]);
    // In the midst of a transaction, which goes on.
    type_in("insert into t values (2);\ncommit;\nselect 'second', count(*) from t;\n");
    drop(typed);
    assert_eq!(shell.wait().unwrap().code(), Some(0), "{}", read("err"));
    assert_eq!(
        (read("out").as_str(), read("err").as_str()),
        ("first|1\nsecond|2\n", "")
    );
}

#[test]
fn shell_of_a_user_who_may_only_read_reads() {
    let mut world = World::new();
    let server = serve(&world);
    world.ok(["org", "create", "team"]);
    world.set("TORSO_ORG", "team");
    world.ok(["db", "create", "app"]);
    world.ok(["db", "shell", "app", "create table t (x); insert into t values (1)"]);
    let invited = json!({ "email": "eve@example.com", "role": "viewer" });
    let invited = server.ok("POST", "/v1/organizations/team/invites", Some(invited))["invited"].clone();
    let accept = json!({ "invitation": invited["link"], "username": "eve" });
    let eve = server.ok("POST", "/v1/invitations/accept", Some(accept));
    world.write("eve", eve["token"].as_str().unwrap());
    let url = server.url();
    world.ok(["context", "add", "eves", "--url", url, "--token-file", "eve"]);
    let run = |words: &[&str]| world.torso([&["--context", "eves"], words].concat());
    assert_eq!(run(&["db", "shell", "app", "select x from t"]).success().stdout, "1\n");
    let dump = run(&["db", "dump", "app"]);
    insta::assert_snapshot!(redact::report(&world, &dump), @"
    $ torso --context eves db dump app
    PRAGMA foreign_keys=OFF;
    BEGIN TRANSACTION;
    CREATE TABLE t (x);
    INSERT INTO t(rowid,x) VALUES(1,1);
    COMMIT;
    -- torso: 1 rows, fnv1a64 23efb695220cf1f4
    -- stderr --
    -- exit 0 --
    ");
    let refused = run(&["db", "shell", "app", "insert into t values (2)"]);
    insta::assert_snapshot!(redact::report(&world, &refused), @r#"
    $ torso --context eves db shell app "insert into t values (2)"
    -- stderr --
    Error: stepping, attempt to write a readonly database (8)
    hint: you may only read app: torso auth status shows who you are
    -- exit 8 --
    "#);
    assert_eq!(world.query("app", "select count(*) from t"), "1");
}

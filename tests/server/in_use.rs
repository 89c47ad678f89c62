//! Databases of a server that applications use, as whoever destroys them is told.

use crate::support::World;
use crate::support::server::Server;
use serde_json::{Value, json};

/// An application that leaves a stream open, with a token of its own.
fn leave_open(world: &World, server: &Server, name: &str) {
    let token = world.ok(["db", "tokens", "create", name]);
    let url = world.ok(["db", "show", name, "--http-url"]);
    let url = format!("{}/v2/pipeline", url.trim().trim_end_matches('/'));
    assert!(url.starts_with(server.url()), "{url}");
    let request = json!({ "type": "execute", "stmt": { "sql": "select 1" } });
    let answer: Value = Server::client()
        .post(url)
        .bearer_auth(token.trim())
        .json(&json!({ "requests": [request] }))
        .send()
        .unwrap()
        .json()
        .unwrap();
    assert!(answer["baton"].is_string(), "{answer}");
}

#[test]
fn destroy_of_a_database_that_a_server_s_applications_use_says_so() {
    let world = World::new();
    let server = Server::start(&world, &["--owner", "alice", "--locations", "ams"]);
    let context = ["context", "add", "prod", "--url", server.url(), "--token-stdin"];
    world.torso_with_input(context, &server.token).success();
    world.ok(["context", "use", "prod"]);
    for name in ["app", "idle", "used"] {
        world.ok(["db", "create", name, "--group", "default"]);
        world.ok(["db", "shell", name, "create table t (x); insert into t values (1)"]);
    }
    // What torso's own commands do is nobody's use.
    assert_eq!(world.json(["db", "show", "idle"])["activity"], Value::Null);
    leave_open(&world, &server, "app");
    let activity = world.json(["db", "show", "app"])["activity"].clone();
    assert_eq!(activity["connections"], 1);
    assert!(activity["last_request_at"].is_string(), "{activity}");

    let used = "database app is in use (1 connection, last request ";
    let dry = world.json(["db", "destroy", "app", "--dry-run"]);
    assert!(dry["steps"][0].as_str().unwrap().contains(used), "{dry}");
    let unconfirmed = world
        .torso(["db", "destroy", "app", "--json"])
        .fails(6, "unconfirmed")
        .error();
    assert!(unconfirmed["message"].as_str().unwrap().contains(used), "{unconfirmed}");
    let destroyed = world.torso(["db", "destroy", "app", "idle", "--yes"]).success();
    assert!(
        destroyed.stderr.contains(&format!("warning: {used}")),
        "{}",
        destroyed.report()
    );
    assert!(!destroyed.stderr.contains("idle"), "{}", destroyed.report());

    leave_open(&world, &server, "used");
    let used = "database used is in use (1 connection";
    let dry = world.json(["group", "destroy", "default", "--dry-run"]);
    assert!(dry.to_string().contains(used), "{dry}");
    let destroyed = world.torso(["group", "destroy", "default", "--yes"]).success();
    assert!(destroyed.stderr.contains(used), "{}", destroyed.report());
    assert!(world.databases().is_empty());
}

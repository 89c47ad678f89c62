//! Applications open torso's databases with the clients they already use: here the libSQL client for Node.js and Drizzle.

use crate::support::{Run, World, installed};
use serde_json::json;

#[test]
fn application_of_node_uses_the_file_and_its_replicas_follow() {
    let world = World::new();
    world.ok(["db", "create", "app", "--location", "ams"]);
    world.ok(["db", "replicate", "app", "lhr"]);
    let url = world.ok(["db", "show", "app", "--url"]);

    let script = installed::script("application.mjs");
    let mut node = world.command("node");
    node.arg(&script).env("DATABASE_URL", url.trim());
    if let Some(path) = std::env::var_os("PATH") {
        node.env("PATH", path);
    }
    let run = Run::of(node).success();
    let told: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        told,
        json!([
            { "body": "batch 1", "at": 1, "raw": null },
            { "body": "changed", "at": 2, "raw": null },
            { "body": "kept", "at": null, "raw": null },
            { "body": "drizzle", "at": null, "raw": [0, 255] },
        ])
    );

    // What the application wrote is behind until torso opens the replica.
    let state = |world: &World| world.json(["db", "replicas", "app"])[1]["state"].clone();
    assert_eq!(state(&world), "behind");
    let count = "select count(*) from notes";
    assert_eq!(world.ok(["db", "shell", "app", "--location", "lhr", count]), "4\n");
    assert_eq!(state(&world), "ready");
}

//! Real clients through the gateway: the libSQL client for Node.js over HTTP, WebSockets and as an embedded replica, and
//! Drizzle.

use super::Door;
use crate::support::installed;
use serde_json::{Value, json};
use std::process::Command;

#[test]
fn application_of_node_uses_each_transport() {
    let door = Door::new();
    let token = door.create("app");
    let script = installed::script("gateway.mjs");
    let run = Command::new("node")
        .arg(&script)
        // With the slash that its clients need behind a path.
        .env("DATABASE_URL", door.url("app-alice", "/"))
        .env("DATABASE_TOKEN", &token)
        .env("REPLICA", door.dir.path().join("replica.db"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&run.stderr);
    // The replica's library writes its log there, too.
    let stdout = String::from_utf8_lossy(&run.stdout);
    let told: Value = stdout
        .lines()
        .last()
        .and_then(|line| serde_json::from_str(line).ok())
        .unwrap_or_else(|| panic!("{stdout}\n{stderr}"));
    assert_eq!(
        told,
        json!({
            "http": 4,
            "refused": "SQL_FORBIDDEN",
            "socket": 5,
            "socketRefused": "SQL_FORBIDDEN",
            "socketGoesOn": 42,
            "socketIsOpen": true,
            "drizzle": 1,
            "replica": 6,
            "replicaAfter": 7,
            "primary": 7,
            "replicaRefused": "refused",
            "forged": "UNAUTHORIZED",
        }),
        "{stderr}"
    );
    // What it wrote is there, and what its replica read is counted.
    assert_eq!(door.number("app-alice", &token, "select count(*) from notes"), 7);
    let metrics = door.metrics();
    assert!(
        metrics.contains("torso_gateway_bytes_synced_total") && !metrics.contains("bytes_synced_total 0"),
        "{metrics}"
    );
}

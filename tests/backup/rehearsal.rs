//! A copied data directory starts beside its original, serves what it has, and is nobody else's replica.

use super::server::serve;
use crate::support::{World, until};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directories below one that are called so.
fn directories_called(dir: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().unwrap() == name {
                found.push(path.clone());
            }
            found.extend(directories_called(&path, name));
        }
    }
    found
}

fn count(world: &World, location: &str) -> String {
    let line = [
        "db",
        "shell",
        "app",
        "--location",
        location,
        "select count(*) from t",
        "--output",
        "list",
    ];
    world.torso(line).stdout.trim().to_owned()
}

fn findings(world: &World) -> String {
    world.torso(["doctor", "--json"]).stdout
}

#[test]
fn copied_directory_serves_beside_its_original_and_says_that_it_is_a_copy() {
    let mut original = World::new();
    let server = serve(&mut original, &[]);
    original.ok(["db", "create", "app", "--location", "ams"]);
    original.ok(["db", "replicate", "app", "lhr"]);
    original.ok([
        "db",
        "shell",
        "app",
        "create table t (x); insert into t values (1), (2)",
    ]);
    until("the replica has it", || count(&original, "lhr") == "2");
    let token = server.token.clone();
    drop(server);

    let mut copy = World::new();
    let copied = Command::new("cp")
        .arg("-a")
        .args([original.data_dir(), copy.data_dir()])
        .status()
        .unwrap();
    assert!(copied.success());
    // What the copy's replica has is lost on the way.
    let replica = directories_called(&copy.data_dir(), "lhr");
    let files: Vec<_> = replica.iter().flat_map(|dir| directories_called(dir, "dbs")).collect();
    assert!(!files.is_empty(), "{replica:?}");
    for dir in files {
        std::fs::remove_dir_all(dir).unwrap();
    }

    original.set("TORSO_TOKEN", &token);
    let first = serve(&mut original, &[]);
    // The original goes on before the copy starts, on the ports that both have noted.
    original.ok(["db", "shell", "app", "insert into t values (3), (4), (5)"]);
    until("the original's replica has it", || count(&original, "lhr") == "5");
    copy.set("TORSO_TOKEN", &token);
    let second = serve(&mut copy, &[]);
    assert_eq!(count(&copy, "ams"), "2");
    until("the copy's replica has fetched what it lacked", || {
        count(&copy, "lhr") == "2"
    });
    copy.ok(["db", "shell", "app", "insert into t values (6)"]);
    until("the copy's replica follows the copy", || count(&copy, "lhr") == "3");
    let replicas = copy.json(["db", "replicas", "app"]);
    let states: Vec<&Value> = replicas.as_array().unwrap().iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["ready", "ready"], "{replicas}");
    for (location, expected) in [("ams", "5"), ("lhr", "5")] {
        assert_eq!(count(&original, location), expected, "the original, at {location}");
    }
    assert!(findings(&copy).contains("copied_directory"), "{}", findings(&copy));
    assert!(
        !findings(&original).contains("copied_directory"),
        "{}",
        findings(&original)
    );
    let log = std::fs::read_to_string(copy.work().join("server.log")).unwrap();
    assert!(log.contains("is a copy of the one that was used before"), "{log}");
    drop((first, second));
}

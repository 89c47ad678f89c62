//! A server over files that were damaged: what it tells, what it refuses, and what an operator does about it.

use super::{Database, Deployment, signal, until};
use crate::support::server::Server;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::path::PathBuf;

impl Deployment {
    /// The directory of the only database's files at a location.
    fn files_in(&self, location: &str) -> PathBuf {
        let organizations = std::fs::read_dir(self.data().join("organizations")).unwrap();
        let pools = organizations
            .filter_map(|entry| std::fs::read_dir(entry.unwrap().path().join("locations").join(location)).ok())
            .flatten();
        let dbs = pools.filter_map(|pool| std::fs::read_dir(pool.unwrap().path().join("sqld").join("dbs")).ok());
        dbs.flatten().next().unwrap().unwrap().path()
    }

    fn get(&self, path: &str) -> (u16, Value) {
        self.server().ask("GET", path, None)
    }

    /// Has the program use the server.
    fn log_in(&self) {
        self.world.write("token", &self.token);
        let url = self.server().url();
        self.world
            .ok(["context", "add", "there", "--url", url, "--token-file", "token"]);
        self.world.ok(["context", "use", "there"]);
    }
}

fn rows(database: &Database) -> Result<String, String> {
    database.value("SELECT count(*) FROM t")
}

fn fill(database: &Database) {
    database
        .sql(&[
            "CREATE TABLE t(x)",
            "INSERT INTO t VALUES (1)",
            "INSERT INTO t VALUES (2)",
        ])
        .unwrap();
    for location in ["lhr", "iad"] {
        until(
            "the replica has it",
            || rows(&database.at(location)),
            |rows| *rows == Ok("2".to_owned()),
        );
    }
}

#[test]
fn primary_whose_file_is_gone_is_told_everywhere_and_made_again_from_a_replica() {
    let mut server = Deployment::new();
    let database = server.database("app");
    fill(&database);
    let place = server.files_in("ams");
    server.end(Signal::SIGTERM);
    std::fs::remove_file(place.join("data")).unwrap();
    server.start();
    let ready = until(
        "it is not ready",
        || server.get("/ready"),
        |(_, told)| told["code"] == "database_damaged",
    );
    let (status, told) = ready.0;
    assert_eq!(status, 503, "{told}");
    assert!(told["error"].as_str().unwrap().contains("app-alice"), "{told}");
    // The gateway at once, and in its own words.
    let answer = Server::client()
        .post(format!("{}/v2/pipeline", database.url))
        .bearer_auth(&database.token)
        .json(&json!({ "requests": [{ "type": "execute", "stmt": { "sql": "SELECT 1" } }] }))
        .send()
        .unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.json::<Value>().unwrap()["code"], "DATABASE_DAMAGED");
    assert!(!place.join("data").exists());
    // The API.
    let (_, shown) = server.get("/v1/databases/app");
    assert_eq!(shown["database"]["state"], "missing", "{shown}");
    let (_, instances) = server.get("/v1/databases/app/instances");
    let primary = &instances["instances"][0];
    assert_eq!(
        (&primary["type"], &primary["state"]),
        (&json!("primary"), &json!("missing")),
        "{instances}"
    );
    // Both replicas have their rows, and answer.
    for location in ["lhr", "iad"] {
        until(
            "it can be read",
            || rows(&database.at(location)),
            |rows| *rows == Ok("2".to_owned()),
        );
        assert!(database.at(location).sql(&["INSERT INTO t VALUES (3)"]).is_err());
    }
    let metrics = server
        .server()
        .request("GET", "/metrics")
        .send()
        .unwrap()
        .text()
        .unwrap();
    assert!(metrics.contains("\ntorso_damaged_databases 1\n"), "{metrics}");
    // The way back that doctor tells.
    server.log_in();
    let doctor = server.world.torso(["doctor", "--json"]);
    assert_eq!(doctor.code(), 1, "{}", doctor.report());
    for told in ["missing_primary", "torso db export app --location iad"] {
        assert!(doctor.stdout.contains(told), "{}", doctor.report());
    }
    let file = server.world.path("app.db");
    let path = file.to_str().unwrap();
    server
        .world
        .ok(["db", "export", "app", "--location", "iad", "--output-file", path]);
    server.world.ok(["db", "destroy", "app", "--yes"]);
    server.world.ok(["db", "create", "app", "--from-file", path]);
    until("it is ready", || server.get("/ready"), |(status, _)| *status == 200);
    let minted = server.ok("POST", "/v1/databases/app/auth/tokens", None);
    let again = Database {
        token: minted["jwt"].as_str().unwrap().to_owned(),
        ..database
    };
    assert_eq!(rows(&again), Ok("2".to_owned()));
}

#[test]
fn primary_whose_file_is_emptied_while_it_runs_is_not_served_any_more() {
    let mut server = Deployment::new();
    let database = server.database("app");
    fill(&database);
    let place = server.files_in("ams");
    std::fs::File::options()
        .write(true)
        .open(place.join("data"))
        .unwrap()
        .set_len(0)
        .unwrap();
    until("it is noticed", || server.get("/ready").0, |status| *status == 503);
    let (_, shown) = server.get("/v1/databases/app");
    assert_eq!(shown["database"]["state"], "damaged", "{shown}");
    for location in ["lhr", "iad"] {
        until(
            "it can be read",
            || rows(&database.at(location)),
            |rows| *rows == Ok("2".to_owned()),
        );
    }
    // It stays so, also for a server that is killed and started again.
    server.end(Signal::SIGKILL);
    server.start();
    until(
        "it is told again",
        || server.get("/ready").1,
        |told| told["code"] == "database_damaged",
    );
    for location in ["lhr", "iad"] {
        until(
            "it can be read",
            || rows(&database.at(location)),
            |rows| *rows == Ok("2".to_owned()),
        );
    }
}

#[test]
#[allow(clippy::print_stdout)] // The count is part of the proof; `--nocapture` shows it.
fn write_through_a_replica_whose_primary_ends_is_503_in_our_words() {
    let server = Deployment::new();
    let database = server.database("app");
    fill(&database);
    let replica = database.at("lhr");
    let client = Server::client();
    let insert = json!({ "sql": "INSERT INTO t VALUES (3)" });
    let batch = json!({ "steps": [{ "stmt": insert }] });
    let bodies = [
        (
            "v2/pipeline",
            json!({ "requests": [{ "type": "execute", "stmt": insert }, { "type": "close" }] }),
        ),
        (
            "v3/pipeline",
            json!({ "requests": [{ "type": "batch", "batch": batch }, { "type": "close" }] }),
        ),
        ("v3/cursor", json!({ "batch": batch })),
        ("v1/execute", json!({ "stmt": insert })),
        ("v1/batch", json!({ "batch": batch })),
    ];
    let baton = regex::Regex::new(r#""baton":"[^"]*""#).unwrap();
    let mut refused = 0;
    std::thread::scope(|scope| {
        let threads: Vec<_> = bodies
            .iter()
            .map(|(path, body)| {
                let (client, replica, baton) = (&client, &replica, &baton);
                scope.spawn(move || {
                    let mut refused = 0;
                    let begun = std::time::Instant::now();
                    while begun.elapsed().as_secs() < 8 {
                        let answer = client
                            .post(format!("{}/{path}", replica.url))
                            .bearer_auth(&replica.token)
                            .body(body.to_string())
                            .send()
                            .unwrap();
                        let (status, text) = (answer.status().as_u16(), answer.text().unwrap());
                        assert!(matches!(status, 200 | 502..=504), "{path}: {status} {text}");
                        // A baton is random, and may spell anything.
                        let words = baton.replace_all(&text, "");
                        let ours = !words.contains("RPC") && !words.contains("transport error");
                        assert!(ours, "{path}: {status} {text}");
                        refused += i32::from(status == 503 || text.contains("DATABASE_UNAVAILABLE"));
                    }
                    refused
                })
            })
            .collect();
        for _ in 0..8 {
            std::thread::sleep(std::time::Duration::from_millis(700));
            if let Some(pid) = server.process_in("ams") {
                signal(pid, Signal::SIGKILL);
            }
        }
        refused = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    });
    println!("{refused} writes were refused");
}

#[test]
fn integrity_of_a_replica_is_told_by_the_replica() {
    let mut server = Deployment::new();
    let database = server.database("app");
    fill(&database);
    assert_eq!(database.at("lhr").value("PRAGMA integrity_check"), Ok("ok".to_owned()));
    assert_eq!(database.at("lhr").value("PRAGMA quick_check(1);"), Ok("ok".to_owned()));
    // With its primary away a question to it would not be answered.
    let place = server.files_in("ams");
    server.end(Signal::SIGTERM);
    std::fs::remove_dir_all(place).unwrap();
    server.start();
    until(
        "it is told",
        || database.at("lhr").value("PRAGMA integrity_check"),
        |told| *told == Ok("ok".to_owned()),
    );
}

#[test]
fn database_with_a_vector_index_is_exported_branched_moved_and_taken_in() {
    let server = Deployment::new();
    let database = server.database("app");
    database
        .sql(&[
            "CREATE TABLE v(id INTEGER PRIMARY KEY, e F32_BLOB(3))",
            "CREATE INDEX vi ON v(libsql_vector_idx(e))",
            "INSERT INTO v VALUES (1, vector('[1,2,3]')), (2, vector('[4,5,6]')), (3, vector('[7,8,9]'))",
        ])
        .unwrap();
    let nearest = "SELECT group_concat(id) FROM vector_top_k('vi', vector('[4,5,7]'), 2)";
    let expected = database.value(nearest).unwrap();
    until(
        "the replica has it",
        || database.at("lhr").value(nearest),
        |told| *told == Ok(expected.clone()),
    );
    server.log_in();
    let file = server.world.path("app.db");
    let path = file.to_str().unwrap();
    server.world.ok(["db", "export", "app", "--output-file", path]);
    server.world.ok(["db", "branch", "app", "branched"]);
    server.world.ok(["db", "create", "taken-in", "--from-file", path]);
    server.world.ok(["db", "copy", "app", "copied"]);
    let minted = server.ok("POST", "/v1/groups/default/auth/tokens", None);
    for name in ["branched", "taken-in", "copied"] {
        let other = Database {
            url: format!("{}db/{name}-alice", server.server().url()),
            token: minted["jwt"].as_str().unwrap().to_owned(),
            client: Server::client(),
        };
        assert_eq!(other.value(nearest), Ok(expected.clone()), "{name}");
        other.sql(&["INSERT INTO v VALUES (4, vector('[4,5,7]'))"]).unwrap();
    }
    server.world.ok(["org", "create", "other"]);
    server.world.ok(["org", "db-transfer", "app", "other", "--yes"]);
    let minted = server.ok("POST", "/v1/organizations/other/databases/app/auth/tokens", None);
    let moved = Database {
        url: format!("{}db/app-other", server.server().url()),
        token: minted["jwt"].as_str().unwrap().to_owned(),
        client: Server::client(),
    };
    assert_eq!(moved.value(nearest), Ok(expected));
}

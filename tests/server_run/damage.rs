//! A server over files that were damaged: what it tells, what it refuses, and what an operator does about it.

use super::{Database, Deployment, signal, until, until_or};
use crate::support::hrana::field;
use crate::support::make_fatal;
use crate::support::server::Server;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};

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
}

fn rows(database: &Database) -> Result<String, String> {
    database.value("SELECT count(*) FROM t")
}

/// Waits until both replicas answer with so many rows.
fn await_replicas(server: &Deployment, database: &Database, what: &str, count: &str) {
    for location in ["lhr", "iad"] {
        until_or(
            what,
            || rows(&database.at(location)),
            |rows| *rows == Ok(count.to_owned()),
            |answer| format!("{answer:?}\n{}\n{}", server.log(), server.replication()),
        );
    }
}

fn fill(server: &Deployment, database: &Database) {
    database
        .sql(&[
            "CREATE TABLE t(x)",
            "INSERT INTO t VALUES (1)",
            "INSERT INTO t VALUES (2)",
        ])
        .unwrap();
    await_replicas(server, database, "the replica has it", "2");
}

#[test]
fn primary_whose_file_is_gone_is_reported_and_restored_from_a_replica() {
    let mut server = Deployment::new();
    let database = server.database("app");
    fill(&server, &database);
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
    let metrics = server.metrics();
    assert!(metrics.contains("\ntorso_damaged_databases 1\n"), "{metrics}");
    // The way back that doctor tells.
    server.log_in();
    let doctor = server.world.torso(["doctor", "--json"]);
    assert_eq!(doctor.code(), 1, "{}", doctor.report());
    for told in ["missing_primary", "torso db promote app --force"] {
        assert!(doctor.stdout.contains(told), "{}", doctor.report());
    }
    server.world.ok(["db", "promote", "app", "--force", "--yes"]);
    until("it is ready", || server.get("/ready"), |(status, _)| *status == 200);
    assert_eq!(rows(&database), Ok("2".to_owned()));
    await_replicas(&server, &database, "it has everything", "2");
}

#[test]
fn primary_whose_file_is_emptied_while_it_runs_is_not_served_any_more() {
    let mut server = Deployment::new();
    let database = server.database("app");
    fill(&server, &database);
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
    await_replicas(&server, &database, "it can be read", "2");
    // It stays so, also for a server that is killed and started again.
    server.end(Signal::SIGKILL);
    server.start();
    until(
        "it is told again",
        || server.get("/ready").1,
        |told| told["code"] == "database_damaged",
    );
    await_replicas(&server, &database, "it can be read", "2");
}

/// Damage inside of pages shows when a statement reads them.
#[test]
fn primary_with_flipped_pages_is_damaged_once_a_statement_meets_them() {
    use std::os::unix::fs::FileExt as _;
    let mut server = Deployment::new();
    let database = server.database("app");
    fill(&server, &database);
    let many = "INSERT INTO t SELECT randomblob(3000) FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c \
                WHERE n < 2000) SELECT n FROM c)";
    // A large log is written into the file, and the next transaction begins it anew.
    database.sql(&[many]).unwrap();
    database.sql(&["DELETE FROM t WHERE x = 1"]).unwrap();
    await_replicas(&server, &database, "the replica has it", "2001");
    let file = server.files_in("ams").join("data");
    let file = std::fs::File::options().write(true).open(file).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    for page in (1..pages).step_by(3) {
        file.write_all_at(&[0xff; 300], page * 4096).unwrap();
    }
    let client = Server::client();
    let sum = json!({ "requests": [{ "type": "execute", "stmt": { "sql": "SELECT sum(length(x)) FROM t" } }] });
    let mut last = String::new();
    until(
        "it is noticed",
        || {
            let answer = client
                .post(format!("{}/v2/pipeline", database.url))
                .bearer_auth(&database.token)
                .json(&sum)
                .send()
                .unwrap();
            let status = answer.status().as_u16();
            last = answer.text().unwrap();
            let is_expected = match status {
                200 => last.contains("SQLITE_CORRUPT"),
                503 => last.contains("DATABASE_DAMAGED") || last.contains("DATABASE_UNAVAILABLE"),
                // Its process may fail in other words over such pages; these are the gateway's.
                500 => last.contains("the database's process failed"),
                _ => false,
            };
            // Its process may end before it has answered.
            assert!(is_expected || status == 502, "{status} {last}");
            server.get("/v1/databases/app").1["database"]["state"].clone()
        },
        |state| state == "damaged",
    );
    let (_, ready) = server.get("/ready");
    assert_eq!(ready["code"], "database_damaged", "{ready}");
    await_replicas(&server, &database, "it can be read", "2001");
    server.end(Signal::SIGTERM);
}

#[test]
fn database_that_ends_its_process_is_reported_and_its_neighbour_served() {
    let mut server = Deployment::new();
    let database = server.database("app");
    fill(&server, &database);
    let home = server.files_in("ams");
    let neighbour = server.database("neighbour");
    fill(&server, &neighbour);
    server.end(Signal::SIGTERM);
    make_fatal(&home);
    let left = home.ancestors().nth(3).unwrap().join("left.json");
    std::fs::remove_file(left).unwrap();
    server.start();
    until(
        "it is not served any more",
        || {
            let _ = database.sql(&["INSERT INTO t VALUES (3)"]);
            server.get("/v1/databases/app").1["database"]["state"].clone()
        },
        |state| state == "damaged",
    );
    until(
        "the neighbour is served",
        || neighbour.sql(&["INSERT INTO t VALUES (3)"]).map(drop),
        Result::is_ok,
    );
    let (status, ready) = server.get("/ready");
    assert_eq!((status, &ready["code"]), (503, &json!("database_damaged")), "{ready}");
    assert!(ready["error"].as_str().unwrap().contains("app-alice"), "{ready}");
    let metrics = server.metrics();
    assert!(metrics.contains("\ntorso_damaged_databases 1\n"), "{metrics}");
    server.log_in();
    let doctor = server.world.torso(["doctor", "--json"]);
    assert_eq!(doctor.code(), 1, "{}", doctor.report());
    for told in ["damaged_primary", "process_bounds"] {
        assert!(doctor.stdout.contains(told), "{}", doctor.report());
    }
    assert!(
        server.log().contains("a database process has ended"),
        "{}",
        server.log()
    );
    until(
        "its replica can be read",
        || rows(&database.at("lhr")),
        |rows| *rows == Ok("2".to_owned()),
    );
}

/// One write over a socket, in one of the two encodings: whether it was done. Panics at words that are not the gateway's.
fn write_over_socket(database: &Database, protocol: &str) -> bool {
    let url = database.url.replacen("http://", "ws://", 1);
    let mut request = format!("{url}/").into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", protocol.parse().unwrap());
    headers.insert("authorization", format!("Bearer {}", database.token).parse().unwrap());
    let host = request.uri().authority().unwrap().to_string();
    let stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let Ok((mut socket, _)) = tungstenite::client(request, stream) else {
        return false;
    };
    let insert = "INSERT INTO t VALUES (3)";
    let numbered = |number: u8, inner: &[u8]| field(2, &[vec![0x08, 1], field(number, inner)].concat());
    let execute = [vec![0x08, 1], field(2, &field(1, insert.as_bytes()))].concat();
    let messages = if protocol == "hrana3-protobuf" {
        [
            Message::binary(field(1, &field(1, database.token.as_bytes()))),
            Message::binary(numbered(2, &[0x08, 1])),
            Message::binary(numbered(4, &execute)),
        ]
    } else {
        let request = |request: Value| json!({ "type": "request", "request_id": 1, "request": request }).to_string();
        [
            Message::text(json!({ "type": "hello", "jwt": database.token }).to_string()),
            Message::text(request(json!({ "type": "open_stream", "stream_id": 1 }))),
            Message::text(request(
                json!({ "type": "execute", "stream_id": 1, "stmt": { "sql": insert } }),
            )),
        ]
    };
    for message in messages {
        if socket.send(message).is_err() {
            return false;
        }
        let answer = match socket.read() {
            Ok(Message::Close(end)) => {
                let end = end.unwrap();
                // 1013: try again later.
                assert_eq!(u16::from(end.code), 1013, "{end}");
                end.reason.to_string()
            }
            Ok(answer) => String::from_utf8_lossy(&answer.into_data()).into_owned(),
            Err(_) => return false,
        };
        let is_ours = !answer.contains("RPC") && !answer.contains("transport error");
        assert!(is_ours, "{protocol}: {answer}");
        if answer.contains("DATABASE_UNAVAILABLE") || answer.contains("database's p") {
            return false;
        }
    }
    true
}

#[test]
#[allow(clippy::print_stdout)] // The count is part of the proof; `--nocapture` shows it.
fn write_through_a_replica_whose_primary_ends_is_503() {
    let server = Deployment::new();
    let database = server.database("app");
    fill(&server, &database);
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
    let statement = field(1, &field(1, insert["sql"].as_str().unwrap().as_bytes()));
    let encoded = [
        ("v3-protobuf/pipeline", field(2, &field(2, &statement))),
        (
            "v3-protobuf/cursor",
            field(
                2,
                &field(1, &field(2, &field(1, insert["sql"].as_str().unwrap().as_bytes()))),
            ),
        ),
    ];
    let bodies: Vec<(&str, Vec<u8>)> = bodies
        .into_iter()
        .map(|(path, body)| (path, body.to_string().into_bytes()))
        .chain(encoded)
        .collect();
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
                            .body(body.clone())
                            .send()
                            .unwrap();
                        let status = answer.status().as_u16();
                        // Rows in protobuf that had begun can only break off.
                        let bytes = answer.bytes();
                        assert!(bytes.is_ok() || *path == "v3-protobuf/cursor", "{path}: {bytes:?}");
                        let text = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
                        assert!(matches!(status, 200 | 502..=504), "{path}: {status} {text}");
                        // A baton is random, and may spell anything.
                        let words = baton.replace_all(&text, "");
                        let ours = !words.contains("RPC") && !words.contains("transport error");
                        assert!(ours, "{path}: {status} {text}");
                        refused += i32::from(status == 503 || text.contains("DATABASE_UNAVAILABLE"));
                        if path.ends_with("cursor") || path.starts_with("v3-protobuf") {
                            // These leave their streams open, of which a database may have 256 at a time.
                            std::thread::sleep(Duration::from_millis(120));
                        }
                    }
                    refused
                })
            })
            .chain(["hrana2", "hrana3-protobuf"].map(|protocol| {
                let replica = &replica;
                scope.spawn(move || {
                    let begun = Instant::now();
                    let mut refused = 0;
                    while begun.elapsed().as_secs() < 8 {
                        refused += i32::from(!write_over_socket(replica, protocol));
                    }
                    refused
                })
            }))
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
fn integrity_check_of_a_replica_is_answered_by_the_replica() {
    let mut server = Deployment::new();
    let database = server.database("app");
    fill(&server, &database);
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
fn database_with_a_vector_index_is_exported_branched_moved_and_imported() {
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

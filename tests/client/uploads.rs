//! Files on their way to a server: resumed, checked, and nothing half-made.

use super::{stand_in, world};
use crate::support::stub::{Answer, Request, Stub};
use crate::support::{World, redact, until};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::json;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Writes a database that needs several pieces; its path.
fn large(world: &World) -> std::path::PathBuf {
    let path = world.work().join("large.db");
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch(
        "CREATE TABLE t (b);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20)
         INSERT INTO t SELECT randomblob(1 << 20) FROM n",
    )
    .unwrap();
    path
}

/// What a torso server keeps of an upload.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    sha256: String,
    size: u64,
}

fn number(request: &Request, key: &str) -> usize {
    let query = request.path.split_once('?').unwrap().1;
    let pair = query.split('&').find_map(|pair| pair.strip_prefix(key)).unwrap();
    pair.trim_start_matches('=').parse().unwrap()
}

/// A torso server that breaks off in the midst of pieces.
fn breaking(kept: Arc<Mutex<Kept>>, breaks: usize) -> impl Fn(&Request) -> Answer + Send + Sync {
    let broken = AtomicUsize::new(0);
    move |request| {
        let mut kept = kept.lock().unwrap();
        let told = |kept: &Kept| {
            Answer::Json(
                200,
                json!({ "id": "u1", "size": kept.size, "offset": kept.bytes.len() }),
            )
        };
        match request.line().as_str() {
            "POST /v1/uploads" => {
                kept.size = request.json()["size"].as_u64().unwrap();
                kept.sha256 = request.json()["sha256"].as_str().unwrap().to_owned();
                told(&kept)
            }
            "GET /v1/uploads/u1" => told(&kept),
            "PUT /v1/uploads/u1" => {
                assert_eq!(number(request, "offset"), kept.bytes.len());
                if broken.fetch_add(1, Ordering::SeqCst) < breaks {
                    // Half of the piece arrived, and nobody heard of it.
                    let half = request.body.len() / 2;
                    kept.bytes.extend_from_slice(&request.body[..half]);
                    return Answer::Raw(Vec::new());
                }
                kept.bytes.extend_from_slice(&request.body);
                told(&kept)
            }
            "POST /v1/databases" => {
                assert_eq!(request.json()["seed"], json!({ "type": "upload", "id": "u1" }));
                Answer::Json(200, json!({ "database": { "Name": "fresh" } }))
            }
            "GET /v1/databases/fresh" if kept.bytes.len() as u64 == kept.size && kept.size > 0 => {
                let Answer::Json(status, mut body) = stand_in::answer(&Request {
                    path: "/v1/databases/app".to_owned(),
                    ..request.clone()
                }) else {
                    panic!("no answer")
                };
                body["database"]["Name"] = json!("fresh");
                Answer::Json(status, body)
            }
            _ => stand_in::answer(request),
        }
    }
}

#[test]
fn upload_continues_where_it_broke_off() {
    let kept = Arc::new(Mutex::new(Kept::default()));
    let stub = Stub::start(breaking(Arc::clone(&kept), 2));
    let world = world(&stub);
    let path = large(&world);
    let made = world.json(["db", "create", "fresh", "--from-file", path.to_str().unwrap()]);
    assert_eq!((&made["created"], &made["Name"]), (&json!(true), &json!("fresh")));
    let kept = kept.lock().unwrap();
    let hash = ring::digest::digest(&ring::digest::SHA256, &kept.bytes);
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, kept.sha256);
    let file = world.write("arrived.db", &kept.bytes);
    let arrived = rusqlite::Connection::open(file).unwrap();
    let rows: i64 = arrived
        .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 20);
    let left: Vec<_> = std::fs::read_dir(world.path("tmp")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn upload_of_a_dump_or_table_is_built_here_and_sent_as_a_file() {
    for (flag, content) in [
        ("--from-dump", "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2);"),
        ("--from-csv", "a\n1\n2\n"),
    ] {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let stub = Stub::start(breaking(Arc::clone(&kept), 0));
        let world = world(&stub);
        let path = world.write("t.txt", content);
        world.ok(["db", "create", "fresh", flag, path.to_str().unwrap()]);
        let file = world.write("arrived.db", &kept.lock().unwrap().bytes);
        let arrived = rusqlite::Connection::open(file).unwrap();
        let rows: i64 = arrived
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!(rows, 2, "{flag}");
    }
}

#[test]
fn upload_that_is_refused_makes_no_database() {
    let stub = Stub::start(|request| match request.line().as_str() {
        "POST /v1/uploads" => Answer::Json(
            409,
            json!({ "error": "the plan allows 1 MB", "code": "quota_exceeded", "hint": "delete something" }),
        ),
        _ => stand_in::answer(request),
    });
    let world = world(&stub);
    let path = large(&world);
    world
        .torso(["db", "create", "fresh", "--from-file", path.to_str().unwrap(), "--json"])
        .fails(5, "quota_exceeded");
    assert!(!stub.lines().contains(&"POST /v1/databases".to_owned()));
    // A bad file does not even ask.
    let before = stub.lines().len();
    let bad = world.write("bad.db", "no database");
    world
        .torso(["db", "create", "fresh", "--from-file", bad.to_str().unwrap(), "--json"])
        .fails(1, "invalid_file");
    assert!(!stub.lines()[before..].iter().any(|line| line.starts_with("POST")));
}

/// Turso Cloud: the database is made first, and filled at its own address.
fn cloud(fails: bool) -> (Stub, Arc<Mutex<Vec<u8>>>) {
    cloud_answering(move |line| {
        (fails && line == "PUT /v2/upload/u-9/chunk/2")
            .then(|| Answer::Json(400, json!({ "error": "the disk is full" })))
    })
}

/// The same, with answers that go before its own.
fn cloud_answering(first: impl Fn(&str) -> Option<Answer> + Send + Sync + 'static) -> (Stub, Arc<Mutex<Vec<u8>>>) {
    let arrived = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&arrived);
    let made = AtomicUsize::new(0);
    let host = Arc::new(Mutex::new(String::new()));
    let own = Arc::clone(&host);
    let stub = Stub::start(move |request| match request.line().as_str() {
        line if let Some(answer) = first(line) => answer,
        "POST /v1/uploads" => Answer::Json(404, json!({ "error": "not found" })),
        "POST /v1/databases" => {
            assert_eq!(request.json()["seed"], json!({ "type": "database_upload" }));
            made.store(1, Ordering::SeqCst);
            Answer::Json(200, json!({ "database": { "Name": "fresh" } }))
        }
        "DELETE /v1/databases/fresh" => {
            made.store(0, Ordering::SeqCst);
            Answer::Json(200, json!({ "database": "fresh" }))
        }
        "GET /v1/databases/fresh" if made.load(Ordering::SeqCst) == 1 => Answer::Json(
            200,
            json!({ "database": { "Name": "fresh", "DbId": "0eb771dd-6906-41ee-8553-eaa7715aeaf2", "Hostname": "h",
                "url": own.lock().unwrap().clone(), "group": "default", "primaryRegion": "ams", "regions": ["ams"] } }),
        ),
        "POST /v1/databases/fresh/auth/tokens" => Answer::Json(200, json!({ "jwt": "database.token" })),
        line if line.starts_with("PUT /v2/upload/") => {
            assert_eq!(request.header("authorization"), Some("Bearer database.token"));
            if line.ends_with("/start") {
                return Answer::Json(200, json!({ "chunk_size": 5_000_000, "upload_id": "u-9" }));
            }
            kept.lock().unwrap().extend_from_slice(&request.body);
            Answer::Json(200, json!({}))
        }
        _ => stand_in::answer(request),
    });
    *host.lock().unwrap() = stub.url();
    (stub, arrived)
}

#[test]
fn upload_to_turso_cloud_goes_to_the_databases_address() {
    let (stub, arrived) = cloud(false);
    let world = world(&stub);
    let path = large(&world);
    world.ok(["db", "create", "fresh", "--from-file", path.to_str().unwrap()]);
    let bytes = arrived.lock().unwrap().clone();
    assert_eq!(&bytes[18..20], &[2, 2]);
    let arrived = rusqlite::Connection::open(world.write("arrived.db", bytes)).unwrap();
    let rows: i64 = arrived
        .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 20);
    assert!(stub.lines().iter().any(|line| line == "PUT /v2/upload/u-9/finalize"));
}

#[test]
fn upload_to_turso_cloud_that_fails_leaves_no_database() {
    let (stub, _) = cloud(true);
    let world = world(&stub);
    let path = large(&world);
    let run = world.torso(["db", "create", "fresh", "--from-file", path.to_str().unwrap(), "--json"]);
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db create fresh --from-file [world]/work/large.db --json
    -- stderr --
    {"error":{"code":"invalid_value","message":"database fresh: the disk is full","hint":null,"retryable":false}}
    -- exit 1 --
    "#);
    assert_eq!(stub.lines().pop().unwrap(), "DELETE /v1/databases/fresh");
}

/// Pauses before the next try end with Ctrl-C, also those that the service asks for; the database is removed.
#[test]
fn upload_to_turso_cloud_that_waits_takes_an_interrupt() {
    for busy in ["PUT /v2/upload/start", "POST /v1/databases/fresh/auth/tokens"] {
        let (stub, _) = cloud_answering(move |line| {
            (line == busy).then(|| Answer::Json(503, json!({ "error": "come back later" })))
        });
        let world = world(&stub);
        let path = large(&world);
        let process = world
            .torso_command(["db", "create", "fresh", "--json", "--from-file", path.to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // By then the pauses are longer than what is allowed for below.
        until("it was tried five times", || {
            stub.lines().iter().filter(|line| *line == busy).count() >= 5
        });
        nix::sys::signal::kill(Pid::from_raw(process.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        let begun = Instant::now();
        let output = process.wait_with_output().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        assert_eq!(
            output.status.code(),
            Some(130),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let told: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(told["error"]["code"], "interrupted");
        assert_eq!(stub.lines().pop().unwrap(), "DELETE /v1/databases/fresh");
    }
}

/// A torso server that is away for long: what it has is not given up.
#[test]
fn upload_to_a_server_that_went_away_is_continued() {
    let kept = Arc::new(Mutex::new(Kept::default()));
    let (away, made) = (Arc::new(AtomicBool::new(true)), AtomicBool::new(false));
    let (serve, is_away) = (breaking(Arc::clone(&kept), 1), Arc::clone(&away));
    let stub = Stub::start(move |request| match request.line().as_str() {
        "POST /v1/databases" if is_away.load(Ordering::SeqCst) => Answer::Json(503, json!({ "error": "going down" })),
        "GET /v1/databases/fresh" if !made.load(Ordering::SeqCst) => {
            stand_in::missing("database", "database_not_found")
        }
        line => {
            made.fetch_or(line == "POST /v1/databases", Ordering::SeqCst);
            serve(request)
        }
    });
    let world = world(&stub);
    let path = large(&world);
    let args = ["db", "create", "fresh", "--from-file", path.to_str().unwrap(), "--json"];
    let run = world.torso(args).fails(7, "unavailable");
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db create fresh --from-file [world]/work/large.db --json
    -- stderr --
    {"error":{"code":"unavailable","message":"database fresh: going down","hint":"run the same command again within an hour: it continues where this one stopped","retryable":true}}
    -- exit 7 --
    "#);
    away.store(false, Ordering::SeqCst);
    let before = stub.lines().len();
    assert_eq!(world.torso(args).success().json()["created"], true);
    let lines = stub.lines().split_off(before);
    assert!(
        !lines
            .iter()
            .any(|line| line.contains("PUT") || line == "POST /v1/uploads"),
        "{lines:?}"
    );
}

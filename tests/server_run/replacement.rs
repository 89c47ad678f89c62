//! Primaries that are replaced while clients know them: by a compact copy, and by a backup where they are lost.

use super::{Database, Deployment, until, until_or};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Rows of 1,000 bytes each.
const ROWS: u64 = 3_000;

fn fill(database: &Database) {
    let rows = format!("INSERT INTO t SELECT value, hex(zeroblob(500)) FROM generate_series(1, {ROWS})");
    database
        .sql(&["CREATE TABLE t(id INTEGER PRIMARY KEY, x)", &rows])
        .unwrap();
}

fn count(database: &Database) -> Result<String, String> {
    database.value("SELECT count(*) FROM t")
}

fn await_count(server: &Deployment, database: &Database, wanted: &str) {
    until_or(
        "the rows are there",
        || count(database),
        |count| *count == Ok(wanted.to_owned()),
        |answer| format!("{answer:?}\n{}", server.log()),
    );
}

fn await_replicas(server: &Deployment, database: &Database, wanted: &str) {
    for location in ["lhr", "iad"] {
        await_count(server, &database.at(location), wanted);
    }
}

/// The files of the primary at `ams` that has the most.
fn primary_file(server: &Deployment) -> PathBuf {
    let homes = server.pools_in("ams").into_iter();
    let homes = homes.filter_map(|pool| std::fs::read_dir(pool.join("sqld/dbs")).ok());
    let files = homes.flatten().flatten().map(|home| home.path().join("data"));
    files
        .max_by_key(|file| std::fs::metadata(file).map_or(0, |data| data.len()))
        .unwrap()
}

/// The entries of the audit log with a code.
fn audit(server: &Deployment, code: &str) -> Vec<Value> {
    let answer = server.ok("GET", "/v1/organizations/alice/audit-logs", None);
    let all = answer["audit_logs"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|entry| entry["code"] == code).collect()
}

#[test]
fn compaction_on_a_server_frees_room_and_replicas_follow() {
    let server = Deployment::new();
    server.log_in();
    let database = server.database("app");
    fill(&database);
    database.sql(&["DELETE FROM t WHERE id > 10"]).unwrap();
    await_replicas(&server, &database, "10");
    let shown = server.world.json(["db", "show", "app"]);
    server.world.ok(["db", "config", "set", "app", "block-writes", "on"]);
    let planned = server.world.json(["db", "compact", "app", "--dry-run"]);
    assert!(planned["steps"][0].as_str().unwrap().contains("compact database app"));
    let compaction = server.world.json(["db", "compact", "app"]);
    assert_eq!(compaction["compacted"], true, "{compaction}");
    let bytes = |name: &str| compaction[name].as_u64().unwrap();
    assert!(bytes("bytes_after") * 10 < bytes("bytes_before"), "{compaction}");
    assert!(
        database.sql(&["INSERT INTO t VALUES (100, 'x')"]).is_err(),
        "writes are still blocked"
    );
    server.world.ok(["db", "config", "set", "app", "block-writes", "off"]);
    await_replicas(&server, &database, "10");
    database.sql(&["INSERT INTO t VALUES (100, 'x')"]).unwrap();
    await_replicas(&server, &database, "11");
    server.world.ok(["db", "verify", "app"]);
    let now = server.world.json(["db", "show", "app"]);
    assert_eq!((&now["DbId"], &now["url"]), (&shown["DbId"], &shown["url"]));
    let entries = audit(&server, "db-compact");
    assert!(
        entries.iter().any(|entry| entry["data"]["freed_bytes"].is_u64()),
        "{entries:?}"
    );
    // The former primary's files go.
    until(
        "one primary is left",
        || {
            server
                .pools_in("ams")
                .iter()
                .map(|pool| {
                    let homes = std::fs::read_dir(pool.join("sqld/dbs")).into_iter().flatten().flatten();
                    homes
                        .filter(|home| {
                            home.file_name()
                                .to_string_lossy()
                                .starts_with(now["DbId"].as_str().unwrap())
                        })
                        .count()
                })
                .sum::<usize>()
        },
        |count| *count == 1,
    );
}

#[test]
fn compaction_of_indexes_of_vectors_is_refused_and_writes_go_on() {
    let server = Deployment::new();
    server.log_in();
    let database = server.database("app");
    database
        .sql(&[
            "CREATE TABLE v(id INTEGER PRIMARY KEY, e F32_BLOB(3))",
            "CREATE INDEX vi ON v(libsql_vector_idx(e))",
            "INSERT INTO v VALUES (1, vector('[1,2,3]'))",
        ])
        .unwrap();
    server
        .world
        .torso(["db", "compact", "app", "--json"])
        .fails(1, "unsupported");
    database.sql(&["INSERT INTO v VALUES (2, vector('[1,2,4]'))"]).unwrap();
    assert_eq!(database.value("SELECT count(*) FROM v").unwrap(), "2");
}

#[test]
fn compaction_that_is_killed_leaves_one_whole_database() {
    let mut server = Deployment::new();
    server.log_in();
    let database = server.database("app");
    fill(&database);
    database.sql(&["DELETE FROM t WHERE id % 2 = 0"]).unwrap();
    for pause in [30, 90, 200] {
        let mut compaction = server.world.torso_command(["db", "compact", "app"]);
        compaction
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let mut running = compaction.spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(pause));
        server.end(Signal::SIGKILL);
        running.wait().unwrap();
        server.start();
        await_count(&server, &database, &(ROWS / 2).to_string());
        until(
            "writes go on",
            || database.sql(&["UPDATE t SET x = x WHERE id = 1"]).is_ok(),
            |ok| *ok,
        );
    }
    until(
        "it can be compacted",
        || server.world.torso(["db", "compact", "app"]).code() == 0,
        |ok| *ok,
    );
    await_replicas(&server, &database, &(ROWS / 2).to_string());
    server.world.ok(["db", "verify", "app"]);
}

/// Has the primary's file be lost as `lose` says while the server is down, and restores a backup over it.
fn restore_over_lost_primary(lose: impl Fn(&PathBuf)) -> (Deployment, Database) {
    let mut server = Deployment::new();
    server.log_in();
    let database = server.database("app");
    fill(&database);
    await_replicas(&server, &database, &ROWS.to_string());
    let backup = server.world.json(["db", "backup", "app", "--to", "backups"]);
    let shown = server.world.json(["db", "show", "app"]);
    database
        .sql(&["INSERT INTO t VALUES (999999, 'after the backup')"])
        .unwrap();
    let file = primary_file(&server);
    server.end(Signal::SIGTERM);
    lose(&file);
    server.start();
    until(
        "the loss is found",
        || server.server().ask("GET", "/ready", None).1,
        |told| told["code"] == "database_damaged",
    );
    let id = backup["id"].as_str().unwrap();
    let restore = ["db", "restore", "app", "--from", id, "--in", "backups"];
    let refused = server.world.torso(restore);
    assert_eq!(refused.code(), 6);
    assert!(
        refused.stderr.contains("which may have newer rows"),
        "{}",
        refused.stderr
    );
    let restored = server.world.json(restore.into_iter().chain(["--yes"]));
    assert_eq!(restored["DbId"], shown["DbId"]);
    await_count(&server, &database, &ROWS.to_string());
    database
        .sql(&["INSERT INTO t VALUES (1000000, 'after the restore')"])
        .unwrap();
    await_replicas(&server, &database, &(ROWS + 1).to_string());
    server.world.ok(["db", "verify", "app"]);
    until(
        "it is ready",
        || server.server().ask("GET", "/ready", None).0,
        |status| *status == 200,
    );
    assert_eq!(audit(&server, "db-restore").len(), 1);
    (server, database)
}

#[test]
fn restore_over_a_primary_that_is_missing_keeps_id_url_and_tokens() {
    let (server, database) = restore_over_lost_primary(|file| std::fs::remove_file(file).unwrap());
    // In the place of a sound one it is in the audit log, too.
    let backup = server.world.json(["db", "backup", "app", "--to", "backups"]);
    database.sql(&["DELETE FROM t"]).unwrap();
    let id = backup["id"].as_str().unwrap();
    server
        .world
        .ok(["db", "restore", "app", "--from", id, "--in", "backups", "--yes"]);
    await_count(&server, &database, &(ROWS + 1).to_string());
    let entries = audit(&server, "db-restore");
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert_eq!(entries[0]["data"]["backup"], json!(id));
}

#[test]
fn restore_over_a_primary_that_is_damaged_sets_its_files_aside() {
    let (server, _) = restore_over_lost_primary(|file| {
        std::fs::write(file, vec![b'x'; 8192]).unwrap();
    });
    let aside = until(
        "the damaged file is kept",
        || {
            let dirs = server.location_dirs("ams").into_iter().map(|dir| dir.join("set-aside"));
            let kept = dirs.filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
            kept.map(|entry| entry.path().join("data")).find(|file| file.exists())
        },
        Option::is_some,
    );
    assert_eq!(std::fs::read(aside.0.unwrap()).unwrap()[..4], *b"xxxx");
}

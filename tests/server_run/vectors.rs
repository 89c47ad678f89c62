//! Vector indexes: a dump of any maker brings them along, and nobody but the engine writes what they keep.

use super::{Database, Deployment};
use crate::support::server::Server;
use serde_json::{Value, json};

const NEAREST: &str = "SELECT group_concat(id) FROM vector_top_k('vi', vector('[4,5,7]'), 2)";

fn make(server: &Deployment, name: &str) -> Database {
    let database = server.database(name);
    database
        .sql(&[
            "CREATE TABLE v(id INTEGER PRIMARY KEY, e F32_BLOB(3))",
            "CREATE INDEX vi ON v(libsql_vector_idx(e))",
            "INSERT INTO v VALUES (1, vector('[1,2,3]')), (2, vector('[4,5,6]')), (3, vector('[7,8,9]'))",
        ])
        .unwrap();
    database
}

#[test]
fn vector_index_in_a_dump_is_whole_where_it_is_loaded() {
    let server = Deployment::new();
    let database = make(&server, "app");
    let expected = database.value(NEAREST).unwrap();
    server.log_in();
    // As torso writes it, and as the server's own process does for other programs.
    let ours = server.world.ok(["db", "shell", "app", ".dump"]);
    let theirs = Server::client()
        .get(format!("{}/dump", database.url))
        .bearer_auth(&database.token)
        .send()
        .unwrap()
        .text()
        .unwrap();
    for (maker, dump) in [("ours", &ours), ("theirs", &theirs)] {
        server.world.write("dump.sql", dump);
        let (seeded, loaded) = (format!("seeded-{maker}"), format!("loaded-{maker}"));
        // As the official CLI sends it.
        let (_, request) = server.send_dump(&seeded, dump);
        server.ok("POST", "/v1/databases", Some(request));
        server.world.ok(["db", "create", &loaded]);
        server.world.ok(["db", "shell", &loaded, ".read dump.sql"]);
        for name in [&seeded, &loaded] {
            let found = server.world.ok(["db", "shell", name, NEAREST]);
            assert_eq!(found.trim(), expected, "{name}");
            server
                .world
                .ok(["db", "shell", name, "INSERT INTO v VALUES (4, vector('[4,5,7]'))"]);
            let found = server.world.ok(["db", "shell", name, NEAREST]);
            assert!(found.contains('4'), "{name}: {found}");
            let checked = server.world.ok(["db", "shell", name, "PRAGMA integrity_check"]);
            assert_eq!(checked.trim(), "ok", "{name}");
        }
    }
}

#[test]
fn vector_index_is_whole_after_a_restore_in_place() {
    let server = Deployment::new();
    let database = make(&server, "app");
    let expected = database.value(NEAREST).unwrap();
    server.log_in();
    let backup = server
        .world
        .ok(["db", "backup", "app", "--to", "bk", "--output", "json"]);
    let backup: Value = serde_json::from_str(&backup).unwrap();
    let id = backup["id"].as_str().unwrap();
    database.sql(&["DELETE FROM v WHERE id = 2"]).unwrap();
    assert_ne!(database.value(NEAREST), Ok(expected.clone()));
    server
        .world
        .ok(["db", "restore", "app", "--from", id, "--in", "bk", "--yes"]);
    assert_eq!(database.value(NEAREST), Ok(expected));
}

#[test]
fn vector_index_content_is_written_by_nobody_else() {
    let server = Deployment::new();
    let database = make(&server, "app");
    let expected = database.value(NEAREST);
    for sql in [
        "UPDATE vi_shadow SET data = zeroblob(256)",
        "INSERT OR REPLACE INTO vi_shadow VALUES (1, zeroblob(256))",
        "INSERT INTO libsql_vector_meta_shadow VALUES ('vj', x'00')",
        "CREATE TABLE vj_shadow (index_key INTEGER, data BLOB, PRIMARY KEY (index_key))",
    ] {
        let answer = Server::client()
            .post(format!("{}/v2/pipeline", database.url))
            .bearer_auth(&database.token)
            .json(&json!({ "requests": [{ "type": "execute", "stmt": { "sql": sql } }] }))
            .send()
            .unwrap();
        let (status, text) = (answer.status(), answer.text().unwrap());
        assert!(
            status == 400 && text.contains("SQL_FORBIDDEN"),
            "{sql}: {status} {text}"
        );
    }
    assert_eq!(database.value(NEAREST), expected);
}

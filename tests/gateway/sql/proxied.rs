//! Writes at a replica's address that fail at the primary: an application reads there what it would read at the primary's own
//! address, in every way of asking.

use super::super::sockets::Socket;
use super::super::{Door, field};
use super::ways::{binary_bodies, binary_requests, json_bodies, request};
use regex::Regex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

const SCHEMA: [&str; 6] = [
    "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT NOT NULL, c UNIQUE CHECK (c < 9))",
    "CREATE TABLE typed (a INT) STRICT",
    "CREATE TABLE \"kept in select\" (x)",
    "CREATE TRIGGER guards BEFORE DELETE ON t BEGIN SELECT raise(ABORT, 'cannot delete an order in \"use\"'); END",
    "CREATE VIEW v AS SELECT a FROM t",
    "INSERT INTO t VALUES (1, 'one', 1)",
];

/// Statements that the primary refuses, when it prepares them and when it runs them.
const REFUSED: [&str; 16] = [
    "INSERT INTO missing VALUES (1)",
    "INSERT INTO t VALUES (1, 'again', 2)",
    "INSERT INTO t VALUES (2, 'again', 1)",
    "INSERT INTO t (a) VALUES (2)",
    "INSERT INTO t VALUES (2, 'large', 10)",
    "INSERT INTO t VALUES (2)",
    "INSERT INTO t (missing) VALUES ('é')",
    "INSERT INTO typed VALUES ('text')",
    "INSERT INTO \"kept in select\" VALUES (1, 2)",
    "UPDATE t SET c = missing WHERE a = 1",
    "UPDATE \"kept in select\" SET x = \"kept in select\".y",
    "UPDATE t SET a = 'text'",
    "UPDATE t SET c = abs(-9223372036854775808)",
    "DELETE FROM t",
    "DELETE FROM v",
    "DELETE FROM t WHERE json_extract('{', '$') = 1",
];

/// The same of statements that change the schema: a replica does not describe those.
const REFUSED_SCHEMA: [&str; 5] = [
    "CREATE TABLE t (x)",
    "CREATE INDEX i ON missing (x)",
    "ALTER TABLE t ADD COLUMN x UNIQUE",
    "ALTER TABLE t RENAME TO v",
    "DROP TABLE missing",
];

/// Everything that a label answers to a text, by the way of asking. Errors in protobuf are read out of their message.
fn answers(door: &Door, label: &str, token: &str, sql: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (path, body) in json_bodies(sql) {
        let answer = door.json(label, path, token, &body);
        let text = without_what_varies(&answer.text());
        // Lines of a cursor are documents of their own.
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_default())
            .collect();
        all.insert(format!("{path} {body}"), format!("{} {lines:?}", answer.status));
    }
    for (path, body) in binary_bodies(sql) {
        let answer = door.post(label, path, token).body(body.clone()).send().unwrap();
        let status = answer.status().as_u16();
        let errors = read_errors(&answer.bytes().unwrap());
        all.insert(format!("{path} {body:?}"), format!("{status} {errors:?}"));
    }
    let mut socket = open(door, label, token);
    for asked in super::ways::socket_requests(sql) {
        let kind = asked["type"].clone();
        let mut answer = socket.ask(&json!({ "type": "request", "request_id": 5, "request": asked }));
        if kind == "open_cursor" {
            assert_eq!(answer["type"], "response_ok", "{label} {sql}: {answer}");
            let fetch = json!({ "type": "fetch_cursor", "cursor_id": 1, "max_count": 10 });
            answer = socket.ask(&json!({ "type": "request", "request_id": 6, "request": fetch }));
            let close = json!({ "type": "close_cursor", "cursor_id": 1 });
            socket.ask(&json!({ "type": "request", "request_id": 7, "request": close }));
        }
        assert!(answer.get("closed").is_none(), "{label} {sql} {kind}: {answer}");
        all.insert(format!("socket {kind}"), without_what_varies(&answer.to_string()));
    }
    let mut socket = door.socket(label, "hrana3-protobuf");
    socket.ask_binary(field(1, &field(1, token.as_bytes())));
    socket.ask_binary(request(2, &[0x08, 1]));
    for (number, message) in binary_requests(sql) {
        let mut answer = socket.ask_binary(request(number, &message));
        if number == 6 {
            answer = socket.ask_binary(request(8, &[0x08, 1, 0x10, 10]));
            socket.ask_binary(request(7, &[0x08, 1]));
        }
        all.insert(format!("binary socket {number}"), format!("{:?}", read_errors(&answer)));
    }
    all
}

/// An answer without its baton and costs.
fn without_what_varies(text: &str) -> String {
    static VARIES: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#""(baton|query_duration_ms|rows_read|rows_written|replication_index)":[^,}]*"#).unwrap()
    });
    VARIES.replace_all(text, "\"$1\":0").into_owned()
}

fn open(door: &Door, label: &str, token: &str) -> Socket {
    let mut socket = door.socket(label, "hrana3");
    socket.hello(token);
    socket.open_stream();
    socket
}

/// Every error in a message of protobuf: a message that has missing but a text and a code, and perhaps what fills it up.
fn read_errors(message: &[u8]) -> Vec<(String, String)> {
    let code = regex::bytes::Regex::new(r"\x0a(?s-u:.{1,3}?)([\x20-\xff]+?)\x12([\x01-\x1f])([A-Z_]+)").unwrap();
    code.captures_iter(message)
        .map(|found| {
            let text = |at| String::from_utf8_lossy(&found[at]).into_owned();
            let length = usize::from(found[2][0]);
            (text(1), text(3)[..length].to_owned())
        })
        .collect()
}

#[test]
fn error_of_a_write_through_a_replica_is_that_of_the_primary_in_every_way() {
    let door = Door::new();
    let token = door.create("app");
    for sql in SCHEMA {
        door.run("app-alice", &token, sql).fine();
    }
    door.replicate("app", "lhr");
    let mut compared = 0;
    let mut failed = 0;
    let all = REFUSED.iter().map(|sql| (sql, true));
    for (sql, is_described) in all.chain(REFUSED_SCHEMA.iter().map(|sql| (sql, false))) {
        let primary = answers(&door, "app-alice", &token, sql);
        let mut replica = answers(&door, "app-alice--lhr", &token, sql);
        for (way, expected) in primary {
            let prepares = ["describe", "store_sql", "binary socket 10", "binary socket 11"];
            let found = replica.remove(&way).unwrap();
            if !is_described && (prepares.iter().any(|word| way.contains(word)) || way.starts_with("/v3-protobuf")) {
                continue;
            }
            assert_eq!(found, expected, "{sql}\n{way}");
            compared += 1;
            failed += u32::from(expected.contains("SQL"));
        }
    }
    assert!(
        compared > 500 && failed > compared * 2 / 3,
        "{failed} errors in {compared}"
    );
    assert_eq!(door.number("app-alice", &token, "SELECT count(*) FROM t"), 1);
}

#[test]
fn error_in_a_transaction_through_a_replica_is_that_of_the_primary() {
    let door = Door::new();
    let token = door.create("app");
    for sql in SCHEMA {
        door.run("app-alice", &token, sql).fine();
    }
    door.replicate("app", "lhr");
    let statements = [
        "BEGIN",
        "INSERT INTO t VALUES (2, 'two', 2)",
        "INSERT INTO t VALUES (2, 'two', 3)",
        "SELECT count(*) FROM t",
        "ROLLBACK",
    ];
    let run = |label: &str| {
        let requests: Vec<_> = statements
            .iter()
            .map(|sql| json!({ "type": "execute", "stmt": { "sql": sql } }))
            .chain([json!({ "type": "get_autocommit" }), json!({ "type": "close" })])
            .collect();
        let answer = door.json(label, "/v3/pipeline", &token, &json!({ "requests": requests }));
        let results = answer.json()["results"].clone();
        let error = results[2]["error"].clone();
        let rows = results[3]["response"]["result"]["rows"].clone();
        (error, rows, results[5]["response"]["is_autocommit"].clone())
    };
    let (error, rows, is_autocommit) = run("app-alice--lhr");
    let unique = json!({ "message": "SQLite error: UNIQUE constraint failed: t.a", "code": "SQLITE_CONSTRAINT" });
    assert_eq!((&error, &is_autocommit), (&unique, &json!(true)));
    assert_eq!(rows[0][0]["value"], "2");
    assert_eq!(run("app-alice"), (error, rows, is_autocommit));
}

#[test]
fn long_answer_before_an_error_through_a_replica_arrives_whole() {
    let door = Door::new();
    let token = door.create("app");
    for sql in SCHEMA {
        door.run("app-alice", &token, sql).fine();
    }
    door.replicate("app", "lhr");
    let rows = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 3000)
                SELECT n, 'error executing a request on the primary: ' || hex(zeroblob(n % 200)) FROM c";
    let batch =
        json!({ "steps": [{ "stmt": { "sql": rows } }, { "stmt": { "sql": "INSERT INTO t VALUES (1, '', 2)" } }] });
    let ask = |label: &str, path: &str, body: &Value, gzip: bool| {
        let request = door.post(label, path, &token).body(body.to_string());
        let request = if gzip {
            request.header("accept-encoding", "gzip")
        } else {
            request
        };
        let text = request.send().unwrap().text().unwrap();
        assert!(text.len() > 300_000, "{path}: {}", text.len());
        let text = without_what_varies(&text);
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        (
            text.contains("UNIQUE constraint failed: t.a"),
            lines.collect::<Vec<Value>>(),
        )
    };
    let pipeline = json!({ "requests": [{ "type": "batch", "batch": batch }, { "type": "close" }] });
    for (path, body) in [("/v3/pipeline", &pipeline), ("/v3/cursor", &json!({ "batch": batch }))] {
        for gzip in [false, true] {
            let expected = ask("app-alice", path, body, false);
            assert!(expected.0);
            // Too long to be shown.
            assert!(
                ask("app-alice--lhr", path, body, gzip) == expected,
                "{path}, compressed: {gzip}"
            );
        }
    }
}

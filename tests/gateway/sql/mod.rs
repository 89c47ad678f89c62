//! SQL that reaches beyond its database is refused on every way in, and what only looks like it is not.

mod proxied;
mod ways;

use super::{Answer, Door, field, frame, pipeline};
use serde_json::{Value, json};
use ways::{Outcome, Ways};

/// Texts that are refused, and none of which names a file that exists.
fn forbidden() -> Vec<String> {
    ["readfile", "WriteFile", "sha3_query", "load_extension"]
        .into_iter()
        .map(|name| format!("select \"{name}\" /* */ ('/nonexistent', 1)"))
        .chain(
            ["fsdir", "'fsdir'"]
                .into_iter()
                .map(|name| format!("select * from {name} where path = '/nonexistent'")),
        )
        .collect()
}

/// A name with one letter written as a number, as JSON allows.
fn hidden(body: &Value) -> String {
    let text = body.to_string();
    let at = text
        .to_ascii_lowercase()
        .find("file")
        .or_else(|| text.find("fsdir"))
        .unwrap_or(1);
    format!("{}\\u{:04x}{}", &text[..at], text.as_bytes()[at], &text[at + 1..])
}

#[test]
fn refused_sql_is_refused_in_each_request() {
    let door = Door::new();
    let token = door.create("app");
    let refused = |path: &str, body: Vec<u8>| {
        let answer = door.post("app-alice", path, &token).body(body).send().unwrap();
        Answer::of(answer).refused(400, "SQL_FORBIDDEN");
    };
    for sql in &forbidden() {
        let stmt = json!({ "sql": sql });
        let one = |request: Value| json!({ "requests": [{ "type": "get_autocommit" }, request] });
        for body in [
            one(json!({ "type": "execute", "stmt": stmt })),
            one(json!({ "type": "sequence", "sql": format!("select 1; {sql}") })),
            one(json!({ "type": "describe", "sql": sql })),
            one(json!({ "type": "store_sql", "sql_id": 1, "sql": sql })),
            one(json!({ "type": "batch", "batch": { "steps": [{ "stmt": stmt }] } })),
            one(json!({ "type": "execute", "stmt": [sql, null, [], [], true] })),
        ] {
            for path in ["/v2/pipeline", "/v3/pipeline"] {
                refused(path, body.to_string().into_bytes());
            }
            if sql.contains("ile\"") {
                refused("/v3/pipeline", hidden(&body).into_bytes());
            }
        }
        let batch = json!({ "batch": { "steps": [{ "stmt": { "sql": "select 1" } }, { "stmt": stmt }] } });
        refused("/v3/cursor", batch.to_string().into_bytes());
        refused("/v1/batch", batch.to_string().into_bytes());
        refused("/v1/execute", json!({ "stmt": stmt }).to_string().into_bytes());
        refused("/", json!({ "statements": [sql] }).to_string().into_bytes());
        refused("/", json!({ "statements": [{ "q": sql }] }).to_string().into_bytes());
        let stmt = field(1, sql.as_bytes());
        let batch = field(1, &field(2, &stmt));
        for request in [
            field(2, &field(1, &stmt)),
            field(3, &field(1, &batch)),
            field(4, &field(1, sql.as_bytes())),
            field(5, &field(1, sql.as_bytes())),
            field(6, &field(2, sql.as_bytes())),
        ] {
            refused("/v3-protobuf/pipeline", field(2, &request));
        }
        refused("/v3-protobuf/cursor", field(2, &batch));
        let step = field(2, &field(1, sql.as_bytes()));
        for (method, message) in [
            ("Execute", field(2, &field(1, &step))),
            ("Describe", field(2, sql.as_bytes())),
        ] {
            let answer = door
                .client
                .post(door.url("app-alice", &format!("/proxy.Proxy/{method}")))
                .header("content-type", "application/grpc-web+proto")
                .header("x-authorization", format!("Bearer {token}"))
                .body(frame(0, &message))
                .send()
                .unwrap();
            assert_eq!(answer.headers()["grpc-status"], "3", "{method}");
        }
    }
    let metrics = door.metrics();
    assert!(!metrics.contains("torso_gateway_sql_refused_total 0"), "{metrics}");
}

#[test]
fn compressed_body_is_refused() {
    use std::io::Write as _;
    let door = Door::new();
    let token = door.create("app");
    let body = pipeline("select 1").to_string();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(body.as_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    for encoding in ["gzip", "br", "deflate", "zstd", "identity, gzip"] {
        let sent = door
            .post("app-alice", "/v2/pipeline", &token)
            .header("content-encoding", encoding);
        Answer::of(sent.body(packed.clone()).send().unwrap()).refused(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    let plain = door
        .post("app-alice", "/v2/pipeline", &token)
        .header("content-encoding", "identity");
    Answer::of(plain.body(body).send().unwrap()).fine();
}

#[test]
fn refused_words_in_strings_pass() {
    let door = Door::new();
    let token = door.create("app");
    let sql = "select ?, 'readfile(1) from fsdir' -- writefile('x')";
    let args = json!([{ "type": "text", "value": "select readfile('x') \u{e9} from fsdir" }]);
    let body =
        json!({ "requests": [{ "type": "execute", "stmt": { "sql": sql, "args": args } }, { "type": "close" }] });
    let answer = door.json("app-alice", "/v2/pipeline", &token, &body);
    answer.fine();
    assert!(answer.text().contains("select readfile('x')"));
    // As some clients write what is not ASCII.
    let answer = door.post("app-alice", "/v2/pipeline", &token);
    let answer = Answer::of(
        answer
            .body(body.to_string().replace('\u{e9}', "\\u00e9"))
            .send()
            .unwrap(),
    );
    answer.fine();
    let stmt = [field(1, b"select ?"), field(3, &field(4, b"readfile(1)"))].concat();
    let answer = door
        .post("app-alice", "/v3-protobuf/pipeline", &token)
        .body(field(2, &field(2, &field(1, &stmt))))
        .send()
        .unwrap();
    assert_eq!(answer.status(), 200);
    let old = json!({ "statements": [{ "q": "select ?", "params": ["readfile(1)"] }] });
    door.json("app-alice", "/", &token, &old).fine();
}

#[test]
fn statement_cannot_end_the_process() {
    let door = Door::new();
    let token = door.create("app");
    let long = format!("select {}1", "1+".repeat(1 << 20));
    door.run("app-alice", &token, &long).refused(400, "SQL_TOO_LONG");
    let deepest = format!("select {}1", "1+".repeat((1 << 19) - 10));
    door.run("app-alice", &token, &deepest).refused(400, "SQL_TOO_DEEP");
    // What is allowed, the process bears, and refuses itself.
    for most in [
        format!("select {}1", "1+".repeat(40_000)),
        format!("select {}1{}", "(".repeat(40_000), ")".repeat(40_000)),
    ] {
        let answer = door.run("app-alice", &token, &most);
        assert_eq!(answer.status, 200, "{:?}", answer.text());
        assert!(answer.text().contains("\"type\":\"error\""), "{:?}", answer.text());
    }
    door.run("app-alice", &token, "select 1").fine();
}

/// A text for each kind of thing that is refused, wherever a statement can have it.
const REFUSED: &[&str] = &[
    "create index \"i; select 1; --\" on t (libsql_vector_idx(v))",
    "create index i on t (\"LIBSQL_vector_idx\"(v, 'metric=' || x))",
    "explain create index \"i j\" on t (libsql_vector_idx(v))",
    "select * from (select 1) window, 'fsdir' where path = '/nonexistent'",
    "update 'sqlite_dbpage' set data = x''",
    "insert into [sqlite_dbpage] values (1)",
    "create virtual table f using fts5(a, content='fsdir')",
    "create virtual table f using fts4(a, compress=readfile)",
    "create virtual table f using fsdir",
    "create view w as select * from fsdir('/nonexistent')",
    "create trigger r after insert on t begin select writefile('/nonexistent', new.x); end",
    "create table u (a, b as (readfile(a)))",
    "alter table t add column z default (replicate('a', 1))",
    "select replicate('ab', 1)",
    "select padl('a', 1), padr('a', 1), padc('a', 1)",
    "select strfilter('a', 'b'), charindex('a', 'b')",
    "select leftstr('a', 1), rightstr('a', 1), proper('a'), difference('a', 'b')",
    "select * from pragma_optimize",
    "vacuum into '/nonexistent'",
    "attach 'other' as o",
    "insert into libsql_vector_meta_shadow values ('i; select 1', x'00')",
];

#[test]
fn refused_sql_is_refused_over_each_transport_token_and_instance() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x, v f32_blob(3))")
        .fine();
    door.replicate("app", "lhr");
    let before = door.number("app-alice", &token, "select count(*) from sqlite_schema");
    let reader = door.read_only("app");
    for label in ["app-alice", "app-alice--lhr"] {
        for token in [&token, &reader] {
            let mut ways = Ways::new(&door, label, token);
            for sql in REFUSED {
                for (way, outcome) in ways.send(sql) {
                    assert_eq!(
                        outcome,
                        Outcome::Error("SQL_FORBIDDEN".to_owned()),
                        "{label} {way}: {sql}"
                    );
                }
            }
        }
    }
    let after = door.number("app-alice", &token, "select count(*) from sqlite_schema");
    assert_eq!(after, before);
}

#[test]
fn read_only_token_prepares_no_write_over_any_transport() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x, v f32_blob(3))")
        .fine();
    door.replicate("app", "lhr");
    let reader = door.read_only("app");
    for label in ["app-alice", "app-alice--lhr"] {
        let mut ways = Ways::new(&door, label, &reader);
        for sql in [
            "insert into t (x) values (1)",
            "explain insert into t (x) values (1)",
            "explain query plan delete from t",
            "create index i on t (libsql_vector_idx(v))",
            "explain create table u (a)",
            "with a as (select 1) update t set x = 1",
            "pragma user_version = 3",
        ] {
            for (way, outcome) in ways.send(sql) {
                assert_eq!(outcome, Outcome::Error("FORBIDDEN".to_owned()), "{label} {way}: {sql}");
            }
        }
        for (way, outcome) in ways.send("select x from t where x = 'insert into t'") {
            assert_eq!(outcome, Outcome::Ok, "{label} {way}");
        }
    }
    let schema = "select count(*) from sqlite_schema";
    assert_eq!(door.number("app-alice", &token, schema), 1);
}

#[test]
fn replica_prepares_no_change_of_the_schema_and_passes_it_on() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x, v f32_blob(3))")
        .fine();
    door.replicate("app", "lhr");
    let there = "app-alice--lhr";
    for sql in ["create index i on t (libsql_vector_idx(v))", "drop table t"] {
        for request in [
            json!({ "type": "describe", "sql": sql }),
            json!({ "type": "store_sql", "sql_id": 1, "sql": sql }),
            json!({ "type": "execute", "stmt": { "sql": format!("explain {sql}") } }),
        ] {
            let body = json!({ "requests": [request] });
            door.json(there, "/v3/pipeline", &token, &body)
                .refused(400, "SQL_FORBIDDEN");
            if request["type"] != "store_sql" {
                door.json("app-alice", "/v3/pipeline", &token, &body).fine();
            }
        }
    }
    // What is run is passed on to the primary, and comes back with its log.
    door.run(there, &token, "create index i on t (libsql_vector_idx(v))")
        .fine();
    let count = "select count(*) from sqlite_schema where name = 'i'";
    assert_eq!(door.number("app-alice", &token, count), 1);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while door.number(there, &token, count) != 1 {
        assert!(std::time::Instant::now() < end, "the index does not arrive");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// What does not parse is answered by the engine, in its own words, as long as it names nothing that is refused.
#[test]
fn syntax_errors_are_in_the_words_of_the_engine() {
    let door = Door::new();
    let token = door.create("app");
    for sql in ["selec 1", "select 1 from", "select 'a", "select (1", "insert into"] {
        let answer = door.run("app-alice", &token, sql);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(
            answer.json()["results"][0]["error"]["code"],
            "SQL_PARSE_ERROR",
            "{answer:?}"
        );
    }
    for sql in ["selec readfile(1)", "pragma writable_schema = on /*"] {
        door.run("app-alice", &token, sql).refused(400, "SQL_PARSE_ERROR");
    }
    let answer = door.run("app-alice", &token, "select nonsense(1)");
    answer.refused(400, "SQLITE_ERROR");
    assert!(answer.text().contains("no such function: nonsense"), "{answer:?}");
}

#[test]
fn read_only_token_reads_pragmas() {
    let door = Door::new();
    let token = door.create("app");
    door.run(
        "app-alice",
        &token,
        "create table t (id integer primary key, x references t)",
    )
    .fine();
    door.run("app-alice", &token, "pragma user_version = 7").fine();
    door.replicate("app", "lhr");
    let reader = door.read_only("app");
    for label in ["app-alice", "app-alice--lhr"] {
        assert_eq!(door.number(label, &reader, "pragma user_version"), 7);
        assert_eq!(door.number(label, &reader, "select * from pragma_user_version"), 7);
        for sql in [
            "pragma integrity_check",
            "pragma foreign_key_list(t)",
            "pragma foreign_key_check",
            "pragma foreign_keys",
            "pragma page_count",
            "pragma page_size",
            "pragma journal_mode",
            "pragma application_id",
            "pragma schema_version",
            "pragma encoding",
            "pragma table_info(t)",
        ] {
            door.run(label, &reader, sql).fine();
        }
        for sql in ["pragma user_version = 8", "pragma user_version(8)"] {
            door.run(label, &reader, sql).refused(403, "FORBIDDEN");
        }
    }
    // Over a socket the process asks for another token, and the error says what to ask for instead.
    let mut socket = door.socket("app-alice", "hrana3");
    socket.hello(&reader);
    let open = json!({ "type": "open_stream", "stream_id": 1 });
    socket.ask(&json!({ "type": "request", "request_id": 1, "request": open }));
    let answer = socket.run("pragma user_version");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("SELECT * FROM pragma_"), "{answer}");
    assert_eq!(socket.run("select * from pragma_user_version")["type"], "response_ok");
    assert_eq!(door.number("app-alice", &token, "pragma user_version"), 7);
}

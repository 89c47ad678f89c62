//! SQL that reaches beyond its database is refused on every way in, and what only looks like it is not.

use super::{Answer, Door, field, frame, pipeline};
use serde_json::{Value, json};

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
fn it_is_refused_in_every_request() {
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
    let mut metrics = String::new();
    door.gateway.write_metrics(&mut metrics);
    assert!(!metrics.contains("torso_gateway_sql_refused_total 0"), "{metrics}");
}

#[test]
fn it_cannot_be_packed_away() {
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
fn words_are_only_words() {
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
fn a_statement_cannot_end_the_process() {
    let door = Door::new();
    let token = door.create("app");
    let long = format!("select {}1", "1+".repeat(1 << 20));
    door.run("app-alice", &token, &long).refused(400, "SQL_TOO_LONG");
    // What is allowed, the process bears.
    let most = format!("select {}1", "1+".repeat((1 << 19) - 10));
    let answer = door.run("app-alice", &token, &most);
    assert_eq!(answer.status, 200, "{:?}", answer.text());
    door.run("app-alice", &token, "select 1").fine();
}

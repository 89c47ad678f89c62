//! Bodies of each protocol, and what is found in them.

use super::*;
use crate::hrana::protobuf::fields::{field, put};
use serde_json::json;

fn code(format: BodyEncoding, body: &[u8]) -> &'static str {
    let checked = check_body(format, body, Authorization::FullAccess, InstanceKind::Primary);
    checked.map_or_else(|error| error.code, |_| "")
}

#[track_caller]
fn assert_code(body: &str, expected: &str) {
    assert_eq!(code(BodyEncoding::Json, body.as_bytes()), expected, "{body}");
}

#[test]
fn policy_finds_sql_in_each_place_of_a_message() {
    let sql = "select readfile(1)";
    for body in [
        json!({ "requests": [{ "type": "execute", "stmt": { "sql": sql } }] }),
        json!({ "requests": [{ "type": "sequence", "sql": sql }] }),
        json!({ "requests": [{ "type": "store_sql", "sql_id": 1, "sql": sql }] }),
        json!({ "batch": { "steps": [{ "stmt": { "sql": "select 1" } }, { "stmt": { "sql": sql } }] } }),
        json!({ "stmt": [sql, null, []] }),
        json!({ "statements": [sql] }),
        json!({ "statements": [{ "q": sql, "params": [] }] }),
        json!({ "statements": [[sql]] }),
        json!([null, [["execute", [sql]]]]),
        json!(sql),
    ] {
        assert_code(&body.to_string(), "SQL_FORBIDDEN");
    }
    assert_code(r#"{"stmt":{"sql":"select r\u0065adfile(1)"}}"#, "SQL_FORBIDDEN");
    assert_code(r#"{"stmt":{"s\u0071l":"select READfile \n(1)"}}"#, "SQL_FORBIDDEN");
    assert_code(r#"{"sql":"select 1","sql":"select \"readfile\"(1)"}"#, "SQL_FORBIDDEN");
}

#[test]
fn policy_passes_values_and_words() {
    let text = "select readfile('x') from fsdir";
    for body in [
        json!({ "stmt": { "sql": "select ?", "args": [{ "type": "text", "value": text }] } }),
        json!({ "stmt": { "sql": "select :a", "named_args": [{ "name": "a", "value": { "type": "text", "value": text } }] } }),
        json!({ "statements": [{ "q": "select ?", "params": [text] }] }),
        json!({ "statements": [{ "q": "select :sql", "params": { "sql": text } }] }),
        json!({ "stmt": { "sql": "select 'readfile(1)' -- fsdir" } }),
    ] {
        assert_code(&body.to_string(), "");
    }
    assert_code(r#"{"stmt":{"sql":"select '\u00e9'"}}"#, "");
}

#[test]
fn policy_refuses_a_body_that_is_not_json() {
    assert_code(r#"{"sql":"select 1""#, "BAD_REQUEST");
    assert_code(r#"{"sql":"a\u00e9"} {"sql":"x"}"#, "BAD_REQUEST");
    assert_code("{", "BAD_REQUEST");
}

#[test]
fn policy_refuses_long_statements_and_not_long_values() {
    let long = "1+".repeat(policy::LONGEST_STATEMENT);
    assert_code(&json!({ "sql": format!("select {long}1") }).to_string(), "SQL_TOO_LONG");
    assert_code(&json!({ "sql": "select 1;".repeat(200_000) }).to_string(), "");
    assert_code(
        &json!({ "sql": "select ?", "args": [{ "value": long }] }).to_string(),
        "",
    );
    let mut body = Vec::new();
    put(&mut body, 2, long.as_bytes());
    assert_eq!(code(BodyEncoding::Protobuf(protobuf::DESCRIBE), &body), "SQL_TOO_LONG");
}

#[test]
fn policy_inspects_the_message_inside_a_grpc_frame() {
    let frame = |kind: u8, message: &[u8]| {
        let mut frame = vec![kind];
        frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        frame.extend(message);
        frame
    };
    let mut bad = Vec::new();
    put(&mut bad, 2, b"select readfile(1)");
    let mut good = Vec::new();
    put(&mut good, 2, b"select 1");
    let grpc = BodyEncoding::Grpc(protobuf::DESCRIBE);
    assert_eq!(code(grpc, &frame(0, &good)), "");
    assert_eq!(code(grpc, &frame(0, &bad)), "SQL_FORBIDDEN");
    assert_eq!(code(grpc, &[frame(0, &good), frame(0, &bad)].concat()), "SQL_FORBIDDEN");
    assert_eq!(code(grpc, &frame(1, &good)), "BAD_REQUEST");
    assert_eq!(code(grpc, &frame(0x80, &good)), "BAD_REQUEST");
    assert_eq!(code(grpc, &frame(0, &good)[..7]), "BAD_REQUEST");
}

/// What is answered to who may only read, and at a replica.
fn code_for(authorization: Authorization, instance: InstanceKind, request: &serde_json::Value) -> &'static str {
    let body = json!({ "requests": [request] }).to_string();
    check_body(BodyEncoding::Json, body.as_bytes(), authorization, instance).map_or_else(|error| error.code, |_| "")
}

#[test]
fn policy_refuses_writes_of_a_read_only_token_in_each_request() {
    for sql in [
        "insert into t values (1)",
        "explain delete from t",
        "create table t (x)",
        "select 1; drop table t",
    ] {
        for request in [
            json!({ "type": "execute", "stmt": { "sql": sql } }),
            json!({ "type": "batch", "batch": { "steps": [{ "stmt": { "sql": "select 1" } }, { "stmt": { "sql": sql } }] } }),
            json!({ "type": "sequence", "sql": sql }),
            json!({ "type": "describe", "sql": sql }),
            json!({ "type": "store_sql", "sql_id": 1, "sql": sql }),
        ] {
            let code = code_for(Authorization::ReadOnly, InstanceKind::Primary, &request);
            assert_eq!(code, "FORBIDDEN", "{request}");
        }
    }
    let read = json!({ "type": "describe", "sql": "select 'insert into t'" });
    assert_eq!(code_for(Authorization::ReadOnly, InstanceKind::Primary, &read), "");
}

#[test]
fn policy_refuses_schema_changes_at_a_replica() {
    let at_replica = |request| code_for(Authorization::FullAccess, InstanceKind::Replica, &request);
    let sql = "create table t (x)";
    assert_eq!(at_replica(json!({ "type": "execute", "stmt": { "sql": sql } })), "");
    assert_eq!(
        at_replica(json!({ "type": "describe", "sql": "insert into t values (1)" })),
        ""
    );
    for request in [
        json!({ "type": "describe", "sql": sql }),
        json!({ "sql": sql, "type": "describe" }),
        json!(["describe", sql]),
        json!({ "type": "store_sql", "sql_id": 1, "sql": sql }),
        json!({ "type": "execute", "stmt": { "sql": format!("explain {sql}") } }),
    ] {
        assert_eq!(at_replica(request.clone()), "SQL_FORBIDDEN", "{request}");
    }
    let described = field(2, &field(5, &field(1, sql.as_bytes())));
    let format = BodyEncoding::Protobuf(protobuf::PIPELINE);
    let checked = check_body(format, &described, Authorization::FullAccess, InstanceKind::Replica);
    assert_eq!(checked.unwrap_err().code, "SQL_FORBIDDEN");
}

#[test]
fn policy_tells_bodies_that_only_query() {
    let of = |requests: serde_json::Value| {
        let body = json!({ "requests": requests }).to_string();
        let checked = check_body(
            BodyEncoding::Json,
            body.as_bytes(),
            Authorization::FullAccess,
            InstanceKind::Primary,
        );
        checked.unwrap().is_all_queries()
    };
    let run = |sql: &str| json!({ "type": "execute", "stmt": { "sql": sql } });
    let close = json!({ "type": "close" });
    assert!(of(json!([run("select 1"), run("values (1)"), close])));
    assert!(of(
        json!([{ "type": "sequence", "sql": "select 1; with a as (select 2) select * from a" }])
    ));
    for other in [
        run("insert into t values (1)"),
        run("with a as (select 2) insert into t select * from a"),
        run("insert into t values (1) returning *"),
        run("begin"),
        run("pragma user_version"),
        run("explain select 1"),
        run("selec"),
        json!({ "type": "execute", "stmt": { "sql_id": 1 } }),
        json!(["execute", {}]),
    ] {
        assert!(!of(json!([run("select 1"), other])), "{other}");
    }
    assert!(!of(json!([close])));
}

#[test]
fn policy_grants_reads_full_access_if_all_requests_are_seen() {
    let of = |requests: serde_json::Value| {
        let body = json!({ "requests": requests }).to_string();
        let checked = check_body(
            BodyEncoding::Json,
            body.as_bytes(),
            Authorization::ReadOnly,
            InstanceKind::Primary,
        );
        checked.unwrap().reads_with_full_access()
    };
    let pragma = json!({ "type": "execute", "stmt": { "sql": "pragma user_version" } });
    assert!(of(json!([pragma])));
    assert!(of(json!([pragma, { "type": "close" }])));
    assert!(!of(json!([{ "type": "execute", "stmt": { "sql": "select 1" } }])));
    for unseen in [
        json!({ "type": "execute", "stmt": { "sql_id": 1 } }),
        json!({ "type": "execute", "stmt": { "sql": "selec" } }),
        json!(["execute", {}]),
    ] {
        assert!(!of(json!([pragma, unseen])), "{unseen}");
    }
}

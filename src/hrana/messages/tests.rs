//! Messages as they are written, and what is read of a server's.

use super::*;
use serde_json::json;

fn written<T: serde::Serialize>(value: &T) -> serde_json::Value {
    serde_json::from_slice(&json(value)).unwrap()
}

fn read(text: &str) -> Result<ResultCell, serde_json::Error> {
    serde_json::from_str(text)
}

#[test]
fn hrana_value_of_each_type_is_written_as_the_protocol_says() {
    for (value, wire) in [
        (ValueRef::Null, json!({ "type": "null" })),
        // JSON numbers lose integers beyond 53 bits, so they are strings.
        (
            ValueRef::Integer(i64::MIN),
            json!({ "type": "integer", "value": "-9223372036854775808" }),
        ),
        (ValueRef::Real(-0.5), json!({ "type": "float", "value": -0.5 })),
        (ValueRef::Text("é".as_bytes()), json!({ "type": "text", "value": "é" })),
        (ValueRef::Blob(b"\x00\xff"), json!({ "type": "blob", "base64": "AP8" })),
        (ValueRef::Blob(b""), json!({ "type": "blob", "base64": "" })),
    ] {
        assert_eq!(Arg(value).unsendable(), None, "{value:?}");
        assert_eq!(written(&Arg(value)), wire, "{value:?}");
    }
}

#[test]
fn hrana_value_that_json_cannot_hold_is_not_sent() {
    for value in [
        ValueRef::Real(f64::INFINITY),
        ValueRef::Real(f64::NEG_INFINITY),
        ValueRef::Real(f64::NAN),
        ValueRef::Text(b"\xff"),
    ] {
        assert!(Arg(value).unsendable().is_some(), "{value:?}");
    }
}

#[test]
fn hrana_request_of_one_statement_leaves_out_what_is_not_set() {
    assert_eq!(
        written(&single("select 1", &UNBOUND, None)),
        json!({ "type": "batch", "batch": { "steps": [{ "stmt": { "sql": "select 1", "want_rows": true } }] } })
    );
    let bound = Bound {
        args: Vec::new(),
        named_args: vec![NamedArg {
            name: ":a".to_owned(),
            value: Arg(ValueRef::Integer(1)),
        }],
    };
    assert_eq!(
        written(&one_step("select :a", &bound, Some(Condition::in_transaction()))),
        json!({ "steps": [{
            "condition": { "type": "not", "cond": { "type": "is_autocommit" } },
            "stmt": {
                "sql": "select :a",
                "named_args": [{ "name": ":a", "value": { "type": "integer", "value": "1" } }],
                "want_rows": true
            }
        }] })
    );
    assert_eq!(written(&Condition::never()), json!({ "type": "or", "conds": [] }));
    let body = PipelineBody {
        baton: None,
        requests: &[Request::GetAutocommit, Request::Close],
    };
    assert_eq!(
        written(&body),
        json!({ "requests": [{ "type": "get_autocommit" }, { "type": "close" }] })
    );
}

#[test]
fn hrana_cell_of_each_type_is_read() {
    for (text, value) in [
        (r#"{"type":"null"}"#, Value::Null),
        (
            r#"{"type":"integer","value":"9007199254740993"}"#,
            Value::Integer(9_007_199_254_740_993),
        ),
        // Some servers write integers as numbers.
        (r#"{"type":"integer","value":7}"#, Value::Integer(7)),
        (r#"{"type":"float","value":1}"#, Value::Real(1.0)),
        (r#"{"type":"text","value":"x"}"#, Value::Text("x".to_owned())),
        (r#"{"type":"blob","base64":"AP8"}"#, Value::Blob(vec![0, 255])),
        (r#"{"type":"blob","base64":"AP8="}"#, Value::Blob(vec![0, 255])),
    ] {
        let Ok(ResultCell::Value(cell)) = read(text) else {
            panic!("{text} is not read")
        };
        assert_eq!(cell, value, "{text}");
    }
    assert!(matches!(
        read(r#"{"type":"float","value":null}"#),
        Ok(ResultCell::Infinite)
    ));
}

#[test]
fn hrana_cell_that_is_none_is_refused() {
    for text in [
        r#"{"type":"integer"}"#,
        r#"{"type":"integer","value":"1.5"}"#,
        r#"{"type":"integer","value":1.5}"#,
        r#"{"type":"integer","value":"9223372036854775808"}"#,
        r#"{"type":"text"}"#,
        r#"{"type":"blob","base64":"*"}"#,
        r#"{"type":"date","value":"x"}"#,
        r#"{"value":"x"}"#,
        "7",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn hrana_answer_without_optional_members_has_their_defaults() {
    let reply: PipelineReply = serde_json::from_str(
        r#"{"baton":null,"results":[
            {"type":"ok","response":{"type":"batch","result":{"step_results":[null,{}],"step_errors":[{},null]}}},
            {"type":"ok","response":{"type":"get_autocommit","is_autocommit":true}},
            {"type":"error","error":{"message":"no"}}
        ]}"#,
    )
    .unwrap();
    assert_eq!((reply.baton, reply.base_url), (None, None));
    let [
        Answer::Ok {
            response: Response::Batch { result },
        },
        Answer::Ok {
            response: Response::GetAutocommit { is_autocommit: true },
        },
        Answer::Error { error },
    ] = reply.results.as_slice()
    else {
        panic!("the answers are read as others")
    };
    let step = result.step_results[1].as_ref().unwrap();
    assert!(result.step_results[0].is_none() && step.cols.is_empty() && step.rows.is_empty());
    assert_eq!((step.affected_row_count, step.last_insert_rowid), (0, None));
    assert_eq!(result.step_errors[0].as_ref().unwrap().message, "");
    assert_eq!((error.message.as_str(), error.code.as_deref()), ("no", None));
}

#[test]
fn hrana_row_id_is_read_as_a_string_or_a_number() {
    let row_id = |text: &str| {
        let result: StmtResult = serde_json::from_str(text).unwrap();
        result.last_insert_rowid
    };
    assert_eq!(
        row_id(r#"{"last_insert_rowid":"9007199254740993"}"#),
        Some(9_007_199_254_740_993)
    );
    assert_eq!(row_id(r#"{"last_insert_rowid":3}"#), Some(3));
    assert_eq!(row_id(r#"{"last_insert_rowid":null}"#), None);
    assert_eq!(row_id(r#"{"last_insert_rowid":[]}"#), None);
}

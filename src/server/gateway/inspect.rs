//! Inspects the SQL in requests before it is run. SQL that reaches beyond its database is refused, and so are
//! statements so long that parsing them could crash the engine's process.
//!
//! Nearly all requests pass after a search for a few names. A body is only parsed if it contains one, could hide one,
//! or is long enough for a long statement.

use super::refusal::Refusal;
use super::wire::{self, Malformed, Message};
use crate::control::hosted::forbidden;
use axum::http::StatusCode;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Bytes of the longest statement.
pub(super) const LONGEST_STATEMENT: usize = 1 << 20;

/// How a body contains SQL.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Format {
    Json,
    Protobuf(Message),
    /// Messages in frames, none of them compressed.
    Grpc(Message),
}

impl From<Malformed> for Refusal {
    fn from(Malformed: Malformed) -> Self {
        Self::bad("the body is no message of the protocol")
    }
}

/// Refuses a body with SQL that must not be run.
pub(super) fn check(format: Format, body: &[u8]) -> Result<(), Refusal> {
    if let Format::Grpc(message) = format {
        return each_frame(body, |frame| check(Format::Protobuf(message), frame));
    }
    let short = body.len() <= LONGEST_STATEMENT;
    match format {
        Format::Json if short && !forbidden::mentions(body) && !hides(body) => Ok(()),
        Format::Protobuf(_) if short && !forbidden::mentions(body) => Ok(()),
        Format::Json => json(body),
        Format::Protobuf(message) | Format::Grpc(message) => {
            wire::each_sql(body, message, &mut |sql| sql_allowed(sql).map_err(Refusal::from))
        }
    }
}

/// Whether JSON has characters written as escapes.
pub(super) fn hides(json: &[u8]) -> bool {
    memchr::memmem::find(json, br"\u").is_some()
}

/// The messages of a body of gRPC-Web.
pub(super) fn each_frame(mut body: &[u8], mut visit: impl FnMut(&[u8]) -> Result<(), Refusal>) -> Result<(), Refusal> {
    while !body.is_empty() {
        let (head, rest) = body.split_first_chunk::<5>().ok_or(Malformed)?;
        let [kind, length @ ..] = *head;
        if kind != 0 {
            return Err(Refusal::bad("messages must not be compressed"));
        }
        let length = u32::from_be_bytes(length) as usize;
        let (frame, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
        visit(frame)?;
        body = rest;
    }
    Ok(())
}

/// Why a text of SQL is refused.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    Forbidden(&'static str),
    TooLong(usize),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Forbidden(name) => Self::new(
                StatusCode::BAD_REQUEST,
                "SQL_FORBIDDEN",
                format!("{name} cannot be used in a hosted database: it reaches beyond the database"),
            ),
            Fault::TooLong(length) => Self::new(
                StatusCode::BAD_REQUEST,
                "SQL_TOO_LONG",
                format!("a statement of {length} bytes is too long: at most {LONGEST_STATEMENT}; use parameters"),
            ),
        }
    }
}

fn sql_allowed(sql: &str) -> Result<(), Fault> {
    if sql.len() > LONGEST_STATEMENT {
        let longest = forbidden::longest_statement(sql);
        if longest > LONGEST_STATEMENT {
            return Err(Fault::TooLong(longest));
        }
    }
    forbidden::forbidden(sql).map_or(Ok(()), |name| Err(Fault::Forbidden(name)))
}

fn json(body: &[u8]) -> Result<(), Refusal> {
    let mut fault = None;
    let mut parser = serde_json::Deserializer::from_slice(body);
    let walked = Walk {
        fault: &mut fault,
        values: false,
    }
    .deserialize(&mut parser)
    .and_then(|()| parser.end());
    match (fault, walked) {
        (Some(fault), _) => Err(fault.into()),
        (None, Err(error)) => Err(Refusal::bad(format!("the body is not valid JSON: {error}"))),
        (None, Ok(())) => Ok(()),
    }
}

/// A walk over JSON that takes every text for SQL, but for those below keys that have values. That also sees the SQL in an
/// object that is written as a list, or twice.
struct Walk<'a> {
    fault: &'a mut Option<Fault>,
    /// Below such a key.
    values: bool,
}

/// Keys whose content is never run: parameters of each version of the protocol.
const VALUES: &[&str] = &["value", "base64", "params", "baton"];

impl Walk<'_> {
    fn inner(&mut self, values: bool) -> Walk<'_> {
        Walk {
            fault: self.fault,
            values: self.values || values,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.values {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(drop);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        sql_allowed(text).map_err(|fault| {
            *self.fault = Some(fault);
            E::custom("refused")
        })
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            map.next_value_seed(self.inner(VALUES.contains(&key.as_ref())))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self.inner(false))?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<(), E> {
        Err(E::custom("not text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn code(format: Format, body: &[u8]) -> &'static str {
        check(format, body).map_or_else(|refusal| refusal.code, |()| "")
    }

    #[track_caller]
    fn told(body: &str, expected: &str) {
        assert_eq!(code(Format::Json, body.as_bytes()), expected, "{body}");
    }

    #[test]
    fn sql_in_any_place_is_seen() {
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
            told(&body.to_string(), "SQL_FORBIDDEN");
        }
        told(r#"{"stmt":{"sql":"select r\u0065adfile(1)"}}"#, "SQL_FORBIDDEN");
        told(r#"{"stmt":{"s\u0071l":"select READfile \n(1)"}}"#, "SQL_FORBIDDEN");
        told(r#"{"sql":"select 1","sql":"select \"readfile\"(1)"}"#, "SQL_FORBIDDEN");
    }

    #[test]
    fn values_and_words_are_let_through() {
        let text = "select readfile('x') from fsdir";
        for body in [
            json!({ "stmt": { "sql": "select ?", "args": [{ "type": "text", "value": text }] } }),
            json!({ "stmt": { "sql": "select :a", "named_args": [{ "name": "a", "value": { "type": "text", "value": text } }] } }),
            json!({ "statements": [{ "q": "select ?", "params": [text] }] }),
            json!({ "statements": [{ "q": "select :sql", "params": { "sql": text } }] }),
            json!({ "stmt": { "sql": "select 'readfile(1)' -- fsdir" } }),
        ] {
            told(&body.to_string(), "");
        }
        told(r#"{"stmt":{"sql":"select '\u00e9'"}}"#, "");
    }

    #[test]
    fn what_cannot_be_read_is_refused_when_it_matters() {
        told(r#"{"sql":"readfile""#, "BAD_REQUEST");
        told(r#"{"sql":"a\u00e9"} {"sql":"x"}"#, "BAD_REQUEST");
        // What mentions nothing is the engine's to refuse.
        told("{", "");
    }

    #[test]
    fn long_statements_are_refused_and_long_values_are_not() {
        let long = "1+".repeat(LONGEST_STATEMENT);
        told(&json!({ "sql": format!("select {long}1") }).to_string(), "SQL_TOO_LONG");
        told(&json!({ "sql": "select 1;".repeat(200_000) }).to_string(), "");
        told(
            &json!({ "sql": "select ?", "args": [{ "value": long }] }).to_string(),
            "",
        );
        let mut body = Vec::new();
        wire::put(&mut body, 2, long.as_bytes());
        assert_eq!(code(Format::Protobuf(wire::DESCRIBE), &body), "SQL_TOO_LONG");
    }

    #[test]
    fn frames_are_opened() {
        let frame = |kind: u8, message: &[u8]| {
            let mut frame = vec![kind];
            frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
            frame.extend(message);
            frame
        };
        let mut bad = Vec::new();
        wire::put(&mut bad, 2, b"select readfile(1)");
        let mut good = Vec::new();
        wire::put(&mut good, 2, b"select 1");
        let grpc = Format::Grpc(wire::DESCRIBE);
        assert_eq!(code(grpc, &frame(0, &good)), "");
        assert_eq!(code(grpc, &frame(0, &bad)), "SQL_FORBIDDEN");
        assert_eq!(code(grpc, &[frame(0, &good), frame(0, &bad)].concat()), "SQL_FORBIDDEN");
        assert_eq!(code(grpc, &frame(1, &good)), "BAD_REQUEST");
        assert_eq!(code(grpc, &frame(0x80, &good)), "BAD_REQUEST");
        assert_eq!(code(grpc, &frame(0, &good)[..7]), "BAD_REQUEST");
    }
}

//! Errors in answers of JSON. They are found by how libSQL server writes them: quotes in values are escaped, so no value looks
//! like one.

use super::LONGEST;
use crate::hrana::proxied_error::{LEGACY_PREFIX, PREFIX, PROXY_CODE, PrimaryError, parse_legacy};
use crate::server::gateway::engine_text::string_end;
use bytes::Bytes;
use memchr::memmem;
use std::sync::LazyLock;

/// How an error of a primary begins: the key of its message, and the first words of that.
static BEGINNINGS: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    let begin = |key: &str, words: &str| format!("\"{key}\":\"{words}").into_bytes();
    [
        begin("message", PREFIX),
        begin("message", LEGACY_PREFIX),
        begin("error", LEGACY_PREFIX),
    ]
});

/// What follows on the message of an error with a code.
static CODE: LazyLock<Vec<u8>> = LazyLock::new(|| format!(",\"code\":\"{PROXY_CODE}\"").into_bytes());

/// The errors of one answer.
#[derive(Default)]
pub struct JsonErrors {
    /// The end of what has arrived, where it may be a part of an error.
    held: Vec<u8>,
}

impl JsonErrors {
    pub fn push(&mut self, piece: Bytes, is_last: bool) -> Bytes {
        if self.held.is_empty() && find_beginning(&piece).is_none() && (is_last || cut_beginning(&piece) == 0) {
            return piece;
        }
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(&piece);
        let mut at = 0;
        let end = loop {
            let Some(begin) = find_beginning(&text[at..]).map(|found| at + found) else {
                break text.len() - if is_last { 0 } else { cut_beginning(&text[at..]) };
            };
            match restore_at(&mut text, begin) {
                Some(end) => at = end,
                None if is_last || text.len() - begin > LONGEST => at = begin + 1,
                None => break begin,
            }
        };
        self.held = text.split_off(end);
        text.into()
    }
}

fn find_beginning(text: &[u8]) -> Option<usize> {
    BEGINNINGS.iter().filter_map(|words| memmem::find(text, words)).min()
}

/// How many bytes at the end of a text may begin an error.
fn cut_beginning(text: &[u8]) -> usize {
    let longest = |words: &[u8]| {
        let most = text.len().min(words.len() - 1);
        (1..=most).rev().find(|length| text.ends_with(&words[..*length]))
    };
    BEGINNINGS.iter().filter_map(|words| longest(words)).max().unwrap_or(0)
}

/// Restores the error that begins at `begin`, and returns where it ends; none if it has not arrived whole.
fn restore_at(text: &mut [u8], begin: usize) -> Option<usize> {
    let string = begin + memmem::find(&text[begin..], b":\"")? + 1;
    let close = string + 1 + string_end(&text[string + 1..]);
    let rest = text.get(close + 1..)?;
    if rest.len() < CODE.len() && CODE.starts_with(rest) {
        return None;
    }
    let end = close + 1 + if rest.starts_with(&CODE) { CODE.len() } else { 0 };
    let message: String = serde_json::from_slice(&text[string..=close]).ok()?;
    if let Some(restored) = restore(&message, end > close + 1).filter(|restored| restored.len() <= end - string) {
        let (written, padding) = text[string..end].split_at_mut(restored.len());
        written.copy_from_slice(restored.as_bytes());
        padding.fill(b' ');
    }
    Some(end)
}

/// The message as JSON, with the code behind it where there was one.
fn restore(message: &str, has_code: bool) -> Option<String> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    if !has_code {
        return parse_legacy(message).map(quoted);
    }
    let PrimaryError { message, code } = PrimaryError::parse(message)?;
    Some(format!("{},\"code\":\"{code}\"", quoted(&message)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn error(message: &str) -> String {
        let message = Value::from(message);
        format!(r#"{{"message":{message},"code":"PROXY_ERROR"}}"#)
    }

    /// An answer that arrives in pieces of a size.
    fn restored(answer: &str, size: usize) -> String {
        let mut errors = JsonErrors::default();
        let mut out = Vec::new();
        for piece in answer.as_bytes().chunks(size) {
            out.extend_from_slice(&errors.push(Bytes::copy_from_slice(piece), false));
        }
        out.extend_from_slice(&errors.push(Bytes::new(), true));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn proxied_errors_in_json_are_restored_wherever_pieces_cut_them() {
        let unique = error("error executing a request on the primary: UNIQUE constraint failed: \"t\".y");
        let place =
            error("error executing a request on the primary: no such column: é in DELETE FROM t WHERE é at offset 20");
        let answer =
            format!(r#"{{"baton":null,"results":[{{"type":"error","error":{unique}}}],"step_errors":[null,{place}]}}"#);
        let expected = json!({
            "baton": null,
            "results": [{ "type": "error", "error": {
                "message": "SQLite error: UNIQUE constraint failed: \"t\".y", "code": "SQLITE_CONSTRAINT" } }],
            "step_errors": [null, { "message": "SQL input error: no such column: é (at offset 20)", "code": "SQL_INPUT_ERROR" }],
        });
        for size in (1..80).chain([answer.len() - 1, answer.len()]) {
            let out = restored(&answer, size);
            assert_eq!(out.len(), answer.len(), "{size}");
            assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), expected, "{size}");
        }
    }

    #[test]
    fn legacy_errors_have_the_primary_s_message() {
        let text = "Failed to execute query via RPC. Error code: 0, message: no such table: a";
        for key in ["message", "error"] {
            let out = restored(&json!({ key: text }).to_string(), 7);
            assert_eq!(
                serde_json::from_str::<Value>(&out).unwrap(),
                json!({ key: "no such table: a" })
            );
        }
    }

    #[test]
    fn answer_without_proxied_errors_is_unchanged() {
        for answer in [
            json!({ "value": error("error executing a request on the primary: x") }).to_string(),
            json!({ "rows": [["error executing a request on the primary: x"]] }).to_string(),
            json!({ "message": "error executing a request on another: x", "code": "PROXY_ERROR" }).to_string(),
            r#"{"message":"error executing a request on the primary: cut"#.to_owned(),
            "{\"message\":\"err".to_owned(),
            String::new(),
        ] {
            for size in 1..9 {
                assert_eq!(restored(&answer, size), answer);
            }
        }
    }

    #[test]
    fn error_without_an_end_is_not_waited_for() {
        let mut errors = JsonErrors::default();
        let begin = br#"{"message":"error executing a request on the primary: "#;
        let first = errors.push(Bytes::from_static(begin), false);
        let more = errors.push(vec![b'x'; LONGEST].into(), false);
        assert_eq!(first.len() + more.len(), begin.len() + LONGEST);
    }
}

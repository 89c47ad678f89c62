//! Questions about the integrity of a replica's file. A replica's process has its primary answer `PRAGMA integrity_check`
//! and `PRAGMA quick_check`, as it does with all it does not know to be a read. Asked as a table, which says the same, it
//! reads its own file.

use super::{BodyEncoding, VALUE_KEYS, protobuf};
use crate::hrana::json::has_escapes;
use crate::sqltext::quote;
use crate::sqltext::token::{TokenKind, significant_tokens};
use serde_json::Value;

/// The words that a question has.
const QUESTIONS: [&str; 2] = ["integrity_check", "quick_check"];

/// A body in which such questions are asked as a table; none if it has none.
pub fn rewrite_for_replica(format: BodyEncoding, body: &[u8]) -> Option<Vec<u8>> {
    match format {
        BodyEncoding::Json if mentions(body) || has_escapes(body) => {
            let mut json: Value = serde_json::from_slice(body).ok()?;
            rewrite_json(&mut json).then(|| json.to_string().into_bytes())
        }
        BodyEncoding::Protobuf(message) if mentions(body) => {
            let mut changed = false;
            let rewritten = protobuf::rewrite_sql(body, message, &mut |sql| {
                let other = as_table(sql)?;
                changed = true;
                Some(other)
            });
            rewritten.ok().filter(|_| changed)
        }
        // Messages in frames go to primaries.
        BodyEncoding::Json | BodyEncoding::Protobuf(_) | BodyEncoding::Grpc(_) => None,
    }
}

fn mentions(body: &[u8]) -> bool {
    memchr::memchr_iter(b'_', body).any(|at| {
        body.get(at..at + 6)
            .is_some_and(|word| word.eq_ignore_ascii_case(b"_check"))
    })
}

/// Rewrites every text that can be SQL. True if one was.
fn rewrite_json(json: &mut Value) -> bool {
    match json {
        Value::String(text) => match as_table(text) {
            Some(other) => {
                *text = other;
                true
            }
            None => false,
        },
        Value::Array(list) => list
            .iter_mut()
            .fold(false, |changed, item| rewrite_json(item) | changed),
        Value::Object(map) => map
            .iter_mut()
            .filter(|(key, _)| !VALUE_KEYS.contains(&key.as_str()))
            .fold(false, |changed, (_, item)| rewrite_json(item) | changed),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A statement that is such a question, as one about a table with the same answer.
fn as_table(sql: &str) -> Option<String> {
    let mut tokens = significant_tokens(sql).peekable();
    tokens.next_if(|token| is_word(token, "pragma"))?;
    let mut name = tokens.next()?;
    if is_word(&name, "main") && tokens.next_if(|token| is_symbol(token, ".")).is_some() {
        name = tokens.next()?;
    }
    let question = QUESTIONS.into_iter().find(|question| is_word(&name, question))?;
    let mut argument = String::new();
    if tokens.next_if(|token| is_symbol(token, "(")).is_some() {
        argument = format!("({})", to_literal(tokens.next()?)?);
        tokens.next_if(|token| is_symbol(token, ")"))?;
    } else if tokens.next_if(|token| is_symbol(token, "=")).is_some() {
        argument = format!("({})", to_literal(tokens.next()?)?);
    }
    tokens.next_if(|token| is_symbol(token, ";"));
    tokens
        .next()
        .is_none()
        .then(|| format!("SELECT * FROM pragma_{question}{argument}"))
}

fn is_word(token: &(TokenKind, &str), word: &str) -> bool {
    token.0 == TokenKind::Word && token.1.eq_ignore_ascii_case(word)
}

fn is_symbol(token: &(TokenKind, &str), symbol: &str) -> bool {
    *token == (TokenKind::Symbol, symbol)
}

/// A pragma's argument, which may be a name without quotes, as a literal.
fn to_literal((kind, text): (TokenKind, &str)) -> Option<String> {
    match kind {
        TokenKind::Word | TokenKind::QuotedName | TokenKind::String => Some(quote::literal(&quote::unquote(text))),
        TokenKind::Number => text.parse::<u32>().ok().map(|number| number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hrana::protobuf::fields::{field, put_number};
    use serde_json::json;

    #[test]
    fn replica_pragma_of_integrity_is_asked_as_a_table() {
        for (sql, expected) in [
            ("PRAGMA integrity_check", "SELECT * FROM pragma_integrity_check"),
            ("pragma main.Quick_Check ;", "SELECT * FROM pragma_quick_check"),
            (
                "/* now */ pragma integrity_check(7); -- all",
                "SELECT * FROM pragma_integrity_check(7)",
            ),
            ("pragma quick_check = t", "SELECT * FROM pragma_quick_check('t')"),
            (
                "pragma quick_check(\"o'clock\")",
                "SELECT * FROM pragma_quick_check('o''clock')",
            ),
            ("pragma quick_check('t')", "SELECT * FROM pragma_quick_check('t')"),
        ] {
            assert_eq!(as_table(sql).as_deref(), Some(expected), "{sql}");
        }
        for sql in [
            "select 1",
            "pragma integrity_check; select 1",
            "pragma temp.integrity_check",
            "pragma integrity_check(?)",
            "pragma integrity_check(1, 2)",
            "pragma cell_size_check",
            "pragma",
            "explain pragma integrity_check",
        ] {
            assert_eq!(as_table(sql), None, "{sql}");
        }
    }

    #[test]
    fn replica_pragma_body_without_an_integrity_check_is_unchanged() {
        let body = |sql: &str| json!({ "requests": [{ "type": "execute", "stmt": { "sql": sql } }] }).to_string();
        let ask = |body: &str| rewrite_for_replica(BodyEncoding::Json, body.as_bytes());
        assert_eq!(ask(&body("select 'x_check'")), None);
        let rewritten = ask(&body("pragma quick_check")).unwrap();
        assert_eq!(
            String::from_utf8(rewritten).unwrap(),
            body("SELECT * FROM pragma_quick_check")
        );
        // A value is no statement.
        let value = json!({ "args": [{ "type": "text", "value": "pragma quick_check" }] }).to_string();
        assert_eq!(ask(&value), None);
    }

    #[test]
    fn replica_pragma_in_protobuf_keeps_other_fields() {
        let mut body = field(2, b"pragma integrity_check");
        put_number(&mut body, 7, 300);
        let mut expected = field(2, b"SELECT * FROM pragma_integrity_check");
        put_number(&mut expected, 7, 300);
        assert_eq!(
            rewrite_for_replica(BodyEncoding::Protobuf(protobuf::DESCRIBE), &body),
            Some(expected)
        );
    }
}

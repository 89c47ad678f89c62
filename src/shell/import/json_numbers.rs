//! Numbers of JSON that its library cannot hold: integers beyond 64 bits, and reals beyond all, which torso itself writes for
//! infinities. They pass through it as marked texts.

use crate::sql::Value;
use std::borrow::Cow;

/// Begins the text of a number that the JSON library cannot hold: an integer beyond 64 bits, or a real beyond all.
const KEPT: &str = "\0number:";

/// The same as it stands in JSON.
const KEPT_IN_JSON: &str = "\"\\u0000number:";

/// An object's JSON with such numbers as marked texts, so that none loses its digits.
pub fn mark_exact_numbers(json: &[u8]) -> Cow<'_, [u8]> {
    let mut copy: Option<Vec<u8>> = None;
    let (mut at, mut copied, mut quoted) = (0, 0, false);
    while at < json.len() {
        match json[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'-' | b'0'..=b'9' if !quoted => {
                let length = json[at..]
                    .iter()
                    .position(|byte| !matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E' | b'0'..=b'9'))
                    .unwrap_or(json.len() - at);
                if let Some(number) = beyond(&json[at..at + length]) {
                    let text = copy.get_or_insert_default();
                    text.extend_from_slice(&json[copied..at]);
                    text.extend_from_slice(KEPT_IN_JSON.as_bytes());
                    text.extend_from_slice(number.as_bytes());
                    text.push(b'"');
                    copied = at + length;
                }
                at += length;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    match copy {
        Some(mut text) => {
            text.extend_from_slice(&json[copied..]);
            Cow::Owned(text)
        }
        None => Cow::Borrowed(json),
    }
}

/// A number that neither 64 bits nor a finite real can hold.
fn beyond(number: &[u8]) -> Option<&str> {
    // Shorter ones fit.
    if number.len() < 5 {
        return None;
    }
    let number = std::str::from_utf8(number).ok()?;
    let is_integer = !number.contains(['.', 'e', 'E']);
    let is_beyond = if is_integer {
        number.len() > 18 && number.parse::<i64>().is_err()
    } else {
        number.parse::<f64>().is_ok_and(f64::is_infinite)
    };
    is_beyond.then_some(number)
}

/// JSON with the numbers that were marked as numbers again.
pub fn without_marks(json: String) -> String {
    if !json.contains(KEPT_IN_JSON) {
        return json;
    }
    let mut parts = json.split(KEPT_IN_JSON);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(&part.replacen('"', "", 1));
    }
    plain
}

/// The value of a number that was marked; none for any other text. An integer keeps its digits, as text.
pub fn exact_number(text: &str) -> Option<Value> {
    let number = text.strip_prefix(KEPT)?;
    Some(if number.contains(['.', 'e', 'E']) {
        Value::Real(number.parse().ok()?)
    } else {
        Value::Text(number.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value as Json;

    #[test]
    fn json_numbers_beyond_the_types_keep_their_value() {
        let json =
            br#"{"a":1e999,"b":-1e999,"c":18446744073709551616,"d":9223372036854775807,"e":"1e999","f":1.5,"g":"\\"}"#;
        let object: Json = serde_json::from_slice(&mark_exact_numbers(json)).unwrap();
        let copy = |name: &str| object[name].as_str().and_then(exact_number);
        assert_eq!(copy("a"), Some(Value::Real(f64::INFINITY)));
        assert_eq!(copy("b"), Some(Value::Real(f64::NEG_INFINITY)));
        assert_eq!(copy("c"), Some(Value::Text("18446744073709551616".to_owned())));
        assert_eq!(object["d"], i64::MAX);
        assert_eq!(object["e"], "1e999");
        assert_eq!(object["f"], 1.5);
        let nested = r#"[1e999,{"b":-99999999999999999999}]"#;
        let array: Json = serde_json::from_slice(&mark_exact_numbers(nested.as_bytes())).unwrap();
        assert_eq!(without_marks(array.to_string()), nested);
    }
}

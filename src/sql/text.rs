//! Values as text, and as SQL literals.

use super::Value;
use super::number::push_rounded;
use crate::sqltext::quote::literal;

/// A value as text, as `sqlite3_column_text` returns it: NULL is empty, bytes that are not UTF-8 are replaced.
#[must_use]
pub fn value_to_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => {
            let mut text = Vec::new();
            push_rounded(&mut text, *number);
            String::from_utf8_lossy(&text).into_owned()
        }
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// A value as an SQL literal, with reals as the engine shows them.
#[must_use]
pub fn value_to_literal(value: &Value) -> String {
    use std::fmt::Write;
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Text(text) => literal(text),
        Value::Blob(bytes) => {
            let mut text = String::from("x'");
            for byte in bytes {
                // Writing to a String cannot fail.
                let _ = write!(text, "{byte:02x}");
            }
            text.push('\'');
            text
        }
        number => value_to_text(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_value_is_what_sqlite_returns() {
        for (value, text) in [
            (Value::Null, ""),
            (Value::Integer(-7), "-7"),
            (Value::Real(2.0), "2.0"),
            (Value::Text("a".to_owned()), "a"),
            (Value::Blob(b"b".to_vec()), "b"),
        ] {
            assert_eq!(value_to_text(&value), text);
        }
    }
}

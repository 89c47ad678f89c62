//! Names and texts in quotes, and without them.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Returns a text as an SQL string literal.
#[must_use]
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns a name as a quoted SQL identifier.
#[must_use]
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns an expression for a text that no literal can hold: one with a NUL, or with bytes that are not UTF-8.
#[must_use]
pub fn cast_from_blob(text: &[u8]) -> String {
    let mut sql = String::with_capacity(text.len() * 2 + 18);
    sql.push_str("CAST(x'");
    for byte in text {
        // Writing to a String cannot fail.
        let _ = write!(sql, "{byte:02x}");
    }
    sql.push_str("' AS TEXT)");
    sql
}

/// Whether SQLite takes a word for a keyword.
#[must_use]
pub fn is_keyword(word: &[u8]) -> bool {
    // No keyword has fewer letters, and the table cannot be asked for fewer.
    word.len() >= 2 && sqlite3_parser::dialect::keyword_token(word).is_some()
}

/// Returns a name or a text without its quotes, in which the doubled ones are single. What has none, or does not end with
/// the one that it begins with, is returned as it is.
#[must_use]
pub fn unquote(name: &str) -> Cow<'_, str> {
    let bytes = name.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
        return Cow::Borrowed(name);
    };
    let quote = match first {
        b'[' => b']',
        b'"' | b'\'' | b'`' => first,
        _ => return Cow::Borrowed(name),
    };
    if bytes.len() < 2 || last != quote {
        return Cow::Borrowed(name);
    }
    let inner = &name[1..name.len() - 1];
    let quote = char::from(quote);
    if first != b'[' && inner.contains(quote) {
        let doubled: String = [quote, quote].iter().collect();
        return Cow::Owned(inner.replace(&doubled, &quote.to_string()));
    }
    Cow::Borrowed(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quote_inside_a_quoted_text_is_doubled() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(cast_from_blob(b"a\0\xff"), "CAST(x'6100ff' AS TEXT)");
    }

    #[test]
    fn unquoted_name_is_one_that_the_engine_reads() {
        for (written, name) in [
            ("a", "a"),
            ("\"a\"\"b\"", "a\"b"),
            ("[a\"b]", "a\"b"),
            ("`A`", "A"),
            ("'a''b'", "a'b"),
            ("''", ""),
            ("\"", "\""),
            ("", ""),
        ] {
            assert_eq!(unquote(written), name, "{written}");
        }
    }
}

//! Takes `INSERT INTO t VALUES(1,'a',NULL);` apart into what comes before the values, and the values.
//!
//! Most statements of a dump look like that. Once an engine has prepared one, the next need not be parsed: only their
//! values differ. Any other statement (with expressions, comments, several rows, further clauses) is not taken apart.

use super::split::{Piece, pieces};
use std::borrow::Cow;

/// A literal, as it is written.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal<'s> {
    Null,
    Integer(i64),
    /// A number that is not an integer, or too large for one: its digits, without the sign. Converting them is left to
    /// the engine.
    Real {
        negative: bool,
        digits: &'s str,
    },
    Text(Cow<'s, str>),
    Blob(Vec<u8>),
}

/// Where the values of a statement begin: after `VALUES(`. None if it is not an `INSERT` of values.
#[must_use]
pub fn values_start(sql: &str) -> Option<usize> {
    let (mut at, mut depth, mut words) = (0, 0_usize, 0);
    let mut opens = false;
    for (piece, text) in pieces(sql) {
        at += text.len();
        match (piece, text) {
            (Piece::Blank, _) => {
                // White space may follow anywhere; a comment means that the statement is not plain.
                if !text.trim_ascii().is_empty() {
                    return None;
                }
                continue;
            }
            (Piece::Other, "(") if opens => return Some(at),
            (Piece::Other, "(") => depth += 1,
            (Piece::Other, ")") => depth = depth.checked_sub(1)?,
            (Piece::Other, ";") => return None,
            (Piece::Word, word) if depth == 0 => {
                let is = |name: &str| word.eq_ignore_ascii_case(name);
                words += 1;
                if words == 1 && !is("INSERT") && !is("REPLACE") || is("SELECT") || is("DEFAULT") || is("WITH") {
                    return None;
                }
                opens = is("VALUES");
                continue;
            }
            _ => {}
        }
        opens = false;
    }
    None
}

/// The literals from the start of `text` to the parenthesis that closes them, and how many bytes they take with it and with
/// the `;` that ends the statement. None where something else is among them, or follows.
#[must_use]
pub fn literals(text: &str) -> Option<(Vec<Literal<'_>>, usize)> {
    let mut values = Vec::with_capacity(16);
    let mut rest = text;
    loop {
        let (value, after) = literal(rest.trim_ascii_start())?;
        values.push(value);
        let after = after.trim_ascii_start();
        match after.as_bytes().first()? {
            b',' => rest = &after[1..],
            b')' => {
                let after = after[1..].trim_ascii_start();
                return match after.as_bytes().first() {
                    None => Some((values, text.len())),
                    Some(b';') => Some((values, text.len() - after.len() + 1)),
                    Some(_) => None,
                };
            }
            _ => return None,
        }
    }
}

/// Reads one literal; returns it and what follows it.
fn literal(text: &str) -> Option<(Literal<'_>, &str)> {
    match *text.as_bytes().first()? {
        b'\'' => quoted(&text[1..]).map(|(text, rest)| (Literal::Text(text), rest)),
        b'x' | b'X' if text.as_bytes().get(1) == Some(&b'\'') => {
            let (digits, rest) = quoted(&text[2..])?;
            Some((Literal::Blob(bytes(digits.as_bytes())?), rest))
        }
        b'n' | b'N' if text.get(..4)?.eq_ignore_ascii_case("NULL") => {
            let rest = &text[4..];
            ends_word(rest).then_some((Literal::Null, rest))
        }
        b'-' => number(&text[1..], true),
        _ => number(text, false),
    }
}

/// Whether a number or keyword before `rest` is complete.
fn ends_word(rest: &str) -> bool {
    matches!(
        rest.as_bytes().first(),
        None | Some(b',' | b')' | b' ' | b'\t' | b'\n' | b'\r')
    )
}

/// Reads a text, from after its opening quote. One with a NUL, which would end the whole statement, is refused.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut at = 0;
    let mut doubled = false;
    loop {
        at += memchr::memchr2(b'\'', 0, &text.as_bytes()[at..])?;
        if text.as_bytes()[at] == 0 {
            return None;
        }
        if text.as_bytes().get(at + 1) == Some(&b'\'') {
            doubled = true;
            at += 2;
            continue;
        }
        let inner = &text[..at];
        let inner = if doubled {
            Cow::Owned(inner.replace("''", "'"))
        } else {
            Cow::Borrowed(inner)
        };
        return Some((inner, &text[at + 1..]));
    }
}

/// The bytes that hexadecimal digits stand for.
fn bytes(digits: &[u8]) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digits
        .chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

fn number(text: &str, negative: bool) -> Option<(Literal<'_>, &str)> {
    let bytes = text.as_bytes();
    let digits_from = |at: usize| bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits_from(0);
    let mut end = whole;
    let mut real = false;
    if bytes.get(end) == Some(&b'.') {
        real = true;
        let fraction = digits_from(end + 1);
        if whole + fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    }
    if end > 0 && matches!(bytes.get(end), Some(b'e' | b'E')) {
        real = true;
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits_from((end + 1 + sign).min(bytes.len()));
        if exponent == 0 {
            return None;
        }
        end += 1 + sign + exponent;
    }
    let (digits, rest) = text.split_at(end);
    if end == 0 || !ends_word(rest) {
        return None;
    }
    let integer = if real {
        None
    } else if negative {
        // Parsed with the sign: the lowest integer has no positive counterpart.
        digits
            .parse::<u64>()
            .ok()
            .and_then(|number| 0_i64.checked_sub_unsigned(number))
    } else {
        digits.parse().ok()
    };
    let value = integer.map_or(Literal::Real { negative, digits }, Literal::Integer);
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes before the values, the values, and what follows the statement.
    fn apart(sql: &str) -> Option<(&str, Vec<Literal<'_>>, &str)> {
        let start = values_start(sql)?;
        let (values, length) = literals(&sql[start..])?;
        Some((&sql[..start], values, &sql[start + length..]))
    }

    #[test]
    fn rows_of_dumps_are_taken_apart() {
        let sql = "INSERT INTO \"a (\"(rowid, b) VALUES(1,-2, 'it''s;' ,x'00fF',NULL,1.5,-1e-3,9223372036854775808) ; SELECT 1";
        let real = |negative, digits| Literal::Real { negative, digits };
        let values = vec![
            Literal::Integer(1),
            Literal::Integer(-2),
            Literal::Text("it's;".into()),
            Literal::Blob(vec![0, 255]),
            Literal::Null,
            real(false, "1.5"),
            real(true, "1e-3"),
            real(false, "9223372036854775808"),
        ];
        assert_eq!(
            apart(sql),
            Some(("INSERT INTO \"a (\"(rowid, b) VALUES(", values, " SELECT 1"))
        );
        let lowest = apart("replace into main.t values (-9223372036854775808)").unwrap();
        assert_eq!(lowest.1, [Literal::Integer(i64::MIN)]);
    }

    #[test]
    fn what_is_not_that_plain_is_left_alone() {
        for sql in [
            "",
            "SELECT 1",
            "INSERT INTO t DEFAULT VALUES;",
            "INSERT INTO t SELECT * FROM (VALUES(1));",
            "WITH x AS (SELECT 1) INSERT INTO t VALUES(1);",
            "INSERT INTO t VALUES(1),(2);",
            "INSERT INTO t VALUES(1) RETURNING a;",
            "INSERT INTO t VALUES(1) ON CONFLICT DO NOTHING;",
            "INSERT INTO t VALUES(1 + 1);",
            "INSERT INTO t VALUES(a);",
            "INSERT INTO t VALUES(\"a\");",
            "INSERT INTO t VALUES(?);",
            "INSERT INTO t VALUES();",
            "INSERT INTO t VALUES(1,);",
            "INSERT INTO t VALUES(nullx);",
            "INSERT INTO t VALUES(0x10);",
            "INSERT INTO t VALUES(1_000);",
            "INSERT INTO t VALUES(1e);",
            "INSERT INTO t VALUES(.);",
            "INSERT INTO t VALUES(--1\n1);",
            "INSERT INTO t VALUES(- 1);",
            "INSERT INTO t VALUES('a' 'b');",
            "INSERT INTO t VALUES('a\0b');",
            "INSERT INTO t VALUES(x'0');",
            "INSERT INTO t VALUES(x'0g');",
            "INSERT INTO t VALUES('a);",
            "INSERT INTO t VALUES(1",
            "INSERT /* c */ INTO t VALUES(1);",
        ] {
            assert_eq!(apart(sql), None, "{sql}");
        }
    }
}

//! Takes `INSERT INTO t VALUES(1,'a',NULL);` apart into what comes before the values, and the values.
//!
//! Most statements of a dump look like that. Once an engine has prepared one, the next need not be parsed: only their
//! values differ. Any other statement (with expressions, comments, several rows, further clauses) is not taken apart.

use super::quote::unquote;
use super::token::{TokenKind, next_token, tokens};
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
    let (mut at, mut depth, mut begun) = (0, 0_usize, false);
    let mut opens = false;
    for (kind, text) in tokens(sql) {
        at += text.len();
        match (kind, text) {
            // A comment means that the statement is not plain, and a byte order mark is none of ours.
            (TokenKind::Comment, _) => return None,
            (TokenKind::Space, space) if space.trim_ascii().is_empty() => continue,
            (TokenKind::Word, word) if depth == 0 => {
                let is = |name: &str| word.eq_ignore_ascii_case(name);
                if !begun && !is("INSERT") && !is("REPLACE") || is("SELECT") || is("DEFAULT") || is("WITH") {
                    return None;
                }
                begun = true;
                opens = is("VALUES");
                continue;
            }
            _ if !begun => return None,
            (TokenKind::Symbol, "(") if opens => return Some(at),
            (TokenKind::Symbol, "(") => depth += 1,
            (TokenKind::Symbol, ")") => depth = depth.checked_sub(1)?,
            (TokenKind::Symbol, ";") => return None,
            _ => {}
        }
        opens = false;
    }
    None
}

/// The literals from the start of `text` to the parenthesis that closes them, and how many bytes they take with it and with
/// the `;` that ends the statement. None where something else is among them, or follows.
#[must_use]
pub fn read_literals(text: &str) -> Option<(Vec<Literal<'_>>, usize)> {
    let mut values = Vec::with_capacity(16);
    let mut rest = text;
    loop {
        let (value, after) = read_literal(rest.trim_ascii_start())?;
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
fn read_literal(text: &str) -> Option<(Literal<'_>, &str)> {
    let unsigned = text.strip_prefix('-');
    let (token, after) = next_token(unsigned.unwrap_or(text).as_bytes())?;
    // A token of these kinds ends at a character's end.
    let (written, rest) = unsigned.unwrap_or(text).split_at_checked(token.text.len())?;
    debug_assert_eq!(rest.len(), after.len());
    let literal = match token.kind {
        TokenKind::Number => {
            return read_number(written, unsigned.is_some())
                .filter(|_| ends_word(rest))
                .map(|number| (number, rest));
        }
        _ if unsigned.is_some() => return None,
        TokenKind::Word if written.eq_ignore_ascii_case("NULL") && ends_word(rest) => Literal::Null,
        // A NUL would end the whole statement.
        TokenKind::String if memchr::memchr(0, token.text).is_none() => Literal::Text(unquote(written)),
        TokenKind::Blob => Literal::Blob(bytes(token.quoted()?)?),
        _ => return None,
    };
    Some((literal, rest))
}

/// Whether a number or keyword before `rest` is complete.
fn ends_word(rest: &str) -> bool {
    matches!(
        rest.as_bytes().first(),
        None | Some(b',' | b')' | b' ' | b'\t' | b'\n' | b'\r')
    )
}

/// A number in decimal digits; none in another notation.
fn read_number(digits: &str, negative: bool) -> Option<Literal<'_>> {
    if digits.bytes().any(|byte| matches!(byte, b'x' | b'X' | b'_')) {
        return None;
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        // Parsed with the sign: the lowest integer has no positive counterpart.
        let integer = if negative {
            digits
                .parse::<u64>()
                .ok()
                .and_then(|number| 0_i64.checked_sub_unsigned(number))
        } else {
            digits.parse().ok()
        };
        if let Some(integer) = integer {
            return Some(Literal::Integer(integer));
        }
    }
    Some(Literal::Real { negative, digits })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes before the values, the values, and what follows the statement.
    fn apart(sql: &str) -> Option<(&str, Vec<Literal<'_>>, &str)> {
        let start = values_start(sql)?;
        let (values, length) = read_literals(&sql[start..])?;
        Some((&sql[..start], values, &sql[start + length..]))
    }

    #[test]
    fn insert_rows_of_a_dump_are_taken_apart() {
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
    fn insert_that_is_not_plain_is_left_alone() {
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

//! Translates SQL that some programs write into dumps and some engines do not understand.
//!
//! `sqlite3` 3.50 and later write control characters by `unistr('…')`, a function that libSQL does not have; 3.53 writes
//! infinite reals as `Inf`, which nothing reads, not even itself. Neither can mean anything else in the `VALUES` of an
//! `INSERT`.

use super::quote::{cast_from_blob, literal, unquote};
use super::token::{TokenKind, tokens};

/// `sql` without calls of `unistr` on a literal. None where there are none.
#[must_use]
pub fn without_unistr(sql: &str) -> Option<String> {
    memchr::memchr2_iter(b'u', b'U', sql.as_bytes()).find(|&at| is_call(sql.as_bytes(), at))?;
    rewrite(sql, |tokens, at| {
        if !tokens[at].1.eq_ignore_ascii_case("unistr") {
            return None;
        }
        let mut rest = tokens[at + 1..]
            .iter()
            .enumerate()
            .filter(|(_, (kind, _))| !matches!(kind, TokenKind::Space | TokenKind::Comment));
        let (_, (_, open)) = rest.next()?;
        let (_, (kind, literal)) = rest.next()?;
        let (last, (_, close)) = rest.next()?;
        if *open != "(" || *close != ")" || *kind != TokenKind::String {
            return None;
        }
        let text = unescape(&unquote(literal))?;
        Some((at + 1 + last, text_expression(&text)))
    })
}

fn is_call(sql: &[u8], at: usize) -> bool {
    sql.len() >= at + 6 && sql[at..at + 6].eq_ignore_ascii_case(b"unistr")
}

/// An `INSERT … VALUES` with numbers in place of `Inf`. None where it has no such word, or is something else.
#[must_use]
pub fn with_numbers_for_inf(sql: &str) -> Option<String> {
    let mut values = false;
    rewrite(sql, |tokens, at| {
        let (kind, text) = tokens[at];
        let is_blank = matches!(kind, TokenKind::Space | TokenKind::Comment);
        if at == 0 && !text.eq_ignore_ascii_case("insert") && !is_blank {
            return None;
        }
        values |= text.eq_ignore_ascii_case("values");
        (values && kind == TokenKind::Word && text.eq_ignore_ascii_case("inf")).then(|| (at, "1e999".to_owned()))
    })
    .filter(|_| {
        sql.trim_start()
            .get(..6)
            .is_some_and(|word| word.eq_ignore_ascii_case("insert"))
    })
}

/// Rewrites the tokens of `sql`. Where `change` returns a text, it replaces the tokens up to the index returned with it.
fn rewrite<'s>(
    sql: &'s str,
    mut change: impl FnMut(&[(TokenKind, &'s str)], usize) -> Option<(usize, String)>,
) -> Option<String> {
    let tokens: Vec<(TokenKind, &str)> = tokens(sql).collect();
    let mut text = String::with_capacity(sql.len());
    let mut changed = false;
    let mut at = 0;
    while at < tokens.len() {
        match change(&tokens, at) {
            Some((last, new)) => {
                changed = true;
                text.push_str(&new);
                at = last + 1;
            }
            None => {
                text.push_str(tokens[at].1);
                at += 1;
            }
        }
    }
    changed.then_some(text)
}

/// What `unistr` makes of a text: `\\` for a backslash, and characters by four digits behind `\` or `\u`, six behind `\+`, eight behind `\U`.
/// None where it would refuse the text.
fn unescape(text: &str) -> Option<String> {
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        made.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (skip, digits) = match rest.as_bytes().first()? {
            b'\\' => {
                made.push('\\');
                rest = &rest[1..];
                continue;
            }
            b'u' => (1, 4),
            b'+' => (1, 6),
            b'U' => (1, 8),
            _ => (0, 4),
        };
        let code = rest.get(skip..skip + digits)?;
        if !code.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        made.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
        rest = &rest[skip + digits..];
    }
    made.push_str(rest);
    Some(made)
}

/// A text as an SQL expression. SQL text cannot hold a NUL.
fn text_expression(text: &str) -> String {
    if text.contains('\0') {
        cast_from_blob(text.as_bytes())
    } else {
        literal(text)
    }
}

#[cfg(test)]
mod tests;

//! Translates SQL that some programs write into dumps and some engines do not understand.
//!
//! `sqlite3` 3.50 and later write control characters by `unistr('…')`, a function that libSQL does not have; 3.53 writes
//! infinite reals as `Inf`, which nothing reads, not even itself. Neither can mean anything else in the `VALUES` of an
//! `INSERT`.

use super::quote::{cast_from_blob, literal};
use super::split::{Piece, pieces};

/// `sql` without calls of `unistr` on a literal. None where there are none.
#[must_use]
pub fn without_unistr(sql: &str) -> Option<String> {
    memchr::memchr2_iter(b'u', b'U', sql.as_bytes()).find(|&at| is_call(sql.as_bytes(), at))?;
    rewritten(sql, |pieces, at| {
        if !pieces[at].1.eq_ignore_ascii_case("unistr") {
            return None;
        }
        let mut rest = pieces[at + 1..]
            .iter()
            .enumerate()
            .filter(|(_, (piece, _))| *piece != Piece::Blank);
        let (_, (_, open)) = rest.next()?;
        let (_, (_, literal)) = rest.next()?;
        let (last, (_, close)) = rest.next()?;
        if *open != "(" || *close != ")" || literal.len() < 2 || !literal.starts_with('\'') || !literal.ends_with('\'')
        {
            return None;
        }
        let text = unescaped(&literal[1..literal.len() - 1].replace("''", "'"))?;
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
    rewritten(sql, |pieces, at| {
        let (piece, text) = pieces[at];
        if at == 0 && !text.eq_ignore_ascii_case("insert") && piece != Piece::Blank {
            return None;
        }
        values |= text.eq_ignore_ascii_case("values");
        (values && piece == Piece::Word && text.eq_ignore_ascii_case("inf")).then(|| (at, "1e999".to_owned()))
    })
    .filter(|_| {
        sql.trim_start()
            .get(..6)
            .is_some_and(|word| word.eq_ignore_ascii_case("insert"))
    })
}

/// Rewrites the pieces of `sql`. Where `change` returns a text, it replaces the pieces up to the index returned with
/// it.
fn rewritten<'s>(
    sql: &'s str,
    mut change: impl FnMut(&[(Piece, &'s str)], usize) -> Option<(usize, String)>,
) -> Option<String> {
    let pieces: Vec<(Piece, &str)> = pieces(sql).collect();
    let mut text = String::with_capacity(sql.len());
    let mut changed = false;
    let mut at = 0;
    while at < pieces.len() {
        match change(&pieces, at) {
            Some((last, new)) => {
                changed = true;
                text.push_str(&new);
                at = last + 1;
            }
            None => {
                text.push_str(pieces[at].1);
                at += 1;
            }
        }
    }
    changed.then_some(text)
}

/// What `unistr` makes of a text: `\\` for a backslash, and characters by four digits behind `\` or `\u`, six behind `\+`, eight behind `\U`.
/// None where it would refuse the text.
fn unescaped(text: &str) -> Option<String> {
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

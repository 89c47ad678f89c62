//! Translates SQL that some programs write into dumps and some engines do not understand.
//!
//! `sqlite3` 3.50 and later write control characters by `unistr('…')`, a function that libSQL does not have; 3.53 writes
//! infinite reals as `Inf`, which nothing reads, not even itself. Neither can mean anything else in the `VALUES` of an
//! `INSERT`.

use super::split::{Piece, pieces};
use std::fmt::Write as _;

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
        Some((at + 1 + last, written(&text)))
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

/// A text as an SQL expression. One with a NUL, which SQL text cannot hold, is cast from a blob.
fn written(text: &str) -> String {
    if !text.contains('\0') {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut hex = String::from("CAST(x'");
    for byte in text.bytes() {
        let _ = write!(hex, "{byte:02x}");
    }
    hex.push_str("' AS TEXT)");
    hex
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Args, Flow, Sink, Target, ValueRef, open};
    use proptest::prelude::*;

    #[test]
    fn calls_of_unistr_become_literals() {
        for (sql, expected) in [
            (
                r"INSERT INTO t VALUES(1,unistr('a\u000ab''\\ \0009\+01f600'),'unistr(''x'')');",
                Some("INSERT INTO t VALUES(1,'a\nb''\\ \t😀','unistr(''x'')');"),
            ),
            (
                r"select UNISTR ( /* x */ '\u0000' )",
                Some("select CAST(x'00' AS TEXT)"),
            ),
            (r"select unistr('\u00')", None),
            (r"select unistr('\ud800')", None),
            ("select unistr(a), 'unistr'", None),
            ("insert into unistr values('x')", None),
        ] {
            assert_eq!(without_unistr(sql).as_deref(), expected, "{sql}");
        }
    }

    #[test]
    fn infinities_become_numbers_where_nothing_else_can_be_meant() {
        for (sql, expected) in [
            (
                "INSERT INTO inf(inf) VALUES(Inf,-Inf,'Inf',\"Inf\");",
                Some("INSERT INTO inf(inf) VALUES(1e999,-1e999,'Inf',\"Inf\");"),
            ),
            ("INSERT INTO t SELECT inf FROM u", None),
            ("UPDATE t SET a = inf", None),
        ] {
            assert_eq!(with_numbers_for_inf(sql).as_deref(), expected, "{sql}");
        }
    }

    struct Text(Vec<u8>);

    impl Sink for Text {
        fn row(&mut self, row: &[ValueRef<'_>]) -> std::io::Result<Flow> {
            if let ValueRef::Text(text) = row[0] {
                self.0 = text.to_vec();
            }
            Ok(Flow::Continue)
        }
    }

    proptest! {
        /// The engine that is built in has the function.
        #[test]
        fn a_literal_means_what_the_call_meant(text in "[a-z'\\\\\u{1}-\u{20}é日]{0,12}") {
            let mut escaped = String::new();
            for character in text.chars() {
                match character {
                    '\\' => escaped.push_str("\\\\"),
                    '\'' => escaped.push_str("''"),
                    control if control < ' ' => escaped.push_str(&format!("\\u{:04x}", u32::from(control))),
                    other => escaped.push(other),
                }
            }
            let call = format!("SELECT unistr('{escaped}')");
            let mut session = open(&Target::Memory).unwrap();
            for sql in [without_unistr(&call).unwrap(), call] {
                let mut got = Text(Vec::new());
                session.run(&sql, &Args::default(), &mut got).unwrap();
                prop_assert_eq!(String::from_utf8_lossy(&got.0), text.as_str());
            }
        }
    }
}

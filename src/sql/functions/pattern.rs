//! `regexp` and `regexpi`, the functions behind `X REGEXP Y`, and the `uint` collation.
//!
//! Patterns are matched by `regex-lite`. What scripts use is common to its syntax and the `sqlite3` shell's: `. * + ?
//! {p,q} | ( ) [ ] ^ $ \d \s \w \b`.

use super::{PURE, refused, text};
use regex_lite::{Regex, RegexBuilder};
use rusqlite::functions::Context;
use rusqlite::{Connection, Result};
use std::cmp::Ordering;

/// Whether the second argument contains the pattern that is the first.
fn matches(context: &Context<'_>, ignore_case: bool) -> Result<Option<bool>> {
    let (Some(pattern), Some(subject)) = (text(context.get_raw(0)), text(context.get_raw(1))) else {
        return Ok(None);
    };
    // Compiled once for a statement, as long as the pattern stays the same.
    let compiled = context.get_or_create_aux(
        0,
        |_| -> std::result::Result<Regex, Box<dyn std::error::Error + Send + Sync>> {
            Ok(RegexBuilder::new(&String::from_utf8_lossy(&pattern))
                .case_insensitive(ignore_case)
                .build()?)
        },
    );
    match compiled {
        Ok(regex) => Ok(Some(regex.is_match(&String::from_utf8_lossy(&subject)))),
        Err(error) => Err(refused(error.to_string())),
    }
}

/// Digits compare by the number they make, everything else by bytes.
fn compare_numbers(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let (mut i, mut j) = (0, 0);
    while let (Some(&a), Some(&b)) = (left.get(i), right.get(j)) {
        if a.is_ascii_digit() && b.is_ascii_digit() {
            let (a, after_a) = number(left, i);
            let (b, after_b) = number(right, j);
            match a.len().cmp(&b.len()).then_with(|| a.cmp(b)) {
                Ordering::Equal => (i, j) = (after_a, after_b),
                other => return other,
            }
        } else {
            match a.cmp(&b) {
                Ordering::Equal => (i, j) = (i + 1, j + 1),
                other => return other,
            }
        }
    }
    (left.len() - i).cmp(&(right.len() - j))
}

/// The digits at `at` without leading zeros, and where they end.
fn number(text: &[u8], at: usize) -> (&[u8], usize) {
    let end = text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count() + at;
    let zeros = text[at..end].iter().take_while(|&&byte| byte == b'0').count();
    (&text[at + zeros..end], end)
}

pub(super) fn register(connection: &Connection) -> Result<()> {
    connection.create_scalar_function("regexp", 2, PURE, |context| matches(context, false))?;
    connection.create_scalar_function("regexpi", 2, PURE, |context| matches(context, true))?;
    connection.create_collation("uint", compare_numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collation_of_numbers_in_text_is_numeric() {
        assert_eq!(compare_numbers("a9", "a10"), Ordering::Less);
        assert_eq!(compare_numbers("a007", "a7"), Ordering::Equal);
        assert_eq!(compare_numbers("a", "ab"), Ordering::Less);
        assert_eq!(compare_numbers("2b", "10a"), Ordering::Less);
    }
}

//! The words of a dot-command, and the numbers and switches among them.
//!
//! Everything is as the `sqlite3` shell reads it: `'…'` is literal, everything else may contain C escapes, numbers may be
//! hexadecimal and may carry a unit.

#[cfg(test)]
mod fuzz;

use crate::sqltext::token::is_space;

/// More words than this are ignored.
const MOST: usize = 51;

/// A word of a line: where it is, without its quotes, and where the next may begin.
struct Word {
    start: usize,
    end: usize,
    quote: Option<u8>,
    after: usize,
}

/// The word at or after `at`.
fn next_word(line: &[u8], mut at: usize) -> Option<Word> {
    while at < line.len() && is_space(line[at]) {
        at += 1;
    }
    let first = *line.get(at)?;
    let quote = matches!(first, b'\'' | b'"').then_some(first);
    let start = at + usize::from(quote.is_some());
    at = start;
    match quote {
        Some(quote) => {
            while at < line.len() && line[at] != quote {
                if line[at] == b'\\' && quote == b'"' && at + 1 < line.len() {
                    at += 1;
                }
                at += 1;
            }
        }
        None => {
            while at < line.len() && !is_space(line[at]) {
                at += 1;
            }
        }
    }
    let end = at.min(line.len());
    Some(Word {
        start,
        end,
        quote,
        after: at + 1,
    })
}

/// Splits a dot-command, given without its leading dot.
#[must_use]
pub fn split(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut at = 0;
    while words.len() < MOST {
        let Some(word) = next_word(line, at) else { break };
        let text = &line[word.start..word.end];
        words.push(match word.quote {
            Some(b'\'') => text.to_vec(),
            _ => unescape(text),
        });
        at = word.after;
    }
    words
}

/// What comes after so many words, as it was typed.
#[must_use]
pub fn after(line: &[u8], words: usize) -> &[u8] {
    let at = (0..words).try_fold(0, |at, _| next_word(line, at).map(|word| word.after));
    line.get(at.unwrap_or(line.len())..).unwrap_or_default().trim_ascii()
}

/// Replaces C escapes. A NUL ends the word.
#[must_use]
pub fn unescape(word: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(word.len());
    let mut rest = word.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        let Some(escaped) = rest.next() else {
            plain.push(byte);
            break;
        };
        plain.push(match escaped {
            b'a' => 0x07,
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 0x0b,
            b'f' => 0x0c,
            b'r' => b'\r',
            digit @ b'0'..=b'7' => {
                let mut value = digit - b'0';
                for _ in 0..2 {
                    let Some(next) = rest.next_if(|next| matches!(next, b'0'..=b'7')) else {
                        break;
                    };
                    value = value.wrapping_shl(3).wrapping_add(next - b'0');
                }
                value
            }
            // As in the newer ones of the generation; before 3.42 it stands for itself.
            b'x' => {
                let mut digit = || rest.next_if(u8::is_ascii_hexdigit).map(hex_digit);
                match digit() {
                    Some(first) => digit().map_or(first, |second| 16 * first + second),
                    None => b'x',
                }
            }
            other => other,
        });
    }
    if let Some(nul) = plain.iter().position(|&byte| byte == 0) {
        plain.truncate(nul);
    }
    plain
}

fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// A number: decimal or `0x…`, with a sign and a unit (`K`, `MB`, `GiB`…). What is not a number is 0.
#[must_use]
pub fn integer(word: &str) -> i64 {
    const UNITS: [(&str, i64); 9] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("K", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
    ];
    let (negative, digits) = match word.as_bytes().first() {
        Some(b'-') => (true, &word[1..]),
        Some(b'+') => (false, &word[1..]),
        _ => (false, word),
    };
    let (mut value, rest) = match digits.strip_prefix("0x") {
        Some(hex) => take_digits(hex, 16),
        None => take_digits(digits, 10),
    };
    if let Some((_, factor)) = UNITS.iter().find(|(unit, _)| unit.eq_ignore_ascii_case(rest)) {
        value = value.wrapping_mul(*factor);
    }
    if negative { value.wrapping_neg() } else { value }
}

fn take_digits(text: &str, radix: u32) -> (i64, &str) {
    let mut value: i64 = 0;
    for (at, letter) in text.char_indices() {
        match letter.to_digit(radix) {
            Some(digit) => {
                value = value.wrapping_mul(i64::from(radix)).wrapping_add(i64::from(digit));
            }
            None => return (value, &text[at..]),
        }
    }
    (value, "")
}

/// A switch: a number, or `on`, `off`, `yes`, `no`. None if it is neither.
#[must_use]
pub fn switch(word: &str) -> Option<i32> {
    let hex = word
        .strip_prefix("0x")
        .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if hex || (!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())) {
        #[allow(clippy::cast_possible_truncation)] // as classic does: the low 32 bits
        return Some(integer(word) as i32);
    }
    match word.to_ascii_lowercase().as_str() {
        "on" | "yes" => Some(1),
        "off" | "no" => Some(0),
        _ => None,
    }
}

/// Whether `word` is the option `name`, with one dash or two.
#[must_use]
pub fn is_option(word: &str, name: &str) -> bool {
    word.strip_prefix("--").or_else(|| word.strip_prefix('-')) == Some(name)
}

/// A word with `~` or `~/…` as the home directory, where that is known.
#[must_use]
pub fn expand_home(word: &str) -> String {
    let rest = match word.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => return word.to_owned(),
    };
    match std::env::home_dir().and_then(|home| home.to_str().map(str::to_owned)) {
        Some(home) => format!("{}{rest}", home.trim_end_matches('/')),
        None => word.to_owned(),
    }
}

/// A C string literal, as classic shows separators.
#[must_use]
pub fn c_literal(text: &str) -> String {
    use std::fmt::Write as _;
    let mut literal = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'\\' | b'"' => {
                literal.push('\\');
                literal.push(char::from(byte));
            }
            b'\t' => literal.push_str("\\t"),
            b'\n' => literal.push_str("\\n"),
            b'\r' => literal.push_str("\\r"),
            0x20..=0x7e => literal.push(char::from(byte)),
            other => {
                let _ = write!(literal, "\\{other:03o}");
            }
        }
    }
    literal.push('"');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        split(line.as_bytes())
            .into_iter()
            .map(|word| String::from_utf8(word).unwrap())
            .collect()
    }

    #[test]
    fn words_are_split_and_unescaped() {
        assert_eq!(words("mode  csv "), ["mode", "csv"]);
        assert_eq!(words(r#"print 'a\tb' "a\tb" a\x"#), ["print", r"a\tb", "a\tb", "ax"]);
        assert_eq!(words(r#"print "\x3f\x4A\x9\xg""#), ["print", "?J\txg"]);
        assert_eq!(
            words(r#"print "a \"b\" c"d e"#),
            ["print", "a \"b\" c", "d", "e"].map(str::to_owned)
        );
        assert_eq!(words(r"sep \037 \101"), ["sep", "\x1f", "A"]);
        assert_eq!(words("open 'unclosed"), ["open", "unclosed"]);
        assert_eq!(words(r#"a "\"#), ["a", "\\"]);
        assert!(words("   ").is_empty());
    }

    #[test]
    fn words_leave_the_rest_of_a_line_as_typed() {
        assert_eq!(
            after(b"query save 'a b'  select 'x', \"y\\n\" ", 3),
            b"select 'x', \"y\\n\""
        );
        assert_eq!(after(b"query list", 2), b"");
        assert_eq!(after(b"query", 3), b"");
    }

    #[test]
    fn word_values_are_parsed_as_numbers_and_switches() {
        assert_eq!(integer("12"), 12);
        assert_eq!(integer("-0x10"), -16);
        assert_eq!(integer("2KiB"), 2048);
        assert_eq!(integer("3m"), 3_000_000);
        assert_eq!(integer("foo"), 0);
        assert_eq!(switch("ON"), Some(1));
        assert_eq!(switch("no"), Some(0));
        assert_eq!(switch("3"), Some(3));
        assert_eq!(switch("on;"), None);
        assert_eq!(switch(""), None);
    }
}

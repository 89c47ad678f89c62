//! A fast path for rows of a cursor in JSON, without a parser.
//!
//! Almost every line of a large result is exactly `{"type":"row","row":[{"type":"integer","value":"1"},…]}`. Any other
//! line (another order, white space, escapes, blobs, anything new or wrong) is left to `json`.
//!
//! On a quiet machine, a row of four values takes 0.086 µs this way, and 0.442 µs with `serde_json`: `cargo bench -- parts` measures
//! both.

use crate::hrana::entry::RowBuffer;
use rusqlite::types::ValueRef;

/// Reads a line into `row`. False if the line is not as plain as that; `row` then has no meaning.
pub fn decode_plain_row(line: &[u8], row: &mut RowBuffer) -> bool {
    row.clear();
    cells(line, row).is_some()
}

fn cells(line: &[u8], row: &mut RowBuffer) -> Option<()> {
    // Checked for the whole line at once, so that every part between two quotes is valid UTF-8 as well.
    let line = std::str::from_utf8(line).ok()?;
    let mut rest = line.strip_prefix(r#"{"type":"row","row":["#)?.strip_suffix("]}")?;
    if rest.is_empty() {
        return Some(());
    }
    loop {
        rest = cell(rest.strip_prefix(r#"{"type":""#)?, row)?;
        if rest.is_empty() {
            return Some(());
        }
        rest = rest.strip_prefix(',')?;
    }
}

/// Reads a value, from its type on; returns what follows it.
fn cell<'l>(text: &'l str, row: &mut RowBuffer) -> Option<&'l str> {
    if let Some(rest) = text.strip_prefix(r#"text","value":""#) {
        let end = memchr::memchr2(b'"', b'\\', rest.as_bytes())?;
        row.push(ValueRef::Text(&rest.as_bytes()[..end]));
        rest[end..].strip_prefix("\"}")
    } else if let Some(rest) = text.strip_prefix(r#"integer","value":""#) {
        let (digits, rest) = rest.split_once('"')?;
        row.push(ValueRef::Integer(digits.parse().ok()?));
        rest.strip_prefix('}')
    } else if let Some(rest) = text.strip_prefix(r#"float","value":"#) {
        let (number, rest) = rest.split_once('}')?;
        let number = number
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e'))
            .then(|| number.parse::<f64>().ok())??;
        row.push(ValueRef::Real(number));
        number.is_finite().then_some(rest)
    } else {
        let rest = text.strip_prefix(r#"null"}"#)?;
        row.push(ValueRef::Null);
        Some(rest)
    }
}

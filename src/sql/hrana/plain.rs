//! A fast path for rows of a cursor in JSON, without a parser.
//!
//! Almost every line of a large result is exactly `{"type":"row","row":[{"type":"integer","value":"1"},…]}`. Any other
//! line (another order, white space, escapes, blobs, anything new or wrong) is left to `decode`.

use super::decode::Row;
use rusqlite::types::ValueRef;

/// Reads a line into `row`. False if the line is not as plain as that; `row` then has no meaning.
pub(super) fn row(line: &[u8], row: &mut Row) -> bool {
    row.clear();
    cells(line, row).is_some()
}

fn cells(line: &[u8], row: &mut Row) -> Option<()> {
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
fn cell<'l>(text: &'l str, row: &mut Row) -> Option<&'l str> {
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

#[cfg(test)]
mod tests {
    use super::super::decode;
    use super::*;
    use proptest::prelude::*;

    /// A row as servers write it: the type first.
    fn line(values: &[String]) -> String {
        format!(r#"{{"type":"row","row":[{}]}}"#, values.join(","))
    }

    fn value() -> impl Strategy<Value = String> {
        let of = |kind: &str, value: serde_json::Value| format!(r#"{{"type":"{kind}","value":{value}}}"#);
        prop_oneof![
            Just(r#"{"type":"null"}"#.to_owned()),
            Just(r#"{"type":"blob","base64":"AP8"}"#.to_owned()),
            any::<i64>().prop_map(move |integer| of("integer", integer.to_string().into())),
            any::<f64>().prop_map(move |real| of("float", real.into())),
            "[ -~é日\n]{0,12}".prop_map(move |text| of("text", text.into())),
        ]
    }

    #[test]
    fn ordinary_rows_are_plain() {
        let mut taken = Row::default();
        let text = r#"{"type":"row","row":[{"type":"integer","value":"-7"},{"type":"text","value":"é"},{"type":"float","value":-1.5e-7},{"type":"null"}]}"#;
        assert!(row(text.as_bytes(), &mut taken));
        let values: Vec<_> = taken.values().collect();
        let expected = [
            ValueRef::Integer(-7),
            ValueRef::Text("é".as_bytes()),
            ValueRef::Real(-1.5e-7),
            ValueRef::Null,
        ];
        assert_eq!(values, expected);
    }

    proptest! {
        #[test]
        fn a_plain_row_is_what_the_parser_reads(
            values in proptest::collection::vec(value(), 0..6), at: prop::sample::Index, byte in prop::option::of(any::<u8>()),
        ) {
            let mut bytes = line(&values).into_bytes();
            if let Some(byte) = byte {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let (mut fast, mut slow) = (Row::default(), Row::default());
            if row(&bytes, &mut fast) && decode::parsed(&bytes, &mut slow).is_ok() {
                prop_assert!(fast.values().eq(slow.values()), "{}", String::from_utf8_lossy(&bytes));
            }
        }
    }
}

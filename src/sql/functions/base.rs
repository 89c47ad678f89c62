//! `base64`, `base85` and `is_base85`: blobs as text, and back.
//!
//! A blob becomes text, in lines that end with a line end each; text becomes the blob that it stands for, whatever else
//! stands between. NULL stays NULL.

use super::{PURE, refused};
use rusqlite::functions::Context;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result};

/// Digits in a line.
const LINE_64: usize = 72;
const LINE_85: usize = 80;

const DIGITS_64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Digits of base 85: from `#` on, without those that need an escape somewhere.
fn digit_85(value: u32) -> char {
    let value = u8::try_from(value).unwrap_or(0);
    char::from(if value < 4 { b'#' + value } else { b'*' - 4 + value })
}

fn value_85(digit: u8) -> Option<u32> {
    match digit {
        b'#'..=b'&' => Some(u32::from(digit - b'#')),
        b'*'..=b'z' => Some(u32::from(digit - b'*') + 4),
        _ => None,
    }
}

fn value_64(digit: u8) -> Option<u32> {
    let at = DIGITS_64.iter().position(|&known| known == digit)?;
    u32::try_from(at).ok()
}

fn to_64(blob: &[u8]) -> String {
    let mut text = String::new();
    for line in blob.chunks(LINE_64 / 4 * 3) {
        for group in line.chunks(3) {
            let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(group.get(at).copied().unwrap_or(0)));
            for digit in 0..4 {
                let value = bits >> (18 - 6 * digit) & 63;
                let there = digit <= group.len();
                text.push(if there {
                    char::from(DIGITS_64[value as usize])
                } else {
                    '='
                });
            }
        }
        text.push('\n');
    }
    text
}

fn from_64(text: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for &digit in text {
        match value_64(digit) {
            Some(value) => {
                bits = bits << 6 | value;
                count += 1;
            }
            None if digit == b'=' => break,
            // Line ends, and whatever else stands between.
            None => continue,
        }
        if count == 4 {
            blob.extend_from_slice(&bits.to_be_bytes()[1..]);
            (bits, count) = (0, 0);
        }
    }
    if count > 1 {
        let bytes = (bits << (6 * (4 - count))).to_be_bytes();
        blob.extend_from_slice(&bytes[1..count]);
    }
    blob
}

fn to_85(blob: &[u8]) -> String {
    let mut text = String::new();
    for line in blob.chunks(LINE_85 / 5 * 4) {
        for group in line.chunks(4) {
            let mut value = group.iter().fold(0_u32, |value, &byte| value << 8 | u32::from(byte));
            let mut digits = Vec::new();
            for _ in 0..=group.len() {
                digits.push(digit_85(value % 85));
                value /= 85;
            }
            text.extend(digits.iter().rev());
        }
        text.push('\n');
    }
    text
}

fn from_85(text: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    let digits: Vec<u32> = text.iter().copied().filter_map(value_85).collect();
    for group in digits.chunks(5) {
        let value = group
            .iter()
            .fold(0_u32, |value, digit| value.wrapping_mul(85).wrapping_add(*digit));
        let bytes = value.to_be_bytes();
        blob.extend_from_slice(&bytes[5 - group.len()..]);
    }
    blob
}

fn convert(context: &Context<'_>, name: &str, to: fn(&[u8]) -> String, from: fn(&[u8]) -> Vec<u8>) -> Result<Value> {
    match context.get_raw(0) {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Blob(blob) => Ok(Value::Text(to(blob))),
        ValueRef::Text(text) => Ok(Value::Blob(from(text))),
        _ => Err(refused(format!("{name} accepts only blob or text"))),
    }
}

/// Whether a text has nothing but digits of base 85 and white space.
fn is_85(context: &Context<'_>) -> Result<Value> {
    match context.get_raw(0) {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Text(text) => {
            let known = |byte: &u8| value_85(*byte).is_some() || byte.is_ascii_whitespace();
            Ok(Value::Integer(text.iter().all(known).into()))
        }
        _ => Err(refused("is_base85 accepts only text or NULL")),
    }
}

pub(super) fn register(connection: &Connection) -> Result<()> {
    connection.create_scalar_function("base64", 1, PURE, |context| convert(context, "base64", to_64, from_64))?;
    connection.create_scalar_function("base85", 1, PURE, |context| convert(context, "base85", to_85, from_85))?;
    connection.create_scalar_function("is_base85", 1, PURE, |context| is_85(context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_functions_encode_as_the_standard_does() {
        for (blob, text) in [
            ("", ""),
            ("f", "Zg==\n"),
            ("fo", "Zm8=\n"),
            ("foo", "Zm9v\n"),
            ("foobar", "Zm9vYmFy\n"),
        ] {
            assert_eq!(to_64(blob.as_bytes()), text);
            assert_eq!(from_64(text.as_bytes()), blob.as_bytes());
        }
        assert_eq!(from_64(b" Zm \n9v\tYg "), b"foob");
        // Every digit, in the order of its value.
        let digits: String = (0..85).map(digit_85).collect();
        assert_eq!(digits.len(), 85);
        assert!(digits.bytes().map(value_85).eq((0..85).map(Some)), "{digits}");
    }

    #[test]
    fn base_functions_decode_what_they_encoded() {
        let mut random = fastrand::Rng::with_seed(20_261_127);
        for length in 0..300 {
            let blob: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            let (in_64, in_85) = (to_64(&blob), to_85(&blob));
            assert_eq!(from_64(in_64.as_bytes()), blob);
            assert_eq!(from_85(in_85.as_bytes()), blob);
            assert!(in_64.lines().all(|line| line.len() <= LINE_64));
            assert!(in_85.lines().all(|line| line.len() <= LINE_85));
        }
    }

    #[test]
    fn base_functions_refuse_what_is_neither_blob_nor_text() {
        let connection = Connection::open_in_memory().unwrap();
        register(&connection).unwrap();
        let ask = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, Value>(0));
        let whole = "SELECT base64(base64(x'00ff01')) = x'00ff01' AND base85(base85(x'00ff01')) = x'00ff01'";
        assert_eq!(ask(whole).unwrap(), Value::Integer(1));
        assert_eq!(ask("SELECT base64(NULL)").unwrap(), Value::Null);
        assert_eq!(ask("SELECT is_base85('#&*z' || char(10))").unwrap(), Value::Integer(1));
        assert_eq!(ask("SELECT is_base85('a''b')").unwrap(), Value::Integer(0));
        for sql in ["SELECT base64(1)", "SELECT base85(1.5)", "SELECT is_base85(x'')"] {
            assert!(ask(sql).unwrap_err().to_string().contains("accepts only"), "{sql}");
        }
    }
}

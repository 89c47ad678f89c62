//! Text as each mode writes it: CSV fields, JSON strings, C strings, HTML, and SQL literals and names.
//!
//! Every function appends to a buffer. Values are bytes: text from a database need not be UTF-8, and what cannot be shown
//! is written so that nothing is lost where the notation allows it (JSON, SQL), or as it is where it does not (CSV).

use super::Escape;
use crate::sql::ValueRef;
use crate::sql::number;
use crate::sqltext::quote::is_keyword;

/// Texts up to this length are looked at while they are copied.
const SHORT: usize = 32;

/// Appends a short text unless one of its bytes is in `special`; returns whether it did.
///
/// One pass over a few bytes takes less than a search and a copy, which both have to be set up: a table of 340,000 rows with 19
/// texts of 4 bytes each is written as CSV in five sixths of the time (`cargo bench --locked --bench beside-sqlite3 -- csv list`, with
/// and without a `return false` here).
pub fn push_if_plain(out: &mut Vec<u8>, text: &[u8], special: &[bool; 256]) -> bool {
    if text.len() > SHORT {
        return false;
    }
    let start = out.len();
    out.extend_from_slice(&[0; SHORT]);
    for (to, &byte) in out[start..].iter_mut().zip(text) {
        // To leave here keeps the compiler from making two passes of it, one of them by a call.
        if special[usize::from(byte)] {
            out.truncate(start);
            return false;
        }
        *to = byte;
    }
    out.truncate(start + text.len());
    true
}

/// No byte, for modes that write every text as it is.
pub const NO_BYTE: [bool; 256] = [false; 256];

/// Which bytes make a CSV field need quotes, the separator's apart.
const CSV_QUOTED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = byte <= b' ' as usize || byte == b'"' as usize || byte == b'\'' as usize || byte >= 0x7f;
        byte += 1;
    }
    table
};

/// Whether a field must be quoted.
pub struct CsvRule {
    table: [bool; 256],
    /// A separator longer than a byte must be searched for.
    long: Option<memchr::memmem::Finder<'static>>,
    always: bool,
    /// The separator may occur in a number.
    pub numbers: bool,
}

impl CsvRule {
    #[must_use]
    pub fn new(separator: &str) -> Self {
        let mut table = CSV_QUOTED;
        let mut long = None;
        match separator.as_bytes() {
            [] => {}
            [byte] => table[usize::from(*byte)] = true,
            bytes => long = Some(memchr::memmem::Finder::new(bytes).into_owned()),
        }
        let in_numbers = |byte: u8| byte.is_ascii_digit() || b"+-.efIn".contains(&byte);
        Self {
            table,
            long,
            always: separator.is_empty(),
            numbers: separator.bytes().all(in_numbers),
        }
    }

    fn quotes(&self, field: &[u8]) -> bool {
        field.is_empty()
            || self.always
            || field.iter().any(|&byte| self.table[usize::from(byte)])
            || self.long.as_ref().is_some_and(|long| long.find(field).is_some())
    }

    /// Appends a short field that needs no quotes; returns whether it did.
    pub fn push_if_plain(&self, out: &mut Vec<u8>, field: &[u8]) -> bool {
        !field.is_empty() && !self.always && self.long.is_none() && push_if_plain(out, field, &self.table)
    }

    /// Appends a field, quoted if it must be.
    pub fn push(&self, out: &mut Vec<u8>, field: &[u8]) {
        if self.quotes(field) {
            push_doubled(out, field, b'"');
        } else {
            out.extend_from_slice(field);
        }
    }
}

/// Appends text between two `quote`s, doubling those within.
pub fn push_doubled(out: &mut Vec<u8>, text: &[u8], quote: u8) {
    out.push(quote);
    let mut rest = text;
    while let Some(at) = memchr::memchr(quote, rest) {
        out.extend_from_slice(&rest[..=at]);
        out.push(quote);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(quote);
}

/// Appends text with the characters HTML gives a meaning replaced.
pub fn push_html(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            _ => out.push(byte),
        }
    }
}

/// Appends a C string literal; what is not printable ASCII is octal.
pub fn push_c(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b' '..=b'~' => out.push(byte),
            _ => out.extend_from_slice(&[b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)]),
        }
    }
    out.push(b'"');
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends two lower-case digits a byte.
pub fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() * 2);
    for &byte in bytes {
        out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}

fn push_json_byte(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(b"\\u00");
    push_hex(out, &[byte]);
}

/// Which bytes of a text are not written into a JSON string as they are, those of other scripts apart.
const JSON_ESCAPED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table
};

fn push_json_utf8(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&byte| JSON_ESCAPED[usize::from(byte)]) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => push_json_byte(out, byte),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Which bytes of a short text make it need a closer look.
const JSON_SPECIAL: [bool; 256] = {
    let mut table = JSON_ESCAPED;
    let mut byte = 0x80;
    while byte < 256 {
        table[byte] = true;
        byte += 1;
    }
    table
};

/// Appends a JSON string. Bytes that are not UTF-8 become `\u00XX`, so that the document stays valid.
pub fn push_json(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if push_if_plain(out, text, &JSON_SPECIAL) {
        // Written.
    } else if text.is_ascii() {
        push_json_utf8(out, text);
    } else {
        for chunk in text.utf8_chunks() {
            push_json_utf8(out, chunk.valid().as_bytes());
            for &byte in chunk.invalid() {
                push_json_byte(out, byte);
            }
        }
    }
    out.push(b'"');
}

/// Appends a blob as a JSON string, one character a byte.
pub fn push_json_blob(out: &mut Vec<u8>, blob: &[u8]) {
    out.push(b'"');
    let mut rest = blob;
    while let Some(at) = rest.iter().position(|&byte| byte >= 0x7f) {
        push_json_utf8(out, &rest[..at]);
        push_json_byte(out, rest[at]);
        rest = &rest[at + 1..];
    }
    push_json_utf8(out, rest);
    out.push(b'"');
}

const PLAIN: u8 = 0;
const HIGH: u8 = 1;
const QUOTE: u8 = 2;
const LINE_END: u8 = 4;
const NUL: u8 = 8;

/// What an SQL literal has to care about, for each byte.
const LITERAL: [u8; 256] = {
    let mut table = [PLAIN; 256];
    let mut byte = 0x80;
    while byte < 256 {
        table[byte] = HIGH;
        byte += 1;
    }
    table[b'\'' as usize] = QUOTE;
    table[b'\n' as usize] = LINE_END;
    table[b'\r' as usize] = LINE_END;
    table[0] = NUL;
    table
};

/// Which bytes of a short text make it need a closer look.
const LITERAL_SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = LITERAL[byte] != PLAIN;
        byte += 1;
    }
    table
};

/// How line ends go into an SQL text literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnds {
    Raw,
    /// By `replace(…,char(10))`, which every engine reads, so that one statement is one line.
    Replaced,
}

/// Appends a text as an SQL expression that reads back as the same bytes. One with a NUL, or not in UTF-8, goes by way of
/// a blob.
pub fn push_sql_text(out: &mut Vec<u8>, text: &[u8], line_ends: LineEnds) {
    out.push(b'\'');
    if push_if_plain(out, text, &LITERAL_SPECIAL) {
        out.push(b'\'');
        return;
    }
    out.pop();
    let seen = text.iter().fold(PLAIN, |seen, &byte| seen | LITERAL[usize::from(byte)]);
    if seen & NUL != 0 || seen & HIGH != 0 && std::str::from_utf8(text).is_err() {
        out.extend_from_slice(b"CAST(X'");
        push_hex(out, text);
        out.extend_from_slice(b"' AS TEXT)");
    } else if seen & LINE_END != 0 && line_ends == LineEnds::Replaced {
        push_replaced(out, text);
    } else if seen & QUOTE != 0 {
        push_doubled(out, text, b'\'');
    } else {
        out.push(b'\'');
        out.extend_from_slice(text);
        out.push(b'\'');
    }
}

fn push_replaced(out: &mut Vec<u8>, text: &[u8]) {
    let feed = memchr::memchr(b'\n', text).map(|_| unused(text, "\\n", "\\012"));
    let carriage = memchr::memchr(b'\r', text).map(|_| unused(text, "\\r", "\\015"));
    for _ in feed.iter().chain(&carriage) {
        out.extend_from_slice(b"replace(");
    }
    out.push(b'\'');
    for &byte in text {
        match (byte, &feed, &carriage) {
            (b'\n', Some(name), _) | (b'\r', _, Some(name)) => out.extend_from_slice(name.as_bytes()),
            (b'\'', ..) => out.extend_from_slice(b"''"),
            _ => out.push(byte),
        }
    }
    out.push(b'\'');
    for (name, code) in [(&carriage, "13"), (&feed, "10")] {
        if let Some(name) = name {
            for part in [",'", name, "',char(", code, "))"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
    }
}

/// A stand-in for a character that does not occur in the text.
fn unused(text: &[u8], first: &str, second: &str) -> String {
    let free = |name: &String| memchr::memmem::find(text, name.as_bytes()).is_none();
    [first.to_owned(), second.to_owned()]
        .into_iter()
        .chain((0_u64..).map(|number| format!("({first}{number})")))
        .find(free)
        .unwrap_or_default()
}

/// Appends any value as an SQL expression that reads back as the same value.
pub fn push_sql(out: &mut Vec<u8>, value: ValueRef<'_>, line_ends: LineEnds) {
    match value {
        ValueRef::Null => out.extend_from_slice(b"NULL"),
        ValueRef::Integer(integer) => number::push_integer(out, integer),
        ValueRef::Real(real) => number::push_exact(out, real),
        ValueRef::Text(text) => push_sql_text(out, text, line_ends),
        ValueRef::Blob(blob) => {
            out.extend_from_slice(b"X'");
            push_hex(out, blob);
            out.push(b'\'');
        }
    }
}

/// Appends a name as SQL has to see it: in double quotes unless it is plain and no keyword.
pub fn push_name(out: &mut Vec<u8>, name: &[u8]) {
    let first = name
        .first()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    let plain = first && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if plain && !is_keyword(name) {
        out.extend_from_slice(name);
    } else {
        push_doubled(out, name, b'"');
    }
}

/// What is shown of a text on a terminal: control characters and those that reorder text are made visible, tabs and line
/// ends stay. Returns the text itself when there is nothing to change, else what was built in `scratch`.
pub fn visible<'a>(text: &'a [u8], escape: Escape, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    if escape == Escape::Off || text.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        return text;
    }
    scratch.clear();
    for chunk in text.utf8_chunks() {
        let mut characters = chunk.valid().chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\t' | '\n' => scratch.push(character as u8),
                '\r' if characters.peek() == Some(&'\n') => scratch.push(b'\r'),
                '\0'..='\x1f' | '\x7f' => push_control(scratch, character as u8, escape),
                '\u{80}'..='\u{9f}'
                | '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}' => {
                    scratch.extend_from_slice(format!("<U+{:04X}>", u32::from(character)).as_bytes());
                }
                _ => scratch.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for &byte in chunk.invalid() {
            scratch.extend_from_slice(b"\\x");
            push_hex(scratch, &[byte]);
        }
    }
    scratch
}

fn push_control(out: &mut Vec<u8>, byte: u8, escape: Escape) {
    if escape == Escape::Ascii {
        out.extend_from_slice(&[b'^', byte ^ 0x40]);
    } else {
        let offset = if byte == 0x7f { 0x21 } else { u32::from(byte) };
        let picture = char::from_u32(0x2400 + offset).unwrap_or('\u{fffd}');
        out.extend_from_slice(picture.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

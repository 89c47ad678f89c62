//! Reading a cursor's answer: cutting it into pieces, and decoding those that are lines of JSON without building a
//! tree.
//!
//! A row is decoded into memory that the next row reuses, so a result of any size takes the space of its largest row.

use super::wire::{BASE64, Col, WireError};
use crate::error::{Code, Error, Result};
use base64::Engine;
use bytes::Bytes;
use rusqlite::types::ValueRef;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::ops::Range;

/// Bytes of the longest piece that is accepted: far above the largest row that a server sends.
const LONGEST: usize = 1 << 30;

/// Cuts the arriving bytes into pieces: lines of JSON, or protobuf messages with their lengths before them.
#[derive(Default)]
pub(super) struct Pieces {
    binary: bool,
    /// The bytes so far of a piece whose end has not arrived.
    begun: Vec<u8>,
    chunk: Bytes,
}

impl Pieces {
    pub(super) fn new(binary: bool) -> Self {
        Self {
            binary,
            ..Self::default()
        }
    }

    /// Adds arrived bytes. Call it when [`Pieces::next`] returns none.
    pub(super) fn feed(&mut self, chunk: Bytes) {
        self.chunk = chunk;
    }

    /// Passes the next whole piece to `take`; none if more bytes have to arrive first.
    pub(super) fn next<T>(&mut self, take: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>> {
        let Some((skip, end, after)) = self.bounds()? else {
            if self.begun.len() + self.chunk.len() > LONGEST {
                return Err(malformed("a line has no end"));
            }
            self.begun.extend_from_slice(&self.chunk);
            self.chunk = Bytes::new();
            return Ok(None);
        };
        // All of the earlier bytes belong to this piece; its rest is in the chunk.
        let old = self.begun.len();
        let fresh = self.chunk.split_to(after - old);
        if old == 0 {
            return take(&fresh[skip..end]).map(Some);
        }
        self.begun.extend_from_slice(&fresh);
        let taken = take(&self.begun[skip..end]);
        self.begun.clear();
        taken.map(Some)
    }

    /// The start and end of the next piece in the arrived bytes, and the start of the piece after it.
    fn bounds(&self) -> Result<Option<(usize, usize, usize)>> {
        let old = self.begun.len();
        if !self.binary {
            return Ok(memchr::memchr(b'\n', &self.chunk).map(|end| (0, old + end, old + end + 1)));
        }
        // A length has ten bytes at most, of which some may have arrived earlier.
        let mut joined = [0; 10];
        let head = if old == 0 {
            &self.chunk[..]
        } else {
            let kept = old.min(joined.len());
            let fresh = self.chunk.len().min(joined.len() - kept);
            joined[..kept].copy_from_slice(&self.begun[..kept]);
            joined[kept..kept + fresh].copy_from_slice(&self.chunk[..fresh]);
            &joined[..kept + fresh]
        };
        let Some((length, rest)) = super::binary::number(head) else {
            return if head.len() < joined.len() {
                Ok(None)
            } else {
                Err(malformed("a message has no length"))
            };
        };
        let skip = head.len() - rest.len();
        match usize::try_from(length).ok().filter(|&length| length <= LONGEST) {
            None => Err(malformed("a message is too long")),
            Some(length) if skip + length > old + self.chunk.len() => Ok(None),
            Some(length) => Ok(Some((skip, skip + length, skip + length))),
        }
    }

    /// The bytes left at the end of the answer: a last line without a line end, or nothing.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.begun)
    }
}

/// A piece, decoded.
#[derive(Debug)]
pub(super) enum Entry {
    /// A statement begins; its columns.
    Begin(Vec<Col>),
    /// A row: it is in the [`Row`] given.
    Row,
    End {
        changes: u64,
        last_insert_rowid: Option<i64>,
    },
    /// The statement failed.
    Refused(WireError),
    /// The whole batch failed.
    Failed(WireError),
    /// Anything else, which is ignored.
    Other,
}

/// A row, in memory that the next row reuses.
#[derive(Default)]
pub(super) struct Row {
    cells: Vec<Cell>,
    /// The texts and blobs of the cells.
    bytes: Vec<u8>,
    /// How many infinite reals have no sign.
    pub signless: u64,
}

#[derive(Clone)]
enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(Range<usize>),
    Blob(Range<usize>),
}

impl Row {
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = ValueRef<'_>> {
        self.values_from(0)
    }

    /// The values from index `from` on.
    pub(super) fn values_from(&self, from: usize) -> impl Iterator<Item = ValueRef<'_>> {
        self.cells.iter().skip(from).map(|cell| match cell {
            Cell::Null => ValueRef::Null,
            Cell::Integer(integer) => ValueRef::Integer(*integer),
            Cell::Real(real) => ValueRef::Real(*real),
            Cell::Text(range) => ValueRef::Text(&self.bytes[range.clone()]),
            Cell::Blob(range) => ValueRef::Blob(&self.bytes[range.clone()]),
        })
    }

    pub(super) fn push(&mut self, value: ValueRef<'_>) {
        let cell = match value {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(integer) => Cell::Integer(integer),
            ValueRef::Real(real) => Cell::Real(real),
            ValueRef::Text(text) => Cell::Text(self.keep(text)),
            ValueRef::Blob(blob) => Cell::Blob(self.keep(blob)),
        };
        self.cells.push(cell);
    }

    /// Bytes of texts and blobs.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn clear(&mut self) {
        self.cells.clear();
        self.bytes.clear();
    }

    /// Appends the bytes of a cell, and returns where they are.
    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }
}

/// Decodes a line. A row's values go into `row`.
pub(super) fn entry(line: &[u8], row: &mut Row) -> Result<Entry> {
    if super::plain::row(line, row) {
        return Ok(Entry::Row);
    }
    parsed(line, row)
}

/// Decodes any line with a JSON parser.
pub(super) fn parsed(line: &[u8], row: &mut Row) -> Result<Entry> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let entry = EntrySeed(row).deserialize(&mut json).map_err(malformed)?;
    json.end().map_err(malformed)?;
    Ok(entry)
}

/// The error for an answer that does not follow the protocol.
pub(super) fn malformed(what: impl fmt::Display) -> Error {
    // Without `serde_json`'s line and column, which mean nothing to the user.
    let what = what.to_string();
    let what = what.split(" at line ").next().unwrap_or_default();
    Error::new(Code::Unavailable, format!("the server's answer makes no sense: {what}"))
        .hint("is the URL that of a libSQL server?")
}

struct EntrySeed<'r>(&'r mut Row);

impl<'de> DeserializeSeed<'de> for EntrySeed<'_> {
    type Value = Entry;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Entry, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EntrySeed<'_> {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry of a cursor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let mut kind = Kind::Other;
        let mut columns = Vec::new();
        let mut error = WireError::default();
        let mut changes = 0;
        let mut last_insert_rowid = None;
        let mut rows = 0;
        while let Some(key) = map.next_key_seed(Key)? {
            match key {
                Name::Type => kind = map.next_value_seed(KindSeed)?,
                Name::Row => {
                    rows += 1;
                    map.next_value_seed(RowSeed(&mut *self.0))?;
                }
                Name::Cols => columns = map.next_value()?,
                Name::Error => error = map.next_value()?,
                Name::Changes => changes = map.next_value()?,
                Name::Rowid => last_insert_rowid = map.next_value::<Option<super::wire::Number>>()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(match kind {
            Kind::Begin => Entry::Begin(columns),
            Kind::Row if rows == 1 => Entry::Row,
            Kind::Row => return Err(A::Error::custom("a row is missing")),
            Kind::End => Entry::End {
                changes,
                last_insert_rowid: last_insert_rowid.and_then(super::wire::Number::integer),
            },
            Kind::Refused => Entry::Refused(error),
            Kind::Failed => Entry::Failed(error),
            Kind::Other => Entry::Other,
        })
    }
}

/// The kinds of entries.
#[derive(Clone, Copy)]
enum Kind {
    Begin,
    Row,
    End,
    Refused,
    Failed,
    Other,
}

/// The members that are looked at.
#[derive(Clone, Copy, PartialEq)]
enum Name {
    Type,
    Row,
    Cols,
    Error,
    Changes,
    Rowid,
    Value,
    Base64,
    Other,
}

/// Reads a string that is one of a few without allocating.
struct Word<T>(fn(&str) -> T);

impl<'de, T> DeserializeSeed<'de> for Word<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T> Visitor<'_> for Word<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok((self.0)(text))
    }
}

#[allow(non_upper_case_globals)]
const Key: Word<Name> = Word(|name| match name {
    "type" => Name::Type,
    "row" => Name::Row,
    "cols" => Name::Cols,
    "error" => Name::Error,
    "affected_row_count" => Name::Changes,
    "last_insert_rowid" => Name::Rowid,
    "value" => Name::Value,
    "base64" => Name::Base64,
    _ => Name::Other,
});

#[allow(non_upper_case_globals)]
const KindSeed: Word<Kind> = Word(|kind| match kind {
    "step_begin" => Kind::Begin,
    "row" => Kind::Row,
    "step_end" => Kind::End,
    "step_error" => Kind::Refused,
    "error" => Kind::Failed,
    _ => Kind::Other,
});

struct RowSeed<'r>(&'r mut Row);

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut row: A) -> Result<(), A::Error> {
        self.0.clear();
        while row.next_element_seed(CellSeed(self.0))?.is_some() {}
        Ok(())
    }
}

/// The types of values.
#[derive(Clone, Copy)]
enum Type {
    Null,
    Integer,
    Float,
    Text,
    Blob,
    Unknown,
}

struct CellSeed<'r>(&'r mut Row);

impl<'de> DeserializeSeed<'de> for CellSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for CellSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let row = self.0;
        let mut kind = Type::Unknown;
        let mut content = Content::None;
        while let Some(key) = map.next_key_seed(Key)? {
            match key {
                Name::Type => {
                    kind = map.next_value_seed(Word(|kind| match kind {
                        "null" => Type::Null,
                        "integer" => Type::Integer,
                        "float" => Type::Float,
                        "text" => Type::Text,
                        "blob" => Type::Blob,
                        _ => Type::Unknown,
                    }))?;
                }
                Name::Value | Name::Base64 => content = map.next_value_seed(ContentSeed(&mut *row))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let cell = match (kind, content) {
            (Type::Null, _) => Cell::Null,
            (Type::Integer, Content::Integer(integer)) => Cell::Integer(integer),
            (Type::Integer, Content::Text(range)) => {
                let text = std::str::from_utf8(&row.bytes[range.clone()]).unwrap_or_default();
                let integer = text.parse().map_err(|_| A::Error::custom("an integer is not one"))?;
                row.bytes.truncate(range.start);
                Cell::Integer(integer)
            }
            (Type::Float, Content::Real(real)) => Cell::Real(real),
            #[allow(clippy::cast_precision_loss)] // The server wrote a real without a point.
            (Type::Float, Content::Integer(integer)) => Cell::Real(integer as f64),
            (Type::Float, Content::None) => {
                row.signless += 1;
                Cell::Real(f64::NAN)
            }
            (Type::Text, Content::Text(range)) => Cell::Text(range),
            (Type::Blob, Content::Text(range)) => {
                let start = range.start;
                let blob = BASE64.decode(&row.bytes[range]).map_err(A::Error::custom)?;
                row.bytes.truncate(start);
                Cell::Blob(row.keep(&blob))
            }
            _ => return Err(A::Error::custom("a value does not fit its type")),
        };
        row.cells.push(cell);
        Ok(())
    }
}

/// What a value's member holds.
enum Content {
    None,
    Integer(i64),
    Real(f64),
    /// Kept in the row's bytes.
    Text(Range<usize>),
}

struct ContentSeed<'r>(&'r mut Row);

impl<'de> DeserializeSeed<'de> for ContentSeed<'_> {
    type Value = Content;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for ContentSeed<'_> {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a number or null")
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(self.0.keep(text.as_bytes())))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Content, E> {
        Ok(Content::Integer(integer))
    }

    fn visit_u64<E>(self, integer: u64) -> Result<Content, E> {
        #[allow(clippy::cast_precision_loss)] // Above every integer SQLite has, so it can only be a real.
        let real = integer as f64;
        Ok(i64::try_from(integer).map_or(Content::Real(real), Content::Integer))
    }

    fn visit_f64<E>(self, real: f64) -> Result<Content, E> {
        Ok(Content::Real(real))
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everything a cursor's answer says, in pieces as they may arrive.
    fn read(pieces: &[&[u8]]) -> Result<Vec<String>> {
        let mut lines = Pieces::default();
        let mut row = Row::default();
        let mut said = Vec::new();
        for piece in pieces {
            lines.feed(Bytes::copy_from_slice(piece));
            loop {
                let Some(entry) = lines.next(|line| entry(line, &mut row))? else {
                    break;
                };
                said.push(match entry {
                    Entry::Row => format!("{:?}", row.values().collect::<Vec<_>>()),
                    other => format!("{other:?}"),
                });
            }
        }
        Ok(said)
    }

    const ROW: &str = r#"{"type":"row","row":[{"type":"integer","value":"-9223372036854775808"},{"value":"é\u0000\"\\😀","type":"text"},{"type":"null"},{"type":"blob","base64":"AP8"},{"type":"blob","base64":"AP8="},{"type":"float","value":1e300},{"type":"float","value":2},{"type":"float","value":null},{"type":"integer","value":7},{"type":"text","value":"","extra":[1,{}]}]}"#;

    #[test]
    fn values_arrive_as_they_were() {
        let text = format!("{ROW}\n");
        let said = read(&[text.as_bytes()]).unwrap();
        let bytes = "é\0\"\\😀".as_bytes();
        assert_eq!(
            said,
            [format!(
                "[Integer(-9223372036854775808), Text({bytes:?}), Null, Blob([0, 255]), Blob([0, 255]), Real(1e300), Real(2.0), \
                 Real(NaN), Integer(7), Text([])]"
            )]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&[&bytes]);
        }

        #[test]
        fn a_damaged_line_is_read_or_refused(at in 0..ROW.len(), byte: u8, cut in 0..ROW.len()) {
            let mut bytes = ROW.as_bytes().to_vec();
            bytes[at] = byte;
            bytes.truncate(cut.max(at));
            bytes.push(b'\n');
            let _ = read(&[&bytes]);
        }

        #[test]
        fn the_way_it_arrives_in_pieces_does_not_matter(cuts in proptest::collection::vec(0..2 * ROW.len(), 0..8)) {
            let text = format!("{ROW}\n{{\"type\":\"step_begin\"}}\n{ROW}\n");
            let mut cuts = cuts;
            cuts.push(0);
            cuts.push(text.len());
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read(&pieces).unwrap(), read(&[text.as_bytes()]).unwrap());
        }
    }
}

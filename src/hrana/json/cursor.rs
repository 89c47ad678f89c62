//! Decodes the entries of a cursor that are lines of JSON, without building a tree. Lines that are plain rows take the way
//! of `json_rows`.

use super::rows;
use crate::error::Result;
use crate::hrana::entry::{CursorEntry, RowBuffer, RowCell, protocol_error};
use crate::hrana::messages::{BASE64, HranaError};
use base64::Engine;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::ops::Range;

/// Decodes a line. A row's values go into `row`.
pub fn decode_entry(line: &[u8], row: &mut RowBuffer) -> Result<CursorEntry> {
    if rows::decode_plain_row(line, row) {
        return Ok(CursorEntry::Row);
    }
    parse_entry(line, row)
}

/// Decodes any line with a JSON parser.
pub fn parse_entry(line: &[u8], row: &mut RowBuffer) -> Result<CursorEntry> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let entry = EntrySeed(row).deserialize(&mut json).map_err(protocol_error)?;
    json.end().map_err(protocol_error)?;
    Ok(entry)
}

struct EntrySeed<'r>(&'r mut RowBuffer);

impl<'de> DeserializeSeed<'de> for EntrySeed<'_> {
    type Value = CursorEntry;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<CursorEntry, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EntrySeed<'_> {
    type Value = CursorEntry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry of a cursor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CursorEntry, A::Error> {
        let mut kind = Kind::Other;
        let mut columns = Vec::new();
        let mut error = HranaError::default();
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
                Name::Rowid => last_insert_rowid = map.next_value::<Option<crate::hrana::messages::Number>>()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(match kind {
            Kind::Begin => CursorEntry::Begin(columns),
            Kind::Row if rows == 1 => CursorEntry::Row,
            Kind::Row => return Err(A::Error::custom("a row is missing")),
            Kind::End => CursorEntry::End {
                changes,
                last_insert_rowid: last_insert_rowid.and_then(crate::hrana::messages::Number::integer),
            },
            Kind::Refused => CursorEntry::Refused(error),
            Kind::Failed => CursorEntry::Failed(error),
            Kind::Other => CursorEntry::Other,
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

struct RowSeed<'r>(&'r mut RowBuffer);

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

struct CellSeed<'r>(&'r mut RowBuffer);

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
            (Type::Null, _) => RowCell::Null,
            (Type::Integer, Content::Integer(integer)) => RowCell::Integer(integer),
            (Type::Integer, Content::Text(range)) => {
                let text = std::str::from_utf8(&row.bytes[range.clone()]).unwrap_or_default();
                let integer = text.parse().map_err(|_| A::Error::custom("an integer is not one"))?;
                row.bytes.truncate(range.start);
                RowCell::Integer(integer)
            }
            (Type::Float, Content::Real(real)) => RowCell::Real(real),
            #[allow(clippy::cast_precision_loss)] // The server wrote a real without a point.
            (Type::Float, Content::Integer(integer)) => RowCell::Real(integer as f64),
            (Type::Float, Content::None) => {
                row.signless += 1;
                RowCell::Real(f64::NAN)
            }
            (Type::Text, Content::Text(range)) => RowCell::Text(range),
            (Type::Blob, Content::Text(range)) => {
                let start = range.start;
                let blob = BASE64.decode(&row.bytes[range]).map_err(A::Error::custom)?;
                row.bytes.truncate(start);
                RowCell::Blob(row.store(&blob))
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

struct ContentSeed<'r>(&'r mut RowBuffer);

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
        Ok(Content::Text(self.0.store(text.as_bytes())))
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
    use crate::hrana::frames::FrameReader;
    use bytes::Bytes;
    use proptest::prelude::*;

    /// Everything a cursor's answer says, in pieces as they may arrive.
    fn read(pieces: &[&[u8]]) -> Result<Vec<String>> {
        let mut lines = FrameReader::default();
        let mut row = RowBuffer::default();
        let mut said = Vec::new();
        for piece in pieces {
            lines.feed(Bytes::copy_from_slice(piece));
            loop {
                let Some(entry) = lines.next(|line| decode_entry(line, &mut row))? else {
                    break;
                };
                said.push(match entry {
                    CursorEntry::Row => format!("{:?}", row.values().collect::<Vec<_>>()),
                    other => format!("{other:?}"),
                });
            }
        }
        Ok(said)
    }

    const ROW: &str = r#"{"type":"row","row":[{"type":"integer","value":"-9223372036854775808"},{"value":"é\u0000\"\\😀","type":"text"},{"type":"null"},{"type":"blob","base64":"AP8"},{"type":"blob","base64":"AP8="},{"type":"float","value":1e300},{"type":"float","value":2},{"type":"float","value":null},{"type":"integer","value":7},{"type":"text","value":"","extra":[1,{}]}]}"#;

    #[test]
    fn json_cursor_values_arrive_unchanged() {
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
        fn json_cursor_of_any_bytes_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&[&bytes]);
        }

        #[test]
        fn json_cursor_line_that_is_damaged_is_read_or_refused(at in 0..ROW.len(), byte: u8, cut in 0..ROW.len()) {
            let mut bytes = ROW.as_bytes().to_vec();
            bytes[at] = byte;
            bytes.truncate(cut.max(at));
            bytes.push(b'\n');
            let _ = read(&[&bytes]);
        }

        #[test]
        fn json_cursor_in_any_pieces_is_the_same(cuts in proptest::collection::vec(0..2 * ROW.len(), 0..8)) {
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

#[cfg(test)]
mod plain_row_tests {
    use super::*;
    use crate::hrana::json::rows::decode_plain_row;
    use proptest::prelude::*;
    use rusqlite::types::ValueRef;

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
    fn json_cursor_row_of_ordinary_values_is_plain() {
        let mut taken = RowBuffer::default();
        let text = r#"{"type":"row","row":[{"type":"integer","value":"-7"},{"type":"text","value":"é"},{"type":"float","value":-1.5e-7},{"type":"null"}]}"#;
        assert!(decode_plain_row(text.as_bytes(), &mut taken));
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
        fn json_cursor_row_that_is_plain_is_what_the_parser_reads(
            values in proptest::collection::vec(value(), 0..6), at: prop::sample::Index, byte in prop::option::of(any::<u8>()),
        ) {
            let mut bytes = line(&values).into_bytes();
            if let Some(byte) = byte {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let (mut fast, mut slow) = (RowBuffer::default(), RowBuffer::default());
            if decode_plain_row(&bytes, &mut fast) && parse_entry(&bytes, &mut slow).is_ok() {
                prop_assert!(fast.values().eq(slow.values()), "{}", String::from_utf8_lossy(&bytes));
            }
        }
    }
}

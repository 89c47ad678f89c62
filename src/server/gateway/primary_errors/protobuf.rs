//! Errors in answers of protobuf: a walk over the fields that lead to them, which keeps nothing of what it passes.

use super::LONGEST;
use crate::hrana::protobuf::fields::{FieldReader, RawField, put};
use crate::hrana::protobuf::varint::read_varint;
use crate::hrana::proxied_error::{PROXY_CODE, PrimaryError};
use bytes::Bytes;
use std::ops::Range;

/// What a field of an answer is, where errors are in it.
#[derive(Clone, Copy)]
enum AnswerField {
    Message(AnswerFields),
    Error,
}

/// Fields by number. In all others are no errors.
type AnswerFields = &'static [(u32, AnswerField)];

use AnswerField::{Error, Message};

/// Numbers of fields are those of Hrana 3's `hrana.proto`, `hrana.http.proto` and `hrana.ws.proto`.
const BATCH: AnswerFields = &[(1, Message(&[(2, Message(&[(2, Error)]))]))];
const ENTRY: AnswerFields = &[(3, Message(&[(2, Error)])), (5, Error)];
const PIPELINE: AnswerFields = &[(3, Message(&[(1, Message(&[(3, Message(BATCH))])), (2, Error)]))];
const SOCKET: AnswerFields = &[
    (3, Message(&[(5, Message(BATCH)), (8, Message(&[(1, Message(ENTRY))]))])),
    (4, Message(&[(2, Error)])),
];

/// The field of an error that fills the place of what became shorter. Hrana has none of that number, so decoders pass it over.
const FILLER: u8 = 15 << 3 | 2;

/// The errors of one answer.
pub struct ProtobufErrors {
    fields: AnswerFields,
    /// Messages follow one another, each with its length before it.
    is_delimited: bool,
    /// The messages that the walk is in, by where in the answer they end.
    open: Vec<(u64, AnswerFields)>,
    /// Where in the answer the held bytes begin.
    position: u64,
    /// Bytes that are passed over before the next field.
    skip: u64,
    held: Vec<u8>,
    /// The answer is no message: all of it goes on as it is.
    is_malformed: bool,
}

/// What stands at a place in an answer.
enum Step {
    /// A message begins behind a header of so many bytes.
    Open(usize, u64, AnswerFields),
    /// So many bytes are nothing to look at.
    Skip(u64),
    /// An error.
    Error(Range<usize>),
    /// More has to arrive first.
    Incomplete,
    Malformed,
}

impl ProtobufErrors {
    fn new(fields: AnswerFields, is_delimited: bool) -> Self {
        Self {
            fields,
            is_delimited,
            open: Vec::new(),
            position: 0,
            skip: 0,
            held: Vec::new(),
            is_malformed: false,
        }
    }

    pub fn of_pipeline() -> Self {
        Self::new(PIPELINE, false)
    }

    /// The head of a cursor's answer has no fields of the numbers that entries have errors in.
    pub fn of_cursor() -> Self {
        Self::new(ENTRY, true)
    }

    pub fn of_socket() -> Self {
        Self::new(SOCKET, false)
    }

    pub fn push(&mut self, piece: Bytes, is_last: bool) -> Bytes {
        if self.is_malformed || (self.held.is_empty() && self.skip >= piece.len() as u64) {
            self.skip = self.skip.saturating_sub(piece.len() as u64);
            self.position += piece.len() as u64;
            return piece;
        }
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(&piece);
        let mut at = 0;
        loop {
            let passed = usize::try_from(self.skip).unwrap_or(usize::MAX).min(text.len() - at);
            self.skip -= passed as u64;
            at += passed;
            if at == text.len() {
                break;
            }
            let here = self.position + at as u64;
            self.open.retain(|(end, _)| *end > here);
            match self.next_step(&text[at..]) {
                Step::Open(header, length, fields) => {
                    at += header;
                    let begin = self.position + at as u64;
                    self.open.push((begin.saturating_add(length), fields));
                }
                Step::Skip(bytes) => self.skip = bytes,
                Step::Error(content) => {
                    restore(&mut text[at + content.start..at + content.end]);
                    at += content.end;
                }
                Step::Incomplete => break,
                Step::Malformed => {
                    self.is_malformed = true;
                    break;
                }
            }
        }
        let end = if is_last || self.is_malformed { text.len() } else { at };
        self.held = text.split_off(end);
        self.position += end as u64;
        text.into()
    }

    /// What stands at the beginning of `rest`.
    fn next_step(&self, rest: &[u8]) -> Step {
        let number = |bytes: &[u8]| match read_varint(bytes) {
            Some((value, after)) => Ok((value, bytes.len() - after.len())),
            None if bytes.len() < 10 => Err(Step::Incomplete),
            None => Err(Step::Malformed),
        };
        let read = || -> Result<Step, Step> {
            if self.is_delimited && self.open.is_empty() {
                let (length, header) = number(rest)?;
                return Ok(Step::Open(header, length, self.fields));
            }
            let fields = self.open.last().map_or(self.fields, |(_, fields)| *fields);
            let (key, key_length) = number(rest)?;
            let after = &rest[key_length..];
            match key & 7 {
                0 => Ok(Step::Skip((key_length + number(after)?.1) as u64)),
                1 => Ok(Step::Skip(key_length as u64 + 8)),
                5 => Ok(Step::Skip(key_length as u64 + 4)),
                2 => {
                    let (length, length_length) = number(after)?;
                    let header = key_length + length_length;
                    let known = fields.iter().find(|(field, _)| u64::from(*field) == key >> 3);
                    match (known, usize::try_from(length)) {
                        (Some((_, Message(inner))), _) => Ok(Step::Open(header, length, inner)),
                        (Some((_, Error)), Ok(length)) if length <= LONGEST => {
                            if rest.len() < header + length {
                                return Err(Step::Incomplete);
                            }
                            Ok(Step::Error(header..header + length))
                        }
                        _ => Ok(Step::Skip((header as u64).saturating_add(length))),
                    }
                }
                _ => Err(Step::Malformed),
            }
        };
        read().unwrap_or_else(|step| step)
    }
}

/// Restores an error in its place.
fn restore(error: &mut [u8]) {
    let text = |field| match FieldReader::new(error).last(field) {
        Some(RawField::Bytes(bytes)) => std::str::from_utf8(bytes).ok(),
        _ => None,
    };
    let restored = text(1)
        .filter(|_| text(2) == Some(PROXY_CODE))
        .and_then(PrimaryError::parse);
    let Some(PrimaryError { message, code }) = restored else {
        return;
    };
    let mut out = Vec::with_capacity(error.len());
    put(&mut out, 1, message.as_bytes());
    put(&mut out, 2, code.as_bytes());
    let Some(filler) = error.len().checked_sub(out.len()).and_then(fill) else {
        return;
    };
    out.extend(filler);
    error.copy_from_slice(&out);
}

/// A field of so many bytes that means nothing.
fn fill(bytes: usize) -> Option<Vec<u8>> {
    if bytes == 0 {
        return Some(Vec::new());
    }
    // The length may be written longer than it has to be.
    let (digits, length) = (1..=3)
        .filter_map(|digits: usize| Some((digits, bytes.checked_sub(1 + digits)?)))
        .find(|(digits, length)| length >> (7 * digits) == 0)?;
    let mut field = vec![FILLER];
    for digit in 0..digits {
        let more = if digit + 1 < digits { 0x80 } else { 0 };
        field.push(u8::try_from(length >> (7 * digit) & 0x7f).unwrap_or(0) | more);
    }
    field.resize(bytes, 0);
    Some(field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hrana::protobuf::fields::{field, put_number};

    fn error(message: &str) -> Vec<u8> {
        let mut error = field(1, message.as_bytes());
        put(&mut error, 2, PROXY_CODE.as_bytes());
        error
    }

    fn restored(mut errors: ProtobufErrors, answer: &[u8], size: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in answer.chunks(size) {
            out.extend_from_slice(&errors.push(Bytes::copy_from_slice(piece), false));
        }
        out.extend_from_slice(&errors.push(Bytes::new(), true));
        out
    }

    /// The message and the code of an error below fields of the numbers of `path`.
    fn read<'m>(mut message: &'m [u8], path: &[u32]) -> (&'m str, &'m str) {
        for number in path {
            match FieldReader::new(message).last(*number) {
                Some(RawField::Bytes(inner)) => message = inner,
                other => panic!("{number}: {other:?}"),
            }
        }
        let text = |number| match FieldReader::new(message).last(number) {
            Some(RawField::Bytes(text)) => std::str::from_utf8(text).unwrap(),
            other => panic!("{other:?}"),
        };
        (text(1), text(2))
    }

    const UNIQUE: &str = "error executing a request on the primary: UNIQUE constraint failed: t.y";
    const RESTORED: (&str, &str) = ("SQLite error: UNIQUE constraint failed: t.y", "SQLITE_CONSTRAINT");

    #[test]
    fn errors_are_restored_in_every_kind_of_answer_wherever_pieces_cut_them() {
        // A row with a text that is a whole error comes first, and stays.
        let look_alike = error(UNIQUE);
        let row = field(2, &field(1, &field(1, &field(4, &look_alike))));
        let mut step = Vec::new();
        put_number(&mut step, 1, 300);
        put(&mut step, 2, &error(UNIQUE));
        let batch = field(1, &[field(1, &look_alike), field(2, &step)].concat());
        let of_request = field(3, &[field(1, &row), field(2, &error(UNIQUE))].concat());
        let of_batch = field(3, &field(1, &field(3, &batch)));
        let entry = field(3, &step);
        for (errors, answer, path) in [
            (
                ProtobufErrors::of_pipeline as fn() -> _,
                [field(1, b"baton"), of_request].concat(),
                &[3, 2][..],
            ),
            (ProtobufErrors::of_pipeline, of_batch, &[3, 1, 3, 1, 2, 2]),
            (ProtobufErrors::of_socket, field(3, &field(5, &batch)), &[3, 5, 1, 2, 2]),
            (
                ProtobufErrors::of_socket,
                field(3, &field(8, &field(1, &entry))),
                &[3, 8, 1, 3, 2],
            ),
            (ProtobufErrors::of_socket, field(4, &step), &[4, 2]),
        ] {
            for size in (1..70).chain([answer.len()]) {
                let out = restored(errors(), &answer, size);
                assert_eq!(out.len(), answer.len());
                assert_eq!(read(&out, path), RESTORED, "{path:?} in pieces of {size}");
                let kept = |bytes: &[u8]| memchr::memmem::find_iter(bytes, UNIQUE.as_bytes()).count();
                assert_eq!(kept(&out) + 1, kept(&answer), "{path:?}");
            }
        }
    }

    #[test]
    fn errors_of_a_cursor_are_restored_between_its_entries() {
        let framed = |message: &[u8]| {
            let mut out = Vec::new();
            crate::hrana::protobuf::varint::push_varint(&mut out, message.len() as u64);
            out.extend_from_slice(message);
            out
        };
        let row = framed(&field(4, &field(1, &field(4, &error(UNIQUE)))));
        let failed = framed(&field(5, &error(UNIQUE)));
        let answer = [framed(&field(1, b"baton")), row.clone(), failed.clone(), row.clone()].concat();
        for size in 1..70 {
            let out = restored(ProtobufErrors::of_cursor(), &answer, size);
            let begin = answer.len() - row.len() - failed.len();
            let entry = &out[begin + 1..begin + failed.len()];
            assert_eq!(read(entry, &[5]), RESTORED, "{size}");
            assert_eq!(out[begin - row.len()..begin], row);
            assert_eq!(out[begin + failed.len()..], row);
        }
    }

    #[test]
    fn filler_of_any_size_is_one_field_of_its_own() {
        for bytes in (2..400).chain([16_380, 16_390, 60_000]) {
            let filler = fill(bytes).unwrap();
            let mut fields = FieldReader::new(&filler);
            let only = fields.next_field().unwrap();
            assert!(matches!(only, Some((15, RawField::Bytes(_)))), "{bytes}");
            assert!(filler.len() == bytes && fields.rest().is_empty(), "{bytes}");
        }
        assert_eq!((fill(0), fill(1)), (Some(Vec::new()), None));
    }

    #[test]
    fn answer_that_is_no_message_is_unchanged() {
        for answer in [&b"\x0b\x01\x02"[..], b"", &[0xff; 40], b"\x1a\xff"] {
            for size in 1..5 {
                assert_eq!(restored(ProtobufErrors::of_pipeline(), answer, size), answer);
            }
        }
    }
}

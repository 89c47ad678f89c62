//! The protobuf encoding of Hrana 3, as far as a cursor needs it: its request, and the messages of its answer.
//!
//! It is a fraction of the bytes of JSON, and it has the sign of infinite reals. Each message of an answer has its
//! length before it; `frames` cuts them apart.

use crate::error::Result;
use crate::hrana::entry::{CursorEntry, RowBuffer, protocol_error};
use crate::hrana::messages::{Arg, Batch, BatchStep, Col, Condition, CursorHead, HranaError};
use crate::hrana::protobuf::fields::{FieldReader, MalformedProtobuf, RawField, put, put_message, put_number};
use crate::hrana::protobuf::varint::{push_varint, read_varint};
use rusqlite::types::ValueRef;

/// The content type of bodies in it.
pub const CONTENT_TYPE: &str = "application/x-protobuf";

/// The body that opens a cursor.
pub fn cursor_body(baton: Option<&str>, batch: &Batch<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    if let Some(baton) = baton {
        put(&mut body, 1, baton.as_bytes());
    }
    put_message(&mut body, 2, |out| {
        for step in &batch.steps {
            put_message(out, 1, |out| push_step(out, step));
        }
    });
    body
}

fn push_step(out: &mut Vec<u8>, step: &BatchStep<'_>) {
    if let Some(condition) = &step.condition {
        put_message(out, 1, |out| push_condition(out, condition));
    }
    let stmt = &step.stmt;
    put_message(out, 2, |out| {
        put(out, 1, stmt.sql.as_bytes());
        for arg in stmt.args {
            put_message(out, 3, |out| push_value(out, *arg));
        }
        for arg in stmt.named_args {
            put_message(out, 4, |out| {
                put(out, 1, arg.name.as_bytes());
                put_message(out, 2, |out| push_value(out, arg.value));
            });
        }
        put_number(out, 5, u64::from(stmt.want_rows));
    });
}

fn push_condition(out: &mut Vec<u8>, condition: &Condition) {
    match condition {
        Condition::Ok { step } => {
            put_number(out, 1, *step as u64);
        }
        Condition::Not { cond } => put_message(out, 3, |out| push_condition(out, cond)),
        Condition::Or { conds } => put_message(out, 5, |out| {
            for condition in conds {
                put_message(out, 1, |out| push_condition(out, condition));
            }
        }),
        Condition::IsAutocommit => put(out, 6, &[]),
    }
}

fn push_value(out: &mut Vec<u8>, value: Arg<'_>) {
    match value.0 {
        ValueRef::Null => put(out, 1, &[]),
        ValueRef::Integer(integer) => {
            put_number(out, 2, (integer.cast_unsigned() << 1) ^ (integer >> 63).cast_unsigned());
        }
        ValueRef::Real(real) => {
            push_varint(out, 3 << 3 | 1);
            out.extend_from_slice(&real.to_le_bytes());
        }
        ValueRef::Text(text) => put(out, 4, text),
        ValueRef::Blob(blob) => put(out, 5, blob),
    }
}

/// Length-delimited bytes, and those after them.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = read_varint(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

/// Passes each field of a message to `take`. False if the bytes are not a message, or `take` returned false.
fn fields<'a>(message: &'a [u8], mut take: impl FnMut(u32, RawField<'a>) -> bool) -> bool {
    let mut fields = FieldReader::new(message);
    loop {
        match fields.next_field() {
            Ok(Some((number, field))) if take(number, field) => {}
            Ok(None) => return true,
            Ok(Some(_)) | Err(MalformedProtobuf) => return false,
        }
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

/// The first message of a cursor's answer.
pub fn decode_head(message: &[u8]) -> Result<CursorHead> {
    let mut head = CursorHead {
        baton: None,
        base_url: None,
    };
    let whole = fields(message, |number, field| match (number, field) {
        (1, RawField::Bytes(bytes)) => {
            head.baton = text(bytes);
            head.baton.is_some()
        }
        (2, RawField::Bytes(bytes)) => {
            head.base_url = text(bytes);
            head.base_url.is_some()
        }
        (1 | 2, _) => false,
        _ => true,
    });
    if whole {
        Ok(head)
    } else {
        Err(protocol_error("its head"))
    }
}

/// Decodes an error.
pub fn decode_error(message: &[u8]) -> Option<HranaError> {
    let mut error = HranaError::default();
    let whole = fields(message, |number, field| match (number, field) {
        (1, RawField::Bytes(bytes)) => text(bytes).map(|text| error.message = text).is_some(),
        (2, RawField::Bytes(bytes)) => text(bytes).map(|text| error.code = Some(text)).is_some(),
        (1 | 2, _) => false,
        _ => true,
    });
    whole.then_some(error)
}

/// Decodes a message of a cursor's answer. A row's values go into `row`.
pub fn decode_entry(message: &[u8], row: &mut RowBuffer) -> Result<CursorEntry> {
    // Fast path: nearly every message is one row.
    if let [0x22, rest @ ..] = message
        && let Some((cells, [])) = sized(rest)
    {
        row.clear();
        return match self::cells(cells, row) {
            Some(()) => Ok(CursorEntry::Row),
            None => Err(protocol_error("a value does not fit its type")),
        };
    }
    let mut entry = CursorEntry::Other;
    let whole = fields(message, |number, field| {
        let read = match (number, field) {
            (1, RawField::Bytes(bytes)) => decode_begin(bytes),
            (2, RawField::Bytes(bytes)) => decode_end(bytes),
            (3, RawField::Bytes(bytes)) => decode_step_error(bytes),
            (4, RawField::Bytes(bytes)) => {
                row.clear();
                cells(bytes, row).map(|()| CursorEntry::Row)
            }
            (5, RawField::Bytes(bytes)) => decode_error(bytes).map(CursorEntry::Failed),
            (1..=5, _) => None,
            _ => return true,
        };
        read.map(|read| entry = read).is_some()
    });
    if whole {
        Ok(entry)
    } else {
        Err(protocol_error("an entry"))
    }
}

fn decode_begin(message: &[u8]) -> Option<CursorEntry> {
    let mut columns = Vec::new();
    let whole = fields(message, |number, field| match (number, field) {
        (2, RawField::Bytes(bytes)) => {
            let mut column = Col {
                name: None,
                decltype: None,
            };
            let whole = fields(bytes, |number, field| match (number, field) {
                (1, RawField::Bytes(bytes)) => text(bytes).map(|text| column.name = Some(text)).is_some(),
                (2, RawField::Bytes(bytes)) => text(bytes).map(|text| column.decltype = Some(text)).is_some(),
                _ => true,
            });
            columns.push(column);
            whole
        }
        (2, _) => false,
        _ => true,
    });
    whole.then_some(CursorEntry::Begin(columns))
}

fn decode_end(message: &[u8]) -> Option<CursorEntry> {
    let (mut changes, mut last_insert_rowid) = (0, None);
    let whole = fields(message, |number, field| {
        match (number, field) {
            (1, RawField::Number(number)) => changes = number,
            (2, RawField::Number(number)) => last_insert_rowid = Some(signed(number)),
            (1 | 2, _) => return false,
            _ => {}
        }
        true
    });
    whole.then_some(CursorEntry::End {
        changes,
        last_insert_rowid,
    })
}

fn decode_step_error(message: &[u8]) -> Option<CursorEntry> {
    let mut refusal = None;
    let whole = fields(message, |number, field| match (number, field) {
        (2, RawField::Bytes(bytes)) => {
            refusal = decode_error(bytes);
            refusal.is_some()
        }
        (2, _) => false,
        _ => true,
    });
    refusal.filter(|_| whole).map(CursorEntry::Refused)
}

/// The values of a row.
fn cells(mut cells: &[u8], row: &mut RowBuffer) -> Option<()> {
    while let [0x0a, rest @ ..] = cells {
        let (cell, rest) = sized(rest)?;
        row.push(value(cell)?);
        cells = rest;
    }
    cells.is_empty().then_some(())
}

fn value(cell: &[u8]) -> Option<ValueRef<'_>> {
    let (kind, rest) = cell.split_first()?;
    let (value, rest) = match kind {
        0x0a => {
            let (_, rest) = sized(rest)?;
            (ValueRef::Null, rest)
        }
        0x10 => {
            let (number, rest) = read_varint(rest)?;
            (ValueRef::Integer(signed(number)), rest)
        }
        0x19 => {
            let (real, rest) = rest.split_first_chunk()?;
            (ValueRef::Real(f64::from_le_bytes(*real)), rest)
        }
        0x22 => {
            let (text, rest) = sized(rest)?;
            (ValueRef::Text(text), rest)
        }
        0x2a => {
            let (blob, rest) = sized(rest)?;
            (ValueRef::Blob(blob), rest)
        }
        _ => return None,
    };
    rest.is_empty().then_some(value)
}

/// A zigzag-encoded number.
fn signed(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz;
    use crate::hrana::frames::FrameReader;
    use crate::hrana::messages::{Bound, NamedArg, one_step};
    use bytes::Bytes;
    use proptest::prelude::*;
    use rusqlite::types::Value;

    /// What a real server (sqld 0.24) said to `select 1 as a, -2, 1.5, 9e999, -9e999, 'x', x'00ff', null, -0.0`, and why it
    /// refused another statement. Of the columns only the first, and without the stream's name.
    const ANSWER: &[u8] = b"\0\x07\x0a\x05\x12\x03\x0a\x01a\x45\"C\x0a\x02\x10\x02\x0a\x02\x10\x03\x0a\x09\x19\0\0\0\0\0\0\xf8?\
        \x0a\x09\x19\0\0\0\0\0\0\xf0\x7f\x0a\x09\x19\0\0\0\0\0\0\xf0\xff\x0a\x03\"\x01x\x0a\x04*\x02\0\xff\x0a\x02\x0a\0\
        \x0a\x09\x19\0\0\0\0\0\0\0\x80\x02\x12\0\0\
        \x4a\x1aH\x12F\x0a3SQL input error: no such column: nope (at offset 7)\x12\x0fSQL_INPUT_ERROR";

    /// Everything that arrived in `pieces`, after the head.
    fn read(pieces: &[&[u8]]) -> Result<Vec<String>> {
        let mut cut = FrameReader::new(true);
        let mut row = RowBuffer::default();
        let mut said = Vec::new();
        let mut headed = false;
        for piece in pieces {
            cut.feed(Bytes::copy_from_slice(piece));
            loop {
                if !headed {
                    headed = cut.next(decode_head)?.is_some();
                    if !headed {
                        break;
                    }
                }
                let Some(entry) = cut.next(|message| decode_entry(message, &mut row))? else {
                    break;
                };
                said.push(match entry {
                    CursorEntry::Row => format!("{:?}", row.values().collect::<Vec<_>>()),
                    other => format!("{other:?}"),
                });
            }
        }
        if cut.rest().is_empty() {
            Ok(said)
        } else {
            Err(protocol_error("it ends too early"))
        }
    }

    #[test]
    fn protobuf_cursor_answer_of_a_real_server_is_parsed() {
        let said = read(&[ANSWER]).unwrap();
        assert_eq!(
            said,
            [
                "Begin([Col { name: Some(\"a\"), decltype: None }])",
                "[Integer(1), Integer(-2), Real(1.5), Real(inf), Real(-inf), Text([120]), Blob([0, 255]), Null, Real(-0.0)]",
                "End { changes: 0, last_insert_rowid: None }",
                "Other",
                "Refused(HranaError { message: \"SQL input error: no such column: nope (at offset 7)\", code: \
                 Some(\"SQL_INPUT_ERROR\") })",
            ]
        );
        for cut in 0..ANSWER.len() {
            let (one, other) = ANSWER.split_at(cut);
            assert_eq!(read(&[one, other]).unwrap(), said, "cut at {cut}");
        }
        let single: Vec<&[u8]> = ANSWER.chunks(1).collect();
        assert_eq!(read(&single).unwrap(), said);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Integer),
            any::<f64>().prop_map(Value::Real),
            fuzz::text().prop_map(Value::Text),
            prop::collection::vec(any::<u8>(), 0..300).prop_map(Value::Blob),
        ]
    }

    /// A row as a server writes it.
    fn written(values: &[Value]) -> Vec<u8> {
        let mut message = Vec::new();
        put_message(&mut message, 4, |out| {
            for value in values {
                put_message(out, 1, |out| push_value(out, Arg(value.into())));
            }
        });
        message
    }

    #[test]
    fn protobuf_cursor_fuzz_rows_arrive_unchanged() {
        fuzz::run(
            "rows in protobuf",
            10_000,
            prop::collection::vec(any_value(), 0..6),
            |values| {
                let mut row = RowBuffer::default();
                prop_assert!(matches!(
                    decode_entry(&written(&values), &mut row).unwrap(),
                    CursorEntry::Row
                ));
                prop_assert_eq!(row.width(), values.len());
                for (got, sent) in row.values().zip(&values) {
                    match (got, sent) {
                        (ValueRef::Real(got), Value::Real(sent)) => prop_assert_eq!(got.to_bits(), sent.to_bits()),
                        (got, sent) => prop_assert_eq!(got, ValueRef::from(sent)),
                    }
                }
                Ok(())
            },
        );
    }

    #[test]
    fn protobuf_cursor_fuzz_damaged_messages_are_read_or_refused() {
        fuzz::run("damaged protobuf", 20_000, fuzz::damaged(ANSWER), |bytes| {
            let whole = read(&[&bytes]);
            let pieces: Vec<&[u8]> = bytes.chunks(5).collect();
            let cut = read(&pieces);
            prop_assert_eq!(whole.ok(), cut.ok());
            let _ = decode_error(&bytes);
            Ok(())
        });
    }

    #[test]
    fn protobuf_cursor_request_is_as_the_protocol_says() {
        let bound = Bound {
            args: vec![Arg(ValueRef::Integer(-1))],
            named_args: vec![NamedArg {
                name: ":a".to_owned(),
                value: Arg(ValueRef::Text(b"x")),
            }],
        };
        let batch = one_step("select 1", &bound, Some(Condition::in_transaction()));
        let body = cursor_body(Some("b"), &batch);
        let stmt = b"\x0a\x08select 1\x1a\x02\x10\x01\x22\x09\x0a\x02:a\x12\x03\x22\x01x\x28\x01";
        let condition = b"\x0a\x04\x1a\x02\x32\0";
        let mut expected = b"\x0a\x01b\x12\x25\x0a\x23".to_vec();
        expected.extend_from_slice(condition);
        expected.extend_from_slice(b"\x12\x1b");
        expected.extend_from_slice(stmt);
        assert_eq!(body, expected);
    }
}

//! Finds SQL in protobuf messages: a table for each message, and a walk over its fields.
//!
//! Every occurrence of a field is visited, also of one that a decoder would overwrite with a later one. What the tables do
//! not name is taken for SQL, so that a field nobody here knows hides nothing.

use crate::sqltext::policy::TextUse;

/// What a field of a message is. Numbers are never SQL; which of them stand for stored SQL is said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field {
    Message(Message),
    Sql,
    /// SQL that is described or stored, not run.
    Prepared,
    /// A parameter's value, or a name of something: never run.
    Value,
    /// The number of stored SQL.
    StoredSql,
}

/// What a walk over a message finds.
pub(super) enum Found<'a> {
    /// A text that may be SQL.
    Sql(&'a str, TextUse),
    /// SQL that was stored before is used.
    StoredSql,
}

/// Fields by number.
pub(super) type Message = &'static [(u32, Field)];

use Field::{Prepared, Sql, StoredSql, Value};

const fn m(message: Message) -> Field {
    Field::Message(message)
}

const STMT: Message = &[(1, Sql), (2, StoredSql), (3, Value), (4, Value)];
const BATCH: Message = &[(1, m(&[(1, Value), (2, m(STMT))]))];

/// The body of a pipeline.
pub(super) const PIPELINE: Message = &[
    (1, Value),
    (
        2,
        m(&[
            (1, m(&[])),
            (2, m(&[(1, m(STMT))])),
            (3, m(&[(1, m(BATCH))])),
            (4, m(&[(1, Sql), (2, StoredSql)])),
            (5, m(&[(1, Prepared), (2, StoredSql)])),
            (6, m(&[(2, Prepared)])),
            (7, m(&[])),
            (8, m(&[])),
        ]),
    ),
];

/// The body of a cursor.
pub(super) const CURSOR: Message = &[(1, Value), (2, m(BATCH))];

/// A message of a client over a socket. `HELLO` and `REQUEST` are its fields.
pub(super) const SOCKET: Message = &[
    (HELLO, m(&[(1, Value)])),
    (
        REQUEST,
        m(&[
            (2, m(&[])),
            (3, m(&[])),
            (4, m(&[(2, m(STMT))])),
            (5, m(&[(2, m(BATCH))])),
            (6, m(&[(3, m(BATCH))])),
            (7, m(&[])),
            (8, m(&[])),
            (9, m(&[(2, Sql), (3, StoredSql)])),
            (10, m(&[(2, Prepared), (3, StoredSql)])),
            (11, m(&[(2, Prepared)])),
            (12, m(&[])),
            (13, m(&[])),
        ]),
    ),
];
pub(super) const HELLO: u32 = 1;
pub(super) const REQUEST: u32 = 2;

const QUERY: Message = &[(1, Sql), (2, Value), (3, Value)];

/// A program of an outside replica, and what it asks about a statement.
pub(super) const PROGRAM: Message = &[(1, Value), (2, m(&[(1, m(&[(1, Value), (2, m(QUERY))]))]))];
pub(super) const DESCRIBE: Message = &[(1, Value), (2, Prepared)];

/// A message without SQL.
pub(super) const NO_SQL: Message = &[(1, Value)];

/// The bytes are not a valid message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A field as it is in a message.
pub(super) enum Raw<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Calls `visit` with every text that may be SQL, and for every use of stored SQL.
pub(super) fn each_sql<'a, E: From<Malformed>>(
    bytes: &'a [u8],
    message: Message,
    visit: &mut impl FnMut(Found<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let mut fields = Fields(bytes);
    while let Some((number, raw)) = fields.next()? {
        let known = message.iter().find(|(known, _)| *known == number);
        let field = known.map(|(_, field)| *field);
        let Raw::Bytes(bytes) = raw else {
            if field == Some(StoredSql) {
                visit(Found::StoredSql)?;
            }
            continue;
        };
        let usage = match field.unwrap_or(Sql) {
            Field::Message(inner) => {
                each_sql(bytes, inner, visit)?;
                continue;
            }
            Sql | StoredSql => TextUse::Run,
            Prepared => TextUse::Prepare,
            Value => continue,
        };
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed)?;
        visit(Found::Sql(text, usage))?;
    }
    Ok(())
}

/// The same message with other SQL: what `rewrite` returns stands in the place of what it was given.
pub(super) fn rewrite_sql(
    bytes: &[u8],
    message: Message,
    rewrite: &mut impl FnMut(&str) -> Option<String>,
) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut fields = Fields(bytes);
    loop {
        let before = fields.0;
        let Some((number, raw)) = fields.next()? else {
            return Ok(out);
        };
        let known = message
            .iter()
            .find(|(known, _)| *known == number)
            .map(|(_, field)| *field);
        match (raw, known) {
            (Raw::Bytes(inner), Some(Field::Message(message))) => {
                put(&mut out, number, &rewrite_sql(inner, message, rewrite)?);
            }
            (Raw::Bytes(text), Some(Sql | Prepared)) => {
                let sql = std::str::from_utf8(text).map_err(|_| Malformed)?;
                match rewrite(sql) {
                    Some(other) => put(&mut out, number, other.as_bytes()),
                    None => put(&mut out, number, text),
                }
            }
            _ => out.extend_from_slice(&before[..before.len() - fields.0.len()]),
        }
    }
}

/// The fields of a message, in their order.
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn next(&mut self) -> Result<Option<(u32, Raw<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = u32::try_from(self.varint()?).map_err(|_| Malformed)?;
        let (number, kind) = (key >> 3, key & 7);
        if number == 0 {
            return Err(Malformed);
        }
        let raw = match kind {
            0 => Raw::Number(self.varint()?),
            1 => Raw::Number(self.take(8)?.iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte))),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Raw::Bytes(self.take(length)?)
            }
            5 => Raw::Number(self.take(4)?.iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte))),
            // Groups, which no message here has.
            _ => return Err(Malformed),
        };
        Ok(Some((number, raw)))
    }

    /// The last occurrence of a field.
    pub fn last(mut self, wanted: u32) -> Option<Raw<'a>> {
        let mut last = None;
        while let Ok(Some((number, raw))) = self.next() {
            if number == wanted {
                last = Some(raw);
            }
        }
        last
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for at in 0..10 {
            let (&byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                // The tenth byte has room for one bit.
                return if at == 9 && byte > 1 { Err(Malformed) } else { Ok(value) };
            }
        }
        Err(Malformed)
    }
}

/// Appends a field of bytes, or of a message.
pub(super) fn put(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number << 3 | 2));
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A message of one field of bytes, or of a message.
pub(super) fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, number, bytes);
    out
}

/// Appends a field with a number.
pub(super) fn put_number(out: &mut Vec<u8>, field: u32, value: u64) {
    put_varint(out, u64::from(field << 3));
    put_varint(out, value);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(fields: &[(u32, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, bytes) in fields {
            put(&mut out, *number, bytes);
        }
        out
    }

    fn texts(bytes: &[u8], of: Message) -> Result<Vec<&str>, Malformed> {
        let mut found = Vec::new();
        each_sql(bytes, of, &mut |part| {
            found.push(match part {
                Found::Sql(text, TextUse::Run) => text,
                Found::Sql(_, TextUse::Prepare) => "prepared",
                Found::StoredSql => "by number",
            });
            Ok::<_, Malformed>(())
        })?;
        Ok(found)
    }

    #[test]
    fn sql_is_found_and_values_are_not() {
        let value = message(&[(3, b"text")]);
        let stmt = message(&[(1, b"first"), (3, &value), (1, b"second"), (9, b"unknown")]);
        let execute = message(&[(1, &stmt)]);
        let store = message(&[(2, b"stored")]);
        let requests = message(&[(1, b"baton"), (2, &message(&[(2, &execute), (6, &store)]))]);
        assert_eq!(
            texts(&requests, PIPELINE).unwrap(),
            ["first", "second", "unknown", "prepared"]
        );
        let mut stored = message(&[(3, &value)]);
        put_number(&mut stored, 2, 7);
        let requests = message(&[(2, &message(&[(2, &message(&[(1, &stored)]))]))]);
        assert_eq!(texts(&requests, PIPELINE).unwrap(), ["by number"]);
    }

    #[test]
    fn what_is_no_message_is_malformed() {
        for bytes in [
            &[0x0a][..],
            &[0x0a, 0x05, 1],
            &[0x00, 0x00],
            &[0x0b],
            &[0x0a, 0x01, 0xff],
            &[0xff; 11],
            &[0x09, 1, 2],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        ] {
            assert_eq!(
                texts(bytes, DESCRIBE).and(Ok(())).and(texts(bytes, &[]).map(drop)),
                Err(Malformed),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        let mut out = Vec::new();
        put_number(&mut out, 1, 300);
        put(&mut out, 2, &[7; 200]);
        assert!(matches!(Fields(&out).last(1), Some(Raw::Number(300))));
        assert!(matches!(Fields(&out).last(2), Some(Raw::Bytes(bytes)) if bytes == [7; 200]));
    }
}

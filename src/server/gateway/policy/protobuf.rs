//! Finds SQL in protobuf messages: a table for each message, and a walk over its fields.
//!
//! Every occurrence of a field is visited, also of one that a decoder would overwrite with a later one. What the tables do
//! not name is taken for SQL, so that a field nobody here knows hides nothing.

use crate::hrana::client_message::{HELLO, REQUEST};
use crate::hrana::protobuf::fields::{FieldReader, MalformedProtobuf, RawField, put};
use crate::sqltext::policy::TextUse;

/// What a field of a message is. Numbers are never SQL; which of them stand for stored SQL is said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FieldRule {
    Message(MessageRules),
    Sql,
    /// SQL that is described or stored, not run.
    Prepared,
    /// A parameter's value, or a name of something: never run.
    Value,
    /// The number of stored SQL.
    StoredSql,
}

/// What a walk over a message finds.
pub enum ProtobufText<'a> {
    /// A text that may be SQL.
    Sql(&'a str, TextUse),
    /// SQL that was stored before is used.
    StoredSql,
}

/// Fields by number.
pub type MessageRules = &'static [(u32, FieldRule)];

use FieldRule::{Prepared, Sql, StoredSql, Value};

const fn m(message: MessageRules) -> FieldRule {
    FieldRule::Message(message)
}

const STMT: MessageRules = &[(1, Sql), (2, StoredSql), (3, Value), (4, Value)];
const BATCH: MessageRules = &[(1, m(&[(1, Value), (2, m(STMT))]))];

/// The body of a pipeline.
pub const PIPELINE: MessageRules = &[
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
pub const CURSOR: MessageRules = &[(1, Value), (2, m(BATCH))];

/// A message of a client over a socket. `HELLO` and `REQUEST` are its fields.
pub const SOCKET: MessageRules = &[
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

const QUERY: MessageRules = &[(1, Sql), (2, Value), (3, Value)];

/// A program of an outside replica, and what it asks about a statement.
pub const PROGRAM: MessageRules = &[(1, Value), (2, m(&[(1, m(&[(1, Value), (2, m(QUERY))]))]))];
pub const DESCRIBE: MessageRules = &[(1, Value), (2, Prepared)];

/// A message without SQL.
pub const NO_SQL: MessageRules = &[(1, Value)];

/// Calls `visit` with every text that may be SQL, and for every use of stored SQL.
pub fn each_sql<'a, E: From<MalformedProtobuf>>(
    bytes: &'a [u8],
    message: MessageRules,
    visit: &mut impl FnMut(ProtobufText<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let mut fields = FieldReader::new(bytes);
    while let Some((number, raw)) = fields.next_field()? {
        let known = message.iter().find(|(known, _)| *known == number);
        let field = known.map(|(_, field)| *field);
        let RawField::Bytes(bytes) = raw else {
            if field == Some(StoredSql) {
                visit(ProtobufText::StoredSql)?;
            }
            continue;
        };
        let usage = match field.unwrap_or(Sql) {
            FieldRule::Message(inner) => {
                each_sql(bytes, inner, visit)?;
                continue;
            }
            Sql | StoredSql => TextUse::Run,
            Prepared => TextUse::Prepare,
            Value => continue,
        };
        let text = std::str::from_utf8(bytes).map_err(|_| MalformedProtobuf)?;
        visit(ProtobufText::Sql(text, usage))?;
    }
    Ok(())
}

/// The same message with other SQL: what `rewrite` returns stands in the place of what it was given.
pub fn rewrite_sql(
    bytes: &[u8],
    message: MessageRules,
    rewrite: &mut impl FnMut(&str) -> Option<String>,
) -> Result<Vec<u8>, MalformedProtobuf> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut fields = FieldReader::new(bytes);
    loop {
        let before = fields.rest();
        let Some((number, raw)) = fields.next_field()? else {
            return Ok(out);
        };
        let known = message
            .iter()
            .find(|(known, _)| *known == number)
            .map(|(_, field)| *field);
        match (raw, known) {
            (RawField::Bytes(inner), Some(FieldRule::Message(message))) => {
                put(&mut out, number, &rewrite_sql(inner, message, rewrite)?);
            }
            (RawField::Bytes(text), Some(Sql | Prepared)) => {
                let sql = std::str::from_utf8(text).map_err(|_| MalformedProtobuf)?;
                match rewrite(sql) {
                    Some(other) => put(&mut out, number, other.as_bytes()),
                    None => put(&mut out, number, text),
                }
            }
            _ => out.extend_from_slice(&before[..before.len() - fields.rest().len()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hrana::protobuf::fields::put_number;

    fn message(fields: &[(u32, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, bytes) in fields {
            put(&mut out, *number, bytes);
        }
        out
    }

    fn texts(bytes: &[u8], of: MessageRules) -> Result<Vec<&str>, MalformedProtobuf> {
        let mut found = Vec::new();
        each_sql(bytes, of, &mut |part| {
            found.push(match part {
                ProtobufText::Sql(text, TextUse::Run) => text,
                ProtobufText::Sql(_, TextUse::Prepare) => "prepared",
                ProtobufText::StoredSql => "by number",
            });
            Ok::<_, MalformedProtobuf>(())
        })?;
        Ok(found)
    }

    #[test]
    fn protobuf_policy_finds_sql_and_no_values() {
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
    fn protobuf_policy_of_bytes_that_are_no_message_is_malformed() {
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
                Err(MalformedProtobuf),
                "{bytes:?}"
            );
        }
    }
}

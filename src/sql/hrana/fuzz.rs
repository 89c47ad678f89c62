//! Answers of servers: whole ones say what was put into them, damaged ones are refused, and nothing makes the shell fall over.

use super::error_body::ErrorBody;
use crate::fuzz::{damaged, run, text};
use crate::hrana::entry::{CursorEntry, RowBuffer};
use crate::hrana::frames::FrameReader;
use crate::hrana::json::cursor::{decode_entry, parse_entry};
use crate::hrana::messages::{Arg, CursorHead, PipelineReply, json};
use bytes::Bytes;
use proptest::prelude::*;
use rusqlite::types::{Value, ValueRef};

/// What a real server (sqld 0.24) said: two answers of pipelines, and two of cursors.
const ANSWERS: &str = include_str!("answers.txt");

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>()
            .prop_filter("JSON has only finite numbers", |real| real.is_finite())
            .prop_map(Value::Real),
        text().prop_map(Value::Text),
        "[\u{0}-\u{1f}\"\\\\a]{0,6}".prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..9).prop_map(Value::Blob),
    ]
}

/// Whether both are the same to the bit.
fn same(one: ValueRef<'_>, other: ValueRef<'_>) -> bool {
    match (one, other) {
        (ValueRef::Real(one), ValueRef::Real(other)) => one.to_bits() == other.to_bits(),
        (one, other) => one == other,
    }
}

#[test]
fn request_fuzz_is_read_back() {
    run(
        "rows there and back",
        10_000,
        proptest::collection::vec(value(), 0..6),
        |values| {
            let sent: Vec<Vec<u8>> = values.iter().map(|value| json(&Arg(value.into()))).collect();
            let line = [&b"{\"type\":\"row\",\"row\":["[..], &sent.join(&b","[..]), b"]}"].concat();
            for read in [decode_entry, parse_entry] {
                let mut row = RowBuffer::default();
                let entry = read(&line, &mut row).unwrap();
                prop_assert!(matches!(entry, CursorEntry::Row));
                prop_assert_eq!(row.width(), values.len());
                prop_assert!(row.values().zip(&values).all(|(got, sent)| same(got, sent.into())));
            }
            Ok(())
        },
    );
}

#[test]
fn answer_of_a_real_server_is_parsed() {
    let lines: Vec<&[u8]> = ANSWERS.lines().map(str::as_bytes).collect();
    let mut understood = (0, 0, 0);
    for line in lines {
        if let Ok(reply) = serde_json::from_slice::<PipelineReply>(line) {
            understood.0 += reply.results.len();
        } else if serde_json::from_slice::<CursorHead>(line).is_ok_and(|head| head.baton.is_some()) {
            understood.1 += 1;
        } else {
            let mut row = RowBuffer::default();
            understood.2 += usize::from(!matches!(decode_entry(line, &mut row).unwrap(), CursorEntry::Other));
        }
    }
    assert_eq!(understood, (6, 2, 7));
}

#[test]
fn answer_that_is_damaged_is_read_or_refused() {
    run("damaged answers", 12_000, damaged(ANSWERS.as_bytes()), |bytes| {
        let _ = ErrorBody::read(&bytes, false, None);
        let _ = ErrorBody::read(&bytes, true, None);
        for line in bytes.split(|&byte| byte == b'\n') {
            let _ = serde_json::from_slice::<PipelineReply>(line);
            let _ = serde_json::from_slice::<CursorHead>(line);
        }
        // As they arrive: in pieces.
        let mut lines = FrameReader::default();
        let mut row = RowBuffer::default();
        for piece in bytes.chunks(97) {
            lines.feed(Bytes::copy_from_slice(piece));
            while let Ok(Some(_)) = lines.next(|line| decode_entry(line, &mut row)) {
                prop_assert!(row.values().count() == row.width());
            }
        }
        let _ = lines.rest();
        Ok(())
    });
}

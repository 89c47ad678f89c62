//! Files of any kind, whole and damaged: read to the end, and for JSON whole or not at all.

use super::progress::{Consumed, ImportProgress};
use super::reader::{CsvFieldReader, Dialect, FieldEnd};
use super::{ImportOptions, ImportStreams, Importer};
use crate::fuzz::{damaged, pieces, run, text};
use crate::shell::render::Style;
use crate::sql::query::number;
use crate::sql::{self, Session, Target};
use proptest::prelude::*;
use std::io::Cursor;

const PIECES: &[&str] = &[
    "a", "1", ",", ",", "|", "\t", "\n", "\n", "\r\n", "\r", "\"", "\"\"", "'", "\u{feff}", "\u{1e}", "\u{1f}", " ",
    "é", "\u{0}", "x y",
];

const OBJECTS: &[u8] = "[{\"a\":1,\"b\":\"x}\\\"{\\u00e9\"},\n {\"A\":-9223372036854775808,\"c\":{\"d\":[1,null,\"]\"]}},\r\n{\"b\":true,\"c\":1.5e300}\n,{}]\n"
    .as_bytes();

/// All fields, and how far the file was read.
fn read(file: &[u8], dialect: Dialect) -> (Vec<(Vec<u8>, FieldEnd)>, u64) {
    let mut reader = CsvFieldReader::new(file, dialect);
    let mut fields = Vec::new();
    loop {
        let mut field = Vec::new();
        match reader.field(&mut field, &mut |_| {}).unwrap() {
            Some(end) => fields.push((field, end)),
            None => return (fields, reader.consumed()),
        }
    }
}

#[test]
fn import_fuzz_any_file_is_read_to_its_end() {
    let separators = proptest::sample::select(
        &[
            (b',', b'\n', true),
            (b'|', b'\n', true),
            (b'\t', b'\n', true),
            (0x1f, 0x1e, false),
            (b'a', b'1', true),
        ][..],
    );
    run(
        "separated files",
        8_000,
        (separators, pieces(PIECES, 24)),
        |((column, row, quotes), file)| {
            let (fields, consumed) = read(
                file.as_bytes(),
                Dialect {
                    column,
                    row,
                    quotes,
                    text_file: quotes,
                },
            );
            prop_assert_eq!(consumed, file.len() as u64);
            prop_assert!(fields.len() <= file.len() + 1);
            prop_assert!(fields.iter().map(|(field, _)| field.len()).sum::<usize>() <= file.len());
            if !quotes {
                // Then nothing is dropped but what separates.
                let mut again: Vec<u8> = Vec::new();
                for (field, end) in &fields {
                    again.extend_from_slice(field);
                    match end {
                        FieldEnd::Column => again.push(column),
                        FieldEnd::Row => again.push(row),
                        FieldEnd::File => {}
                    }
                }
                prop_assert_eq!(again, file.as_bytes());
            }
            Ok(())
        },
    );
}

/// Imports objects into the table `t`.
fn objects(session: &mut dyn Session, file: Vec<u8>) -> i32 {
    let options = ImportOptions::parse(&["--json", "f", "t"], &Style::default()).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut streams = ImportStreams {
        out: &mut out,
        err: &mut err,
        terminal: false,
    };
    let mut importer = Importer {
        session,
        options: &options,
        streams: &mut streams,
        stop: &|| false,
        guessed: Vec::new(),
        progress: ImportProgress::new(false, Consumed::default(), None),
        program: None,
    };
    importer.within_savepoint(Box::new(Cursor::new(file))).unwrap()
}

fn table() -> Box<dyn Session> {
    let mut session = sql::open(&Target::Memory).unwrap();
    super::execute(session.as_mut(), "CREATE TABLE t(a, b, c)").unwrap();
    session
}

#[test]
fn import_fuzz_damaged_objects_come_whole_or_not_at_all() {
    let session = std::cell::RefCell::new(table());
    run("damaged JSON files", 2_500, damaged(OBJECTS), |file| {
        let mut session = session.borrow_mut();
        let code = objects(session.as_mut(), file);
        prop_assert!(!session.in_transaction());
        let rows = number(session.as_mut(), "SELECT count(*) FROM t").unwrap();
        prop_assert!(code == 0 || rows == 0, "code {code}, {rows} rows");
        super::execute(session.as_mut(), "DELETE FROM t").unwrap();
        Ok(())
    });
}

#[test]
fn import_fuzz_objects_keep_their_texts() {
    let session = std::cell::RefCell::new(table());
    run(
        "JSON files",
        1_500,
        (proptest::collection::vec(text(), 1..5), any::<bool>()),
        |(texts, array)| {
            let mut session = session.borrow_mut();
            let lines: Vec<String> = texts
                .iter()
                .map(|text| serde_json::json!({ "b": text }).to_string())
                .collect();
            let file = if array {
                format!("[{}]", lines.join(",\n"))
            } else {
                lines.join("\n")
            };
            prop_assert_eq!(objects(session.as_mut(), file.into_bytes()), 0);
            let rows = crate::sql::query::collect(session.as_mut(), "SELECT b FROM t ORDER BY rowid", &[]).unwrap();
            let got: Vec<String> = rows
                .iter()
                .map(|row| crate::sql::text::value_to_text(&row[0]))
                .collect();
            prop_assert_eq!(got, texts);
            super::execute(session.as_mut(), "DELETE FROM t").unwrap();
            Ok(())
        },
    );
}

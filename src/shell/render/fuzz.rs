//! Results of anything in every mode: what is written is whole, lines up, and means what was stored.

use super::text::{LineEnds, push_sql};
use super::{Escape, Mode, Renderer, Style};
use crate::fuzz::{run, text};
use crate::shell::import::reader::{CsvFieldReader, Dialect, FieldEnd, Record};
use crate::sql::{Column, Sink, Value, ValueRef};
use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        2 => any::<i64>().prop_map(Value::Integer),
        1 => any::<f64>().prop_filter("SQLite stores no NaN", |real| !real.is_nan()).prop_map(Value::Real),
        5 => text().prop_map(Value::Text),
        1 => proptest::collection::vec(any::<u8>(), 0..9).prop_map(Value::Blob),
    ]
}

fn rows() -> impl Strategy<Value = Vec<Vec<Value>>> {
    proptest::collection::vec(proptest::collection::vec(value(), 3), 0..4)
}

fn rendered(style: &Style, names: &[String], rows: &[Vec<Value>]) -> Vec<u8> {
    let columns: Vec<Column> = names
        .iter()
        .map(|name| Column {
            name: name.clone(),
            decltype: None,
        })
        .collect();
    let mut out = Vec::new();
    let mut renderer = Renderer::new(style, &mut out);
    renderer.columns(&columns).unwrap();
    for row in rows {
        let row: Vec<ValueRef<'_>> = row.iter().map(ValueRef::from).collect();
        let _ = renderer.row(&row).unwrap();
    }
    renderer.finish().unwrap();
    out
}

/// Any style there is, legible or not.
fn style() -> impl Strategy<Value = Style> {
    let looks = (proptest::array::uniform8(any::<bool>()), 0..3_u8, -12..40_i32);
    let texts = (text(), text(), text(), text());
    let widths = proptest::collection::vec(-15..15_i32, 0..4);
    (
        proptest::sample::select(super::preset::PRESETS.map(|preset| preset.name).to_vec()),
        looks,
        widths,
        texts,
    )
        .prop_map(|(preset, (flags, escape, wrap), widths, texts)| {
            let mut style = Style::default();
            style.preset(preset);
            style.headers = flags[0];
            style.word_wrap = flags[1];
            style.quote = flags[2];
            style.numbers_right = flags[3];
            style.dim_null = flags[4];
            style.live = flags[5];
            style.raw_newlines = flags[6];
            style.escape = [Escape::Off, Escape::Ascii, Escape::Symbol][usize::from(escape)];
            style.wrap = wrap;
            style.widths = widths;
            (style.null, style.insert_table) = (texts.0, texts.1);
            if flags[7] {
                (style.column_separator, style.row_separator) = (texts.2, texts.3);
            }
            style
        })
}

fn names() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(text(), 3)
}

#[test]
fn output_modes_fuzz_show_all_values() {
    run(
        "results in any style",
        8_000,
        (style(), names(), rows()),
        |(style, names, rows)| {
            let out = rendered(&style, &names, &rows);
            prop_assert!(rows.is_empty() || style.mode == Mode::Off || !out.is_empty());
            Ok(())
        },
    );
}

/// Cells of a line on a terminal, character by character.
fn cells(line: &str) -> usize {
    line.graphemes(true).map(UnicodeWidthStr::width).sum()
}

#[test]
fn table_output_fuzz_has_lines_of_equal_width() {
    let preset = proptest::sample::select(&["box", "table", "markdown", "qbox"][..]);
    let layout = (
        preset,
        any::<bool>(),
        -12..40_i32,
        proptest::collection::vec(-15..15_i32, 0..4),
        any::<bool>(),
    );
    run(
        "tables",
        6_000,
        (layout, names(), rows()),
        |((preset, word_wrap, wrap, widths, right), names, rows)| {
            let mut style = Style::default();
            style.preset(preset);
            (style.word_wrap, style.wrap, style.widths, style.numbers_right) = (word_wrap, wrap, widths, right);
            // What is no text may hold anything.
            let shown = |value: Value| match value {
                Value::Blob(_) => Value::Null,
                value => value,
            };
            let rows: Vec<Vec<Value>> = rows
                .into_iter()
                .map(|row| row.into_iter().map(shown).collect())
                .collect();
            let out = String::from_utf8(rendered(&style, &names, &rows)).unwrap();
            let mut lines = out.lines().map(cells);
            let first = lines.next();
            prop_assert!(lines.all(|width| Some(width) == first), "{out}");
            Ok(())
        },
    );
}

#[test]
fn csv_output_fuzz_is_read_back() {
    let separator = proptest::sample::select(&[",", ";", "|", "\t"][..]);
    let ends = proptest::sample::select(&["\r\n", "\n"][..]);
    run(
        "CSV files",
        6_000,
        (separator, ends, rows()),
        |(separator, end, rows)| {
            let mut style = Style::default();
            style.preset("csv");
            (style.column_separator, style.row_separator) = (separator.to_owned(), end.to_owned());
            let rows: Vec<Vec<Value>> = rows
                .into_iter()
                .map(|row| {
                    row.into_iter()
                        .filter(|value| matches!(value, Value::Text(_) | Value::Null | Value::Integer(_)))
                        .collect()
                })
                .filter(|row: &Vec<Value>| !row.is_empty())
                .collect();
            for row in &rows {
                let names = vec![String::new(); row.len()];
                let out = rendered(&style, &names, std::slice::from_ref(row));
                let mut reader = CsvFieldReader::new(
                    &out[..],
                    Dialect {
                        column: separator.as_bytes()[0],
                        ..Dialect::CSV
                    },
                );
                let mut record = Record::default();
                while record.read(&mut reader, &mut |_| {}).unwrap() == Some(FieldEnd::Column) {}
                let expected: Vec<Vec<u8>> = row
                    .iter()
                    .map(|value| match value {
                        Value::Text(text) => text.clone().into_bytes(),
                        Value::Integer(number) => number.to_string().into_bytes(),
                        _ => Vec::new(),
                    })
                    .collect();
                // A byte order mark at the very beginning is the file's.
                let marked = out.starts_with("\u{feff}".as_bytes());
                prop_assert!(
                    marked || record.iter().eq(expected.iter().map(Vec::as_slice)),
                    "{:?}",
                    String::from_utf8_lossy(&out)
                );
            }
            Ok(())
        },
    );
}

#[test]
fn json_output_fuzz_says_what_was_stored() {
    let mode = proptest::sample::select(&["json", "jsonl"][..]);
    run(
        "JSON documents",
        5_000,
        (mode, names(), rows()),
        |(mode, names, rows)| {
            let mut style = Style::default();
            style.preset(mode);
            let out = rendered(&style, &names, &rows);
            let objects: Vec<serde_json::Map<String, serde_json::Value>> = if rows.is_empty() {
                Vec::new()
            } else if mode == "json" {
                let text = String::from_utf8(out)
                    .unwrap()
                    .replace("1e999", "null")
                    .replace("-null", "null");
                serde_json::from_str(&text).unwrap()
            } else {
                let text = String::from_utf8(out)
                    .unwrap()
                    .replace("1e999", "null")
                    .replace("-null", "null");
                text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
            };
            prop_assert_eq!(objects.len(), rows.len());
            for (object, row) in objects.iter().zip(&rows) {
                for (name, value) in names.iter().zip(row) {
                    // Of columns of one name the last is told.
                    if names.iter().filter(|other| *other == name).count() > 1 {
                        continue;
                    }
                    let said = &object[name];
                    match value {
                        Value::Integer(number) => prop_assert_eq!(said.as_i64(), Some(*number)),
                        Value::Real(real) if real.is_finite() => {
                            prop_assert_eq!(said.as_f64().map(f64::to_bits), Some(real.to_bits()))
                        }
                        Value::Text(text) => prop_assert_eq!(said.as_str(), Some(text.as_str())),
                        Value::Blob(blob) => {
                            let bytes: Vec<u32> = said.as_str().unwrap().chars().map(u32::from).collect();
                            prop_assert!(bytes.into_iter().eq(blob.iter().copied().map(u32::from)));
                        }
                        Value::Null | Value::Real(_) => prop_assert!(said.is_null()),
                    }
                }
            }
            Ok(())
        },
    );
}

/// Whether SQLite's value is the one given, to the bit.
fn stored(got: ValueRef<'_>, wanted: &Value, as_text: bool) -> bool {
    match (got, wanted) {
        (ValueRef::Real(got), Value::Real(wanted)) => got.to_bits() == wanted.to_bits(),
        (ValueRef::Text(got), Value::Blob(wanted)) if as_text => got == wanted,
        (got, wanted) => got == ValueRef::from(wanted),
    }
}

#[test]
fn literal_output_fuzz_means_what_was_stored() {
    let db = rusqlite::Connection::open_in_memory().unwrap();
    let ends = proptest::sample::select(&[false, true][..]);
    run(
        "SQL literals",
        6_000,
        (value(), ends, any::<bool>()),
        |(value, raw, as_text)| {
            let shown = match &value {
                // Text need not be UTF-8.
                Value::Blob(bytes) if as_text => ValueRef::Text(bytes),
                value => value.into(),
            };
            let mut literal = b"SELECT ".to_vec();
            push_sql(
                &mut literal,
                shown,
                if raw { LineEnds::Raw } else { LineEnds::Replaced },
            );
            let sql = String::from_utf8(literal).unwrap();
            let mut statement = db.prepare(&sql).unwrap();
            let mut rows = statement.query([]).unwrap();
            let got = rows.next().unwrap().unwrap().get_ref(0).unwrap();
            prop_assert!(stored(got, &value, as_text), "{sql} is {got:?}");
            Ok(())
        },
    );
}

#[test]
fn insert_and_quote_output_fuzz_bring_rows_back() {
    let db = rusqlite::Connection::open_in_memory().unwrap();
    db.execute_batch("CREATE TABLE \"t \"\"x\"(a, b, c)").unwrap();
    run(
        "rows as SQL",
        3_000,
        (proptest::collection::vec(value(), 3), any::<bool>(), any::<bool>()),
        |(row, insert, headers)| {
            let mut style = Style::default();
            style.preset(if insert { "insert" } else { "quote" });
            style.headers = headers && insert;
            style.insert_table = "t \"x".to_owned();
            let names = ["a", "b", "c"].map(str::to_owned);
            let out = String::from_utf8(rendered(&style, &names, std::slice::from_ref(&row))).unwrap();
            let query = if insert {
                db.execute_batch(&format!("DELETE FROM \"t \"\"x\";{out}")).unwrap();
                "SELECT * FROM \"t \"\"x\"".to_owned()
            } else {
                format!("SELECT {out}")
            };
            let mut statement = db.prepare(&query).unwrap();
            let mut rows = statement.query([]).unwrap();
            let got = rows.next().unwrap().unwrap();
            for (index, wanted) in row.iter().enumerate() {
                let got = got.get_ref(index).unwrap();
                prop_assert!(stored(got, wanted, false), "{out} gave {got:?}");
            }
            Ok(())
        },
    );
}

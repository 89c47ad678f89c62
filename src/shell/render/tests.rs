//! The renderers against the system's `sqlite3`, and against anything at all.

use super::{Escape, Mode, Renderer, Style};
use crate::sql::number;
use crate::sql::{Column, Sink, Value, ValueRef};
use proptest::prelude::*;
use std::io::Write;
use std::process::{Command, Stdio};

/// What the system's `sqlite3` writes for a script.
fn oracle(script: &str) -> Vec<u8> {
    let mut child = Command::new("sqlite3")
        .arg(":memory:")
        .env_remove("HOME")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the tests need the sqlite3 program");
    let mut stdin = child.stdin.take().unwrap();
    let script = script.as_bytes().to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&script));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    output.stdout
}

/// What the renderer writes for a query.
fn render(style: &Style, query: &str) -> Vec<u8> {
    let db = rusqlite::Connection::open_in_memory().unwrap();
    let mut statement = db.prepare(query).unwrap();
    let columns: Vec<Column> = statement
        .column_names()
        .map(|name| Column {
            name: name.to_owned(),
            decltype: None,
        })
        .collect();
    let mut out = Vec::new();
    let mut renderer = Renderer::new(style, &mut out);
    renderer.columns(&columns).unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let values: Vec<ValueRef<'_>> = (0..columns.len()).map(|index| row.get_ref(index).unwrap()).collect();
        let _ = renderer.row(&values).unwrap();
    }
    renderer.finish().unwrap();
    out
}

/// A mode as a script selects it, and the style that is the same.
fn modes() -> Vec<(String, Style)> {
    let mut modes = Vec::new();
    let mut add = |script: &str, preset: &str, change: &dyn Fn(&mut Style)| {
        let mut style = Style::default();
        assert!(style.preset(preset), "{preset}");
        style.headers = matches!(style.mode, Mode::Box | Mode::Column | Mode::Markdown | Mode::Table);
        change(&mut style);
        modes.push((format!(".mode {script}\n"), style));
    };
    for preset in super::preset::PRESETS.map(|preset| preset.name) {
        if !matches!(preset, "jsonl" | "vertical" | "insert") {
            add(preset, preset, &|_| {});
        }
        if !matches!(preset, "jsonl" | "vertical" | "insert") {
            add(&format!("{preset}\n.headers on\n.nullvalue NIL"), preset, &|style| {
                style.headers = true;
                style.null = "NIL".into();
            });
        }
    }
    for table in ["t", "two words", "select", "x\"y", "'q'"] {
        let word = format!("\"{}\"", table.replace('"', "\\\""));
        add(&format!("insert {word}"), "insert", &|style| {
            style.insert_table = table.into()
        });
        add(&format!("insert {word}\n.headers on"), "insert", &|style| {
            style.insert_table = table.into();
            style.headers = true;
        });
    }
    for preset in ["box", "table", "column", "markdown"] {
        for wrap in [0, 1, 2, 5, 9, 20] {
            add(&format!("{preset} --wrap {wrap}"), preset, &|style| style.wrap = wrap);
            add(
                &format!("{preset} --wrap {wrap} --wordwrap on --quote"),
                preset,
                &|style| {
                    style.wrap = wrap;
                    style.word_wrap = true;
                    style.quote = true;
                },
            );
        }
        add(&format!("{preset}\n.width 7 -9 0 -3 2"), preset, &|style| {
            style.widths = vec![7, -9, 0, -3, 2]
        });
        add(&format!("{preset}\n.headers off"), preset, &|style| {
            style.headers = false
        });
    }
    for separator in [";", ", ", "ab", "1"] {
        for preset in ["list", "csv", "quote", "tcl"] {
            // Then `shorten_reals` could not tell where a real ends.
            if preset == "quote" && separator == "1" {
                continue;
            }
            add(
                &format!("{preset}\n.separator \"{separator}\" \"#\\n\""),
                preset,
                &|style| {
                    style.column_separator = separator.into();
                    style.row_separator = "#\n".into();
                },
            );
        }
    }
    modes
}

const QUERIES: [&str; 10] = [
    "select 1 as id, 'it''s' as \"my name\", 2.5 as r, null as n, x'4142' as b \
     union all select -20, 'plain', 1e10, 'x,\"y\"|z', x''",
    "select 'a<b>&\"c''' as \"h<t\", 'back\\slash' as \"\"\"q\"\"\", '' as empty, null as none",
    "select 'one two three four five six seven eight nine ten' as words, 'abcdefghijklmnopqrstuvwxyz' as w2, 3 as n, \
     'tab' || char(9) || 'bed' || char(9,9) || 'x' as tabs, 'l1' || char(10) || 'l2' || char(13,10) || 'l3' || char(10) as lines \
     union all select 'a', 'b', 4, 'c', 'd'",
    "select char(10) || 'x' as lead, 'a\\nb' || char(10) as esc, 'a\\nb\\012' || char(10, 13) as esc2, char(13) as cr, char(27) || '[31m' as ctl",
    "select 9223372036854775807 as big, -9223372036854775808 as small, 1e100 as e, -1.5e-7 as f, 0.125 as eighth",
    "select 1 where 0",
    "select 1 as \"a very long header that is wider than its column\", 'x' as \"select\", 2 as \"a b\"",
    "with recursive c(i) as (select 1 union all select i + 1 from c where i < 300) \
     select i, i * 1.5 as half, 'row ' || i as name, case when i % 3 = 0 then null else i * i end as n from c",
    // Around the length up to which texts are looked at while they are copied, with each character that matters at their ends.
    "with recursive n(i) as (select 0 union all select i + 1 from n where i < 36), \
     t(i, s) as (select i, substr('abcdefghijklmnopqrstuvwxyz0123456789', 1, i) from n) \
     select s, s || ',' as comma, '|' || s as bar, s || char(34) as quotes, '''' || s as apostrophe, s || 'é' as accent, \
     s || char(10) as line, char(92) || s as backslash, s || '<' as less from t",
    "select 'foo-bar_baz (qux) 12345 67890 ..... end' as t, '  two  blanks  ' as u, 'x' || char(11) || 'y' as v",
];

/// The first lines that differ, for a failure's message.
fn first_difference(want: &[u8], got: &[u8]) -> String {
    let want = String::from_utf8_lossy(want);
    let got = String::from_utf8_lossy(got);
    let mut lines = want
        .split('\n')
        .map(Some)
        .chain([None])
        .zip(got.split('\n').map(Some).chain([None]));
    format!("{:?}", lines.find(|(want, got)| want != got))
}

/// The modes where reals have the digits that read back, a documented difference.
fn exact_reals(mode: Mode) -> bool {
    matches!(mode, Mode::Json | Mode::Quote | Mode::Insert)
}

/// Replaces reals written with up to 20 digits by the shortest that mean the same.
fn shorten_reals(text: &[u8]) -> Vec<u8> {
    let part_of_number = |byte: &u8| byte.is_ascii_digit() || b".e+-".contains(byte);
    let mut out = Vec::new();
    for run in text.chunk_by(|left, right| part_of_number(left) == part_of_number(right)) {
        let real = std::str::from_utf8(run)
            .ok()
            .filter(|run| run.contains('.'))
            .and_then(|run| run.parse().ok());
        match real {
            Some(real) => number::push_exact(&mut out, real),
            None => out.extend_from_slice(run),
        }
    }
    out
}

#[test]
fn output_modes_write_byte_for_byte_what_sqlite3_writes() {
    let mut failures = Vec::new();
    for (script, style) in modes() {
        for query in QUERIES {
            let want = oracle(&format!("{script}{query};\n"));
            let want = if exact_reals(style.mode) {
                shorten_reals(&want)
            } else {
                want
            };
            let got = render(&style, query);
            if want != got {
                failures.push(format!("{script}{query}\n{}", first_difference(&want, &got)));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} differ\n{}",
        failures.len(),
        failures[..failures.len().min(20)].join("\n\n")
    );
}

#[test]
fn output_of_short_texts_has_their_nul_bytes() {
    let csv = text(
        &style("csv"),
        "select cast(x'6100' as text), cast(x'00' as text), cast(x'2c00' as text), 'b'",
    );
    assert_eq!(csv, "\"a\0\",\"\0\",\",\0\",b\r\n");
    let list = text(
        &style("list"),
        "select cast(x'610062' as text), cast(x'00' as text), 'b'",
    );
    assert_eq!(list, "a\0b|\0|b\n");
}

fn style(preset: &str) -> Style {
    let mut style = Style::default();
    assert!(style.preset(preset));
    style
}

fn text(style: &Style, query: &str) -> String {
    String::from_utf8(render(style, query)).unwrap()
}

#[test]
fn output_keeps_what_classic_mode_loses() {
    let query =
        "select 'a' || char(0) || 'b' as t, x'00ff41' as b, 1e999 as inf, -1e999 as neg, cast(x'ff41' as text) as bad";
    assert_eq!(
        text(&style("json"), query),
        "[{\"t\":\"a\\u0000b\",\"b\":\"\\u0000\\u00ffA\",\"inf\":1e999,\"neg\":-1e999,\"bad\":\"\\u00ffA\"}]\n"
    );
    assert_eq!(
        text(&style("quote"), query),
        "CAST(X'610062' AS TEXT),X'00ff41',1e999,-1e999,CAST(X'ff41' AS TEXT)\n"
    );
    assert_eq!(
        text(&style("insert"), query),
        "INSERT INTO \"table\" VALUES(CAST(X'610062' AS TEXT),X'00ff41',1e999,-1e999,CAST(X'ff41' AS TEXT));\n"
    );
    assert_eq!(
        text(&style("list"), "select 1e999, -1e999, 0.1 + 0.2, 'a' || char(0) || 'b'"),
        "Inf|-Inf|0.3|a\0b\n"
    );
}

#[test]
fn table_columns_line_up_by_their_visible_width() {
    let query = "select 'é日本' as \"名\", 1 as n union all select 'e' || char(769), 22";
    assert_eq!(
        text(&style("box"), query),
        "┌───────┬────┐\n│  名   │ n  │\n├───────┼────┤\n│ é日本 │ 1  │\n│ e\u{301}     │ 22 │\n└───────┴────┘\n"
    );
    assert_eq!(
        text(&style("line"), "select 1 as \"名前名\", 2 as b"),
        "名前名 = 1\n     b = 2\n"
    );
}

#[test]
fn output_modes_beyond_sqlite3_write_their_format() {
    let query = "select 1 as id, 'a' || char(10) || 'b' as name, null as none union all select 2, '\"', x'00'";
    assert_eq!(
        text(&style("jsonl"), query),
        "{\"id\":1,\"name\":\"a\\nb\",\"none\":null}\n{\"id\":2,\"name\":\"\\\"\",\"none\":\"\\u0000\"}\n"
    );
    assert_eq!(
        text(&style("vertical"), query),
        "-[ 1 ]---------\nid   | 1\nname | a\n     | b\nnone | \n-[ 2 ]---------\nid   | 2\nname | \"\nnone | \0\n"
    );
}

#[test]
fn terminal_output_of_data_sends_no_escapes() {
    let mut list = Style {
        escape: Escape::Ascii,
        ..style("list")
    };
    let query = "select char(27) || '[31m', 'a' || char(9, 13, 10) || char(8238) || 'b'";
    assert_eq!(text(&list, query), "^[[31m|a\t\r\n<U+202E>b\n");
    list.escape = Escape::Symbol;
    assert_eq!(text(&list, "select char(27, 127)"), "␛␡\n");
}

#[test]
fn terminal_output_has_numbers_on_the_right_and_faint_null() {
    let style = Style {
        numbers_right: true,
        dim_null: true,
        null: "NULL".into(),
        ..style("table")
    };
    assert_eq!(
        text(
            &style,
            "select 1 as n, 'NULL' as t, null as u union all select -20, 'x', 1.5"
        ),
        "+-----+------+------+\n|  n  |  t   |  u   |\n+-----+------+------+\n|   1 | NULL | \x1b[2mNULL\x1b[0m |\n\
         | -20 | x    |  1.5 |\n+-----+------+------+\n"
    );
}

fn values() -> impl Strategy<Value = Vec<Value>> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        any::<u64>().prop_map(|bits| Value::Real(f64::from_bits(bits))),
        any::<String>().prop_map(Value::Text),
        "[ -~\t\r\n]{0,40}".prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Blob),
    ];
    proptest::collection::vec(value, 3)
}

fn styles() -> impl Strategy<Value = Style> {
    let preset = proptest::sample::select(super::preset::PRESETS.map(|preset| preset.name).to_vec());
    let escape = proptest::sample::select(vec![Escape::Off, Escape::Ascii, Escape::Symbol]);
    let widths = proptest::collection::vec(-12_i32..12, 0..4);
    let flags = proptest::array::uniform6(any::<bool>());
    (preset, escape, widths, flags, -12_i32..12, "[ -~]{0,2}").prop_map(
        |(preset, escape, widths, flags, wrap, separator)| Style {
            escape,
            widths,
            headers: flags[0],
            word_wrap: flags[1],
            quote: flags[2],
            numbers_right: flags[3],
            dim_null: flags[4],
            live: flags[5],
            wrap,
            column_separator: separator,
            ..style(preset)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn output_of_any_value_in_any_mode_succeeds(style in styles(), names in proptest::array::uniform3(any::<String>()), rows in proptest::collection::vec(values(), 0..5)) {
        let columns = names.map(|name| Column { name, decltype: None });
        let mut out = Vec::new();
        let mut renderer = Renderer::new(&style, &mut out);
        renderer.columns(&columns).unwrap();
        for row in &rows {
            // Text from a database need not be UTF-8.
            let row: Vec<ValueRef<'_>> = row.iter().map(|value| match value {
                Value::Blob(bytes) if bytes.len() % 2 == 0 => ValueRef::Text(bytes),
                value => value.into(),
            }).collect();
            let _ = renderer.row(&row).unwrap();
        }
        renderer.finish().unwrap();
        match style.mode {
            Mode::Json if !rows.is_empty() => {
                let text = String::from_utf8(out).unwrap().replace("1e999", "null");
                let document: serde_json::Value = serde_json::from_str(&text.replace("-null", "null")).unwrap();
                prop_assert_eq!(document.as_array().map(Vec::len), Some(rows.len()));
            }
            Mode::Csv if style.column_separator == "," && style.escape == Escape::Off && !style.dim_null => {
                let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(out.as_slice());
                let records = reader.byte_records().count();
                prop_assert_eq!(records, if rows.is_empty() { 0 } else { rows.len() + usize::from(style.headers) });
            }
            _ => {}
        }
    }
}

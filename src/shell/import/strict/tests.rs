//! What a strict import takes, refuses and leaves behind.

use super::*;
use crate::sql::{self, Target, Value};
use proptest::prelude::*;
use std::io::Write;

fn file(text: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text).unwrap();
    file.rewind().unwrap();
    file
}

fn run(session: &mut dyn Session, text: &[u8]) -> Result<StrictReport> {
    let mut options = StrictOptions {
        name: "a.csv",
        table: "t",
        separator: b',',
        row_end: b'\n',
        null: None,
        selection: &Selection::default(),
        progress: &mut |_, _| ControlFlow::Continue(()),
    };
    import(session, &mut file(text), &mut options)
}

fn memory() -> Box<dyn Session> {
    sql::open(&Target::Memory).unwrap()
}

fn rows(session: &mut dyn Session, query: &str) -> Vec<Vec<Value>> {
    crate::sql::query::rows(session, query).unwrap()
}

#[test]
fn strict_import_declares_types_where_text_survives_them() {
    let mut session = memory();
    let text = b"i,r,zip,mixed,none,i\r\n1,1.5,01234,1,,7\r\n-20,0.25,5,1.5,x,\"8\"\r\n\r\n";
    let report = run(&mut *session, text).unwrap();
    let kinds: Vec<(&str, &str)> = report
        .columns
        .iter()
        .map(|(name, kind)| (name.as_str(), kind.as_str()))
        .collect();
    let expected = [
        ("i_1", "INTEGER"),
        ("r", "REAL"),
        ("zip", "TEXT"),
        ("mixed", "TEXT"),
        ("none", "TEXT"),
        ("i_6", "INTEGER"),
    ];
    assert_eq!(
        (kinds.as_slice(), report.rows, report.created),
        (&expected[..], 2, true)
    );
    assert_eq!(report.renamed.len(), 2);
    assert_eq!(
        rows(&mut *session, "select * from t limit 1"),
        [[
            Value::Integer(1),
            Value::Real(1.5),
            Value::Text("01234".into()),
            Value::Text("1".into()),
            Value::Text(String::new()),
            Value::Integer(7)
        ]]
    );
}

#[test]
fn strict_import_of_a_wrong_line_names_it_and_changes_nothing() {
    for (text, message) in [
        (&b"a,b\n1,2\n3\n"[..], "a.csv:3: expected 2 fields but found 1"),
        (b"a,b\n\"x\ny\",2\n3,4,5\n", "a.csv:4: expected 2 fields but found 3"),
        (b"a,b\n1,\"2\n3,4\n", "a.csv:2: a quoted field that does not end"),
        (b"a,b\n1,\"2\" \n", "a.csv:2: text after a closing quote"),
        (b"a,b\n1,\xff\n", "a.csv:2: text that is not UTF-8"),
        (b"\xff\xfea\0,\0", "a.csv:1: text that is not UTF-8"),
        (b"a,b\n\n1,2\n", "a.csv:2: a blank line within the data"),
        (b"", "a.csv: the file is empty"),
        (b"\xef\xbb\xbf", "a.csv: the file is empty"),
    ] {
        let mut session = memory();
        let error = run(&mut *session, text).unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::InvalidCsv, message));
        assert_eq!(
            rows(&mut *session, "select * from sqlite_schema"),
            Vec::<Vec<Value>>::new()
        );
        assert!(!session.in_transaction());
    }
}

#[test]
fn strict_import_into_an_existing_table_is_by_name() {
    let mut session = memory();
    execute(
        &mut *session,
        "create table t(id integer primary key, name text, extra default 'e')",
    )
    .unwrap();
    let report = run(&mut *session, b"NAME,id\nx,1\ny,2").unwrap();
    assert_eq!((report.rows, report.created), (2, false));
    let error = run(&mut *session, b"name,id\nz,3\nx,1\n").unwrap_err();
    assert!(error.message().contains("a.csv:3"), "{error}");
    assert_eq!(error.code(), Code::SqlError);
    let error = run(&mut *session, b"nam,id\nz,3\n").unwrap_err();
    assert_eq!(error.code(), Code::InvalidCsv);
    assert_eq!(
        rows(&mut *session, "select count(*), max(extra) from t"),
        [[Value::Integer(2), Value::Text("e".into())]]
    );
}

#[test]
fn strict_import_of_a_last_line_without_end_reads_it() {
    let mut session = memory();
    run(&mut *session, b"a,b\n1,").unwrap();
    assert_eq!(
        rows(&mut *session, "select * from t"),
        [[Value::Integer(1), Value::Text(String::new())]]
    );
}

#[test]
fn strict_import_that_is_stopped_leaves_nothing() {
    let mut session = memory();
    let text = format!("a\n{}", "1\n".repeat(10_000));
    for stop_after in [1, 6] {
        let mut calls = 0;
        let mut progress = |_, _| {
            calls += 1;
            if calls < stop_after {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        };
        let mut options = StrictOptions {
            name: "a.csv",
            table: "t",
            separator: b',',
            row_end: b'\n',
            null: None,
            selection: &Selection::default(),
            progress: &mut progress,
        };
        let error = import(&mut *session, &mut file(text.as_bytes()), &mut options).unwrap_err();
        assert_eq!(error.code(), Code::Interrupted);
        assert_eq!(
            rows(&mut *session, "select * from sqlite_schema"),
            Vec::<Vec<Value>>::new()
        );
    }
}

proptest! {
    #[test]
    fn strict_import_of_typed_values_prints_them_unchanged(fields in proptest::collection::vec("-?[0-9]{0,17}(\\.[0-9]{0,6})?(e-?[0-9]{1,2})?|[a-z ]{0,3}", 1..4)) {
        let mut session = memory();
        let mut text = String::from("v,w\n");
        for field in &fields {
            text.push_str(&format!("{field},x\n"));
        }
        run(&mut *session, text.as_bytes()).unwrap();
        let read = rows(&mut *session, "select v from t");
        let text: Vec<String> = read.iter().map(|row| match &row[0] {
            Value::Text(text) => text.clone(),
            Value::Integer(integer) => integer.to_string(),
            Value::Real(real) => {
                let mut out = Vec::new();
                number::push_rounded(&mut out, *real);
                String::from_utf8(out).unwrap()
            }
            other => format!("{other:?}"),
        }).collect();
        prop_assert_eq!(text, fields);
    }
}

#[test]
fn strict_import_with_columns_and_types_makes_them() {
    let mut session = memory();
    let selection = Selection {
        columns: Some("zip=code,id".parse().unwrap()),
        types: Some("id=TEXT".parse().unwrap()),
    };
    let mut import_as = |text: &[u8], selection: &Selection, table: &str| {
        let mut options = StrictOptions {
            name: "a.csv",
            table,
            separator: b',',
            row_end: b'\n',
            null: Some("-"),
            selection,
            progress: &mut |_, _| ControlFlow::Continue(()),
        };
        import(&mut *session, &mut file(text), &mut options).map(|report| report.columns)
    };
    let text = b"id,name,zip\n1,Ada,10115\n2,-,-\n";
    let own = |name: &str, kind: &str| (name.to_owned(), kind.to_owned());
    let filled = import_as(text, &selection, "t").unwrap();
    assert_eq!(filled, [own("code", "INTEGER"), own("id", "TEXT")]);
    let again = import_as(text, &selection, "t").unwrap_err();
    assert!(again.message().contains("exists already"), "{again}");
    let untyped = Selection {
        types: None,
        ..selection
    };
    import_as(b"zip,id\n7,x\n", &untyped, "t").unwrap();
    let unknown = import_as(b"zip,name\n7,x\n", &untyped, "t").unwrap_err();
    assert!(unknown.message().contains("\"id\""), "{unknown}");
    let told = rows(&mut *session, "select id, typeof(id), code, typeof(code) from t");
    let text = |value: &str| Value::Text(value.into());
    assert_eq!(
        told,
        [
            vec![text("1"), text("text"), Value::Integer(10115), text("integer")],
            vec![text("2"), text("text"), Value::Null, text("null")],
            vec![text("x"), text("text"), Value::Integer(7), text("integer")],
        ]
    );
}

//! Tests of the translations: against fixed examples, and against what the engine makes of the originals.

use super::*;
use proptest::prelude::*;

#[test]
fn dialect_turns_unistr_calls_into_literals() {
    for (sql, expected) in [
        (
            r"INSERT INTO t VALUES(1,unistr('a\u000ab''\\ \0009\+01f600'),'unistr(''x'')');",
            Some("INSERT INTO t VALUES(1,'a\nb''\\ \t😀','unistr(''x'')');"),
        ),
        (
            r"select UNISTR ( /* x */ '\u0000' )",
            Some("select CAST(x'00' AS TEXT)"),
        ),
        (r"select unistr('\u00')", None),
        (r"select unistr('\ud800')", None),
        ("select unistr(a), 'unistr'", None),
        ("insert into unistr values('x')", None),
    ] {
        assert_eq!(without_unistr(sql).as_deref(), expected, "{sql}");
    }
}

#[test]
fn dialect_turns_infinities_into_numbers_where_unambiguous() {
    for (sql, expected) in [
        (
            "INSERT INTO inf(inf) VALUES(Inf,-Inf,'Inf',\"Inf\");",
            Some("INSERT INTO inf(inf) VALUES(1e999,-1e999,'Inf',\"Inf\");"),
        ),
        ("INSERT INTO t SELECT inf FROM u", None),
        ("UPDATE t SET a = inf", None),
    ] {
        assert_eq!(with_numbers_for_inf(sql).as_deref(), expected, "{sql}");
    }
}

proptest! {
    /// The engine that is built in has the function.
    #[test]
    fn dialect_literal_means_what_its_call_meant(text in "[a-z'\\\\\u{1}-\u{20}é日]{0,12}") {
        let mut escaped = String::new();
        for character in text.chars() {
            match character {
                '\\' => escaped.push_str("\\\\"),
                '\'' => escaped.push_str("''"),
                control if control < ' ' => escaped.push_str(&format!("\\u{:04x}", u32::from(control))),
                other => escaped.push(other),
            }
        }
        let call = format!("SELECT unistr('{escaped}')");
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        for sql in [without_unistr(&call).unwrap(), call] {
            let got: Vec<u8> = connection
                .query_row(&sql, [], |row| Ok(row.get_ref(0)?.as_str()?.as_bytes().to_vec()))
                .unwrap();
            prop_assert_eq!(String::from_utf8_lossy(&got), text.as_str());
        }
    }
}

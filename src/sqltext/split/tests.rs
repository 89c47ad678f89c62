//! The splitter on text made of everything that matters to it.

use super::{Accumulator, LineOutcome, complete, first_statement, longest_statement, to_utf8, trim_start};
use crate::fuzz::{pieces, run};
use proptest::prelude::*;
use std::ffi::CString;

const PIECES: &[&str] = &[
    ";",
    ";",
    "; ",
    "select 1",
    "create ",
    "CREATE",
    " temp ",
    "temporary ",
    "trigger ",
    "x ",
    "begin ",
    " end",
    "end;",
    ";end;",
    "case ",
    "explain ",
    "query plan ",
    "'",
    "''",
    "\"",
    "`",
    "[",
    "]",
    "--",
    "-- x\n",
    "/*",
    "*/",
    "/",
    "*",
    "-",
    "\n",
    "\r\n",
    " ",
    "\t",
    "\x0b",
    "\x0c",
    ".print x",
    "\n.x\n",
    "#",
    "go",
    "\ngo\n",
    "\n/\n",
    "é",
    "\u{feff}",
    "$a",
    "_",
    "1",
    ",",
];

/// What SQLite itself says.
fn sqlite_says_complete(sql: &str) -> bool {
    let Ok(text) = CString::new(sql) else {
        return complete(sql.as_bytes());
    };
    // SAFETY: `text` ends with a NUL and outlives the call, which only reads it.
    #[allow(unsafe_code)]
    let answer = unsafe { rusqlite::ffi::sqlite3_complete(text.as_ptr()) };
    answer == 1
}

#[test]
fn completeness_fuzz_is_what_sqlite_says() {
    run("complete statements", 25_000, pieces(PIECES, 14), |sql| {
        // The engine that is built in says no where a `--` comment is the last thing; those before it said yes.
        let sql = sql + "\n";
        prop_assert_eq!(complete(sql.as_bytes()), sqlite_says_complete(&sql));
        Ok(())
    });
}

#[test]
fn split_statements_are_all_of_the_text() {
    run("split texts", 15_000, pieces(PIECES, 20), |sql| {
        let mut rest = sql.as_str();
        while !rest.is_empty() {
            let end = first_statement(rest.as_bytes());
            prop_assert!(end > 0 && end <= rest.len(), "{end} of {rest:?}");
            prop_assert!(rest.is_char_boundary(end));
            let (statement, after) = rest.split_at(end);
            // What ends before the text does is whole.
            prop_assert!(after.is_empty() || complete(statement.as_bytes()), "{statement:?}");
            rest = after;
        }
        Ok(())
    });
}

#[test]
fn split_loses_no_line() {
    run("accumulated texts", 10_000, pieces(PIECES, 20), |sql| {
        let mut pending = Accumulator::default();
        for (number, line) in sql.split('\n').enumerate() {
            let before = pending.text().to_vec();
            match pending.feed(line.as_bytes(), number as u64) {
                LineOutcome::Blank | LineOutcome::Command => prop_assert!(before.is_empty() && !pending.is_pending()),
                LineOutcome::Ready => prop_assert!(complete(&pending.take())),
                LineOutcome::Dropped => drop(pending.take()),
                LineOutcome::More => {
                    let text = pending.text();
                    let grown = text.starts_with(&before) && text.ends_with(trim_start(line.as_bytes()));
                    prop_assert!(grown || text.ends_with(b";"), "{line:?} is not in {text:?}");
                    prop_assert!(!complete(text) || text != line.as_bytes(), "{text:?}");
                }
            }
        }
        Ok(())
    });
}

#[test]
fn stray_bytes_never_stay() {
    let bytes = proptest::collection::vec(
        prop_oneof![
            Just(b'\''),
            Just(b'\xff'),
            Just(b'x'),
            Just(b'-'),
            Just(b'\n'),
            any::<u8>()
        ],
        0..30,
    );
    run("texts with stray bytes", 10_000, bytes, |sql| {
        let valid = to_utf8(&sql);
        if let Ok(same) = std::str::from_utf8(&sql) {
            prop_assert_eq!(valid, same);
        }
        Ok(())
    });
}

#[test]
fn completeness_follows_sqlite() {
    for (sql, expected) in [
        ("select 1;", true),
        ("select 1", false),
        ("select ';", false),
        ("select 1; -- x", true),
        ("select 1; /* x", false),
        ("create trigger t after insert on a begin select 1;", false),
        (
            "create trigger t after insert on a begin select case when 1 then 2 end; end;",
            true,
        ),
        ("create temp trigger t begin select 1; end; ", true),
        ("explain query plan create trigger t begin select 1;", false),
        ("create table trigger(a);", true),
        ("", false),
        (";", true),
    ] {
        assert_eq!(complete(sql.as_bytes()), expected, "{sql}");
    }
}

#[test]
fn split_cuts_the_first_statement_at_its_semicolon() {
    for (sql, first) in [
        ("select 1; select 2;", "select 1;"),
        (";; select ';' ; x", ";; select ';' ;"),
        ("-- a;b\nselect 1;select 2", "-- a;b\nselect 1;"),
        (
            "create trigger t begin select 1; end; select 2;",
            "create trigger t begin select 1; end;",
        ),
        ("select 1", "select 1"),
    ] {
        assert_eq!(&sql[..first_statement(sql.as_bytes())], first);
    }
}

#[test]
fn stray_bytes_become_hexadecimal() {
    assert_eq!(
        to_utf8(b"select 'it''s \xff', 'ok', x -- \xfe"),
        "select CAST(x'6974277320ff' AS TEXT), 'ok', x -- \u{fffd}"
    );
    assert_eq!(to_utf8(b"select '\xff"), "select '\u{fffd}");
}

#[test]
fn split_of_lines_gives_statements() {
    let mut lines = Accumulator::default();
    assert_eq!(lines.feed(b"  -- nothing", 1), LineOutcome::Blank);
    assert_eq!(lines.feed(b".tables", 2), LineOutcome::Command);
    assert_eq!(lines.feed(b"  select 1,", 3), LineOutcome::More);
    assert_eq!(lines.feed(b".5", 4), LineOutcome::More);
    assert_eq!(lines.feed(b" go -- now", 5), LineOutcome::Ready);
    assert_eq!(lines.start_line(), 3);
    assert_eq!(lines.take(), b"select 1,\n.5\n;");
    assert!(!lines.is_pending());
    assert_eq!(lines.feed(b"/* a", 6), LineOutcome::More);
    assert_eq!(lines.feed(b"b */", 7), LineOutcome::Dropped);
}

#[test]
fn split_measures_statements_by_semicolons() {
    assert_eq!(longest_statement("select 1"), 8);
    assert_eq!(longest_statement("a;bb; ccc 'x;y' "), 10);
    assert_eq!(longest_statement(""), 0);
}

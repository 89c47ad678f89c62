//! `.import`: good and bad records, all options, any separators, into tables that are there or not.

use super::values::{once_in, pick};
use crate::support::beside::Case;
use fastrand::Rng;
use std::fmt::Write as _;

const FIELDS: &[&str] = &[
    "a",
    "b",
    "1",
    "2",
    "-3.5",
    "",
    "",
    "x y",
    "\"q\"",
    "\"a,b\"",
    "\"a|b\"",
    "\"it\"\"s\"",
    "\"line\nbreak\"",
    "\"cr\r\nlf\"",
    "\"open",
    "\"x\" y",
    "a\"b",
    "'s'",
    "é",
    " 7 ",
    "1e3",
    "0x10",
    "NULL",
    "1234567890123",
];
const TABLES: &[&str] = &[
    "",
    "",
    "",
    "create table t(a, b);",
    "create table t(a integer primary key, b real, c text);",
    "create table t(a unique, b not null);",
    "create table t(a check(length(a) < 2));",
    "create table t(a int, b default 7, c);",
    "create view t as select 1 as a;",
];

fn content(random: &mut Rng) -> Vec<u8> {
    let column = pick(random, &[",", ",", ",", "|", "|", "\t", ";", "\x1f"]);
    let row = pick(random, &["\n", "\n", "\n", "\r\n", "\x1e"]);
    let mut text = String::new();
    if once_in(random, 12) {
        text.push('\u{feff}');
    }
    let width = random.usize(1..5);
    for _ in 0..random.usize(..7) {
        let fields = if once_in(random, 4) { random.usize(1..6) } else { width };
        for index in 0..fields {
            let comma = if index == 0 { "" } else { column };
            let _ = write!(text, "{comma}{}", pick(random, FIELDS));
        }
        text.push_str(row);
    }
    if once_in(random, 4) {
        text.pop();
    }
    text.into_bytes()
}

fn command(random: &mut Rng) -> String {
    let mut words = vec![
        pick(
            random,
            &[
                "rows.txt",
                "rows.txt",
                "rows.txt",
                "rows.txt",
                "more.txt",
                "\"|cat rows.txt\"",
                "nosuch.txt",
            ],
        )
        .to_owned(),
    ];
    words.push(
        pick(
            random,
            &[
                "t",
                "t",
                "t",
                "t",
                "fresh",
                "'odd name'",
                "\"x\\\"y\"",
                "main.t",
                "select",
            ],
        )
        .to_owned(),
    );
    if once_in(random, 20) {
        words.truncate(random.usize(..2));
    }
    for _ in 0..random.usize(..4) {
        let option = pick(
            random,
            &[
                "--csv",
                "--csv",
                "--csv",
                "-csv",
                "--ascii",
                "--skip 1",
                "--skip 2",
                "--skip x",
                "-v",
                "--skip 100",
                "--schema main",
                "--schema temp",
                "--schema nosuch",
                "--skip 0x1",
                "--skip -1",
            ],
        );
        words.insert(random.usize(..=words.len()), option.to_owned());
    }
    if once_in(random, 25) {
        words.push(pick(random, &["extra", "--nosuch", "--skip", "--schema", "-"]).to_owned());
    }
    let name = pick(random, &[".import", ".import", ".import", ".imp", ".i"]);
    format!("{name} {}", words.join(" "))
}

pub fn case(random: &mut Rng) -> Case {
    let mut script = format!("{}\n", pick(random, TABLES));
    for _ in 0..random.usize(..3) {
        let line = pick(
            random,
            &[
                ".mode csv",
                ".mode csv",
                ".mode tabs",
                ".mode ascii",
                ".separator ,",
                ".separator , \\n",
                ".separator ; \";\"",
                ".separator ab",
                ".separator ''",
                ".separator , ''",
                ".bail on",
                "begin;",
                ".mode list",
                ".changes on",
                ".mode json",
                ".mode quote",
            ],
        );
        let _ = writeln!(script, "{line}");
    }
    for _ in 0..random.usize(1..3) {
        let _ = writeln!(script, "{}", command(random));
    }
    script.push_str(
        ".changes off\n.mode quote\nselect name, sql from sqlite_schema;\nselect * from t;\nselect * from fresh;\nselect * from \"odd name\";\n\
         select changes(), total_changes();\n.show\n",
    );
    let mut files: Vec<_> = ["rows.txt", "more.txt"]
        .into_iter()
        .map(|name| (name.to_owned(), content(random)))
        .collect();
    if script.contains(".mode ascii") {
        // There classic takes an empty first field for the end, and inserts what the record before it had.
        files
            .iter_mut()
            .for_each(|(_, content)| content.retain(|byte| !b",|\t;\"".contains(byte)));
    }
    Case {
        files,
        ..Case::in_memory(String::new(), script)
    }
}

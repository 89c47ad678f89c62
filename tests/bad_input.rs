//! Imports of what is not what it should be: one clear error that names the file, and the line where there is one, and
//! nothing half-made.

use crate::support::state::{State, files};
use crate::support::{World, data, redact};
use rusqlite::Connection;
use std::path::Path;

/// A world with one database, so that there is something to damage.
fn world() -> World {
    let world = World::new();
    world.ok(["db", "create", "app", "--location", "ams"]);
    world.ok([
        "db",
        "shell",
        "app",
        "create table t (a, b); insert into t values (1, 'one')",
    ]);
    world
}

/// Runs each command line, with `FILE` replaced; each must fail the same way and leave everything as it was.
#[track_caller]
fn refused(world: &World, file: &Path, commands: &[&str], code: &str, said: &[&str]) {
    let before = (State::of(world), files(world));
    for line in commands {
        let args = line.split(' ').map(|word| word.replace("FILE", file.to_str().unwrap()));
        let run = world.torso(args.chain(["--json".to_owned()]));
        let exit = torso::error::Code::ALL
            .iter()
            .find(|known| known.name() == code)
            .map(|known| i32::from(known.kind().exit_code()))
            .unwrap_or_else(|| panic!("no code {code}"));
        let run = run.fails(exit, code);
        let message = run.error()["message"].as_str().unwrap().to_owned();
        for word in [file.file_name().unwrap().to_str().unwrap()].iter().chain(said) {
            assert!(message.contains(word), "no {word:?} in: {message}");
        }
        assert_eq!((State::of(world), files(world)), before, "{line} left something");
    }
}

const CSV: [&str; 2] = [
    "db create other --from-csv FILE --csv-table-name t",
    "db import FILE app --table fresh",
];
const SQLITE: [&str; 2] = ["db create other --from-file FILE", "db import FILE other"];
const DUMP: [&str; 1] = ["db create other --from-dump FILE"];

#[test]
fn csv_with_a_ragged_row() {
    let world = world();
    for (content, line) in [("a,b\n1,2\n3\n", "3"), ("a,b\n1,2,3\n", "2")] {
        let file = world.write("ragged.csv", content);
        refused(&world, &file, &CSV, "invalid_csv", &[&format!(":{line}")]);
    }
}

#[test]
fn csv_with_an_unterminated_quote() {
    let world = world();
    let file = world.write("quote.csv", "a,b\n1,2\n3,\"four\n5,6\n");
    refused(&world, &file, &CSV, "invalid_csv", &[":3"]);
}

#[test]
fn csv_in_another_encoding() {
    let world = world();
    let file = world.write("latin.csv", b"name,n\nM\xfcller,1\n");
    refused(&world, &file, &CSV, "invalid_csv", &[":2", "UTF-8"]);
    let utf16: Vec<u8> = "\u{feff}a,b\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let file = world.write("utf16.csv", utf16);
    refused(&world, &file, &CSV, "invalid_csv", &[":1", "UTF-8"]);
}

/// A mark of byte order is what spreadsheets write: it is not part of the first column's name.
#[test]
fn csv_with_a_byte_order_mark_is_fine() {
    let world = world();
    let file = world.write("bom.csv", "\u{feff}a,b\r\n1,2\r\n");
    world.ok([
        "db",
        "create",
        "other",
        "--from-csv",
        file.to_str().unwrap(),
        "--csv-table-name",
        "t",
    ]);
    assert_eq!(world.query("other", "select a + b from t"), "3");
}

#[test]
fn csv_that_is_empty() {
    let world = world();
    let file = world.write("empty.csv", "");
    refused(&world, &file, &CSV, "invalid_csv", &[]);
}

#[test]
fn csv_late_in_a_big_file() {
    let world = world();
    let mut content = std::fs::read_to_string(data("weather.csv")).unwrap();
    content.push_str("EWR,2013\n");
    let file = world.write("weather.csv", content);
    refused(&world, &file, &CSV, "invalid_csv", &[":26117"]);
}

#[test]
fn sqlite_files_that_are_damaged() {
    let world = world();
    let whole = world.path("work/whole.db");
    let conn = Connection::open(&whole).unwrap();
    conn.execute_batch(
        "create table t (a, b); create index i on t (b);
         with recursive n (x) as (select 1 union all select x + 1 from n where x < 5000)
         insert into t select x, 'value ' || x from n",
    )
    .unwrap();
    drop(conn);
    let bytes = std::fs::read(&whole).unwrap();

    let file = world.write("cut.db", &bytes[..bytes.len() / 2]);
    refused(&world, &file, &SQLITE, "invalid_file", &[]);
    let file = world.write("cut-in-page.db", &bytes[..5000]);
    refused(&world, &file, &SQLITE, "invalid_file", &[]);

    let mut scribbled = bytes.clone();
    let middle = bytes.len() / 2;
    scribbled[middle..middle + 8192].fill(0xa5);
    let file = world.write("scribbled.db", scribbled);
    refused(&world, &file, &SQLITE, "invalid_file", &[]);
}

#[test]
fn files_that_are_not_sqlite() {
    let world = world();
    let file = world.write(
        "text.db",
        "this is not a database, but it is longer than a header would be ".repeat(20),
    );
    refused(&world, &file, &SQLITE, "invalid_file", &[]);
    let file = world.write("short.db", "SQLite format 3\0");
    refused(&world, &file, &SQLITE, "invalid_file", &[]);
    let file = world.write("empty.db", "");
    refused(&world, &file, &SQLITE, "invalid_file", &[]);
}

#[test]
fn dumps_that_fail_half_way() {
    let world = world();
    let file = world.write(
        "bad.sql",
        "create table t (a);\ninsert into t values (1);\ninsert into nowhere values (2);\n",
    );
    refused(&world, &file, &DUMP, "invalid_file", &[":3", "nowhere"]);
    let file = world.write(
        "cut.sql",
        "create table t (a);\nbegin;\ninsert into t values (1);\ninsert into t val",
    );
    refused(&world, &file, &DUMP, "invalid_file", &[]);
    let file = world.write("open.sql", "create table t (a);\nbegin;\ninsert into t values (1);\n");
    refused(&world, &file, &DUMP, "invalid_file", &[]);
}

#[test]
fn paths_that_cannot_be_read() {
    let world = world();
    let all: Vec<&str> = CSV.iter().chain(&SQLITE).chain(&DUMP).copied().collect();
    refused(&world, &world.path("work/absent.db"), &all, "file_not_found", &[]);
    let folder = world.path("work/folder");
    std::fs::create_dir(&folder).unwrap();
    refused(&world, &folder, &all, "invalid_file", &["folder"]);
}

/// The sentences themselves, as a person sees them.
#[test]
fn what_is_said() {
    let world = world();
    let mut said = String::new();
    for (name, content, line) in [
        ("ragged.csv", "a,b\n1,2\n3\n", CSV[0]),
        ("quote.csv", "a,b\n1,2\n3,\"four\n", CSV[0]),
        ("text.db", "not a database", SQLITE[0]),
        (
            "bad.sql",
            "create table t (a);\ninsert into nowhere values (2);\n",
            DUMP[0],
        ),
    ] {
        world.write(name, content);
        said += &world
            .torso(line.split(' ').map(|word| word.replace("FILE", name)))
            .report();
    }
    insta::assert_snapshot!(redact::text(&world, &said));
}

//! What files keep of vector indexes: the engine trusts it, so whatever of it is let in must do no harm, however it was changed.
//!
//! `TORSO_TEST_VECTORS=long` tries more changes; the counts are printed.

use super::Fleet;
use fastrand::Rng;
use rusqlite::types::Value;
use rusqlite::{Connection, params};
use std::path::Path;
use torso::engine::file::child;
use torso::engine::{Engine as _, LocalFiles as _};

const INDEXES: usize = 40;
const ROWS: usize = 12;

fn dimensions(index: usize) -> usize {
    2 + index % 17
}

fn vector(random: &mut Rng, dimensions: usize) -> String {
    let numbers: Vec<String> = (0..dimensions).map(|_| random.i8(..).to_string()).collect();
    format!("vector('[{}]')", numbers.join(","))
}

/// A file with vector indexes of all kinds, as the engine makes them.
fn make_file(fleet: &Fleet, random: &mut Rng) -> std::path::PathBuf {
    let site = fleet.site("ams", "source");
    fleet.engine.create(&site).unwrap();
    let options = [
        "",
        ", 'metric=l2'",
        ", 'compress_neighbors=float8'",
        ", 'compress_neighbors=float1bit'",
        ", 'max_neighbors=3'",
    ];
    for index in 0..INDEXES {
        let (dimensions, options) = (dimensions(index), options[index % options.len()]);
        let key = if index % 3 == 0 { "text" } else { "integer" };
        let rows: Vec<String> = (0..ROWS)
            .map(|row| format!("({row}, {})", vector(random, dimensions)))
            .collect();
        let sql = format!(
            "create table v{index} (id {key} primary key, e f32_blob({dimensions}));
             create index i{index} on v{index} (libsql_vector_idx(e{options}));
             insert into v{index} values {}",
            rows.join(", ")
        );
        fleet.sql(&site, &sql).unwrap();
    }
    let file = fleet.dir.path().join("source.db");
    fleet.engine.export(&site, &file).unwrap();
    file
}

/// Changes a blob as somebody might who means harm, or as a fault might.
fn change(random: &mut Rng, blob: &[u8], is_node: bool) -> Value {
    let mut blob = blob.to_vec();
    match random.u8(..10) {
        0..=3 => {
            for _ in 0..random.usize(1..6) {
                let at = random.usize(..blob.len());
                blob[at] = random.u8(..);
            }
        }
        4 | 5 if is_node => {
            let edges = if random.bool() {
                random.u16(..30)
            } else {
                random.u16(..)
            };
            blob[8..10].copy_from_slice(&edges.to_le_bytes());
        }
        4 | 5 => {
            // The last value of a tag counts.
            blob.push(random.u8(1..12));
            let value = random.u64(..) >> random.u32(..64);
            blob.extend(value.to_le_bytes());
        }
        6 => random.fill(&mut blob),
        7 => blob.truncate(random.usize(..blob.len())),
        8 => blob.extend(std::iter::repeat_n(0xff, random.usize(1..600))),
        _ => return [Value::Null, Value::Text("text".to_owned()), Value::Integer(-1)][random.usize(..3)].clone(),
    }
    Value::Blob(blob)
}

/// Changes one row of what an index keeps. Returns what puts it back.
fn change_row(random: &mut Rng, file: &Connection, index: usize) -> (String, i64, Value) {
    if random.u8(..4) == 0 {
        let sql = "update libsql_vector_meta_shadow set metadata = ?1 where name = 'i' || ?2";
        let now: Vec<u8> = file
            .query_row(
                "select metadata from libsql_vector_meta_shadow where name = 'i' || ?1",
                [index as i64],
                |row| row.get(0),
            )
            .unwrap();
        let changed = change(random, &now, false);
        file.execute(sql, params![changed, index as i64]).unwrap();
        return (sql.to_owned(), index as i64, Value::Blob(now));
    }
    let sql = format!("update i{index}_shadow set data = ?1 where rowid = ?2");
    let row = random.usize(..ROWS) as i64;
    let (row, now): (i64, Vec<u8>) = file
        .query_row(
            &format!("select rowid, data from i{index}_shadow order by rowid limit 1 offset ?1"),
            [row],
            |found| Ok((found.get(0)?, found.get(1)?)),
        )
        .unwrap();
    let changed = change(random, &now, true);
    file.execute(&sql, params![changed, row]).unwrap();
    (sql, row, Value::Blob(now))
}

/// Uses an index in all ways; errors are answers.
fn use_index(fleet: &Fleet, at: &torso::engine::Site, random: &mut Rng, index: usize) {
    let one = vector(random, dimensions(index));
    for sql in [
        format!("select id from vector_top_k('i{index}', {one}, 5)"),
        format!("insert into v{index} values (100, {one})"),
        format!("update v{index} set e = {one} where id = 3"),
        format!("delete from v{index} where id = {}", random.usize(..ROWS)),
        format!("insert into v{index} values (101, {one})"),
        format!("select id from vector_top_k('i{index}', {one}, 20)"),
    ] {
        let _ = fleet.try_sql(at, &sql);
    }
}

fn check(file: &Path) -> Result<(), String> {
    let converted = file.with_extension("converted");
    child::check_or_convert(file, &converted)
        .map(drop)
        .map_err(|error| error.full_message())
}

#[test]
#[allow(clippy::print_stdout)] // The counts are part of the proof; `--nocapture` shows them.
fn vector_index_content_that_was_changed_is_refused_or_harmless() {
    let is_long = std::env::var("TORSO_TEST_VECTORS").is_ok_and(|how| how == "long");
    let (fleet, mut random) = (Fleet::new(), Rng::with_seed(fastrand::u64(..)));
    println!("seed {}", random.get_seed());
    let source = make_file(&fleet, &mut random);
    check(&source).unwrap();
    let (mut refused, mut let_in) = (0, 0);
    for round in 0..if is_long { 250 } else { 25 } {
        let work = fleet.dir.path().join(format!("work{round}.db"));
        std::fs::copy(&source, &work).unwrap();
        let mut undo: Vec<_> = {
            let file = Connection::open(&work).unwrap();
            file.execute_batch("pragma writable_schema = on").unwrap();
            (0..INDEXES)
                .map(|index| change_row(&mut random, &file, index))
                .collect()
        };
        // Whatever is refused is named, and put back, until the rest is let in.
        while let Err(error) = check(&work) {
            let name = error
                .split("vector index \"i")
                .nth(1)
                .unwrap_or_else(|| panic!("{error}"));
            let index: usize = name.split('"').next().unwrap().parse().unwrap();
            let (sql, row, was) = std::mem::replace(&mut undo[index], (String::new(), 0, Value::Null));
            assert!(!sql.is_empty(), "{error}");
            let file = Connection::open(&work).unwrap();
            file.execute_batch("pragma writable_schema = on").unwrap();
            file.execute(&sql, params![was, row]).unwrap();
            refused += 1;
        }
        let_in += undo.iter().filter(|(sql, _, _)| !sql.is_empty()).count();
        let site = fleet.site("ams", &format!("r{round}"));
        fleet.engine.adopt(&work, &site).unwrap();
        let pid = fleet.pid(&site);
        for index in 0..INDEXES {
            use_index(&fleet, &site, &mut random, index);
        }
        assert_eq!(fleet.number(&site, "select count(*) from v0 where id = 100"), 1);
        assert_eq!(fleet.pid(&site), pid, "the process ended in round {round}");
        fleet.engine.remove(&site).unwrap();
    }
    println!("{refused} changes of vector indexes were refused, {let_in} let in");
    assert!(refused > 0 && let_in > 0);
}

/// A table that an index would be made over later.
#[test]
fn vector_index_content_without_an_index_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("forged.db");
    let make = |sql: &str| {
        let _ = std::fs::remove_file(&file);
        Connection::open(&file).unwrap().execute_batch(sql).unwrap();
        check(&file)
    };
    let nodes = "create table i_shadow (index_key integer, data blob, primary key (index_key));";
    make(nodes).unwrap();
    let error = make(&format!("{nodes} insert into i_shadow values (1, zeroblob(256))")).unwrap_err();
    assert!(error.contains("the vector index \"i\" is damaged"), "{error}");
    // Somebody's own table may be called so, but not have the column.
    make("create table eye_shadow (id integer primary key, colour text); insert into eye_shadow values (1, 'red')")
        .unwrap();
    let error = make("create table eye_shadow (id integer primary key, data)").unwrap_err();
    assert!(
        error.contains("only the engine writes what vector indexes keep"),
        "{error}"
    );
}

//! `db import` and `--from-csv`: files as people have them, and what is answered about them.

use crate::support::{World, redact};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write as _;

const CSV: &str = "id,name,zip\n1,Zürich ☃,08001\n2,-,10115\n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn utf16(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect()
}

/// The kinds of files, each with what makes a row of table `t`.
fn files(world: &World) -> [(&'static str, Vec<u8>); 4] {
    let database = world.path("some.db");
    let sql = "create table if not exists t (a); delete from t; insert into t values ('é')";
    world.ok(["db", "shell", database.to_str().unwrap(), sql]);
    [
        ("t.csv", "a\né\n".into()),
        ("t.json", "[{\"a\":\"é\"}]".into()),
        ("t.sql", "create table t (a); insert into t values ('é');".into()),
        ("t.db", std::fs::read(database).unwrap()),
    ]
}

#[test]
fn import_decodes_gzip_and_utf16_of_every_kind_of_file() {
    let world = World::new();
    let mut number = 0;
    let mut import = |name: &str, bytes: &[u8], args: &[&str]| {
        number += 1;
        let database = format!("d{number}");
        world.write(name, bytes);
        let args: Vec<&str> = args
            .iter()
            .map(|arg| match *arg {
                "NAME" => database.as_str(),
                "FILE" => name,
                arg => arg,
            })
            .collect();
        world.ok(args);
        assert_eq!(world.query(&database, "select a from t"), "é", "{name}");
    };
    for (name, bytes) in files(&world) {
        import(&format!("{name}.gz"), &gzip(&bytes), &["db", "import", "FILE", "NAME"]);
        // The content tells, not the name.
        import(name, &gzip(&bytes), &["db", "import", "FILE", "NAME"]);
        if let Ok(text) = std::str::from_utf8(&bytes)
            && name != "t.db"
        {
            import(name, &utf16(text), &["db", "import", "FILE", "NAME"]);
            import(name, &gzip(&utf16(text)), &["db", "import", "FILE", "NAME"]);
        }
    }
    let [(_, csv), _, (_, sql), (_, database)] = files(&world);
    import("t.csv", &gzip(&csv), &["db", "create", "NAME", "--from-csv", "FILE"]);
    import("t.sql", &gzip(&sql), &["db", "create", "NAME", "--from-dump", "FILE"]);
    import(
        "t.db",
        &gzip(&database),
        &["db", "create", "NAME", "--from-file", "FILE"],
    );
    // The database and its table are named after the file within.
    world.write("towns.csv.gz", gzip(CSV.as_bytes()));
    world.ok(["db", "import", "towns.csv.gz"]);
    assert_eq!(
        world.query("towns", "select name, zip from towns where id = 1"),
        "Zürich ☃|08001"
    );
}

#[test]
fn import_reads_standard_input() {
    let world = World::new();
    let run = |args: &[&str], input: &[u8]| world.torso_with_input(args, input);
    run(&["db", "import", "-", "a", "--table", "t"], CSV.as_bytes()).success();
    run(
        &["db", "create", "b", "--from-csv", "-", "--table", "t"],
        &gzip(CSV.as_bytes()),
    )
    .success();
    run(
        &["db", "create", "c", "--from-dump", "-"],
        &gzip(b"create table t (id); insert into t values (1), (2);"),
    )
    .success();
    for name in ["a", "b", "c"] {
        assert_eq!(world.query(name, "select count(*) from t"), "2", "{name}");
    }
    run(&["db", "import", "-", "--json"], b"a\n").fails(2, "usage");
    let url = world.torso(["db", "import", "https://example.com/towns.csv", "e", "--json"]);
    insta::assert_snapshot!(redact::report(&world, &url), @r#"
    $ torso db import https://example.com/towns.csv e --json
    -- stderr --
    {"error":{"code":"file_not_found","message":"cannot read https://example.com/towns.csv: No such file or directory (os error 2)","hint":"torso reads files: download it first, or pipe it in and name the file -","retryable":false}}
    -- exit 3 --
    "#);
    run(&["db", "import", "-", "d", "--json"], b"a\n").fails(2, "usage");
}

#[test]
fn import_takes_columns_types_and_null_by_name() {
    let world = World::new();
    world.write("towns.csv", CSV);
    let import = |database: &str, args: &[&str]| {
        let line = [&["db", "import", "towns.csv", database, "--json"], args].concat();
        world.torso(line)
    };
    let columns = |name: &str| {
        world.query(
            name,
            "select group_concat(name || ' ' || type) from pragma_table_info('towns')",
        )
    };
    import("one", &["--columns", "zip=code,id"]).success();
    assert_eq!(columns("one"), "code TEXT,id INTEGER");
    assert_eq!(world.query("one", "select code from towns where id = 1"), "08001");
    import("two", &["--types", "zip=INTEGER,id=TEXT", "--null", "-"]).success();
    assert_eq!(columns("two"), "id TEXT,name TEXT,zip INTEGER");
    assert_eq!(
        world.query("two", "select zip, name is null from towns where id = '2'"),
        "10115|1"
    );
    import("three", &["--types", "INTEGER,VARCHAR(20),TEXT"]).success();
    assert_eq!(columns("three"), "id INTEGER,name VARCHAR(20),zip TEXT");
    world.ok([
        "db",
        "create",
        "four",
        "--from-csv",
        "towns.csv",
        "--columns",
        "name",
        "--types",
        "TEXT",
    ]);
    assert_eq!(columns("four"), "name TEXT");
    let mut reports = String::new();
    for args in [
        ["--columns", "nome"],
        ["--types", "nome=TEXT"],
        ["--types", "TEXT"],
        ["--columns", "id,ID"],
    ] {
        reports += &redact::report(&world, &import("none", &args).fails(1, "invalid_value"));
    }
    insta::assert_snapshot!(reports, @r#"
    $ torso db import towns.csv none --json --columns nome
    -- stderr --
    {"error":{"code":"invalid_value","message":"towns.csv:1: there is no column \"nome\"","hint":"its columns are id, name, zip","retryable":false}}
    -- exit 1 --
    $ torso db import towns.csv none --json --types nome=TEXT
    -- stderr --
    {"error":{"code":"invalid_value","message":"towns.csv:1: there is no column \"nome\"","hint":"its columns are id, name, zip","retryable":false}}
    -- exit 1 --
    $ torso db import towns.csv none --json --types TEXT
    -- stderr --
    {"error":{"code":"invalid_value","message":"towns.csv has 3 columns, and types are given for 1","hint":"give one for each, or some by name: price=REAL","retryable":false}}
    -- exit 1 --
    $ torso db import towns.csv none --json --columns id,ID
    -- stderr --
    {"error":{"code":"invalid_value","message":"two columns of towns.csv would be column \"id\" of the table","hint":"name each once, or rename one: town=city","retryable":false}}
    -- exit 1 --
    "#);
    import("one", &["--types", "TEXT,TEXT,TEXT"]).fails(1, "invalid_value");
    // What is about CSV means nothing elsewhere.
    world.write("t.json", "[{\"a\":1}]");
    world.write("t.sql", "create table t (a);");
    for file in ["t.json", "t.sql"] {
        world
            .torso(["db", "import", file, "none", "--columns", "a", "--json"])
            .fails(2, "usage");
    }
    assert_eq!(world.databases(), ["four", "one", "three", "two"]);
}

#[test]
fn import_with_if_not_exists_leaves_a_database_that_is_there() {
    let world = World::new();
    for (name, bytes) in files(&world) {
        world.write(name, bytes);
        let import = || world.json(["db", "import", name, "app", "--if-not-exists", "--table", "t"]);
        if name.ends_with(".sql") || name.ends_with(".db") {
            let import = || world.json(["db", "import", name, "app", "--if-not-exists"]);
            assert_eq!(import()["created"], true, "{name}");
            assert_eq!(import()["created"], false, "{name}");
        } else {
            assert_eq!(import()["created"], true, "{name}");
            assert_eq!(import()["created"], false, "{name}");
        }
        assert_eq!(world.query("app", "select count(*) from t"), "1", "{name}");
        world.ok(["db", "destroy", "app", "--yes"]);
    }
}

#[test]
fn import_answers_one_shape_whatever_was_imported() {
    let world = World::new();
    let mut shapes = Vec::new();
    let mut look = |answer: Value| {
        let members = answer
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<std::collections::BTreeSet<_>>();
        shapes.push(members);
        answer
    };
    for (name, bytes) in files(&world) {
        world.write(name, bytes);
        let answer = look(world.json(["db", "import", name, name.trim_start_matches("t.")]));
        assert_eq!(answer["created"], true);
        assert_eq!(
            answer["table"].is_null(),
            name.ends_with("sql") || name.ends_with("db"),
            "{answer}"
        );
    }
    let into = look(world.json(["db", "import", "t.csv", "db", "--table", "more"]));
    assert_eq!(
        (&into["database"], &into["Name"], &into["created"]),
        (&json!("db"), &json!("db"), &json!(false))
    );
    assert_eq!((&into["table"], &into["rows"]), (&json!("more"), &json!(1)));
    look(world.json(["db", "import", "t.csv", "db", "--if-not-exists"]));
    assert!(shapes.iter().all(|shape| *shape == shapes[0]), "{shapes:#?}");
}

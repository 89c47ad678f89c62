//! Whole directories against databases in memory.

mod other_tools;

use super::*;
use crate::error::Code;
use crate::sql::{Session, Target, open, query};
use std::path::Path;
use tempfile::TempDir;

/// Names and texts.
type Files<'f> = &'f [(&'f str, &'f str)];

fn directory(files: Files<'_>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn session() -> Box<dyn Session> {
    open(&Target::Memory).unwrap()
}

/// Runs statements, each of which ends with a semicolon.
fn execute(session: &mut dyn Session, sql: &str) {
    for statement in sql.split_inclusive(';') {
        query::rows(session, statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

/// The versions that a migrate applies.
fn apply(session: &mut dyn Session, dir: &Path) -> Result<Vec<String>> {
    let outcome = migrate(session, &load(dir)?, None)?;
    match outcome.failure {
        Some(error) => Err(error),
        None => Ok(outcome.applied.into_iter().map(|applied| applied.version).collect()),
    }
}

fn tables(session: &mut dyn Session) -> String {
    let sql = "SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name)";
    query::text(session, sql).unwrap()
}

#[test]
fn migrations_are_applied_once_and_in_order() {
    let dir = directory(&[
        ("2_second.sql", "alter table t add column b;"),
        ("10_third.sql", "insert into t values (1, 2);"),
        ("0001_first.sql", "create table t(a);\n"),
        ("README.md", "not one"),
    ]);
    let mut session = session();
    assert_eq!(apply(session.as_mut(), dir.path()).unwrap(), ["0001", "2", "10"]);
    assert!(apply(session.as_mut(), dir.path()).unwrap().is_empty());
    assert_eq!(query::number(session.as_mut(), "select b from t").unwrap(), 2);
    let rows = query::rows(
        session.as_mut(),
        "select version, name from _torso_migrations order by rowid",
    )
    .unwrap();
    assert_eq!(rows.len(), 3);
}

#[test]
fn migrations_of_each_layout_are_understood() {
    let journal = r#"{"version":"7","dialect":"sqlite","entries":[
        {"idx":0,"version":"6","when":1700000000000,"tag":"0000_zeta","breakpoints":true},
        {"idx":1,"version":"6","when":1700000000001,"tag":"0001_alpha","breakpoints":true}]}"#;
    let cases: [(&str, Files<'_>); 7] = [
        (
            "plain",
            &[
                ("V1__a.sql", "create table one(a)"),
                ("V1.1__b.sql", "begin; create table two(a); commit;"),
            ],
        ),
        (
            "reversible",
            &[
                ("1_a.up.sql", "create table one(a);"),
                ("1_a.down.sql", "drop table one;"),
                ("2_b.up.sql", "create table two(a);"),
                ("2_b.down.sql", "nonsense"),
            ],
        ),
        (
            "goose",
            &[
                (
                    "001_a.sql",
                    "-- +goose Up\ncreate table one(a);\n-- +goose Down\ndrop table one;",
                ),
                (
                    "002_b.sql",
                    "-- +goose Up\n-- +goose StatementBegin\ncreate trigger r after insert on one begin delete from one; end\n-- +goose StatementEnd\ncreate table two(a);\n",
                ),
            ],
        ),
        (
            "dbmate",
            &[
                (
                    "1_a.sql",
                    "-- migrate:up\ncreate table one(a);\n-- migrate:down\ndrop table one;",
                ),
                ("2_b.sql", "-- migrate:up\ncreate table two(a);\n"),
            ],
        ),
        (
            "drizzle",
            &[
                ("meta/_journal.json", journal),
                (
                    "0000_zeta.sql",
                    "CREATE TABLE `one` (`a` text)\n--> statement-breakpoint\nCREATE INDEX i ON one(a)",
                ),
                (
                    "0001_alpha.sql",
                    "PRAGMA foreign_keys=OFF;--> statement-breakpoint\nCREATE TABLE `two` (`a` text);",
                ),
            ],
        ),
        (
            "folders",
            &[
                ("20240101_a/migration.sql", "create table one(a);"),
                ("20240102_b/migration.sql", "create table two(a);"),
                ("migration_lock.toml", "provider = \"sqlite\"\n"),
            ],
        ),
        (
            "atlas",
            &[
                (
                    "20220318104614_initial.sql",
                    "-- create \"tbl\" table\nCREATE TABLE tbl (`col` int NOT NULL);\n",
                ),
                ("20220318104615_second.sql", "ALTER TABLE `tbl` ADD `col_2` bigint;\n"),
                ("atlas.sum", ATLAS_SUM),
            ],
        ),
    ];
    for (name, files) in cases {
        let dir = directory(files);
        let set = load(dir.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(set.layout.name(), name);
        assert!(set.ignored.is_empty());
        let mut session = session();
        let outcome = migrate(session.as_mut(), &set, None).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(outcome.failure.is_none(), "{name}: {:?}", outcome.failure);
        assert_eq!((outcome.applied.len(), outcome.left), (2, 0), "{name}");
        let made = tables(session.as_mut());
        assert!(
            made.ends_with(if name == "atlas" { "tbl" } else { "one two" }),
            "{name}: {made}"
        );
    }
}

/// Of two files of Atlas's own tests (`cmd/atlas/internal/cmdapi/testdata/sqlite`), as Atlas wrote it.
const ATLAS_SUM: &str = "h1:GMi7mvWSIHv0I/Wrc2NCGVt9Z5hWZbPa6wL986t7Z2o=\n\
    20220318104614_initial.sql h1:FifWjY2X0g2YVnb18Qm+QBPvoldDOOob7bS0LrFuCXc=\n\
    20220318104615_second.sql h1:wbPDlODOQeixCiopAhlT7W4xOO9TgJxzjYjxf4TA2f4=\n";

#[test]
fn applied_file_that_was_edited_or_is_gone_is_refused() {
    let dir = directory(&[("1_a.sql", "create table a(x);\n"), ("3_c.sql", "create table c(x);\n")]);
    let mut session = session();
    let session = session.as_mut();
    apply(session, dir.path()).unwrap();
    // What a checkout makes of line ends is no edit.
    std::fs::write(dir.path().join("1_a.sql"), "create table a(x);\r\n").unwrap();
    assert!(apply(session, dir.path()).unwrap().is_empty());
    std::fs::write(dir.path().join("2_b.sql"), "create table b(x);").unwrap();
    let error = apply(session, dir.path()).unwrap_err();
    assert_eq!(error.code(), Code::MigrationConflict);
    assert!(error.message().contains("2_b.sql comes before 3_c"), "{error}");
    std::fs::remove_file(dir.path().join("2_b.sql")).unwrap();
    std::fs::write(dir.path().join("1_a.sql"), "create table a(x, y);\n").unwrap();
    let error = apply(session, dir.path()).unwrap_err();
    assert!(error.message().contains("1_a.sql was edited"), "{error}");
    std::fs::remove_file(dir.path().join("1_a.sql")).unwrap();
    let error = apply(session, dir.path()).unwrap_err();
    assert!(
        error
            .message()
            .contains("migration 1_a was applied, and its file is gone"),
        "{error}"
    );
    assert_eq!(tables(session), "_torso_migrations a c");
}

#[test]
fn migration_that_fails_changes_nothing_and_names_the_line() {
    let dir = directory(&[
        ("1_a.sql", "create table a(x);"),
        ("2_b.sql", "create table b(x);\n\ninsert into nowhere values (1);\n"),
        ("3_c.sql", "create table c(x);"),
    ]);
    let mut session = session();
    let session = session.as_mut();
    let set = load(dir.path()).unwrap();
    let outcome = migrate(session, &set, None).unwrap();
    let failure = outcome.failure.unwrap();
    assert!(
        failure.message().ends_with("2_b.sql:3: no such table: nowhere"),
        "{failure}"
    );
    assert_eq!((outcome.applied.len(), outcome.left), (1, 2));
    assert_eq!(outcome.version.as_deref(), Some("1"));
    assert_eq!(tables(session), "_torso_migrations a");
    // Now the failing one is the first.
    assert_eq!(migrate(session, &set, None).unwrap_err().code(), Code::SqlError);
    std::fs::write(dir.path().join("2_b.sql"), "create table b(x);").unwrap();
    assert_eq!(apply(session, dir.path()).unwrap(), ["2", "3"]);
}

#[test]
fn file_that_is_invalid_stops_all_before_the_first_is_run() {
    let mut session = session();
    let session = session.as_mut();
    for (text, message, code) in [
        ("select 1;\nselect 'a", "2_b.sql:2: a quote", Code::InvalidFile),
        ("-- no-transaction\nvacuum;", "2_b.sql:1: it asks", Code::Unsupported),
        (
            "select 1;\ncommit;",
            "2_b.sql:2: it runs in a transaction",
            Code::InvalidFile,
        ),
    ] {
        let dir = directory(&[("1_a.sql", "create table a(x);"), ("2_b.sql", text)]);
        let error = apply(session, dir.path()).unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.message().contains(message), "{error}");
        assert_eq!(tables(session), "");
    }
}

#[test]
fn directory_that_is_no_directory_of_migrations_says_why() {
    let goose = "-- +goose Up\nselect 1;";
    let cases: [(Files<'_>, &str, Code); 8] = [
        (&[], "has no migrations", Code::InvalidFile),
        (
            &[("schema.sql", "")],
            "schema.sql does not begin with a number",
            Code::InvalidFile,
        ),
        (
            &[("1_a.sql", ""), ("01_b.sql", "")],
            "have the same version",
            Code::InvalidFile,
        ),
        (
            &[("1_a.sql", goose), ("2_b.go", "")],
            "2_b.go is a program",
            Code::Unsupported,
        ),
        (
            &[("1_a.sql", ""), ("2_b/migration.sql", "")],
            "mixes the layouts",
            Code::InvalidFile,
        ),
        (
            &[("1_a.up.sql", ""), ("2_b.sql", "")],
            "mixes the layouts",
            Code::InvalidFile,
        ),
        (
            &[("meta/_journal.json", "{\"entries\":\n [1]}")],
            "_journal.json:2:",
            Code::InvalidFile,
        ),
        (
            &[("meta/_journal.json", r#"{"dialect":"postgresql","entries":[]}"#)],
            "for postgresql",
            Code::Unsupported,
        ),
    ];
    for (files, message, code) in cases {
        let dir = directory(files);
        let error = load(dir.path()).unwrap_err();
        assert!(error.message().contains(message), "{error}");
        assert_eq!(error.code(), code, "{error}");
    }
    let dir = directory(&[("1_a.sql", "x"), ("atlas.sum", "h1:x=\n1_a.sql h1:y=\n")]);
    let error = load(dir.path()).unwrap_err();
    assert!(
        error.message().contains("atlas.sum:2: 1_a.sql is not the file"),
        "{error}"
    );
    assert_eq!(load(Path::new("no/such")).unwrap_err().code(), Code::FileNotFound);
    std::fs::write(dir.path().join("1_a.sql"), b"select 1;\n\xff").unwrap();
    assert!(
        load(dir.path())
            .unwrap_err()
            .message()
            .contains("1_a.sql:2: the text is not UTF-8")
    );
    // None is passed over in silence.
    std::fs::write(dir.path().join("2_b.SQL"), "select 1;").unwrap();
    let error = load(dir.path()).unwrap_err();
    assert!(
        error
            .message()
            .contains("2_b.SQL: the names of migrations end with .sql"),
        "{error}"
    );
}

#[test]
fn migrate_to_a_version_stops_there() {
    let dir = directory(&[
        ("1_a.sql", "create table a(x);"),
        ("2_b.sql", "create table b(x);"),
        ("3_c.sql", "nonsense"),
    ]);
    let set = load(dir.path()).unwrap();
    let mut session = session();
    let session = session.as_mut();
    let until = Some(set.find("0002").unwrap());
    let plan = preview(session, &set, until).unwrap();
    assert_eq!((plan.pending, plan.left), (vec![0, 1], 1));
    assert_eq!(tables(session), "");
    let outcome = migrate(session, &set, until).unwrap();
    assert_eq!((outcome.applied.len(), outcome.left), (2, 1));
    assert_eq!(outcome.version.as_deref(), Some("2"));
    let error = migrate(session, &set, Some(set.find("1_a").unwrap())).unwrap_err();
    assert!(error.message().contains("the database is at 2_b, past 1_a"), "{error}");
    assert_eq!(set.find("9").unwrap_err().code(), Code::InvalidValue);
}

#[test]
fn migration_may_not_reach_beyond_its_database() {
    let dir = directory(&[("1_a.sql", "create table a(x);\nattach 'other.db' as o;\n")]);
    let mut session = session();
    let error = apply(session.as_mut(), dir.path()).unwrap_err();
    assert!(
        error.message().contains("1_a.sql:2: a script may not use ATTACH"),
        "{error}"
    );
}

#[test]
fn migration_that_another_process_applied_meanwhile_is_not_run_again() {
    let dir = directory(&[
        ("1_a.sql", "create table a(x);"),
        ("2_b.sql", "insert into a values (1);"),
    ]);
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("x.db");
    let set = load(dir.path()).unwrap();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut session = open(&Target::file(&path)).unwrap();
                    migrate(session.as_mut(), &set, None).unwrap().applied.len()
                })
            })
            .collect();
        let applied: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(applied, 2);
    });
    let mut session = open(&Target::file(&path)).unwrap();
    assert_eq!(query::number(session.as_mut(), "select count(*) from a").unwrap(), 1);
}

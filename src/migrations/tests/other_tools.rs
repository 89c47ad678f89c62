//! Databases that another tool has begun to migrate: what it recorded, and what torso makes of it.

use super::*;

#[test]
fn migrations_of_another_tool_are_not_applied_again() {
    let journal =
        r#"{"dialect":"turso","entries":[{"idx":0,"when":5,"tag":"0000_a"},{"idx":1,"when":6,"tag":"0001_b"}]}"#;
    let (one, two) = ("create table a(x);", "create table b(x);");
    let hash = checksum_of(one);
    let sha384 = sha384_of(one);
    let drizzle = format!(
        "create table __drizzle_migrations(id serial primary key, hash text not null, created_at numeric);
         insert into __drizzle_migrations values (null, '{hash}', 5)"
    );
    let cases: [(Files<'_>, &str); 7] = [
        (
            &[
                ("meta/_journal.json", journal),
                ("0000_a.sql", one),
                ("0001_b.sql", two),
            ],
            &drizzle,
        ),
        (
            &[
                ("1_a.sql", "-- +goose Up\ncreate table a(x);"),
                ("2_b.sql", "-- +goose Up\ncreate table b(x);"),
            ],
            "create table goose_db_version(id integer primary key, version_id integer, is_applied integer, tstamp);
             insert into goose_db_version values (1, 0, 1, null), (2, 1, 1, null), (3, 2, 1, null), (4, 2, 0, null)",
        ),
        (
            &[
                ("1_a.sql", "-- migrate:up\ncreate table a(x);"),
                ("2_b.sql", "-- migrate:up\ncreate table b(x);"),
            ],
            "create table schema_migrations(version varchar primary key); insert into schema_migrations values ('1')",
        ),
        (
            &[("1_a.up.sql", one), ("2_b.up.sql", two)],
            "create table schema_migrations(version uint64, dirty bool); insert into schema_migrations values (1, 0)",
        ),
        (
            &[("1_a.sql", one), ("2_b.sql", two)],
            &format!(
                "create table _sqlx_migrations(version bigint primary key, success boolean, checksum blob);
                 insert into _sqlx_migrations values (1, 1, x'{sha384}')"
            ),
        ),
        (
            &[("1_a/migration.sql", one), ("2_b/migration.sql", two)],
            &format!(
                "create table _prisma_migrations(migration_name, checksum, finished_at, rolled_back_at);
                 insert into _prisma_migrations values ('1_a', '{hash}', 5, null), ('2_b', 'x', null, 7)"
            ),
        ),
        (
            &[("V1_1__a.sql", one), ("V1_2__b.sql", two), ("U1_2__b.sql", "drop table b;")],
            "create table flyway_schema_history(installed_rank int primary key, version, description, type, script, checksum, success);
             insert into flyway_schema_history values (1, null, 'create', 'SCHEMA', '', null, 1), (2, '1.1', 'a', 'SQL', '', 7, 1),
                 (3, '1.2', 'b', 'SQL', '', 8, 1), (4, '1.2', 'b', 'UNDO_SQL', '', 9, 1)",
        ),
    ];
    for (files, script) in cases {
        let dir = directory(files);
        let mut session = session();
        let session = session.as_mut();
        execute(session, &format!("create table a(x); {script}"));
        let set = load(dir.path()).unwrap();
        let outcome = migrate(session, &set, None).unwrap_or_else(|error| panic!("{script}: {error}"));
        assert_eq!((outcome.adopted.len(), outcome.applied.len()), (1, 1), "{script}");
        assert!(migrate(session, &set, None).unwrap().applied.is_empty());
    }
}

fn sha384_of(text: &str) -> String {
    checksum::hex(ring::digest::digest(&ring::digest::SHA384, text.as_bytes()).as_ref())
}

#[test]
fn migrations_that_another_tool_did_not_finish_are_refused() {
    let one = "create table a(x);";
    let sqlx = "create table _sqlx_migrations(version bigint primary key, success boolean, checksum blob);";
    let prisma = "create table _prisma_migrations(migration_name, checksum, finished_at, rolled_back_at);";
    let golang = "create table schema_migrations(version uint64, dirty bool);";
    let (hash, sha384) = (checksum_of(one), sha384_of(one));
    let cases: [(Files<'_>, String, &str); 8] = [
        (
            &[("1_a.sql", one)],
            format!("{sqlx} insert into _sqlx_migrations values (1, 0, x'{sha384}')"),
            "half applied",
        ),
        (
            &[("1_a.sql", one)],
            format!("{sqlx} insert into _sqlx_migrations values (1, 1, x'00')"),
            "was edited",
        ),
        (
            &[("1_a.sql", one)],
            format!("{sqlx} insert into _sqlx_migrations values (2, 1, x'00')"),
            "file is gone",
        ),
        (
            &[("1_a/migration.sql", one)],
            format!("{prisma} insert into _prisma_migrations values ('1_a', '{hash}', null, null)"),
            "half applied",
        ),
        (
            &[("1_a/migration.sql", one)],
            format!("{prisma} insert into _prisma_migrations values ('1_a', 'other', 5, null)"),
            "was edited",
        ),
        (
            &[("1_a.up.sql", one)],
            format!("{golang} insert into schema_migrations values (1, 1)"),
            "half applied",
        ),
        (
            &[("1_a.up.sql", one)],
            format!("{golang} insert into schema_migrations values (7, 0)"),
            "file is gone",
        ),
        (
            &[("1_a.sql", "-- migrate:up\ncreate table a(x);")],
            "create table schema_migrations(version varchar primary key); insert into schema_migrations values ('3')"
                .to_owned(),
            "file is gone",
        ),
    ];
    for (files, script, message) in cases {
        let dir = directory(files);
        let mut session = session();
        execute(session.as_mut(), &script);
        let error = migrate(session.as_mut(), &load(dir.path()).unwrap(), None).unwrap_err();
        assert!(error.message().contains(message), "{script}: {error}");
    }
}

#[test]
fn drizzle_journal_with_an_entry_twice_is_refused() {
    for (second, message) in [
        (r#"{"idx":1,"when":2,"tag":"0000_a"}"#, "lists \"0000_a\" twice"),
        (r#"{"idx":1,"when":1,"tag":"0001_b"}"#, "has the same time, 1"),
        ("[]", "an entry with idx, when and tag"),
    ] {
        let journal = format!(r#"{{"entries":[{{"idx":0,"when":1,"tag":"0000_a"}},{second}]}}"#);
        let (one, two) = ("create table a(x);", "create table b(x);");
        let dir = directory(&[
            ("meta/_journal.json", &journal),
            ("0000_a.sql", one),
            ("0001_b.sql", two),
        ]);
        let error = load(dir.path()).unwrap_err();
        assert_eq!(error.code(), Code::InvalidFile);
        assert!(error.message().contains(message), "{error}");
    }
}

#[test]
fn drizzle_finds_in_its_own_table_what_torso_applied() {
    let journal = r#"{"dialect":"sqlite","entries":[{"idx":0,"when":1700000000000,"tag":"0000_a"}]}"#;
    let dir = directory(&[
        ("meta/_journal.json", journal),
        ("0000_a.sql", "create table a(x);"),
        ("extra.sql", ""),
    ]);
    let mut session = session();
    let session = session.as_mut();
    let set = load(dir.path()).unwrap();
    assert!(set.ignored[0].contains("extra.sql is left out"), "{:?}", set.ignored);
    migrate(session, &set, None).unwrap();
    let sql = "select hash || created_at from __drizzle_migrations";
    assert_eq!(
        query::text(session, sql).unwrap(),
        format!("{}1700000000000", checksum_of("create table a(x);"))
    );
    // One that came from another branch is older than the last, and was not applied by anybody.
    let merged =
        r#"{"entries":[{"idx":0,"when":1700000000000,"tag":"0000_a"},{"idx":1,"when":1600000000000,"tag":"0001_b"}]}"#;
    std::fs::write(dir.path().join("meta/_journal.json"), merged).unwrap();
    std::fs::write(dir.path().join("0001_b.sql"), "create table b(x);").unwrap();
    let error = migrate(session, &load(dir.path()).unwrap(), None).unwrap_err();
    assert_eq!(error.code(), Code::MigrationConflict);
    assert!(error.message().contains("0001_b.sql is older than the last"), "{error}");
    // An applied file of another hash was edited, whoever applied it.
    execute(
        session,
        "drop table _torso_migrations; update __drizzle_migrations set hash = 'other'",
    );
    let error = migrate(session, &set, None).unwrap_err();
    assert_eq!(error.code(), Code::MigrationConflict);
}

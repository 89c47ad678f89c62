//! Dumps of other makers and other times, and dumps that were cut off.

use crate::support::sqld::Sqld;
use crate::support::{World, sqlite3};

/// What `sqlite3` of different generations, libSQL server and others write for one and the same database.
const GENERATIONS: [(&str, &str); 5] = [
    (
        "up to 3.49",
        r#"PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT, r REAL);
INSERT INTO t VALUES(1,replace('two\nlines','\n',char(10)),1.5);
INSERT INTO t VALUES(2,'it''s',1e999);
PRAGMA writable_schema=ON;
INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('table','f','f',0,'CREATE VIRTUAL TABLE f USING fts4(body)');
CREATE TABLE IF NOT EXISTS 'f_content'(docid INTEGER PRIMARY KEY, 'c0body');
INSERT INTO f_content VALUES(1,'hello world');
CREATE TABLE IF NOT EXISTS 'f_segments'(blockid INTEGER PRIMARY KEY, block BLOB);
CREATE TABLE IF NOT EXISTS 'f_segdir'(level INTEGER,idx INTEGER,start_block INTEGER,leaves_end_block INTEGER,end_block INTEGER,root BLOB,PRIMARY KEY(level, idx));
INSERT INTO f_segdir VALUES(0,0,0,0,'0 20',X'000568656c6c6f03010200000005776f726c64030103 0000');
CREATE TABLE IF NOT EXISTS 'f_docsize'(docid INTEGER PRIMARY KEY, size BLOB);
INSERT INTO f_docsize VALUES(1,X'02');
CREATE TABLE IF NOT EXISTS 'f_stat'(id INTEGER PRIMARY KEY, value BLOB);
INSERT INTO f_stat VALUES(0,X'01020b');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('t',40);
PRAGMA writable_schema=OFF;
COMMIT;
"#,
    ),
    (
        "from 3.50 on",
        r"PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT, r REAL);
INSERT INTO t VALUES(1,unistr('two\u000alines'),1.5);
INSERT INTO t VALUES(2,'it''s',9.0e+999);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('t',40);
COMMIT;
",
    ),
    (
        "from 3.53 on",
        r"PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT, r REAL);
INSERT INTO t(id,a,r) VALUES(1,unistr('two\u000alines'),1.5);
INSERT INTO t(id,a,r) VALUES(2,'it''s',Inf);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence(name,seq) VALUES('t',40);
COMMIT;
",
    ),
    (
        "libSQL server",
        "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;
CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT, r REAL);
INSERT INTO t VALUES(1,replace('two\\nlines','\\n',char(10)),1.5);
INSERT INTO t VALUES(2,'it''s',1e999);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('t',40);
COMMIT;
",
    ),
    (
        "by hand",
        "create table t(id integer primary key autoincrement, a text, r real);
insert into t values(1, 'two
lines', 1.5), (2, 'it''s', 1e999);
update sqlite_sequence set seq = 40;
",
    ),
];

const LOOK: &str = "SELECT id, quote(a), r > 1e308, (SELECT seq FROM sqlite_sequence) FROM t;";
const EXPECTED: &str = "1|'two\nlines'|0|40\n2|'it''s'|1|40\n";

#[test]
fn dumps_of_all_generations_are_read_by_files_and_servers() {
    for (name, dump) in GENERATIONS {
        // The index of words is there for what has to be translated; its content is made by the engine itself elsewhere.
        let dump = dump
            .lines()
            .filter(|line| !line.contains("'0 20'"))
            .collect::<Vec<_>>()
            .join("\n")
            + "\n";
        let world = World::new();
        world.write("dump.sql", &dump);
        let server = Sqld::start();
        for database in ["file.db".to_owned(), server.url()] {
            let run = world.torso(["db", "shell", &database, ".read dump.sql", LOOK]);
            assert_eq!(
                (run.stdout.as_str(), run.stderr.as_str()),
                (EXPECTED, ""),
                "{name}: {}",
                run.report()
            );
            let run = world.torso(["db", "shell", &database, "SELECT count(*) FROM f_content"]);
            assert_eq!(run.stdout, if dump.contains("fts4") { "1\n" } else { "" }, "{name}");
        }
        if name != "by hand" {
            world.ok(["db", "create", "app", "--from-dump", "dump.sql"]);
            assert_eq!(world.query("app", LOOK), EXPECTED.trim_end(), "{name}");
        }
        let again = Sqld::start();
        world.torso_with_input(["db", "shell", &again.url()], &dump).success();
        assert_eq!(world.ok(["db", "shell", &again.url(), LOOK]), EXPECTED, "{name}");
    }
}

/// The dumps that the programs here really write.
#[test]
fn dumps_of_sqlite3_and_of_a_server_are_read() {
    let world = World::new();
    let file = world.work().join("a.db");
    let make = "create table t(a, b); insert into t values('two' || char(10) || 'lines', x'00ff'), ('it''s', 1.5);
        create virtual table f using fts5(body); insert into f values('hello world'), ('bye world');
        create virtual table r using rtree(id, x0, x1); insert into r values(1, 0, 5);
        create table s(id integer primary key autoincrement); insert into s values(7); drop table s; create view v as select 1;";
    sqlite3::run(&world, &file, make);
    let look =
        "SELECT quote(a), quote(b) FROM t; SELECT body FROM f WHERE f MATCH 'hello'; SELECT * FROM r WHERE x1 > 4;";
    let expected = world.ok(["db", "shell", "a.db", look]);
    assert_eq!(expected.lines().count(), 5, "{expected}");
    let dump = sqlite3::run(&world, &file, ".dump");
    assert!(dump.contains("DELETE FROM sqlite_sequence"), "{dump}");
    world.write("a.sql", &dump);
    let (server, other) = (Sqld::start(), Sqld::start());
    world.torso(["db", "shell", &server.url(), "-f", "a.sql"]).success();
    assert_eq!(world.ok(["db", "shell", &server.url(), look]), expected);
    // The server's own dump, into a file and into another server.
    let fetched = world
        .command("curl")
        .args(["-sf", &format!("{}/dump", server.url())])
        .output()
        .unwrap();
    assert!(fetched.status.success());
    world.write("b.sql", &fetched.stdout);
    for database in ["b.db".to_owned(), other.url()] {
        world.torso(["db", "shell", &database, "-f", "b.sql"]).success();
        assert_eq!(world.ok(["db", "shell", &database, look]), expected);
    }
    world.ok(["db", "create", "app", "--from-dump", "a.sql"]);
    assert_eq!(world.query("app", look), expected.trim_end());
}

/// Wherever a dump is cut off, all of it is there or nothing, and what is missing is told. Behind its `COMMIT` only the
/// checksum can be missing: that is told where it was cut in two, and by nothing where it is not there at all.
#[test]
fn dump_that_was_cut_off_is_an_error_and_leaves_nothing() {
    let world = World::new();
    let make = "CREATE TABLE t(a); INSERT INTO t VALUES('x'),('y'); CREATE VIEW v AS SELECT 1;";
    sqlite3::run(&world, &world.work().join("a.db"), make);
    world.ok(["db", "create", "app", "--from-file", "a.db"]);
    let dump = world.ok(["db", "dump", "app"]);
    let committed = dump.find("COMMIT").unwrap();
    let trailer = dump.find("-- torso").unwrap();
    let begun = dump.find("BEGIN").unwrap();
    let mut cuts: Vec<usize> = (begun + 18..dump.len() - 1).step_by(7).collect();
    cuts.extend([
        committed,
        committed + 3,
        trailer - 1,
        trailer,
        trailer + 9,
        dump.len() - 2,
    ]);
    for (at, cut) in cuts.into_iter().enumerate() {
        let text = &dump[..cut];
        let whole = cut > committed + 5 && cut < trailer + 9;
        for (way, database) in [("pipe", format!("p{at}.db")), ("file", format!("f{at}.db"))] {
            world.write("cut.sql", text);
            let run = match way {
                "pipe" => world.torso_with_input(["db", "shell", &database], text),
                _ => world.torso(["db", "shell", &database, "-f", "cut.sql"]),
            };
            let there = world.ok(["db", "shell", &database, "SELECT count(*) FROM sqlite_schema"]);
            if whole {
                assert_eq!(
                    (run.code(), there.as_str()),
                    (0, "2\n"),
                    "{way} {cut}: {}",
                    run.report()
                );
            } else {
                assert_eq!(
                    (run.code(), there.as_str()),
                    (1, "0\n"),
                    "{way} {cut}: {}",
                    run.report()
                );
                assert!(run.stderr.contains("Error"), "{}", run.report());
            }
        }
        let run = world.torso_with_input(["db", "create", &format!("c{at}"), "--from-dump", "-"], text);
        assert_eq!(run.code() == 0, whole, "{cut}: {}", run.report());
        assert_eq!(world.databases().contains(&format!("c{at}")), whole);
    }
}

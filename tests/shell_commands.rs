//! The dot-commands that other shells do not have, on a file and on a libSQL server: both say the same.

use crate::support::sqld::Sqld;
use crate::support::{World, redact};

const SETUP: &str = "
CREATE TABLE city(id INTEGER PRIMARY KEY, name TEXT, people INT);
INSERT INTO city VALUES(1,'Amsterdam',900000),(2,'Lissabon',550000),(3,'Ulm',126000);
CREATE TABLE street(city REFERENCES city, name, PRIMARY KEY(name, city)) WITHOUT ROWID;
INSERT INTO street VALUES(1,'Damrak'),(2,'Rua Amsterdam');
CREATE TABLE note(words);
INSERT INTO note VALUES('100% amsterdam'),(x'416d7374657264616d'),(NULL),(42);
CREATE INDEX by_people ON city(people);
";

/// Runs `script` on databases that begin as [`SETUP`] says, a file's and a server's. What it says must not depend on that.
fn everywhere(script: &str) -> (i32, String, String) {
    let server = Sqld::start();
    let world = World::new();
    let file = world.path("x.db").display().to_string();
    let run = |database: &str| {
        world.torso_with_input(["db", "shell", database], SETUP).success();
        let run = world.torso_with_input(["db", "shell", database], script);
        (run.code(), run.stdout.clone(), run.stderr.replace(database, "DATABASE"))
    };
    let local = run(&file);
    assert_eq!(run(&server.url()), local, "server, file");
    local
}

/// What [`everywhere`] returned, as one text for a snapshot.
fn report((code, stdout, stderr): &(i32, String, String)) -> String {
    format!("{stdout}-- stderr --\n{stderr}-- exit {code} --\n")
}

#[test]
fn find_shows_where_a_text_is() {
    assert_eq!(
        everywhere(".find amsterdam\n.find --case amsterdam\n.find 100%\n.find 42\n.find amster st%\n.find nowhere\n"),
        (
            0,
            "city|name|1|Amsterdam\nnote|words|1|100% amsterdam\nstreet|name|'Rua Amsterdam',2|Rua Amsterdam\n\
             note|words|1|100% amsterdam\n\
             note|words|1|100% amsterdam\n\
             note|words|4|42\n\
             street|name|'Rua Amsterdam',2|Rua Amsterdam\n"
                .to_owned(),
            String::new()
        )
    );
}

#[test]
fn find_folds_the_letters_of_all_alphabets() {
    let (code, out, _) = everywhere(
        "INSERT INTO note VALUES('École'),('ÉCOLE'),('ecole'),('Москва');\n.find école\n.find МОСКВА\n.find --case École\n",
    );
    assert_eq!(code, 0);
    assert_eq!(
        out,
        "note|words|5|École\nnote|words|6|ÉCOLE\nnote|words|8|Москва\nnote|words|5|École\n"
    );
}

#[test]
fn sizes_and_intck_report_tables_and_health() {
    insta::assert_snapshot!(report(&everywhere(".sizes\n.intck\n.mode json\n.sizes by_people\n")), @r#"
    by_people|index|city|4096|1|3|4059
    city|table|city|4096|1|3|4035
    note|table|note|4096|1|4|4040
    sqlite_schema|table|sqlite_schema|4096|1|4|3669
    street|table|street|4096|1|2|4056
    ok
    [{"name":"by_people","type":"index","table":"city","bytes":4096,"pages":1,"entries":3,"unused":4059}]
    -- stderr --
    -- exit 0 --
    "#);
}

#[test]
fn intck_of_a_damaged_file_names_the_pages() {
    let world = World::new();
    let damaged = world.path("damaged.db");
    crate::support::damaged_database(&damaged);
    let run = world.torso(["db", "shell", damaged.to_str().unwrap(), ".intck"]);
    insta::assert_snapshot!(redact::report(&world, &run), @"
    $ torso db shell [world]/damaged.db .intck
    *** in database main ***
    Tree 2 page 5: btreeInitPage() returns error code 11
    Tree 2 page 4: btreeInitPage() returns error code 11
    *** in database main ***
    Tree 2 page 5: btreeInitPage() returns error code 11
    Tree 2 page 4: btreeInitPage() returns error code 11
    table t: database disk image is malformed
    -- stderr --
    Error: the database is damaged: database disk image is malformed
    .recover saves what can be read
    -- exit 1 --
    ");
}

#[test]
fn intck_reports_rows_that_refer_to_none() {
    let script = "PRAGMA foreign_keys=OFF;\nINSERT INTO street VALUES(9,'Nowhere');\n.intck\n";
    insta::assert_snapshot!(report(&everywhere(script)), @"
    ok
    a row of street refers to no row of city
    -- stderr --
    Error: the database is damaged
    -- exit 1 --
    ");
}

#[test]
fn diff_compares_a_file_and_a_server() {
    let server = Sqld::start();
    let world = World::new();
    let file = world.path("x.db").display().to_string();
    let url = server.url();
    for database in [&file, &url] {
        world.torso_with_input(["db", "shell", database], SETUP).success();
    }
    for (here, there) in [(&file, &url), (&url, &file), (&file, &file)] {
        let run = world.torso(["db", "shell", here, &format!(".diff {there}")]).success();
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    }
    world.ok([
        "db",
        "shell",
        &url,
        "PRAGMA foreign_keys = OFF; UPDATE city SET people = 1, name = NULL WHERE id = 2; DELETE FROM city WHERE id = 1; INSERT INTO city VALUES(4, 'New', 0);
         INSERT INTO street VALUES(3, 'A'); DROP INDEX by_people; CREATE TABLE more(a);",
    ]);
    let run = world.torso(["db", "shell", &file, &format!(".diff {url}")]);
    assert_eq!(run.code(), 1);
    assert_eq!(
        run.stdout,
        "index by_people||only here|CREATE INDEX by_people ON city(people)|\n\
         table more||only there||CREATE TABLE more(a)\n\
         city|1|only here|id=1, name='Amsterdam', people=900000|\n\
         city|2|name|Lissabon|\n\
         city|2|people|550000|1\n\
         city|4|only there||id=4, name='New', people=0\n\
         street|A,3|only there||city=3, name='A'\n"
    );
    let run = world.torso(["db", "shell", &url, &format!(".diff {file}")]);
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db shell http://127.0.0.1:[port] ".diff [world]/x.db"
    table more||only here|CREATE TABLE more(a)|
    index by_people||only there||CREATE INDEX by_people ON city(people)
    city|1|only there||id=1, name='Amsterdam', people=900000
    city|2|name||Lissabon
    city|2|people|1|550000
    city|4|only here|id=4, name='New', people=0|
    street|A,3|only here|city=3, name='A'|
    -- stderr --
    -- exit 1 --
    "#);
    let run = world.torso(["db", "shell", &file, ".diff no/such.db"]);
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db shell [world]/x.db ".diff no/such.db"
    -- stderr --
    Error: unable to open database "no/such.db": unable to open database file
    -- exit 1 --
    "#);
}

/// A difference in ten thousand rows is found, and nothing else.
#[test]
fn diff_shows_values_that_differ_differently() {
    let world = World::new();
    let [one, other] = ["one.db", "other.db"].map(|name| world.path(name).display().to_string());
    let make = |file: &str, rows: &str| {
        let sql = format!("create table t(k integer primary key, v); insert into t values {rows}");
        world.ok(["db", "shell", file, &sql]);
    };
    make(
        &one,
        "(1, 0.1 + 0.2), (2, 0.0), (3, 1), (4, 'A'), (5, null), (6, 'same'), (7, 1.5)",
    );
    make(
        &other,
        "(1, 0.3), (2, -0.0), (3, '1'), (4, x'41'), (5, ''), (6, 'same'), (7, 2.5)",
    );
    let command = format!(".diff {other}");
    let run = world.torso(["db", "shell", &one, &command]);
    assert_eq!(run.code(), 1, "{}", run.report());
    assert_eq!(
        run.stdout,
        "t|1|v|0.30000000000000004|0.3\nt|2|v|0.0|-0.0\nt|3|v|1|'1'\nt|4|v|'A'|x'41'\nt|5|v|NULL|''\nt|7|v|1.5|2.5\n"
    );
    // Rows of which only one side has the key, as well.
    world.ok([
        "db",
        "shell",
        &other,
        "delete from t; insert into t values (8, 0.1 + 0.2)",
    ]);
    let run = world.torso(["db", "shell", &one, &command]);
    assert!(run.stdout.contains("k=8, v=0.30000000000000004"), "{}", run.stdout);
}

#[test]
fn diff_of_rows_without_a_key_compares_whole_rows() {
    let world = World::new();
    let [one, other] = ["one.db", "other.db"].map(|name| world.path(name).display().to_string());
    let make = |file: &str, table: &str, rows: &str| {
        let sql = format!("create table {table}(rowid, oid, _rowid_); insert into {table} values {rows}");
        world.ok(["db", "shell", file, &sql]);
    };
    make(&one, "t", "(1, 2, 3), (1, 2, 3), (4, 5, 6)");
    make(&other, "t", "(4, 5, 6), (1, 2, 3), (7, 8, 9)");
    let command = format!(".diff {other}");
    let run = world.torso(["db", "shell", &one, &command]);
    assert_eq!(
        run.stdout,
        "t|1,2,3|only here|rowid=1, oid=2, _rowid_=3|\nt|7,8,9|only there||rowid=7, oid=8, _rowid_=9\n"
    );
    // Names fold as in SQLite.
    std::fs::remove_file(&other).unwrap();
    make(&other, "T", "(4, 5, 6), (1, 2, 3), (1, 2, 3)");
    let run = world.torso(["db", "shell", &one, &command]);
    assert!(
        run.stdout.starts_with("table t||sql|") && run.stdout.lines().count() == 1,
        "{}",
        run.stdout
    );
}

#[test]
fn diff_of_databases_in_utf16_names_the_one_that_is() {
    let world = World::new();
    let [one, other] = ["one.db", "other.db"].map(|name| world.path(name).display().to_string());
    world.ok(["db", "shell", &one, "create table t(a)"]);
    world.ok(["db", "shell", &other, "pragma encoding = 'UTF-16'; create table t(a)"]);
    for (here, there, which) in [(&one, &other, "second"), (&other, &one, "first")] {
        let run = world.torso(["db", "shell", here, &format!(".diff {there}")]);
        assert_eq!(run.code(), 1);
        assert!(
            run.stderr
                .contains(&format!("the {which} of the two databases has its texts in UTF-16le")),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn diff_of_large_tables_merges_them() {
    let world = World::new();
    let [one, other] = ["one.db", "other.db"].map(|name| world.path(name).display().to_string());
    let fill = "CREATE TABLE t(k TEXT PRIMARY KEY, v);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) INSERT INTO t SELECT 'k' || i, i FROM n;";
    for database in [&one, &other] {
        world.torso_with_input(["db", "shell", database], fill).success();
    }
    world.ok([
        "db",
        "shell",
        &other,
        "UPDATE t SET v = v || '' WHERE k = 'k777'; DELETE FROM t WHERE v = 9999",
    ]);
    let run = world.torso(["db", "shell", &one, ".mode quote", &format!(".diff {other}")]);
    assert_eq!(
        run.stdout,
        "'t','k777','v',777,'777'\n't','k9999','only here','k=''k9999'', v=9999',NULL\n"
    );
}

#[test]
fn dbinfo_reports_the_header() {
    let server = Sqld::start();
    let world = World::new();
    let file = world.path("x.db").display().to_string();
    for database in [&file, &server.url()] {
        world.torso_with_input(["db", "shell", database], SETUP).success();
        let out = world.ok(["db", "shell", database, "PRAGMA user_version = 7", ".dbinfo"]);
        // What differs is what each engine counts and is: its changes, its version.
        let is_same = |line: &&str| {
            ![
                "file change counter",
                "software version",
                "data version",
                "write format",
                "read format",
            ]
            .iter()
            .any(|label| line.starts_with(label))
        };
        let same: Vec<&str> = out.lines().filter(is_same).collect();
        insta::allow_duplicates! {
            insta::assert_snapshot!(same.join("\n"), @"
            database page size:  4096
            reserved bytes:      0
            database page count: 5
            freelist page count: 0
            schema cookie:       4
            schema format:       4
            default cache size:  0
            autovacuum top root: 0
            incremental vacuum:  0
            text encoding:       1 (utf8)
            user version:        7
            application id:      0
            number of tables:    3
            number of indexes:   1
            number of triggers:  0
            number of views:     0
            schema size:         212
            ");
        }
    }
}

/// Connections side by side may be to a file and to a server.
#[test]
fn connections_may_be_to_a_file_and_a_server() {
    let server = Sqld::start();
    let world = World::new();
    let url = server.url();
    let script = format!(
        "CREATE TABLE here(a);\n.connection 1\n.open {url}\nCREATE TABLE there(a);\n.tables\n.connection 0\n.tables\n.connection\n"
    );
    let run = world.torso_with_input(["db", "shell", ":memory:"], script).success();
    assert_eq!(
        run.stdout,
        format!("there\nhere\nACTIVE 0: :memory:\n       1: {url}\n")
    );
}

#[test]
fn fkey_lint_finds_foreign_keys_without_an_index() {
    let script = "CREATE TABLE child(c REFERENCES city);\n.lint fkey-indexes\n";
    insta::assert_snapshot!(report(&everywhere(script)), @"
    CREATE INDEX 'child_c' ON 'child'('c'); --> city(id)
    CREATE INDEX 'street_city' ON 'street'('city'); --> city(id)
    -- stderr --
    -- exit 0 --
    ");
}

/// Pages in the middle of a table, its first one and one of a table without row numbers are overwritten. All rows on other
/// pages are saved.
#[test]
fn recover_of_a_damaged_file_keeps_rows_around_the_damage() {
    let world = World::new();
    let file = world.path("x.db");
    let name = file.display().to_string();
    let fill = "CREATE TABLE t(id INTEGER PRIMARY KEY, v);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO t SELECT i * 3, 'row ' || i FROM n;
        CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID; INSERT INTO w SELECT v, id FROM t;
        CREATE TABLE sound(a); INSERT INTO sound VALUES('it''s' || char(10) || 'here');
        CREATE INDEX tv ON t(v); CREATE VIEW seen AS SELECT * FROM t; PRAGMA user_version = 9;";
    world.torso_with_input(["db", "shell", &name], fill).success();
    let leaves = |table: &str| -> Vec<(u64, u64)> {
        world
            .ok([
                "db",
                "shell",
                &name,
                &format!("SELECT pageno, ncell FROM dbstat WHERE name = '{table}' AND pagetype = 'leaf' ORDER BY path"),
            ])
            .lines()
            .map(|line| line.split_once('|').unwrap())
            .map(|(page, cells)| (page.parse().unwrap(), cells.parse().unwrap()))
            .collect()
    };
    let (t, w) = (leaves("t"), leaves("w"));
    let half = t.len() / 2;
    let lost = [t[0], t[half], t[half + 1], t[half + 20], w[w.len() / 2]];
    let mut bytes = std::fs::read(&file).unwrap();
    for (page, _) in lost {
        let start = (usize::try_from(page).unwrap() - 1) * 4096;
        bytes[start..start + 4096].fill(0xee);
    }
    std::fs::write(&file, bytes).unwrap();

    let run = world.torso(["db", "shell", &name, ".recover"]).success();
    insta::assert_snapshot!(redact::text(&world, &run.stderr), @"
    t is damaged: 19037 rows saved
    w is damaged: 19799 rows saved
    ");
    let saved = world.write("saved.sql", &run.stdout);
    let mended = world.path("mended.db").display().to_string();
    let (mended, saved) = (mended.as_str(), format!(".read {}", saved.display()));
    let load = world.torso(["db", "shell", mended, &saved]).success();
    assert_eq!(load.stderr, "");
    let count = |sql: &str| world.ok(["db", "shell", mended, sql]).trim().parse::<u64>().unwrap();
    assert_eq!(
        count("SELECT count(*) FROM t"),
        20000 - lost[..4].iter().map(|(_, cells)| cells).sum::<u64>()
    );
    assert_eq!(
        count("SELECT count(*) FROM t WHERE v = 'row ' || (id / 3)"),
        count("SELECT count(*) FROM t")
    );
    // The neighbours on the page above are out of reach as well.
    let w_lost = 20000 - count("SELECT count(*) FROM w");
    assert!(w_lost >= lost[4].1 && w_lost <= lost[4].1 + 2, "{w_lost} {lost:?}");
    assert_eq!(
        count("SELECT count(*) FROM sound WHERE a = 'it''s' || char(10) || 'here'"),
        1
    );
    assert_eq!(
        count("SELECT count(*) FROM sqlite_schema WHERE name IN ('tv', 'seen')"),
        2
    );
    assert_eq!(count("PRAGMA user_version"), 9);
}

/// What the file does not have whole is not read as zeros, which would be rows.
#[test]
fn recover_of_a_file_cut_within_a_page_invents_no_rows() {
    let world = World::new();
    let file = world.path("cut.db");
    let name = file.to_str().unwrap();
    for table in [
        "t(x, y)",
        "t(x, y INTEGER PRIMARY KEY)",
        "t(x TEXT PRIMARY KEY, y) WITHOUT ROWID",
    ] {
        let _ = std::fs::remove_file(&file);
        let fill = format!(
            "CREATE TABLE {table}; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
            INSERT INTO t SELECT printf('row %05d ', i) || hex(zeroblob(50)), i FROM n"
        );
        world.ok(["db", "shell", name, &fill]);
        let size = std::fs::metadata(&file).unwrap().len();
        for cut in [1000, 3000] {
            let whole = size / 2 / 4096 * 4096;
            std::fs::File::options()
                .write(true)
                .open(&file)
                .unwrap()
                .set_len(whole + cut)
                .unwrap();
            let run = world.torso(["db", "shell", name, ".recover"]).success();
            let reported: u64 = run.stderr.split_whitespace().nth(3).unwrap().parse().unwrap();
            assert!(reported > 500, "{}", run.stderr);
            let saved = world
                .torso_with_input(
                    ["db", "shell", ":memory:"],
                    run.stdout + "SELECT count(*), sum(x IS printf('row %05d ', y) || hex(zeroblob(50))) FROM t;\n",
                )
                .success();
            assert_eq!(saved.stdout, format!("{reported}|{reported}\n"), "{table} {cut}");
            assert_eq!(std::fs::metadata(&file).unwrap().len(), whole + cut);
        }
    }
    // What is no database has nothing to be saved.
    let none = world.write("none.db", [b"SQLite".as_slice(), &[0; 5000]].concat());
    for command in [".dump", ".intck", ".recover"] {
        let run = world.torso(["db", "shell", none.to_str().unwrap(), command]);
        assert_eq!(run.code(), 1, "{}", run.report());
        assert!(
            run.stderr.contains("file is not a database") && !run.stderr.contains(".recover"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn recover_of_a_sound_database_is_whole() {
    let (code, out, err) = everywhere(".recover\n");
    assert_eq!((code, err.as_str()), (0, ""));
    let world = World::new();
    let [one, other] = ["one.db", "other.db"].map(|name| world.path(name).display().to_string());
    world.torso_with_input(["db", "shell", &one], SETUP).success();
    let load = world.torso_with_input(["db", "shell", &other], out).success();
    assert_eq!(load.stderr, "");
    assert_eq!(world.ok(["db", "shell", &one, &format!(".diff {other}")]), "");
}

#[test]
fn queries_are_saved_by_name() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let run = |script: &str| {
        let run = world.torso_with_input(["db", "shell", ":memory:"], script);
        (run.code(), run.stdout.clone(), run.stderr.clone())
    };
    assert_eq!(run(".query list\n"), (0, String::new(), String::new()));
    assert_eq!(
        run(".query save two  select 'a  b', \"two\" from (select 2 as two)\n.query save one select 1;\n").0,
        0
    );
    assert_eq!(
        run(".query list\n.query run two\n.mode json\n.query run one\n").1,
        "one: select 1;\ntwo: select 'a  b', \"two\" from (select 2 as two)\na  b|2\n[{\"1\":1}]\n"
    );
    insta::assert_snapshot!(report(&run(".query drop one\n.query list\n.query run one\n")), @r#"
    two: select 'a  b', "two" from (select 2 as two)
    -- stderr --
    Error: there is no query "one"; .query list shows all
    -- exit 1 --
    "#);
    assert_eq!(run(".query\n").0, 1);
    let files = crate::support::tree::list(world.root());
    let kept = files.keys().find(|path| path.ends_with("queries.json")).unwrap();
    let mode = std::fs::metadata(world.root().join(kept)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn watch_runs_a_statement_again_and_again() {
    assert_eq!(
        everywhere(".watch 0.05 --count 3 select 'x  y'\n.watch 0 --count 2 select nope\n"),
        (
            1,
            "x  y\nx  y\nx  y\n".to_owned(),
            "Parse error near line 2: no such column: nope\n  select nope\n         ^--- error here\n".to_owned()
        )
    );
    let world = World::new();
    let run = world.torso(["db", "shell", ":memory:", ".watch 0 --count 1 selec"]);
    assert!(
        run.stderr.starts_with("Parse error: near \"selec\""),
        "{}",
        run.report()
    );
    for wrong in [
        ".watch 1 select 1",
        ".watch x --count 1 select 1",
        ".watch 1",
        ".watch -1 --count 2 select 1",
    ] {
        assert_eq!(world.torso(["db", "shell", ":memory:", wrong]).code(), 1, "{wrong}");
    }
}

#[test]
fn watch_ends_with_ctrl_c() {
    let world = World::new();
    let mut terminal = world.terminal(&["db", "shell", ":memory:"]);
    terminal.exp_string("> ").unwrap();
    terminal.send_line(".watch 0.1 select 'tick' || random()").unwrap();
    terminal.exp_string("tick").unwrap();
    terminal.exp_string("tick").unwrap();
    terminal.send_control('c').unwrap();
    terminal.exp_string("> ").unwrap();
    terminal.send_line("select 40 + 2 as answer;").unwrap();
    terminal.exp_string("42").unwrap();
}

#[test]
fn questions_end_with_ctrl_c() {
    let world = World::new();
    world.ok(["db", "create", "app"]);
    let mut terminal = world.terminal(&["db", "destroy", "app"]);
    terminal.exp_string("Type app to go ahead:").unwrap();
    terminal.send_control('c').unwrap();
    terminal.exp_string("interrupted").unwrap();
    terminal.exp_eof().unwrap();

    world.ok(["db", "config", "set", "app", "delete-protection", "on"]);
    world.ok(["db", "shell", "app", "create table t(x)"]);
    let mut terminal = world.terminal(&["db", "shell", "app"]);
    terminal.exp_string("> ").unwrap();
    terminal.send_line("drop table t;").unwrap();
    terminal.exp_string("[y/N]").unwrap();
    terminal.send_control('c').unwrap();
    terminal.exp_string("Not run.").unwrap();
    terminal.send_line("select 40 + 2 as answer;").unwrap();
    terminal.exp_string("42").unwrap();
}

/// What is easily lost on the way.
const ODD: &str = "
CREATE TABLE counted(id INTEGER PRIMARY KEY AUTOINCREMENT, v);
INSERT INTO counted VALUES(7,x'00ff'),(12,0.1),(13,'it''s'||char(10)||char(0)||'x'); DELETE FROM counted WHERE id = 12;
CREATE TABLE \"odd \"\"name\"(\"a b\" TEXT, c AS (length(\"a b\")), d DEFAULT 4); INSERT INTO \"odd \"\"name\"(\"a b\") VALUES('x'),(NULL),('zz');
DELETE FROM \"odd \"\"name\" WHERE rowid = 1;
CREATE VIRTUAL TABLE words USING fts5(t); INSERT INTO words VALUES('hello world'),('good bye');
CREATE VIEW seen AS SELECT * FROM counted;
CREATE TRIGGER tr AFTER INSERT ON counted BEGIN UPDATE counted SET v = 'fired' WHERE id = new.id; END;
PRAGMA user_version = 31;
";

/// The state that `.diff` does not look at, and what a search finds.
const STATE: &str = "PRAGMA user_version; SELECT * FROM sqlite_sequence; SELECT rowid, * FROM \"odd \"\"name\"; \
                     SELECT rowid, t FROM words('world'); PRAGMA integrity_check;";

fn odd(world: &World, database: &str) {
    let run = world
        .torso_with_input(["db", "shell", database], format!("{SETUP}{ODD}"))
        .success();
    assert_eq!(run.stderr, "");
}

#[track_caller]
fn assert_equal(world: &World, one: &str, other: &str) {
    let run = world.torso(["db", "shell", one, &format!(".diff {other}")]);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""), "{one} {other}");
    let state = |database: &str| world.ok(["db", "shell", database, STATE]);
    assert_eq!(state(one), state(other));
    assert!(
        state(one).contains("\n2||0|4\n") || state(one).contains("\n2|||4\n"),
        "{}",
        state(one)
    );
}

#[test]
fn clone_copies_between_files_and_servers() {
    let (server, empty) = (Sqld::start(), Sqld::start());
    let world = World::new();
    let file = |name: &str| world.path(name).display().to_string();
    let (first, back) = (file("first.db"), file("back.db"));
    odd(&world, &first);
    for (from, to) in [
        (&first, &server.url()),
        (&server.url(), &empty.url()),
        (&empty.url(), &back),
    ] {
        assert_eq!(world.ok(["db", "shell", from, &format!(".clone {to}")]), "");
        assert_equal(&world, from, to);
    }
    assert_equal(&world, &first, &back);
    let run = world.torso(["db", "shell", &first, &format!(".clone {}", server.url())]);
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db shell [world]/first.db ".clone http://127.0.0.1:[port]"
    -- stderr --
    Error: the destination is not empty
    -- exit 1 --
    "#);
}

#[test]
fn restore_copies_between_files_and_servers() {
    let server = Sqld::start();
    let world = World::new();
    let file = |name: &str| world.path(name).display().to_string();
    let (first, other) = (file("first.db"), file("other.db"));
    odd(&world, &first);
    let url = server.url();
    for database in [&url, &other] {
        // Something else is there, in part of the same name.
        let before = "CREATE TABLE city(other); CREATE VIRTUAL TABLE v USING fts5(a); CREATE VIEW seen AS SELECT 1;
            CREATE TABLE n(a INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO n VALUES(99); PRAGMA user_version = 2;";
        world.torso_with_input(["db", "shell", database], before).success();
    }
    let run = world
        .torso([
            "db",
            "shell",
            &url,
            &format!(".restore {first}"),
            "SELECT t FROM words('bye')",
        ])
        .success();
    assert_eq!(run.stdout, "good bye\n");
    assert_equal(&world, &first, &url);
    let run = world
        .torso([
            "db",
            "shell",
            &other,
            &format!(".restore {url}"),
            "SELECT t FROM words('bye')",
        ])
        .success();
    assert_eq!(run.stdout, "good bye\n");
    assert_equal(&world, &first, &other);
}

/// What cannot be copied leaves the destination as it was.
#[test]
fn restore_that_fails_changes_nothing() {
    let server = Sqld::start();
    let world = World::new();
    let (file, url) = (world.path("x.db").display().to_string(), server.url());
    let bad = "CREATE TABLE a(x); INSERT INTO a VALUES(1); CREATE TABLE b(x); INSERT INTO b VALUES(zeroblob(8000000));";
    world.torso_with_input(["db", "shell", &file], bad).success();
    world.torso_with_input(["db", "shell", &url], SETUP).success();
    let before = world.ok(["db", "shell", &url, ".sha3sum --schema"]);
    let mut failures = String::new();
    for missing in [
        format!(".restore {file}"),
        ".restore no/such.db".to_owned(),
        ".restore http://127.0.0.1:9".to_owned(),
    ] {
        let run = world.torso(["db", "shell", &url, &missing]);
        failures.push_str(&redact::report(&world, &run));
    }
    insta::assert_snapshot!(failures, @r#"
    $ torso db shell http://127.0.0.1:[port] ".restore [world]/x.db"
    -- stderr --
    Error: b: string or blob too big
    -- exit 1 --
    $ torso db shell http://127.0.0.1:[port] ".restore no/such.db"
    -- stderr --
    Error: unable to open database "no/such.db": unable to open database file
    -- exit 1 --
    $ torso db shell http://127.0.0.1:[port] ".restore http://127.0.0.1:9"
    -- stderr --
    Error: cannot connect to http://127.0.0.1:9: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)
    -- exit 1 --
    "#);
    assert_eq!(world.ok(["db", "shell", &url, ".sha3sum --schema"]), before);
    let empty = Sqld::start();
    let run = world.torso(["db", "shell", &file, &format!(".clone {}", empty.url())]);
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db shell [world]/x.db ".clone http://127.0.0.1:[port]"
    -- stderr --
    Error: b: string or blob too big
    -- exit 1 --
    "#);
    assert_eq!(world.ok(["db", "shell", &empty.url(), ".tables"]), "");
}

#[test]
fn expert_advises_indexes_and_runs_nothing() {
    let table = "CREATE TABLE t(a, b, c); CREATE TABLE u(x INTEGER PRIMARY KEY, y, z);\n";
    let script = format!(
        "{table}.expert\nselect * from t where a = 1;\n.expert\nselect * from t where b > 2 and a = 1;\n\
         .expert\nselect a from t order by b;\n.expert\nselect * from u where x = 4;\n\
         .expert\nupdate t set a = 1 where c = 3;\n.expert\nselect nope;\nselect 'run';\n.expert --what\n.indexes\n"
    );
    let (code, out, err) = everywhere(&script);
    assert_eq!(code, 1);
    assert_eq!(
        out,
        "CREATE INDEX t_idx_00000061 ON t(a);\n\nSEARCH t USING INDEX t_idx_00000061 (a=?)\n\n\
         CREATE INDEX t_idx_000123a7 ON t(a, b);\n\nSEARCH t USING INDEX t_idx_000123a7 (a=? AND b>?)\n\n\
         CREATE INDEX t_idx_00000062 ON t(b);\n\nSCAN t USING INDEX t_idx_00000062\n\n\
         (no new indexes)\n\nSEARCH u USING INTEGER PRIMARY KEY (rowid=?)\n\n\
         CREATE INDEX t_idx_00000063 ON t(c);\n\nSEARCH t USING INDEX t_idx_00000063 (c=?)\n\n\
         run\nby_people\n"
            .to_owned()
    );
    insta::assert_snapshot!(err, @"
    Parse error near line 13: no such column: nope
    unknown option: --what
    ");
}

/// A server tells the sign of an infinite number where it is asked in the right way.
#[test]
fn infinite_numbers_on_a_server_are_compared_and_copied() {
    let server = Sqld::start();
    let world = World::new();
    let (file, url) = (world.path("x.db").display().to_string(), server.url());
    for database in [&file, &url] {
        world.ok([
            "db",
            "shell",
            database,
            "CREATE TABLE i(r REAL)",
            "INSERT INTO i VALUES(-1e999)",
        ]);
    }
    let clone = world.path("clone.db");
    let mut differences = String::new();
    for (here, command) in [(&file, format!(".diff {url}")), (&url, format!(".diff {file}"))] {
        assert_eq!(world.ok(["db", "shell", here, &command]), "", "{command}");
        world.ok(["db", "shell", &file, "UPDATE i SET r = -r"]);
        let run = world.torso(["db", "shell", here, &command]);
        differences.push_str(&redact::report(&world, &run));
        world.ok(["db", "shell", &file, "UPDATE i SET r = -r"]);
    }
    insta::assert_snapshot!(differences, @r#"
    $ torso db shell [world]/x.db ".diff http://127.0.0.1:[port]"
    i|1|r|Inf|-Inf
    -- stderr --
    -- exit 1 --
    $ torso db shell http://127.0.0.1:[port] ".diff [world]/x.db"
    i|1|r|-Inf|Inf
    -- stderr --
    -- exit 1 --
    "#);
    let clone = clone.display().to_string();
    world.ok(["db", "shell", &url, &format!(".clone {clone}")]);
    assert_eq!(world.ok(["db", "shell", &clone, "SELECT * FROM i"]), "-Inf\n");
}

/// The labels of counters, in order.
fn labels(out: &str) -> Vec<&str> {
    out.lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(label, _)| label)
        .collect()
}

/// The number after a label.
#[track_caller]
fn counted(out: &str, label: &str) -> f64 {
    let line = out.lines().find_map(|line| line.strip_prefix(label)?.strip_prefix(':'));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.unwrap_or_else(|| panic!("no {label} in {out}")).parse().unwrap()
}

#[test]
fn statement_costs_are_reported_on_files_and_servers() {
    let server = Sqld::start();
    let world = World::new();
    let url = server.url();
    for database in ["x.db", url.as_str()] {
        world.torso_with_input(["db", "shell", database], SETUP).success();
    }
    let run = |database: &str, script: &str| {
        let run = world.torso_with_input(["db", "shell", database], script).success();
        assert_eq!(run.stderr, "");
        run.stdout.clone()
    };
    // The engine's own counters, beside those of the oracle.
    let out = run("x.db", ".stats on\nSELECT * FROM city ORDER BY name;\n");
    assert_eq!(counted(&out, "Fullscan Steps"), 2.0, "{out}");
    assert_eq!(counted(&out, "Sort Operations"), 1.0, "{out}");
    assert!(
        counted(&out, "Memory Used") > 1000.0 && counted(&out, "Virtual Machine Steps") > 10.0,
        "{out}"
    );
    let oracle = std::process::Command::new("sqlite3")
        .args(["-batch", ":memory:", ".stats on", "SELECT 1"])
        .output();
    if let Ok(oracle) = oracle {
        let out = run(":memory:", ".stats on\nSELECT 1;\n");
        assert_eq!(labels(&out), labels(&String::from_utf8_lossy(&oracle.stdout)));
    }
    assert!(run("x.db", ".stats vmstep\nSELECT 1;\n").starts_with("1\nVM-steps: "));
    assert!(
        run("x.db", ".stats stmt\nSELECT id FROM city WHERE 0;\n")
            .contains("Column 0 declared type:              INTEGER\n")
    );
    // What a server tells, of results that come whole and of what is written.
    let out = run(
        &url,
        ".stats on\nUPDATE city SET people = 1 WHERE id < 3;\nSELECT name FROM city;\n.stats\n",
    );
    assert_eq!(
        counted(&out, "Rows written by the server"),
        4.0,
        "rows and entries of the index: {out}"
    );
    assert!(
        counted(&out, "Server time") > 0.0 && counted(&out, "Network time") > 0.0,
        "{out}"
    );
    let selected = &out[out.find("Amsterdam").unwrap()..];
    assert_eq!(counted(selected, "Rows read by the server"), 3.0, "{out}");
    let out = run(&url, ".timer on\nSELECT name FROM city;\n");
    let told = out.lines().last().unwrap();
    assert!(
        told.starts_with("Remote: server 0.") && told.ends_with(" rows read 3 rows written 0"),
        "{out}"
    );
    // Larger than what a server sends at once: it is streamed, and all there.
    let out = run(
        &url,
        ".timer on\nWITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 300) SELECT hex(zeroblob(25000)) FROM n;\n",
    );
    assert_eq!(out.lines().filter(|line| line.len() == 50_000).count(), 300);
    assert!(out.lines().last().unwrap().starts_with("Remote: server and network "));
}

#[test]
fn backup_of_a_server_is_there_only_when_complete() {
    let server = Sqld::start();
    let world = World::new();
    let url = server.url();
    world.torso_with_input(["db", "shell", &url], SETUP).success();
    world.write("old.db", "precious");
    world.torso(["db", "shell", &url, ".backup old.db"]).success();
    let sums = |database: &str| world.ok(["db", "shell", database, ".sha3sum"]);
    assert_eq!(sums("old.db"), sums(&url));
    let gone = server.url();
    drop(server);
    world.write("old.db", "precious");
    world.torso(["db", "shell", &gone, ".backup old.db"]);
    assert_eq!(std::fs::read(world.work().join("old.db")).unwrap(), b"precious");
    let left: Vec<_> = std::fs::read_dir(world.work())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        left.iter().all(|name| !name.to_string_lossy().starts_with(".torso-")),
        "{left:?}"
    );
}

#[test]
fn www_opens_the_result_in_a_browser() {
    use std::os::unix::fs::PermissionsExt;
    let mut world = World::new();
    let opener = world.write(
        "xdg-open",
        "#!/bin/sh\ncase \"$1\" in *.html) cat \"$1\" >> opened;; esac\nrm \"$1\"\n",
    );
    std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!(
        "{}:{}",
        opener.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    world.set("PATH", &path);
    let script = ".www\nSELECT '<b>' AS x;\nSELECT 2;\n.once -w\nSELECT 3 AS y;\n";
    let run = world.torso_with_input(["db", "shell", ":memory:"], script).success();
    assert_eq!(run.stdout, "2\n");
    let page = std::fs::read_to_string(world.work().join("opened")).unwrap();
    insta::assert_snapshot!(page, @r#"
    <!DOCTYPE html>
    <meta charset="utf-8">
    <title>torso</title>
    <table border="1" cellspacing="0" cellpadding="2">
    <TR><TH>x</TH>
    </TR>
    <TR><TD>&lt;b&gt;</TD>
    </TR>
    </table>
    <!DOCTYPE html>
    <meta charset="utf-8">
    <title>torso</title>
    <table border="1" cellspacing="0" cellpadding="2">
    <TR><TH>y</TH>
    </TR>
    <TR><TD>3</TD>
    </TR>
    </table>
    "#);
}

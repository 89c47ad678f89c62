//! The dot-commands that other shells do not have, on a file and on a libSQL server: both say the same.

use crate::support::World;
use crate::support::sqld::Sqld;

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
fn sizes_and_health() {
    let (code, out, err) = everywhere(".sizes\n.intck\n.mode json\n.sizes by_people\n");
    assert_eq!((code, err.as_str()), (0, ""));
    for line in ["by_people|index|city|4096|1|3|", "street|table|street|4096|1|2|"] {
        assert!(out.contains(line), "{out}");
    }
    assert!(out.contains("\nok\n[{\"name\":\"by_people\","), "{out}");
}

#[test]
fn rows_that_refer_to_none_are_told() {
    let (code, out, err) = everywhere("PRAGMA foreign_keys=OFF;\nINSERT INTO street VALUES(9,'Nowhere');\n.intck\n");
    assert_eq!(code, 1);
    assert!(out.contains(" of street refers to no row of city\n"), "{out}");
    assert!(err.contains("the database is damaged"), "{err}");
}

#[test]
fn a_difference_is_shown_between_a_file_and_a_server() {
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
         city|1|only here||\n\
         city|2|name|Lissabon|\n\
         city|2|people|550000|1\n\
         city|4|only there||\n\
         street|A,3|only there||\n"
    );
    let run = world.torso(["db", "shell", &url, &format!(".diff {file}")]);
    assert!(run.stdout.contains("city|2|people|1|550000\n"), "{}", run.stdout);
    assert!(run.stdout.contains("city|1|only there||\n"), "{}", run.stdout);
    let run = world.torso(["db", "shell", &file, ".diff no/such.db"]);
    assert_eq!(run.code(), 1);
    assert!(run.stderr.starts_with("Error: "), "{}", run.stderr);
}

/// A difference in ten thousand rows is found, and nothing else.
#[test]
fn large_tables_are_merged() {
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
        "'t','k777','v',777,'777'\n't','k9999','only here',NULL,NULL\n"
    );
}

#[test]
fn the_header_is_told() {
    let server = Sqld::start();
    let world = World::new();
    let file = world.path("x.db").display().to_string();
    for database in [&file, &server.url()] {
        world.torso_with_input(["db", "shell", database], SETUP).success();
        let out = world.ok(["db", "shell", database, "PRAGMA user_version = 7", ".dbinfo"]);
        for line in [
            "database page size:  4096\n",
            "user version:        7\n",
            "text encoding:       1 (utf8)\n",
            "number of tables:    3\n",
            "number of indexes:   1\n",
        ] {
            assert!(out.contains(line), "{out}");
        }
    }
}

/// Connections side by side may be to a file and to a server.
#[test]
fn connections_of_several_kinds() {
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
fn foreign_keys_without_an_index_are_found() {
    let (code, out, _) = everywhere("CREATE TABLE child(c REFERENCES city);\n.lint fkey-indexes\n");
    assert_eq!(code, 0);
    assert!(
        out.contains("CREATE INDEX 'child_c' ON 'child'('c'); --> city(id)"),
        "{out}"
    );
}

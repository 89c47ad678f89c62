//! What people type or feed to the shell is neither lost, nor run elsewhere, nor called a success when it was none.

use crate::support::run::Run;
use crate::support::sqld::Sqld;
use crate::support::{World, redact};

fn path(world: &World, name: &str) -> String {
    world.path(name).display().to_string()
}

/// A command's exit code, standard output and standard error.
fn said(run: &Run) -> (i32, &str, &str) {
    (run.code(), run.stdout.as_str(), run.stderr.as_str())
}

/// Every file in the world's working directory, by name.
fn files(world: &World) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(world.work())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// All commands, as `.help` lists them.
fn commands(world: &World) -> Vec<String> {
    world
        .ok(["db", "shell", ":memory:", ".help"])
        .lines()
        .map(|line| line[1..].split(' ').next().unwrap().to_owned())
        .collect()
}

#[test]
fn safe_mode_lets_no_dot_command_write_or_run_anything_outside() {
    let world = World::new();
    let names = commands(&world);
    assert!(names.len() > 60, "{names:?}");
    let before = files(&world);
    for name in names.iter().filter(|name| !["quit", "exit"].contains(&name.as_str())) {
        for arguments in [
            "made",
            "main made",
            "'|touch made'",
            "touch made",
            "on made",
            "save made 'select 1'",
        ] {
            let input = format!(".{name} {arguments}\nselect 1;\n.output\n");
            world.torso_with_input(["db", "shell", ":memory:", "-safe", "-batch"], input);
            assert_eq!(files(&world), before, ".{name} {arguments}");
        }
    }
}

#[test]
fn safe_mode_refuses_statements_that_reach_outside() {
    let world = World::new();
    let before = files(&world);
    let mut reports = String::new();
    for sql in [
        "attach 'made' as a;",
        "vacuum into 'made';",
        "select writefile('made', 'x');",
        "select readfile('/etc/hostname');",
        "select edit('x', 'touch made #');",
        "select load_extension('made');",
        ".auth on\nselect writefile('made', 'x');",
        ".auth on\n.auth off\nattach 'made' as a;",
    ] {
        let run = world.torso_with_input(["db", "shell", ":memory:", "-safe"], sql);
        reports += &format!("{sql}\n{}", redact::report(&world, &run));
        assert_eq!(files(&world), before, "{sql}");
    }
    insta::assert_snapshot!(reports, @r#"
    attach 'made' as a;
    $ torso db shell :memory: -safe
    -- stderr --
    line 1: cannot run ATTACH in safe mode
    -- exit 1 --
    vacuum into 'made';
    $ torso db shell :memory: -safe
    -- stderr --
    line 1: cannot run ATTACH in safe mode
    -- exit 1 --
    select writefile('made', 'x');
    $ torso db shell :memory: -safe
    -- stderr --
    line 1: cannot use the writefile() function in safe mode
    -- exit 1 --
    select readfile('/etc/hostname');
    $ torso db shell :memory: -safe
    -- stderr --
    line 1: cannot use the readfile() function in safe mode
    -- exit 1 --
    select edit('x', 'touch made #');
    $ torso db shell :memory: -safe
    -- stderr --
    line 1: cannot use the edit() function in safe mode
    -- exit 1 --
    select load_extension('made');
    $ torso db shell :memory: -safe
    -- stderr --
    line 1: cannot use the load_extension() function in safe mode
    -- exit 1 --
    .auth on
    select writefile('made', 'x');
    $ torso db shell :memory: -safe
    authorizer: SELECT NULL NULL NULL NULL
    authorizer: FUNCTION NULL "writefile" NULL NULL
    -- stderr --
    line 2: cannot use the writefile() function in safe mode
    -- exit 1 --
    .auth on
    .auth off
    attach 'made' as a;
    $ torso db shell :memory: -safe
    -- stderr --
    line 3: cannot run ATTACH in safe mode
    -- exit 1 --
    "#);
}

#[test]
fn dump_with_a_virtual_table_that_is_there_leaves_the_database_as_it_was() {
    let world = World::new();
    let (one, two) = (path(&world, "one.db"), path(&world, "two.db"));
    world.ok([
        "db",
        "shell",
        &one,
        "create virtual table notes using fts5(words); insert into notes values('hello');",
    ]);
    let dump = world.ok(["db", "shell", &one, ".dump"]);
    world.ok([
        "db",
        "shell",
        &two,
        "create virtual table notes using fts5(words); insert into notes values('kept');",
    ]);
    let run = world.torso_with_input(["db", "shell", &two], &dump);
    insta::assert_snapshot!(redact::report(&world, &run), @"
    $ torso db shell [world]/two.db
    -- stderr --
    Parse error near line 4: table notes already exists
    Runtime error near line 6: UNIQUE constraint failed: notes_data.id (19)
    Runtime error near line 7: UNIQUE constraint failed: notes_data.id (19)
    Runtime error near line 8: UNIQUE constraint failed: notes_data.id (19)
    Runtime error near line 10: UNIQUE constraint failed: notes_idx.segid, notes_idx.term (19)
    Runtime error near line 12: UNIQUE constraint failed: notes_content.id (19)
    Runtime error near line 14: UNIQUE constraint failed: notes_docsize.id (19)
    Runtime error near line 16: UNIQUE constraint failed: notes_config.k (19)
    Error: nothing of the dump was written, because one of its statements failed (see above)
    -- exit 1 --
    ");
    assert_eq!(
        world.ok(["db", "shell", &two, ".tables notes", "select * from notes('kept')"]),
        "notes\nkept\n"
    );
    // In the session that reads it, the table is there at once.
    world.write("dump.sql", &dump);
    assert_eq!(
        world.ok([
            "db",
            "shell",
            ":memory:",
            ".read dump.sql",
            "select * from notes('hello')"
        ]),
        "hello\n"
    );
    // Into an empty database it goes whole.
    let three = path(&world, "three.db");
    world.torso_with_input(["db", "shell", &three], &dump).success();
    assert_eq!(
        world.ok(["db", "shell", &three, "select * from notes('hello')"]),
        "hello\n"
    );
}

#[test]
fn script_that_would_make_the_schema_unreadable_is_not_committed() {
    let world = World::new();
    let file = path(&world, "x.db");
    world.ok(["db", "shell", &file, "create table t(a); insert into t values(1)"]);
    let row = |sql: &str| format!("INSERT INTO sqlite_schema VALUES('table','q','q',0,'{sql}');\n");
    let writable = "PRAGMA writable_schema=ON;\n";
    for (script, kept) in [
        // In a dump, in a transaction, and by itself.
        (
            format!(
                "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nINSERT INTO t VALUES(2);\n{writable}{}COMMIT;\n",
                row("CREATE VIRTUAL TABLE q USING")
            ),
            "1",
        ),
        (
            format!(
                "BEGIN;\nINSERT INTO t VALUES(2);\n{writable}{}END;\n",
                row("CREATE TABLE q(")
            ),
            "1",
        ),
        (
            format!("{writable}INSERT INTO sqlite_schema VALUES('table','q','q',99,'CREATE TABLE q(a)');\n"),
            "1",
        ),
        (
            format!("{writable}UPDATE sqlite_master SET sql='CREATE TABLE t(';\n"),
            "1",
        ),
    ] {
        let run = world.torso_with_input(["db", "shell", &file], &script);
        assert_eq!(run.code(), 1, "{}", run.report());
        assert!(run.stderr.contains("malformed database schema"), "{}", run.stderr);
        assert_eq!(
            world.ok(["db", "shell", &file, "select count(*) from t"]).trim(),
            kept,
            "{script}"
        );
    }
    // What is broken already may be repaired row by row.
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection
        .execute_batch(&format!("{writable}{0}{0}", row("CREATE TABLE q(")))
        .unwrap();
    drop(connection);
    let repair =
        format!("{writable}DELETE FROM sqlite_schema WHERE rowid=2;\nDELETE FROM sqlite_schema WHERE name='q';\n");
    world.torso_with_input(["db", "shell", &file], &repair).success();
    assert_eq!(world.ok(["db", "shell", &file, "select count(*) from t"]), "1\n");
}

/// Whatever runs the statements: arguments, exec, a migration, a dump that makes a database.
#[test]
fn schema_that_would_be_unreadable_is_not_committed_on_any_way() {
    let world = World::with_app("create table t(a)");
    let garbage = "pragma writable_schema=1; create table if not exists a(x); update sqlite_schema set sql='garbage';";
    let script = world.write("g.sql", garbage).display().to_string();
    std::fs::create_dir(world.path("work/migrations")).unwrap();
    world.write("migrations/0001_g.sql", garbage);
    for (line, file) in [
        (&["db", "shell", "app", garbage][..], ""),
        (&["db", "shell", "app", "-cmd", garbage, "-bail"], ""),
        (&["db", "shell", "app", "begin", garbage, "commit"], ""),
        (&["db", "shell", "app", "-f", &script], ""),
        (&["db", "exec", "app", "-f", &script], "g.sql:1"),
        (&["db", "exec", "app", "-f", &script, "--transaction"], "g.sql"),
        (&["db", "exec", "app", garbage], "SQL:1"),
        (&["db", "exec", "app", garbage, "--transaction"], "SQL"),
        (&["db", "migrate", "app"], "0001_g.sql"),
        (&["db", "create", "new", "--from-dump", &script], "g.sql:1"),
        (&["db", "import", &script, "new"], "g.sql:1"),
    ] {
        let run = world.torso(line);
        assert_eq!(run.code(), 1, "{}", run.report());
        assert!(run.stderr.contains("malformed database schema"), "{}", run.report());
        assert!(
            run.stderr.contains(file) && !run.stderr.contains("staging"),
            "{}",
            run.report()
        );
        world.ok(["db", "shell", "app", "select * from t"]);
    }
    assert_eq!(world.ok(["db", "list", "--output", "name"]), "app\n");
    assert!(!world.ok(["db", "shell", "app", ".tables"]).contains("migrations"));
}

#[test]
fn dump_of_which_a_statement_fails_is_undone() {
    let world = World::new();
    let file = path(&world, "x.db");
    let dump = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(a UNIQUE);\nINSERT INTO t VALUES(1);\n\
                INSERT INTO t VALUES(1);\nINSERT INTO t VALUES(2);\nCOMMIT;\n";
    let script = world.write("dump.sql", dump).display().to_string();
    let mut reports = String::new();
    for words in [
        vec!["db", "shell", &file, "-f", &script],
        vec!["db", "shell", &file, ".read dump.sql"],
    ] {
        let run = world.torso(words);
        reports += &redact::report(&world, &run);
        assert_eq!(world.ok(["db", "shell", &file, ".tables"]), "");
    }
    insta::assert_snapshot!(reports, @r#"
    $ torso db shell [world]/x.db -f [world]/work/dump.sql
    -- stderr --
    Runtime error near line 5: UNIQUE constraint failed: t.a (19)
    Error: nothing of the dump was written, because one of its statements failed (see above)
    -- exit 1 --
    $ torso db shell [world]/x.db ".read dump.sql"
    -- stderr --
    Runtime error near line 5: UNIQUE constraint failed: t.a (19)
    Error: nothing of the dump was written, because one of its statements failed (see above)
    -- exit 1 --
    "#);
}

#[test]
fn open_that_fails_runs_nothing_that_follows_elsewhere() {
    let world = World::new();
    let (first, lost) = (path(&world, "first.db"), path(&world, "none/x.db"));
    let script = format!("create table t(a);\n.open {lost}\ninsert into t values(1);\ncreate table u(a);\n");
    let run = world.torso_with_input(["db", "shell", &first], &script);
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db shell [world]/first.db
    -- stderr --
    Error: unable to open database "[world]/none/x.db": unable to open database file
    No database is open until "[world]/none/x.db" or another one is.
    Error: no database is open: "[world]/none/x.db" could not be opened
    Error: no database is open: "[world]/none/x.db" could not be opened
    -- exit 1 --
    "#);
    assert_eq!(
        world.ok(["db", "shell", &first, ".tables", "select count(*) from t"]),
        "t\n0\n"
    );
    // With -bail nothing follows at all, and another database may be opened after it.
    assert_eq!(
        world.torso_with_input(["db", "shell", "-bail", &first], &script).code(),
        1
    );
    let run = world.torso_with_input(
        ["db", "shell", ":memory:"],
        format!(".open {lost}\n.open {first}\n.tables\n"),
    );
    assert_eq!((run.code(), run.stdout.as_str()), (1, "t\n"));
}

#[test]
fn tilde_in_a_path_is_the_home_directory() {
    let world = World::new();
    std::fs::create_dir_all(world.path("home")).unwrap();
    std::fs::write(world.path("home/rows.csv"), "a,b\n1,2\n").unwrap();
    std::fs::write(world.path("home/script.sql"), "select 'read';\n").unwrap();
    world.ok([
        "db",
        "shell",
        "~/made.db",
        ".import --csv ~/rows.csv t",
        ".read ~/script.sql",
        ".backup ~/copy.db",
        ".once ~/out.txt",
        "select * from t",
    ]);
    assert_eq!(std::fs::read_to_string(world.path("home/out.txt")).unwrap(), "1|2\n");
    world.ok(["db", "create", "copied", "--from-file=~/made.db"]);
    assert_eq!(world.ok(["db", "shell", "copied", "select a from t"]), "1\n");
    assert_eq!(
        world.ok([
            "db",
            "shell",
            ":memory:",
            ".open ~/copy.db",
            "select b from t",
            ".cd ~",
            ".restore ~/made.db"
        ]),
        "2\n"
    );
}

#[test]
fn restore_from_what_is_no_database_changes_nothing() {
    let world = World::new();
    let file = path(&world, "x.db");
    world.ok(["db", "shell", &file, "create table t(a); insert into t values(1);"]);
    world.write("empty.db", "");
    world.write("text.db", "this is no database, however long it may be. ".repeat(50));
    let mut reports = String::new();
    for source in ["misspelt.db", "empty.db", "text.db", "."] {
        let run = world.torso(["db", "shell", &file, &format!(".restore {source}")]);
        reports += &redact::report(&world, &run);
        assert_eq!(world.ok(["db", "shell", &file, "select a from t"]), "1\n", "{source}");
    }
    insta::assert_snapshot!(reports, @r#"
    $ torso db shell [world]/x.db ".restore misspelt.db"
    -- stderr --
    Error: cannot restore from "misspelt.db": there is no such file; nothing was changed
    -- exit 1 --
    $ torso db shell [world]/x.db ".restore empty.db"
    -- stderr --
    Error: cannot restore from "empty.db": it is empty; nothing was changed
    -- exit 1 --
    $ torso db shell [world]/x.db ".restore text.db"
    -- stderr --
    Error: cannot restore from "text.db": file is not a database; nothing was changed
    -- exit 1 --
    $ torso db shell [world]/x.db ".restore ."
    -- stderr --
    Error: cannot restore from ".": unable to open database file: .; nothing was changed
    -- exit 1 --
    "#);
    assert!(!world.work().join("misspelt.db").exists());
}

#[test]
fn import_with_a_refused_row_fails_whichever_row_it_is() {
    let world = World::new();
    world.write("rows.csv", "1\n1\n2\n");
    let run = world.torso([
        "db",
        "shell",
        ":memory:",
        "create table t(a unique)",
        ".import --csv rows.csv t",
    ]);
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db shell :memory: "create table t(a unique)" ".import --csv rows.csv t"
    -- stderr --
    rows.csv:2: INSERT failed: UNIQUE constraint failed: t.a
    -- exit 19 --
    "#);
}

#[test]
fn import_tells_quoted_texts_from_null_and_leaves_quotes_of_tsv_alone() {
    let world = World::new();
    world.write("rows.csv", "1,,\"\"\n");
    world.write("rows.tsv", "\"x\"\ta \"b\"\r\n");
    let out = world.ok([
        "db",
        "shell",
        ":memory:",
        "create table t(a,b,c)",
        "create table u(a,b)",
        ".import --csv --null '' rows.csv t",
        ".import --tsv rows.tsv u",
        ".mode quote",
        "select * from t",
        "select * from u",
    ]);
    assert_eq!(out, "'1',NULL,''\n'\"x\"','a \"b\"'\n");
}

#[test]
fn import_of_json_takes_all_numbers_that_torso_writes() {
    let world = World::new();
    let file = path(&world, "x.db");
    let json = world.ok([
        "db",
        "shell",
        &file,
        "-json",
        "select 1e999 as a, -1e999 as b, 0.1 as c",
    ]);
    world.write("rows.json", json);
    let out = world.ok([
        "db",
        "shell",
        &file,
        ".import --json rows.json t",
        ".mode quote",
        "select * from t",
    ]);
    assert_eq!(out, "1e999,-1e999,0.1\n");
}

#[test]
fn dump_of_a_damaged_file_exits_1() {
    let world = World::new();
    let file = path(&world, "x.db");
    world.ok([
        "db",
        "shell",
        &file,
        "create table t(a); insert into t select hex(randomblob(500)) from generate_series(1, 200);",
    ]);
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0x55);
    std::fs::write(&file, bytes).unwrap();
    let run = world.torso(["db", "shell", &file, ".dump"]);
    assert_eq!(run.code(), 1);
    assert!(run.stdout.ends_with("ROLLBACK; -- due to errors\n"));
    insta::assert_snapshot!(redact::text(&world, &run.stderr), @"Error: not everything could be read: the dump ends in ROLLBACK (.recover saves what can be read)");
}

#[test]
fn shellrc_does_not_change_scripts() {
    let world = World::new();
    let folder = world.path("config");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("shellrc"), ".mode box\n.nullvalue nothing\n").unwrap();
    let expected = (0, "|1\n", "");
    assert_eq!(
        said(&world.torso(["db", "shell", ":memory:", "select null, 1"])),
        expected
    );
    assert_eq!(
        said(&world.torso_with_input(["db", "shell", ":memory:"], "select null, 1;\n")),
        expected
    );
    assert_eq!(
        said(&world.torso_with_input(["db", "shell", "-batch", ":memory:"], "select null, 1;\n")),
        expected
    );
}

#[test]
fn statements_of_a_transaction_that_could_not_begin_are_not_run() {
    let world = World::new();
    let file = path(&world, "x.db");
    world.ok(["db", "shell", &file, "create table t(a);"]);
    let holder = rusqlite::Connection::open(&file).unwrap();
    holder.execute_batch("begin immediate").unwrap();
    let script = format!(
        "begin immediate;\nattach '{}' as other;\ncreate table other.u(a);\ninsert into other.u values(1);\ncommit;\nselect 'after';\n",
        path(&world, "other.db")
    );
    let run = world.torso_with_input(["db", "shell", &file], script);
    insta::assert_snapshot!(redact::report(&world, &run), @"
    $ torso db shell [world]/x.db
    after
    -- stderr --
    Runtime error near line 1: database is locked (5)
    Parse error near line 2: not run: the transaction that it belongs to could not be begun
    Parse error near line 3: not run: the transaction that it belongs to could not be begun
    Parse error near line 4: not run: the transaction that it belongs to could not be begun
    Parse error near line 5: not run: the transaction that it belongs to could not be begun
    -- exit 1 --
    ");
    assert!(!world.path("other.db").exists());
}

#[test]
fn script_for_a_server_may_have_rows_before_the_table_they_refer_to() {
    let server = Sqld::start();
    let world = World::new();
    let url = server.url();
    let rows = "create table a(id integer primary key, b references b(id));\ninsert into a values(1,7);\n\
                create table b(id integer primary key);\ninsert into a values(2,7);\ninsert into b values(7);\n";
    for script in [rows.to_owned(), format!("begin;\n{rows}commit;\n")] {
        world.torso_with_input(["db", "shell", &url], &script).success();
        assert_eq!(
            world.ok([
                "db",
                "shell",
                &url,
                "select count(*) from a",
                "drop table a",
                "drop table b"
            ]),
            "2\n"
        );
    }
    // A row that refers to none in the end is reported.
    let run = world.torso_with_input(["db", "shell", &url], rows.replace("b values(7)", "b values(8)"));
    insta::assert_snapshot!(redact::report(&world, &run), @"
    $ torso db shell http://127.0.0.1:[port]
    -- stderr --
    Error: 2 rows break a foreign key: .intck lists them
    -- exit 1 --
    ");
}

#[test]
fn statements_longer_than_a_server_takes_travel_in_parts() {
    let server = Sqld::start();
    let world = World::new();
    let url = server.url();
    let long = "x".repeat(2 << 20);
    let rows: Vec<String> = (0..60_000)
        .map(|row| format!("({row},'some text of row {row}')"))
        .collect();
    let script = format!(
        "create table t(a, b);\ninsert into t values(-1,'{long}');\ninsert into t(a,b) values{};\n",
        rows.join(",")
    );
    world.torso_with_input(["db", "shell", &url], script).success();
    assert_eq!(
        world.ok(["db", "shell", &url, "select count(*), max(length(b)), sum(a) from t"]),
        format!("60001|{}|{}\n", 2 << 20, (0..60_000_u64).sum::<u64>() - 1)
    );
}

#[test]
fn import_tells_what_a_file_is_and_refuses_what_it_cannot_read() {
    let world = World::new();
    world.write("tabs.tsv", "id\tname\n1\tAda\n");
    world.write("semicolons.csv", "id;name\n1;Ada\n");
    world.write("returns.csv", "id,name\r1,Ada\r2,Bob\r");
    world.write("objects.json", "[{\"id\":1,\"name\":\"Ada\"}]");
    for (file, database) in [
        ("tabs.tsv", "tabs"),
        ("semicolons.csv", "semicolons"),
        ("returns.csv", "returns"),
        ("objects.json", "objects"),
    ] {
        world.ok(["db", "import", file, database]);
        assert_eq!(
            world.ok([
                "db",
                "shell",
                database,
                &format!("select id, name from {database} where id = 1")
            ]),
            "1|Ada\n",
            "{file}"
        );
    }
    world.write("nulls.csv", "id,name\n1,\n2,\"\"\n");
    world.ok(["db", "import", "nulls.csv", "nulls", "--null", ""]);
    assert_eq!(
        world.ok(["db", "shell", "nulls", "-quote", "select * from nulls"]),
        "1,NULL\n2,''\n"
    );
    // What the options of `db create` name is taken for what it is.
    world.write("dump.txt", "BEGIN;\nCREATE TABLE t(a);\nCOMMIT;\n");
    let file = path(&world, "work-file.db");
    world.ok(["db", "shell", &file, "create table t(a)"]);
    for (option, source) in [
        ("--from-file", world.work().join("dump.txt").display().to_string()),
        ("--from-dump", file),
    ] {
        let name = option.trim_start_matches("--");
        world.ok(["db", "create", name, option, &source]);
        assert_eq!(world.ok(["db", "shell", name, ".tables"]), "t\n", "{option}");
    }
    let mut reports = String::new();
    for bytes in [
        &b"\x1f\x8b\x08\x00rest"[..],
        b"\xff\xfei\0d",
        b"PK\x03\x04",
        b"id\0name",
    ] {
        world.write("foreign.csv", bytes);
        let run = world.torso(["db", "import", "foreign.csv", "foreign"]);
        reports += &redact::report(&world, &run);
        assert!(!world.databases().contains(&"foreign".to_owned()));
    }
    insta::assert_snapshot!(reports, @"
    $ torso db import foreign.csv foreign
    -- stderr --
    error: foreign.csv begins as compressed by gzip and is damaged
      caused by: unexpected end of file
    hint: get the file once more, or decode it with another program
    -- exit 1 --
    $ torso db import foreign.csv foreign
    -- stderr --
    error: foreign.csv begins as text in UTF-16 and is damaged
      caused by: it begins as UTF-16, but is not valid UTF-16 later on
    hint: get the file once more, or decode it with another program
    -- exit 1 --
    $ torso db import foreign.csv foreign
    -- stderr --
    error: foreign.csv is a ZIP archive, or a spreadsheet
    hint: unzip it, or save the spreadsheet as CSV
    -- exit 1 --
    $ torso db import foreign.csv foreign
    -- stderr --
    error: foreign.csv is no text: it contains NUL bytes
    hint: export its table as CSV in UTF-8
    -- exit 1 --
    ");
}

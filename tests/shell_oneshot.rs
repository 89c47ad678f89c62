//! `db shell` on the embedded control plane, without a terminal: which file it opens, how, and what it does to replicas.

use crate::support::{Run, World, redact, sqlite3};

fn world() -> World {
    let world = World::with_app("create table t (a, b); insert into t values (1, 'one'), (2, null)");
    world.ok(["db", "replicate", "app", "lhr"]);
    world
}

fn at(world: &World, location: &str, sql: &str) -> String {
    world.ok(["db", "shell", "app", "--location", location, sql])
}

#[test]
fn write_reaches_the_replica() {
    let world = world();
    world.ok(["db", "shell", "app", "insert into t values (3, 'three')"]);
    assert_eq!(at(&world, "lhr", "select count(*) from t"), "3\n");
    let replicas = world.json(["db", "replicas", "app"]);
    assert!(
        replicas
            .as_array()
            .unwrap()
            .iter()
            .all(|instance| instance["state"] == "ready"),
        "{replicas}"
    );
}

/// Another program wrote to the primary: opening the replica makes up for it.
#[test]
fn replica_is_refreshed_when_opened() {
    let world = world();
    let path = world.ok(["db", "show", "app", "--path"]);
    sqlite3::run(&world, path.trim_end().as_ref(), "insert into t values (4, 'four')");
    let states = || {
        let replicas = world.json(["db", "replicas", "app"]);
        let replicas = replicas.as_array().unwrap();
        replicas
            .iter()
            .map(|instance| instance["state"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(states(), ["ready", "behind"]);
    assert_eq!(at(&world, "lhr", "select max(a) from t"), "4\n");
    assert_eq!(states(), ["ready", "ready"]);
}

#[test]
fn write_on_a_replica_is_refused_with_a_hint() {
    let world = world();
    let run = world.torso([
        "db",
        "shell",
        "app",
        "--location",
        "lhr",
        "insert into t values (9, 'nine')",
    ]);
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db shell app --location lhr "insert into t values (9, 'nine')"
    -- stderr --
    Error: stepping, attempt to write a readonly database (8)
    hint: this is the replica in lhr; the primary is in ams: torso db shell app
    -- exit 8 --
    "#);
    for location in ["ams", "lhr"] {
        assert_eq!(at(&world, location, "select count(*) from t"), "2\n");
    }
}

#[test]
fn read_only_flag_refuses_writes_and_answers_reads() {
    let world = world();
    let run = world.torso(["db", "shell", "app", "--read-only", "delete from t"]);
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db shell app --read-only "delete from t"
    -- stderr --
    Error: stepping, attempt to write a readonly database (8)
    -- exit 8 --
    "#);
    assert_eq!(
        world.ok(["db", "shell", "app", "--read-only", "select a from t"]),
        "1\n2\n"
    );
    world.ok(["db", "config", "set", "app", "block-writes", "on"]);
    let run = world.torso(["db", "shell", "app", "delete from t"]);
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db shell app "delete from t"
    -- stderr --
    Error: stepping, attempt to write a readonly database (8)
    hint: writes to app are blocked; torso db config set app block-writes off lifts it
    -- exit 8 --
    "#);
    assert_eq!(at(&world, "ams", "select count(*) from t"), "2\n");
}

#[test]
fn replica_that_is_promoted_takes_writes() {
    let world = world();
    world.ok(["db", "promote", "app", "lhr"]);
    world.ok(["db", "shell", "app", "insert into t values (3, 'three')"]);
    for location in ["ams", "lhr"] {
        assert_eq!(at(&world, location, "select count(*) from t"), "3\n", "at {location}");
    }
    assert_eq!(world.json(["db", "show", "app"])["primaryRegion"], "lhr");
}

#[test]
fn input_from_a_pipe_or_file_is_run() {
    let world = world();
    let script = ".headers off\nselect b from t where a = 1;\n-- a comment\nselect count(*)\n  from t;\n";
    assert_eq!(
        world.torso_with_input(["db", "shell", "app"], script).success().stdout,
        "one\n2\n"
    );
    let file = world.write("script.sql", script);
    assert_eq!(
        world.ok(["db", "shell", "app", "-f", file.to_str().unwrap()]),
        "one\n2\n"
    );
    assert_eq!(world.torso_with_input(["db", "shell", "app"], "").success().stdout, "");
}

/// A statement that fails ends the script where `-bail` or one-shot use says so; its place is told.
#[test]
fn statement_that_fails_fails_the_command() {
    let world = world();
    let run = world.torso(["db", "shell", "app", "select 1; select nope; select 3"]);
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db shell app "select 1; select nope; select 3"
    1
    -- stderr --
    Error: in prepare, no such column: nope
      select nope; select 3
             ^--- error here
    -- exit 1 --
    "#);
    let run = world.torso_with_input(["db", "shell", "app"], "select 1;\nselect nope;\n");
    insta::assert_snapshot!(redact::report(&world, &run), @"
    $ torso db shell app
    1
    -- stderr --
    Parse error near line 2: no such column: nope
      select nope;
             ^--- error here
    -- exit 1 --
    ");
}

#[test]
fn output_modes_are_as_recorded() {
    let world = world();
    let mut shown = String::new();
    for mode in ["list", "csv", "json", "line", "table", "box", "markdown", "column"] {
        let answer = world.ok([
            "db",
            "shell",
            "app",
            &format!(".mode {mode}"),
            ".headers on",
            "select a, b from t order by a",
        ]);
        shown += &format!("-- {mode} --\n{answer}");
    }
    insta::assert_snapshot!(shown);
}

/// `--json` keeps what JSON can hold, and everything else unharmed.
#[test]
fn shell_output_takes_the_forms_of_every_command() {
    let world = world();
    let shell = |args: &[&str]| world.ok([&["db", "shell", ":memory:", "select 1 as a, 'x' as b"], args].concat());
    // CSV has a header, as that of every command; `-csv` is that of `sqlite3`.
    assert_eq!(shell(&["--output", "csv"]), "a,b\n1,x\n");
    assert_eq!(shell(&["-csv"]), "1,x\n");
    assert_eq!(shell(&["--output", "csv", "-noheader"]), "1,x\n");
    assert_eq!(
        world.ok(["db", "shell", ":memory:", "select 'x' as b", "--output", "name"]),
        "x\n"
    );
    // An error before the shell starts is a document where JSON was asked for.
    for form in [&["--json"][..], &["--output", "json"], &["--output=jsonl"]] {
        let run = world.torso([&["db", "shell", "nope", "select 1"], form].concat());
        assert_eq!(run.code(), 3);
        let document: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
        assert_eq!(document["error"]["code"], "database_not_found");
    }
    assert!(
        world
            .torso(["db", "shell", "nope", "-json"])
            .stderr
            .starts_with("error: ")
    );
}

#[test]
fn json_output_has_real_types() {
    let world = world();
    let sql = "select 1 as i, 1.5 as r, 'x' as t, null as n, 9007199254740993 as big, x'00ff' as b";
    let answer = world.json(["db", "shell", "app", sql]);
    let row = &answer[0];
    assert_eq!(row["i"], 1);
    assert_eq!(row["r"], 1.5);
    assert_eq!(row["t"], "x");
    assert_eq!(row["n"], serde_json::Value::Null);
    assert_eq!(row["big"].to_string(), "9007199254740993");
    assert_eq!(row["b"], "\0ÿ");
}

/// A path or a `file:` URL is opened as it is, with no control plane.
#[test]
fn file_path_or_url_is_opened_without_a_control_plane() {
    let world = World::new();
    let file = world.path("work/plain.db");
    sqlite3::run(&world, &file, "create table p (x); insert into p values (42)");
    for target in [
        "./plain.db",
        file.to_str().unwrap(),
        &format!("file:{}", file.display()),
    ] {
        assert_eq!(world.query(target, "select x from p"), "42", "{target}");
    }
    assert!(!world.data_dir().exists(), "a file needs no control plane");
}

/// The form of the answer may be said where every other command takes it, too.
#[test]
fn output_flag_may_come_first() {
    let world = World::new();
    for line in [
        &["--json", "db", "shell", ":memory:", "select 1 as a"][..],
        &["--output", "json", "db", "shell", ":memory:", "select 1 as a"],
        &["db", "--output=json", "shell", ":memory:", "select 1 as a"],
        &["db", "shell", ":memory:", "select 1 as a", "--json"],
    ] {
        assert_eq!(world.ok(line), "[{\"a\":1}]\n", "{line:?}");
    }
}

#[test]
fn database_that_is_full_names_its_limit() {
    let world = world();
    world.ok(["db", "config", "set", "app", "size-limit", "64kb"]);
    let run = world.torso(["db", "shell", "app", "insert into t values (zeroblob(1000000), 1)"]);
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db shell app "insert into t values (zeroblob(1000000), 1)"
    -- stderr --
    Error: stepping, database or disk is full (13)
    hint: app may not grow beyond its size limit of 64.0 KiB; torso db config set app size-limit SIZE raises it
    -- exit 13 --
    "#);
}

/// However a dump was cut off or altered, no database comes of it.
#[test]
fn dump_that_is_not_whole_makes_no_database() {
    let world = world();
    let dump = world.ok(["db", "dump", "app"]);
    let before_trailer = dump.rfind("-- torso: ").unwrap();
    let altered = dump.replace("'one'", "'two'");
    let committed = dump.rfind("COMMIT;").unwrap();
    for (number, damaged) in [
        altered.as_str(),
        &dump[..before_trailer + 20],
        &dump[..committed],
        &dump[..committed / 2],
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("copy{number}");
        let file = world.write("damaged.sql", damaged);
        let file = file.to_str().unwrap();
        let run = world.torso(["db", "create", &name, "--location", "ams", "--from-dump", file]);
        assert_ne!(run.code(), 0, "{damaged}");
        assert_eq!(world.databases(), ["app"], "{damaged}");
        // Nor does the shell leave anything of it behind.
        let path = world.path("into.db");
        let read = world.torso(["db", "shell", path.to_str().unwrap(), "-f", file]);
        if damaged.contains("-- torso") {
            assert_ne!(read.code(), 0, "{damaged}");
        }
        let left = world.ok([
            "db",
            "shell",
            path.to_str().unwrap(),
            "select count(*) from sqlite_schema",
        ]);
        assert_eq!(left, "0\n", "{damaged}");
    }
    let file = world.write("whole.sql", &dump);
    world.ok([
        "db",
        "create",
        "copy",
        "--location",
        "ams",
        "--from-dump",
        file.to_str().unwrap(),
    ]);
    assert_eq!(world.ok(["db", "dump", "copy"]), dump);
}

/// A server that cannot be reached ends a script with the code that says so, however the script comes.
#[test]
fn server_that_cannot_be_reached_exits_7() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut reports = String::new();
    for run in [
        world.torso(["db", "shell", &url, "select 1", "select 2"]),
        world.torso_with_input(["db", "shell", &url], "select 1;\nselect 2;\n"),
    ] {
        reports += &redact::report(&world, &run);
    }
    insta::assert_snapshot!(reports, @r#"
    $ torso db shell http://127.0.0.1:[port] "select 1" "select 2"
    -- stderr --
    Error: cannot connect to http://127.0.0.1:[port]: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)
    hint: is the server running, and is the URL right?
    -- exit 7 --
    $ torso db shell http://127.0.0.1:[port]
    -- stderr --
    Error: cannot connect to http://127.0.0.1:[port]: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)
    hint: is the server running, and is the URL right?
    -- exit 7 --
    "#);
}

/// A column whose name is not UTF-8 cannot be shown, nor its values dumped: both are said, and nothing is made up.
#[test]
fn column_name_that_is_not_utf8_is_an_error() {
    let world = World::new();
    let script = world.write(
        "odd.sql",
        b"create table t(\"a\xff\" text);\ninsert into t values('kept');\n",
    );
    let mut sqlite3 = world.command("sqlite3");
    sqlite3.arg("odd.db").stdin(std::fs::File::open(script).unwrap());
    Run::of(sqlite3).success();
    let selected = world.torso(["db", "shell", "odd.db", "select * from t"]);
    insta::assert_snapshot!(redact::report(&world, &selected), @r#"
    $ torso db shell odd.db "select * from t"
    -- stderr --
    Error: stepping, a column's name is not UTF-8 (11)
    -- exit 11 --
    "#);
    let dumped = world.torso(["db", "shell", "odd.db", ".dump"]);
    insta::assert_snapshot!(redact::report(&world, &dumped), @r#"
    $ torso db shell odd.db .dump
    PRAGMA foreign_keys=OFF;
    BEGIN TRANSACTION;
    CREATE TABLE t("a�" text);
    /****** ERROR: a column's name is not UTF-8 ******/
    ROLLBACK; -- due to errors
    -- stderr --
    Error: not everything could be read: the dump ends in ROLLBACK (.recover saves what can be read)
    -- exit 1 --
    "#);
}

/// As a program does that drives the shell through pipes.
#[test]
fn prompts_come_through_pipes_where_requested() {
    let world = World::new();
    world.write("script.sql", "select 'from a file';\n");
    world.write("init.sql", ".headers on\n");
    let script = "select 1\n as one;\n.read script.sql\nselec 2;\n.prompt 'next: '\nselect 3;\n";
    let args = ["db", "shell", "-interactive", "-bail", "-init", "init.sql", "./x.db"];
    let run = world.torso_with_input(args, script);
    assert_eq!(run.code(), 1, "{}", run.report());
    let (banner, rest) = run.stdout.split_once("usage hints.\n").unwrap();
    assert!(banner.starts_with("SQLite version 3."), "{banner}");
    assert_eq!(
        rest,
        "sqlite>    ...> one\n1\nsqlite> 'from a file'\nfrom a file\nsqlite> sqlite> next: 3\n3\nnext: \n"
    );
    // What is typed has no line number.
    insta::assert_snapshot!(run.stderr, @r#"
    -- Loading resources from init.sql
    Parse error: near "selec": syntax error
      selec 2;
      ^--- error here
    "#);
    // Without standard input nobody is asked, and -q leaves the greeting out.
    world.ok(["db", "shell", "-interactive", "./x.db", ".read script.sql"]);
    let run = world.torso_with_input(["db", "shell", "-interactive", "-q", "./x.db"], "select 1;");
    assert_eq!(run.success().stdout, "sqlite> 1\nsqlite> \n");
}

#[test]
fn shell_flags_help_and_version_are_those_of_sqlite3() {
    let world = World::new();
    insta::assert_snapshot!(world.ok(["db", "shell", "-help", "x.db"]), @"
    Open an SQL shell on a database, or run SQL and dot-commands
    Usage: torso db shell [DATABASE] [SQL | .COMMAND]... [FLAG]...
    Examples:
      torso db shell app
      torso db shell app 'select count(*) from airports' --json
      torso db shell ./local.db .schema
      torso db shell app -bail < migration.sql
    Options:
      -f, -init FILE        run a script; read a file before all else
      -cmd COMMAND          run before the SQL; repeatable
      --output MODE         json, jsonl, csv, name, box, table, column, markdown, line and more; flags
                            as in sqlite3: --json, -csv
      -header, -noheader    print column names, or not
      -separator S          text between columns; also -newline S, -nullvalue S
      -bail                 stop at the first error
      -batch, -interactive  force batch or interactive mode
      -echo, -eqp, -stats   as in sqlite3; so are -nofollow, -nonce S, -mmap N and -version
      --location CODE       open the replica at this location
      --read-only, -safe    refuse writes; refuse files and programs
      --wait-replica        end each write when a replica has it too (servers)
    Exit codes: 0 or SQLite's own (1 error, 8 read-only), 7 server unreachable
    At the prompt: .help. Also: torso help shell
    More: torso help db shell. For every command: torso help options
    ");
    let version = world.ok(["db", "shell", "-version"]);
    let words: Vec<&str> = version.split(' ').collect();
    assert!(
        words[0].starts_with("3.") && words[1].starts_with("20") && words[3].len() == 64,
        "{version}"
    );
}

/// What the newer shells of the generation have, and the oldest does not.
#[test]
fn shell_has_what_newer_shells_of_its_generation_have() {
    let world = World::new();
    world.ok([
        "db",
        "shell",
        "--",
        "--odd.db",
        "create table t(a text, b text, c as (a || b))",
    ]);
    world.write("t.txt", "aaa|bbb\n");
    world.write("t.jsonl", "{\"b\": \"2\", \"a\": \"1\"}\n");
    let script = ".import t.txt t\n.import --jsonl t.jsonl t\nselect * from t;\n.print \"\\x3f\"\n\
        select base85(base85(x'00ff')) = x'00ff', base64(x'00ff') from generate_series(1, -1, -2);\n";
    let run = world
        .torso_with_input(["db", "shell", "--", "--odd.db"], script)
        .success();
    assert_eq!(run.stdout, "aaa|bbb|aaabbb\n1|2|12\n?\n1|AP8=\n\n1|AP8=\n\n");
    assert!(world.work().join("--odd.db").exists());
}

/// SQL or a dot-command where the database belongs would otherwise make an empty file of that name.
#[test]
fn shell_with_sql_as_its_first_word_fails_and_makes_no_file() {
    let world = world();
    let mut reports = String::new();
    for word in ["select 1+1", "INSERT into t values (1)", ".tables", ".schema t"] {
        let run = world.torso(["db", "shell", word]);
        assert_eq!(run.code(), 2, "{}", run.report());
        reports += &redact::report(&world, &run);
        assert!(!world.work().join(word).exists());
    }
    insta::assert_snapshot!(reports, @r#"
    $ torso db shell "select 1+1"
    -- stderr --
    error: the first word is SQL, not a database: select 1+1
    hint: name the database first, such as torso db shell NAME; a file of that name needs its path (./)
    -- exit 2 --
    $ torso db shell "INSERT into t values (1)"
    -- stderr --
    error: the first word is SQL, not a database: INSERT into t values (1)
    hint: name the database first, such as torso db shell NAME; a file of that name needs its path (./)
    -- exit 2 --
    $ torso db shell .tables
    -- stderr --
    error: the first word is a dot-command, not a database: .tables
    hint: name the database first, such as torso db shell NAME; a file of that name needs its path (./)
    -- exit 2 --
    $ torso db shell ".schema t"
    -- stderr --
    error: the first word is a dot-command, not a database: .schema t
    hint: name the database first, such as torso db shell NAME; a file of that name needs its path (./)
    -- exit 2 --
    "#);
    // A project says which database is meant.
    world.write(".torso.toml", "database = \"app\"\n");
    let run = world.torso(["db", "shell", "select 1"]);
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db shell "select 1"
    -- stderr --
    error: the first word is SQL, not a database: select 1
    hint: name the database first, such as torso db shell app; a file of that name needs its path (./)
    -- exit 2 --
    "#);
    // Files of such names are opened by their path, and others as ever.
    world.ok(["db", "shell", "./.tables", "create table t (x)"]);
    world.ok(["db", "shell", ".data.db", "create table t (x)"]);
    world.ok(["db", "shell", "my data.db", "create table t (x)"]);
}

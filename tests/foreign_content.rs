//! Files and dumps of others on the user's machine: their SQL touches the new database and nothing else.

use crate::support::{World, redact};
use std::path::Path;

/// SQL that would leave a trace at `mark`, or read `secret`.
fn reaching(mark: &Path, secret: &Path) -> Vec<String> {
    let (mark, secret) = (mark.display(), secret.display());
    vec![
        format!("SELECT edit('x', 'touch {mark}');"),
        format!("SELECT writefile('{mark}', 'x');"),
        format!("CREATE TABLE stolen(a);\nINSERT INTO stolen SELECT readfile('{secret}');"),
        format!("SELECT load_extension('{mark}');"),
        format!("ATTACH '{mark}' AS o;\nCREATE TABLE o.t(a);"),
        format!("CREATE TABLE t(a);\nVACUUM INTO '{mark}';"),
        "CREATE VIRTUAL TABLE f USING fsdir('/');".to_owned(),
        format!("PRAGMA temp_store_directory = '{mark}';"),
        format!("CREATE VIEW v AS SELECT writefile('{mark}', 'x');\nSELECT * FROM v;"),
        format!(
            "CREATE TABLE t(a);\nCREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT edit('x', 'touch {mark}'); END;\n\
             INSERT INTO t VALUES (1);"
        ),
        format!("CREATE TABLE t(a, b DEFAULT (writefile('{mark}', 'x')));\nINSERT INTO t(a) VALUES (1);"),
        format!(".shell touch {mark}"),
        format!("SELECT 1;\n.output {mark}\nSELECT 2;"),
    ]
}

#[test]
fn dump_that_reaches_outside_is_refused_and_leaves_nothing() {
    let world = World::new();
    let mark = world.path("mark");
    let secret = world.write("secret", "hush");
    for sql in reaching(&mark, &secret) {
        let dump = world.write("dump.sql", &sql);
        let dump = dump.to_str().unwrap();
        for line in [
            vec!["db", "create", "app", "--from-dump", dump, "--json"],
            vec!["db", "import", dump, "app", "--json"],
        ] {
            let run = world.torso(line);
            run.clone().fails(1, "invalid_file");
            assert!(run.stderr.contains("dump.sql:"), "{sql}\n{}", run.report());
            assert!(!run.stderr.contains("hush"), "{sql}\n{}", run.report());
        }
        let piped = world.torso_with_input(["db", "create", "app", "--from-dump", "-", "--json"], &sql);
        piped.fails(1, "invalid_file");
        assert!(!mark.exists(), "{sql}");
        assert_eq!(world.databases(), Vec::<String>::new(), "{sql}");
    }
}

#[test]
fn dump_with_an_unsafe_function_says_which_and_where() {
    let world = World::new();
    let dump = world.write("dump.sql", "CREATE TABLE t(a);\n\nSELECT writefile('x', 'y');\n");
    let run = world.torso(["db", "create", "app", "--from-dump", dump.to_str().unwrap(), "--json"]);
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db create app --from-dump [world]/work/dump.sql --json
    -- stderr --
    {"error":{"code":"invalid_file","message":"[world]/work/dump.sql:3: a script may not use the writefile() function, which reaches beyond its database","hint":"leave the statement out, or run it yourself: torso db shell NAME","retryable":false}}
    -- exit 1 --
    "#);
}

#[test]
fn dump_with_a_vector_index_says_where_it_can_be_loaded() {
    let world = World::new();
    let sql = "CREATE TABLE v(e F32_BLOB(3));\nCREATE INDEX vi ON v(libsql_vector_idx(e));\n";
    let dump = world.write("dump.sql", sql);
    let run = world.torso(["db", "create", "app", "--from-dump", dump.to_str().unwrap()]);
    insta::assert_snapshot!(redact::report(&world, &run), @"
    $ torso db create app --from-dump [world]/work/dump.sql
    -- stderr --
    error: [world]/work/dump.sql:2: no such function: libsql_vector_idx
    hint: plain SQLite has no vectors: create the database on a torso server, which runs libSQL
    -- exit 1 --
    ");
    assert_eq!(world.databases(), Vec::<String>::new());
}

/// `.auth` shows what the engine asks permission for, and gives none.
#[test]
fn safe_mode_with_auth_on_refuses_what_it_refuses_without() {
    let world = World::new();
    let mark = world.path("mark");
    let attach = format!("attach '{}' as z", mark.display());
    let write = format!("select writefile('{}', 'x')", mark.display());
    let mut reports = String::new();
    for statement in [attach.as_str(), write.as_str()] {
        for switch in [
            vec![".auth on"],
            vec![".auth on", ".auth off"],
            vec![".auth on", ".auth on"],
        ] {
            let mut line = vec!["db", "shell", ":memory:", "--safe"];
            line.extend(switch);
            line.push(statement);
            let run = world.torso(line);
            reports += &redact::report(&world, &run);
            assert!(!mark.exists(), "{statement}");
        }
    }
    let run = world.torso(["db", "shell", ":memory:", "--safe", ".auth on", "select 1"]);
    reports += &redact::report(&world, &run);
    insta::assert_snapshot!(reports, @r#"
    $ torso db shell :memory: --safe ".auth on" "attach '[world]/mark' as z"
    authorizer: ATTACH "[world]/mark" NULL NULL NULL
    -- stderr --
    line 0: cannot run ATTACH in safe mode
    -- exit 1 --
    $ torso db shell :memory: --safe ".auth on" ".auth off" "attach '[world]/mark' as z"
    -- stderr --
    line 0: cannot run ATTACH in safe mode
    -- exit 1 --
    $ torso db shell :memory: --safe ".auth on" ".auth on" "attach '[world]/mark' as z"
    authorizer: ATTACH "[world]/mark" NULL NULL NULL
    -- stderr --
    line 0: cannot run ATTACH in safe mode
    -- exit 1 --
    $ torso db shell :memory: --safe ".auth on" "select writefile('[world]/mark', 'x')"
    authorizer: SELECT NULL NULL NULL NULL
    authorizer: FUNCTION NULL "writefile" NULL NULL
    -- stderr --
    line 0: cannot use the writefile() function in safe mode
    -- exit 1 --
    $ torso db shell :memory: --safe ".auth on" ".auth off" "select writefile('[world]/mark', 'x')"
    -- stderr --
    line 0: cannot use the writefile() function in safe mode
    -- exit 1 --
    $ torso db shell :memory: --safe ".auth on" ".auth on" "select writefile('[world]/mark', 'x')"
    authorizer: SELECT NULL NULL NULL NULL
    authorizer: FUNCTION NULL "writefile" NULL NULL
    -- stderr --
    line 0: cannot use the writefile() function in safe mode
    -- exit 1 --
    $ torso db shell :memory: --safe ".auth on" "select 1"
    authorizer: SELECT NULL NULL NULL NULL
    1
    -- stderr --
    -- exit 0 --
    "#);
}

/// A SQLite file of somebody else's, with a schema that calls functions: it becomes a database, and using it starts nothing.
#[test]
fn file_with_unsafe_schema_is_harmless_in_every_verb() {
    let world = World::new();
    let mark = world.path("mark");
    let file = world.path("work/theirs.db");
    let made = rusqlite::Connection::open(&file).unwrap();
    made.execute_batch(&format!(
        "CREATE TABLE t(a);
         INSERT INTO t VALUES (1);
         CREATE VIEW v AS SELECT writefile('{0}', 'x') AS n, edit('x', 'touch {0}') AS m;
         CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT writefile('{0}', 'x'); END",
        mark.display()
    ))
    .unwrap();
    drop(made);
    let theirs = file.to_str().unwrap();
    world.ok(["db", "create", "one", "--from-file", theirs]);
    world.ok(["db", "import", theirs, "two"]);
    for line in [
        vec!["db", "shell", "one", "select * from v"],
        vec!["db", "shell", "one", "insert into t values (2)"],
        vec!["db", "shell", theirs, "select * from v"],
        vec!["db", "shell", theirs, ".dump"],
        vec!["db", "shell", ":memory:", ".restore theirs.db", "select * from v"],
        vec!["db", "shell", theirs, ".clone cloned.db"],
        vec!["db", "shell", theirs, ".expert", "select * from t where a = 1"],
        vec!["db", "shell", "one", ".diff theirs.db"],
        vec!["db", "dump", "one", "--output-file", "one.sql"],
        vec!["db", "inspect", "one", "--check"],
        vec!["db", "export", "one"],
        vec!["db", "copy", "one", "three"],
    ] {
        let run = world.torso(&line);
        assert!(!mark.exists(), "{}", run.report());
    }
    // The user's own shell has them for what the user types.
    world.ok([
        "db",
        "shell",
        theirs,
        &format!("select writefile('{}', 'x')", mark.display()),
    ]);
    assert!(mark.exists());
}

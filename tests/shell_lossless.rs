//! No value, row or name is lost or changed on its way through the shell's output, its imports and its dot-commands.

use crate::support::World;
use std::os::unix::ffi::OsStringExt as _;

#[test]
fn nul_bytes_are_written_in_every_mode() {
    let world = World::new();
    let sql = "select 'a' || char(0) || 'b' as t, x'41004200' as b";
    for (mode, expected) in [
        ("csv", "\"a\0b\",\"A\0B\0\"\n"),
        ("list", "a\0b|A\0B\0\n"),
        ("tabs", "a\0b\tA\0B\0\n"),
        ("ascii", "a\0b\u{1f}A\0B\0\u{1e}"),
        ("line", "    t = a\0b\n    b = A\0B\0\n"),
        ("html", "<TR><TD>a\0b</TD>\n<TD>A\0B\0</TD>\n</TR>\n"),
        ("quote", "CAST(X'610062' AS TEXT),X'41004200'\n"),
        ("json", "[{\"t\":\"a\\u0000b\",\"b\":\"A\\u0000B\\u0000\"}]\n"),
    ] {
        let run = world
            .torso(["db", "shell", ":memory:", &format!("-{mode}"), sql])
            .success();
        assert_eq!(run.stdout, expected, "{mode}");
    }
    let boxed = world.ok(["db", "shell", ":memory:", "-box", sql]);
    // A line ends at every control character, as in sqlite3.
    assert!(boxed.contains("│ a │ A │\n│ b │ B │\n"), "{boxed:?}");
    let quoted = world.ok(["db", "shell", ":memory:", ".mode qbox", sql]);
    assert!(quoted.contains("CAST(X'610062' AS TEXT)"), "{quoted}");
}

#[test]
fn nul_bytes_come_back_through_csv() {
    let world = World::new();
    world.ok(["db", "create", "app"]);
    world.ok([
        "db",
        "shell",
        "app",
        "create table t(a); insert into t values('a' || char(0) || 'b'), (char(0))",
    ]);
    let script = ".once x.csv\nselect * from t;\ncreate table back(a);\n.import --csv x.csv back\n\
                  select hex(a) from back;\n";
    let run = world.torso_with_input(["db", "shell", "app", "-csv"], script).success();
    assert_eq!(run.stdout, "610062\n00\n");
}

#[test]
fn result_without_rows_is_a_document_of_its_form() {
    let world = World::with_app("create table t(a, \"b c\")");
    for (words, expected) in [
        (&["--json"][..], "[]\n"),
        (&["--output", "json"], "[]\n"),
        (&["--output=csv"], "a,\"b c\"\n"),
        (&["--output", "csv", "-noheader"], ""),
        (&["--output", "jsonl"], ""),
        (&["--output", "name"], ""),
        // As in sqlite3.
        (&["-json"], ""),
        (&["-csv", "-header"], ""),
    ] {
        let mut line = vec!["db", "shell", "app", "select * from t"];
        line.extend(words);
        assert_eq!(world.ok(line), expected, "{words:?}");
    }
    // What returns no rows has no document.
    assert_eq!(
        world.ok(["db", "shell", "app", "--json", "insert into t values(1, 2)"]),
        ""
    );
    assert_eq!(
        world.ok([
            "db",
            "shell",
            "app",
            "--json",
            "delete from t returning a",
            "delete from t returning a"
        ]),
        "[{\"a\":1}]\n[]\n"
    );
}

#[test]
fn import_into_a_full_file_imports_nothing_and_stops() {
    let world = World::new();
    let rows: String = (0..3000)
        .map(|number| format!("{number},{}\n", "x".repeat(50)))
        .collect();
    world.write("m.csv", &rows);
    let count = "select count(*) from big;\n";
    for (script, rows, consequence) in [
        (
            format!("create table big(a,b);\npragma max_page_count=20;\n.import --csv m.csv big\n{count}"),
            "20\n0\n",
            "nothing was imported",
        ),
        (
            format!(
                "create table big(a,b);\npragma max_page_count=20;\nbegin;\ninsert into big values(1,2);\n.import --csv m.csv big\n{count}"
            ),
            "20\n0\n",
            "the open transaction is undone",
        ),
        (
            format!(
                "pragma max_page_count=20;\n.import --csv m.csv big\n{}",
                "select count(*) from sqlite_schema;\n"
            ),
            "20\n0\n",
            "nothing was imported",
        ),
        // A constraint that undoes the transaction, too.
        (
            format!(
                "create table big(a unique on conflict rollback, b);\ninsert into big values ('2000', 1);\n.import --csv m.csv big\n{count}"
            ),
            "1\n",
            "nothing was imported",
        ),
        (
            format!(
                "create table big(a,b);\ncreate trigger r before insert on big when new.a >= 5 begin select raise(rollback, 'no'); end;\n.import --csv m.csv big\n{count}"
            ),
            "0\n",
            "nothing was imported",
        ),
    ] {
        let file = world.path("full.db");
        let _ = std::fs::remove_file(&file);
        let run = world.torso_with_input(["db", "shell", file.to_str().unwrap()], &script);
        assert_eq!((run.code(), run.stdout.as_str()), (1, rows), "{script}{}", run.report());
        assert!(run.stderr.contains(consequence), "{}", run.stderr);
        assert_eq!(run.stderr.matches("INSERT failed").count(), 1, "{}", run.stderr);
    }
    world.ok(["db", "create", "app", "--size-limit", "64kb"]);
    let run = world.torso(["db", "shell", "app", ".import --csv m.csv big"]);
    assert_eq!(run.code(), 13, "{}", run.report());
    assert_eq!(world.ok(["db", "shell", "app", ".tables"]), "");
}

#[test]
fn dot_command_with_a_word_that_is_not_utf8_is_not_run() {
    let world = World::with_app("create table t(a)");
    let before = std::fs::read_dir(world.work()).unwrap().count();
    for command in [
        &b".backup \"b\xff.db\""[..],
        b".once o\xff",
        b".output '\xff'",
        b".open ./bad\xff.db",
        b".read caf\\351.sql",
        b".system touch \xe9",
        b".parameter set @a 'caf\xe9'",
        b".separator \\377",
    ] {
        let script = [command, b"\nselect 1;\n"].concat();
        let run = world.torso_with_input(["db", "shell", "app"], &script);
        assert_eq!((run.code(), run.stdout.as_str()), (1, "1\n"), "{}", run.report());
        assert!(run.stderr.contains("is not UTF-8"), "{}", run.stderr);
    }
    assert_eq!(std::fs::read_dir(world.work()).unwrap().count(), before);
    // What is only printed is printed.
    let run = world.torso_with_input(["db", "shell", "app"], ".print café é\n");
    assert_eq!(run.stdout, "café é\n");
}

#[test]
fn path_of_a_database_is_printed_byte_for_byte() {
    let mut world = World::new();
    let data = std::ffi::OsString::from_vec(b"data-\xff".to_vec());
    let directory = world.path("work").join(&data);
    world.set("TORSO_DATA_DIR", &directory);
    world.ok(["db", "create", "app"]);
    let file = std::fs::File::create(world.path("work/path")).unwrap();
    let mut command = world.torso_command(["db", "show", "app", "--path"]);
    assert!(command.stdout(file).status().unwrap().success());
    let mut printed = std::fs::read(world.path("work/path")).unwrap();
    assert_eq!(printed.pop(), Some(b'\n'));
    let printed = std::path::PathBuf::from(std::ffi::OsString::from_vec(printed));
    assert!(
        printed.exists() && printed.starts_with(&directory),
        "{}",
        printed.display()
    );
}

/// Where the program that a script or table comes from fails, what it wrote is not all of it.
#[test]
fn program_that_fails_fails_the_import_and_the_script() {
    let world = World::with_app("create table t(a); create table log(a)");
    for (script, stdout, stderr) in [
        (
            ".import --csv \"|echo 1; exit 3\" t\nselect count(*) from t;\n",
            "0\n",
            "ended with exit code 3: nothing was imported",
        ),
        (
            ".import --json \"|echo '[{\\\"a\\\":1}]'; exit 4\" t\nselect count(*) from t;\n",
            "0\n",
            "ended with exit code 4: nothing was imported",
        ),
        (
            ".import --csv \"|echo a; exit 3\" new\n.tables new\n",
            "",
            "ended with exit code 3: nothing was imported",
        ),
        (
            "begin;\n.import --csv \"|echo 1; exit 3\" t\nselect count(*) from t;\nrollback;\n",
            "1\n",
            "what it wrote is in the open transaction",
        ),
        (
            ".import --csv \"|nonexist\" t\nselect count(*) from t;\n",
            "0\n",
            "ended with exit code 127",
        ),
        (".read \"|echo 'select 7;'; exit 4\"\n", "7\n", "ended with exit code 4"),
    ] {
        let run = world.torso_with_input(["db", "shell", "app"], script);
        assert_eq!(
            (run.code(), run.stdout.as_str()),
            (1, stdout),
            "{script}{}",
            run.report()
        );
        assert!(run.stderr.contains(stderr), "{}", run.report());
    }
    let run = world.torso_with_input(
        ["db", "shell", "app"],
        ".import --csv \"|echo 1; echo 2\" t\nselect count(*) from t;\n",
    );
    assert_eq!(run.success().stdout, "2\n");
}

#[test]
fn script_may_be_standard_input_by_name() {
    let world = World::with_app("create table t(a)");
    let script = "insert into t values (1);\nselect count(*) from t;\n";
    let run = world
        .torso_with_input(["db", "shell", "app", "-f", "-"], script)
        .success();
    assert_eq!(run.stdout, "1\n");
}

/// As `sqlite3 old.db .dump` writes the content of a database with text in Latin-1.
#[test]
fn dump_with_text_that_is_not_utf8_makes_a_database_byte_for_byte() {
    let world = World::new();
    let dump = b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(a);\nINSERT INTO t VALUES('caf\xe9');\nCOMMIT;\n";
    let file = world.write("l1.sql", dump).display().to_string();
    world.ok(["db", "create", "one", "--from-dump", &file]);
    world.ok(["db", "import", &file, "two"]);
    for name in ["one", "two"] {
        assert_eq!(world.query(name, "select hex(a), typeof(a) from t"), "636166E9|text");
    }
}

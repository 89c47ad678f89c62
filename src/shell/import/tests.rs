//! `.import` against the system's `sqlite3`: the same table, the same words on both streams, the same exit code.

use super::{ImportArgumentError, ImportOptions, ImportStreams, import};
use crate::shell::dump;
use crate::shell::render::Style;
use crate::sql::{self, Args, Target};
use proptest::prelude::*;
use std::path::Path;
use std::process::Command;

/// What importing left and said.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    dump: String,
    out: String,
    err: String,
    code: i32,
}

fn oracle(directory: &Path, before: &str, command: &str) -> Seen {
    let run = |arguments: &[&str]| {
        let output = Command::new("sqlite3")
            .current_dir(directory)
            .arg("oracle.db")
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            text(&output.stdout),
            text(&output.stderr),
            output.status.code().unwrap(),
        )
    };
    // The bits on the disk are of no interest.
    let (out, err, code) = run(&[
        "pragma synchronous=off; pragma journal_mode=memory;",
        ".print --",
        before,
        command,
    ]);
    let out = out.split_once("--\n").map(|(_, out)| out.to_owned()).unwrap();
    let (dump, ..) = run(&[".dump"]);
    std::fs::remove_file(directory.join("oracle.db")).unwrap();
    Seen { dump, out, err, code }
}

fn ours(directory: &Path, before: &str, command: &str, style: &Style) -> Seen {
    let mut session = sql::open(&Target::Memory).unwrap();
    let mut at = 0;
    while at < before.len() {
        at += session
            .run(&before[at..], &Args::default(), &mut super::Width(0))
            .unwrap()
            .consumed;
    }
    let file = directory.join("f").display().to_string();
    let arguments: Vec<&str> = command
        .split(' ')
        .skip(1)
        .map(|word| if word == "f" { file.as_str() } else { word })
        .collect();
    let options = ImportOptions::parse(&arguments, style).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = import(
        &mut *session,
        &options,
        &mut ImportStreams {
            out: &mut out,
            err: &mut err,
            terminal: false,
        },
        &|| false,
    )
    .unwrap();
    let mut text = Vec::new();
    dump::dump(&mut *session, &dump::DumpOptions::default(), &mut text).unwrap();
    assert!(!session.in_transaction());
    let shown = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).replace(&file, "f");
    Seen {
        dump: shown(text),
        out: shown(out),
        err: shown(err),
        code,
    }
}

fn compare(content: &[u8], before: &str, command: &str) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("f"), content).unwrap();
    let found = ours(directory.path(), before, command, &Style::default());
    let mut expected = oracle(directory.path(), before, command);
    if found.err.contains("INSERT failed") {
        // Classic tells of the last row only; here one that was refused is never a success.
        assert_ne!(found.code, 0, "{command}");
        expected.code = found.code;
    }
    assert_eq!(found, expected, "{command} of {:?}", String::from_utf8_lossy(content));
}

const FILES: [&[u8]; 16] = [
    b"a,b\n1,2\n3,4\n",
    b"a,b\r\n1,\"2\r\nx\"\r\n\"3\"\"\",4",
    b"\xef\xbb\xbf\"a\",b\n1,2\n",
    b"a,b,c\n1\n1,2\n1,2,3\n1,2,3,4,5\n",
    b"a,b\n1,\"2\n3,4\n",
    b"a,b\n\"1\" x,2\n3,4\n",
    b"a,a,A,,\"\",b,x_2,x\n1,2,3,4,5,6,7,8\n",
    b"",
    b"\n",
    b"a\n\n\n",
    b"a,b\n1,",
    b"a,b\n1,\n,\n",
    b"a,b",
    b"a|b\n1|\"2|3\"\n",
    b"a\x1fb\x1e1\x1f\"2\x1e3\x1e",
    b"w\"x\",\"y z\"\n\"select\",2\n",
];

#[test]
fn import_of_files_is_that_of_sqlite3() {
    for content in FILES {
        for command in [
            ".import f t",
            ".import --csv f t",
            ".import -v -csv f t",
            ".import -v -v --skip 1 --csv f t",
            ".import --ascii f t",
            ".import --csv --schema main f t",
            ".import --csv --schema nope f t",
            ".import --csv f v",
        ] {
            for before in [
                "create view v as select 1 as a;",
                "create table t(a, b);",
                "create table t(a integer primary key, b real not null, c);",
                "create table t(a check(typeof(a) = 'nothing'));",
            ] {
                compare(content, before, command);
            }
        }
    }
}

#[test]
fn import_that_fails_says_what_sqlite3_says() {
    let directory = tempfile::tempdir().unwrap();
    let command = ".import --csv missing t";
    let before = "create table x(a);";
    assert_eq!(
        ours(directory.path(), before, command, &Style::default()),
        oracle(directory.path(), before, command)
    );
}

#[test]
fn import_of_a_command_reads_its_pipe() {
    let mut session = sql::open(&Target::Memory).unwrap();
    let options = ImportOptions::parse(&["--csv", "|printf 'a,b\\n1,2\\n3\\n'", "t"], &Style::default()).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    import(
        &mut *session,
        &options,
        &mut ImportStreams {
            out: &mut out,
            err: &mut err,
            terminal: false,
        },
        &|| false,
    )
    .unwrap();
    assert_eq!(
        String::from_utf8(err).unwrap(),
        "<pipe>:3: expected 2 columns but found 1 - filling the rest with NULL\n"
    );
}

#[test]
fn import_with_wrong_arguments_is_refused_as_by_sqlite3() {
    let style = |columns: &str, rows: &str| Style {
        column_separator: columns.into(),
        row_separator: rows.into(),
        ..Style::default()
    };
    let plain = Style::default();
    for (arguments, style, message) in [
        (&["f"][..], &plain, "ERROR: missing TABLE argument. Usage:\n"),
        (&[], &plain, "ERROR: missing FILE argument. Usage:\n"),
        (&["f", "t", "u"], &plain, "ERROR: extra argument: \"u\".  Usage:\n"),
        (
            &["--nope", "f", "t"],
            &plain,
            "ERROR: unknown option: \"-nope\".  Usage:\n",
        ),
        (&["-x", "f", "t"], &plain, "ERROR: unknown option: \"-x\".  Usage:\n"),
        (
            &["f", "t"],
            &style("", "\n"),
            "Error: non-null column separator required for import",
        ),
        (
            &["f", "t"],
            &style("ab", "\n"),
            "Error: multi-character column separators not allowed for import",
        ),
        (
            &["f", "t"],
            &style("|", ""),
            "Error: non-null row separator required for import",
        ),
        (
            &["f", "t"],
            &style("|", "\r\n"),
            "Error: multi-character row separators not allowed for import",
        ),
    ] {
        let said = match ImportOptions::parse(arguments, style).unwrap_err() {
            ImportArgumentError::Usage(said) => said,
            ImportArgumentError::Message(said) => said.to_owned(),
        };
        assert_eq!(said, message);
    }
    let mut csv = Style::default();
    csv.preset("csv");
    assert!(ImportOptions::parse(&["f", "t"], &csv).unwrap().line_feed_rows);
}

#[test]
fn import_that_is_stopped_leaves_no_rows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("f");
    std::fs::write(&path, "a,b\n1,2\n3,4\n5,6\n").unwrap();
    let path = path.display().to_string();
    let options = ImportOptions::parse(&["--csv", &path, "t"], &Style::default()).unwrap();
    for before in [&[][..], &["create table t(a, b)"], &["create table t(a, b)", "begin"]] {
        let mut session = sql::open(&Target::Memory).unwrap();
        for sql in before {
            super::execute(&mut *session, sql).unwrap();
        }
        let asked = std::cell::Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() > 2
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut streams = ImportStreams {
            out: &mut out,
            err: &mut err,
            terminal: false,
        };
        assert_eq!(import(&mut *session, &options, &mut streams, &stop).unwrap(), 9);
        let said = String::from_utf8(err).unwrap();
        let inside = before.len() == 2;
        assert_eq!(session.in_transaction(), inside);
        if inside {
            assert_eq!(
                said,
                "Interrupted: 2 rows are in the open transaction; ROLLBACK undoes them.\n"
            );
            super::execute(&mut *session, "rollback").unwrap();
        } else {
            assert_eq!(said, "Interrupted: nothing was imported.\n");
        }
        let tables = crate::sql::query::number(&mut *session, "select count(*) from sqlite_schema").unwrap();
        assert_eq!(tables, u64::from(!before.is_empty()));
        if tables > 0 {
            assert_eq!(
                crate::sql::query::number(&mut *session, "select count(*) from t").unwrap(),
                0
            );
        }
    }
}

/// Imports `content`; returns the code, what was said, and a dump.
fn objects(content: &str, before: &str, option: &str) -> (i32, String, String) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("f"), content).unwrap();
    let command = format!(".import {option} f t");
    let seen = ours(directory.path(), before, &command, &Style::default());
    (seen.code, seen.out + &seen.err, seen.dump)
}

#[test]
fn import_of_json_objects_makes_rows_with_their_types() {
    let content = "{\"a\":1,\"b\":\"x}\\\"{\",\"c\":1.5}\n{\"A\":-9223372036854775808,\"d\":{\"e\":[1,null]},\"c\":2,\n\"f\":true}\n";
    let array = format!("\u{feff}[{}]\n", content.replace("}\n{", "}\n,{"));
    for content in [content, &array, &content.replace('\n', "\r\n")] {
        for option in ["--json", "--jsonl"] {
            let (code, said, dump) = objects(content, "", option);
            assert_eq!((code, said.as_str()), (0, ""));
            assert!(
                dump.contains(
                    "INSERT INTO t VALUES(1,'x}\"{',1.5,NULL,NULL);\n\
                     INSERT INTO t VALUES(-9223372036854775808,NULL,2,'{\"e\":[1,null]}',1);\n"
                ),
                "{dump}"
            );
            assert!(dump.contains("\"a\" INTEGER") && dump.contains("\"b\" TEXT"), "{dump}");
            assert!(dump.contains("\"f\" INTEGER") && dump.contains("\"c\" ,"), "{dump}");
        }
    }
}

#[test]
fn import_of_json_objects_takes_them_whole_or_not_at_all() {
    let before = "create table t(a unique, b); insert into t values('old', 0);";
    for (content, told) in [
        ("{\"a\":1}\n{\"a\":\n", "f:2: the object is cut off"),
        ("{\"a\":1}\n{\"a\" 1}\n", "f:2: this is not JSON"),
        ("{\"a\":1}\n7\n", "f:2: an object is expected here"),
        ("[{\"a\":1}\n{\"a\":2}]", "f:2: a comma is missing"),
        ("[{\"a\":1},\n", "f:2: the array is cut off"),
        ("[{\"a\":1}]\n{\"a\":2}", "f:2: something follows the array"),
        ("{\"a\":1}\n\n{\"z\":2}", "f:3: the table has no column named z"),
        (
            "{\"a\":1}\n{\"a\":2}\n{\"a\":1}",
            "f:3: INSERT failed: UNIQUE constraint failed: t.a",
        ),
    ] {
        let (code, said, dump) = objects(content, before, "--json");
        assert_eq!(code, 1, "{content}");
        assert!(
            said.contains(told) && said.ends_with("; nothing was imported\n"),
            "{said}"
        );
        assert_eq!(dump.matches("INSERT").count(), 1, "{content}: {dump}");
    }
    let (code, said, dump) = objects("[]", "", "--json");
    assert_eq!((code, dump.contains("CREATE")), (1, false), "{said}");
}

#[test]
fn import_dry_run_reports_and_changes_nothing() {
    for (content, option, told) in [
        (
            "[{\"a\":1},{\"a\":2}]",
            "--json --dry-run",
            "Would add 2 rows to t, a new table",
        ),
        (
            "a,b\n1,2\n3,4\n",
            "--csv --dry-run",
            "Would add 2 rows with 0 errors using 3 lines of input",
        ),
    ] {
        let (code, said, dump) = objects(content, "", option);
        assert_eq!(code, 0);
        assert!(said.starts_with(told), "{said}");
        assert!(!dump.contains("CREATE"), "{dump}");
    }
}

#[test]
fn import_null_option_makes_a_field_null() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("f"), "a,b\nNA,1\nNAN,NA\n").unwrap();
    let seen = ours(directory.path(), "", ".import --csv --null NA f t", &Style::default());
    assert!(
        seen.dump
            .contains("VALUES(NULL,'1');\nINSERT INTO t VALUES('NAN',NULL);\n"),
        "{}",
        seen.dump
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn import_of_any_text_is_that_of_sqlite3(content in "[ab\",,\n\n\r1]{0,40}", existing in any::<bool>()) {
        compare(content.as_bytes(), if existing { "create table t(a, b);" } else { "" }, ".import -v --csv f t");
    }
}

/// Imports `text` with the words of a command; what was said, SQLite's code, and what the table is then.
fn imported(session: &mut dyn sql::Session, words: &str, text: &str) -> (String, i32, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("f.csv");
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let pipe = format!("|cat '{file}'");
    let mut arguments: Vec<&str> = words.split(' ').collect();
    for argument in &mut arguments {
        match *argument {
            "FILE" => *argument = &file,
            "PIPE" => *argument = &pipe,
            _ => {}
        }
    }
    let options = ImportOptions::parse(&arguments, &Style::default()).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut streams = ImportStreams {
        out: &mut out,
        err: &mut err,
        terminal: false,
    };
    let code = import(session, &options, &mut streams, &|| false).unwrap();
    let mut dump = Vec::new();
    crate::shell::dump::dump(session, &crate::shell::dump::DumpOptions::default(), &mut dump).unwrap();
    let said = String::from_utf8(err).unwrap().replace(&file, "FILE");
    (said, code, String::from_utf8(dump).unwrap())
}

const VALUES: &str = "id,price,code,note\n1,1.5,007,x\n-2,0.25,12,\n";

#[test]
fn import_into_a_new_table_takes_types_from_values_or_options() {
    let guessed = "CREATE TABLE IF NOT EXISTS \"t\"(\n\"id\" INTEGER, \"price\" REAL, \"code\" TEXT, \"note\" TEXT);\n\
                   INSERT INTO t VALUES(1,1.5,'007','x');\nINSERT INTO t VALUES(-2,0.25,'12','');\n";
    let told = "CREATE TABLE IF NOT EXISTS \"t\"(\n\"id\" INT, \"price\" DECIMAL(10,2), \"code\" , \"note\" TEXT);\n\
                INSERT INTO t VALUES(1,1.5,'007','x');\n";
    for (words, expected) in [
        ("--csv --types guess FILE t", guessed),
        ("--csv --create --types guess PIPE t", guessed),
        ("--csv --types INT,DECIMAL(10,2),,TEXT FILE t", told),
        (
            "--csv --create FILE t",
            "\"id\" TEXT, \"price\" TEXT, \"code\" TEXT, \"note\" TEXT);\n",
        ),
    ] {
        let mut session = sql::open(&Target::Memory).unwrap();
        let (said, code, dump) = imported(session.as_mut(), words, VALUES);
        assert_eq!((said.as_str(), code), ("", 0), "{words}");
        assert!(dump.contains(expected), "{words}: {dump}");
    }
    // What stands for NULL says nothing of a type, nor does what is passed over.
    let mut session = sql::open(&Target::Memory).unwrap();
    let text = "from,here\na,b\n1,NA\nNA,NA\n";
    let (said, code, dump) = imported(session.as_mut(), "--csv --skip 1 --null NA --types guess FILE t", text);
    assert_eq!((said.as_str(), code), ("", 0));
    assert!(dump.contains("\"a\" INTEGER, \"b\" TEXT"), "{dump}");
    assert!(
        dump.contains("VALUES(1,NULL);\nINSERT INTO t VALUES(NULL,NULL);"),
        "{dump}"
    );
}

#[test]
fn import_with_options_that_do_not_fit_is_one_error() {
    for (words, why) in [
        (
            "--csv --create FILE t",
            "Error: table t exists already, so --create imported nothing\n",
        ),
        (
            "--csv --types guess FILE t",
            "Error: table t exists already, and its columns have types: leave --types out; nothing was imported\n",
        ),
        (
            "--json --create FILE t",
            "Error: table t exists already, so --create imported nothing\n",
        ),
        (
            "--csv --types INT,TEXT FILE u",
            "Error: FILE:1: --types names 2 types, and there are 4 columns\n",
        ),
    ] {
        let mut session = sql::open(&Target::Memory).unwrap();
        super::execute(session.as_mut(), "CREATE TABLE t(a)").unwrap();
        let (said, code, dump) = imported(session.as_mut(), words, VALUES);
        assert_eq!((said.as_str(), code), (why, 1), "{words}");
        assert!(dump.ends_with("CREATE TABLE t(a);\nCOMMIT;\n"), "{words}: {dump}");
    }
    for (words, why) in [
        (["--json", "--types", "guess"], "--types is for separated text"),
        (["--csv", "--types", "a;b"], "not a list of types"),
    ] {
        let words: Vec<&str> = words.into_iter().chain(["f", "t"]).collect();
        let refusal = ImportOptions::parse(&words, &Style::default()).unwrap_err();
        assert!(format!("{refusal:?}").contains(why), "{refusal:?}");
    }
}

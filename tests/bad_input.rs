//! Imports of what is not what it should be: one clear error that names the file, and the line where there is one, and
//! nothing half-made.

use crate::support::state::{State, files};
use crate::support::{World, data, redact};
use rusqlite::Connection;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;

/// A world with one database, so that there is something to damage.
fn world() -> World {
    World::with_app("create table t (a, b); insert into t values (1, 'one')")
}

/// Runs each command line, with `FILE` replaced; each must fail the same way, name the file and leave everything as it was.
/// Returns the messages and hints, those that are alike once.
#[track_caller]
fn refused(world: &World, file: &Path, commands: &[&str], code: &str) -> String {
    let before = (State::of(world), files(world));
    let mut texts: Vec<String> = Vec::new();
    for line in commands {
        let args = line.split(' ').map(|word| word.replace("FILE", file.to_str().unwrap()));
        let run = world.torso(args.chain(["--json".to_owned()]));
        let exit = torso::error::Code::ALL
            .iter()
            .find(|known| known.name() == code)
            .map(|known| i32::from(known.kind().exit_code()))
            .unwrap_or_else(|| panic!("no code {code}"));
        let run = run.fails(exit, code);
        let error = run.error();
        let text = format!("{} ({})", error["message"].as_str().unwrap(), error["hint"]);
        assert!(text.contains(file.file_name().unwrap().to_str().unwrap()), "{text}");
        assert_eq!((State::of(world), files(world)), before, "{line} left something");
        texts.push(redact::text(world, &text));
    }
    texts.dedup();
    texts.join("\n")
}

const CSV: [&str; 2] = [
    "db create other --from-csv FILE --csv-table-name t",
    "db import FILE app --table fresh",
];
const SQLITE: [&str; 2] = ["db create other --from-file FILE", "db import FILE other"];
const DUMP: [&str; 1] = ["db create other --from-dump FILE"];

/// Root may remove a device as well as a file.
#[test]
fn output_file_that_is_no_file_is_refused_and_stays() {
    let world = world();
    let socket = world.work().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    std::fs::create_dir(world.work().join("folder")).unwrap();
    for (file, what) in [("socket", "a device, a pipe or a socket"), ("folder", "a directory")] {
        for line in [
            "db export app --output-file FILE --overwrite",
            "db export app --output-file FILE",
            "db dump app --output-file FILE --overwrite",
            "env pull FILE --db app",
        ] {
            let run = world.torso(line.replace("FILE", file).split(' ').chain(["--json"]));
            let error = run.fails(1, "invalid_file").error();
            let message = error["message"].as_str().unwrap();
            assert_eq!(
                message,
                format!("cannot write a file to {file}: it is {what}"),
                "{line}"
            );
        }
    }
    assert!(socket.symlink_metadata().unwrap().file_type().is_socket());
    assert!(world.work().join("folder").is_dir());
}

#[test]
fn csv_with_a_ragged_row_is_refused() {
    let world = world();
    let file = world.write("ragged.csv", "a,b\n1,2\n3\n");
    insta::assert_snapshot!(refused(&world, &file, &CSV, "invalid_csv"), @"[world]/work/ragged.csv:3: expected 2 fields but found 1 (null)");
    let file = world.write("ragged.csv", "a,b\n1,2,3\n");
    insta::assert_snapshot!(refused(&world, &file, &CSV, "invalid_csv"), @"[world]/work/ragged.csv:2: expected 2 fields but found 3 (null)");
}

#[test]
fn csv_with_an_unterminated_quote_is_refused() {
    let world = world();
    let file = world.write("quote.csv", "a,b\n1,2\n3,\"four\n5,6\n");
    insta::assert_snapshot!(refused(&world, &file, &CSV, "invalid_csv"), @"[world]/work/quote.csv:3: a quoted field that does not end (null)");
}

#[test]
fn csv_in_another_encoding_is_refused() {
    let world = world();
    let file = world.write("latin.csv", b"name,n\nM\xfcller,1\n");
    insta::assert_snapshot!(refused(&world, &file, &CSV, "invalid_csv"), @r#"[world]/work/latin.csv:2: text that is not UTF-8 ("convert the file to UTF-8 first")"#);
    let mut utf16: Vec<u8> = "\u{feff}a,b\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    utf16.push(b'3');
    let file = world.write("utf16.csv", utf16);
    insta::assert_snapshot!(refused(&world, &file, &CSV, "invalid_file"), @r#"[world]/work/utf16.csv begins as text in UTF-16 and is damaged: it begins as UTF-16, but is not valid UTF-16 later on ("get the file once more, or decode it with another program")"#);
    let file = world.write("cut.csv", b"\x1f\x8b\x08\x00rest");
    insta::assert_snapshot!(refused(&world, &file, &CSV, "invalid_file"), @r#"[world]/work/cut.csv begins as compressed by gzip and is damaged: unexpected end of file ("get the file once more, or decode it with another program")"#);
}

/// A mark of byte order is what spreadsheets write: it is not part of the first column's name.
#[test]
fn csv_with_a_byte_order_mark_is_imported_without_it() {
    let world = world();
    let file = world.write("bom.csv", "\u{feff}a,b\r\n1,2\r\n");
    world.ok([
        "db",
        "create",
        "other",
        "--from-csv",
        file.to_str().unwrap(),
        "--csv-table-name",
        "t",
    ]);
    assert_eq!(world.query("other", "select a + b from t"), "3");
}

#[test]
fn csv_that_is_empty_is_refused() {
    let world = world();
    let file = world.write("empty.csv", "");
    insta::assert_snapshot!(refused(&world, &file, &CSV, "invalid_csv"), @r#"[world]/work/empty.csv: the file is empty ("the first line must name the columns")"#);
}

#[test]
fn csv_with_a_fault_late_in_a_big_file_is_refused() {
    let world = world();
    let mut content = std::fs::read_to_string(data("weather.csv")).unwrap();
    content.push_str("EWR,2013\n");
    let file = world.write("weather.csv", content);
    insta::assert_snapshot!(refused(&world, &file, &CSV, "invalid_csv"), @"[world]/work/weather.csv:26117: expected 15 fields but found 2 (null)");
}

#[test]
fn sqlite_file_that_is_damaged_is_refused() {
    let world = world();
    let whole = world.path("work/whole.db");
    let conn = Connection::open(&whole).unwrap();
    conn.execute_batch(
        "create table t (a, b); create index i on t (b);
         with recursive n (x) as (select 1 union all select x + 1 from n where x < 5000)
         insert into t select x, 'value ' || x from n",
    )
    .unwrap();
    drop(conn);
    let bytes = std::fs::read(&whole).unwrap();

    let file = world.write("cut.db", &bytes[..bytes.len() / 2]);
    insta::assert_snapshot!(refused(&world, &file, &SQLITE, "invalid_file"), @"[world]/work/cut.db cannot be used: it is cut off: it has 108544 of 217088 bytes (null)");
    let file = world.write("cut-in-page.db", &bytes[..5000]);
    insta::assert_snapshot!(refused(&world, &file, &SQLITE, "invalid_file"), @"[world]/work/cut-in-page.db cannot be used: it is cut off: it has 5000 of 217088 bytes (null)");

    let mut scribbled = bytes.clone();
    let middle = bytes.len() / 2;
    scribbled[middle..middle + 8192].fill(0xa5);
    let file = world.write("scribbled.db", scribbled);
    insta::assert_snapshot!(refused(&world, &file, &SQLITE, "invalid_file"), @r#"[world]/work/scribbled.db cannot be used: it is damaged: Tree 2 page 29: btreeInitPage() returns error code 11 ("torso db shell [world]/work/scribbled.db .recover prints what can be read of it, as SQL")"#);
}

#[test]
fn file_that_is_not_sqlite_is_refused() {
    let world = world();
    let file = world.write(
        "text.db",
        "this is not a database, but it is longer than a header would be ".repeat(20),
    );
    insta::assert_snapshot!(refused(&world, &file, &SQLITE, "invalid_file"), @"[world]/work/text.db cannot be used: it is not a SQLite database, or it is encrypted (null)");
    let file = world.write("short.db", "SQLite format 3\0");
    insta::assert_snapshot!(refused(&world, &file, &SQLITE, "invalid_file"), @"[world]/work/short.db cannot be used: it is cut off within its header (null)");
    let file = world.write("empty.db", "");
    insta::assert_snapshot!(refused(&world, &file, &SQLITE, "invalid_file"), @"[world]/work/empty.db cannot be used: it is empty (null)");
}

#[test]
fn file_of_another_kind_is_refused_with_the_option_that_takes_it() {
    let world = world();
    world.write("table.tsv", "a\tb\n1\t2\n");
    world.write("rows.json", "[{\"a\": 1}]");
    world.write("script.sql", "create table t (a);\n");
    let file = world.ok(["db", "show", "app", "--path"]);
    std::fs::copy(file.trim(), world.work().join("app.db")).unwrap();
    // Random bytes may be an encrypted database.
    std::fs::write(world.work().join("secret.db"), [7, 0, 200, 3].repeat(5000)).unwrap();
    world.write("page.db", "<!doctype html><title>404</title>");
    for (option, file, words) in [
        ("--from-file", "table.tsv", "use --from-csv table.tsv"),
        ("--from-dump", "table.tsv", "use --from-csv table.tsv"),
        ("--from-file", "rows.json", "use --from-csv rows.json"),
        ("--from-csv", "script.sql", "use --from-dump script.sql"),
        ("--from-csv", "app.db", "use --from-file app.db"),
        ("--from-file", "secret.db", "encrypted"),
        ("--from-file", "page.db", "a web page"),
        ("--from-dump", "page.db", "a web page"),
    ] {
        let run = world.torso(["db", "create", "new", "--location", "ams", option, file]);
        assert_eq!(run.code(), 1, "{}", run.report());
        assert!(run.stderr.contains(words), "{option} {file}: {}", run.stderr);
        assert_eq!(world.databases(), ["app"]);
    }
}

#[test]
fn dump_that_fails_half_way_leaves_nothing() {
    let world = world();
    let file = world.write(
        "bad.sql",
        "create table t (a);\ninsert into t values (1);\ninsert into nowhere values (2);\n",
    );
    insta::assert_snapshot!(refused(&world, &file, &DUMP, "invalid_file"), @"[world]/work/bad.sql:3: no such table: nowhere (null)");
    let file = world.write(
        "cut.sql",
        "create table t (a);\nbegin;\ninsert into t values (1);\ninsert into t val",
    );
    insta::assert_snapshot!(refused(&world, &file, &DUMP, "invalid_file"), @r#"[world]/work/cut.sql:4: near "val": syntax error (null)"#);
    let file = world.write("open.sql", "create table t (a);\nbegin;\ninsert into t values (1);\n");
    insta::assert_snapshot!(refused(&world, &file, &DUMP, "invalid_file"), @"[world]/work/open.sql:3: the script ends within a transaction: it is cut off (null)");
}

#[test]
fn path_that_cannot_be_read_is_refused() {
    let world = world();
    let all: Vec<&str> = CSV.iter().chain(&SQLITE).chain(&DUMP).copied().collect();
    insta::assert_snapshot!(refused(&world, &world.path("work/absent.db"), &all, "file_not_found"), @"cannot read [world]/work/absent.db: No such file or directory (os error 2) (null)");
    let folder = world.path("work/folder");
    std::fs::create_dir(&folder).unwrap();
    insta::assert_snapshot!(refused(&world, &folder, &all, "invalid_file"), @"cannot read [world]/work/folder: it is a directory (null)");
}

/// The sentences themselves, as a person sees them.
#[test]
fn bad_input_messages_are_as_recorded() {
    let world = world();
    let mut said = String::new();
    for (name, content, line) in [
        ("ragged.csv", "a,b\n1,2\n3\n", CSV[0]),
        ("quote.csv", "a,b\n1,2\n3,\"four\n", CSV[0]),
        ("text.db", "not a database", SQLITE[0]),
        (
            "bad.sql",
            "create table t (a);\ninsert into nowhere values (2);\n",
            DUMP[0],
        ),
    ] {
        world.write(name, content);
        said += &world
            .torso(line.split(' ').map(|word| word.replace("FILE", name)))
            .report();
    }
    insta::assert_snapshot!(redact::text(&world, &said));
}

/// Values of commands that work with servers. Each with the code it is refused with, and what the sentence names. None of
/// them is asked of a server; a request would be in its list.
const VALUES: &[(&str, &str, &str)] = &[
    ("auth login --token-file absent.txt", "file_not_found", "absent.txt"),
    (
        "auth login --token-file two-lines.txt",
        "invalid_value",
        "two-lines.txt",
    ),
    ("auth login --token-file empty.txt", "invalid_value", "empty.txt"),
    ("auth login --token-file folder", "io", "folder"),
    ("auth login", "usage", "token"),
    ("auth api-tokens mint ci --expiration soon", "invalid_value", "soon"),
    ("auth api-tokens mint ci --expiration 0s", "invalid_value", "0s"),
    (
        "auth api-tokens mint ci --scope db:everything",
        "invalid_value",
        "db:everything",
    ),
    ("auth api-tokens mint ci --group default", "usage", "--scope"),
    ("auth api-tokens mint ci --org team --group default", "usage", "--scope"),
    (
        "auth api-tokens mint ci --read-only --full-access",
        "usage",
        "--full-access",
    ),
    ("auth api-tokens revoke ci", "unconfirmed", "ci"),
    ("auth logout bogus", "usage", "bogus"),
    ("auth accept --username bob", "usage", "LINK"),
    ("org members add bob --role king", "invalid_value", "king"),
    ("org members role bob", "usage", "ROLE"),
    ("org members remove bob", "unconfirmed", "bob"),
    ("org invites create bob", "invalid_value", "bob"),
    (
        "org invites create bob@example.com --role king",
        "invalid_value",
        "king",
    ),
    ("org destroy team", "unconfirmed", "team"),
    ("org db-transfer app team", "unconfirmed", "app"),
    ("org audit-logs list --page 0", "invalid_value", "0"),
    ("org audit-logs list --page first", "invalid_value", "first"),
    ("org audit-logs list --limit 0", "invalid_value", "0"),
    ("org bogus", "usage", "bogus"),
    ("api FETCH /v1/user", "invalid_value", "FETCH"),
    (
        "api GET https://elsewhere.example.com/v1/user",
        "invalid_value",
        "elsewhere.example.com",
    ),
    ("api GET /v1/{org}/user", "usage", "{org}"),
    ("api POST /v1/x -f name", "invalid_value", "name"),
    ("api POST /v1/x -f =1", "invalid_value", "=1"),
    ("api POST /v1/x -F on=yes", "invalid_value", "not JSON"),
    ("api POST /v1/x --input absent.json", "file_not_found", "absent.json"),
    ("api POST /v1/x --input two-lines.txt", "invalid_file", "two-lines.txt"),
    ("api POST /v1/x --input empty.txt -f a=b", "usage", "--input"),
    ("context add here --url nowhere", "invalid_value", "nowhere"),
    ("context add here --url ftp://example.com", "invalid_value", "ftp"),
    (
        "context add here --url https://example.com/v1?x=1",
        "invalid_value",
        "example.com",
    ),
    (
        "context add here --url http://user:secret@example.com",
        "invalid_value",
        "user name or password",
    ),
    ("context add here", "usage", "--url"),
    (
        "context add here --url https://example.com --token-file absent.txt",
        "file_not_found",
        "absent.txt",
    ),
    ("context add there --url https://example.com", "context_exists", "there"),
    ("context use nowhere", "context_not_found", "nowhere"),
    ("context remove nowhere", "context_not_found", "nowhere"),
    ("db tokens create app --expiration 7", "invalid_value", "7"),
    ("db tokens create app --expiration 1d1d", "invalid_value", "1d1d"),
    ("db tokens create app --permissions users", "invalid_value", "users"),
    (
        "db tokens create app --permissions users:steal",
        "invalid_value",
        "steal",
    ),
    ("db tokens create app --attach a,B", "invalid_name", "B"),
    ("db tokens revoke app ../x --yes", "invalid_value", "../x"),
    ("db tokens revoke app t1", "unconfirmed", "t1"),
    ("db tokens invalidate app", "unconfirmed", "app"),
    ("db tokens invalidate app --yes --grace never", "invalid_value", "grace"),
    ("db tokens invalidate app --yes --grace 5", "invalid_value", "5"),
    ("db tokens bogus", "usage", "bogus"),
    ("db usage app --from yesterday", "invalid_value", "yesterday"),
    (
        "db usage app --from 2026-02-30T00:00:00Z",
        "invalid_value",
        "2026-02-30",
    ),
    (
        "db usage app --from 2026-02-01T00:00:00Z --to 2026-01-01T00:00:00Z",
        "invalid_value",
        "2026-01-01",
    ),
    ("db copy app", "usage", "COPY"),
    ("db copy app app", "usage", "itself"),
    ("db copy app nowhere:app", "context_not_found", "nowhere"),
    ("db copy app local:x --to-context there", "usage", "--to-context"),
    ("db copy app other --if-not-exists --overwrite", "usage", "--overwrite"),
    ("group tokens create default --expiration 1x", "invalid_value", "1x"),
    ("group tokens revoke default t1", "unconfirmed", "t1"),
    ("group tokens invalidate default", "unconfirmed", "default"),
    ("group transfer default", "usage", "ORGANIZATION"),
    ("group transfer default team", "unconfirmed", "default"),
    ("server --locations nowhere", "location_not_found", "nowhere"),
    ("server --locations ,", "invalid_name", "empty"),
    ("server --listen here", "invalid_value", "here"),
    ("server --listen 127.0.0.1", "invalid_value", "127.0.0.1"),
    ("server --listen 127.0.0.1:99999", "invalid_value", "99999"),
    ("server --domain 192.0.2.1", "invalid_value", "192.0.2.1"),
    ("server --domain *.example.com", "invalid_value", "*.example.com"),
    ("server --url example.com", "invalid_value", "example.com"),
    (
        "server --url https://example.com/?torso",
        "invalid_value",
        "more than a host",
    ),
    ("server --tls-cert two-lines.txt", "usage", "--tls-key"),
    ("server --tls self-signed --tls-cert a --tls-key b", "usage", "--tls"),
    (
        "server --tls-cert two-lines.txt --tls-key two-lines.txt",
        "invalid_file",
        "two-lines.txt",
    ),
    ("server --quota databases", "invalid_value", "databases"),
    ("server --quota databases=many", "invalid_value", "many"),
    ("server --rate-limit fast", "invalid_value", "fast"),
    ("server --connections-per-address few", "invalid_value", "few"),
    ("server --log loud", "invalid_value", "loud"),
    ("server --sqld two-lines.txt", "engine_not_found", "two-lines.txt"),
    ("server bogus", "usage", "bogus"),
];

/// A world with a server as its context, and files that are not what is asked for.
fn world_with_server(stub: &crate::support::stub::Stub) -> World {
    let world = crate::client::world(stub);
    world.write("two-lines.txt", "one\ntwo\n");
    world.write("empty.txt", "");
    std::fs::create_dir(world.work().join("folder")).unwrap();
    world
}

#[test]
fn server_command_values_that_are_invalid_are_refused() {
    let stub = crate::client::stand_in::start();
    let mut world = world_with_server(&stub);
    world.set("TORSO_SQLD", crate::support::sqld::program());
    // A look at what would be changed may be asked for, a change may not.
    let asked = || {
        stub.lines()
            .into_iter()
            .filter(|line| !line.starts_with("GET "))
            .collect::<Vec<_>>()
    };
    let before = (crate::support::tree::list(world.root()), asked());
    let mut wrong = Vec::new();
    for (line, code, named) in VALUES {
        let run = world.torso(line.split(' ').chain(["--json"]));
        let exit = torso::error::Code::ALL
            .iter()
            .find(|known| known.name() == *code)
            .map(|known| i32::from(known.kind().exit_code()))
            .unwrap_or_else(|| panic!("no code {code}"));
        // What clap refuses is wrong usage, whatever is wrong with the value.
        let usage = run.code() == 2 && ["invalid_value", "invalid_name"].contains(code);
        let error = serde_json::from_str::<serde_json::Value>(run.stderr.lines().last().unwrap_or_default());
        let error = error.map(|document| document["error"].clone()).unwrap_or_default();
        let message = error["message"].as_str().unwrap_or_default();
        let as_told = run.code() == exit && error["code"] == *code || usage;
        // Of a file that is not there, all is said.
        let hinted = error["hint"].as_str().is_some_and(|hint| !hint.is_empty()) || *code == "file_not_found";
        if !(as_told && run.stdout.is_empty() && message.contains(named) && hinted) {
            wrong.push(format!("{code} {named}: {}", run.report()));
        }
        let now = (crate::support::tree::list(world.root()), asked());
        if now != before {
            wrong.push(format!("{line} left or asked something: {:?}", now.1));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn config_refuses_a_default_location_that_there_is_not() {
    let world = World::new();
    let run = world.torso(["config", "set", "default_location", "nowhere", "--json"]);
    assert!(
        run.fails(3, "location_not_found").error()["hint"]
            .as_str()
            .unwrap()
            .contains("torso location list")
    );
    world.ok(["config", "set", "default_location", "ams"]);
    world.ok(["location", "add", "own", "--name", "Own"]);
    world.ok(["config", "set", "default_location", "own"]);
}

#[test]
fn import_hint_quotes_the_name_of_the_file() {
    let world = World::new();
    let made = world.path("work/My File (1).sqlite");
    world.ok(["db", "shell", made.to_str().unwrap(), "create table t(a)"]);
    let run = world
        .torso(["db", "import", "My File (1).sqlite", "--json"])
        .fails(2, "usage");
    assert_eq!(
        run.error()["hint"],
        "give a name: torso db import 'My File (1).sqlite' NAME"
    );
    let twice = world.write("x.csv", "a\n1\n");
    let run = crate::support::run::Run::of({
        let mut command = world.command("gzip");
        command.arg(&twice);
        command
    });
    run.success();
    std::fs::rename(world.work().join("x.csv.gz"), world.work().join("y")).unwrap();
    crate::support::run::Run::of({
        let mut command = world.command("gzip");
        command.arg("y");
        command
    })
    .success();
    let run = world
        .torso(["db", "import", "y.gz", "app", "--json"])
        .fails(1, "invalid_file");
    assert!(run.stderr.contains("compressed by gzip twice"), "{}", run.stderr);
}

//! An exit code for each kind of failure, with its document; nothing on standard output.

use crate::support::{World, catches, data, redact, until};
use std::collections::BTreeSet;
use torso::error::{Code, Kind};

/// A world in which much can go wrong: a database with a replica, a protected one, a group, a location in use.
fn world() -> World {
    let world = World::new();
    for line in [
        "db create app --location ams",
        "db shell app create_table",
        "db replicate app lhr",
        "db create safe --location ams",
        "db config set safe delete-protection on",
        "group create pair --location nrt",
        "context add there --url https://there.example.com",
    ] {
        let args: Vec<_> = line
            .split(' ')
            .map(|word| word.replace("create_table", "create table t (a)"))
            .collect();
        world.ok(args);
    }
    world.write("text.db", "not a database");
    world.write("bad.csv", "a,b\n1\n");
    world.write("taken.db", "");
    world
}

/// Command lines, each with the code it must fail with.
const FAILURES: &[(&str, &str)] = &[
    // invalid
    ("db create x --size-limit many", "invalid_value"),
    ("location add nas --name A --lat 91 --lon 0", "invalid_value"),
    ("db config set app delete-protection maybe", "invalid_value"),
    ("db create x --from-file text.db", "invalid_file"),
    ("db create x --from-csv bad.csv --csv-table-name t", "invalid_csv"),
    ("config set output verse", "invalid_value"),
    // usage
    ("db bogus", "usage"),
    ("bogus", "usage"),
    ("db show --bogus", "usage"),
    ("db create x --from-file a --from-dump b", "usage"),
    ("db destroy app safe --location lhr", "usage"),
    ("db create UPPER", "invalid_name"),
    // not found
    ("db show nowhere", "database_not_found"),
    ("db destroy nowhere --yes", "database_not_found"),
    ("db rename nowhere other", "database_not_found"),
    ("db create x --from-db nowhere", "database_not_found"),
    (
        "db create x --from-csv nowhere.csv --csv-table-name t",
        "file_not_found",
    ),
    ("group show nowhere", "group_not_found"),
    ("location show nowhere", "location_not_found"),
    ("db create x --location nowhere", "location_not_found"),
    ("db promote app nrt", "instance_not_found"),
    ("context use nowhere", "context_not_found"),
    ("config get nowhere", "setting_not_found"),
    // exists
    ("db create app", "database_exists"),
    ("db rename app safe", "database_exists"),
    ("group create pair", "group_exists"),
    ("context add there --url https://x.example.com", "context_exists"),
    ("db export app --output-file taken.db", "file_exists"),
    // conflict
    ("db destroy safe --yes", "delete_protected"),
    ("db destroy app --location ams --yes", "primary_instance"),
    ("group locations remove pair nrt", "primary_instance"),
    // unconfirmed
    ("db destroy app", "unconfirmed"),
    ("db destroy app --location lhr", "unconfirmed"),
    ("group destroy pair", "unconfirmed"),
];

/// Kinds that no command on the embedded control plane can fail with, or that have tests of their own: the disk's
/// (`disk`), a statement's, a timeout, an interruption, a part (below).
const ELSEWHERE: [Kind; 9] = [
    Kind::Sql,
    Kind::Unauthenticated,
    Kind::Forbidden,
    Kind::Unavailable,
    Kind::Timeout,
    Kind::Partial,
    Kind::Interrupted,
    Kind::Internal,
    Kind::Unsupported,
];

fn kind_of(code: &str) -> Kind {
    let found = Code::ALL.iter().find(|known| known.name() == code);
    found.unwrap_or_else(|| panic!("{code} is not a published code")).kind()
}

#[test]
fn failure_of_each_kind_has_its_exit_code_and_document() {
    let world = world();
    let before = crate::support::state::State::of(&world);
    for (line, code) in FAILURES {
        let run = world.torso(line.split(' ').chain(["--json"]));
        let kind = kind_of(code);
        let run = run.fails(kind.exit_code().into(), code);
        let error = run.error();
        assert_eq!(error["retryable"], kind.retryable(), "{}", run.report());
        assert!(!error["message"].as_str().unwrap().is_empty(), "{}", run.report());

        // The same in words: on stderr alone, with the same exit code.
        let told = world.torso(line.split(' '));
        assert_eq!(
            (told.code(), told.stdout.as_str()),
            (run.code(), ""),
            "{}",
            told.report()
        );
        assert!(told.stderr.starts_with("error: "), "{}", told.report());
    }
    assert_eq!(
        crate::support::state::State::of(&world),
        before,
        "a failure changed something"
    );
    let kinds: BTreeSet<_> = FAILURES.iter().map(|(_, code)| kind_of(code).name()).collect();
    for kind in Kind::ALL {
        assert_ne!(kinds.contains(kind.name()), ELSEWHERE.contains(kind), "{}", kind.name());
    }
}

/// How failures read. Sentences may change, but never unseen.
#[test]
fn failure_messages_are_as_recorded() {
    let world = world();
    let said: String = FAILURES
        .iter()
        .map(|(line, _)| world.torso(line.split(' ')).report() + "\n")
        .collect();
    insta::assert_snapshot!(redact::text(&world, &said));
}

#[test]
fn command_for_several_of_which_some_fail_is_partial() {
    let world = world();
    let run = world.torso(["db", "destroy", "app", "safe", "--yes", "--json"]);
    assert_eq!(run.code(), 8, "{}", run.report());
    assert_eq!(run.error()["code"], "partial");
    // The answer says which.
    let parts = run.json();
    assert_eq!(parts[0]["error"], serde_json::Value::Null, "{}", run.report());
    assert_eq!(parts[1]["error"]["code"], "delete_protected", "{}", run.report());
    assert_eq!(world.databases(), ["safe"]);
}

/// The shell behaves as `sqlite3` does, whose flags `--json` and the like are; its failures are told in words.
#[test]
fn statement_that_is_refused_exits_with_its_code_and_reason() {
    let world = world();
    world.write("bad.sql", "create table t (a); selec;");
    let mut reports = String::new();
    for words in [
        &["db", "shell", "app", "selec"][..],
        &["db", "import", "bad.sql", "other", "--json"],
        &["db", "shell", "app", "--location", "nrt", "select 1"],
        &["db", "shell", "nowhere", "select 1"],
    ] {
        reports += &redact::report(&world, &world.torso(words));
    }
    insta::assert_snapshot!(reports, @r#"
    $ torso db shell app selec
    -- stderr --
    Error: in prepare, near "selec": syntax error
      selec
      ^--- error here
    -- exit 1 --
    $ torso db import bad.sql other --json
    -- stderr --
    {"error":{"code":"invalid_file","message":"bad.sql:1: near \"selec\": syntax error","hint":null,"retryable":false}}
    -- exit 1 --
    $ torso db shell app --location nrt "select 1"
    -- stderr --
    error: database app has no instance in nrt
    hint: torso db replicate app nrt makes one
    -- exit 3 --
    $ torso db shell nowhere "select 1"
    -- stderr --
    error: there is no database nowhere
    hint: torso db list shows what there is
    -- exit 3 --
    "#);
}

/// One that does not end by itself is ended by `--timeout`, or by Ctrl-C.
#[test]
fn command_that_takes_too_long_or_is_interrupted_exits_by_its_code() {
    let world = world();
    let endless = "with recursive n (x) as (select 1 union all select x + 1 from n) select count(*) from n";
    let run = world.torso(["db", "shell", "app", endless, "--timeout", "1s"]);
    assert_eq!((run.code(), run.stdout.as_str()), (7, ""), "{}", run.report());

    let mut command = world.torso_command(["db", "shell", "app", endless]);
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    until("it catches Ctrl-C", || {
        catches(child.id(), nix::sys::signal::Signal::SIGINT)
    });
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(130),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Asking again for what is so already is no failure where that was said to be fine.
#[test]
fn idempotent_flags_make_repetition_succeed() {
    let world = world();
    assert_eq!(world.json(["db", "create", "app", "--if-not-exists"])["created"], false);
    assert_eq!(world.json(["db", "create", "new", "--if-not-exists"])["created"], true);
    world.ok(["db", "destroy", "nowhere", "--if-exists", "--yes"]);
    world.ok(["db", "replicate", "app", "lhr"]);
    world.ok(["db", "promote", "app", "ams"]);
    world.ok(["location", "remove", "nowhere", "--if-exists"]);
}

/// What `--dry-run` was asked about stays as it is, and its answer is a plan.
#[test]
fn dry_run_changes_nothing() {
    let world = world();
    let before = crate::support::state::State::of(&world);
    let csv = data("airlines.csv");
    for args in [
        &["db", "create", "x"][..],
        &[
            "db",
            "create",
            "x",
            "--from-csv",
            csv.to_str().unwrap(),
            "--csv-table-name",
            "t",
        ],
        &["db", "destroy", "app"],
        &["db", "rename", "app", "other"],
        &["db", "branch", "app", "twig"],
        &["db", "replicate", "app", "nrt"],
        &["db", "promote", "app", "lhr"],
        &["db", "sync", "app"],
        &["db", "config", "set", "app", "block-writes", "on"],
        &["group", "create", "g2"],
        &["group", "rename", "pair", "couple"],
        &["group", "destroy", "pair"],
        &["group", "locations", "add", "pair", "ams"],
        &["location", "add", "nas", "--name", "A"],
    ] {
        let answer = world.json(args.iter().chain(&["--dry-run"]));
        assert_eq!(answer["dry_run"], true, "{args:?}: {answer}");
        assert!(answer["steps"].is_array(), "{args:?}: {answer}");
    }
    assert_eq!(crate::support::state::State::of(&world), before);
}

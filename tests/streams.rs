//! The streams: standard output is the answer and nothing else, standard error is the conversation.

use crate::support::{World, data, redact};
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

/// A world with something to list.
fn world() -> World {
    let world = World::new();
    for name in ["one", "two"] {
        world.ok(["db", "create", name, "--location", "ams"]);
    }
    world
}

/// Verbs that answer, each with what it needs.
const ANSWERS: [&[&str]; 12] = [
    &["db", "list"],
    &["db", "show", "one"],
    &["db", "replicas", "one"],
    &["db", "inspect", "one"],
    &["db", "config", "show", "one"],
    &["group", "list"],
    &["group", "show", "default"],
    &["location", "list"],
    &["location", "show", "ams"],
    &["context", "list"],
    &["config", "show"],
    &["doctor"],
];

#[test]
fn output_of_each_format_is_on_stdout_and_quiet_keeps_it() {
    let world = world();
    for args in ANSWERS {
        for form in ["table", "json", "jsonl", "csv", "name"] {
            let with = |more: &[&str]| {
                world
                    .torso(args.iter().chain(&["--output", form]).chain(more))
                    .success()
            };
            let run = with(&[]);
            assert!(!run.stdout.is_empty(), "{}", run.report());
            assert!(!run.stdout.contains('\x1b'), "{}", run.report());
            let quiet = with(&["--quiet"]);
            assert_eq!(quiet.stderr, "", "{}", quiet.report());
            // An age moves on between two runs of a table; the machine's forms do not.
            if form != "table" {
                assert_eq!(quiet.stdout, run.stdout, "{args:?} {form}");
            }
            match form {
                "json" => drop(run.json()),
                "jsonl" => run.stdout.lines().for_each(|line| {
                    serde_json::from_str::<serde_json::Value>(line).unwrap();
                }),
                "csv" => {
                    let mut reader = csv::Reader::from_reader(run.stdout.as_bytes());
                    assert!(reader.records().all(|record| record.is_ok()), "{}", run.report());
                }
                _ => {}
            }
        }
        let short = world.torso(args.iter().chain(&["--json"])).success();
        assert_eq!(
            short.stdout,
            world.torso(args.iter().chain(&["--output", "json"])).success().stdout
        );
    }
}

#[test]
fn mutation_prints_one_document_and_messages_on_stderr() {
    let world = World::new();
    let run = world.torso(["db", "create", "app", "--json"]);
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db create app --json
    {
      "Name": "app",
      "DbId": "[id]",
      "Hostname": "",
      "url": "file:[world]/data/databases/[id].db",
      "group": "default",
      "primaryRegion": "local",
      "regions": [
        "local"
      ],
      "block_reads": false,
      "block_writes": false,
      "delete_protection": false,
      "parent": null,
      "created_at": "[time]",
      "size_bytes": 4096,
      "created": true,
      "location_source": "fallback",
      "location_reason": "the time zone is UTC or unknown; set --location or default_location"
    }
    -- stderr --
    location local: the time zone is UTC or unknown; set --location or default_location
    -- exit 0 --
    "#);
    assert_eq!(world.torso(["db", "create", "b", "--quiet"]).success().stderr, "");
    assert_eq!(world.ok(["db", "create", "c", "--output", "name"]), "c\n");
}

/// The reader of a pipe leaves after the first line.
#[test]
fn pipe_that_is_closed_ends_the_command_quietly() {
    let world = World::new();
    let csv = data("weather.csv");
    world.ok([
        "db",
        "create",
        "weather",
        "--from-csv",
        csv.to_str().unwrap(),
        "--csv-table-name",
        "weather",
    ]);
    for args in [
        &["location", "list"][..],
        &["location", "list", "--json"],
        &["db", "shell", "weather", "select * from weather"],
        &["db", "shell", "weather", ".mode json", "select * from weather"],
        &["db", "shell", "weather", ".dump"],
        &["db", "dump", "weather"],
        &["help"],
    ] {
        let mut command = world.torso_command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::with_capacity(64, child.stdout.take().unwrap())
            .read_line(&mut first)
            .unwrap();
        let mut talk = String::new();
        child.stderr.take().unwrap().read_to_string(&mut talk).unwrap();
        let status = child.wait().unwrap();
        assert!(!first.is_empty());
        assert_eq!((status.code(), talk.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn colour_is_written_only_where_requested() {
    let mut world = world();
    let coloured = |world: &World, more: &[&str]| {
        let run = world.torso(["db", "show", "absent"].iter().chain(more));
        run.stderr.contains('\x1b')
    };
    assert!(!coloured(&world, &[]));
    assert!(coloured(&world, &["--color", "always"]));
    world.set("CLICOLOR_FORCE", "1");
    assert!(coloured(&world, &[]));
    assert!(!coloured(&world, &["--color", "never"]));
    world.set("NO_COLOR", "1");
    assert!(!coloured(&world, &[]));
}

/// Nobody is asked where nobody can answer, nor where the environment says that nobody is there.
#[test]
fn destructive_command_without_a_terminal_does_not_wait() {
    let mut world = world();
    for args in [&["db", "destroy", "one"][..], &["group", "destroy", "default"]] {
        let ask = |world: &World| world.torso(args.iter().chain(&["--json"])).fails(6, "unconfirmed");
        ask(&world);
        world.set("CI", "true");
        ask(&world);
        world.unset("CI");
        world
            .torso(args.iter().chain(&["--no-input", "--json"]))
            .fails(6, "unconfirmed");
        let input = world.torso_with_input(args.iter().chain(&["--json"]), "one\n");
        input.fails(6, "unconfirmed");
    }
    assert_eq!(world.databases(), ["one", "two"]);
    world.ok(["db", "destroy", "one", "--yes"]);
    assert_eq!(world.databases(), ["two"]);
}

/// A session on a terminal that nobody answers: CI forbids the question there too.
#[test]
fn ci_variable_forbids_questions_on_a_terminal() {
    let mut world = world();
    for word in ["true", "1", "yes", "TRUE", "on", "github"] {
        world.set("CI", word);
        let mut session = world.terminal(&["db", "destroy", "one", "--color", "never"]);
        insta::allow_duplicates! {
            insta::assert_snapshot!(redact::text(&world, &session.exp_eof().unwrap()), @"
            error: cannot destroy database one without confirmation: the variable CI is set, and nobody is asked there
            hint: add --yes to go ahead
            ");
        }
    }
    for word in ["", "false", "0", "no"] {
        world.set("CI", word);
        let mut session = world.terminal(&["db", "destroy", "one"]);
        session.exp_string("go ahead: ").unwrap();
        session.send_line("no").unwrap();
        session.exp_eof().unwrap();
    }
    assert_eq!(world.databases(), ["one", "two"]);
}

/// On a terminal the name has to be typed.
#[test]
fn confirmation_on_a_terminal_is_the_typed_name() {
    let world = world();
    for (typed, left) in [("yes", &["one", "two"][..]), ("one", &["two"])] {
        let mut session = world.terminal(&["db", "destroy", "one"]);
        session.exp_string("go ahead: ").unwrap();
        session.send_line(typed).unwrap();
        let said = session.exp_eof().unwrap();
        assert_eq!(world.databases(), left, "after typing {typed}: {said}");
    }
}

/// Names and data are harmless on a terminal, and unchanged in a file.
#[test]
fn control_characters_are_escaped_on_a_terminal_only() {
    let world = world();
    world.ok(["location", "add", "odd", "--name", "a\x1b[31mred\u{202e}"]);
    assert!(world.ok(["location", "show", "odd"]).contains("a\x1b[31mred\u{202e}"));
    let show = |args: &[&str]| world.terminal(args).exp_eof().unwrap();
    let shown = show(&["location", "show", "odd", "--color", "never"]);
    assert!(!shown.contains("\x1b[31m") && !shown.contains('\u{202e}'), "{shown:?}");
    assert!(show(&["location", "show", "odd", "--raw"]).contains("\x1b[31mred"));
}
/// With no directory set, everything is where the XDG variables say, private to its owner.
#[test]
fn files_are_where_xdg_says_and_private() {
    let mut world = World::new();
    world.unset("TORSO_DATA_DIR");
    world.unset("TORSO_CONFIG_DIR");
    world.ok(["db", "create", "app", "--location", "ams"]);
    world.ok(["config", "set", "default_location", "ams"]);
    let tree = crate::support::tree::list(&world.path("home"));
    let file = |end: &str| tree.keys().any(|path| path.to_string_lossy().ends_with(end));
    assert!(file(".local/share/torso/catalog.db"), "{tree:#?}");
    assert!(tree.keys().any(|path| path.starts_with(".config/torso")), "{tree:#?}");
    for (path, entry) in &tree {
        // A link has no mode of its own.
        let is_link = world.path("home").join(path).is_symlink();
        if path.components().any(|part| part.as_os_str() == "torso") && !is_link {
            assert_eq!(entry.mode & 0o077, 0, "{} is open to others", path.display());
        }
    }
}

/// Ctrl-C ends a waiting command with its own exit code, and nothing was done.
#[test]
fn interrupted_command_exits_130() {
    let world = world();
    let lock = std::fs::File::open(world.data_dir().join("catalog.lock")).unwrap();
    lock.lock().unwrap();
    let mut command = world.torso_command(["db", "create", "three", "--location", "ams"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let open_files = format!("/proc/{}/fd", child.id());
    let waits = || {
        std::fs::read_dir(&open_files)
            .unwrap()
            .any(|file| std::fs::read_link(file.unwrap().path()).is_ok_and(|path| path.ends_with("catalog.lock")))
    };
    while !waits() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    assert!(ended.stdout.is_empty());
    drop(lock);
    assert_eq!(world.databases(), ["one", "two"]);
}

/// A script that adds a flag to a command that has it already means no harm.
#[test]
fn flag_that_is_repeated_is_taken() {
    let world = world();
    world.ok(["--quiet", "db", "list", "--quiet", "-q"]);
    assert_eq!(
        world.ok(["db", "list", "--output", "json", "--output", "name"]),
        "one\ntwo\n"
    );
}

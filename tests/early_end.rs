//! Commands that end before their work is done, by `--timeout` or a signal: what they say of it, and that they leave no files behind.

use crate::support::{Run, World, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};

/// A statement without an end.
const ENDLESS: &str = "with recursive c (x) as (select 1 union all select x + 1 from c) select count(*) from c";

const STAYS: &str = "hint: what was done before stays done: check before you run it again\n";

const NOTHING: &str = "hint: run it again, perhaps with a longer --timeout; nothing half-made was left behind\n";

#[test]
fn timeout_after_a_statement_took_effect_says_that_it_stays() {
    let world = World::with_app("create table t (a)");
    let script = format!("insert into t values (1); {ENDLESS};");
    world.write("s.sql", &script);
    let by_stdin = |_: &World| world.torso_with_input(["db", "shell", "app", "--timeout", "1s"], script.clone());
    let runs: [&dyn Fn(&World) -> Run; 5] = [
        &|world| world.torso(["db", "shell", "app", &script, "--timeout", "1s"]),
        &by_stdin,
        &|world| world.torso(["db", "shell", "app", "-f", "s.sql", "--timeout", "1s"]),
        &|world| world.torso(["db", "exec", "app", &script, "--timeout", "1s"]),
        &|world| {
            let script = format!("begin; insert into t values (1); commit; {ENDLESS}");
            world.torso(["db", "shell", "app", &script, "--timeout", "1s"])
        },
    ];
    for (number, run) in runs.into_iter().enumerate() {
        let run = run(&world);
        assert_eq!(run.code(), 7, "{}", run.report());
        assert!(run.stderr.ends_with(STAYS), "{}", run.report());
        let rows = world.query("app", "select count(*) from t");
        assert_eq!(rows, (number + 1).to_string(), "{}", run.report());
    }
}

#[test]
fn timeout_before_anything_took_effect_says_that_nothing_is_left() {
    let world = World::with_app("create table t (a)");
    for words in [
        &["db", "shell", "app", ENDLESS][..],
        &[
            "db",
            "shell",
            "app",
            &format!("begin; insert into t values (1); {ENDLESS}"),
        ],
        &[
            "db",
            "shell",
            "app",
            &format!("begin; insert into t values (1); rollback; {ENDLESS}"),
        ],
        &["db", "shell", ":memory:", &format!("create table t (a); {ENDLESS}")],
        &[
            "db",
            "exec",
            "app",
            "--transaction",
            &format!("insert into t values (1); {ENDLESS}"),
        ],
    ] {
        let run = world.torso(words.iter().copied().chain(["--timeout", "1s"]));
        assert_eq!(run.code(), 7, "{}", run.report());
        assert!(run.stderr.ends_with(NOTHING), "{}", run.report());
        assert_eq!(world.query("app", "select count(*) from t"), "0", "{}", run.report());
    }
}

/// The names in the working directory, hidden ones too.
fn files(world: &World) -> Vec<String> {
    let entries = std::fs::read_dir(world.work()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Keeps a database from being read, as long as it lives.
fn lock(world: &World) -> rusqlite::Connection {
    let path = world.ok(["db", "show", "app", "--path"]);
    let connection = rusqlite::Connection::open(path.trim()).unwrap();
    connection
        .execute_batch("pragma locking_mode = exclusive; begin exclusive; insert into t values (1)")
        .unwrap();
    connection
}

#[test]
fn export_whose_time_is_up_leaves_no_file() {
    let world = World::with_app("create table t (a)");
    let before = files(&world);
    let _lock = lock(&world);
    let run = world.torso(["db", "export", "app", "--output-file", "x.db", "--timeout", "1s"]);
    assert_eq!(run.code(), 7, "{}", run.report());
    assert!(run.stderr.ends_with(NOTHING), "{}", run.report());
    assert_eq!(files(&world), before);
}

/// Starts a command, and waits until it has made a file that was not there.
fn start(world: &World, words: &[&str]) -> Child {
    let before = files(world);
    let mut command = world.torso_command(words);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    until("the command has made a file", || files(world) != before);
    child
}

/// Sends a signal; returns the one that the command ended by, and what it said.
fn end(child: Child, signal: Signal) -> (Option<i32>, String) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.signal(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn export_that_gets_a_signal_leaves_no_file_and_says_so() {
    let world = World::with_app("create table t (a)");
    let before = files(&world);
    let _lock = lock(&world);
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let child = start(&world, &["db", "export", "app", "--output-file", "x.db"]);
        let (ended_by, stderr) = end(child, signal);
        assert_eq!(ended_by, Some(signal as i32), "{stderr}");
        let message = format!("error: ended by {signal}\nhint: nothing half-made was left behind; run it again\n");
        assert_eq!(stderr, message);
        assert_eq!(files(&world), before);
    }
}

#[test]
fn copies_of_the_shell_that_get_a_signal_leave_no_file() {
    let world = World::with_app(
        "create table t (a, b);
         with recursive c (x) as (select 1 union all select x + 1 from c limit 1500000)
         insert into t select x, hex(randomblob(20)) from c",
    );
    let before = files(&world);
    let child = start(&world, &["db", "shell", "app", ".clone copy.db"]);
    let (ended_by, stderr) = end(child, Signal::SIGTERM);
    assert_eq!(ended_by, Some(Signal::SIGTERM as i32), "{stderr}");
    assert_eq!(files(&world), before);
}

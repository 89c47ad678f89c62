//! Files that are not served, and files whose sessions were disturbed by hand.

use super::{Dev, remains, said, sqlite3};
use crate::support::{Run, World, redact, sqld};
use nix::sys::signal::Signal;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

/// Runs one that is to end by itself.
fn refused(world: &World, args: &[&str]) -> Run {
    let mut command = world.torso_command(["dev", "--port", "0", "--json", "--sqld"]);
    command.arg(sqld::program()).args(args);
    Run::of(command)
}

/// Its message and hint.
fn words(world: &World, run: &Run) -> String {
    let error = run.error();
    redact::text(
        world,
        &format!(
            "{}: {}",
            error["message"].as_str().unwrap(),
            error["hint"].as_str().unwrap_or_default()
        ),
    )
}

#[test]
fn dev_of_what_cannot_be_served_is_refused_and_left_alone() {
    let world = World::with_app("create table t (x)");
    world.ok(["db", "replicate", "app", "lhr"]);
    let mut replicas = std::fs::read_dir(world.data_dir().join("locations/lhr"))
        .unwrap()
        .flatten();
    let replica = replicas.find(|entry| entry.path().extension().is_some_and(|end| end == "db"));
    let replica = replica.unwrap().path();
    world.write(
        "text.db",
        "no database at all, and long enough not to be taken for a short one".repeat(9),
    );
    let good = world.work().join("good.db");
    sqlite3(&world, &good, "CREATE TABLE t (x)").unwrap();
    std::fs::hard_link(&good, world.work().join("second.db")).unwrap();
    let odd = world.work().join("odd one.db");
    sqlite3(&world, &odd, "CREATE VIEW v AS SELECT readfile('x')").unwrap();
    std::fs::create_dir(world.work().join("folder.db")).unwrap();
    std::os::unix::fs::symlink("nowhere.db", world.work().join("dangling.db")).unwrap();
    let mut all = String::new();
    for (args, exit, code) in [
        (vec!["--db-file", "text.db"], 1, "invalid_file"),
        (vec!["--db-file", "folder.db"], 1, "invalid_file"),
        (vec!["--db-file", "second.db"], 1, "invalid_file"),
        (vec!["--db-file", "dangling.db"], 1, "invalid_file"),
        (vec!["--db-file", "odd one.db"], 1, "invalid_file"),
        (vec!["--db-file", replica.to_str().unwrap()], 1, "invalid_file"),
        (vec!["--db-file", "none/app.db"], 3, "file_not_found"),
        (vec!["--db-file", "good.db", "--accept-older"], 5, "conflict"),
        (vec!["--db", "none"], 3, "database_not_found"),
        (vec!["--db", "app", "--db-file", "good.db"], 2, "usage"),
    ] {
        let run = refused(&world, &args).fails(exit, code);
        all += &(words(&world, &run) + "\n");
    }
    insta::assert_snapshot!(all);
    assert_eq!(remains(&world), Vec::<String>::new());
    assert_eq!(sqlite3(&world, &good, "PRAGMA integrity_check").unwrap(), "ok");
    assert_eq!(sqlite3(&world, &odd, "SELECT name FROM sqlite_schema").unwrap(), "v");
}

#[test]
fn dev_of_a_file_that_somebody_has_open_is_refused() {
    let world = World::new();
    for mode in ["DELETE", "WAL"] {
        let file = world.work().join(format!("{mode}.db"));
        let mut shell = world
            .command("sqlite3")
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = shell.stdin.take().unwrap();
        writeln!(
            input,
            "PRAGMA journal_mode = {mode}; CREATE TABLE t (x); SELECT 'ready';"
        )
        .unwrap();
        let output = BufReader::new(shell.stdout.take().unwrap());
        assert!(output.lines().any(|line| line.unwrap() == "ready"));
        // It is idle now, and holds no lock.
        let run = refused(&world, &["--db-file", file.to_str().unwrap()]).fails(7, "database_busy");
        assert!(words(&world, &run).contains("sqlite3 (process"), "{}", run.report());
        writeln!(input, "INSERT INTO t VALUES (1);").unwrap();
        drop(input);
        assert!(shell.wait().unwrap().success());
        let mut dev = Dev::start(&world, &["--db-file", file.to_str().unwrap()]);
        assert_eq!(dev.execute("SELECT x FROM t")[0][0]["value"], "1");
        // Nobody can open it now.
        assert!(sqlite3(&world, &file, "SELECT x FROM t").is_err());
        assert!(sqlite3(&world, &file, "INSERT INTO t VALUES (2)").is_err());
        let run = refused(&world, &["--db-file", file.to_str().unwrap()]).fails(7, "database_busy");
        assert!(
            words(&world, &run).contains(dev.url().rsplit_once(':').unwrap().0),
            "{}",
            run.report()
        );
        assert_eq!(dev.end(Signal::SIGTERM), Some(0), "{}", said(&world));
        assert_eq!(sqlite3(&world, &file, "SELECT x FROM t").unwrap(), "1");
    }
}

#[test]
fn dev_on_a_port_that_is_taken_is_refused() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut command = world.torso_command(["dev", "--json", "--port", &port, "--sqld"]);
    command.arg(sqld::program());
    let run = Run::of(command).fails(5, "conflict");
    assert!(words(&world, &run).contains("--port"), "{}", run.report());
    assert!(!world.work().join("dev.db").exists());
}

/// A killed session of `app.db`, which has one row that was acknowledged while it was served.
fn killed(world: &World) -> std::path::PathBuf {
    let file = world.work().join("app.db");
    sqlite3(world, &file, "CREATE TABLE t (x)").unwrap();
    let mut dev = Dev::start(world, &["--db-file", "app.db"]);
    dev.execute("INSERT INTO t VALUES (1)");
    assert_eq!(dev.end(Signal::SIGKILL), None);
    assert!(
        sqlite3(world, &file, "SELECT * FROM t").is_err(),
        "an older state was read"
    );
    file
}

#[test]
fn dev_that_was_killed_is_put_back_by_any_command_that_opens_the_file() {
    let world = World::new();
    for line in [
        vec!["db", "shell", "app.db", "SELECT x FROM t"],
        vec!["db", "create", "made", "--from-file", "app.db"],
        vec!["db", "import", "app.db", "other"],
    ] {
        let file = killed(&world);
        let run = world.torso(&line).success();
        assert!(
            run.stderr.contains("Put back what torso dev had served"),
            "{}",
            run.report()
        );
        assert_eq!(sqlite3(&world, &file, "SELECT x FROM t").unwrap(), "1", "{line:?}");
        assert_eq!(remains(&world), Vec::<String>::new());
        std::fs::remove_file(&file).unwrap();
    }
    assert_eq!(world.query("made", "select x from t"), "1");
    assert_eq!(world.query("other", "select x from t"), "1");
}

#[test]
fn dev_that_was_killed_over_a_database_is_put_back_by_its_commands() {
    for line in [
        "db export app --output-file out.db",
        "db branch app twig",
        "db env app",
        "db sync app",
    ] {
        let world = World::with_app("create table t (x)");
        world.ok(["db", "replicate", "app", "lhr"]);
        let mut dev = Dev::start(&world, &["--db", "app"]);
        dev.execute("INSERT INTO t VALUES (1)");
        dev.end(Signal::SIGKILL);
        world.ok(line.split(' '));
        let file = world.ok(["db", "show", "app", "--path"]);
        let file = std::path::Path::new(file.trim());
        assert_eq!(sqlite3(&world, file, "SELECT x FROM t").unwrap(), "1", "{line}");
        assert_eq!(sqlite3(&world, file, "PRAGMA journal_mode").unwrap(), "wal", "{line}");
        let replica = ["db", "shell", "app", "--location", "lhr", "select x from t"];
        assert_eq!(world.ok(replica), "1\n", "{line}");
    }
}

#[test]
fn dev_that_was_killed_comes_back_although_the_file_was_removed() {
    let world = World::new();
    let file = killed(&world);
    std::fs::remove_file(&file).unwrap();
    let mut dev = Dev::start(&world, &["--db-file", "app.db"]);
    assert_eq!(dev.execute("SELECT x FROM t")[0][0]["value"], "1");
    assert_eq!(dev.end(Signal::SIGTERM), Some(0));
    assert_eq!(sqlite3(&world, &file, "SELECT x FROM t").unwrap(), "1");
}

#[test]
fn dev_whose_file_was_replaced_keeps_both() {
    let world = World::new();
    let file = world.work().join("app.db");
    sqlite3(&world, &file, "CREATE TABLE t (x)").unwrap();
    let mut dev = Dev::start(&world, &["--db-file", "app.db"]);
    dev.execute("INSERT INTO t VALUES (1)");
    std::fs::remove_file(&file).unwrap();
    sqlite3(&world, &file, "CREATE TABLE mine (x)").unwrap();
    assert_eq!(dev.end(Signal::SIGTERM), Some(0), "{}", said(&world));
    assert!(
        said(&world).contains("was replaced while torso dev served it"),
        "{}",
        said(&world)
    );
    assert_eq!(
        sqlite3(&world, &file, "SELECT name FROM sqlite_schema").unwrap(),
        "mine"
    );
    let names = std::fs::read_dir(world.work()).unwrap().flatten();
    let aside = names
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().contains(".served-"));
    assert_eq!(sqlite3(&world, &aside.unwrap(), "SELECT x FROM t").unwrap(), "1");
    assert_eq!(remains(&world), Vec::<String>::new());
}

#[test]
fn dev_whose_folder_was_removed_takes_the_older_state_only_when_told_to() {
    let world = World::new();
    let file = killed(&world);
    std::fs::remove_dir_all(world.work().join("app.db-torso")).unwrap();
    let run = refused(&world, &["--db-file", "app.db"]).fails(1, "invalid_file");
    assert!(words(&world, &run).contains("--accept-older"), "{}", run.report());
    assert!(sqlite3(&world, &file, "SELECT count(*) FROM t").is_err());
    let mut dev = Dev::start(&world, &["--db-file", "app.db", "--accept-older"]);
    assert_eq!(dev.execute("SELECT count(*) FROM t")[0][0]["value"], "0");
    assert_eq!(dev.end(Signal::SIGTERM), Some(0));
    assert_eq!(sqlite3(&world, &file, "PRAGMA integrity_check").unwrap(), "ok");
}

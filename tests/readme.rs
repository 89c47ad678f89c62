//! The sessions of README and docs/tutorial-server.md, run by the scripts that they name, with the built program in place
//! of a release build. Also the recipe for CI of `docs/scripting.md`.

use crate::support::{Run, World, crate_root, installed, sqld, tree, world::TORSO};
use std::path::Path;

#[test]
fn the_first_session_works_as_written() {
    let world = World::new();
    let before = tree::list(world.root());
    let mut command = world.command("sh");
    command.arg(crate_root().join("docs/first-session.sh"));
    command.env("TORSO_BIN", Path::new(TORSO).parent().unwrap());
    let run = Run::of(command).success();
    let typed: Vec<&str> = run.stdout.lines().filter(|line| line.starts_with("$ ")).collect();
    assert!(typed.len() >= 5, "{}", run.report());

    // Every line of README's block was typed, word for word, and real rows came out.
    let readme = std::fs::read_to_string(crate_root().join("README.md")).unwrap();
    for line in &typed {
        assert!(readme.contains(&line[2..]), "README does not say {line}");
    }
    assert!(
        run.stdout.contains("3322"),
        "the planes were not counted\n{}",
        run.report()
    );
    assert_eq!(tree::list(world.root()), before, "the session left something behind");
}

#[cfg(unix)]
#[test]
fn the_session_with_a_server_works_as_written() {
    let world = World::new();
    let before = tree::list(world.root());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let mut command = world.command("sh");
    command.arg(crate_root().join("docs/server-session.sh"));
    command.env("TORSO_BIN", Path::new(TORSO).parent().unwrap());
    command.env("TORSO_SQLD", sqld::program());
    command.env("NODE_MODULES", installed::npm().join("node_modules"));
    command.env("PORT", port);
    let run = Run::of(command).success();
    let typed: Vec<&str> = run.stdout.lines().filter(|line| line.starts_with("$ ")).collect();

    // Every line of the page's block was typed, word for word.
    let page = std::fs::read_to_string(crate_root().join("docs/tutorial-server.md")).unwrap();
    let block = page.split("<!-- server session -->\n```sh\n").nth(1).unwrap();
    let written: Vec<String> = block
        .split("```")
        .next()
        .unwrap()
        .lines()
        .map(|line| format!("$ {line}"))
        .collect();
    assert_eq!(typed, written, "{}", run.report());
    // The application is the one that the page shows, and what it wrote was there after the second start.
    let app = std::fs::read_to_string(crate_root().join("docs/app.mjs")).unwrap();
    let code = app.split_once('\n').unwrap().1;
    assert!(
        page.contains(code),
        "docs/tutorial-server.md shows another application than docs/app.mjs"
    );
    assert!(run.stdout.contains("2 notes\n"), "{}", run.report());
    assert!(run.stdout.contains("hello\nfrom an application\n"), "{}", run.report());
    assert_eq!(tree::list(world.root()), before, "the session left something behind");
}

/// The recipe for CI in a world, with tests that are a script of a shell.
#[cfg(unix)]
fn recipe(world: &World, tests: &str) -> std::process::Command {
    world.write("schema.sql", "CREATE TABLE t (x); INSERT INTO t VALUES (1);");
    let mut command = world.command("sh");
    let path = format!(
        "{}:/usr/local/bin:/usr/bin:/bin",
        Path::new(TORSO).parent().unwrap().display()
    );
    command.env("PATH", path);
    command.arg(crate_root().join("docs/ci.sh")).args(["sh", "-c", tests]);
    command
}

#[cfg(unix)]
#[test]
fn ci_recipe_is_the_documented_one_and_gives_each_run_a_new_database() {
    let page = std::fs::read_to_string(crate_root().join("docs/scripting.md")).unwrap();
    let script = std::fs::read_to_string(crate_root().join("docs/ci.sh")).unwrap();
    assert!(
        page.contains(&format!("```sh\n{script}```")),
        "the page shows another recipe"
    );
    let world = World::new();
    let tests = "case $DATABASE_URL in file:*) ;; *) exit 9;; esac
        db=${DATABASE_URL#file:}; sqlite3 $db 'insert into t values (2)'; sqlite3 $db 'select count(*) from t'";
    for _ in 0..2 {
        // What the run before wrote is not there.
        assert_eq!(Run::of(recipe(&world, tests)).success().stdout, "2\n");
        assert!(world.databases().is_empty());
    }
}

#[cfg(unix)]
#[test]
fn ci_recipe_leaves_nothing_behind_when_tests_or_torso_fail() {
    let world = World::new();
    let run = Run::of(recipe(&world, "exit 7"));
    assert_eq!(run.code(), 7, "{}", run.report());
    assert!(world.databases().is_empty());
    // Without a database no tests run.
    let mut command = recipe(&world, "echo ran");
    world.write("schema.sql", "CREATE TABLE t (x;");
    command.env("CI", "true");
    let run = Run::of(command);
    assert_ne!(run.code(), 0, "{}", run.report());
    assert!(!run.stdout.contains("ran"), "{}", run.report());
    assert!(world.databases().is_empty());
}

#[cfg(unix)]
#[test]
fn ci_recipe_ends_tests_and_database_at_a_signal() {
    use nix::sys::signal::{Signal, kill};
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        let world = World::new();
        let mut process = recipe(&world, "echo $$ > pid; exec sleep 60").spawn().unwrap();
        crate::support::until("the tests run", || {
            std::fs::read_to_string(world.work().join("pid")).is_ok_and(|pid| pid.ends_with('\n'))
        });
        kill(nix::unistd::Pid::from_raw(process.id().try_into().unwrap()), signal).unwrap();
        assert_eq!(process.wait().unwrap().code(), Some(code), "{signal}");
        assert!(world.databases().is_empty(), "{signal}");
        let pid: i32 = std::fs::read_to_string(world.work().join("pid"))
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        assert!(
            kill(nix::unistd::Pid::from_raw(pid), None).is_err(),
            "{signal}: the tests go on"
        );
    }
}

//! The sessions of README and docs/tutorial-server.md, run by the scripts that they name, with the built program in place
//! of a release build. Also the recipe for CI of `docs/scripting.md`.

use crate::support::{Run, World, crate_root, installed, sqld, tree, world::TORSO};
use std::path::Path;

#[test]
fn readme_first_session_works_as_written() {
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
fn readme_session_with_a_server_works_as_written() {
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

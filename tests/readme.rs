//! README's first session, run by the script that README names, with the built program in place of a release build.

use crate::support::{Run, World, crate_root, tree, world::TORSO};
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

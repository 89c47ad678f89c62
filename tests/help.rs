//! Help as people see it: on a terminal, in a pipe, and through a pager.

use crate::support::World;

#[test]
fn help_of_a_command_is_paged_where_it_does_not_fit() {
    let mut world = World::new();
    world.set("PAGER", "sed 's/^/paged: /'");
    let shown = world.terminal(&["help", "scripting"]).exp_eof().unwrap();
    assert!(shown.contains("paged: "), "{shown}");
    // A screenful is not, and neither is what a pipe gets.
    let shown = world.terminal(&["db", "create", "-h"]).exp_eof().unwrap();
    assert!(shown.contains("--from-file") && !shown.contains("paged: "), "{shown}");
    assert!(!world.ok(["help", "scripting"]).contains("paged: "));
}

#[test]
fn help_is_wrapped_at_the_width_that_the_environment_names() {
    let mut world = World::new();
    for width in [50, 80] {
        world.set("COLUMNS", width.to_string());
        for topic in [
            "options",
            "scripting",
            "exit-codes",
            "environment",
            "sizes",
            "locations",
        ] {
            let page = world.ok(["help", topic]);
            // Code is not wrapped: it is to be typed.
            let is_code = |line: &str| line.starts_with("    ");
            let widest = page
                .lines()
                .filter(|line| !is_code(line))
                .map(|line| line.chars().count())
                .max();
            assert!(widest.unwrap() <= width, "{topic} at {width}:\n{page}");
        }
    }
}

#[test]
fn torso_alone_names_the_current_context() {
    let world = World::new();
    assert!(world.ok([""; 0]).contains("You are in context local: this machine."));
    world.ok(["context", "add", "prod", "--url", "https://db.example.com"]);
    let page = world.ok(["--context", "prod"]);
    assert!(
        page.contains("You are in context prod: https://db.example.com"),
        "{page}"
    );
    world.ok(["context", "use", "prod"]);
    for args in [&[][..], &["-h"], &["help"]] {
        assert!(world.ok(args).contains("You are in context prod"), "{args:?}");
    }
}

#[test]
fn noun_without_a_verb_shows_its_page_and_exits_2() {
    let run = World::new().torso(["db"]);
    assert_eq!(run.code(), 2);
    assert!(run.stderr.contains("Usage: torso db <COMMAND>"), "{}", run.report());
    assert_eq!(run.stdout, "");
}

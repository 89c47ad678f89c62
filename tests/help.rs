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
fn torso_without_arguments_names_the_current_context() {
    let world = World::new();
    let local = world.ok([""; 0]);
    insta::assert_snapshot!(local.replace(env!("CARGO_PKG_VERSION"), "[version]"), @"
    torso [version]: SQLite databases by name, with replicas, a shell and a server
    Usage: torso COMMAND [OPTIONS]
    Start here: torso db create app, then torso db shell app

    Databases     db                Create, query, copy and replicate databases
                  group             Databases that share locations and tokens
                  apply             Make databases and groups as a file declares them
                  location          Named places for databases, and their state
    Applications  run               Run a command with a database of its own
                  env, link         Connect a folder's application with a database
                  wait, gc          Wait for a database; destroy what has expired
    Where         context           Where commands run: here, a server or Turso Cloud
                  auth, org         Log in to a server; its organizations and members
                  api               Send any API request to the server
    Servers       server, node      Serve databases; be a location of a server
                  dev, engine       Serve a file to clients; install libSQL server
    This machine  config            Show and change your settings
                  doctor            Find problems, and say how to fix them
                  completion, help  Complete words in a shell; explain everything
    torso help TOPIC: options scripting environment exit-codes shell sizes locations
    You are in context local: this machine.
    ");
    world.ok(["context", "add", "prod", "--url", "https://db.example.com"]);
    let there = world.ok(["--context", "prod"]);
    assert_eq!(
        there,
        local.replace("context local: this machine.", "context prod: https://db.example.com/")
    );
    world.ok(["context", "use", "prod"]);
    for args in [&[][..], &["-h"], &["help"]] {
        assert_eq!(world.ok(args), there, "{args:?}");
    }
}

#[test]
fn noun_without_a_verb_shows_its_page_and_exits_2() {
    let world = World::new();
    let run = world.torso(["db"]);
    let page = world.ok(["db", "--help"]);
    assert_eq!(
        (run.code(), run.stdout.as_str(), run.stderr.as_str()),
        (2, "", page.as_str())
    );
}

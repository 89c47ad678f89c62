//! The program for `rusqlite` in `docs/connect-rust.md`: the same lines, run on a database of torso's.

use super::pages;
use crate::support::World;
use std::error::Error;
use std::process::Command;

fn program() -> Result<(), Box<dyn Error>> {
    // Begin of the program.
    let path = std::env::var("DATABASE_PATH")?; // torso db show app --path
    let db = rusqlite::Connection::open(path)?;
    db.busy_timeout(std::time::Duration::from_secs(5))?; // waits up to 5 seconds for a lock
    db.execute("insert into notes (body) values (?1)", ["from Rust"])?;
    // End of the program.
    Ok(())
}

/// The test runs itself once more, as a process with the variable that the program reads.
#[test]
fn docs_program_of_rust_writes_a_row() {
    if std::env::var_os("DATABASE_PATH").is_some() {
        program().unwrap();
        return;
    }
    let world = World::new();
    world.ok(["db", "create", "app", "--location", "ams"]);
    world.ok(["db", "shell", "app", "create table notes (body)"]);
    // Its lines are kept apart: whoever counts the results of all tests must not count this one twice.
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "docs::rust::docs_program_of_rust_writes_a_row"])
        .env("DATABASE_PATH", world.ok(["db", "show", "app", "--path"]).trim())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(
        world.ok(["db", "shell", "app", "select body from notes"]),
        "from Rust\n"
    );
}

#[test]
fn docs_program_of_rust_is_the_one_that_runs() {
    let (_, rest) = include_str!("rust.rs")
        .split_once("// Begin of the program.\n")
        .unwrap();
    let (lines, _) = rest.split_once("    // End of the program.").unwrap();
    let lines: String = lines.lines().map(|line| format!("{}\n", line.trim())).collect();
    let page = pages::all()
        .into_iter()
        .find(|page| page.name() == "docs/connect-rust.md");
    let block = page
        .unwrap()
        .blocks()
        .into_iter()
        .find(|block| block.marker.as_deref() == Some("run: rust"));
    assert_eq!(words(&block.unwrap().text), words(&lines));
}

/// The formatter decides about spaces.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

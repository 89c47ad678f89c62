//! The system's `sqlite3`, as an oracle. It must be installed: a peer that is missing fails the test that needs it.

use super::{Run, World};
use std::path::Path;

/// Runs `sqlite3 FILE` on a script; its output.
#[track_caller]
pub fn run(world: &World, file: &Path, script: &str) -> String {
    let mut command = world.command("sqlite3");
    command.arg("-batch").arg(file).arg(script);
    Run::of(command).success().stdout
}

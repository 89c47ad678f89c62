//! Asking before a statement that may destroy much, where the database is marked as protected.
//!
//! Only a person at the terminal is asked, about what was typed there and for the database the shell was started on.

use super::screen;
use crate::shell::interrupt;
use crate::shell::state::{Shell, ShellResult};
use crate::sqltext::classify::{DestructiveKind, destructive_kind};
use std::io::{self, Write};

/// What a statement would do that deserves a question; none for all others.
fn danger(sql: &str) -> Option<&'static str> {
    destructive_kind(sql).map(|kind| match kind {
        DestructiveKind::Drops => "This drops a part of the schema, with its rows",
        DestructiveKind::Alters => "This alters the schema",
        DestructiveKind::UpdatesAllRows => "This updates every row of the table",
        DestructiveKind::DeletesAllRows => "This deletes every row of the table",
    })
}

/// Has the person at the terminal agree to `sql`, where that is called for. Fails if they do not.
pub fn confirm_statement(shell: &mut Shell<'_>, sql: &str) -> ShellResult {
    // Deeper than what is typed are files that are read.
    if shell.input.nesting != 1 || !screen::is_protected(shell) {
        return Ok(());
    }
    match danger(sql) {
        Some(danger) => confirm(shell, danger),
        None => Ok(()),
    }
}

/// Has the person at the terminal agree to what destroys much, where the database is protected. Fails if they do not.
pub fn confirm(shell: &mut Shell<'_>, danger: &str) -> ShellResult {
    if shell.input.nesting != 1 || !screen::is_protected(shell) {
        return Ok(());
    }
    shell.out.flush()?;
    let mut answer = String::new();
    let mut err = io::stderr();
    write!(err, "Delete protection is on. {danger}. Run it? [y/N] ")?;
    err.flush()?;
    if await_line() {
        io::stdin().read_line(&mut answer)?;
    } else {
        writeln!(err)?;
    }
    if !interrupt::pressed() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    shell.fail(format_args!("Not run."))
}

/// Waits until something was typed. False where Ctrl-C came first, which drops the question.
#[cfg(unix)]
fn await_line() -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd as _;
    let stdin = io::stdin();
    while !interrupt::pressed() {
        let mut typed = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        // A signal ends the wait with an error, after which Ctrl-C is seen.
        if poll(&mut typed, PollTimeout::from(100_u8)).is_ok_and(|ready| ready > 0) {
            return true;
        }
    }
    false
}

#[cfg(not(unix))]
fn await_line() -> bool {
    true
}

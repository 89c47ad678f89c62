//! `.progress`: interrupts statements that take too many steps. Only a local database can.

use super::CommandCall;
use super::local::local;
use crate::shell::state::{Shell, ShellResult};
use crate::shell::words::integer;
use std::os::raw::c_int;

/// Interrupts statements that take too many steps, and counts along.
pub fn progress(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let (mut quiet, mut once, mut limit, mut steps) = (false, false, 0_i64, 0_i64);
    let mut words = call.args.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix("--").or_else(|| word.strip_prefix('-')) {
            Some("quiet" | "q") => quiet = true,
            Some("once") => once = true,
            // The count begins again with each of these commands already.
            Some("reset") => {}
            Some("limit") => match words.next() {
                Some(number) => limit = integer(number),
                None => return shell.fail(format_args!("Error: missing argument on --limit")),
            },
            Some(_) => return shell.fail(format_args!("Error: unknown option: \"{word}\"")),
            None => steps = integer(word),
        }
    }
    let side = shell.tracing.hook_output.clone();
    let mut calls = 0_i64;
    let handler = move || {
        calls += 1;
        if limit > 0 && calls >= limit {
            side.push(&format!("Progress limit reached ({calls})"));
            if once {
                limit = 0;
            }
            return true;
        }
        if !quiet {
            side.push(&format!("Progress {calls}"));
        }
        false
    };
    let steps = c_int::try_from(steps.max(0)).unwrap_or(c_int::MAX);
    let connection = local(shell, "progress")?;
    let set = if steps > 0 {
        connection.progress_handler(steps, Some(handler))
    } else {
        connection.progress_handler(0, None::<fn() -> bool>)
    };
    match set {
        Ok(()) => Ok(()),
        Err(error) => shell.fail(format_args!("Error: {error}")),
    }
}

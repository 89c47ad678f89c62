//! `.watch`: a statement run again and again.

use super::CommandCall;
use crate::shell::exec::run_line;
use crate::shell::interrupt;
use crate::shell::state::{Shell, ShellResult};
use std::io::Write;
use std::time::{Duration, Instant};

/// How soon Ctrl-C is noticed between two runs.
const LOOK: Duration = Duration::from_millis(50);

/// Moves to the top left and clears what is below.
const CLEAR: &[u8] = b"\x1b[H\x1b[J";

const USAGE: &str = "Usage: .watch SECONDS ?--count N? SQL";

/// Waits, unless Ctrl-C is pressed.
fn pause(length: Duration) {
    let end = Instant::now() + length;
    while !interrupt::pressed() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(LOOK));
    }
}

pub fn watch(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let words = call.texts();
    let seconds = words.first().and_then(|word| word.parse::<f64>().ok());
    let pause_for = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let (count, sql) = match words[..] {
        [_, "--count" | "-count", number, _, ..] => match number.parse::<u64>() {
            Ok(number) => (Some(number), call.rest(3)),
            Err(_) => return shell.fail(format_args!("{USAGE}")),
        },
        [_, _, ..] => (None, call.rest(1)),
        _ => return shell.fail(format_args!("{USAGE}")),
    };
    let Some(pause_for) = pause_for.filter(|length| *length <= Duration::from_secs(86_400)) else {
        return shell.fail(format_args!("{USAGE}"));
    };
    if count.is_none() && !shell.input.interactive {
        return shell.fail(format_args!("Error: in a script .watch needs --count N"));
    }
    let clears = shell.terminal.is_some() && shell.out.is_standard();
    let line = shell.input.line;
    let mut done: u64 = 0;
    let ran = loop {
        if clears {
            shell.out.control(CLEAR)?;
        }
        if let Err(end) = run_line(shell, sql.as_bytes(), line) {
            break Err(end);
        }
        shell.out.flush()?;
        done += 1;
        if count.is_some_and(|count| done >= count) {
            break Ok(());
        }
        pause(pause_for);
        if interrupt::pressed() {
            break Ok(());
        }
    };
    if shell.input.interactive {
        // That was to end the watching, and nothing else.
        interrupt::clear();
    }
    ran
}

//! Scripts: lines of SQL and dot-commands from files, pipes and strings, run one after the other.

use super::prompt;
use crate::shell::exec::{self, batch, deferred, remote_script};
use crate::shell::input::{Input, Lines, Reader};
use crate::shell::interrupt;
use crate::shell::state::script::PendingBatch;
use crate::shell::state::{Interrupt, Shell, ShellResult};
use crate::sql::trailer;
use crate::sqltext::split::{Accumulator, LineOutcome};
use std::fs::File;
use std::io::Write;

/// Inputs may read each other this deep.
const DEEPEST: usize = 25;

/// Reads a script; `-` is standard input. Returns whether anything in it failed.
pub fn read_path(shell: &mut Shell<'_>, path: &std::path::Path) -> ShellResult<bool> {
    if path == std::path::Path::new("-") {
        return read_lines(shell, &mut Reader::new(std::io::stdin()));
    }
    match File::open(path) {
        Ok(mut file) => {
            if let Err(error) = trailer::verify(&mut file, &path.to_string_lossy()) {
                shell.say(format_args!("Error: {}", error.message()))?;
                return Ok(true);
            }
            read_lines(shell, &mut Reader::new(file))
        }
        Err(_) => {
            shell.say(format_args!("Error: cannot open \"{}\"", path.display()))?;
            Ok(true)
        }
    }
}

/// Runs everything that `lines` gives. Returns whether anything in it failed.
pub fn read_lines(shell: &mut Shell<'_>, lines: &mut dyn Lines) -> ShellResult<bool> {
    if shell.input.nesting == DEEPEST {
        let line = shell.input.line;
        shell.say(format_args!(
            "Input nesting limit ({DEEPEST}) reached at line {line}. Check recursion."
        ))?;
        return Ok(true);
    }
    shell.input.nesting += 1;
    shell.input.line = 0;
    // Nobody is asked who has not been connected yet.
    let within = shell
        .slot()
        .session
        .as_mut()
        .is_some_and(|session| session.in_transaction());
    let outer = (shell.input.in_dump, shell.input.failed_dump);
    (shell.input.in_dump, shell.input.failed_dump) = (false, false);
    let failed = read_all(shell, lines, within);
    (shell.input.in_dump, shell.input.failed_dump) = outer;
    shell.statements.skips_transaction = false;
    shell.input.nesting -= 1;
    if lines.is_dump() && !within && !matches!(failed, Err(Interrupt::Exit(_))) {
        return Ok(roll_back_dump(shell)? | failed?);
    }
    failed
}

/// A dump that ends within its transaction was cut off, or stopped. What it did is undone, and said. Tells whether that
/// was so.
fn roll_back_dump(shell: &mut Shell<'_>) -> ShellResult<bool> {
    if !shell.session()?.in_transaction() {
        return Ok(false);
    }
    let undone = shell.query("ROLLBACK", &[])?;
    shell.say(format_args!(
        "Error: the dump did not come to its end (it is cut off, or was stopped): nothing of it was written"
    ))?;
    if let Err(failure) = undone {
        shell.say(format_args!("Error: {failure}"))?;
    }
    Ok(true)
}

fn read_all(shell: &mut Shell<'_>, lines: &mut dyn Lines, within: bool) -> ShellResult<bool> {
    let typed = shell.input.at_prompt();
    let mut pending = Accumulator::default();
    let mut failed = false;
    while !failed || !shell.settings.bail || typed {
        if typed {
            prompt::print_prompt(shell, pending.is_pending())?;
        }
        if lines.may_wait() {
            match batch::send(shell) {
                Err(Interrupt::Failed(_)) => {
                    failed = true;
                    shell.input.failed_dump |= shell.input.in_dump;
                    continue;
                }
                other => other?,
            }
            shell.out.flush()?;
        }
        let text = match lines.next(pending.is_pending()) {
            Ok(Input::Text(text)) => text,
            Ok(Input::End) => {
                if typed {
                    prompt::end_prompt_line();
                }
                break;
            }
            Err(error) => {
                shell.say(format_args!("Error: cannot read: {error}"))?;
                return Ok(true);
            }
        };
        if interrupt::pressed() {
            if !typed {
                shell.statements.pending = PendingBatch::default();
                break;
            }
            interrupt::clear();
        }
        shell.input.in_dump = lines.is_dump() && !within;
        for line in text.split(|&byte| byte == b'\n') {
            match read_line(shell, &mut pending, line) {
                Ok(()) => {}
                Err(Interrupt::Failed(_)) => {
                    failed = true;
                    shell.input.failed_dump |= shell.input.in_dump;
                }
                Err(Interrupt::Quit) => return Ok(failed),
                Err(end) => return Err(end),
            }
        }
    }
    if pending.is_pending() {
        let line = pending.start_line();
        let text = pending.take();
        match run_sql_line(shell, &text, line) {
            Err(Interrupt::Failed(_)) => failed = true,
            other => other?,
        }
    }
    match batch::send(shell) {
        Err(Interrupt::Failed(_)) => failed = true,
        other => other?,
    }
    for end in [deferred::run_deferred, deferred::check_keys] {
        match end(shell) {
            Err(Interrupt::Failed(_)) => failed = true,
            other => other?,
        }
    }
    remote_script::reload_virtual_tables(shell)?;
    Ok(failed)
}

/// Takes in one line; runs what it completes.
pub fn read_line(shell: &mut Shell<'_>, pending: &mut Accumulator, line: &[u8]) -> ShellResult {
    shell.input.line += 1;
    match pending.feed(line, shell.input.line) {
        LineOutcome::Blank => echo(shell, line),
        LineOutcome::Command => {
            let sent = batch::send(shell);
            if sent.is_err() && shell.settings.bail {
                return sent;
            }
            echo(shell, line)?;
            let ran = match line.strip_prefix(b".") {
                Some(command) => super::run(shell, command),
                None => Ok(()),
            };
            ran.and(sent)
        }
        LineOutcome::More => Ok(()),
        LineOutcome::Dropped => {
            let text = pending.take();
            echo(shell, &text)
        }
        LineOutcome::Ready => {
            let begun = pending.start_line();
            let text = pending.take();
            let ran = run_sql_line(shell, &text, begun);
            shell.finish_command(true)?;
            ran
        }
    }
}

fn run_sql_line(shell: &mut Shell<'_>, text: &[u8], line: u64) -> ShellResult {
    if batch::queue(shell, text, line)? {
        return Ok(());
    }
    let sent = batch::send(shell);
    if sent.is_err() && shell.settings.bail {
        return sent;
    }
    echo(shell, text)?;
    shell.input.failed_dump |= shell.input.in_dump && sent.is_err();
    if shell.input.failed_dump && ends_dump(shell, text)? {
        return Err(Interrupt::Failed(1));
    }
    exec::run_line(shell, text, line).and(sent)
}

/// Undoes a dump of which something failed, where its last statement would commit the rest. False for other text.
fn ends_dump(shell: &mut Shell<'_>, text: &[u8]) -> ShellResult<bool> {
    let commits = std::str::from_utf8(text).is_ok_and(remote_script::commits);
    if !commits || !shell.session()?.in_transaction() {
        return Ok(false);
    }
    let undone = shell.query("ROLLBACK", &[])?;
    shell.say(format_args!(
        "Error: nothing of the dump was written, because one of its statements failed (see above)"
    ))?;
    if let Err(failure) = undone {
        shell.say(format_args!("Error: {failure}"))?;
    }
    shell.input.failed_dump = false;
    Ok(true)
}

fn echo(shell: &mut Shell<'_>, text: &[u8]) -> ShellResult {
    if shell.settings.echo {
        shell.out.write_all(text)?;
        shell.out.write_all(b"\n")?;
    }
    Ok(())
}

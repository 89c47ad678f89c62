//! `.prompt`, and the prompts themselves.

use super::CommandCall;
use crate::shell::editor::Prompt;
use crate::shell::exec::screen;
use crate::shell::state::{Shell, ShellResult};
use crate::sql::Target;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

pub fn prompt(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    if let Some(main) = call.args.first() {
        shell.settings.prompt = Some((main.clone(), call.args.get(1).cloned()));
    }
    Ok(())
}

/// What a program that drives the shell through pipes is told first, as classic tells it.
pub fn print_greeting(quiet: bool) -> ShellResult {
    if quiet || io::stdin().is_terminal() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "SQLite version {} (torso {})\nEnter \".help\" for usage hints.",
        rusqlite::version(),
        env!("CARGO_PKG_VERSION")
    )?;
    Ok(())
}

/// Ends the line of a prompt that nothing followed.
pub fn end_prompt_line() {
    if io::stdin().is_terminal() {
        if io::stderr().is_terminal() {
            let _ = io::stderr().lock().write_all(b"\n");
        }
    } else {
        // Nobody is left who could miss it.
        let _ = io::stdout().lock().write_all(b"\n");
    }
}

/// Asks for the next line where there is no terminal on both sides. A program that drives the shell through pipes
/// (`-interactive`) reads classic's prompts in the answers; a person whose answers go elsewhere sees ours beside them.
pub fn print_prompt(shell: &mut Shell<'_>, more: bool) -> ShellResult {
    const MORE: &str = "   ...> ";
    if io::stdin().is_terminal() {
        if !io::stderr().is_terminal() {
            return Ok(());
        }
        let prompt = if more {
            MORE.to_owned()
        } else {
            current(shell).main().to_owned()
        };
        shell.out.flush()?;
        let _ = io::stderr().lock().write_all(prompt.as_bytes());
        return Ok(());
    }
    let (main, continuation) = match &shell.settings.prompt {
        Some((main, continuation)) => (main.as_str(), continuation.as_deref()),
        None => ("sqlite> ", None),
    };
    let prompt = if more { continuation.unwrap_or(MORE) } else { main }.to_owned();
    shell.out.flush()?;
    let mut out = io::stdout().lock();
    out.write_all(prompt.as_bytes()).and_then(|()| out.flush())?;
    Ok(())
}

/// The prompt for a statement.
pub fn current(shell: &mut Shell<'_>) -> Prompt {
    if let Some((main, continuation)) = &shell.settings.prompt {
        return Prompt::custom(main, continuation.as_deref());
    }
    let in_transaction = shell
        .slot()
        .session
        .as_mut()
        .is_some_and(|session| session.in_transaction());
    let (location, replica) = match screen::terminal_options(shell) {
        Some(options) => (options.location.clone(), options.replica),
        None => (None, false),
    };
    let name = shell.slot().file.clone().unwrap_or_else(|| ":memory:".to_owned());
    let name = name.split('?').next().unwrap_or_default();
    let name = Path::new(name)
        .file_name()
        .map_or(name.into(), |name| name.to_string_lossy());
    let read_only = shell.slot().target.as_ref().is_some_and(Target::is_read_only);
    let role = if replica {
        Some("replica")
    } else {
        read_only.then_some("read-only")
    };
    Prompt::new(&name, location.as_deref(), role, in_transaction)
}

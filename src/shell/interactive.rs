//! The conversation with a person at a terminal: the line editor's loop, prompts, histories.
//!
//! Everything else is as in scripts. [`Terminal`](super::state::Terminal) exists only where standard input and output are
//! both a terminal.

use super::dot::{self, prompt, script};
use super::editor::{self, Editor, EditorConfig, EditorInput, foreign, history};
use super::exec::screen;
use super::interrupt;
use super::state::{Interrupt, Shell, ShellResult};
use crate::sql::Target;
use crate::sqltext::split::Accumulator;
use std::io::Write;
use std::path::PathBuf;

/// Reads and runs what is typed, until its end.
pub fn converse(shell: &mut Shell<'_>) -> ShellResult {
    let Some(terminal) = &shell.terminal else { return Ok(()) };
    let names = terminal.names.clone();
    let colour = terminal.options.colour;
    if !terminal.options.quiet {
        shell.say(format_args!(
            "torso {}, SQLite {}. Enter \".help\" for help, Ctrl-D to leave.",
            env!("CARGO_PKG_VERSION"),
            rusqlite::version()
        ))?;
    }
    let mut file = history_file(shell);
    let opened = Editor::open(EditorConfig {
        colour,
        history: file.clone(),
        commands: dot::specs().collect(),
        schema: names.clone(),
    });
    let mut editor = match opened {
        Ok(editor) => editor,
        Err(error) => return shell.fail(format_args!("Error: {error}")),
    };
    shell.input.nesting = 1;
    let mut warned = false;
    loop {
        shell.out.flush()?;
        let now = history_file(shell);
        if now != file {
            editor.switch_history(now.clone());
            file = now;
        }
        if let Some(text) = shell.terminal.as_mut().and_then(|terminal| terminal.next.take()) {
            editor.preload(&text);
        }
        if let Some(target) = &shell.slot().target {
            names.read_ahead(target);
        }
        let prompt = prompt::current(shell);
        let input = screen::lend_session(shell, &names, || editor.read(&prompt));
        match input {
            Ok(EditorInput::Statement(text)) => match run_typed(shell, &text) {
                Err(Interrupt::Quit) if may_leave(shell, &mut warned)? => return Ok(()),
                Err(Interrupt::Quit) => {}
                Ok(()) | Err(Interrupt::Failed(_)) => warned = false,
                Err(end) => return Err(end),
            },
            Ok(EditorInput::Eof) if may_leave(shell, &mut warned)? => return Ok(()),
            Ok(EditorInput::Eof) => {}
            Ok(EditorInput::Interrupt { empty: true }) => {
                shell.say(format_args!("Ctrl-D or .quit leaves."))?;
            }
            Ok(EditorInput::Interrupt { empty: false }) => {}
            Ok(EditorInput::NotText) => {
                shell.say(format_args!(
                    "What was typed is not UTF-8, and was dropped. Set the terminal to UTF-8, or write char(233) for é."
                ))?;
            }
            Err(error) => return shell.fail(format_args!("Error: {error}")),
        }
    }
}

/// Whether the session may end. An open transaction, whose changes would be lost, is mentioned once.
fn may_leave(shell: &mut Shell<'_>, warned: &mut bool) -> ShellResult<bool> {
    let open = shell
        .slot()
        .session
        .as_mut()
        .is_some_and(|session| session.in_transaction());
    if !open || std::mem::replace(warned, true) {
        return Ok(true);
    }
    shell.say(format_args!(
        "A transaction is open: COMMIT; keeps its changes, ROLLBACK; drops them. Leave again to drop them."
    ))?;
    Ok(false)
}

/// Answers what is no SQL, or cannot be run as it was meant. False for all else.
fn answer_slip(shell: &mut Shell<'_>, text: &str) -> ShellResult<bool> {
    if let Some(meant) = foreign::translate(text) {
        shell.say(format_args!("Not known here: {meant}."))?;
        return Ok(true);
    }
    if let Some(command) = editor::forgotten_end(text) {
        shell.say(format_args!(
            "Nothing was run: the statement before \"{command}\" does not end with \";\". Complete it, or drop it with Ctrl-C."
        ))?;
        if let Some(terminal) = &mut shell.terminal {
            // On a line of its own what is typed next cannot become a part of the statement's last word.
            let statement = text.trim_end().trim_end_matches(command).trim_end();
            terminal.next = Some(format!("{statement}\n"));
        }
        return Ok(true);
    }
    Ok(false)
}

/// Runs what was typed or pasted: lines, as anywhere else.
fn run_typed(shell: &mut Shell<'_>, text: &str) -> ShellResult {
    interrupt::clear();
    shell.input.line = 0;
    // Who sees the error may type on; what was pasted behind it belongs to it.
    shell.statements.skips_transaction = false;
    if let Some(terminal) = &mut shell.terminal
        && !text.starts_with(".edit")
    {
        text.clone_into(&mut terminal.last);
    }
    if answer_slip(shell, text)? {
        return Ok(());
    }
    // A blank before a dot is a slip of the hand.
    let text = if text.trim_start().starts_with('.') {
        text.trim_start()
    } else {
        text
    };
    let lower = text.to_lowercase();
    let may_change = ["create", "drop", "alter", "rollback"]
        .iter()
        .any(|word| lower.contains(word));
    if let Some(terminal) = &shell.terminal
        && (may_change || text.starts_with('.'))
    {
        terminal.names.outdate();
    }
    let mut pending = Accumulator::default();
    for line in text.split('\n') {
        match script::read_line(shell, &mut pending, line.as_bytes()) {
            Ok(()) | Err(Interrupt::Failed(_)) => {}
            Err(end) => return Err(end),
        }
        // What is left of a paste was meant to stop as well.
        if interrupt::pressed() {
            break;
        }
    }
    Ok(())
}

/// Where the active database's history belongs.
fn history_file(shell: &mut Shell<'_>) -> Option<PathBuf> {
    let directory = shell.terminal.as_ref()?.options.histories.clone()?;
    let identity = match shell.slot().target.as_ref() {
        None | Some(Target::Memory) => ":memory:".to_owned(),
        Some(Target::File { path, .. }) => std::path::absolute(path)
            .unwrap_or_else(|_| path.clone())
            .to_string_lossy()
            .into_owned(),
        Some(Target::Remote { url, .. }) => format!("{}{}", url.host_str().unwrap_or_default(), url.path()),
    };
    Some(directory.join(history::key(&identity)))
}

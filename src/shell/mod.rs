//! The SQL shell: statements and dot-commands from arguments, files, pipes and people.
//!
//! In scripts it is the `sqlite3` shell to the byte (the generation up to 3.49, see `docs/shell.md`). [`run`] is the whole
//! of it; what was typed is understood by [`args`]. The rooms, each of which uses only those before it: `render` (output
//! modes), `terminal` (layouts that fit), `editor` (reading lines), `state` (settings and connections), `exec` (statements),
//! `dot` (dot-commands and scripts), `interactive` (the conversation). It knows no control plane: names are resolved by the
//! caller's [`Hooks`].

pub mod args;
mod command_spec;
pub mod compare;
mod dot;
pub mod dump;
pub mod editor;
mod exec;
pub mod import;
mod input;
mod interactive;
pub mod interrupt;
mod options;
mod output;
pub mod render;
mod state;
mod table_info;
pub mod terminal;
mod words;

pub use dot::transfer::copy_from;
pub use options::{Hooks, Resolve, ShellExit, ShellOptions, TerminalOptions};

use crate::sql::Target;
use args::Switch;
use dot::{prompt, script};
use input::Reader;
use state::{Interrupt, Shell, ShellResult, ShowPlan, Slot, Terminal, map};
use std::fs::File;
use std::io::{self, IsTerminal};
use terminal::layout;

/// Runs the shell to its end.
pub fn run(options: &ShellOptions, hooks: Hooks<'_>) -> ShellExit {
    if !is_one_local_statement(options) {
        interrupt::install();
    }
    let slot = Slot {
        file: Some(options.target.called(&options.name)),
        target: Some(options.target.clone()),
        ..Slot::default()
    };
    let mut shell = Shell::new(slot, hooks);
    shell.settings.json_errors = options.json_errors;
    let code = match start(&mut shell, options) {
        Ok(code) => code,
        Err(Interrupt::Exit(code)) => code,
        Err(Interrupt::Quit) => 0,
        Err(Interrupt::Failed(code)) => code,
        // Reported where it ran.
        Err(Interrupt::Statement(error)) => error.code,
    };
    let code = match shell.reset_output() {
        Err(Interrupt::Exit(other)) if code == 0 => other,
        _ if interrupt::pressed() && !shell.input.interactive => 130,
        _ => code,
    };
    shell.close(code & 0xff)
}

/// Whether the shell is run for a single statement on a file, and for nothing else.
fn is_one_local_statement(options: &ShellOptions) -> bool {
    let arguments = &options.arguments;
    let is_statement = |text: &[u8]| {
        let text = text.trim_ascii_end();
        let text = text.strip_suffix(b";").unwrap_or(text);
        !text.starts_with(b".") && !text.contains(&b';')
    };
    matches!(&options.target, Target::File { .. })
        && matches!(arguments.commands.as_slice(), [text] if is_statement(text))
        && arguments.files.is_empty()
        && arguments.init.is_none()
        && !arguments
            .interactive
            .unwrap_or_else(|| io::stdin().is_terminal() && arguments.reads_stdin())
}

fn start(shell: &mut Shell<'_>, options: &ShellOptions) -> ShellResult<i32> {
    let arguments = &options.arguments;
    shell.settings.bail = arguments.bail;
    shell.settings.nonce.clone_from(&arguments.nonce);
    shell.input.interactive = arguments
        .interactive
        .unwrap_or_else(|| io::stdin().is_terminal() && arguments.reads_stdin());
    if io::stdout().is_terminal() && !options.terminal.raw {
        shell.out.guard();
    }
    if shell.input.interactive {
        shell.terminal = Terminal::open(&options.terminal, &options.name, shell.hooks.databases);
    }
    if shell.terminal.is_some() {
        layout::prepare(&mut shell.settings.style);
    }
    // A file that is not there yet is made when something is asked of it, not because a name was mistyped.
    if matches!(&options.target, Target::File { path, .. } if path.exists()) {
        shell.session()?;
    }
    read_startup_file(shell, options)?;
    for switch in &arguments.switches {
        if let Some(code) = apply_switch(shell, switch)? {
            return Ok(code);
        }
    }
    if !arguments.files.is_empty() {
        let mut failed = false;
        for file in &arguments.files {
            failed |= script::read_path(shell, file)?;
            if failed && shell.settings.bail {
                break;
            }
        }
        return Ok(i32::from(failed));
    }
    if !arguments.commands.is_empty() {
        if is_one_local_statement(options)
            && let Some(engine) = shell.session()?.engine()
        {
            interrupt::install_when_slow(engine.connection());
        }
        return run_commands(shell, &arguments.commands);
    }
    if shell.terminal.is_some() {
        shell.input.typing = true;
        interactive::converse(shell)?;
        return Ok(0);
    }
    shell.input.typing = shell.input.interactive;
    if shell.input.typing {
        prompt::print_greeting(options.terminal.quiet)?;
    }
    let failed = script::read_lines(shell, &mut Reader::new(io::stdin()))?;
    Ok(i32::from(failed))
}

/// Reads the file given with `-init`, or else the user's own.
fn read_startup_file(shell: &mut Shell<'_>, options: &ShellOptions) -> ShellResult {
    let (path, demanded) = match (&options.arguments.init, &options.startup_file) {
        (Some(path), _) => (path, true),
        // What a person likes to see must not change what scripts print.
        (None, Some(path)) if shell.terminal.is_some() && path.exists() => (path, false),
        _ => return Ok(()),
    };
    let failed = match File::open(path) {
        Ok(file) => {
            if shell.input.interactive {
                shell.say(format_args!("-- Loading resources from {}", path.display()))?;
            }
            script::read_lines(shell, &mut Reader::new(file))?
        }
        Err(_) if demanded => {
            shell.say(format_args!("cannot open: \"{}\"", path.display()))?;
            true
        }
        Err(_) => false,
    };
    shell.input.line = 0;
    if failed && shell.settings.bail {
        return Err(Interrupt::Exit(1));
    }
    Ok(())
}

fn apply_switch(shell: &mut Shell<'_>, switch: &Switch) -> ShellResult<Option<i32>> {
    let style = &mut shell.settings.style;
    match switch {
        Switch::Mode(name) => {
            let before = style.clone();
            style.preset(name);
            // As flags, modes neither wrap, nor do all of them bring their separators.
            style.wrap = before.wrap;
            style.word_wrap = before.word_wrap;
            style.quote = before.quote;
            match name.as_str() {
                "column" | "csv" => style.row_separator = before.row_separator,
                "line" | "list" => {
                    style.row_separator = before.row_separator;
                    style.column_separator = before.column_separator;
                }
                _ => {}
            }
        }
        Switch::Separator(text) => style.column_separator = dot::cut(text),
        Switch::Newline(text) => style.row_separator = dot::cut(text),
        Switch::Null(text) => style.null = dot::cut(text),
        Switch::Headers(on) => {
            style.headers = *on;
            shell.settings.headers_chosen = true;
        }
        Switch::ShowEmpty => style.shows_empty = true,
        Switch::Echo => shell.settings.echo = true,
        Switch::Plan(full) => {
            shell.settings.show_plan = if *full { ShowPlan::Full } else { ShowPlan::On };
        }
        Switch::Stats => shell.settings.stats = exec::stats::ON,
        Switch::Mmap(bytes) => {
            shell.settings.mapped = Some(*bytes);
            if let Some(session) = &mut shell.slot().session {
                map(session.as_mut(), *bytes);
            }
        }
        Switch::Backslash => shell.settings.backslash = true,
        Switch::Safe => {
            shell.settings.always_safe = true;
            shell.trust(false);
            let guard = shell.connections.guard.clone();
            if let Some(session) = &mut shell.slot().session {
                guard.watch(session.as_mut());
            }
        }
        Switch::Command(text) => return run_switch_command(shell, text),
    }
    Ok(None)
}

/// Runs what came with `-cmd`. Errors only count under `-bail`.
fn run_switch_command(shell: &mut Shell<'_>, text: &[u8]) -> ShellResult<Option<i32>> {
    let code = if let Some(command) = text.strip_prefix(b".") {
        match dot::run(shell, command) {
            Ok(()) => None,
            Err(Interrupt::Failed(code)) => Some(code),
            Err(Interrupt::Quit) => Some(0),
            Err(end) => return Err(end),
        }
    } else {
        match exec::run_argument(shell, text) {
            Ok(()) => None,
            Err(Interrupt::Failed(code)) => Some(code),
            Err(end) => return Err(end),
        }
    };
    Ok(code.filter(|_| shell.settings.bail))
}

/// Runs the SQL and the dot-commands among the arguments, up to the first that fails.
fn run_commands(shell: &mut Shell<'_>, commands: &[Vec<u8>]) -> ShellResult<i32> {
    for text in commands {
        if let Some(command) = text.strip_prefix(b".") {
            match dot::run(shell, command) {
                Ok(()) => {}
                Err(Interrupt::Failed(code)) => return Ok(code),
                Err(Interrupt::Quit) => return Ok(0),
                Err(end) => return Err(end),
            }
        } else {
            // Also where the text holds no statement.
            shell.session()?;
            match exec::run_argument(shell, text) {
                Ok(()) => {}
                Err(Interrupt::Failed(code)) => return Ok(code),
                Err(end) => return Err(end),
            }
        }
    }
    Ok(0)
}

/// Says that the arguments make no sense, as the `sqlite3` shell does. Returns the exit code.
#[must_use]
pub fn refuse_arguments(problem: &str) -> i32 {
    state::complain(format_args!(
        "torso: Error: {problem}\nUse -help for a list of options."
    ));
    1
}

/// What `-version` answers.
#[must_use]
pub fn version() -> String {
    let connection = rusqlite::Connection::open_in_memory()
        .and_then(|engine| engine.query_row("SELECT sqlite_source_id()", [], |row| row.get::<_, String>(0)));
    let source = connection.map(|source| format!("{source} ")).unwrap_or_default();
    format!("{} {source}(torso {})", rusqlite::version(), env!("CARGO_PKG_VERSION"))
}

//! The SQL shell: statements and dot-commands from arguments, files, pipes and people.
//!
//! In scripts it is the `sqlite3` shell to the byte (the generation up to 3.49, see `docs/shell.md`). [`run`] is the whole
//! of it; what was typed is understood by [`args`], settings and connections live in `state`, a text of statements is run
//! by `exec`, dot-commands are in `dot`, output modes in `render`. It knows no control plane: names are resolved by the
//! caller's [`Hooks`].

pub mod args;
mod caution;
mod dot;
pub mod dump;
pub mod editor;
mod exec;
pub mod import;
mod input;
pub mod interrupt;
mod output;
pub mod person;
mod plan;
pub mod render;
mod safe;
mod state;
mod to_server;
mod waiting;
mod words;

use crate::sql::Target;
use crate::sql::split::{Accumulator, Fed};
use crate::sql::trailer;
use args::{Arguments, Switch};
use editor::terminal;
use exec::ArgumentFailed;
use input::{Input, Lines, Reader};
use person::{Person, Terminal};
use state::{End, Ran, Shell, ShowPlan, Slot, map};
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use waiting::Waiting;

/// Inputs may read each other this deep.
const DEEPEST: usize = 25;

/// Turns a name given to `.open` into what it stands for; none if it is a path.
pub type Resolve<'h> = &'h dyn Fn(&str) -> crate::error::Result<Option<Target>>;

/// What the shell asks of its caller.
pub struct Hooks<'h> {
    pub resolve: Resolve<'h>,
    /// Said after a write was refused because the database is read-only: where writes go.
    pub read_only_hint: Option<String>,
    /// Said after a write was refused because the database is as large as it may be.
    pub full_hint: Option<String>,
    /// Where queries are kept by name; without it none are.
    pub queries: Option<PathBuf>,
    /// Names that `.open` could open, for completion.
    pub databases: &'h dyn Fn() -> Vec<String>,
}

/// What to run, and on what.
pub struct Options {
    /// The database, and what the user called it.
    pub target: Target,
    pub name: String,
    pub arguments: Arguments,
    /// Read before anything else, if it exists and no `-init` was given.
    pub startup_file: Option<PathBuf>,
    /// For whom, where a person types.
    pub person: Person,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    pub exit_code: i32,
    /// Whether anything may have been written.
    pub wrote: bool,
}

/// Runs the shell to its end.
pub fn run(options: &Options, hooks: Hooks<'_>) -> Ending {
    interrupt::install();
    let slot = Slot {
        file: Some(options.target.called(&options.name)),
        target: Some(options.target.clone()),
        ..Slot::default()
    };
    let mut shell = Shell::new(slot, hooks);
    let code = match shell.start(options) {
        Ok(code) => code,
        Err(End::Exit(code)) => code,
        Err(End::Quit) => 0,
        Err(End::Failed(code)) => code,
    };
    let code = match shell.reset_output() {
        Err(End::Exit(other)) if code == 0 => other,
        _ if interrupt::pressed() && !shell.interactive => 130,
        _ => code,
    };
    shell.ending(code & 0xff)
}

impl Shell<'_> {
    fn start(&mut self, options: &Options) -> Ran<i32> {
        let arguments = &options.arguments;
        self.settings.bail = arguments.bail;
        self.settings.nonce.clone_from(&arguments.nonce);
        self.interactive = arguments
            .interactive
            .unwrap_or_else(|| io::stdin().is_terminal() && arguments.reads_stdin());
        if io::stdout().is_terminal() && !options.person.raw {
            self.out.guard();
        }
        if self.interactive {
            self.terminal = Terminal::open(&options.person, &options.name, self.hooks.databases);
        }
        if self.terminal.is_some() {
            terminal::prepare(&mut self.settings.style);
        }
        // A file that is not there yet is made when something is asked of it, not because a name was mistyped.
        if matches!(&options.target, Target::File { path, .. } if path.exists()) {
            self.session()?;
        }
        self.startup(options)?;
        for switch in &arguments.switches {
            if let Some(code) = self.apply(switch)? {
                return Ok(code);
            }
        }
        if !arguments.files.is_empty() {
            let mut failed = false;
            for file in &arguments.files {
                failed |= self.read_path(file)?;
                if failed && self.settings.bail {
                    break;
                }
            }
            return Ok(i32::from(failed));
        }
        if !arguments.commands.is_empty() {
            return self.run_commands(&arguments.commands);
        }
        if self.terminal.is_some() {
            self.typing = true;
            self.converse()?;
            return Ok(0);
        }
        self.typing = self.interactive;
        if self.typing {
            person::greet(options.person.quiet)?;
        }
        let failed = self.read_lines(&mut Reader::new(io::stdin()))?;
        Ok(i32::from(failed))
    }

    /// Reads the file given with `-init`, or else the user's own.
    fn startup(&mut self, options: &Options) -> Ran {
        let (path, demanded) = match (&options.arguments.init, &options.startup_file) {
            (Some(path), _) => (path, true),
            (None, Some(path)) if path.exists() => (path, false),
            _ => return Ok(()),
        };
        let failed = match File::open(path) {
            Ok(file) => {
                if self.interactive {
                    self.say(format_args!("-- Loading resources from {}", path.display()))?;
                }
                self.read_lines(&mut Reader::new(file))?
            }
            Err(_) if demanded => {
                self.say(format_args!("cannot open: \"{}\"", path.display()))?;
                true
            }
            Err(_) => false,
        };
        self.line = 0;
        if failed && self.settings.bail {
            return Err(End::Exit(1));
        }
        Ok(())
    }

    fn apply(&mut self, switch: &Switch) -> Ran<Option<i32>> {
        let style = &mut self.settings.style;
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
                self.settings.headers_chosen = true;
            }
            Switch::Echo => self.settings.echo = true,
            Switch::Plan(full) => {
                self.settings.show_plan = if *full { ShowPlan::Full } else { ShowPlan::On };
            }
            Switch::Stats => self.settings.stats = dot::stats::ON,
            Switch::Mmap(bytes) => {
                self.settings.mapped = Some(*bytes);
                if let Some(session) = &mut self.slot().session {
                    map(session.as_mut(), *bytes);
                }
            }
            Switch::Backslash => self.settings.backslash = true,
            Switch::Safe => {
                self.settings.always_safe = true;
                self.trust(false);
                let guard = self.guard.clone();
                if let Some(session) = &mut self.slot().session {
                    guard.watch(session.as_mut());
                }
            }
            Switch::Command(text) => return self.run_switch_command(text),
        }
        Ok(None)
    }

    /// Runs what came with `-cmd`. Errors only count under `-bail`.
    fn run_switch_command(&mut self, text: &[u8]) -> Ran<Option<i32>> {
        let code = if let Some(command) = text.strip_prefix(b".") {
            match dot::run(self, command) {
                Ok(()) => None,
                Err(End::Failed(code)) => Some(code),
                Err(End::Quit) => Some(0),
                Err(end) => return Err(end),
            }
        } else {
            match self.run_argument(text) {
                Ok(()) => None,
                Err(ArgumentFailed::Code(code)) => Some(code),
                Err(ArgumentFailed::Ended(end)) => return Err(end),
            }
        };
        Ok(code.filter(|_| self.settings.bail))
    }

    /// Runs the SQL and the dot-commands among the arguments, up to the first that fails.
    fn run_commands(&mut self, commands: &[Vec<u8>]) -> Ran<i32> {
        for text in commands {
            if let Some(command) = text.strip_prefix(b".") {
                match dot::run(self, command) {
                    Ok(()) => {}
                    Err(End::Failed(code)) => return Ok(code),
                    Err(End::Quit) => return Ok(0),
                    Err(end) => return Err(end),
                }
            } else {
                // Also where the text holds no statement.
                self.session()?;
                match self.run_argument(text) {
                    Ok(()) => {}
                    Err(ArgumentFailed::Code(code)) => return Ok(code),
                    Err(ArgumentFailed::Ended(end)) => return Err(end),
                }
            }
        }
        Ok(0)
    }

    /// Reads a script. Returns whether anything in it failed.
    fn read_path(&mut self, path: &std::path::Path) -> Ran<bool> {
        match File::open(path) {
            Ok(mut file) => {
                if let Err(error) = trailer::verify(&mut file, &path.to_string_lossy()) {
                    self.say(format_args!("Error: {}", error.message()))?;
                    return Ok(true);
                }
                self.read_lines(&mut Reader::new(file))
            }
            Err(_) => {
                self.say(format_args!("Error: cannot open \"{}\"", path.display()))?;
                Ok(true)
            }
        }
    }

    /// Runs everything that `lines` gives. Returns whether anything in it failed.
    fn read_lines(&mut self, lines: &mut dyn Lines) -> Ran<bool> {
        if self.nesting == DEEPEST {
            let line = self.line;
            self.say(format_args!(
                "Input nesting limit ({DEEPEST}) reached at line {line}. Check recursion."
            ))?;
            return Ok(true);
        }
        self.nesting += 1;
        self.line = 0;
        // Nobody is asked who has not been connected yet.
        let within = self
            .slot()
            .session
            .as_mut()
            .is_some_and(|session| session.in_transaction());
        let failed = self.read_all(lines);
        self.nesting -= 1;
        if lines.is_dump() && !within && !matches!(failed, Err(End::Exit(_))) {
            return Ok(self.undo_what_was_cut_off()? | failed?);
        }
        failed
    }

    /// A dump that ends within its transaction was cut off, or stopped. What it did is undone, and said. Tells whether that
    /// was so.
    fn undo_what_was_cut_off(&mut self) -> Ran<bool> {
        if !self.session()?.in_transaction() {
            return Ok(false);
        }
        let undone = self.query("ROLLBACK", &[])?;
        self.say(format_args!(
            "Error: the dump did not come to its end (it is cut off, or was stopped): nothing of it is kept"
        ))?;
        if let Err(failure) = undone {
            self.say(format_args!("Error: {failure}"))?;
        }
        Ok(true)
    }

    fn read_all(&mut self, lines: &mut dyn Lines) -> Ran<bool> {
        let typed = self.at_prompt();
        let mut pending = Accumulator::default();
        let mut failed = false;
        while !failed || !self.settings.bail || typed {
            if typed {
                self.ask_without_terminal(pending.pending())?;
            }
            if lines.may_wait() {
                match self.send_waiting() {
                    Err(End::Failed(_)) => {
                        failed = true;
                        continue;
                    }
                    other => other?,
                }
                self.out.flush()?;
            }
            let text = match lines.next(pending.pending()) {
                Ok(Input::Text(text)) => text,
                Ok(Input::End) => {
                    if typed {
                        person::leave_without_terminal();
                    }
                    break;
                }
                Err(error) => {
                    self.say(format_args!("Error: cannot read: {error}"))?;
                    return Ok(true);
                }
            };
            if interrupt::pressed() {
                if !typed {
                    self.waiting = Waiting::default();
                    break;
                }
                interrupt::clear();
            }
            for line in text.split(|&byte| byte == b'\n') {
                match self.read_line(&mut pending, line) {
                    Ok(()) => {}
                    Err(End::Failed(_)) => failed = true,
                    Err(End::Quit) => return Ok(failed),
                    Err(end) => return Err(end),
                }
            }
        }
        if pending.pending() {
            let line = pending.start_line();
            let text = pending.take();
            match self.sql_line(&text, line) {
                Err(End::Failed(_)) => failed = true,
                other => other?,
            }
        }
        match self.send_waiting() {
            Err(End::Failed(_)) => failed = true,
            other => other?,
        }
        self.forget_modules()?;
        Ok(failed)
    }

    /// Takes in one line; runs what it completes.
    fn read_line(&mut self, pending: &mut Accumulator, line: &[u8]) -> Ran {
        self.line += 1;
        match pending.feed(line, self.line) {
            Fed::Blank => self.echo(line),
            Fed::Command => {
                let sent = self.send_waiting();
                if sent.is_err() && self.settings.bail {
                    return sent;
                }
                self.echo(line)?;
                let ran = match line.strip_prefix(b".") {
                    Some(command) => dot::run(self, command),
                    None => Ok(()),
                };
                ran.and(sent)
            }
            Fed::More => Ok(()),
            Fed::Dropped => {
                let text = pending.take();
                self.echo(&text)
            }
            Fed::Ready => {
                let begun = pending.start_line();
                let text = pending.take();
                let ran = self.sql_line(&text, begun);
                self.command_done(true)?;
                ran
            }
        }
    }

    fn sql_line(&mut self, text: &[u8], line: u64) -> Ran {
        if self.let_wait(text, line)? {
            return Ok(());
        }
        let sent = self.send_waiting();
        if sent.is_err() && self.settings.bail {
            return sent;
        }
        self.echo(text)?;
        self.run_line(text, line).and(sent)
    }

    fn echo(&mut self, text: &[u8]) -> Ran {
        if self.settings.echo {
            self.out.write_all(text)?;
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }
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
    let asked = rusqlite::Connection::open_in_memory()
        .and_then(|engine| engine.query_row("SELECT sqlite_source_id()", [], |row| row.get::<_, String>(0)));
    let source = asked.map(|source| format!("{source} ")).unwrap_or_default();
    format!("{} {source}(torso {})", rusqlite::version(), env!("CARGO_PKG_VERSION"))
}

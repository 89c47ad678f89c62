//! What the shell remembers: its settings, its connections, and where it stands in its input.

use super::dot::hooks::{Side, Traced};
use super::output::Output;
use super::person::Terminal;
use super::render::text::visible;
use super::render::{Escape, Style};
use super::safe::Guard;
use super::to_server::Translation;
use super::waiting::Waiting;
use super::{Ending, Hooks};
use crate::sql::query::collect;
use crate::sql::{self, Args, Failure, Outcome, ServerCost, Session, Sink, Target, Value};
use std::fmt;
use std::io::{self, IsTerminal, Write};

/// Connections that can be open side by side.
pub const SLOTS: usize = 5;

/// Why a dot-command, or the whole shell, did not go on. Whatever there was to say has been said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It failed; the input goes on unless errors are to stop it. The code is that of the program where it was an argument.
    Failed(i32),
    /// The end of this input.
    Quit,
    /// The end of everything, with this exit code.
    Exit(i32),
}

impl From<io::Error> for End {
    /// Results cannot be written. A closed pipe is no failure of ours.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Exit(0)
        } else {
            complain(format_args!("Error: cannot write: {error}"));
            Self::Exit(1)
        }
    }
}

pub type Ran<T = ()> = Result<T, End>;

/// Says something on standard error. Nobody can be told if that fails.
pub fn complain(text: fmt::Arguments<'_>) {
    let mut line = fmt::format(text);
    line.push('\n');
    let mut stderr = io::stderr();
    // What is said holds names and words of statements, which must not take a terminal over.
    let mut scratch = Vec::new();
    let escape = if stderr.is_terminal() {
        Escape::Symbol
    } else {
        Escape::Off
    };
    let _ = stderr.write_all(visible(line.as_bytes(), escape, &mut scratch));
}

/// Whether plans are shown before results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShowPlan {
    #[default]
    Off,
    On,
    /// With the plans of triggers.
    Trigger,
    /// With the program too.
    Full,
}

/// How the results of `EXPLAIN` are laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ExplainLayout {
    /// As programs and trees, when a statement asks to be explained.
    #[default]
    Auto,
    /// Everything as a program.
    On,
    Off,
}

/// Settings that dot-commands and arguments change.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub style: Style,
    /// The user decided on headers: choosing a mode leaves them alone.
    pub headers_chosen: bool,
    pub echo: bool,
    pub bail: bool,
    pub show_plan: ShowPlan,
    pub explain: ExplainLayout,
    pub changes: bool,
    pub timer: bool,
    /// 0 off, 1 all, 2 of the statement's, 3 only virtual machine steps.
    pub stats: u8,
    pub backslash: bool,
    /// So many bytes of each file are read through the address space, where that was asked for.
    pub mapped: Option<i64>,
    pub prompt: Option<(String, Option<String>)>,
    /// Nothing outside the database may be touched. `safe` may be lifted for one command by `.nonce`.
    pub safe: bool,
    pub always_safe: bool,
    pub nonce: Option<String>,
}

/// A file that results go to, to be opened in a program when it is complete.
pub struct ToOpen {
    pub file: tempfile::TempPath,
    /// What ends it.
    pub ending: &'static str,
    /// The settings to go back to.
    pub style: Style,
    pub echo: bool,
}

/// One of the connections.
#[derive(Default)]
pub struct Slot {
    /// As the user named it.
    pub file: Option<String>,
    pub target: Option<Target>,
    pub session: Option<Box<dyn Session>>,
    /// What `.parameter` keeps where the database cannot.
    pub parameters: Option<Box<dyn Session>>,
    /// What a script has told of itself.
    pub translation: Translation,
}

/// The shell.
pub struct Shell<'h> {
    pub settings: Settings,
    pub out: Output,
    pub slots: [Slot; SLOTS],
    pub active: usize,
    /// The line being read, from 1.
    pub line: u64,
    /// How many inputs are being read within each other.
    pub nesting: usize,
    /// Somebody types.
    pub interactive: bool,
    /// What is typed is being read by now, no longer what comes before it.
    pub typing: bool,
    /// Redirection ends when this reaches 0 (`.once`).
    pub redirected_for: u8,
    /// To be opened in a program when it is complete (`.once -x`).
    pub to_open: Option<ToOpen>,
    pub testcase: String,
    /// Statements may have parameters from `temp.sqlite_parameters`.
    pub parameters_used: bool,
    /// The next statements are not run, but told what indexes would help them (`.expert`).
    pub advises: bool,
    pub guard: Guard,
    /// What hooks said, and where `.trace` goes.
    pub side: Side,
    pub traced: Option<Traced>,
    pub trace_expanded: bool,
    /// Where `.log` writes what failed.
    pub log: Option<Traced>,
    /// What the statements of the last line cost on a server.
    pub cost: Option<ServerCost>,
    /// Statements on their way to a server.
    pub waiting: Waiting,
    /// Total changes on sessions that were closed.
    pub changed: u64,
    /// A statement was run that may have written: rows are counted, but a changed schema is not.
    pub wrote: bool,
    pub hooks: Hooks<'h>,
    /// The terminal, where a person types.
    pub terminal: Option<Terminal<'h>>,
}

/// A value as text, as `sqlite3_column_text` gives it, for short texts such as names.
#[must_use]
pub fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => {
            let mut text = Vec::new();
            super::render::number::push_rounded(&mut text, *number);
            String::from_utf8_lossy(&text).into_owned()
        }
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Has so many bytes of the file read through the address space. Results do not depend on it, so it may come to nothing; a
/// server has no address space of ours.
pub fn map(session: &mut dyn Session, bytes: i64) {
    if let Some(connection) = session.local() {
        let _ = connection.pragma_update(None, "mmap_size", bytes);
    }
}

impl<'h> Shell<'h> {
    /// Whether what runs now was typed, rather than read from a file.
    pub fn at_prompt(&self) -> bool {
        self.typing && self.nesting <= 1
    }

    pub fn new(first: Slot, hooks: Hooks<'h>) -> Self {
        let mut slots: [Slot; SLOTS] = Default::default();
        slots[0] = first;
        Self {
            settings: Settings::default(),
            out: Output::stdout(),
            slots,
            active: 0,
            line: 0,
            nesting: 0,
            interactive: false,
            typing: false,
            redirected_for: 0,
            to_open: None,
            testcase: String::new(),
            parameters_used: false,
            advises: false,
            guard: Guard::default(),
            side: Side::default(),
            traced: None,
            trace_expanded: false,
            log: None,
            cost: None,
            waiting: Waiting::default(),
            changed: 0,
            wrote: false,
            hooks,
            terminal: None,
        }
    }

    pub fn slot(&mut self) -> &mut Slot {
        &mut self.slots[self.active]
    }

    /// The active connection, opened now if it was not. A database that cannot be opened ends the shell.
    pub fn session(&mut self) -> Ran<&mut (dyn Session + 'static)> {
        if self.slot().session.is_none() {
            let target = self.slot().target.clone().unwrap_or(Target::Memory);
            match self.connect(&target) {
                Ok(session) => self.slot().session = Some(session),
                Err(error) => {
                    self.out.flush()?;
                    complain(format_args!("Error: {error}"));
                    return Err(End::Exit(1));
                }
            }
        }
        match &mut self.slots[self.active].session {
            Some(session) => Ok(session.as_mut()),
            None => Err(End::Exit(1)),
        }
    }

    /// Opens `target` with what the shell adds to a connection.
    pub fn connect(&mut self, target: &Target) -> crate::error::Result<Box<dyn Session>> {
        let mut session = sql::open(target)?;
        if self.settings.always_safe {
            self.guard.watch(session.as_mut());
        }
        if self.log.is_some() {
            session.watched();
        }
        if let Some(bytes) = self.settings.mapped {
            map(session.as_mut(), bytes);
        }
        super::interrupt::on_interrupt(session.interrupter());
        Ok(session)
    }

    /// Closes the active connection.
    pub fn disconnect(&mut self) {
        if let Some(mut session) = self.slot().session.take() {
            self.changed += session.total_changes();
        }
    }

    /// Runs one statement of the shell's own and keeps its rows.
    pub fn query(&mut self, sql: &str, args: &[Value]) -> Ran<Result<Vec<Vec<Value>>, Failure>> {
        Ok(collect(self.session()?, sql, args))
    }

    /// Like [`Self::query`], where failing ends the dot-command with `Error: …`.
    pub fn ask(&mut self, sql: &str, args: &[Value]) -> Ran<Vec<Vec<Value>>> {
        let result = self.query(sql, args)?;
        result.or_else(|failure| self.fail(format_args!("Error: {failure}")))
    }

    /// Runs one statement of the shell's own and shows what comes with `sink`.
    pub fn run_into(&mut self, sql: &str, sink: &mut dyn Sink) -> Ran<Result<Outcome, Failure>> {
        Ok(self.session()?.run(sql, &Args::default(), sink))
    }

    /// Says why, and that it failed.
    pub fn fail<T>(&mut self, why: fmt::Arguments<'_>) -> Ran<T> {
        self.say(why)?;
        Err(End::Failed(1))
    }

    /// Says something on standard error, after what was to be shown before it.
    pub fn say(&mut self, text: fmt::Arguments<'_>) -> Ran {
        self.out.flush()?;
        complain(text);
        Ok(())
    }

    /// A line of results.
    pub fn show(&mut self, line: fmt::Arguments<'_>) -> Ran {
        self.out.write_fmt(line)?;
        self.out.write_all(b"\n")?;
        Ok(())
    }

    /// Ends the shell if it may not touch what is outside the database.
    pub fn needs_trust(&mut self, what: fmt::Arguments<'_>) -> Ran {
        if !self.settings.safe {
            return Ok(());
        }
        let line = self.line;
        self.say(format_args!("line {line}: {what}"))?;
        Err(End::Exit(1))
    }

    /// Lifts safe mode for one command, or puts it back.
    pub fn trust(&mut self, lifted: bool) {
        self.settings.safe = self.settings.always_safe && !lifted;
        self.guard.set(self.settings.safe);
    }

    /// A switch among a dot-command's words.
    pub fn switch(&mut self, word: &str) -> Ran<i32> {
        match super::words::switch(word) {
            Some(value) => Ok(value),
            None => {
                self.say(format_args!("ERROR: Not a boolean value: \"{word}\". Assuming \"no\"."))?;
                Ok(0)
            }
        }
    }

    /// Ends redirection: results go to standard output again.
    pub fn reset_output(&mut self) -> Ran {
        let to_open = self.to_open.take();
        if let Some(to_open) = &to_open {
            self.out.write_all(to_open.ending.as_bytes())?;
        }
        self.out.reset()?;
        if let Some(to_open) = to_open {
            self.settings.style = to_open.style;
            self.settings.echo = to_open.echo;
            self.open_in_program(to_open.file)?;
        }
        Ok(())
    }

    /// Hands a finished file to the desktop. The file stays until the program has read it.
    fn open_in_program(&mut self, file: tempfile::TempPath) -> Ran {
        let Ok(path) = file.keep() else {
            return Ok(());
        };
        let opened = std::process::Command::new("xdg-open").arg(&path).status();
        if !opened.is_ok_and(|status| status.success()) {
            self.say(format_args!("Failed: [xdg-open {}]", path.display()))?;
        }
        Ok(())
    }

    /// One dot-command or one line of SQL is done: `.once` may be over, and safe mode is back.
    pub fn command_done(&mut self, sql: bool) -> Ran {
        self.trust(false);
        if self.redirected_for == 0 {
            return Ok(());
        }
        self.redirected_for = if sql { 0 } else { self.redirected_for - 1 };
        if self.redirected_for == 0 {
            self.reset_output()?;
        }
        Ok(())
    }

    /// What became of it all.
    pub fn ending(&mut self, exit_code: i32) -> Ending {
        for index in 0..SLOTS {
            if let Some(mut session) = self.slots[index].session.take() {
                self.changed += session.total_changes();
            }
        }
        Ending {
            exit_code,
            wrote: self.wrote || self.changed > 0,
        }
    }
}

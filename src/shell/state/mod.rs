//! What the shell remembers: settings, output, connections, position in its input; and the small verbs on them.
//!
//! [`Shell`] is passed to everything above: `exec`, `dot`, `interactive`. Nothing here runs a script or knows a dot-command.

mod connections;
mod result;
pub mod safe;
pub mod script;
mod settings;
mod terminal;
mod tracing;

pub use connections::{Connections, SLOTS, Slot, map};
pub use result::{ExecError, Interrupt, ShellResult, complain};
pub use settings::{ExplainLayout, ShellSettings, ShowPlan};
pub use terminal::Terminal;
pub use tracing::{HookOutput, TraceOutput, Tracing};

use super::options::{Hooks, ShellExit};
use super::output::Output;
use super::render::Style;
use crate::error::{Code, Error};
use crate::sql::query::collect;
use crate::sql::{self, Args, Failure, Outcome, ServerCost, Session, Sink, Target, Value};
use crate::temporary_files::TemporaryFile;
use crate::ui::report;
use script::{DeferredRow, PendingBatch};
use std::fmt;
use std::io::Write;

/// A file that results go to, to be opened in a program when it is complete.
pub struct ToOpen {
    pub file: TemporaryFile,
    /// What ends it.
    pub ending: &'static str,
    /// The settings to go back to.
    pub style: Style,
    pub echo: bool,
}

/// Where results go for the moment, instead of standard output.
#[derive(Default)]
pub struct Redirection {
    /// It ends after so many dot-commands, or one line of SQL; 0 is never (`.once`).
    pub remaining: u8,
    /// To be opened in a program when it is complete (`.once -x`).
    pub to_open: Option<ToOpen>,
    /// What `.testcase` called the case whose results are collected.
    pub testcase: String,
}

/// Where the shell stands in its input.
#[derive(Debug, Default)]
pub struct InputPosition {
    /// The line being read, from 1.
    pub line: u64,
    /// How many inputs are being read within each other.
    pub nesting: usize,
    /// Somebody types.
    pub interactive: bool,
    /// What is typed is being read by now, no longer what comes before it.
    pub typing: bool,
    /// What is being read is a dump that began outside a transaction.
    pub in_dump: bool,
    /// A statement of that dump failed.
    pub failed_dump: bool,
}

impl InputPosition {
    /// Whether what runs now was typed, rather than read from a file.
    #[must_use]
    pub fn at_prompt(&self) -> bool {
        self.typing && self.nesting <= 1
    }
}

/// What is known of the statements that run.
#[derive(Default)]
pub struct StatementState {
    /// Statements may have parameters from `temp.sqlite_parameters`.
    pub uses_parameters: bool,
    /// The next statements are not run; the advisor says what indexes would help them (`.expert`).
    pub advises: bool,
    /// What the statements of the last line cost on a server.
    pub cost: Option<ServerCost>,
    /// Statements on their way to a server.
    pub pending: PendingBatch,
    /// Rows for a server that wait for a table that they refer to.
    pub deferred: Vec<DeferredRow>,
    /// A server does not check foreign keys for the rest of the script.
    pub keys_unchecked: bool,
    /// A script's transaction could not be begun: the statements that belong to it are not run.
    pub skips_transaction: bool,
    /// A statement was run that may have written: rows are counted, but a changed schema is not.
    pub wrote: bool,
}

/// The shell.
pub struct Shell<'h> {
    pub settings: ShellSettings,
    pub out: Output,
    pub redirection: Redirection,
    pub connections: Connections,
    pub input: InputPosition,
    pub tracing: Tracing,
    pub statements: StatementState,
    pub hooks: Hooks<'h>,
    /// The terminal, where a person types.
    pub terminal: Option<Terminal<'h>>,
}

impl<'h> Shell<'h> {
    pub fn new(first: Slot, hooks: Hooks<'h>) -> Self {
        Self {
            settings: ShellSettings::default(),
            out: Output::stdout(),
            redirection: Redirection::default(),
            connections: Connections::new(first),
            input: InputPosition::default(),
            tracing: Tracing::default(),
            statements: StatementState::default(),
            hooks,
            terminal: None,
        }
    }

    /// The active connection.
    pub fn slot(&mut self) -> &mut Slot {
        &mut self.connections.slots[self.connections.active]
    }

    /// Fails for a file that commands must not write to. The names of the standard streams are none.
    pub fn check_output_file(&mut self, file: impl AsRef<std::path::Path>) -> ShellResult {
        match (self.hooks.check_output_file)(file.as_ref()) {
            Ok(()) => Ok(()),
            Err(error) => {
                let hint = error.hint_text().map(|hint| format!("\nhint: {hint}"));
                self.fail(format_args!("Error: {error}{}", hint.unwrap_or_default()))
            }
        }
    }

    /// The active connection, opened now if it was not. A database that cannot be opened ends the shell.
    pub fn session(&mut self) -> ShellResult<&mut (dyn Session + 'static)> {
        if let Some(name) = self.slot().unavailable.clone() {
            return self.fail(format_args!(
                "Error: no database is open: \"{name}\" could not be opened"
            ));
        }
        if self.slot().session.is_none() {
            let target = self.slot().target.clone().unwrap_or(Target::Memory);
            match self.connect(&target) {
                Ok(session) => {
                    let slot = self.slot();
                    slot.session = Some(session);
                    slot.shows_authorizer = false;
                }
                Err(error) => {
                    if !self.report_as_json(&error)? {
                        self.say(format_args!("Error: {error}"))?;
                    }
                    return Err(Interrupt::Exit(1));
                }
            }
        }
        match &mut self.connections.slots[self.connections.active].session {
            Some(session) => Ok(session.as_mut()),
            None => Err(Interrupt::Exit(1)),
        }
    }

    /// Opens `target` with what the shell adds to a connection.
    pub fn connect(&mut self, target: &Target) -> crate::error::Result<Box<dyn Session>> {
        let mut session = sql::open(target)?;
        if self.settings.always_safe {
            self.connections.guard.watch(session.as_mut());
        }
        if self.tracing.log.is_some()
            && let Some(engine) = session.engine()
        {
            engine.pass_verbatim();
        }
        if let Some(bytes) = self.settings.mapped {
            map(session.as_mut(), bytes);
        }
        super::interrupt::on_interrupt(session.interrupter());
        Ok(session)
    }

    /// Closes the active connection.
    pub fn disconnect(&mut self) {
        self.connections.close(self.connections.active);
    }

    /// Runs one statement of the shell's own and keeps its rows.
    pub fn query(&mut self, sql: &str, args: &[Value]) -> ShellResult<Result<Vec<Vec<Value>>, Failure>> {
        Ok(collect(self.session()?, sql, args))
    }

    /// Like [`Self::query`], where failing ends the dot-command with `Error: …`.
    pub fn ask(&mut self, sql: &str, args: &[Value]) -> ShellResult<Vec<Vec<Value>>> {
        let result = self.query(sql, args)?;
        result.or_else(|failure| self.fail_because(failure))
    }

    /// Runs one statement of the shell's own and shows what comes with `sink`.
    pub fn run_into(&mut self, sql: &str, sink: &mut dyn Sink) -> ShellResult<Result<Outcome, Failure>> {
        Ok(self.session()?.run(sql, &Args::default(), sink))
    }

    /// Says why, and that it failed.
    pub fn fail<T>(&mut self, why: fmt::Arguments<'_>) -> ShellResult<T> {
        let why = fmt::format(why);
        let error = Error::new(Code::SqlError, why.strip_prefix("Error: ").unwrap_or(&why).trim());
        if !self.report_as_json(&error)? {
            self.say(format_args!("{why}"))?;
        }
        Err(Interrupt::Failed(1))
    }

    /// Says why SQL of the shell's own failed, and that it did.
    pub fn fail_because<T>(&mut self, failure: Failure) -> ShellResult<T> {
        match failure {
            Failure::Sink(error) => Err(error.into()),
            Failure::Connection(error) => Err(self.report_lost_connection(&error)?),
            failure @ Failure::Sql { .. } => self.fail(format_args!("Error: {failure}")),
        }
    }

    /// The same for an error that may be of the connection.
    pub fn fail_with_error<T>(&mut self, error: Error) -> ShellResult<T> {
        match error.code() {
            Code::Unavailable | Code::Timeout | Code::TransactionLost => self.fail_because(Failure::Connection(error)),
            _ => self.fail(format_args!("Error: {error}")),
        }
    }

    /// Says why a connection is of no use. The rest of a script cannot run without it, so that ends with the error's exit code; a
    /// person may try again.
    pub fn report_lost_connection(&mut self, error: &Error) -> ShellResult<Interrupt> {
        if !self.report_as_json(error)? {
            self.say(format_args!("Error: {error}"))?;
            if let Some(hint) = error.hint_text() {
                complain(format_args!("hint: {hint}"));
            }
        }
        Ok(if self.input.interactive {
            Interrupt::Failed(1)
        } else {
            Interrupt::Exit(error.kind().exit_code().into())
        })
    }

    /// Tells a failure as a JSON document, where that is wanted. Returns whether it is.
    pub fn report_as_json(&mut self, error: &Error) -> ShellResult<bool> {
        if self.settings.json_errors {
            self.out.flush()?;
            complain(format_args!("{}", report::document(error).trim_end()));
        }
        Ok(self.settings.json_errors)
    }

    /// Says something on standard error, after what was to be shown before it.
    pub fn say(&mut self, text: fmt::Arguments<'_>) -> ShellResult {
        self.out.flush()?;
        complain(text);
        Ok(())
    }

    /// A line of results.
    pub fn show(&mut self, line: fmt::Arguments<'_>) -> ShellResult {
        self.out.write_fmt(line)?;
        self.out.write_all(b"\n")?;
        Ok(())
    }

    /// Fails in safe mode, in which nothing outside the database may be touched. A script ends there, as in the `sqlite3`
    /// shell; at the prompt only the command is refused.
    pub fn check_safe_mode(&mut self, what: fmt::Arguments<'_>) -> ShellResult {
        if !self.settings.safe {
            return Ok(());
        }
        if self.input.at_prompt() {
            return self.fail(format_args!("{what}"));
        }
        let line = self.input.line;
        let error = Error::new(Code::Forbidden, format!("line {line}: {what}"));
        if !self.report_as_json(&error)? {
            self.say(format_args!("line {line}: {what}"))?;
        }
        Err(Interrupt::Exit(1))
    }

    /// Lifts safe mode for one command, or puts it back.
    pub fn trust(&mut self, lifted: bool) {
        self.settings.safe = self.settings.always_safe && !lifted;
        self.connections.guard.set(self.settings.safe);
    }

    /// A switch among a dot-command's words.
    pub fn switch(&mut self, word: &str) -> ShellResult<i32> {
        match super::words::switch(word) {
            Some(value) => Ok(value),
            None => {
                self.say(format_args!("ERROR: Not a boolean value: \"{word}\". Assuming \"no\"."))?;
                Ok(0)
            }
        }
    }

    /// Ends redirection: results go to standard output again.
    pub fn reset_output(&mut self) -> ShellResult {
        let to_open = self.redirection.to_open.take();
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
    fn open_in_program(&mut self, file: TemporaryFile) -> ShellResult {
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
    pub fn finish_command(&mut self, sql: bool) -> ShellResult {
        self.trust(false);
        if self.redirection.remaining == 0 {
            return Ok(());
        }
        self.redirection.remaining = if sql { 0 } else { self.redirection.remaining - 1 };
        if self.redirection.remaining == 0 {
            self.reset_output()?;
        }
        Ok(())
    }

    /// Closes all connections and returns how the shell ended.
    pub fn close(&mut self, exit_code: i32) -> ShellExit {
        for index in 0..SLOTS {
            self.connections.close(index);
        }
        ShellExit {
            exit_code,
            wrote: self.statements.wrote || self.connections.changed > 0,
        }
    }
}

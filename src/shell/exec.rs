//! Runs a text of statements, one after the other, and shows their results.

use super::dot;
use super::dot::hooks::Side;
use super::editor::pager::Pager;
use super::editor::terminal::{Fit, Screen};
use super::person::Look;
use super::plan::{Program, Tree};
use super::render::{Renderer, Style};
use super::state::{End, ExplainLayout, Ran, Settings, Shell, ShowPlan, complain};
use crate::sql::{
    Args, Column, Explain, Failure, Flow, Outcome, Phase, Prepared, Session, Sink, ValueRef, dialect, split,
};
use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Instant;

/// A statement that failed.
#[derive(Debug)]
pub struct Refused {
    /// Whether it failed before it ran.
    pub phase: Phase,
    /// SQLite's words and code, and where in the text the fault is.
    pub message: String,
    /// The code that a script sees.
    pub code: i32,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Why the running of a text stopped: a statement failed, or the shell ends.
pub enum Stopped {
    Refused(Refused),
    Ended(End),
}

impl From<End> for Stopped {
    fn from(end: End) -> Self {
        Self::Ended(end)
    }
}

/// The result of one statement on its way to the output.
struct Shown<'a> {
    style: &'a Style,
    /// Layouts that fit the terminal, if it is one.
    fit: Option<&'a Fit>,
    explain: ExplainLayout,
    out: Option<&'a mut dyn Write>,
    body: Body<'a>,
    read_only: bool,
    side: Side,
    /// The columns it has.
    columns: Vec<Column>,
}

enum Body<'a> {
    Nothing,
    /// On a terminal, fitted to it.
    Screen(Box<Screen<'a>>),
    Rows(Box<Renderer<'a>>),
    Tree(Tree),
    Program(Program),
}

impl<'a> Shown<'a> {
    fn new(settings: &'a Settings, look: Option<&'a Look>, side: &Side, out: &'a mut dyn Write) -> Self {
        Self {
            style: look.map_or(&settings.style, |look| &look.style),
            fit: look.and_then(|look| look.fit.as_ref()),
            explain: settings.explain,
            out: Some(out),
            body: Body::Nothing,
            read_only: true,
            side: side.clone(),
            columns: Vec::new(),
        }
    }

    /// Runs a statement and shows its result to the end, also of one that fails on the way.
    fn result_of(
        mut self,
        session: &mut dyn Session,
        sql: &str,
        args: &Args,
    ) -> (Result<Outcome, Failure>, io::Result<Finished>) {
        let ran = session.run(sql, args, &mut self);
        (ran, self.finish())
    }

    /// Writes what is still to come.
    fn finish(self) -> io::Result<Finished> {
        let mut finished = Finished {
            wrote: !self.read_only,
            shortened: false,
            columns: self.columns,
        };
        let (out, text) = match self.body {
            Body::Nothing => (self.out, Vec::new()),
            Body::Screen(screen) => {
                finished.shortened = screen.finish()?;
                return Ok(finished);
            }
            Body::Rows(renderer) => {
                renderer.finish()?;
                return Ok(finished);
            }
            Body::Tree(tree) => (self.out, tree.finish()?),
            Body::Program(program) => (self.out, program.finish()?),
        };
        if let Some(out) = out {
            self.side.drain(out)?;
            out.write_all(&text)?;
        }
        Ok(finished)
    }
}

/// Facts about a statement whose result has been shown.
struct Finished {
    /// Whether it may have written.
    wrote: bool,
    /// Whether cells were shortened.
    shortened: bool,
    /// The columns it had.
    columns: Vec<Column>,
}

impl Shown<'_> {
    /// Shows what hooks have said, as long as the result has not begun.
    fn tell(&mut self) -> io::Result<()> {
        match &mut self.out {
            Some(out) => self.side.drain(*out),
            None => Ok(()),
        }
    }
}

impl Sink for Shown<'_> {
    fn prepared(&mut self, statement: &Prepared) -> io::Result<()> {
        self.read_only = statement.read_only;
        self.tell()?;
        self.body = match (self.explain, statement.explain) {
            (ExplainLayout::On, _) | (ExplainLayout::Auto, Explain::Program) => Body::Program(Program::new(self.style)),
            (ExplainLayout::Auto, Explain::Plan) => Body::Tree(Tree::default()),
            _ => Body::Nothing,
        };
        Ok(())
    }

    fn columns(&mut self, columns: &[Column]) -> io::Result<()> {
        self.tell()?;
        self.columns = columns.to_vec();
        if matches!(self.body, Body::Nothing)
            && let Some(out) = self.out.take()
        {
            self.body = match self.fit {
                Some(fit) => Body::Screen(Box::new(Screen::new(fit, out))),
                None => Body::Rows(Box::new(Renderer::new(self.style, out))),
            };
        }
        match &mut self.body {
            Body::Nothing => Ok(()),
            Body::Screen(screen) => screen.columns(columns),
            Body::Rows(renderer) => renderer.columns(columns),
            Body::Tree(tree) => tree.columns(columns),
            Body::Program(program) => program.columns(columns),
        }
    }

    fn row(&mut self, row: &[ValueRef<'_>]) -> io::Result<Flow> {
        match &mut self.body {
            Body::Screen(screen) => screen.row(row),
            Body::Rows(renderer) => renderer.row(row),
            Body::Nothing => Ok(Flow::Continue),
            Body::Tree(tree) => tree.row(row),
            Body::Program(program) => program.row(row),
        }
    }
}

/// The text around an error and a mark below it, as two lines.
fn pointer(sql: &str, offset: usize) -> String {
    let bytes = sql.as_bytes();
    if offset >= bytes.len() {
        return String::new();
    }
    let continues = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let mut start = 0;
    while offset - start > 50 {
        start += 1;
        while continues(start) && start < offset {
            start += 1;
        }
    }
    let mut end = bytes.len();
    if end - start > 78 {
        end = start + 78;
        while continues(end) {
            end -= 1;
        }
    }
    let shown: String = String::from_utf8_lossy(&bytes[start..end])
        .chars()
        .map(|letter| {
            if letter.is_ascii() && split::is_space(letter as u8) {
                ' '
            } else {
                letter
            }
        })
        .collect();
    let column = offset - start;
    if column < 25 {
        format!("\n  {shown}\n  {:column$}^--- error here", "")
    } else {
        format!("\n  {shown}\n  {:width$}error here ---^", "", width = column - 14)
    }
}

/// Text that is not UTF-8 inside literals is written in hexadecimal instead, which means the same; elsewhere it cannot
/// mean anything.
fn readable(text: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(text) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(split::with_hex_literals(text)),
    }
}

impl Shell<'_> {
    /// Runs every statement of `text`, up to the first that fails.
    pub fn execute(&mut self, text: &[u8]) -> Result<(), Stopped> {
        let text = readable(text);
        if std::mem::take(&mut self.advises) {
            return dot::expert::show(self, &text)?.map_err(|error| {
                Stopped::Refused(Refused {
                    phase: Phase::Prepare,
                    message: error.to_string(),
                    code: 1,
                    hint: None,
                })
            });
        }
        if text.contains("sqlite_parameters") {
            self.parameters_used = true;
        }
        let server = self.scripts_a_server()?;
        let mut rest = text.trim_start_matches(|letter: char| letter.is_ascii() && split::is_space(letter as u8));
        while !rest.is_empty() {
            let end = split::first_statement(rest.as_bytes());
            if server {
                self.translated(&rest[..end], rest)?;
            } else {
                self.local_statement(&rest[..end], rest)?;
            }
            rest = rest[end..].trim_start_matches(|letter: char| letter.is_ascii() && split::is_space(letter as u8));
        }
        Ok(())
    }

    /// Runs a statement as it is. In scripts, rows with infinities that nothing reads are written for it again.
    fn local_statement(&mut self, sql: &str, rest: &str) -> Result<(), Stopped> {
        match self.statement(sql, rest) {
            Err(Stopped::Refused(refused))
                if self.nesting > 0 && refused.message.starts_with("no such column: Inf") =>
            {
                match dialect::with_numbers_for_inf(sql) {
                    Some(plain) => self.statement(&plain, &plain),
                    None => Err(Stopped::Refused(refused)),
                }
            }
            ran => ran,
        }
    }

    /// Runs one statement. `rest` is the text from it on, for messages.
    pub(super) fn statement(&mut self, sql: &str, rest: &str) -> Result<(), Stopped> {
        self.caution(sql)?;
        let args = self.arguments(sql)?;
        if self.settings.show_plan > ShowPlan::Off {
            self.explain_first(sql)?;
        }
        self.session()?;
        let look = self.look();
        let slot = &mut self.slots[self.active];
        let Some(session) = &mut slot.session else {
            return Ok(());
        };
        session.tell_costs(self.settings.timer || self.settings.stats > 0);
        let (ran, finished) = match look.as_ref().and_then(|look| look.rows) {
            Some(rows) => {
                let mut pager = Pager::new(&mut self.out, rows);
                let shown = Shown::new(&self.settings, look.as_ref(), &self.side, &mut pager);
                let (ran, finished) = shown.result_of(session.as_mut(), sql, &args);
                if pager.left() {
                    // Who leaves the pager has seen enough: the statement was stopped, and nothing went wrong.
                    let stopped = Outcome {
                        ran: true,
                        ..Outcome::default()
                    };
                    (
                        Ok(stopped),
                        pager.finish().map(|()| {
                            finished.unwrap_or(Finished {
                                wrote: true,
                                shortened: false,
                                columns: Vec::new(),
                            })
                        }),
                    )
                } else {
                    (ran, pager.finish().and(finished))
                }
            }
            None => {
                let shown = Shown::new(&self.settings, look.as_ref(), &self.side, &mut self.out);
                shown.result_of(session.as_mut(), sql, &args)
            }
        };
        let finished = finished.map_err(End::from)?;
        self.wrote |= finished.wrote && ran.is_ok();
        self.side.drain(&mut self.out).map_err(End::from)?;
        let style = &mut self.settings.style;
        if style.mode.holds_rows() && ran.as_ref().is_ok_and(|outcome| outcome.rows > 0) {
            // Classic has a width for each column that it once laid out; `.show` tells.
            let widths = style.widths.len().max(finished.columns.len());
            style.widths.resize(widths, 0);
        }
        if finished.shortened {
            self.tell_shortened()?;
        }
        match ran {
            Ok(outcome) => {
                if outcome.rows == 0 {
                    self.tell_unknown_pragma(sql)?;
                }
                self.account(&outcome)?;
                dot::stats::after(self, &outcome, &finished.columns)?;
            }
            Err(failure) => return Err(self.refused(failure, rest)),
        }
        if self.interactive {
            self.out.flush().map_err(End::from)?;
        }
        Ok(())
    }

    /// Notes what a server told beside a result.
    fn account(&mut self, outcome: &Outcome) -> Ran {
        if outcome.signless_infinities > 0 {
            self.say(format_args!(
                "Warning: {} infinite values are shown as ±Inf, and as NULL in JSON and SQL: the server did not tell their sign",
                outcome.signless_infinities
            ))?;
        }
        if let Some(cost) = &outcome.cost {
            self.cost.get_or_insert_default().add(cost);
        }
        Ok(())
    }

    pub(super) fn refused(&mut self, failure: Failure, rest: &str) -> Stopped {
        if let Some(what) = self.guard.take_refusal() {
            return match self.needs_trust(format_args!("{what}")) {
                Ok(()) => Stopped::Ended(End::Failed(1)),
                Err(end) => Stopped::Ended(end),
            };
        }
        match failure {
            Failure::Sink(error) => Stopped::Ended(End::from(error)),
            // The rest of a script cannot run without the connection; a person may try again.
            Failure::Connection(error) if !self.interactive => {
                let code = error.kind().exit_code().into();
                match self.say(format_args!("Error: {error}")) {
                    Ok(()) => {
                        if let Some(hint) = error.hint_text() {
                            complain(format_args!("hint: {hint}"));
                        }
                        Stopped::Ended(End::Exit(code))
                    }
                    Err(end) => Stopped::Ended(end),
                }
            }
            Failure::Connection(error) => Stopped::Refused(Refused {
                phase: Phase::Step,
                message: error.to_string(),
                code: 1,
                hint: error.hint_text().map(|hint| format!("hint: {hint}")),
            }),
            Failure::Sql {
                phase,
                mut message,
                code,
                offset,
            } => {
                let told = crate::sql::log::is_installed()
                    && self.slot().session.as_ref().is_some_and(|session| session.is_local());
                if told {
                    if let Err(error) = self.side.drain(&mut self.out) {
                        return Stopped::Ended(End::from(error));
                    }
                } else if let Some(log) = &self.log {
                    log.write(&self.side, &format!("({code}) {message} in \"{}\"", rest.trim_end()));
                    if let Err(error) = self.side.drain(&mut self.out) {
                        return Stopped::Ended(End::from(error));
                    }
                }
                let code = code & 0xff;
                let plain = message.clone();
                if code > 1 {
                    message.push_str(&format!(" ({code})"));
                }
                match self.explain_error(rest, &plain, offset) {
                    Some(explained) => message.push_str(&explained),
                    None => message.push_str(&offset.map(|offset| pointer(rest, offset)).unwrap_or_default()),
                }
                let hint = match code {
                    rusqlite::ffi::SQLITE_READONLY => self.hooks.read_only_hint.clone(),
                    rusqlite::ffi::SQLITE_FULL => self.hooks.full_hint.clone(),
                    _ => None,
                };
                Stopped::Refused(Refused {
                    phase,
                    message,
                    code,
                    hint,
                })
            }
        }
    }

    /// Values for the parameters of `sql`, from the table that `.parameter` fills.
    fn arguments(&mut self, sql: &str) -> Ran<Args> {
        if !self.parameters_used || !sql.contains(['?', ':', '@', '$', '#']) {
            return Ok(Args::default());
        }
        Ok(Args {
            positional: Vec::new(),
            named: super::dot::parameters(self)?,
        })
    }

    /// Shows how a statement will be run. One that is wrong is left for its own run to report.
    fn explain_first(&mut self, sql: &str) -> Ran {
        let mut tree = Tree::default();
        if self.run_into(&format!("EXPLAIN QUERY PLAN {sql}"), &mut tree)?.is_err() {
            return Ok(());
        }
        let text = tree.finish()?;
        self.out.write_all(&text)?;
        if self.settings.show_plan >= ShowPlan::Full {
            let mut program = Program::new(&self.settings.style);
            if self.run_into(&format!("EXPLAIN {sql}"), &mut program)?.is_ok() {
                let text = program.finish()?;
                self.out.write_all(&text)?;
            }
        }
        Ok(())
    }

    /// Runs one line of input that holds complete statements. `line` is where it began. Fails when a statement did, after
    /// saying so.
    pub fn run_line(&mut self, text: &[u8], line: u64) -> Ran {
        self.session()?;
        let unescaped;
        let text = if self.settings.backslash {
            unescaped = super::words::unescape(text);
            &unescaped
        } else {
            text
        };
        let timer = self.settings.timer.then(Timer::start);
        self.cost = None;
        let ran = self.execute(text);
        if let Some(timer) = timer {
            let took = timer.took();
            self.show(format_args!("{took}"))?;
            if let Some(cost) = self.cost {
                self.show(format_args!("{cost}"))?;
            }
        }
        match ran {
            Ok(()) => {
                if self.settings.changes {
                    self.show_changes()?;
                }
                Ok(())
            }
            Err(Stopped::Ended(end)) => Err(end),
            Err(Stopped::Refused(refused)) => self.complain_of(refused, line),
        }
    }

    /// Reports the failure of a statement that began on `line`.
    pub(super) fn complain_of(&mut self, refused: Refused, line: u64) -> Ran {
        let kind = match refused.phase {
            Phase::Prepare => "Parse error",
            Phase::Step => "Runtime error",
        };
        let message = &refused.message;
        if self.at_prompt() {
            self.say(format_args!("{kind}: {message}"))?;
        } else {
            self.say(format_args!("{kind} near line {line}: {message}"))?;
        }
        if let Some(hint) = refused.hint {
            complain(format_args!("{hint}"));
        }
        Err(End::Failed(1))
    }

    /// Runs the text of a command-line argument. Fails with the exit code.
    pub fn run_argument(&mut self, text: &[u8]) -> Result<(), ArgumentFailed> {
        match self.execute(text) {
            Ok(()) => Ok(()),
            Err(Stopped::Ended(end)) => Err(ArgumentFailed::Ended(end)),
            Err(Stopped::Refused(refused)) => {
                let phase = match refused.phase {
                    Phase::Prepare => "in prepare",
                    Phase::Step => "stepping",
                };
                let message = &refused.message;
                self.say(format_args!("Error: {phase}, {message}"))
                    .map_err(ArgumentFailed::Ended)?;
                if let Some(hint) = refused.hint {
                    complain(format_args!("{hint}"));
                }
                Err(ArgumentFailed::Code(refused.code))
            }
        }
    }

    fn show_changes(&mut self) -> Ran {
        let session = self.session()?;
        let total = session.total_changes();
        let changes = session.changes();
        self.show(format_args!("changes: {changes}   total_changes: {total}"))
    }
}

/// Why a command-line argument did not run to its end.
pub enum ArgumentFailed {
    /// A statement failed with SQLite's code.
    Code(i32),
    Ended(End),
}

/// Real and processor time.
struct Timer {
    started: Instant,
    user: f64,
    system: f64,
}

/// Processor time used so far: in the program, and in the kernel for it.
fn processor_time() -> (f64, f64) {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    let seconds = |time: nix::sys::time::TimeVal| {
        #[allow(clippy::cast_precision_loss)] // 2^53 microseconds are 285 years
        let micros = time.num_microseconds() as f64;
        micros / 1e6
    };
    getrusage(UsageWho::RUSAGE_SELF).map_or((0.0, 0.0), |usage| {
        (seconds(usage.user_time()), seconds(usage.system_time()))
    })
}

impl Timer {
    fn start() -> Self {
        let (user, system) = processor_time();
        Self {
            started: Instant::now(),
            user,
            system,
        }
    }

    fn took(&self) -> String {
        let real = self.started.elapsed().as_secs_f64();
        let (user, system) = processor_time();
        format!(
            "Run Time: real {real:.3} user {:.6} sys {:.6}",
            user - self.user,
            system - self.system
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_pointed_at() {
        assert_eq!(pointer("select nope;", 7), "\n  select nope;\n         ^--- error here");
        let long = format!("select {}, nope;", "a".repeat(100));
        assert!(pointer(&long, 109).ends_with("error here ---^"));
        assert_eq!(pointer("x", 1), "");
        for offset in 0..60 {
            pointer(&"é".repeat(60), offset);
        }
    }
}

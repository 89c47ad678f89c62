//! Runs a text of statements, one after the other, and shows their results.
//!
//! [`execute`] runs a text and fails with the first [`Interrupt`]; [`run_line`] and [`run_argument`] report a statement that
//! failed, for input and for command-line arguments. What a script needs on a server is `remote_script`'s, statements that
//! travel together are `batch`'s. Finding statements in lines, and dot-commands, are left to `dot`.

mod advisor;
pub mod batch;
pub mod confirm;
pub mod deferred;
mod long_statement;
pub mod parameters;
mod pointer;
pub mod remote_script;
pub mod schema_rows;
pub mod screen;
mod sink;
pub mod stats;
mod timer;
pub mod vector_indexes;

use super::render::explain::{Program, Tree};
use super::state::{ExecError, Interrupt, Shell, ShellResult, ShowPlan, complain};
use super::terminal::pager::Pager;
use super::words;
use crate::error::Error;
use crate::shell::interrupt;
use crate::sql::{Args, Failure, Outcome, Phase, codes};
use crate::sqltext::classify::{StatementKind, first_word_kind};
use crate::sqltext::{dialect, split, token};
use pointer::pointer;
use rusqlite::ffi;
use sink::{Finished, ResultSink};
use std::io::Write;
use timer::Timer;

fn is_space(letter: char) -> bool {
    letter.is_ascii() && token::is_space(letter as u8)
}

/// Runs every statement of `text`, up to the first that fails. That one is not reported.
pub fn execute(shell: &mut Shell<'_>, text: &[u8]) -> ShellResult {
    // Text that is not UTF-8 inside literals is written in hexadecimal; elsewhere it cannot mean anything.
    let text = split::to_utf8(text);
    if std::mem::take(&mut shell.statements.advises) {
        return advisor::advise(shell, &text);
    }
    if text.contains("sqlite_parameters") {
        shell.statements.uses_parameters = true;
    }
    let server = remote_script::is_remote_script(shell)?;
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        // Ctrl-C that came before the statement has begun has found nothing to stop.
        if interrupt::pressed() && !shell.input.interactive {
            return shell.fail(format_args!("Error: interrupted"));
        }
        let end = split::first_statement(rest.as_bytes());
        if server {
            remote_script::run_translated(shell, &rest[..end], rest)?;
        } else {
            run_local(shell, &rest[..end], rest)?;
        }
        rest = rest[end..].trim_start_matches(is_space);
    }
    Ok(())
}

/// Runs a statement as it is. In scripts, rows with infinities that nothing reads are written for it again.
fn run_local(shell: &mut Shell<'_>, sql: &str, rest: &str) -> ShellResult {
    schema_rows::check_new_virtual_table(shell, sql)?;
    match run_statement(shell, sql, rest) {
        Err(Interrupt::Statement(error))
            if shell.input.nesting > 0 && error.message.starts_with("no such column: Inf") =>
        {
            match dialect::with_numbers_for_inf(sql) {
                Some(plain) => run_statement(shell, &plain, &plain),
                None => Err(Interrupt::Statement(error)),
            }
        }
        ran => ran,
    }
}

/// A failure of the shell's own, reported as SQLite's are.
fn statement_failed(message: String) -> Interrupt {
    Interrupt::Statement(Box::new(ExecError {
        phase: Phase::Prepare,
        message,
        code: 1,
        hint: None,
    }))
}

/// Whether a script's statement is left out, because the transaction that it belongs to could not be begun.
fn is_skipped(shell: &mut Shell<'_>, sql: &str) -> bool {
    if !shell.statements.skips_transaction {
        return false;
    }
    if ends_transaction(sql) {
        shell.statements.skips_transaction = false;
    }
    true
}

fn begins_transaction(sql: &str) -> bool {
    first_word_kind(sql) == StatementKind::Begin
}

fn ends_transaction(sql: &str) -> bool {
    matches!(first_word_kind(sql), StatementKind::Commit | StatementKind::Rollback)
}

/// Runs one statement. `rest` is the text from it on, for messages.
fn run_statement(shell: &mut Shell<'_>, sql: &str, rest: &str) -> ShellResult {
    if is_skipped(shell, sql) {
        return Err(statement_failed(
            "not run: the transaction that it belongs to could not be begun".to_owned(),
        ));
    }
    if sql.len() > long_statement::LONGEST && !shell.session()?.is_local() {
        return long_statement::run_long(shell, sql);
    }
    run_statement_with(shell, sql, Args::default(), rest)
}

/// Runs one statement with these parameters, besides those of `.parameter`.
fn run_statement_with(shell: &mut Shell<'_>, sql: &str, args: Args, rest: &str) -> ShellResult {
    confirm::confirm_statement(shell, sql)?;
    let mut bound = parameters::bind(shell, sql)?;
    bound.named.extend(args.named);
    let args = bound;
    if shell.settings.show_plan > ShowPlan::Off {
        print_plan(shell, sql)?;
    }
    let (ran, finished) = show_result(shell, sql, &args)?;
    shell.statements.wrote |= finished.wrote && ran.is_ok();
    shell.tracing.hook_output.drain(&mut shell.out)?;
    let style = &mut shell.settings.style;
    if style.mode.holds_rows() && ran.as_ref().is_ok_and(|outcome| outcome.rows > 0) {
        // Classic has a width for each column that it once laid out; `.show` prints them.
        let widths = style.widths.len().max(finished.columns.len());
        style.widths.resize(widths, 0);
    }
    if finished.shortened {
        screen::note_shortening(shell)?;
    }
    match ran {
        Ok(outcome) => {
            if outcome.rows == 0 {
                screen::note_unknown_pragma(shell, sql)?;
            }
            add_cost(shell, &outcome)?;
            stats::print_after(shell, &outcome, &finished.columns)?;
        }
        Err(failure) => {
            // One that SQLite does not understand begins nothing, in no way that a script could mean.
            let ran = matches!(failure, Failure::Sql { phase: Phase::Step, .. });
            shell.statements.skips_transaction = shell.input.nesting > 0
                && ran
                && begins_transaction(sql)
                && shell.session().is_ok_and(|session| !session.in_transaction());
            return Err(statement_error(shell, failure, rest));
        }
    }
    if shell.input.interactive {
        shell.out.flush()?;
    }
    Ok(())
}

/// Runs a statement and writes its result, through a pager where it is taller than the terminal.
fn show_result(shell: &mut Shell<'_>, sql: &str, args: &Args) -> ShellResult<(Result<Outcome, Failure>, Finished)> {
    shell.session()?;
    let layout = screen::layout(shell);
    let Some(session) = &mut shell.connections.slots[shell.connections.active].session else {
        return Err(Interrupt::Exit(1));
    };
    session.set_cost_tracking(shell.settings.timer || shell.settings.stats > 0);
    let hook_output = &shell.tracing.hook_output;
    let Some(rows) = layout.as_ref().and_then(|layout| layout.rows) else {
        let sink = ResultSink::new(&shell.settings, layout.as_ref(), hook_output, &mut shell.out);
        let (ran, finished) = sink.run(session.as_mut(), sql, args);
        return Ok((ran, finished?));
    };
    let mut pager = Pager::new(&mut shell.out, rows);
    let sink = ResultSink::new(&shell.settings, layout.as_ref(), hook_output, &mut pager);
    let (ran, finished) = sink.run(session.as_mut(), sql, args);
    if !pager.left() {
        pager.finish()?;
        return Ok((ran, finished?));
    }
    // Who leaves the pager has seen enough: the statement was stopped, and nothing went wrong.
    pager.finish()?;
    let stopped = Outcome {
        ran: true,
        ..Outcome::default()
    };
    let finished = finished.unwrap_or(Finished {
        wrote: true,
        shortened: false,
        columns: Vec::new(),
    });
    Ok((Ok(stopped), finished))
}

/// Adds up what a server reported beside a result.
fn add_cost(shell: &mut Shell<'_>, outcome: &Outcome) -> ShellResult {
    if outcome.signless_infinities > 0 {
        shell.say(format_args!(
            "Warning: {} infinite values are shown as ±Inf, and as NULL in JSON and SQL: the server did not send their sign",
            outcome.signless_infinities
        ))?;
    }
    if let Some(cost) = &outcome.cost {
        shell.statements.cost.get_or_insert_default().add(cost);
    }
    Ok(())
}

/// What the failure of a statement means for the shell.
fn statement_error(shell: &mut Shell<'_>, failure: Failure, rest: &str) -> Interrupt {
    if let Some(what) = shell.connections.guard.take_refusal() {
        return match shell.check_safe_mode(format_args!("{what}")) {
            Ok(()) => Interrupt::Failed(1),
            Err(end) => end,
        };
    }
    match failure {
        Failure::Sink(error) => error.into(),
        Failure::Connection(error) => shell.report_lost_connection(&error).unwrap_or_else(|end| end),
        Failure::Sql {
            phase,
            message,
            code,
            offset,
        } => {
            if let Err(error) = log_failure(shell, code, &message, rest) {
                return error.into();
            }
            Interrupt::Statement(Box::new(sql_error(shell, phase, message, code, offset, rest)))
        }
    }
}

/// Writes a failure to `.log`, unless the engine has told its own listener of it.
fn log_failure(shell: &mut Shell<'_>, code: i32, message: &str, rest: &str) -> std::io::Result<()> {
    let engine_logs =
        crate::sql::log::is_installed() && shell.slot().session.as_ref().is_some_and(|session| session.is_local());
    let tracing = &shell.tracing;
    if !engine_logs {
        let Some(log) = &tracing.log else { return Ok(()) };
        log.write(
            &tracing.hook_output,
            &format!("({code}) {message} in \"{}\"", rest.trim_end()),
        );
    }
    tracing.hook_output.drain(&mut shell.out)
}

/// The report on SQL that SQLite refused: its words and code, the place, and what may help.
fn sql_error(
    shell: &mut Shell<'_>,
    phase: Phase,
    mut message: String,
    code: i32,
    offset: Option<usize>,
    rest: &str,
) -> ExecError {
    let plain = message.clone();
    let extended = code;
    let code = code & 0xff;
    if code > 1 {
        message.push_str(&format!(" ({code})"));
    }
    match screen::explain_error(shell, rest, &plain, offset) {
        Some(explained) => message.push_str(&explained),
        None => message.push_str(&offset.map(|offset| pointer(rest, offset)).unwrap_or_default()),
    }
    let hint = match code {
        _ if matches!(extended, ffi::SQLITE_READONLY_CANTINIT | ffi::SQLITE_READONLY_DIRECTORY) => Some(
            "hint: SQLite keeps files beside the database (its write-ahead log or journal), and may not write its directory"
                .to_owned(),
        ),
        ffi::SQLITE_READONLY => shell.hooks.read_only_hint.clone(),
        ffi::SQLITE_FULL => shell.hooks.full_hint.clone(),
        _ => None,
    };
    ExecError {
        phase,
        message,
        code,
        hint,
    }
}

/// Prints how a statement will be run. One that is wrong is left for its own run to report.
fn print_plan(shell: &mut Shell<'_>, sql: &str) -> ShellResult {
    let mut tree = Tree::default();
    if shell
        .run_into(&format!("EXPLAIN QUERY PLAN {sql}"), &mut tree)?
        .is_err()
    {
        return Ok(());
    }
    let text = tree.finish()?;
    shell.out.write_all(&text)?;
    if shell.settings.show_plan >= ShowPlan::Full {
        let mut program = Program::new(&shell.settings.style);
        if shell.run_into(&format!("EXPLAIN {sql}"), &mut program)?.is_ok() {
            let text = program.finish()?;
            shell.out.write_all(&text)?;
        }
    }
    Ok(())
}

/// Runs one line of input that holds complete statements. `line` is where it began. Fails when a statement did, after
/// reporting it.
pub fn run_line(shell: &mut Shell<'_>, text: &[u8], line: u64) -> ShellResult {
    shell.session()?;
    let unescaped;
    let text = if shell.settings.backslash {
        unescaped = words::unescape(text);
        &unescaped
    } else {
        text
    };
    let timer = shell.settings.timer.then(Timer::start);
    shell.statements.cost = None;
    let ran = execute(shell, text);
    if let Some(timer) = timer {
        shell.show(format_args!("{}", timer.report()))?;
        if let Some(cost) = shell.statements.cost {
            shell.show(format_args!("{cost}"))?;
        }
    }
    match ran {
        Ok(()) if shell.settings.changes => print_changes(shell),
        Err(Interrupt::Statement(error)) => report_error(shell, *error, line),
        ran => ran,
    }
}

/// Reports the failure of a statement that began on `line`, and fails.
pub fn report_error(shell: &mut Shell<'_>, error: ExecError, line: u64) -> ShellResult {
    if report_to_program(shell, &error, Some(line))? {
        return Err(Interrupt::Failed(1));
    }
    let kind = match error.phase {
        Phase::Prepare => "Parse error",
        Phase::Step => "Runtime error",
    };
    let message = &error.message;
    // In an argument there is one line, and it has no number.
    if shell.input.at_prompt() || line == 0 {
        shell.say(format_args!("{kind}: {message}"))?;
    } else {
        shell.say(format_args!("{kind} near line {line}: {message}"))?;
    }
    if let Some(hint) = error.hint {
        complain(format_args!("{hint}"));
    }
    Err(Interrupt::Failed(1))
}

/// Reports a statement's failure as a JSON document, where that is wanted. Returns whether it is.
fn report_to_program(shell: &mut Shell<'_>, error: &ExecError, line: Option<u64>) -> ShellResult<bool> {
    if !shell.settings.json_errors {
        return Ok(false);
    }
    // The statement with a sign below it is for people.
    let message = error.message.lines().next().unwrap_or_default();
    let message = match line.filter(|line| *line > 0) {
        Some(line) => format!("line {line}: {message}"),
        None => message.to_owned(),
    };
    let reported = Error::new(codes::meaning(error.code), message);
    shell.report_as_json(&match &error.hint {
        Some(hint) => reported.hint(hint.trim_start_matches("hint: ")),
        None => reported,
    })
}

/// Runs the text of a command-line argument. Fails with SQLite's code when a statement did, after reporting it.
pub fn run_argument(shell: &mut Shell<'_>, text: &[u8]) -> ShellResult {
    let error = match execute(shell, text) {
        Err(Interrupt::Statement(error)) => error,
        ran => return ran,
    };
    if report_to_program(shell, &error, None)? {
        return Err(Interrupt::Failed(error.code));
    }
    let phase = match error.phase {
        Phase::Prepare => "in prepare",
        Phase::Step => "stepping",
    };
    shell.say(format_args!("Error: {phase}, {}", error.message))?;
    if let Some(hint) = error.hint {
        complain(format_args!("{hint}"));
    }
    Err(Interrupt::Failed(error.code))
}

fn print_changes(shell: &mut Shell<'_>) -> ShellResult {
    let session = shell.session()?;
    let total = session.total_changes();
    let changes = session.changes();
    shell.show(format_args!("changes: {changes}   total_changes: {total}"))
}

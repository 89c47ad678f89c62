//! `.import`: separated text into a table, as `sqlite3` does it.
//!
//! What is read is bound as text, one record after the other, so memory stays flat whatever the file's size; odd records are
//! told on stderr with file and line and the rest goes on. `strict` is the other way of importing: all or nothing, with
//! column types. Printing usage and choosing the streams are left to the caller.

#[cfg(test)]
mod fuzz;
mod header_warning;
mod json;
mod json_numbers;
pub mod names;
mod options;
mod progress;
pub mod reader;
mod records;
pub mod strict;
mod types;

use super::output::failure_of_program;
use super::render::text;
use crate::error::{Code, Error, Result};
use crate::sql::query::collect;
use crate::sql::text::value_to_text;
use crate::sql::{Args, Column, Failure, Session, Sink, Value, ValueRef};
use crate::sqltext::quote::identifier;
pub use options::{ImportArgumentError, ImportOptions};
use progress::{Consumed, Counted, ImportProgress};
use reader::{CsvFieldReader, FieldEnd, Record};
use records::{ImportRecords, RecordLines, report_flaw};
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::process::{Child, Command, Stdio};
use types::Types;

/// Where messages go: the answer's stream and the one for what went wrong.
pub struct ImportStreams<'a> {
    pub out: &'a mut dyn Write,
    pub err: &'a mut dyn Write,
    /// What goes wrong is shown on a terminal, and how far the work is may be shown there too.
    pub terminal: bool,
}

/// Imports. Returns SQLite's result code: as in `sqlite3`, that of the last record, or 1 if nothing could be imported.
/// Refused records are told on `streams.err` and counted, they do not end it. `stop` is asked at every record.
pub fn import(
    session: &mut dyn Session,
    options: &ImportOptions,
    streams: &mut ImportStreams<'_>,
    stop: &dyn Fn() -> bool,
) -> std::result::Result<i32, Failure> {
    let source: io::Result<(Box<dyn Read>, Option<Child>)> = match options.file.strip_prefix('|') {
        Some(command) => Command::new("sh")
            .arg("-c")
            .arg(command)
            .stdout(Stdio::piped())
            .spawn()
            .map(|mut child| {
                let output: Box<dyn Read> = match child.stdout.take() {
                    Some(output) => Box::new(output),
                    None => Box::new(io::empty()),
                };
                (output, Some(child))
            }),
        None => std::fs::File::open(&options.file).map(|file| -> (Box<dyn Read>, _) { (Box::new(file), None) }),
    };
    let Ok((input, program)) = source else {
        say(streams.err, &format!("Error: cannot open \"{}\"\n", options.file))?;
        return Ok(1);
    };
    let consumed = Consumed::default();
    let metadata = program
        .is_none()
        .then(|| std::fs::metadata(&options.file).ok())
        .flatten();
    let total = metadata
        .filter(std::fs::Metadata::is_file)
        .map(|metadata| metadata.len());
    let progress = ImportProgress::new(streams.terminal, consumed.clone(), total);
    let mut importer = Importer {
        session,
        options,
        streams,
        stop,
        guessed: Vec::new(),
        progress,
        program,
    };
    let input = match importer.prepare(input) {
        Ok(input) => Box::new(Counted::new(input, &consumed)),
        Err(error) => {
            let nothing = if error.code() == Code::Interrupted {
                "Interrupted"
            } else {
                "Error"
            };
            say(importer.streams.err, &format!("{nothing}: {}\n", error.message()))?;
            return Ok(if error.code() == Code::Interrupted {
                rusqlite::ffi::SQLITE_INTERRUPT
            } else {
                1
            });
        }
    };
    // JSON comes whole or not at all, and a dry run not at all: both need a place to go back to.
    let code = if options.json || options.dry_run {
        importer.within_savepoint(input)
    } else {
        importer.run(input)
    };
    // Where its output was not read to the end, it is closed by now, and what the program returns is its own affair.
    let _ = importer.program.map(|mut program| program.wait());
    code
}

/// How reading ended, and what must be ended with it.
struct ImportEnd {
    lines: u64,
    errors: u64,
    /// SQLite's result code for the caller.
    code: i32,
    /// Where the last record began.
    last_line: u64,
    /// The import opened the transaction.
    own: bool,
    /// The transaction was undone by a row that was refused.
    undone: bool,
    /// The import made the table.
    made: bool,
}

struct Importer<'a, 'b> {
    session: &'a mut dyn Session,
    options: &'a ImportOptions,
    streams: &'a mut ImportStreams<'b>,
    stop: &'a dyn Fn() -> bool,
    /// The types that the columns of a new table seem to have.
    guessed: Vec<&'static str>,
    progress: ImportProgress,
    /// The program whose output is imported, until its end was judged.
    program: Option<Child>,
}

impl Importer<'_, '_> {
    /// Sees to it that the table is there or not as it was asked for, and guesses its types if that was.
    fn prepare(&mut self, input: Box<dyn Read>) -> Result<Box<dyn Read>> {
        let options = self.options;
        if !options.create && options.types.is_none() {
            return Ok(input);
        }
        let there = match self.width(&options.target()) {
            Ok(_) => true,
            Err(Failure::Sql { message, .. }) if message.starts_with("no such table: ") => false,
            Err(failure) => return Err(failure.into()),
        };
        if there {
            let why = if options.create {
                "so --create imported nothing"
            } else {
                "and its columns have types: leave --types out; nothing was imported"
            };
            return Err(Error::new(
                Code::InvalidValue,
                format!("table {} exists already, {why}", options.table),
            ));
        }
        if options.types != Some(Types::Guess) {
            return Ok(input);
        }
        let guessed = types::guess(input, options, self.stop)?
            .ok_or_else(|| Error::new(Code::Interrupted, "nothing was imported."))?;
        self.guessed = guessed.kinds;
        Ok(guessed.input)
    }

    fn run(&mut self, input: Box<dyn Read>) -> std::result::Result<i32, Failure> {
        let Self { options, .. } = *self;
        if options.verbose >= 2 || options.verbose == 1 && options.from_style {
            let mut line = b"Column separator ".to_vec();
            text::push_c(&mut line, &[options.dialect.column]);
            line.extend_from_slice(b", row separator ");
            text::push_c(&mut line, &[options.dialect.row]);
            line.push(b'\n');
            self.streams.out.write_all(&line).map_err(Failure::Sink)?;
        }
        let mut reader = CsvFieldReader::new(input, options.dialect);
        let mut record = Record::default();
        for _ in 0..options.skip {
            self.record(&mut reader, &mut record)?;
        }
        let target = options.target();
        let mut made = false;
        let width = match self.width(&target) {
            Err(Failure::Sql { message, .. }) if message.starts_with("no such table: ") => {
                if !self.create(&target, &mut reader, &mut record)? {
                    return Ok(1);
                }
                made = true;
                self.width(&target)
            }
            width => width,
        };
        let width = match width {
            Ok(0) => return Ok(0),
            Ok(width) => width,
            Err(failure) => return self.refused(failure),
        };
        let insert = format!("INSERT INTO {target} VALUES(?{})", ",?".repeat(width - 1));
        if options.verbose >= 2 {
            say(self.streams.out, &format!("Insert using: {insert}\n"))?;
        }
        let was_within = self.session.in_transaction();
        let own = !was_within && execute(self.session, "BEGIN").is_ok();
        let mut records = ImportRecords {
            reader,
            record,
            width,
            options,
            progress: &mut self.progress,
            err: self.streams.err,
            stop: self.stop,
            lines: RecordLines::new(),
            errors: 0,
            last_refused: None,
            ended: false,
        };
        let taken = self.session.insert_many(&insert, &mut records);
        records.progress.clear(records.err).map_err(Failure::Sink)?;
        let end = ImportEnd {
            lines: records.reader.line() - 1,
            errors: records.errors,
            code: records.code(),
            last_line: records.last_line(),
            own,
            // A full disk and some constraints undo all of a transaction, not the row alone.
            undone: (own || was_within) && !self.session.in_transaction(),
            made,
        };
        self.finish(&target, taken, &end)
    }

    /// Commits or undoes what was inserted, and prints how much it was.
    fn finish(
        &mut self,
        target: &str,
        taken: std::result::Result<u64, Failure>,
        end: &ImportEnd,
    ) -> std::result::Result<i32, Failure> {
        let Self { options, .. } = *self;
        let &ImportEnd {
            lines,
            errors,
            code,
            own,
            made,
            ..
        } = end;
        // What a stop left is half of the file, which nobody asked for.
        let stopped = (self.stop)();
        if stopped && (own || options.dry_run) {
            if own {
                execute(self.session, "ROLLBACK")?;
            }
            if made && own {
                execute(self.session, &format!("DROP TABLE {target}"))?;
            }
            say(self.streams.err, "Interrupted: nothing was imported.\n")?;
            return Ok(rusqlite::ffi::SQLITE_INTERRUPT);
        }
        let taken = match taken {
            outcome if end.undone => return self.report_undone(target, outcome.err(), end),
            Ok(taken) => taken,
            Err(failure) => {
                if own {
                    let _ = execute(self.session, "ROLLBACK");
                }
                return self.refused(failure);
            }
        };
        if stopped {
            let notice = format!("Interrupted: {taken} rows are in the open transaction; ROLLBACK undoes them.\n");
            say(self.streams.err, &notice)?;
            return Ok(rusqlite::ffi::SQLITE_INTERRUPT);
        }
        if let Some(why) = self.failure_of_program() {
            return self.report_failed_program(&why, target, end);
        }
        if own && let Err(failure) = execute(self.session, "COMMIT") {
            let _ = execute(self.session, "ROLLBACK");
            return self.refused(failure);
        }
        if options.dry_run {
            let summary = format!("Would add {taken} rows with {errors} errors using {lines} lines of input\n");
            say(self.streams.out, &summary)?;
        } else if options.verbose > 0 {
            let summary = format!("Added {taken} rows with {errors} errors using {lines} lines of input\n");
            say(self.streams.out, &summary)?;
        }
        Ok(code)
    }

    /// How the program failed whose output was read; none if it did not, and where there is none.
    fn failure_of_program(&mut self) -> Option<String> {
        let ended = self.program.take()?.wait();
        failure_of_program(&ended)
    }

    /// Says that a program's output may not be whole, and undoes what can be undone of its import.
    fn report_failed_program(&mut self, why: &str, target: &str, end: &ImportEnd) -> std::result::Result<i32, Failure> {
        let consequence = if end.own {
            execute(self.session, "ROLLBACK")?;
            if end.made {
                execute(self.session, &format!("DROP TABLE {target}"))?;
            }
            "nothing was imported"
        } else {
            "what it wrote is in the open transaction"
        };
        let command = self.options.file.trim_start_matches('|');
        say(
            self.streams.err,
            &format!("Error: \"{command}\" {why}: {consequence}\n"),
        )?;
        Ok(1)
    }

    /// Says that the transaction of the import is undone, and why.
    fn report_undone(
        &mut self,
        target: &str,
        failure: Option<Failure>,
        end: &ImportEnd,
    ) -> std::result::Result<i32, Failure> {
        let code = match failure {
            Some(Failure::Sql { message, code, .. }) => {
                let (file, line) = (self.options.display_name(), end.last_line);
                say(self.streams.err, &format!("{file}:{line}: INSERT failed: {message}\n"))?;
                code & 0xff
            }
            Some(failure) => return Err(failure),
            // It was reported with its row.
            None => end.code.max(1),
        };
        if end.own && end.made {
            execute(self.session, &format!("DROP TABLE {target}"))?;
        }
        let consequence = if end.own {
            "nothing was imported"
        } else {
            "the open transaction is undone, with all that it had changed before"
        };
        say(self.streams.err, &format!("Error: {consequence}\n"))?;
        Ok(code)
    }

    /// Reads a record whole. False at the end of the input.
    fn record(
        &mut self,
        reader: &mut CsvFieldReader<Box<dyn Read>>,
        record: &mut Record,
    ) -> std::result::Result<bool, Failure> {
        record.clear();
        let mut flaws = Vec::new();
        let unreadable = |error| Failure::Connection(self.options.unreadable(error));
        while record.read(reader, &mut |flaw| flaws.push(flaw)).map_err(unreadable)? == Some(FieldEnd::Column) {}
        for flaw in flaws {
            report_flaw(self.streams.err, self.options.display_name(), flaw).map_err(Failure::Sink)?;
        }
        Ok(record.count() > 0)
    }

    /// Makes the table from the first record. False if it could not be.
    fn create(
        &mut self,
        target: &str,
        reader: &mut CsvFieldReader<Box<dyn Read>>,
        record: &mut Record,
    ) -> std::result::Result<bool, Failure> {
        let name = self.options.display_name();
        if !self.record(reader, record)? {
            say(self.streams.err, &format!("{name}: empty file\n"))?;
            return Ok(false);
        }
        let header: Vec<String> = record
            .iter()
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        let (columns, renamed) = names::unique(&header);
        if !renamed.is_empty() {
            let pair = |one: &names::Renamed| format!("{} to {}", identifier(&one.from), identifier(&one.to));
            let pairs: Vec<String> = renamed.iter().map(pair).collect();
            let notice = format!(
                "Columns renamed during .import {name} due to duplicates:\n{}\n",
                pairs.join(",\n")
            );
            say(self.streams.err, &notice)?;
        }
        let listed = match &self.options.types {
            Some(types) => match types.of(&columns, self.options.skip + 1, self.options) {
                Ok(listed) => listed,
                Err(error) => {
                    say(self.streams.err, &format!("Error: {}\n", error.message()))?;
                    return Ok(false);
                }
            },
            None => Vec::new(),
        };
        let kind = |index: usize| {
            let listed = listed.get(index).map(String::as_str);
            listed.or_else(|| self.guessed.get(index).copied()).unwrap_or("TEXT")
        };
        let create = format!("CREATE TABLE {target}{}\n", definitions(&columns, kind));
        if self.options.verbose >= 1 {
            say(self.streams.out, &format!("{create}\n"))?;
        }
        let is_made = match execute(self.session, &create) {
            Ok(()) => true,
            Err(Failure::Sql { message, .. }) => {
                say(self.streams.err, &format!("{create} failed:\n{message}\n"))?;
                false
            }
            Err(failure) => return Err(failure),
        };
        if self.streams.terminal
            && let Some(warning) = header_warning::describe(record, self.options, is_made)
        {
            say(self.streams.err, &warning)?;
        }
        Ok(is_made)
    }

    /// How many columns of the table take values.
    fn width(&mut self, target: &str) -> std::result::Result<usize, Failure> {
        let mut sink = Width(0);
        self.session
            .run(&format!("SELECT * FROM {target} LIMIT 0"), &Args::default(), &mut sink)?;
        Ok(sink.0.saturating_sub(generated(self.session, self.options).len()))
    }

    /// Says what SQLite refused; anything else is handed back.
    fn refused(&mut self, failure: Failure) -> std::result::Result<i32, Failure> {
        match failure {
            Failure::Sql { message, code, .. } => {
                say(self.streams.err, &format!("Error: {message}\n"))?;
                Ok(code)
            }
            failure => Err(failure),
        }
    }
}

/// The generated columns of the table, which take no values. None where nobody can tell.
fn generated(session: &mut dyn Session, options: &ImportOptions) -> Vec<String> {
    let schema = options.schema.clone().map_or(Value::Null, Value::Text);
    let columns = "SELECT name FROM pragma_table_xinfo(?1, ?2) WHERE hidden > 1";
    let rows = collect(session, columns, &[Value::Text(options.table.clone()), schema]);
    rows.into_iter().flatten().map(|row| value_to_text(&row[0])).collect()
}

/// The column list of a CREATE TABLE, four on a line.
fn definitions<'k>(columns: &[String], kind: impl Fn(usize) -> &'k str) -> String {
    let mut text = String::from("(\n");
    for (index, name) in columns.iter().enumerate() {
        if index > 0 {
            text.push_str(if index % 4 == 0 { ",\n " } else { ", " });
        }
        text.push_str(&identifier(name));
        text.push(' ');
        text.push_str(kind(index));
    }
    text.push(')');
    text
}

fn say(stream: &mut dyn Write, text: &str) -> std::result::Result<(), Failure> {
    stream.write_all(text.as_bytes()).map_err(Failure::Sink)
}

/// Runs a statement for what it does.
fn execute(session: &mut dyn Session, sql: &str) -> std::result::Result<(), Failure> {
    session.run(sql, &Args::default(), &mut Width(0)).map(drop)
}

/// Counts a result's columns.
struct Width(usize);

impl Sink for Width {
    fn columns(&mut self, columns: &[Column]) -> io::Result<()> {
        self.0 = columns.len();
        Ok(())
    }

    fn row(&mut self, _: &[ValueRef<'_>]) -> io::Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}

#[cfg(test)]
mod tests;

//! `.import`: separated text into a table, as `sqlite3` does it.
//!
//! What is read is bound as text, one record after the other, so memory stays flat whatever the file's size; odd records are
//! told on stderr with file and line and the rest goes on. `strict` is the other way of importing: all or nothing, with
//! column types. Printing usage and choosing the streams are left to the caller.

#[cfg(test)]
mod fuzz;
mod json;
pub mod names;
mod progress;
pub mod reader;
pub mod strict;
mod types;

use super::render::{Mode, Style, text};
use super::words;
use crate::error::{Code, Error, Result};
use crate::sql::{Args, Column, Failure, Flow, Rows, Session, Sink, ValueRef};
use progress::{Consumed, Counted, Progress};
use reader::{Dialect, End, Flaw, Reader, Record};
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use types::Types;

/// What to import and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A path, or `|` and a shell command.
    pub file: String,
    pub table: String,
    pub schema: Option<String>,
    pub dialect: Dialect,
    /// Records passed over at the start.
    pub skip: u64,
    /// A field of exactly this text is NULL.
    pub null: Option<String>,
    pub verbose: u8,
    /// Objects in JSON rather than separated text.
    pub json: bool,
    /// The table must not be there yet.
    pub create: bool,
    /// The types of a new table's columns; without them all are `TEXT`, as in classic.
    pub types: Option<Types>,
    /// Do everything, tell what came of it, and undo it.
    pub dry_run: bool,
    /// The separators are the style's, not those of an option.
    from_style: bool,
    /// The output mode is ascii: a record of one empty field is no record.
    ascii_mode: bool,
    /// The style's row separator has to become a line feed: that of CSV output is not what input has.
    pub line_feed_rows: bool,
}

/// Why arguments make no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// To be followed by the command's help.
    Usage(String),
    /// All there is to say.
    Message(&'static str),
}

impl Options {
    /// Reads the arguments of `.import`. Without `--csv` and the like, the separators are the current style's.
    pub fn parse(arguments: &[&str], style: &Style) -> std::result::Result<Self, Refusal> {
        let mut names = Vec::new();
        let mut options = Self {
            file: String::new(),
            table: String::new(),
            schema: None,
            dialect: Dialect {
                quotes: style.mode != Mode::Ascii,
                ..Dialect::CSV
            },
            skip: 0,
            null: None,
            verbose: 0,
            json: false,
            create: false,
            types: None,
            dry_run: false,
            from_style: true,
            ascii_mode: style.mode == Mode::Ascii,
            line_feed_rows: false,
        };
        let mut rest = arguments.iter().copied();
        while let Some(argument) = rest.next() {
            let Some(option) = argument.strip_prefix('-') else {
                if names.len() == 2 {
                    return Err(Refusal::Usage(format!(
                        "ERROR: extra argument: \"{argument}\".  Usage:\n"
                    )));
                }
                names.push(argument.to_owned());
                continue;
            };
            let option = option.strip_prefix('-').unwrap_or(option);
            let mut separators = |dialect| {
                options.dialect = dialect;
                options.from_style = false;
            };
            match option {
                "v" => options.verbose = options.verbose.saturating_add(1),
                "ascii" => separators(Dialect::ASCII),
                "csv" => separators(Dialect::CSV),
                "json" | "jsonl" => {
                    separators(Dialect::CSV);
                    options.json = true;
                }
                "dry-run" => options.dry_run = true,
                "create" => options.create = true,
                "types" if rest.len() > 0 => {
                    let list = rest.next().unwrap_or_default();
                    let types = Types::parse(list).ok_or_else(|| {
                        Refusal::Usage(format!(
                            "ERROR: not a list of types, nor the word guess: \"{list}\".  Usage:\n"
                        ))
                    })?;
                    options.types = Some(types);
                }
                "tsv" => separators(Dialect {
                    column: b'\t',
                    ..Dialect::CSV
                }),
                "schema" | "skip" | "null" if rest.len() > 0 => {
                    let value = rest.next().unwrap_or_default();
                    match option {
                        "schema" => options.schema = Some(value.to_owned()),
                        "null" => options.null = Some(value.to_owned()),
                        _ => options.skip = u64::try_from(words::integer(value)).unwrap_or(0),
                    }
                }
                _ => {
                    let shown = argument
                        .strip_prefix('-')
                        .filter(|rest| rest.starts_with('-'))
                        .unwrap_or(argument);
                    return Err(Refusal::Usage(format!("ERROR: unknown option: \"{shown}\".  Usage:\n")));
                }
            }
        }
        let mut names = names.into_iter();
        options.file = names.next().ok_or_else(|| missing("FILE"))?;
        options.table = names.next().ok_or_else(|| missing("TABLE"))?;
        if options.json && options.types.is_some() {
            return Err(Refusal::Message(
                "Error: values in JSON have types: --types is for separated text",
            ));
        }
        if options.from_style {
            options.separators_of(style)?;
        }
        Ok(options)
    }

    fn separators_of(&mut self, style: &Style) -> std::result::Result<(), Refusal> {
        let refuse = |message| Err(Refusal::Message(message));
        match style.column_separator.as_bytes() {
            [] => return refuse("Error: non-null column separator required for import"),
            [byte] => self.dialect.column = *byte,
            _ => return refuse("Error: multi-character column separators not allowed for import"),
        }
        match style.row_separator.as_bytes() {
            [] => return refuse("Error: non-null row separator required for import"),
            [byte] => self.dialect.row = *byte,
            b"\r\n" if style.mode == Mode::Csv => {
                self.dialect.row = b'\n';
                self.line_feed_rows = true;
            }
            _ => return refuse("Error: multi-character row separators not allowed for import"),
        }
        Ok(())
    }

    /// The table with its schema, quoted.
    fn target(&self) -> String {
        let table = names::quoted(&self.table);
        match &self.schema {
            Some(schema) => format!("{}.{table}", names::quoted(schema)),
            None => table,
        }
    }

    fn unreadable(&self, error: io::Error) -> Error {
        Error::io(error, format!("cannot read {}", self.shown()))
    }

    /// What messages call the file.
    fn shown(&self) -> &str {
        if self.file.starts_with('|') {
            "<pipe>"
        } else {
            &self.file
        }
    }
}

fn missing(what: &str) -> Refusal {
    Refusal::Usage(format!("ERROR: missing {what} argument. Usage:\n"))
}

/// Where messages go: the answer's stream and the one for what went wrong.
pub struct Streams<'a> {
    pub out: &'a mut dyn Write,
    pub err: &'a mut dyn Write,
    /// What goes wrong is shown on a terminal, and how far the work is may be shown there too.
    pub terminal: bool,
}

/// Imports. Returns SQLite's result code: as in `sqlite3`, that of the last record, or 1 if nothing could be imported.
/// Refused records are told on `streams.err` and counted, they do not end it. `stop` is asked at every record.
pub fn import(
    session: &mut dyn Session,
    options: &Options,
    streams: &mut Streams<'_>,
    stop: &dyn Fn() -> bool,
) -> std::result::Result<i32, Failure> {
    let source: io::Result<(Box<dyn Read>, Option<std::process::Child>)> = match options.file.strip_prefix('|') {
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
    let Ok((input, child)) = source else {
        say(streams.err, &format!("Error: cannot open \"{}\"\n", options.file))?;
        return Ok(1);
    };
    let consumed = Consumed::default();
    let metadata = child.is_none().then(|| std::fs::metadata(&options.file).ok()).flatten();
    let total = metadata
        .filter(std::fs::Metadata::is_file)
        .map(|metadata| metadata.len());
    let progress = Progress::new(streams.terminal, consumed.clone(), total);
    let mut importer = Importer {
        session,
        options,
        streams,
        stop,
        guessed: Vec::new(),
        progress,
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
    if let Some(mut child) = child {
        // Its output was read to the end or is closed; what it returns is its own affair.
        let _ = child.wait();
    }
    code
}

struct Importer<'a, 'b> {
    session: &'a mut dyn Session,
    options: &'a Options,
    streams: &'a mut Streams<'b>,
    stop: &'a dyn Fn() -> bool,
    /// The types that the columns of a new table seem to have.
    guessed: Vec<&'static str>,
    progress: Progress,
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
                "and --create makes it; nothing was imported"
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
        let mut reader = Reader::new(input, options.dialect);
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
        let own = !self.session.in_transaction() && execute(self.session, "BEGIN").is_ok();
        let mut records = Records {
            reader,
            record,
            width,
            options,
            progress: &mut self.progress,
            err: self.streams.err,
            stop: self.stop,
            handed: 0,
            lines: vec![0; LINES],
            errors: 0,
            last_refused: None,
            ended: false,
        };
        let taken = self.session.insert_many(&insert, &mut records);
        records.progress.clear(records.err).map_err(Failure::Sink)?;
        let (lines, errors, code) = (records.reader.line() - 1, records.errors, records.code());
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

    /// Reads a record whole. False at the end of the input.
    fn record(
        &mut self,
        reader: &mut Reader<Box<dyn Read>>,
        record: &mut Record,
    ) -> std::result::Result<bool, Failure> {
        record.clear();
        let mut flaws = Vec::new();
        while record
            .read(reader, &mut |flaw| flaws.push(flaw))
            .map_err(Failure::Sink)?
            == Some(End::Column)
        {}
        for flaw in flaws {
            tell(self.streams.err, self.options.shown(), flaw).map_err(Failure::Sink)?;
        }
        Ok(record.count() > 0)
    }

    /// Makes the table from the first record. False if it could not be.
    fn create(
        &mut self,
        target: &str,
        reader: &mut Reader<Box<dyn Read>>,
        record: &mut Record,
    ) -> std::result::Result<bool, Failure> {
        let shown = self.options.shown();
        if !self.record(reader, record)? {
            say(self.streams.err, &format!("{shown}: empty file\n"))?;
            return Ok(false);
        }
        let header: Vec<String> = record
            .iter()
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        let (columns, renamed) = names::unique(&header);
        if !renamed.is_empty() {
            let pair = |one: &names::Renamed| format!("{} to {}", names::quoted(&one.from), names::quoted(&one.to));
            let pairs: Vec<String> = renamed.iter().map(pair).collect();
            let notice = format!(
                "Columns renamed during .import {shown} due to duplicates:\n{}\n",
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
        match execute(self.session, &create) {
            Ok(()) => Ok(true),
            Err(Failure::Sql { message, .. }) => {
                say(self.streams.err, &format!("{create} failed:\n{message}\n"))?;
                Ok(false)
            }
            Err(failure) => Err(failure),
        }
    }

    /// How many columns the table has.
    fn width(&mut self, target: &str) -> std::result::Result<usize, Failure> {
        let mut sink = Width(0);
        self.session
            .run(&format!("SELECT * FROM {target} LIMIT 0"), &Args::default(), &mut sink)?;
        Ok(sink.0)
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

/// The column list of a CREATE TABLE, four on a line.
fn definitions<'k>(columns: &[String], kind: impl Fn(usize) -> &'k str) -> String {
    let mut text = String::from("(\n");
    for (index, name) in columns.iter().enumerate() {
        if index > 0 {
            text.push_str(if index % 4 == 0 { ",\n " } else { ", " });
        }
        text.push_str(&names::quoted(name));
        text.push(' ');
        text.push_str(kind(index));
    }
    text.push(')');
    text
}

fn say(stream: &mut dyn Write, text: &str) -> std::result::Result<(), Failure> {
    stream.write_all(text.as_bytes()).map_err(Failure::Sink)
}

fn tell(stream: &mut dyn Write, file: &str, flaw: Flaw) -> io::Result<()> {
    match flaw {
        Flaw::UnescapedQuote { line } => writeln!(stream, "{file}:{line}: unescaped \" character"),
        Flaw::UnterminatedQuote { line } => writeln!(stream, "{file}:{line}: unterminated \"-quoted field"),
    }
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

    fn row(&mut self, _: &[ValueRef<'_>]) -> io::Result<Flow> {
        Ok(Flow::Continue)
    }
}

/// How many records back a refusal may come and still know its line. Rows are sent to a server some hundreds at a time.
const LINES: usize = 8192;

/// The file's records as rows of the table's width.
struct Records<'a, 'b> {
    reader: Reader<Box<dyn Read>>,
    record: Record,
    width: usize,
    options: &'a Options,
    progress: &'b mut Progress,
    err: &'b mut dyn Write,
    stop: &'a dyn Fn() -> bool,
    /// Rows given so far.
    handed: u64,
    /// The lines on which the last rows began, by their number modulo [`LINES`].
    lines: Vec<u64>,
    errors: u64,
    /// The last row refused and why, as a result code.
    last_refused: Option<(u64, i32)>,
    ended: bool,
}

impl Records<'_, '_> {
    /// The result code of the last row.
    fn code(&self) -> i32 {
        self.last_refused
            .filter(|(nth, _)| nth + 1 == self.handed)
            .map_or(0, |(_, code)| code & 0xff)
    }

    fn slot(nth: u64) -> usize {
        (nth % LINES as u64) as usize
    }

    /// Reads one field, telling what is odd about it.
    fn read(&mut self) -> io::Result<Option<End>> {
        let mut told = Ok(());
        let (err, progress, file) = (&mut *self.err, &mut *self.progress, self.options.shown());
        let end = self.record.read(&mut self.reader, &mut |flaw| {
            told = progress.clear(err).and_then(|()| tell(err, file, flaw));
        })?;
        told.map(|()| end)
    }

    /// Reads the next record and says if it is too short or too long. False if there is none.
    fn next_record(&mut self) -> io::Result<bool> {
        loop {
            if self.ended || (self.stop)() {
                return Ok(false);
            }
            let line = self.reader.line();
            self.record.clear();
            let mut end = self.read()?;
            if end.is_none() {
                return Ok(false);
            }
            let mut found = 1;
            while end == Some(End::Column) && found < self.width {
                end = self.read()?;
                found += 1;
            }
            self.ended = matches!(end, None | Some(End::File));
            let nothing = found == 1 && self.record.get(0).is_some_and(<[u8]>::is_empty);
            if self.options.ascii_mode && nothing && end != Some(End::Column) {
                continue;
            }
            let too_short = found < self.width;
            let too_long = end == Some(End::Column);
            while end == Some(End::Column) {
                end = self.read()?;
                found += 1;
                self.ended = matches!(end, None | Some(End::File));
            }
            if too_short || too_long {
                let what = if too_long {
                    "extras ignored"
                } else {
                    "filling the rest with NULL"
                };
                let (file, width) = (self.options.shown(), self.width);
                self.progress.clear(self.err)?;
                writeln!(
                    self.err,
                    "{file}:{line}: expected {width} columns but found {found} - {what}"
                )?;
            }
            self.lines[Self::slot(self.handed)] = line;
            self.handed += 1;
            self.progress.at(self.handed, self.err)?;
            return Ok(true);
        }
    }
}

impl Rows for Records<'_, '_> {
    fn width(&self) -> usize {
        self.width
    }

    fn advance(&mut self) -> Result<bool> {
        self.next_record()
            .map_err(|error| Error::io(error, format!("cannot read {}", self.options.shown())))
    }

    fn value(&self, index: usize) -> ValueRef<'_> {
        match self.record.get(index) {
            Some(field) if self.options.null.as_ref().is_none_or(|null| null.as_bytes() != field) => {
                ValueRef::Text(field)
            }
            _ => ValueRef::Null,
        }
    }

    fn refused(&mut self, nth: u64, failure: Failure) -> Result<Flow> {
        let Failure::Sql { message, code, .. } = failure else {
            return match failure {
                Failure::Connection(error) => Err(error),
                other => Err(Error::new(Code::Io, other.to_string())),
            };
        };
        self.errors += 1;
        self.last_refused = Some((nth, code));
        let (file, line) = (self.options.shown(), self.lines[Self::slot(nth)]);
        self.progress
            .clear(self.err)
            .and_then(|()| writeln!(self.err, "{file}:{line}: INSERT failed: {message}"))
            .map_err(|error| Error::io(error, "cannot write"))?;
        Ok(Flow::Continue)
    }
}

#[cfg(test)]
mod tests;

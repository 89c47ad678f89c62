//! `.import --json` and `--jsonl`: objects as rows, all of them or none.
//!
//! The file holds an array of objects, or one object after the other. It is cut into objects byte by byte, so that only one
//! is in memory and each is known by its line. Keys are columns; numbers stay numbers, `true` and `false` become 1 and 0,
//! and what is nested becomes its JSON text. A new table has the columns of all objects: for that the file is read twice.

mod object;

use super::json_numbers::{exact_number, mark_exact_numbers, without_marks};
use super::progress::ImportProgress;
use super::records::RecordLines;
use super::{ImportOptions, definitions, execute, say};
use crate::error::{Code, Error, Result};
use crate::sql::{Args, Column, Failure, Rows, Session, Sink, Value, ValueRef};
use crate::sqltext::quote::identifier;
use object::Object;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;

/// What some programs begin a text in UTF-8 with.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// What came of it.
struct Report {
    rows: u64,
    /// The table's columns with their types, where it was made.
    created: Option<String>,
}

/// SQLite's result code.
type Outcome = std::result::Result<i32, Failure>;

impl super::Importer<'_, '_> {
    /// Imports and undoes it where it failed or was only to be tried.
    pub(super) fn within_savepoint(&mut self, input: Box<dyn Read>) -> Outcome {
        execute(self.session, "SAVEPOINT import")?;
        let code = if self.options.json {
            self.objects(input)
        } else {
            self.run(input)
        };
        let keep = !self.options.dry_run && matches!(code, Ok(0));
        // A statement that was stopped may have undone the whole transaction already.
        if self.session.in_transaction() {
            if !keep {
                execute(self.session, "ROLLBACK TO import")?;
            }
            execute(self.session, "RELEASE import")?;
        }
        code
    }

    fn objects(&mut self, input: Box<dyn Read>) -> Outcome {
        let ImportOptions { dry_run, table, .. } = self.options;
        let excerpt = Excerpt {
            progress: &mut self.progress,
            err: &mut *self.streams.err,
        };
        let imported = import(self.session, self.options, input, self.stop, excerpt);
        self.progress.clear(self.streams.err).map_err(Failure::Sink)?;
        match imported {
            Ok(Report { rows, created }) => {
                if let Some(why) = self.failure_of_program() {
                    let command = self.options.file.trim_start_matches('|');
                    let report = format!("Error: \"{command}\" {why}: nothing was imported\n");
                    say(self.streams.err, &report)?;
                    return Ok(1);
                }
                if *dry_run || self.options.verbose > 0 {
                    let verb = if *dry_run { "Would add" } else { "Added" };
                    let columns = created.map_or(String::new(), |columns| format!(", a new table {columns}"));
                    say(self.streams.out, &format!("{verb} {rows} rows to {table}{columns}\n"))?;
                }
                Ok(0)
            }
            Err(error) if error.code() == Code::Interrupted => {
                say(self.streams.err, "Interrupted: nothing was imported.\n")?;
                Ok(rusqlite::ffi::SQLITE_INTERRUPT)
            }
            Err(error) => {
                say(
                    self.streams.err,
                    &format!("Error: {}; nothing was imported\n", error.message()),
                )?;
                Ok(1)
            }
        }
    }
}

/// Imports within the transaction that the caller has opened, and undoes if this fails.
fn import<'a>(
    session: &mut dyn Session,
    options: &'a ImportOptions,
    input: Box<dyn Read>,
    stop: &'a dyn Fn() -> bool,
    excerpt: Excerpt<'a>,
) -> Result<Report> {
    let target = options.target();
    let existing = columns_of(session, &target)?;
    let mut created = None;
    let columns: Vec<String> = match existing {
        Some(columns) => {
            let generated = super::generated(session, options);
            columns.into_iter().filter(|name| !generated.contains(name)).collect()
        }
        None => {
            let (columns, kinds) = survey(options, stop)?;
            let list = definitions(&columns, |index| kinds[index]);
            execute(session, &format!("CREATE TABLE {target}{list}"))?;
            created = Some(list);
            columns
        }
    };
    let positions = columns
        .iter()
        .enumerate()
        .map(|(index, name)| (name.to_ascii_lowercase(), index))
        .collect();
    let list: Vec<String> = columns.iter().map(|name| identifier(name)).collect();
    let insert = format!(
        "INSERT INTO {target}({}) VALUES(?{})",
        list.join(","),
        ",?".repeat(columns.len().saturating_sub(1))
    );
    let mut records = ImportRecords {
        objects: Objects::new(input, options, stop)?,
        positions,
        row: vec![Value::Null; columns.len()],
        null: options.null.as_deref(),
        excerpt,
        lines: RecordLines::new(),
        refusal: None,
    };
    let rows = session.insert_many(&insert, &mut records)?;
    match records.refusal {
        Some(error) => Err(error),
        None => Ok(Report { rows, created }),
    }
}

/// The names and types of all columns that the objects need.
fn survey(options: &ImportOptions, stop: &dyn Fn() -> bool) -> Result<(Vec<String>, Vec<&'static str>)> {
    // The terminal and named pipes have one reading as well.
    let is_read_once = options.file.starts_with('|')
        || std::fs::metadata(&options.file).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir());
    if is_read_once {
        return Err(
            Error::new(Code::InvalidFile, "a new table needs two readings, and a pipe has one")
                .hint("create the table first"),
        );
    }
    let file = File::open(&options.file).map_err(|error| options.unreadable(error))?;
    let mut objects = Objects::new(Box::new(file), options, stop)?;
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut columns: Vec<(String, Option<&'static str>)> = Vec::new();
    while let Some(object) = objects.next()? {
        for (key, value) in object {
            let place = *places.entry(key.to_ascii_lowercase()).or_insert_with(|| {
                columns.push((key, None));
                columns.len() - 1
            });
            let kind = match stored(value) {
                Value::Null => continue,
                Value::Integer(_) => "INTEGER",
                Value::Real(_) => "REAL",
                Value::Text(_) => "TEXT",
                Value::Blob(_) => "",
            };
            // Values of several types keep theirs in a column without one.
            let known = &mut columns[place].1;
            *known = Some(known.map_or(kind, |known| if known == kind { kind } else { "" }));
        }
    }
    if columns.is_empty() {
        return Err(objects.wrong("there are no objects with keys to make a table of"));
    }
    Ok(columns
        .into_iter()
        .map(|(name, kind)| (name, kind.unwrap_or("")))
        .unzip())
}

/// A JSON value as SQLite keeps it.
fn stored(value: Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Integer(truth.into()),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::Integer(integer),
            (None, Some(real)) => Value::Real(real),
            (None, None) => Value::Text(number.to_string()),
        },
        Json::String(text) => exact_number(&text).unwrap_or(Value::Text(text)),
        nested => Value::Text(without_marks(nested.to_string())),
    }
}

/// The table's columns; none if there is no such table.
fn columns_of(session: &mut dyn Session, target: &str) -> Result<Option<Vec<String>>> {
    let mut columns = Columns(Vec::new());
    match session.run(
        &format!("SELECT * FROM {target} LIMIT 0"),
        &Args::default(),
        &mut columns,
    ) {
        Ok(_) => Ok(Some(columns.0)),
        Err(Failure::Sql { message, .. }) if message.starts_with("no such table: ") => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

struct Columns(Vec<String>);

impl Sink for Columns {
    fn columns(&mut self, columns: &[Column]) -> io::Result<()> {
        self.0 = columns.iter().map(|column| column.name.clone()).collect();
        Ok(())
    }

    fn row(&mut self, _: &[ValueRef<'_>]) -> io::Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}

/// The file's objects, one by one.
struct Objects<'a> {
    input: BufReader<Box<dyn Read>>,
    options: &'a ImportOptions,
    stop: &'a dyn Fn() -> bool,
    text: Vec<u8>,
    line: u64,
    /// Where the last object began.
    begun: u64,
    array: bool,
    /// Within an array, an object was read and a comma must come before the next.
    comma_due: bool,
    ended: bool,
}

impl<'a> Objects<'a> {
    /// At the first object that is not passed over.
    fn new(mut input: Box<dyn Read>, options: &'a ImportOptions, stop: &'a dyn Fn() -> bool) -> Result<Self> {
        // A pipe may bring the mark of the encoding in pieces.
        let mut head = Vec::with_capacity(BYTE_ORDER_MARK.len());
        let mut beginning = input.by_ref().take(BYTE_ORDER_MARK.len() as u64);
        let read = beginning.read_to_end(&mut head);
        read.map_err(|error| options.unreadable(error))?;
        if head == BYTE_ORDER_MARK {
            head.clear();
        }
        let mut objects = Self {
            input: BufReader::with_capacity(1 << 16, Box::new(io::Cursor::new(head).chain(input))),
            options,
            stop,
            text: Vec::new(),
            line: 1,
            begun: 1,
            array: false,
            comma_due: false,
            ended: false,
        };
        if objects.peek()? == Some(b'[') {
            objects.input.consume(1);
            objects.array = true;
        }
        for _ in 0..options.skip {
            objects.next()?;
        }
        Ok(objects)
    }

    fn fill(&mut self) -> Result<&[u8]> {
        let Self { input, options, .. } = self;
        input.fill_buf().map_err(|error| options.unreadable(error))
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let byte = self.fill()?.first().copied();
            match byte {
                Some(b'\n') => self.line += 1,
                Some(b' ' | b'\t' | b'\r') => {}
                _ => return Ok(byte),
            }
            self.input.consume(1);
        }
    }

    fn wrong(&self, why: &str) -> Error {
        Error::new(
            Code::InvalidFile,
            format!("{}:{}: {why}", self.options.display_name(), self.begun),
        )
    }

    fn next(&mut self) -> Result<Option<Object>> {
        if (self.stop)() {
            return Err(Error::new(Code::Interrupted, "interrupted"));
        }
        if self.ended && !self.array {
            return Ok(None);
        }
        let mut first = self.peek()?;
        self.begun = self.line;
        if self.ended {
            return match first {
                None => Ok(None),
                Some(_) => Err(self.wrong("something follows the array")),
            };
        }
        if self.comma_due && first == Some(b',') {
            self.input.consume(1);
            first = self.peek()?;
            self.begun = self.line;
        } else if self.comma_due && first == Some(b'{') {
            return Err(self.wrong("a comma is missing between two objects"));
        } else if self.array && first == Some(b']') {
            self.input.consume(1);
            self.ended = true;
            return self.next();
        }
        match first {
            Some(b'{') => {}
            None if self.array => return Err(self.wrong("the array is cut off")),
            None => {
                self.ended = true;
                return Ok(None);
            }
            Some(_) => return Err(self.wrong("an object is expected here")),
        }
        self.cut()?;
        self.comma_due = self.array;
        let object: Object = serde_json::from_slice(&mark_exact_numbers(&self.text))
            .map_err(|error| self.wrong(&format!("this is not JSON: {error}")))?;
        match object.same_column() {
            Some((one, other)) => Err(self.wrong(&format!("the keys \"{one}\" and \"{other}\" are the same column"))),
            None => Ok(Some(object)),
        }
    }

    /// Takes the object that begins here, up to its closing brace.
    fn cut(&mut self) -> Result<()> {
        self.text.clear();
        let (mut depth, mut quoted, mut escaped) = (0_u64, false, false);
        loop {
            let buffer = self.fill()?;
            if buffer.is_empty() {
                return Err(self.wrong("the object is cut off"));
            }
            let mut lines = 0;
            let end = buffer.iter().position(|&byte| {
                lines += u64::from(byte == b'\n');
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if quoted => escaped = true,
                    b'"' => quoted = !quoted,
                    b'{' if !quoted => depth += 1,
                    b'}' if !quoted => depth -= 1,
                    _ => {}
                }
                depth == 0
            });
            let taken = end.map_or(buffer.len(), |end| end + 1);
            let part = buffer[..taken].to_vec();
            self.text.extend_from_slice(&part);
            self.line += lines;
            self.input.consume(taken);
            if end.is_some() {
                return Ok(());
            }
        }
    }
}

/// Where progress is shown.
struct Excerpt<'a> {
    progress: &'a mut ImportProgress,
    err: &'a mut dyn Write,
}

/// The objects as rows of the table.
struct ImportRecords<'a> {
    objects: Objects<'a>,
    positions: HashMap<String, usize>,
    row: Vec<Value>,
    null: Option<&'a str>,
    excerpt: Excerpt<'a>,
    /// Where the last objects began.
    lines: RecordLines,
    refusal: Option<Error>,
}

impl Rows for ImportRecords<'_> {
    fn width(&self) -> usize {
        self.row.len()
    }

    fn advance(&mut self) -> Result<bool> {
        let Some(object) = self.objects.next()? else {
            return Ok(false);
        };
        self.row.fill(Value::Null);
        for (key, value) in object {
            let Some(&place) = self.positions.get(&key.to_ascii_lowercase()) else {
                return Err(self.objects.wrong(&format!("the table has no column named {key}")));
            };
            self.row[place] = match stored(value) {
                Value::Text(text) if self.null == Some(&text) => Value::Null,
                value => value,
            };
        }
        self.lines.push(self.objects.begun);
        self.excerpt
            .progress
            .at(self.lines.count(), self.excerpt.err)
            .map_err(|error| Error::io(error, "cannot write"))?;
        Ok(true)
    }

    fn value(&self, index: usize) -> ValueRef<'_> {
        match &self.row[index] {
            Value::Null => ValueRef::Null,
            Value::Integer(integer) => ValueRef::Integer(*integer),
            Value::Real(real) => ValueRef::Real(*real),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(blob) => ValueRef::Blob(blob),
        }
    }

    fn refused(&mut self, nth: u64, failure: Failure) -> Result<ControlFlow<()>> {
        let line = self.lines.of(nth);
        let message = format!(
            "{}:{line}: INSERT failed: {failure}",
            self.objects.options.display_name()
        );
        self.refusal.get_or_insert(Error::new(Code::InvalidFile, message));
        Ok(ControlFlow::Break(()))
    }
}

#[cfg(test)]
mod tests;

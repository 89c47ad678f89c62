//! All or nothing: a CSV file into a table with column types, for files that must not be half understood.
//!
//! The file is read twice. The first pass finds anything that is wrong with it, before the database is touched, and the
//! types; the second inserts. What cannot be read twice (a pipe) is kept in a temporary file meanwhile.

mod selection;

use super::names::{self, Renamed};
use super::reader::{CsvFieldReader, Dialect, FieldEnd, Flaw, Record};
use super::records::RecordLines;
use super::{definitions, execute};
use crate::error::{Code, Error, Result};
use crate::sql::codes::meaning;
use crate::sql::number;
use crate::sql::{Args, Column, Failure, Rows, Session, Sink, ValueRef};
use crate::sqltext::quote::identifier;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::Path;

use selection::Picked;
pub use selection::{ColumnList, Selection, TypeList};

/// What to import.
pub struct StrictOptions<'a> {
    /// What errors call the file.
    pub name: &'a str,
    pub table: &'a str,
    /// Between columns: one byte of ASCII.
    pub separator: u8,
    /// After each row: a line feed, or a carriage return.
    pub row_end: u8,
    /// Fields that are this text, and not in quotes, are NULL.
    pub null: Option<&'a str>,
    /// Which of its columns, and how they are declared.
    pub selection: &'a Selection,
    /// Told bytes done and bytes in all (both passes), now and then. Answering [`ControlFlow::Break(())`] ends the import.
    pub progress: &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>,
}

/// The type a column is declared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    Integer,
    Real,
    Text,
}

impl ColumnKind {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Integer => "INTEGER",
            Self::Real => "REAL",
            Self::Text => "TEXT",
        }
    }
}

/// What was imported.
#[derive(Debug)]
pub struct StrictReport {
    pub rows: u64,
    /// The table did not exist.
    pub created: bool,
    /// The columns filled, with their types: as declared where the table was created, else as the values allow.
    pub columns: Vec<(String, String)>,
    /// Columns of the header that could not keep their names.
    pub renamed: Vec<Renamed>,
}

/// Imports a CSV file with a header into a new table, or into an existing one by its columns' names. Any record of another
/// width, an unterminated quote, text behind a closing quote or bytes that are not UTF-8 is [`Code::InvalidCsv`] with file
/// and line, and nothing is changed. Runs in the transaction that is open, or in one of its own.
pub fn import(session: &mut dyn Session, file: &mut File, options: &mut StrictOptions<'_>) -> Result<StrictReport> {
    let start = file
        .stream_position()
        .map_err(|error| unreadable(options.name, error))?;
    let length = file
        .metadata()
        .map_or(0, |metadata| metadata.len().saturating_sub(start));
    let survey = survey(file, length, options)?;
    file.seek(SeekFrom::Start(start))
        .map_err(|error| unreadable(options.name, error))?;

    let (columns, renamed) = names::unique(&survey.header);
    let picked = options.selection.pick(&survey, &columns, options.name)?;
    let existing = table_columns(session, options.table)?;
    if existing.is_some() && options.selection.types.is_some() {
        let what = format!("table {} exists already, so its columns have types", options.table);
        return Err(Error::new(Code::InvalidValue, what).hint("leave the types out, or name another table"));
    }
    let own = !session.in_transaction();
    if own {
        execute(session, "BEGIN IMMEDIATE").map_err(|failure| refused(failure, options.table))?;
    }
    let width = survey.header.len();
    let inserted = insert(session, file, length, options, (width, &picked), existing.as_deref());
    match inserted {
        Ok(rows) => {
            if own {
                execute(session, "COMMIT").map_err(|failure| refused(failure, options.table))?;
            }
            let describe = |picked: Picked| (picked.name.clone(), picked.type_name().to_owned());
            let columns = picked.into_iter().map(describe).collect();
            Ok(StrictReport {
                rows,
                created: existing.is_none(),
                columns,
                renamed,
            })
        }
        Err(error) => {
            if own {
                // The first error is the one to tell.
                let _ = execute(session, "ROLLBACK");
            }
            Err(error)
        }
    }
}

/// Opens a file so that it can be read twice: what is not a regular file is kept first, see [`spooled`].
pub fn open(path: &Path) -> Result<File> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| unreadable(&name, error))?;
    let metadata = file.metadata().map_err(|error| unreadable(&name, error))?;
    if metadata.is_dir() {
        return Err(Error::new(Code::InvalidFile, format!("{name} is a directory")));
    }
    if metadata.is_file() {
        Ok(file)
    } else {
        spooled(file, &name)
    }
}

/// Keeps what can be read only once in a temporary file, which has no name.
pub fn spooled(mut input: impl Read, name: &str) -> Result<File> {
    let mut file = tempfile::tempfile().map_err(|error| Error::io(error, "cannot make a temporary file"))?;
    std::io::copy(&mut input, &mut file).map_err(|error| unreadable(name, error))?;
    file.rewind().map_err(|error| unreadable(name, error))?;
    Ok(file)
}

fn unreadable(name: &str, error: std::io::Error) -> Error {
    Error::io(error, format!("cannot read {name}"))
}

fn invalid(name: &str, line: u64, what: impl std::fmt::Display) -> Error {
    Error::new(Code::InvalidCsv, format!("{name}:{line}: {what}"))
}

fn refused(failure: Failure, table: &str) -> Error {
    match failure {
        Failure::Connection(error) => error,
        Failure::Sink(error) => Error::io(error, format!("cannot import into {table}")),
        Failure::Sql { message, code, .. } => {
            Error::new(meaning(code), format!("cannot import into {table}: {message}"))
        }
    }
}

/// What the first pass finds.
struct Survey {
    header: Vec<String>,
    kinds: Vec<ColumnKind>,
}

/// Records of one width, checked as they are read.
struct Checked<'a> {
    reader: CsvFieldReader<&'a mut File>,
    record: Record,
    name: String,
    /// The first line of the current record.
    line: u64,
    /// Where a blank line was seen: fine at the end of the file, an error anywhere else.
    blank: Option<u64>,
    ended: bool,
}

impl<'a> Checked<'a> {
    fn new(file: &'a mut File, options: &StrictOptions<'_>) -> Self {
        let dialect = Dialect {
            column: options.separator,
            row: options.row_end,
            ..Dialect::CSV
        };
        Self {
            reader: CsvFieldReader::new(file, dialect),
            record: Record::default(),
            name: options.name.to_owned(),
            line: 1,
            blank: None,
            ended: false,
        }
    }

    /// Reads the next record, which must have `width` fields if that is known. False at the end of the file.
    fn next(&mut self, width: Option<usize>) -> Result<bool> {
        loop {
            if self.ended {
                return Ok(false);
            }
            self.line = self.reader.line();
            self.record.clear();
            let mut found = None;
            let mut end = Some(FieldEnd::Column);
            let mut fields = 0;
            while end == Some(FieldEnd::Column) {
                end = self
                    .record
                    .read(&mut self.reader, &mut |flaw| found = found.or(Some(flaw)))
                    .map_err(|error| unreadable(&self.name, error))?;
                fields += 1;
            }
            if let Some(flaw) = found {
                return Err(match flaw {
                    Flaw::UnescapedQuote { line } => invalid(&self.name, line, "text after a closing quote"),
                    Flaw::UnterminatedQuote { line } => invalid(&self.name, line, "a quoted field that does not end"),
                });
            }
            self.ended = matches!(end, None | Some(FieldEnd::File));
            if self.record.count() == 0 {
                return Ok(false);
            }
            if let Some(line) = self.blank {
                return Err(invalid(&self.name, line, "a blank line within the data"));
            }
            if fields == 1 && self.record.bytes().is_empty() && width.is_none_or(|width| width > 1) {
                self.blank = Some(self.line);
                continue;
            }
            if let Some(width) = width.filter(|&width| width != fields) {
                return Err(invalid(
                    &self.name,
                    self.line,
                    format_args!("expected {width} fields but found {fields}"),
                ));
            }
            // A separator right at the end of the file leaves an empty field behind it.
            return Ok(true);
        }
    }

    fn check_utf8(&self) -> Result<()> {
        match std::str::from_utf8(self.record.bytes()) {
            Ok(_) => Ok(()),
            Err(_) => {
                Err(invalid(&self.name, self.line, "text that is not UTF-8").hint("convert the file to UTF-8 first"))
            }
        }
    }

    /// Whether a field stands for NULL.
    fn is_null(&self, index: usize, null: Option<&str>) -> bool {
        null.is_some_and(|null| null.as_bytes() == self.field(index)) && !self.record.is_quoted(index)
    }

    fn field(&self, index: usize) -> &[u8] {
        self.record.get(index).unwrap_or_default()
    }
}

/// How many records pass between two reports of progress.
const STRIDE: u64 = 2048;

fn interrupted() -> Error {
    Error::new(Code::Interrupted, "the import was interrupted; nothing was changed")
}

/// The error about a file without a header.
pub fn empty_file(name: &str) -> Error {
    Error::new(Code::InvalidCsv, format!("{name}: the file is empty")).hint("the first line must name the columns")
}

fn survey(file: &mut File, length: u64, options: &mut StrictOptions<'_>) -> Result<Survey> {
    let mut records = Checked::new(file, options);
    if !records.next(None)? {
        return Err(empty_file(options.name));
    }
    records.check_utf8()?;
    let header: Vec<String> = records
        .record
        .iter()
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    let width = header.len();
    // What every value so far allows.
    let mut kinds: Vec<Option<ColumnKind>> = vec![None; width];
    let mut rows: u64 = 0;
    while records.next(Some(width))? {
        records.check_utf8()?;
        for (index, kind) in kinds.iter_mut().enumerate() {
            if *kind != Some(ColumnKind::Text) && !records.is_null(index, options.null) {
                let value = kind_of(records.field(index));
                *kind = match *kind {
                    None => Some(value),
                    Some(kind) if kind == value => Some(kind),
                    Some(_) => Some(ColumnKind::Text),
                };
            }
        }
        rows += 1;
        if rows.is_multiple_of(STRIDE) && (options.progress)(records.reader.consumed(), length * 2).is_break() {
            return Err(interrupted());
        }
    }
    let kinds = kinds.into_iter().map(|kind| kind.unwrap_or(ColumnKind::Text)).collect();
    Ok(Survey { header, kinds })
}

/// The type in which a field would keep its text to the letter.
pub(super) fn kind_of(field: &[u8]) -> ColumnKind {
    let digits = field.strip_prefix(b"-").unwrap_or(field);
    let Some(&first) = digits.first() else {
        return ColumnKind::Text;
    };
    if !first.is_ascii_digit() || digits.len() > 24 {
        return ColumnKind::Text;
    }
    if digits.iter().all(u8::is_ascii_digit) {
        let canonical = first != b'0' || field == b"0";
        return if canonical && integer(field).is_some() {
            ColumnKind::Integer
        } else {
            ColumnKind::Text
        };
    }
    let mut text = Vec::with_capacity(24);
    match real(field) {
        Some(value) => number::push_rounded(&mut text, value),
        None => return ColumnKind::Text,
    }
    if text == field {
        ColumnKind::Real
    } else {
        ColumnKind::Text
    }
}

fn integer(field: &[u8]) -> Option<i64> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn real(field: &[u8]) -> Option<f64> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// The names of a table's columns, or none if it does not exist.
fn table_columns(session: &mut dyn Session, table: &str) -> Result<Option<Vec<String>>> {
    let mut names = Names(Vec::new());
    let query = format!("SELECT * FROM {} LIMIT 0", identifier(table));
    match session.run(&query, &Args::default(), &mut names) {
        Ok(_) => Ok(Some(names.0)),
        Err(Failure::Sql { message, .. }) if message.starts_with("no such table: ") => Ok(None),
        Err(failure) => Err(refused(failure, table)),
    }
}

struct Names(Vec<String>);

impl Sink for Names {
    fn columns(&mut self, columns: &[Column]) -> std::io::Result<()> {
        self.0 = columns.iter().map(|column| column.name.clone()).collect();
        Ok(())
    }

    fn row(&mut self, _: &[ValueRef<'_>]) -> std::io::Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}

fn insert(
    session: &mut dyn Session,
    file: &mut File,
    length: u64,
    options: &mut StrictOptions<'_>,
    (width, picked): (usize, &[Picked]),
    existing: Option<&[String]>,
) -> Result<u64> {
    let table = options.table;
    let columns: Vec<String> = picked.iter().map(|picked| picked.name.clone()).collect();
    if let Some(existing) = existing {
        let known = |name: &String| existing.iter().any(|other| other.eq_ignore_ascii_case(name));
        if let Some(unknown) = picked.iter().map(|picked| &picked.name).find(|name| !known(name)) {
            let what = format!("{}:1: table {table} has no column named {unknown}", options.name);
            let names = existing.join(", ");
            return Err(Error::new(Code::InvalidCsv, what).hint(format!("its columns are {names}")));
        }
    } else {
        let create = format!(
            "CREATE TABLE {}{}",
            identifier(table),
            definitions(&columns, |index| picked[index].type_name())
        );
        execute(session, &create).map_err(|failure| refused(failure, table))?;
    }
    let list: Vec<String> = columns.iter().map(|name| identifier(name)).collect();
    let sql = format!(
        "INSERT INTO {}({}) VALUES(?{})",
        identifier(table),
        list.join(","),
        ",?".repeat(columns.len() - 1)
    );
    let mut records = Checked::new(file, options);
    records.next(Some(width))?;
    let mut rows = Typed {
        records,
        width,
        picked,
        typed: existing.is_none(),
        null: options.null,
        length,
        progress: options.progress,
        lines: RecordLines::new(),
        refusal: None,
    };
    let taken = session
        .insert_many(&sql, &mut rows)
        .map_err(|failure| refused(failure, table))?;
    match rows.refusal {
        Some(error) => Err(error),
        None => Ok(taken),
    }
}

/// The records as rows, with numbers as numbers where the column was found to be of numbers.
struct Typed<'a> {
    records: Checked<'a>,
    /// How many fields a record has.
    width: usize,
    picked: &'a [Picked],
    typed: bool,
    null: Option<&'a str>,
    length: u64,
    progress: &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    /// Where the last records began.
    lines: RecordLines,
    refusal: Option<Error>,
}

impl Rows for Typed<'_> {
    fn width(&self) -> usize {
        self.picked.len()
    }

    fn advance(&mut self) -> Result<bool> {
        let more = self.records.next(Some(self.width))?;
        self.lines.push(self.records.line);
        if self.lines.count().is_multiple_of(STRIDE)
            && (self.progress)(self.length + self.records.reader.consumed(), self.length * 2).is_break()
        {
            return Err(interrupted());
        }
        Ok(more)
    }

    fn value(&self, index: usize) -> ValueRef<'_> {
        let picked = &self.picked[index];
        if self.records.is_null(picked.index, self.null) {
            return ValueRef::Null;
        }
        let field = self.records.field(picked.index);
        // What a user declared converts texts as SQLite does.
        let typed = self.typed && picked.declared.is_none();
        let number = match picked.kind {
            ColumnKind::Integer if typed => integer(field).map(ValueRef::Integer),
            ColumnKind::Real if typed => real(field).map(ValueRef::Real),
            _ => None,
        };
        number.unwrap_or(ValueRef::Text(field))
    }

    fn refused(&mut self, nth: u64, failure: Failure) -> Result<ControlFlow<()>> {
        let line = self.lines.of(nth);
        let error = refused(failure, &format!("the table ({}:{line})", self.records.name));
        self.refusal.get_or_insert(error);
        Ok(ControlFlow::Break(()))
    }
}

#[cfg(test)]
mod tests;

//! The records of a file as rows to insert, and what is odd about them, told with file and line as they come. Which
//! table they are for and what becomes of a transaction is the importer's.

use super::ImportOptions;
use super::progress::ImportProgress;
use super::reader::{CsvFieldReader, FieldEnd, Flaw, Record};
use crate::error::{Code, Error, Result};
use crate::sql::{Failure, Rows, ValueRef};
use std::io::{self, Read, Write};
use std::ops::ControlFlow;

/// How many records back a refusal may come and still know its line. Rows are sent to a server some hundreds at a time.
const REMEMBERED: usize = 8192;

/// The lines on which the last records began, so that one that is refused late is told with its line.
pub(super) struct RecordLines {
    /// By the record's number modulo [`REMEMBERED`].
    lines: Vec<u64>,
    count: u64,
}

impl RecordLines {
    pub(super) fn new() -> Self {
        Self {
            lines: vec![0; REMEMBERED],
            count: 0,
        }
    }

    fn slot(nth: u64) -> usize {
        (nth % REMEMBERED as u64) as usize
    }

    /// Takes the next record's line.
    pub(super) fn push(&mut self, line: u64) {
        self.lines[Self::slot(self.count)] = line;
        self.count += 1;
    }

    /// The line of a record, from 0; that of a later one if it is too far back.
    pub(super) fn of(&self, nth: u64) -> u64 {
        self.lines[Self::slot(nth)]
    }

    /// How many records there were.
    pub(super) fn count(&self) -> u64 {
        self.count
    }
}

/// The file's records as rows of the table's width.
pub(super) struct ImportRecords<'a, 'b> {
    pub(super) reader: CsvFieldReader<Box<dyn Read>>,
    pub(super) record: Record,
    pub(super) width: usize,
    pub(super) options: &'a ImportOptions,
    pub(super) progress: &'b mut ImportProgress,
    pub(super) err: &'b mut dyn Write,
    pub(super) stop: &'a dyn Fn() -> bool,
    /// Where the last rows began.
    pub(super) lines: RecordLines,
    pub(super) errors: u64,
    /// Why the last row that was refused was, as a result code.
    pub(super) last_refused: Option<i32>,
    pub(super) ended: bool,
}

impl ImportRecords<'_, '_> {
    /// The line on which the last record began.
    pub(super) fn last_line(&self) -> u64 {
        self.lines.of(self.lines.count().saturating_sub(1))
    }

    /// The result code of the last row that was refused; 0 if none was.
    pub(super) fn code(&self) -> i32 {
        self.last_refused.map_or(0, |code| code & 0xff)
    }

    /// Reads one field, telling what is odd about it.
    fn read(&mut self) -> io::Result<Option<FieldEnd>> {
        let mut result = Ok(());
        let (err, progress, file) = (&mut *self.err, &mut *self.progress, self.options.display_name());
        let end = self.record.read(&mut self.reader, &mut |flaw| {
            result = progress.clear(err).and_then(|()| report_flaw(err, file, flaw));
        })?;
        result.map(|()| end)
    }

    /// Reads the next record and says if it is too short or too long. False if there is none.
    fn next_record(&mut self) -> io::Result<bool> {
        loop {
            if self.ended || (self.stop)() {
                return Ok(false);
            }
            let line = self.reader.line();
            self.record.clear();
            let (mut end, mut found) = (Some(FieldEnd::Row), 0);
            if self.reader.plain_record(&mut self.record) {
                found = self.record.count();
            } else {
                end = Some(FieldEnd::Column);
                while end == Some(FieldEnd::Column) && found < self.width {
                    end = self.read()?;
                    if end.is_none() && found == 0 {
                        return Ok(false);
                    }
                    found += 1;
                }
            }
            self.ended = matches!(end, None | Some(FieldEnd::File));
            let nothing = found == 1 && self.record.get(0).is_some_and(<[u8]>::is_empty);
            if self.options.ascii_mode && nothing && end != Some(FieldEnd::Column) {
                continue;
            }
            let too_short = found < self.width;
            let too_long = end == Some(FieldEnd::Column) || found > self.width;
            while end == Some(FieldEnd::Column) {
                end = self.read()?;
                found += 1;
                self.ended = matches!(end, None | Some(FieldEnd::File));
            }
            if too_short || too_long {
                let what = if too_long {
                    "extras ignored"
                } else {
                    "filling the rest with NULL"
                };
                let (file, width) = (self.options.display_name(), self.width);
                self.progress.clear(self.err)?;
                writeln!(
                    self.err,
                    "{file}:{line}: expected {width} columns but found {found} - {what}"
                )?;
            }
            self.lines.push(line);
            self.progress.at(self.lines.count(), self.err)?;
            return Ok(true);
        }
    }
}

impl Rows for ImportRecords<'_, '_> {
    fn width(&self) -> usize {
        self.width
    }

    fn advance(&mut self) -> Result<bool> {
        self.next_record()
            .map_err(|error| Error::io(error, format!("cannot read {}", self.options.display_name())))
    }

    fn value(&self, index: usize) -> ValueRef<'_> {
        match self.record.get(index) {
            // What stands in quotes is a text, whatever it is: `,"",` is an empty one where `,,` is NULL.
            Some(field)
                if self.record.is_quoted(index)
                    || self.options.null.as_ref().is_none_or(|null| null.as_bytes() != field) =>
            {
                ValueRef::Text(field)
            }
            _ => ValueRef::Null,
        }
    }

    fn refused(&mut self, nth: u64, failure: Failure) -> Result<ControlFlow<()>> {
        let Failure::Sql { message, code, .. } = failure else {
            return match failure {
                Failure::Connection(error) => Err(error),
                other => Err(Error::new(Code::Io, other.to_string())),
            };
        };
        self.errors += 1;
        self.last_refused = Some(code);
        let (file, line) = (self.options.display_name(), self.lines.of(nth));
        self.progress
            .clear(self.err)
            .and_then(|()| writeln!(self.err, "{file}:{line}: INSERT failed: {message}"))
            .map_err(|error| Error::io(error, "cannot write"))?;
        Ok(ControlFlow::Continue(()))
    }
}

pub(super) fn report_flaw(stream: &mut dyn Write, file: &str, flaw: Flaw) -> io::Result<()> {
    match flaw {
        Flaw::UnescapedQuote { line } => writeln!(stream, "{file}:{line}: unescaped \" character"),
        Flaw::UnterminatedQuote { line } => writeln!(stream, "{file}:{line}: unterminated \"-quoted field"),
    }
}

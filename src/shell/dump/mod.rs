//! Dumps a database as SQL text that recreates it.
//!
//! The text is that of `sqlite3`'s `.dump`, except where that loses data: infinities, text with NUL or not in UTF-8 and
//! `user_version`/`application_id` survive here. All reading goes through a [`Session`], in one read transaction and row
//! by row, so a dump of any size takes little memory and works wherever the database is. Parsing the dot-command and
//! choosing where the text goes is left to the caller.

mod options;

pub use options::DumpOptions;

use super::render::Out;
use super::render::text::{self, LineEnds};
use crate::error::{Code, Error};
use crate::sql::trailer::{Checksum, Trailer};
use crate::sql::{Args, Failure, Session, Sink, ValueRef, exact};
use crate::sqltext::quote::{identifier, literal};
use crate::sqltext::token::tokens;
use std::io::{self, Write};
use std::ops::ControlFlow;

type Result<T> = std::result::Result<T, Failure>;

/// The result of a dump.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DumpReport {
    pub rows: u64,
    /// Tables that could not be read whole. The dump then ends in `ROLLBACK`.
    pub errors: u64,
}

/// Writes the dump. A table that cannot be read is counted and the rest goes on; an error is handed back only when
/// nothing more can be written or read at all.
pub fn dump(session: &mut dyn Session, options: &DumpOptions, writer: &mut dyn Write) -> Result<DumpReport> {
    let mut summed = Summed {
        writer,
        checksum: options.trailer.then(Checksum::new),
    };
    let mut dumper = Dumper {
        session,
        options,
        out: Out::new(&mut summed),
        report: DumpReport::default(),
    };
    dumper.everything()?;
    let report = dumper.report;
    dumper.out.flush().map_err(Failure::Sink)?;
    if let Some(checksum) = &summed.checksum {
        let trailer = Trailer {
            rows: report.rows,
            checksum: checksum.value(),
        };
        writeln!(summed.writer, "{trailer}").map_err(Failure::Sink)?;
    }
    Ok(report)
}

struct Dumper<'a> {
    session: &'a mut dyn Session,
    options: &'a DumpOptions,
    out: Out<'a>,
    report: DumpReport,
}

/// One of the schema's objects.
struct Object {
    name: String,
    sql: Vec<u8>,
}

impl Dumper<'_> {
    fn everything(&mut self) -> Result<()> {
        if !self.options.data_only {
            self.write(b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n");
        }
        // The savepoint holds one state of the database for all that is read.
        let outer = self.session.in_transaction();
        self.query("SAVEPOINT dump")?;
        let done = self.in_transaction();
        let released = self.release(outer);
        // The first failure is the cause.
        done.and(released).map_err(cut_off)
    }

    /// Ends the savepoint. Nothing was changed. SQLite refuses to release what met a damaged page, but a transaction must not stay open.
    fn release(&mut self, outer: bool) -> Result<()> {
        if !self.tolerated("RELEASE dump")? && !outer {
            self.tolerated("ROLLBACK")?;
        }
        Ok(())
    }

    fn in_transaction(&mut self) -> Result<()> {
        // SQLite then reads what it can of a damaged schema. Servers refuse it.
        let lenient = self.tolerated("PRAGMA writable_schema=ON")?;
        let done = self.objects();
        if lenient {
            self.tolerated("PRAGMA writable_schema=OFF")?;
        }
        done
    }

    fn objects(&mut self) -> Result<()> {
        let condition = self.options.condition();
        let tables = self.schema(&format!(
            "SELECT name, sql FROM main.sqlite_schema AS o WHERE ({condition}) AND type=='table' AND sql NOT NULL \
             ORDER BY tbl_name='sqlite_sequence', rowid"
        ))?;
        let mut writable = false;
        // Without a table that counts, the sequence table is not there when the dump is loaded.
        let counts =
            !self.options.patterns.is_empty() || tables.iter().any(|table| contains_word(&table.sql, b"autoincrement"));
        for table in &tables {
            if table.name == "sqlite_sequence" && !counts {
                continue;
            }
            self.table(table, &mut writable)?;
        }
        if self.options.data_only {
            return Ok(());
        }
        let others = self.schema(&format!(
            "SELECT name, sql FROM main.sqlite_schema AS o WHERE ({condition}) AND sql NOT NULL \
             AND type IN ('index','trigger','view')"
        ))?;
        for object in others {
            self.write(&object.sql);
            self.write(ending(&object.sql));
        }
        if writable {
            self.write(b"PRAGMA writable_schema=OFF;\n");
        }
        if self.options.patterns.is_empty() {
            self.marks()?;
        }
        self.write(if self.report.errors > 0 {
            b"ROLLBACK; -- due to errors\n"
        } else {
            b"COMMIT;\n"
        });
        Ok(())
    }

    /// The numbers an application puts on its file, where it did.
    fn marks(&mut self) -> Result<()> {
        for pragma in ["application_id", "user_version"] {
            let rows = self.query(&format!("PRAGMA main.{pragma}")).unwrap_or_default();
            let value = rows
                .first()
                .and_then(|row| row.first())
                .cloned()
                .flatten()
                .unwrap_or_default();
            if !value.is_empty() && value != b"0" {
                self.write(format!("PRAGMA {pragma}=").as_bytes());
                self.write(&value);
                self.write(b";\n");
            }
        }
        Ok(())
    }

    /// One table: what makes it, then its rows.
    fn table(&mut self, table: &Object, writable: &mut bool) -> Result<()> {
        let name = &table.name;
        let system = name.starts_with("sqlite_");
        let statistics = name.len() == 12 && name.starts_with("sqlite_stat");
        let known = name == "sqlite_sequence" || statistics;
        if system && (self.options.no_sys || !known) {
            return Ok(());
        }
        if !self.options.data_only && !self.make(table, writable) {
            return Ok(());
        }
        if !self.rows(name)? {
            self.report.errors += 1;
        }
        self.out.drain().map_err(Failure::Sink)
    }

    /// What makes a table. False if that is all there is to it.
    fn make(&mut self, Object { name, sql }: &Object, writable: &mut bool) -> bool {
        if name == "sqlite_sequence" {
            self.write(b"DELETE FROM sqlite_sequence;\n");
        } else if name.starts_with("sqlite_stat") {
            self.write(b"ANALYZE sqlite_schema;\n");
        } else if sql.starts_with(b"CREATE VIRTUAL TABLE") {
            if !*writable {
                self.write(b"PRAGMA writable_schema=ON;\n");
                *writable = true;
            }
            self.write(b"INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('table',");
            for (part, after) in [(name.as_bytes(), ","), (name.as_bytes(), ",0,"), (sql, ");\n")] {
                text::push_doubled(&mut self.out.buffer, part, b'\'');
                self.write(after.as_bytes());
            }
            return false;
        } else {
            self.create(sql);
        }
        true
    }

    /// A table with a quoted name may be a virtual table's shadow, made by the time the dump is loaded.
    fn create(&mut self, sql: &[u8]) {
        match sql.strip_prefix(b"CREATE TABLE ") {
            Some(rest) if rest.starts_with(b"'") || rest.starts_with(b"\"") => {
                self.write(b"CREATE TABLE IF NOT EXISTS ");
                self.write(rest);
            }
            _ => self.write(sql),
        }
        self.write(b";\n");
    }

    /// A table's rows as INSERT statements. False if they could not all be read.
    fn rows(&mut self, name: &str) -> Result<bool> {
        let Some(columns) = self.columns(name)? else {
            return Ok(false);
        };
        let rowid = if self.options.preserve_rowids {
            self.rowid(name, &columns)?
        } else {
            None
        };
        let mut lead = b"INSERT INTO ".to_vec();
        text::push_name(&mut lead, name.as_bytes());
        let mut expressions: Vec<String> = rowid.into_iter().map(str::to_owned).collect();
        expressions.extend(columns.iter().map(|column| {
            let mut name = Vec::new();
            text::push_name(&mut name, column.name.as_bytes());
            String::from_utf8_lossy(&name).into_owned()
        }));
        if rowid.is_some() {
            lead.push(b'(');
            lead.extend_from_slice(expressions.join(",").as_bytes());
            lead.push(b')');
        }
        lead.extend_from_slice(b" VALUES(");
        let from = format!("main.{}", identifier(name));
        match self.insert_rows(&lead, &expressions, &from) {
            Ok(()) => Ok(true),
            Err(failure) if failure.primary_code() == Some(rusqlite::ffi::SQLITE_CORRUPT) => {
                // What can be read from the other end is better than nothing.
                self.write(b"/****** CORRUPTION ERROR *******/\n");
                self.tolerated("PRAGMA reverse_unordered_selects=1")?;
                let again = self.insert_rows(&lead, &expressions, &from);
                self.tolerated("PRAGMA reverse_unordered_selects=0")?;
                unless_fatal(again)?;
                Ok(false)
            }
            Err(failure) => unless_fatal(Err(failure)).map(|()| false),
        }
    }

    fn insert_rows(&mut self, lead: &[u8], expressions: &[String], from: &str) -> Result<()> {
        let mut sink = Inserts {
            out: &mut self.out,
            lead,
            line_ends: self.options.line_ends(),
            rows: &mut self.report.rows,
        };
        exact::read(self.session, expressions, from, &mut sink)
    }

    /// The columns that are stored. None if the table cannot be understood.
    fn columns(&mut self, table: &str) -> Result<Option<Vec<TableColumn>>> {
        let rows = match self.query(&format!("PRAGMA main.table_info={}", literal(table))) {
            Ok(rows) => rows,
            Err(failure) => return unless_fatal(Err(failure)).map(|()| None),
        };
        let misnamed = |row: &Vec<Option<Vec<u8>>>| {
            let name = row.get(1).and_then(Option::as_deref).unwrap_or_default();
            std::str::from_utf8(name).is_err()
        };
        if rows.iter().any(misnamed) {
            // No statement can name it, so its values cannot be read: better said than dumped wrongly.
            self.report.errors += 1;
            self.write(b"/****** ERROR: a column's name is not UTF-8 ******/\n");
            return Ok(None);
        }
        let text = |row: &[Option<Vec<u8>>], index: usize| {
            let bytes = row.get(index).and_then(Option::as_deref).unwrap_or_default();
            String::from_utf8_lossy(bytes).into_owned()
        };
        let columns: Vec<TableColumn> = rows
            .iter()
            .map(|row| TableColumn {
                name: text(row, 1),
                integer: text(row, 2).eq_ignore_ascii_case("integer"),
                key: text(row, 5) != "0",
            })
            .collect();
        Ok(Some(columns).filter(|columns| !columns.is_empty()))
    }

    /// The name by which row ids can be read and written back, where they are not a column already.
    fn rowid(&mut self, table: &str, columns: &[TableColumn]) -> Result<Option<&'static str>> {
        let keys: Vec<&TableColumn> = columns.iter().filter(|column| column.key).collect();
        if let [key] = keys.as_slice()
            && key.integer
        {
            // The row id itself, unless the key has an index of its own.
            let index = format!(
                "SELECT 1 FROM pragma_index_list({}, 'main') WHERE origin='pk'",
                literal(table)
            );
            if self.query(&index)?.is_empty() {
                return Ok(None);
            }
        }
        let taken = |name: &str| columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
        let Some(name) = ["rowid", "_rowid_", "oid"].into_iter().find(|name| !taken(name)) else {
            return Ok(None);
        };
        // WITHOUT ROWID tables have none.
        let there = self.tolerated(&format!("SELECT {name} FROM main.{} LIMIT 0", identifier(table)))?;
        Ok(there.then_some(name))
    }

    /// The schema's objects, damaged ones at least as far as they can be read.
    fn schema(&mut self, query: &str) -> Result<Vec<Object>> {
        let mut collected = Collect::default();
        let run = self.session.run(query, &Args::default(), &mut collected);
        if let Err(failure) = run {
            let corrupt = failure.primary_code() == Some(rusqlite::ffi::SQLITE_CORRUPT);
            self.report.errors += 1;
            let message = if corrupt {
                "/****** CORRUPTION ERROR *******/\n".to_owned()
            } else {
                format!("/****** ERROR: {failure} ******/\n")
            };
            unless_fatal(Err(failure))?;
            self.write(message.as_bytes());
        }
        let object = |row: Vec<Option<Vec<u8>>>| {
            let mut values = row.into_iter().map(Option::unwrap_or_default);
            let name = values.next().unwrap_or_default();
            Object {
                name: String::from_utf8_lossy(&name).into_owned(),
                sql: values.next().unwrap_or_default(),
            }
        };
        Ok(collected.rows.into_iter().map(object).collect())
    }

    fn write(&mut self, text: &[u8]) {
        self.out.buffer.extend_from_slice(text);
    }

    /// All rows of a small result, as text.
    fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<Vec<u8>>>>> {
        let mut collected = Collect::default();
        self.session.run(sql, &Args::default(), &mut collected)?;
        Ok(collected.rows)
    }

    /// Runs what may be refused. Tells whether it was not.
    fn tolerated(&mut self, sql: &str) -> Result<bool> {
        match self.query(sql) {
            Ok(_) => Ok(true),
            Err(failure) => unless_fatal(Err(failure)).map(|()| false),
        }
    }
}

/// The failure of a dump that has begun, where its connection was lost.
fn cut_off(failure: Failure) -> Failure {
    let Failure::Connection(error) = failure else {
        return failure;
    };
    let why = match error.code() {
        Code::TransactionLost => "the server has ended the transaction that it is read in".to_owned(),
        _ => error.to_string(),
    };
    Failure::Connection(
        Error::new(error.code(), format!("the dump is cut off: {why}"))
            .hint("what was written is not whole: run the dump again"),
    )
}

struct TableColumn {
    name: String,
    /// Declared exactly `INTEGER`.
    integer: bool,
    /// Part of the primary key.
    key: bool,
}

/// What ends a statement: a comment at its end must not swallow the semicolon.
fn ending(sql: &[u8]) -> &'static [u8] {
    let text = String::from_utf8_lossy(sql);
    match tokens(&text).last() {
        Some((_, comment)) if comment.starts_with("--") => b"\n;\n",
        Some((_, comment)) if comment.starts_with("/*") && (comment.len() < 4 || !comment.ends_with("*/")) => b"*/;\n",
        _ => b";\n",
    }
}

/// Lets a refusal by SQLite pass: the dump goes on. An interrupt and everything else ends it.
fn unless_fatal(result: Result<()>) -> Result<()> {
    match result {
        Err(failure) => match failure.primary_code() {
            Some(code) if code != rusqlite::ffi::SQLITE_INTERRUPT => Ok(()),
            _ => Err(failure),
        },
        Ok(()) => Ok(()),
    }
}

fn contains_word(sql: &[u8], word: &[u8]) -> bool {
    sql.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}

/// Keeps a small result as text.
#[derive(Default)]
struct Collect {
    rows: Vec<Vec<Option<Vec<u8>>>>,
}

impl Sink for Collect {
    fn row(&mut self, row: &[ValueRef<'_>]) -> io::Result<ControlFlow<()>> {
        let text = |value: &ValueRef<'_>| match value {
            ValueRef::Null => None,
            ValueRef::Integer(integer) => Some(integer.to_string().into_bytes()),
            ValueRef::Real(real) => Some(real.to_string().into_bytes()),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec()),
        };
        self.rows.push(row.iter().map(text).collect());
        Ok(ControlFlow::Continue(()))
    }
}

/// Writes each row as an INSERT statement.
struct Inserts<'a, 'b> {
    out: &'a mut Out<'b>,
    lead: &'a [u8],
    line_ends: LineEnds,
    rows: &'a mut u64,
}

impl Sink for Inserts<'_, '_> {
    fn row(&mut self, row: &[ValueRef<'_>]) -> io::Result<ControlFlow<()>> {
        let out = &mut self.out.buffer;
        out.extend_from_slice(self.lead);
        for (index, &value) in row.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            text::push_sql(out, value, self.line_ends);
        }
        out.extend_from_slice(b");\n");
        *self.rows += 1;
        self.out.drain()?;
        Ok(ControlFlow::Continue(()))
    }
}

/// Sums up what passes to a writer.
struct Summed<'a> {
    writer: &'a mut dyn Write,
    checksum: Option<Checksum>,
}

impl Write for Summed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        if let Some(checksum) = &mut self.checksum {
            checksum.update(&bytes[..written]);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests;

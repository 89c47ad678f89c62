//! `.recover`: every row of a damaged database that can still be reached, as SQL text.
//!
//! Everything is read through SQL, so that it works on a server as well: each table from its beginning to the damage,
//! from its end back to it, and then from points between the two that can be reached past what is broken. What no table
//! leads to any more stays lost.

use super::CommandCall;
use crate::error::{Error, Result};
use crate::shell::interrupt;
use crate::shell::render::text::{LineEnds, push_name, push_sql};
use crate::shell::state::{Shell, ShellResult, Slot};
use crate::shell::table_info::{RowTable, listed};
use crate::sql::companions::log_of;
use crate::sql::query::{CollectedRows, owned, rows};
use crate::sql::text::value_to_text;
use crate::sql::{self, Args, Failure, Session, Sink, Target, Value, ValueRef};
use crate::sqlite_header::size_of_whole_pages;
use crate::sqltext::quote::identifier;
use crate::temporary_files::TemporaryFile;
use std::fs::File;
use std::io::{self, Write};
use std::ops::ControlFlow;

/// Writes rows as statements, and remembers where it is.
struct Saved<'a> {
    out: &'a mut dyn Write,
    lead: &'a [u8],
    /// How many values at the front of a row are its key.
    keys: usize,
    /// The key of the last row.
    last: Option<Vec<Value>>,
    rows: u64,
    buffer: Vec<u8>,
}

impl Sink for Saved<'_> {
    fn row(&mut self, row: &[ValueRef<'_>]) -> io::Result<ControlFlow<()>> {
        let (key, values) = row.split_at(self.keys.min(row.len()));
        self.buffer.clear();
        self.buffer.extend_from_slice(self.lead);
        for (at, &value) in values.iter().enumerate() {
            if at > 0 {
                self.buffer.push(b',');
            }
            push_sql(&mut self.buffer, value, LineEnds::Replaced);
        }
        self.buffer.extend_from_slice(b");\n");
        self.out.write_all(&self.buffer)?;
        self.rows += 1;
        self.last = Some(key.iter().map(|&value| owned(value)).collect());
        Ok(ControlFlow::Continue(()))
    }
}

/// How far one reading came.
struct Reading {
    last: Option<Vec<Value>>,
    complete: bool,
}

/// Saves the rows of one table.
struct Salvage<'a> {
    session: &'a mut dyn Session,
    out: &'a mut dyn Write,
    lead: Vec<u8>,
    select: String,
    key: Vec<String>,
    rows: u64,
}

impl<'a> Salvage<'a> {
    fn new(session: &'a mut dyn Session, out: &'a mut dyn Write, table: &RowTable) -> Self {
        let mut lead = b"INSERT OR IGNORE INTO ".to_vec();
        push_name(&mut lead, table.name.as_bytes());
        lead.push(b'(');
        for (at, column) in table.columns.iter().enumerate() {
            if at > 0 {
                lead.push(b',');
            }
            push_name(&mut lead, column.as_bytes());
        }
        lead.extend_from_slice(b") VALUES(");
        // The rows themselves, where they can be found by number: an index may be broken on its own.
        let key = match table.row_number {
            Some(number) => vec![number.to_owned()],
            None => table.key.clone(),
        };
        let columns: String = table
            .columns
            .iter()
            .map(|column| format!(", {}", identifier(column)))
            .collect();
        let stored = if table.row_number.is_some() { " NOT INDEXED" } else { "" };
        Self {
            session,
            out,
            lead,
            select: format!(
                "SELECT {}{columns} FROM main.{}{stored}",
                key.join(", "),
                identifier(&table.name)
            ),
            key,
            rows: 0,
        }
    }

    /// Reads the rows that `condition` lets through, as far as that goes.
    fn read(&mut self, condition: &str, positional: Vec<Value>, backwards: bool) -> Result<Reading> {
        let order: Vec<String> = self
            .key
            .iter()
            .map(|part| format!("{part}{}", if backwards { " DESC" } else { "" }))
            .collect();
        let sql = format!("{} WHERE {condition} ORDER BY {}", self.select, order.join(", "));
        let mut saved = Saved {
            out: self.out,
            lead: &self.lead,
            keys: self.key.len(),
            last: None,
            rows: 0,
            buffer: Vec::new(),
        };
        let args = Args {
            positional,
            named: Vec::new(),
        };
        let ran = self.session.run(&sql, &args, &mut saved);
        self.rows += saved.rows;
        let last = saved.last;
        match ran {
            Ok(_) => Ok(Reading { last, complete: true }),
            Err(Failure::Sql { .. }) if !interrupt::pressed() => Ok(Reading { last, complete: false }),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Saves what can be reached. False if there is damage.
    fn run(&mut self, by_number: bool) -> Result<bool> {
        let forwards = self.read("true", Vec::new(), false)?;
        if forwards.complete {
            return Ok(true);
        }
        let (condition, from) = match &forwards.last {
            Some(last) => {
                let marks: Vec<String> = (1..=last.len()).map(|number| format!("?{number}")).collect();
                (
                    format!("({}) > ({})", self.key.join(", "), marks.join(", ")),
                    last.clone(),
                )
            }
            None => ("true".to_owned(), Vec::new()),
        };
        let backwards = self.read(&condition, from, true)?;
        if by_number {
            let edge = |reading: &Reading, none: i64| match reading.last.as_deref() {
                Some([Value::Integer(number)]) => *number,
                _ => none,
            };
            let high = edge(&backwards, i64::MAX);
            // Where not even the first row is found: numbers begin at 1 as a rule.
            self.between(edge(&forwards, if high > 0 { -1 } else { i64::MIN }), high)?;
        }
        Ok(false)
    }

    /// Looks for rows between `low` and `high`, past what is broken: in steps that grow until one lands on sound ground,
    /// and from there both ways.
    fn between(&mut self, mut low: i64, high: i64) -> Result<()> {
        let mut step: u64 = 1;
        loop {
            let Some(point) = low
                .checked_add_unsigned(step.saturating_add(1))
                .filter(|point| *point < high)
            else {
                return Ok(());
            };
            let key = self.key[0].clone();
            let onwards = self.read(
                &format!("{key} >= ?1 AND {key} < ?2"),
                vec![Value::Integer(point), Value::Integer(high)],
                false,
            )?;
            if !onwards.complete && onwards.last.is_none() {
                step = step.saturating_mul(2);
                continue;
            }
            self.read(
                &format!("{key} < ?1 AND {key} > ?2"),
                vec![Value::Integer(point), Value::Integer(low)],
                true,
            )?;
            match onwards.last.as_deref() {
                Some([Value::Integer(last)]) if !onwards.complete => {
                    low = *last;
                    step = 1;
                }
                _ => return Ok(()),
            }
        }
    }
}

/// What was saved, table by table: its name, how many rows, and whether that is all.
type RecoverySummary = Vec<(String, u64, bool)>;

fn written(ran: io::Result<()>) -> Result<()> {
    ran.map_err(|error| Failure::Sink(error).into())
}

/// Writes everything that can be saved.
fn save(session: &mut dyn Session, out: &mut dyn Write) -> Result<RecoverySummary> {
    written(out.write_all(b"PRAGMA foreign_keys=OFF;\nBEGIN;\n"))?;
    // Kept as far as the schema can be read: what fails half-way has still given its first rows.
    let mut objects = CollectedRows::default();
    let read = session.run(
        "SELECT type, name, sql FROM main.sqlite_schema WHERE sql NOT NULL ORDER BY rowid",
        &Args::default(),
        &mut objects,
    );
    if let (Err(failure), true) = (read, objects.0.is_empty()) {
        return Err(failure.into());
    }
    let tables = listed(
        session,
        "type IN ('table', 'shadow') AND name NOT LIKE 'sqlite\\_schema' ESCAPE '\\'",
    )?;
    let mut account = Vec::new();
    let mut modules = false;
    for object in &objects.0 {
        let [kind, name, sql] = [0, 1, 2].map(|at| value_to_text(&object[at]));
        let is_system = name.starts_with("sqlite_");
        if kind != "table" || is_system && name != "sqlite_sequence" {
            continue;
        }
        if is_system {
            // It is there as soon as a table counts its rows.
            written(out.write_all(b"DELETE FROM sqlite_sequence;\n"))?;
        } else if sql
            .get(..20)
            .is_some_and(|begin| begin.eq_ignore_ascii_case("create virtual table"))
        {
            modules = true;
            let [name, sql] = [&name, &sql].map(|text| crate::sqltext::quote::literal(text));
            written(writeln!(
                out,
                "PRAGMA writable_schema=ON;\nINSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)\
                 VALUES('table',{name},{name},0,{sql});"
            ))?;
            continue;
        } else {
            written(writeln!(out, "{sql};"))?;
        }
        let Some(table) = tables.iter().find(|table| table.name == name) else {
            account.push((name, 0, false));
            continue;
        };
        if table.columns.is_empty() || table.key.is_empty() {
            continue;
        }
        let mut salvage = Salvage::new(session, out, table);
        let complete = salvage.run(table.row_number.is_some())?;
        account.push((name, salvage.rows, complete));
    }
    for object in objects.0.iter().filter(|object| value_to_text(&object[0]) != "table") {
        written(writeln!(out, "{};", value_to_text(&object[2])))?;
    }
    if modules {
        written(out.write_all(b"PRAGMA writable_schema=OFF;\n"))?;
    }
    for pragma in ["application_id", "user_version"] {
        if let Ok(value) = crate::sql::query::text(session, &format!("PRAGMA {pragma}"))
            && value != "0"
            && !value.is_empty()
        {
            written(writeln!(out, "PRAGMA {pragma}={value};"))?;
        }
    }
    written(out.write_all(b"COMMIT;\n"))?;
    Ok(account)
}

/// Opens a copy of a file that was cut off within a page, without the rest of that page: SQLite would read zeros where the file
/// ends, and take them for rows. None for every other database.
fn copy_whole_pages(slot: &Slot) -> Result<Option<(TemporaryFile, Box<dyn Session>)>> {
    let Some(Target::File { path, .. }) = &slot.target else {
        return Ok(None);
    };
    // What is in a log is a part of the file, and may hold the page.
    let Ok(Some(size)) = size_of_whole_pages(path) else {
        return Ok(None);
    };
    if log_of(path).is_some() {
        return Ok(None);
    }
    let doing = |error| Error::io(error, format!("cannot copy {} to a temporary file", path.display()));
    let mut copy = TemporaryFile::create("torso-recover-", ".db").map_err(doing)?;
    let whole = io::Read::take(File::open(path).map_err(doing)?, size);
    io::copy(&mut io::BufReader::with_capacity(1 << 20, whole), copy.as_file_mut()).map_err(doing)?;
    let session = sql::open(&Target::file(copy.path()).restricted(true, false))?;
    Ok(Some((copy, session)))
}

pub fn recover(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    if let Some(word) = call.args.first() {
        return shell.fail(format_args!("unexpected option: {word}"));
    }
    shell.session()?;
    let whole = match copy_whole_pages(shell.slot()) {
        Ok(whole) => whole,
        Err(error) => return shell.fail_with_error(error),
    };
    let slot = &mut shell.connections.slots[shell.connections.active];
    let (_copy, mut opened) = whole.unzip();
    let Some(session) = opened.as_mut().or(slot.session.as_mut()) else {
        return Ok(());
    };
    // SQLite then reads what it can of a damaged schema. Servers refuse it, and need not have it.
    let lenient = rows(session.as_mut(), "PRAGMA writable_schema=ON").is_ok();
    let saved = save(session.as_mut(), &mut shell.out);
    if lenient {
        let _: std::result::Result<_, Error> = rows(session.as_mut(), "PRAGMA writable_schema=OFF");
    }
    match saved {
        Ok(account) => {
            for (table, rows, _) in account.iter().filter(|(_, _, complete)| !complete) {
                shell.say(format_args!("{table} is damaged: {rows} rows saved"))?;
            }
            Ok(())
        }
        Err(error) => shell.fail_with_error(error),
    }
}

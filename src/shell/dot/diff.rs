//! `.diff`: what differs between this database and another one, wherever the two are.
//!
//! Both read their rows in the order of the primary key, the other one in a thread of its own, and the two streams are
//! merged: memory does not grow with the databases.

use super::CommandCall;
use super::open::target;
use super::table_info::{RowTable, tables};
use crate::error::{Code, Error, Result};
use crate::shell::exec::screen::show_rows;
use crate::shell::interrupt;
use crate::shell::state::{Interrupt, Shell, ShellResult};
use crate::sql::query::{owned, rows, text};
use crate::sql::text::{value_to_literal, value_to_text};
use crate::sql::{self, Args, Failure, Outcome, Session, Sink, Target, Value, ValueRef};
use crate::sqltext::quote::identifier;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Rows of the other database on their way.
const AHEAD: usize = 256;

/// What is said of an object or a row that one side lacks.
const ONLY_HERE: &str = "only here";
const ONLY_THERE: &str = "only there";

type Row = Vec<Value>;

/// A table in both databases: what to read of it.
struct Common {
    name: String,
    /// How many values at the front of a row are its key.
    keys: usize,
    /// The others, by name.
    columns: Vec<String>,
    sql: String,
}

/// Shows differences, and counts them.
struct Report<'r> {
    sink: &'r mut dyn Sink,
    differences: u64,
}

impl Report<'_> {
    fn tell(&mut self, object: &str, row: Option<&str>, what: &str, here: &Value, there: &Value) -> io::Result<()> {
        self.differences += 1;
        let row = row.map_or(ValueRef::Null, |row| ValueRef::Text(row.as_bytes()));
        self.sink
            .row(&[
                ValueRef::Text(object.as_bytes()),
                row,
                ValueRef::Text(what.as_bytes()),
                here.into(),
                there.into(),
            ])
            .map(drop)
    }
}

/// The order in which SQLite sorts values, with texts by their bytes.
fn order(one: &Value, other: &Value) -> Ordering {
    fn class(value: &Value) -> u8 {
        match value {
            Value::Null => 0,
            Value::Integer(_) | Value::Real(_) => 1,
            Value::Text(_) => 2,
            Value::Blob(_) => 3,
        }
    }
    match (one, other) {
        (Value::Integer(one), Value::Integer(other)) => one.cmp(other),
        (Value::Real(one), Value::Real(other)) => one.partial_cmp(other).unwrap_or(Ordering::Equal),
        (Value::Integer(one), Value::Real(other)) => integer_and_real(*one, *other),
        (Value::Real(one), Value::Integer(other)) => integer_and_real(*other, *one).reverse(),
        (Value::Text(one), Value::Text(other)) => one.as_bytes().cmp(other.as_bytes()),
        (Value::Blob(one), Value::Blob(other)) => one.cmp(other),
        _ => class(one).cmp(&class(other)),
    }
}

/// Exactly, although not every integer is a real.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn integer_and_real(integer: i64, real: f64) -> Ordering {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if real >= LIMIT {
        return Ordering::Less;
    }
    if real < -LIMIT {
        return Ordering::Greater;
    }
    integer
        .cmp(&(real as i64))
        .then_with(|| (real.trunc()).partial_cmp(&real).unwrap_or(Ordering::Equal))
}

fn keys_in_order(one: &[Value], other: &[Value]) -> Ordering {
    one.iter()
        .zip(other)
        .map(|(one, other)| order(one, other))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Whether two values are the same to the bit: a zero may be negative, and a real is no integer.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Real(one), Value::Real(other)) => one.to_bits() == other.to_bits(),
        _ => one == other,
    }
}

/// A key as it is shown.
fn format_key(key: &[Value]) -> String {
    let exact = |value: &Value| match value {
        Value::Real(number) => number.to_string(),
        other => value_to_text(other),
    };
    key.iter().map(exact).collect::<Vec<_>>().join(",")
}

/// A row with `keys` key values in front. Texts that are not UTF-8 are kept as bytes, so that none looks like another.
fn row_of(row: &[ValueRef<'_>], keys: usize) -> Row {
    let exact = |(at, &value): (usize, &ValueRef<'_>)| match value {
        ValueRef::Text(bytes) if at >= keys && std::str::from_utf8(bytes).is_err() => Value::Blob(bytes.to_vec()),
        other => owned(other),
    };
    row.iter().enumerate().map(exact).collect()
}

/// What the other database sends: tables one after the other.
enum Sent {
    Row(Row),
    /// The end of a table.
    End,
    Failed(Error),
}

/// Passes rows on to the one who merges.
struct Sender<'a> {
    sender: &'a SyncSender<Sent>,
    keys: usize,
}

impl Sink for Sender<'_> {
    fn row(&mut self, row: &[ValueRef<'_>]) -> io::Result<ControlFlow<()>> {
        // Nobody listens any more once the other side has failed.
        Ok(if self.sender.send(Sent::Row(row_of(row, self.keys))).is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    }
}

/// Reads the tables of the other database for the one who merges.
fn send(target: &Target, compared: &[Common], sender: &SyncSender<Sent>) {
    let work = || -> Result<()> {
        let mut session = sql::open(target)?;
        interrupt::on_interrupt(session.interrupter());
        rows(session.as_mut(), "BEGIN")?;
        for table in compared {
            let keys = table.keys;
            let outcome = session.run(&table.sql, &Args::default(), &mut Sender { sender, keys })?;
            signs_known(&table.name, &outcome)?;
            if sender.send(Sent::End).is_err() {
                return Ok(());
            }
        }
        rows(session.as_mut(), "COMMIT").map(drop)
    };
    if let Err(error) = work() {
        // Nobody to tell is nobody to be told.
        let _ = sender.send(Sent::Failed(error));
    }
}

/// The other database's rows, one table at a time.
struct Others<'a> {
    receiver: &'a Receiver<Sent>,
    next: Option<Row>,
    ended: bool,
    failed: Option<Error>,
}

impl<'a> Others<'a> {
    fn new(receiver: &'a Receiver<Sent>) -> Self {
        Self {
            receiver,
            next: None,
            ended: false,
            failed: None,
        }
    }

    /// The next row, which stays until it is taken.
    fn peek(&mut self) -> Option<&Row> {
        if self.next.is_none() && !self.ended {
            match self.receiver.recv() {
                Ok(Sent::Row(row)) => self.next = Some(row),
                Ok(Sent::End) => self.ended = true,
                Ok(Sent::Failed(error)) => {
                    self.failed = Some(error);
                    self.ended = true;
                }
                Err(_) => {
                    self.failed = Some(Error::new(Code::Internal, "the other database is read no further"));
                    self.ended = true;
                }
            }
        }
        self.next.as_ref()
    }
}

/// Merges the rows of this database with those of the other one.
struct Merge<'m, 'r> {
    table: &'m Common,
    others: Others<'m>,
    report: &'m mut Report<'r>,
}

impl Merge<'_, '_> {
    fn only(&mut self, row: &Row, what: &str) -> io::Result<()> {
        let keys = self.table.keys;
        let key = format_key(&row[..keys]);
        let contents: Vec<String> = self
            .table
            .columns
            .iter()
            .zip(&row[keys..])
            .map(|(column, value)| format!("{column}={}", value_to_literal(value)))
            .collect();
        let contents = Value::Text(contents.join(", "));
        let (here, there) = match what {
            ONLY_HERE => (contents, Value::Null),
            _ => (Value::Null, contents),
        };
        self.report.tell(&self.table.name, Some(&key), what, &here, &there)
    }

    /// What the other database has beyond the last row of this one.
    fn rest(&mut self) -> io::Result<()> {
        while self.others.peek().is_some() {
            if let Some(row) = self.others.next.take() {
                self.only(&row, ONLY_THERE)?;
            }
        }
        Ok(())
    }
}

impl Sink for Merge<'_, '_> {
    fn row(&mut self, row: &[ValueRef<'_>]) -> io::Result<ControlFlow<()>> {
        let keys = self.table.keys;
        let row = row_of(row, keys);
        loop {
            let compared = self
                .others
                .peek()
                .map(|other| keys_in_order(&row[..keys], &other[..keys]));
            if self.others.failed.is_some() {
                return Ok(ControlFlow::Break(()));
            }
            match compared {
                None | Some(Ordering::Less) => {
                    self.only(&row, ONLY_HERE)?;
                    return Ok(ControlFlow::Continue(()));
                }
                Some(Ordering::Greater) => {
                    if let Some(other) = self.others.next.take() {
                        self.only(&other, ONLY_THERE)?;
                    }
                }
                Some(Ordering::Equal) => break,
            }
        }
        if let Some(other) = self.others.next.take() {
            let key = format_key(&row[..keys]);
            for (at, column) in self.table.columns.iter().enumerate() {
                let (here, there) = (&row[keys + at], &other[keys + at]);
                if !same(here, there) {
                    self.report.tell(&self.table.name, Some(&key), column, here, there)?;
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// What is in a schema, by kind and name.
fn schema(session: &mut dyn Session) -> Result<BTreeMap<String, Value>> {
    let all = rows(
        session,
        "SELECT type || ' ' || name, sql FROM sqlite_schema WHERE sql NOT NULL AND name NOT LIKE 'sqlite\\_%' \
         ESCAPE '\\' AND name NOT IN (SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow')",
    )?;
    Ok(all
        .into_iter()
        .filter_map(|mut row| {
            let sql = row.pop()?;
            Some((value_to_text(&row.pop()?), sql))
        })
        .collect())
}

/// What to read of a table that both have. The error is why its rows cannot be compared.
fn common(here: &RowTable, there: &RowTable) -> std::result::Result<Common, &'static str> {
    if here.key != there.key || here.key.is_empty() {
        return Err("rows not compared: other primary key");
    }
    let columns: Vec<String> = here
        .columns
        .iter()
        .filter(|column| there.columns.contains(column))
        .cloned()
        .collect();
    let key = here.key.join(", ");
    let rest: String = columns
        .iter()
        .map(|column| format!(", {}", identifier(column)))
        .collect();
    // Sorted by bytes, whatever order a column asks for: the other side may have another one.
    let sorted = here
        .key
        .iter()
        .map(|part| format!("{part} COLLATE BINARY"))
        .collect::<Vec<_>>()
        .join(", ");
    Ok(Common {
        name: here.name.clone(),
        keys: here.key.len(),
        sql: format!(
            "SELECT {key}{rest} FROM main.{} ORDER BY {sorted}",
            identifier(&here.name)
        ),
        columns,
    })
}

/// Reports what differs in the schemas; the tables whose rows are to be compared.
fn schemas(here: &mut dyn Session, there: &mut dyn Session, report: &mut Report<'_>) -> Result<Vec<Common>> {
    let encodings = [text(here, "PRAGMA encoding")?, text(there, "PRAGMA encoding")?];
    if encodings.iter().any(|encoding| encoding != "UTF-8") {
        return Err(Error::new(
            Code::InvalidValue,
            "only databases that hold their texts in UTF-8 can be compared",
        ));
    }
    let (ours, theirs) = (schema(here)?, schema(there)?);
    let written = |result: io::Result<()>| result.map_err(|error| Error::from(Failure::Sink(error)));
    for (name, sql) in &ours {
        match theirs.get(name) {
            None => written(report.tell(name, None, ONLY_HERE, sql, &Value::Null))?,
            Some(other) if other != sql => written(report.tell(name, None, "sql", sql, other))?,
            Some(_) => {}
        }
    }
    for (name, sql) in &theirs {
        if !ours.contains_key(name) {
            written(report.tell(name, None, ONLY_THERE, &Value::Null, sql))?;
        }
    }
    let others = tables(there)?;
    let mut compared = Vec::new();
    for table in tables(here)? {
        let Some(other) = others.iter().find(|other| other.name == table.name) else {
            continue;
        };
        match common(&table, other) {
            Ok(common) => compared.push(common),
            Err(why) => written(report.tell(&table.name, None, why, &Value::Null, &Value::Null))?,
        }
    }
    Ok(compared)
}

/// Refuses to judge values that a server does not tell whole.
fn signs_known(table: &str, outcome: &Outcome) -> Result<()> {
    if outcome.signless_infinities == 0 {
        return Ok(());
    }
    Err(Error::new(
        Code::InvalidValue,
        format!("{table}: there are infinite numbers, whose sign the server does not tell"),
    ))
}

/// Compares the rows of all `compared` tables.
fn contents(here: &mut dyn Session, there: &Target, compared: &[Common], report: &mut Report<'_>) -> Result<()> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        scope.spawn(move || send(there, compared, &sender));
        // Dropped before the scope ends, so that the thread does not wait for a reader.
        let receiver = receiver;
        for table in compared {
            let mut merge = Merge {
                table,
                others: Others::new(&receiver),
                report,
            };
            let outcome = here.run(&table.sql, &Args::default(), &mut merge)?;
            signs_known(&table.name, &outcome)?;
            merge.rest().map_err(Failure::Sink)?;
            if let Some(error) = merge.others.failed {
                return Err(error);
            }
        }
        Ok(())
    })
}

fn compare(here: &mut dyn Session, there: &Target, report: &mut Report<'_>) -> Result<()> {
    // One state of this database for all that is read.
    let outer = here.in_transaction();
    if !outer {
        rows(here, "BEGIN")?;
    }
    let done = (|| {
        let mut other = sql::open(there)?;
        interrupt::on_interrupt(other.interrupter());
        let compared = schemas(here, other.as_mut(), report)?;
        drop(other);
        contents(here, there, &compared, report)
    })();
    if !outer {
        let ended = rows(here, "COMMIT").map(drop);
        return done.and(ended);
    }
    done
}

pub fn diff(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let [name] = call.texts()[..] else {
        return shell.fail(format_args!("Usage: .diff TARGET"));
    };
    let other = target(shell, name)?.restricted(true, false);
    let names = ["object", "row", "difference", "here", "there"];
    let result = show_rows(shell, &names, |session, sink| {
        let mut report = Report { sink, differences: 0 };
        let compared = compare(session, &other, &mut report);
        (compared, report.differences)
    })?;
    // Who leaves the pager has seen that there are differences.
    let Some((compared, differences)) = result else {
        return Err(Interrupt::Failed(1));
    };
    match compared {
        Err(error) => shell.fail(format_args!("Error: {error}")),
        // As a comparison of files: scripts learn it from the exit code.
        Ok(()) if differences > 0 => Err(Interrupt::Failed(1)),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_ordered_as_sqlite_orders_them() {
        let session = &mut *sql::open(&Target::Memory).unwrap();
        let all = rows(
            session,
            "SELECT column1 FROM (VALUES(NULL),(1),(-3),(1.5),(-1.5),(9007199254740993),(9007199254740992.0),(9e300),\
             (-9e300),(''),('a'),('B'),('é'),(x''),(x'00'),(9223372036854775807),(9223372036854775808.0)) ORDER BY 1",
        )
        .unwrap();
        for pair in all.windows(2) {
            assert_eq!(order(&pair[0][0], &pair[1][0]), Ordering::Less, "{pair:?}");
            assert_eq!(order(&pair[1][0], &pair[0][0]), Ordering::Greater, "{pair:?}");
        }
    }
}

//! What differs between two databases, wherever they are: schema, and rows by their primary keys. The shell's `.diff` and
//! `torso db diff` show it.
//!
//! Both databases are read in the order of the primary key, the other one in a thread of its own, and the two streams are
//! merged: memory does not grow with the databases.

mod schema;
mod values;

use super::interrupt;
use crate::error::{Code, Error, Result};
use crate::sql::query::rows;
use crate::sql::{self, Args, Failure, Outcome, Session, Sink, Target, Value, ValueRef};
use crate::sqltext::quote::identifier;
use schema::compare_schemas;
use std::cmp::Ordering;
use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
pub use values::exact_literal;
use values::{compare_keys, format_key, is_identical, read_row};

/// Rows of the other database on their way.
const AHEAD: usize = 256;

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

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind<'a> {
    /// The second database lacks the object or the row.
    OnlyHere,
    /// The first database lacks it.
    OnlyThere,
    /// The statement that makes the object.
    Sql,
    /// A column of a row that both have.
    Column(&'a str),
    /// The rows of a table cannot be compared, because its primary key is another one.
    OtherKey,
}

/// A difference between two databases.
#[derive(Debug, Clone, Copy)]
pub struct Difference<'a> {
    /// The table, or the kind and the name of another object.
    pub object: &'a str,
    /// The key of the row; none where it is about the object.
    pub row: Option<&'a str>,
    pub kind: DifferenceKind<'a>,
    pub here: &'a Value,
    pub there: &'a Value,
}

/// What was found of a table that both databases have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableComparison {
    pub name: String,
    pub rows_here: u64,
    pub rows_there: u64,
    /// Rows whose key the other database lacks.
    pub only_here: u64,
    pub only_there: u64,
    /// Rows with another value in a column that both have.
    pub changed: u64,
}

/// Receives what was found, as it is found.
pub trait DifferenceSink {
    fn difference(&mut self, difference: &Difference<'_>) -> io::Result<()>;
    /// Called at the end of each table.
    fn table(&mut self, _table: TableComparison) -> io::Result<()> {
        Ok(())
    }
}

/// How far rows are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Every value of every row.
    Rows,
    /// How many rows there are.
    Counts,
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
        Ok(if self.sender.send(Sent::Row(read_row(row, self.keys))).is_ok() {
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
    /// How many came.
    rows: u64,
}

impl<'a> Others<'a> {
    fn new(receiver: &'a Receiver<Sent>) -> Self {
        Self {
            receiver,
            next: None,
            ended: false,
            failed: None,
            rows: 0,
        }
    }

    /// The next row, which stays until it is taken.
    fn peek(&mut self) -> Option<&Row> {
        if self.next.is_none() && !self.ended {
            match self.receiver.recv() {
                Ok(Sent::Row(row)) => {
                    self.rows += 1;
                    self.next = Some(row);
                }
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
    report: &'m mut (dyn DifferenceSink + 'r),
    found: TableComparison,
}

impl Merge<'_, '_> {
    fn report_difference(
        &mut self,
        key: &str,
        kind: DifferenceKind<'_>,
        here: &Value,
        there: &Value,
    ) -> io::Result<()> {
        self.report.difference(&Difference {
            object: &self.table.name,
            row: Some(key),
            kind,
            here,
            there,
        })
    }

    fn only(&mut self, row: &Row, kind: DifferenceKind<'_>) -> io::Result<()> {
        let keys = self.table.keys;
        let key = format_key(&row[..keys]);
        let contents: Vec<String> = self
            .table
            .columns
            .iter()
            .zip(&row[keys..])
            .map(|(column, value)| format!("{column}={}", exact_literal(value)))
            .collect();
        let contents = Value::Text(contents.join(", "));
        let (here, there) = if kind == DifferenceKind::OnlyHere {
            self.found.only_here += 1;
            (contents, Value::Null)
        } else {
            self.found.only_there += 1;
            (Value::Null, contents)
        };
        self.report_difference(&key, kind, &here, &there)
    }

    /// What the other database has beyond the last row of this one.
    fn rest(&mut self) -> io::Result<()> {
        while self.others.peek().is_some() {
            if let Some(row) = self.others.next.take() {
                self.only(&row, DifferenceKind::OnlyThere)?;
            }
        }
        Ok(())
    }
}

impl Sink for Merge<'_, '_> {
    fn row(&mut self, row: &[ValueRef<'_>]) -> io::Result<ControlFlow<()>> {
        let keys = self.table.keys;
        let row = read_row(row, keys);
        self.found.rows_here += 1;
        loop {
            let compared = self
                .others
                .peek()
                .map(|other| compare_keys(&row[..keys], &other[..keys]));
            if self.others.failed.is_some() {
                return Ok(ControlFlow::Break(()));
            }
            match compared {
                None | Some(Ordering::Less) => {
                    self.only(&row, DifferenceKind::OnlyHere)?;
                    return Ok(ControlFlow::Continue(()));
                }
                Some(Ordering::Greater) => {
                    if let Some(other) = self.others.next.take() {
                        self.only(&other, DifferenceKind::OnlyThere)?;
                    }
                }
                Some(Ordering::Equal) => break,
            }
        }
        if let Some(other) = self.others.next.take() {
            let mut changed = false;
            let table = self.table;
            for (at, column) in table.columns.iter().enumerate() {
                let (here, there) = (&row[keys + at], &other[keys + at]);
                if !is_identical(here, there) {
                    changed = true;
                    self.report_difference(&format_key(&row[..keys]), DifferenceKind::Column(column), here, there)?;
                }
            }
            self.found.changed += u64::from(changed);
        }
        Ok(ControlFlow::Continue(()))
    }
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
fn contents(
    here: &mut dyn Session,
    there: &Target,
    compared: &[Common],
    report: &mut dyn DifferenceSink,
) -> Result<()> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        scope.spawn(move || send(there, compared, &sender));
        // Dropped before the scope ends, so that the thread does not wait for a reader.
        let receiver = receiver;
        for table in compared {
            let mut merge = Merge {
                table,
                others: Others::new(&receiver),
                report: &mut *report,
                found: TableComparison {
                    name: table.name.clone(),
                    ..TableComparison::default()
                },
            };
            let outcome = here.run(&table.sql, &Args::default(), &mut merge)?;
            signs_known(&table.name, &outcome)?;
            merge.rest().map_err(Failure::Sink)?;
            if let Some(error) = merge.others.failed {
                return Err(error);
            }
            let found = TableComparison {
                rows_there: merge.others.rows,
                ..merge.found
            };
            report.table(found).map_err(Failure::Sink)?;
        }
        Ok(())
    })
}

/// Compares how many rows the tables have.
fn counts(
    here: &mut dyn Session,
    there: &mut dyn Session,
    compared: &[Common],
    report: &mut dyn DifferenceSink,
) -> Result<()> {
    let count = |session: &mut dyn Session, name: &str| -> Result<u64> {
        let counted = rows(session, &format!("SELECT count(*) FROM main.{}", identifier(name)))?;
        match counted.first().and_then(|row| row.first()) {
            Some(Value::Integer(count)) => Ok(u64::try_from(*count).unwrap_or(0)),
            _ => Err(Error::new(
                Code::Internal,
                format!("the rows of {name} were not counted"),
            )),
        }
    };
    for table in compared {
        let found = TableComparison {
            rows_here: count(here, &table.name)?,
            rows_there: count(there, &table.name)?,
            name: table.name.clone(),
            ..TableComparison::default()
        };
        report.table(found).map_err(Failure::Sink)?;
    }
    Ok(())
}

/// Compares the open database with another one, each in one state. The other one is read through connections of its own.
pub fn compare(here: &mut dyn Session, there: &Target, depth: Depth, report: &mut dyn DifferenceSink) -> Result<()> {
    // One state of this database for all that is read.
    let outer = here.in_transaction();
    if !outer {
        rows(here, "BEGIN")?;
    }
    let done = (|| {
        let mut other = sql::open(there)?;
        interrupt::on_interrupt(other.interrupter());
        let compared = compare_schemas(here, other.as_mut(), report)?;
        match depth {
            Depth::Counts => counts(here, other.as_mut(), &compared, report),
            Depth::Rows => {
                drop(other);
                contents(here, there, &compared, report)
            }
        }
    })();
    if !outer {
        let ended = rows(here, "COMMIT").map(drop);
        return done.and(ended);
    }
    done
}

//! `.clone` and `.restore` where a server is on one side: schema and rows go from one session to the other.
//!
//! One of the two sessions works in a thread of its own and rows pass between them, in batches where a server takes them,
//! so memory does not grow with the database. Everything is read in one transaction and written in one: what fails
//! leaves the destination as it was. Between two files SQLite's own backup is better, and used by `connect`.

use super::schema::identifier;
use super::tables::{Table, listed};
use crate::error::{Code, Error, Result};
use crate::shell::interrupt;
use crate::shell::state::{owned, text_of};
use crate::sql::query::{number, rows, text};
use crate::sql::{self, Args, Column, Failure, Flow, Rows, Session, Sink, Target, Value, ValueRef};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Rows on their way.
const AHEAD: usize = 1_024;

/// What a database is made of.
struct Plan {
    /// What makes the tables, virtual ones before those that they keep their content in.
    tables: Vec<String>,
    copies: Vec<Copy>,
    /// Indexes, triggers and views.
    others: Vec<String>,
    user_version: u64,
    application_id: String,
    /// Virtual tables keep content in some of the tables.
    has_modules: bool,
}

/// How the rows of one table are copied.
struct Copy {
    name: String,
    select: String,
    insert: String,
    width: usize,
    /// The destination has rows of its own in it as soon as it is made.
    emptied: bool,
}

impl Copy {
    fn new(table: &Table, emptied: bool) -> Self {
        let mut columns: Vec<String> = table.columns.iter().map(|column| identifier(column)).collect();
        // Rows keep their numbers, also where no column shows them.
        if table.key.first().map(String::as_str) == table.row_number {
            columns.extend(table.row_number.map(str::to_owned));
        }
        let name = identifier(&table.name);
        let list = columns.join(", ");
        let marks = vec!["?"; columns.len()].join(", ");
        Self {
            name: table.name.clone(),
            select: format!("SELECT {list} FROM main.{name}"),
            insert: format!("INSERT INTO main.{name}({list}) VALUES ({marks})"),
            width: columns.len(),
            emptied,
        }
    }
}

fn plan(source: &mut dyn Session) -> Result<Plan> {
    let real = listed(source, "type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")?;
    let shadows = listed(source, "type = 'shadow'")?;
    let mut tables = Vec::new();
    let mut others = Vec::new();
    let objects = rows(
        source,
        "SELECT type, name, sql FROM sqlite_schema WHERE sql NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         ORDER BY rowid",
    )?;
    for object in &objects {
        let [kind, name, sql] = [0, 1, 2].map(|at| text_of(&object[at]));
        match kind.as_str() {
            // Made by their virtual table.
            "table" if shadows.iter().any(|table| table.name == name) => {}
            "table" => tables.push(sql),
            _ => others.push(sql),
        }
    }
    let mut copies: Vec<Copy> = real.iter().map(|table| Copy::new(table, false)).collect();
    copies.extend(shadows.iter().map(|table| Copy::new(table, true)));
    let counted = number(
        source,
        "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_sequence'",
    )? > 0;
    if counted
        && objects
            .iter()
            .any(|object| text_of(&object[2]).to_lowercase().contains("autoincrement"))
    {
        copies.push(Copy {
            name: "sqlite_sequence".to_owned(),
            select: "SELECT name, seq FROM sqlite_sequence".to_owned(),
            insert: "INSERT INTO sqlite_sequence(name, seq) VALUES (?, ?)".to_owned(),
            width: 2,
            emptied: true,
        });
    }
    copies.retain(|copy| copy.width > 0);
    Ok(Plan {
        tables,
        copies,
        others,
        user_version: number(source, "PRAGMA user_version")?,
        application_id: text(source, "PRAGMA application_id").unwrap_or_default(),
        has_modules: !shadows.is_empty(),
    })
}

enum Sent {
    Row(Vec<Value>),
    /// The end of a table.
    End,
    Failed(Error),
}

struct Sender<'a>(&'a SyncSender<Sent>);

impl Sink for Sender<'_> {
    fn columns(&mut self, _: &[Column]) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, row: &[ValueRef<'_>]) -> io::Result<Flow> {
        let broken = |value: &ValueRef<'_>| matches!(value, ValueRef::Text(text) if std::str::from_utf8(text).is_err());
        if row.iter().any(broken) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a text is not UTF-8; .dump writes it so that it can be loaded",
            ));
        }
        let row = row.iter().map(|&value| owned(value)).collect();
        // Nobody listens any more once the other side has failed.
        Ok(if self.0.send(Sent::Row(row)).is_ok() {
            Flow::Continue
        } else {
            Flow::Stop
        })
    }
}

/// Sends the rows of all tables in order.
fn send(source: &mut dyn Session, plan: &Plan, sender: &SyncSender<Sent>) -> Result<()> {
    for copy in &plan.copies {
        let outcome = source
            .run(&copy.select, &Args::default(), &mut Sender(sender))
            .map_err(|failure| within(&copy.name, failure))?;
        if outcome.signless_infinities > 0 {
            return Err(Error::new(
                Code::InvalidFile,
                format!(
                    "{}: there are infinite numbers, whose sign the server does not tell",
                    copy.name
                ),
            ));
        }
        if sender.send(Sent::End).is_err() {
            break;
        }
    }
    Ok(())
}

fn within(table: &str, failure: Failure) -> Error {
    match failure {
        Failure::Sink(error) => Error::new(Code::InvalidFile, format!("{table}: {error}")),
        other => {
            let error = Error::from(other);
            Error::new(error.code(), format!("{table}: {}", error.message()))
        }
    }
}

/// The rows of one table as they arrive.
struct Arriving<'a> {
    receiver: &'a Receiver<Sent>,
    row: Vec<Value>,
    width: usize,
    refusal: Option<Failure>,
}

impl Rows for Arriving<'_> {
    fn width(&self) -> usize {
        self.width
    }

    fn advance(&mut self) -> Result<bool> {
        match self.receiver.recv() {
            Ok(Sent::Row(row)) => {
                self.row = row;
                Ok(true)
            }
            Ok(Sent::End) => Ok(false),
            Ok(Sent::Failed(error)) => Err(error),
            Err(_) => Err(Error::new(Code::Interrupted, "the source is read no further")),
        }
    }

    fn value(&self, index: usize) -> ValueRef<'_> {
        self.row.get(index).map_or(ValueRef::Null, ValueRef::from)
    }

    fn refused(&mut self, _: u64, failure: Failure) -> Result<Flow> {
        self.refusal = Some(failure);
        Ok(Flow::Stop)
    }
}

/// Takes everything out of a database.
fn empty(destination: &mut dyn Session) -> Result<()> {
    for kind in ["trigger", "view"] {
        for row in rows(
            destination,
            &format!("SELECT name FROM sqlite_schema WHERE type = '{kind}'"),
        )? {
            rows(destination, &format!("DROP {kind} {}", identifier(&text_of(&row[0]))))?;
        }
    }
    let tables = rows(
        destination,
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual') \
         AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type DESC",
    )?;
    for row in tables {
        rows(destination, &format!("DROP TABLE {}", identifier(&text_of(&row[0]))))?;
    }
    Ok(())
}

/// Writes what arrives, in one transaction.
fn receive(destination: &mut dyn Session, plan: &Plan, receiver: &Receiver<Sent>, replace: bool) -> Result<()> {
    if destination.in_transaction() {
        return Err(Error::new(Code::SqlError, "a transaction is open; end it first"));
    }
    let keys = text(destination, "PRAGMA foreign_keys")?;
    rows(destination, "PRAGMA foreign_keys = OFF")?;
    let done = (|| {
        rows(destination, "BEGIN IMMEDIATE")?;
        if replace {
            empty(destination)?;
        }
        for sql in &plan.tables {
            rows(destination, sql)?;
        }
        for copy in &plan.copies {
            if copy.emptied {
                rows(destination, &format!("DELETE FROM {}", identifier(&copy.name)))?;
            }
            let mut arriving = Arriving {
                receiver,
                row: Vec::new(),
                width: copy.width,
                refusal: None,
            };
            let taken = destination.insert_many(&copy.insert, &mut arriving);
            if let Some(failure) = arriving.refusal {
                return Err(within(&copy.name, failure));
            }
            taken.map_err(|failure| within(&copy.name, failure))?;
        }
        for sql in &plan.others {
            rows(destination, sql)?;
        }
        rows(destination, &format!("PRAGMA user_version = {}", plan.user_version))?;
        if destination.local().is_some() && !plan.application_id.is_empty() {
            // Servers refuse to set it.
            rows(destination, &format!("PRAGMA application_id = {}", plan.application_id))?;
        }
        rows(destination, "COMMIT")
    })();
    if done.is_err() && destination.in_transaction() {
        // The first failure is the one to tell; a server may have rolled back already.
        let _ = rows(destination, "ROLLBACK");
    }
    let kept = rows(destination, &format!("PRAGMA foreign_keys = {keys}"));
    done.and(kept).map(drop)
}

/// Reads all of `source` in one state while `work` runs.
fn reading<T>(source: &mut dyn Session, work: impl FnOnce(&mut dyn Session) -> Result<T>) -> Result<T> {
    let outer = source.in_transaction();
    if !outer {
        rows(source, "BEGIN")?;
    }
    let done = work(source);
    if !outer {
        let ended = rows(source, "COMMIT");
        return done.and_then(|value| ended.map(|_| value));
    }
    done
}

/// Copies the database of `source` to `to`, which must be empty.
pub fn copy_to(source: &mut dyn Session, to: &Target) -> Result<()> {
    reading(source, |source| {
        let plan = plan(source)?;
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(AHEAD);
            let plan = &plan;
            let writer = scope.spawn(move || -> Result<()> {
                let mut destination = sql::open(to)?;
                interrupt::on_interrupt(destination.interrupter());
                if number(destination.as_mut(), "SELECT count(*) FROM sqlite_schema")? > 0 {
                    return Err(Error::new(Code::InvalidValue, "the destination is not empty"));
                }
                receive(destination.as_mut(), plan, &receiver, false)
            });
            let sent = send(source, plan, &sender);
            if let Err(error) = sent {
                // Told to the writer, which hands it back: there it undoes its work.
                let _ = sender.send(Sent::Failed(error));
            }
            drop(sender);
            joined(writer.join())
        })
    })
}

/// Replaces the database of `destination` by that of `from`. Returns whether the content of virtual tables was written
/// beneath them: a session may remember what it was.
pub fn copy_from(destination: &mut dyn Session, from: &Target) -> Result<bool> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        let (planner, planned) = sync_channel(1);
        let reader = scope.spawn(move || -> Result<()> {
            let mut source = sql::open(from)?;
            interrupt::on_interrupt(source.interrupter());
            let read = reading(source.as_mut(), |source| {
                let plan = std::sync::Arc::new(plan(source)?);
                if planner.send(plan.clone()).is_ok() {
                    send(source, &plan, &sender)?;
                }
                Ok(())
            });
            if let Err(error) = &read {
                let _ = sender.send(Sent::Failed(Error::new(error.code(), error.message().to_owned())));
            }
            read
        });
        let written = match planned.recv() {
            Ok(plan) => receive(destination, &plan, &receiver, true).map(|()| plan.has_modules),
            // The reader says why.
            Err(_) => Ok(false),
        };
        drop(receiver);
        let read = joined(reader.join());
        written.and_then(|has_modules| read.map(|()| has_modules))
    })
}

fn joined<T>(ended: std::thread::Result<Result<T>>) -> Result<T> {
    ended.unwrap_or_else(|_| Err(Error::new(Code::Internal, "the other side of the copy broke down")))
}

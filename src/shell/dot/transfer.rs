//! `.clone`, and `.restore` where a server is on one side: schema and rows go from one session to the other.
//!
//! One of the two sessions works in a thread of its own and rows pass between them, in batches where a server takes them,
//! so memory does not grow with the database. Everything is read in one transaction and written in one: what fails
//! leaves the destination as it was. `connect` restores files from files, by
//! SQLite's own backup.

use crate::error::{Code, Error, Result};
use crate::shell::exec::remote_script::{APPLICATION_ID, STATISTICS};
use crate::shell::exec::vector_indexes;
use crate::shell::interrupt;
use crate::shell::table_info::{RowTable, listed};
use crate::sql::exact;
use crate::sql::query::{number, owned, rows, text};
use crate::sql::restrict::restrict;
use crate::sql::text::value_to_text;
use crate::sql::{self, Failure, Rows, Session, Sink, Target, Value, ValueRef};
use crate::sqltext::quote::identifier;
use std::io;
use std::ops::ControlFlow;
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
    user_version: String,
    application_id: String,
    /// What `ANALYZE` found stays behind.
    without_statistics: bool,
    /// Virtual tables keep content in some of the tables.
    has_modules: bool,
}

/// How the rows of one table are copied.
struct Copy {
    name: String,
    columns: Vec<String>,
    insert: String,
    /// The destination has rows of its own in it as soon as it is made.
    emptied: bool,
}

impl Copy {
    fn new(table: &RowTable, emptied: bool) -> Self {
        let mut columns: Vec<String> = table.columns.iter().map(|column| identifier(column)).collect();
        // Rows keep their numbers, also where no column shows them.
        columns.extend(table.row_number.map(str::to_owned));
        Self::of(table.name.clone(), columns, emptied)
    }

    fn of(name: String, columns: Vec<String>, emptied: bool) -> Self {
        let list = columns.join(", ");
        let marks = vec!["?"; columns.len()].join(",");
        Self {
            insert: format!("INSERT INTO main.{}({list}) VALUES({marks})", identifier(&name)),
            name,
            columns,
            emptied,
        }
    }

    /// A table that SQLite makes for itself.
    fn of_system(name: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        Self::of(name.to_owned(), columns, true)
    }
}

/// `to_server` tells that the destination is one.
fn plan(source: &mut dyn Session, to_server: bool) -> Result<Plan> {
    let mut real = listed(source, "type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")?;
    let shadows = listed(source, "type = 'shadow'")?;
    let mut tables = Vec::new();
    let mut others = Vec::new();
    let objects = rows(
        source,
        "SELECT type, name, sql FROM sqlite_schema WHERE sql NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         ORDER BY rowid",
    )?;
    // A server makes the content of vector indexes itself.
    let made_there = match to_server {
        true => vector_indexes::content_of(objects.iter().map(|object| value_to_text(&object[2]))),
        false => Vec::new(),
    };
    let is_made_there = |name: &str| made_there.iter().any(|made| made.eq_ignore_ascii_case(name));
    real.retain(|table| !is_made_there(&table.name));
    for object in &objects {
        let [kind, name, sql] = [0, 1, 2].map(|at| value_to_text(&object[at]));
        match kind.as_str() {
            _ if is_made_there(&name) => {}
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
            .any(|object| value_to_text(&object[2]).to_lowercase().contains("autoincrement"))
    {
        copies.push(Copy::of_system("sqlite_sequence", &["name", "seq"]));
    }
    let statistics = rows(
        source,
        "SELECT name FROM sqlite_schema WHERE name IN ('sqlite_stat1', 'sqlite_stat4')",
    )?;
    if !to_server {
        for row in &statistics {
            let name = value_to_text(&row[0]);
            let columns: &[&str] = match name.as_str() {
                "sqlite_stat4" => &["tbl", "idx", "neq", "nlt", "ndlt", "sample"],
                _ => &["tbl", "idx", "stat"],
            };
            copies.push(Copy::of_system(&name, columns));
        }
    }
    copies.retain(|copy| !copy.columns.is_empty());
    Ok(Plan {
        tables,
        copies,
        others,
        user_version: text(source, "PRAGMA user_version")?,
        application_id: text(source, "PRAGMA application_id").unwrap_or_default(),
        without_statistics: to_server && !statistics.is_empty(),
        has_modules: !shadows.is_empty(),
    })
}

/// A value on its way.
enum Carried {
    Value(Value),
    /// A text that is not UTF-8.
    Text(Vec<u8>),
}

enum Sent {
    Row(Vec<Carried>),
    /// The end of a table.
    End,
    Failed(Error),
}

struct Sender<'a>(&'a SyncSender<Sent>);

impl Sink for Sender<'_> {
    fn row(&mut self, row: &[ValueRef<'_>]) -> io::Result<ControlFlow<()>> {
        let carried = |&value: &ValueRef<'_>| match value {
            ValueRef::Text(text) if std::str::from_utf8(text).is_err() => Carried::Text(text.to_vec()),
            value => Carried::Value(owned(value)),
        };
        let row = row.iter().map(carried).collect();
        // Nobody listens any more once the other side has failed.
        Ok(if self.0.send(Sent::Row(row)).is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    }
}

/// Sends the rows of all tables in order.
fn send(source: &mut dyn Session, plan: &Plan, sender: &SyncSender<Sent>) -> Result<()> {
    for copy in &plan.copies {
        let from = format!("main.{}", identifier(&copy.name));
        exact::read(source, &copy.columns, &from, &mut Sender(sender))
            .map_err(|failure| within(&copy.name, failure))?;
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
struct TransferReader<'a> {
    receiver: &'a Receiver<Sent>,
    row: Vec<Carried>,
    width: usize,
    refusal: Option<Failure>,
}

impl Rows for TransferReader<'_> {
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
        match self.row.get(index) {
            Some(Carried::Value(value)) => value.into(),
            Some(Carried::Text(text)) => ValueRef::Text(text),
            None => ValueRef::Null,
        }
    }

    fn refused(&mut self, _: u64, failure: Failure) -> Result<ControlFlow<()>> {
        self.refusal = Some(failure);
        Ok(ControlFlow::Break(()))
    }
}

/// Takes everything out of a database.
fn empty(destination: &mut dyn Session) -> Result<()> {
    for kind in ["trigger", "view"] {
        for row in rows(
            destination,
            &format!("SELECT name FROM sqlite_schema WHERE type = '{kind}'"),
        )? {
            rows(
                destination,
                &format!("DROP {kind} {}", identifier(&value_to_text(&row[0]))),
            )?;
        }
    }
    let tables = rows(
        destination,
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual') \
         AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type DESC",
    )?;
    for row in tables {
        rows(
            destination,
            // The content of a vector index goes with the indexed table.
            &format!("DROP TABLE IF EXISTS {}", identifier(&value_to_text(&row[0]))),
        )?;
    }
    Ok(())
}

/// What a server has no place for in a database that goes there.
fn left_behind(plan: &Plan, to: &mut dyn Session) -> Vec<&'static str> {
    let mut left = Vec::new();
    if !to.is_local() && !matches!(plan.application_id.as_str(), "" | "0") {
        left.push(APPLICATION_ID);
    }
    if plan.without_statistics {
        left.push(STATISTICS);
    }
    left
}

/// Writes what arrives, in one transaction.
fn receive(destination: &mut dyn Session, plan: &Plan, receiver: &Receiver<Sent>, replace: bool) -> Result<()> {
    // The other database's schema is somebody else's SQL.
    let restriction = restrict(destination)?;
    let received = receive_unchecked(destination, plan, receiver, replace);
    let Some(restriction) = restriction else {
        return received;
    };
    let beyond = restriction.take_beyond();
    restriction.lift(destination);
    match (received, beyond) {
        (Err(error), Some(beyond)) => Err(Error::new(
            Code::InvalidFile,
            format!("the other database's schema uses {beyond}, which reaches beyond a database"),
        )
        .caused_by(error)),
        (received, _) => received,
    }
}

fn receive_unchecked(
    destination: &mut dyn Session,
    plan: &Plan,
    receiver: &Receiver<Sent>,
    replace: bool,
) -> Result<()> {
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
            if copy.name == "sqlite_stat1" {
                // Makes the tables for it.
                rows(destination, "ANALYZE sqlite_schema")?;
            }
            if copy.emptied {
                rows(destination, &format!("DELETE FROM {}", identifier(&copy.name)))?;
            }
            let mut arriving = TransferReader {
                receiver,
                row: Vec::new(),
                width: copy.columns.len(),
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
        if destination.is_local() && !plan.application_id.is_empty() {
            // Servers refuse to set it.
            rows(destination, &format!("PRAGMA application_id = {}", plan.application_id))?;
        }
        rows(destination, "COMMIT")
    })();
    if done.is_err() && destination.in_transaction() {
        // The first failure is the one to tell; a server may have rolled back already.
        let _ = rows(destination, "ROLLBACK");
    }
    let setting = rows(destination, &format!("PRAGMA foreign_keys = {keys}"));
    done.and(setting).map(drop)
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

/// What became of a copy.
#[derive(Default)]
pub struct Copied {
    /// The content of virtual tables was written beneath them: a session may remember what it was.
    pub has_modules: bool,
    /// What is not in the copy, and why.
    pub left_behind: Vec<&'static str>,
}

/// Copies the database of `source` to `to`, which must be empty.
pub fn copy_to(source: &mut dyn Session, to: &Target) -> Result<Copied> {
    reading(source, |source| {
        let plan = plan(source, matches!(to, Target::Remote { .. }))?;
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(AHEAD);
            let plan = &plan;
            let writer = scope.spawn(move || -> Result<Copied> {
                let mut destination = sql::open_scratch(to)?;
                interrupt::on_interrupt(destination.interrupter());
                if number(destination.as_mut(), "SELECT count(*) FROM sqlite_schema")? > 0 {
                    return Err(Error::new(Code::InvalidValue, "the destination is not empty"));
                }
                receive(destination.as_mut(), plan, &receiver, false)?;
                Ok(Copied {
                    has_modules: plan.has_modules,
                    left_behind: left_behind(plan, destination.as_mut()),
                })
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

/// Replaces the database of `destination` by that of `from`.
pub fn copy_from(destination: &mut dyn Session, from: &Target) -> Result<Copied> {
    let to_server = !destination.is_local();
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        let (planner, planned) = sync_channel(1);
        let reader = scope.spawn(move || -> Result<()> {
            let mut source = sql::open(from)?;
            interrupt::on_interrupt(source.interrupter());
            let read = reading(source.as_mut(), |source| {
                let plan = std::sync::Arc::new(plan(source, to_server)?);
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
            Ok(plan) => receive(destination, &plan, &receiver, true).map(|()| Copied {
                has_modules: plan.has_modules,
                left_behind: left_behind(&plan, destination),
            }),
            // The reader says why.
            Err(_) => Ok(Copied::default()),
        };
        drop(receiver);
        let read = joined(reader.join());
        written.and_then(|copied| read.map(|()| copied))
    })
}

fn joined<T>(ended: std::thread::Result<Result<T>>) -> Result<T> {
    ended.unwrap_or_else(|_| Err(Error::new(Code::Internal, "the other connection of the copy failed")))
}

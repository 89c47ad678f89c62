//! `torso db inspect`: what a database's file is made of.

use super::{near_miss, reach};
use crate::commands::completers;
use crate::context::Context;
use crate::control::names::{DatabaseName, LocationCode};
use crate::error::{Code, Error, Result};
use crate::sql::{self, Session, Value, query};
use crate::ui::{Card, Cell, Layout, Table, View};
use serde::Serialize;

crate::commands::schemas::document!("db inspect" => Inspected);

/// Show pages, free space and the sizes of tables
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  torso db inspect app\n  torso db inspect app --check")]
pub(crate) struct Args {
    /// Name of the database [default: the project's]
    #[arg(value_name = "NAME", add = completers::databases())]
    name: Option<DatabaseName>,
    /// Read the instance at this location, not the primary
    #[arg(long, alias = "instance", value_name = "CODE", add = completers::locations())]
    location: Option<LocationCode>,
    /// Also check the whole file; exit code 1 if it is damaged
    #[arg(long)]
    check: bool,
    /// Show the statements that read and wrote most rows instead
    #[arg(long, conflicts_with_all = ["check", "location"])]
    queries: bool,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Inspected {
    name: DatabaseName,
    location: LocationCode,
    size_bytes: u64,
    page_size: u64,
    pages: u64,
    free_pages: u64,
    journal_mode: String,
    encoding: String,
    auto_vacuum: &'static str,
    user_version: i64,
    application_id: i64,
    schema_version: u64,
    /// Tables and indexes, the largest first.
    objects: Vec<Object>,
    /// Present when the file was checked: `ok`, or what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    integrity: Option<Vec<String>>,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Object {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    /// The table an index is of.
    table: String,
    pages: u64,
    size_bytes: u64,
    /// Bytes in its pages that nothing uses.
    unused_bytes: u64,
}

const OBJECTS: &str = "
    SELECT s.name, coalesce(m.type, 'table'), coalesce(m.tbl_name, s.name), s.pageno, s.pgsize, s.unused
    FROM dbstat('main', 1) AS s LEFT JOIN sqlite_schema AS m ON m.name = s.name
    ORDER BY s.pgsize DESC, s.name";

pub(super) fn run(ctx: &Context, args: Args) -> Result<()> {
    let name = ctx.database(args.name)?;
    if args.queries {
        return super::usage::queries(ctx, &name);
    }
    let connection = ctx
        .control()?
        .connection(&name, args.location.as_ref())
        .map_err(|error| near_miss(ctx, &name, error))?;
    let location = connection.location.clone();
    let target = reach::reading(&connection)?;
    let mut session = sql::open(&target)?;
    let remote = matches!(target, sql::Target::Remote { .. });
    let inspected = inspect(session.as_mut(), name, location, args.check, remote)?;
    ctx.ui.show(&inspected)?;
    match &inspected.integrity {
        Some(findings) if findings.as_slice() != ["ok"] => Err(Error::new(
            Code::InvalidFile,
            format!("database {} is damaged", inspected.name),
        )
        .hint("destroy a damaged replica and replicate again; instead of a damaged primary, promote a sound replica")),
        _ => Ok(()),
    }
}

fn inspect(
    session: &mut dyn Session,
    name: DatabaseName,
    location: LocationCode,
    check: bool,
    remote: bool,
) -> Result<Inspected> {
    // One transaction, so that the numbers fit each other. As tables, since servers take most pragmas for writing.
    query::rows(session, "BEGIN")?;
    let page_size = query::number(session, "SELECT * FROM pragma_page_size")?;
    let pages = query::number(session, "SELECT * FROM pragma_page_count")?;
    let objects = match query::rows(session, OBJECTS) {
        // Not every server tells how large tables are.
        Err(error) if remote && error.code() == Code::SqlError => Vec::new(),
        rows => rows?,
    };
    let objects = objects.into_iter().filter_map(|row| object(&row)).collect();
    let integrity = if check {
        let text = |row: Vec<Value>| match row.into_iter().next() {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        };
        Some(
            query::rows(session, "SELECT * FROM pragma_integrity_check")?
                .into_iter()
                .filter_map(text)
                .collect(),
        )
    } else {
        None
    };
    let inspected = Inspected {
        name,
        location,
        size_bytes: page_size * pages,
        page_size,
        pages,
        free_pages: query::number(session, "SELECT * FROM pragma_freelist_count")?,
        journal_mode: query::text(session, "SELECT * FROM pragma_journal_mode")?,
        encoding: query::text(session, "SELECT * FROM pragma_encoding")?,
        auto_vacuum: match query::number(session, "SELECT * FROM pragma_auto_vacuum")? {
            0 => "none",
            1 => "full",
            _ => "incremental",
        },
        user_version: signed(session, "SELECT * FROM pragma_user_version")?,
        application_id: signed(session, "SELECT * FROM pragma_application_id")?,
        schema_version: query::number(session, "SELECT * FROM pragma_schema_version")?,
        objects,
        integrity,
    };
    query::rows(session, "COMMIT")?;
    Ok(inspected)
}

/// A number that may be negative.
fn signed(session: &mut dyn Session, sql: &str) -> Result<i64> {
    let text = query::text(session, sql)?;
    text.parse().map_err(|_| {
        Error::new(
            Code::Internal,
            format!("{sql} returned {text:?}, which is not a number"),
        )
    })
}

fn object(row: &[Value]) -> Option<Object> {
    let text = |at: usize| match row.get(at) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let number = |at: usize| match row.get(at) {
        Some(Value::Integer(number)) => u64::try_from(*number).ok(),
        _ => None,
    };
    Some(Object {
        name: text(0)?,
        kind: text(1)?,
        table: text(2)?,
        pages: number(3)?,
        size_bytes: number(4)?,
        unused_bytes: number(5)?,
    })
}

impl View for Inspected {
    fn layout(&self) -> Layout {
        let mut objects = Table::new(["NAME", "TYPE", "PAGES", "SIZE", "UNUSED"], "");
        for object in &self.objects {
            objects.row(vec![
                Cell::text(&object.name),
                Cell::text(&object.kind),
                Cell::number(object.pages),
                Cell::size(object.size_bytes),
                Cell::size(object.unused_bytes),
            ]);
        }
        Layout::Card(
            Card::default()
                .field("Name", Cell::text(self.name.as_str()))
                .field("Location", Cell::text(self.location.as_str()))
                .field("Size", Cell::size(self.size_bytes))
                .field("Pages", Cell::number(self.pages))
                .field("Page size", Cell::number(self.page_size))
                .field("Free pages", Cell::number(self.free_pages))
                .field("Journal mode", Cell::text(&self.journal_mode))
                .field("Encoding", Cell::text(&self.encoding))
                .field("Auto vacuum", Cell::text(self.auto_vacuum))
                .field("User version", Cell::text(self.user_version.to_string()))
                .field("Application ID", Cell::text(self.application_id.to_string()))
                .field_if("Integrity", self.integrity.as_ref(), |findings| {
                    Cell::text(findings.join("; "))
                })
                .table("Tables and indexes", objects),
        )
    }

    fn names(&self) -> Vec<String> {
        self.objects.iter().map(|object| object.name.clone()).collect()
    }
}

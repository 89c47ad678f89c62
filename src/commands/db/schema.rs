//! `torso db schema`: the statements that make a database's tables, indexes, views and triggers.

use super::{near_miss, reach};
use crate::commands::completers;
use crate::context::Context;
use crate::control::names::DatabaseName;
use crate::error::Result;
use crate::sql::content::ENGINE_TABLES;
use crate::sql::text::value_to_text;
use crate::sql::{self, Session, query};
use crate::ui::{Cell, Layout, OutputFormat, Table, View};
use serde::Serialize;

crate::commands::schemas::document!("db schema" => Schema);

/// Print the CREATE statements of a database
///
/// They come in an order in which they can be run: tables, indexes, views, triggers. What SQLite, libSQL or a virtual table
/// makes by itself is left out.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db schema app > schema.sql
  torso db create app-empty --from-dump schema.sql")]
pub(crate) struct Args {
    /// Name of the database [default: the project's]
    #[arg(value_name = "NAME", add = completers::databases())]
    name: Option<DatabaseName>,
}

/// A thing in a schema.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct SchemaObject {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    /// The table or view that it belongs to.
    table: String,
    sql: String,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Schema(Vec<SchemaObject>);

pub(super) fn run(ctx: &Context, args: Args) -> Result<()> {
    let name = ctx.database(args.name)?;
    let connection = ctx
        .control()?
        .connection(&name, None)
        .map_err(|error| near_miss(ctx, &name, error))?;
    let mut session = sql::open(&reach::reading(&connection)?)?;
    let schema = Schema(objects(session.as_mut())?);
    if ctx.ui.format() == OutputFormat::Table {
        let script: String = schema.0.iter().map(|object| format!("{};\n", object.sql)).collect();
        return ctx.ui.script(&script);
    }
    ctx.ui.show(&schema)
}

/// Tables before what needs them. Within a kind, in the order in which they were made.
fn objects(session: &mut dyn Session) -> Result<Vec<SchemaObject>> {
    let rows = query::rows(
        session,
        &format!(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql NOT NULL AND name <> \
             'sqlite_sequence' AND NOT ({ENGINE_TABLES}) AND name NOT IN (SELECT name FROM pragma_table_list WHERE schema = \
             'main' AND type = 'shadow') ORDER BY CASE type WHEN 'table' THEN 1 WHEN 'index' THEN 2 WHEN 'view' THEN 3 ELSE \
             4 END, rowid"
        ),
    )?;
    Ok(rows
        .iter()
        .filter_map(|row| match row.as_slice() {
            [kind, name, table, sql] => Some(SchemaObject {
                kind: value_to_text(kind),
                name: value_to_text(name),
                table: value_to_text(table),
                sql: value_to_text(sql),
            }),
            _ => None,
        })
        .collect())
}

impl View for Schema {
    fn layout(&self) -> Layout {
        let mut table = Table::new(["TYPE", "NAME", "TABLE", "SQL"], "");
        for object in &self.0 {
            let cells = [&object.kind, &object.name, &object.table, &object.sql];
            table.row(cells.map(Cell::text).into());
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|object| object.name.clone()).collect()
    }
}

//! `torso db usage`: what was read, written and stored.

use super::near_miss;
use crate::commands::completers;
use crate::context::Context;
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::tokens::{QueryUsage, Span, Usage};
use crate::error::{Code, Error, Result};
use crate::ui::{Card, Cell, Layout, Table, View};
use jiff::Timestamp;
use serde::Serialize;

crate::commands::schemas::document!("db usage" => Used);
crate::commands::schemas::document!("db usage", "db inspect" => Queries);

/// Show what a database used: rows read and written, storage
///
/// Only servers count rows; local files have no usage figures.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  torso db usage app\n  torso db usage app --from 2026-11-01T00:00:00Z --queries")]
pub(crate) struct Args {
    /// Name of the database [default: the project's]
    #[arg(value_name = "NAME", add = completers::databases())]
    name: Option<DatabaseName>,
    /// Start [default: the beginning of the month]
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// End [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// Show the statements that read and wrote most rows instead
    #[arg(long)]
    queries: bool,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Used {
    name: DatabaseName,
    #[serde(flatten)]
    usage: Usage,
    instances: Vec<At>,
}

/// What one instance used.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct At {
    uuid: String,
    location: Option<LocationCode>,
    #[serde(flatten)]
    usage: Usage,
}

pub(super) fn run(ctx: &Context, args: Args) -> Result<()> {
    let name = ctx.database(args.name)?;
    if args.queries {
        return queries(ctx, &name);
    }
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from > to
    {
        return Err(
            Error::new(Code::InvalidValue, format!("--from {from} is after --to {to}"))
                .hint("--from is the earlier time, --to the later one"),
        );
    }
    let plane = ctx.control()?;
    let span = Span {
        from: args.from,
        to: args.to,
    };
    let found = plane
        .database_usage(&name, span)
        .map_err(|error| near_miss(ctx, &name, error))?;
    let known = plane.list_instances(&name)?;
    let instances = found
        .instances
        .into_iter()
        .map(|instance| At {
            location: known
                .iter()
                .find(|known| known.uuid == instance.uuid)
                .map(|known| known.location.clone()),
            uuid: instance.uuid,
            usage: instance.usage,
        })
        .collect();
    ctx.ui.show(&Used {
        name,
        usage: found.usage,
        instances,
    })
}

impl View for Used {
    fn layout(&self) -> Layout {
        let mut table = Table::new(["LOCATION", "ROWS READ", "ROWS WRITTEN", "STORAGE"], "");
        for instance in &self.instances {
            table.row(vec![
                Cell::maybe(instance.location.as_ref(), |code| Cell::text(code.as_str())),
                Cell::number(instance.usage.rows_read),
                Cell::number(instance.usage.rows_written),
                Cell::size(instance.usage.storage_bytes),
            ]);
        }
        Layout::Card(
            Card::default()
                .field("Name", Cell::text(self.name.as_str()))
                .field("Rows read", Cell::number(self.usage.rows_read))
                .field("Rows written", Cell::number(self.usage.rows_written))
                .field("Storage", Cell::size(self.usage.storage_bytes))
                .field("Synced", Cell::size(self.usage.bytes_synced))
                .table("Instances", table),
        )
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.to_string()]
    }
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Queries(Vec<QueryUsage>);

/// The statements that cost the most.
pub(super) fn queries(ctx: &Context, name: &DatabaseName) -> Result<()> {
    let found = ctx
        .control()?
        .top_queries(name)
        .map_err(|error| near_miss(ctx, name, error))?;
    ctx.ui.show(&Queries(found))
}

impl View for Queries {
    fn layout(&self) -> Layout {
        let mut table = Table::new(
            ["STATEMENT", "ROWS READ", "ROWS WRITTEN"],
            "No statement was counted yet.",
        );
        for query in &self.0 {
            table.row(vec![
                Cell::text(&query.query),
                Cell::number(query.rows_read),
                Cell::number(query.rows_written),
            ]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|query| query.query.clone()).collect()
    }
}

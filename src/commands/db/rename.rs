//! `torso db rename`.

use super::{find, near_miss};
use crate::commands::answers::{self, Done};
use crate::commands::{DryRun, completers, preconditions};
use crate::context::Context;
use crate::control::if_allowed;
use crate::control::names::DatabaseName;
use crate::error::Result;

crate::commands::schemas::document!("db rename" => crate::control::types::Database);

/// Rename a database; its data, id and replicas stay
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso db rename app shop")]
pub(crate) struct Args {
    /// The current name
    #[arg(value_name = "OLD", add = completers::databases())]
    old: DatabaseName,
    /// The new name
    #[arg(value_name = "NEW")]
    new: DatabaseName,
    #[command(flatten)]
    dry: DryRun,
}

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    if_allowed(find(ctx, &args.old))?;
    if args.old != args.new {
        preconditions::check_new_database_name(ctx, &args.new)?;
    }
    if args.dry.dry_run {
        return answers::plan(ctx, vec![format!("rename database {} to {}", args.old, args.new)]);
    }
    let database = ctx
        .control()?
        .rename_database(&args.old, &args.new)
        .map_err(|error| near_miss(ctx, &args.old, error))?;
    let sentence = format!("Renamed database {} to {}.", args.old, database.name);
    let name = database.name.clone();
    ctx.ui.show(&Done::new(database, name, sentence))
}

//! `torso db branch`: a new database with another's content.

use super::{create, find};
use crate::commands::values::Size;
use crate::commands::{DryRun, answers, complete};
use crate::context::Context;
use crate::control::names::DatabaseName;
use crate::control::types::Seed;
use crate::error::Result;

/// Create a database as a copy of another
///
/// The copy is consistent, also while the source is written to, and goes its own way from then on. It is put at its
/// source's location and in its group unless you say otherwise.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso db branch app app-test")]
pub(crate) struct Args {
    /// Database to copy
    #[arg(value_name = "SOURCE", add = complete::databases())]
    source: DatabaseName,
    /// Name of the copy
    #[arg(value_name = "TARGET")]
    target: DatabaseName,
    #[command(flatten)]
    place: create::Place,
    /// Largest size, such as 64mb; 0 is unlimited
    #[arg(long, value_name = "SIZE")]
    size_limit: Option<Size>,
    /// Succeed when the target is there already
    #[arg(long)]
    if_not_exists: bool,
    #[command(flatten)]
    dry: DryRun,
}

pub(super) fn run(ctx: &Context, mut args: Args) -> Result<()> {
    let done = branch(ctx, &mut args)?;
    done.map_or(Ok(()), |done| ctx.ui.show(&done))
}

fn branch(ctx: &Context, args: &mut Args) -> Result<Option<answers::Done<create::Created>>> {
    if let Some(database) = create::existing(ctx, Some(&args.target), args.if_not_exists)? {
        return Ok(Some(create::there_already(database)));
    }
    let source = find(ctx, &args.source)?;
    if args.place.group.is_none() {
        args.place.group = Some(source.group);
        args.place.location.get_or_insert(source.primary);
    }
    let request = create::prepare(ctx, Some(args.target.clone()), &args.place, args.size_limit)?;
    if args.dry.dry_run {
        let mut steps = create::steps(&request);
        steps.push(format!("copy database {} into it", args.source));
        answers::plan(ctx, steps)?;
        return Ok(None);
    }
    let seed = Seed::Database {
        name: args.source.clone(),
    };
    create::finish(ctx, request, Some(seed), args.if_not_exists).map(Some)
}

//! `torso db branch`: a new database with another's content.

use super::create;
use super::seed::Source;
use crate::commands::completers;
use crate::context::Context;
use crate::control::names::DatabaseName;
use crate::error::Result;

/// Create a database as a copy of another
///
/// The copy is consistent, even while the source is written to, and independent from then on. By default it has the location
/// and the group of its source.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso db branch app app-test")]
pub(crate) struct Args {
    /// Database to copy
    #[arg(value_name = "SOURCE", add = completers::databases())]
    source: DatabaseName,
    /// Name of the copy
    #[arg(value_name = "TARGET")]
    target: DatabaseName,
    #[command(flatten)]
    wanted: create::Wanted,
}

pub(super) fn run(ctx: &Context, args: Args) -> Result<()> {
    create::make_and_show(ctx, Some(args.target), &args.wanted, &Source::branch(args.source))
}

//! `torso db compact`: gives what deleted rows have left back to the disk.

use super::near_miss;
use crate::commands::answers::{self, Done};
use crate::commands::{DryRun, completers};
use crate::context::Context;
use crate::control::names::DatabaseName;
use crate::error::Result;
use crate::ui::text;

crate::commands::schemas::document!("db compact" => crate::control::compaction::Compaction);

/// Give the room of deleted rows back to the disk
///
/// SQLite keeps the pages of deleted rows for new ones. This makes the file as small as its content, and then its replicas. Writes
/// wait meanwhile. A file must not be in use. It is allowed over a quota, and needs twice as much free disk as the content takes.
///
/// Tables without a primary key of integers may get other rowids, as by SQLite's VACUUM.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  torso db compact app\n  torso db compact app --dry-run")]
pub(crate) struct Args {
    /// Name of the database [default: the project's]
    #[arg(value_name = "NAME", add = completers::databases())]
    name: Option<DatabaseName>,
    #[command(flatten)]
    dry: DryRun,
}

pub(super) fn run(ctx: &Context, args: Args) -> Result<()> {
    let name = ctx.database(args.name)?;
    let compaction = ctx
        .control()?
        .compact_database(&name, args.dry.dry_run)
        .map_err(|error| near_miss(ctx, &name, error))?;
    let freed = text::size(compaction.freed_bytes());
    if args.dry.dry_run {
        let step = format!(
            "compact database {name} from {} to about {}, which frees about {freed}",
            text::size(compaction.bytes_before),
            text::size(compaction.bytes_after)
        );
        return answers::plan(ctx, vec![step]);
    }
    let mut sentence = if compaction.compacted {
        format!(
            "Compacted database {name}: {freed} freed, {} left.",
            text::size(compaction.bytes_after)
        )
    } else {
        format!("Database {name} has nothing to free.")
    };
    if let Some(ms) = compaction.outage_ms {
        sentence.push_str(&format!(" Writes waited for {ms} ms."));
    }
    ctx.ui.show(&Done::new(compaction, name, sentence))
}

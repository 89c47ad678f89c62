//! `torso group promote`: another primary location for a group and all of its databases.

use crate::commands::answers::{self, Done};
use crate::commands::db::with_outage;
use crate::commands::{DryRun, completers, preconditions};
use crate::context::Context;
use crate::control::if_allowed;
use crate::control::names::{GroupName, LocationCode};
use crate::control::types::{Database, DatabaseFilter};
use crate::error::Result;

/// Make a location the primary of a group and of all its databases
///
/// On a server, writes to the databases wait for a moment, and the answer says for how long.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  torso group promote default lhr\n  torso group promote default lhr --dry-run")]
pub(in crate::commands) struct Promote {
    /// Name of the group
    #[arg(value_name = "GROUP", add = completers::groups())]
    name: GroupName,
    /// Code of the location
    #[arg(value_name = "LOCATION", add = completers::locations())]
    location: LocationCode,
    #[command(flatten)]
    dry: DryRun,
}

pub(super) fn promote(ctx: &Context, args: &Promote) -> Result<()> {
    let plane = ctx.control()?;
    let (name, location) = (&args.name, &args.location);
    if let Some(group) = if_allowed(plane.get_group(name))? {
        preconditions::check_group_location(&group, location)?;
    }
    if args.dry.dry_run {
        return answers::plan(ctx, plan(ctx, name, location)?);
    }
    let group = plane.promote_group(name, location)?;
    let sentence = format!("The primary location of group {name} is {}.", group.primary);
    let sentence = with_outage(ctx, sentence, group.promotion.as_ref());
    ctx.ui.show(&Done::new(group, name, sentence))
}

/// What a promotion would do: to the group, and to databases of it whose primaries are elsewhere.
fn plan(ctx: &Context, name: &GroupName, location: &LocationCode) -> Result<Vec<String>> {
    let plane = ctx.control()?;
    let is_moving = plane.get_group(name)?.primary != *location;
    let filter = DatabaseFilter {
        group: Some(name.clone()),
        ..DatabaseFilter::default()
    };
    let databases = plane.list_databases(&filter)?;
    let elsewhere = databases.iter().filter(|database| database.primary != *location);
    let names: Vec<&str> = elsewhere.map(|database| database.name.as_str()).collect();
    let mut steps = Vec::new();
    if is_moving {
        steps.push(format!(
            "make {location} the primary location of group {name} and its databases"
        ));
    } else if !names.is_empty() {
        steps.push(format!("make {location} the primary location of {}", names.join(", ")));
    }
    steps.extend(copying(&databases, location));
    Ok(steps)
}

/// What a promotion copies where processes serve databases: every instance but the new primaries.
fn copying(databases: &[Database], location: &LocationCode) -> Option<String> {
    let moving = databases
        .iter()
        .filter(|database| database.primary != *location && !database.hostname.is_empty());
    let bytes = |database: &Database| {
        let others = database.locations.iter().filter(|at| *at != location).count();
        database.size_bytes.unwrap_or(0).saturating_mul(others as u64)
    };
    let all: u64 = moving.clone().map(bytes).sum();
    (moving.count() > 0).then(|| {
        format!(
            "copy the databases to the other locations again, {} in all; reads there go on",
            crate::ui::text::size(all)
        )
    })
}

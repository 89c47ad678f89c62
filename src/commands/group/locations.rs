//! `torso group locations`: where the databases of a group are replicated.

use crate::commands::answers::{self, Done, listed};
use crate::commands::db::Wait;
use crate::commands::{DryRun, completers, preconditions};
use crate::context::Context;
use crate::control::if_allowed;
use crate::control::names::{GroupName, LocationCode};
use crate::control::types::Group;
use crate::error::{Code, Error, Result};
use crate::ui::{Cell, Layout, Table, View};
use clap::Subcommand;
use serde::Serialize;

crate::commands::schemas::document!("group locations list" => GroupLocations);
crate::commands::schemas::document!("group locations add", "group locations remove" => Group);

pub(super) fn run(ctx: &Context, verb: &Verb) -> Result<()> {
    match verb {
        Verb::List(args) => list(ctx, args),
        Verb::Add(args) => add(ctx, args),
        Verb::Remove(args) => remove(ctx, args),
    }
}

/// The locations of a group's databases: list, add, remove
#[derive(Subcommand)]
#[command(defer = true)]
pub(crate) enum Verb {
    #[command(visible_alias = "ls")]
    List(List),
    Add(Add),
    #[command(visible_alias = "rm")]
    Remove(Remove),
}

/// List the locations of a group, the primary first
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso group locations list default")]
pub(crate) struct List {
    /// Name of the group
    #[arg(value_name = "GROUP", add = completers::groups())]
    name: GroupName,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct GroupLocation {
    code: LocationCode,
    primary: bool,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct GroupLocations(Vec<GroupLocation>);

fn list(ctx: &Context, args: &List) -> Result<()> {
    let group = ctx.control()?.get_group(&args.name)?;
    let primary = group.primary;
    let entry = |code: LocationCode| GroupLocation {
        primary: code == primary,
        code,
    };
    ctx.ui
        .show(&GroupLocations(group.locations.into_iter().map(entry).collect()))
}

impl View for GroupLocations {
    fn layout(&self) -> Layout {
        let mut table = Table::new(["LOCATION", "ROLE"], "No locations.");
        for location in &self.0 {
            let role = if location.primary { "primary" } else { "replica" };
            table.row(vec![Cell::text(location.code.as_str()), Cell::text(role)]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|location| location.code.to_string()).collect()
    }
}

/// Replicate every database of a group to locations, also future ones
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso group locations add default lhr iad")]
pub(crate) struct Add {
    /// Name of the group
    #[arg(value_name = "GROUP", add = completers::groups())]
    name: GroupName,
    /// Codes of locations
    #[arg(value_name = "LOCATION", required = true, add = completers::locations())]
    locations: Vec<LocationCode>,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    dry: DryRun,
}

fn add(ctx: &Context, args: &Add) -> Result<()> {
    let plane = ctx.control()?;
    let name = &args.name;
    let before = if_allowed(plane.get_group(name))?;
    let is_there = |location: &LocationCode| before.as_ref().is_some_and(|group| group.locations.contains(location));
    let new: Vec<_> = args.locations.iter().filter(|location| !is_there(location)).collect();
    // Refuse an unknown one before the first is added. One that is not offered any more keeps what it has.
    for location in &new {
        preconditions::check_location(ctx, location)?;
    }
    if args.dry.dry_run {
        return answers::plan(
            ctx,
            new.iter()
                .map(|location| format!("replicate group {name} to {location}"))
                .collect(),
        );
    }
    let change = |location: &LocationCode| plane.add_group_location(name, location);
    show_changed(ctx, name, before, &args.locations.iter().collect::<Vec<_>>(), change)
}

/// Changes a group location by location, and shows what it is then. What is done stays: a failure after the first says how
/// far it came.
fn show_changed(
    ctx: &Context,
    name: &GroupName,
    before: Option<Group>,
    locations: &[&LocationCode],
    change: impl Fn(&LocationCode) -> Result<Group>,
) -> Result<()> {
    let mut group = before;
    for (done, location) in locations.iter().enumerate() {
        group = Some(change(location).map_err(|error| {
            match done {
                0 => error,
                _ => Error::new(
                    Code::Partial,
                    format!("{} of {} locations are done, not {location}", done, locations.len()),
                )
                .caused_by(error.full_message()),
            }
        })?);
    }
    let Some(group) = group else { return Ok(()) };
    let sentence = format!("Group {name} is at {}.", listed(&group.locations));
    ctx.ui.show(&Done::new(group, name, sentence))
}

/// Remove locations, and the replicas of the group's databases there
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso group locations remove default iad --yes")]
pub(crate) struct Remove {
    /// Name of the group
    #[arg(value_name = "GROUP", add = completers::groups())]
    name: GroupName,
    /// Codes of locations
    #[arg(value_name = "LOCATION", required = true, add = completers::locations())]
    locations: Vec<LocationCode>,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    dry: DryRun,
}

fn remove(ctx: &Context, args: &Remove) -> Result<()> {
    let plane = ctx.control()?;
    let name = &args.name;
    let before = if_allowed(plane.get_group(name))?;
    let may_be_there = |location: &LocationCode| before.as_ref().is_none_or(|group| group.locations.contains(location));
    let present: Vec<_> = args
        .locations
        .iter()
        .filter(|location| may_be_there(location))
        .collect();
    if let Some(group) = &before {
        present
            .iter()
            .try_for_each(|location| preconditions::check_group_replica(group, location))?;
    }
    if args.dry.dry_run {
        return answers::plan(
            ctx,
            present
                .iter()
                .map(|location| format!("destroy the replicas of group {name} at {location}"))
                .collect(),
        );
    }
    if !present.is_empty() {
        ctx.confirm(
            args.yes,
            &format!("destroy the replicas of group {name} at {}", listed(&present)),
            name.as_str(),
        )?;
    }
    let change = |location: &LocationCode| plane.remove_group_location(name, location);
    show_changed(ctx, name, before, &present, change)
}

//! `torso group`: databases that share locations.

mod config;
mod locations;
mod promote;
mod tokens;

use super::answers::{self, Done, counted};
use super::db::Wait;
use super::org::preconditions::check_transfer_target;
use super::{DryRun, completers, default_location, in_use, paging, preconditions};
use crate::context::Context;
use crate::control::if_allowed;
use crate::control::names::{GroupName, LocationCode, OrganizationSlug};
use crate::control::types::{DatabaseFilter, Group, NewGroup};
use crate::error::{Code, Result};
use crate::ui::{Card, Cell, Layout, Table, View};
use clap::Subcommand;
use serde::Serialize;

crate::commands::schemas::document!("group create" => Created);
crate::commands::schemas::document!("group list" => Groups);
crate::commands::schemas::document!("group show" => GroupView);
crate::commands::schemas::document!("group rename", "group promote", "group transfer" => Group);
crate::commands::schemas::document!("group destroy" => Destroyed);

/// Databases that share locations and tokens
#[derive(Subcommand)]
#[command(defer = true)]
pub(super) enum Verb {
    Create(Create),
    #[command(visible_alias = "ls")]
    List(List),
    Show(One),
    Rename(Rename),
    #[command(visible_alias = "rm")]
    Destroy(Destroy),
    #[command(subcommand)]
    Locations(locations::Verb),
    Promote(promote::Promote),
    #[command(subcommand)]
    Config(config::Verb),
    #[command(subcommand)]
    Tokens(tokens::Verb),
    Transfer(Transfer),
}

pub(super) fn run(ctx: &Context, verb: Verb) -> Result<()> {
    match verb {
        Verb::Create(args) => create(ctx, &args),
        Verb::List(args) => list(ctx, args),
        Verb::Show(args) => show(ctx, &args),
        Verb::Rename(args) => rename(ctx, &args),
        Verb::Destroy(args) => destroy(ctx, &args),
        Verb::Locations(verb) => locations::run(ctx, &verb),
        Verb::Promote(args) => promote::promote(ctx, &args),
        Verb::Tokens(verb) => tokens::run(ctx, verb),
        Verb::Transfer(args) => transfer(ctx, &args),
        Verb::Config(verb) => config::run(ctx, &verb),
    }
}

/// Move a group with all its databases to another organization you belong to
///
/// They get new addresses, and existing tokens for them stop working.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso group transfer europe team --yes")]
pub(super) struct Transfer {
    /// Name of the group
    #[arg(value_name = "GROUP", add = completers::groups())]
    name: GroupName,
    /// Name of the organization
    #[arg(value_name = "ORGANIZATION", add = completers::organizations())]
    to: OrganizationSlug,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    dry: DryRun,
}

fn transfer(ctx: &Context, args: &Transfer) -> Result<()> {
    let (name, to) = (&args.name, &args.to);
    let plane = ctx.control()?;
    if ctx.server_if_any()?.is_none() {
        // On this machine there are no organizations: this says so.
        plane.transfer_group(name, to)?;
    }
    plane.get_group(name)?;
    let doing = format!("move group {name} with all its databases to organization {to}");
    if args.dry.dry_run {
        // A token that may not move groups need not see organizations either: the server says so itself.
        check_transfer_target(ctx, to)?;
        return answers::plan(ctx, vec![doing]);
    }
    ctx.confirm(args.yes, &doing, name.as_str())?;
    let group = plane.transfer_group(name, to)?;
    let sentence = format!("Moved group {name} to organization {to}.");
    ctx.ui.show(&Done::new(group, name, sentence))
}

/// Create a group
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso group create europe --location ams")]
pub(super) struct Create {
    /// Name of the group
    #[arg(value_name = "NAME")]
    name: GroupName,
    /// Primary location of its databases
    #[arg(long, value_name = "CODE", add = completers::locations())]
    location: Option<LocationCode>,
    /// Succeed if the group exists already
    #[arg(long)]
    if_not_exists: bool,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    dry: DryRun,
}

/// The answer: the group, and whether it is new.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    group: Group,
    created: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    location_source: Option<default_location::Source>,
}

fn create(ctx: &Context, args: &Create) -> Result<()> {
    let plane = ctx.control()?;
    let there_already = |group: Group| {
        let sentence = format!("Group {} exists already at {}.", group.name, group.primary);
        let name = group.name.clone();
        let created = Created {
            group,
            created: false,
            location_source: None,
        };
        ctx.ui.show(&Done::new(created, name, sentence))
    };
    if args.if_not_exists
        && let Ok(group) = plane.get_group(&args.name)
    {
        return there_already(group);
    }
    let choice = default_location::choose(
        ctx,
        &default_location::Wish {
            location: args.location.as_ref(),
            ..default_location::Wish::default()
        },
    )?;
    if !args.if_not_exists {
        preconditions::check_new_group_name(ctx, &args.name)?;
    }
    if choice.is_of_user() {
        preconditions::check_location(ctx, &choice.location)?;
    }
    if args.dry.dry_run {
        return answers::plan(
            ctx,
            vec![format!(
                "create group {} at {} ({})",
                args.name, choice.location, choice.reason
            )],
        );
    }
    let new = NewGroup {
        name: args.name.clone(),
        location: choice.location.clone(),
    };
    let group = match plane.create_group(&new) {
        Ok(group) => group,
        Err(error) if args.if_not_exists && error.code() == Code::GroupExists => {
            return there_already(plane.get_group(&args.name)?);
        }
        Err(error) => return Err(error),
    };
    choice.print(ctx);
    let sentence = format!("Created group {} at {}.", group.name, group.primary);
    let created = Created {
        group,
        created: true,
        location_source: Some(choice.source),
    };
    ctx.ui.show(&Done::new(created, &args.name, sentence))
}

/// List groups
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  torso group list\n  torso group list --limit 50 --after shop")]
pub(super) struct List {
    #[command(flatten)]
    limit: paging::Limit,
    /// Only names that come after it: of the next page
    #[arg(long, value_name = "NAME")]
    after: Option<GroupName>,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Groups(Vec<Group>);

fn list(ctx: &Context, args: List) -> Result<()> {
    let plane = ctx.control()?;
    paging::print(
        ctx,
        (&args.limit, args.after),
        |after, limit| plane.list_groups_after(after, limit),
        |_| true,
        |group| Ok(group.name.clone()),
        Groups,
    )
}

impl View for Groups {
    fn layout(&self) -> Layout {
        let mut table = Table::new(
            ["NAME", "LOCATIONS", "DELETE PROTECTION"],
            "No groups yet. The first database makes the group default.",
        );
        for group in &self.0 {
            table.row(vec![
                Cell::text(group.name.as_str()),
                Cell::list(&group.locations),
                Cell::yes_no(group.delete_protection),
            ]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|group| group.name.to_string()).collect()
    }
}

/// Show a group
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso group show default")]
pub(super) struct One {
    /// Name of the group
    #[arg(value_name = "NAME", add = completers::groups())]
    name: GroupName,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct GroupView(Group);

fn show(ctx: &Context, args: &One) -> Result<()> {
    ctx.ui.show(&GroupView(ctx.control()?.get_group(&args.name)?))
}

impl View for GroupView {
    fn layout(&self) -> Layout {
        let group = &self.0;
        Layout::Card(
            Card::default()
                .field("Name", Cell::text(group.name.as_str()))
                .field("ID", Cell::text(&group.uuid))
                .field("Primary", Cell::text(group.primary.as_str()))
                .field("Locations", Cell::list(&group.locations))
                .field("Delete protection", Cell::yes_no(group.delete_protection)),
        )
    }

    fn names(&self) -> Vec<String> {
        vec![self.0.name.to_string()]
    }
}

/// Rename a group
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso group rename europe eu")]
pub(super) struct Rename {
    /// The current name
    #[arg(value_name = "OLD", add = completers::groups())]
    old: GroupName,
    /// The new name
    #[arg(value_name = "NEW")]
    new: GroupName,
    #[command(flatten)]
    dry: DryRun,
}

fn rename(ctx: &Context, args: &Rename) -> Result<()> {
    let plane = ctx.control()?;
    if_allowed(plane.get_group(&args.old))?;
    if args.old != args.new {
        preconditions::check_new_group_name(ctx, &args.new)?;
    }
    if args.dry.dry_run {
        return answers::plan(ctx, vec![format!("rename group {} to {}", args.old, args.new)]);
    }
    let group = plane.rename_group(&args.old, &args.new)?;
    let sentence = format!("Renamed group {} to {}.", args.old, group.name);
    let name = group.name.clone();
    ctx.ui.show(&Done::new(group, name, sentence))
}

/// Destroy a group with all its databases
///
/// On a terminal, torso asks for the name; elsewhere --yes is needed. If the group or one of its databases has delete
/// protection, the command fails even with --yes.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso group destroy europe")]
pub(super) struct Destroy {
    /// Name of the group
    #[arg(value_name = "NAME", add = completers::groups())]
    name: GroupName,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    /// Succeed if there is no such group
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    dry: DryRun,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Destroyed {
    name: GroupName,
    destroyed: bool,
    /// Names of the databases that went with it.
    databases: Vec<String>,
}

fn destroy(ctx: &Context, args: &Destroy) -> Result<()> {
    let plane = ctx.control()?;
    let name = &args.name;
    let answer = |destroyed: bool, databases: Vec<String>, sentence: String| {
        let thing = Destroyed {
            name: name.clone(),
            destroyed,
            databases,
        };
        ctx.ui.show(&Done::new(thing, name, sentence))
    };
    let group = match plane.get_group(name) {
        Err(error) if args.if_exists && error.code() == Code::GroupNotFound => {
            return answer(false, vec![], format!("There is no group {name}."));
        }
        group => group?,
    };
    let filter = DatabaseFilter {
        group: Some(name.clone()),
        ..DatabaseFilter::default()
    };
    let listed = plane.list_databases(&filter)?;
    preconditions::check_group_destroyable(&group, &listed)?;
    let databases: Vec<String> = listed.iter().map(|database| database.name.to_string()).collect();
    if args.dry.dry_run {
        let mut steps: Vec<_> = databases
            .iter()
            .map(|database| format!("destroy database {database}"))
            .collect();
        let used = in_use::describe_use(&listed).map_or_else(String::new, |used| format!(" ({used})"));
        steps.push(format!("destroy group {name}{used}"));
        return answers::plan(ctx, steps);
    }
    let doing = format!("destroy group {name} with {}", counted(databases.len(), "database"));
    in_use::confirm_destruction(ctx, args.yes, &doing, name.as_str(), &listed)?;
    plane.delete_group(name)?;
    let sentence = format!("Destroyed group {name} with {}.", counted(databases.len(), "database"));
    answer(true, databases, sentence)
}

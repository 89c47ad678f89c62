//! `torso db destroy`: whole databases, or one replica of one.

use super::find;
use crate::commands::answers::{self, Done, Part};
use crate::commands::{DryRun, completers, in_use, preconditions};
use crate::context::Context;
use crate::control::if_allowed;
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::types::Database;
use crate::error::{Code, Error, Result};
use crate::ui::{Cell, Layout, Table, View};
use serde::Serialize;
use std::collections::HashSet;

crate::commands::schemas::document!("db destroy" => Destroyed);
crate::commands::schemas::document!("db destroy" => Removed);

/// Destroy databases with all their replicas, or one replica
///
/// On a terminal, torso asks for the name; elsewhere --yes is needed. A database with delete protection is not destroyed,
/// even with --yes.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db destroy app
  torso db destroy old-1 old-2 --yes --if-exists
  torso db destroy app --location lhr")]
pub(crate) struct Args {
    /// Names of the databases
    #[arg(value_name = "NAME", required = true, add = completers::databases())]
    names: Vec<DatabaseName>,
    /// Destroy only the replica at this location
    #[arg(long, alias = "instance", value_name = "CODE", add = completers::locations())]
    location: Option<LocationCode>,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    /// Succeed if there is no such database
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    dry: DryRun,
}

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    match &args.location {
        Some(location) => match args.names.as_slice() {
            [name] => replica(ctx, args, name, location),
            _ => Err(Error::new(Code::Usage, "--location takes one database")),
        },
        None => databases(ctx, args),
    }
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Destroyed(Vec<Part>);

fn databases(ctx: &Context, args: &Args) -> Result<()> {
    let mut seen = HashSet::new();
    let names: Vec<_> = args.names.iter().filter(|name| seen.insert(*name)).collect();
    if args.dry.dry_run {
        return dry(ctx, args, &names);
    }
    let mut parts = Vec::new();
    let mut errors = Vec::new();
    for name in names {
        let (done, error) = match one(ctx, args, name) {
            Ok(done) => (done, None),
            Err(error) => (false, Some(error)),
        };
        parts.push(Part {
            name: name.to_string(),
            done,
            error: error.as_ref().map(Into::into),
        });
        errors.extend(error);
    }
    let count = parts.len();
    answers::show_destroyed(ctx, &Destroyed(parts), errors, count, "database")
}

/// Destroys one database. False when it was not there and that is fine.
fn one(ctx: &Context, args: &Args, name: &DatabaseName) -> Result<bool> {
    let database = match find(ctx, name) {
        Err(error) if args.if_exists && error.code() == Code::DatabaseNotFound => return Ok(false),
        found => if_allowed(found)?,
    };
    // Said before asking: a question whose answer cannot help is an insult.
    database.iter().try_for_each(preconditions::check_destroyable)?;
    let doing = format!("destroy database {name}");
    in_use::confirm_destruction(ctx, args.yes, &doing, name.as_str(), &database)?;
    match ctx.control()?.delete_database(name) {
        Err(error) if args.if_exists && error.code() == Code::DatabaseNotFound => Ok(false),
        result => result.map(|()| true),
    }
}

fn dry(ctx: &Context, args: &Args, names: &[&DatabaseName]) -> Result<()> {
    let mut steps = Vec::new();
    let mut errors = Vec::new();
    for name in names {
        match destroyable(ctx, name) {
            Err(error) if args.if_exists && error.code() == Code::DatabaseNotFound => {}
            Ok(Some(database)) => {
                let used = in_use::describe_use([&database]).map_or_else(String::new, |used| format!(" ({used})"));
                let at = answers::listed(&database.locations);
                steps.push(format!("destroy database {name} at {at}{used}"));
            }
            Ok(None) => steps.push(format!("destroy database {name}")),
            Err(error) => errors.push(error),
        }
    }
    answers::plan_destruction(ctx, steps, errors, names.len(), "database")
}

/// A database that may be destroyed; none where the token in use may not see it.
fn destroyable(ctx: &Context, name: &DatabaseName) -> Result<Option<Database>> {
    let database = if_allowed(find(ctx, name))?;
    if let Some(database) = &database {
        preconditions::check_destroyable(database)?;
        preconditions::check_group_protection(ctx, database)?;
    }
    Ok(database)
}

impl View for Destroyed {
    fn layout(&self) -> Layout {
        let describe = |part: &Part| match (&part.error, part.done) {
            (Some(problem), _) => problem.message.clone(),
            (None, true) => "destroyed".into(),
            (None, false) => "was not there".into(),
        };
        if let [part] = self.0.as_slice()
            && part.error.is_none()
        {
            return Layout::Said(if part.done {
                format!("Destroyed database {}.", part.name)
            } else {
                format!("There is no database {}.", part.name)
            });
        }
        let mut table = Table::new(["NAME", "RESULT"], "");
        for part in &self.0 {
            table.row(vec![Cell::text(&part.name), Cell::text(describe(part))]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0
            .iter()
            .filter(|part| part.done)
            .map(|part| part.name.clone())
            .collect()
    }
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Removed {
    name: DatabaseName,
    location: LocationCode,
    removed: bool,
}

fn replica(ctx: &Context, args: &Args, name: &DatabaseName, location: &LocationCode) -> Result<()> {
    let answer = |removed: bool, sentence: String| {
        let thing = Removed {
            name: name.clone(),
            location: location.clone(),
            removed,
        };
        ctx.ui.show(&Done::new(thing, name, sentence))
    };
    let nothing = |error: Error| {
        let fine = args.if_exists && matches!(error.code(), Code::InstanceNotFound | Code::DatabaseNotFound);
        if fine {
            answer(false, format!("Database {name} has no replica at {location}."))
        } else {
            Err(error)
        }
    };
    let database = match if_allowed(find(ctx, name)) {
        Ok(database) => database,
        Err(error) => return nothing(error),
    };
    if let Some(database) = database {
        if !database.locations.contains(location) {
            return nothing(super::show::no_instance(name, location));
        }
        if database.primary == *location {
            return Err(Error::new(
                Code::PrimaryInstance,
                format!("{location} holds the primary of database {name}"),
            )
            .hint(format!(
                "promote another location first, or destroy the whole: torso db destroy {name}"
            )));
        }
        check_own_replica(ctx, &database, location)?;
    }
    if args.dry.dry_run {
        return answers::plan(
            ctx,
            vec![format!("destroy the replica of database {name} at {location}")],
        );
    }
    ctx.confirm(
        args.yes,
        &format!("destroy the replica of database {name} at {location}"),
        name.as_str(),
    )?;
    match ctx.control()?.remove_instance(name, location) {
        Ok(()) => answer(true, format!("Destroyed the replica of database {name} at {location}.")),
        Err(error) => nothing(error),
    }
}

/// Fails where the databases of the group have replicas at a location, so that it is not one database's alone.
fn check_own_replica(ctx: &Context, database: &Database, location: &LocationCode) -> Result<()> {
    let (name, group) = (&database.name, &database.group);
    // A group that cannot be seen is left to the control plane.
    match ctx.control()?.get_group(group) {
        Ok(found) if found.primary != *location && found.locations.contains(location) => Err(Error::new(
            Code::Conflict,
            format!("database {name} is in {location} because its group {group} is"),
        )
        .hint(format!(
            "torso group locations remove {group} {location} removes all of its databases there"
        ))),
        _ => Ok(()),
    }
}

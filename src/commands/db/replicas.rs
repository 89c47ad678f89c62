//! `torso db replicate|replicas|sync`: copies of a database in other locations.

use super::show::instance_table;
use super::{find, near_miss};
use crate::commands::answers::{self, Done};
use crate::commands::watch::Watch;
use crate::commands::{DryRun, completers, preconditions};
use crate::context::Context;
use crate::control::if_allowed;
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::types::{DatabaseFilter, Instance, Synced};
use crate::error::{Code, Error, Result};
use crate::ui::{Cell, Layout, Table, View};
use serde::Serialize;

crate::commands::schemas::document!("db replicate" => Replicated);
crate::commands::schemas::document!("db replicas" => Instances);
crate::commands::schemas::document!("db sync" => Refreshed);

/// Whether to wait for the result. Only for commands that may return early on a server.
#[derive(clap::Args, Default)]
pub(crate) struct Wait {
    /// Do not wait until it is ready (servers only)
    ///
    /// On this machine databases are ready at once; the option changes nothing.
    #[arg(long)]
    pub no_wait: bool,
    /// Wait until it is ready (the default)
    #[arg(long, short, hide = true, conflicts_with = "no_wait")]
    pub wait: bool,
}

/// Create a replica of a database at a location
///
/// A replica is a consistent copy. On this machine, torso updates it after every change that it makes itself, on torso db
/// sync, and when it opens the replica. If there is a replica already, nothing changes.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso db replicate app lhr")]
pub(crate) struct Replicate {
    /// Name of the database
    #[arg(value_name = "NAME", add = completers::databases())]
    name: DatabaseName,
    /// Code of the location
    #[arg(value_name = "LOCATION", add = completers::locations())]
    location: LocationCode,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    dry: DryRun,
}

/// The answer: the instance, and whether it is new.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Replicated {
    database: DatabaseName,
    #[serde(flatten)]
    instance: Instance,
    /// None where the token in use may not see what was there before.
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<bool>,
}

pub(super) fn replicate(ctx: &Context, args: &Replicate) -> Result<()> {
    let (name, location) = (&args.name, &args.location);
    let plane = ctx.control()?;
    let database = if_allowed(find(ctx, name))?;
    let there = database.as_ref().map(|database| database.locations.contains(location));
    if let Some(database) = database.filter(|database| database.primary == *location) {
        return Err(Error::new(
            Code::PrimaryInstance,
            format!("the primary of {} is already in {location}", database.name),
        )
        .hint("choose another location: torso location list"));
    }
    // A location may be one that is not offered any more, and keep what it has.
    if there != Some(true) {
        preconditions::check_location(ctx, location)?;
    }
    if args.dry.dry_run {
        let steps = if there == Some(true) {
            vec![]
        } else {
            vec![format!("copy database {name} to {location}")]
        };
        return answers::plan(ctx, steps);
    }
    let instance = plane.add_instance(name, location)?;
    let sentence = match there {
        Some(true) => format!("Database {name} has a replica at {location} already."),
        Some(false) => format!("Replicated database {name} to {location}."),
        None => format!("Database {name} has a replica at {location}."),
    };
    let replicated = Replicated {
        database: name.clone(),
        instance,
        created: there.map(|there| !there),
    };
    ctx.ui.show(&Done::new(replicated, location, sentence))
}

/// List a database's replicas: role, location, how far behind
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  torso db replicas app\n  torso db replicas app --watch")]
pub(crate) struct Replicas {
    /// Name of the database [default: the project's]
    #[arg(value_name = "NAME", add = completers::databases())]
    name: Option<DatabaseName>,
    #[command(flatten)]
    watch: Watch,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Instances(Vec<Instance>);

pub(super) fn replicas(ctx: &Context, args: Replicas) -> Result<()> {
    let name = ctx.database(args.name)?;
    args.watch.show(ctx, || {
        let all = ctx.control()?.list_instances(&name);
        all.map(Instances).map_err(|error| near_miss(ctx, &name, error))
    })
}

impl View for Instances {
    fn layout(&self) -> Layout {
        Layout::Table(instance_table(&self.0))
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|instance| instance.location.to_string()).collect()
    }
}

/// Update replicas that are behind
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  torso db sync app\n  torso db sync --all")]
pub(crate) struct Sync {
    /// Name of the database [default: the project's]
    #[arg(value_name = "NAME", conflicts_with = "all", add = completers::databases())]
    name: Option<DatabaseName>,
    /// Every database
    #[arg(long)]
    all: bool,
    /// Only the replica at this location
    #[arg(long, value_name = "CODE", add = completers::locations())]
    location: Option<LocationCode>,
    #[command(flatten)]
    dry: DryRun,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Refreshed(Vec<Synced>);

pub(super) fn sync(ctx: &Context, args: Sync) -> Result<()> {
    let plane = ctx.control()?;
    let names = if args.all {
        let filter = DatabaseFilter {
            location: args.location.clone(),
            ..DatabaseFilter::default()
        };
        // One whose primary is there has nothing to refresh there.
        let wanted = |database: &crate::control::types::Database| {
            database.locations.len() > 1 && args.location.as_ref() != Some(&database.primary)
        };
        plane
            .list_databases(&filter)?
            .into_iter()
            .filter(wanted)
            .map(|database| database.name)
            .collect()
    } else {
        let name = ctx.database(args.name)?;
        let database = if_allowed(find(ctx, &name))?;
        if let (Some(database), Some(location)) = (&database, &args.location) {
            preconditions::check_instance(ctx, database, location)?;
        }
        vec![name]
    };
    if args.dry.dry_run {
        let step = |name: &DatabaseName| match &args.location {
            Some(location) => format!("refresh the replica of database {name} at {location}"),
            None => format!("refresh the replicas of database {name}"),
        };
        return answers::plan(ctx, names.iter().map(step).collect());
    }
    let mut synced = Vec::new();
    let mut errors = Vec::new();
    for name in &names {
        match plane.sync_database(name, args.location.as_ref()) {
            Ok(done) => synced.extend(done),
            Err(error) => errors.push(error),
        }
    }
    if errors.len() == names.len() && !errors.is_empty() {
        return Err(errors.remove(0));
    }
    ctx.ui.show(&Refreshed(synced))?;
    match errors.len() {
        0 => Ok(()),
        failed => {
            for error in &errors {
                ctx.ui.warn(error.full_message());
            }
            Err(Error::new(
                Code::Partial,
                format!("{failed} of {} databases were not refreshed", names.len()),
            ))
        }
    }
}

impl View for Refreshed {
    fn layout(&self) -> Layout {
        let mut table = Table::new(
            ["DATABASE", "LOCATION", "RESULT", "TIME"],
            "There is no replica to refresh.",
        );
        for synced in &self.0 {
            table.row(vec![
                Cell::text(synced.database.as_str()),
                Cell::text(synced.location.as_str()),
                Cell::text(if synced.changed { "refreshed" } else { "up to date" }),
                Cell::span(synced.duration_ms),
            ]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|synced| synced.location.to_string()).collect()
    }
}

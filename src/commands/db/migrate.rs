//! `torso db migrate`: applies a directory of migrations to one database, or to many. The rules are in `crate::migrations`.

use super::fleet::{self, Fleet, FleetItem, FleetOptions, ItemFailure, Selection};
use super::near_miss;
use crate::commands::answers::{self, Problem, counted};
use crate::commands::committed::Committed;
use crate::commands::{DryRun, completers};
use crate::context::Context;
use crate::control::ControlPlane;
use crate::control::names::DatabaseName;
use crate::control::types::Connection;
use crate::error::{Code, Error, Result};
use crate::migrations::{self, MigrateOutcome, MigrationPlan, MigrationSet};
use crate::sql;
use crate::ui::{Layout, View};
use serde::Serialize;
use std::path::PathBuf;

crate::commands::schemas::document!("db migrate" => MigratedDatabase);
crate::commands::schemas::document!("db migrate" => Vec<super::fleet::Item<'_, Migrated>>);
crate::commands::schemas::document!("db migrate" => Vec<super::fleet::Item<'_, Planned>>);

/// Apply migrations: SQL files in order, each once
///
/// Each file runs in a transaction and is recorded with a checksum in the table _torso_migrations, so that an interrupted run can
/// be repeated. An applied file that was edited, removed or put in before an applied one is refused. torso reads the layouts of
/// Drizzle, goose, sql-migrate, dbmate, sqlx, golang-migrate, Atlas and Prisma, and plain files such as 0001_create_tables.sql. What these tools
/// have applied is not applied again.
///
/// With several databases, --match or --group, the result has a line for each, and torso stops at the first failure.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db migrate app
  torso db migrate app --dir drizzle --dry-run
  torso db migrate --match 'tenant-*' --canary 3 --resume state.jsonl")]
pub(crate) struct Args {
    /// Names of the databases [default: the project's]
    #[arg(value_name = "NAME", add = completers::databases())]
    names: Vec<DatabaseName>,
    /// Directory of the migrations
    #[arg(long, value_name = "DIR", default_value = "migrations")]
    dir: PathBuf,
    /// Stop behind this migration
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    #[command(flatten)]
    dry: DryRun,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    options: FleetOptions,
}

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let set = migrations::load(&args.dir)?;
    for sentence in &set.ignored {
        ctx.ui.warn(sentence);
    }
    let until = args.to.as_deref().map(|version| set.find(version)).transpose()?;
    let fleet = args.selection.resolve(ctx, &args.names)?;
    match fleet.names.as_slice() {
        [name] if args.selection.is_empty() => {
            if args.dry.dry_run {
                plan_one(ctx, name, &set, until)
            } else {
                migrate_one(ctx, name, &set, until)
            }
        }
        _ => migrate_many(ctx, args, fleet, &set, until),
    }
}

/// The last part of a version's name that a person knows it by.
fn title_of(set: &MigrationSet, version: &str) -> String {
    let found = set.migrations.iter().find(|migration| migration.version == version);
    found.map_or_else(|| version.to_owned(), migrations::Migration::title)
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct AppliedEntry {
    version: String,
    name: String,
    duration_ms: u64,
}

/// What came of a database.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Migrated {
    layout: &'static str,
    /// The last version that the database has.
    version: Option<String>,
    applied: Vec<AppliedEntry>,
    /// Versions that another tool had applied.
    adopted: Vec<String>,
    /// How many were recorded before.
    recorded: usize,
    /// How many are left.
    left: usize,
    /// The name of the last version.
    #[serde(skip)]
    title: Option<String>,
}

impl Migrated {
    fn new(set: &MigrationSet, outcome: MigrateOutcome) -> Self {
        let applied = outcome.applied.into_iter().map(|applied| AppliedEntry {
            version: applied.version,
            name: applied.name,
            duration_ms: u64::try_from(applied.duration.as_millis()).unwrap_or(u64::MAX),
        });
        Self {
            layout: set.layout.name(),
            applied: applied.collect(),
            title: outcome.version.as_deref().map(|version| title_of(set, version)),
            version: outcome.version,
            adopted: outcome.adopted,
            recorded: outcome.recorded,
            left: outcome.left,
        }
    }
}

impl FleetItem for Migrated {
    fn status(&self) -> &'static str {
        "done"
    }

    fn sentence(&self) -> String {
        let mut parts = Vec::new();
        if !self.applied.is_empty() {
            parts.push(format!("applied {}", counted(self.applied.len(), "migration")));
        }
        if !self.adopted.is_empty() {
            parts.push(format!(
                "recorded {} of another tool",
                counted(self.adopted.len(), "migration")
            ));
        }
        if parts.is_empty() {
            parts.push("nothing to apply".to_owned());
        }
        match &self.title {
            Some(title) => format!("{}; at {title}", parts.join(", ")),
            None => parts.join(", "),
        }
    }
}

/// The answer about one database that was asked for alone.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct MigratedDatabase {
    database: DatabaseName,
    #[serde(flatten)]
    result: Migrated,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

impl View for MigratedDatabase {
    fn layout(&self) -> Layout {
        Layout::Said(format!("Database {}: {}.", self.database, self.result.sentence()))
    }

    fn names(&self) -> Vec<String> {
        self.result
            .applied
            .iter()
            .map(|applied| applied.version.clone())
            .collect()
    }
}

fn migrate_one(ctx: &Context, name: &DatabaseName, set: &MigrationSet, until: Option<usize>) -> Result<()> {
    let connection = ctx.control()?.connection_to_write(name);
    let mut outcome = connection
        .and_then(|connection| migrate(&connection, set, until))
        .map_err(|error| near_miss(ctx, name, error))?;
    let failure = outcome.failure.take();
    let changed = !outcome.applied.is_empty() || !outcome.adopted.is_empty();
    let mut done = Committed::new(ctx, ());
    if changed {
        done = done.refresh_replicas(ctx, name);
    }
    done.into_result();
    ctx.ui.show(&MigratedDatabase {
        database: name.clone(),
        result: Migrated::new(set, outcome),
        error: failure.as_ref().map(Into::into),
    })?;
    match failure {
        None => Ok(()),
        Some(error) => Err(Error::new(
            Code::Partial,
            format!("not every migration could be applied: {}", error.full_message()),
        )
        .hint("what was applied stays: mend the file, then run the command again")),
    }
}

fn migrate(connection: &Connection, set: &MigrationSet, until: Option<usize>) -> Result<MigrateOutcome> {
    let mut session = sql::open(&super::reach::target(connection)?)?;
    let explain = |error| super::reach::explain_full(connection, error);
    let mut outcome = migrations::migrate(session.as_mut(), set, until).map_err(explain)?;
    outcome.failure = outcome.failure.map(explain);
    Ok(outcome)
}

fn preview(
    plane: &dyn ControlPlane,
    name: &DatabaseName,
    set: &MigrationSet,
    until: Option<usize>,
) -> Result<MigrationPlan> {
    let connection = plane.connection(name, None)?;
    let mut session = sql::open(&super::reach::reading(&connection)?)?;
    migrations::preview(session.as_mut(), set, until)
}

fn plan_one(ctx: &Context, name: &DatabaseName, set: &MigrationSet, until: Option<usize>) -> Result<()> {
    let plan = preview(ctx.control()?, name, set, until).map_err(|error| near_miss(ctx, name, error))?;
    let mut steps = Vec::new();
    for (at, table) in &plan.adopted {
        let title = set.migrations[*at].title();
        steps.push(format!("record {title} as applied, as the table {table} says"));
    }
    for at in &plan.pending {
        let migration = &set.migrations[*at];
        let count = migration.script()?.statements().len();
        steps.push(format!("apply {} ({})", migration.file(), counted(count, "statement")));
    }
    answers::plan(ctx, steps)
}

/// What would be done to one of many databases.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Planned {
    pending: Vec<String>,
    adopted: Vec<String>,
}

impl FleetItem for Planned {
    fn status(&self) -> &'static str {
        "planned"
    }

    fn sentence(&self) -> String {
        match self.pending.len() {
            0 => "would apply nothing".to_owned(),
            _ => format!("would apply {}", self.pending.join(", ")),
        }
    }
}

fn migrate_many(ctx: &Context, args: &Args, fleet: Fleet, set: &MigrationSet, until: Option<usize>) -> Result<()> {
    let version = |at: &usize| set.migrations[*at].version.clone();
    if args.dry.dry_run {
        return fleet::run(ctx, fleet, &args.options.without_state(), "", &|plane, name| {
            let plan = preview(plane, name, set, until)?;
            Ok(Planned {
                pending: plan.pending.iter().map(version).collect(),
                adopted: plan.adopted.iter().map(|(at, _)| version(at)).collect(),
            })
        });
    }
    fleet::run(ctx, fleet, &args.options, &work_id(set, until), &|plane, name| {
        let connection = plane.connection_to_write(name)?;
        let mut outcome = migrate(&connection, set, until)?;
        if !outcome.applied.is_empty() || !outcome.adopted.is_empty() {
            fleet::refresh_replicas(plane, &connection)?;
        }
        let failure = outcome.failure.take();
        let done = Migrated::new(set, outcome);
        match failure {
            None => Ok(done),
            Some(error) => Err(ItemFailure {
                error,
                done: Some(Box::new(done)),
            }),
        }
    })
}

/// A hash of what is to be applied.
fn work_id(set: &MigrationSet, until: Option<usize>) -> String {
    let last = until.map_or(set.migrations.len(), |until| until + 1);
    let wanted = set.migrations.iter().take(last);
    let lines: String = wanted
        .map(|migration| format!("{} {}\n", migration.version, migration.checksum))
        .collect();
    fleet::hash(&format!("migrate\n{lines}"))
}

//! `torso gc`: destroys databases that are past their end, and what killed runs left.

use super::DryRun;
use super::answers::{self, Problem, shortened};
use super::db::create::existing;
use super::preconditions;
use crate::context::Context;
use crate::control::names::DatabaseName;
use crate::control::types::{Database, DatabaseFilter};
use crate::error::{Code, Error, Result};
use crate::ui::{Cell, Layout, Table, View};
use jiff::Timestamp;
use serde::Serialize;

crate::commands::schemas::document!("gc" => Answer);

/// Destroy databases that have expired
///
/// Those are databases that were made with --expires-in, and those of torso run where torso was killed. On a terminal, torso asks;
/// elsewhere --yes is needed. Databases with delete protection are kept.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso gc --dry-run
  torso gc --yes")]
pub(crate) struct Args {
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    dry: DryRun,
}

/// What became of a database.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct ExpiredDatabase {
    name: DatabaseName,
    /// None of a run's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    expired_at: Option<Timestamp>,
    destroyed: bool,
    /// Why it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Answer(Vec<ExpiredDatabase>);

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let plane = ctx.control()?;
    let now = Timestamp::now();
    let mut expired = plane.list_databases(&DatabaseFilter::default())?;
    expired.retain(|database| database.is_expired(now));
    if args.dry.dry_run {
        return plan(ctx, &expired);
    }
    let destroyable: Vec<_> = expired.iter().filter(|database| !database.delete_protection).collect();
    if !destroyable.is_empty() {
        let names: Vec<_> = destroyable.iter().map(|database| &database.name).collect();
        let noun = match names.len() {
            1 => "expired database",
            _ => "expired databases",
        };
        let doing = format!("destroy {noun} {}", shortened(&names, "expired database"));
        ctx.confirm(args.yes, &doing, "gc")?;
    }
    let mut all: Vec<ExpiredDatabase> = Vec::new();
    let mut errors = Vec::new();
    for (name, error) in ctx.reap_runs()? {
        all.push(ExpiredDatabase {
            name,
            expired_at: None,
            destroyed: error.is_none(),
            error: error.as_ref().map(Into::into),
        });
        errors.extend(error.filter(is_failure));
    }
    let of_runs: Vec<DatabaseName> = all.iter().map(|one| one.name.clone()).collect();
    // Those of runs have an end on servers, too.
    expired.retain(|database| !of_runs.contains(&database.name));
    for database in expired {
        let done = match database.delete_protection {
            false => plane.delete_expired_database(&database.name),
            true => Err(Error::new(Code::DeleteProtected, "it is protected from deletion")),
        };
        // Given more time meanwhile, or destroyed by another command.
        if matches!(done, Ok(false)) {
            continue;
        }
        all.push(ExpiredDatabase {
            name: database.name,
            expired_at: database.expires_at,
            destroyed: done.is_ok(),
            error: done.as_ref().err().map(Into::into),
        });
        errors.extend(done.err().filter(is_failure));
    }
    let count = all.len();
    answers::show_destroyed(ctx, &Answer(all), errors, count, "expired database")
}

/// Whether a database is left that should not be: one that is protected is kept as its owner wants it.
fn is_failure(error: &Error) -> bool {
    error.code() != Code::DeleteProtected
}

fn plan(ctx: &Context, expired: &[Database]) -> Result<()> {
    let runs = ctx.left_runs()?;
    let of_ends = expired.iter().filter(|database| !runs.contains(&database.name));
    let mut steps = Vec::new();
    for name in &runs {
        if let Some(database) = existing(ctx, name)? {
            steps.push(step(&database, ", which a torso run left"));
        }
    }
    steps.extend(of_ends.map(|database| step(database, "")));
    answers::plan(ctx, steps)
}

/// What becomes of a database, with what is to be said of it behind its name.
fn step(database: &Database, note: &str) -> String {
    let name = &database.name;
    match preconditions::check_destroyable(database) {
        Ok(()) => format!("destroy database {name}{note}"),
        Err(_) => format!("keep database {name}{note}: it is protected from deletion"),
    }
}

impl View for Answer {
    fn layout(&self) -> Layout {
        let mut table = Table::new(["NAME", "EXPIRED", "RESULT"], "Nothing has expired.");
        for one in &self.0 {
            let result = match &one.error {
                Some(problem) => format!("kept: {}", problem.message),
                None => "destroyed".to_owned(),
            };
            table.row(vec![
                Cell::text(one.name.as_str()),
                Cell::maybe(one.expired_at, Cell::time),
                Cell::text(result),
            ]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        let destroyed = self.0.iter().filter(|one| one.destroyed);
        destroyed.map(|one| one.name.to_string()).collect()
    }
}

//! `torso db`: databases. A file per verb, or per family of verbs.

mod backup;
mod branch;
mod compact;
mod config;
mod copy;
pub(super) mod create;
pub(super) mod csv;
mod destroy;
mod diff;
mod endpoint;
mod env;
mod exec;
mod executed;
pub(super) mod expiry;
mod export;
mod fleet;
pub(super) mod git_branch;
mod import;
mod input;
mod inspect;
mod list;
mod migrate;
mod promote;
mod random_name;
mod reach;
mod rename;
mod replicas;
mod restore;
mod schema;
pub(super) mod seed;
pub(super) mod shell;
mod show;
pub(super) mod sniff;
mod tokens;
mod usage;
mod verify;

pub(super) use config::on_off;
pub(super) use promote::with_outage;
pub(super) use replicas::Wait;

use super::committed::Committed;
use super::location;
use crate::context::Context;
use crate::control::names::DatabaseName;
use crate::control::types::{Database, DatabaseFilter};
use crate::control::{ControlPlane, if_allowed};
use crate::error::{Code, Error, Result};
use clap::Subcommand;

/// Create, query, copy and replicate databases
#[derive(Subcommand)]
#[command(defer = true)]
pub(crate) enum Verb {
    Create(create::Args),
    #[command(visible_alias = "ls")]
    List(list::Args),
    Show(show::Args),
    Env(env::Args),
    Shell(shell::Args),
    Exec(exec::Args),
    Migrate(migrate::Args),
    #[command(visible_alias = "rm")]
    Destroy(destroy::Args),
    Rename(rename::Args),
    Branch(branch::Args),
    Copy(copy::Args),
    Diff(diff::Args),
    Schema(schema::Args),
    Import(import::Args),
    Export(export::Export),
    Dump(export::Dump),
    Backup(backup::Args),
    Backups(backup::Backups),
    Restore(restore::Args),
    Inspect(inspect::Args),
    #[command(subcommand)]
    Config(config::Verb),
    Replicate(replicas::Replicate),
    Replicas(replicas::Replicas),
    Sync(replicas::Sync),
    Promote(promote::Promote),
    Verify(verify::Args),
    Compact(compact::Args),
    Locations(location::List),
    #[command(subcommand)]
    Tokens(tokens::Verb),
    Usage(usage::Args),
}

impl Verb {
    /// Whether it is a shell on a file, which nothing precedes that takes long.
    pub(super) fn is_shell_on_a_file(&self) -> bool {
        matches!(self, Self::Shell(args) if args.names_a_file())
    }

    /// Whether it is a shell whose words name JSON. The shell reads those words itself; an error before it starts is JSON, too.
    pub(super) fn asks_for_json(&self) -> bool {
        matches!(self, Self::Shell(args) if args.asks_for_json())
    }
}

/// Runs a verb. The exit code is 0, or the script's own that a shell ran.
pub(super) fn run(ctx: &Context, verb: Verb) -> Result<u8> {
    let done = match verb {
        Verb::Create(args) => create::run(ctx, args),
        Verb::List(args) => list::run(ctx, &args),
        Verb::Show(args) => show::run(ctx, args),
        Verb::Env(args) => env::run(ctx, args),
        Verb::Shell(args) => return shell::run(ctx, &args),
        Verb::Exec(args) => exec::run(ctx, &args),
        Verb::Migrate(args) => migrate::run(ctx, &args),
        Verb::Destroy(args) => destroy::run(ctx, &args),
        Verb::Rename(args) => rename::run(ctx, &args),
        Verb::Branch(args) => branch::run(ctx, args),
        Verb::Copy(args) => copy::run(ctx, &args),
        Verb::Diff(args) => diff::run(ctx, &args),
        Verb::Schema(args) => schema::run(ctx, args),
        Verb::Replicate(args) => replicas::replicate(ctx, &args),
        Verb::Replicas(args) => replicas::replicas(ctx, args),
        Verb::Sync(args) => replicas::sync(ctx, args),
        Verb::Promote(args) => promote::promote(ctx, &args),
        Verb::Verify(args) => verify::run(ctx, args),
        Verb::Compact(args) => compact::run(ctx, args),
        Verb::Config(verb) => config::run(ctx, verb),
        Verb::Import(args) => import::run(ctx, args),
        Verb::Export(args) => export::export(ctx, args),
        Verb::Dump(args) => export::dump(ctx, args),
        Verb::Backup(args) => backup::run(ctx, args),
        Verb::Backups(args) => backup::list(ctx, &args),
        Verb::Restore(args) => restore::run(ctx, &args),
        Verb::Inspect(args) => inspect::run(ctx, args),
        Verb::Locations(args) => location::list(ctx, &args),
        Verb::Tokens(verb) => tokens::run(ctx, verb),
        Verb::Usage(args) => usage::run(ctx, args),
    };
    done.map(|()| 0)
}

/// The database of that name; where there is none, the error names the nearest one.
pub(super) fn find(ctx: &Context, name: &DatabaseName) -> Result<Database> {
    ctx.control()?
        .get_database(name)
        .map_err(|error| near_miss(ctx, name, error))
}

impl<T> Committed<'_, T> {
    /// Gives replicas what was written to the primary.
    #[must_use]
    fn refresh_replicas(self, ctx: &Context, name: &DatabaseName) -> Self {
        self.follow_up(&format!("while refreshing the replicas of database {name}"), |_| {
            refresh_if_replicated(ctx.control()?, name)
        })
    }
}

fn refresh_if_replicated(plane: &dyn ControlPlane, name: &DatabaseName) -> Result<()> {
    let is_replicated = if_allowed(plane.get_database(name))?.is_some_and(|found| found.locations.len() > 1);
    if is_replicated {
        // A server refreshes them by itself for whoever may not ask for it.
        if_allowed(plane.sync_database(name, None))?;
    }
    Ok(())
}

/// Adds "did you mean" to an error about a database that is not there.
fn near_miss(ctx: &Context, name: &DatabaseName, error: Error) -> Error {
    if error.code() != Code::DatabaseNotFound {
        return error;
    }
    let known = ctx
        .control()
        .and_then(|plane| plane.list_databases(&DatabaseFilter::default()))
        .unwrap_or_default();
    match nearest(name.as_str(), known.iter().map(|database| database.name.as_str())) {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None if error.hint_text().is_none() => error.hint("torso db list shows the databases"),
        None => error,
    }
}

/// The candidate that a slip of the hand could have meant.
fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const ALIKE: f64 = 0.8;
    candidates
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(score, _)| *score > ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

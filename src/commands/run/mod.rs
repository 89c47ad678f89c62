//! `torso run`: a command with a database of its own, which ends with the command, or with an existing one.
//!
//! The run's record (`crate::ephemeral`) is written before its database is created, so that the next torso command destroys the
//! database if this one is killed.

mod child;

use super::DryRun;
use super::answers;
use super::completers;
use super::db::create::{self, NewPlacement};
use super::db::expiry::end_after;
use super::db::seed::Source;
use super::time_limit;
use super::values::Span;
use super::variables::{self, Access, NamedVariables};
use crate::context::Context;
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::tokens::Expiration;
use crate::control::types::{ConfigurationPatch, Database, DatabaseExpiry};
use crate::control::{ControlPlane, DatabaseTokenOperations as _};
use crate::ephemeral::RunLease;
use crate::error::{Code, Error, Result};
use crate::temporary_files::remove_unfinished;
use crate::ui::report;
pub(super) use child::hint_at_timeout;
use child::{Outcome, Signals};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// How long the end of a run waits for a server that was silent until time was up.
const LAST_TRY: Duration = Duration::from_secs(1);

/// Run a command with a database of its own
///
/// The command finds the database by DATABASE_URL and TURSO_DATABASE_URL and, on a server, its token in DATABASE_TOKEN and
/// TURSO_AUTH_TOKEN. torso exits with the command's exit code, or 128 and the signal's number, and passes signals on. The database
/// is destroyed however the command ends; if torso itself is killed, the next torso command does it. Processes that the command
/// leaves running are ended.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso run -- npm test
  torso run --schema schema.sql --env-name APP_DB -- pytest
  torso run --db app -- npm run dev")]
pub(crate) struct Args {
    /// The command and its arguments, behind --
    #[arg(value_name = "COMMAND", last = true, required = true)]
    command: Vec<OsString>,
    /// Use this database, and keep it
    #[arg(long, value_name = "NAME", conflicts_with_all = ["ephemeral", "source", "NewPlacement", "replicas"], add = completers::databases())]
    db: Option<DatabaseName>,
    /// Use a new database, and destroy it afterwards (the default)
    #[arg(long, hide = true)]
    ephemeral: bool,
    #[command(flatten)]
    place: NewPlacement,
    /// Also make a replica there (repeatable)
    #[arg(long = "replica", id = "replicas", value_name = "CODE", value_delimiter = ',', add = completers::locations())]
    replicas: Vec<LocationCode>,
    /// Validity of the token for --db
    #[arg(long, value_name = "DURATION", requires = "db", default_value = "1d")]
    expires: Expiration,
    #[command(flatten)]
    variables: NamedVariables,
    #[command(flatten)]
    source: Source,
    /// Run this SQL script in it first
    #[arg(long, value_name = "PATH", group = "source", help_heading = "Content")]
    schema: Option<PathBuf>,
    #[command(flatten)]
    dry: DryRun,
}

/// Runs the command. The exit code is the command's own.
pub(super) fn run(ctx: &Context, mut args: Args) -> Result<u8> {
    if let Some(schema) = args.schema.take() {
        args.source = Source::of_script(schema);
    }
    let mut received = None;
    let done = if args.dry.dry_run {
        plan(ctx, &args)
    } else {
        let signals = Signals::catch(stuck(ctx))?;
        let done = match &args.db {
            Some(name) => with_existing(ctx, &args, name, &signals),
            None => with_ephemeral(ctx, &args, &signals),
        };
        received = signals.exit_code();
        done
    };
    match (done, received) {
        (Err(error), Some(code)) if error.code() == Code::Interrupted => Ok(code),
        (Ok(Outcome::Ended(code)), _) => Ok(code),
        (Ok(Outcome::NotStarted(error, code)), _) => {
            report::report(&ctx.ui, ctx.ui.format().is_json(), &error);
            Ok(code)
        }
        (Err(error), _) => Err(error),
    }
}

/// How torso ends that does not come to an end by itself after a signal, because it waits for a server or a file.
fn stuck(ctx: &Context) -> impl Fn(u8) + Send + 'static {
    let (ui, json) = (ctx.ui, ctx.ui.format().is_json());
    move |code| {
        let error = Error::new(Code::Interrupted, "interrupted before the database was ready")
            .hint("what was made is destroyed by the next torso command here; torso gc --dry-run shows it");
        report::report(&ui, json, &error);
        remove_unfinished();
        std::process::exit(code.into());
    }
}

/// Says what would be run, with which database.
fn plan(ctx: &Context, args: &Args) -> Result<Outcome> {
    let words: Vec<_> = args.command.iter().map(|word| word.to_string_lossy()).collect();
    let run = format!("run {}", words.join(" "));
    let steps = match &args.db {
        Some(name) => {
            let database = super::db::find(ctx, name)?;
            vec![format!("{run} with database {}", database.name)]
        }
        None => {
            let mut steps = create::plan_unnamed(ctx, &wanted(args), &args.source)?;
            steps.extend([run, "destroy the database".to_owned()]);
            steps
        }
    };
    if let Some(outcome) = child::check_startable(&args.command) {
        return Ok(outcome);
    }
    answers::plan(ctx, steps)?;
    Ok(Outcome::Ended(0))
}

/// What is wanted of a new database.
fn wanted(args: &Args) -> create::Wanted {
    let mut wanted = create::Wanted::at(args.place.clone());
    wanted.replicas.clone_from(&args.replicas);
    wanted
}

fn with_existing(ctx: &Context, args: &Args, name: &DatabaseName, signals: &Signals) -> Result<Outcome> {
    let database = super::db::find(ctx, name)?;
    if let Some(outcome) = child::check_startable(&args.command) {
        return Ok(outcome);
    }
    start(ctx, args, &database, None, signals)
}

fn with_ephemeral(ctx: &Context, args: &Args, signals: &Signals) -> Result<Outcome> {
    // A program that is not there needs no database, but what is wrong with that is said first.
    if let Some(outcome) = child::check_startable(&args.command) {
        create::plan_unnamed(ctx, &wanted(args), &args.source)?;
        return Ok(outcome);
    }
    let plane = ctx.control()?;
    let mut lease = RunLease::begin(&ctx.settings)?;
    let created = create_with_replicas(ctx, args, &mut lease);
    // Time is up, and the server was silent: it will hardly answer now.
    let limit = (created.is_err() && time_limit::is_up(ctx.time_limit)).then_some(LAST_TRY);
    let done = created.and_then(|database| start(ctx, args, &database, Some(lease.id()), signals));
    let name = lease.database().clone();
    let client = ctx.clearing_client(limit)?;
    let ended = match &client {
        Some(client) => lease.end(client),
        None => lease.end(plane),
    };
    if let Err(error) = ended {
        ctx.ui.warn(format!(
            "database {name} is not destroyed yet: {error}. The next torso command here does it, as does torso gc --yes."
        ));
    }
    done
}

fn create_with_replicas(ctx: &Context, args: &Args, lease: &mut RunLease) -> Result<Database> {
    let made = create::make(ctx, Some(lease.database().clone()), &wanted(args), &args.source)?
        .ok_or_else(|| Error::new(Code::Internal, "a database was only planned"))?;
    let database = made.database;
    lease.record_database(&database.id)?;
    let plane = ctx.control()?;
    if ctx.server_if_any()?.is_some() {
        set_end(plane, &database.name, args.expires)?;
    }
    for location in &args.replicas {
        plane.add_instance(&database.name, location)?;
    }
    Ok(database)
}

/// Gives a database on a server the end of its token: whoever runs `torso gc` there destroys it, if this machine is gone with its
/// record. Servers that keep no end have none.
fn set_end(plane: &dyn ControlPlane, name: &DatabaseName, expiration: Expiration) -> Result<()> {
    let Expiration::After(span) = expiration else {
        return Ok(());
    };
    let Some(end) = end_after(Span::For(span))? else {
        return Ok(());
    };
    let patch = ConfigurationPatch {
        expires_at: Some(DatabaseExpiry::At(end)),
        ..ConfigurationPatch::default()
    };
    match plane.update_configuration(name, &patch) {
        Err(error) if error.code() != Code::Unsupported => Err(error),
        _ => Ok(()),
    }
}

fn start(ctx: &Context, args: &Args, database: &Database, run: Option<&str>, signals: &Signals) -> Result<Outcome> {
    let access = Access::full(args.expires);
    let token = variables::mint(ctx, database, &access, "torso run")?;
    let jwt = token.as_ref().map(|token| &token.jwt);
    let variables = variables::with_token(database, &args.variables, jwt)?;
    let outcome = child::run(&args.command, &variables, run, signals);
    // That of a run's own database ends with it.
    if let Some(id) = token.and_then(|token| token.id).filter(|_| run.is_none()) {
        revoke(ctx, &database.name, &id)?;
    }
    outcome
}

/// Ends the token of a run. It has an end in any case.
fn revoke(ctx: &Context, name: &DatabaseName, id: &str) -> Result<()> {
    let Some(client) = ctx.clearing_client(None)? else {
        return Ok(());
    };
    match client.revoke_database_token(name, id) {
        // Destroyed or revoked by the command itself.
        Err(error) if matches!(error.code(), Code::TokenNotFound | Code::DatabaseNotFound) => {}
        Err(error) => ctx.ui.warn(format!(
            "the token of this run stays valid until its end: {error}. To revoke it: torso db tokens revoke {name} {id} --yes"
        )),
        Ok(_) => {}
    }
    Ok(())
}

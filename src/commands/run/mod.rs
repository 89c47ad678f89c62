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
use super::values::Span;
use super::variables::{self, Access, NamedVariables};
use crate::context::Context;
use crate::control::ControlPlane;
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::tokens::Expiration;
use crate::control::types::{ConfigurationPatch, Database, DatabaseExpiry};
use crate::ephemeral::RunLease;
use crate::error::{Code, Error, Result};
use crate::ui::report;
use child::{Outcome, Signals};
use std::ffi::OsString;
use std::path::PathBuf;

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
    if args.dry.dry_run {
        return plan(ctx, &args).map(|()| 0);
    }
    let signals = Signals::catch()?;
    let done = match &args.db {
        Some(name) => with_existing(ctx, &args, name, &signals),
        None => with_ephemeral(ctx, &args, &signals),
    };
    match (done, signals.exit_code()) {
        (Err(error), Some(code)) if error.code() == Code::Interrupted => Ok(code),
        (Ok(Outcome::Ended(code)), _) => Ok(code),
        (Ok(Outcome::NotStarted(error, code)), _) => {
            report::report(&ctx.ui, ctx.ui.format().is_json(), &error);
            Ok(code)
        }
        (Err(error), _) => Err(error),
    }
}

/// Says what would be run, with which database.
fn plan(ctx: &Context, args: &Args) -> Result<()> {
    let words: Vec<_> = args.command.iter().map(|word| word.to_string_lossy()).collect();
    let run = format!("run {}", words.join(" "));
    let steps = match &args.db {
        Some(name) => {
            let database = super::db::find(ctx, name)?;
            vec![format!("{run} with database {}", database.name)]
        }
        None => {
            ctx.control()?;
            vec!["create a database".to_owned(), run, "destroy the database".to_owned()]
        }
    };
    answers::plan(ctx, steps)
}

fn with_existing(ctx: &Context, args: &Args, name: &DatabaseName, signals: &Signals) -> Result<Outcome> {
    let database = super::db::find(ctx, name)?;
    start(ctx, args, &database, None, signals)
}

fn with_ephemeral(ctx: &Context, args: &Args, signals: &Signals) -> Result<Outcome> {
    let plane = ctx.control()?;
    let lease = RunLease::begin(&ctx.settings)?;
    let done = create_with_replicas(ctx, args, lease.database())
        .and_then(|database| start(ctx, args, &database, Some(lease.id()), signals));
    let name = lease.database().clone();
    if let Err(error) = lease.end(plane) {
        ctx.ui.warn(format!(
            "database {name} is not destroyed yet: {error}. The next torso command tries again."
        ));
    }
    done
}

fn create_with_replicas(ctx: &Context, args: &Args, name: &DatabaseName) -> Result<Database> {
    let wanted = create::Wanted::at(args.place.clone());
    let made = create::make(ctx, Some(name.clone()), &wanted, &args.source)?
        .ok_or_else(|| Error::new(Code::Internal, "a database was only planned"))?;
    let plane = ctx.control()?;
    if ctx.server_if_any()?.is_some() {
        set_end(plane, name, args.expires)?;
    }
    for location in &args.replicas {
        plane.add_instance(name, location)?;
    }
    Ok(made.database)
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
    let variables = variables::of_database(ctx, database, &args.variables, &access, "torso run")?;
    child::run(&args.command, &variables, run, signals)
}

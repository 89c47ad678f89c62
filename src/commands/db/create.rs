//! `torso db create`: a new database, empty or from a file, a dump, a CSV table or another database.

use crate::commands::answers::{self, Done};
use crate::commands::place::{self, Choice, Source};
use crate::commands::values::Size;
use crate::commands::{DryRun, complete};
use crate::context::Context;
use crate::control::names::{DatabaseName, GroupName, LocationCode};
use crate::control::types::{CreateDatabase, Database, Seed};
use crate::error::{Code, Error, Result};
use crate::settings::keys::Key;
use serde::Serialize;

/// Create a database
///
/// Without a name, two words are drawn. Without --location, the place is the project file's, else the settings', else the
/// one nearest to this machine's time zone, else `local`; the answer says which and why.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db create app
  torso db create app --location ams --if-not-exists
  torso db create flights --from-csv airports.csv
  pg_to_sqlite | torso db create copy --from-dump -")]
pub(crate) struct Args {
    /// Name of the database
    #[arg(value_name = "NAME")]
    name: Option<DatabaseName>,
    #[command(flatten)]
    place: Place,
    /// Start as a branch of another database
    #[arg(long, value_name = "NAME", group = "from", add = complete::databases())]
    from_db: Option<DatabaseName>,
    /// Largest size, such as 64mb; 0 is unlimited
    #[arg(long, value_name = "SIZE")]
    size_limit: Option<Size>,
    /// Succeed when the database is there already
    #[arg(long)]
    if_not_exists: bool,
    #[command(flatten)]
    dry: DryRun,
}

/// Where a new database goes.
#[derive(clap::Args)]
pub(crate) struct Place {
    /// Location of the primary
    #[arg(long, value_name = "CODE", add = complete::locations())]
    pub location: Option<LocationCode>,
    /// Group it belongs to; `default` is made on first use
    #[arg(long, short, value_name = "NAME", add = complete::groups())]
    pub group: Option<GroupName>,
}

/// The answer: the database, and how it came to be.
#[derive(Serialize)]
pub(crate) struct Created {
    #[serde(flatten)]
    database: Database,
    /// False when it was there already.
    created: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    location_source: Option<Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location_reason: Option<String>,
}

pub(super) fn run(ctx: &Context, args: Args) -> Result<()> {
    if let Some(database) = existing(ctx, args.name.as_ref(), args.if_not_exists)? {
        return ctx.ui.show(&there_already(database));
    }
    let request = prepare(ctx, args.name, &args.place, args.size_limit)?;
    if args.dry.dry_run {
        return answers::plan(ctx, steps(&request));
    }
    let seed = args.from_db.map(|name| Seed::Database { name });
    let created = finish(ctx, request, seed, args.if_not_exists)?;
    ctx.ui.show(&created)
}

/// The database of that name, where that is no error. Checked before a long import, not after it.
pub(super) fn existing(ctx: &Context, name: Option<&DatabaseName>, fine: bool) -> Result<Option<Database>> {
    let Some(name) = name else { return Ok(None) };
    match ctx.control()?.get_database(name) {
        Ok(database) if fine => Ok(Some(database)),
        Ok(_) => Err(
            Error::new(Code::DatabaseExists, format!("database {name} exists already"))
                .hint("choose another name, or add --if-not-exists"),
        ),
        Err(error) if error.code() == Code::DatabaseNotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What will be asked of the control plane, and who chose the place.
pub(crate) struct Request {
    pub create: CreateDatabase,
    pub choice: Choice,
}

pub(super) fn prepare(
    ctx: &Context,
    name: Option<DatabaseName>,
    place: &Place,
    size_limit: Option<Size>,
) -> Result<Request> {
    let group = match &place.group {
        Some(group) => Some(group.clone()),
        None => ctx
            .settings
            .get(Key::DefaultGroup)?
            .map(|(value, _)| value.parse())
            .transpose()?,
    };
    let choice = place::choose(ctx, place.location.as_ref(), group.as_ref())?;
    let name = match name {
        Some(name) => name,
        None => super::words::fresh(ctx)?,
    };
    Ok(Request {
        create: CreateDatabase {
            name,
            group,
            location: Some(choice.location.clone()),
            seed: None,
            size_limit: size_limit.map(|size| size.0.to_string()),
        },
        choice,
    })
}

pub(super) fn steps(request: &Request) -> Vec<String> {
    let create = &request.create;
    vec![format!(
        "create database {} at {} ({})",
        create.name, request.choice.location, request.choice.reason
    )]
}

/// Asks for the database. With `fine`, one that another process made in the meantime is the answer.
pub(super) fn finish(ctx: &Context, request: Request, seed: Option<Seed>, fine: bool) -> Result<Done<Created>> {
    let Request { mut create, choice } = request;
    create.seed = seed;
    let database = match ctx.control()?.create_database(&create) {
        Ok(database) => database,
        Err(error) if error.code() == Code::DatabaseExists && fine => {
            return Ok(there_already(ctx.control()?.get_database(&create.name)?));
        }
        Err(error) => return Err(error),
    };
    choice.tell(ctx);
    let sentence = format!(
        "Created database {} at {} in group {}.",
        database.name, database.primary, database.group
    );
    let name = database.name.clone();
    let created = Created {
        database,
        created: true,
        location_source: Some(choice.source),
        location_reason: Some(choice.reason),
    };
    Ok(Done::new(created, name, sentence))
}

pub(super) fn there_already(database: Database) -> Done<Created> {
    let sentence = format!("Database {} exists already at {}.", database.name, database.primary);
    let name = database.name.clone();
    let created = Created {
        database,
        created: false,
        location_source: None,
        location_reason: None,
    };
    Done::new(created, name, sentence)
}

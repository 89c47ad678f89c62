//! `torso db create`: a new database, empty or from a file, a dump, a CSV table or another database.

use super::Wait;
use super::csv::Imported;
use super::expiry::{self, Expiry};
use super::seed::{OpenedSource, Source};
use crate::commands::answers::{self, Done};
use crate::commands::values::Size;
use crate::commands::{DryRun, completers, default_location, preconditions};
use crate::context::Context;
use crate::control::if_allowed;
use crate::control::names::{DatabaseName, GroupName, LocationCode};
use crate::control::types::{CreateDatabase, Database};
use crate::error::{Code, Error, Result};
use crate::settings::keys::SettingKey;
use jiff::Timestamp;
use serde::Serialize;

crate::commands::schemas::document!("db create", "db branch" => Created);
crate::commands::schemas::document!("db create", "db branch" => Unseen);

/// Create a database: empty, from a file, or from another database
///
/// Without NAME, torso picks a random two-word name. Without --location, it takes the location of the source (--from-db), else
/// of --group, the project file or your settings. Otherwise it takes that of the default group on a server, and the one
/// nearest to the time zone here. torso help locations has the whole order; the output names the rule that applied. If an
/// import fails, no database is created.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db create app --location ams --if-not-exists
  sqlite3 old.db .dump | torso db create copy --from-dump -")]
pub(crate) struct Args {
    /// Name of the database; without it, two random words
    #[arg(value_name = "NAME")]
    name: Option<DatabaseName>,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    expiry: Expiry,
    /// Print variables to connect with, as db env does
    #[arg(long)]
    print_env: bool,
}

/// What is wanted of a new database beside its name and content.
#[derive(clap::Args, Default)]
pub(crate) struct Wanted {
    #[command(flatten)]
    pub place: NewPlacement,
    /// Largest size, such as 64mb; 0 is unlimited
    #[arg(long, value_name = "SIZE")]
    size_limit: Option<Size>,
    /// Succeed if the database exists already
    #[arg(long)]
    pub if_not_exists: bool,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    pub dry: DryRun,
    /// Where it is to be replicated to afterwards, which the caller does.
    #[arg(skip)]
    pub replicas: Vec<LocationCode>,
    /// Its end; set by the commands that have an option for that.
    #[arg(skip)]
    pub expires_at: Option<Timestamp>,
}

impl Wanted {
    /// One that may be there already.
    pub fn declared(place: NewPlacement, size_limit: Option<u64>, expires_at: Option<Timestamp>) -> Self {
        Self {
            place,
            size_limit: size_limit.map(Size),
            expires_at,
            if_not_exists: true,
            ..Self::default()
        }
    }

    /// A database at a place, with nothing else said of it.
    #[cfg(unix)]
    pub fn at(place: NewPlacement) -> Self {
        Self {
            place,
            ..Self::default()
        }
    }
}

/// Where a new database goes.
#[derive(clap::Args, Clone, Default)]
#[command(next_help_heading = "Options")]
pub(crate) struct NewPlacement {
    /// Location of the primary
    #[arg(long, value_name = "CODE", add = completers::locations())]
    pub location: Option<LocationCode>,
    /// Group of the database [default: default]
    #[arg(long, short, value_name = "NAME", add = completers::groups())]
    pub group: Option<GroupName>,
}

/// The answer: the database, and how it came to be.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    database: Database,
    /// False when it was there already.
    created: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    location_source: Option<default_location::Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location_reason: Option<String>,
    #[serde(flatten)]
    imported: Option<Imported>,
}

/// What became of a database that was wanted.
pub(in crate::commands) struct Made {
    pub database: Database,
    /// False when it was there already.
    pub created: bool,
    /// Why it is where it is; none when it was there already.
    pub choice: Option<default_location::Choice>,
    /// What became of a table.
    pub imported: Option<Imported>,
}

pub(super) fn run(ctx: &Context, mut args: Args) -> Result<()> {
    args.wanted.expires_at = args.expiry.end()?;
    if !args.print_env {
        return make_and_show(ctx, args.name, &args.wanted, &args.source);
    }
    let Some(made) = make(ctx, args.name, &args.wanted, &args.source)? else {
        return Ok(());
    };
    made.print_choice(ctx);
    ctx.ui.notice(made.sentence());
    super::env::print_default(ctx, &made.database)
}

/// Makes a database and answers with it.
pub(super) fn make_and_show(ctx: &Context, name: Option<DatabaseName>, wanted: &Wanted, source: &Source) -> Result<()> {
    let Some(made) = make(ctx, name, wanted, source)? else {
        return Ok(());
    };
    made.print_choice(ctx);
    let (name, sentence) = (made.database.name.clone(), made.sentence());
    let (location_source, location_reason) = made.choice.map(|choice| (choice.source, choice.reason)).unzip();
    let created = Created {
        database: made.database,
        created: made.created,
        location_source,
        location_reason,
        imported: made.imported,
    };
    ctx.ui.show(&Done::new(created, name, sentence))
}

/// How many rows were imported, in words.
pub(super) fn counted_rows(imported: &Imported) -> String {
    answers::counted(usize::try_from(imported.rows).unwrap_or(usize::MAX), "row")
}

impl Made {
    /// One that was there already.
    pub fn there_already(database: Database) -> Self {
        Self {
            database,
            created: false,
            choice: None,
            imported: None,
        }
    }

    /// Says who chose the place, unless the user did on this very line.
    pub fn print_choice(&self, ctx: &Context) {
        if let Some(choice) = &self.choice {
            choice.print(ctx);
        }
    }

    /// For people.
    pub fn sentence(&self) -> String {
        let Self { database, imported, .. } = self;
        if !self.created {
            return format!("Database {} exists already at {}.", database.name, database.primary);
        }
        let with = imported.as_ref().map_or(String::new(), |imported| {
            format!(", with {} in table {}", counted_rows(imported), imported.table)
        });
        format!(
            "Created database {} at {} in group {}{with}{}.",
            database.name,
            database.primary,
            database.group,
            expiry::sentence_part(database)
        )
    }
}

/// Makes a database, or finds it there already. None where the answer is given: of a dry run, and of a database that is there and
/// that the token in use may not see.
pub(in crate::commands) fn make(
    ctx: &Context,
    name: Option<DatabaseName>,
    wanted: &Wanted,
    source: &Source,
) -> Result<Option<Made>> {
    let plane = ctx.control()?;
    // Looked at before a long import, not only after it.
    if let Some(name) = &name
        && let Some(database) = existing(ctx, name)?
    {
        return if wanted.if_not_exists {
            Ok(Some(Made::there_already(database)))
        } else {
            Err(exists(name))
        };
    }
    let name = match name {
        Some(name) => name,
        None => super::random_name::fresh(ctx)?,
    };
    let Preparation { group, choice, opened } = prepare(ctx, Some(&name), wanted, source)?;
    if wanted.dry.dry_run {
        let steps = planned(&format!("database {name}"), wanted, source, choice.as_ref());
        return answers::plan(ctx, steps).map(|()| None);
    }
    let built = opened.build(ctx)?;
    let request = CreateDatabase {
        name,
        group,
        location: choice.as_ref().map(|choice| choice.location.clone()),
        seed: built.seed.clone(),
        size_limit: wanted.size_limit.map(|size| size.0.to_string()),
        expires_at: wanted.expires_at,
    };
    let mut progress = ctx.ui.progress("Uploading");
    let made = plane.create_database_telling(&request, &mut |done, all| {
        progress.at(done, all);
        crate::commands::interruption::check_interrupted()
    });
    drop(progress);
    let database = match made {
        Ok(database) => database,
        // Another process was faster.
        Err(error) if error.code() == Code::DatabaseExists && wanted.if_not_exists => {
            return match if_allowed(plane.get_database(&request.name))? {
                Some(database) => Ok(Some(Made::there_already(database))),
                None => show_unseen(ctx, request.name).map(|()| None),
            };
        }
        Err(error) => return Err(source.name_in(error)),
    };
    Ok(Some(Made {
        database,
        created: true,
        choice,
        imported: built.imported,
    }))
}

/// What a new database needs, which is there.
struct Preparation<'a> {
    group: Option<GroupName>,
    choice: Option<default_location::Choice>,
    opened: OpenedSource<'a>,
}

/// The steps of making a database that has no name yet. Fails where one of them could not be taken.
pub(in crate::commands) fn plan_unnamed(ctx: &Context, wanted: &Wanted, source: &Source) -> Result<Vec<String>> {
    let choice = prepare(ctx, None, wanted, source)?.choice;
    Ok(planned("a database", wanted, source, choice.as_ref()))
}

/// Checks what a new database needs.
fn prepare<'a>(
    ctx: &Context,
    name: Option<&DatabaseName>,
    wanted: &Wanted,
    source: &'a Source,
) -> Result<Preparation<'a>> {
    let original = source.original().map(|name| super::find(ctx, name)).transpose()?;
    let group = match (&wanted.place.group, &original) {
        (Some(group), _) => Some(group.clone()),
        (None, Some(original)) => Some(original.group.clone()),
        (None, None) => ctx
            .settings
            .get(SettingKey::DefaultGroup)?
            .map(|(value, _)| value.parse())
            .transpose()?,
    };
    let wish = default_location::Wish {
        location: wanted.place.location.as_ref(),
        branched_from: original.as_ref(),
        group: group.as_ref(),
        group_by_flag: wanted.place.group.is_some(),
    };
    if original.is_none() || wanted.place.group.is_some() {
        group
            .iter()
            .try_for_each(|group| preconditions::check_group(ctx, group))?;
    }
    // A token that may create databases need not see any group.
    let choice = if_allowed(default_location::choose(ctx, &wish))?;
    if let Some(choice) = choice.as_ref().filter(|choice| choice.is_of_user()) {
        preconditions::check_location(ctx, &choice.location)?;
    }
    for replica in &wanted.replicas {
        preconditions::check_new_replica(ctx, choice.as_ref().map(|choice| &choice.location), replica)?;
    }
    let opened = source.open()?;
    let size = match &original {
        // It has the log in it, which a copy has not: as an estimate, it is for a plan only.
        Some(original) => original.size_bytes.filter(|_| wanted.dry.dry_run),
        None => opened.size_of_database(),
    };
    if let (Some(name), Some(size), Some(limit)) = (name, size, wanted.size_limit) {
        preconditions::check_room(name, size, limit.0)?;
    }
    Ok(Preparation { group, choice, opened })
}

/// What would be done.
fn planned(noun: &str, wanted: &Wanted, source: &Source, choice: Option<&default_location::Choice>) -> Vec<String> {
    let first = match choice {
        Some(choice) => format!("create {noun} at {} ({})", choice.location, choice.reason),
        None => format!("create {noun} where the server chooses"),
    };
    let end = wanted.expires_at.map(|end| format!("have it expire at {end}"));
    let replicas = wanted.replicas.iter().map(|code| format!("replicate it to {code}"));
    std::iter::once(first)
        .chain(source.described())
        .chain(end)
        .chain(replicas)
        .collect()
}

/// The database of that name, if there is one that the token in use may see.
pub(in crate::commands) fn existing(ctx: &Context, name: &DatabaseName) -> Result<Option<Database>> {
    match ctx.control()?.get_database(name) {
        Err(error) if error.code() == Code::DatabaseNotFound => Ok(None),
        found => if_allowed(found),
    }
}

/// A database that is there, of which no more can be seen.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Unseen {
    #[serde(rename = "Name")]
    name: DatabaseName,
    created: bool,
}

fn show_unseen(ctx: &Context, name: DatabaseName) -> Result<()> {
    let sentence = format!("Database {name} exists already.");
    let unseen = Unseen {
        name: name.clone(),
        created: false,
    };
    ctx.ui.show(&Done::new(unseen, name, sentence))
}

fn exists(name: &DatabaseName) -> Error {
    Error::new(Code::DatabaseExists, format!("database {name} exists already"))
        .hint("choose another name, or add --if-not-exists")
}

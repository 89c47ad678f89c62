//! `torso db restore`: what a backup has, as a new database or in the place of a database's content.
//!
//! The backup is read whole, and every sum in it compared, before anything is asked of the control plane that changes something.

use super::create::{self, NewPlacement, Wanted, existing};
use super::seed::Source;
use super::{copy, reach};
use crate::backup::{BackupDestination, BackupId, Manifest, Repository};
use crate::commands::answers::{self, Done};
use crate::commands::backup_place::{self, KeyFile};
use crate::commands::committed::Committed;
use crate::commands::interruption::check_interrupted;
use crate::commands::preconditions::if_known;
use crate::commands::{DryRun, completers, preconditions};
use crate::context::Context;
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::types::{Database, Instance, InstanceState, Role, Seed};
use crate::control::{Staging, if_allowed};
use crate::error::{Code, Error, Result};
use crate::shell::interrupt;
use crate::sql::Target;
use crate::ui::text;
use jiff::Timestamp;
use serde::Serialize;
use std::path::PathBuf;

crate::commands::schemas::document!("db restore" => Restored);

/// Restore a backup
///
/// Without --as, the backup takes the place of the database's content; its id, URL, tokens, replicas and settings stay. If there
/// is no database of that name, torso creates it. If the primary is missing or damaged, what is left of it is set aside. Everything that was written after the backup is lost. torso checks every byte
/// of a backup before it changes anything.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db restore app --from 20261130-031500-4f3a9c1b --as app-yesterday
  torso db restore app --from 20261130-031500-4f3a9c1b --in backups --yes")]
pub(crate) struct Args {
    /// Name of the database
    #[arg(value_name = "NAME", add = completers::databases())]
    name: DatabaseName,
    /// Id of the backup; torso db backups shows them
    #[arg(long, value_name = "ID")]
    from: BackupId,
    /// Restore as a new database of this name
    #[arg(long = "as", value_name = "NEW")]
    new_name: Option<DatabaseName>,
    /// Directory, or s3://BUCKET/PREFIX [default: TORSO_BACKUP_TO]
    #[arg(long = "in", value_name = "DESTINATION")]
    within: Option<BackupDestination>,
    #[command(flatten)]
    key: KeyFile,
    #[command(flatten)]
    place: NewPlacement,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    dry: DryRun,
}

/// The answer: the database, and what it has now.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Restored {
    #[serde(flatten)]
    database: Database,
    /// False if the content of a database that was there was replaced.
    created: bool,
    backup: BackupId,
    /// The moment that it was put back to.
    #[cfg_attr(test, schemars(with = "String"))]
    backup_created_at: Timestamp,
}

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let repository = backup_place::open(args.within.as_ref(), &args.key)?;
    let manifest = repository.find(&args.from)?;
    let target = args.new_name.as_ref().unwrap_or(&args.name);
    let former = existing(ctx, target)?;
    check_subject(
        &manifest,
        &args.name,
        former.as_ref().filter(|_| args.new_name.is_none()),
    )?;
    let Some(former) = former else {
        return restore_as_new(ctx, args, &repository, &manifest, target);
    };
    if args.new_name.is_some() {
        return Err(
            Error::new(Code::DatabaseExists, format!("database {target} exists already"))
                .hint("choose another name; without --as, the content of a database is replaced"),
        );
    }
    restore_in_place(ctx, args, &repository, &manifest, former)
}

/// Refuses a backup of another database: a slip must not give one the content of another.
fn check_subject(manifest: &Manifest, name: &DatabaseName, former: Option<&Database>) -> Result<()> {
    let of = manifest.database();
    let is_former = former.is_some_and(|former| of.is_some_and(|of| former.id.as_str() == of.id));
    if is_former || manifest.is_of(name.as_str()) {
        return Ok(());
    }
    let other = of.map_or("another", |of| &of.name);
    Err(Error::new(
        Code::Conflict,
        format!("backup {} is of database {other}, not of {name}", manifest.id),
    )
    .hint(format!(
        "torso db restore {other} --from {} --as NEW makes a new database of it",
        manifest.id
    )))
}

/// What a backup has, in a file that goes with this value.
fn fetch(ctx: &Context, repository: &Repository, manifest: &Manifest) -> Result<Staging> {
    interrupt::install();
    let staging = ctx.control()?.staging()?;
    let mut progress = ctx.ui.progress(format!("Reading backup {}", manifest.id));
    repository.fetch(manifest, &staging.path, &mut |done, all| {
        progress.at(done, all);
        check_interrupted()
    })?;
    Ok(staging)
}

fn restore_as_new(
    ctx: &Context,
    args: &Args,
    repository: &Repository,
    manifest: &Manifest,
    target: &DatabaseName,
) -> Result<()> {
    let place = placement(ctx, args, manifest)?;
    if let Some(group) = args.place.group.as_ref() {
        preconditions::check_group(ctx, group)?;
    }
    if let Some(location) = &place.location {
        preconditions::check_location(ctx, location)?;
    }
    if args.dry.dry_run {
        let at = place
            .location
            .map_or_else(String::new, |location| format!(" at {location}"));
        let step = format!("create database {target}{at} from backup {}", manifest.id);
        return answers::plan(ctx, vec![step]);
    }
    let staging = fetch(ctx, repository, manifest)?;
    let source = Source::of_database(staging.path.clone());
    let Some(made) = create::make(ctx, Some(target.clone()), &Wanted::at(place), &source)? else {
        return Ok(());
    };
    made.print_choice(ctx);
    let sentence = format!(
        "Restored backup {} as new database {target}, as it was {}.",
        manifest.id,
        text::age(manifest.created_at, Timestamp::now())
    );
    show(ctx, made.database, true, manifest, sentence)
}

/// Where a new database goes: where it was, as far as there is such a group here, unless the options say otherwise.
fn placement(ctx: &Context, args: &Args, manifest: &Manifest) -> Result<NewPlacement> {
    let mut place = args.place.clone();
    if place.group.is_none() {
        let plane = ctx.control()?;
        let groups = if_allowed(plane.list_groups())?.unwrap_or_default();
        let former = groups.into_iter().find(|group| {
            manifest
                .database()
                .is_some_and(|database| database.group == group.name.as_str())
        });
        if let Some(group) = former {
            place.group = Some(group.name);
        }
    }
    Ok(place)
}

fn restore_in_place(
    ctx: &Context,
    args: &Args,
    repository: &Repository,
    manifest: &Manifest,
    former: Database,
) -> Result<()> {
    let name = former.name.clone();
    if args.place.location.is_some() || args.place.group.is_some() {
        return Err(Error::new(
            Code::Usage,
            format!("database {name} stays where it is when its content is replaced"),
        )
        .hint("leave out --location and --group, or add --as NEW"));
    }
    preconditions::check_replaceable(&former)?;
    preconditions::check_room_for_replacement(ctx, &name, manifest.size_bytes())?;
    let age = text::age(manifest.created_at, Timestamp::now());
    let lost = find_lost_primary(ctx, &name)?;
    let others = lost.as_ref().and_then(LostPrimary::describe_replicas);
    if args.dry.dry_run {
        let mut steps = Vec::new();
        if lost.is_some() {
            steps.push(format!(
                "set aside what is left of the primary of database {name}, which is lost"
            ));
        }
        steps.extend(others.map(|others| format!("destroy {others}")));
        let step = format!(
            "replace the content of database {name} by backup {} ({age}); its id, URL, tokens, replicas and settings stay",
            manifest.id
        );
        steps.push(step);
        return answers::plan(ctx, steps);
    }
    let mut doing = format!(
        "replace the content of database {name} by backup {} ({age})",
        manifest.id
    );
    if let Some(others) = &others {
        doing.push_str(&format!(", and destroy {others}"));
        ctx.ui.warn(format!(
            "the primary of {name} is lost, but not {others}. To keep those rows: torso db promote {name} --force"
        ));
    }
    ctx.confirm(args.yes, &doing, name.as_str())?;
    let fetched = fetch(ctx, repository, manifest)?;
    let mut staging = checked_copy(ctx, &fetched)?;
    let backup = manifest.id.to_string();
    if lost.is_some() {
        ctx.ui.notice(format!(
            "The primary of {name} is missing or damaged: what is left of its files is set aside."
        ));
        let path = staging.path.clone();
        let content = Seed::DatabaseUpload { path };
        ctx.control()?.restore_backup(&name, &backup, Some(&content))?;
        // The copy was given away. What was fetched has the same content.
        staging = fetched;
    } else {
        note_restore(ctx, &name, &backup)?;
        copy::replace_by_file(ctx, &former, &staging.path)?;
    }
    let restored = Committed::new(ctx, former)
        .refresh_replicas(ctx, &name)
        .follow_up("the database was not compared with the backup", |_| {
            compare(ctx, &name, &staging.path)
        })
        .follow_up("the answer shows the database as it was before", |database| {
            *database = ctx.control()?.get_database(&name)?;
            Ok(())
        })
        .into_result();
    let sentence = format!(
        "Restored database {name} to backup {}, as it was {age}; its id, URL, tokens, replicas and settings are as before.",
        manifest.id
    );
    show(ctx, restored, false, manifest, sentence)
}

/// A primary whose file is missing or damaged.
struct LostPrimary {
    /// Where there are replicas with files. They may have rows that a backup lacks.
    replicas: Vec<LocationCode>,
}

impl LostPrimary {
    /// The replicas, if there are any.
    fn describe_replicas(&self) -> Option<String> {
        let at = answers::listed(&self.replicas);
        match self.replicas.len() {
            0 => None,
            1 => Some(format!("the replica at {at}, which may have newer rows")),
            _ => Some(format!("the replicas at {at}, which may have newer rows")),
        }
    }
}

/// The primary of a database, if its file is missing or damaged.
fn find_lost_primary(ctx: &Context, name: &DatabaseName) -> Result<Option<LostPrimary>> {
    let instances = if_known(ctx.control()?.list_instances(name), Code::DatabaseNotFound)?.unwrap_or_default();
    let is_gone = |instance: &&Instance| matches!(instance.state, InstanceState::Missing | InstanceState::Damaged);
    let (primaries, replicas): (Vec<_>, Vec<_>) = instances.iter().partition(|instance| instance.role == Role::Primary);
    if !primaries.iter().any(is_gone) {
        return Ok(None);
    }
    let replicas = replicas.into_iter().filter(|replica| !is_gone(replica));
    Ok(Some(LostPrimary {
        replicas: replicas.map(|replica| replica.location.clone()).collect(),
    }))
}

/// Has a server write into its audit log what follows. One that cannot is not torso's own.
fn note_restore(ctx: &Context, name: &DatabaseName, backup: &str) -> Result<()> {
    match ctx.control()?.restore_backup(name, backup, None) {
        Err(error) if error.code() != Code::Unsupported => Err(error),
        _ => Ok(()),
    }
}

/// A file that SQLite has read to the end: sums only say that it is what was backed up.
fn checked_copy(ctx: &Context, fetched: &Staging) -> Result<Staging> {
    let staging = ctx.control()?.staging()?;
    crate::sql::copy::copy_file(&fetched.path, &staging.path, &mut |_, _| check_interrupted())?;
    Ok(staging)
}

/// Warns, as an error, where a database does not have the content of a file.
fn compare(ctx: &Context, name: &DatabaseName, file: &PathBuf) -> Result<()> {
    let expected = copy::read_content(ctx, &Target::file(file).restricted(true, false))?;
    let connection = ctx.control()?.connection(name, None)?;
    let found = copy::read_content(ctx, &reach::reading(&connection)?)?;
    if expected == found {
        return Ok(());
    }
    Err(Error::new(
        Code::Differs,
        format!(
            "it has {} rows in {} tables, and the backup has {} in {}; an application may have written meanwhile",
            found.rows, found.tables, expected.rows, expected.tables
        ),
    ))
}

fn show(ctx: &Context, database: Database, created: bool, manifest: &Manifest, sentence: String) -> Result<()> {
    let name = database.name.clone();
    let restored = Restored {
        database,
        created,
        backup: manifest.id.clone(),
        backup_created_at: manifest.created_at,
    };
    ctx.ui.show(&Done::new(restored, name, sentence))
}

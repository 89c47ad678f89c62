//! `torso db backup|backups`: copies of databases in a directory or in object storage, and what there is of them.

use super::{copy, find};
use crate::backup::{BackupDestination, BackupSubject, DatabaseSubject, ListedBackup, Manifest, Repository};
use crate::checksum::sha256;
use crate::commands::answers::{self, Done};
use crate::commands::backup_place::{self, KeyFile};
use crate::commands::committed::Committed;
use crate::commands::interruption::check_interrupted;
use crate::commands::{DryRun, completers, preconditions};
use crate::context::Context;
use crate::control::if_allowed;
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::types::{Database, InstanceState, LastBackup, Role};
use crate::error::{Code, Error, Result};
use crate::shell::interrupt;
use crate::ui::{Cell, Layout, Table, View, text};
use jiff::Timestamp;
use serde::Serialize;
use std::fs::File;
use std::path::Path;

crate::commands::schemas::document!("db backup" => BackedUp);
crate::commands::schemas::document!("db backups" => ListedRows);

/// Back up a database to a directory or to object storage
///
/// A backup is a consistent copy of one moment: compressed, encrypted if there is a key, and read back and compared after it is
/// written. If the database is as it was at its last backup there, none is made. Object storage takes its keys from the variables
/// and files of AWS.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db backup app --to /srv/backups
  torso db backup app --to s3://backups/torso --key-file backup.key")]
pub(crate) struct Args {
    /// Name of the database [default: the project's]
    #[arg(value_name = "NAME", add = completers::databases())]
    name: Option<DatabaseName>,
    /// Directory, or s3://BUCKET/PREFIX [default: TORSO_BACKUP_TO]
    #[arg(long, value_name = "DESTINATION")]
    to: Option<BackupDestination>,
    #[command(flatten)]
    key: KeyFile,
    /// Copy the instance at this location [default: a replica that has everything, else the primary]
    #[arg(long, value_name = "CODE", add = completers::locations())]
    location: Option<LocationCode>,
    /// Make a backup even if nothing has changed
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    dry: DryRun,
}

/// The answer: the backup that has the database's present content.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct BackedUp {
    database: DatabaseName,
    id: String,
    #[serde(flatten)]
    backup: BackupRow,
    to: BackupDestination,
    /// False if an earlier backup has the same content.
    created: bool,
}

/// A backup, as it is shown.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct BackupRow {
    #[cfg_attr(test, schemars(with = "String"))]
    created_at: Timestamp,
    location: Option<String>,
    size_bytes: u64,
    stored_bytes: u64,
    encrypted: bool,
}

impl BackupRow {
    fn of(manifest: &Manifest) -> Self {
        Self {
            created_at: manifest.created_at,
            location: manifest.database().and_then(|database| database.location.clone()),
            size_bytes: manifest.size_bytes(),
            stored_bytes: manifest.stored_bytes(),
            encrypted: manifest.encrypted,
        }
    }
}

pub(super) fn run(ctx: &Context, args: Args) -> Result<()> {
    let name = ctx.database(args.name)?;
    let database = find(ctx, &name)?;
    if let Some(location) = &args.location {
        preconditions::check_instance(ctx, &database, location)?;
    }
    if args.dry.dry_run {
        let to = backup_place::planned(args.to.as_ref(), &args.key)?;
        return answers::plan(ctx, vec![format!("back up database {name} to {to}")]);
    }
    let repository = backup_place::create(args.to.as_ref(), &args.key)?;
    interrupt::install();
    let chosen = match &args.location {
        Some(_) => None,
        None => current_replica(ctx, &database)?,
    };
    let location = args.location.as_ref().or(chosen.as_ref());
    let (manifest, created) = match back_up(ctx, &repository, &database, location, args.force) {
        // The replica was torso's choice, and cannot be copied after all.
        Err(error) if chosen.is_some() && is_of_the_replica(&error) => {
            back_up(ctx, &repository, &database, None, args.force)?
        }
        made => made?,
    };
    let backed_up = BackedUp {
        database: name.clone(),
        id: manifest.id.to_string(),
        backup: BackupRow::of(&manifest),
        to: repository.destination().clone(),
        created,
    };
    let note = LastBackup {
        id: manifest.id.to_string(),
        // What has not changed since is in it.
        at: Timestamp::now(),
        to: repository.destination().to_string(),
    };
    let backed_up = Committed::new(ctx, backed_up)
        .follow_up("what is left of backups that were cut short was not removed", |_| {
            repository.remove_unfinished(database.id.as_str())
        })
        .follow_up("torso db show does not know of this backup", |_| {
            ctx.control()?.note_backup(&name, &note)
        })
        .into_result();
    let (id, to) = (&backed_up.id, &backed_up.to);
    let sentence = if created {
        format!(
            "Backed up database {name} to {to}: backup {id}, {} of {}.",
            text::size(backed_up.backup.stored_bytes),
            text::size(backed_up.backup.size_bytes)
        )
    } else {
        format!("Database {name} is as it was at backup {id} in {to}; --force makes another one.")
    };
    let id = id.clone();
    ctx.ui.show(&Done::new(backed_up, id, sentence))
}

/// Whether an error may be one of the instance that was to be copied.
fn is_of_the_replica(error: &Error) -> bool {
    matches!(error.code(), Code::DatabaseDamaged | Code::Unavailable | Code::Timeout)
}

/// Makes a backup, unless the last one has the same content. Returns it, and whether it is new.
fn back_up(
    ctx: &Context,
    repository: &Repository,
    database: &Database,
    location: Option<&LocationCode>,
    force: bool,
) -> Result<(Manifest, bool)> {
    let plane = ctx.control()?;
    let last = if force {
        None
    } else {
        match repository.newest_retained(database.id.as_str())? {
            Some(last) if repository.has_contents(&last)? => Some(last),
            _ => None,
        }
    };
    // Before the copy: what is written meanwhile makes the backup look older, never newer than it is.
    let position = plane.content_position(&database.name)?;
    let created_at = Timestamp::now();
    let last = match last {
        Some(last) if position.is_some() && position_of(&last) == position.as_ref() => return Ok((last, false)),
        last => last,
    };
    let staging = plane.staging()?;
    copy::write_to_file(ctx, database, location, &staging.path)?;
    let last = match last {
        Some(last) if last.sha256() == Some(&*checksum_of(&staging.path)?) => return Ok((last, false)),
        last => last,
    };
    drop(last);
    let subject = BackupSubject::Database(DatabaseSubject {
        id: database.id.to_string(),
        name: database.name.to_string(),
        group: database.group.to_string(),
        location: Some(location.unwrap_or(&database.primary).to_string()),
        position,
        expires: false,
    });
    let mut progress = ctx.ui.progress(format!("Backing up {}", database.name));
    let manifest = repository.store(subject, created_at, &[&staging.path], &mut |done, all| {
        progress.at(done, all);
        check_interrupted()
    })?;
    Ok((manifest, true))
}

fn position_of(manifest: &Manifest) -> Option<&String> {
    manifest.database().and_then(|database| database.position.as_ref())
}

fn checksum_of(path: &Path) -> Result<String> {
    File::open(path)
        .and_then(|mut file| sha256(&mut file))
        .map_err(|error| Error::io(error, format!("cannot read {}", path.display())))
}

/// A replica on a server that has everything that the primary has: it is copied in the primary's place, which then has no work
/// with it. None on this machine, where a copy costs the primary's users nothing.
fn current_replica(ctx: &Context, database: &Database) -> Result<Option<LocationCode>> {
    if ctx.server_if_any()?.is_none() || database.locations.len() < 2 {
        return Ok(None);
    }
    let instances = if_allowed(ctx.control()?.list_instances(&database.name))?.unwrap_or_default();
    let current = instances.into_iter().find(|instance| {
        instance.role == Role::Replica && instance.state == InstanceState::Ready && instance.lag_frames == Some(0)
    });
    Ok(current.map(|instance| instance.location))
}

/// List backups
///
/// With NAME, those of that database; if it is gone, those of databases that were called so. STATE is ok if the manifest is whole and
/// the content is there in its size. With --check all of the content is read back and compared, and the exit code is 1 if a backup is
/// damaged.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db backups app --in /srv/backups
  torso db backups --in s3://backups/torso --check")]
pub(crate) struct Backups {
    /// Name of a database [default: all]
    #[arg(value_name = "NAME", add = completers::databases())]
    name: Option<DatabaseName>,
    /// Directory, or s3://BUCKET/PREFIX [default: TORSO_BACKUP_TO]
    #[arg(long = "in", value_name = "DESTINATION")]
    within: Option<BackupDestination>,
    #[command(flatten)]
    key: KeyFile,
    /// Read all of each backup, and compare it with what was stored
    #[arg(long)]
    check: bool,
}

pub(super) fn list(ctx: &Context, args: &Backups) -> Result<()> {
    let repository = backup_place::open(args.within.as_ref(), &args.key)?;
    let database = match &args.name {
        Some(name) => super::create::existing(ctx, name)?,
        None => None,
    };
    let mut all = repository.list(database.as_ref().map(|database| database.id.as_str()))?;
    if let (Some(name), None) = (&args.name, &database) {
        let is_called_so = |backup: &ListedBackup| {
            let manifest = backup.manifest.as_ref();
            manifest.is_ok_and(|manifest| manifest.is_of(name.as_str()))
        };
        all.retain(is_called_so);
    }
    let mut rows = Vec::new();
    for listed in &all {
        rows.push(checked_row(ctx, &repository, listed, args.check)?);
    }
    let damaged = rows.iter().filter(|row| row.state == DAMAGED).count();
    ctx.ui.show(&ListedRows(rows))?;
    if args.check {
        backup_place::check_damaged(damaged)?;
    }
    Ok(())
}

/// A backup in the list, with what is found out about its content.
fn checked_row(ctx: &Context, repository: &Repository, listed: &ListedBackup, reads_all: bool) -> Result<ListedRow> {
    let mut row = ListedRow::of(listed);
    let Ok(manifest) = &listed.manifest else {
        return Ok(row);
    };
    let found = if reads_all && listed.is_checked {
        backup_place::check(ctx, repository, manifest)
    } else {
        repository.check_sizes(manifest)
    };
    match found {
        Ok(()) => {}
        Err(error) if error.code() == Code::BackupDamaged => {
            row.state = DAMAGED;
            row.error = Some(error.full_message());
        }
        // Not encrypted, and there is a key.
        Err(error) if error.code() == Code::BackupKey => row.state = "not checked",
        Err(error) => return Err(error),
    }
    Ok(row)
}

const DAMAGED: &str = "damaged";

/// A backup in the list: what it is, or why that cannot be said.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct ListedRow {
    database: Option<String>,
    database_id: Option<String>,
    id: String,
    #[serde(flatten)]
    backup: Option<BackupRow>,
    /// `ok`, `damaged`, `other key`, or `not checked` where that needs a key.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl ListedRow {
    fn of(listed: &ListedBackup) -> Self {
        match &listed.manifest {
            Ok(manifest) => Self {
                database: manifest.database().map(|database| database.name.clone()),
                database_id: manifest.database().map(|database| database.id.clone()),
                id: listed.id.to_string(),
                backup: Some(BackupRow::of(manifest)),
                state: if listed.is_checked { "ok" } else { "not checked" },
                error: None,
            },
            Err(error) => Self {
                database: None,
                database_id: None,
                id: listed.id.to_string(),
                backup: None,
                state: if error.code() == Code::BackupKey {
                    "other key"
                } else {
                    DAMAGED
                },
                error: Some(error.full_message()),
            },
        }
    }
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct ListedRows(Vec<ListedRow>);

impl View for ListedRows {
    fn layout(&self) -> Layout {
        let titles = ["ID", "DATABASE", "AGE", "SIZE", "STORED", "ENCRYPTED", "STATE"];
        let mut table = Table::new(titles, "No backups. Make one: torso db backup NAME --to DESTINATION");
        for row in &self.0 {
            let backup = row.backup.as_ref();
            table.row(vec![
                Cell::text(row.id.as_str()),
                Cell::maybe(row.database.as_deref(), Cell::text),
                Cell::maybe(backup.map(|backup| backup.created_at), Cell::age),
                Cell::maybe(backup.map(|backup| backup.size_bytes), Cell::size),
                Cell::maybe(backup.map(|backup| backup.stored_bytes), Cell::size),
                Cell::maybe(backup.map(|backup| backup.encrypted), Cell::yes_no),
                Cell::text(row.state),
            ]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|row| row.id.clone()).collect()
    }
}

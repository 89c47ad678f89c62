//! `torso server backup|backups|restore`, and the options of `torso server` that schedule backups: of the accounts, keys and
//! catalogs of a server and of all its databases.

use crate::backup::{BackupDestination, BackupId, Manifest, Repository, Retention};
use crate::commands::DryRun;
use crate::commands::answers::{self, Done};
use crate::commands::backup_place::{self, KeyFile};
use crate::commands::interruption::{catch_interrupts, check_interrupted};
use crate::commands::server_values::backup_interval;
use crate::context::Context;
use crate::control::hosted::{
    BackupPlan, EngineSettings, Engines, FailedCopy, Hosted, RestoredServer, back_up_server, check_restore_target,
    restore_server,
};
use crate::error::{Code, Error, Result};
use crate::ui::{Cell, Layout, Table, View, text};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

crate::commands::schemas::document!("server backup" => BackedUp);
crate::commands::schemas::document!("server backups" => ListedRows);
crate::commands::schemas::document!("server restore" => Restored);

/// When and where the server backs itself up.
#[derive(clap::Args)]
#[command(next_help_heading = "Backups")]
pub(super) struct Scheduled {
    /// Back up to DIR or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DESTINATION")]
    backup_to: Option<BackupDestination>,
    /// How often, remembered [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = backup_interval, requires = "backup_to")]
    backup_every: Option<Duration>,
    /// Which to keep, remembered [default: 7d,4w,12m]
    ///
    /// The newest backup of each of the last so many hours (h), days (d), weeks (w), months (m) and years (y) is kept.
    #[arg(long, value_name = "COUNTS", requires = "backup_to")]
    backup_keep: Option<Retention>,
    /// File with their key
    #[arg(long, value_name = "PATH", requires = "backup_to")]
    backup_key_file: Option<PathBuf>,
}

impl Scheduled {
    /// The plan; none where no backups are scheduled.
    pub fn plan(&self) -> Result<Option<BackupPlan>> {
        let Some(destination) = &self.backup_to else {
            return Ok(None);
        };
        Ok(Some(BackupPlan {
            destination: backup_place::absolute(destination.clone())?,
            key: KeyFile::named(self.backup_key_file.clone()).read()?,
        }))
    }

    /// Has the server follow the plan.
    pub fn start(&self, hosted: &Hosted, plan: BackupPlan) -> Result<()> {
        hosted.start_backups(plan, self.backup_every, self.backup_keep)
    }
}

/// Back up a whole server
///
/// Accounts, keys, catalogs and all databases of the server in the data directory, whether it runs or not. Databases that have
/// not changed since the last backup of the server there are not copied again.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso server backup --to s3://backups/torso --key-file backup.key")]
pub(super) struct Backup {
    /// Directory, or s3://BUCKET/PREFIX [default: TORSO_BACKUP_TO]
    #[arg(long, value_name = "DESTINATION")]
    to: Option<BackupDestination>,
    #[command(flatten)]
    key: KeyFile,
    /// Path of the sqld program (overrides the search)
    #[arg(long, value_name = "PATH")]
    sqld: Option<PathBuf>,
    #[command(flatten)]
    dry: DryRun,
}

/// The answer to a backup.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct BackedUp {
    id: String,
    #[serde(flatten)]
    backup: ServerBackupRow,
    to: BackupDestination,
    /// Databases that were copied now; the others had not changed.
    copied: usize,
    /// Databases that could not be copied.
    failed: Vec<answers::Part>,
}

pub(super) fn back_up(ctx: &Context, args: &Backup) -> Result<()> {
    let dir = server_dir(ctx)?;
    if args.dry.dry_run {
        let to = backup_place::planned(args.to.as_ref(), &args.key)?;
        let step = format!("back up the server in {} to {to}", dir.display());
        return answers::plan(ctx, vec![step]);
    }
    let engine = super::open_engine(ctx, args.sqld.as_deref(), &EngineSettings::default())?;
    let repository = backup_place::create(args.to.as_ref(), &args.key)?;
    if !repository.is_encrypted() {
        ctx.ui
            .warn("this backup has the keys of the server's tokens, and is not encrypted: --key-file encrypts it");
    }
    catch_interrupts();
    let report = back_up_server(&dir, &Engines::Sqld(engine), &repository, &check_interrupted)?;
    let (id, row) = (report.manifest.id.to_string(), ServerBackupRow::of(&report.manifest));
    let sentence = format!(
        "Backed up the server to {}: backup {}, {}, {} of them copied now.",
        repository.destination(),
        id,
        answers::counted(row.databases, "database"),
        report.copied
    );
    let failed = report.failures.len();
    let backed_up = BackedUp {
        id: id.clone(),
        to: repository.destination().clone(),
        copied: report.copied,
        failed: failed_parts(&report.failures),
        backup: row,
    };
    for part in &backed_up.failed {
        if let Some(problem) = &part.error {
            ctx.ui
                .warn(format!("database {} was not copied: {}", part.name, problem.message));
        }
    }
    ctx.ui.show(&Done::new(backed_up, id, sentence))?;
    if failed > 0 {
        return Err(Error::new(
            Code::Partial,
            format!("{} could not be copied", answers::counted(failed, "database")),
        ));
    }
    Ok(())
}

/// List backups of servers
///
/// STATE is ok if the manifest is whole. With --check all of the content is read back and compared, that of each database too.
/// The exit code is 1 if a backup is damaged.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso server backups --in s3://backups/torso --check")]
pub(super) struct Backups {
    /// Directory, or s3://BUCKET/PREFIX [default: TORSO_BACKUP_TO]
    #[arg(long = "in", value_name = "DESTINATION")]
    within: Option<BackupDestination>,
    #[command(flatten)]
    key: KeyFile,
    /// Read all of each backup, and compare it with what was stored
    #[arg(long)]
    check: bool,
}

/// A backup of a server, as it is shown.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct ServerBackupRow {
    /// The same of all backups of one server.
    server: Option<String>,
    #[cfg_attr(test, schemars(with = "String"))]
    created_at: Timestamp,
    databases: usize,
    encrypted: bool,
}

impl ServerBackupRow {
    fn of(manifest: &Manifest) -> Self {
        Self {
            server: manifest.server().map(|server| server.server.clone()),
            created_at: manifest.created_at,
            databases: manifest.server().map_or(0, |server| server.databases.len()),
            encrypted: manifest.encrypted,
        }
    }
}

pub(super) fn list(ctx: &Context, args: &Backups) -> Result<()> {
    let repository = backup_place::open(args.within.as_ref(), &args.key)?;
    let (mut rows, mut checked, mut damaged) = (Vec::new(), BTreeMap::new(), 0);
    for listed in repository.list_servers()? {
        let found = match listed.manifest {
            Ok(manifest) if args.check => check_all(ctx, &repository, &manifest, &mut checked).map(|()| manifest),
            found => found,
        };
        let row = ListedRow {
            id: listed.id.to_string(),
            backup: found.as_ref().ok().map(ServerBackupRow::of),
            error: found.as_ref().err().map(Error::full_message),
        };
        // One of another key is not damaged.
        damaged += usize::from(found.as_ref().is_err_and(|error| error.code() != Code::BackupKey));
        match found {
            Err(error) if error.code() == Code::BackupStorage || error.code() == Code::Interrupted => {
                return Err(error);
            }
            _ => rows.push(row),
        }
    }
    ctx.ui.show(&ListedRows(rows))?;
    if args.check {
        backup_place::check_damaged(damaged)?;
    }
    Ok(())
}

/// Reads all of a server's backup: its own files, and those of its databases that were not read for another one.
fn check_all(
    ctx: &Context,
    repository: &Repository,
    manifest: &Manifest,
    checked: &mut BTreeMap<BackupId, Option<String>>,
) -> Result<()> {
    backup_place::check(ctx, repository, manifest)?;
    let Some(server) = manifest.server() else { return Ok(()) };
    for database in &server.databases {
        let why = match checked.get(&database.backup) {
            Some(known) => known.clone(),
            None => {
                let found = repository
                    .get(&database.id, &database.backup)
                    .and_then(|manifest| backup_place::check(ctx, repository, &manifest));
                match found {
                    Err(error) if matches!(error.code(), Code::Interrupted | Code::BackupStorage) => return Err(error),
                    found => found.err().map(|error| error.full_message()),
                }
            }
        };
        checked.insert(database.backup.clone(), why.clone());
        if let Some(why) = why {
            return Err(Error::new(
                Code::BackupDamaged,
                format!("database {} of {}: {why}", database.name, database.organization),
            ));
        }
    }
    Ok(())
}

/// A backup in the list, or why it cannot be read.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct ListedRow {
    id: String,
    #[serde(flatten)]
    backup: Option<ServerBackupRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct ListedRows(Vec<ListedRow>);

impl View for ListedRows {
    fn layout(&self) -> Layout {
        let titles = ["ID", "SERVER", "AGE", "DATABASES", "ENCRYPTED", "STATE"];
        let mut table = Table::new(
            titles,
            "No backups of a server. Make one: torso server backup --to DESTINATION",
        );
        for row in &self.0 {
            let backup = row.backup.as_ref();
            table.row(vec![
                Cell::text(row.id.as_str()),
                Cell::maybe(backup.and_then(|backup| backup.server.as_deref()), Cell::text),
                Cell::maybe(backup.map(|backup| backup.created_at), Cell::age),
                Cell::maybe(backup.map(|backup| backup.databases), Cell::number),
                Cell::maybe(backup.map(|backup| backup.encrypted), Cell::yes_no),
                Cell::text(row.error.as_deref().unwrap_or("ok")),
            ]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|row| row.id.clone()).collect()
    }
}

/// Restore a server into an empty data directory
///
/// Users, organizations, tokens and keys are those of the backup, and each database is as it was in it. torso checks every byte
/// of the backup before the directory gets its name. Then start the server as before.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso server restore --in s3://backups/torso --key-file backup.key
  torso server restore --from 20261130-031500-4f3a9c1b --in /srv/backups")]
pub(super) struct Restore {
    /// Id of the backup; torso server backups shows them [default: the newest]
    #[arg(long, value_name = "ID")]
    from: Option<BackupId>,
    /// Directory, or s3://BUCKET/PREFIX [default: TORSO_BACKUP_TO]
    #[arg(long = "in", value_name = "DESTINATION")]
    within: Option<BackupDestination>,
    #[command(flatten)]
    key: KeyFile,
    /// Restore the rest where a database's content is damaged
    #[arg(long)]
    skip_damaged: bool,
    #[command(flatten)]
    dry: DryRun,
}

/// The answer to a restore.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Restored {
    backup: BackupId,
    #[cfg_attr(test, schemars(with = "String"))]
    backup_created_at: Timestamp,
    data_dir: PathBuf,
    organizations: usize,
    databases: usize,
    missing: Vec<String>,
    /// Databases whose content in the backup is damaged, and why. They have no content now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lost: Vec<answers::Part>,
}

pub(super) fn restore(ctx: &Context, args: &Restore) -> Result<()> {
    let dir = server_dir(ctx)?;
    let repository = backup_place::open(args.within.as_ref(), &args.key)?;
    let manifest = find(&repository, args.from.as_ref())?;
    let all = manifest.server().map_or(0, |server| server.databases.len());
    if args.dry.dry_run {
        check_restore_target(&dir)?;
        let databases = answers::counted(all, "database");
        let step = format!(
            "restore a server with {databases} from backup {} into {}",
            manifest.id,
            dir.display()
        );
        return answers::plan(ctx, vec![step]);
    }
    let progress = std::cell::RefCell::new(ctx.ui.progress_of_rows("Restoring databases"));
    catch_interrupts();
    let restored = restore_server(&repository, &manifest, &dir, args.skip_damaged, &|done| {
        progress.borrow_mut().at(done as u64, all as u64);
        check_interrupted()
    })?;
    drop(progress);
    let RestoredServer {
        organizations,
        databases,
        missing,
        lost,
    } = restored;
    let lost = failed_parts(&lost);
    for name in &missing {
        ctx.ui.warn(format!(
            "database {name} is not in the backup: it could not be read when that was made"
        ));
    }
    for part in &lost {
        let cause = part.error.as_ref().map_or("", |problem| &problem.message);
        ctx.ui.warn(format!("database {} is lost: {cause}", part.name));
    }
    let count = lost.len();
    let sentence = format!(
        "Restored a server with {} of {} into {}, as it was {}. Start it: torso server",
        answers::counted(databases, "database"),
        answers::counted(organizations, "organization"),
        dir.display(),
        text::age(manifest.created_at, Timestamp::now())
    );
    let id = manifest.id.clone();
    let restored = Restored {
        backup: manifest.id,
        backup_created_at: manifest.created_at,
        data_dir: dir,
        organizations,
        databases,
        missing,
        lost,
    };
    ctx.ui.show(&Done::new(restored, id, sentence))?;
    if count > 0 {
        let databases = answers::counted(count, "database");
        return Err(Error::new(Code::Partial, format!("{databases} could not be restored"))
            .hint("restore each from another backup when the server runs: torso db restore NAME --from ID"));
    }
    Ok(())
}

/// Databases that could not be copied, as an answer has them.
fn failed_parts(failed: &[FailedCopy]) -> Vec<answers::Part> {
    let parts = failed.iter().map(|failed| answers::Part {
        name: failed.name.clone(),
        done: false,
        error: Some((&failed.error).into()),
    });
    parts.collect()
}

/// The backup with an id, else the newest. If that is damaged, an older one is only taken when it is named.
fn find(repository: &Repository, id: Option<&BackupId>) -> Result<Manifest> {
    if let Some(id) = id {
        return repository.find_server(id);
    }
    let all = repository.list_servers()?;
    let servers = all
        .iter()
        .filter_map(|listed| listed.manifest.as_ref().ok()?.server())
        .map(|server| server.server.as_str())
        .collect::<BTreeSet<&str>>()
        .len();
    if servers > 1 {
        return Err(Error::new(
            Code::Usage,
            format!("there are backups of {servers} servers in {}", repository.destination()),
        )
        .hint("torso server backups shows them; --from ID chooses one"));
    }
    let Some(newest) = all.into_iter().next() else {
        return Err(Error::new(
            Code::BackupNotFound,
            format!("there is no backup of a server in {}", repository.destination()),
        )
        .hint("torso server backup makes one"));
    };
    newest
        .manifest
        .and_then(|newest| repository.check_key(newest))
        .map_err(|error| {
            let hint = error.hint_text().map(str::to_owned);
            let named = Error::new(
                error.code(),
                format!("{} (backup {}, the newest)", error.full_message(), newest.id),
            );
            match hint {
                Some(hint) if error.code() == Code::BackupKey => named.hint(hint),
                _ => named.hint("torso server backups shows the others; --from ID chooses one"),
            }
        })
}

/// The data directory of the server on this machine.
fn server_dir(ctx: &Context) -> Result<PathBuf> {
    Ok(ctx.settings.data_dir()?.0.join("server"))
}

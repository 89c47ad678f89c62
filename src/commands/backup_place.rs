//! Where backups are, and the key that they are encrypted with: the options of all verbs about backups. A key comes from a file
//! or from the environment, never from the command line, which others on the machine can read.

use crate::backup::{BackupDestination, BackupKey, Manifest, Repository};
use crate::commands::answers::counted;
use crate::commands::interruption::check_interrupted;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use crate::settings::env;
use crate::shell::interrupt;
use std::path::PathBuf;

/// The key of encrypted backups.
#[derive(clap::Args)]
pub(super) struct KeyFile {
    /// File with the key of encrypted backups [default: TORSO_BACKUP_KEY, if it is set]
    #[arg(long, value_name = "PATH")]
    key_file: Option<PathBuf>,
}

impl KeyFile {
    /// The key in a file that another option names.
    #[cfg(feature = "server")]
    pub fn named(key_file: Option<PathBuf>) -> Self {
        Self { key_file }
    }

    /// The key, if one is given: by the option, else by a variable, else by the file that a variable names.
    pub fn read(&self) -> Result<Option<BackupKey>> {
        let text = match (
            &self.key_file,
            env::text(env::BACKUP_KEY),
            env::get(env::BACKUP_KEY_FILE),
        ) {
            (Some(path), ..) => read_file(path)?,
            (None, Some(key), _) => Secret::new(key),
            (None, None, Some(path)) => read_file(path.as_ref())?,
            (None, None, None) => return Ok(None),
        };
        BackupKey::parse(text.expose()).map(Some).map_err(|error| {
            let origin = match &self.key_file {
                Some(path) => path.display().to_string(),
                None => format!("{} or {}", env::BACKUP_KEY, env::BACKUP_KEY_FILE),
            };
            let named = Error::new(error.code(), format!("{} (from {origin})", error.message()));
            match error.hint_text() {
                Some(hint) => named.hint(hint),
                None => named,
            }
        })
    }
}

fn read_file(path: &std::path::Path) -> Result<Secret> {
    std::fs::read_to_string(path)
        .map(Secret::new)
        .map_err(|error| Error::io(error, format!("cannot read the key in {}", path.display())))
}

/// The place that an option names, else the one of the environment.
fn destination(named: Option<&BackupDestination>, option: &str) -> Result<BackupDestination> {
    let destination = match (named, env::text(env::BACKUP_TO)) {
        (Some(named), _) => named.clone(),
        (None, Some(text)) => text.parse()?,
        (None, None) => {
            return Err(
                Error::new(Code::Usage, "it is not said where backups are").hint(format!(
                    "add {option} DIR or {option} s3://BUCKET/PREFIX, or set TORSO_BACKUP_TO"
                )),
            );
        }
    };
    absolute(destination)
}

/// The same place, in whatever directory its name is read.
pub(super) fn absolute(destination: BackupDestination) -> Result<BackupDestination> {
    match destination {
        // What is noted of it is read in other directories, too.
        BackupDestination::Directory(path) => std::path::absolute(&path)
            .map(BackupDestination::Directory)
            .map_err(|error| Error::io(error, format!("cannot use {}", path.display()))),
        s3 @ BackupDestination::S3 { .. } => Ok(s3),
    }
}

/// Opens the place that backups are written to.
pub(super) fn create(to: Option<&BackupDestination>, key: &KeyFile) -> Result<Repository> {
    Repository::create(&destination(to, "--to")?, key.read()?)
}

/// The place that backups would be written to, with the key read: for a dry run, which makes nothing there.
pub(super) fn planned(to: Option<&BackupDestination>, key: &KeyFile) -> Result<BackupDestination> {
    key.read()?;
    let destination = destination(to, "--to")?;
    if let BackupDestination::Directory(path) = &destination
        && path.exists()
        && let Err(error) = std::fs::read_dir(path)
    {
        return Err(Error::io(error, format!("cannot use {} for backups", path.display())));
    }
    Ok(destination)
}

/// Opens the place that backups are read from.
pub(super) fn open(within: Option<&BackupDestination>, key: &KeyFile) -> Result<Repository> {
    Repository::open(&destination(within, "--in")?, key.read()?)
}

/// Reads all of a backup back, with progress, until Ctrl-C.
pub(super) fn check(ctx: &Context, repository: &Repository, manifest: &Manifest) -> Result<()> {
    interrupt::install();
    let mut progress = ctx.ui.progress(format!("Checking backup {}", manifest.id));
    repository.check(manifest, &mut |done, all| {
        progress.at(done, all);
        check_interrupted()
    })
}

/// Fails with `backup_damaged` if backups are.
pub(super) fn check_damaged(damaged: usize) -> Result<()> {
    let is_are = match damaged {
        0 => return Ok(()),
        1 => "is",
        _ => "are",
    };
    Err(Error::new(
        Code::BackupDamaged,
        format!("{} {is_are} damaged", counted(damaged, "backup")),
    )
    .hint("make a new one with torso db backup NAME, and check the disk or the object storage"))
}

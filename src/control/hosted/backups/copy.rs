//! Makes a backup of a server.

use super::databases::{DatabaseCopies, FailedCopy};
use crate::backup::{BackupSubject, Manifest, Repository, ServerSubject};
use crate::checksum::sha256_of;
use crate::control::embedded::Embedded;
use crate::control::embedded::lock::Lock;
use crate::control::hosted::Engines;
use crate::control::store;
use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Held while a backup of the data directory is made.
const LOCK: &str = "backup.lock";
/// How long a backup waits for another one, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);
/// What the names of directories begin with in which copies lie on their way.
const STAGING: &str = "backup-";
/// Directories of small files that are copied whole.
const KEYS: [&str; 2] = ["keys", "tls"];

/// What became of a backup.
#[derive(Debug)]
pub struct BackupReport {
    pub manifest: Manifest,
    /// When the databases were looked at: later than the manifest, if nothing had changed since that was written.
    pub checked_at: Timestamp,
    /// Databases that were copied now; the others were in an earlier backup as they are.
    pub copied: usize,
    /// Bytes that were stored now.
    pub stored_bytes: u64,
    pub failures: Vec<FailedCopy>,
}

/// Backs up the server with a data directory, whether it runs or not: nothing of it is changed, and no process is started.
/// `check` is called now and then, and may stop the work.
///
/// # Errors
///
/// `conflict` if another backup of it takes longer than a minute, `file_not_found` if there is no server, `backup_storage` if the
/// place cannot be written to.
pub fn back_up_server(
    dir: &Path,
    engines: &Engines,
    repository: &Repository,
    check: &dyn Fn() -> Result<()>,
) -> Result<BackupReport> {
    let accounts = dir.join("accounts.db");
    if !accounts.exists() {
        return Err(
            Error::new(Code::FileNotFound, format!("there is no server in {}", dir.display()))
                .hint("TORSO_DATA_DIR chooses another directory"),
        );
    }
    let work = BackupWork::begin(dir, check)?;
    let created_at = Timestamp::now();
    let server = server_id(dir)?;
    let mut backup = ServerCopy {
        staging: work.staging.path(),
        databases: DatabaseCopies::begin(engines, repository, &server, work.staging.path(), check)?,
        engines,
        files: Vec::new(),
        paths: Vec::new(),
    };
    backup.add_store(&accounts, "accounts.db")?;
    for folder in KEYS {
        for name in names(&dir.join(folder))? {
            backup.add_file(&dir.join(folder).join(&name), format!("{folder}/{name}"))?;
        }
    }
    for organization in names(&dir.join("organizations"))? {
        let home = dir.join("organizations").join(&organization);
        if home.join("catalog.db").exists() {
            backup.add_organization(&home, &organization)?;
        }
    }
    let ServerCopy {
        files,
        paths,
        mut databases,
        ..
    } = backup;
    let subject = BackupSubject::Server(ServerSubject {
        server,
        files: paths,
        databases: std::mem::take(&mut databases.included),
    });
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let manifest = repository.store(subject, created_at, &files, &mut |_, _| check())?;
    Ok(BackupReport {
        checked_at: created_at,
        stored_bytes: databases.stored_bytes + manifest.stored_bytes(),
        manifest,
        copied: databases.copied,
        failures: databases.failures,
    })
}

/// The right to make a backup of a data directory, and a directory in it for copies on their way, which goes with this value.
pub(super) struct BackupWork {
    pub staging: TempDir,
    _lock: Lock,
}

impl BackupWork {
    /// Waits while another one is made. Fails with `conflict` if that takes longer than a minute.
    pub fn begin(dir: &Path, check: &dyn Fn() -> Result<()>) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        let lock = loop {
            if let Some(lock) = Lock::try_acquire(&dir.join(LOCK))? {
                break lock;
            }
            check()?;
            if Instant::now() >= deadline {
                return Err(
                    Error::new(Code::Conflict, "another backup of this server is being made")
                        .hint("wait for it to end"),
                );
            }
            std::thread::sleep(PAUSE);
        };
        remove_leftovers(dir, STAGING)?;
        let staging = tempfile::Builder::new()
            .prefix(STAGING)
            .tempdir_in(dir)
            .map_err(|error| Error::io(error, format!("cannot write in {}", dir.display())))?;
        Ok(Self { staging, _lock: lock })
    }
}

/// Removes directories whose names begin with a prefix: what is left of work that was killed. The caller holds its lock.
pub(super) fn remove_leftovers(dir: &Path, prefix: &str) -> Result<()> {
    for name in names(dir)?.into_iter().filter(|name| name.starts_with(prefix)) {
        let path = dir.join(name);
        std::fs::remove_dir_all(&path)
            .map_err(|error| Error::io(error, format!("cannot remove {}", path.display())))?;
    }
    Ok(())
}

/// The names in a directory, in order; none if there is no directory.
fn names(dir: &Path) -> Result<Vec<String>> {
    let unreadable = |error| Error::io(error, format!("cannot list {}", dir.display()));
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(unreadable)?.file_name();
        names.extend(name.into_string().ok());
    }
    names.sort();
    Ok(names)
}

/// What tells a server from others, and stays when it is restored: it is made of the key of its tokens, which it does not tell.
pub(super) fn server_id(dir: &Path) -> Result<String> {
    let path = dir.join("keys").join("database-tokens.pem");
    let key = std::fs::read(&path).map_err(|error| Error::io(error, format!("cannot read {}", path.display())))?;
    Ok(sha256_of(&[b"torso server ", &key[..]].concat())[..16].to_owned())
}

/// A backup of a server under construction.
struct ServerCopy<'a> {
    engines: &'a Engines,
    staging: &'a Path,
    /// The copies of the server's own files, and their paths below its directory.
    files: Vec<PathBuf>,
    paths: Vec<String>,
    databases: DatabaseCopies<'a>,
}

impl ServerCopy<'_> {
    fn next_file(&self) -> PathBuf {
        self.staging.join(self.files.len().to_string())
    }

    fn add(&mut self, copy: PathBuf, path: impl Into<String>) {
        self.files.push(copy);
        self.paths.push(path.into());
    }

    /// Copies a database of torso's own, as it is at one moment.
    fn add_store(&mut self, from: &Path, path: impl Into<String>) -> Result<PathBuf> {
        let copy = self.next_file();
        store::copy_file(from, &copy)?;
        self.add(copy.clone(), path);
        Ok(copy)
    }

    fn add_file(&mut self, from: &Path, path: String) -> Result<()> {
        let copy = self.next_file();
        std::fs::copy(from, &copy).map_err(|error| Error::io(error, format!("cannot copy {}", from.display())))?;
        self.add(copy, path);
        Ok(())
    }

    /// Copies the catalog of an organization, and then the databases that are in the copy.
    fn add_organization(&mut self, home: &Path, organization: &str) -> Result<()> {
        let catalog = self.add_store(
            &home.join("catalog.db"),
            format!("organizations/{organization}/catalog.db"),
        )?;
        let plane = Embedded::over(home, self.engines.open_here())?;
        for placed in plane.placements_in(&catalog)? {
            self.databases.include(organization, &placed)?;
        }
        Ok(())
    }
}

//! Puts a backup of a server into a directory that has none. Everything is read and compared beside it; the directory gets its
//! name when it is complete. The databases are made of their files at the server's next start.

use super::copy::remove_leftovers;
use super::databases::FailedCopy;
use crate::backup::{Manifest, Repository};
use crate::control::embedded;
use crate::control::embedded::lock::Lock;
use crate::control::names::DatabaseId;
use crate::engine::disk;
use crate::error::{Code, Error, Result};
use std::collections::BTreeSet;
use std::path::Path;

/// Held beside the data directory while it is restored.
const LOCK: &str = "restore.lock";
/// What the name of a directory begins with that is not complete yet.
const STAGING: &str = ".restoring-";

/// What was restored.
#[derive(Debug)]
pub struct RestoredServer {
    pub organizations: usize,
    pub databases: usize,
    /// Databases that the server had and the backup does not: they could not be read when it was made.
    pub missing: Vec<String>,
    /// Databases whose content in the backup is damaged, which were left out.
    pub lost: Vec<FailedCopy>,
}

/// Restores a server into a directory. With `skip_damaged`, databases whose content is damaged are left out: they are in the catalog,
/// without content. `check` is called now and then with the number of databases that are done, and may stop
/// the work.
///
/// # Errors
///
/// `conflict` if there is anything in the directory or while another restore is under way, `backup_damaged` if any byte of the
/// backup is not as it was written; then nothing has been made.
pub fn restore_server(
    repository: &Repository,
    manifest: &Manifest,
    dir: &Path,
    skip_damaged: bool,
    check: &dyn Fn(usize) -> Result<()>,
) -> Result<RestoredServer> {
    let Some(server) = manifest.server() else {
        return Err(Error::new(
            Code::BackupNotFound,
            format!("backup {} is of a database, not of a server", manifest.id),
        )
        .hint("torso server backups shows the backups of servers"));
    };
    check_restore_target(dir)?;
    let parent = dir.parent().unwrap_or(Path::new("."));
    disk::private_dir(parent)?;
    let Some(_lock) = Lock::try_acquire(&parent.join(LOCK))? else {
        return Err(Error::new(
            Code::Conflict,
            format!("a server is being restored in {}", parent.display()),
        )
        .hint("wait for that to end"));
    };
    remove_leftovers(parent, STAGING)?;
    let made = tempfile::Builder::new()
        .prefix(STAGING)
        .tempdir_in(parent)
        .map_err(|error| Error::io(error, format!("cannot write in {}", parent.display())))?;
    let root = made.path();
    let mut organizations = BTreeSet::new();
    let mut lost = Vec::new();
    for (at, path) in server.files.iter().enumerate() {
        check(0)?;
        organizations.extend(check_path(path)?.map(str::to_owned));
        let to = root.join(path);
        to.parent().map_or(Ok(()), disk::private_dir)?;
        repository.fetch_content(manifest, at, &to, &mut |_, _| check(0))?;
        disk::set_mode(&to, disk::PRIVATE)?;
    }
    for (done, database) in server.databases.iter().enumerate() {
        let id: DatabaseId = database.id.parse().map_err(|_| damaged("a database has no valid id"))?;
        if !organizations.contains(&database.organization) {
            return Err(damaged("a database belongs to no organization"));
        }
        let home = root.join("organizations").join(&database.organization);
        let seed = embedded::seed_path(&home, &id);
        seed.parent().map_or(Ok(()), disk::private_dir)?;
        let fetched = repository
            .get(id.as_str(), &database.backup)
            .and_then(|backup| repository.fetch(&backup, &seed, &mut |_, _| check(done)))
            .map_err(|error| of_database(error, &database.name));
        match fetched {
            Ok(()) => disk::set_mode(&seed, disk::PRIVATE)?,
            Err(error) if skip_damaged && matches!(error.code(), Code::BackupDamaged | Code::BackupNotFound) => {
                lost.push(FailedCopy {
                    database_id: database.id.clone(),
                    name: database.name.clone(),
                    error,
                });
            }
            Err(error) => return Err(error),
        }
    }
    let mut missing = Vec::new();
    for organization in &organizations {
        let unmade = embedded::want_seeds(&root.join("organizations").join(organization))?;
        // Those that are lost have a reason of their own.
        let is_lost = |id: &DatabaseId| lost.iter().any(|lost: &FailedCopy| lost.database_id == id.as_str());
        let unmade = unmade.into_iter().filter(|(id, _)| !is_lost(id));
        missing.extend(unmade.map(|(_, name)| name.to_string()));
    }
    put_in_place(made, dir)?;
    Ok(RestoredServer {
        organizations: organizations.len(),
        databases: server.databases.len() - lost.len(),
        missing,
        lost,
    })
}

/// An error about the backup of one database of the server's.
fn of_database(error: Error, name: &str) -> Error {
    match error.code() {
        Code::BackupDamaged | Code::BackupNotFound => {
            Error::new(error.code(), format!("database {name}: {}", error.full_message()))
                .hint("choose another backup of the server (torso server backups), or restore the rest: --skip-damaged")
        }
        _ => error,
    }
}

/// Refuses a directory that has something in it.
pub fn check_restore_target(dir: &Path) -> Result<()> {
    match std::fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Ok(false) => Err(Error::new(Code::Conflict, format!("{} is not empty", dir.display()))
            .hint("restore into another data directory (TORSO_DATA_DIR), or move this one away first")),
        Err(error) => Err(Error::io(error, format!("cannot use {}", dir.display()))),
    }
}

/// Refuses a path that no backup of a server has. Returns the organization whose catalog it is, if it is one.
fn check_path(path: &str) -> Result<Option<&str>> {
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    };
    match path.split('/').collect::<Vec<_>>()[..] {
        ["accounts.db"] => Ok(None),
        ["keys" | "tls", name] if is_name(name) => Ok(None),
        ["organizations", organization, "catalog.db"] if is_name(organization) => Ok(Some(organization)),
        _ => Err(damaged("it has a file that no server has")),
    }
}

fn damaged(why: &str) -> Error {
    Error::new(Code::BackupDamaged, format!("the backup is damaged: {why}"))
        .hint("choose another backup: torso server backups")
}

/// Gives the complete directory its name.
fn put_in_place(made: tempfile::TempDir, dir: &Path) -> Result<()> {
    let failed = |error| Error::io(error, format!("cannot make {}", dir.display()));
    sync_all(made.path())?;
    match std::fs::remove_dir(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    std::fs::rename(made.path(), dir).map_err(failed)?;
    // What it names is not there any more.
    let _ = made.keep();
    dir.parent().map_or(Ok(()), disk::sync_dir)
}

/// Syncs a directory and everything below it to disk: what was fetched, and what was changed since.
fn sync_all(dir: &Path) -> Result<()> {
    let unreadable = |error| Error::io(error, format!("cannot list {}", dir.display()));
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            sync_all(&path)?;
        } else {
            disk::sync_file(&path)?;
        }
    }
    disk::sync_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restore_takes_no_path_that_a_server_does_not_have() {
        assert_eq!(check_path("accounts.db").unwrap(), None);
        assert_eq!(check_path("keys/database-tokens.pem").unwrap(), None);
        assert_eq!(check_path("organizations/a-1/catalog.db").unwrap(), Some("a-1"));
        for wrong in [
            "",
            "/etc/passwd",
            "../accounts.db",
            "keys/../accounts.db",
            "keys/",
            "keys/.hidden",
            "keys/a/b",
            "organizations/../catalog.db",
            "organizations/a/other.db",
            "server.lock",
        ] {
            assert_eq!(check_path(wrong).unwrap_err().code(), Code::BackupDamaged, "{wrong}");
        }
    }
}

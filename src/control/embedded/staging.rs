//! Files under construction: each is in the staging directory, with a lock that is held while its builder lives.

use super::Embedded;
use crate::control::Staging;
use crate::control::names::DatabaseId;
use crate::engine::disk::{self, with_suffix};
use crate::error::{Code, Error, Result};
use std::fs::File;
use std::path::{Path, PathBuf};

/// What SQLite may leave beside a builder's file.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

pub fn begin(plane: &Embedded) -> Result<Staging> {
    // The catalog's lock keeps others from taking the new file, which is not locked yet, for a dead builder's.
    let _change = plane.change()?;
    let dir = plane.staging_dir();
    disk::private_dir(&dir)?;
    for dead in leftovers(plane)? {
        remove(&dead)?;
    }
    let path = dir.join(format!("{}.db", uuid::Uuid::new_v4()));
    Staging::begin(path, |lock_path| {
        let lock = disk::private_file(lock_path)?;
        // At most a sweep holds it, for a moment.
        lock.lock()
            .map_err(|error| Error::io(error, format!("cannot lock {}", lock_path.display())))?;
        Ok(lock)
    })
}

/// Refuses a seed whose path is not from [`begin`], or that is not a complete database.
pub fn check(plane: &Embedded, path: &Path) -> Result<()> {
    if path.parent() != Some(plane.staging_dir().as_path()) || path.extension().is_none_or(|kind| kind != "db") {
        return Err(Error::new(
            Code::InvalidFile,
            format!("{} is not in the staging directory", path.display()),
        )
        .hint("torso db create --from-file takes a file from anywhere"));
    }
    plane.engine.check_seed(path)
}

/// Files of dead builders, and seeds of databases that do not exist.
pub fn leftovers(plane: &Embedded) -> Result<Vec<PathBuf>> {
    let dir = plane.staging_dir();
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(error, format!("cannot list {}", dir.display()))),
    };
    let mut dead = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if let Some(id) = name.strip_suffix(".seed") {
            let wanted = match (id.parse::<DatabaseId>(), plane.catalog.get()) {
                (Ok(id), Some(catalog)) => catalog.database_by_id(&id)?.is_some(),
                _ => false,
            };
            if !wanted {
                dead.push(path);
            }
        } else if let Some(built) = name.strip_suffix(".lock") {
            if is_dead(&path) {
                dead.push(dir.join(built));
            }
        } else if name.ends_with(".db") && !with_suffix(&path, ".lock").exists() {
            dead.push(path);
        }
    }
    dead.sort();
    Ok(dead)
}

fn is_dead(lock: &Path) -> bool {
    File::open(lock).is_ok_and(|file| file.try_lock().is_ok())
}

/// Removes a dead builder's file, and the lock last.
pub fn remove(path: &Path) -> Result<()> {
    disk::remove(path)?;
    BESIDE
        .iter()
        .chain(&[".lock"])
        .try_for_each(|suffix| disk::remove(&with_suffix(path, suffix)))
}

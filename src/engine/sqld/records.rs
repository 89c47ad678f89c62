//! The records of a process's directory: which namespaces were acknowledged, and what is enforced on them.
//!
//! ```text
//! <location>/<pool>/databases/<id>  a namespace that was acknowledged, and its limits
//! <location>/<pool>/anew/<id>       a replica's namespace that is to be copied anew at the next start
//! ```

use super::{files, role};
use crate::engine::{Limits, disk};
use crate::error::{Code, Error, Result};
use serde::Serialize;
use std::collections::HashSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The suffix of a file under construction.
const UNFINISHED: &str = ".tmp";

/// The directory of the records.
pub(super) fn records_dir(dir: &Path) -> PathBuf {
    dir.join("databases")
}

/// Writes a file atomically.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let unfinished = disk::with_suffix(path, UNFINISHED);
    let text = serde_json::to_vec(value)
        .map_err(|error| Error::new(Code::Internal, "cannot write a file of the engine").caused_by(error))?;
    let mut file = disk::private_file(&unfinished)?;
    file.set_len(0)
        .and_then(|()| file.write_all(&text))
        .and_then(|()| file.sync_all())
        .map_err(|error| Error::io(error, format!("cannot write {}", unfinished.display())))?;
    disk::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), disk::sync_dir)
}

/// The record of an acknowledged namespace; none if it was not acknowledged.
pub(super) fn record(dir: &Path, id: &str) -> Result<Option<Limits>> {
    let path = records_dir(dir).join(id);
    match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
            Error::new(Code::InvalidFile, format!("{} cannot be understood", path.display())).caused_by(error)
        }),
        Err(error) if role::is_absent(&error) => Ok(None),
        Err(error) => Err(Error::io(error, format!("cannot read {}", path.display()))),
    }
}

pub(super) fn acknowledge(dir: &Path, id: &str, limits: &Limits) -> Result<()> {
    disk::private_dir(&records_dir(dir))?;
    write_json(&records_dir(dir).join(id), limits)
}

pub(super) fn forget(dir: &Path, id: &str) -> Result<()> {
    disk::remove(&records_dir(dir).join(id))?;
    if records_dir(dir).is_dir() {
        disk::sync_dir(&records_dir(dir))
    } else {
        Ok(())
    }
}

/// The namespaces that were acknowledged.
pub(super) fn acknowledged(dir: &Path) -> Result<Vec<String>> {
    let mut ids = files::names(&records_dir(dir))?;
    ids.retain(|id| !id.ends_with(UNFINISHED));
    Ok(ids)
}

/// Unfinished records, left by killed processes.
pub(super) fn unfinished(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut names = files::names(&records_dir(dir))?;
    names.retain(|name| name.ends_with(UNFINISHED));
    Ok(names.iter().map(|name| records_dir(dir).join(name)).collect())
}

/// Marks a replica's namespace: before the next start of its process, the namespace's files are removed, so that it is
/// copied anew.
pub(super) fn copy_anew(dir: &Path, id: &str) -> Result<()> {
    disk::private_dir(&anew(dir))?;
    disk::private_file(&anew(dir).join(id)).map(drop)
}

fn anew(dir: &Path) -> PathBuf {
    dir.join("anew")
}

/// Removes the files of marked namespaces, but for those `kept`. The process must not be running.
pub(super) fn remove_marked(dir: &Path, kept: &HashSet<String>) -> Result<()> {
    for id in files::names(&anew(dir))? {
        if kept.contains(&id) {
            continue;
        }
        files::remove_tree(&files::namespace(&role::db_path(dir), &id))?;
        disk::remove(&anew(dir).join(id))?;
    }
    Ok(())
}

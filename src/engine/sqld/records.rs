//! The records of a process's directory: which namespaces were acknowledged, and what is enforced on them.
//!
//! ```text
//! <location>/<pool>/databases/<id>  a namespace that was acknowledged, and its limits
//! <location>/<pool>/anew/<id>       a replica's namespace that is to be copied again at the next start
//! ```

use super::{files, role};
use crate::engine::json_file::{UNFINISHED, write_json};
use crate::engine::{DatabaseLimits, disk};
use crate::error::{Code, Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The directory of the records.
pub(super) fn records_dir(dir: &Path) -> PathBuf {
    dir.join("databases")
}

/// What is recorded of a namespace.
#[derive(Default, Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    limits: DatabaseLimits,
    /// Bytes that it may have while its owner is over quota (see `quota_room`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size_over_quota: Option<u64>,
}

/// Returns the limits of an acknowledged namespace; none if it was not acknowledged.
pub(super) fn record(dir: &Path, id: &str) -> Result<Option<DatabaseLimits>> {
    read(dir, id).map(|record| record.map(|record| record.limits))
}

/// Returns how many bytes a namespace may have while its owner is over quota; none where it is not, or was not acknowledged.
pub(super) fn size_over_quota(dir: &Path, id: &str) -> Result<Option<u64>> {
    read(dir, id).map(|record| record.and_then(|record| record.size_over_quota))
}

fn read(dir: &Path, id: &str) -> Result<Option<Record>> {
    let path = records_dir(dir).join(id);
    match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
            Error::new(Code::InvalidFile, format!("{} cannot be parsed", path.display())).caused_by(error)
        }),
        Err(error) if disk::is_absent(&error) => Ok(None),
        Err(error) => Err(Error::io(error, format!("cannot read {}", path.display()))),
    }
}

pub(super) fn acknowledge(dir: &Path, id: &str, limits: &DatabaseLimits) -> Result<()> {
    acknowledge_with(dir, id, limits, None)
}

/// [`acknowledge`], with the bytes that the namespace may have while its owner is over quota.
pub(super) fn acknowledge_with(
    dir: &Path,
    id: &str,
    limits: &DatabaseLimits,
    size_over_quota: Option<u64>,
) -> Result<()> {
    disk::private_dir(&records_dir(dir))?;
    let record = Record {
        limits: limits.clone(),
        size_over_quota,
    };
    write_json(&records_dir(dir).join(id), &record)
}

pub(super) fn forget(dir: &Path, id: &str) -> Result<()> {
    disk::remove(&records_dir(dir).join(id))?;
    if records_dir(dir).is_dir() {
        disk::sync_dir(&records_dir(dir))
    } else {
        Ok(())
    }
}

/// Whether a namespace was acknowledged.
pub(super) fn is_acknowledged(dir: &Path, id: &str) -> bool {
    records_dir(dir).join(id).exists()
}

/// When what is recorded of a namespace was last written.
pub(super) fn recorded_at(dir: &Path, id: &str) -> Option<SystemTime> {
    std::fs::metadata(records_dir(dir).join(id)).ok()?.modified().ok()
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
/// copied again.
pub(super) fn mark_for_copying(dir: &Path, id: &str) -> Result<()> {
    disk::private_dir(&aside_path(dir))?;
    disk::private_file(&aside_path(dir).join(id)).map(drop)
}

fn aside_path(dir: &Path) -> PathBuf {
    dir.join("anew")
}

/// Removes the files of marked namespaces, but for those `keep`. The process must not be running.
pub(super) fn remove_marked(dir: &Path, keep: &HashSet<String>) -> Result<()> {
    for id in files::names(&aside_path(dir))? {
        if keep.contains(&id) {
            continue;
        }
        files::remove_tree(&files::namespace(&role::db_path(dir), &id))?;
        disk::remove(&aside_path(dir).join(id))?;
    }
    Ok(())
}

//! Whether the files of namespaces are those that their process left. A process takes a missing or empty file for a new
//! database, and its replicas then throw away what they have; so this is decided before a process is started, and looked
//! at again while it runs.
//!
//! When a process has ended, the sizes and times of its files are noted in `left.json`. Files that are found as they were
//! left need no look. What has changed since, or was left by a torso that was killed itself, is judged by its content: a
//! primary's is compared with its replication log, and a replica's is copied again.

use super::files;
use super::pages::{Agreement, Pages};
use super::records;
use super::role::{self, ProcessRole};
use crate::engine::json_file;
use crate::engine::{Damage, disk};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What the processes' files were like when they were left, by namespace.
pub(super) type Left = BTreeMap<String, Fingerprint>;

/// Size and times of each file of a namespace that holds content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fingerprint(Vec<Option<Stat>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stat {
    size: u64,
    /// Seconds and nanoseconds since 1970. The second pair changes with whatever is done to a file.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    pub fn take(db_path: &Path, id: &str) -> Self {
        let home = files::namespace(db_path, id);
        let stat = |name: &str| {
            let metadata = std::fs::symlink_metadata(home.join(name)).ok()?;
            Some(Stat {
                size: metadata.len(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            })
        };
        Self(["data", "data-wal", files::LOG, files::INDEX].map(stat).to_vec())
    }
}

fn left_path(dir: &Path) -> std::path::PathBuf {
    dir.join("left.json")
}

/// Notes the state of namespaces whose process has just ended.
pub(super) fn note_left(dir: &Path, db_path: &Path, ids: &[String]) -> Result<()> {
    let left: Left = ids
        .iter()
        .map(|id| (id.clone(), Fingerprint::take(db_path, id)))
        .collect();
    json_file::write_json(&left_path(dir), &left)
}

/// Returns that note and removes it: what a process does from now on is not in it.
pub(super) fn take_left(dir: &Path) -> Result<Left> {
    let path = left_path(dir);
    let left = match std::fs::read(&path) {
        // One that cannot be understood says nothing.
        Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Left::default()),
        Err(error) => return Err(Error::io(error, format!("cannot read {}", path.display()))),
    };
    disk::remove(&path)?;
    disk::sync_dir(dir)?;
    Ok(left)
}

/// Whether the machine has been up since the last start of a process over the directory. Only then is everything that a
/// killed process had written in its files: a replication log is not synced to disk. Notes the present start.
pub(super) fn is_same_boot(dir: &Path) -> Result<bool> {
    let path = dir.join("boot");
    let Ok(boot) = std::fs::read_to_string("/proc/sys/kernel/random/boot_id") else {
        return Ok(false);
    };
    if std::fs::read_to_string(&path).is_ok_and(|noted| noted == boot) {
        return Ok(true);
    }
    disk::private_file(&path)?;
    std::fs::write(&path, &boot).map_err(|error| Error::io(error, format!("cannot write {}", path.display())))?;
    Ok(false)
}

/// The replicas of a process, as they are found before it starts.
pub(super) struct Replicas {
    /// Changed since they were left, or visibly damaged: to be copied again.
    pub damaged: HashSet<String>,
    /// Left by a torso that was killed: to be read before they count as fresh.
    pub unverified: HashSet<String>,
}

pub(super) fn examine_replicas(dir: &Path) -> Result<Replicas> {
    let db_path = role::db_path(dir);
    let left = take_left(dir)?;
    let mut found = Replicas {
        damaged: HashSet::new(),
        unverified: HashSet::new(),
    };
    for id in records::acknowledged(dir)? {
        match left.get(&id) {
            Some(files) if *files == Fingerprint::take(&db_path, &id) => {}
            None if judge(ProcessRole::Replica, &db_path, &id, false) == IntegrityResult::Sound => {
                found.unverified.insert(id);
            }
            Some(_) | None => {
                found.damaged.insert(id);
            }
        }
    }
    Ok(found)
}

/// Whether a database can be served, as far as its files tell without SQLite.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum IntegrityResult {
    Sound,
    /// SQLite has to look at it; and what is to be said if that finds it damaged.
    Doubtful(Damage),
    Damaged(Damage),
}

/// Judges the files of a database that no process has open. With `exact`, a primary's must agree with its replication log.
pub(super) fn judge(place: ProcessRole, db_path: &Path, id: &str, exact: bool) -> IntegrityResult {
    let home = files::namespace(db_path, id);
    let pages = match Pages::open(&home) {
        Ok(pages) => pages,
        Err(damage) => return IntegrityResult::Damaged(damage),
    };
    if place == ProcessRole::Primary {
        match pages.compare_with_log(&home.join(files::LOG)) {
            Err(error) => return IntegrityResult::Damaged(Damage::damaged(format!("cannot be read: {error}"))),
            Ok(Agreement::Foreign) => return IntegrityResult::Damaged(Damage::damaged("is another database")),
            // A write-ahead log is made durable with its first transaction, so it cannot be lost with the power.
            Ok(Agreement::Differs) if exact || !pages.has_wal() => {
                return IntegrityResult::Damaged(Damage::damaged(
                    "does not have the last transactions of its replication log: it is an older state, or another database",
                ));
            }
            Ok(Agreement::Unknown | Agreement::Equal | Agreement::Differs) => {}
        }
    }
    // A process leaves its write-ahead log, and a replica says how far it is by that.
    let has_frames = || {
        files::position(place, db_path, id)
            .frame
            .is_some_and(|frame| frame.count > 0)
    };
    if place == ProcessRole::Replica && !pages.has_wal() && has_frames() {
        return IntegrityResult::Damaged(Damage::damaged("has lost its write-ahead log"));
    }
    if pages.is_cut_short() {
        return IntegrityResult::Doubtful(Damage::damaged("is cut short"));
    }
    IntegrityResult::Sound
}

//! Databases that are not served because their files are not what their process left (`integrity` judges that).
//!
//! ```text
//! <pool>/damaged/<id>.json   what was found; stays until the files have changed and are sound
//! <pool>/damaged/<id>/       the namespace's directory, while a process runs
//! <pool>/sqld/dbs/<id>       a plain file meanwhile
//! ```
//!
//! A process opens every namespace that it is asked for, also by its replicas, and makes one that is missing. A plain file
//! in the place of the directory makes it refuse that one: replicas keep what they have, and go on when it is back. When
//! the process has ended, everything is in its place again, so that a file can be put back where it was.

use super::files;
use super::integrity::{self, Fingerprint, IntegrityResult};
use super::records;
use super::role::{self, ProcessRole};
use crate::engine::confine::Sandbox;
use crate::engine::json_file;
use crate::engine::{Damage, child, disk};
use crate::error::{Code, Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// The damaged databases of a process, by id.
pub(super) type Damaged = BTreeMap<String, Damage>;

/// What is noted of a damaged database.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Mark {
    damage: Damage,
    /// The files when they were judged; none if a process was still running over them.
    files: Option<Fingerprint>,
}

fn home(dir: &Path) -> PathBuf {
    dir.join("damaged")
}

fn mark_path(dir: &Path, id: &str) -> PathBuf {
    home(dir).join(format!("{id}.json"))
}

fn read(dir: &Path, id: &str) -> Option<Mark> {
    let text = std::fs::read(mark_path(dir, id)).ok()?;
    // A mark that cannot be understood still is one.
    let unknown = || Mark {
        damage: Damage::damaged("was found damaged"),
        files: None,
    };
    Some(serde_json::from_slice(&text).unwrap_or_else(|_| unknown()))
}

/// Notes that a database is damaged, over which a process runs.
pub(super) fn note(dir: &Path, id: &str, damage: &Damage) -> Result<()> {
    write(dir, id, damage, None)
}

fn write(dir: &Path, id: &str, damage: &Damage, files: Option<Fingerprint>) -> Result<()> {
    disk::private_dir(&home(dir))?;
    let damage = damage.clone();
    json_file::write_json(&mark_path(dir, id), &Mark { damage, files })
}

/// Forgets what was noted, with the files that were held back: of a database that is removed.
pub(super) fn forget(dir: &Path, id: &str) -> Result<()> {
    remove_obstacle(dir, id)?;
    files::remove_tree(&home(dir).join(id))?;
    disk::remove(&mark_path(dir, id))
}

/// Puts every directory back in its place. The process must not be running.
pub(super) fn restore(dir: &Path) -> Result<()> {
    for name in files::names(&home(dir))? {
        let id = name.strip_suffix(".json").unwrap_or(&name);
        remove_obstacle(dir, id)?;
        let (held, place) = (home(dir).join(id), files::namespace(&role::db_path(dir), id));
        // What somebody else put there is judged in its stead; the other stays aside.
        if held.is_dir() && !place.exists() {
            disk::rename(&held, &place)?;
        }
    }
    Ok(())
}

fn remove_obstacle(dir: &Path, id: &str) -> Result<()> {
    let place = files::namespace(&role::db_path(dir), id);
    if std::fs::symlink_metadata(&place).is_ok_and(|metadata| metadata.is_file()) {
        disk::remove(&place)?;
    }
    Ok(())
}

/// How far files are trusted that are as their process left them.
pub(super) struct Trust {
    /// The process crashed: its files may be why, so all are looked at; and its replication log may end in the middle of a
    /// transaction.
    pub crashed: bool,
    /// Databases whose files may have lost something while it ran.
    pub doubted: HashSet<String>,
}

/// Judges the databases of a primary's process before it starts, and holds back those that are damaged. Returns these.
pub(super) fn examine(sandbox: &Sandbox, dir: &Path, trust: &Trust) -> Result<Damaged> {
    restore(dir)?;
    let db_path = role::db_path(dir);
    let left = integrity::take_left(dir)?;
    let same_boot = integrity::is_same_boot(dir)? && !trust.crashed;
    let mut damaged = Damaged::new();
    for id in records::acknowledged(dir)? {
        let mark = read(dir, &id);
        let files = Fingerprint::take(&db_path, &id);
        let as_left = left.get(&id) == Some(&files);
        if mark.is_none() && as_left && !trust.crashed && !trust.doubted.contains(&id) {
            continue;
        }
        let known = mark
            .as_ref()
            .filter(|mark| mark.files.as_ref().is_none_or(|of| *of == files));
        let found = match known {
            Some(mark) => Some(mark.damage.clone()),
            // A file that somebody has touched is read as a whole.
            None => inspect(
                sandbox,
                &db_path,
                &id,
                same_boot,
                mark.is_some() || (left.contains_key(&id) && !as_left),
            )?,
        };
        match found {
            Some(damage) => {
                write(dir, &id, &damage, Some(files))?;
                hold_back(dir, &id)?;
                damaged.insert(id, damage);
            }
            None if mark.is_some() => disk::remove(&mark_path(dir, &id))?,
            None => {}
        }
    }
    Ok(damaged)
}

/// What is wrong with a database's files, if anything.
fn inspect(sandbox: &Sandbox, db_path: &Path, id: &str, exact: bool, whole: bool) -> Result<Option<Damage>> {
    let result = match integrity::judge(ProcessRole::Primary, db_path, id, exact) {
        IntegrityResult::Damaged(damage) => return Ok(Some(damage)),
        IntegrityResult::Doubtful(damage) => damage,
        IntegrityResult::Sound if !whole => return Ok(None),
        IntegrityResult::Sound => Damage::damaged("is damaged"),
    };
    match child::check_content(sandbox, &files::database(db_path, id)) {
        Ok(()) => Ok(None),
        Err(error) if error.code() == Code::InvalidFile => {
            Ok(Some(Damage::damaged(format!("{}: {}", result.reason, error.message()))))
        }
        Err(error) => Err(error),
    }
}

fn hold_back(dir: &Path, id: &str) -> Result<()> {
    let place = files::namespace(&role::db_path(dir), id);
    if place.exists() {
        let held = home(dir).join(id);
        if held.exists() {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "{} and {} are copies of the same database",
                    held.display(),
                    place.display()
                ),
            )
            .hint("move one of them away"));
        }
        disk::rename(&place, &held)?;
    }
    Ok(())
}

/// Puts a plain file in the place of each damaged database. Called last before a process starts.
pub(super) fn obstruct(dir: &Path, damaged: &Damaged) -> Result<()> {
    let dbs = role::db_path(dir).join("dbs");
    if !damaged.is_empty() {
        disk::private_dir(&dbs)?;
    }
    for id in damaged.keys() {
        drop(disk::private_file(&dbs.join(id))?);
    }
    Ok(())
}

//! What is known of the files of a process's databases: which are damaged and not served, and which may be damaged and are
//! to be read. `quarantine` and `integrity` judge them before a start, `watch` and failing statements while it runs.

use super::common::Common;
use super::file_state::FileState;
use super::quarantine::{self, Damaged, Trust};
use super::records::{acknowledged, mark_for_copying, record, remove_marked};
use super::role::{ProcessRole, db_path};
use super::{files, integrity};
use crate::engine::process::{Process, ProgramEnd};
use crate::engine::{Damage, child};
use crate::error::{Code, Result};
use crate::sync::lock;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a database that was read and found sound is not read again, whatever its errors look like.
const VERIFIED: Duration = Duration::from_secs(60);

/// The state of one process's files.
#[derive(Default)]
pub(super) struct Health {
    /// A primary's databases that must not be served.
    damaged: Mutex<Damaged>,
    /// Databases that are to be read from end to end.
    unverified: Mutex<HashSet<String>>,
    /// When databases were last found sound.
    verified: Mutex<HashMap<String, Instant>>,
    /// When a replica's databases were last seen to have all that their primaries had.
    level: Mutex<HashMap<String, Instant>>,
    /// The files of a primary's databases before the process could touch them, or when it had just made them.
    first: Mutex<HashMap<String, FileState>>,
    /// Whether the files were judged since they were last noted as left.
    examined: AtomicBool,
    /// Whether the last process crashed over them.
    crashed: AtomicBool,
    /// Databases whose files are to be judged by their content at the next start, although they are as they were left.
    doubted: Mutex<HashSet<String>>,
}

impl Health {
    /// Why a database is not served, if its files are damaged.
    pub fn damage(&self, id: &str) -> Option<Damage> {
        lock(&self.damaged).get(id).cloned()
    }

    pub fn all_damaged(&self) -> Damaged {
        lock(&self.damaged).clone()
    }

    /// Whether a replica's content may be damaged: it was left by a torso that was killed, or a statement has failed on it,
    /// and it was not read since.
    pub fn is_unverified(&self, id: &str) -> bool {
        lock(&self.unverified).contains(id)
    }

    pub fn has_unverified(&self) -> bool {
        !lock(&self.unverified).is_empty()
    }

    /// A primary's file before the process could touch it. Whatever is found in its place later is compared with that: a process
    /// makes a missing one anew.
    pub fn first_file(&self, id: &str) -> Option<FileState> {
        lock(&self.first).get(id).copied()
    }

    /// Notes which file a database has that its process has made just now.
    pub fn note_file(&self, dir: &Path, id: &str) {
        if let Ok(state) = FileState::read(&files::database(&db_path(dir), id)) {
            lock(&self.first).insert(id.to_owned(), state);
        }
    }

    /// Notes that a replica has all of a database that its primary has.
    pub fn note_level(&self, id: &str) {
        lock(&self.level).insert(id.to_owned(), Instant::now());
    }

    /// When a replica was last seen to have all of a database.
    pub fn last_level(&self, id: &str) -> Option<Instant> {
        lock(&self.level).get(id).copied()
    }

    /// Has the content of a database read, because something says that it is damaged.
    pub fn suspect(&self, id: &str) {
        let last = lock(&self.verified).get(id).copied();
        if last.is_none_or(|last| last.elapsed() > VERIFIED) {
            self.read_again(id);
        }
    }

    /// Has the content of a database read in the next round.
    pub fn read_again(&self, id: &str) {
        lock(&self.unverified).insert(id.to_owned());
    }

    /// Forgets a database that is being removed.
    pub fn forget(&self, common: &Common, dir: &Path, id: &str) -> Result<()> {
        lock(&self.damaged).remove(id);
        lock(&self.unverified).remove(id);
        lock(&self.level).remove(id);
        lock(&self.first).remove(id);
        lock(&common.without_primary).remove(id);
        quarantine::forget(dir, id)
    }

    /// Decides, before the process can touch them, which databases it may serve.
    pub fn examine(&self, common: &Common, dir: &Path, place: ProcessRole) -> Result<()> {
        let db_path = db_path(dir);
        match place {
            ProcessRole::Primary => {
                let crashed = self.crashed.swap(false, Ordering::SeqCst);
                let doubted = std::mem::take(&mut *lock(&self.doubted));
                let trust = Trust { crashed, doubted };
                let damaged = quarantine::examine(&common.sandbox, dir, &trust)?;
                files::prepare(ProcessRole::Primary, &db_path)?;
                quarantine::obstruct(dir, &damaged)?;
                lock(&self.first).clear();
                let mut without_primary = lock(&common.without_primary);
                for id in acknowledged(dir)? {
                    without_primary.remove(&id);
                    self.note_file(dir, &id);
                }
                without_primary.extend(damaged.keys().cloned());
                *lock(&self.damaged) = damaged;
            }
            ProcessRole::Replica => {
                let protected = lock(&common.without_primary).clone();
                remove_marked(dir, &protected)?;
                files::prepare(ProcessRole::Replica, &db_path)?;
                let found = integrity::examine_replicas(dir)?;
                for id in found.damaged.difference(&protected) {
                    files::remove_tree(&files::namespace(&db_path, id))?;
                }
                lock(&self.unverified).extend(found.unverified);
            }
        }
        self.examined.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Notes how a process that has ended has left its files. Without a note, and after a crash, they are judged by their
    /// content at the next start.
    pub fn note_left(&self, dir: &Path, place: ProcessRole, end: &ProgramEnd) -> Result<()> {
        if !self.examined.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        self.crashed.fetch_or(end.crashed, Ordering::SeqCst);
        let mut ids = acknowledged(dir)?;
        if place == ProcessRole::Primary {
            quarantine::restore(dir)?;
            // What was lost while the process ran is not what it left, and one that was killed has not closed its files.
            ids.retain(|id| end.in_order && self.has_first_file(dir, id));
        }
        integrity::note_left(dir, &db_path(dir), &ids)
    }

    /// Whether a database has the file that its process had, with something in it.
    fn has_first_file(&self, dir: &Path, id: &str) -> bool {
        let is_first = |now: FileState| {
            self.first_file(id)
                .is_none_or(|first| first.identity() == now.identity())
        };
        FileState::read(&files::database(&db_path(dir), id)).is_ok_and(|now| !now.is_empty() && is_first(now))
    }

    /// Stops serving a database whose files were found damaged: the process is started again without it.
    pub fn withdraw(&self, common: &Common, process: &Process, dir: &Path, id: &str, damage: Damage) -> Result<()> {
        quarantine::note(dir, id, &damage)?;
        lock(&common.without_primary).insert(id.to_owned());
        lock(&self.damaged).insert(id.to_owned(), damage);
        process.end_and_restart("a database's file is damaged");
        Ok(())
    }

    /// Has the files of a database judged by their content, before a process that is started again for that.
    pub fn judge_again(&self, process: &Process, id: &str) {
        lock(&self.doubted).insert(id.to_owned());
        process.end_and_restart("the write-ahead log of a database was removed");
    }

    /// Reads the databases that may be damaged. A replica that is damaged is copied again, a primary is not served any more.
    pub fn verify_all(&self, common: &Common, process: &Process, dir: &Path, place: ProcessRole) -> Result<()> {
        let ids: Vec<String> = lock(&self.unverified).iter().cloned().collect();
        for id in ids {
            if !process.is_ready() {
                return Ok(());
            }
            if record(dir, &id)?.is_some() && self.damage(&id).is_none() {
                self.verify(common, process, dir, place, &id)?;
            } else {
                lock(&self.unverified).remove(&id);
            }
        }
        Ok(())
    }

    fn verify(&self, common: &Common, process: &Process, dir: &Path, place: ProcessRole, id: &str) -> Result<()> {
        let database = files::database(&db_path(dir), id);
        match child::check_content(&common.sandbox, &database) {
            Ok(()) => {}
            // One that is being copied has no file yet.
            Err(error) if error.code() == Code::Unavailable => return Ok(()),
            Err(error) if error.code() != Code::InvalidFile => return Err(error),
            Err(_) if place == ProcessRole::Primary => {
                self.withdraw(common, process, dir, id, Damage::damaged("is damaged inside"))?;
            }
            Err(_) if lock(&common.without_primary).contains(id) => return Ok(()),
            Err(_) => {
                mark_for_copying(dir, id)?;
                process.end_and_restart("a replica is damaged and is copied again");
                return Ok(());
            }
        }
        lock(&self.unverified).remove(id);
        lock(&self.verified).insert(id.to_owned(), Instant::now());
        Ok(())
    }
}

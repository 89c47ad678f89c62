//! What is known of a primary that is lost: whether it is, where its log ended, and what becomes of its files.
//!
//! ```text
//! <location>/<pool>/seen.json                 beside a replica: where its primary's logs ended when they were last seen
//! <location>/set-aside/<instance>-<ms>/       files of a former primary, which may have rows that its successor lacks
//! <location>/set-aside/<…>/diverged.json      how many rows these are of which tables, once it was compared (the rows: diverged.jsonl)
//! ```

use super::node::Node;
use super::role;
use super::{SqldEngine, files, quarantine, records, watch};
use crate::engine::file::child::Divergence;
use crate::engine::file::present;
use crate::engine::json_file::{write_json, write_json_lazily};
use crate::engine::{Frame, Orphan, SeenLog, Site, child, disk};
use crate::error::{Code, Result};
use crate::sync::lock;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The directory of files that were set aside, in that of a location.
const SET_ASIDE: &str = "set-aside";

/// What was seen of a log, as it is written down: JSON has no numbers of 128 bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SeenEntry {
    log: String,
    count: u64,
    at: Timestamp,
}

/// The logs of a pool's primary, by instance.
pub(super) type SeenLogs = BTreeMap<String, Frame>;

fn seen_path(dir: &Path) -> PathBuf {
    dir.join("seen.json")
}

/// Writes down where the logs of a replica's primary end now. Not synced: after a loss of power older entries are true as well, as
/// of their time.
pub(super) fn note_seen(dir: &Path, logs: &SeenLogs) -> Result<()> {
    let at = Timestamp::now();
    let entries: BTreeMap<&str, SeenEntry> = logs
        .iter()
        .map(|(instance, frame)| {
            let log = format!("{:032x}", frame.log);
            let count = frame.count;
            (instance.as_str(), SeenEntry { log, count, at })
        })
        .collect();
    write_json_lazily(&seen_path(dir), &entries)
}

fn read_seen(dir: &Path, instance: &str) -> Option<SeenLog> {
    let text = std::fs::read(seen_path(dir)).ok()?;
    let mut entries: BTreeMap<String, SeenEntry> = serde_json::from_slice(&text).ok()?;
    let SeenEntry { log, count, at } = entries.remove(instance)?;
    let log = u128::from_str_radix(&log, 16).ok()?;
    Some(SeenLog {
        frame: Frame { log, count },
        at,
    })
}

impl SqldEngine {
    /// Whether a primary's process runs, answers and serves it.
    pub(super) fn primary_answers(&self, at: &Site) -> bool {
        let Some(node) = at.pool.as_ref().and_then(|pool| self.node(&at.dir.join(pool))) else {
            return false;
        };
        let instance = at.instance();
        records::record(node.dir(), &instance).is_ok_and(|record| record.is_some())
            && node.health().damage(&instance).is_none()
            && node.process().is_ready()
            && watch::check_file(&node, &instance).is_ok()
            && node
                .admin()
                .is_ok_and(|admin| admin.healthy() && admin.usage(&instance).is_ok())
    }

    /// Where the log of an instance ends, by its files.
    pub(super) fn end_of_log(&self, at: &Site) -> Option<Frame> {
        let dir = at.dir.join(at.pool.as_ref()?);
        let role = role::role_of(&dir).ok()??;
        let frame = files::position(role.role, &role::db_path(&dir), &at.instance()).frame?;
        // Without any frame it has nothing of its primary.
        (frame.count > 0).then_some(frame)
    }

    /// Where the log of a replica's primary ended when it was last seen.
    pub(super) fn seen_primary(&self, replica: &Site) -> Option<SeenLog> {
        read_seen(&replica.dir.join(replica.pool.as_ref()?), &replica.instance())
    }

    /// Ends the process of a primary that does not answer, unless it answers for others.
    pub(super) fn fence_primary(&self, at: &Site) -> Result<()> {
        let Some(dir) = at.pool.as_ref().map(|pool| at.dir.join(pool)) else {
            return Ok(());
        };
        let serves_others = |node: &Node| {
            node.process().is_ready()
                && records::acknowledged(&dir).is_ok_and(|ids| ids.iter().any(|id| *id != at.instance()))
                && node.admin().is_ok_and(|admin| admin.healthy())
        };
        let Some(node) = self.node(&dir).filter(|node| !serves_others(node)) else {
            return Ok(());
        };
        lock(&self.shared.nodes).remove(&dir);
        node.process().stop_at_once();
        Ok(())
    }

    /// Moves the files of a former primary out of its process's directory; returns the database file, which is not there if
    /// nothing was.
    pub(super) fn set_primary_aside(&self, at: &Site) -> Result<PathBuf> {
        present(at)?;
        let (dir, instance) = (self.dir(at)?, at.instance());
        let name = format!("{instance}-{}", Timestamp::now().as_millisecond());
        let aside = at.dir.join(SET_ASIDE).join(name);
        self.without_process(&dir, at, || {
            // A damaged one is held back elsewhere while its process runs.
            quarantine::restore(&dir)?;
            disk::private_dir(&at.dir.join(SET_ASIDE))?;
            let home = files::namespace(&role::db_path(&dir), &instance);
            // Somebody may have removed all but the record.
            let moved = if home.exists() {
                disk::rename(&home, &aside)
            } else {
                Ok(())
            };
            moved.and_then(|()| {
                quarantine::forget(&dir, &instance)?;
                records::forget(&dir, &instance)
            })
        })?;
        disk::sync_dir(&at.dir.join(SET_ASIDE))?;
        Ok(aside.join("data"))
    }

    /// Compares a file that was set aside with the primary that took its place, and writes down what was found. One that cannot be
    /// read never can be, so that is what was found.
    pub(super) fn compare_aside(&self, aside: &Path, now: &Site) -> Result<()> {
        let sandbox = &self.shared.common.sandbox;
        self.serving(now)?;
        let copy = disk::with_suffix(aside, "-successor");
        let remove = || {
            ["", "-wal", "-shm", "-journal"]
                .iter()
                .try_for_each(|companion| disk::remove(&disk::with_suffix(&copy, companion)))
        };
        // Of a comparison that did not end.
        remove()?;
        child::export(sandbox, &self.instance_path(now), &copy)?;
        let compared = child::find_divergence(sandbox, aside, &copy);
        remove()?;
        match compared {
            Err(error) if error.code() == Code::InvalidFile => write_json(
                &divergence_path(aside),
                &Divergence {
                    tables: Vec::new(),
                    failure: Some(error.full_message()),
                },
            ),
            compared => compared,
        }
    }

    fn instance_path(&self, at: &Site) -> PathBuf {
        use crate::engine::LocalFiles as _;
        self.path(at)
    }
}

/// Where it is written down what a file that was set aside has that its successor lacks.
fn divergence_path(aside: &Path) -> PathBuf {
    aside.with_file_name("diverged.json")
}

/// The files that were set aside at a location and not compared yet, each with its database's id.
pub(super) fn uncompared_files(location: &Path) -> Result<Vec<(PathBuf, String)>> {
    let all = set_aside_files(location)?.into_iter();
    let uncompared = all.filter(|file| file.path.exists() && !divergence_path(&file.path).exists());
    Ok(uncompared.filter_map(|file| Some((file.path, file.id?))).collect())
}

/// The files that were set aside at a location.
pub(super) fn set_aside_files(location: &Path) -> Result<Vec<Orphan>> {
    let dir = location.join(SET_ASIDE);
    let mut found = Vec::new();
    for name in files::names(&dir)? {
        let home = dir.join(&name);
        let instance = name.rsplit_once('-').map_or(name.as_str(), |(instance, _)| instance);
        found.push(Orphan {
            divergence: Some(read_divergence(&home.join("data"))),
            path: home.join("data"),
            id: Some(crate::engine::database_of_instance(instance).0.to_owned()),
            kept_aside: true,
        });
    }
    Ok(found)
}

/// What a file that was set aside has that its successor lacks, as a sentence.
fn read_divergence(aside: &Path) -> String {
    let text = std::fs::read(divergence_path(aside)).unwrap_or_default();
    serde_json::from_slice::<Divergence>(&text).map_or_else(
        |_| "it was not compared with its successor".to_owned(),
        |report| report.to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seen_log_is_read_as_it_was_noted_and_another_instance_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let frame = Frame {
            log: u128::MAX - 7,
            count: 9,
        };
        assert_eq!(read_seen(dir.path(), "a"), None);
        note_seen(dir.path(), &SeenLogs::from([("a".to_owned(), frame)])).unwrap();
        let seen = read_seen(dir.path(), "a").unwrap();
        assert_eq!((seen.frame.log, seen.frame.count), (frame.log, 9));
        assert_eq!(read_seen(dir.path(), "a-epoch2"), None);
    }
}

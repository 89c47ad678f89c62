//! Promotion: the files of a replica become those of a primary at the same location. The primary is another instance, of a
//! newer epoch and in another pool, so no process that had the old one serves it.
//!
//! ```text
//! <location>/<pool>/sqld/dbs/<instance>         a replica's files, of its process
//! <location>/<new pool>/promoted/<instance>     on their way: no process sees them
//! <location>/<new pool>/sqld/dbs/<instance>     the primary's
//! ```
//!
//! Each of these is reached by one rename, so what was interrupted is gone on with. The files that say which role they were
//! used in are removed on the way: a process over files of both roles would give wrong answers.

use super::role::{self, ProcessRole};
use super::{Shared, SqldEngine, files, records};
use crate::engine::{DatabaseLimits, Site, confine, disk};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A replica, and the primary that it becomes.
type Move = (Site, Site);

impl SqldEngine {
    /// Makes primaries of replicas: each process of theirs is stopped once, and what is left for it is served again.
    pub(super) fn take_over_all(&self, moves: &[Move]) -> Result<()> {
        let mut by_process: BTreeMap<PathBuf, Vec<&Move>> = BTreeMap::new();
        for one in moves {
            let (replica, primary) = one;
            if records::record(&self.dir(primary)?, &primary.instance())?.is_none() {
                by_process.entry(self.dir(replica)?).or_default().push(one);
            }
        }
        for (dir, moves) in by_process {
            self.take_files(&dir, &moves)?;
            for (_, primary) in moves {
                self.begin_primary(primary)?;
            }
        }
        Ok(())
    }

    /// Takes the files of replicas away from their process, which is started again without them.
    fn take_files(&self, dir: &Path, moves: &[&Move]) -> Result<()> {
        let Some((replica, _)) = moves.first() else {
            return Ok(());
        };
        self.without_process(dir, replica, || {
            moves.iter().try_for_each(|(replica, primary)| {
                move_files(dir, &replica.instance(), &self.dir(primary)?, &primary.instance())?;
                records::forget(dir, &replica.instance())
            })
        })
    }

    /// Does something with the files of a directory while no process runs over it, nor is started; then what is left is served
    /// again. `at` is an instance of that process, or was one.
    pub(super) fn without_process<T>(&self, dir: &Path, at: &Site, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let _retired = self.shared.retire(dir);
        let serving = lock(&self.shared.nodes).remove(dir);
        if let Some(node) = serving {
            // It keeps its write-ahead log, so nothing is lost; a polite end could wait for its clients for seconds.
            node.process().stop_at_once();
        }
        let done = confine::end_orphan(&dir.join("lock")).and_then(|()| work());
        let served = self.serve_the_rest(dir, at);
        let done = done?;
        served.map(|()| done)
    }

    /// Starts the process over a directory again, without waiting for it, or removes a directory that has nothing any more.
    fn serve_the_rest(&self, dir: &Path, at: &Site) -> Result<()> {
        if records::acknowledged(dir)?.is_empty() && files::namespaces(&role::db_path(dir))?.is_empty() {
            return files::remove_tree(dir);
        }
        let Some(role) = role::role_of(dir)? else { return Ok(()) };
        let mut nodes = lock(&self.shared.nodes);
        if !self.shared.is_closed() && !nodes.contains_key(dir) {
            let node = super::Node::start(&self.shared.common, dir, role::label(at, role.role), role)?;
            nodes.insert(dir.to_owned(), Arc::new(node));
        }
        Ok(())
    }

    /// Has the process of the new primary's pool make a namespace of the files in its place.
    fn begin_primary(&self, at: &Site) -> Result<()> {
        let node = self.run_primary(at)?;
        let instance = at.instance();
        if records::record(node.dir(), &instance)?.is_none() {
            node.make(&instance)?;
            records::acknowledge(node.dir(), &instance, &DatabaseLimits::default())?;
        }
        self.expect(&node, ProcessRole::Primary)
    }
}

impl Shared {
    /// Has no process be started over a directory until the result is dropped.
    fn retire(&self, dir: &Path) -> RetiredDir<'_> {
        lock(&self.retired).insert(dir.to_owned());
        RetiredDir {
            shared: self,
            dir: dir.to_owned(),
        }
    }
}

/// A directory over which no process is started.
struct RetiredDir<'s> {
    shared: &'s Shared,
    dir: PathBuf,
}

impl Drop for RetiredDir<'_> {
    fn drop(&mut self) {
        lock(&self.shared.retired).remove(&self.dir);
    }
}

/// Moves the files of an instance into another pool's directory, as files without a role.
fn move_files(from_dir: &Path, from: &str, to_dir: &Path, to: &str) -> Result<()> {
    let (source, target) = (
        files::namespace(&role::db_path(from_dir), from),
        files::namespace(&role::db_path(to_dir), to),
    );
    if target.exists() {
        return Ok(());
    }
    let promoted = to_dir.join("promoted");
    for part in [&role::db_path(to_dir).join("dbs"), &promoted] {
        disk::private_dir(part)?;
    }
    let on_its_way = promoted.join(to);
    if !on_its_way.exists() {
        if !files::database(&role::db_path(from_dir), from).exists() {
            return Err(Error::new(
                Code::Unavailable,
                format!("the replica to promote has no file {}", source.join("data").display()),
            )
            .hint("torso doctor has details"));
        }
        disk::rename(&source, &on_its_way)?;
    }
    files::clear_role(&on_its_way)?;
    // A replica's process does not wait for the disk: what it has can be fetched again. This cannot.
    for part in ["data", "data-wal"] {
        let path = on_its_way.join(part);
        if path.exists() {
            disk::sync_file(&path)?;
        }
    }
    disk::sync_dir(&on_its_way)?;
    disk::rename(&on_its_way, &target)?;
    for changed in [source.parent(), Some(promoted.as_path()), target.parent()] {
        if let Some(dir) = changed.filter(|dir| dir.is_dir()) {
            disk::sync_dir(dir)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(dir: &Path, id: &str) {
        let home = files::namespace(&role::db_path(dir), id);
        std::fs::create_dir_all(home.join("snapshots")).unwrap();
        for name in ["data", "data-wal", files::INDEX, files::LOG, ".sentinel"] {
            std::fs::write(home.join(name), name).unwrap();
        }
    }

    #[test]
    fn promoted_files_keep_content_and_lose_role_wherever_they_were_left() {
        for step in 0..3 {
            let dir = tempfile::tempdir().unwrap();
            let (from, to) = (dir.path().join("from"), dir.path().join("to"));
            replica(&from, "a");
            let promoted = to.join("promoted");
            if step > 0 {
                std::fs::create_dir_all(&promoted).unwrap();
                std::fs::rename(files::namespace(&role::db_path(&from), "a"), promoted.join("a-epoch2")).unwrap();
            }
            if step > 1 {
                std::fs::remove_file(promoted.join("a-epoch2").join(files::INDEX)).unwrap();
            }
            for _ in 0..2 {
                move_files(&from, "a", &to, "a-epoch2").unwrap();
                let home = files::namespace(&role::db_path(&to), "a-epoch2");
                assert_eq!(files::names(&home).unwrap(), ["data", "data-wal"]);
                assert_eq!(std::fs::read_to_string(home.join("data-wal")).unwrap(), "data-wal");
                assert!(!promoted.join("a-epoch2").exists());
            }
        }
    }

    #[test]
    fn promotion_without_a_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = move_files(&dir.path().join("from"), "a", &dir.path().join("to"), "a-epoch2").unwrap_err();
        assert_eq!(error.code(), Code::Unavailable);
    }
}

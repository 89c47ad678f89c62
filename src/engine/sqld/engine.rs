//! The engine of libSQL server processes, as every engine is used: [`Engine`] for [`SqldEngine`].

use super::node::Node;
use super::role::{self, ProcessRole};
use super::{Access, SqldEngine, files, host, lost_primary, quota_room, records, watch};
use crate::engine::file::{present, used_bytes};
use crate::engine::{
    DatabaseLimits, Engine, Frame, InstanceRole, LocalFiles, OpenContent, Orphan, Running, SeenLog, Site, child,
    copy_in_parallel, disk,
};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::time::Duration;

impl Engine for SqldEngine {
    fn local_files(&self, _at: &Site) -> Result<&dyn LocalFiles> {
        Ok(self)
    }

    fn open_location(&self, location: &str, dir: &Path) -> Result<()> {
        lock(&self.shared.files).open_location(location, dir)
    }

    fn close_location(&self, dir: &Path) -> Result<()> {
        lock(&self.shared.files).close_location(dir)
    }

    fn has_processes(&self) -> bool {
        true
    }

    fn running(&self, at: &Site) -> Result<Option<Running>> {
        if at.external {
            present(at)?;
        }
        let Some(dir) = self.find(at)? else { return Ok(None) };
        let Some(limits) = records::record(&dir, &at.instance())? else {
            return Ok(None);
        };
        let Some(role) = role::role_of(&dir)? else {
            // What a process had begun to write where a disk was away, or has come back. Nothing of a database is in it.
            if files::namespaces(&role::db_path(&dir))?.is_empty() {
                return Ok(None);
            }
            return Err(Error::new(
                Code::Conflict,
                format!("{} has no role.json any more", dir.display()),
            ));
        };
        // What is noted of former starts is judged again at the next one.
        let damage = self.node(&dir).and_then(|node| node.health().damage(&at.instance()));
        let node = self.node(&dir).filter(|node| node.process().is_ready());
        let mut position = files::position(role.role, &role::db_path(&dir), &at.instance());
        // A replica without a process follows nothing. One that was not asked for the database has what its files say.
        position.uncertain |= role.role == ProcessRole::Replica
            && node
                .as_ref()
                .is_none_or(|node| node.health().is_unverified(&at.instance()));
        let (role, limits) = match role.role {
            ProcessRole::Primary => (InstanceRole::Primary, Some(limits)),
            ProcessRole::Replica => {
                let synced_at = match position.changed_ns {
                    // It has nothing since it was made.
                    0 => records::recorded_at(&dir, &at.instance()).and_then(|time| Timestamp::try_from(time).ok()),
                    changed => Timestamp::from_nanosecond(i128::from(changed)).ok(),
                };
                let role = InstanceRole::Replica {
                    of: role.primary,
                    position: position.clone(),
                    synced_at: synced_at.unwrap_or(Timestamp::UNIX_EPOCH),
                    altered: false,
                };
                (role, None)
            }
        };
        Ok(Some(Running {
            role,
            damage,
            size: self.size(at).unwrap_or(0),
            position,
            serving: node.is_some(),
            process: self.node(&dir).map(|node| node.facts(&at.instance())),
            limits,
        }))
    }

    fn size(&self, at: &Site) -> Option<u64> {
        let path = self.path(at);
        let size = std::fs::metadata(&path).ok()?.len();
        Some(size + std::fs::metadata(disk::with_suffix(&path, "-wal")).map_or(0, |log| log.len()))
    }

    fn used(&self, at: &Site) -> Option<u64> {
        used_bytes(&self.path(at))
    }

    /// For a client on this machine with a token; empty if there is no instance.
    fn url(&self, at: &Site) -> String {
        let port = self
            .find(at)
            .ok()
            .flatten()
            .and_then(|dir| Some(role::role_of(&dir).ok()??.ports.http));
        port.map_or_else(String::new, |port| format!("http://{}:{port}", host(&at.instance())))
    }

    fn start(&self, at: &Site) -> Result<()> {
        self.serving(at).map(drop)
    }

    fn configure(&self, at: &Site, limits: &DatabaseLimits) -> Result<()> {
        let node = self.serving(at)?;
        self.expect(&node, ProcessRole::Primary)?;
        let size = quota_room::choose_size(node.dir(), &at.instance(), limits)?;
        node.admin()?.configure(&at.instance(), limits, size)?;
        records::acknowledge_with(node.dir(), &at.instance(), limits, size)
    }

    fn await_writers(&self, at: &Site) -> Result<()> {
        let node = self.serving(at)?;
        self.prepare_use(&node, at)?;
        let token = self.token(&at.instance(), Access::ReadWrite, Duration::from_secs(60))?;
        node.admin()?.await_writers(&host(&at.instance()), &token)
    }

    fn create(&self, at: &Site) -> Result<()> {
        let node = self.run_primary(at)?;
        if records::record(node.dir(), &at.instance())?.is_none() {
            node.make(&at.instance())?;
            records::acknowledge(node.dir(), &at.instance(), &DatabaseLimits::default())?;
        }
        Ok(())
    }

    fn check_seed(&self, seed: &Path) -> Result<()> {
        lock(&self.shared.files).check_seed(seed)
    }

    fn copy(&self, from: &Site, to: &Site) -> Result<()> {
        let primary = self.serving(from)?;
        self.expect(&primary, ProcessRole::Primary)?;
        let replica = self.run_replica(to, &primary)?;
        if records::record(replica.dir(), &to.instance())?.is_none() {
            records::acknowledge(replica.dir(), &to.instance(), &DatabaseLimits::default())?;
        }
        watch::check_file(&primary, &to.instance())?;
        replica.follow(&to.instance(), &primary)?;
        self.end_copy(to)
    }

    fn copy_again(&self, from: &Site, to: &Site) -> Result<()> {
        self.copy_replica_again(from, to)
    }

    fn note_compared(&self, replica: &Site, is_equal: bool) {
        self.note_comparison(replica, is_equal);
    }

    fn note_missing(&self, id: &str, is_missing: bool) {
        let mut missing = lock(&self.shared.missing);
        if is_missing {
            missing.insert(id.to_owned());
        } else {
            missing.remove(id);
        }
    }

    fn serve_alone(&self, at: &Site) -> Result<()> {
        self.serve_copy(at)
    }

    fn copy_to_all(&self, from: &Site, to: &[Site]) -> Vec<Result<()>> {
        copy_in_parallel(to, |to| self.copy(from, to))
    }

    /// Nobody but its process has a primary's file open.
    fn hold(&self, at: &Site) -> Result<()> {
        Err(no_exchange(at))
    }

    fn release(&self, _at: &Site) {}

    fn demote(&self, from: &Site, _to: &Site) -> Result<()> {
        Err(no_exchange(from))
    }

    fn promote(&self, at: &Site) -> Result<()> {
        Err(no_exchange(at))
    }

    fn block_writes(&self, at: &Site, reason: &str) -> Result<()> {
        let node = self.serving(at)?;
        self.expect(&node, ProcessRole::Primary)?;
        let instance = at.instance();
        watch::check_file(&node, &instance)?;
        let limits = DatabaseLimits {
            block_writes: true,
            ..records::record(node.dir(), &instance)?.unwrap_or_default()
        };
        let size = records::size_over_quota(node.dir(), &instance)?;
        let admin = node.admin()?;
        let token = self.token(&instance, Access::ReadWrite, Duration::from_secs(60))?;
        // Between transactions: one that is open could not write any more, but commit what it had written before.
        admin.in_place_of_writers(&host(&instance), &token, || {
            // Recorded first: whoever comes after a crash sees that it is not what is wanted, and lifts it.
            records::acknowledge_with(node.dir(), &instance, &limits, size)?;
            admin.configure_because(&instance, &limits, size, Some(reason))
        })
    }

    fn prepare_primary(&self, at: &Site) -> Result<()> {
        self.run_primary(at).map(drop)
    }

    fn take_over(&self, moves: &[(Site, Site)]) -> Result<()> {
        self.take_over_all(moves)
    }

    fn answers(&self, at: &Site) -> bool {
        self.primary_answers(at)
    }

    fn log_end(&self, at: &Site) -> Option<Frame> {
        self.end_of_log(at)
    }

    fn last_seen_primary(&self, replica: &Site) -> Option<SeenLog> {
        self.seen_primary(replica)
    }

    fn fence(&self, at: &Site) -> Result<()> {
        self.fence_primary(at)
    }

    fn uncompared(&self, dir: &Path) -> Result<Vec<(PathBuf, String)>> {
        lost_primary::uncompared_files(dir)
    }

    fn remove(&self, at: &Site) -> Result<()> {
        if at.external {
            present(at)?;
        }
        self.remove_all(at)
    }

    fn orphans(&self, dir: &Path, known: &dyn Fn(&str) -> bool) -> Result<Vec<Orphan>> {
        let mut orphans = lost_primary::set_aside_files(dir)?;
        for pool in files::names(dir)? {
            let db_path = role::db_path(&dir.join(pool));
            for id in files::namespaces(&db_path)? {
                let path = files::database(&db_path, &id);
                if !known(&id) && path.exists() {
                    orphans.push(Orphan::new(path, id, false));
                }
            }
        }
        Ok(orphans)
    }

    fn unfinished(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let mut all = Vec::new();
        for pool in files::names(dir)? {
            all.extend(records::unfinished(&dir.join(pool))?);
        }
        Ok(all)
    }
}

impl LocalFiles for SqldEngine {
    fn path(&self, at: &Site) -> PathBuf {
        let dir = self.find(at).ok().flatten().unwrap_or_else(|| at.dir.clone());
        files::database(&role::db_path(&dir), &at.instance())
    }

    fn adopt(&self, seed: &Path, at: &Site) -> Result<()> {
        let node = self.run_primary(at)?;
        if records::record(node.dir(), &at.instance())?.is_none() {
            let admin = node.admin()?;
            // Remains of an earlier try were never acknowledged, so nobody has written to them.
            admin.delete(&at.instance())?;
            self.sweep(node.dir(), &at.instance())?;
            if let Err(error) = self.drop_in(&node, seed, &at.instance()) {
                // A half-made namespace would be in the way of the next try.
                let _ = admin.delete(&at.instance());
                let _ = self.sweep(node.dir(), &at.instance());
                return Err(error);
            }
            records::acknowledge(node.dir(), &at.instance(), &DatabaseLimits::default())?;
        }
        disk::remove(seed)
    }

    fn snapshot(&self, from: &Site, to: &Path) -> Result<()> {
        let node = self.serving(from)?;
        self.check_file(from)?;
        if node.place == ProcessRole::Replica && !self.path(from).exists() {
            self.open_replica(&node, from)?;
        }
        child::export(&self.shared.common.sandbox, &self.path(from), to)
    }

    fn export(&self, from: &Site, to: &Path) -> Result<()> {
        self.check_file(from)?;
        child::export(&self.shared.common.sandbox, &self.path(from), to)
    }

    fn compact_to(&self, from: &Site, to: &Path) -> Result<()> {
        self.check_file(from)?;
        child::compact(&self.shared.common.sandbox, &self.path(from), to)
    }

    fn check_adoptable(&self, seed: &Path, at: &Site) -> Result<()> {
        let converted = disk::with_suffix(seed, "-converted");
        child::check_or_convert(&self.shared.common.sandbox, seed, &converted)?;
        disk::remove(&converted)?;
        let needed = std::fs::metadata(seed).map_or(0, |seed| seed.len());
        let disk = rustix::fs::statvfs(&at.dir).ok();
        let free = disk.and_then(|disk| disk.f_bavail.checked_mul(disk.f_frsize));
        match free {
            Some(free) if free < needed => Err(Error::new(
                Code::DiskFull,
                format!("{} has {free} bytes left, and {needed} are needed", at.dir.display()),
            )
            .hint("nothing was changed; free space, then try again")),
            _ => Ok(()),
        }
    }

    fn open_content(&self, primary: &Site, replicas: &[Site]) -> Result<OpenContent> {
        let open = self.open_at_one_position(primary, replicas)?;
        Ok(Box::new(move |depth| open.run(depth)))
    }

    fn set_aside(&self, at: &Site) -> Result<PathBuf> {
        self.set_primary_aside(at)
    }

    fn report_divergence(&self, aside: &Path, now: &Site) -> Result<()> {
        self.compare_aside(aside, now)
    }
}

impl SqldEngine {
    /// Has a replica's process open a database, which makes its files: one that is empty has none before.
    fn open_replica(&self, replica: &Node, at: &Site) -> Result<()> {
        let Some(primary) = self.primary_of(replica) else {
            return replica.ask(&at.instance());
        };
        watch::check_file(&primary, &at.instance())?;
        replica.follow(&at.instance(), &primary)
    }
}

/// The error of what is done with files that are exchanged in their places.
fn no_exchange(at: &Site) -> Error {
    Error::new(
        Code::Internal,
        format!("the files of {} belong to a server process", at.database_name()),
    )
}

//! The engine of libSQL server processes, as every engine is used: [`Engine`] for [`SqldEngine`].

use super::node::Node;
use super::role::{self, ProcessRole};
use super::{Access, SqldEngine, files, host, no_promotion, quarantine, quota_room, records, watch};
use crate::engine::file::{present, used_bytes};
use crate::engine::{DatabaseLimits, Engine, InstanceRole, Orphan, Running, Site, child, confine, disk};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::time::Duration;

impl Engine for SqldEngine {
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
        let Some(limits) = records::record(&dir, &at.id)? else {
            return Ok(None);
        };
        let Some(role) = role::role_of(&dir)? else {
            return Err(Error::new(
                Code::Conflict,
                format!("{} has no role.json any more", dir.display()),
            ));
        };
        // What is noted of former starts is judged again at the next one.
        let damage = self.node(&dir).and_then(|node| node.health().damage(&at.id));
        let node = self.node(&dir).filter(|node| node.process().is_ready());
        let mut position = files::position(role.role, &role::db_path(&dir), &at.id);
        // A replica without a process follows nothing. One that was not asked for the database has what its files say.
        position.uncertain |=
            role.role == ProcessRole::Replica && node.as_ref().is_none_or(|node| node.health().is_unverified(&at.id));
        let (role, limits) = match role.role {
            ProcessRole::Primary => (InstanceRole::Primary, Some(limits)),
            ProcessRole::Replica => {
                let synced_at = match position.changed_ns {
                    // It has nothing since it was made.
                    0 => records::recorded_at(&dir, &at.id).and_then(|time| Timestamp::try_from(time).ok()),
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
        port.map_or_else(String::new, |port| format!("http://{}:{port}", host(&at.id)))
    }

    fn path(&self, at: &Site) -> PathBuf {
        let dir = self.find(at).ok().flatten().unwrap_or_else(|| at.dir.clone());
        files::database(&role::db_path(&dir), &at.id)
    }

    fn start(&self, at: &Site) -> Result<()> {
        self.serving(at).map(drop)
    }

    fn configure(&self, at: &Site, limits: &DatabaseLimits) -> Result<()> {
        let node = self.serving(at)?;
        self.expect(&node, ProcessRole::Primary)?;
        let size = quota_room::choose_size(node.dir(), &at.id, limits)?;
        node.admin()?.configure(&at.id, limits, size)?;
        records::acknowledge_with(node.dir(), &at.id, limits, size)
    }

    fn await_writers(&self, at: &Site) -> Result<()> {
        let node = self.serving(at)?;
        self.prepare_use(&node, at)?;
        let token = self.token(&at.id, Access::ReadWrite, Duration::from_secs(60))?;
        node.admin()?.await_writers(&host(&at.id), &token)
    }

    fn create(&self, at: &Site) -> Result<()> {
        let node = self.run_primary(at)?;
        if records::record(node.dir(), &at.id)?.is_none() {
            node.make(&at.id)?;
            records::acknowledge(node.dir(), &at.id, &DatabaseLimits::default())?;
        }
        Ok(())
    }

    fn check_seed(&self, seed: &Path) -> Result<()> {
        lock(&self.shared.files).check_seed(seed)
    }

    fn adopt(&self, seed: &Path, at: &Site) -> Result<()> {
        let node = self.run_primary(at)?;
        if records::record(node.dir(), &at.id)?.is_none() {
            let admin = node.admin()?;
            // Remains of an earlier try were never acknowledged, so nobody has written to them.
            admin.delete(&at.id)?;
            self.sweep(node.dir(), &at.id)?;
            if let Err(error) = self.drop_in(&node, seed, &at.id) {
                // A half-made namespace would be in the way of the next try.
                let _ = admin.delete(&at.id);
                let _ = self.sweep(node.dir(), &at.id);
                return Err(error);
            }
            records::acknowledge(node.dir(), &at.id, &DatabaseLimits::default())?;
        }
        disk::remove(seed)
    }

    fn snapshot(&self, from: &Site, to: &Path) -> Result<()> {
        let node = self.serving(from)?;
        if node.place == ProcessRole::Replica && !self.path(from).exists() {
            self.open_replica(&node, from)?;
        }
        child::export(&self.shared.common.sandbox, &self.path(from), to)
    }

    fn export(&self, from: &Site, to: &Path) -> Result<()> {
        child::export(&self.shared.common.sandbox, &self.path(from), to)
    }

    fn copy(&self, from: &Site, to: &Site) -> Result<()> {
        let primary = self.serving(from)?;
        self.expect(&primary, ProcessRole::Primary)?;
        let replica = self.run_replica(to, &primary)?;
        if records::record(replica.dir(), &to.id)?.is_none() {
            records::acknowledge(replica.dir(), &to.id, &DatabaseLimits::default())?;
        }
        watch::check_unopened(&primary, &to.id)?;
        replica.follow(&to.id, &primary)?;
        self.end_copy(to)
    }

    fn serve_alone(&self, at: &Site) -> Result<()> {
        self.serve_copy(at)
    }

    fn copy_to_all(&self, from: &Site, to: &[Site]) -> Vec<Result<()>> {
        if let [only] = to {
            return vec![self.copy(from, only)];
        }
        std::thread::scope(|scope| {
            let copies: Vec<_> = to.iter().map(|to| scope.spawn(|| self.copy(from, to))).collect();
            let failed = |_| Err(Error::new(Code::Internal, "a thread that copied a database failed"));
            copies
                .into_iter()
                .map(|copy| copy.join().unwrap_or_else(failed))
                .collect()
        })
    }

    fn hold(&self, _at: &Site) -> Result<()> {
        Err(no_promotion())
    }

    fn release(&self, _at: &Site) {}

    fn demote(&self, _from: &Site, _to: &Site) -> Result<()> {
        Err(no_promotion())
    }

    fn promote(&self, _at: &Site) -> Result<()> {
        Err(no_promotion())
    }

    fn set_aside(&self, at: &Site) -> Result<PathBuf> {
        Err(Error::new(
            Code::Conflict,
            format!(
                "{} is still a primary and in use by a server process; it should not exist",
                self.path(at).display()
            ),
        )
        .hint("torso doctor has details"))
    }

    fn remove(&self, at: &Site) -> Result<()> {
        if at.external {
            present(at)?;
        }
        self.end_copy(at)?;
        let Some(dir) = self.find(at)?.filter(|dir| dir.is_dir()) else {
            return Ok(());
        };
        let node = match self.node(&dir) {
            // A namespace's settings can only be removed through the primary's process; a replica has none.
            None if role::role_of(&dir)?.is_some_and(|role| role.role == ProcessRole::Primary) => {
                Some(self.run(at, &dir, || {
                    Err(Error::new(
                        Code::Conflict,
                        format!("{} has no role.json any more", dir.display()),
                    ))
                })?)
            }
            None => {
                confine::end_orphan(&dir.join("lock"))?;
                quarantine::forget(&dir, &at.id)?;
                None
            }
            node => node,
        };
        if let Some(node) = &node {
            node.wait_ready()?;
            node.note_gone(&at.id)?;
            node.admin()?.delete(&at.id)?;
        }
        self.sweep(&dir, &at.id)?;
        if records::acknowledged(&dir)?.is_empty() && files::namespaces(&role::db_path(&dir))?.is_empty() {
            let last = lock(&self.shared.nodes).remove(&dir);
            if let Some(node) = last {
                node.process().stop();
            }
            files::remove_tree(&dir)?;
        }
        let nodes: Vec<_> = lock(&self.shared.nodes).values().cloned().collect();
        // Processes of other locations may have the database, and name it in the log.
        if !nodes.iter().any(|node| records::is_acknowledged(node.dir(), &at.id)) {
            self.shared.common.names.forget(&at.id);
        }
        Ok(())
    }

    fn orphans(&self, dir: &Path, known: &dyn Fn(&str) -> bool) -> Result<Vec<Orphan>> {
        let mut orphans = Vec::new();
        for pool in files::names(dir)? {
            let db_path = role::db_path(&dir.join(pool));
            for id in files::namespaces(&db_path)? {
                let path = files::database(&db_path, &id);
                if !known(&id) && path.exists() {
                    orphans.push(Orphan {
                        path,
                        id: Some(id),
                        kept_aside: false,
                    });
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

impl SqldEngine {
    /// Has a replica's process open a database, which makes its files: one that is empty has none before.
    fn open_replica(&self, replica: &Node, at: &Site) -> Result<()> {
        let Some(primary) = self.primary_of(replica) else {
            return replica.ask(&at.id);
        };
        watch::check_unopened(&primary, &at.id)?;
        replica.follow(&at.id, &primary)
    }
}

//! Pools whose primary and replicas are on different machines. On the primary's machine: what replicas elsewhere need of it. On
//! theirs: replicas that follow a port of this machine, behind which is the way to the primary.

use super::role::{self, ProcessRole};
use super::{SqldEngine, alone, files, records};
use crate::engine::remote::{InstanceReport, RemotePrimary, ReplicaKeys, ReportedPosition};
use crate::engine::{DatabaseLimits, Engine as _, Frame, InstanceRole, Site};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

impl SqldEngine {
    /// What replicas of a pool prove themselves with to its primary's process here. It stays until the engine ends.
    pub fn replica_keys(&self, pool: &str) -> Result<ReplicaKeys> {
        let shared = self.shared.common.pool(pool)?;
        let keys = shared.keys().for_replicas();
        lock(&self.shared.common.held_pools).insert(pool.to_owned(), shared);
        Ok(keys)
    }

    /// Where the process of a primary sends its log. Fails while it does not run.
    pub fn log_address(&self, primary: &Site) -> Result<SocketAddr> {
        let node = self.serving(primary)?;
        self.expect(&node, ProcessRole::Primary)?;
        Ok((Ipv4Addr::LOCALHOST, node.role().ports.log).into())
    }

    /// Where the log of a primary ends, which its process opens for that.
    pub fn open_log(&self, primary: &Site) -> Result<Frame> {
        let (node, instance) = (self.serving(primary)?, primary.instance());
        self.expect(&node, ProcessRole::Primary)?;
        if !node.has_served(&instance) || node.frame(&instance).is_none() {
            node.ask(&instance)?;
        }
        node.frame(&instance).ok_or_else(|| {
            Error::new(
                Code::Unavailable,
                format!(
                    "the log of database {} at its primary cannot be read",
                    primary.database_name()
                ),
            )
        })
    }

    /// Where the log of a primary ends, if its process runs.
    #[must_use]
    pub fn log_end_now(&self, primary: &Site) -> Option<Frame> {
        let node = self.node(&primary.dir.join(primary.pool.as_ref()?))?;
        node.process().is_ready().then(|| node.frame(&primary.instance()))?
    }

    /// Has the process of a site's pool run as replica of a primary on another machine, and the instance be one of its own. Another way
    /// to the primary is taken at once.
    pub fn follow_remote(&self, at: &Site, primary: &RemotePrimary) -> Result<()> {
        let name = at.pool.as_deref().unwrap_or_default();
        let pool = self.shared.common.pool(name)?;
        let has_new_keys = pool.receive(primary)?;
        let dir = self.dir(at)?;
        let node = self.run(at, &dir, || role::new_role(&primary.location, Some(primary.port)))?;
        self.expect(&node, ProcessRole::Replica)?;
        if has_new_keys {
            node.process().restart("its primary has other keys now");
        } else if node.is_misdirected() {
            node.process().restart("its primary has another port now");
        }
        node.wait_ready()?;
        if records::record(node.dir(), &at.instance())?.is_none() {
            records::acknowledge(node.dir(), &at.instance(), &DatabaseLimits::default())?;
            // It makes its files. If that fails now, it is asked again when it is behind.
            let _ = node.ask(&at.instance());
        }
        Ok(())
    }

    /// Takes what is known of where the logs of a pool's primary end, of those instances that have not everything: replicas that stay
    /// behind are repaired. None while the primary cannot be reached.
    pub fn note_primary_logs(&self, pool: &str, logs: Option<BTreeMap<String, Frame>>) {
        if let Ok(pool) = self.shared.common.pool(pool) {
            *lock(&pool.elsewhere) = logs;
        }
    }

    /// The replicas that are in a location's directory, each with its pool. Those that serve without their primary are not among them.
    pub fn replicas_in(&self, dir: &Path) -> Result<Vec<(String, String)>> {
        let mut all = Vec::new();
        for pool in files::names(dir)? {
            let home = dir.join(&pool);
            let is_replica = role::role_of(&home)?.is_some_and(|role| role.role == ProcessRole::Replica);
            if is_replica && !pool.ends_with(alone::SUFFIX) {
                let instances = records::acknowledged(&home)?;
                all.extend(instances.into_iter().map(|instance| (pool.clone(), instance)));
            }
        }
        Ok(all)
    }

    /// What is known of a replica here, for its primary's machine.
    pub fn report_of(&self, at: &Site) -> Result<Option<InstanceReport>> {
        let Some(running) = self.running(at)? else {
            return Ok(None);
        };
        let InstanceRole::Replica { position, .. } = &running.role else {
            return Ok(None);
        };
        let process = running.process.as_ref();
        Ok(Some(InstanceReport {
            pool: at.pool.clone().unwrap_or_default(),
            position: position.frame.filter(|_| !position.uncertain).map(ReportedPosition),
            changed_ns: position.changed_ns,
            size: running.size,
            serving: running.serving,
            is_silent: process.is_some_and(|process| process.is_silent),
            failures: process.map_or(0, |process| process.failures),
            failure: process.and_then(|process| process.failure.clone()),
        }))
    }
}

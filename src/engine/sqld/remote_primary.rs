//! Pools whose primary and replicas are on different machines. On the primary's machine: what replicas elsewhere need of it. On
//! theirs: replicas that follow a port of this machine, behind which is the way to the primary.

use super::common::PrimaryElsewhere;
use super::role::{self, ProcessRole};
use super::{SqldEngine, alone, files, records};
use crate::engine::process::Listener;
use crate::engine::remote::{InstanceReport, RemotePrimary, ReplicaKeys, ReportedPosition};
use crate::engine::{DatabaseLimits, Engine as _, Frame, InstanceRole, Site};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

impl SqldEngine {
    /// What replicas of a pool prove themselves with to its primary's process here. It stays until the engine ends.
    pub fn replica_keys(&self, pool: &str) -> Result<ReplicaKeys> {
        let shared = self.shared.common.pool(pool)?;
        let keys = shared.keys().for_replicas();
        lock(&self.shared.common.held_pools).insert(pool.to_owned(), shared);
        Ok(keys)
    }

    /// Where the process of a primary's pool sends its log. Fails with `unavailable` while it does not run: it is not started for that.
    /// Whether the database at `primary` is sound does not matter, because the others of its pool are followed as well.
    pub fn log_address(&self, primary: &Site) -> Result<SocketAddr> {
        let node = primary
            .pool
            .as_ref()
            .and_then(|pool| self.node(&primary.dir.join(pool)));
        match node.filter(|node| node.place == ProcessRole::Primary && node.process().is_ready()) {
            Some(node) => Ok((Ipv4Addr::LOCALHOST, node.role().ports.log).into()),
            None => Err(Error::new(
                Code::Unavailable,
                format!("the process of the primary in {} does not run now", primary.location),
            )),
        }
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

    /// Where the log of a primary ends, if its process runs and answers and its file is sound: what it cannot be copied from has no end.
    #[must_use]
    pub fn log_end_now(&self, primary: &Site) -> Option<Frame> {
        let node = self.node(&primary.dir.join(primary.pool.as_ref()?))?;
        let instance = primary.instance();
        let is_sound = !node.status().is_silent && node.health().damage(&instance).is_none();
        (node.process().is_ready() && is_sound).then(|| node.frame(&instance))?
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

    /// Takes what is known of a pool's primary on another machine: replicas that stay behind are repaired. None while nothing is known.
    pub fn note_primary(&self, pool: &str, primary: Option<PrimaryElsewhere>) {
        if let Ok(pool) = self.shared.common.pool(pool) {
            pool.note_elsewhere(primary);
        }
    }

    /// Has replicas that run take another way to their primary on another machine, or its other keys.
    pub fn redirect_replicas(&self, pool: &str, primary: &RemotePrimary) -> Result<()> {
        let nodes: Vec<_> = lock(&self.shared.nodes).values().cloned().collect();
        let mut replicas = nodes
            .iter()
            .filter(|node| node.pool == pool && node.place == ProcessRole::Replica);
        if replicas.clone().next().is_none() {
            return Ok(());
        }
        let has_new_keys = self.shared.common.pool(pool)?.receive(primary)?;
        replicas
            .by_ref()
            .filter(|node| has_new_keys || node.is_misdirected())
            .for_each(|node| node.process().kill("its primary is reached in another way now"));
        Ok(())
    }

    /// Waits until a replica here has everything up to the end of its primary's log on another machine, as `end` has it. Fails when it
    /// makes no progress for so long.
    pub fn await_log(&self, at: &Site, patience: Duration, end: &dyn Fn() -> Result<Frame>) -> Result<()> {
        let (node, instance) = (self.serving(at)?, at.instance());
        node.ask(&instance)?;
        let (mut target, mut last, mut moved) = (end()?, None, Instant::now());
        loop {
            let now = node.frame(&instance);
            if now.is_some_and(|now| now == target || (now.log == target.log && now.count > target.count)) {
                return Ok(());
            }
            if now != last {
                (last, moved) = (now, Instant::now());
            } else if moved.elapsed() > patience {
                return Err(Error::new(
                    Code::Timeout,
                    format!(
                        "the replica of database {} does not catch up with its primary",
                        at.database_name()
                    ),
                )
                .hint("torso doctor has details"));
            }
            // A primary that was killed begins another log, which has everything.
            target = Some(end()?).filter(|end| end.log != target.log).unwrap_or(target);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Signs tokens with the key of a seed, so that nodes accept them after a start too. To be called before anything runs.
    pub fn use_token_seed(&self, seed: &[u8; 32]) -> Result<()> {
        self.shared.common.keys.use_seed(seed)
    }

    /// The public key of the tokens that this engine makes.
    #[must_use]
    pub fn token_key(&self) -> String {
        self.shared.common.keys.public()
    }

    /// Has processes accept tokens of another engine as well: those that run are started again for that.
    pub fn trust_token_key(&self, key: &str) {
        let before = lock(&self.shared.common.trusted_key).replace(key.to_owned());
        if before.as_deref() != Some(key) {
            let nodes: Vec<_> = lock(&self.shared.nodes).values().cloned().collect();
            for node in nodes.iter().filter(|node| node.process().pid().is_some()) {
                node.process().end_and_restart("the server has another key now");
            }
        }
    }

    /// Where the process of a primary's pool takes SQL.
    pub fn sql_listener(&self, primary: &Site) -> Result<Listener> {
        self.log_address(primary)?;
        Ok(self.serving(primary)?.admin()?.sql)
    }

    /// The instances that are in a location's directory, each with its pool, and whether it is a primary. Those that serve without
    /// their primary are not among them. What cannot be read, such as a directory of somebody else's, is left out and logged.
    pub fn instances_in(&self, dir: &Path) -> Result<Vec<(String, String, bool)>> {
        let mut all = Vec::new();
        for pool in files::names(dir)?
            .into_iter()
            .filter(|pool| !pool.ends_with(alone::SUFFIX))
        {
            match instances_of(&dir.join(&pool)) {
                Ok((is_primary, instances)) => {
                    all.extend(
                        instances
                            .into_iter()
                            .map(|instance| (pool.clone(), instance, is_primary)),
                    );
                }
                Err(error) => {
                    tracing::warn!(
                        directory = pool,
                        cause = error.full_message(),
                        "the databases in a directory cannot be read"
                    );
                }
            }
        }
        Ok(all)
    }

    /// What is known of an instance here, for the server.
    pub fn report_of(&self, at: &Site) -> Result<Option<InstanceReport>> {
        let Some(running) = self.running(at)? else {
            return Ok(None);
        };
        let position = match &running.role {
            InstanceRole::Replica { position, .. } => position,
            InstanceRole::Primary => &running.position,
            InstanceRole::Promoting => return Ok(None),
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
            limits: running.limits.clone(),
            damage: running.damage.clone(),
            blocked: None,
        }))
    }
}

/// Whether the instances in the directory of a pool are primaries, and which there are.
fn instances_of(home: &Path) -> Result<(bool, Vec<String>)> {
    match role::role_of(home)? {
        Some(role) => Ok((role.role == ProcessRole::Primary, records::acknowledged(home)?)),
        None => Ok((false, Vec::new())),
    }
}

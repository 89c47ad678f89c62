//! What processes of libSQL server have in common: all of an engine, and those of one pool.

use super::database_names::DatabaseNames;
use super::keys::{ReplicationKeys, TokenClock};
use super::log_keys::LogKeys;
use crate::engine::Frame;
use crate::engine::confine::Sandbox;
use crate::engine::remote::RemotePrimary;
use crate::error::Result;
use crate::sync::lock;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What all processes of an engine have in common.
pub(super) struct Common {
    pub sqld: PathBuf,
    pub sandbox: Sandbox,
    pub keys: ReplicationKeys,
    pub names: DatabaseNames,
    /// The ids of databases whose primaries are damaged: what their replicas have is not thrown away.
    pub without_primary: Mutex<HashSet<String>>,
    /// By the pool's name.
    pools: Mutex<HashMap<String, Arc<Pool>>>,
    /// The public key, besides the engine's own, whose tokens processes accept: that of the server, where this is a node.
    pub trusted_key: Mutex<Option<String>>,
    /// Those with replicas on other machines, whose keys must not change.
    pub held_pools: Mutex<HashMap<String, Arc<Pool>>>,
}

/// What the processes of a pool have in common.
pub(super) struct Pool {
    keys: Mutex<Arc<LogKeys>>,
    /// Where the primary sends its replication log, once it has been started.
    pub log_port: Mutex<Option<u16>>,
    /// What is known of a primary on another machine, and since when; none while nothing is.
    elsewhere: Mutex<Option<(PrimaryElsewhere, Instant)>>,
}

/// For so long it is believed that there is a way to a primary on another machine, of which is said each second whether there is.
const REACHED_FOR: Duration = Duration::from_secs(4);

/// What is known of a primary on another machine.
#[derive(Debug, Clone, Default)]
pub struct PrimaryElsewhere {
    /// Where its logs end, of the replicas here that have not everything.
    pub logs: BTreeMap<String, Frame>,
    /// Whether a replica here has a way to it now. Without one no copy is thrown away.
    pub is_reached: bool,
}

impl Pool {
    pub fn keys(&self) -> Arc<LogKeys> {
        Arc::clone(&lock(&self.keys))
    }

    /// Takes what is known of a primary on another machine now.
    pub fn note_elsewhere(&self, primary: Option<PrimaryElsewhere>) {
        *lock(&self.elsewhere) = primary.map(|primary| (primary, Instant::now()));
    }

    /// What is known of a primary on another machine.
    pub fn elsewhere(&self) -> Option<PrimaryElsewhere> {
        let (primary, at) = lock(&self.elsewhere).clone()?;
        let is_reached = primary.is_reached && at.elapsed() < REACHED_FOR;
        Some(PrimaryElsewhere { is_reached, ..primary })
    }

    /// Takes the way to a primary on another machine. Returns whether its keys are others than before.
    pub fn receive(&self, primary: &RemotePrimary) -> Result<bool> {
        *lock(&self.log_port) = Some(primary.port);
        let mut keys = lock(&self.keys);
        if keys.for_replicas() == primary.keys {
            return Ok(false);
        }
        *keys = Arc::new(LogKeys::receive(&primary.keys)?);
        Ok(true)
    }
}

impl Common {
    pub fn new(sqld: PathBuf, sandbox: Sandbox, clock: TokenClock) -> Result<Self> {
        Ok(Self {
            sqld,
            sandbox,
            keys: ReplicationKeys::generate(clock)?,
            names: DatabaseNames::default(),
            without_primary: Mutex::default(),
            pools: Mutex::default(),
            trusted_key: Mutex::default(),
            held_pools: Mutex::default(),
        })
    }

    /// The public keys whose tokens processes accept.
    pub fn accepted_keys(&self) -> String {
        self.keys.accepted(lock(&self.trusted_key).as_deref())
    }

    /// The pool of a name, which is made when it is used first.
    pub fn pool(&self, name: &str) -> Result<Arc<Pool>> {
        let mut pools = lock(&self.pools);
        if let Some(pool) = pools.get(name) {
            return Ok(Arc::clone(pool));
        }
        // Of pools that had one database there may have been many.
        pools.retain(|_, pool| Arc::strong_count(pool) > 1);
        let pool = Arc::new(Pool {
            keys: Mutex::new(Arc::new(LogKeys::generate()?)),
            log_port: Mutex::default(),
            elsewhere: Mutex::default(),
        });
        pools.insert(name.to_owned(), Arc::clone(&pool));
        Ok(pool)
    }
}

//! Databases as namespaces of libSQL server (`sqld`) processes: one process for each pool and location, a primary and its
//! replicas, which follow the primary's log. A pool is a group's databases with the same primary location, because a
//! process is the primary of all its namespaces or of none; or one database that shares its processes with no other.
//!
//! For code that serves applications (a gateway):
//! - [`SqldEngine`] is cheap to clone, and all clones are one engine: one is for the control plane, one for the
//!   gateway. Every method blocks, and may be called from several threads. [`SqldEngine::shutdown`] ends all processes
//!   within 10 seconds; until then, processes that end by themselves are restarted.
//! - Nothing runs until it is needed. After a start of the machine, `Embedded::reconcile_all` starts what is in the catalog.
//! - [`SqldEngine::endpoint`] tells the loopback address of the process that serves an instance and the name to send as
//!   `Host`, and fails with `unavailable` while it does not serve. The address of an instance never changes, unless the
//!   pool was empty in between. [`SqldEngine::token`] makes the token to send along; it opens one namespace only, and
//!   processes accept no other. Tokens die with the engine, unless it was given its key.
//! - An endpoint must not be given to tenants: the user port of a process has routes and headers that cross from one
//!   namespace to another. A gateway must forward only what it knows. Writes through a replica whose primary is down
//!   never return, and neither do reads that wait for a log position that does not come: both need a deadline.
//! - [`Engine::running`] of a replica tells its primary's position when it has everything: reads see every acknowledged write.
//!
//! Namespaces are named by [`Site::instance`]: ids, which are never used twice, and the epoch of a primary. A promotion makes
//! another namespace in another pool (`take_over`), so nothing that had the old one can be taken for the new one.

mod admin;
mod alone;
mod canary;
mod common;
mod crashes;
mod database_names;
mod engine;
mod excess;
mod file_state;
mod files;
mod first_use;
mod health;
mod http;
mod instance_files;
mod integrity;
mod job;
mod keys;
mod log_keys;
mod lost_primary;
mod namespace_requests;
mod node;
mod pages;
pub mod program;
mod quarantine;
mod quota_room;
mod records;
mod remote_primary;
mod removal;
mod replica_delay;
mod replica_repair;
mod role;
mod take_over;
mod verification;
mod watch;
mod watchdog;

pub use admin::{NamespaceUsage, TopQuery};
pub use common::PrimaryElsewhere;
pub use keys::{Access, TokenClock};

use super::confine::{self, Confinement, Sandbox};
use super::file::{FileEngine, present};
use super::process::{self, Listener, ProcessStatus};
use super::{Damage, LocalFiles, Site, child, disk};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use crate::sync::lock;
use canary::CanaryTask;
use common::Common;
use excess::Allowance;
use node::Node;
use role::{InstanceConfig, ProcessRole};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use watchdog::Watchdog;

/// Where an instance takes SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub address: SocketAddr,
    /// The process's own socket there. A connection must not be used unless it still listens after the connection was made:
    /// another program may have taken the port.
    pub listener: Listener,
    /// The `Host` header that names the namespace.
    pub host: String,
}

/// The engine over libSQL server processes.
#[derive(Clone)]
pub struct SqldEngine {
    shared: Arc<Shared>,
}

/// How an engine runs its processes.
#[derive(Debug, Clone, Default)]
pub struct EngineSettings {
    /// Processes run also where the system cannot confine them.
    pub unconfined: bool,
    /// Bytes of memory for each process; none for a part of the machine's.
    pub memory: Option<u64>,
    /// How long a statement may take; none for [`LONGEST_STATEMENT`].
    pub statement_timeout: Option<Duration>,
    /// When tokens for the processes end is counted from its time.
    pub clock: TokenClock,
}

/// How long a statement may take where nothing else was said.
pub const LONGEST_STATEMENT: Duration = Duration::from_secs(300);

/// How the processes of an engine are bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessBounds {
    /// Bytes of memory for each.
    pub memory: u64,
    /// How long a statement may take.
    pub statement: Duration,
    /// Whether the kernel enforces the memory and shares the processors, by control groups.
    pub control_groups: bool,
}

struct Shared {
    common: Arc<Common>,
    confinement: Confinement,
    allowance: Allowance,
    nodes: Arc<Nodes>,
    /// For the marks in directories of locations, which are the same for all engines.
    files: FileEngineLock,
    watchdog: Watchdog,
    canary: CanaryTask,
    /// The ids of databases that have no primary, and of which none can be made.
    missing: Mutex<BTreeSet<String>>,
    /// Directories whose files are being taken away: no process is started over them.
    retired: Mutex<HashSet<PathBuf>>,
    /// Set once, under the lock of `nodes`. From then on nothing is started.
    closed: AtomicBool,
}

/// The processes, by directory.
type Nodes = Mutex<HashMap<PathBuf, Arc<Node>>>;

/// The file engine is for one thread at a time.
type FileEngineLock = Mutex<FileEngine>;

impl SqldEngine {
    /// An engine that runs the program `sqld`, and `torso` (this program's path) for its helpers.
    pub fn new(sqld: &Path, torso: &Path) -> Result<Self> {
        Self::with_settings(sqld, torso, &EngineSettings::default())
    }

    /// The same with settings. Fails with `unsupported` where processes cannot be confined and have to be.
    pub fn with_settings(sqld: &Path, torso: &Path, settings: &EngineSettings) -> Result<Self> {
        let real = |path: &Path| {
            path.canonicalize()
                .map_err(|error| Error::io(error, format!("cannot run {}", path.display())))
        };
        let confinement = confine::confinement();
        if confinement == Confinement::None && !settings.unconfined {
            return Err(confine::no_confinement());
        }
        let sandbox = Sandbox {
            torso: real(torso)?,
            unconfined: settings.unconfined,
            memory: settings.memory.unwrap_or_else(process::memory::default_share),
            control_groups: process::ControlGroups::take(),
        };
        let allowance = Allowance {
            memory: sandbox.memory,
            time: settings.statement_timeout.unwrap_or(LONGEST_STATEMENT),
        };
        let common = Arc::new(Common::new(real(sqld)?, sandbox, settings.clock.clone())?);
        let nodes = Arc::new(Nodes::default());
        let watchdog = Watchdog::start(&nodes, allowance)?;
        let canary = CanaryTask::start(&nodes)?;
        Ok(Self {
            shared: Arc::new(Shared {
                common,
                confinement,
                allowance,
                nodes,
                files: FileEngineLock::default(),
                watchdog,
                canary,
                missing: Mutex::default(),
                retired: Mutex::default(),
                closed: AtomicBool::new(false),
            }),
        })
    }

    /// How helpers are started.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        &self.shared.common.sandbox
    }

    /// How far this system confines the processes.
    #[must_use]
    pub fn confinement(&self) -> Confinement {
        self.shared.confinement
    }

    /// How memory and processor time of the processes are bounded.
    #[must_use]
    pub fn bounds(&self) -> ProcessBounds {
        ProcessBounds {
            memory: self.shared.common.sandbox.memory,
            statement: self.shared.allowance.time,
            control_groups: self.shared.common.sandbox.control_groups.is_some(),
        }
    }

    /// The state of every process that is wanted.
    #[must_use]
    pub fn processes(&self) -> Vec<ProcessStatus> {
        let nodes: Vec<_> = lock(&self.shared.nodes).values().cloned().collect();
        nodes.iter().map(|node| node.status()).collect()
    }

    /// Where the instance takes SQL.
    pub fn endpoint(&self, at: &Site) -> Result<Endpoint> {
        let serving = self.find(at)?.and_then(|dir| self.node(&dir));
        if let Some(alone) = self.endpoint_alone(at, serving.as_deref()) {
            return alone;
        }
        if let Some(node) = serving
            .as_deref()
            .filter(|node| node.health().damage(&at.instance()).is_some())
        {
            return Err(self.damaged(node, at));
        }
        let running = serving.filter(|node| node.process().is_ready()).and_then(|node| {
            let admin = node.admin().ok()?;
            Some((node, admin))
        });
        match running {
            Some((node, admin)) if records::record(node.dir(), &at.instance())?.is_some() => {
                self.prepare_use(&node, at)?;
                Ok(Endpoint {
                    address: admin.sql.address(),
                    listener: admin.sql,
                    host: host(&at.instance()),
                })
            }
            _ => Err(Error::new(
                Code::Unavailable,
                format!("database {} does not run in {} now", at.database_name(), at.location),
            )
            .hint("try again in a moment")),
        }
    }

    /// Makes a token that opens one namespace at every process of this engine.
    pub fn token(&self, id: &str, access: Access, valid: Duration) -> Result<Secret> {
        self.shared.common.keys.token(id, access, valid)
    }

    /// The counters of an instance.
    pub fn usage(&self, at: &Site) -> Result<NamespaceUsage> {
        let node = self.serving(at)?;
        self.prepare_use(&node, at)?;
        node.admin()?.usage(&at.instance())
    }

    /// Stops all processes in parallel, for good.
    pub fn shutdown(&self) {
        self.shared.shutdown();
    }

    /// The ids of databases that are not served because their files are missing or damaged, and why.
    #[must_use]
    pub fn all_damaged(&self) -> BTreeMap<String, Damage> {
        let nodes: Vec<_> = lock(&self.shared.nodes).values().cloned().collect();
        let primaries = nodes.iter().filter(|node| node.place == ProcessRole::Primary);
        let damaged = primaries.flat_map(|node| node.health().all_damaged());
        let damaged = damaged.map(|(instance, damage)| (super::database_of_instance(&instance).0.to_owned(), damage));
        let missing = lock(&self.shared.missing).clone().into_iter();
        missing
            .map(|id| (id, Damage::missing("is missing")))
            .chain(damaged)
            .collect()
    }

    /// Has the content of an instance read soon, because a statement has failed on it in a way that speaks of damage.
    pub fn suspect(&self, at: &Site) {
        if let Ok(Some(dir)) = self.find(at)
            && let Some(node) = self.node(&dir)
        {
            node.health().suspect(&at.instance());
        }
    }

    /// The error of a database that is damaged.
    fn damaged(&self, node: &Node, at: &Site) -> Error {
        let damage = node.health().damage(&at.instance());
        damage
            .unwrap_or_else(|| Damage::damaged("is damaged"))
            .to_error(&self.path(at))
    }

    fn node(&self, dir: &Path) -> Option<Arc<Node>> {
        lock(&self.shared.nodes).get(dir).cloned()
    }

    /// The directory of an instance, if there is one.
    fn find(&self, at: &Site) -> Result<Option<PathBuf>> {
        self.shared.common.names.note(at);
        if let Some(pool) = &at.pool {
            return Ok(Some(at.dir.join(pool)));
        }
        for name in files::names(&at.dir)? {
            if name.ends_with(alone::SUFFIX) {
                continue;
            }
            let dir = at.dir.join(name);
            if records::record(&dir, &at.instance())?.is_some()
                || files::namespace(&role::db_path(&dir), &at.instance()).exists()
            {
                return Ok(Some(dir));
            }
        }
        Ok(None)
    }

    /// The directory for a new instance.
    fn dir(&self, at: &Site) -> Result<PathBuf> {
        self.shared.common.names.note(at);
        present(at)?;
        match &at.pool {
            Some(pool) => Ok(at.dir.join(pool)),
            None => Err(Error::new(
                Code::Internal,
                format!("there is no record of database {}", at.database_name()),
            )),
        }
    }

    /// The running process over a directory. If it is not running, it is started in its former role, or in the role
    /// that `new` returns.
    fn run(&self, at: &Site, dir: &Path, new: impl FnOnce() -> Result<InstanceConfig>) -> Result<Arc<Node>> {
        let node = {
            let mut nodes = lock(&self.shared.nodes);
            if self.shared.closed.load(Ordering::SeqCst) {
                return Err(Error::new(Code::Unavailable, "the server is shutting down"));
            }
            if lock(&self.shared.retired).contains(dir) {
                return Err(
                    Error::new(Code::Unavailable, "a promotion takes files from a database process")
                        .hint("try again in a moment"),
                );
            }
            match nodes.get(dir) {
                Some(node) => {
                    // The database or the group may have another name by now.
                    if at.group.is_some() {
                        node.process().set_label(role::label(at, node.place));
                    }
                    Arc::clone(node)
                }
                None => {
                    let role = role::role_of(dir)?.map_or_else(new, Ok)?;
                    let node = Arc::new(Node::start(&self.shared.common, dir, role::label(at, role.role), role)?);
                    nodes.insert(dir.to_owned(), Arc::clone(&node));
                    node
                }
            }
        };
        node.wait_ready()?;
        Ok(node)
    }

    fn run_primary(&self, at: &Site) -> Result<Arc<Node>> {
        let dir = self.dir(at)?;
        let node = self.run(at, &dir, || role::new_role(&at.location, None))?;
        self.expect(&node, ProcessRole::Primary)?;
        Ok(node)
    }

    fn run_replica(&self, at: &Site, primary: &Node) -> Result<Arc<Node>> {
        let dir = self.dir(at)?;
        let node = self.run(at, &dir, || {
            let primary = primary.role();
            role::new_role(&primary.primary, Some(primary.ports.log))
        })?;
        self.expect(&node, ProcessRole::Replica)?;
        if node.is_misdirected() {
            node.process().restart("its primary has another port now");
            node.wait_ready()?;
        }
        Ok(node)
    }

    fn expect(&self, node: &Node, place: ProcessRole) -> Result<()> {
        if node.place == place {
            Ok(())
        } else {
            Err(Error::new(
                Code::Conflict,
                format!(
                    "{} has the wrong role: primary instead of replica, or the reverse",
                    node.dir().display()
                ),
            ))
        }
    }

    /// The process that serves an existing instance.
    fn serving(&self, at: &Site) -> Result<Arc<Node>> {
        let dir = self.dir(at)?;
        if records::record(&dir, &at.instance())?.is_none() {
            return Err(Error::new(
                Code::Unavailable,
                format!("database {} is not in {}", at.database_name(), at.location),
            ));
        }
        let node = self.run(at, &dir, || {
            Err(Error::new(
                Code::Conflict,
                format!("{} has no role.json any more", dir.display()),
            ))
        })?;
        if node.health().damage(&at.instance()).is_some() {
            return Err(self.damaged(&node, at));
        }
        Ok(node)
    }

    /// Removes the files of a namespace that no process knows.
    fn sweep(&self, dir: &Path, id: &str) -> Result<()> {
        files::remove_tree(&files::namespace(&role::db_path(dir), id))?;
        records::forget(dir, id)
    }

    /// Puts a seed, or its converted form, in the place of a namespace that does not exist yet.
    fn drop_in(&self, node: &Node, seed: &Path, id: &str) -> Result<()> {
        let common = &self.shared.common;
        let converted = disk::with_suffix(seed, "-converted");
        let use_converted = child::check_or_convert(&common.sandbox, seed, &converted)?;
        let home = files::namespace(&role::db_path(node.dir()), id);
        disk::private_dir(&home)?;
        let target = files::database(&role::db_path(node.dir()), id);
        let source = if use_converted { &converted } else { seed };
        // The seed stays until the namespace is acknowledged: if this is interrupted, it is repeated.
        let placed = std::fs::copy(source, &target)
            .and_then(|_| std::fs::File::open(&target)?.sync_all())
            .map_err(|error| Error::io(error, format!("cannot write {}", target.display())))
            .and_then(|()| disk::set_mode(&target, disk::PRIVATE))
            .and_then(|()| disk::sync_dir(&home));
        disk::remove(&converted)?;
        placed?;
        node.make(id)
    }
}

/// The first label is the namespace's name.
fn host(id: &str) -> String {
    format!("{id}.localhost")
}

impl Shared {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn shutdown(&self) {
        self.watchdog.stop();
        self.canary.stop();
        let nodes: Vec<_> = {
            let mut nodes = lock(&self.nodes);
            self.closed.store(true, Ordering::SeqCst);
            nodes.drain().map(|(_, node)| node).collect()
        };
        for node in &nodes {
            node.process().begin_stop();
        }
        for node in &nodes {
            node.process().stop();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.shutdown();
    }
}

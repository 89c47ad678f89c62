//! How a process is started: what is put right in its directory before, which ports and keys it gets, what it may touch;
//! and when it is ready.

use super::admin::Admin;
use super::common::{Common, Pool};
use super::crashes::{Crashes, DWELL, FatalOpening};
use super::health::Health;
use super::keys::Access;
use super::log_keys::KeyFiles;
use super::namespace_requests::NamespaceRequests;
use super::quarantine;
use super::records::{acknowledged, is_acknowledged, mark_for_copying, record, records_dir, size_over_quota};
use super::role::{InstanceConfig, ProcessRole, db_path, free_port, is_free, role_of, write_role};
use super::{files, host, keys};
use crate::engine::confine::{self, Bounds};
use crate::engine::process::{ControlGroups, Job, Launch, Listener, ProgramEnd};
use crate::engine::{Damage, child, disk};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use crate::sync::lock;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The only certificate authority of the network that processes trust. The server does not start without one, but it never
/// uses it. Its key was discarded.
const AUTHORITY: &str = include_str!("nobody.pem");

/// Namespaces that are loaded in parallel after a start.
const WARMERS: usize = 4;

/// A process as its supervisor sees it.
pub(super) struct ProcessJob {
    pub dir: PathBuf,
    pub pool: Arc<Pool>,
    pub common: Arc<Common>,
    role: Mutex<InstanceConfig>,
    /// The administration key of the start under way, or of the process that runs.
    key: Mutex<Option<Secret>>,
    /// How to reach the process, while it is ready.
    running: Mutex<Option<Admin>>,
    /// The last start led to a process that was ready.
    was_ready: AtomicBool,
    /// Namespaces that it was asked for since its start. Only these has it opened, and only these does a replica follow.
    pub requested: Mutex<NamespaceRequests>,
    /// Files that it is making namespaces of.
    pub importing: AtomicUsize,
    pub health: Health,
    pub crashes: Mutex<Crashes>,
}

impl ProcessJob {
    pub fn new(dir: &Path, common: Arc<Common>, pool: Arc<Pool>, role: InstanceConfig) -> Self {
        Self {
            dir: dir.to_owned(),
            pool,
            common,
            role: Mutex::new(role),
            key: Mutex::default(),
            running: Mutex::default(),
            was_ready: AtomicBool::new(true),
            requested: Mutex::default(),
            importing: AtomicUsize::new(0),
            health: Health::default(),
            crashes: Mutex::default(),
        }
    }

    pub fn role(&self) -> InstanceConfig {
        lock(&self.role).clone()
    }

    pub fn admin(&self) -> Option<Admin> {
        lock(&self.running).clone()
    }

    pub fn is_misdirected(&self) -> bool {
        lock(&self.pool.log_port).is_some_and(|port| port != self.role().ports.log)
    }

    /// Makes the process create a namespace, empty or from the file in its place, and load it. An existing one stays.
    pub fn make(&self, admin: &Admin, id: &str) -> Result<()> {
        let ends = lock(&self.requested).ends;
        self.importing.fetch_add(1, Ordering::SeqCst);
        let made = admin.create(id);
        self.importing.fetch_sub(1, Ordering::SeqCst);
        let was_there = made?;
        if !was_there {
            lock(&self.requested).note_made(ends, id);
        }
        Ok(())
    }

    /// Has the process open a namespace, and notes it.
    pub fn ask(&self, admin: &Admin, id: &str) -> Result<()> {
        let ends = lock(&self.requested).ends;
        admin.usage(id)?;
        lock(&self.requested).note(ends, id);
        Ok(())
    }

    fn keys_dir(&self) -> PathBuf {
        self.dir.join("keys")
    }

    /// There while the settings of namespaces have to be made again from the records.
    fn rebuild_mark(&self) -> PathBuf {
        self.dir.join("rebuild")
    }

    /// Chooses the ports for a start: those of the last one, unless another program has one of them. Stores them.
    fn choose_ports(&self) -> Result<InstanceConfig> {
        let mut role = lock(&self.role);
        let (place, before) = (role.role, role.ports);
        if place == ProcessRole::Replica {
            role.ports.log = lock(&self.pool.log_port).unwrap_or(role.ports.log);
        }
        for port in role.own_ports() {
            if !is_free(*port) {
                let taken = std::mem::replace(port, free_port()?);
                let dir = self.dir.display();
                tracing::warn!(%taken, now = %port, %dir, "another program has a port of a database process, which gets another one");
            }
        }
        if role.ports != before {
            write_role(&self.dir, &role)?;
        }
        if place == ProcessRole::Primary {
            *lock(&self.pool.log_port) = Some(role.ports.log);
        }
        Ok(role.clone())
    }

    /// Makes a replica's directory again that went with its disk, where the location is there: all that it had is copied. What a
    /// primary had is waited for.
    fn make_directory_again(&self, place: ProcessRole) -> Result<()> {
        let is_location_there = self.dir.parent().is_some_and(Path::is_dir);
        if place == ProcessRole::Primary || !is_location_there {
            return Err(Error::new(
                Code::Unavailable,
                format!("the directory {} is missing", self.dir.display()),
            )
            .hint("put its disk back"));
        }
        for part in [db_path(&self.dir), self.dir.join("tmp"), records_dir(&self.dir)] {
            disk::private_dir(&part)?;
        }
        write_role(&self.dir, &self.role())
    }

    /// Moves what would keep the process from starting out of its way. It is kept in `aside`.
    fn clear_the_way(&self, place: ProcessRole) -> Result<()> {
        let db_path = db_path(&self.dir);
        for path in files::obstacles(&db_path) {
            self.set_aside(&path)?;
        }
        let metastore = db_path.join("metastore");
        let is_sound = match files::has_database_header(&metastore.join("data")) {
            None => place == ProcessRole::Replica || acknowledged(&self.dir)?.is_empty(),
            Some(false) => false,
            // Opening it takes a process, so that is done where a start has failed.
            Some(true) if self.was_ready.load(Ordering::SeqCst) => true,
            Some(true) => child::is_sound(&self.common.sandbox, &metastore.join("data")),
        };
        if is_sound {
            return Ok(());
        }
        if place == ProcessRole::Primary {
            disk::private_file(&self.rebuild_mark())?;
            disk::sync_dir(&self.dir)?;
        }
        if metastore.exists() {
            self.set_aside(&metastore)?;
        }
        Ok(())
    }

    fn set_aside(&self, path: &Path) -> Result<()> {
        let aside = self.dir.join("aside");
        disk::private_dir(&aside)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let to = aside.join(format!("{name}-{}", jiff::Timestamp::now().as_millisecond()));
        disk::rename(path, &to)?;
        let (from, to) = (path.display(), to.display());
        tracing::warn!(%from, %to, "a file in the way of a database process was set aside");
        Ok(())
    }

    /// Makes the settings of namespaces again from the records.
    fn rebuild_settings(&self, admin: &Admin) -> Result<()> {
        for id in acknowledged(&self.dir)? {
            // Made without its file it would be served as an empty database.
            let data = files::database(&db_path(&self.dir), &id);
            if !std::fs::metadata(data).is_ok_and(|data| data.len() > 0) {
                continue;
            }
            self.make(admin, &id)?;
            if let Some(limits) = record(&self.dir, &id)? {
                admin.configure(&id, &limits, size_over_quota(&self.dir, &id)?)?;
            }
        }
        disk::remove(&self.rebuild_mark())
    }

    fn arguments(&self, role: &InstanceConfig, keys: &KeyFiles) -> Vec<OsString> {
        let local = |port: u16| format!("127.0.0.1:{port}");
        let mut args: Vec<OsString> = Vec::new();
        let mut add = |flag: &str, value: OsString| args.extend([flag.into(), value]);
        add("--db-path", db_path(&self.dir).into());
        add("--http-listen-addr", local(role.ports.http).into());
        add("--admin-listen-addr", local(role.ports.admin).into());
        let (address, prefix) = match role.role {
            ProcessRole::Primary => {
                add("--grpc-listen-addr", local(role.ports.log).into());
                ("--grpc-tls", "--grpc")
            }
            ProcessRole::Replica => {
                let url = format!("https://{}", local(role.ports.log));
                add("--primary-grpc-url", url.into());
                ("--primary-grpc-tls", "--primary-grpc")
            }
        };
        for (name, path) in [
            ("cert-file", &keys.certificate),
            ("key-file", &keys.key),
            ("ca-cert-file", &keys.authority),
        ] {
            add(&format!("{prefix}-{name}"), path.clone().into());
        }
        // If this is below the real number, namespaces are dropped and loaded again all the time.
        add("--max-active-namespaces", "100000".into());
        // For all namespaces together; the gateway limits each.
        add("--max-concurrent-connections", "1024".into());
        add("--max-concurrent-requests", "1024".into());
        add("--shutdown-timeout", "5".into());
        // A statement that needs more fails with SQLITE_NOMEM. The rest is for what is not SQLite's, and for fragmentation.
        let heap = (self.common.sandbox.memory / 3 * 2) >> 20;
        add("--hard-heap-limit-mb", heap.to_string().into());
        add("--soft-heap-limit-mb", (heap / 4 * 3).to_string().into());
        args.extend(
            [
                address,
                "--no-welcome",
                "--enable-namespaces",
                "--disable-default-namespace",
                "--disable-metrics",
            ]
            .map(Into::into),
        );
        args
    }

    /// The name of the control group of the process: no two processes have the same administration port.
    fn control_group_name(&self) -> String {
        format!("database-{}", self.role().ports.admin)
    }

    fn make_control_group(&self) -> Result<Option<PathBuf>> {
        let sandbox = &self.common.sandbox;
        let make = |groups: &ControlGroups| groups.make(&self.control_group_name(), sandbox.memory);
        sandbox.control_groups.as_ref().map(make).transpose()
    }

    /// Has a process that nobody uses yet open every database by itself, one after the other (see `crashes`). Returns whether
    /// it still runs.
    fn open_one_by_one(&self, admin: &Admin) -> bool {
        let place = self.role().role;
        let mut ids = acknowledged(&self.dir).unwrap_or_default();
        ids.retain(|id| self.health.damage(id).is_none());
        let ids = lock(&self.crashes).order(ids);
        let dir = self.dir.display();
        tracing::warn!(%dir, databases = ids.len(), "a database process has crashed repeatedly; its databases are opened one by one");
        for id in ids {
            lock(&self.crashes).begin_opening(&id);
            // What one answers does not matter here; it matters whether the process survives.
            let answer = self.ask(admin, &id);
            if answer.is_ok() && place == ProcessRole::Primary {
                let token = self.common.keys.token(&id, Access::ReadWrite, Duration::from_secs(60));
                let _ = token.and_then(|token| admin.commit_no_change(&host(&id), &token));
            }
            std::thread::sleep(DWELL);
            if !admin.healthy() {
                return false;
            }
            lock(&self.crashes).end_opening();
        }
        lock(&self.crashes).note_opened_all(Instant::now());
        true
    }

    /// What follows when a process has crashed while it opened a database. Returns what to say of its end.
    fn judge_opening(&self, opening: &FatalOpening) -> String {
        let (id, times, database) = (&opening.id, opening.times, self.common.names.name_of(&opening.id));
        let text = format!("while it opened database {database}");
        if !opening.is_proven() {
            return text;
        }
        lock(&self.crashes).forget(id);
        let (done, what) = match self.role().role {
            ProcessRole::Primary => {
                let damage = Damage::damaged(format!(
                    "ends its process whenever it is opened: {times} times in a row"
                ));
                (quarantine::note(&self.dir, id, &damage), "it is not served")
            }
            ProcessRole::Replica => (mark_for_copying(&self.dir, id), "it is copied again"),
        };
        let dir = self.dir.display();
        match done {
            Ok(()) => {
                tracing::error!(%database, %id, %dir, times, "a database ends its process whenever it is opened; {what}")
            }
            Err(error) => {
                tracing::error!(%database, %id, %dir, %error, "a database that ends its process cannot be set aside")
            }
        }
        format!("{text}, which is set aside")
    }

    /// Makes a replica follow those namespaces again that the process before it followed. The others are followed when they
    /// are used: one that is loaded takes memory and processor time at the primary and at each replica.
    fn follow_again(self: &Arc<Self>, admin: &Admin) {
        let former = std::mem::take(&mut lock(&self.requested).former);
        let ids: Vec<String> = former.into_iter().filter(|id| is_acknowledged(&self.dir, id)).collect();
        let waiting = Arc::new(Mutex::new(ids));
        for _ in 0..WARMERS {
            let waiting = Arc::clone(&waiting);
            let (server, admin) = (Arc::clone(self), admin.clone());
            // What cannot be loaded now is loaded on its next use; until then it does not count as fresh.
            let _ = std::thread::Builder::new().name("warm".to_owned()).spawn(move || {
                while let Some(id) = { lock(&waiting).pop() } {
                    match server.ask(&admin, &id) {
                        Err(error) if error.code() == Code::Timeout => return,
                        Ok(()) | Err(_) => {}
                    }
                }
            });
        }
    }
}

/// How many threads of a process converse; others run its SQL. With as many as there are processors, which is what it takes by
/// itself, they mostly wake each other: a point read took a fifth longer on two.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| (processors.get() / 2).max(1))
}

impl Job for Arc<ProcessJob> {
    fn prepare(&self) -> Result<Launch> {
        let held = self.dir.join("lock");
        confine::end_orphan(&held)?;
        let place = self.role().role;
        if role_of(&self.dir)?.is_none() {
            self.make_directory_again(place)?;
        }
        self.clear_the_way(place)?;
        self.was_ready.store(false, Ordering::SeqCst);
        self.health.examine(&self.common, &self.dir, place)?;
        let role = self.choose_ports()?;
        let authority = self.dir.join("authority.pem");
        // A loss of power may have left it empty; the program would never start.
        if !std::fs::read(&authority).is_ok_and(|found| found == AUTHORITY.as_bytes()) {
            disk::write_durably(&authority, AUTHORITY.as_bytes())?;
        }
        let key_files = self
            .pool
            .keys()
            .write_files(&self.keys_dir(), place == ProcessRole::Primary)?;
        let mut bounds = Bounds {
            lock: Some(held),
            read: vec![
                authority.clone(),
                key_files.authority.clone(),
                key_files.certificate.clone(),
                key_files.key.clone(),
            ],
            write: vec![db_path(&self.dir), self.dir.join("tmp")],
            listen: vec![role.ports.http, role.ports.admin],
            control_group: self.make_control_group()?,
            ..Bounds::default()
        };
        match place {
            ProcessRole::Primary => bounds.listen.push(role.ports.log),
            ProcessRole::Replica => bounds.connect.push(role.ports.log),
        }
        let key = keys::admin_key()?;
        let variables: [(&str, OsString); 8] = [
            ("LIBSQL_ADMIN_AUTH_KEY", key.expose().into()),
            ("SQLD_AUTH_JWT_KEY", self.common.accepted_keys().into()),
            ("RUST_LOG", "warn,sqld=info".into()),
            // Needed to parse a long chain of operators in one statement.
            ("RUST_MIN_STACK", "67108864".into()),
            ("TOKIO_WORKER_THREADS", workers().to_string().into()),
            ("SSL_CERT_FILE", authority.into()),
            ("SQLITE_TMPDIR", self.dir.join("tmp").into()),
            ("TMPDIR", self.dir.join("tmp").into()),
        ];
        *lock(&self.key) = Some(key);
        let program = Launch {
            program: self.common.sqld.clone(),
            args: self.arguments(&role, &key_files),
            environment: variables.map(|(name, value)| (name.into(), value)).to_vec(),
        };
        Ok(self.common.sandbox.launch(&bounds, program))
    }

    /// Only a process that listens on all of its ports itself is ready.
    fn is_ready(&self, pid: u32) -> bool {
        let role = self.role();
        let find = |port| Listener::of_process(pid, port);
        let Some(key) = lock(&self.key).clone() else {
            return false;
        };
        let (Some(listener), Some(sql)) = (find(role.ports.admin), find(role.ports.http)) else {
            return false;
        };
        let admin = Admin::new(listener, sql, key, self.common.names.clone());
        // A replica has read its keys before it answers, a primary perhaps not yet.
        let is_ready = admin.healthy()
            && match role.role {
                ProcessRole::Primary => find(role.ports.log).is_some_and(|log| self.pool.keys().is_primary(&log)),
                ProcessRole::Replica => true,
            };
        if is_ready {
            *lock(&self.running) = Some(admin);
        }
        is_ready
    }

    fn became_ready(&self) {
        self.was_ready.store(true, Ordering::SeqCst);
        // Read by now.
        if let Err(error) = KeyFiles::remove(&self.keys_dir()) {
            tracing::warn!(%error, "the keys of a database process cannot be removed");
        }
        let Some(admin) = self.admin() else { return };
        if lock(&self.crashes).is_suspicious(Instant::now()) && !self.open_one_by_one(&admin) {
            return;
        }
        match self.role().role {
            ProcessRole::Primary if self.rebuild_mark().exists() => {
                if let Err(error) = self.rebuild_settings(&admin) {
                    tracing::warn!(%error, dir = %self.dir.display(), "the settings of databases cannot be made again");
                }
            }
            ProcessRole::Primary => {}
            ProcessRole::Replica => self.follow_again(&admin),
        }
    }

    fn ended(&self, end: &ProgramEnd) -> Option<String> {
        let was_usable = lock(&self.running).take().is_some();
        let place = self.role().role;
        *lock(&self.key) = None;
        // They are written again before the next start, and of no use after this run of torso.
        let _ = KeyFiles::remove(&self.keys_dir());
        lock(&self.requested).ended(place);
        let _ = self.health.note_left(&self.dir, place, end);
        let fatal = lock(&self.crashes).note_end(end.crashed && was_usable, Instant::now());
        let groups = self.common.sandbox.control_groups.as_ref();
        if groups.is_some_and(|groups| groups.remove(&self.control_group_name())) {
            let most = self.common.sandbox.memory >> 20;
            return Some(format!("because it took more memory than it may, {most} MiB"));
        }
        fatal.map(|opening| self.judge_opening(&opening))
    }

    fn may_start_at_once(&self) -> Option<String> {
        // Between the choice of a port and its use another program may take it. The next start chooses another one.
        let mut role = self.role();
        let taken = role.own_ports().into_iter().find(|port| !is_free(**port));
        taken.map(|port| format!("another program has taken port {port} meanwhile"))
    }
}

//! One libSQL server process: its directory, role, ports and namespaces.
//!
//! ```text
//! <location>/<pool>/role.json      its role, epoch and ports, written before its first start
//! <location>/<pool>/lock           held by the process
//! <location>/<pool>/log, log.1     its output
//! <location>/<pool>/authority.pem  whom it trusts: nobody
//! <location>/<pool>/databases/<id> a namespace that was acknowledged, and what is enforced on it
//! <location>/<pool>/sqld/          the process's own files; all it may touch, with tmp/
//! ```

use super::admin::Admin;
use super::files;
use super::keys::Keys;
use crate::engine::confine::{self, Bounds};
use crate::engine::disk;
use crate::engine::process::{Job, Launch, Process};
use crate::engine::{Frame, Limits};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

/// How long a caller waits for a process to serve.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How long a replica may make no progress before a caller stops waiting for it.
const STALL: Duration = Duration::from_secs(30);

/// Below the ports that systems use for outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// The only certificate authority that processes trust. The server does not start without one, but it never uses it.
/// Its key was discarded.
const AUTHORITY: &str = include_str!("nobody.pem");

/// The suffix of a file under construction.
const UNFINISHED: &str = ".tmp";

/// Namespaces that are loaded in parallel after a start.
const WARMERS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Place {
    Primary,
    Replica,
}

/// The role of a directory. Written once; a change of roles is a new epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Role {
    pub role: Place,
    /// The number of changes of the primary.
    pub epoch: u64,
    /// The location of the primary.
    pub primary: String,
    /// The port of the primary's replication log.
    pub log_port: u16,
    /// The port that takes SQL, and the one for administration.
    pub http_port: u16,
    pub admin_port: u16,
}

/// What all processes of an engine have in common.
pub(super) struct Common {
    pub sqld: PathBuf,
    pub torso: PathBuf,
    pub keys: Keys,
    pub admin: Admin,
}

/// A supervised process.
pub(super) struct Node {
    pub role: Role,
    dir: PathBuf,
    common: Arc<Common>,
    asked: Arc<Mutex<Asked>>,
    process: Process,
}

/// The namespaces that a process was asked for since its start.
#[derive(Default)]
struct Asked {
    /// Counts the ends of processes.
    ends: u64,
    ids: HashSet<String>,
}

impl Asked {
    /// Notes what a process has answered to that was asked when so many had ended: another one knows nothing of it.
    fn note(&mut self, ends: u64, id: &str) {
        if self.ends == ends {
            self.ids.insert(id.to_owned());
        }
    }

    fn ended(&mut self) {
        self.ends += 1;
        self.ids.clear();
    }
}

/// Has a process open a namespace, and notes it.
fn ask(common: &Common, asked: &Mutex<Asked>, port: u16, id: &str) -> Result<()> {
    let ends = lock(asked).ends;
    common.admin.usage(port, id)?;
    lock(asked).note(ends, id);
    Ok(())
}

/// Whether an error means that the file, or its directory, does not exist.
fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// The directory of the process's own files.
pub(super) fn db_path(dir: &Path) -> PathBuf {
    dir.join("sqld")
}

fn records(dir: &Path) -> PathBuf {
    dir.join("databases")
}

/// The role of a directory; none if it has none.
pub(super) fn role_of(dir: &Path) -> Result<Option<Role>> {
    let path = dir.join("role.json");
    match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
            Error::new(Code::InvalidFile, format!("{} cannot be understood", path.display())).caused_by(error)
        }),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(Error::io(error, format!("cannot read {}", path.display()))),
    }
}

/// A new role with ports of its own. A replica is given its primary's location and log port.
pub(super) fn new_role(primary: &str, log_port: Option<u16>) -> Result<Role> {
    let mut ports = free_ports()?;
    let mut port = || {
        ports
            .pop()
            .ok_or_else(|| Error::new(Code::Unavailable, "no port is free"))
    };
    Ok(Role {
        role: if log_port.is_none() {
            Place::Primary
        } else {
            Place::Replica
        },
        epoch: 1,
        primary: primary.to_owned(),
        log_port: log_port.map_or_else(&mut port, Ok)?,
        http_port: port()?,
        admin_port: port()?,
    })
}

/// Three ports that nobody listens on, and that this function has not returned before.
fn free_ports() -> Result<Vec<u16>> {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut given = lock(&GIVEN);
    let mut ports = Vec::new();
    for _ in 0..1000 {
        let port = fastrand::u16(PORTS);
        if !given.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            given.push(port);
            ports.push(port);
        }
        if ports.len() == 3 {
            return Ok(ports);
        }
    }
    Err(Error::new(
        Code::Unavailable,
        format!("no port is free between {} and {}", PORTS.start, PORTS.end),
    ))
}

/// Writes a file atomically.
fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let unfinished = disk::with_suffix(path, UNFINISHED);
    let text = serde_json::to_vec(value)
        .map_err(|error| Error::new(Code::Internal, "cannot write a file of the engine").caused_by(error))?;
    let mut file = disk::private_file(&unfinished)?;
    file.set_len(0)
        .and_then(|()| file.write_all(&text))
        .and_then(|()| file.sync_all())
        .map_err(|error| Error::io(error, format!("cannot write {}", unfinished.display())))?;
    disk::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), disk::sync_dir)
}

/// The record of an acknowledged namespace; none if it was not acknowledged.
pub(super) fn record(dir: &Path, id: &str) -> Result<Option<Limits>> {
    let path = records(dir).join(id);
    match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
            Error::new(Code::InvalidFile, format!("{} cannot be understood", path.display())).caused_by(error)
        }),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(Error::io(error, format!("cannot read {}", path.display()))),
    }
}

pub(super) fn acknowledge(dir: &Path, id: &str, limits: &Limits) -> Result<()> {
    disk::private_dir(&records(dir))?;
    write(&records(dir).join(id), limits)
}

pub(super) fn forget(dir: &Path, id: &str) -> Result<()> {
    disk::remove(&records(dir).join(id))?;
    if records(dir).is_dir() {
        disk::sync_dir(&records(dir))
    } else {
        Ok(())
    }
}

/// The namespaces that were acknowledged.
pub(super) fn acknowledged(dir: &Path) -> Result<Vec<String>> {
    let mut ids = files::names(&records(dir))?;
    ids.retain(|id| !id.ends_with(UNFINISHED));
    Ok(ids)
}

/// Unfinished records, left by killed processes.
pub(super) fn unfinished(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut names = files::names(&records(dir))?;
    names.retain(|name| name.ends_with(UNFINISHED));
    Ok(names.iter().map(|name| records(dir).join(name)).collect())
}

/// Marks a replica's namespace: before the next start of its process, the namespace's files are removed, so that it is
/// copied anew.
pub(super) fn copy_anew(dir: &Path, id: &str) -> Result<()> {
    disk::private_dir(&anew(dir))?;
    disk::private_file(&anew(dir).join(id)).map(drop)
}

fn anew(dir: &Path) -> PathBuf {
    dir.join("anew")
}

/// Removes the files of marked namespaces. The process must not be running.
fn remove_marked(dir: &Path) -> Result<()> {
    for id in files::names(&anew(dir))? {
        files::remove_tree(&files::namespace(&db_path(dir), &id))?;
        disk::remove(&anew(dir).join(id))?;
    }
    Ok(())
}

impl Node {
    /// Starts a process over a directory, which is made if it is new. The process may not serve yet.
    pub fn start(common: &Arc<Common>, dir: &Path, name: String, role: Role) -> Result<Self> {
        for part in [db_path(dir), dir.join("tmp"), records(dir)] {
            disk::private_dir(&part)?;
        }
        match role_of(dir)? {
            Some(written) if written == role => {}
            Some(_) => {
                return Err(Error::new(
                    Code::Conflict,
                    format!("{} has another role than is wanted of it", dir.display()),
                ));
            }
            None => write(&dir.join("role.json"), &role)?,
        }
        let asked = Arc::<Mutex<Asked>>::default();
        let job = Server {
            dir: dir.to_owned(),
            role: role.clone(),
            common: Arc::clone(common),
            asked: Arc::clone(&asked),
        };
        let process = Process::start(name, dir.join("log"), job)?;
        Ok(Self {
            role,
            dir: dir.to_owned(),
            common: Arc::clone(common),
            asked,
            process,
        })
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn wait_ready(&self) -> Result<()> {
        self.process.wait_ready(START_PATIENCE)
    }

    /// Whether the process was asked for a namespace since its start. If not, a replica does not follow it, a primary
    /// has not opened its log, and the position has no meaning.
    pub fn was_asked(&self, id: &str) -> bool {
        lock(&self.asked).ids.contains(id)
    }

    /// Makes the process create a namespace, empty or from the file in its place, and load it. An existing one stays.
    pub fn make(&self, id: &str) -> Result<()> {
        let ends = lock(&self.asked).ends;
        let was_there = self.common.admin.create(self.role.admin_port, id)?;
        if !was_there {
            lock(&self.asked).note(ends, id);
        }
        Ok(())
    }

    /// Makes the process load a namespace.
    fn ask(&self, id: &str) -> Result<()> {
        ask(&self.common, &self.asked, self.role.admin_port, id)
    }

    /// The last frame of a namespace's log; none while that is not known.
    pub fn frame(&self, id: &str) -> Option<Frame> {
        files::position(self.role.role, &db_path(&self.dir), id).frame
    }

    /// When that was last written; none if there is no log yet.
    pub fn frame_changed(&self, id: &str) -> Option<SystemTime> {
        files::log_changed(self.role.role, &db_path(&self.dir), id)
    }

    /// Bytes of a namespace's database and of its write-ahead log.
    pub fn bytes(&self, id: &str) -> u64 {
        let database = files::database(&db_path(&self.dir), id);
        [database.clone(), disk::with_suffix(&database, "-wal")]
            .iter()
            .filter_map(|path| std::fs::metadata(path).ok())
            .map(|metadata| metadata.len())
            .sum()
    }

    /// Makes a replica follow a namespace, and waits until it has everything that its primary has now.
    pub fn follow(&self, id: &str, primary: &Self) -> Result<()> {
        if !primary.was_asked(id) || primary.frame(id).is_none() {
            primary.ask(id)?;
        }
        let Some(mut target) = primary.frame(id) else {
            return Err(Error::new(
                Code::Unavailable,
                format!("the log of database {id} at its primary cannot be read"),
            ));
        };
        self.ask(id)?;
        let mut last = None;
        let mut moved = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            let now = self.frame(id);
            if now.is_some_and(|now| has_reached(now, target)) {
                return Ok(());
            }
            target = aim(target, primary.frame(id));
            if now != last {
                last = now;
                moved = Instant::now();
            } else if moved.elapsed() > STALL {
                return Err(Error::new(
                    Code::Timeout,
                    format!("the replica of database {id} does not come nearer to its primary"),
                )
                .hint("torso doctor says what is known about it"));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// Notes that a namespace is being removed.
    pub fn note_gone(&self, id: &str) {
        lock(&self.asked).ids.remove(id);
    }
}

/// Whether a replica has reached a frame of its primary's log.
fn has_reached(now: Frame, target: Frame) -> bool {
    now == target || (now.log == target.log && now.count > target.count)
}

/// The frame that a replica must reach, given the primary's present one. A primary that was killed begins a new log,
/// and frames of the old one are never reached; but all of its content is in the new one.
fn aim(target: Frame, primary: Option<Frame>) -> Frame {
    primary.filter(|now| now.log != target.log).unwrap_or(target)
}

/// The process as its supervisor sees it.
struct Server {
    dir: PathBuf,
    role: Role,
    common: Arc<Common>,
    /// Namespaces that it was asked for since its start. A replica follows only these.
    asked: Arc<Mutex<Asked>>,
}

impl Server {
    fn arguments(&self) -> Vec<OsString> {
        let local = |port: u16| format!("127.0.0.1:{port}");
        let mut args: Vec<OsString> = Vec::new();
        let mut add = |flag: &str, value: OsString| args.extend([flag.into(), value]);
        add("--db-path", db_path(&self.dir).into());
        add("--http-listen-addr", local(self.role.http_port).into());
        add("--admin-listen-addr", local(self.role.admin_port).into());
        match self.role.role {
            Place::Primary => add("--grpc-listen-addr", local(self.role.log_port).into()),
            Place::Replica => add(
                "--primary-grpc-url",
                format!("http://{}", local(self.role.log_port)).into(),
            ),
        }
        // If this is below the real number, namespaces are dropped and loaded again all the time.
        add("--max-active-namespaces", "100000".into());
        // For all namespaces together; the gateway limits each.
        add("--max-concurrent-connections", "1024".into());
        add("--max-concurrent-requests", "1024".into());
        add("--shutdown-timeout", "5".into());
        args.extend(
            [
                "--no-welcome",
                "--enable-namespaces",
                "--disable-default-namespace",
                "--disable-metrics",
            ]
            .map(Into::into),
        );
        args
    }
}

/// How many threads of a process converse; others run its SQL. With as many as there are processors, which is what it takes by
/// itself, they mostly wake each other: a point read took a fifth longer on two.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| (processors.get() / 2).max(1))
}

impl Job for Server {
    fn prepare(&self) -> Result<Launch> {
        let held = self.dir.join("lock");
        confine::end_orphan(&held)?;
        if self.role.role == Place::Replica {
            remove_marked(&self.dir)?;
        }
        files::prepare(self.role.role, &db_path(&self.dir))?;
        let authority = self.dir.join("authority.pem");
        if !authority.exists() {
            let written = disk::private_file(&authority)?.write_all(AUTHORITY.as_bytes());
            written.map_err(|error| Error::io(error, format!("cannot write {}", authority.display())))?;
        }
        let mut bounds = Bounds {
            lock: Some(held),
            read: vec![authority.clone()],
            write: vec![db_path(&self.dir), self.dir.join("tmp")],
            listen: vec![self.role.http_port, self.role.admin_port],
            ..Bounds::default()
        };
        match self.role.role {
            Place::Primary => bounds.listen.push(self.role.log_port),
            Place::Replica => bounds.connect.push(self.role.log_port),
        }
        for port in &bounds.listen {
            // The server's own message does not say which port is taken.
            TcpListener::bind((Ipv4Addr::LOCALHOST, *port))
                .map_err(|error| Error::io(error, format!("cannot listen on port {port} of 127.0.0.1")))?;
        }
        let variables: [(&str, OsString); 8] = [
            ("LIBSQL_ADMIN_AUTH_KEY", self.common.keys.admin.expose().into()),
            ("SQLD_AUTH_JWT_KEY", self.common.keys.public().into()),
            ("RUST_LOG", "warn,sqld=info".into()),
            // Needed to parse a long chain of operators in one statement.
            ("RUST_MIN_STACK", "67108864".into()),
            ("TOKIO_WORKER_THREADS", workers().to_string().into()),
            ("SSL_CERT_FILE", authority.into()),
            ("SQLITE_TMPDIR", self.dir.join("tmp").into()),
            ("TMPDIR", self.dir.join("tmp").into()),
        ];
        let program = Launch {
            program: self.common.sqld.clone(),
            args: self.arguments(),
            environment: variables.map(|(name, value)| (name.into(), value)).to_vec(),
        };
        Ok(confine::launch(&self.common.torso, &bounds, program))
    }

    fn is_ready(&self) -> bool {
        self.common.admin.healthy(self.role.http_port)
    }

    /// Makes a replica follow all of its namespaces again: it forgets them when it ends.
    fn became_ready(&self) {
        if self.role.role == Place::Primary {
            return;
        }
        let Ok(ids) = acknowledged(&self.dir) else { return };
        let waiting = Arc::new(Mutex::new(ids));
        for _ in 0..WARMERS {
            let waiting = Arc::clone(&waiting);
            let common = Arc::clone(&self.common);
            let asked = Arc::clone(&self.asked);
            let port = self.role.admin_port;
            // What cannot be loaded now is loaded on its next use; until then it does not count as fresh.
            let _ = std::thread::Builder::new().name("warm".to_owned()).spawn(move || {
                while let Some(id) = { lock(&waiting).pop() } {
                    match ask(&common, &asked, port, &id) {
                        Err(error) if error.code() == Code::Timeout => return,
                        Ok(()) | Err(_) => {}
                    }
                }
            });
        }
    }

    fn ended(&self) {
        lock(&self.asked).ended();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_process_was_asked_for_the_next_one_was_not() {
        let mut asked = Asked::default();
        let ends = asked.ends;
        asked.note(ends, "a");
        assert!(asked.ids.contains("a"));
        asked.ended();
        // An answer that came late.
        asked.note(ends, "b");
        assert!(asked.ids.is_empty());
        asked.note(asked.ends, "b");
        assert!(asked.ids.contains("b"));
    }

    #[test]
    fn a_replica_follows_into_the_log_that_takes_the_place_of_another() {
        let frame = |log, count| Frame { log, count };
        let target = frame(1, 10);
        // More in the same log is not waited for, and what cannot be read changes nothing.
        assert_eq!(aim(target, Some(frame(1, 12))), target);
        assert_eq!(aim(target, None), target);
        assert!(has_reached(frame(1, 11), target));
        assert!(!has_reached(frame(1, 9), target));
        // However far the replica comes in the new log, it has not reached the old one's end.
        assert!(!has_reached(frame(2, 99), target));
        let anew = aim(target, Some(frame(2, 3)));
        assert_eq!(anew, frame(2, 3));
        assert!(has_reached(frame(2, 99), anew));
    }
}

//! `torso server` as a process: what it must withstand, and what operators are told to do with it.

mod calls;
mod clients;
mod damage;
mod dumps;
mod faults;
mod hard_times;
mod moves;
mod nodes;
mod operate;
mod processes;
mod proxies;
mod replacement;
mod shell;
mod uploads;
mod vectors;
mod verification;

use crate::support::World;
use crate::support::hrana;
use crate::support::server::Server;
use crate::support::sqld::free_port;
use nix::sys::signal::Signal;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lines of a process's log that a message has.
const TAIL: usize = 40;

/// A server that can be ended and started again, on one port and over one directory.
struct Deployment {
    world: World,
    server: Option<Server>,
    /// The owner's.
    token: String,
    args: Vec<String>,
}

impl Deployment {
    /// With the locations `ams`, `lhr` and `iad`, and the owner `alice`.
    fn new() -> Self {
        Self::of(World::new())
    }

    /// The same in a world that is there already.
    fn of(world: World) -> Self {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let args = ["--listen", &listen, "--locations", "ams,lhr,iad", "--owner", "alice"].map(str::to_owned);
        let mut deployment = Self {
            world,
            server: None,
            token: String::new(),
            args: args.to_vec(),
        };
        deployment.start();
        deployment.token = deployment.server().token.clone();
        deployment
    }

    fn start(&mut self) {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let mut server = Server::start(&self.world, &args);
        // Told at the first start only.
        if server.token.is_empty() {
            server.token.clone_from(&self.token);
        }
        self.server = Some(server);
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Ends it by a signal: its exit code, and how long it took.
    fn end(&mut self, signal: Signal) -> (Option<i32>, Duration) {
        self.server.take().unwrap().end(signal)
    }

    /// What the server tells Prometheus.
    fn metrics(&self) -> String {
        let url = format!("{}metrics", self.server().url());
        let answer = Server::client().get(url).bearer_auth(&self.token).send();
        answer.and_then(reqwest::blocking::Response::text).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.world.data_dir().join("server")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.world.work().join("server.log")).unwrap_or_default()
    }

    /// A request of the owner's that must succeed.
    #[track_caller]
    fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        self.server().ok(method, path, body)
    }

    /// Has the program use the server.
    fn log_in(&self) {
        self.world.write("token", &self.token);
        let url = self.server().url();
        self.world
            .ok(["context", "add", "there", "--url", url, "--token-file", "token"]);
        self.world.ok(["context", "use", "there"]);
    }

    /// Sends a dump; its id, and the body of a request for a database of it.
    fn send_dump(&self, name: &str, dump: &str) -> (String, Value) {
        let sent = Server::client()
            .post(format!("{}v1/databases/dumps", self.server().url()))
            .bearer_auth(&self.token)
            .body(dump.to_owned())
            .send()
            .unwrap();
        let sent: Value = sent.json().unwrap();
        let seed = json!({ "type": "dump", "url": sent["dump_url"] });
        let id = sent["upload"].as_str().unwrap().to_owned();
        (id, json!({ "name": name, "seed": seed }))
    }

    /// What is on disk of every replica and primary, for a message: the id of its log, its last frame, when that changed, and
    /// the last lines of its process's log.
    fn replication(&self) -> String {
        let dirs = |path: PathBuf| {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect::<Vec<_>>()
        };
        let mut text = String::new();
        for location in dirs(self.data().join("organizations"))
            .into_iter()
            .flat_map(|organization| dirs(organization.join("locations")))
        {
            for pool in dirs(location.clone()) {
                let _ = writeln!(text, "== {}", pool.display());
                for database in dirs(pool.join("sqld").join("dbs")) {
                    for (file, is_primary) in [("wallog", true), ("client_wal_index", false)] {
                        if let Ok(bytes) = std::fs::read(database.join(file)) {
                            let number = |at: usize| {
                                let bytes = bytes.get(at..at + 8)?;
                                Some(u64::from_le_bytes(bytes.try_into().unwrap()))
                            };
                            let changed = std::fs::metadata(database.join(file)).and_then(|file| file.modified());
                            let ago = changed.ok().and_then(|at| at.elapsed().ok());
                            let at = if is_primary { 16 } else { 0 };
                            let (log, rest) = ((number(at), number(at + 8)), (number(at + 16), number(at + 24)));
                            let _ = writeln!(text, "{file}: log {log:x?}, {rest:?}, changed {ago:?} ago");
                        }
                    }
                }
                let log = std::fs::read_to_string(pool.join("log")).unwrap_or_default();
                let lines: Vec<_> = log.lines().collect();
                let _ = writeln!(text, "{}", lines[lines.len().saturating_sub(TAIL)..].join("\n"));
            }
        }
        text
    }

    /// A new database with replicas in every location, and a token for it.
    fn database(&self, name: &str) -> Database {
        for location in ["lhr", "iad"] {
            self.ok("POST", &format!("/v1/groups/default/locations/{location}"), None);
        }
        let new = json!({ "name": name, "group": "default" });
        self.ok("POST", "/v1/databases", Some(new));
        let minted = self.ok("POST", &format!("/v1/databases/{name}/auth/tokens"), None);
        Database {
            url: format!("{}db/{name}-alice", self.server().url()),
            token: minted["jwt"].as_str().unwrap().to_owned(),
            client: Server::client(),
        }
    }

    /// The directories of a location, one for each organization.
    fn location_dirs(&self, location: &str) -> Vec<PathBuf> {
        let organizations = std::fs::read_dir(self.data().join("organizations")).unwrap();
        let dirs = organizations.map(|entry| entry.unwrap().path().join("locations").join(location));
        dirs.filter(|dir| dir.is_dir()).collect()
    }

    /// The directories of a location's processes.
    fn pools_in(&self, location: &str) -> Vec<PathBuf> {
        let dirs = self.location_dirs(location).into_iter();
        let entries = dirs.filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
        let pools = entries.map(|entry| entry.path());
        pools.filter(|pool| pool.join("role.json").exists()).collect()
    }

    /// The libSQL server process over a directory, where there is one now.
    fn process_over(&self, pool: &Path) -> Option<i32> {
        let text = std::fs::read_to_string(pool.join("lock")).ok()?;
        let pid: i32 = text.split_ascii_whitespace().next()?.parse().ok()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        (pid > 1 && !status.rsplit_once(')')?.1.trim_start().starts_with('Z')).then_some(pid)
    }

    /// All of them in a location.
    fn processes_in(&self, location: &str) -> Vec<i32> {
        let pools = self.pools_in(location);
        pools.iter().filter_map(|pool| self.process_over(pool)).collect()
    }

    /// The first of them.
    fn process_in(&self, location: &str) -> Option<i32> {
        self.processes_in(location).first().copied()
    }
}

/// A database as an application reaches it.
#[derive(Clone)]
struct Database {
    url: String,
    token: String,
    client: Client,
}

impl Database {
    /// The same database at the replica in a location.
    fn at(&self, location: &str) -> Self {
        Self {
            url: format!("{}--{location}", self.url),
            ..self.clone()
        }
    }

    /// Runs statements on one stream: the rows of the last one, or why not.
    fn sql(&self, statements: &[&str]) -> Result<Vec<Value>, String> {
        let request = self
            .client
            .post(format!("{}/v2/pipeline", self.url))
            .bearer_auth(&self.token)
            .timeout(Duration::from_secs(20));
        hrana::execute(request, statements)
    }

    /// The one value that a query answers, as text.
    fn value(&self, sql: &str) -> Result<String, String> {
        let rows = self.sql(&[sql])?;
        Ok(match &rows[0][0]["value"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }
}

/// The number in an environment variable.
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

fn signal(pid: i32, signal: Signal) {
    assert!(pid > 1);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}

/// Asks again and again until the answer is what is wanted, or too much time has gone by.
#[track_caller]
fn until<T: std::fmt::Debug>(what: &str, ask: impl FnMut() -> T, wanted: impl Fn(&T) -> bool) -> Waited<T> {
    until_or(what, ask, wanted, |answer| format!("{answer:?}"))
}

/// The same, with a message of its own about the last answer.
#[track_caller]
fn until_or<T>(
    what: &str,
    mut ask: impl FnMut() -> T,
    wanted: impl Fn(&T) -> bool,
    tell: impl Fn(&T) -> String,
) -> Waited<T> {
    let begun = Instant::now();
    loop {
        let answer = ask();
        if wanted(&answer) {
            return Waited(answer);
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "{what}: the last answer was {}",
            tell(&answer)
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What was waited for; of use or not.
struct Waited<T>(T);

//! Machines with torso on them: a server and locations, in namespaces of their own.

use crate::support::crate_root;
use crate::support::machines::{Machine, MachineNetwork};
use crate::support::sqld::program;
use crate::support::world::{TORSO, World};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine with what is installed and stored on it.
pub struct Site {
    pub machine: Machine,
    pub world: World,
    process: Option<Child>,
}

impl Site {
    /// As many machines on a network.
    pub fn several<const N: usize>(network: &mut MachineNetwork) -> [Self; N] {
        std::array::from_fn(|_| Self::new(network))
    }

    fn new(network: &mut MachineNetwork) -> Self {
        let mut world = World::new();
        let folder = Path::new(TORSO).parent().unwrap().display();
        world.set("PATH", format!("{folder}:/usr/local/bin:/usr/bin:/bin"));
        world.set("TORSO_SQLD", program());
        Self {
            machine: network.add_machine(),
            world,
            process: None,
        }
    }

    /// Types a command that goes on; returns the first line that it prints.
    pub fn start(&mut self, line: &str) -> String {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.world.work().join("log"))
            .unwrap();
        let mut command = self.world.command("/bin/sh");
        command.args(["-c", line]).stdout(Stdio::piped()).stderr(log);
        let mut process = self.machine.run(|| command.spawn().unwrap());
        let mut first = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut first)
            .unwrap();
        assert!(!first.is_empty(), "{line} does not start:\n{}", self.log());
        self.process = Some(process);
        first
    }

    /// Kills what goes on here, which takes its own processes along.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        // A node that has joined is the last of a pipe, whose shell was the process.
        let holder = std::fs::read_to_string(self.world.data_dir().join("node/node.lock")).unwrap_or_default();
        let Some(pid) = holder.split(' ').next().and_then(|pid| pid.trim().parse::<i32>().ok()) else {
            return;
        };
        let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        if program.to_string_lossy().starts_with(TORSO) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            let gone = || !Path::new(&format!("/proc/{pid}/exe")).exists();
            wait_for("node has ended", gone, String::new);
        }
    }

    /// The machine loses its power: no packet says so, and nothing of what runs is left.
    pub fn lose_power(&mut self) {
        self.machine.cut_link();
        self.kill();
        self.machine.remove();
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.world.work().join("log")).unwrap_or_default()
    }

    /// Runs torso here.
    #[allow(clippy::print_stdout)] // for whoever has to find out why it failed
    pub fn torso(&self, arguments: &[&str]) -> String {
        let run = self.machine.run(|| self.world.torso(arguments));
        if !run.status.success() {
            println!("{}", self.log());
        }
        run.success().stdout
    }

    /// Rows of the only database that the files of this machine's replicas have; none while there is none.
    pub fn rows(&self) -> Option<i64> {
        let pools = entries(&self.world.data_dir().join("node/replicas"));
        let databases = pools.iter().flat_map(|pool| entries(&pool.join("sqld/dbs")));
        let count = |database: PathBuf| {
            let file = rusqlite::Connection::open(database.join("data")).ok()?;
            file.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).ok()
        };
        databases.filter_map(count).next()
    }

    #[track_caller]
    pub fn wait_rows(&self, what: &str, rows: i64) {
        wait_for(
            what,
            || self.rows() == Some(rows),
            || format!("{:?}\n{}", self.rows(), self.log()),
        );
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.kill();
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Waits until something is so, and prints how long that took.
#[track_caller]
#[allow(clippy::print_stdout)] // for whoever wants to see the figures
pub fn wait_for(what: &str, mut is_so: impl FnMut() -> bool, report: impl FnOnce() -> String) {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > PATIENCE {
            panic!("{what}: not within {PATIENCE:?}: {}", report());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("{what}: {} ms", start.elapsed().as_millis());
}

/// The commands of `docs/machines.md`, block by block.
pub fn blocks() -> Vec<String> {
    let page = std::fs::read_to_string(crate_root().join("docs/machines.md")).unwrap();
    let blocks = page.split("```sh\n").skip(1);
    blocks
        .map(|block| {
            block
                .split("```")
                .next()
                .unwrap()
                .replace("\\\n", " ")
                .trim()
                .to_owned()
        })
        .collect()
}

/// Starts the server with the words of the page's first block. Its names and its certificate are not those of the page: its only
/// client is on its own machine.
pub fn start_server(site: &mut Site, block: &str) -> Value {
    let line = block
        .replace("--domain db.example.com", "--listen 127.0.0.1:8080")
        .replace("--tls-cert cert.pem", "")
        .replace("--tls-key key.pem", "")
        .replace("db.example.com", &site.machine.address().to_string())
        .replacen("torso server", "exec torso --output jsonl server", 1);
    let started = site.start(&line);
    serde_json::from_str(&started).unwrap_or_else(|error| panic!("{error}: {started}\n{}", site.log()))
}

/// The state of a location's machine, as the server sees it.
pub fn state(server: &Site, location: &str) -> Value {
    let locations: Value = serde_json::from_str(&server.torso(&["location", "list", "--json"])).unwrap();
    let mut all = locations.as_array().unwrap().iter();
    all.find(|one| one["code"] == location)
        .map_or(Value::Null, |one| one["node"]["state"].clone())
}

pub fn write(server: &Site) {
    server.torso(&["db", "shell", "app", "insert into t values (1)"]);
}

/// Starts a server as the page says, for whose commands its own machine is set up.
pub fn open_server(site: &mut Site, block: &str) {
    let started = start_server(site, block);
    site.world.write("token", started["token"].as_str().unwrap());
    let url = started["url"].as_str().unwrap();
    site.torso(&["context", "add", "there", "--url", url, "--token-file", "token"]);
    site.torso(&["context", "use", "there"]);
}

/// Has a machine join as a location, with the commands of the page.
pub fn join(server: &Site, site: &mut Site, location: &str, invite: &str, join: &str) {
    let invite = invite.replace("lhr", location) + " --json";
    let words: Vec<&str> = invite.split_whitespace().skip(1).collect();
    let invitation: Value = serde_json::from_str(&server.torso(&words)).unwrap();
    let command = invitation["command"].as_str().unwrap();
    let address = server.machine.address().to_string();
    let on_the_page = join.replace("db.example.com", &address);
    assert_eq!(
        command.replace(invitation["token"].as_str().unwrap(), "TOKEN"),
        on_the_page
    );
    // The node is the last of the pipe; it is stopped and started again as itself.
    site.start(command);
    wait_for(
        "machine is connected",
        || state(server, location) == "connected",
        || site.log(),
    );
}

/// Types the lines of a block.
pub fn type_block(server: &Site, block: &str) {
    for line in block.lines() {
        server.torso(&line.split_whitespace().skip(1).collect::<Vec<_>>());
    }
}

/// Whether a row was written.
pub fn try_write(server: &Site) -> bool {
    let insert = ["db", "shell", "app", "insert into t values (1)"];
    server.machine.run(|| server.world.torso(insert)).status.success()
}

//! Locations on other machines. The other machines are processes with directories of their own here.

use super::{Database, Deployment, PATIENCE, until, until_or};
use crate::support::sqld::{free_port, program};
use crate::support::{World, golden};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::Instant;
use torso::link::{self, LinkClient, NodeIdentity, StreamPurpose, StreamTarget};
use torso::secret::Secret;

/// A machine that is to be a location.
struct Machine {
    world: World,
    process: Option<Child>,
    /// What it has said of itself when it had started.
    started: Value,
}

impl Machine {
    fn new() -> Self {
        Self {
            world: World::new(),
            process: None,
            started: Value::Null,
        }
    }

    fn data(&self) -> PathBuf {
        self.world.work().join("node")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.world.work().join("node.log")).unwrap_or_default()
    }

    /// Starts it; with an invitation it joins.
    fn start(&mut self, invitation: Option<&Value>) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.world.work().join("node.log"))
            .unwrap();
        let mut command = self.world.torso_command(["--output", "jsonl", "node", "--data"]);
        command.arg(self.data()).arg("--sqld").arg(program());
        if let Some(invitation) = invitation {
            let server = invitation["server"].as_str().unwrap();
            command.args(["--join", server, "--advertise", "127.0.0.1", "--token-stdin"]);
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut stdin = process.stdin.take().unwrap();
        if let Some(invitation) = invitation {
            stdin
                .write_all(invitation["token"].as_str().unwrap().as_bytes())
                .unwrap();
        }
        drop(stdin);
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        // None of one that was refused.
        self.started = serde_json::from_str(&line).unwrap_or_default();
        self.process = Some(process);
    }

    /// Waits until it has ended by itself.
    fn ended(&mut self) -> ExitStatus {
        let mut process = self.process.take().unwrap();
        let begun = Instant::now();
        loop {
            if let Some(status) = process.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end:\n{}", self.log());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: Signal) {
        super::signal(i32::try_from(self.process.as_ref().unwrap().id()).unwrap(), signal);
    }

    /// The rows of `t` in the only database that its files have; none while that cannot be read.
    fn rows(&self) -> Option<i64> {
        let pools = entries(&self.data().join("replicas"));
        let databases = pools.iter().flat_map(|pool| entries(&pool.join("sqld/dbs")));
        let count = |database: PathBuf| {
            let file = rusqlite::Connection::open(database.join("data")).ok()?;
            file.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).ok()
        };
        databases.filter_map(count).next()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// A server that listens for machines, and a database of it with three rows.
fn server() -> (Deployment, Database) {
    let mut server = Deployment::new();
    let listen = format!("127.0.0.1:{}", free_port());
    server.end(Signal::SIGTERM);
    server.args.extend(["--node-listen".to_owned(), listen]);
    server.start();
    server.server().wait_ready();
    let database = server.database("app");
    database
        .sql(&["CREATE TABLE t(x)", "INSERT INTO t VALUES (1), (2), (3)"])
        .unwrap();
    (server, database)
}

fn invite(server: &Deployment, location: &str) -> Value {
    server.ok("POST", &format!("/v1/server/nodes/{location}"), None)["invitation"].clone()
}

/// The state of the machine of a location.
fn state(server: &Deployment, location: &str) -> String {
    state_in(
        &server.ok("GET", "/v1/server/nodes", None)["nodes"],
        "location",
        location,
    )
}

/// The state of the only database's instance at a location.
fn instance(server: &Deployment, location: &str) -> String {
    let answer = server.ok("GET", "/v1/databases/app/instances", None);
    state_in(&answer["instances"], "name", location)
}

/// The state of what in a list is called so by a member; nothing if there is none.
fn state_in(list: &Value, member: &str, called: &str) -> String {
    let all = list.as_array().unwrap().iter();
    let mut states = all.filter(|one| one[member] == called).map(|one| &one["state"]);
    states
        .next()
        .map_or_else(String::new, |state| state.as_str().unwrap().to_owned())
}

/// What `torso doctor` says of the server.
fn findings(server: &Deployment) -> String {
    server.ok("GET", "/v1/check", None).to_string()
}

fn await_instance(server: &Deployment, machine: &Machine, wanted: &str) {
    until_or(
        &format!("the replica is {wanted}"),
        || instance(server, "fra"),
        |state| state == wanted,
        |state| format!("{state}\n{}\n{}", machine.log(), server.log()),
    );
}

#[test]
fn node_joins_and_replicates_across_stops_of_both_sides() {
    let (mut server, database) = server();
    let invitation = invite(&server, "fra");
    assert_eq!(state(&server, "fra"), "waiting");
    let mut machine = Machine::new();
    machine.start(Some(&invitation));
    until_or(
        "the machine is connected",
        || state(&server, "fra"),
        |state| state == "connected",
        |state| format!("{state}\n{}\n{}", machine.log(), server.log()),
    );
    let mut document = machine.started.take();
    assert_eq!(document["server"], invitation["server"]);
    document["server"] = "[server]".into();
    golden::check(&machine.world, "node", document);
    server.ok("POST", "/v1/groups/default/locations/fra", None);
    await_instance(&server, &machine, "ready");
    until("its files have all rows", || machine.rows(), |rows| *rows == Some(3));
    // Writes go on reaching it.
    database.sql(&["INSERT INTO t VALUES (4)"]).unwrap();
    until("the row arrives", || machine.rows(), |rows| *rows == Some(4));
    // The server is started again: other ports, other keys.
    server.end(Signal::SIGTERM);
    server.start();
    server.server().wait_ready();
    until(
        "a row is written",
        || database.sql(&["INSERT INTO t VALUES (5)"]).map(drop),
        Result::is_ok,
    );
    until("the row arrives", || machine.rows(), |rows| *rows == Some(5));
    // The machine is stopped, and misses a row. What it knows of the wanted state is damaged meanwhile: it deletes nothing for that.
    machine.signal(Signal::SIGTERM);
    assert!(machine.ended().success(), "{}", machine.log());
    std::fs::write(machine.data().join("wanted.json"), "{").unwrap();
    until(
        "doctor says that it is away",
        || findings(&server),
        |findings| findings.contains("node_away"),
    );
    let metrics = server.metrics();
    assert!(
        metrics.contains("torso_node_connected{location=\"fra\"} 0"),
        "{metrics}"
    );
    database.sql(&["INSERT INTO t VALUES (6)"]).unwrap();
    machine.start(None);
    until_or(
        "the row arrives",
        || machine.rows(),
        |rows| *rows == Some(6),
        |rows| format!("{rows:?}\n{}\n{}", machine.log(), server.log()),
    );
    await_instance(&server, &machine, "ready");
    // What is not wanted any more goes.
    server.ok("DELETE", "/v1/groups/default/locations/fra", None);
    until(
        "its files are gone",
        || entries(&machine.data().join("replicas")),
        Vec::is_empty,
    );
    server.ok("DELETE", "/v1/server/nodes/fra", None);
    let refused = |log: &String| log.contains("this machine is not location fra any more");
    until("it is refused", || machine.log(), refused);
    assert!(refused(&server.log()), "{}", server.log());
}

#[test]
fn node_keeps_the_replicas_of_an_organization_whose_catalog_is_gone() {
    let (server, _database) = server();
    let mut machine = Machine::new();
    machine.start(Some(&invite(&server, "fra")));
    server.ok("POST", "/v1/groups/default/locations/fra", None);
    until("its files have all rows", || machine.rows(), |rows| *rows == Some(3));
    // A disk that is not there: the organization is known, and what it wants is not.
    let organization = entries(&server.data().join("organizations")).remove(0);
    let aside = server.data().join("aside");
    let applied = |machine: &Machine| machine.log().matches("applied what is wanted").count();
    let before = applied(&machine);
    std::fs::create_dir(&aside).unwrap();
    for file in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let _ = std::fs::rename(organization.join(file), aside.join(file));
    }
    // Any change has the catalogs be read again.
    invite(&server, "syd");
    until("it hears of that", || applied(&machine), |count| *count > before);
    assert_eq!(machine.rows(), Some(3), "{}", machine.log());
    let log = server.log();
    assert!(log.contains("has no catalog any more"), "{log}");
    // With the catalog, all is as before.
    for file in entries(&aside) {
        std::fs::rename(&file, organization.join(file.file_name().unwrap())).unwrap();
    }
    invite(&server, "nrt");
    server.ok("DELETE", "/v1/groups/default/locations/fra", None);
    until(
        "its files are gone",
        || entries(&machine.data().join("replicas")),
        Vec::is_empty,
    );
}

#[test]
fn node_files_become_databases_when_the_server_is_lost() {
    let (mut server, database) = server();
    let mut machine = Machine::new();
    machine.start(Some(&invite(&server, "fra")));
    server.ok("POST", "/v1/groups/default/locations/fra", None);
    until("its files have all rows", || machine.rows(), |rows| *rows == Some(3));
    database.sql(&["INSERT INTO t VALUES (4)"]).unwrap();
    until("the row arrives", || machine.rows(), |rows| *rows == Some(4));
    server.end(Signal::SIGKILL);
    machine.signal(Signal::SIGTERM);
    assert!(machine.ended().success(), "{}", machine.log());
    let pools = entries(&machine.data().join("replicas"));
    let files: Vec<_> = pools.iter().flat_map(|pool| entries(&pool.join("sqld/dbs"))).collect();
    let [files] = files.as_slice() else { panic!("{files:?}") };
    let wanted = std::fs::read_to_string(machine.data().join("wanted.json")).unwrap();
    let id = files.file_name().unwrap().to_str().unwrap();
    assert!(wanted.contains(id) && wanted.contains("\"app\""));
    let file = files.join("data");
    machine
        .world
        .ok(["db", "create", "app", "--from-file", file.to_str().unwrap()]);
    let rows = machine
        .world
        .ok(["db", "shell", "app", "SELECT 'rows', count(*) FROM t"]);
    assert!(rows.contains("rows") && rows.contains('4'), "{rows}");
}

#[test]
fn node_cannot_be_the_location_of_new_databases() {
    let (server, _) = server();
    let default = server.ok("GET", "/v1/databases/app", None)["database"]["primaryRegion"].clone();
    let default = default.as_str().unwrap();
    let path = format!("/v1/server/nodes/{default}");
    let (status, answer) = server.server().ask("POST", &path, None);
    assert_eq!(status, 409, "{answer}");
    let database = json!({ "name": "next", "group": "default" });
    server.ok("POST", "/v1/databases", Some(database));
}

#[test]
fn node_token_works_once_and_its_location_passes_to_the_next_machine() {
    let (server, _) = server();
    let first = invite(&server, "fra");
    let mut machine = Machine::new();
    machine.start(Some(&first));
    until(
        "it is connected",
        || state(&server, "fra"),
        |state| state == "connected",
    );
    let mut thief = Machine::new();
    thief.start(Some(&first));
    assert!(!thief.ended().success());
    assert!(thief.log().contains("was used already"), "{}", thief.log());
    assert!(thief.log().contains("torso location add"), "{}", thief.log());
    let second = invite(&server, "fra");
    // Until then the first one goes on.
    assert_eq!(state(&server, "fra"), "connected");
    let mut next = Machine::new();
    next.start(Some(&second));
    until(
        "the first one is refused",
        || machine.log(),
        |log| log.contains("this machine is not location fra any more"),
    );
    until(
        "the next one is connected",
        || state(&server, "fra"),
        |state| state == "connected",
    );
    machine.signal(Signal::SIGTERM);
    assert!(machine.ended().success());
    let log = server.log();
    assert!(log.contains("was used already"), "{log}");
    for secret in [&first, &second].map(|invitation| invitation["token"].as_str().unwrap()) {
        assert!(!log.contains(secret) && !machine.log().contains(secret));
    }
}

#[test]
fn node_stream_for_an_old_epoch_or_another_pool_is_refused_and_logged() {
    let (server, _) = server();
    let invitation = invite(&server, "fra");
    let token = invitation["token"].as_str().unwrap();
    let address = invitation["server"].as_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (_, fingerprint) = token.split_once('.').unwrap();
    let secret = Secret::new(token.to_owned());
    link::join(dir.path(), address, fingerprint, &secret, json!({ "advertise": "x" })).unwrap();
    let client = LinkClient::start(address, NodeIdentity::load(dir.path()).unwrap().unwrap()).unwrap();
    // A machine that says nothing of itself: it counts as away, and what is wanted there is wanted all the same.
    server.ok("POST", "/v1/groups/default/locations/fra", None);
    let wanted = client.request("wanted", &json!({ "generation": 0 })).unwrap();
    let (pool, state) = wanted["pools"].as_object().unwrap().iter().next().unwrap();
    let target = |pool: &str, epoch: u64| StreamTarget {
        organization: state["organization"].as_str().unwrap().to_owned(),
        pool: pool.to_owned(),
        location: "fra".to_owned(),
        epoch,
        purpose: StreamPurpose::Log,
    };
    let epoch = state["epoch"].as_u64().unwrap();
    let elsewhere = StreamTarget {
        organization: "another".to_owned(),
        ..target(pool, epoch)
    };
    let abroad = StreamTarget {
        location: "lhr".to_owned(),
        ..target(pool, epoch)
    };
    for (target, cause) in [
        (target(pool, epoch - 1), "and the stream is for epoch"),
        (target("another-ams", epoch), "has no replicas of pool another-ams"),
        (elsewhere, "has no replicas of pool"),
        (abroad, "asks for a stream to lhr"),
    ] {
        let port = client.forward(target, None).unwrap();
        let mut stream = TcpStream::connect(port.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0, "{cause}");
        let is_told = |text: &String| text.contains(cause);
        until(
            "the machine is told why",
            || client.status().last_error.unwrap_or_default(),
            is_told,
        );
        until("the server has logged it", || server.log(), is_told);
    }
    // The true one leads to the primary, which wants a certificate.
    let port = client.forward(target(pool, epoch), None).unwrap();
    let mut stream = TcpStream::connect(port.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = [0; 1];
    assert_eq!(stream.read(&mut answer).unwrap(), 1);
    assert_eq!(answer[0], 0x15, "an alert of TLS");
    // It ends when the location is not to have the pool any more, although the machine asks for nothing.
    let _open = TcpStream::connect(port.address()).unwrap();
    server.ok("DELETE", "/v1/groups/default/locations/fra", None);
    client.request("wanted", &json!({ "generation": 0 })).unwrap();
    until(
        "the stream is ended",
        || server.log(),
        |log| log.contains("stream ended from here"),
    );
}

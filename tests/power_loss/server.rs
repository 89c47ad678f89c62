//! A server: its accounts, its catalogs, and the databases of its libSQL server processes.

use super::disk_model::{DiskModel, DiskState, Entry};
use super::recording::{Event, RecordedProcess, Recording};
use super::{LostPower, check_recording, last_events, lose_power_often};
use crate::support::server::Server;
use crate::support::state::State;
use crate::support::{World, sqld, until};
use serde_json::Value;
use std::time::{Duration, Instant};

/// What is done, one after the other, once the server runs.
const OPERATIONS: &[&[&str]] = &[
    &["db", "create", "app", "--location", "ams"],
    &["db", "shell", "app", "create table t (a, b)"],
    &["db", "shell", "app", "insert into t values (1, 'one')"],
    &["db", "replicate", "app", "lhr"],
    &["db", "shell", "app", "insert into t values (2, hex(zeroblob(9000)))"],
    &["auth", "api-tokens", "mint", "ci"],
    &["group", "create", "pair", "--location", "ams"],
    &["db", "create", "left", "--group", "pair"],
    &["db", "shell", "left", "create table g (x)"],
    &["db", "shell", "left", "insert into g values ('left')"],
    &["db", "promote", "app", "lhr"],
    &["db", "shell", "app", "insert into t select a + 10, b from t"],
    &["db", "rename", "left", "right"],
    &["org", "create", "team"],
    &["db", "shell", "app", "delete from t where a > 10"],
    &["db", "create", "dumped", "--from-dump", "given.sql"],
    &["auth", "api-tokens", "revoke", "ci", "--yes"],
    &["db", "destroy", "right", "--yes"],
    &["db", "shell", "dumped", "insert into g values ('more')"],
];

/// What a client finds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    state: State,
    tokens: String,
    organizations: String,
}

impl Found {
    fn of(client: &World) -> Self {
        Self {
            state: State::of(client),
            tokens: client.ok(["auth", "api-tokens", "list", "--output", "name"]),
            organizations: client.ok(["org", "list", "--output", "name"]),
        }
    }

    /// The same, once replicas have what their primaries have.
    fn settled(client: &World) -> Self {
        let mut found = Self::of(client);
        until("replicas are equal", || {
            found = Self::of(client);
            found.has_equal_replicas()
        });
        found
    }

    fn has_equal_replicas(&self) -> bool {
        self.state.databases().into_iter().all(|database| {
            let contents = self.state.contents(database);
            contents.iter().all(|content| *content == contents[0])
        })
    }
}

/// Another machine, whose commands work on a server.
fn client_of(url: &str, token: &str) -> World {
    let mut world = World::new();
    world.write("given.sql", "create table g (x);\ninsert into g values ('dumped');\n");
    world.set("TORSO_API_URL", url);
    world.set("TORSO_TOKEN", token);
    world
}

const FLAGS: [&str; 4] = ["--owner", "alice", "--locations", "ams,lhr"];

/// What each operation leads to, found by doing them in peace. The first is the server's start.
fn expect() -> Vec<Option<Found>> {
    let world = World::new();
    let server = Server::start(&world, &FLAGS);
    server.wait_ready();
    let client = client_of(server.url(), &server.token);
    let mut found = vec![None, Some(Found::settled(&client))];
    for operation in OPERATIONS {
        client.ok(*operation);
        found.push(Some(Found::settled(&client)));
    }
    found
}

/// Starts the program under test so that all it does to the disk is recorded. Returns what it told at its start.
fn start_recorded(world: &World, recording: &Recording) -> (RecordedProcess, Value) {
    let outside = tempfile::tempdir().unwrap();
    let told = outside.path().join("stdout");
    let mut command = world.torso_command(["--output", "jsonl", "server", "--listen", "127.0.0.1:0", "--sqld"]);
    command.arg(sqld::program()).args(FLAGS);
    let stdout = std::fs::File::create(&told).unwrap();
    let process = recording.start(command, stdout, tempfile::tempfile().unwrap());
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let text = std::fs::read_to_string(&told).unwrap();
        if let Some((line, _)) = text.split_once('\n') {
            return (process, serde_json::from_str(line).unwrap());
        }
        assert!(Instant::now() < deadline, "it does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}

struct Recorded {
    world: World,
    before: DiskModel,
    events: Vec<Event>,
    expected: Vec<Option<Found>>,
    token: String,
}

fn record() -> Recorded {
    let expected = expect();
    let world = World::new();
    let before = DiskModel::of(world.root());
    let recording = Recording::of(world.root());
    let (process, started) = start_recorded(&world, &recording);
    recording.acknowledge(1);
    let token = started["token"].as_str().unwrap().to_owned();
    let client = client_of(started["url"].as_str().unwrap(), &token);
    for (number, operation) in (2..).zip(OPERATIONS) {
        client.ok(*operation);
        recording.acknowledge(number);
    }
    process.stop();
    let events = recording.events();
    check_recording(&before, &events, world.root());
    Recorded {
        world,
        before,
        events,
        expected,
        token,
    }
}

/// The machine starts anew after a loss of power; the test's goes on.
fn begin_another_boot(disk: &mut DiskState) {
    let boot = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap();
    for (path, entry) in &mut disk.0 {
        if let Entry::File { bytes, .. } = entry
            && path.ends_with("boot")
            && *bytes == boot
        {
            *bytes = b"00000000-0000-4000-8000-000000000000\n".to_vec();
        }
    }
}

impl Recorded {
    /// Loses the power often when files whose paths have `part` in them are at risk.
    #[allow(clippy::print_stdout)] // The count is part of the proof; `--nocapture` shows it.
    fn judge_often(&self, part: &str) {
        let states = lose_power_often(&self.before, &self.events, part, |lost| {
            let at = format!(
                "power lost after event {} of {}, {} operations acknowledged, survivors: {:?}\n{}",
                lost.at,
                self.events.len(),
                lost.acknowledged,
                lost.survivors,
                last_events(&self.events, lost.at)
            );
            self.judge(lost, &at);
        });
        println!("{part}: {states} disks made of {} events", self.events.len());
    }

    fn judge(&self, mut lost: LostPower, at: &str) {
        begin_another_boot(&mut lost.disk);
        lost.disk.write(self.world.root());
        let server = Server::start(&self.world, &FLAGS);
        server.wait_ready();
        if lost.acknowledged == 0 {
            // Nobody was told the token yet.
            return;
        }
        let client = client_of(server.url(), &self.token);
        let possible = &self.expected[lost.acknowledged..self.expected.len().min(lost.acknowledged + 2)];
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let found = Some(Found::of(&client));
            if possible.contains(&found) {
                break;
            }
            let log = || std::fs::read_to_string(self.world.work().join("server.log")).unwrap_or_default();
            assert!(
                Instant::now() < deadline,
                "{at}\nfound: {found:#?}\nexpected: {possible:#?}\n{}",
                log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        for database in client.databases() {
            client.ok(["db", "shell", &database, "create table proof (x); drop table proof"]);
        }
    }
}

#[test]
fn power_loss_on_a_server_keeps_its_accounts() {
    record().judge_often("accounts.db");
}

#[test]
fn power_loss_on_a_server_keeps_what_the_catalog_was_told() {
    record().judge_often("catalog.db");
}

#[test]
fn power_loss_on_a_server_keeps_acknowledged_rows() {
    record().judge_often("/dbs/");
}

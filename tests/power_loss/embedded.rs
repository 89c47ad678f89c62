//! Databases that are files: the catalog, primaries, replicas with their notes, and backups.

use super::disk_model::DiskModel;
use super::recording::Recording;
use super::{LostPower, check_recording, last_events, lose_power_often};
use crate::support::World;
use crate::support::state::{State, complaints, files};
use std::collections::BTreeMap;

/// What is done, one after the other. `ID` stands for the first backup.
const OPERATIONS: &[&[&str]] = &[
    &["db", "create", "app", "--location", "ams"],
    &["db", "shell", "app", "create table t (a, b)"],
    &["db", "shell", "app", "insert into t values (1, 'one')"],
    &["db", "replicate", "app", "lhr"],
    &["db", "shell", "app", "insert into t values (2, hex(zeroblob(9000)))"],
    &["db", "backup", "app", "--to", "backups"],
    &["db", "create", "other", "--from-dump", "given.sql"],
    &["db", "replicate", "other", "nrt"],
    &["db", "shell", "other", "insert into g select x || 'more' from g"],
    &["db", "promote", "app", "lhr"],
    &["db", "shell", "app", "insert into t select a + 10, b from t"],
    &["db", "backup", "app", "--to", "backups"],
    &["db", "rename", "other", "better"],
    &["group", "create", "pair", "--location", "ams"],
    &["db", "create", "left", "--group", "pair", "--from-file", "given.db"],
    &["group", "locations", "add", "pair", "lhr"],
    &["db", "shell", "left", "update g set x = 'changed'"],
    &["db", "backup", "left", "--to", "backups"],
    &["db", "destroy", "better", "--yes"],
    &["db", "shell", "app", "delete from t where a > 10"],
    &["db", "restore", "app", "--from", "ID", "--in", "backups", "--yes"],
    &["db", "shell", "app", "insert into t values (5, 'after the restore')"],
    &["db", "create", "branch", "--from-db", "app"],
    &["db", "import", "airports.csv", "left", "--table", "airports"],
    &["db", "destroy", "app", "--location", "ams", "--yes"],
    &["db", "backup", "left", "--to", "backups"],
    &["group", "destroy", "pair", "--yes"],
];

/// What is there after an operation.
struct Rest {
    state: Option<State>,
    files: BTreeMap<String, usize>,
}

fn prepare() -> World {
    let world = World::new();
    world.write("airports.csv", "code,city\nams,Amsterdam\nlhr,London\n");
    let file = rusqlite::Connection::open(world.work().join("given.db")).unwrap();
    file.execute_batch("create table g (x); insert into g values ('given')")
        .unwrap();
    world.write("given.sql", "create table g (x);\ninsert into g values ('dumped');\n");
    world
}

fn words(operation: &[&str], first_backup: &str) -> Vec<String> {
    let word = |word: &&str| if *word == "ID" { first_backup } else { word }.to_owned();
    operation.iter().map(word).collect()
}

/// The id that `db backup` told.
fn told_id(operation: &[&str], stdout: &str) -> Option<String> {
    let is_backup = operation[1] == "backup";
    is_backup.then(|| {
        serde_json::from_str::<serde_json::Value>(stdout).unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned()
    })
}

/// What each operation leads to, found by doing them in peace.
fn expect() -> Vec<Rest> {
    let world = prepare();
    let mut first_backup = String::new();
    let mut rests = vec![Rest {
        state: None,
        files: BTreeMap::new(),
    }];
    for operation in OPERATIONS {
        let mut command = world.torso_command(words(operation, &first_backup));
        command.arg("--json");
        let run = crate::support::Run::of(command).success();
        if first_backup.is_empty() {
            first_backup = told_id(operation, &run.stdout).unwrap_or_default();
        }
        rests.push(Rest {
            state: Some(State::of(&world)),
            files: files(&world),
        });
    }
    rests
}

/// A recording of all operations, and what they lead to.
struct Recorded {
    world: World,
    before: DiskModel,
    recording: Recording,
    rests: Vec<Rest>,
    /// Backups by the number of the operation that made them: database and id.
    backups: BTreeMap<usize, (String, String)>,
}

fn record() -> Recorded {
    let world = prepare();
    let before = DiskModel::of(world.root());
    let recording = Recording::of(world.root());
    let mut backups = BTreeMap::new();
    let mut first_backup = String::new();
    for (number, operation) in (1..).zip(OPERATIONS) {
        let mut command = world.torso_command(words(operation, &first_backup));
        command.arg("--json");
        let run = recording.run(command).success();
        recording.acknowledge(number);
        if let Some(id) = told_id(operation, &run.stdout) {
            if first_backup.is_empty() {
                first_backup.clone_from(&id);
            }
            backups.insert(number, (operation[2].to_owned(), id));
        }
    }
    check_recording(&before, &recording.events(), world.root());
    Recorded {
        world,
        before,
        recording,
        rests: expect(),
        backups,
    }
}

impl Recorded {
    /// Loses the power often when files whose paths have `part` in them are at risk.
    #[allow(clippy::print_stdout)] // The count is part of the proof; `--nocapture` shows it.
    fn judge_often(&self, part: &str) {
        let events = self.recording.events();
        let states = lose_power_often(&self.before, &events, part, |lost| {
            let at = format!(
                "power lost after event {} of {}, {} operations acknowledged, survivors: {:?}\n{}",
                lost.at,
                events.len(),
                lost.acknowledged,
                lost.survivors,
                last_events(&events, lost.at)
            );
            self.judge(&lost, &at);
        });
        println!("{part}: {states} disks made of {} events", events.len());
    }

    fn judge(&self, lost: &LostPower, at: &str) {
        let world = &self.world;
        lost.disk.write(world.root());
        let possible = &self.rests[lost.acknowledged..self.rests.len().min(lost.acknowledged + 2)];
        let found = State::of(world);
        let is = |rest: &&Rest| match &rest.state {
            Some(state) => *state == found,
            None => found.databases().is_empty(),
        };
        assert!(
            possible.iter().any(|rest| is(&rest)),
            "{at}\nfound: {found:#?}\nexpected: {:#?}",
            possible.iter().map(|rest| &rest.state).collect::<Vec<_>>()
        );
        for database in found.databases() {
            let contents = found.contents(database);
            assert!(
                contents.iter().all(|content| *content == contents[0]),
                "replicas of {database} differ: {at}"
            );
        }
        complaints(world, &["--fix"]);
        assert_eq!(complaints(world, &[]), Vec::<serde_json::Value>::new(), "{at}");
        assert!(State::of(world) == found, "healing changed something: {at}");
        let mut left = files(world);
        // Not finished: the next one takes its place.
        left.remove("backups/[id].json.tmp");
        // SQLite's own: nothing of it counts, or it was played back.
        left.retain(|name, _| !name.ends_with("-journal"));
        assert!(
            possible
                .iter()
                .filter(is)
                .any(|rest| rest.state.is_none() || rest.files == left),
            "files left over or gone: {at}\n{left:#?}\nexpected: {:#?}",
            possible.iter().map(|rest| &rest.files).collect::<Vec<_>>()
        );
        self.judge_backups(lost, at);
        for database in found.databases() {
            world.ok(["db", "shell", database, "create table proof (x); drop table proof"]);
        }
    }

    /// Backups that were acknowledged are listed, and what is listed can be restored.
    fn judge_backups(&self, lost: &LostPower, at: &str) {
        let world = &self.world;
        let acknowledged = self.backups.range(..=lost.acknowledged).map(|(_, backup)| backup);
        let mut databases: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (database, id) in acknowledged {
            databases.entry(database).or_default().push(id);
        }
        for (database, ids) in databases {
            let listed = world.ok(["db", "backups", database, "--in", "backups", "--output", "name"]);
            assert!(
                ids.iter().all(|id| listed.lines().any(|line| line == *id)),
                "{ids:?}: {listed}{at}"
            );
            for id in listed.lines() {
                let operation = self.backups.iter().find(|(_, backup)| backup.1 == id);
                let (operation, _) = operation.expect("a backup that nobody made");
                world.ok([
                    "db", "restore", database, "--from", id, "--in", "backups", "--as", "restored",
                ]);
                let dump = world.ok(["db", "shell", "restored", ".dump"]);
                let then = self.rests[*operation].state.as_ref().unwrap();
                assert_eq!(dump, then.contents(database)[0], "{id}: {at}");
                world.ok(["db", "destroy", "restored", "--yes"]);
            }
        }
    }
}

#[test]
fn power_loss_on_files_keeps_what_the_catalog_was_told() {
    record().judge_often("data/catalog");
}

#[test]
fn power_loss_on_files_keeps_rows_of_primaries() {
    record().judge_often("data/locations/ams/");
}

#[test]
fn power_loss_on_files_keeps_replicas_and_their_notes() {
    record().judge_often("data/locations/lhr/");
}

#[test]
fn power_loss_on_files_keeps_backups() {
    record().judge_often("work/backups/");
}

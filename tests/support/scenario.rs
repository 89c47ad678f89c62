//! Commands that are disturbed on purpose, and the judgement of what is left: done or not begun, nothing else harmed,
//! nothing left over, and possible to do again.

use super::state::{State, complaints, files};
use super::trace::{self, Plan, Traced};
use super::{Run, World, data, tree};
use std::collections::BTreeMap;

/// A command and what has to be there before it.
pub struct Scenario {
    pub name: &'static str,
    pub prepare: fn(&World),
    pub command: &'static [&'static str],
    /// Whether one can see afterwards that it ran. A sync cannot be told from the refresh that looking at a replica does.
    pub seen: bool,
}

/// A machine that torso was never used on.
pub fn nothing(_: &World) {}

/// A small database with a replica.
pub fn app(world: &World) {
    world.ok(["db", "create", "app", "--location", "ams"]);
    world.ok([
        "db",
        "shell",
        "app",
        "create table t (a, b); insert into t values (1, 'one'), (2, 'two')",
    ]);
    world.ok(["db", "replicate", "app", "lhr"]);
}

/// The same, with a replica that lacks something: its primary was changed by another program.
pub fn behind(world: &World) {
    app(world);
    let path = world.ok(["db", "show", "app", "--path"]);
    let primary = rusqlite::Connection::open(path.trim_end()).unwrap();
    primary.execute_batch("insert into t values (3, 'three')").unwrap();
}

/// A group of two databases.
pub fn pair(world: &World) {
    world.ok(["group", "create", "pair", "--location", "ams"]);
    world.ok(["db", "create", "left", "--group", "pair"]);
    world.ok(["db", "create", "right", "--group", "pair"]);
    world.ok(["db", "shell", "left", "create table t (a); insert into t values (7)"]);
}

/// How many points a scenario is disturbed at when nothing else is asked for.
pub const POINTS: usize = 24;
const SEED: u64 = 20_261_123;

/// Numbers from 1 to `calls`, drawn without repetition. `TORSO_CRASH_POINTS` says how many (more than there are means all),
/// `TORSO_CRASH_SEED` which.
pub fn points(calls: usize) -> Vec<usize> {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().expect("a number"))
    };
    let wanted = number("TORSO_CRASH_POINTS").map_or(POINTS, |count| usize::try_from(count).unwrap());
    let mut random = fastrand::Rng::with_seed(number("TORSO_CRASH_SEED").unwrap_or(SEED));
    let mut points: Vec<usize> = (1..=calls).collect();
    random.shuffle(&mut points);
    points.truncate(wanted);
    points.sort_unstable();
    points
}

/// A world that can be put back to where it was.
pub struct Bench {
    pub world: World,
    scenario: Scenario,
    before: Rest,
    after: Rest,
    /// The calls of an undisturbed run.
    pub watched: Traced,
}

/// What a world looks like when it is at rest.
struct Rest {
    state: State,
    files: BTreeMap<String, usize>,
}

impl Rest {
    fn of(world: &World) -> Self {
        let state = State::of(world);
        Self {
            state,
            files: files(world),
        }
    }
}

impl Bench {
    /// Prepares a world and runs the command once in peace.
    pub fn new(scenario: Scenario) -> Self {
        let world = World::new();
        for name in ["airports", "airlines"] {
            std::fs::copy(data(&format!("{name}.csv")), world.work().join(format!("{name}.csv"))).unwrap();
        }
        let file = rusqlite::Connection::open(world.work().join("given.db")).unwrap();
        file.execute_batch("create table g (x); insert into g values ('given')")
            .unwrap();
        world.write("given.sql", "create table d (x);\ninsert into d values ('dumped');\n");
        (scenario.prepare)(&world);
        if world.data_dir().exists() {
            tree::copy(&world.data_dir(), &world.path("data.kept"));
        }

        let before = Rest::of(&world);
        put_back(&world);
        let watched = trace::run(world.torso_command(scenario.command), Plan::Watch);
        assert!(watched.run.status.success(), "{}", watched.run.report());
        let after = Rest::of(&world);
        assert_eq!(before.state != after.state, scenario.seen, "{}", scenario.name);
        Self {
            world,
            scenario,
            before,
            after,
            watched,
        }
    }

    /// Puts the world back and runs the command as the plan says.
    pub fn disturb(&self, plan: Plan) -> Run {
        put_back(&self.world);
        trace::run(self.world.torso_command(self.scenario.command), plan).run
    }

    /// Judges what a disturbed run left. Returns whether the command had come to be.
    #[track_caller]
    pub fn judge(&self, run: &Run, how: &str) -> bool {
        let at = format!("{how}: {}", run.report());
        let found = State::of(&self.world);
        let done = found == self.after.state;
        assert!(
            done || found == self.before.state,
            "{at}\nneither before nor after: {found:#?}"
        );
        for database in found.databases() {
            let contents = found.contents(database);
            assert!(
                contents.iter().all(|content| *content == contents[0]),
                "replicas of {database} differ: {at}"
            );
        }
        // A command says what it did once it is done: who read an answer was told the truth.
        assert!(done || run.stdout.is_empty(), "answered, and was not done\n{at}");

        complaints(&self.world, &["--fix"]);
        assert_eq!(complaints(&self.world, &[]), Vec::<serde_json::Value>::new(), "{at}");
        let rest = Rest::of(&self.world);
        assert!(rest.state == found, "healing changed something: {at}");
        let expected = if done { &self.after } else { &self.before };
        assert_eq!(rest.files, expected.files, "files left over or gone: {at}");

        if !done {
            self.world.ok(self.scenario.command);
            assert!(
                State::of(&self.world) == self.after.state,
                "it cannot be done again: {at}"
            );
        }
        done
    }
}

/// Brings the data directory back to what it was before the command.
fn put_back(world: &World) {
    let (data, kept) = (world.data_dir(), world.path("data.kept"));
    if data.exists() {
        std::fs::remove_dir_all(&data).unwrap();
    }
    // Before the very first command there is nothing.
    if kept.exists() {
        tree::copy(&kept, &data);
    }
}

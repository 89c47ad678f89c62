//! `kill -9` at any moment. Each scenario runs a command under a tracer that kills it in place of a chosen system call;
//! the next commands must then find it done or not begun, everything earlier intact, and nothing left over.
//! `support::scenario` says how points are chosen and what is judged.

use crate::support::scenario::{self, Bench, POINTS, Scenario, app, behind, nothing, pair};
use crate::support::trace::Plan;

/// Kills a scenario's command at many points.
#[allow(clippy::print_stdout)] // The count is part of the proof; `--nocapture` shows it.
fn survives(scenario: Scenario) {
    let name = scenario.name;
    let bench = Bench::new(scenario);
    let calls = bench.watched.calls.len();
    let points = scenario::points(calls);
    let (mut kills, mut done) = (0, 0);
    for point in &points {
        let run = bench.disturb(Plan::KillAt(*point));
        // A run may need a call less than the one that was watched, and then ends by itself.
        let killed = run.code() == 128 + 9;
        assert!(killed || run.status.success(), "call {point}: {}", run.report());
        let found_done = bench.judge(&run, &format!("killed at call {point}"));
        assert!(killed || found_done, "claimed to be done: {}", run.report());
        kills += usize::from(killed);
        done += usize::from(found_done);
    }
    assert!(
        kills * 10 >= points.len() * 9,
        "only {kills} of {} points were met",
        points.len()
    );
    println!("{name}: {kills} kills among {calls} calls; done in spite of {done}");
}

macro_rules! scenarios {
    ($($name:ident: $prepare:ident => $command:expr;)*) => {
        $(
            #[test]
            fn $name() {
                survives(Scenario { name: stringify!($name), prepare: $prepare, command: &$command, seen: true });
            }
        )*

        /// The least number of kills in a run.
        #[test]
        fn crash_scenarios_have_enough_kills() {
            let scenarios = [$(stringify!($name)),*].len();
            assert!(scenarios * POINTS * 9 / 10 >= 200, "{scenarios} scenarios of {POINTS} points");
        }
    };
}

scenarios! {
    first_create: nothing => ["db", "create", "app", "--location", "ams"];
    create: app => ["db", "create", "other", "--location", "ams"];
    create_from_csv: app => ["db", "create", "other", "--from-csv", "airlines.csv", "--csv-table-name", "airlines"];
    create_from_file: app => ["db", "create", "other", "--from-file", "given.db"];
    create_from_dump: app => ["db", "create", "other", "--from-dump", "given.sql"];
    branch: app => ["db", "create", "other", "--from-db", "app"];
    import_file: app => ["db", "import", "given.db"];
    import_csv: app => ["db", "import", "airports.csv", "app", "--table", "airports"];
    replicate: app => ["db", "replicate", "app", "nrt"];
    promote: app => ["db", "promote", "app", "lhr"];
    write: app => ["db", "shell", "app", "insert into t values (3, 'three')"];
    rename: app => ["db", "rename", "app", "better"];
    destroy: app => ["db", "destroy", "app", "--yes"];
    destroy_replica: app => ["db", "destroy", "app", "--location", "lhr", "--yes"];
    group_create: app => ["group", "create", "pair", "--location", "ams"];
    group_rename: pair => ["group", "rename", "pair", "couple"];
    group_add_location: pair => ["group", "locations", "add", "pair", "lhr"];
    group_destroy: pair => ["group", "destroy", "pair", "--yes"];
}

#[test]
fn sync_killed_at_any_point_is_completed() {
    survives(Scenario {
        name: "sync",
        prepare: behind,
        command: &["db", "sync", "app"],
        seen: false,
    });
}

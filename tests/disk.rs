//! Full disks and read-only directories: a clear error, an intact catalog, nothing half-made.

use crate::support::scenario::{self, Bench, Scenario, app, nothing, pair};
use crate::support::trace::Plan;
use crate::support::{Run, World, redact};
use nix::errno::Errno;
use std::fs::{File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;

/// The disk fills up at many points of the command and stays full.
fn survives_a_full_disk(scenario: Scenario) {
    let bench = Bench::new(scenario);
    for from in scenario::points(bench.watched.needing_space) {
        let run = bench.disturb(Plan::Fail {
            from,
            errno: Errno::ENOSPC,
        });
        let done = bench.judge(&run, &format!("no space from need {from} on"));
        // What only speeds things up may fail unseen; what matters may not.
        if run.status.success() {
            assert!(done, "claimed success: {}", run.report());
        } else {
            run.fails(1, "disk_full");
        }
    }
}

macro_rules! scenarios {
    ($($name:ident: $prepare:ident => $command:expr;)*) => {
        $(
            #[test]
            fn $name() {
                survives_a_full_disk(Scenario {
                    name: stringify!($name),
                    prepare: $prepare,
                    command: &$command,
                    seen: true,
                });
            }
        )*
    };
}

scenarios! {
    full_at_first_create: nothing => ["db", "create", "app", "--location", "ams", "--json"];
    full_at_create: app => ["db", "create", "other", "--location", "ams", "--json"];
    full_at_create_from_csv: app => ["db", "create", "other", "--from-csv", "airlines.csv", "--csv-table-name", "t", "--json"];
    full_at_create_from_file: app => ["db", "create", "other", "--from-file", "given.db", "--json"];
    full_at_create_from_dump: app => ["db", "create", "other", "--from-dump", "given.sql", "--json"];
    full_at_import: app => ["db", "import", "airports.csv", "app", "--table", "airports", "--json"];
    full_at_replicate: app => ["db", "replicate", "app", "nrt", "--json"];
    full_at_promote: app => ["db", "promote", "app", "lhr", "--json"];
    full_at_rename: app => ["db", "rename", "app", "better", "--json"];
    full_at_destroy: app => ["db", "destroy", "app", "--yes", "--json"];
    full_at_group_location: pair => ["group", "locations", "add", "pair", "lhr", "--json"];
}

/// A write in the shell: a statement that finds no space, and what was there before.
#[test]
fn disk_full_at_a_write_keeps_what_was_there() {
    let bench = Bench::new(Scenario {
        name: "write",
        prepare: app,
        command: &["db", "shell", "app", "insert into t values (3, 'three')"],
        seen: true,
    });
    for from in scenario::points(bench.watched.needing_space) {
        let run = bench.disturb(Plan::Fail {
            from,
            errno: Errno::ENOSPC,
        });
        let done = bench.judge(&run, &format!("no space from need {from} on"));
        assert!(done || !run.status.success(), "{}", run.report());
        assert!(done || run.stderr.contains("disk"), "{}", run.report());
    }
}

/// `/dev/full` takes nothing: the answer could not be given, and that is an error.
#[test]
fn disk_full_at_the_answer_is_an_error() {
    let world = World::new();
    let mut command = world.torso_command(["location", "list"]);
    command.stdout(File::options().write(true).open("/dev/full").unwrap());
    let run = Run::of(command);
    insta::assert_snapshot!(redact::report(&world, &run), @"
    $ torso location list
    -- stderr --
    error: cannot write the answer
      caused by: No space left on device (os error 28)
    -- exit 1 --
    ");
}

#[test]
fn help_and_version_on_a_full_disk_exit_1() {
    let world = World::new();
    for line in [&["--version"][..], &["db", "--help"], &["db", "create", "-h"]] {
        let mut command = world.torso_command(line);
        command.stdout(File::options().write(true).open("/dev/full").unwrap());
        let run = Run::of(command);
        assert_eq!(run.code(), 1, "{}", run.report());
        assert!(run.stderr.contains("No space left on device"), "{}", run.report());
    }
}

/// Runs `torso` as somebody whom file modes bind: the superuser's tests become an ordinary user, for whom the world is
/// opened and the program copied to where that user can reach it.
struct Ordinary {
    world: World,
    user: Option<u32>,
}

impl Ordinary {
    fn new() -> Self {
        const NOBODY: u32 = 65_534;
        let world = World::new();
        let user = nix::unistd::geteuid().is_root().then_some(NOBODY);
        // By another process: a file that this one has open for writing, perhaps inherited by a child of another test,
        // cannot be run.
        let mut copy = world.command("cp");
        copy.arg(crate::support::world::TORSO).arg(world.path("torso"));
        Run::of(copy).success();
        for path in [".", "home", "work", "tmp"] {
            chown(world.path(path), user, user).unwrap();
        }
        Self { world, user }
    }

    fn torso(&self, args: &[&str]) -> Run {
        let mut command = self.world.command(self.world.path("torso"));
        command.args(args);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        Run::of(command)
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Every folder below one.
fn folders(root: &Path) -> Vec<std::path::PathBuf> {
    let below = crate::support::tree::list(root);
    let inner = below
        .into_iter()
        .filter(|(_, entry)| entry.folder)
        .map(|(path, _)| root.join(path));
    std::iter::once(root.to_owned()).chain(inner).collect()
}

#[test]
fn data_directory_that_is_read_only_is_an_error() {
    let ordinary = Ordinary::new();
    let data = ordinary.world.data_dir();
    std::fs::create_dir(&data).unwrap();
    chown(&data, ordinary.user, ordinary.user).unwrap();
    ordinary.torso(&["db", "create", "app", "--location", "ams"]).success();
    let kept = folders(&data);
    kept.iter().for_each(|folder| set_mode(folder, 0o500));
    for line in [
        &["db", "create", "other", "--location", "ams", "--json"][..],
        &["db", "replicate", "app", "lhr", "--json"],
    ] {
        let run = ordinary.torso(line).fails(1, "io");
        let message = run.error()["message"].to_string();
        assert!(message.contains(data.to_str().unwrap()), "{message}");
    }
    kept.iter().for_each(|folder| set_mode(folder, 0o700));
    assert_eq!(
        ordinary.torso(&["db", "list", "--output", "name"]).success().stdout,
        "app\n"
    );
    ordinary.torso(&["doctor"]).success();
}

#[test]
fn data_directory_that_cannot_be_made_is_an_error() {
    let ordinary = Ordinary::new();
    set_mode(ordinary.world.root(), 0o500);
    let run = ordinary.torso(&["db", "create", "app", "--location", "ams", "--json"]);
    set_mode(ordinary.world.root(), 0o700);
    run.fails(1, "io");
}

#[test]
fn location_that_is_read_only_is_an_error() {
    let ordinary = Ordinary::new();
    let disk = ordinary.world.path("work/disk");
    std::fs::create_dir(&disk).unwrap();
    chown(&disk, ordinary.user, ordinary.user).unwrap();
    let dir = disk.to_str().unwrap();
    ordinary
        .torso(&["location", "add", "nas", "--name", "A disk", "--dir", dir])
        .success();
    ordinary.torso(&["db", "create", "app", "--location", "ams"]).success();
    let kept = folders(&disk);
    kept.iter().for_each(|folder| set_mode(folder, 0o500));
    ordinary
        .torso(&["db", "create", "other", "--location", "nas", "--json"])
        .fails(1, "io");
    ordinary
        .torso(&["db", "replicate", "app", "nas", "--json"])
        .fails(1, "io");
    kept.iter().for_each(|folder| set_mode(folder, 0o700));
    assert_eq!(
        ordinary.torso(&["db", "list", "--output", "name"]).success().stdout,
        "app\n"
    );
    let app = ordinary.torso(&["db", "show", "app", "--json"]).success().json();
    assert_eq!(app["regions"], serde_json::json!(["ams"]));
    ordinary.torso(&["doctor"]).success();
}

//! A large database comes back from object storage as it was, and neither way holds it in memory.

use crate::support::World;
use crate::support::object_storage::ObjectStorage;
use ring::digest::{Context, SHA256};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// How large the database is, unless `TORSO_BACKUP_MIB` says so: several parts of an upload.
const MIB: u64 = 96;
/// The most memory that a command may take. A database of any size takes no more.
const MOST_KIB: u64 = 90 * 1024;

/// Writes a database of random rows. Returns the SHA-256 of all rows.
fn fill(path: &Path, mib: u64) -> String {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .execute_batch("create table blobs (id integer primary key, b blob, t text)")
        .unwrap();
    for _ in 0..mib.div_ceil(32) {
        connection
            .execute_batch(
                "with recursive n (i) as (values (1) union all select i + 1 from n where i < 32)
                 insert into blobs (b, t) select randomblob(1000000), hex(randomblob(20000)) from n",
            )
            .unwrap();
    }
    hash(path)
}

fn hash(path: &Path) -> String {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut rows = connection.prepare("select id, b, t from blobs order by id").unwrap();
    let mut rows = rows.query([]).unwrap();
    let mut context = Context::new(&SHA256);
    while let Some(row) = rows.next().unwrap() {
        context.update(&row.get::<_, i64>(0).unwrap().to_le_bytes());
        context.update(row.get_ref(1).unwrap().as_blob().unwrap());
        context.update(row.get_ref(2).unwrap().as_bytes().unwrap());
    }
    torso::checksum::hex(context.finish().as_ref())
}

fn path_of(world: &World, name: &str) -> std::path::PathBuf {
    world.ok(["db", "show", name, "--path"]).trim().into()
}

/// Runs a command. Returns its standard output, and the most memory that it took, in KiB.
fn run_measured(world: &World, line: &[&str]) -> (String, u64) {
    let mut command = world.torso_command(line);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let peak = text
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        most = most.max(peak.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{line:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    (String::from_utf8(output.stdout).unwrap(), most)
}

#[test]
#[allow(clippy::print_stdout)] // The figures are part of the proof; `--nocapture` shows them.
fn backup_of_a_large_database_is_restored_as_it_was_and_memory_stays_flat() {
    let mib = std::env::var("TORSO_BACKUP_MIB").map_or(MIB, |mib| mib.parse().unwrap());
    let storage = ObjectStorage::start();
    let mut world = World::new();
    storage.give_to(&mut world);
    world.set("TORSO_BACKUP_TO", "s3://torso/large");
    world.ok(["db", "create", "app", "--location", "ams"]);
    let source = fill(&path_of(&world, "app"), mib);
    let (id, backing_up) = run_measured(&world, &["db", "backup", "app", "--output", "name"]);
    let line = ["db", "restore", "app", "--from", id.trim(), "--as", "again"];
    let (_, restoring) = run_measured(&world, &line);
    println!("{mib} MiB: backup {backing_up} KiB, restore {restoring} KiB");
    assert_eq!(hash(&path_of(&world, "again")), source);
    // In the place of what is there, too.
    world.ok(["db", "shell", "app", "delete from blobs where id % 2"]);
    world.ok(["db", "restore", "app", "--from", id.trim(), "--yes"]);
    assert_eq!(hash(&path_of(&world, "app")), source);
    assert!(backing_up > 0 && backing_up < MOST_KIB, "{backing_up} KiB");
    assert!(restoring > 0 && restoring < MOST_KIB, "{restoring} KiB");
}

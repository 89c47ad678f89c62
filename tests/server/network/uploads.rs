//! Files on their way to a server over a network that fails: each of the requests of a command meets each fault.

use super::{run, served};
use crate::support::World;
use crate::support::network::{FAULTS, Fault};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Rows of the files: enough for several pieces.
const ROWS: usize = 9_000;

/// Rows that are put into a database that is there: enough for several requests.
const FEW_ROWS: usize = 2_000;

/// Most requests of a command that change something.
const MOST: usize = 40;

/// Commands that send a file; `{n}` is the number of the case.
const LINES: &[&str] = &[
    "db create up{n} --group default --from-file rows.db",
    "db create up{n} --group default --from-dump rows.sql",
    "db import rows.csv up{n} --group default --table rows",
];

fn write_csv(world: &World, rows: usize) {
    let mut csv = String::from("number,text\n");
    for number in 0..rows {
        csv += &format!("{number},{}\n", "x".repeat(100 + number % 50));
    }
    world.write("rows.csv", &csv);
}

fn write_files(world: &World) {
    write_csv(world, ROWS);
    world.ok(["db", "create", "rows", "--location", "ams", "--context", "local"]);
    world.ok([
        "db",
        "import",
        "rows.csv",
        "rows",
        "--table",
        "rows",
        "--context",
        "local",
    ]);
    for (verb, file) in [("export", "rows.db"), ("dump", "rows.sql")] {
        world.ok(["db", verb, "rows", "--output-file", file, "--context", "local"]);
    }
}

/// What of uploads is left on the server.
fn left_uploads(data: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(data.join("server/uploads")).into_iter().flatten();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn network_fault_in_any_request_of_an_upload_leaves_one_whole_database() {
    let home = World::new();
    let (server, network) = served(&home, &["--owner", "alice", "--rate-limit", "0"]);
    let world = super::world(&server, &network);
    write_files(&world);
    let mut n = 0;
    for line in LINES {
        let mut requests = 0;
        for fault in FAULTS.into_iter().filter(|fault| !matches!(fault, Fault::Silence(_))) {
            // Every request of the command that changes something, one after the other.
            for at in 0.. {
                assert!(at < MOST, "{line}: a command has no such number of requests");
                n += 1;
                let count = Arc::new(AtomicUsize::new(0));
                let counted = Arc::clone(&count);
                network.choose(move |method, _| match method {
                    "GET" | "HEAD" => Fault::None,
                    _ if counted.fetch_add(1, Ordering::SeqCst) == at => fault,
                    _ => Fault::None,
                });
                let (run, took) = run(&world, &line.replace("{n}", &n.to_string()));
                network.choose(|_, _| Fault::None);
                let sent = count.load(Ordering::SeqCst);
                assert!(took < super::PATIENCE, "{fault:?} {at}: {line}: {took:?}");
                assert_eq!(run.code(), 0, "{fault:?} {at}: {}", run.report());
                let name = format!("up{n}");
                assert_eq!(
                    world.query(&name, "select count(*), count(distinct number) from rows"),
                    format!("{ROWS}|{ROWS}")
                );
                assert_eq!(world.databases(), [name.as_str()]);
                assert_eq!(
                    left_uploads(&home.data_dir()),
                    Vec::<String>::new(),
                    "{fault:?} {at}: {line}"
                );
                world.ok(["db", "destroy", &name, "--yes"]);
                requests = requests.max(sent);
                if sent <= at {
                    break;
                }
            }
        }
        assert!(
            requests > 3,
            "{line}: a file of so many bytes goes in pieces: {requests}"
        );
    }
}

/// Rows that are put into a database that is there go over its own address, in a transaction: all of them are in it after
/// success, and none or all after a failure.
#[test]
fn network_fault_in_any_request_of_an_import_leaves_all_rows_or_none() {
    let home = World::new();
    let (server, network) = served(&home, &["--owner", "alice", "--rate-limit", "0"]);
    let world = super::world(&server, &network);
    write_csv(&world, FEW_ROWS);
    let (mut done, mut most) = (0, 0);
    for (n, fault) in FAULTS
        .into_iter()
        .filter(|fault| !matches!(fault, Fault::Silence(_)))
        .enumerate()
    {
        for at in 0.. {
            assert!(at < MOST, "a command has no such number of requests");
            // A database of its own: what a cut request leaves behind keeps the next writer waiting for a while.
            let name = format!("into{n}-{at}");
            world.ok(["db", "create", &name, "--group", "default"]);
            let count = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&count);
            network.choose(move |method, _| match method {
                "GET" | "HEAD" => Fault::None,
                _ if counted.fetch_add(1, Ordering::SeqCst) == at => fault,
                _ => Fault::None,
            });
            let (run, took) = run(&world, &format!("db import rows.csv {name} --table rows"));
            network.choose(|_, _| Fault::None);
            assert!(took < super::PATIENCE, "{fault:?} {at}: {took:?}");
            let tables = world.query(&name, "select count(*) from sqlite_schema where name = 'rows'");
            let rows = if tables == "0" {
                "0".to_owned()
            } else {
                world.query(&name, "select count(*) from rows")
            };
            let all = FEW_ROWS.to_string();
            match run.code() {
                0 => assert_eq!(rows, all, "{fault:?} {at}: {}", run.report()),
                1 | 7 => assert!(rows == "0" || rows == all, "{fault:?} {at}: {rows}: {}", run.report()),
                _ => panic!("{fault:?} {at}: {}", run.report()),
            }
            done += usize::from(run.code() == 0);
            most = most.max(count.load(Ordering::SeqCst));
            if count.load(Ordering::SeqCst) <= at {
                assert_eq!(run.code(), 0, "{}", run.report());
                break;
            }
        }
    }
    assert!(done >= FAULTS.len() && most > 2, "{done} {most}");
}

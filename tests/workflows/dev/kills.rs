//! Kills at seeded moments, of torso, of its process, or of both, while it starts, serves, and ends: no acknowledged row is lost,
//! and nobody ever reads an older state.
//!
//! `TORSO_RUNS` says how many (20 without it), `TORSO_SEED` where to begin the random numbers.

use super::{Dev, remains, said, sqlite3};
use crate::support::server::Server;
use crate::support::{World, hrana};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// The processes that one has started.
pub(super) fn children(parent: i32) -> Vec<i32> {
    let is_child = |pid: &i32| {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
            let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            rest.split_ascii_whitespace().nth(1) == Some(&parent.to_string())
        })
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(is_child)
        .collect()
}

/// What is killed, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Starting,
    Serving,
    Ending,
}

/// Inserts rows until it is told to stop or is not answered; those that were acknowledged.
fn insert(url: &str, from: u64, stop: &AtomicBool) -> BTreeSet<u64> {
    let client = Server::client();
    let mut acknowledged = BTreeSet::new();
    for row in from.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let request = client
            .post(format!("{url}/v2/pipeline"))
            .timeout(Duration::from_secs(5));
        match hrana::execute(request, [format!("INSERT INTO t VALUES ({row})")]) {
            Ok(_) => acknowledged.insert(row),
            Err(_) => break,
        };
    }
    acknowledged
}

fn rows(text: &str) -> BTreeSet<u64> {
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// The rows that `sqlite3` sees, if it can open the file.
fn seen(world: &World, file: &Path) -> Option<BTreeSet<u64>> {
    sqlite3(world, file, "SELECT x FROM t").ok().map(|text| rows(&text))
}

#[allow(clippy::print_stdout)] // The counts are part of the proof; `--nocapture` shows them.
#[test]
fn dev_killed_at_any_moment_loses_no_acknowledged_row() {
    let mut dice = fastrand::Rng::with_seed(number("TORSO_SEED", 20_261_130));
    let world = World::new();
    let file = world.work().join("app.db");
    sqlite3(
        &world,
        &file,
        "PRAGMA journal_mode = WAL; CREATE TABLE t (x INTEGER PRIMARY KEY)",
    )
    .unwrap();
    let mut acknowledged = BTreeSet::new();
    let mut hidden = 0;
    for round in 0..number("TORSO_RUNS", 20) {
        let moment = *dice
            .choice(&[Moment::Starting, Moment::Serving, Moment::Serving, Moment::Ending])
            .unwrap();
        let mut dev = Dev::spawn(&world, &["--db-file", "app.db"]);
        if moment == Moment::Starting {
            std::thread::sleep(Duration::from_micros(dice.u64(..1_500_000)));
        } else {
            dev = dev.ready(&world);
            let (url, from) = (dev.url().to_owned(), 1_000 * (round + 1));
            let stop = AtomicBool::new(false);
            acknowledged.extend(std::thread::scope(|scope| {
                let writer = scope.spawn(|| insert(&url, from, &stop));
                std::thread::sleep(Duration::from_micros(dice.u64(..300_000)));
                if moment == Moment::Ending {
                    dev.signal(Signal::SIGTERM);
                    std::thread::sleep(Duration::from_micros(dice.u64(..200_000)));
                } else if dice.bool() {
                    // The process first, and torso in the middle of starting another one.
                    for child in children(dev.pid()) {
                        let _ = kill(Pid::from_raw(child), Signal::SIGKILL);
                    }
                    std::thread::sleep(Duration::from_micros(dice.u64(..100_000)));
                }
                dev.process.kill().unwrap();
                stop.store(true, Ordering::SeqCst);
                writer.join().unwrap()
            }));
        }
        dev.process.kill().unwrap();
        dev.process.wait().unwrap();
        let context = format!("round {round}: killed while {moment:?}");
        match seen(&world, &file) {
            // Nobody may take an older state for the newest one.
            Some(seen) => assert!(acknowledged.is_subset(&seen), "{context}"),
            None => hidden += 1,
        }
        // The next command, or the next one that serves, brings it back.
        if dice.bool() {
            let run = world.torso(["db", "shell", "app.db", "SELECT x FROM t"]).success();
            assert!(
                acknowledged.is_subset(&rows(&run.stdout)),
                "{context}: {}",
                run.report()
            );
            assert_eq!(remains(&world), Vec::<String>::new(), "{context}");
        }
    }
    let mut dev = Dev::start(&world, &["--db-file", "app.db"]);
    assert_eq!(dev.end(Signal::SIGTERM), Some(0), "{}", said(&world));
    assert!(acknowledged.is_subset(&seen(&world, &file).unwrap()));
    assert_eq!(
        sqlite3(&world, &file, "PRAGMA integrity_check; PRAGMA journal_mode").unwrap(),
        "ok\nwal"
    );
    println!(
        "dev: {} rows acknowledged, none lost; {hidden} times nobody could read the file",
        acknowledged.len()
    );
    assert!(!acknowledged.is_empty() && hidden > 0);
}

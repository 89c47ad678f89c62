//! Kills of the server, of a primary and of a replica, at seeded points while applications write through the gateway: no
//! acknowledged row is lost, the server comes back by itself, and its replicas end up equal to the primary.
//!
//! `TORSO_KILLS` says how many (100 without it), `TORSO_SEED` where to begin the random numbers.

use super::{Database, Deployment, signal, until, until_or};
use nix::sys::signal::Signal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const KILLS: u64 = 100;
const WRITERS: u64 = 2;
/// All rows are compared after so many kills, and at the end.
const ROUND: u64 = 20;

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Victim {
    Server,
    Primary,
    Replica,
}

pub(super) fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Writes numbers until told to stop, and keeps those that were acknowledged.
fn write(database: &Database, writer: u64, stop: &AtomicBool, acknowledged: &Mutex<Vec<(u64, u64)>>) {
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let sql = format!("INSERT INTO t(writer, n, body) VALUES ({writer}, {n}, 'row {n} of {writer}')");
        match database.sql(&[&sql]) {
            Ok(_) => acknowledged.lock().unwrap().push((writer, n)),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Everything in the table, in order.
fn rows(database: &Database) -> Result<Vec<(u64, u64)>, String> {
    let rows = database.sql(&["SELECT writer, n, body FROM t ORDER BY writer, n"])?;
    Ok(rows
        .iter()
        .map(|row| {
            let number = |column: usize| row[column]["value"].as_str().unwrap().parse::<u64>().unwrap();
            let (writer, n) = (number(0), number(1));
            assert_eq!(row[2]["value"], format!("row {n} of {writer}"));
            (writer, n)
        })
        .collect())
}

/// Waits until the database takes writes and every replica has everything.
///
/// Returns how long the slowest replica took.
fn compare(server: &Deployment, database: &Database, acknowledged: &Mutex<Vec<(u64, u64)>>) -> Duration {
    let mut slowest = Duration::ZERO;
    until(
        "the primary answers",
        || database.value("PRAGMA integrity_check"),
        |answer| answer == &Ok("ok".to_owned()),
    );
    let there = rows(database).unwrap();
    let acknowledged = acknowledged.lock().unwrap();
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|row| there.binary_search(row).is_err())
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged rows are lost: {lost:?}\n{}",
        lost.len(),
        acknowledged.len(),
        server.log()
    );
    for location in ["lhr", "iad"] {
        let begun = Instant::now();
        until_or(
            &format!("the replica in {location} has everything"),
            || rows(&database.at(location)),
            |answer| answer.as_ref() == Ok(&there),
            |answer| {
                let found = answer.as_ref().map(|rows| {
                    let missing: Vec<_> = there.iter().filter(|row| rows.binary_search(row).is_err()).collect();
                    format!("{} rows of {}, without {missing:?}", rows.len(), there.len())
                });
                format!("{found:?}\n{}", server.replication())
            },
        );
        slowest = slowest.max(begun.elapsed());
    }
    let listed = server.ok("GET", "/v1/databases", None);
    assert_eq!(listed["databases"].as_array().unwrap().len(), 1);
    slowest
}

#[test]
#[allow(clippy::print_stdout)] // The count is part of the proof; `--nocapture` shows it.
fn kills_of_any_process_lose_nothing_and_are_repaired() {
    let kills = number("TORSO_KILLS", KILLS);
    let mut random = fastrand::Rng::with_seed(number("TORSO_SEED", 20_261_126));
    let mut server = Deployment::new();
    let database = server.database("app");
    database
        .sql(&["CREATE TABLE t(writer INTEGER, n INTEGER, body TEXT, PRIMARY KEY (writer, n))"])
        .unwrap();
    let acknowledged = Mutex::new(Vec::new());
    let mut slowest = Duration::ZERO;
    let mut slowest_replica = Duration::ZERO;
    let mut done = 0;
    let mut base = 0;
    while done < kills {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (database, stop, acknowledged) = (database.clone(), &stop, &acknowledged);
                scope.spawn(move || write(&database, base + writer, stop, acknowledged));
            }
            // A failed check must not leave the writers writing.
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                for _ in 0..ROUND.min(kills - done) {
                    let victim = *random
                        .choice([Victim::Server, Victim::Primary, Victim::Replica].iter())
                        .unwrap();
                    std::thread::sleep(Duration::from_millis(random.u64(5..250)));
                    let before = acknowledged.lock().unwrap().len();
                    match victim {
                        Victim::Server => {
                            server.end(Signal::SIGKILL);
                            server.start();
                        }
                        Victim::Primary | Victim::Replica => {
                            let location = match victim {
                                Victim::Primary => "ams",
                                _ => ["lhr", "iad"][random.usize(0..2)],
                            };
                            let pid = until(
                                &format!("a process in {location}"),
                                || server.process_in(location),
                                Option::is_some,
                            );
                            signal(pid.0.unwrap(), Signal::SIGKILL);
                        }
                    }
                    let killed = Instant::now();
                    until(
                        &format!("writes are taken again after the end of the {victim:?}"),
                        || acknowledged.lock().unwrap().len(),
                        |count| *count > before,
                    );
                    slowest = slowest.max(killed.elapsed());
                    done += 1;
                }
            }));
            stop.store(true, Ordering::Relaxed);
            if let Err(panic) = outcome {
                std::panic::resume_unwind(panic);
            }
        });
        slowest_replica = slowest_replica.max(compare(&server, &database, &acknowledged));
        base += WRITERS;
    }
    let count = acknowledged.lock().unwrap().len();
    assert!(count > 0);
    println!(
        "{done} kills, {count} rows acknowledged, none lost; writes were taken again within {slowest:?}, \
         replicas equal within {slowest_replica:?}"
    );
}

#[test]
fn replica_without_its_primary_reads_and_refuses_writes_in_time() {
    let server = Deployment::new();
    let database = server.database("app");
    database
        .sql(&["CREATE TABLE t(x)", "INSERT INTO t VALUES (1)"])
        .unwrap();
    let replica = database.at("lhr");
    until(
        "the replica follows",
        || replica.value("SELECT count(*) FROM t"),
        |answer| answer == &Ok("1".to_owned()),
    );
    // Stopped, not killed: a killed one is back at once.
    let primary = server.process_in("ams").unwrap();
    signal(primary, Signal::SIGSTOP);
    let asked = Instant::now();
    let refused = replica.sql(&["INSERT INTO t VALUES (2)"]);
    let took = asked.elapsed();
    let read = replica.value("SELECT count(*) FROM t");
    signal(primary, Signal::SIGCONT);
    let text = refused.unwrap_err();
    assert!(took < Duration::from_secs(7), "the refusal took {took:?}: {text}");
    assert!(
        text.contains("503") || text.contains("504") || text.contains("UNAVAILABLE"),
        "{text}"
    );
    assert_eq!(read, Ok("1".to_owned()));
    until(
        "writes at the replica are taken again",
        || replica.sql(&["INSERT INTO t VALUES (3)"]),
        Result::is_ok,
    );
}

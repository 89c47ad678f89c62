//! Processes, supervisors and directories that fail.

use super::{Fleet, engine, is_alive, kill};
use crate::support::until;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use torso::engine::{Engine as _, InstanceRole, LocalFiles as _};
use torso::error::Code;

/// A database with one row, at its primary and a replica.
fn followed(fleet: &Fleet, id: &str) -> (torso::engine::Site, torso::engine::Site) {
    let (ams, lhr) = (fleet.site("ams", id), fleet.site("lhr", id));
    fleet.engine.create(&ams).unwrap();
    fleet.sql(&ams, "create table t (x); insert into t values (1)").unwrap();
    fleet.engine.copy(&ams, &lhr).unwrap();
    (ams, lhr)
}

const COUNT: &str = "select count(*) from t";

#[test]
fn process_that_is_killed_comes_back_with_everything() {
    let fleet = Fleet::new();
    let (ams, lhr) = followed(&fleet, "app");
    for (rows, victim) in (1..).zip([&ams, &lhr, &ams, &lhr]) {
        let before = fleet.pid(victim);
        kill(before);
        until("another process serves", || {
            fleet.pid(victim) != before && fleet.engine.endpoint(victim).is_ok()
        });
        assert!(!is_alive(before));
        assert_eq!(fleet.number(&ams, COUNT), rows);
        fleet.sql(&ams, "insert into t values (1)").unwrap();
        // Without being asked: the replica was told again of what it follows.
        until("the replica has it", || {
            fleet.is_fresh(&ams, &lhr) && fleet.number(&lhr, COUNT) == rows + 1
        });
    }
}

/// Sets a flag when it is dropped.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn writes_that_were_acknowledged_survive_kills_under_load() {
    let fleet = Fleet::new();
    let (ams, lhr) = followed(&fleet, "app");
    let mut random = fastrand::Rng::with_seed(20_261_123);
    let done = AtomicBool::new(false);
    let acknowledged = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        // One writes by way of the replica, which forwards it.
        for (to, first) in [(&ams, 1_000), (&lhr, 1_000_000)] {
            let (fleet, done, acknowledged) = (&fleet, &done, &acknowledged);
            scope.spawn(move || {
                for row in (first..).take_while(|_| !done.load(Ordering::SeqCst)) {
                    if fleet.try_sql(to, &format!("insert into t values ({row})")).is_ok() {
                        acknowledged.lock().unwrap().push(row);
                    } else {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                }
            });
        }
        // Also when an assertion fails: the scope waits for the writers.
        let ends = Ends(&done);
        for round in 0..10 {
            std::thread::sleep(Duration::from_millis(random.u64(20..300)));
            let victim = if round % 2 == 0 { &ams } else { &lhr };
            let before = fleet.pid(victim);
            kill(before);
            until("another process serves", || {
                fleet.pid(victim) != before && fleet.engine.endpoint(victim).is_ok()
            });
        }
        until("enough was written", || acknowledged.lock().unwrap().len() > 50);
        drop(ends);
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    let rows = |at| -> BTreeSet<i64> {
        let rows = fleet.sql(at, "select x from t").unwrap();
        rows.iter()
            .map(|row| row[0]["value"].as_str().unwrap().parse().unwrap())
            .collect()
    };
    let kept = rows(&ams);
    let lost: Vec<_> = acknowledged.iter().filter(|row| !kept.contains(row)).collect();
    assert!(
        lost.is_empty(),
        "{} of {} are lost: {lost:?}",
        lost.len(),
        acknowledged.len()
    );
    fleet.engine.copy(&ams, &lhr).unwrap();
    until("the replica is equal", || rows(&lhr) == kept);
}

#[test]
fn process_whose_directory_is_away_is_down_until_it_is_back() {
    let fleet = Fleet::new();
    let (ams, lhr) = followed(&fleet, "app");
    let away = ams.dir.with_extension("away");
    std::fs::rename(&ams.dir, &away).unwrap();
    let is_down = || {
        let processes = fleet.engine.processes();
        processes
            .iter()
            .any(|process| process.label.location == "ams" && !process.is_ready && process.failure.is_some())
    };
    until("the process is down", is_down);
    // What a start may have left in its place.
    let _ = std::fs::remove_dir_all(&ams.dir);
    std::fs::rename(&away, &ams.dir).unwrap();
    until("it serves again", || fleet.engine.endpoint(&ams).is_ok());
    fleet.sql(&ams, "insert into t values (2)").unwrap();
    until("the replica has it", || fleet.number(&lhr, COUNT) == 2);
}

#[test]
fn pool_that_was_shut_down_starts_nothing() {
    let fleet = Fleet::new();
    let (ams, _) = followed(&fleet, "app");
    fleet.engine.shutdown();
    assert_eq!(fleet.engine.start(&ams).unwrap_err().code(), Code::Unavailable);
    assert_eq!(fleet.engine.endpoint(&ams).unwrap_err().code(), Code::Unavailable);
}

#[test]
fn replica_after_a_start_follows_all_it_had() {
    let mut fleet = Fleet::new();
    let all: Vec<_> = (0..20)
        .map(|number| followed(&fleet, &format!("app{number}")))
        .collect();
    fleet.restart();
    for (ams, lhr) in &all {
        let found = fleet.engine.running(ams).unwrap().unwrap();
        assert!(matches!(found.role, InstanceRole::Primary) && !found.serving);
        assert!(
            !fleet.is_fresh(ams, lhr),
            "nothing runs, so nothing is known to be followed"
        );
    }
    // One database's reconciliation starts the processes of its pool.
    fleet.engine.start(&all[0].0).unwrap();
    fleet.engine.copy(&all[0].0, &all[0].1).unwrap();
    for (ams, lhr) in &all {
        fleet.sql(ams, "insert into t values (2)").unwrap();
        until("it is followed", || {
            fleet.is_fresh(ams, lhr) && fleet.number(lhr, COUNT) == 2
        });
    }
}

#[test]
fn database_removal_reaches_a_replica_that_was_down() {
    let mut fleet = Fleet::new();
    let (ams, lhr) = followed(&fleet, "app");
    let (other, other_replica) = followed(&fleet, "other");
    fleet.restart();
    fleet.engine.start(&ams).unwrap();
    fleet.engine.remove(&ams).unwrap();
    assert!(fleet.engine.path(&lhr).exists());
    fleet
        .engine
        .remove(&torso::engine::Site {
            pool: None,
            ..lhr.clone()
        })
        .unwrap();
    assert!(fleet.engine.running(&lhr).unwrap().is_none());
    assert!(!fleet.engine.path(&lhr).exists());
    // The other one is as it was, and nobody tries to follow what is gone.
    fleet.engine.copy(&other, &other_replica).unwrap();
    assert_eq!(fleet.number(&other_replica, COUNT), 1);
    let known = |id: &str| id == "other";
    for location in ["ams", "lhr"] {
        let orphans = fleet.engine.orphans(&fleet.dir.path().join(location), &known).unwrap();
        assert!(orphans.is_empty(), "{orphans:?}");
    }
}

#[test]
fn replication_log_that_is_torn_does_not_stop_its_database() {
    let mut fleet = Fleet::new();
    let (ams, lhr) = followed(&fleet, "app");
    fleet.engine.shutdown();
    let home = fleet.home(&ams).join("sqld/dbs/app");
    let log = std::fs::OpenOptions::new()
        .write(true)
        .open(home.join("wallog"))
        .unwrap();
    log.set_len(40).unwrap();
    std::fs::write(home.join(".sentinel"), "").unwrap();
    fleet.restart();
    fleet.engine.start(&ams).unwrap();
    assert_eq!(fleet.number(&ams, COUNT), 1);
    fleet.sql(&ams, "insert into t values (1)").unwrap();
    fleet.engine.copy(&ams, &lhr).unwrap();
    assert_eq!(fleet.number(&lhr, COUNT), 2);
}

#[test]
fn instance_directory_of_the_other_role_is_not_served() {
    let mut fleet = Fleet::new();
    let (ams, lhr) = followed(&fleet, "app");
    fleet.engine.shutdown();
    let log = fleet.home(&ams).join("sqld/dbs/app/wallog");
    std::fs::copy(log, fleet.home(&lhr).join("sqld/dbs/app/wallog")).unwrap();
    fleet.restart();
    let error = fleet.engine.copy(&ams, &lhr).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(
        error.full_message().contains("cannot be served as a replica's"),
        "{error}"
    );
    assert_eq!(fleet.number(&ams, COUNT), 1);
}

#[test]
fn port_that_another_program_has_is_replaced_and_replicas_follow() {
    let mut fleet = Fleet::new();
    let (ams, lhr) = followed(&fleet, "app");
    let role = |at| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(fleet.home(at).join("role.json")).unwrap()).unwrap()
    };
    let before = role(&ams);
    fleet.engine.shutdown();
    let names = ["http_port", "admin_port", "log_port"];
    let taken = names.map(|name| {
        let port = u16::try_from(before[name].as_u64().unwrap()).unwrap();
        std::net::TcpListener::bind(("127.0.0.1", port)).unwrap()
    });
    fleet.engine = engine();
    fleet.engine.start(&ams).unwrap();
    let role = |at| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(fleet.home(at).join("role.json")).unwrap()).unwrap()
    };
    let now = role(&ams);
    for name in names {
        assert_ne!(now[name], before[name], "{name}");
    }
    assert_eq!(fleet.number(&ams, COUNT), 1);
    fleet.engine.copy(&ams, &lhr).unwrap();
    assert_eq!(role(&lhr)["log_port"], now["log_port"]);
    fleet.sql(&lhr, "insert into t values (2)").unwrap();
    until("the replica has it", || fleet.number(&lhr, COUNT) == 2);
    drop(taken);
    // The new ports stay.
    fleet.restart();
    fleet.engine.start(&ams).unwrap();
    assert_eq!(role_ports(&fleet, &ams), names.map(|name| now[name].clone()));
}

fn role_ports(fleet: &Fleet, at: &torso::engine::Site) -> [serde_json::Value; 3] {
    let role: serde_json::Value =
        serde_json::from_slice(&std::fs::read(fleet.home(at).join("role.json")).unwrap()).unwrap();
    ["http_port", "admin_port", "log_port"].map(|name| role[name].clone())
}

#[test]
fn port_of_a_killed_process_taken_by_another_gets_nothing_and_is_replaced() {
    let fleet = Fleet::new();
    let (ams, lhr) = followed(&fleet, "app");
    for victim in [&ams, &lhr] {
        let ports = role_ports(&fleet, victim);
        let own = if victim == &ams { 3 } else { 2 };
        let pid = fleet.pid(victim);
        kill(pid);
        let strangers: Vec<_> = ports[..own]
            .iter()
            .map(|port| {
                let address = ("127.0.0.1", u16::try_from(port.as_u64().unwrap()).unwrap());
                let mut bound = None;
                until("the port is free", || {
                    bound = std::net::TcpListener::bind(address).ok();
                    bound.is_some()
                });
                let listener = bound.unwrap();
                listener.set_nonblocking(true).unwrap();
                listener
            })
            .collect();
        until("it serves on other ports", || {
            fleet.pid(victim) != pid && fleet.number_or_none(victim, COUNT).is_some()
        });
        assert!(
            role_ports(&fleet, victim)[..own]
                .iter()
                .zip(&ports)
                .all(|(now, before)| now != before)
        );
        for stranger in &strangers {
            while let Ok((mut connection, _)) = stranger.accept() {
                let mut received = Vec::new();
                connection.set_nonblocking(false).unwrap();
                let _ = connection.set_read_timeout(Some(Duration::from_secs(1)));
                let _ = std::io::Read::read_to_end(&mut connection, &mut received);
                // A replica may greet whom it takes for its primary, by TLS, and sends nothing before that is proven.
                let is_greeting = received.first() == Some(&22);
                assert!(received.is_empty() || is_greeting, "{received:?}");
            }
        }
    }
    fleet.sql(&lhr, "insert into t values (2)").unwrap();
    until("the replica follows its primary to the new port", || {
        fleet.number_or_none(&lhr, COUNT) == Some(2)
    });
}

#[test]
fn process_over_stray_files_and_a_bad_metastore_serves_everything() {
    let mut fleet = Fleet::new();
    let (ams, lhr) = followed(&fleet, "app");
    let limits = torso::engine::DatabaseLimits {
        max_size: Some(1 << 20),
        ..Default::default()
    };
    fleet.engine.configure(&ams, &limits).unwrap();
    let garbage: [&dyn Fn(&Path); 4] = [
        &|metastore| std::fs::write(metastore.join("data"), "garbage").unwrap(),
        // It looks like a database.
        &|metastore| {
            let mut bytes = std::fs::read(metastore.join("data")).unwrap();
            bytes[100..].fill(0xa5);
            for log in ["data-wal", "data-shm"] {
                let _ = std::fs::remove_file(metastore.join(log));
            }
            std::fs::write(metastore.join("data"), bytes).unwrap();
        },
        &|metastore| std::fs::remove_dir_all(metastore).unwrap(),
        &|metastore| {
            std::fs::remove_dir_all(metastore).unwrap();
            std::fs::write(metastore, "a file").unwrap();
        },
    ];
    for (round, damage) in (2..).zip(garbage) {
        fleet.engine.shutdown();
        for at in [&ams, &lhr] {
            let own = fleet.home(at).join("sqld");
            std::fs::write(own.join("data"), "a stray file").unwrap();
            damage(&own.join("metastore"));
        }
        fleet.engine = engine();
        until("it serves", || fleet.engine.start(&ams).is_ok());
        fleet.sql(&ams, "insert into t values (1)").unwrap();
        until("the replica is copied", || fleet.engine.copy(&ams, &lhr).is_ok());
        assert_eq!((fleet.number(&ams, COUNT), fleet.number(&lhr, COUNT)), (round, round));
        let grown = fleet.sql(&ams, "insert into t values (zeroblob(2000000))");
        assert!(grown.unwrap_err().contains("FULL"), "the limit is gone");
        assert_eq!(fleet.number(&ams, "pragma synchronous"), 2);
        let aside = std::fs::read_dir(fleet.home(&ams).join("aside")).unwrap();
        let names: Vec<_> = aside
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(names.iter().any(|name| name.starts_with("data-")), "{names:?}");
    }
}

/// A database whose group has a process of its own.
fn in_another_group(fleet: &Fleet) -> torso::engine::Site {
    torso::engine::Site {
        pool: Some("other-pool".to_owned()),
        group: Some("other".to_owned()),
        ..fleet.site("ams", "apart")
    }
}

/// What is not SQLite's memory: a request with a value of many bytes that waits behind a statement.
#[test]
fn process_that_takes_more_memory_than_it_may_is_ended_and_others_go_on() {
    let fleet = Fleet::with(&torso::engine::sqld::EngineSettings {
        memory: Some(80 << 20),
        ..Default::default()
    });
    let (ams, apart) = (fleet.site("ams", "app"), in_another_group(&fleet));
    for at in [&ams, &apart] {
        fleet.engine.create(at).unwrap();
        fleet.sql(at, "create table t (x); insert into t values (1)").unwrap();
    }
    let (pid, pid_apart) = (fleet.pid(&ams), super::pid(&fleet.dir.path().join("ams/other-pool")));
    let endpoint = fleet.engine.endpoint(&ams).unwrap();
    let token = fleet
        .engine
        .token("app", torso::engine::sqld::Access::ReadWrite, Duration::from_secs(60))
        .unwrap();
    let slow = "with recursive n(x) as (select 1 union all select x + 1 from n limit 400000000) select count(*) from n";
    let value = serde_json::json!({ "type": "text", "value": "a".repeat(100 << 20) });
    let body = serde_json::json!({ "requests": [
        { "type": "execute", "stmt": { "sql": slow } },
        { "type": "execute", "stmt": { "sql": "select ?", "args": [value] } },
    ] })
    .to_string();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                assert_eq!(fleet.number(&apart, COUNT), 1);
            }
        });
        let request = super::pipeline(endpoint.address, &endpoint.host, token.expose());
        // Its connection ends with the process.
        let answer = request.body(body).timeout(Duration::from_secs(60)).send();
        assert!(answer.is_err(), "{answer:?}");
        done.store(true, Ordering::SeqCst);
    });
    until("the process is back", || {
        fleet.pid(&ams) != pid && fleet.number_or_none(&ams, COUNT) == Some(1)
    });
    let all = fleet.engine.processes();
    let failure = all
        .iter()
        .find(|status| status.label.pool == "pool")
        .and_then(|status| status.failure.as_deref());
    assert!(
        failure.is_some_and(|failure| failure.contains("MiB of memory")),
        "{failure:?}"
    );
    assert_eq!(super::pid(&fleet.dir.path().join("ams/other-pool")), pid_apart);
}

#[test]
fn query_that_takes_too_much_memory_fails_alone() {
    let fleet = Fleet::with(&torso::engine::sqld::EngineSettings {
        memory: Some(384 << 20),
        ..Default::default()
    });
    let (ams, other) = (fleet.site("ams", "app"), fleet.site("ams", "other"));
    let apart = in_another_group(&fleet);
    for at in [&ams, &other, &apart] {
        fleet.engine.create(at).unwrap();
        fleet.sql(at, "create table t (x); insert into t values (1)").unwrap();
    }
    let pid = fleet.pid(&ams);
    let greedy = "with recursive n(i) as (select 1 union select i + 1 from n limit 20000000) \
                  select count(*) from (select distinct i || hex(zeroblob(10000)) from n)";
    let done = AtomicBool::new(false);
    let (failed, answered) = std::thread::scope(|scope| {
        let in_another_group = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                assert_eq!(fleet.number(&apart, COUNT), 1);
            }
        });
        let neighbour = scope.spawn(|| {
            let (mut failed, mut answered) = (0, 0);
            while !done.load(Ordering::SeqCst) {
                match fleet.try_sql(&other, COUNT) {
                    Ok(_) => answered += 1,
                    Err(_) => failed += 1,
                }
            }
            (failed, answered)
        });
        let error = fleet.sql(&ams, greedy).unwrap_err();
        done.store(true, Ordering::SeqCst);
        assert!(error.contains("NOMEM") || error.contains("out of memory"), "{error}");
        in_another_group.join().unwrap();
        neighbour.join().unwrap()
    });
    assert_eq!(fleet.pid(&ams), pid, "the process was ended");
    assert!(
        failed * 20 < answered,
        "{failed} of {answered} of the neighbour's reads failed"
    );
    assert_eq!(fleet.number(&ams, COUNT), 1);
}

#[test]
fn statement_that_cannot_be_stopped_ends_its_process_which_is_restarted() {
    let fleet = Fleet::with(&torso::engine::sqld::EngineSettings {
        statement_timeout: Some(Duration::from_secs(1)),
        ..Default::default()
    });
    let ams = fleet.site("ams", "app");
    fleet.engine.create(&ams).unwrap();
    let pid = fleet.pid(&ams);
    // One call of one function, for minutes.
    let endless =
        "select instr(replace(hex(zeroblob(2000000)), '0', 'a'), replace(hex(zeroblob(900000)), '0', 'a') || 'b')";
    assert!(fleet.sql(&ams, endless).is_err());
    until("the process was ended", || {
        fleet.pid(&ams) != pid && fleet.engine.endpoint(&ams).is_ok()
    });
    let status = fleet.engine.processes().pop().unwrap();
    let failure = status.failure.unwrap();
    assert!(failure.contains("a statement has run"), "{failure}");
    assert_eq!(status.failures, 1);
    assert_eq!(fleet.number(&ams, "select 1"), 1);
}

/// Tells the test below, in a process of its own, to be the supervisor that is killed.
const SUPERVISE: &str = "TORSO_TEST_SUPERVISE";

#[test]
fn supervisor_that_is_killed_leaves_nothing_running() {
    if let Some(dir) = std::env::var_os(SUPERVISE) {
        let fleet = Fleet::over(Path::new(&dir));
        followed(&fleet, "app");
        std::fs::write(Path::new(&dir).join("up"), "").unwrap();
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let fleet = Fleet::new();
    let mut supervisor = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "engine_sqld::faults::supervisor_that_is_killed_leaves_nothing_running",
        ])
        .env(SUPERVISE, fleet.dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("it has a fleet", || {
        assert!(supervisor.try_wait().unwrap().is_none(), "the supervisor ended");
        fleet.dir.path().join("up").exists()
    });
    let (ams, lhr) = (fleet.site("ams", "app"), fleet.site("lhr", "app"));
    let pids = [fleet.pid(&ams), fleet.pid(&lhr)];
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    // One of them does not even notice: it is stopped.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pids[1]), Signal::SIGSTOP).unwrap();
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    until("the primary has ended with its supervisor", || !is_alive(pids[0]));
    assert!(is_alive(pids[1]));
    // The next supervisor ends the other one before it uses its directory.
    fleet.engine.start(&ams).unwrap();
    fleet.engine.copy(&ams, &lhr).unwrap();
    assert!(!is_alive(pids[1]));
    assert_eq!(fleet.number(&lhr, COUNT), 1);
}

#[test]
fn pool_shuts_down_in_time() {
    let mut fleet = Fleet::new();
    let (ams, lhr) = followed(&fleet, "app");
    let pids = [fleet.pid(&ams), fleet.pid(&lhr)];
    let began = std::time::Instant::now();
    fleet.engine.shutdown();
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(!pids.into_iter().any(is_alive));
    // On a busy machine a server may end before it has closed every database. Its next start cleans up after that, and
    // nothing is lost.
    fleet.engine = engine();
    fleet.engine.start(&ams).unwrap();
    assert_eq!(fleet.number(&ams, COUNT), 1);
}

/// A primary that is killed begins a new log, and a replica that is waited for goes on in that one.
#[test]
fn replica_copy_ends_although_the_primary_is_killed_under_writes() {
    let fleet = Fleet::new();
    let (ams, lhr) = followed(&fleet, "app");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                // Refused while the primary is away.
                let _ = fleet.try_sql(&ams, "INSERT INTO t VALUES (1)");
            }
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..6_u64 {
                let (told, copied) = std::sync::mpsc::channel();
                let (engine, from, to) = (fleet.engine.clone(), ams.clone(), lhr.clone());
                // Not of the scope: one that never ends must fail the test, not hold it up.
                std::thread::spawn(move || told.send(engine.copy(&from, &to).is_ok()));
                std::thread::sleep(Duration::from_millis(round * 7));
                let killed = fleet.pid(&ams);
                kill(killed);
                copied
                    .recv_timeout(Duration::from_secs(45))
                    .unwrap_or_else(|_| panic!("the copy of round {round} does not end"));
                until("the primary is back", || {
                    let pid = fleet.pid(&ams);
                    pid > 1 && pid != killed && is_alive(pid)
                });
                fleet.engine.start(&ams).unwrap();
            }
        }));
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        outcome.unwrap();
    });
    fleet.engine.copy(&ams, &lhr).unwrap();
    assert!(fleet.is_fresh(&ams, &lhr));
    assert_eq!(fleet.number(&lhr, COUNT), fleet.number(&ams, COUNT));
}

/// A process that is told to end closes its log while a transaction may still be under way. Ended before that is counted, it
/// leaves a database with rows that its log does not have, and no other sign of it.
#[test]
fn writes_that_a_log_has_not_counted_reach_the_replicas() {
    let mut fleet = Fleet::new();
    let (ams, lhr) = followed(&fleet, "app");
    fleet.engine.shutdown();
    let home = fleet.home(&ams).join("sqld").join("dbs").join("app");
    let database = rusqlite::Connection::open(home.join("data")).unwrap();
    database.execute("INSERT INTO t VALUES (2)", []).unwrap();
    drop(database);
    let mut log = std::fs::File::options().append(true).open(home.join("wallog")).unwrap();
    log.write_all(&[0; 4120]).unwrap();
    drop(log);
    fleet.engine = engine();
    fleet.engine.start(&ams).unwrap();
    fleet.engine.copy(&ams, &lhr).unwrap();
    assert_eq!(fleet.number(&ams, COUNT), 2);
    assert_eq!(fleet.number(&lhr, COUNT), 2);
}

#[test]
fn port_that_is_taken_while_a_process_starts_is_replaced_at_once() {
    let mut thefts = 0;
    for round in 0..5 {
        let fleet = Fleet::new();
        let ams = fleet.site("ams", &format!("app{round}"));
        let home = fleet.home(&ams);
        let thief = std::thread::spawn(move || {
            let deadline = std::time::Instant::now() + Duration::from_secs(20);
            // The keys are written once the ports are chosen.
            while !home.join("keys").is_dir() {
                assert!(std::time::Instant::now() < deadline);
                std::hint::spin_loop();
            }
            let role: serde_json::Value =
                serde_json::from_slice(&std::fs::read(home.join("role.json")).unwrap()).unwrap();
            let port = u16::try_from(role["http_port"].as_u64().unwrap()).unwrap();
            (port, std::net::TcpListener::bind(("127.0.0.1", port)).ok())
        });
        fleet.engine.create(&ams).unwrap();
        let (port, stolen) = thief.join().unwrap();
        if stolen.is_some() {
            thefts += 1;
            assert_ne!(role_ports(&fleet, &ams)[0], port);
        }
        assert!(fleet.engine.processes().iter().all(|process| process.failures == 0));
    }
    assert!(thefts > 0, "no port was taken in time");
}

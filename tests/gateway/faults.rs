//! Processes that end, hang and come back.

use super::Door;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::collections::HashMap;
use std::time::{Duration, Instant};

fn signal(pids: &[i32], signal: Signal) {
    assert!(!pids.is_empty(), "no process is there");
    for pid in pids {
        assert!(*pid > 1);
        kill(Pid::from_raw(*pid), signal).unwrap();
    }
}

/// Sends a read until it is answered. Until then each answer is 503 with the time to wait: a read is never lost.
#[track_caller]
fn read(door: &Door, token: &str, sql: &str) -> i64 {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = door.run("app-alice", token, sql);
        if answer.status == 200 {
            let value = &answer.json()["results"][0]["response"]["result"]["rows"][0][0]["value"];
            return value.as_str().unwrap_or_else(|| panic!("{answer:?}")).parse().unwrap();
        }
        answer.refused(503, "DATABASE_UNAVAILABLE");
        assert_eq!(answer.header("retry-after"), "1");
        assert!(Instant::now() < deadline, "{answer:?}");
    }
}

/// Ends the processes of the primary as soon as there are some.
fn kill_processes(door: &Door) {
    let killed = |pid: &i32| kill(Pid::from_raw(*pid), Signal::SIGKILL).is_ok();
    let deadline = Instant::now() + Duration::from_secs(60);
    // Those of the last time may not have been replaced yet.
    while !door.processes("ams").iter().filter(|pid| **pid > 1).any(killed) {
        assert!(Instant::now() < deadline, "no process is there");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn process_that_is_restarted_is_waited_for() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x)").fine();
    for round in 0..3 {
        kill_processes(&door);
        assert_eq!(read(&door, &token, &format!("select count(*) + {round} from t")), round);
    }
    assert_eq!(read(&door, &token, "select count(*) from t"), 0);
}

/// A statement that counts for seconds.
const SLOW: &str =
    "with recursive n(x) as (select 1 union all select x + 1 from n limit 40000000) select count(*) from n";

/// The time that each process of the primary has worked for, in hundredths of a second.
fn work(door: &Door) -> HashMap<i32, u64> {
    let all = door.processes("ams").into_iter().filter(|pid| *pid > 1);
    all.filter_map(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name of the program may have blanks; it ends with the last parenthesis.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        Some((pid, fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?))
    })
    .collect()
}

/// Ends a process once it has worked for half a second, which only the statement can have it do.
fn kill_working_process(door: &Door, before: &mut HashMap<i32, u64>) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let works = |(pid, work): &(i32, u64)| work.saturating_sub(*before.get(pid).unwrap_or(&0)) >= 50;
        if let Some((pid, _)) = work(door).into_iter().find(works) {
            // It is not the next one that works.
            before.insert(pid, u64::MAX);
            return signal(&[pid], Signal::SIGKILL);
        }
        assert!(Instant::now() < deadline, "no process works");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn process_that_ends_while_it_answers_is_replaced_for_reads_only() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x)").fine();
    for (sql, ends) in [
        (SLOW.to_owned(), 1),
        (SLOW.to_owned(), 2),
        (format!("insert into t {SLOW}"), 1),
    ] {
        let mut before = work(&door);
        let answer = std::thread::scope(|scope| {
            let answer = scope.spawn(|| door.run("app-alice", &token, &sql));
            for _ in 0..ends {
                kill_working_process(&door, &mut before);
            }
            answer.join().unwrap()
        });
        match (sql.starts_with("insert"), ends) {
            (false, 1) => {
                answer.fine();
                assert!(answer.text().contains("40000000"), "{answer:?}");
            }
            (writes, _) => {
                answer.refused(502, "DATABASE_LOST");
                let effect = if writes { "not known" } else { "changed nothing" };
                assert!(answer.text().contains(effect), "{answer:?}");
            }
        }
        assert_eq!(read(&door, &token, "select count(*) from t"), 0);
    }
}

#[test]
fn replica_without_its_primary_reads_and_refuses_writes() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x)").fine();
    door.run("app-alice", &token, "insert into t values (1)").fine();
    door.replicate("app", "lhr");
    let (here, there) = ("app-alice", "app-alice--lhr");
    assert_eq!(door.number(there, &token, "select count(*) from t"), 1);
    // A replica passes writes on, and the default name reads them at once.
    door.run(there, &token, "insert into t values (2)").fine();
    assert_eq!(door.number(here, &token, "select count(*) from t"), 2);
    let primary = door.processes("ams");
    signal(&primary, Signal::SIGSTOP);
    let start = Instant::now();
    let answer = door.run(there, &token, "insert into t values (3)");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    answer.refused(503, "DATABASE_UNAVAILABLE");
    assert_eq!(answer.header("retry-after"), "1");
    assert!(door.number(there, &token, "select count(*) from t") >= 1);
    // The same where rows are read as they come.
    let cursor = json!({ "batch": { "steps": [{ "stmt": { "sql": "insert into t values (4)" } }] } });
    let start = Instant::now();
    let answer = door.json(there, "/v3/cursor", &token, &cursor);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(answer.text().contains("DATABASE_UNAVAILABLE"), "{answer:?}");
    signal(&primary, Signal::SIGCONT);
    assert!(door.number(here, &token, "select count(*) from t") >= 2);
}

#[test]
fn replica_without_its_primary_takes_its_time_for_reads() {
    let door = Door::with(torso::server::gateway::GatewayLimits {
        doubt: Duration::from_millis(50),
        ..torso::server::gateway::GatewayLimits::default()
    });
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x)").fine();
    door.replicate("app", "lhr");
    let there = "app-alice--lhr";
    assert_eq!(door.number(there, &token, "select count(*) from t"), 0);
    let slow = SLOW.replace("40000000", "5000000");
    let primary = door.processes("ams");
    signal(&primary, Signal::SIGSTOP);
    let start = Instant::now();
    let number = door.number(there, &token, &slow);
    let took = start.elapsed();
    let cursor = json!({ "batch": { "steps": [{ "stmt": { "sql": slow } }] } });
    let streamed = door.json(there, "/v3/cursor", &token, &cursor);
    signal(&primary, Signal::SIGCONT);
    assert_eq!(number, 5_000_000);
    assert!(took > Duration::from_millis(100), "{took:?}");
    assert!(streamed.text().contains("5000000"), "{streamed:?}");
}

/// The database's own process hangs, which no connection tells.
#[test]
fn process_that_hangs_delays_no_other_and_is_restarted() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x)").fine();
    let mut socket = door.socket("app-alice", "hrana2");
    socket.hello(&token);
    let hung = door.processes("ams");
    signal(&hung, Signal::SIGSTOP);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for sql in ["select count(*) from t", "insert into t values (1)"] {
            scope.spawn(|| {
                let answer = door.run("app-alice", &token, sql);
                assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
                // Given up by the gateway, or broken off by the end of the process, whichever is first. A read that is broken
                // off is sent to the next process.
                if sql.starts_with("select") {
                    assert!([200, 503].contains(&answer.status), "{answer:?}");
                } else {
                    assert!([502, 503].contains(&answer.status), "{answer:?}");
                    assert!(answer.text().contains("not known"), "{answer:?}");
                }
            });
        }
        scope.spawn(|| {
            socket.say(
                &json!({ "type": "request", "request_id": 1, "request": { "type": "open_stream", "stream_id": 1 } }),
            );
            // 1013: try again later.
            assert_eq!(socket.closed_within(Duration::from_secs(16)), 1013);
        });
    });
    // Whoever supervises it ends it, and it comes back.
    while door.run("app-alice", &token, "select 1").status != 200 {
        assert!(start.elapsed() < Duration::from_secs(45), "it hangs still");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_ne!(door.processes("ams"), hung);
    assert!(door.number("app-alice", &token, "select count(*) from t") <= 1);
}

#[test]
fn statement_that_takes_long_is_no_hang() {
    let door = Door::with(torso::server::gateway::GatewayLimits {
        doubt: Duration::from_millis(100),
        hang: Duration::from_millis(300),
        ..torso::server::gateway::GatewayLimits::default()
    });
    let token = door.create("app");
    let slow = "with recursive n(x) as (select 1 union all select x + 1 from n limit 40000000) select count(*) from n";
    let start = Instant::now();
    assert_eq!(door.number("app-alice", &token, slow), 40_000_000);
    assert!(start.elapsed() > Duration::from_millis(500), "{:?}", start.elapsed());
}

#[test]
fn client_that_goes_away_leaves_nothing_behind() {
    use std::io::Write as _;
    let door = Door::with(torso::server::gateway::GatewayLimits {
        requests: 2,
        ..torso::server::gateway::GatewayLimits::default()
    });
    let token = door.create("app");
    let body =
        super::pipeline("with recursive n(x) as (select 1 union all select x + 1 from n) select x from n").to_string();
    for _ in 0..6 {
        let mut stream = std::net::TcpStream::connect(door.address).unwrap();
        let head = format!(
            "POST /db/app-alice/v3/cursor HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body.as_bytes()[..20]).unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while door.run("app-alice", &token, "select 1").status != 200 {
        assert!(
            Instant::now() < deadline,
            "the places of clients that left are not free"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

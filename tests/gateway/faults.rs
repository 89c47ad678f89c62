//! Processes that end, hang and come back.

use super::Door;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::time::{Duration, Instant};

fn signal(pids: &[i32], signal: Signal) {
    assert!(!pids.is_empty(), "no process is there");
    for pid in pids {
        assert!(*pid > 1);
        kill(Pid::from_raw(*pid), signal).unwrap();
    }
}

#[test]
fn process_that_is_restarted_is_waited_for() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x)").fine();
    for round in 0..3 {
        let killed = |pid: &i32| kill(Pid::from_raw(*pid), Signal::SIGKILL).is_ok();
        let deadline = Instant::now() + Duration::from_secs(10);
        // The process of the round before may not have been replaced yet.
        while !door.processes("ams").iter().filter(|pid| **pid > 1).any(killed) {
            assert!(Instant::now() < deadline, "no process is there");
            std::thread::sleep(Duration::from_millis(10));
        }
        // Not sent before the process was back, or not at all.
        let answer = door.run("app-alice", &token, "select count(*) from t");
        assert!(answer.status == 200 || answer.status == 502, "{round}: {answer:?}");
    }
    assert_eq!(door.number("app-alice", &token, "select count(*) from t"), 0);
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
                assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
                // Given up by the gateway, or broken off by the end of the process, whichever is first.
                assert!(answer.status == 503 || answer.status == 502, "{answer:?}");
                assert!(answer.text().contains("not known"), "{answer:?}");
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

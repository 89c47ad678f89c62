//! Promotion while applications go on: no acknowledged row is lost, writes wait and go on at the new primary, transactions end
//! in time, and labels, tokens and sockets lead to where the database is.
//!
//! `TORSO_PROMOTIONS` says how many promotions the longest test makes (4 without it), `TORSO_PROMOTION_MB` how large its database is
//! before (nothing without it).

use super::Door;
use crate::support::installed;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use torso::control::types::{Database, InstanceState};
use torso::control::verification::VerificationRequest;

impl Door {
    pub(super) fn promote(&self, name: &str, location: &str) -> Database {
        let owner = self.owner();
        let plane = self.hosted.plane(&owner, None).unwrap();
        plane
            .promote_instance(&name.parse().unwrap(), &location.parse().unwrap())
            .unwrap()
    }

    fn states(&self, name: &str) -> Vec<(String, InstanceState)> {
        let owner = self.owner();
        let plane = self.hosted.plane(&owner, None).unwrap();
        let all = plane.list_instances(&name.parse().unwrap()).unwrap();
        all.into_iter()
            .map(|instance| (instance.location.to_string(), instance.state))
            .collect()
    }

    /// Sends statements in a stream that stays open; returns the answer and its baton.
    fn continue_stream(
        &self,
        label: &str,
        token: &str,
        baton: Option<&str>,
        sql: &str,
    ) -> (super::Answer, Option<String>) {
        let body = json!({ "baton": baton, "requests": [{ "type": "execute", "stmt": { "sql": sql } }] });
        let answer = self.json(label, "/v2/pipeline", token, &body);
        let baton = answer.json()["baton"].as_str().map(str::to_owned);
        (answer, baton)
    }
}

fn is_fine(answer: &super::Answer) -> bool {
    answer.status == 200 && !answer.text().contains("\"type\":\"error\"")
}

/// What writers saw.
#[derive(Default)]
struct History {
    acknowledged: Mutex<BTreeSet<i64>>,
    refused: Mutex<Vec<String>>,
    slowest: Mutex<Duration>,
}

impl History {
    fn note(&self, ids: &[i64], answer: &super::Answer, took: Duration) {
        let mut slowest = self.slowest.lock().unwrap();
        *slowest = took.max(*slowest);
        drop(slowest);
        if is_fine(answer) {
            self.acknowledged.lock().unwrap().extend(ids);
        } else {
            self.refused
                .lock()
                .unwrap()
                .push(format!("{} {}", answer.status, answer.text()));
        }
    }
}

/// Writes single rows until told to stop.
fn write_rows(door: &Door, label: &str, token: &str, first: i64, stop: &AtomicBool, history: &History) {
    let mut id = first;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let answer = door.run(label, token, &format!("insert into t values ({id})"));
        history.note(&[id], &answer, began.elapsed());
        id += 1;
    }
}

/// Writes pairs of rows in transactions over several requests until told to stop.
fn write_transactions(door: &Door, label: &str, token: &str, first: i64, stop: &AtomicBool, history: &History) {
    let mut id = first;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let mut baton = None;
        let pair = [id, id + 1];
        id += 2;
        let steps = [
            "begin".to_owned(),
            format!("insert into t values ({})", pair[0]),
            format!("insert into t values ({})", pair[1]),
            "commit".to_owned(),
        ];
        for (step, sql) in steps.iter().enumerate() {
            let (answer, next) = door.continue_stream(label, token, baton.as_deref(), sql);
            if !is_fine(&answer) || step == 3 {
                history.note(&pair, &answer, began.elapsed());
                break;
            }
            baton = next;
        }
    }
}

#[allow(clippy::print_stderr)] // The figures are part of the proof; `--nocapture` shows them.
#[test]
fn promotion_under_writes_loses_no_acknowledged_row() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u32>().unwrap());
    let promotions = number("TORSO_PROMOTIONS").unwrap_or(4);
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (id integer primary key)")
        .fine();
    if let Some(megabytes) = number("TORSO_PROMOTION_MB") {
        door.run("app-alice", &token, "create table filler (x)").fine();
        for _ in 0..megabytes {
            door.run("app-alice", &token, "insert into filler values (randomblob(1000000))")
                .fine();
        }
    }
    door.replicate("app", "lhr");
    let home = door.states("app")[0].0.clone();
    let (stop, history) = (AtomicBool::new(false), History::default());
    let mut outages = Vec::new();
    std::thread::scope(|scope| {
        let (door, token, stop, history) = (&door, token.as_str(), &stop, &history);
        scope.spawn(move || write_rows(door, "app-alice", token, 0, stop, history));
        scope.spawn(move || write_rows(door, "app-alice--lhr", token, 1_000_000, stop, history));
        scope.spawn(move || write_transactions(door, "app-alice", token, 2_000_000, stop, history));
        for round in 0..promotions {
            std::thread::sleep(Duration::from_millis(700));
            let to = if round % 2 == 0 { "lhr" } else { home.as_str() };
            let database = door.promote("app", to);
            assert_eq!(database.primary.as_str(), to);
            outages.push(database.promotion.unwrap().outage_ms);
        }
        std::thread::sleep(Duration::from_millis(500));
        stop.store(true, Ordering::Relaxed);
    });
    let acknowledged = history.acknowledged.lock().unwrap();
    let refused = history.refused.lock().unwrap();
    let slowest = *history.slowest.lock().unwrap();
    eprintln!(
        "{promotions} promotions, outages {outages:?} ms; {} rows acknowledged, {} requests refused, slowest {slowest:?}",
        acknowledged.len(),
        refused.len()
    );
    let answer = door.run("app-alice", &token, "select id from t");
    let rows = &answer.json()["results"][0]["response"]["result"]["rows"];
    let there: BTreeSet<i64> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row[0]["value"].as_str().unwrap().parse().unwrap())
        .collect();
    let lost: Vec<_> = acknowledged.difference(&there).collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged rows are lost: {lost:?}",
        lost.len(),
        acknowledged.len()
    );
    assert!(
        acknowledged.len() > 50 * usize::try_from(promotions).unwrap(),
        "{}",
        acknowledged.len()
    );
    // Whatever was not answered can be tried again: only transactions end, and what met the last moment.
    for refusal in refused.iter() {
        let may_try_again = [
            "STREAM_EXPIRED",
            "BLOCKED",
            "being moved",
            "TRANSACTION_TIMEOUT",
            "not active",
            // These clients do not close their streams, and a fast machine opens more than there is room for.
            "TOO_MANY_STREAMS",
        ];
        assert!(may_try_again.iter().any(|word| refusal.contains(word)), "{refusal}");
    }
    assert!(slowest < Duration::from_secs(8), "{slowest:?}");
    for location in [home.as_str(), "lhr"] {
        let label = format!("app-alice--{location}");
        let count = door.number(&label, &token, "select count(*) from t");
        assert_eq!(count, i64::try_from(there.len()).unwrap(), "{location}");
    }
    assert!(
        door.states("app")
            .iter()
            .all(|(_, state)| *state == InstanceState::Ready)
    );
}

#[test]
fn promotion_leaves_urls_and_tokens_as_they_were() {
    let door = Door::new();
    let token = door.create("app");
    let reads = door.read_only("app");
    door.run("app-alice", &token, "create table t (x)").fine();
    door.replicate("app", "lhr");
    let home = door.states("app")[0].0.clone();
    let before = door.promote("app", &home);
    assert_eq!(before.promotion, None);
    let after = door.promote("app", "lhr");
    assert_eq!(
        (&after.url, &after.hostname, &after.id),
        (&before.url, &before.hostname, &before.id)
    );
    let report = after.promotion.unwrap();
    assert_eq!(
        (report.from.as_str(), report.to.as_str(), report.pending.len()),
        (home.as_str(), "lhr", 0)
    );
    for (n, label) in [
        "app-alice".to_owned(),
        "app-alice--lhr".to_owned(),
        format!("app-alice--{home}"),
    ]
    .iter()
    .enumerate()
    {
        door.run(label, &token, &format!("insert into t values ({n})")).fine();
        door.run(label, &reads, "select * from t").fine();
        door.run(label, &reads, "insert into t values (9)")
            .refused(403, "FORBIDDEN");
    }
    assert_eq!(door.number("app-alice", &token, "select count(*) from t"), 3);
    assert_eq!(door.states("app")[0].0, "lhr");
    // The outage is in the audit log.
    let owner = door.owner();
    let accounts = door.hosted.accounts(&owner);
    let entries = accounts.audit_log(&"alice".parse().unwrap(), 1, 50).unwrap();
    let text = serde_json::to_string(&entries).unwrap();
    assert!(
        text.contains(&format!("writes waited for {} ms", report.outage_ms)),
        "{text}"
    );
    assert!(text.contains("\"outage_ms\""), "{text}");
}

#[test]
fn transaction_that_is_open_at_a_promotion_ends_in_time_either_way() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x)").fine();
    door.replicate("app", "lhr");
    let home = door.states("app")[0].0.clone();
    // One that is committed soon is waited for.
    let (_, baton) = door.continue_stream("app-alice", &token, None, "begin immediate");
    let (_, baton) = door.continue_stream("app-alice", &token, baton.as_deref(), "insert into t values (1)");
    std::thread::scope(|scope| {
        let promoting = scope.spawn(|| door.promote("app", "lhr"));
        std::thread::sleep(Duration::from_millis(300));
        let waiting = scope.spawn(|| door.run("app-alice", &token, "insert into t values (2)"));
        std::thread::sleep(Duration::from_millis(200));
        let (answer, _) = door.continue_stream("app-alice", &token, baton.as_deref(), "commit");
        answer.fine();
        waiting.join().unwrap().fine();
        assert_eq!(promoting.join().unwrap().primary.as_str(), "lhr");
    });
    assert_eq!(door.number("app-alice", &token, "select count(*) from t"), 2);
    // One that is not is ended, and says so.
    let (_, baton) = door.continue_stream("app-alice", &token, None, "begin immediate");
    let (_, baton) = door.continue_stream("app-alice", &token, baton.as_deref(), "insert into t values (3)");
    let began = Instant::now();
    assert_eq!(door.promote("app", &home).primary.as_str(), home);
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    let (answer, _) = door.continue_stream("app-alice", &token, baton.as_deref(), "insert into t values (4)");
    answer.refused(400, "STREAM_EXPIRED");
    assert!(answer.text().contains("begin the transaction again"), "{answer:?}");
    assert_eq!(door.number("app-alice", &token, "select count(*) from t"), 2);
}

/// A promotion waits for a transaction that goes on, and none of it is refused; one that takes too long fails as a whole.
#[test]
fn transaction_that_writes_during_a_promotion_is_done_as_a_whole_or_not() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x)").fine();
    door.replicate("app", "lhr");
    let (_, mut baton) = door.continue_stream("app-alice", &token, None, "begin immediate");
    let (rows, refused, committed) = std::thread::scope(|scope| {
        let promoting = scope.spawn(|| door.promote("app", "lhr"));
        let (mut rows, mut refused) = (0, Vec::new());
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(1500) && !promoting.is_finished() {
            let sql = format!("insert into t values ({rows})");
            let (answer, next) = door.continue_stream("app-alice", &token, baton.as_deref(), &sql);
            if is_fine(&answer) {
                rows += 1;
            } else {
                refused.push(answer.text());
            }
            baton = next.or(baton);
            std::thread::sleep(Duration::from_millis(20));
        }
        let (answer, _) = door.continue_stream("app-alice", &token, baton.as_deref(), "commit");
        promoting.join().unwrap();
        (rows, refused, is_fine(&answer))
    });
    assert!(
        refused.is_empty() || !committed,
        "{rows} rows were committed without {refused:?}"
    );
    let there = door.number("app-alice", &token, "select count(*) from t");
    assert_eq!(there, if committed { rows } else { 0 }, "{refused:?}");
}

/// A transaction that has only read does not hold a promotion up. What it then writes waits, and fails with the sentence that says so.
#[test]
fn transaction_that_begins_to_write_during_a_promotion_is_never_blocked() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x)").fine();
    door.replicate("app", "lhr");
    let home = door.states("app")[0].0.clone();
    let stop = AtomicBool::new(false);
    let write = |first: usize| {
        let (mut done, mut refused) = (Vec::new(), Vec::new());
        for row in first.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            // Streams are left to end by themselves, and a database has only so many.
            std::thread::sleep(Duration::from_millis(40));
            let mut baton = None;
            let mut is_done = true;
            for sql in [
                "begin",
                "select count(*) from t",
                &format!("insert into t values ({row})"),
                "commit",
            ] {
                let began = Instant::now();
                let (answer, next) = door.continue_stream("app-alice", &token, baton.as_deref(), sql);
                assert!(began.elapsed() < Duration::from_secs(6), "{sql}: {:?}", began.elapsed());
                if !is_fine(&answer) {
                    refused.push(answer.text());
                    is_done = false;
                    break;
                }
                baton = next;
            }
            if is_done {
                done.push(row);
            }
        }
        (done, refused)
    };
    let written = std::thread::scope(|scope| {
        let writing = [scope.spawn(|| write(0)), scope.spawn(|| write(1_000_000))];
        for location in ["lhr", &home, "lhr"] {
            std::thread::sleep(Duration::from_millis(300));
            door.promote("app", location);
        }
        std::thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::Relaxed);
        writing.map(|writing| writing.join().unwrap())
    });
    // The process ended the last one itself, to make way.
    let known = [
        "STREAM_EXPIRED",
        "DATABASE_UNAVAILABLE",
        "SQLITE_BUSY",
        "no transaction is active",
    ];
    for text in written.iter().flat_map(|(_, refused)| refused) {
        assert!(known.iter().any(|code| text.contains(code)), "{text}");
    }
    let done: usize = written.iter().map(|(done, _)| done.len()).sum();
    assert!(done > 0);
    let there = door.number("app-alice", &token, "select count(*) from t");
    assert_eq!(usize::try_from(there).unwrap(), done);
}

#[test]
fn socket_of_a_former_primary_ends_and_the_next_one_leads_to_the_new_one() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x)").fine();
    door.replicate("app", "lhr");
    let mut socket = door.socket("app-alice", "hrana2");
    socket.hello(&token);
    socket.open_stream();
    assert_eq!(socket.run("insert into t values (1)")["type"], "response_ok");
    door.promote("app", "lhr");
    socket.say(&json!({ "type": "request", "request_id": 8, "request":
        { "type": "execute", "stream_id": 1, "stmt": { "sql": "insert into t values (2)" } } }));
    let end = socket.hear();
    assert_eq!(end["closed"], Value::from(1013), "{end}");
    let mut socket = door.socket("app-alice", "hrana2");
    socket.hello(&token);
    socket.open_stream();
    assert_eq!(socket.run("insert into t values (3)")["type"], "response_ok");
    assert_eq!(door.number("app-alice", &token, "select count(*) from t"), 2);
}

#[test]
fn clients_of_libsql_go_on_after_a_promotion() {
    let door = Door::new();
    let token = door.create("app");
    door.replicate("app", "lhr");
    let home = door.states("app")[0].0.clone();
    let mut node = Command::new("node")
        .arg(installed::script("promotion.mjs"))
        .env("DATABASE_URL", door.url("app-alice", "/"))
        .env("DATABASE_TOKEN", &token)
        .env("REPLICA", door.dir.path().join("replica.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(node.stdout.take().unwrap()).lines();
    let mut stdin = node.stdin.take().unwrap();
    // The replica's library writes its log there, too.
    let mut await_ready = || {
        let ready = lines.by_ref().map_while(Result::ok).any(|line| line == "ready");
        assert!(ready, "it ended before it was ready");
    };
    await_ready();
    // There, back and there again: processes that were left are used again.
    for to in ["lhr", &home, "lhr", &home] {
        door.promote("app", to);
        writeln!(stdin, "go on").unwrap();
        await_ready();
    }
    writeln!(stdin, "end").unwrap();
    let last = lines.map_while(Result::ok).last().unwrap_or_default();
    assert!(node.wait().unwrap().success(), "{last}");
    let answer: Value = serde_json::from_str(&last).unwrap();
    let turns = ["before", "after 1", "after 2", "after 3", "after 4"];
    let rows = turns.map(|turn| ["http", "socket", "replica"].map(|client| format!("{client} {turn}")));
    let rows = json!(rows.concat());
    for client in ["http", "socket", "replica"] {
        assert_eq!(answer["seen"][client], rows, "{client}: {answer}");
    }
}

#[test]
fn verification_proves_replicas_equal_while_writes_go_on() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (id integer primary key)")
        .fine();
    door.replicate("app", "lhr");
    let (stop, history) = (AtomicBool::new(false), History::default());
    let verified: Vec<_> = std::thread::scope(|scope| {
        for first in [0, 1_000_000] {
            let (door, token, stop, history) = (&door, token.as_str(), &stop, &history);
            scope.spawn(move || write_rows(door, "app-alice", token, first, stop, history));
        }
        let owner = door.owner();
        let plane = door.hosted.plane(&owner, None).unwrap();
        let verified = (0..3)
            .map(|_| plane.verify_database(&"app".parse().unwrap(), VerificationRequest::default()))
            .collect();
        stop.store(true, Ordering::Relaxed);
        verified
    });
    for verified in verified {
        let verified = verified.unwrap();
        assert_eq!(
            (verified.instances.len(), verified.differing().count()),
            (2, 0),
            "{verified:?}"
        );
    }
    let refused = history.refused.lock().unwrap();
    assert!(refused.is_empty(), "{refused:?}");
    let slowest = *history.slowest.lock().unwrap();
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
}

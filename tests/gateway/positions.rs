//! Reading one's own writes: at the database's own URL always, at a replica by the position that the answer to a write had.
//!
//! `TORSO_POSITION_READS` says how many reads follow writes (300 without it).

use super::{Answer, Door, pipeline};
use std::time::{Duration, Instant};

const HEADER: &str = "torso-position";

impl Door {
    /// Runs a statement that waits for a position.
    fn run_at(&self, label: &str, token: &str, sql: &str, position: &str) -> Answer {
        let request = self.post(label, "/v2/pipeline", token).header(HEADER, position);
        Answer::of(request.body(pipeline(sql).to_string()).send().unwrap())
    }
}

/// The number that a query has answered.
fn number(answer: &Answer) -> i64 {
    let value = &answer.json()["results"][0]["response"]["result"]["rows"][0][0]["value"];
    value.as_str().unwrap_or_else(|| panic!("{answer:?}")).parse().unwrap()
}

#[allow(clippy::print_stderr)] // The figures are part of the proof; `--nocapture` shows them.
#[test]
fn position_of_a_write_makes_it_visible_at_a_replica() {
    let door = Door::new();
    let token = door.create("app");
    door.replicate("app", "lhr");
    let (app, replica) = ("app-alice", "app-alice--lhr");
    door.run(app, &token, "create table t (x)").fine();
    let reads = std::env::var("TORSO_POSITION_READS").map_or(300, |text| text.parse().unwrap());
    let (mut stale_without, mut slowest) = (0, Duration::ZERO);
    for n in 1..=reads {
        // Writes go to both URLs; the replica hands them on.
        let to = if n % 2 == 0 { app } else { replica };
        let written = door.run(to, &token, "insert into t values (1)");
        written.fine();
        let position = written.header(HEADER).to_owned();
        assert!(!position.is_empty(), "{written:?}");
        stale_without += i64::from(door.number(replica, &token, "select count(*) from t") < n);
        let begun = Instant::now();
        let read = door.run_at(replica, &token, "select count(*) from t", &position);
        slowest = slowest.max(begun.elapsed());
        assert_eq!(number(&read), n, "a stale read at the replica");
        assert_eq!(
            door.number(app, &token, "select count(*) from t"),
            n,
            "a stale read at the database's URL"
        );
        assert_eq!(read.header(HEADER), "", "a read has a position");
    }
    eprintln!("{reads} reads after writes: 0 stale with the position, {stale_without} without; slowest {slowest:?}");
}

#[test]
fn position_that_a_replica_does_not_reach_is_refused_in_time() {
    let door = Door::new();
    let token = door.create("app");
    door.replicate("app", "lhr");
    let (app, replica) = ("app-alice", "app-alice--lhr");
    let written = door.run(app, &token, "create table t (x)");
    let position = written.header(HEADER).to_owned();
    let (log, count) = position.rsplit_once('-').unwrap();
    let future = format!("{log}-{}", count.parse::<u64>().unwrap() + 1000);
    let begun = Instant::now();
    let answer = door.run_at(replica, &token, "select 1", &future);
    answer.refused(503, "REPLICA_BEHIND");
    assert_eq!(answer.header("retry-after"), "1");
    assert!((4..8).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    // A primary has everything there is, and is not asked to wait.
    door.run_at(app, &token, "select 1", &future).fine();
    for nonsense in [
        "",
        "now",
        "1-2-3",
        "99999999999999999999999-00000000000000000000000000000000-1",
    ] {
        door.run_at(replica, &token, "select 1", nonsense)
            .refused(400, "BAD_REQUEST");
    }
}

#[test]
fn position_of_a_former_log_waits_for_all_that_the_primary_has() {
    let door = Door::new();
    let token = door.create("app");
    door.replicate("app", "lhr");
    let (app, replica) = ("app-alice", "app-alice--lhr");
    door.run(app, &token, "create table t (x)").fine();
    let written = door.run(app, &token, "insert into t values (1)");
    let position = written.header(HEADER).to_owned();
    // A killed process begins another log.
    for pid in door.processes("ams") {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    let until_it_answers = |label: &str, sql: &str, position: &str| {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = door.run_at(label, &token, sql, position);
            if answer.status == 200 && !answer.text().contains("\"type\":\"error\"") {
                return answer;
            }
            assert!(Instant::now() < end, "{answer:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let written = until_it_answers(app, "insert into t values (2)", &position);
    assert_ne!(written.header(HEADER), position);
    // Of the former position only what was there before is promised.
    for (position, least) in [(position.as_str(), 1), (written.header(HEADER), 2)] {
        let rows = number(&until_it_answers(replica, "select count(*) from t", position));
        assert!(rows >= least, "{rows} at {position}");
    }
    // And so does a promotion.
    door.promote("app", "lhr");
    let moved = format!("{app}--ams");
    for position in [position.as_str(), written.header(HEADER)] {
        assert_eq!(number(&until_it_answers(&moved, "select count(*) from t", position)), 2);
    }
}

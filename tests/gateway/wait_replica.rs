//! Writes that are answered when a replica has them: they survive when that replica becomes the primary by force. What cannot be
//! waited for is refused before anything is written, and what does not come in time is said.

use super::{Answer, Door, pipeline};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::time::{Duration, Instant};
use torso::control::promotion::ForcedPromotion;

const WAIT: &str = "torso-wait-replica";
const REPLICATED: &str = "torso-replicated";

impl Door {
    /// Runs a statement whose answer waits for a replica.
    fn run_replicated(&self, label: &str, token: &str, sql: &str, wait: &str) -> Answer {
        let request = self.post(label, "/v2/pipeline", token).header(WAIT, wait);
        Answer::of(request.body(pipeline(sql).to_string()).send().unwrap())
    }

    fn signal(&self, location: &str, signal: Signal) {
        for pid in self.processes(location) {
            kill(Pid::from_raw(pid), signal).unwrap();
        }
    }
}

#[test]
fn replicated_writes_survive_a_forced_promotion_of_their_replica() {
    let door = Door::new();
    let token = door.create("app");
    door.replicate("app", "lhr");
    let app = "app-alice";
    door.run(app, &token, "create table t (id integer primary key)").fine();
    let mut acknowledged = Vec::new();
    for id in 1..=200 {
        // Writes at the replica's own URL go through it to the primary, and come back.
        let label = if id % 3 == 0 { "app-alice--lhr" } else { app };
        let answer = door.run_replicated(label, &token, &format!("insert into t values ({id})"), "true");
        answer.fine();
        assert_eq!(answer.header(REPLICATED), "lhr");
        acknowledged.push(id);
    }
    // The primary's process and its files are lost at once.
    let home = door.dir.path().join("data/organizations");
    let organization = std::fs::read_dir(home).unwrap().flatten().next().unwrap();
    let files = organization.path().join("locations/ams");
    std::fs::rename(&files, door.dir.path().join("away")).unwrap();
    door.signal("away", Signal::SIGKILL);
    let owner = door.owner();
    let plane = door.hosted.plane(&owner, None).unwrap();
    let request = ForcedPromotion {
        location: Some("lhr".parse().unwrap()),
        dry_run: false,
        ..ForcedPromotion::default()
    };
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        match plane.force_promotion(&"app".parse().unwrap(), &request) {
            Ok(promoted) => break assert_eq!(promoted.primary.as_str(), "lhr"),
            // The server still believes that the primary runs.
            Err(error) => assert!(Instant::now() < end, "{error:?}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let rows = door.number(app, &token, "select count(*) from t");
    assert_eq!(rows, i64::try_from(acknowledged.len()).unwrap());
    let last = door.number(app, &token, "select max(id) from t");
    assert_eq!(last, *acknowledged.last().unwrap());
}

#[test]
fn replicated_write_that_no_replica_takes_says_that_it_was_made() {
    let door = Door::new();
    let token = door.create("app");
    let app = "app-alice";
    door.run(app, &token, "create table t (x)").fine();
    let insert = "insert into t values (1)";
    let refused = door.run_replicated(app, &token, insert, "true");
    refused.refused(400, "NO_REPLICA");
    assert_eq!(door.number(app, &token, "select count(*) from t"), 0);
    door.replicate("app", "lhr");
    for wait in ["", "0", "61", "yes", "1.5"] {
        door.run_replicated(app, &token, insert, wait)
            .refused(400, "BAD_REQUEST");
    }
    // What begins to answer before it has run cannot wait.
    let batch = json!({ "batch": { "steps": [{ "stmt": { "sql": insert } }] } });
    let cursor = door.post(app, "/v3/cursor", &token).header(WAIT, "true");
    Answer::of(cursor.body(batch.to_string()).send().unwrap()).refused(400, "BAD_REQUEST");
    assert_eq!(door.number(app, &token, "select count(*) from t"), 0);
    door.signal("lhr", Signal::SIGSTOP);
    let begun = Instant::now();
    let late = door.run_replicated(app, &token, insert, "1");
    // The process may have been found to hang and started again meanwhile.
    if late.status != 200 {
        late.refused(504, "NOT_REPLICATED");
        assert!(late.text().contains("was carried out"), "{late:?}");
        assert!(begun.elapsed() >= Duration::from_secs(1));
    }
    // A read waits for nothing.
    let read = door.run_replicated(app, &token, "select count(*) from t", "true");
    read.fine();
    assert!(read.text().contains("\"value\":\"1\""), "{read:?}");
    door.signal("lhr", Signal::SIGCONT);
    let end = Instant::now() + Duration::from_secs(60);
    while door.run_replicated(app, &token, insert, "10").status != 200 {
        assert!(Instant::now() < end, "the replica does not follow again");
    }
}

#[test]
fn position_of_a_stream_at_a_replica_is_remembered() {
    let door = Door::new();
    let token = door.create("app");
    door.replicate("app", "lhr");
    let replica = "app-alice--lhr";
    door.run("app-alice", &token, "create table t (x)").fine();
    let mut baton = None;
    for n in 1..=100 {
        for (sql, expected) in [("insert into t values (1)", None), ("select count(*) from t", Some(n))] {
            let body = json!({ "baton": baton, "requests": [{ "type": "execute", "stmt": { "sql": sql } }] });
            let answer = door.json(replica, "/v2/pipeline", &token, &body);
            baton = answer.json()["baton"].as_str().map(str::to_owned);
            let value = &answer.json()["results"][0]["response"]["result"]["rows"][0][0]["value"];
            if let Some(expected) = expected {
                assert_eq!(value.as_str(), Some(&*format!("{expected}")), "{answer:?}");
            }
        }
    }
}

#[test]
fn position_in_a_cookie_serves_where_no_header_is_sent() {
    let door = Door::new();
    let token = door.create("app");
    let app = "app-alice";
    let created = door.run(app, &token, "create table t (x)");
    assert_eq!(
        created.header("set-cookie"),
        "",
        "without a replica nothing is to be remembered"
    );
    door.replicate("app", "lhr");
    for n in 1..=100 {
        let written = door.run(app, &token, "insert into t values (1)");
        let cookie = written.header("set-cookie").to_owned();
        let (pair, attributes) = cookie.split_once(';').unwrap();
        assert!(pair.ends_with(written.header("torso-position")), "{cookie}");
        for attribute in ["Path=/", "HttpOnly", "SameSite=Strict"] {
            assert!(attributes.contains(attribute), "{cookie}");
        }
        let read = door
            .post("app-alice--lhr", "/v2/pipeline", &token)
            .header("cookie", format!("other=1; {pair}"))
            .body(pipeline("select count(*) from t").to_string());
        let read = Answer::of(read.send().unwrap());
        assert!(read.text().contains(&format!("\"value\":\"{n}\"")), "{read:?}");
    }
    // A cookie that is none of this server's is passed over.
    let read = door.post("app-alice--lhr", "/v2/pipeline", &token);
    let read = read.header("cookie", "torso-position-x=1; torso-position=7");
    Answer::of(read.body(pipeline("select 1").to_string()).send().unwrap()).fine();
}

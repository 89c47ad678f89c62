//! Reads that share streams of a process: they answer what they would in a stream of their own, whatever happened since.

use super::{Answer, Door, pipeline};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use torso::control::tokens::{Authorization, Expiration};

impl Door {
    /// How many reads have run in a stream that was open already.
    fn shared_reads(&self) -> u64 {
        let text = self.metrics();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("torso_gateway_shared_reads_total "));
        line.unwrap().parse().unwrap()
    }

    /// Runs a statement until it has shared a stream, which takes three times; all answers must be the same.
    #[track_caller]
    fn run_shared(&self, token: &str, path: &str, body: &Value) -> Answer {
        let first = self.json("app-alice", path, token, body);
        self.json("app-alice", path, token, body);
        let before = self.shared_reads();
        let third = self.json("app-alice", path, token, body);
        assert_eq!(self.shared_reads(), before + 1, "{body}");
        assert_eq!(comparable(&first), comparable(&third), "{body}");
        assert_eq!(third.header("content-length"), third.body.len().to_string());
        third
    }
}

/// An answer without the time that it took.
fn comparable(answer: &Answer) -> (u16, Value) {
    let mut body = answer.json();
    assert!(body.is_object(), "{answer:?}");
    if let Some(result) = body.pointer_mut("/results/0/response/result") {
        result["query_duration_ms"].take();
    }
    (answer.status, body)
}

#[test]
fn shared_read_answers_as_one_in_a_stream_of_its_own() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (id integer primary key, a, b)")
        .fine();
    door.run(
        "app-alice",
        &token,
        "insert into t values (1, 'é\"\\', x'00ff'), (2, null, 1.5)",
    )
    .fine();
    for path in ["/v2/pipeline", "/v3/pipeline"] {
        for sql in [
            "select * from t",
            "select * from t where 0",
            "values (1), (2)",
            "select changes(), total_changes(), last_insert_rowid()",
            "select count(*) from sqlite_schema",
            // An error of preparing, and one of running.
            "select * from missing",
            "select abs(-9223372036854775808)",
            "with recursive n(x) as (select 1 union all select x + 1 from n limit 20) select x, '{\"baton\":\"' from n",
        ] {
            let answer = door.run_shared(&token, path, &pipeline(sql)).json();
            assert_eq!(answer["baton"], Value::Null);
            assert_eq!(
                answer["results"][1],
                json!({ "type": "ok", "response": { "type": "close" } }),
                "{sql}"
            );
        }
        let named = json!({ "requests": [
            { "type": "execute", "stmt": { "sql": "select b from t where id = :id", "named_args": [
                { "name": "id", "value": { "type": "integer", "value": "2" } }] } },
            { "type": "close" },
        ] });
        let answer = door.run_shared(&token, path, &named).json();
        assert_eq!(
            answer.pointer("/results/0/response/result/rows/0/0/value"),
            Some(&json!(1.5))
        );
    }
}

#[test]
fn shared_read_sees_what_was_written_since() {
    let door = Door::new();
    let token = door.create("app");
    let reader = door.token("app", Authorization::ReadOnly, Expiration::Never);
    door.run("app-alice", &token, "create table t (x)").fine();
    for n in 1..20 {
        door.run("app-alice", &token, &format!("insert into t values ({n})"))
            .fine();
        for token in [&token, &reader] {
            assert_eq!(door.number("app-alice", token, "select count(*) from t"), n);
            assert_eq!(
                door.number("app-alice", token, "select last_insert_rowid() + total_changes()"),
                0
            );
        }
    }
    door.run("app-alice", &token, "alter table t add column y default 7")
        .fine();
    assert_eq!(door.number("app-alice", &token, "select count(*) from t"), 19);
    let all = door.run_shared(&token, "/v2/pipeline", &pipeline("select * from t limit 1"));
    assert_eq!(
        all.json()["results"][0]["response"]["result"]["cols"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    door.run("app-alice", &token, "drop table t").fine();
    let gone = door.run("app-alice", &token, "select count(*) from t");
    assert!(gone.text().contains("no such table"), "{gone:?}");
    // A transaction that is open elsewhere shows nothing of what it wrote.
    door.run("app-alice", &token, "create table t (x)").fine();
    let begun = json!({ "requests": [
        { "type": "execute", "stmt": { "sql": "begin" } },
        { "type": "execute", "stmt": { "sql": "insert into t values (1)" } },
    ] });
    let baton = door.json("app-alice", "/v2/pipeline", &token, &begun).json()["baton"].clone();
    assert_eq!(door.number("app-alice", &token, "select count(*) from t"), 0);
    let committed = json!({ "baton": baton, "requests": [
        { "type": "execute", "stmt": { "sql": "commit" } }, { "type": "close" }] });
    door.json("app-alice", "/v2/pipeline", &token, &committed).fine();
    assert_eq!(door.number("app-alice", &token, "select count(*) from t"), 1);
}

#[test]
fn shared_read_whose_stream_has_ended_continues() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x)").fine();
    door.run_shared(&token, "/v2/pipeline", &pipeline("select count(*) from t"));
    for pid in door.processes("ams") {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = door.run("app-alice", &token, "select count(*) from t");
        if answer.status == 200 {
            answer.fine();
            break;
        }
        assert!(
            [502, 503].contains(&answer.status) && Instant::now() < deadline,
            "{answer:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    // A database of the same name is another one.
    let owner = door.owner();
    let plane = door.hosted.plane(&owner, None).unwrap();
    plane.delete_database(&"app".parse().unwrap()).unwrap();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x)").fine();
    door.run("app-alice", &token, "insert into t values (1), (2)").fine();
    for _ in 0..3 {
        assert_eq!(door.number("app-alice", &token, "select count(*) from t"), 2);
    }
}

#[test]
fn read_keeps_a_stream_of_its_own_where_another_could_tell() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x)").fine();
    door.replicate("app", "lhr");
    let deadline = Instant::now() + Duration::from_secs(20);
    while door.run("app-alice--lhr", &token, "select count(*) from t").status != 200 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(50));
    }
    let read = |sql: &str| json!({ "type": "execute", "stmt": { "sql": sql } });
    let before = door.shared_reads();
    for _ in 0..4 {
        door.run("app-alice--lhr", &token, "select count(*) from t").fine();
        for sql in [
            "insert into t values (1)",
            "pragma table_info(t)",
            "explain select 1",
            "select 1; select 2",
        ] {
            door.run("app-alice", &token, sql);
        }
        for requests in [
            json!([read("select 3"), read("select 3"), { "type": "close" }]),
            json!([read("select 3")]),
            json!([{ "type": "batch", "batch": { "steps": [{ "stmt": { "sql": "select 3" } }] } }, { "type": "close" }]),
        ] {
            door.json("app-alice", "/v2/pipeline", &token, &json!({ "requests": requests }))
                .fine();
        }
        // A long answer.
        door.run("app-alice", &token, "select hex(zeroblob(9000))").fine();
    }
    assert_eq!(door.shared_reads(), before);
}

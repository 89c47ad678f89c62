//! Kills of the server while a group moves to another organization: each database is here or there, whole, and the same call,
//! made again, moves the others.

use super::{Database, Deployment, number, until};
use crate::support::server::Server;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Moves that are cut short.
const MOVES: u64 = 6;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const ORGANIZATIONS: [&str; 2] = ["alice", "team"];

fn path(organization: &str, rest: &str) -> String {
    format!("/v1/organizations/{organization}{rest}")
}

fn names_of(server: &Deployment, organization: &str) -> Vec<String> {
    let listed = server.ok("GET", &path(organization, "/databases"), None);
    let all = listed["databases"].as_array().unwrap();
    all.iter()
        .map(|database| database["Name"].as_str().unwrap().to_owned())
        .collect()
}

fn has_group(server: &Deployment, organization: &str) -> bool {
    let listed = server.ok("GET", &path(organization, "/groups"), None);
    let all = listed["groups"].as_array().unwrap();
    all.iter().any(|group| group["name"] == "eu")
}

#[test]
#[allow(clippy::print_stdout)] // The count is part of the proof; `--nocapture` shows it.
fn group_transfer_cut_short_is_completed_by_the_same_call() {
    let moves = number("TORSO_MOVES", MOVES);
    let mut random = fastrand::Rng::with_seed(number("TORSO_SEED", 20_261_128));
    let mut server = Deployment::new();
    server.ok("POST", "/v1/organizations", Some(json!({ "name": "team" })));
    server.ok("POST", "/v1/groups", Some(json!({ "name": "eu", "location": "ams" })));
    server.ok("POST", "/v1/groups/eu/locations/lhr", None);
    for name in NAMES {
        server.ok("POST", "/v1/databases", Some(json!({ "name": name, "group": "eu" })));
    }
    let token = |server: &Deployment, organization: &str, name: &str| {
        let minted = server.ok(
            "POST",
            &path(organization, &format!("/databases/{name}/auth/tokens")),
            None,
        );
        minted["jwt"].as_str().unwrap().to_owned()
    };
    let database = |server: &Deployment, organization: &str, name: &str| Database {
        url: format!("{}db/{name}-{organization}", server.server().url()),
        token: token(server, organization, name),
        client: Server::client(),
    };
    for name in NAMES {
        let sql = [
            "CREATE TABLE t(x)",
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 100) INSERT INTO t SELECT x FROM n",
        ];
        database(&server, "alice", name).sql(&sql).unwrap();
    }
    let mut split = 0;
    for round in 0..moves {
        let at = usize::try_from(round % 2).unwrap();
        let (from, to) = (ORGANIZATIONS[at], ORGANIZATIONS[1 - at]);
        let call = || {
            Server::client()
                .post(format!(
                    "{}{}",
                    server.server().url().trim_end_matches('/'),
                    path(from, "/groups/eu/transfer")
                ))
                .bearer_auth(&server.token)
                .json(&json!({ "organization": to }))
                .send()
                .ok()
                .and_then(|answer| Some((answer.status(), answer.json::<Value>().ok()?)))
        };
        let pause = Duration::from_millis(random.u64(50..600));
        std::thread::scope(|scope| {
            scope.spawn(call);
            std::thread::sleep(pause);
            server.server().signal(Signal::SIGKILL);
        });
        server.end(Signal::SIGKILL);
        server.start();
        // What was under way is undone or finished soon: then each is in one place.
        let places = until(
            "every database is in one place",
            || ORGANIZATIONS.map(|organization| names_of(&server, organization)),
            |places| {
                let mut all: BTreeMap<&String, usize> = BTreeMap::new();
                for name in places.iter().flatten() {
                    *all.entry(name).or_default() += 1;
                }
                all.len() == NAMES.len() && all.values().all(|count| *count == 1)
            },
        );
        if places.0.iter().all(|names| !names.is_empty()) {
            split += 1;
        }
        if has_group(&server, from) {
            let path = path(from, "/groups/eu/transfer");
            server.ok("POST", &path, Some(json!({ "organization": to })));
        }
        assert!(!has_group(&server, from));
        let rows = 101 + round;
        for name in NAMES {
            let moved = database(&server, to, name);
            if let Err(answer) = moved.sql(&["INSERT INTO t VALUES (0)"]) {
                panic!("{name} of {to} takes no writes: {answer}\n{}", server.log());
            }
            for instance in [moved.clone(), moved.at("lhr")] {
                until(
                    &format!("{name} of {to} has its rows"),
                    || instance.value("SELECT count(*) FROM t"),
                    |answer| answer == &Ok(rows.to_string()),
                );
            }
        }
    }
    println!("{moves} moves cut short, {split} of them between databases");
}

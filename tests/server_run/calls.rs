//! Kills of the server, or of one of its processes, in the middle of calls that make, seed, copy, replicate, move and
//! delete databases. What was answered holds; what was not is done or not done, never half; and the server comes back
//! without help, with all databases whole at all their instances and nothing left of those that are gone.
//!
//! `TORSO_CALLS` says how many (30 without it), `TORSO_SEED` where to begin the random numbers.

use super::{Database, Deployment, number, signal, until};
use crate::support::server::Server;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const CALLS: u64 = 30;
const LOCATIONS: [&str; 3] = ["ams", "lhr", "iad"];
const ORGANIZATIONS: [&str; 2] = ["alice", "team"];
/// Few, so that they are used again.
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
/// Rows of a database that begins as an uploaded file.
const UPLOADED: u64 = 5000;

/// A database as the test knows it: its rows, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    rows: u64,
    locations: BTreeSet<&'static str>,
}

/// The databases by organization and name.
type State = BTreeMap<(&'static str, &'static str), Known>;

/// A call, and the states that are right after it if it is done.
#[derive(Debug)]
struct Call {
    requests: Vec<(&'static str, String, Body)>,
    then: State,
}

#[derive(Debug)]
enum Body {
    None,
    Json(Value),
    Bytes(Vec<u8>),
}

struct Calls {
    server: Deployment,
    random: fastrand::Rng,
    state: State,
    tokens: BTreeMap<&'static str, String>,
    file: Vec<u8>,
}

fn path(organization: &str, rest: &str) -> String {
    format!("/v1/organizations/{organization}{rest}")
}

impl Calls {
    fn new() -> Self {
        let server = Deployment::new();
        server.ok("POST", "/v1/organizations", Some(json!({ "name": "team" })));
        let mut tokens = BTreeMap::new();
        for organization in ORGANIZATIONS {
            let minted = server.ok("POST", &path(organization, "/groups/default/auth/tokens"), None);
            tokens.insert(organization, minted["jwt"].as_str().unwrap().to_owned());
        }
        let file = server.world.path("seed.db");
        let seed = rusqlite::Connection::open(&file).unwrap();
        seed.execute_batch(&format!(
            "CREATE TABLE t(x, body);
             WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {UPLOADED})
             INSERT INTO t SELECT x, hex(zeroblob(100)) FROM n;"
        ))
        .unwrap();
        drop(seed);
        Self {
            file: std::fs::read(file).unwrap(),
            server,
            random: fastrand::Rng::with_seed(number("TORSO_SEED", 20_261_127)),
            state: State::new(),
            tokens,
        }
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.random.usize(0..of.len())]
    }

    fn database(&self, organization: &'static str, name: &str) -> Database {
        Database {
            url: format!("{}db/{name}-{organization}", self.server.server().url()),
            token: self.tokens[organization].clone(),
            client: Server::client(),
        }
    }

    /// A call that makes sense now.
    fn next(&mut self) -> Call {
        let organization = self.pick(&ORGANIZATIONS);
        let name = self.pick(&NAMES);
        let mut then = self.state.clone();
        let here = then.get(&(organization, name)).cloned();
        let Some(here) = here else {
            // Three ways to begin.
            let any: Vec<_> = then.keys().filter(|at| at.0 == organization).map(|at| at.1).collect();
            let mut requests = Vec::new();
            let (rows, seed) = match self.random.u8(0..3) {
                0 if !any.is_empty() => {
                    let source = self.pick(&any);
                    let rows = then[&(organization, source)].rows;
                    (rows, json!({ "type": "database", "name": source }))
                }
                1 => {
                    let begin = Body::Json(json!({ "size": self.file.len() }));
                    requests.push(("POST", path(organization, "/uploads"), begin));
                    let bytes = Body::Bytes(self.file.clone());
                    requests.push(("PUT", path(organization, "/uploads/{upload}?offset=0"), bytes));
                    (UPLOADED, json!({ "type": "upload", "id": "{upload}" }))
                }
                _ => (0, Value::Null),
            };
            let new = json!({ "name": name, "group": "default", "location": "ams", "seed": seed });
            requests.push(("POST", path(organization, "/databases"), Body::Json(new)));
            let locations = BTreeSet::from(["ams"]);
            then.insert((organization, name), Known { rows, locations });
            return Call { requests, then };
        };
        let one =
            |method, rest: String, body| vec![(method, path(organization, &format!("/databases/{name}{rest}")), body)];
        let location = self.pick(&LOCATIONS[1..]);
        let other = if organization == "alice" { "team" } else { "alice" };
        let requests = match self.random.u8(0..6) {
            0 => {
                then.remove(&(organization, name));
                one("DELETE", String::new(), Body::None)
            }
            1 | 2 if !then.contains_key(&(other, name)) => {
                then.remove(&(organization, name));
                then.insert((other, name), here);
                let to = Body::Json(json!({ "organization": other }));
                one("POST", "/transfer".to_owned(), to)
            }
            _ if here.locations.contains(location) => {
                let known = then.get_mut(&(organization, name)).unwrap();
                known.locations.remove(location);
                one("DELETE", format!("/instances/{location}"), Body::None)
            }
            _ => {
                let known = then.get_mut(&(organization, name)).unwrap();
                known.locations.insert(location);
                let to = Body::Json(json!({ "location": location }));
                one("POST", "/instances".to_owned(), to)
            }
        };
        Call { requests, then }
    }

    /// Makes a call and kills something while it runs. The answer, if there was one, and whether it was success.
    fn interrupted(&mut self, call: Call) -> Option<(bool, Value)> {
        let base = self.server.server().url().trim_end_matches('/').to_owned();
        let token = self.server.token.clone();
        let (tell, told) = mpsc::channel();
        let caller = std::thread::spawn(move || {
            let mut upload = String::new();
            let mut answer = None;
            for (method, path, body) in call.requests {
                let url = format!("{base}{}", path.replace("{upload}", &upload));
                let mut request = Server::client()
                    .request(method.parse().unwrap(), url)
                    .bearer_auth(&token);
                request = match body {
                    Body::None => request,
                    Body::Json(value) => request.body(value.to_string().replace("{upload}", &upload)),
                    Body::Bytes(bytes) => request.body(bytes),
                };
                let _ = tell.send(());
                answer = request.send().ok().and_then(|response| {
                    let is_success = response.status().is_success();
                    // An answer that was cut off is none.
                    let value = response.json::<Value>().ok()?;
                    Some((is_success, value))
                });
                let Some((true, value)) = &answer else { break };
                if let Some(id) = value["upload"]["id"].as_str() {
                    id.clone_into(&mut upload);
                }
            }
            answer
        });
        told.recv().unwrap();
        std::thread::sleep(Duration::from_millis(self.random.u64(0..400)));
        if self.random.u8(0..3) > 0 {
            self.server.end(Signal::SIGKILL);
            let answer = caller.join().unwrap();
            self.server.start();
            return answer;
        }
        let location = self.pick(&LOCATIONS);
        if let Some(pid) = self.server.process_in(location) {
            signal(pid, Signal::SIGKILL);
        }
        caller.join().unwrap()
    }

    /// What the server has.
    fn found(&self) -> State {
        let mut found = State::new();
        for organization in ORGANIZATIONS {
            let listed = self.server.ok("GET", &path(organization, "/databases"), None);
            for database in listed["databases"].as_array().unwrap() {
                let name = NAMES.into_iter().find(|name| database["Name"] == *name).unwrap();
                let rest = format!("/databases/{name}/instances");
                let instances = self.server.ok("GET", &path(organization, &rest), None);
                let locations = instances["instances"].as_array().unwrap().iter().map(|instance| {
                    LOCATIONS
                        .into_iter()
                        .find(|location| instance["name"] == *location)
                        .unwrap()
                });
                let known = Known {
                    rows: 0,
                    locations: locations.collect(),
                };
                found.insert((organization, name), known);
            }
        }
        found
    }

    /// Every database has its rows at every instance, and takes more.
    fn check(&mut self) {
        for ((organization, name), known) in self.state.clone() {
            let database = self.database(organization, name);
            let what = format!("{name} of {organization}");
            until(
                &format!("the primary of {what} takes writes"),
                || {
                    database.sql(&[
                        "CREATE TABLE IF NOT EXISTS t(x, body)",
                        "INSERT INTO t SELECT 1, 'more' WHERE (SELECT count(*) FROM t) = 0",
                    ])
                },
                Result::is_ok,
            );
            let rows = known.rows.max(1);
            for location in &known.locations {
                let instance = if *location == "ams" {
                    database.clone()
                } else {
                    database.at(location)
                };
                until(
                    &format!("{what} has its rows in {location}"),
                    || instance.value("SELECT count(*) FROM t"),
                    |answer| answer == &Ok(rows.to_string()),
                );
            }
            database.sql(&["INSERT INTO t VALUES (2, 'last')"]).unwrap();
            self.state.get_mut(&(organization, name)).unwrap().rows = rows + 1;
        }
    }

    /// The namespaces on disk, by location.
    fn namespaces(&self) -> BTreeMap<String, usize> {
        let entries = |path: std::path::PathBuf| {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| entry.path())
        };
        let mut found = BTreeMap::new();
        for location in entries(self.server.data().join("organizations"))
            .flat_map(|organization| entries(organization.join("locations")))
        {
            let code = location.file_name().unwrap().to_str().unwrap().to_owned();
            *found.entry(code).or_default() += entries(location)
                .flat_map(|pool| entries(pool.join("sqld").join("dbs")))
                .count();
        }
        found
    }
}

#[test]
#[allow(clippy::print_stdout)] // The count is part of the proof; `--nocapture` shows it.
fn api_calls_that_are_interrupted_are_done_or_not_done() {
    let mut it = Calls::new();
    let count = number("TORSO_CALLS", CALLS);
    let (mut done, mut refused, mut unknown) = (0, 0, 0);
    for _ in 0..count {
        let call = it.next();
        let described = format!("{call:?}").chars().take(300).collect::<String>();
        let then = call.then.clone();
        let answer = it.interrupted(call);
        let places = |state: &State| -> BTreeMap<_, _> {
            let places = state.iter().map(|(at, known)| (*at, known.locations.clone()));
            places.collect()
        };
        let (before, after) = (places(&it.state), places(&then));
        let begun = Instant::now();
        // A move that was cut short is undone at the start, not before the first answer.
        until(
            &format!("all is as before or as after {described} ({answer:?})"),
            || places(&it.found()),
            |found| match &answer {
                Some((true, _)) => *found == after,
                Some((false, _)) => *found == before,
                None => *found == before || *found == after,
            },
        );
        assert!(begun.elapsed() < Duration::from_secs(40));
        match answer {
            Some((true, _)) => done += 1,
            Some((false, _)) => refused += 1,
            None => unknown += 1,
        }
        if places(&it.found()) == after {
            it.state = then;
        }
        it.check();
    }
    let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
    for location in it.state.values().flat_map(|known| &known.locations) {
        *wanted.entry((*location).to_owned()).or_default() += 1;
    }
    until(
        "what is on disk is what there is",
        || {
            let mut found = it.namespaces();
            found.retain(|_, count| *count > 0);
            found
        },
        |found| *found == wanted,
    );
    println!("{count} calls cut short: {done} done, {refused} refused, {unknown} without an answer");
    assert!(done > 0 && unknown > 0);
}

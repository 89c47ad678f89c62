//! `torso server` as a process: what it must withstand, and what operators are told to do with it.

mod kills;
mod operate;

use crate::support::World;
use crate::support::server::Server;
use nix::sys::signal::Signal;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that can be ended and started again, on one port and over one directory.
struct Deployment {
    world: World,
    server: Option<Server>,
    /// The owner's.
    token: String,
    args: Vec<String>,
}

impl Deployment {
    /// With the locations `ams`, `lhr` and `iad`, and the owner `alice`.
    fn new() -> Self {
        let world = World::new();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let args = ["--listen", &listen, "--locations", "ams,lhr,iad", "--owner", "alice"].map(str::to_owned);
        let mut deployment = Self {
            world,
            server: None,
            token: String::new(),
            args: args.to_vec(),
        };
        deployment.start();
        deployment.token = deployment.server().token.clone();
        deployment
    }

    fn start(&mut self) {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        self.server = Some(Server::start(&self.world, &args));
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Ends it by a signal: its exit code, and how long it took.
    fn end(&mut self, signal: Signal) -> (Option<i32>, Duration) {
        self.server.take().unwrap().end(signal)
    }

    fn data(&self) -> PathBuf {
        self.world.data_dir().join("server")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.world.work().join("server.log")).unwrap_or_default()
    }

    /// A request of the owner's that must succeed.
    #[track_caller]
    fn ok(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let url = format!("{}{path}", self.server().url().trim_end_matches('/'));
        let mut request = Server::client()
            .request(method.parse().unwrap(), url)
            .bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().unwrap();
        let status = answer.status();
        let text = answer.text().unwrap();
        assert_eq!(status, 200, "{method} {path}: {text}\n{}", self.log());
        serde_json::from_str(&text).unwrap()
    }

    /// A new database with replicas in every location, and a token for it.
    fn database(&self, name: &str) -> Database {
        for location in ["lhr", "iad"] {
            self.ok("POST", &format!("/v1/groups/default/locations/{location}"), None);
        }
        let new = json!({ "name": name, "group": "default" });
        self.ok("POST", "/v1/databases", Some(&new));
        let minted = self.ok("POST", &format!("/v1/databases/{name}/auth/tokens"), None);
        Database {
            url: format!("{}db/{name}-alice", self.server().url()),
            token: minted["jwt"].as_str().unwrap().to_owned(),
            client: Server::client(),
        }
    }

    /// The libSQL server process of a location, where it has one now.
    fn process_in(&self, location: &str) -> Option<i32> {
        let organizations = std::fs::read_dir(self.data().join("organizations")).unwrap();
        organizations
            .filter_map(|entry| std::fs::read_dir(entry.unwrap().path().join("locations").join(location)).ok())
            .flatten()
            .find_map(|pool| {
                let text = std::fs::read_to_string(pool.unwrap().path().join("lock")).ok()?;
                let pid: i32 = text.split_ascii_whitespace().next()?.parse().ok()?;
                let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
                (pid > 1 && !status.rsplit_once(')')?.1.trim_start().starts_with('Z')).then_some(pid)
            })
    }
}

/// A database as an application reaches it.
#[derive(Clone)]
struct Database {
    url: String,
    token: String,
    client: Client,
}

impl Database {
    /// The same database at the replica in a location.
    fn at(&self, location: &str) -> Self {
        Self {
            url: format!("{}--{location}", self.url),
            ..self.clone()
        }
    }

    /// Runs statements on one stream: the rows of the last one, or why not.
    fn sql(&self, statements: &[&str]) -> Result<Vec<Value>, String> {
        let mut requests: Vec<Value> = statements
            .iter()
            .map(|sql| json!({ "type": "execute", "stmt": { "sql": sql } }))
            .collect();
        requests.push(json!({ "type": "close" }));
        let answer = self
            .client
            .post(format!("{}/v2/pipeline", self.url))
            .bearer_auth(&self.token)
            .timeout(Duration::from_secs(20))
            .json(&json!({ "requests": requests }))
            .send()
            .map_err(|error| format!("{error:?}"))?;
        let status = answer.status();
        let text = answer.text().map_err(|error| error.to_string())?;
        let body: Value = serde_json::from_str(&text).map_err(|_| format!("{status}: {text}"))?;
        let results = body["results"].as_array().ok_or_else(|| format!("{status}: {text}"))?;
        let mut rows = Vec::new();
        for result in results {
            if result["type"] == "error" {
                return Err(result["error"].to_string());
            }
            if let Some(found) = result["response"]["result"]["rows"].as_array() {
                rows.clone_from(found);
            }
        }
        Ok(rows)
    }

    /// The one value that a query answers, as text.
    fn value(&self, sql: &str) -> Result<String, String> {
        let rows = self.sql(&[sql])?;
        Ok(match &rows[0][0]["value"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }
}

fn signal(pid: i32, signal: Signal) {
    assert!(pid > 1);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}

/// Asks again and again until the answer is what is wanted, or too much time has gone by.
#[track_caller]
fn until<T: std::fmt::Debug>(what: &str, mut ask: impl FnMut() -> T, wanted: impl Fn(&T) -> bool) -> Waited<T> {
    let begun = Instant::now();
    loop {
        let answer = ask();
        if wanted(&answer) {
            return Waited(answer);
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: the last answer was {answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What was waited for; of use or not.
struct Waited<T>(T);

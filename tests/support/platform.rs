//! A control plane that speaks the public Platform API and nothing of torso's own, as Turso Cloud does: it has groups, databases and
//! tokens in memory, answers with the fields that the API's document has, knows no idempotency keys, and pages in no order of
//! names. Each database is a real libSQL server.
//!
//! Beyond the document it tells each database's `url`, for without TLS a host name is not enough to reach one.

use super::sqld::Sqld;
use super::stub::{Answer, Request, Stub};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// The running control plane. It and its databases end when it is dropped.
pub struct Platform {
    stub: Stub,
    state: Arc<Mutex<PlatformState>>,
}

#[derive(Default)]
struct PlatformState {
    /// In the order of their creation.
    databases: Vec<PlatformDatabase>,
    groups: Vec<Value>,
    api_tokens: Vec<String>,
    made: u32,
}

struct PlatformDatabase {
    name: String,
    group: String,
    id: String,
    parent: Option<String>,
    configuration: Value,
    server: Option<Sqld>,
}

impl Platform {
    /// With a group `default` at ams.
    pub fn start() -> Self {
        Self::start_with(true)
    }

    /// Whose databases cannot be reached: for tests of the control plane alone.
    pub fn start_without_databases() -> Self {
        Self::start_with(false)
    }

    fn start_with(serves: bool) -> Self {
        let state = Arc::new(Mutex::new(PlatformState::default()));
        state.lock().unwrap().groups.push(group("default", "ams"));
        let shared = Arc::clone(&state);
        let stub = Stub::start(move |request| {
            let mut state = shared.lock().unwrap();
            match state.answer(request, serves) {
                Ok(value) => Answer::Json(200, value),
                Err((status, text)) => Answer::Json(status, json!({ "error": text })),
            }
        });
        Self { stub, state }
    }

    pub fn url(&self) -> String {
        self.stub.url()
    }

    /// Host and port.
    pub fn address(&self) -> String {
        self.stub.url().trim_start_matches("http://").to_owned()
    }

    /// Everything that was requested.
    pub fn requests(&self) -> Vec<Request> {
        self.stub.requests()
    }

    /// The names of the databases there are, in order.
    pub fn databases(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let mut names: Vec<String> = state.databases.iter().map(|database| database.name.clone()).collect();
        names.sort();
        names
    }
}

fn group(name: &str, location: &str) -> Value {
    json!({
        "name": name, "uuid": "0eb771dd-6906-41ee-8553-eaa7715aeaf2", "version": "v0.24.1", "locations": [location],
        "primary": location, "delete_protection": false,
    })
}

/// An error: its status and text.
type Refusal = (u16, String);

impl PlatformState {
    fn answer(&mut self, request: &Request, serves: bool) -> Result<Value, Refusal> {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["v1", "auth", "validate"]) => Ok(json!({ "exp": 4_000_000_000_u32 })),
            ("GET", ["v1", "user" | "current-user"]) => Ok(json!({ "user": { "username": "me" } })),
            ("GET", ["v1", "organizations"]) => Ok(json!([{ "name": "me", "slug": "me", "type": "personal" }])),
            ("GET", ["v1", "locations"]) => Ok(json!({ "locations": { "ams": "Amsterdam", "lhr": "London" } })),
            ("POST", ["v1", "auth", "api-tokens", name]) => {
                if self.api_tokens.iter().any(|token| token == name) {
                    return Err((409, "token already exists".to_owned()));
                }
                self.api_tokens.push((*name).to_owned());
                Ok(json!({ "name": name, "id": "1", "token": "secret" }))
            }
            ("DELETE", ["v1", "auth", "api-tokens", name]) => {
                let before = self.api_tokens.len();
                self.api_tokens.retain(|token| token != name);
                if self.api_tokens.len() == before {
                    return Err((404, "could not find token".to_owned()));
                }
                Ok(json!({ "token": name }))
            }
            (_, ["v1", "groups", rest @ ..]) => self.groups(request, rest),
            (_, ["v1", "databases", rest @ ..]) => self.databases(request, rest, query, serves),
            _ => Err((404, "not found".to_owned())),
        }
    }

    fn groups(&mut self, request: &Request, rest: &[&str]) -> Result<Value, Refusal> {
        let find = |groups: &[Value], name: &str| groups.iter().position(|group| group["name"] == name);
        let missing = || (404, "group not found".to_owned());
        match (request.method.as_str(), rest) {
            ("GET", []) => Ok(json!({ "groups": self.groups })),
            ("POST", []) => {
                let (name, location) = (request.json()["name"].clone(), request.json()["location"].clone());
                let name = name.as_str().unwrap_or_default();
                if find(&self.groups, name).is_some() {
                    return Err((409, "group already exists".to_owned()));
                }
                self.groups.push(group(name, location.as_str().unwrap_or_default()));
                Ok(json!({ "group": self.groups.last() }))
            }
            ("GET", [name]) => {
                let at = find(&self.groups, name).ok_or_else(missing)?;
                Ok(json!({ "group": self.groups[at] }))
            }
            ("DELETE", [name]) => {
                let at = find(&self.groups, name).ok_or_else(missing)?;
                self.databases.retain(|database| database.group != *name);
                Ok(json!({ "group": self.groups.remove(at) }))
            }
            ("GET" | "PATCH", [name, "configuration"]) => {
                let at = find(&self.groups, name).ok_or_else(missing)?;
                Ok(json!({ "delete_protection": self.groups[at]["delete_protection"] }))
            }
            ("POST", [name, "auth", "tokens"]) => {
                find(&self.groups, name).ok_or_else(missing)?;
                Ok(json!({ "jwt": "token" }))
            }
            _ => Err((404, "not found".to_owned())),
        }
    }

    fn databases(&mut self, request: &Request, rest: &[&str], query: &str, serves: bool) -> Result<Value, Refusal> {
        let Some((name, rest)) = rest.split_first() else {
            return match request.method.as_str() {
                "GET" => self.page(query),
                "POST" => self.create(request, serves),
                _ => Err((405, "method not allowed".to_owned())),
            };
        };
        let missing = (
            404,
            format!("could not find database with name [{name}]: record not found"),
        );
        let found = self.databases.iter().position(|database| database.name == *name);
        let at = found.ok_or(missing)?;
        match (request.method.as_str(), rest) {
            ("GET", []) => Ok(json!({ "database": self.describe(at) })),
            ("DELETE", []) => {
                if self.databases[at].configuration["delete_protection"] == true {
                    return Err((400, "database is protected from deletion".to_owned()));
                }
                self.databases.remove(at);
                Ok(json!({ "database": name }))
            }
            ("GET", ["configuration"]) => Ok(self.databases[at].configuration.clone()),
            ("PATCH", ["configuration"]) => {
                let configuration = &mut self.databases[at].configuration;
                // What it does not know it passes over.
                for (key, value) in request.json().as_object().into_iter().flatten() {
                    if configuration.get(key).is_some() {
                        configuration[key] = value.clone();
                    }
                }
                Ok(configuration.clone())
            }
            ("GET", ["instances"]) => Ok(json!({ "instances": [{
                "uuid": self.databases[at].id, "name": "ams", "type": "primary", "region": "ams",
                "hostname": format!("{name}-me.example.io"), "url": self.databases[at].url(),
            }] })),
            ("POST", ["auth", "tokens"]) => Ok(json!({ "jwt": format!("token-of-{name}") })),
            ("POST", ["auth", "rotate"]) => Ok(json!({})),
            _ => Err((404, "not found".to_owned())),
        }
    }

    /// Pages of at most three, whose cursors are no names, the newest database first.
    fn page(&self, query: &str) -> Result<Value, Refusal> {
        let parameter = |key: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(name, _)| *name == key).map(|(_, value)| value.to_owned())
        };
        let skipped = match parameter("cursor") {
            None => 0,
            Some(cursor) => cursor
                .strip_prefix("page_")
                .and_then(|number| number.parse::<usize>().ok())
                .ok_or_else(|| (400, "invalid cursor".to_owned()))?,
        };
        let most = parameter("limit")
            .and_then(|limit| limit.parse().ok())
            .unwrap_or(3)
            .min(3);
        let group = parameter("group");
        let all: Vec<usize> = (0..self.databases.len())
            .rev()
            .filter(|at| group.as_ref().is_none_or(|group| self.databases[*at].group == *group))
            .collect();
        let page: Vec<Value> = all
            .iter()
            .skip(skipped)
            .take(most)
            .map(|at| self.describe(*at))
            .collect();
        let next = (skipped + page.len() < all.len()).then(|| format!("page_{}", skipped + page.len()));
        Ok(json!({ "databases": page, "pagination": { "next": next } }))
    }

    fn create(&mut self, request: &Request, serves: bool) -> Result<Value, Refusal> {
        let body = request.json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (name, group) = (text(&body["name"]), text(&body["group"]));
        if self.databases.iter().any(|database| database.name == name) {
            return Err((409, format!("database with name [{name}] already exists")));
        }
        if !self.groups.iter().any(|known| known["name"] == group.as_str()) {
            return Err((400, "group not found".to_owned()));
        }
        let parent = match body["seed"]["type"].as_str() {
            Some("database") => Some(text(&body["seed"]["name"])),
            Some(_) => return Err((400, "this seed is not for this test".to_owned())),
            None => None,
        };
        let server = serves.then(Sqld::start);
        let source = parent.as_ref().and_then(|source| {
            let source = self.databases.iter().find(|database| database.name == *source)?;
            source.server.as_ref()
        });
        if let (Some(source), Some(server)) = (source, &server) {
            copy(source, server);
        }
        self.made += 1;
        let id = format!("0eb771dd-6906-41ee-8553-{:012}", self.made);
        self.databases.push(PlatformDatabase {
            name: name.clone(),
            group,
            id: id.clone(),
            parent,
            configuration: json!({
                "size_limit": "0", "allow_attach": false, "block_reads": false, "block_writes": false,
                "delete_protection": false,
            }),
            server,
        });
        Ok(json!({ "database": { "DbId": id, "Name": name, "Hostname": format!("{name}-me.example.io") } }))
    }

    fn describe(&self, at: usize) -> Value {
        let database = &self.databases[at];
        let parent = database.parent.as_ref().map(|name| {
            let id = self
                .databases
                .iter()
                .find(|other| other.name == *name)
                .map(|other| other.id.clone());
            json!({ "id": id.unwrap_or_default(), "name": name, "branched_at": "2026-11-01T12:00:00Z" })
        });
        json!({
            "Name": database.name, "DbId": database.id, "Hostname": format!("{}-me.example.io", database.name),
            "url": database.url(), "group": database.group, "primaryRegion": "ams", "regions": ["ams"],
            "block_reads": database.configuration["block_reads"], "block_writes": database.configuration["block_writes"],
            "delete_protection": database.configuration["delete_protection"], "parent": parent, "type": "logical",
            "version": "", "sleeping": false, "archived": false, "is_schema": false, "schema": "",
        })
    }
}

/// Gives a new server another's content.
fn copy(source: &Sqld, target: &Sqld) {
    let client = super::server::Server::client();
    let dump = client
        .get(format!("{}/dump", source.url()))
        .send()
        .unwrap()
        .text()
        .unwrap();
    let pipeline = json!({ "requests": [{ "type": "sequence", "sql": dump }, { "type": "close" }] });
    let answer: Value = client
        .post(format!("{}/v2/pipeline", target.url()))
        .json(&pipeline)
        .send()
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(answer["results"][0]["type"], "ok", "{answer}");
}

impl PlatformDatabase {
    fn url(&self) -> String {
        self.server
            .as_ref()
            .map_or_else(|| format!("libsql://{}-me.example.io", self.name), Sqld::url)
    }
}

//! What the official CLI of Turso asks, command by command, as it was observed to ask it: paths, queries, headers, bodies and
//! their order; and that each answer has what the program reads from it. The program itself is in no package registry.

mod accounts;
mod databases;

use crate::support::World;
use crate::support::server::Server;
use serde_json::{Value, json};

/// The program, as far as it is seen from the server.
struct Cli {
    server: Server,
    /// The token it is logged in with.
    token: String,
    /// In front of what belongs to an organization: the personal one is implied.
    scope: String,
}

impl Cli {
    /// One request: the status and the answer.
    #[track_caller]
    fn send(&self, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
        let url = format!("{}{path}", self.server.url().trim_end_matches('/'));
        let mut request = Server::client()
            .request(method.parse().unwrap(), url)
            .bearer_auth(&self.token)
            // On every request, also on those without a body.
            .header("content-type", "application/json")
            .header("user-agent", "turso-cli/v1.0.29 (linux/amd64)")
            .header("tursocliversion", "v1.0.29");
        if let Some(body) = body {
            request = request.body(format!("{body}\n"));
        }
        let answer = request.send().unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().unwrap();
        let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{method} {path}: {error}: {text}"));
        (status, value)
    }

    /// A request that the program takes for a failure unless it is answered 200.
    #[track_caller]
    fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let text = body.map(|body| body.to_string());
        let (status, value) = self.send(method, path, text.as_deref());
        assert_eq!(status, 200, "{method} {path}: {value}");
        value
    }

    /// The same below the organization.
    #[track_caller]
    fn own(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        self.ok(method, &format!("{}{path}", self.scope), body)
    }

    /// A refusal: its status, and the sentence that the program prints.
    #[track_caller]
    fn refused(&self, method: &str, path: &str, body: Option<Value>) -> (u16, String) {
        let text = body.map(|body| body.to_string());
        let (status, value) = self.send(method, &format!("{}{path}", self.scope), text.as_deref());
        assert_ne!(status, 200, "{method} {path}: {value}");
        (status, value["error"].as_str().unwrap().to_owned())
    }

    /// Looks a database up as the program does: in the list.
    #[track_caller]
    fn find(&self, name: &str) -> Value {
        let listed = self.own("GET", "/databases", None);
        let databases = listed["databases"].as_array().unwrap();
        let found = databases.iter().find(|database| database["Name"] == name);
        let found = found.unwrap_or_else(|| panic!("no {name} in {listed}")).clone();
        for key in ["DbId", "Hostname", "primaryRegion", "group", "version", "schema"] {
            assert!(found[key].is_string(), "{key} of {found}");
        }
        for key in ["sleeping", "is_schema", "archived", "delete_protection"] {
            assert!(found[key].is_boolean(), "{key} of {found}");
        }
        assert!(found["regions"].as_array().is_some_and(|regions| !regions.is_empty()));
        // By which the program tells the engine of a database: only Turso's has 0x10 there.
        let id: uuid::Uuid = found["DbId"].as_str().unwrap().parse().unwrap();
        assert_ne!(id.as_bytes()[5], 0x10);
        found
    }

    /// SQL as its shell sends it to a database's host.
    #[track_caller]
    fn shell(&self, hostname: &str, jwt: &str, sql: &str) -> Value {
        let answer = Server::client()
            .post(format!("http://{hostname}/v2/pipeline"))
            .bearer_auth(jwt)
            .header("x-libsql-client-version", "libsql-remote-go-1f0e5a1")
            .body(json!({ "requests": [{ "type": "execute", "stmt": { "sql": sql, "want_rows": true } }] }).to_string())
            .send()
            .unwrap();
        assert_eq!(answer.status(), 200);
        let answer: Value = answer.json().unwrap();
        assert_eq!(answer["results"][0]["type"], "ok", "{answer}");
        answer["results"][0]["response"]["result"].clone()
    }
}

/// A server in the location that the program speaks plain HTTP with, and in another; logged in as its owner.
fn logged_in(world: &World) -> Cli {
    let server = Server::start(world, &["--locations", "local,lhr", "--owner", "alice"]);
    let token = server.token.clone();
    let cli = Cli {
        server,
        token,
        scope: "/v1".to_owned(),
    };
    // Before every command; one in the past would make it ask twice.
    let exp = cli.ok("GET", "/v1/auth/validate", None)["exp"].as_i64().unwrap();
    assert!(exp > jiff::Timestamp::now().as_second());
    cli
}

/// Whether every one of the keys is there.
#[track_caller]
fn has(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some(), "{key} is missing in {value:#}");
    }
}

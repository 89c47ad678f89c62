//! The server's own tokens for its processes: what a process refuses is made anew once, and no client reads a process's
//! refusal. The tokens are refused because they have ended: a test's clock makes them.

use super::tokens::{call, program, status};
use super::{Door, field, pipeline};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use torso::control::gateway_plane::GatewayPlane as _;
use torso::control::tokens::Authorization;
use torso::engine::sqld::{EngineSettings, TokenClock};
use torso::server::gateway::GatewayLimits;

/// Longer than the gateway remembers the address and token of a process.
const REMEMBERED: Duration = Duration::from_millis(1200);

/// Sends a request: the status and the answer.
type Ask<'a> = Box<dyn Fn() -> (u16, String) + 'a>;

/// A gateway over an engine whose clock is some hours late.
struct Late {
    door: Door,
    hours: Arc<AtomicI64>,
    token: String,
}

impl Late {
    fn new() -> Self {
        let hours = Arc::new(AtomicI64::new(0));
        let late = Arc::clone(&hours);
        let clock = TokenClock::new(move || Timestamp::now() - SignedDuration::from_hours(late.load(Ordering::SeqCst)));
        let settings = EngineSettings {
            clock,
            ..EngineSettings::default()
        };
        let door = Door::over(&settings, GatewayLimits::default());
        let token = door.create("app");
        door.run("app-alice", &token, "create table t (x)").fine();
        Self { door, hours, token }
    }

    /// Has the gateway use tokens that have ended. The process refuses them.
    fn end_tokens(&self) {
        let hosted = &self.door.hosted;
        let route = hosted.route("app-alice").unwrap();
        self.hours.store(3, Ordering::SeqCst);
        for authorization in [Authorization::FullAccess, Authorization::ReadOnly] {
            let good = hosted.internal_token(&route, authorization).unwrap();
            hosted.forget_internal_token(&route, authorization, good.expose());
            let ended = hosted.internal_token(&route, authorization).unwrap();
            let endpoint = hosted.endpoint(&route).unwrap();
            let request = self
                .door
                .client
                .post(format!("http://{}/v2/pipeline", endpoint.address))
                .header("host", &endpoint.host)
                .bearer_auth(ended.expose())
                .body(pipeline("select 1").to_string());
            assert_eq!(request.send().unwrap().status(), 401, "the process accepts it");
        }
        std::thread::sleep(REMEMBERED);
    }

    /// The status of each way to a database over HTTP, and the answer; gRPC's in the terms of HTTP.
    fn requests(&self) -> Vec<(&'static str, Ask<'_>)> {
        let json = |path: &'static str, body: serde_json::Value| {
            let ask = move || {
                let answer = self.door.json("app-alice", path, &self.token, &body);
                (answer.status, answer.text())
            };
            (path, Box::new(ask) as Ask<'_>)
        };
        let grpc = |method: &'static str, message: Vec<u8>| {
            let ask = move || {
                let answer = call(
                    &self.door,
                    "app-alice",
                    method,
                    "x-authorization",
                    &self.token,
                    &message,
                );
                let told = format!("{:?}", answer.headers());
                let status: u16 = match status(answer).as_str() {
                    "0" => 200,
                    "14" => 503,
                    "16" => 401,
                    other => panic!("{method}: {other}: {told}"),
                };
                (status, told)
            };
            (method, Box::new(ask) as Ask<'_>)
        };
        vec![
            json("/v2/pipeline", pipeline("insert into t values (1)")),
            json(
                "/v3/cursor",
                json!({ "batch": { "steps": [{ "stmt": { "sql": "select 1" } }] } }),
            ),
            json("/", json!({ "statements": ["select 1"] })),
            grpc("wal_log.ReplicationLog/Hello", vec![0x08, 1]),
            grpc("proxy.Proxy/Execute", program(1, "select 1")),
        ]
    }
}

#[test]
fn internal_token_that_a_process_refuses_is_renewed_on_each_transport() {
    let late = Late::new();
    for (path, ask) in late.requests() {
        late.end_tokens();
        late.hours.store(0, Ordering::SeqCst);
        let (status, told) = ask();
        assert_eq!(status, 200, "{path}: {told}");
    }
    let written = late.door.number("app-alice", &late.token, "select count(*) from t");
    assert_eq!(written, 1, "what was refused was not done twice");

    late.end_tokens();
    let mut socket = late.door.socket("app-alice", "hrana3");
    late.hours.store(0, Ordering::SeqCst);
    // What follows does not wait for the answer to the greeting.
    socket.say(&json!({ "type": "hello", "jwt": late.token }));
    socket.say(&json!({ "type": "request", "request_id": 1, "request": { "type": "open_stream", "stream_id": 1 } }));
    assert_eq!(socket.hear()["type"], "hello_ok");
    assert_eq!(socket.hear()["type"], "response_ok");
    let counted = socket.run("select count(*) from t");
    assert_eq!(counted["response"]["result"]["rows"][0][0]["value"], "1", "{counted}");
    // A socket that is open is greeted again, and what is open on it stays.
    late.end_tokens();
    late.hours.store(0, Ordering::SeqCst);
    assert_eq!(socket.hello(&late.token)["type"], "hello_ok");
    let counted = socket.run("select count(*) from t");
    assert_eq!(counted["type"], "response_ok", "{counted}");

    late.end_tokens();
    let mut socket = late.door.socket("app-alice", "hrana3-protobuf");
    late.hours.store(0, Ordering::SeqCst);
    let answer = socket.ask_binary(field(1, &field(1, late.token.as_bytes())));
    assert_eq!(answer[0], 1 << 3 | 2, "hello_ok");
}

#[test]
fn process_that_refuses_every_token_is_answered_503_in_the_servers_words() {
    const WORDS: &str = "does not accept the server's token";
    let late = Late::new();
    late.end_tokens();
    for (path, ask) in late.requests() {
        let (status, told) = ask();
        assert_eq!(status, 503, "{path}: {told}");
        assert!(told.contains(WORDS) || told.contains("20accept"), "{path}: {told}");
    }
    let mut socket = late.door.socket("app-alice", "hrana3");
    let refused = socket.hello(&late.token);
    assert_eq!(refused["type"], "hello_error");
    assert_eq!(refused["error"]["code"], "DATABASE_UNAVAILABLE", "{refused}");
    assert!(
        refused["error"]["message"].as_str().unwrap().contains(WORDS),
        "{refused}"
    );
    // 1013: try again later.
    assert_eq!(socket.closed_within(Duration::from_secs(5)), 1013);
    let mut socket = late.door.socket("app-alice", "hrana3-protobuf");
    let refused = socket.ask_binary(field(1, &field(1, late.token.as_bytes())));
    assert_eq!(refused[0], 2 << 3 | 2, "hello_error");
    assert!(String::from_utf8_lossy(&refused).contains(WORDS));
    // The next token is good, and nothing of the refused ones is remembered.
    late.hours.store(0, Ordering::SeqCst);
    late.door.run("app-alice", &late.token, "select 1").fine();
    let mut socket = late.door.socket("app-alice", "hrana3");
    assert_eq!(socket.hello(&late.token)["type"], "hello_ok");
}

/// A greeting that is too long to be read here goes on to the process, which refuses it.
#[test]
fn hello_refused_by_a_process_is_answered_in_the_servers_words() {
    let door = Door::new();
    door.create("app");
    let mut socket = door.socket("app-alice", "hrana3");
    let refused = socket.hello(&"x".repeat(70 << 10));
    assert_eq!(refused["type"], "hello_error");
    assert_eq!(refused["error"]["code"], "UNAUTHORIZED", "{refused}");
    assert_eq!(
        refused["error"]["message"], "the hello message cannot be parsed",
        "{refused}"
    );
    assert_eq!(socket.closed_within(Duration::from_secs(5)), 1008);
}

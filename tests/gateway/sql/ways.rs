//! Every way in which a client can have a text of SQL run or prepared through the gateway, and what came back.

use super::super::sockets::Socket;
use super::super::{Door, field, frame};
use serde_json::{Value, json};

/// The id of a replica outside.
const CLIENT: &[u8] = b"6b1c8a0e-5d0c-4b0e-9d6b-3d7d2f1a9c55";

/// What came back for a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    /// An error of the gateway or the engine, with its code.
    Error(String),
}

/// The ways to one label with one token.
pub(super) struct Ways<'a> {
    door: &'a Door,
    label: &'a str,
    token: &'a str,
    socket: Socket,
    binary: Socket,
}

impl<'a> Ways<'a> {
    pub(super) fn new(door: &'a Door, label: &'a str, token: &'a str) -> Self {
        let mut socket = door.socket(label, "hrana3");
        assert_eq!(socket.hello(token)["type"], "hello_ok");
        let open = json!({ "type": "open_stream", "stream_id": 1 });
        socket.ask(&json!({ "type": "request", "request_id": 1, "request": open }));
        let mut binary = door.socket(label, "hrana3-protobuf");
        binary.ask_binary(field(1, &field(1, token.as_bytes())));
        binary.ask_binary(request(2, &[0x08, 1]));
        Self {
            door,
            label,
            token,
            socket,
            binary,
        }
    }

    /// Sends a text in every way.
    pub(super) fn send(&mut self, sql: &str) -> Vec<(String, Outcome)> {
        let mut outcomes = Vec::new();
        for (path, body) in json_bodies(sql) {
            let way = format!("{path} {body}");
            outcomes.push((way, self.post(path, body.to_string().into_bytes())));
        }
        for (path, body) in binary_bodies(sql) {
            outcomes.push((format!("{path} {body:?}"), self.post(path, body)));
        }
        for (method, message) in programs(sql) {
            outcomes.push((format!("gRPC {method}"), self.call(method, &message)));
        }
        for request in socket_requests(sql) {
            let way = format!("socket {}", request["type"]);
            let answer = self
                .socket
                .ask(&json!({ "type": "request", "request_id": 5, "request": request }));
            let outcome = match answer["error"]["code"].as_str() {
                Some(code) => Outcome::Error(code.to_owned()),
                None => Outcome::Ok,
            };
            outcomes.push((way, outcome));
            let close = match request["type"].as_str() {
                Some("store_sql") => json!({ "type": "close_sql", "sql_id": 1 }),
                Some("open_cursor") => json!({ "type": "close_cursor", "cursor_id": 1 }),
                _ => continue,
            };
            let closed = self
                .socket
                .ask(&json!({ "type": "request", "request_id": 6, "request": close }));
            assert_eq!(closed["type"], "response_ok", "{closed}");
        }
        for (number, message) in binary_requests(sql) {
            let answer = self.binary.ask_binary(request(number, &message));
            // The message of an error, then its code.
            let outcome = match answer[0] {
                34 => Outcome::Error(last_text(&answer)),
                _ => Outcome::Ok,
            };
            outcomes.push((format!("binary socket {number}"), outcome));
            // The cursor, or the stored text.
            match number {
                6 => drop(self.binary.ask_binary(request(7, &[0x08, 1]))),
                11 => drop(self.binary.ask_binary(request(12, &[0x08, 1]))),
                _ => {}
            }
        }
        outcomes
    }

    fn post(&self, path: &str, body: Vec<u8>) -> Outcome {
        let answer = self.door.post(self.label, path, self.token).body(body).send().unwrap();
        if answer.status() == 200 {
            return Outcome::Ok;
        }
        let text = answer.text().unwrap();
        let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"));
        Outcome::Error(body["code"].as_str().unwrap_or_default().to_owned())
    }

    fn call(&self, method: &str, message: &[u8]) -> Outcome {
        let answer = self
            .door
            .client
            .post(self.door.url(self.label, &format!("/proxy.Proxy/{method}")))
            .header("content-type", "application/grpc-web+proto")
            .header("x-authorization", format!("Bearer {}", self.token))
            .body(frame(0, message))
            .send()
            .unwrap();
        match answer
            .headers()
            .get("grpc-status")
            .map(|status| status.to_str().unwrap())
        {
            None | Some("0") => Outcome::Ok,
            Some("7") => Outcome::Error("FORBIDDEN".to_owned()),
            Some("3") => Outcome::Error("SQL_FORBIDDEN".to_owned()),
            Some(other) => Outcome::Error(other.to_owned()),
        }
    }
}

pub(super) fn json_bodies(sql: &str) -> Vec<(&'static str, Value)> {
    let stmt = json!({ "sql": sql });
    let batch = json!({ "steps": [{ "stmt": { "sql": "select 1" } }, { "condition": { "type": "ok", "step": 0 }, "stmt": stmt }] });
    let one = |request: Value| json!({ "requests": [request, { "type": "close" }] });
    let mut bodies = vec![
        ("/v3/cursor", json!({ "batch": batch })),
        ("/v1/batch", json!({ "batch": batch })),
        ("/v1/execute", json!({ "stmt": stmt })),
        ("/", json!({ "statements": [sql] })),
        ("/", json!({ "statements": [{ "q": sql, "params": [] }] })),
        (
            "/v2/pipeline",
            one(json!({ "type": "execute", "stmt": [sql, null, [], [], true] })),
        ),
    ];
    for path in ["/v2/pipeline", "/v3/pipeline"] {
        for request in [
            json!({ "type": "execute", "stmt": stmt }),
            json!({ "type": "batch", "batch": batch }),
            json!({ "type": "sequence", "sql": format!("select 1; {sql}") }),
            json!({ "type": "describe", "sql": sql }),
            json!({ "type": "store_sql", "sql_id": 1, "sql": sql }),
        ] {
            bodies.push((path, one(request)));
        }
    }
    bodies
}

pub(super) fn binary_bodies(sql: &str) -> Vec<(&'static str, Vec<u8>)> {
    let stmt = field(1, sql.as_bytes());
    let batch = field(1, &field(2, &stmt));
    let mut bodies = vec![("/v3-protobuf/cursor", field(2, &batch))];
    for request in [
        field(2, &field(1, &stmt)),
        field(3, &field(1, &batch)),
        field(4, &field(1, sql.as_bytes())),
        field(5, &field(1, sql.as_bytes())),
        field(6, &[vec![0x08, 1], field(2, sql.as_bytes())].concat()),
    ] {
        let close = field(2, &field(1, b""));
        bodies.push(("/v3-protobuf/pipeline", [field(2, &request), close].concat()));
    }
    bodies
}

fn programs(sql: &str) -> [(&'static str, Vec<u8>); 2] {
    let query = [field(1, sql.as_bytes()), field(2, b"")].concat();
    let step = field(2, &query);
    [
        ("Execute", [field(1, CLIENT), field(2, &field(1, &step))].concat()),
        ("Describe", [field(1, CLIENT), field(2, sql.as_bytes())].concat()),
    ]
}

pub(super) fn socket_requests(sql: &str) -> Vec<Value> {
    let batch = json!({ "steps": [{ "stmt": { "sql": sql } }] });
    vec![
        json!({ "type": "execute", "stream_id": 1, "stmt": { "sql": sql } }),
        json!({ "type": "batch", "stream_id": 1, "batch": batch }),
        json!({ "type": "open_cursor", "stream_id": 1, "cursor_id": 1, "batch": batch }),
        json!({ "type": "sequence", "stream_id": 1, "sql": sql }),
        json!({ "type": "describe", "stream_id": 1, "sql": sql }),
        json!({ "type": "store_sql", "sql_id": 1, "sql": sql }),
    ]
}

/// A message of a client of kind `number`.
pub(super) fn request(number: u8, inner: &[u8]) -> Vec<u8> {
    field(2, &[vec![0x08, 9], field(number, inner)].concat())
}

pub(super) fn binary_requests(sql: &str) -> Vec<(u8, Vec<u8>)> {
    let stream = vec![0x08, 1];
    let stmt = field(1, sql.as_bytes());
    let batch = field(1, &field(2, &stmt));
    vec![
        (4, [stream.clone(), field(2, &stmt)].concat()),
        (5, [stream.clone(), field(2, &batch)].concat()),
        (6, [stream.clone(), vec![0x10, 1], field(3, &batch)].concat()),
        (9, [stream.clone(), field(2, sql.as_bytes())].concat()),
        (10, [stream.clone(), field(2, sql.as_bytes())].concat()),
        (11, [vec![0x08, 1], field(2, sql.as_bytes())].concat()),
    ]
}

/// The text at the end of a message.
fn last_text(message: &[u8]) -> String {
    let is_code = |byte: &&u8| byte.is_ascii_uppercase() || **byte == b'_';
    let length = message.iter().rev().take_while(is_code).count();
    String::from_utf8_lossy(&message[message.len() - length..]).into_owned()
}

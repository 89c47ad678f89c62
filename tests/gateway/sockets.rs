//! SQL over WebSockets.

use super::{Door, field};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};
use torso::control::tokens::{Authorization, Expiration};
use torso::server::gateway::GatewayLimits;

pub(super) struct Socket(pub WebSocket<TcpStream>);

impl Door {
    pub(super) fn socket(&self, label: &str, protocol: &str) -> Socket {
        self.try_socket(label, protocol, None).unwrap()
    }

    fn try_socket(&self, label: &str, protocol: &str, token: Option<&str>) -> Result<Socket, String> {
        let mut request = format!("ws://{}/db/{label}/", self.address)
            .into_client_request()
            .unwrap();
        let headers = request.headers_mut();
        if !protocol.is_empty() {
            headers.insert("sec-websocket-protocol", protocol.parse().unwrap());
        }
        if let Some(token) = token {
            headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        tungstenite::client(request, stream)
            .map(|(socket, _)| Socket(socket))
            .map_err(|error| error.to_string())
    }
}

impl Socket {
    pub(super) fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).unwrap();
    }

    pub(super) fn hear(&mut self) -> Value {
        loop {
            match self.0.read().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(frame) => return json!({ "closed": frame.map(|frame| u16::from(frame.code)) }),
                _ => {}
            }
        }
    }

    pub(super) fn ask(&mut self, message: &Value) -> Value {
        self.say(message);
        self.hear()
    }

    /// Says a message of protocol buffers: the next one that comes back.
    pub(super) fn ask_binary(&mut self, message: Vec<u8>) -> Vec<u8> {
        self.0.send(Message::binary(message)).unwrap();
        loop {
            if let Message::Binary(answer) = self.0.read().unwrap() {
                return answer.to_vec();
            }
        }
    }

    pub(super) fn hello(&mut self, token: &str) -> Value {
        self.ask(&json!({ "type": "hello", "jwt": token }))
    }

    pub(super) fn open_stream(&mut self) {
        let opened = self
            .ask(&json!({ "type": "request", "request_id": 1, "request": { "type": "open_stream", "stream_id": 1 } }));
        assert_eq!(opened["type"], "response_ok", "{opened}");
    }

    pub(super) fn run(&mut self, sql: &str) -> Value {
        self.ask(&json!({ "type": "request", "request_id": 7, "request":
            { "type": "execute", "stream_id": 1, "stmt": { "sql": sql, "want_rows": true } } }))
    }

    /// What the other end says as it closes the socket, within a time.
    pub(super) fn closed_within(&mut self, time: Duration) -> u16 {
        let start = Instant::now();
        loop {
            match self.0.read() {
                Ok(Message::Close(frame)) => {
                    assert!(start.elapsed() < time, "closed after {:?}", start.elapsed());
                    return frame.map_or(0, |frame| frame.code.into());
                }
                Ok(_) => {}
                Err(error) => panic!("broke off: {error}"),
            }
        }
    }
}

#[test]
fn protocol_versions_are_all_served() {
    let door = Door::new();
    let token = door.create("app");
    for protocol in ["hrana1", "hrana2", "hrana3", "hrana3, hrana2", ""] {
        let mut socket = door.socket("app-alice", protocol);
        assert_eq!(socket.hello(&token)["type"], "hello_ok", "{protocol}");
        socket.open_stream();
        let answer = socket.run("select 41 + 1");
        assert_eq!(answer["response"]["result"]["rows"][0][0]["value"], "42", "{answer}");
    }
    assert!(door.try_socket("app-alice", "nonsense", None).is_err());
    assert!(door.try_socket("nobody-alice", "hrana2", Some(&token)).is_err());
    assert!(door.try_socket("app-alice", "hrana2", Some("nonsense")).is_err());
}

#[test]
fn protobuf_messages_are_served_and_checked() {
    let door = Door::new();
    let token = door.create("app");
    let mut socket = door.socket("app-alice", "hrana3-protobuf");
    let mut ask = |message| socket.ask_binary(message);
    // hello_ok is field 1, response_ok 3, response_error 4.
    assert_eq!(ask(field(1, &field(1, token.as_bytes())))[0], 1 << 3 | 2);
    let request = |number: u8, inner: &[u8]| field(2, &[vec![0x08, 9], field(number, inner)].concat());
    assert_eq!(ask(request(2, &[0x08, 1]))[0], 3 << 3 | 2);
    let execute = |sql: &str| {
        let inner = [
            vec![0x08, 1],
            field(2, &[field(1, sql.as_bytes()), vec![5 << 3, 1]].concat()),
        ]
        .concat();
        request(4, &inner)
    };
    let answer = ask(execute("select 'found'"));
    assert!(answer[0] == 3 << 3 | 2 && answer.windows(5).any(|part| part == b"found"));
    for message in [
        execute("select readfile('/nonexistent')"),
        request(9, &[vec![0x08, 1], field(2, b"select 1; select READFILE(1)")].concat()),
        request(10, &[vec![0x08, 1], field(2, b"select readfile(1)")].concat()),
        request(11, &[vec![0x08, 1], field(2, b"select readfile(1)")].concat()),
        request(
            6,
            &[
                vec![0x08, 1, 0x10, 1],
                field(3, &field(1, &field(2, &field(1, b"select readfile(1)")))),
            ]
            .concat(),
        ),
    ] {
        let answer = ask(message);
        assert_eq!(answer[0], 4 << 3 | 2, "{answer:?}");
        assert!(answer.windows(13).any(|part| part == b"SQL_FORBIDDEN"), "{answer:?}");
        assert!(
            answer.windows(2).any(|part| part == [0x08, 9]),
            "the request's id: {answer:?}"
        );
    }
    assert_eq!(ask(execute("select 1"))[0], 3 << 3 | 2);
    // Writes of who may only read are errors as well, and the socket goes on.
    ask(field(1, &field(1, door.read_only("app").as_bytes())));
    let cursor = [
        vec![0x08, 1, 0x10, 1],
        field(3, &field(1, &field(2, &field(1, b"create table t (x)")))),
    ]
    .concat();
    for message in [execute("create table t (x)"), request(6, &cursor)] {
        let answer = ask(message);
        assert_eq!(answer[0], 4 << 3 | 2, "{answer:?}");
        assert!(answer.windows(9).any(|part| part == b"FORBIDDEN"), "{answer:?}");
    }
    // Of the cursor that is not there.
    assert_eq!(ask(request(8, &[0x08, 1, 0x10, 9]))[0], 4 << 3 | 2);
    assert_eq!(ask(request(7, &[0x08, 1]))[0], 3 << 3 | 2);
    assert_eq!(ask(execute("select 1"))[0], 3 << 3 | 2);
}

#[test]
fn sql_in_each_socket_message_is_checked() {
    let door = Door::new();
    let token = door.create("app");
    let mut socket = door.socket("app-alice", "hrana3");
    socket.hello(&token);
    socket.open_stream();
    let sql = "select readfile('/nonexistent')";
    let batch = json!({ "steps": [{ "stmt": { "sql": sql } }] });
    for request in [
        json!({ "type": "execute", "stream_id": 1, "stmt": { "sql": sql } }),
        json!({ "type": "batch", "stream_id": 1, "batch": batch }),
        json!({ "type": "open_cursor", "stream_id": 1, "cursor_id": 1, "batch": batch }),
        json!({ "type": "sequence", "stream_id": 1, "sql": sql }),
        json!({ "type": "describe", "stream_id": 1, "sql": sql }),
        json!({ "type": "store_sql", "sql_id": 1, "sql": sql }),
    ] {
        let answer = socket.ask(&json!({ "type": "request", "request_id": 12, "request": request }));
        assert_eq!(answer["type"], "response_error", "{answer}");
        assert_eq!(
            (&answer["request_id"], &answer["error"]["code"]),
            (&json!(12), &json!("SQL_FORBIDDEN"))
        );
    }
    let text = json!({ "type": "request", "request_id": 3, "request":
        { "type": "execute", "stream_id": 1, "stmt": { "sql": sql } } });
    let hidden = text.to_string().replace("readfile", "read\\u0066ile");
    socket.0.send(Message::text(hidden)).unwrap();
    assert_eq!(socket.hear()["error"]["code"], "SQL_FORBIDDEN");
    // The socket goes on.
    assert_eq!(socket.run("select 'readfile(1)'")["type"], "response_ok");
}

#[test]
fn socket_opens_its_own_database_only() {
    let door = Door::new();
    let (token, other) = (door.create("app"), door.create("other"));
    for jwt in [json!(other), json!("nonsense"), json!(null), json!("")] {
        let mut socket = door.socket("app-alice", "hrana2");
        let answer = socket.ask(&json!({ "type": "hello", "jwt": jwt }));
        assert_eq!(
            (&answer["type"], &answer["error"]["code"]),
            (&json!("hello_error"), &json!("UNAUTHORIZED")),
            "{answer}"
        );
        assert_eq!(socket.closed_within(Duration::from_secs(5)), 1008);
    }
    // Not without a greeting, however it is spelled.
    for message in [
        json!({ "type": "request", "request_id": 1, "request": { "type": "open_stream", "stream_id": 1 } }),
        json!(["hello", other]),
    ] {
        let mut socket = door.socket("app-alice", "hrana2");
        socket.say(&message);
        loop {
            match socket.0.read() {
                Ok(Message::Text(text)) => assert!(!text.contains("_ok"), "{text}"),
                Ok(Message::Close(_)) | Err(_) => break,
                Ok(_) => {}
            }
        }
    }
    // The header's token is taken where the greeting has none.
    let mut socket = door.try_socket("app-alice", "hrana2", Some(&token)).unwrap();
    assert_eq!(socket.ask(&json!({ "type": "hello", "jwt": null }))["type"], "hello_ok");
    let mut socket = door.socket("app-alice", "hrana2");
    socket.hello(&door.read_only("app"));
    socket.open_stream();
    let answer = socket.run("create table t (x)");
    assert_eq!(answer["error"]["code"], "FORBIDDEN", "{answer}");
    assert_eq!(
        door.number("app-alice", &token, "select count(*) from sqlite_master"),
        0
    );
    // Another greeting, other rights.
    let mut socket = door.socket("app-alice", "hrana2");
    socket.hello(&door.read_only("app"));
    socket.open_stream();
    assert_eq!(socket.hello(&token)["type"], "hello_ok");
    assert_eq!(socket.run("create table t (x)")["type"], "response_ok");
}

/// A socket without a valid token meets the same at every label, also while the database's process does not answer.
#[test]
fn socket_without_a_valid_token_does_not_tell_whether_a_name_exists() {
    let door = Door::new();
    door.create("app");
    let other = door.create("other");
    let meet = |label: &str, message: &Value| {
        let mut socket = door.socket(label, "hrana2");
        let answer = socket.ask(message);
        (answer, socket.closed_within(Duration::from_secs(5)))
    };
    for message in [
        json!({ "type": "hello", "jwt": null }),
        json!({ "type": "hello", "jwt": "nonsense" }),
        json!({ "type": "hello", "jwt": other }),
        json!({ "type": "request", "request_id": 1, "request": { "type": "open_stream", "stream_id": 1 } }),
    ] {
        let known = meet("app-alice", &message);
        assert_eq!(known.0["error"]["code"], "UNAUTHORIZED", "{known:?}");
        assert_eq!(known.1, 1008);
        assert_eq!(known, meet("nosuch-alice", &message));
    }
    for (protocol, token) in [
        ("hrana2", Some(other.as_str())),
        ("hrana2", Some("nonsense")),
        ("other", None),
    ] {
        let known = door.try_socket("app-alice", protocol, token).err().unwrap();
        assert_eq!(Some(known), door.try_socket("nosuch-alice", protocol, token).err());
    }
}

#[test]
fn socket_ends_with_its_token() {
    let door = Door::with(GatewayLimits {
        recheck: Duration::from_millis(100),
        ..GatewayLimits::default()
    });
    let lasting = door.create("app");
    let short = door.token(
        "app",
        Authorization::FullAccess,
        Expiration::After(Duration::from_secs(2)),
    );
    let mut ending = door.socket("app-alice", "hrana2");
    ending.hello(&short);
    let mut going_on = door.socket("app-alice", "hrana2");
    going_on.hello(&lasting);
    going_on.open_stream();
    assert_eq!(ending.closed_within(Duration::from_secs(4)), 1008);
    assert_eq!(going_on.run("select 1")["type"], "response_ok");
    let owner = door.owner();
    let plane = door.hosted.plane(&owner, None).unwrap();
    plane
        .rotate_database_tokens(&"app".parse().unwrap(), Duration::ZERO)
        .unwrap();
    assert_eq!(going_on.closed_within(Duration::from_secs(3)), 1008);
    // And with its database.
    let token = door.token("app", Authorization::FullAccess, Expiration::Never);
    let mut socket = door.socket("app-alice", "hrana2");
    assert_eq!(socket.hello(&token)["type"], "hello_ok");
    plane.delete_database(&"app".parse().unwrap()).unwrap();
    socket.closed_within(Duration::from_secs(3));
}

#[test]
fn socket_without_a_token_is_closed_soon() {
    let door = Door::with(GatewayLimits {
        recheck: Duration::from_millis(100),
        hello: Duration::from_millis(500),
        ..GatewayLimits::default()
    });
    let token = door.create("app");
    let mut silent = door.socket("app-alice", "hrana2");
    let mut greeted = door.socket("app-alice", "hrana2");
    greeted.hello(&token);
    greeted.open_stream();
    assert_eq!(silent.closed_within(Duration::from_secs(4)), 1008);
    assert_eq!(greeted.run("select 1")["type"], "response_ok");
}

#[test]
fn sockets_are_counted_and_limited() {
    let door = Door::with(GatewayLimits {
        sockets: 2,
        ..GatewayLimits::default()
    });
    let token = door.create("app");
    let other = door.create("other");
    let mut one = door.socket("app-alice", "hrana2");
    assert_eq!(one.hello(&token)["type"], "hello_ok");
    let mut two = door.socket("app-alice", "hrana2");
    assert_eq!(two.hello(&token)["type"], "hello_ok");
    // The token is in the request, or in the greeting.
    let refused = door.try_socket("app-alice", "hrana2", Some(&token)).err().unwrap();
    assert!(refused.contains("429"), "{refused}");
    let mut three = door.socket("app-alice", "hrana2");
    assert_eq!(three.hello(&token)["error"]["code"], "TOO_MANY_REQUESTS");
    three.closed_within(Duration::from_secs(5));
    let mut others = door.socket("other-alice", "hrana2");
    assert_eq!(others.hello(&other)["type"], "hello_ok");
    drop(two);
    let deadline = Instant::now() + Duration::from_secs(5);
    while door.try_socket("app-alice", "hrana2", Some(&token)).is_err() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn sockets_without_a_token_keep_nobody_out() {
    let door = Door::with(GatewayLimits {
        sockets: 3,
        ..GatewayLimits::default()
    });
    let token = door.create("app");
    let mut greeted = door.socket("app-alice", "hrana2");
    greeted.hello(&token);
    greeted.open_stream();
    let mut silent: Vec<Socket> = (0..8).map(|_| door.socket("app-alice", "hrana2")).collect();
    // 1013: try again later. The oldest go, the newest stay for as long as any socket may without a token.
    for socket in &mut silent[..5] {
        assert_eq!(socket.closed_within(Duration::from_secs(5)), 1013);
    }
    let mut late = door.socket("app-alice", "hrana2");
    assert_eq!(late.hello(&token)["type"], "hello_ok");
    assert_eq!(silent[7].hello(&token)["type"], "hello_ok");
    assert_eq!(greeted.run("select 1")["type"], "response_ok");
}

#[test]
fn socket_write_with_a_read_only_token_is_an_error_and_it_continues() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x)").fine();
    for protocol in ["hrana1", "hrana2", "hrana3"] {
        let mut socket = door.socket("app-alice", protocol);
        socket.hello(&door.read_only("app"));
        socket.open_stream();
        let mut ask = |request: Value| {
            let answer = socket.ask(&json!({ "type": "request", "request_id": 9, "request": request }));
            assert_eq!(answer["request_id"], 9, "{answer}");
            match answer["type"].as_str() {
                Some("response_ok") => "ok".to_owned(),
                _ => answer["error"]["code"].as_str().unwrap().to_owned(),
            }
        };
        let write = "insert into t values (1)";
        let batch = |sql: &str| json!({ "steps": [{ "stmt": { "sql": "select 1" } }, { "stmt": { "sql": sql } }] });
        let execute = |sql: &str| json!({ "type": "execute", "stream_id": 1, "stmt": { "sql": sql } });
        for _ in 0..3 {
            assert_eq!(ask(execute(write)), "FORBIDDEN");
            assert_eq!(ask(execute("begin")), "ok");
            assert_eq!(ask(execute("with a as (select 1) delete from t")), "FORBIDDEN");
            assert_eq!(ask(execute("commit")), "ok");
            assert_eq!(
                ask(json!({ "type": "batch", "stream_id": 1, "batch": batch(write) })),
                "FORBIDDEN"
            );
            assert_eq!(
                ask(json!({ "type": "batch", "stream_id": 1, "batch": batch("select 2") })),
                "ok"
            );
        }
        if protocol == "hrana1" {
            continue;
        }
        let sequence = |sql: &str| json!({ "type": "sequence", "stream_id": 1, "sql": sql });
        assert_eq!(ask(sequence("select 1; drop table t")), "FORBIDDEN");
        assert_eq!(ask(sequence("select 1; select 2")), "ok");
        // Stored SQL is refused where it is stored, and so wherever it is used.
        let store = |id: u8, sql: &str| json!({ "type": "store_sql", "sql_id": id, "sql": sql });
        let stored = |id: u8| json!({ "type": "execute", "stream_id": 1, "stmt": { "sql_id": id } });
        assert_eq!(ask(store(1, write)), "FORBIDDEN");
        assert_eq!(ask(store(2, "select 1")), "ok");
        assert_eq!(ask(stored(1)), "FORBIDDEN");
        assert_eq!(ask(stored(2)), "ok");
        let describe = json!({ "type": "describe", "stream_id": 1, "sql_id": 1 });
        assert_eq!(ask(describe), "FORBIDDEN");
        assert_eq!(ask(json!({ "type": "close_sql", "sql_id": 1 })), "ok");
        assert_eq!(ask(store(1, "select 1")), "ok");
        assert_eq!(ask(stored(1)), "ok");
        if protocol == "hrana2" {
            continue;
        }
        // What is asked of a cursor that is not there has an answer, too.
        let open = |sql: &str| json!({ "type": "open_cursor", "stream_id": 1, "cursor_id": 5, "batch": batch(sql) });
        let fetch = json!({ "type": "fetch_cursor", "cursor_id": 5, "max_count": 10 });
        let close = json!({ "type": "close_cursor", "cursor_id": 5 });
        assert_eq!(ask(open(write)), "FORBIDDEN");
        assert_eq!(ask(fetch.clone()), "FORBIDDEN");
        assert_eq!(ask(close.clone()), "ok");
        assert_eq!(ask(open("select 3")), "ok");
        assert_eq!(ask(fetch), "ok");
        assert_eq!(ask(close), "ok");
    }
    assert_eq!(door.number("app-alice", &token, "select count(*) from t"), 0);
    // What was stored before is seen after another greeting.
    let mut socket = door.socket("app-alice", "hrana2");
    socket.hello(&token);
    socket.open_stream();
    let store = json!({ "type": "store_sql", "sql_id": 1, "sql": "insert into t values (1)" });
    socket.ask(&json!({ "type": "request", "request_id": 2, "request": store }));
    let run = json!({ "type": "request", "request_id": 3, "request":
        { "type": "execute", "stream_id": 1, "stmt": { "sql_id": 1 } } });
    assert_eq!(socket.ask(&run)["type"], "response_ok");
    socket.hello(&door.read_only("app"));
    assert_eq!(socket.ask(&run)["error"]["code"], "FORBIDDEN");
    let describe = json!({ "type": "request", "request_id": 4, "request":
        { "type": "describe", "stream_id": 1, "sql_id": 1 } });
    assert_eq!(socket.ask(&describe)["error"]["code"], "FORBIDDEN");
    assert_eq!(socket.run("select count(*) from t")["type"], "response_ok");
}

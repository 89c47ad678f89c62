//! Streams that stay open: how many a database may have, over HTTP and in sockets, and what follows on what was refused.

use super::sockets::Socket;
use super::{Door, field};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;
use torso::server::gateway::GatewayLimits;

fn limited(streams: usize) -> Door {
    Door::with(GatewayLimits {
        streams,
        ..GatewayLimits::default()
    })
}

/// A request on a stream, which stays open.
fn on(baton: &Value, kind: &str) -> Value {
    json!({ "baton": baton, "requests": [{ "type": kind }] })
}

impl Socket {
    fn request(&mut self, id: i32, request: &Value) -> Value {
        self.ask(&json!({ "type": "request", "request_id": id, "request": request }))
    }

    fn stream(&mut self, kind: &str, stream: i32) -> Value {
        self.request(stream, &json!({ "type": kind, "stream_id": stream }))
    }
}

#[track_caller]
fn is_ok(answer: &Value) {
    assert_eq!(answer["type"], "response_ok", "{answer}");
}

#[track_caller]
fn is_refused(answer: &Value, code: &str) {
    assert_eq!(
        (&answer["type"], &answer["error"]["code"]),
        (&json!("response_error"), &json!(code)),
        "{answer}"
    );
}

#[test]
fn streams_over_http_are_limited_until_they_are_closed() {
    let door = limited(3);
    let (token, other) = (door.create("app"), door.create("other"));
    let ask = |body: &Value| door.json("app-alice", "/v3/pipeline", &token, body);
    let open = || ask(&on(&Value::Null, "get_autocommit"));
    let mut batons: Vec<Value> = (0..2).map(|_| open().json()["baton"].clone()).collect();
    let batch = json!({ "batch": { "steps": [{ "stmt": { "sql": "select 1" } }] } });
    let cursor = door.json("app-alice", "/v3/cursor", &token, &batch);
    let line: Value = serde_json::from_str(cursor.text().lines().next().unwrap()).unwrap();
    batons.push(line["baton"].clone());
    assert!(batons.iter().all(Value::is_string), "{batons:?}");
    for refused in [
        open(),
        door.json("app-alice", "/v3/pipeline", &token, &on(&Value::Null, "get_autocommit")),
        door.json("app-alice", "/v3/cursor", &token, &batch),
        // What only looks as if it closed its stream.
        ask(&json!({ "requests": [{ "type": "get_autocommit" }], "more": [{ "type": "close" }] })),
    ] {
        refused.refused(429, "TOO_MANY_STREAMS");
        assert_eq!(refused.header("retry-after"), "1");
        assert!(refused.text().contains("close"), "{refused:?}");
    }
    // Requests that leave none open go on, and so do the streams that are open, and other databases.
    door.run("app-alice", &token, "select 1").fine();
    for baton in &mut batons {
        let answer = ask(&on(baton, "get_autocommit"));
        answer.fine();
        *baton = answer.json()["baton"].clone();
    }
    open().refused(429, "TOO_MANY_STREAMS");
    let others = door.json(
        "other-alice",
        "/v3/pipeline",
        &other,
        &on(&Value::Null, "get_autocommit"),
    );
    others.fine();
    ask(&on(&batons[0], "close")).fine();
    open().fine();
    open().refused(429, "TOO_MANY_STREAMS");
    // What nobody uses is forgotten by the process, and so it is here.
    std::thread::sleep(Duration::from_millis(11_500));
    open().fine();
    assert_eq!(ask(&on(&batons[1], "get_autocommit")).status, 400);
}

#[test]
fn streams_of_sockets_are_limited_and_the_socket_continues() {
    let door = limited(3);
    let token = door.create("app");
    let mut socket = door.socket("app-alice", "hrana3");
    socket.hello(&token);
    let mut second = door.socket("app-alice", "hrana2");
    second.hello(&token);
    is_ok(&socket.stream("open_stream", 1));
    is_ok(&socket.stream("open_stream", 2));
    is_ok(&second.stream("open_stream", 1));
    is_refused(&socket.stream("open_stream", 3), "TOO_MANY_STREAMS");
    is_refused(&second.stream("open_stream", 2), "TOO_MANY_STREAMS");
    // As a list, and with a letter as a number.
    let list = json!(["request", 9, ["open_stream", 9]]);
    is_refused(&socket.ask(&list), "BAD_REQUEST");
    let hidden = json!({ "type": "request", "request_id": 9, "request": { "type": "open_stream", "stream_id": 9 } });
    let hidden = hidden.to_string().replace("open_", "op\\u0065n_");
    socket.0.send(Message::text(hidden)).unwrap();
    is_refused(&socket.hear(), "TOO_MANY_STREAMS");
    // A client has sent more before it knows.
    let execute = |stream: i32| json!({ "type": "execute", "stream_id": stream, "stmt": { "sql": "select 1" } });
    is_refused(&socket.request(4, &execute(3)), "TOO_MANY_STREAMS");
    is_ok(&socket.stream("close_stream", 3));
    is_ok(&socket.request(5, &execute(1)));
    door.json("app-alice", "/v3/pipeline", &token, &on(&Value::Null, "get_autocommit"))
        .refused(429, "TOO_MANY_STREAMS");
    is_ok(&socket.stream("close_stream", 2));
    is_ok(&second.stream("open_stream", 2));
    is_refused(&socket.stream("open_stream", 3), "TOO_MANY_STREAMS");
    // A socket takes its streams along.
    drop(second);
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while socket.stream("open_stream", 3)["type"] != "response_ok" {
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn streams_in_protobuf_are_limited() {
    let door = limited(1);
    let token = door.create("app");
    let mut socket = door.socket("app-alice", "hrana3-protobuf");
    let mut ask = |message| socket.ask_binary(message);
    ask(field(1, &field(1, token.as_bytes())));
    let stream = |kind: u8, stream: u8| field(2, &[vec![0x08, 9], field(kind, &[0x08, stream])].concat());
    // response_ok is field 3, response_error 4.
    assert_eq!(ask(stream(2, 1))[0], 3 << 3 | 2);
    let answer = ask(stream(2, 2));
    assert!(
        answer[0] == 4 << 3 | 2 && answer.windows(16).any(|part| part == b"TOO_MANY_STREAMS"),
        "{answer:?}"
    );
    // Two requests in one.
    assert_eq!(ask([stream(3, 1), stream(2, 3)].concat())[0], 4 << 3 | 2);
    assert_eq!(ask(stream(3, 2))[0], 3 << 3 | 2);
    assert_eq!(ask(stream(3, 1))[0], 3 << 3 | 2);
    assert_eq!(ask(stream(2, 2))[0], 3 << 3 | 2);
}

/// The official client sends what uses a kept statement together with it.
#[test]
fn stored_sql_that_is_refused_is_refused_and_the_socket_continues() {
    let door = Door::new();
    let token = door.create("app");
    let mut socket = door.socket("app-alice", "hrana3");
    socket.hello(&token);
    is_ok(&socket.stream("open_stream", 1));
    let store = |sql: &str| json!({ "type": "store_sql", "sql_id": 7, "sql": sql });
    is_refused(
        &socket.request(2, &store("select readfile('/nonexistent')")),
        "SQL_FORBIDDEN",
    );
    let stmt = json!({ "sql_id": 7, "want_rows": true });
    let fine = json!({ "sql": "select 1" });
    let batch = json!({ "steps": [{ "stmt": fine }, { "stmt": stmt }] });
    for request in [
        json!({ "type": "execute", "stream_id": 1, "stmt": stmt }),
        json!({ "type": "batch", "stream_id": 1, "batch": batch }),
        json!({ "type": "sequence", "stream_id": 1, "sql_id": 7 }),
        json!({ "type": "describe", "stream_id": 1, "sql_id": 7 }),
    ] {
        is_refused(&socket.request(3, &request), "SQL_FORBIDDEN");
    }
    is_ok(&socket.request(4, &json!({ "type": "execute", "stream_id": 1, "stmt": fine })));
    is_ok(&socket.request(5, &json!({ "type": "close_sql", "sql_id": 7 })));
    // The id is free again.
    is_ok(&socket.request(6, &store("select 42")));
    let answer = socket.request(7, &json!({ "type": "execute", "stream_id": 1, "stmt": stmt }));
    assert_eq!(answer["response"]["result"]["rows"][0][0]["value"], "42", "{answer}");
    is_ok(&socket.request(8, &json!({ "type": "close_sql", "sql_id": 7 })));
}

#[test]
fn sockets_that_are_open_get_a_close_when_the_server_ends() {
    let door = Door::new();
    let token = door.create("app");
    let mut idle = door.socket("app-alice", "hrana2");
    idle.hello(&token);
    let mut busy = door.socket("app-alice", "hrana2");
    busy.hello(&token);
    is_ok(&busy.stream("open_stream", 1));
    // Half a second or so: it is answered first.
    let slow = "with recursive n(x) as (select 1 union all select x + 1 from n limit 300000) select count(*) from n";
    busy.say(&json!({ "type": "request", "request_id": 7, "request":
        { "type": "execute", "stream_id": 1, "stmt": { "sql": slow, "want_rows": true } } }));
    std::thread::sleep(Duration::from_millis(50));
    door.runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(5), door.gateway.end())
            .await
            .unwrap();
    });
    assert_eq!(idle.closed_within(Duration::from_secs(1)), 1001);
    is_ok(&busy.hear());
    assert_eq!(busy.closed_within(Duration::from_secs(1)), 1001);
}

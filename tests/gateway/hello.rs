//! The beginning of a socket: clients send a token and go on, without waiting for the answer to it.

use super::Door;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

#[test]
fn refusal_of_a_statement_comes_after_the_answer_to_hello() {
    let door = Door::new();
    let token = door.create("app");
    for _ in 0..10 {
        let mut socket = door.socket("app-alice", "hrana3");
        // Clients do not wait before they go on.
        socket.say(&json!({ "type": "hello", "jwt": token }));
        socket
            .say(&json!({ "type": "request", "request_id": 1, "request": { "type": "open_stream", "stream_id": 1 } }));
        for id in 2..5 {
            socket.say(&json!({ "type": "request", "request_id": id, "request":
                { "type": "execute", "stream_id": 1, "stmt": { "sql": "attach 'x' as y", "want_rows": true } } }));
        }
        assert_eq!(socket.hear()["type"], "hello_ok");
        let mut answered: Vec<Value> = (0..4).map(|_| socket.hear()).collect();
        answered.sort_by_key(|answer| answer["request_id"].as_u64());
        assert_eq!(answered[0]["type"], "response_ok", "{answered:?}");
        for answer in &answered[1..] {
            assert_eq!(answer["error"]["code"], "SQL_FORBIDDEN", "{answered:?}");
        }
    }
}

#[test]
fn wrong_token_is_answered_whatever_was_sent_behind_it() {
    let door = Door::new();
    door.create("app");
    for _ in 0..20 {
        let mut socket = door.socket("app-alice", "hrana3");
        socket.say(&json!({ "type": "hello", "jwt": "x.y.z" }));
        for id in 1..5 {
            let request = json!({ "type": "open_stream", "stream_id": id });
            // It may be closed by now.
            let message = json!({ "type": "request", "request_id": id, "request": request });
            let _ = socket.0.send(Message::text(message.to_string()));
        }
        let answer = socket.hear();
        assert_eq!(answer["type"], "hello_error", "{answer}");
        assert_eq!(answer["error"]["code"], "UNAUTHORIZED", "{answer}");
    }
}

#[test]
fn socket_whose_client_breaks_the_protocol_is_ended_for_that() {
    let door = Door::new();
    let token = door.create("app");
    let mut socket = door.socket("app-alice", "hrana3");
    socket.hello(&token);
    let request =
        json!({ "type": "request", "request_id": 1, "request": { "type": "no_such_request", "stream_id": 1 } });
    socket.say(&request);
    let reason = loop {
        match socket.0.read().unwrap() {
            Message::Close(frame) => break frame.unwrap().reason.to_string(),
            _ => continue,
        }
    };
    // Not that its process has ended.
    assert!(reason.contains("did not understand a message"), "{reason}");
}

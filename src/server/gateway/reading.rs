//! Whether a request writes, as the engine will see it: what a bearer who may only read is refused in plain words. The engine
//! would refuse it as well, but it ends a socket, and tells a replica outside by what name it knows the database.
//!
//! What cannot be read is taken for no write, and is the engine's to refuse.

use super::inspect::{self, Format};
use super::refusal::Refusal;
use super::speech::Speech;
use super::wire::{self, Field, Fields, Malformed, Message, Raw};
use crate::control::hosted::writes;
use serde_json::Value;

/// Requests over a socket that run or store SQL: execute, batch, open_cursor, sequence, store_sql.
const RUNNING: [u32; 5] = [4, 5, 6, 9, 11];

/// Whether a request over a socket runs or stores SQL that writes, as far as the SQL stands in it.
pub(super) fn request_writes(speech: Speech, message: &[u8]) -> bool {
    match speech {
        Speech::Json => in_json(message),
        Speech::Protobuf => match Fields(message).last(wire::REQUEST) {
            Some(Raw::Bytes(request)) => RUNNING.into_iter().any(|kind| match Fields(request).last(kind) {
                Some(Raw::Bytes(inner)) => in_protobuf(inner, shape_of(kind)),
                _ => false,
            }),
            _ => false,
        },
    }
}

/// Whether a replica outside asks for something that writes.
pub(super) fn program_writes(format: Format, body: &[u8]) -> bool {
    let Format::Grpc(wire::PROGRAM) = format else {
        return false;
    };
    let mut found = false;
    let walked = inspect::each_frame(body, |frame| {
        found |= in_protobuf(frame, wire::PROGRAM);
        Ok::<_, Refusal>(())
    });
    walked.is_ok() && found
}

fn in_json(message: &[u8]) -> bool {
    let Ok(message) = serde_json::from_slice::<Value>(message) else {
        return false;
    };
    let request = &message["request"];
    let is_write = |holder: &Value| holder["sql"].as_str().is_some_and(writes);
    match request["type"].as_str() {
        Some("execute") => is_write(&request["stmt"]),
        Some("batch" | "open_cursor") => match &request["batch"]["steps"] {
            Value::Array(steps) => steps.iter().any(|step| is_write(&step["stmt"])),
            _ => false,
        },
        Some("sequence" | "store_sql") => is_write(request),
        _ => false,
    }
}

fn in_protobuf(bytes: &[u8], message: Message) -> bool {
    let mut found = false;
    let walked = wire::each_sql(bytes, message, &mut |sql| {
        found |= writes(sql);
        Ok::<_, Malformed>(())
    });
    walked.is_ok() && found
}

/// The fields of a kind of request over a socket.
fn shape_of(kind: u32) -> Message {
    let below = |message: Message, number: u32| match message.iter().find(|(known, _)| *known == number) {
        Some((_, Field::Message(inner))) => *inner,
        _ => wire::NO_SQL,
    };
    below(below(wire::SOCKET, wire::REQUEST), kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::gateway::wire::field;
    use serde_json::json;

    const WRITE: &str = "insert into t values (1)";

    fn json_of(request: Value) -> bool {
        let message = json!({ "type": "request", "request_id": 7, "request": request });
        request_writes(Speech::Json, message.to_string().as_bytes())
    }

    #[test]
    fn writes_are_seen_in_each_request_of_json_that_runs_sql() {
        let batch = json!({ "steps": [{ "stmt": { "sql": "select 1" } }, { "stmt": { "sql": WRITE } }] });
        assert!(json_of(json!({ "type": "execute", "stmt": { "sql": WRITE } })));
        assert!(json_of(json!({ "type": "batch", "batch": batch })));
        assert!(json_of(json!({ "type": "open_cursor", "batch": batch })));
        assert!(json_of(
            json!({ "type": "sequence", "sql": format!("select 1; {WRITE}") })
        ));
        assert!(json_of(json!({ "type": "store_sql", "sql": WRITE })));
        // What only describes it reads, and values are no SQL.
        assert!(!json_of(json!({ "type": "describe", "sql": WRITE })));
        let named = json!([{ "name": "delete", "value": { "type": "text", "value": WRITE } }]);
        assert!(!json_of(
            json!({ "type": "execute", "stmt": { "sql": "select :delete", "named_args": named } })
        ));
        assert!(!request_writes(Speech::Json, b"{"));
    }

    #[test]
    fn writes_are_seen_in_each_request_of_protocol_buffers_that_runs_sql() {
        let of = |kind: u32, inner: &[u8]| request_writes(Speech::Protobuf, &field(wire::REQUEST, &field(kind, inner)));
        let stmt = field(1, WRITE.as_bytes());
        let batch = field(1, &field(2, &stmt));
        assert!(of(4, &field(2, &stmt)));
        assert!(of(5, &field(2, &batch)));
        assert!(of(6, &field(3, &batch)));
        assert!(of(9, &field(2, WRITE.as_bytes())));
        assert!(of(11, &field(2, WRITE.as_bytes())));
        assert!(!of(10, &field(2, WRITE.as_bytes())));
        let read = [field(1, b"select ?"), field(3, &field(3, WRITE.as_bytes()))].concat();
        assert!(!of(4, &field(2, &read)));
    }

    #[test]
    fn writes_are_seen_in_programs_of_replicas_outside() {
        let frame = |sql: &str| {
            let program = field(2, &field(1, &field(2, &field(1, sql.as_bytes()))));
            let length = u32::try_from(program.len()).unwrap().to_be_bytes();
            [&[0], &length[..], &program].concat()
        };
        assert!(program_writes(Format::Grpc(wire::PROGRAM), &frame(WRITE)));
        assert!(!program_writes(Format::Grpc(wire::PROGRAM), &frame("select 1")));
        assert!(!program_writes(Format::Grpc(wire::DESCRIBE), &frame(WRITE)));
    }
}

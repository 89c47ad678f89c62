//! Messages of SQL over WebSockets, in both encodings: what the gateway reads of a client's, and what it says itself.

use super::inspect;
use super::refusal::Refusal;
use super::wire::{self, Fields, Raw, field};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// Bytes of a message that may still be a greeting.
const LONGEST_HELLO: usize = 64 << 10;

/// The field of a refused greeting in a process's message.
const HELLO_ERROR: u32 = 2;

/// The encoding of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    Json,
    Protobuf,
}

#[derive(Deserialize)]
struct Head {
    r#type: String,
    #[serde(default)]
    jwt: Option<String>,
}

#[derive(Deserialize)]
struct Numbered {
    request_id: i32,
}

/// What a request does to what a socket has open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Does {
    OpenStream,
    CloseStream,
    StoreSql,
    CloseSql,
    /// Runs statements.
    Run,
    /// Runs them as well, and gives their rows piece by piece.
    OpenCursor,
    FetchCursor,
    CloseCursor,
    Else,
}

/// A request, as far as the gateway keeps account of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub request_id: i32,
    pub does: Does,
    pub stream_id: Option<i32>,
    pub cursor_id: Option<i32>,
    /// The stored texts of SQL that it stores, closes or uses.
    pub sql_ids: Vec<i32>,
}

impl Speech {
    /// Whether a message may be a request that opens or closes something.
    pub fn may_open(self, message: &[u8]) -> bool {
        match self {
            Self::Json => {
                let finds = |word: &[u8]| memchr::memmem::find(message, word).is_some();
                finds(b"_stream") || finds(b"_sql") || inspect::hides(message)
            }
            Self::Protobuf => true,
        }
    }

    /// What a request asks for. None for a message that could mean one thing here and another to the engine; no client
    /// writes such.
    pub fn asked(self, message: &[u8]) -> Option<Asked> {
        match self {
            Self::Json => asked_in_json(message),
            Self::Protobuf => asked_in_protobuf(message),
        }
    }

    /// The token in a greeting, if the message is one. One that is not recognised goes on as it is, and opens nothing: no
    /// token from outside is good inside.
    #[allow(clippy::option_option)]
    pub fn hello(self, message: &[u8]) -> Option<Option<String>> {
        if message.len() > LONGEST_HELLO {
            return None;
        }
        match self {
            Self::Json => {
                if memchr::memmem::find(message, b"hello").is_none() && !inspect::hides(message) {
                    return None;
                }
                let head: Head = serde_json::from_slice(message).ok()?;
                (head.r#type == "hello").then_some(head.jwt)
            }
            Self::Protobuf => match Fields(message).last(wire::HELLO)? {
                Raw::Bytes(hello) if Fields(message).last(wire::REQUEST).is_none() => {
                    Some(match Fields(hello).last(1) {
                        Some(Raw::Bytes(token)) => Some(String::from_utf8_lossy(token).into_owned()),
                        _ => None,
                    })
                }
                _ => None,
            },
        }
    }

    pub fn say_hello(self, token: &str) -> Message {
        match self {
            Self::Json => text(&json!({ "type": "hello", "jwt": token })),
            Self::Protobuf => nested(wire::HELLO, &field(1, token.as_bytes())),
        }
    }

    pub fn request_id(self, message: &[u8]) -> i32 {
        self.find_request_id(message).unwrap_or(0)
    }

    /// The number of a request; none for a message that is none.
    pub fn find_request_id(self, message: &[u8]) -> Option<i32> {
        match self {
            Self::Json => serde_json::from_slice::<Numbered>(message)
                .ok()
                .map(|numbered| numbered.request_id),
            Self::Protobuf => match Fields(message).last(wire::REQUEST) {
                Some(Raw::Bytes(request)) => match Fields(request).last(1) {
                    // Negative numbers are written as very large ones.
                    Some(Raw::Number(number)) => Some(number as i32),
                    _ => None,
                },
                _ => None,
            },
        }
    }

    /// The encoding of a process's refusal of a greeting; none for any other message. A process writes the type first.
    pub fn of_hello_error(message: &Message) -> Option<Self> {
        match message {
            Message::Text(text) => text.starts_with(r#"{"type":"hello_error""#).then_some(Self::Json),
            Message::Binary(bytes) => Fields(bytes).last(HELLO_ERROR).map(|_| Self::Protobuf),
            _ => None,
        }
    }

    pub fn hello_error(self, refusal: &Refusal) -> Message {
        match self {
            Self::Json => text(&json!({ "type": "hello_error", "error": told(refusal) })),
            Self::Protobuf => nested(HELLO_ERROR, &field(1, &encoded(refusal))),
        }
    }

    /// The answer to a request that needs nothing done.
    pub fn closed(self, request_id: i32, does: Does) -> Message {
        let (name, number) = match does {
            Does::CloseSql => ("close_sql", 12),
            Does::CloseCursor => ("close_cursor", 7),
            _ => ("close_stream", 3),
        };
        match self {
            Self::Json => text(&json!({
                "type": "response_ok",
                "request_id": request_id,
                "response": { "type": name },
            })),
            Self::Protobuf => {
                let mut ok = Vec::new();
                wire::put_number(&mut ok, 1, i64::from(request_id) as u64);
                wire::put(&mut ok, number, b"");
                nested(3, &ok)
            }
        }
    }

    pub fn error(self, request_id: i32, refusal: &Refusal) -> Message {
        match self {
            Self::Json => text(&json!({
                "type": "response_error",
                "request_id": request_id,
                "error": told(refusal),
            })),
            Self::Protobuf => {
                let mut error = Vec::new();
                wire::put_number(&mut error, 1, i64::from(request_id) as u64);
                wire::put(&mut error, 2, &encoded(refusal));
                nested(4, &error)
            }
        }
    }
}

fn asked_in_json(message: &[u8]) -> Option<Asked> {
    let message: Value = serde_json::from_slice(message).ok()?;
    // A request that is written as a list is one, too.
    let request = message.as_object()?.get("request");
    let number = |value: &Value| value.as_i64().and_then(|number| i32::try_from(number).ok());
    let does = match request {
        None => Does::Else,
        Some(request) => match request.as_object()?.get("type")?.as_str()? {
            "open_stream" => Does::OpenStream,
            "close_stream" => Does::CloseStream,
            "store_sql" => Does::StoreSql,
            "close_sql" => Does::CloseSql,
            "execute" | "batch" | "sequence" => Does::Run,
            "open_cursor" => Does::OpenCursor,
            "fetch_cursor" => Does::FetchCursor,
            "close_cursor" => Does::CloseCursor,
            _ => Does::Else,
        },
    };
    let mut sql_ids = Vec::new();
    if let Some(request) = request {
        each_number(request, "sql_id", &mut |value| sql_ids.extend(number(value)));
    }
    let id = |name: &str| request.and_then(|request| number(&request[name]));
    Some(Asked {
        request_id: number(&message["request_id"]).unwrap_or(0),
        does,
        stream_id: id("stream_id"),
        cursor_id: id("cursor_id"),
        sql_ids,
    })
}

fn each_number<'v>(value: &'v Value, wanted: &str, visit: &mut impl FnMut(&'v Value)) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                if key == wanted {
                    visit(value);
                } else {
                    each_number(value, wanted, visit);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| each_number(item, wanted, visit)),
        _ => {}
    }
}

fn asked_in_protobuf(message: &[u8]) -> Option<Asked> {
    let mut asked = Asked {
        request_id: Speech::Protobuf.request_id(message),
        does: Does::Else,
        stream_id: None,
        cursor_id: None,
        sql_ids: Vec::new(),
    };
    let mut requests = Vec::new();
    let mut fields = Fields(message);
    while let Some((number, raw)) = fields.next().ok()? {
        if let (wire::REQUEST, Raw::Bytes(request)) = (number, raw) {
            requests.push(request);
        }
    }
    // More than one would be put together by the engine, and of several kinds the last would count.
    let request = match *requests {
        [] => return Some(asked),
        [request] => request,
        _ => return None,
    };
    let mut kinds = Vec::new();
    let mut fields = Fields(request);
    while let Some((number, raw)) = fields.next().ok()? {
        if let Raw::Bytes(inner) = raw {
            kinds.push((number, inner));
        }
    }
    let (number, inner) = match *kinds {
        [] => return Some(asked),
        [kind] => kind,
        _ => return None,
    };
    // A number that is left out is zero. Negative ones are written as very large ones.
    let first = |wanted| match Fields(inner).last(wanted) {
        Some(Raw::Number(number)) => number as i32,
        _ => 0,
    };
    asked.does = match number {
        2 => Does::OpenStream,
        3 => Does::CloseStream,
        11 => Does::StoreSql,
        12 => Does::CloseSql,
        4 | 5 | 9 => Does::Run,
        6 => Does::OpenCursor,
        7 => Does::CloseCursor,
        8 => Does::FetchCursor,
        _ => Does::Else,
    };
    match number {
        2..=6 | 9 | 10 | 13 => asked.stream_id = Some(first(1)),
        11 | 12 => asked.sql_ids.push(first(1)),
        _ => {}
    }
    match number {
        6 => asked.cursor_id = Some(first(2)),
        7 | 8 => asked.cursor_id = Some(first(1)),
        _ => {}
    }
    match number {
        4 => stored(inner, &[2], &mut asked.sql_ids),
        5 => stored(inner, &[2, 1, 2], &mut asked.sql_ids),
        6 => stored(inner, &[3, 1, 2], &mut asked.sql_ids),
        9 | 10 => asked.sql_ids.push(first(3)),
        _ => {}
    }
    Some(asked)
}

/// The ids of stored SQL in statements, which are below fields of these numbers.
fn stored(message: &[u8], below: &[u32], ids: &mut Vec<i32>) {
    let Some((wanted, below)) = below.split_first() else {
        if let Some(Raw::Number(number)) = Fields(message).last(2) {
            ids.push(number as i32);
        }
        return;
    };
    let mut fields = Fields(message);
    while let Ok(Some((number, raw))) = fields.next() {
        if let Raw::Bytes(inner) = raw
            && number == *wanted
        {
            stored(inner, below, ids);
        }
    }
}

fn told(refusal: &Refusal) -> Value {
    json!({ "message": refusal.message, "code": refusal.code })
}

fn encoded(refusal: &Refusal) -> Vec<u8> {
    let mut error = field(1, refusal.message.as_bytes());
    wire::put(&mut error, 2, refusal.code.as_bytes());
    error
}

fn text(value: &Value) -> Message {
    Message::Text(value.to_string().into())
}

fn nested(number: u32, inner: &[u8]) -> Message {
    Message::Binary(field(number, inner).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json_of(value: &Value) -> Option<Asked> {
        Speech::Json.asked(value.to_string().as_bytes())
    }

    fn asked(does: Does, stream_id: Option<i32>, sql_ids: &[i32]) -> Option<Asked> {
        Some(Asked {
            request_id: 7,
            does,
            stream_id,
            cursor_id: None,
            sql_ids: sql_ids.to_vec(),
        })
    }

    #[test]
    fn requests_in_json() {
        let request = |request: Value| json!({ "type": "request", "request_id": 7, "request": request });
        for (told, expected) in [
            (
                json!({ "type": "open_stream", "stream_id": 3 }),
                asked(Does::OpenStream, Some(3), &[]),
            ),
            (
                json!({ "type": "close_stream", "stream_id": 3 }),
                asked(Does::CloseStream, Some(3), &[]),
            ),
            (
                json!({ "type": "store_sql", "sql_id": 4, "sql": "select 1" }),
                asked(Does::StoreSql, None, &[4]),
            ),
            (
                json!({ "type": "close_sql", "sql_id": 4 }),
                asked(Does::CloseSql, None, &[4]),
            ),
            (
                json!({ "type": "batch", "stream_id": 3, "batch": { "steps": [
                    { "stmt": { "sql_id": 4 } }, { "stmt": { "sql": "select 'open_stream'" } }, { "stmt": { "sql_id": 5 } } ] } }),
                asked(Does::Run, Some(3), &[4, 5]),
            ),
            (
                json!({ "type": "describe", "stream_id": 3, "sql_id": 4 }),
                asked(Does::Else, Some(3), &[4]),
            ),
        ] {
            assert_eq!(json_of(&request(told)), expected);
        }
        assert!(Speech::Json.may_open(br#"{"request":{"type":"\u006fpen\u005fstream"}}"#));
        // As a list, which the engine would understand.
        assert_eq!(json_of(&json!(["request", 7, ["open_stream", 3]])), None);
        assert_eq!(
            json_of(&json!({ "type": "request", "request_id": 7, "request": ["open_stream", 3] })),
            None
        );
    }

    #[test]
    fn hello_error_is_recognised_in_both_encodings_and_nothing_else_is() {
        let refusal = Refusal::no_token();
        for speech in [Speech::Json, Speech::Protobuf] {
            let refused = speech.hello_error(&refusal);
            assert_eq!(Speech::of_hello_error(&refused), Some(speech));
            for other in [speech.error(2, &refusal), speech.closed(2, Does::CloseSql)] {
                assert_eq!(Speech::of_hello_error(&other), None);
            }
        }
        let engine = r#"{"type":"hello_error","error":{"message":"Authentication failed","code":"AUTH_JWT_INVALID"}}"#;
        assert_eq!(Speech::of_hello_error(&Message::text(engine)), Some(Speech::Json));
        assert_eq!(Speech::of_hello_error(&Message::text(r#"{"type":"hello_ok"}"#)), None);
        let hello_ok = Message::binary(field(1, b""));
        assert_eq!(Speech::of_hello_error(&hello_ok), None);
    }

    #[test]
    fn requests_in_protocol_buffers() {
        let request = |number: u32, inner: &[u8]| {
            let mut request = Vec::new();
            wire::put_number(&mut request, 1, 7);
            wire::put(&mut request, number, inner);
            field(wire::REQUEST, &request)
        };
        let of = |message: &[u8]| Speech::Protobuf.asked(message);
        let stmt = |id: u64| {
            let mut stmt = Vec::new();
            wire::put_number(&mut stmt, 2, id);
            stmt
        };
        let mut three = Vec::new();
        wire::put_number(&mut three, 1, 3);
        assert_eq!(of(&request(2, &three)), asked(Does::OpenStream, Some(3), &[]));
        assert_eq!(of(&request(3, &three)), asked(Does::CloseStream, Some(3), &[]));
        assert_eq!(of(&request(11, &three)), asked(Does::StoreSql, None, &[3]));
        let execute = [three.clone(), field(2, &stmt(4))].concat();
        assert_eq!(of(&request(4, &execute)), asked(Does::Run, Some(3), &[4]));
        let steps = [field(1, &field(2, &stmt(4))), field(1, &field(2, &stmt(5)))].concat();
        let batch = [three.clone(), field(2, &steps)].concat();
        assert_eq!(of(&request(5, &batch)), asked(Does::Run, Some(3), &[4, 5]));
        let mut cursor = three.clone();
        wire::put_number(&mut cursor, 2, 6);
        let cursor = [cursor, field(3, &steps)].concat();
        let opened = of(&request(6, &cursor)).unwrap();
        assert_eq!((opened.does, opened.cursor_id), (Does::OpenCursor, Some(6)));
        assert_eq!((opened.stream_id, opened.sql_ids), (Some(3), vec![4, 5]));
        let fetched = of(&request(8, &three)).unwrap();
        assert_eq!((fetched.does, fetched.cursor_id), (Does::FetchCursor, Some(3)));
        // What the engine would put together.
        assert_eq!(of(&[request(2, &three), request(3, &three)].concat()), None);
        let two = [field(2, &three), field(3, &three)].concat();
        assert_eq!(of(&field(wire::REQUEST, &two)), None);
    }
}

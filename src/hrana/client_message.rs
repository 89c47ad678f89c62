//! A message of a client over a socket, in both encodings: as far as a gateway has to know it to pass it on.

use super::json::has_escapes;
use super::protobuf::fields::{FieldReader, RawField};
use serde::Deserialize;
use serde_json::Value;

/// Bytes of a message that may still be a hello message.
const LONGEST_HELLO: usize = 64 << 10;

/// The fields of a client's message.
pub const HELLO: u32 = 1;
pub const REQUEST: u32 = 2;

/// The encoding of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
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

/// What a request does with what a socket has open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
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
    Other,
}

/// A client's request, as far as the gateway has to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientMessage {
    pub request_id: i32,
    pub kind: RequestKind,
    pub stream_id: Option<i32>,
    pub cursor_id: Option<i32>,
    /// The stored texts of SQL that it stores, closes or uses.
    pub sql_ids: Vec<i32>,
}

impl Encoding {
    /// Whether a message may be a request that opens or closes something.
    pub fn may_change_state(self, message: &[u8]) -> bool {
        match self {
            Self::Json => {
                let finds = |word: &[u8]| memchr::memmem::find(message, word).is_some();
                finds(b"_stream") || finds(b"_sql") || has_escapes(message)
            }
            Self::Protobuf => true,
        }
    }

    /// Parses a request. None for a message that could mean one thing here and another to the engine; no client
    /// writes such.
    pub fn parse_request(self, message: &[u8]) -> Option<ClientMessage> {
        match self {
            Self::Json => parse_json_request(message),
            Self::Protobuf => parse_protobuf_request(message),
        }
    }

    /// The token in a hello message, if the message is one. One that is not recognised goes on as it is, and opens nothing: no
    /// token from outside is good inside.
    #[allow(clippy::option_option)]
    pub fn hello(self, message: &[u8]) -> Option<Option<String>> {
        if message.len() > LONGEST_HELLO {
            return None;
        }
        match self {
            Self::Json => {
                if memchr::memmem::find(message, b"hello").is_none() && !has_escapes(message) {
                    return None;
                }
                let head: Head = serde_json::from_slice(message).ok()?;
                (head.r#type == "hello").then_some(head.jwt)
            }
            Self::Protobuf => match FieldReader::new(message).last(HELLO)? {
                RawField::Bytes(hello) if FieldReader::new(message).last(REQUEST).is_none() => {
                    Some(match FieldReader::new(hello).last(1) {
                        Some(RawField::Bytes(token)) => Some(String::from_utf8_lossy(token).into_owned()),
                        _ => None,
                    })
                }
                _ => None,
            },
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
            Self::Protobuf => match FieldReader::new(message).last(REQUEST) {
                Some(RawField::Bytes(request)) => match FieldReader::new(request).last(1) {
                    // Negative numbers are written as very large ones.
                    Some(field) => field.number().map(|number| number as i32),
                    None => None,
                },
                _ => None,
            },
        }
    }
}

fn parse_json_request(message: &[u8]) -> Option<ClientMessage> {
    let message: Value = serde_json::from_slice(message).ok()?;
    // A request that is written as a list is one, too.
    let request = message.as_object()?.get("request");
    let number = |value: &Value| value.as_i64().and_then(|number| i32::try_from(number).ok());
    let kind = match request {
        None => RequestKind::Other,
        Some(request) => match request.as_object()?.get("type")?.as_str()? {
            "open_stream" => RequestKind::OpenStream,
            "close_stream" => RequestKind::CloseStream,
            "store_sql" => RequestKind::StoreSql,
            "close_sql" => RequestKind::CloseSql,
            "execute" | "batch" | "sequence" => RequestKind::Run,
            "open_cursor" => RequestKind::OpenCursor,
            "fetch_cursor" => RequestKind::FetchCursor,
            "close_cursor" => RequestKind::CloseCursor,
            _ => RequestKind::Other,
        },
    };
    let mut sql_ids = Vec::new();
    if let Some(request) = request {
        visit_numbers(request, "sql_id", &mut |value| sql_ids.extend(number(value)));
    }
    let id = |name: &str| request.and_then(|request| number(&request[name]));
    Some(ClientMessage {
        request_id: number(&message["request_id"]).unwrap_or(0),
        kind,
        stream_id: id("stream_id"),
        cursor_id: id("cursor_id"),
        sql_ids,
    })
}

fn visit_numbers<'v>(value: &'v Value, wanted: &str, visit: &mut impl FnMut(&'v Value)) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                if key == wanted {
                    visit(value);
                } else {
                    visit_numbers(value, wanted, visit);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| visit_numbers(item, wanted, visit)),
        _ => {}
    }
}

fn parse_protobuf_request(message: &[u8]) -> Option<ClientMessage> {
    let mut parsed = ClientMessage {
        request_id: Encoding::Protobuf.request_id(message),
        kind: RequestKind::Other,
        stream_id: None,
        cursor_id: None,
        sql_ids: Vec::new(),
    };
    let mut requests = Vec::new();
    let mut fields = FieldReader::new(message);
    while let Some((number, raw)) = fields.next_field().ok()? {
        if let (REQUEST, RawField::Bytes(request)) = (number, raw) {
            requests.push(request);
        }
    }
    // More than one would be put together by the engine, and of several kinds the last would count.
    let request = match *requests {
        [] => return Some(parsed),
        [request] => request,
        _ => return None,
    };
    let mut kinds = Vec::new();
    let mut fields = FieldReader::new(request);
    while let Some((number, raw)) = fields.next_field().ok()? {
        if let RawField::Bytes(inner) = raw {
            kinds.push((number, inner));
        }
    }
    let (number, inner) = match *kinds {
        [] => return Some(parsed),
        [kind] => kind,
        _ => return None,
    };
    // A number that is left out is zero. Negative ones are written as very large ones.
    let first = |wanted| match FieldReader::new(inner).last(wanted) {
        Some(field) => field.number().unwrap_or(0) as i32,
        None => 0,
    };
    parsed.kind = match number {
        2 => RequestKind::OpenStream,
        3 => RequestKind::CloseStream,
        11 => RequestKind::StoreSql,
        12 => RequestKind::CloseSql,
        4 | 5 | 9 => RequestKind::Run,
        6 => RequestKind::OpenCursor,
        7 => RequestKind::CloseCursor,
        8 => RequestKind::FetchCursor,
        _ => RequestKind::Other,
    };
    match number {
        2..=6 | 9 | 10 | 13 => parsed.stream_id = Some(first(1)),
        11 | 12 => parsed.sql_ids.push(first(1)),
        _ => {}
    }
    match number {
        6 => parsed.cursor_id = Some(first(2)),
        7 | 8 => parsed.cursor_id = Some(first(1)),
        _ => {}
    }
    match number {
        4 => collect_stored_ids(inner, &[2], &mut parsed.sql_ids),
        5 => collect_stored_ids(inner, &[2, 1, 2], &mut parsed.sql_ids),
        6 => collect_stored_ids(inner, &[3, 1, 2], &mut parsed.sql_ids),
        9 | 10 => parsed.sql_ids.push(first(3)),
        _ => {}
    }
    Some(parsed)
}

/// The ids of stored SQL in statements, which are below fields of these numbers.
fn collect_stored_ids(message: &[u8], below: &[u32], ids: &mut Vec<i32>) {
    let Some((wanted, below)) = below.split_first() else {
        let id = FieldReader::new(message).last(2).and_then(RawField::number);
        ids.extend(id.map(|id| id as i32));
        return;
    };
    let mut fields = FieldReader::new(message);
    while let Ok(Some((number, raw))) = fields.next_field() {
        if let RawField::Bytes(inner) = raw
            && number == *wanted
        {
            collect_stored_ids(inner, below, ids);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hrana::protobuf::fields::{field, put, put_number};
    use serde_json::json;

    fn json_of(value: &Value) -> Option<ClientMessage> {
        Encoding::Json.parse_request(value.to_string().as_bytes())
    }

    fn message(kind: RequestKind, stream_id: Option<i32>, sql_ids: &[i32]) -> Option<ClientMessage> {
        Some(ClientMessage {
            request_id: 7,
            kind,
            stream_id,
            cursor_id: None,
            sql_ids: sql_ids.to_vec(),
        })
    }

    #[test]
    fn client_message_in_json_has_its_requests() {
        let request = |request: Value| json!({ "type": "request", "request_id": 7, "request": request });
        for (message, expected) in [
            (
                json!({ "type": "open_stream", "stream_id": 3 }),
                message(RequestKind::OpenStream, Some(3), &[]),
            ),
            (
                json!({ "type": "close_stream", "stream_id": 3 }),
                message(RequestKind::CloseStream, Some(3), &[]),
            ),
            (
                json!({ "type": "store_sql", "sql_id": 4, "sql": "select 1" }),
                message(RequestKind::StoreSql, None, &[4]),
            ),
            (
                json!({ "type": "close_sql", "sql_id": 4 }),
                message(RequestKind::CloseSql, None, &[4]),
            ),
            (
                json!({ "type": "batch", "stream_id": 3, "batch": { "steps": [
                    { "stmt": { "sql_id": 4 } }, { "stmt": { "sql": "select 'open_stream'" } }, { "stmt": { "sql_id": 5 } } ] } }),
                message(RequestKind::Run, Some(3), &[4, 5]),
            ),
            (
                json!({ "type": "describe", "stream_id": 3, "sql_id": 4 }),
                message(RequestKind::Other, Some(3), &[4]),
            ),
        ] {
            assert_eq!(json_of(&request(message)), expected);
        }
        assert!(Encoding::Json.may_change_state(br#"{"request":{"type":"\u006fpen\u005fstream"}}"#));
        // As a list, which the engine would understand.
        assert_eq!(json_of(&json!(["request", 7, ["open_stream", 3]])), None);
        assert_eq!(
            json_of(&json!({ "type": "request", "request_id": 7, "request": ["open_stream", 3] })),
            None
        );
    }

    #[test]
    fn client_message_in_protobuf_has_its_requests() {
        let request = |number: u32, inner: &[u8]| {
            let mut request = Vec::new();
            put_number(&mut request, 1, 7);
            put(&mut request, number, inner);
            field(REQUEST, &request)
        };
        let of = |message: &[u8]| Encoding::Protobuf.parse_request(message);
        let stmt = |id: u64| {
            let mut stmt = Vec::new();
            put_number(&mut stmt, 2, id);
            stmt
        };
        let mut three = Vec::new();
        put_number(&mut three, 1, 3);
        assert_eq!(of(&request(2, &three)), message(RequestKind::OpenStream, Some(3), &[]));
        assert_eq!(of(&request(3, &three)), message(RequestKind::CloseStream, Some(3), &[]));
        assert_eq!(of(&request(11, &three)), message(RequestKind::StoreSql, None, &[3]));
        let execute = [three.clone(), field(2, &stmt(4))].concat();
        assert_eq!(of(&request(4, &execute)), message(RequestKind::Run, Some(3), &[4]));
        let steps = [field(1, &field(2, &stmt(4))), field(1, &field(2, &stmt(5)))].concat();
        let batch = [three.clone(), field(2, &steps)].concat();
        assert_eq!(of(&request(5, &batch)), message(RequestKind::Run, Some(3), &[4, 5]));
        let mut cursor = three.clone();
        put_number(&mut cursor, 2, 6);
        let cursor = [cursor, field(3, &steps)].concat();
        let opened = of(&request(6, &cursor)).unwrap();
        assert_eq!((opened.kind, opened.cursor_id), (RequestKind::OpenCursor, Some(6)));
        assert_eq!((opened.stream_id, opened.sql_ids), (Some(3), vec![4, 5]));
        let fetched = of(&request(8, &three)).unwrap();
        assert_eq!((fetched.kind, fetched.cursor_id), (RequestKind::FetchCursor, Some(3)));
        // What the engine would put together.
        assert_eq!(of(&[request(2, &three), request(3, &three)].concat()), None);
        let two = [field(2, &three), field(3, &three)].concat();
        assert_eq!(of(&field(REQUEST, &two)), None);
    }
}

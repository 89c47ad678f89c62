//! Finds the SQL in requests before it is run. It is held against what a hosted database may do (`sqltext::policy`), for the
//! token and the instance of the request.
//!
//! Whatever text a message may have SQL in is judged; only what the protocol never runs is left out: values of parameters,
//! and names. A text that does not parse and names nothing that is refused goes on, for the engine to say what is wrong
//! with it: it parses with the same grammar.

pub mod protobuf;
pub mod replica_pragmas;

use crate::control::gateway_plane::Route;
use crate::control::tokens::Authorization;
use crate::hrana::protobuf::fields::MalformedProtobuf;
use crate::server::gateway::Core;
use crate::server::gateway::error::GatewayError;
use crate::sqltext::policy::{self, InstanceKind, Policy, TextSummary, TextUse, TokenAccess, Violation, ViolationKind};
use axum::http::StatusCode;
use bytes::Bytes;
use protobuf::{MessageRules, ProtobufText};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// How a body contains SQL.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BodyEncoding {
    Json,
    Protobuf(MessageRules),
    /// Messages in frames, none of them compressed.
    Grpc(MessageRules),
}

/// What the SQL of a body does, as far as it stands in the body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BodySummary {
    pub text: TextSummary,
    /// A text is described or stored.
    prepares: bool,
    /// The body may run what is not seen in it: stored SQL, texts that do not parse here, objects written as lists.
    has_unseen: bool,
}

impl BodySummary {
    /// Whether all that the body runs only reads, although the process would refuse it to a token that may only read.
    pub fn reads_with_full_access(&self) -> bool {
        self.text.read_needs_full_access && !self.text.writes && !self.text.engine_refuses && !self.has_unseen
    }

    /// Whether all that the body runs are SELECTs, or nothing.
    pub fn has_only_queries(&self) -> bool {
        self.text.statements == self.text.queries && !self.has_unseen
    }

    /// Whether all that the body runs is one SELECT, for any token that may read.
    pub fn is_single_query(&self) -> bool {
        let text = &self.text;
        text.statements == 1 && text.queries == 1 && !self.prepares && !self.has_unseen && !text.read_needs_full_access
    }

    /// Whether all that the body runs are SELECTs, which leave nothing behind.
    pub fn is_all_queries(&self) -> bool {
        self.text.statements > 0 && self.has_only_queries()
    }

    /// Judges a text that may be SQL.
    fn judge(&mut self, sql: &str, usage: TextUse) -> Result<(), Violation> {
        self.prepares |= usage == TextUse::Prepare;
        match policy::analyze(sql) {
            Ok(summary) => self.text.merge(&summary),
            Err(violation) if violation.is_harmless() => self.has_unseen = true,
            Err(violation) => return Err(violation),
        }
        Ok(())
    }

    fn usage(&self) -> TextUse {
        if self.prepares { TextUse::Prepare } else { TextUse::Run }
    }
}

impl From<MalformedProtobuf> for GatewayError {
    fn from(MalformedProtobuf: MalformedProtobuf) -> Self {
        Self::bad("the body is not a message of the protocol")
    }
}

impl From<Violation> for GatewayError {
    fn from(violation: Violation) -> Self {
        let code = match violation.kind() {
            ViolationKind::Writes => return Self::read_only(),
            ViolationKind::BlocksWriters => {
                return Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", violation.to_string());
            }
            ViolationKind::UnknownFunction => "SQLITE_ERROR",
            ViolationKind::Syntax => "SQL_PARSE_ERROR",
            ViolationKind::TooLong => "SQL_TOO_LONG",
            ViolationKind::TooDeep => "SQL_TOO_DEEP",
            _ => "SQL_FORBIDDEN",
        };
        Self::new(StatusCode::BAD_REQUEST, code, violation.to_string())
    }
}

/// Refuses a body with SQL that must not be run by a bearer of `authorization` at an instance.
pub fn check_body(
    format: BodyEncoding,
    body: &[u8],
    authorization: Authorization,
    instance: InstanceKind,
) -> Result<BodySummary, GatewayError> {
    let mut summary = BodySummary::default();
    match format {
        BodyEncoding::Json => check_json(body, &mut summary)?,
        BodyEncoding::Protobuf(message) => check_protobuf(body, message, &mut summary)?,
        BodyEncoding::Grpc(message) => each_frame(body, |frame| check_protobuf(frame, message, &mut summary))?,
    }
    let access = match authorization {
        Authorization::ReadOnly => TokenAccess::ReadOnly,
        Authorization::FullAccess => TokenAccess::Full,
    };
    let policy = Policy {
        access,
        instance,
        usage: summary.usage(),
    };
    policy.check(&summary.text)?;
    Ok(summary)
}

/// Bytes of a body that takes so long to be checked that others would notice.
const LARGE: usize = 32 << 10;

/// Checks the SQL of a body like [`check_body`]: that of a large one where nobody waits for it.
///
/// # Errors
///
/// Those of [`check_body`].
pub async fn check_sql(
    encoding: BodyEncoding,
    body: &Bytes,
    authorization: Authorization,
    instance: InstanceKind,
) -> Result<BodySummary, GatewayError> {
    if body.len() <= LARGE {
        return check_body(encoding, body, authorization, instance);
    }
    let body = body.clone();
    tokio::task::spawn_blocking(move || check_body(encoding, &body, authorization, instance))
        .await
        .unwrap_or_else(|_| Err(GatewayError::unavailable("the request could not be checked")))
}

/// Refuses what adds to a database of an organization that stores more than its quota. What removes goes on; what is not seen
/// here is bounded by the process.
pub fn check_quota(core: &Core, route: &Route, summary: &BodySummary) -> Result<(), GatewayError> {
    if !summary.text.adds || !core.plane.is_over_quota(route) {
        return Ok(());
    }
    Err(GatewayError::new(
        StatusCode::FORBIDDEN,
        "BLOCKED",
        "the organization stores more than its storage quota: delete rows, drop tables or destroy databases, or ask the \
         server's operator for a larger quota",
    ))
}

/// Bytes of a request that a replica's process can pass on to its primary's. They exchange messages of at most 4 MiB; of a longer one
/// the replica's process answers that nothing was changed, as if it had been made (seen with sqld 0.24.32). A request is not shorter
/// than the message that is made of it, but for what each statement takes there.
pub const LARGEST_RELAYED: usize = 4_000_000;

/// Refuses a request that a replica's process would have to pass on to its primary's, and cannot.
pub fn check_relayed(size: usize, summary: &BodySummary) -> Result<(), GatewayError> {
    if size <= LARGEST_RELAYED || summary.is_all_queries() {
        return Ok(());
    }
    Err(GatewayError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "BODY_TOO_LARGE",
        "a request that writes has at most 4 MB at a replica: send it to the database's own URL, or in smaller pieces",
    ))
}

/// The messages of a body of gRPC-Web.
pub fn each_frame(
    mut body: &[u8],
    mut visit: impl FnMut(&[u8]) -> Result<(), GatewayError>,
) -> Result<(), GatewayError> {
    while !body.is_empty() {
        let (head, rest) = body.split_first_chunk::<5>().ok_or(MalformedProtobuf)?;
        let [kind, length @ ..] = *head;
        if kind != 0 {
            return Err(GatewayError::bad("messages must not be compressed"));
        }
        let length = u32::from_be_bytes(length) as usize;
        let (frame, rest) = rest.split_at_checked(length).ok_or(MalformedProtobuf)?;
        visit(frame)?;
        body = rest;
    }
    Ok(())
}

fn check_protobuf(body: &[u8], message: MessageRules, summary: &mut BodySummary) -> Result<(), GatewayError> {
    protobuf::each_sql(body, message, &mut |found| match found {
        ProtobufText::Sql(sql, usage) => summary.judge(sql, usage).map_err(GatewayError::from),
        ProtobufText::StoredSql => {
            summary.has_unseen = true;
            Ok(())
        }
    })
}

fn check_json(body: &[u8], summary: &mut BodySummary) -> Result<(), GatewayError> {
    let mut found = JsonWalk {
        summary,
        violation: None,
    };
    let mut parser = serde_json::Deserializer::from_slice(body);
    let walked = Walk {
        found: &mut found,
        position: JsonPosition::Anywhere,
    }
    .deserialize(&mut parser)
    .and_then(|()| parser.end());
    match (found.violation, walked) {
        (Some(violation), _) => Err(violation.into()),
        (None, Err(error)) => Err(GatewayError::bad(format!("the body is not valid JSON: {error}"))),
        (None, Ok(())) => Ok(()),
    }
}

/// What a walk has found so far.
struct JsonWalk<'a> {
    summary: &'a mut BodySummary,
    violation: Option<Violation>,
}

/// Where a value of JSON stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum JsonPosition {
    Anywhere,
    /// Below a key whose content is never run.
    Value,
    /// Behind `type`: the name of a kind of request.
    Tag,
    /// Directly in a list.
    List,
}

/// A walk over JSON that takes every text for SQL, but for those below keys that have values. That also sees the SQL in an
/// object that is written as a list, or twice.
struct Walk<'w, 'a> {
    found: &'w mut JsonWalk<'a>,
    position: JsonPosition,
}

/// Keys whose content is never run: parameters of each version of the protocol, and their names.
pub const VALUE_KEYS: &[&str] = &["value", "base64", "params", "baton", "name", "replication_index"];

/// Kinds of requests that prepare SQL and do not run it.
const PREPARING: &[&str] = &["describe", "store_sql"];

impl<'a> Walk<'_, 'a> {
    fn inner(&mut self, position: JsonPosition) -> Walk<'_, 'a> {
        let position = if self.position == JsonPosition::Value {
            self.position
        } else {
            position
        };
        Walk {
            found: self.found,
            position,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.position == JsonPosition::Value {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(drop);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let summary = &mut *self.found.summary;
        summary.prepares |= PREPARING.contains(&text);
        summary.has_unseen |= self.position == JsonPosition::List;
        if self.position == JsonPosition::Tag {
            return Ok(());
        }
        summary.judge(text, TextUse::Run).map_err(|violation| {
            self.found.violation = Some(violation);
            E::custom("refused")
        })
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let position = match &*key {
                "type" => JsonPosition::Tag,
                key if VALUE_KEYS.contains(&key) => JsonPosition::Value,
                _ => JsonPosition::Anywhere,
            };
            self.found.summary.has_unseen |= key == "sql_id";
            map.next_value_seed(self.inner(position))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self.inner(JsonPosition::List))?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<(), E> {
        Err(E::custom("not text"))
    }
}

#[cfg(test)]
mod tests;

//! Streams of the engine's processes that are kept for reads. A process opens a database's file and reads its schema for
//! every stream, which takes longer than a read by key; so a statement that only reads and that came before runs in a stream
//! that is open already.
//!
//! Nobody can tell: only a single SELECT that a request runs in a stream of its own is run so, and a SELECT leaves nothing
//! behind in its stream. What a stream would keep (a transaction, settings, the last inserted row) is only changed by
//! statements that never run in one of these. A stream that has ended meanwhile is replaced by a fresh one, like one of a
//! client (see [`super::says_stream_is_gone`]).
//!
//! Streams are kept at primaries only: the process of a replica replaces a database's file when it copies it anew, and a
//! stream that is open then would go on reading the old one.
//!
//! Gain, worst of three runs: reads a second 1.09 times (16 clients) to 1.36 times (one) those of a libSQL server without a
//! gateway; they were 0.82 to 0.85 times. `cargo bench --locked --bench beside-sqlite3 -- gateway` measures it.

use super::registry::StreamName;
use crate::control::names::DatabaseId;
use crate::control::tokens::Authorization;
use crate::sync::lock;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a stream is kept. Processes end one after ten seconds without a request.
const IDLE: Duration = Duration::from_secs(5);

/// Streams that are kept, of one database and of all. A process has room for 1,024.
const MOST_OF_ONE: usize = 32;
const MOST: usize = 128;

/// Statements that are remembered, in each of two generations.
const REMEMBERED: usize = 8192;

/// Bytes of the longest answer to a statement that comes from a kept stream the next time. Longer ones are worth the stream.
const SHORT_ANSWER: u64 = 4 << 10;

/// What comes before and behind the only statement of a request. Clients write them just so.
const HEADS: [&[u8]; 2] = [br#"{"requests":["#, br#"{"baton":null,"requests":["#];
const TAIL: &[u8] = br#",{"type":"close"}]}"#;

/// The streams. Clones would not share them.
pub struct ReadStreams {
    hasher: RandomState,
    pool: Mutex<StreamPool>,
    answered: Mutex<AnsweredStatements>,
}

/// Whose reads may share a stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PoolKey {
    id: DatabaseId,
    authorization: Authorization,
    /// The version of the protocol.
    path: &'static str,
}

#[derive(Default)]
struct StreamPool {
    /// By key, those used last at the end.
    idle: HashMap<PoolKey, Vec<(StreamName, Instant)>>,
    count: usize,
    swept: Option<Instant>,
}

/// Hashes of statements with short answers.
#[derive(Default)]
struct AnsweredStatements {
    young: HashSet<u64>,
    old: HashSet<u64>,
}

/// A request that runs a single SELECT in a stream of its own.
pub struct StreamRead {
    key: PoolKey,
    /// Of the database and the text.
    statement: u64,
    /// The first part of the request, without the one that closes the stream.
    execute: Bytes,
}

/// A read in a stream that is kept.
pub struct KeptRead {
    /// The request, with the stream's baton where it is open already.
    pub body: Bytes,
    /// The stream, unless it is to be opened.
    pub name: Option<StreamName>,
    pub read: StreamRead,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Execute<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    stmt: Statement<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement<'a> {
    #[serde(borrow)]
    sql: Cow<'a, str>,
    #[serde(default, rename = "args")]
    _args: IgnoredAny,
    #[serde(default, rename = "named_args")]
    _named_args: IgnoredAny,
    #[serde(default, rename = "want_rows")]
    _want_rows: IgnoredAny,
}

impl ReadStreams {
    pub fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            pool: Mutex::default(),
            answered: Mutex::default(),
        }
    }

    /// Returns the read of a request in JSON that runs one statement and closes its stream; none for any other request. That
    /// the statement is a SELECT is for the caller to know.
    pub fn parse(
        &self,
        id: &DatabaseId,
        authorization: Authorization,
        path: &'static str,
        body: &Bytes,
    ) -> Option<StreamRead> {
        let inner = HEADS.iter().find_map(|head| body.strip_prefix(*head))?;
        let execute = inner.trim_ascii_end().strip_suffix(TAIL)?;
        if !execute.starts_with(b"{") {
            // Serde would read a list as an object, too.
            return None;
        }
        let parsed: Execute<'_> = serde_json::from_slice(execute).ok()?;
        (parsed.kind == "execute").then(|| StreamRead {
            statement: self.hasher.hash_one((id.as_str(), &*parsed.stmt.sql)),
            execute: body.slice_ref(execute),
            key: PoolKey {
                id: id.clone(),
                authorization,
                path,
            },
        })
    }

    /// Returns the request for a kept stream; the read itself where it has to have a stream of its own, because its statement
    /// was not answered shortly a while ago.
    pub fn keep(&self, read: StreamRead) -> Result<KeptRead, StreamRead> {
        if !lock(&self.answered).contains(read.statement) {
            return Err(read);
        }
        let name = lock(&self.pool).take(&read.key, Instant::now());
        let mut body = Vec::with_capacity(read.execute.len() + 96);
        body.extend_from_slice(br#"{"baton":"#);
        match &name {
            Some(name) => {
                body.push(b'"');
                body.extend_from_slice(name);
                body.push(b'"');
            }
            None => body.extend_from_slice(b"null"),
        }
        body.extend_from_slice(br#","requests":["#);
        body.extend_from_slice(&read.execute);
        body.extend_from_slice(b"]}");
        Ok(KeptRead {
            body: body.into(),
            name,
            read,
        })
    }

    /// Remembers how many bytes a read's answer had.
    pub fn remember(&self, read: &StreamRead, bytes: u64) {
        let mut answered = lock(&self.answered);
        if bytes <= SHORT_ANSWER {
            answered.insert(read.statement);
        } else {
            answered.remove(read.statement);
        }
    }

    /// Keeps the stream of a read whose answer has passed.
    pub fn give_back(&self, read: &StreamRead, name: StreamName) {
        lock(&self.pool).give_back(&read.key, name, Instant::now());
    }
}

impl StreamPool {
    fn take(&mut self, key: &PoolKey, now: Instant) -> Option<StreamName> {
        let (name, since) = self.idle.get_mut(key)?.pop()?;
        self.count -= 1;
        (now.duration_since(since) < IDLE).then_some(name)
    }

    fn give_back(&mut self, key: &PoolKey, name: StreamName, now: Instant) {
        if self.swept.is_none_or(|swept| now.duration_since(swept) >= IDLE) {
            self.swept = Some(now);
            self.idle.retain(|_, streams| {
                streams.retain(|(_, since)| now.duration_since(*since) < IDLE);
                !streams.is_empty()
            });
            self.count = self.idle.values().map(Vec::len).sum();
        }
        if self.count >= MOST {
            return;
        }
        let streams = self.idle.entry(key.clone()).or_default();
        if streams.len() < MOST_OF_ONE {
            streams.push((name, now));
            self.count += 1;
        }
    }
}

impl AnsweredStatements {
    fn contains(&mut self, statement: u64) -> bool {
        if self.young.contains(&statement) {
            return true;
        }
        let is_old = self.old.remove(&statement);
        if is_old {
            self.insert(statement);
        }
        is_old
    }

    fn insert(&mut self, statement: u64) {
        if self.young.len() >= REMEMBERED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(statement);
    }

    fn remove(&mut self, statement: u64) {
        self.young.remove(&statement);
        self.old.remove(&statement);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(streams: &ReadStreams, body: &str) -> Option<StreamRead> {
        let id: DatabaseId = "00000000-0000-4000-8000-000000000001".parse().unwrap();
        streams.parse(
            &id,
            Authorization::FullAccess,
            "/v2/pipeline",
            &Bytes::copy_from_slice(body.as_bytes()),
        )
    }

    const READ: &str = r#"{"requests":[{"type":"execute","stmt":{"sql":"select ?","args":[{"type":"text","value":"]}"}]}},{"type":"close"}]}"#;

    #[test]
    fn read_streams_take_one_statement_that_closes_its_stream() {
        let streams = ReadStreams::new();
        for body in [
            READ.to_owned(),
            READ.replace(r#"{"requests""#, r#"{"baton":null,"requests""#),
            READ.replace(r#""args""#, r#""want_rows":true,"args""#),
            format!("{READ}\n"),
        ] {
            assert!(parse(&streams, &body).is_some(), "{body}");
        }
        let execute = r#"{"type":"execute","stmt":{"sql":"select 1"}}"#;
        for body in [
            READ.replace(r#","args""#, r#","sql_id":1,"args""#),
            READ.replace(r#""sql":"select ?""#, r#""sql":"select ?","sql":"select 2""#),
            READ.replace("execute", "describe"),
            READ.replace(r#"{"requests""#, r#"{"baton":"x","requests""#),
            READ.replace(r#"{"requests""#, r#"{"more":1,"requests""#),
            READ.replace(r#"{"type":"close"}"#, r#"{"type":"get_autocommit"}"#),
            format!(r#"{{"requests":[{execute}]}}"#),
            format!(r#"{{"requests":[{execute},{execute},{{"type":"close"}}]}}"#),
            format!(
                r#"{{"requests":[{execute},{{"type":"close"}}],"baton":"x","requests":[{execute},{{"type":"close"}}]}}"#
            ),
            r#"{"requests":[{"type":"close"}]}"#.to_owned(),
            r#"{"requests":[["execute",{"sql":"select 1"}],{"type":"close"}]}"#.to_owned(),
        ] {
            assert!(parse(&streams, &body).is_none(), "{body}");
        }
    }

    #[test]
    fn read_streams_are_used_again_for_a_statement_with_a_short_answer() {
        let streams = ReadStreams::new();
        let read = streams.keep(parse(&streams, READ).unwrap()).err().unwrap();
        streams.remember(&read, SHORT_ANSWER + 1);
        let read = streams.keep(read).err().unwrap();
        streams.remember(&read, SHORT_ANSWER);
        let first = streams.keep(read).ok().unwrap();
        assert!(first.name.is_none());
        let sent: serde_json::Value = serde_json::from_slice(&first.body).unwrap();
        assert_eq!(sent["baton"], serde_json::Value::Null);
        assert_eq!(sent["requests"].as_array().unwrap().len(), 1);
        streams.give_back(&first.read, b"name".to_vec());
        let second = streams.keep(first.read).ok().unwrap();
        assert_eq!(second.name.as_deref(), Some(&b"name"[..]));
        let sent: serde_json::Value = serde_json::from_slice(&second.body).unwrap();
        assert_eq!(sent["baton"], "name");
        assert_eq!(sent["requests"][0]["stmt"]["args"][0]["value"], "]}");
        // It was taken.
        assert!(streams.keep(second.read).ok().unwrap().name.is_none());
    }

    #[test]
    fn read_streams_are_bounded_and_end() {
        let key = |n: u32| PoolKey {
            id: format!("00000000-0000-4000-8000-{n:012}").parse().unwrap(),
            authorization: Authorization::ReadOnly,
            path: "/v2/pipeline",
        };
        let mut pool = StreamPool::default();
        let start = Instant::now();
        for n in 0..2 * u32::try_from(MOST).unwrap() {
            pool.give_back(&key(n % 3), vec![], start);
        }
        assert_eq!(pool.count, 3 * MOST_OF_ONE);
        for n in 0..2 * u32::try_from(MOST).unwrap() {
            pool.give_back(&key(n), vec![], start);
        }
        assert_eq!(pool.count, MOST);
        assert!(pool.take(&key(0), start).is_some());
        assert!(pool.take(&key(0), start + IDLE).is_none());
        pool.give_back(&key(1), vec![], start + IDLE);
        assert_eq!(pool.count, 1);

        let mut answered = AnsweredStatements::default();
        for statement in 0..10 * REMEMBERED as u64 {
            answered.insert(statement);
            assert!(answered.contains(0) || statement > 0);
        }
        assert!(answered.young.len() + answered.old.len() <= 2 * REMEMBERED);
        assert!(answered.contains(0));
    }
}

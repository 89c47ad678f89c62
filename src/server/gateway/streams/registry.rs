//! Streams that are open, so that a database has a bounded number of them. Each holds a connection in the engine's process,
//! between requests as well: a stream over HTTP until it is closed or nobody has used it for a while, a stream of a socket
//! until it is closed or the socket ends, the connection of a replica outside likewise.

use crate::control::gateway_plane::LogPosition;
use crate::control::names::{DatabaseId, LocationCode};
use crate::server::gateway::error::GatewayError;
use crate::sync::lock;
use axum::http::StatusCode;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What a stream is known by between two requests: a baton, or the id of a client.
pub type StreamName = Vec<u8>;

/// Kinds of streams, by how long processes keep them idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// A stream.
    Stream,
    /// The connection of a replica outside.
    Client,
}

impl StreamKind {
    fn patience(self) -> Duration {
        match self {
            Self::Stream => Duration::from_secs(11),
            Self::Client => Duration::from_secs(40),
        }
    }
}

/// All open streams. Clones share them.
#[derive(Clone)]
pub struct StreamRegistry {
    /// Of one database.
    limit: usize,
    databases: Arc<Mutex<HashMap<DatabaseId, DatabaseStreams>>>,
}

#[derive(Default)]
struct DatabaseStreams {
    /// Slots that are held, at each location.
    held: HashMap<LocationCode, usize>,
    named: HashMap<StreamName, NamedStream>,
}

/// A stream that the client was told the name of.
struct NamedStream {
    location: LocationCode,
    state: SlotState,
    /// How far the log was when the stream has last written.
    written: Option<LogPosition>,
}

#[derive(Debug, Clone, Copy)]
enum SlotState {
    /// The client was told its name by a request that is still under way, and it is counted with that.
    Held,
    /// Until then.
    Waiting(Instant),
}

/// Room for one stream. Dropped, it is given back, unless the stream was named to the client: then it waits.
pub struct StreamSlot {
    registry: StreamRegistry,
    id: DatabaseId,
    location: LocationCode,
    name: Option<(StreamName, StreamKind)>,
    written: Option<LogPosition>,
}

impl DatabaseStreams {
    fn count(&self) -> usize {
        self.held.values().sum::<usize>() + self.waiting().count()
    }

    fn count_at(&self, location: &LocationCode) -> usize {
        let waiting = self.waiting().filter(|stream| stream.location == *location);
        self.held.get(location).copied().unwrap_or(0) + waiting.count()
    }

    fn waiting(&self) -> impl Iterator<Item = &NamedStream> {
        let all = self.named.values();
        all.filter(|stream| matches!(stream.state, SlotState::Waiting(_)))
    }

    fn forget_ended(&mut self, now: Instant) {
        self.named.retain(|_, stream| match stream.state {
            SlotState::Held => true,
            SlotState::Waiting(end) => end > now,
        });
    }
}

impl StreamRegistry {
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            databases: Arc::default(),
        }
    }

    fn databases(&self) -> MutexGuard<'_, HashMap<DatabaseId, DatabaseStreams>> {
        lock(&self.databases)
    }

    /// Room for a stream that is to be opened at a location, or that was named before.
    pub fn open_slot(
        &self,
        id: &DatabaseId,
        location: &LocationCode,
        name: Option<&[u8]>,
    ) -> Result<StreamSlot, GatewayError> {
        self.open_slot_at(id, location, name, Instant::now())
    }

    fn open_slot_at(
        &self,
        id: &DatabaseId,
        location: &LocationCode,
        name: Option<&[u8]>,
        now: Instant,
    ) -> Result<StreamSlot, GatewayError> {
        let mut databases = self.databases();
        let database = databases.entry(id.clone()).or_default();
        let known = name.and_then(|name| database.named.remove(name));
        if known.is_none() && database.count() >= self.limit {
            database.forget_ended(now);
            if database.count() >= self.limit {
                return Err(too_many(self.limit));
            }
        }
        *database.held.entry(location.clone()).or_default() += 1;
        Ok(StreamSlot {
            registry: self.clone(),
            id: id.clone(),
            location: location.clone(),
            name: None,
            written: known.and_then(|stream| stream.written),
        })
    }

    /// The number of open streams of all databases.
    pub fn count(&self) -> usize {
        let now = Instant::now();
        let mut databases = self.databases();
        databases.retain(|_, database| {
            database.forget_ended(now);
            database.count() > 0
        });
        databases.values().map(DatabaseStreams::count).sum()
    }

    /// The number of open streams of a database.
    pub fn count_of(&self, id: &DatabaseId) -> usize {
        let mut databases = self.databases();
        let Some(database) = databases.get_mut(id) else {
            return 0;
        };
        database.forget_ended(Instant::now());
        database.count()
    }

    /// The number of open streams of an instance.
    pub fn count_at(&self, id: &DatabaseId, location: &LocationCode) -> usize {
        let mut databases = self.databases();
        let Some(database) = databases.get_mut(id) else {
            return 0;
        };
        database.forget_ended(Instant::now());
        database.count_at(location)
    }

    fn release(&self, slot: &mut StreamSlot, now: Instant) {
        let mut databases = self.databases();
        let Some(database) = databases.get_mut(&slot.id) else {
            return;
        };
        if let Some(held) = database.held.get_mut(&slot.location) {
            *held = held.saturating_sub(1);
        }
        database.held.retain(|_, held| *held > 0);
        if let Some((name, kind)) = slot.name.take()
            && let Some(stream) = database.named.get_mut(&name)
        {
            stream.state = SlotState::Waiting(now + kind.patience());
        }
        database.forget_ended(now);
        if database.held.is_empty() && database.named.is_empty() {
            databases.remove(&slot.id);
        }
    }
}

impl StreamSlot {
    /// How far the log was when the stream has last written, as far as that was noted.
    pub fn written(&self) -> Option<LogPosition> {
        self.written
    }

    /// Notes how far the log was after a write of the stream.
    pub fn note_written(&mut self, position: Option<LogPosition>) {
        self.written = position.or(self.written);
    }

    /// Has the stream stay open after the request, under a name that the client is told now.
    pub fn keep_open(&mut self, name: StreamName, kind: StreamKind) {
        let mut databases = self.registry.databases();
        if let Some(database) = databases.get_mut(&self.id) {
            let stream = NamedStream {
                location: self.location.clone(),
                state: SlotState::Held,
                written: self.written,
            };
            database.named.insert(name.clone(), stream);
        }
        drop(databases);
        self.name = Some((name, kind));
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let registry = self.registry.clone();
        registry.release(self, Instant::now());
    }
}

fn too_many(limit: usize) -> GatewayError {
    GatewayError::later(
        StatusCode::TOO_MANY_REQUESTS,
        "TOO_MANY_STREAMS",
        format!(
            "the database has {limit} open streams, and no more are opened: end transactions, and close each stream with a \
             `close` request; what is not used ends by itself after some seconds"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ams() -> LocationCode {
        "ams".parse().unwrap()
    }

    #[test]
    fn stream_counts_until_it_is_closed_or_forgotten() {
        let open = StreamRegistry::new(2);
        let (one, two) = (DatabaseId::generate(), DatabaseId::generate());
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let full = |at| open.open_slot_at(&one, &ams(), None, at).err().map(|error| error.code);
        let mut first = open.open_slot(&one, &ams(), None).unwrap();
        first.keep_open(b"a".to_vec(), StreamKind::Stream);
        drop(first);
        let second = open.open_slot(&one, &ams(), None).unwrap();
        assert_eq!(full(now), Some("TOO_MANY_STREAMS"));
        assert!(open.open_slot(&two, &ams(), None).is_ok());
        // The stream goes on under another name, and the old one is nobody's.
        let mut first = open.open_slot(&one, &ams(), Some(b"a")).unwrap();
        first.keep_open(b"b".to_vec(), StreamKind::Stream);
        // The client may use it before the request has ended.
        let again = open.open_slot(&one, &ams(), Some(b"b"));
        assert!(again.is_ok());
        drop((first, again));
        assert_eq!(full(now), None);
        drop(second);
        let mut slot = open.open_slot(&one, &ams(), None).unwrap();
        slot.keep_open(b"c".to_vec(), StreamKind::Stream);
        drop(slot);
        let mut client = open.open_slot(&one, &ams(), None).unwrap();
        client.keep_open(b"d".to_vec(), StreamKind::Client);
        drop(client);
        assert_eq!(full(later(5)), Some("TOO_MANY_STREAMS"));
        assert_eq!(
            open.open_slot_at(&one, &ams(), Some(b"unknown"), now)
                .err()
                .unwrap()
                .code,
            "TOO_MANY_STREAMS"
        );
        assert_eq!(full(later(12)), None);
    }

    #[test]
    fn stream_registry_remembers_no_database_without_streams() {
        let open = StreamRegistry::new(2);
        let id = DatabaseId::generate();
        drop(open.open_slot(&id, &ams(), None).unwrap());
        assert!(open.databases().is_empty());
        let open_slot = open.open_slot(&id, &ams(), None).unwrap();
        assert_eq!((open.count(), open.count_of(&id)), (1, 1));
        let lhr: LocationCode = "lhr".parse().unwrap();
        let mut other = open.open_slot(&id, &lhr, None).unwrap();
        other.keep_open(b"a".to_vec(), StreamKind::Stream);
        assert_eq!((open.count_at(&id, &ams()), open.count_at(&id, &lhr)), (1, 1));
        drop(other);
        // It waits for the client's next request.
        assert_eq!((open.count_at(&id, &ams()), open.count_at(&id, &lhr)), (1, 1));
        drop(open.open_slot(&id, &lhr, Some(b"a")).unwrap());
        assert_eq!((open.count_at(&id, &ams()), open.count_at(&id, &lhr)), (1, 0));
        drop(open_slot);
        assert_eq!((open.count(), open.count_of(&id)), (0, 0));
    }
}

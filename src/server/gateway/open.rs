//! Streams that are open, so that a database has a bounded number of them. Each holds a connection in the engine's process,
//! between requests as well: a stream over HTTP until it is closed or nobody has used it for a while, a stream of a socket
//! until it is closed or the socket ends, the connection of a replica outside likewise.

use super::refusal::Refusal;
use crate::control::names::DatabaseId;
use crate::sync::lock;
use axum::http::StatusCode;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What a stream is known by between two requests: a baton, or the id of a client.
pub(super) type Name = Vec<u8>;

/// Kinds of streams, by how long processes keep them idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// A stream.
    Stream,
    /// The connection of a replica outside.
    Client,
}

impl Kept {
    fn patience(self) -> Duration {
        match self {
            Self::Stream => Duration::from_secs(11),
            Self::Client => Duration::from_secs(40),
        }
    }
}

/// All open streams. Clones share them.
#[derive(Clone)]
pub(super) struct Open {
    /// Of one database.
    limit: usize,
    databases: Arc<Mutex<HashMap<DatabaseId, Database>>>,
}

#[derive(Default)]
struct Database {
    /// Places that are held.
    held: usize,
    named: HashMap<Name, State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Told to the client by a request that is still under way, and counted with it.
    Held,
    /// Until then.
    Waiting(Instant),
}

/// Room for one stream. Dropped, it is given back, unless the stream was named to the client: then it waits.
pub(super) struct Place {
    open: Open,
    id: DatabaseId,
    name: Option<(Name, Kept)>,
}

impl Database {
    fn count(&self) -> usize {
        let waiting = self.named.values().filter(|state| matches!(state, State::Waiting(_)));
        self.held + waiting.count()
    }

    fn forget_ended(&mut self, now: Instant) {
        self.named
            .retain(|_, state| matches!(state, State::Held) || matches!(state, State::Waiting(end) if *end > now));
    }
}

impl Open {
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            databases: Arc::default(),
        }
    }

    fn databases(&self) -> MutexGuard<'_, HashMap<DatabaseId, Database>> {
        lock(&self.databases)
    }

    /// Room for a stream that is to be opened, or that was named before.
    pub fn place(&self, id: &DatabaseId, name: Option<&[u8]>) -> Result<Place, Refusal> {
        self.place_at(id, name, Instant::now())
    }

    fn place_at(&self, id: &DatabaseId, name: Option<&[u8]>, now: Instant) -> Result<Place, Refusal> {
        let mut databases = self.databases();
        let database = databases.entry(id.clone()).or_default();
        let known = name.and_then(|name| database.named.remove(name)).is_some();
        if !known && database.count() >= self.limit {
            database.forget_ended(now);
            if database.count() >= self.limit {
                return Err(too_many(self.limit));
            }
        }
        database.held += 1;
        Ok(Place {
            open: self.clone(),
            id: id.clone(),
            name: None,
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
        databases.values().map(Database::count).sum()
    }

    fn give_back(&self, id: &DatabaseId, name: Option<(Name, Kept)>, now: Instant) {
        let mut databases = self.databases();
        let Some(database) = databases.get_mut(id) else { return };
        database.held = database.held.saturating_sub(1);
        if let Some((name, kept)) = name
            && let Some(state) = database.named.get_mut(&name)
        {
            *state = State::Waiting(now + kept.patience());
        }
        database.forget_ended(now);
        if database.held == 0 && database.named.is_empty() {
            databases.remove(id);
        }
    }
}

impl Place {
    /// The stream stays open after the request, under a name that the client is told now.
    pub fn keep(&mut self, name: Name, kept: Kept) {
        let mut databases = self.open.databases();
        if let Some(database) = databases.get_mut(&self.id) {
            database.named.insert(name.clone(), State::Held);
        }
        drop(databases);
        self.name = Some((name, kept));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.give_back(&self.id, self.name.take(), Instant::now());
    }
}

fn too_many(limit: usize) -> Refusal {
    Refusal::later(
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

    #[test]
    fn a_stream_counts_until_it_is_closed_or_forgotten() {
        let open = Open::new(2);
        let (one, two) = (DatabaseId::generate(), DatabaseId::generate());
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let full = |at| open.place_at(&one, None, at).err().map(|refusal| refusal.code);
        let mut first = open.place(&one, None).unwrap();
        first.keep(b"a".to_vec(), Kept::Stream);
        drop(first);
        let second = open.place(&one, None).unwrap();
        assert_eq!(full(now), Some("TOO_MANY_STREAMS"));
        assert!(open.place(&two, None).is_ok());
        // The stream goes on under another name, and the old one is nobody's.
        let mut first = open.place(&one, Some(b"a")).unwrap();
        first.keep(b"b".to_vec(), Kept::Stream);
        // Told to the client before the request has ended.
        let again = open.place(&one, Some(b"b"));
        assert!(again.is_ok());
        drop((first, again));
        assert_eq!(full(now), None);
        drop(second);
        let mut kept = open.place(&one, None).unwrap();
        kept.keep(b"c".to_vec(), Kept::Stream);
        drop(kept);
        let mut client = open.place(&one, None).unwrap();
        client.keep(b"d".to_vec(), Kept::Client);
        drop(client);
        assert_eq!(full(later(5)), Some("TOO_MANY_STREAMS"));
        assert_eq!(
            open.place_at(&one, Some(b"unknown"), now).err().unwrap().code,
            "TOO_MANY_STREAMS"
        );
        assert_eq!(full(later(12)), None);
    }

    #[test]
    fn nothing_is_remembered_of_databases_without_streams() {
        let open = Open::new(2);
        let id = DatabaseId::generate();
        drop(open.place(&id, None).unwrap());
        assert!(open.databases().is_empty());
        let place = open.place(&id, None).unwrap();
        assert_eq!(open.count(), 1);
        drop(place);
        assert_eq!(open.count(), 0);
    }
}

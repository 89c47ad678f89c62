//! The limits of one database, so that no tenant starves another, and all timeouts.

mod pending_sockets;

pub use pending_sockets::PendingSocket;

use crate::control::names::{DatabaseId, LocationCode};
use crate::server::gateway::error::GatewayError;
use crate::sync::lock;
use axum::http::StatusCode;
use jiff::Timestamp;
use pending_sockets::PendingSockets;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The limits and timeouts of the gateway.
#[derive(Debug, Clone)]
pub struct GatewayLimits {
    /// Requests of one database that are answered at the same time. More wait for a moment, as many again at most.
    pub requests: usize,
    /// Open sockets of one database; and as many more that have not sent a token yet.
    pub sockets: usize,
    /// Open streams of one database, over HTTP and in sockets: each holds a connection of the process.
    pub streams: usize,
    /// Bytes of a request's body.
    pub body: usize,
    /// Bytes of all large bodies that are held at the same time; an organization's may be a quarter of it.
    pub memory: usize,
    /// How long a request waits until others of its database are done.
    pub queue: Duration,
    /// How long a body may take to arrive, and its next piece.
    pub upload: Duration,
    pub upload_piece: Duration,
    /// How long a request waits for a process that is not running, before 503.
    pub absence: Duration,
    /// How long a process may take to answer, and the next piece of its answer.
    pub answer: Duration,
    /// After which silence of a replica it is asked whether its primary is there: without it, writes never return.
    pub doubt: Duration,
    /// How long a process that is waited for may not even say that it is well, until nobody waits any more.
    pub hang: Duration,
    /// How often a socket's token is checked, and after what silence a socket's other end is taken for gone.
    pub recheck: Duration,
    pub silence: Duration,
    /// How long a socket may stay without a hello message that shows a token.
    pub hello: Duration,
}

impl GatewayLimits {
    /// Waits for a piece of an answer; none if it takes too long.
    pub(super) async fn await_piece<T>(&self, piece: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(self.answer, piece).await.ok()
    }
}

impl Default for GatewayLimits {
    fn default() -> Self {
        Self {
            requests: 256,
            sockets: 256,
            streams: 256,
            body: 32 << 20,
            memory: 256 << 20,
            queue: Duration::from_secs(2),
            upload: Duration::from_secs(120),
            upload_piece: Duration::from_secs(20),
            absence: Duration::from_secs(4),
            answer: Duration::from_secs(300),
            doubt: Duration::from_secs(2),
            hang: Duration::from_secs(8),
            recheck: Duration::from_secs(1),
            silence: Duration::from_secs(120),
            hello: Duration::from_secs(10),
        }
    }
}

/// Databases in memory; beyond that, those without a request are dropped.
const REMEMBERED: usize = 4096;

/// A unit of memory, in bytes, and what is not counted. All connections together may hold so much each.
const UNIT: usize = 1024;
const SMALL: usize = 16 * UNIT;

/// An organization may hold one of so many parts of the memory.
const PARTS: usize = 4;

/// The permits in use.
pub struct DatabaseShares {
    limits: GatewayLimits,
    databases: Mutex<HashMap<DatabaseId, Arc<DatabaseShare>>>,
    pending: Arc<Mutex<PendingSockets>>,
    memory: Arc<Semaphore>,
    /// Of that, what an organization has, by its id; those that have none are forgotten.
    organizations: Mutex<HashMap<String, Arc<Semaphore>>>,
}

struct DatabaseShare {
    requests: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    sockets: Arc<Semaphore>,
    /// One for each location, of which each of its sockets has a clone.
    sockets_at: Mutex<HashMap<LocationCode, Arc<()>>>,
    last_request: Mutex<Option<Timestamp>>,
}

/// A permit of a share; dropping it returns it.
pub type Permit = OwnedSemaphorePermit;

/// A permit for a socket; dropping it returns it.
pub struct SocketPermit {
    _permit: Permit,
    _count: Arc<()>,
}

/// Memory in use; dropping it returns it.
pub struct MemoryPermit {
    _own: Permit,
    _all: Permit,
}

impl DatabaseShares {
    pub fn new(limits: GatewayLimits) -> Self {
        Self {
            memory: Arc::new(Semaphore::new(limits.memory / UNIT)),
            limits,
            databases: Mutex::default(),
            pending: Arc::default(),
            organizations: Mutex::default(),
        }
    }

    fn of(&self, id: &DatabaseId) -> Arc<DatabaseShare> {
        let mut all = lock(&self.databases);
        if let Some(share) = all.get(id) {
            return Arc::clone(share);
        }
        let limits = &self.limits;
        if all.len() >= REMEMBERED {
            all.retain(|_, share| {
                share.requests.available_permits() < limits.requests
                    || share.sockets.available_permits() < limits.sockets
            });
        }
        let share = Arc::new(DatabaseShare {
            requests: Arc::new(Semaphore::new(limits.requests)),
            waiting: Arc::new(Semaphore::new(limits.requests)),
            sockets: Arc::new(Semaphore::new(limits.sockets)),
            sockets_at: Mutex::default(),
            last_request: Mutex::default(),
        });
        all.insert(id.clone(), Arc::clone(&share));
        share
    }

    /// Notes that an application has used a database.
    pub fn note_use(&self, id: &DatabaseId) {
        *lock(&self.of(id).last_request) = Some(Timestamp::now());
    }

    /// The open sockets of a database, and when an application last used it.
    pub fn use_of(&self, id: &DatabaseId) -> (usize, Option<Timestamp>) {
        let Some(share) = lock(&self.databases).get(id).map(Arc::clone) else {
            return (0, None);
        };
        let sockets = self.limits.sockets - share.sockets.available_permits();
        let last = *lock(&share.last_request);
        (sockets, last)
    }

    /// Waits for a permit for a request.
    pub async fn request(&self, id: &DatabaseId) -> Result<Permit, GatewayError> {
        let share = self.of(id);
        if let Ok(permit) = Arc::clone(&share.requests).try_acquire_owned() {
            return Ok(permit);
        }
        let refused = || too_many("requests", self.limits.requests);
        let _turn = share.waiting.try_acquire().map_err(|_| refused())?;
        match tokio::time::timeout(self.limits.queue, Arc::clone(&share.requests).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(refused()),
        }
    }

    /// A permit for a socket to an instance at a location.
    pub fn socket(&self, id: &DatabaseId, location: &LocationCode) -> Result<SocketPermit, GatewayError> {
        let share = self.of(id);
        let permit = Arc::clone(&share.sockets)
            .try_acquire_owned()
            .map_err(|_| too_many("connections", self.limits.sockets))?;
        let count = Arc::clone(lock(&share.sockets_at).entry(location.clone()).or_default());
        Ok(SocketPermit {
            _permit: permit,
            _count: count,
        })
    }

    /// The open sockets of an instance.
    pub fn sockets_at(&self, id: &DatabaseId, location: &LocationCode) -> usize {
        let share = lock(&self.databases).get(id).map(Arc::clone);
        share.map_or(0, |share| {
            let counts = lock(&share.sockets_at);
            counts.get(location).map_or(0, |count| Arc::strong_count(count) - 1)
        })
    }

    /// Room for a socket that has not sent a token yet: there always is, but perhaps not for long.
    pub fn pending_socket(&self, label: &str) -> PendingSocket {
        PendingSockets::add(&self.pending, label, self.limits.sockets)
    }

    /// Memory for a number of bytes, out of an organization's part; none is counted for what is small, so that small
    /// requests go on whatever large ones do.
    pub async fn memory(&self, organization: &str, bytes: usize) -> Result<Option<MemoryPermit>, GatewayError> {
        if bytes <= SMALL {
            return Ok(None);
        }
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let own = {
            let mut all = lock(&self.organizations);
            all.retain(|_, part| Arc::strong_count(part) > 1);
            let part = self.limits.memory / UNIT / PARTS;
            Arc::clone(
                all.entry(organization.to_owned())
                    .or_insert_with(|| Arc::new(Semaphore::new(part))),
            )
        };
        let wanted = async {
            let own = own.acquire_many_owned(units).await.ok()?;
            let all = Arc::clone(&self.memory).acquire_many_owned(units).await.ok()?;
            Some(MemoryPermit { _own: own, _all: all })
        };
        match tokio::time::timeout(self.limits.queue, wanted).await {
            Ok(Some(memory)) => Ok(Some(memory)),
            _ => Err(GatewayError::later(
                StatusCode::SERVICE_UNAVAILABLE,
                "SERVER_BUSY",
                "the server has too many large requests at the moment",
            )),
        }
    }
}

fn too_many(what: &str, limit: usize) -> GatewayError {
    GatewayError::later(
        StatusCode::TOO_MANY_REQUESTS,
        "TOO_MANY_REQUESTS",
        format!("the database has more than {limit} {what} at the same time"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares() -> DatabaseShares {
        DatabaseShares::new(GatewayLimits {
            requests: 1,
            sockets: 1,
            memory: 8 * SMALL * PARTS,
            queue: Duration::from_millis(30),
            ..GatewayLimits::default()
        })
    }

    #[tokio::test]
    async fn memory_limit_gives_each_database_its_share() {
        let shares = shares();
        let (a, b) = (DatabaseId::generate(), DatabaseId::generate());
        let held = shares.request(&a).await.unwrap();
        let error = shares.request(&a).await.unwrap_err();
        assert_eq!((error.status.as_u16(), error.retry_after), (429, Some(1)));
        drop(shares.request(&b).await.unwrap());
        // Whoever waits gets what is given back.
        let (next, ()) = tokio::join!(shares.request(&a), async { drop(held) });
        drop(next.unwrap());
        let location: LocationCode = "ams".parse().unwrap();
        let socket = shares.socket(&a, &location).unwrap();
        let refused = shares.socket(&a, &location).err().map(|error| error.status.as_u16());
        assert_eq!(refused, Some(429));
        drop(socket);
        drop(shares.socket(&a, &location).unwrap());
    }

    #[tokio::test]
    async fn database_use_is_its_sockets_and_last_request() {
        let shares = shares();
        let (a, b) = (DatabaseId::generate(), DatabaseId::generate());
        assert_eq!(shares.use_of(&a), (0, None));
        let (here, there) = ("ams".parse().unwrap(), "lhr".parse().unwrap());
        let socket = shares.socket(&a, &here).unwrap();
        shares.note_use(&a);
        let (sockets, last) = shares.use_of(&a);
        assert!(sockets == 1 && last.is_some());
        assert_eq!((shares.sockets_at(&a, &here), shares.sockets_at(&a, &there)), (1, 0));
        drop(socket);
        assert_eq!(shares.sockets_at(&a, &here), 0);
        assert_eq!(shares.use_of(&a), (0, last));
        assert_eq!(shares.use_of(&b), (0, None));
    }

    #[tokio::test]
    async fn memory_limit_gives_an_organization_its_part() {
        let shares = shares();
        let mut held = vec![shares.memory("a", 8 * SMALL).await.unwrap()];
        let Err(error) = shares.memory("a", 2 * SMALL).await else {
            panic!("more than its part");
        };
        assert_eq!((error.status.as_u16(), error.retry_after), (503, Some(1)));
        // Small requests go on, and others' do.
        assert!(shares.memory("a", SMALL).await.unwrap().is_none());
        for other in ["b", "c", "d"] {
            held.push(shares.memory(other, 8 * SMALL).await.unwrap());
        }
        assert!(shares.memory("e", 2 * SMALL).await.is_err());
        held.clear();
        assert!(shares.memory("a", 2 * SMALL).await.unwrap().is_some());
        assert!(shares.memory("a", 9 * SMALL).await.is_err());
    }
}

//! What this machine knows for serving clients: verification keys, revoked tokens, labels and blocks, as its server said last. It is kept
//! in a file, so that clients are served after a restart while the server is away. It ages: beyond a limit nobody is served by it.

use crate::control::gateway_plane::{AccessState, InstanceAccess, Route, TokenVerifier, label};
use crate::control::names::{DatabaseId, LocationCode};
use crate::engine::json_file::{read_json, write_json};
use crate::engine::{Site, disk};
use crate::error::{Code, Error, Result};
use crate::jwt::PublicKey;
use crate::sync::{lock, read, write};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

/// The file, in the node's directory.
pub(super) const FILE: &str = "access.json";

/// How often the file is written again only because what it has was confirmed.
const STORE_EVERY: Duration = Duration::from_secs(60);

/// How far a clock may be set back before what is known counts as too old.
const CLOCK_ERROR: SignedDuration = SignedDuration::from_mins(1);

/// What the file has.
#[derive(Serialize, Deserialize)]
struct StoredAccess {
    /// When the server last said that this is what is so.
    confirmed_at: Timestamp,
    state: AccessState,
}

/// Finds a site by pool and instance.
type SiteLookup = Box<dyn Fn(&str, &str) -> Site + Send + Sync>;

/// What is known.
pub struct NodeAccess {
    path: PathBuf,
    location: LocationCode,
    site: SiteLookup,
    known: RwLock<Option<Arc<KnownAccess>>>,
    confirmed: Mutex<Option<Confirmation>>,
    stored: Mutex<Option<Instant>>,
    /// The server was reached since the start of this process.
    pub was_reached: AtomicBool,
    pub max_age: Duration,
}

/// When something was confirmed, by both clocks: one jumps, the other one begins anew with the process.
#[derive(Clone, Copy)]
struct Confirmation {
    wall: Timestamp,
    steady: Option<Instant>,
}

/// What the server said last, made ready for use.
pub(super) struct KnownAccess {
    pub state: AccessState,
    pub verifier: TokenVerifier,
    routes: HashMap<String, Arc<Route>>,
}

impl NodeAccess {
    /// Reads what was known last.
    pub fn open(
        path: PathBuf,
        location: LocationCode,
        max_age: Duration,
        site: impl Fn(&str, &str) -> Site + Send + Sync + 'static,
    ) -> Self {
        let access = Self {
            path,
            location,
            site: Box::new(site),
            known: RwLock::default(),
            confirmed: Mutex::default(),
            stored: Mutex::default(),
            was_reached: AtomicBool::default(),
            max_age,
        };
        let stored = read_json::<StoredAccess>(&access.path).and_then(|stored| {
            let Some(StoredAccess { confirmed_at, state }) = stored else {
                return Ok(());
            };
            let known = access.make_known(state)?;
            *write(&access.known) = Some(Arc::new(known));
            *lock(&access.confirmed) = Some(Confirmation {
                wall: confirmed_at,
                steady: None,
            });
            Ok(())
        });
        if let Err(error) = stored {
            tracing::error!(
                cause = error.full_message(),
                "keys of an earlier run cannot be read; clients are served when the server has sent them"
            );
        }
        access
    }

    /// What is known now; none before the server has said anything.
    pub(super) fn known(&self) -> Option<Arc<KnownAccess>> {
        read(&self.known).clone()
    }

    /// The sites of the replicas here.
    pub(super) fn sites(&self) -> Vec<Site> {
        let known = self.known();
        let routes = known.iter().flat_map(|known| known.routes.values());
        let mut sites: BTreeMap<String, Site> = BTreeMap::new();
        for route in routes.filter(|route| !route.is_primary) {
            sites.insert(route.instance.clone(), route.site.clone());
        }
        sites.into_values().collect()
    }

    /// Takes what the server says. Revoked tokens that it has left out are known already.
    pub fn take(&self, new: AccessState) -> Result<()> {
        let mut state = new;
        if state.revoked_before > 0 {
            let known = self.known().filter(|known| known.state.run == state.run);
            let known = known.filter(|known| known.state.revoked.len() >= state.revoked_before);
            let Some(known) = known else {
                return Err(Error::new(
                    Code::InvalidValue,
                    "the server has left out revoked tokens that this machine does not know",
                ));
            };
            let mut revoked = known.state.revoked[..state.revoked_before].to_vec();
            revoked.append(&mut state.revoked);
            (state.revoked, state.revoked_before) = (revoked, 0);
        }
        let known = self.make_known(state)?;
        *write(&self.known) = Some(Arc::new(known));
        self.confirm(true);
        Ok(())
    }

    /// Notes that what is known is so still.
    pub fn confirm(&self, is_new: bool) {
        let wall = Timestamp::now();
        *lock(&self.confirmed) = Some(Confirmation {
            wall,
            steady: Some(Instant::now()),
        });
        let Some(known) = self.known() else { return };
        let mut stored = lock(&self.stored);
        if !is_new && stored.is_some_and(|at| at.elapsed() < STORE_EVERY.min(self.max_age / 10)) {
            return;
        }
        *stored = Some(Instant::now());
        let content = StoredAccess {
            confirmed_at: wall,
            state: known.state.clone(),
        };
        if let Err(error) = write_json(&self.path, &content) {
            tracing::warn!(cause = error.full_message(), "keys and labels cannot be stored");
        }
    }

    /// Forgets what is known, also in the file.
    pub fn forget(&self) {
        *write(&self.known) = None;
        *lock(&self.confirmed) = None;
        if let Err(error) = disk::remove(&self.path) {
            tracing::warn!(
                cause = error.full_message(),
                "the file with keys and labels cannot be removed"
            );
        }
    }

    /// How old what is known is; none where there is nothing, or the clock says that it is of the future.
    pub fn age(&self) -> Option<Duration> {
        let confirmed = (*lock(&self.confirmed))?;
        age_of(confirmed, Timestamp::now(), Instant::now())
    }

    /// Fails while what is known is too old to serve clients by it.
    pub(super) fn check_age(&self) -> Result<Arc<KnownAccess>> {
        let known = self.known().ok_or_else(|| {
            Error::new(
                Code::Unavailable,
                format!(
                    "location {} has no keys of its server, so it serves nobody",
                    self.location
                ),
            )
        })?;
        let most = self.max_age.as_secs();
        match self.age() {
            Some(age) if age <= self.max_age => Ok(known),
            Some(age) => Err(Error::new(
                Code::Unavailable,
                format!(
                    "location {} has not reached its server for {} seconds, so it serves nobody: tokens may have been revoked since \
                     (torso node --max-key-age is {most} seconds)",
                    self.location,
                    age.as_secs()
                ),
            )),
            None => Err(Error::new(
                Code::Unavailable,
                format!(
                    "the clock of location {} was set back, so the age of its keys is not known: it serves nobody until it reaches its \
                     server",
                    self.location
                ),
            )),
        }
    }

    fn make_known(&self, state: AccessState) -> Result<KnownAccess> {
        let key = key(&state.key).ok_or_else(|| {
            Error::new(Code::InvalidValue, "the server's verification key cannot be understood")
                .hint("install the same version of torso on all machines")
        })?;
        let verifier = TokenVerifier::new(PublicKey::new(&key));
        verifier.end(state.revoked.iter().cloned());
        let mut routes = HashMap::new();
        for (name, instance) in &state.instances {
            if ![name, &instance.pool].into_iter().all(|name| is_name(name)) {
                return Err(Error::new(Code::InvalidName, format!("{name:?} can name no instance")));
            }
            let route = Arc::new(instance.to_route(&self.location, (self.site)(&instance.pool, name)));
            routes.insert(route.label.clone(), route);
        }
        let by_id: BTreeMap<DatabaseId, Arc<Route>> = routes
            .values()
            .map(|route| (route.id.clone(), Arc::clone(route)))
            .collect();
        for (former, id) in &state.former_labels {
            if let Some(route) = by_id.get(id) {
                routes.entry(former.clone()).or_insert_with(|| Arc::clone(route));
            }
        }
        Ok(KnownAccess {
            state,
            verifier,
            routes,
        })
    }
}

impl KnownAccess {
    pub fn route(&self, label: &str) -> Option<Arc<Route>> {
        self.routes.get(label).cloned()
    }

    /// The route of a database's instance here.
    pub fn route_of(&self, id: &DatabaseId) -> Option<Arc<Route>> {
        self.routes.values().find(|route| route.id == *id).cloned()
    }

    /// The instance here of the database that a label of another location, or of the database itself, is for.
    pub fn namesake(&self, other: &str) -> Option<(Arc<Route>, &InstanceAccess)> {
        let base = other.split_once("--").map_or(other, |(base, _)| base);
        self.state.instances.iter().find_map(|(name, instance)| {
            let is_same = label(&instance.database, &instance.organization, None) == base;
            let route = self.routes.values().find(|route| is_same && route.instance == *name)?;
            Some((Arc::clone(route), instance))
        })
    }
}

fn age_of(confirmed: Confirmation, wall: Timestamp, steady: Instant) -> Option<Duration> {
    let by_wall = wall.duration_since(confirmed.wall);
    if by_wall < -CLOCK_ERROR && confirmed.steady.is_none() {
        return None;
    }
    let by_wall = Duration::try_from(by_wall).unwrap_or_default();
    let by_steady = confirmed.steady.map(|at| steady.saturating_duration_since(at));
    Some(by_wall.max(by_steady.unwrap_or_default()))
}

/// Names come from another machine, and become parts of paths.
fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.len() <= 128 && !name.starts_with('-') && name.bytes().all(is_allowed)
}

fn key(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(run: &str, before: usize, revoked: &[&str]) -> AccessState {
        AccessState {
            run: run.to_owned(),
            generation: 1,
            key: "ab".repeat(32),
            revoked_before: before,
            revoked: revoked
                .iter()
                .map(|id| ((*id).to_owned(), Timestamp::UNIX_EPOCH))
                .collect(),
            instances: BTreeMap::new(),
            former_labels: BTreeMap::new(),
            over_quota: std::collections::BTreeSet::new(),
        }
    }

    fn open(dir: &std::path::Path) -> NodeAccess {
        let no_site = |_: &str, _: &str| unreachable!("there are no instances");
        NodeAccess::open(dir.join(FILE), "lhr".parse().unwrap(), Duration::from_secs(60), no_site)
    }

    fn revoked(access: &NodeAccess) -> Vec<String> {
        let known = access.known().unwrap();
        known.state.revoked.iter().map(|(id, _)| id.clone()).collect()
    }

    #[test]
    fn node_keys_are_completed_by_what_is_new_and_outlive_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let access = open(dir.path());
        assert_eq!(access.check_age().err().unwrap().code(), Code::Unavailable);
        assert!(
            access.take(state("r1", 1, &["b"])).is_err(),
            "the first one is not known"
        );
        access.take(state("r1", 0, &["a"])).unwrap();
        access.take(state("r1", 1, &["b", "c"])).unwrap();
        assert_eq!(revoked(&access), ["a", "b", "c"]);
        assert!(access.take(state("r2", 1, &["d"])).is_err(), "of another run");
        drop(access);
        let again = open(dir.path());
        assert_eq!(revoked(&again), ["a", "b", "c"]);
        assert!(again.check_age().is_ok());
        again.take(state("r2", 0, &["d"])).unwrap();
        assert_eq!(revoked(&again), ["d"]);
        std::fs::write(dir.path().join(FILE), "{").unwrap();
        assert!(open(dir.path()).known().is_none());
    }

    #[test]
    fn node_keys_age_by_whichever_clock_says_more() {
        let (wall, steady) = (Timestamp::from_second(1_000_000).unwrap(), Instant::now());
        let later = |wall_seconds: i64, steady_seconds: u64| {
            let confirmed = Confirmation {
                wall,
                steady: Some(steady),
            };
            let wall = wall + SignedDuration::from_secs(wall_seconds);
            age_of(confirmed, wall, steady + Duration::from_secs(steady_seconds)).map(|age| age.as_secs())
        };
        assert_eq!(later(10, 10), Some(10));
        assert_eq!(later(500, 10), Some(500), "the machine slept");
        assert_eq!(later(-500, 10), Some(10), "the clock was set back");
        let of_an_earlier_run = |wall_seconds: i64| {
            let confirmed = Confirmation { wall, steady: None };
            age_of(confirmed, wall + SignedDuration::from_secs(wall_seconds), steady)
        };
        assert_eq!(of_an_earlier_run(7), Some(Duration::from_secs(7)));
        assert_eq!(of_an_earlier_run(-7), Some(Duration::ZERO));
        assert_eq!(of_an_earlier_run(-70), None, "nobody knows how long that was");
    }
}

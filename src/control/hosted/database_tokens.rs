//! Database tokens: JWTs signed with the server's own Ed25519 key, for one database or for a group. Checking one needs
//! only the key and the list of revoked tokens, which is in memory.

use super::hostnames::Route;
use super::secrets::hash;
use super::store::{AccountStore, DatabaseTokenRow};
use crate::control::names::DatabaseId;
use crate::control::tokens::Authorization;
use crate::engine::sqld::{self, SqldEngine};
use crate::error::{Code, Error, Result};
use crate::jwt::JwtKey;
use crate::secret::Secret;
use crate::sync::{self, lock};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

/// The issuer of tokens.
const ISSUER: &str = "torso";

/// Bytes of the longest token that is checked.
const LONGEST: usize = 4096;

/// Checked tokens in the cache.
const REMEMBERED: usize = 10_000;

/// How long an internal token is valid for processes, and after what time a new one is made.
const INTERNAL: Duration = Duration::from_secs(3600);
const SHOWN: Duration = Duration::from_secs(1800);

/// A moment by both clocks. Processes judge tokens by the wall clock, which can jump; the other one stands still while the
/// machine sleeps.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClockReading {
    steady: Instant,
    wall: Timestamp,
}

impl ClockReading {
    pub fn now() -> Self {
        Self {
            steady: Instant::now(),
            wall: Timestamp::now(),
        }
    }
}

/// A token that processes accept.
struct InternalToken {
    token: Secret,
    made: ClockReading,
}

impl InternalToken {
    /// Whether both clocks say that it was made a short time ago.
    fn is_fresh(&self, now: ClockReading) -> bool {
        let by_wall = Duration::try_from(now.wall.duration_since(self.made.wall));
        now.steady.saturating_duration_since(self.made.steady) < SHOWN && by_wall.is_ok_and(|passed| passed < SHOWN)
    }
}

/// The claims of a database token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Claims {
    iss: String,
    jti: String,
    iat: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    a: AccessClaim,
    /// The database that it opens; none for a token of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gid: Option<String>,
    /// The id of the organization.
    org: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AccessClaim {
    Rw,
    Ro,
}

/// What a token's bearer may do with a database.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    pub authorization: Authorization,
    pub token_id: String,
    pub expires_at: Option<Timestamp>,
}

pub(super) struct TokenAuthority {
    key: JwtKey,
    /// Tokens with a valid signature, by their hash.
    checked: RwLock<HashMap<[u8; 32], Arc<Claims>>>,
    /// Tokens that end before they expire, by id.
    ended: RwLock<HashMap<String, Timestamp>>,
    internal: Mutex<HashMap<(String, sqld::Access), InternalToken>>,
}

impl TokenAuthority {
    pub fn open(key: JwtKey, records: &AccountStore) -> Result<Self> {
        let ended = records
            .revoked_tokens()?
            .into_iter()
            .filter_map(|row| Some((row.id, row.revoked_at?)))
            .collect();
        Ok(Self {
            key,
            checked: RwLock::default(),
            ended: RwLock::new(ended),
            internal: Mutex::default(),
        })
    }

    /// Signs a token that has been stored.
    pub fn sign(&self, row: &DatabaseTokenRow) -> Result<Secret> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            jti: row.id.clone(),
            iat: row.created_at.as_second(),
            exp: row.expires_at.map(Timestamp::as_second),
            a: match row.authorization {
                Authorization::FullAccess => AccessClaim::Rw,
                Authorization::ReadOnly => AccessClaim::Ro,
            },
            gid: row.database_id.is_none().then(|| row.group_uuid.clone()),
            id: row.database_id.clone(),
            org: row.organization_id.clone(),
        };
        self.key.sign(&claims)
    }

    /// Revokes tokens from a time on, which may be past.
    pub fn end(&self, ids: impl IntoIterator<Item = (String, Timestamp)>) {
        sync::write(&self.ended).extend(ids);
    }

    /// Returns what a token allows at a route. Fails with `unauthenticated` if it is not signed here, has expired, was
    /// revoked, or does not open the route's database; where there is no route it opens none. The error does not tell
    /// whether there is a route.
    pub fn authorize(&self, token: &str, route: Option<&Route>) -> Result<Grant> {
        let claims = self.check(token)?;
        let now = Timestamp::now();
        if claims.exp.is_some_and(|end| end <= now.as_second()) {
            return Err(refused("the database token has expired"));
        }
        let ended = {
            let ended = sync::read(&self.ended);
            ended.get(&claims.jti).copied()
        };
        if ended.is_some_and(|end| end <= now) {
            return Err(refused("the database token is not valid any more"));
        }
        let fits = |route: &Route| match (&claims.id, &claims.gid) {
            (Some(id), None) => id == route.id.as_str(),
            (None, Some(group)) => *group == route.group_uuid,
            _ => false,
        };
        if !route.is_some_and(|route| fits(route) && claims.org == route.organization_id) {
            return Err(refused("the token opens no database at this address"));
        }
        Ok(Grant {
            authorization: match claims.a {
                AccessClaim::Rw => Authorization::FullAccess,
                AccessClaim::Ro => Authorization::ReadOnly,
            },
            token_id: claims.jti.clone(),
            expires_at: claims.exp.and_then(|end| Timestamp::from_second(end).ok()),
        })
    }

    /// The id of the database that a token names, if its signature is valid.
    pub fn database_of(&self, token: &str) -> Option<DatabaseId> {
        self.check(token).ok()?.id.as_deref()?.parse().ok()
    }

    /// The id of the organization that a token was made in, if its signature is valid.
    pub fn organization_of(&self, token: &str) -> Option<String> {
        Some(self.check(token).ok()?.org.clone())
    }

    /// The claims of a token, if its signature is valid.
    fn check(&self, token: &str) -> Result<Arc<Claims>> {
        let invalid = || refused("the database token is not valid");
        if token.is_empty() || token.len() > LONGEST {
            return Err(invalid());
        }
        let key = hash(token);
        {
            let checked = sync::read(&self.checked);
            if let Some(claims) = checked.get(&key) {
                return Ok(Arc::clone(claims));
            }
        }
        let claims = self.key.verify::<Claims>(token, ISSUER).ok_or_else(invalid)?;
        let claims = Arc::new(claims);
        let mut checked = sync::write(&self.checked);
        if checked.len() >= REMEMBERED {
            checked.clear();
        }
        checked.insert(key, Arc::clone(&claims));
        Ok(claims)
    }

    /// A token for a database that the processes accept at this moment.
    pub fn internal(
        &self,
        engine: &SqldEngine,
        instance: &str,
        authorization: Authorization,
        now: ClockReading,
    ) -> Result<Secret> {
        let access = engine_access(authorization);
        self.internal_of(instance, access, now, || engine.token(instance, access, INTERNAL))
    }

    fn internal_of(
        &self,
        instance: &str,
        access: sqld::Access,
        now: ClockReading,
        make: impl FnOnce() -> Result<Secret>,
    ) -> Result<Secret> {
        let mut internal = lock(&self.internal);
        internal.retain(|_, known| known.is_fresh(now));
        if let Some(known) = internal.get(&(instance.to_owned(), access)) {
            return Ok(known.token.clone());
        }
        let token = make()?;
        let known = InternalToken {
            token: token.clone(),
            made: now,
        };
        internal.insert((instance.to_owned(), access), known);
        Ok(token)
    }

    /// Forgets an internal token that a process has refused, so that a new one is made.
    pub fn forget_internal(&self, instance: &str, authorization: Authorization, refused: &str) {
        let mut internal = lock(&self.internal);
        internal.retain(|(known, access), internal| {
            known != instance || *access != engine_access(authorization) || internal.token.expose() != refused
        });
    }
}

fn engine_access(authorization: Authorization) -> sqld::Access {
    match authorization {
        Authorization::FullAccess => sqld::Access::ReadWrite,
        Authorization::ReadOnly => sqld::Access::ReadOnly,
    }
}

/// The error for a token that opens nothing here.
fn refused(why: &str) -> Error {
    Error::new(Code::Unauthenticated, why).hint("torso db tokens create DATABASE makes one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::hosted::secrets::open_signing_key;
    use std::cell::Cell;

    #[test]
    fn internal_token_is_renewed_when_either_clock_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let access = TokenAuthority::open(
            open_signing_key(&dir.path().join("key.pem")).unwrap(),
            &AccountStore::open(&dir.path().join("accounts.db")).unwrap(),
        )
        .unwrap();
        let id = "instance";
        let made = Cell::new(0);
        let token = |now: ClockReading| {
            let made_now = || {
                made.set(made.get() + 1);
                Ok(Secret::new(made.get().to_string()))
            };
            let token = access.internal_of(id, sqld::Access::ReadWrite, now, made_now).unwrap();
            token.expose().to_owned()
        };
        let start = ClockReading::now();
        let later = |steady: u64, wall: i64| ClockReading {
            steady: start.steady + Duration::from_secs(steady),
            wall: start.wall + jiff::SignedDuration::from_secs(wall),
        };
        assert_eq!(token(start), "1");
        assert_eq!(token(later(1700, 1700)), "1");
        assert_eq!(token(later(1800, 1800)), "2", "it has aged");
        assert_eq!(token(later(1801, 5500)), "3", "the machine slept, or its clock jumped");
        assert_eq!(token(later(1802, 60)), "4", "its clock was set back");
        assert_eq!(token(later(1803, 61)), "4");
        access.forget_internal(id, Authorization::FullAccess, "3");
        assert_eq!(token(later(1804, 62)), "4", "another one was refused");
        access.forget_internal(id, Authorization::FullAccess, "4");
        assert_eq!(token(later(1805, 63)), "5");
    }
}

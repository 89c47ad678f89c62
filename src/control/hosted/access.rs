//! Database tokens: JWTs signed with the server's own Ed25519 key, for one database or for a group. Checking one needs
//! only the key and the list of revoked tokens, which is in memory.

use super::keys::hash;
use super::labels::Route;
use super::store::{DatabaseTokenRow, Records};
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

/// The claims of a database token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Claims {
    iss: String,
    jti: String,
    iat: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    a: Letter,
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
enum Letter {
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

pub(super) struct Access {
    key: JwtKey,
    /// Tokens with a valid signature, by their hash.
    checked: RwLock<HashMap<[u8; 32], Arc<Claims>>>,
    /// Tokens that end before they expire, by id.
    ended: RwLock<HashMap<String, Timestamp>>,
    internal: Mutex<HashMap<(DatabaseId, sqld::Access), (Secret, Instant)>>,
}

impl Access {
    pub fn open(key: JwtKey, records: &Records) -> Result<Self> {
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
                Authorization::FullAccess => Letter::Rw,
                Authorization::ReadOnly => Letter::Ro,
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

    /// Refuses a token that is not signed here, has expired or was revoked.
    pub fn check_valid(&self, token: &str) -> Result<()> {
        let claims = self.check(token)?;
        let now = Timestamp::now();
        let expired = claims.exp.is_some_and(|end| end <= now.as_second());
        let ended = {
            let ended = sync::read(&self.ended);
            ended.get(&claims.jti).is_some_and(|end| *end <= now)
        };
        if expired || ended {
            return Err(Error::new(Code::Unauthenticated, "the database token is not valid")
                .hint("torso db tokens create DATABASE makes one"));
        }
        Ok(())
    }

    pub fn authorize(&self, token: &str, route: &Route) -> Result<Grant> {
        let claims = self.check(token)?;
        let now = Timestamp::now();
        if claims.exp.is_some_and(|end| end <= now.as_second()) {
            return Err(refused(route, "the token has expired"));
        }
        let ended = {
            let ended = sync::read(&self.ended);
            ended.get(&claims.jti).copied()
        };
        if ended.is_some_and(|end| end <= now) {
            return Err(refused(route, "the token is not valid any more"));
        }
        let fits = match (&claims.id, &claims.gid) {
            (Some(id), None) => id == route.id.as_str(),
            (None, Some(group)) => *group == route.group_uuid,
            _ => false,
        };
        if !fits || claims.org != route.organization_id {
            return Err(refused(route, "the token is for another database"));
        }
        Ok(Grant {
            authorization: match claims.a {
                Letter::Rw => Authorization::FullAccess,
                Letter::Ro => Authorization::ReadOnly,
            },
            token_id: claims.jti.clone(),
            expires_at: claims.exp.and_then(|end| Timestamp::from_second(end).ok()),
        })
    }

    /// The id of the database that a token names, if its signature is valid.
    pub fn database_of(&self, token: &str) -> Option<DatabaseId> {
        self.check(token).ok()?.id.as_deref()?.parse().ok()
    }

    /// The claims of a token, if its signature is valid.
    fn check(&self, token: &str) -> Result<Arc<Claims>> {
        let invalid = || {
            Error::new(Code::Unauthenticated, "the database token is not valid")
                .hint("torso db tokens create DATABASE makes one")
        };
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

    /// A token for a database that the processes accept.
    pub fn internal(&self, engine: &SqldEngine, id: &DatabaseId, authorization: Authorization) -> Result<Secret> {
        let access = match authorization {
            Authorization::FullAccess => sqld::Access::ReadWrite,
            Authorization::ReadOnly => sqld::Access::ReadOnly,
        };
        let mut internal = lock(&self.internal);
        let key = (id.clone(), access);
        if let Some((token, made)) = internal.get(&key)
            && made.elapsed() < SHOWN
        {
            return Ok(token.clone());
        }
        internal.retain(|_, (_, made)| made.elapsed() < SHOWN);
        let token = engine.token(id.as_str(), access, INTERNAL)?;
        internal.insert(key, (token.clone(), Instant::now()));
        Ok(token)
    }
}

fn refused(route: &Route, why: &str) -> Error {
    Error::new(
        Code::Unauthenticated,
        format!("{why}: database {} cannot be opened with it", route.database),
    )
    .hint(format!("torso db tokens create {} makes one", route.database))
}

//! Who may open a database: database tokens are JWTs signed with a server's Ed25519 key, for one database or for a group. Checking one
//! needs only the public key and the list of revoked tokens, which is in memory.

use super::route::Route;
use crate::checksum::sha256_bytes;
use crate::control::names::DatabaseId;
use crate::control::tokens::Authorization;
use crate::error::{Code, Error, Result};
use crate::jwt::PublicKey;
use crate::sync;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, RwLock};

/// The issuer of tokens.
pub const ISSUER: &str = "torso";

/// Bytes of the longest token that is checked.
const LONGEST: usize = 4096;

/// Checked tokens in the cache.
const REMEMBERED: usize = 10_000;

/// The claims of a database token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub jti: String,
    pub iat: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    pub a: AccessClaim,
    /// The database that it opens; none for a token of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<String>,
    /// The id of the organization.
    pub org: String,
}

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessClaim {
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

/// Checks tokens.
pub struct TokenVerifier {
    key: PublicKey,
    /// Tokens with a valid signature, by their hash.
    checked: RwLock<HashMap<[u8; 32], Arc<Claims>>>,
    ended: RwLock<EndedTokens>,
}

/// Tokens that end before they expire.
#[derive(Default)]
struct EndedTokens {
    by_id: HashMap<String, Timestamp>,
    /// The same in the order in which they came. The last entry of a token counts.
    order: Vec<(String, Timestamp)>,
}

impl TokenVerifier {
    /// Checks the signatures of a key.
    #[must_use]
    pub fn new(key: PublicKey) -> Self {
        Self {
            key,
            checked: RwLock::default(),
            ended: RwLock::default(),
        }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Revokes tokens from a time on, which may be past.
    pub fn end(&self, ids: impl IntoIterator<Item = (String, Timestamp)>) {
        let mut ended = sync::write(&self.ended);
        for (id, at) in ids {
            ended.order.push((id.clone(), at));
            ended.by_id.insert(id, at);
        }
    }

    /// The tokens that were revoked after the first `known` ones, in the order in which they came.
    #[must_use]
    pub fn ended_after(&self, known: usize) -> Vec<(String, Timestamp)> {
        let ended = sync::read(&self.ended);
        ended.order.get(known..).unwrap_or_default().to_vec()
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
            ended.by_id.get(&claims.jti).copied()
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
    #[must_use]
    pub fn database_of(&self, token: &str) -> Option<DatabaseId> {
        self.check(token).ok()?.id.as_deref()?.parse().ok()
    }

    /// The id of the organization that a token was made in, if its signature is valid.
    #[must_use]
    pub fn organization_of(&self, token: &str) -> Option<String> {
        Some(self.check(token).ok()?.org.clone())
    }

    /// The claims of a token, if its signature is valid.
    fn check(&self, token: &str) -> Result<Arc<Claims>> {
        let invalid = || refused("the database token is not valid");
        if token.is_empty() || token.len() > LONGEST {
            return Err(invalid());
        }
        let key = sha256_bytes(token.as_bytes());
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
}

/// The error for a token that opens nothing here.
fn refused(why: &str) -> Error {
    Error::new(Code::Unauthenticated, why).hint("torso db tokens create DATABASE makes one")
}

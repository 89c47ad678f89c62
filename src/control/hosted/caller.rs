//! The caller: a user authenticated by an API token. Tokens that were looked up stay in memory until any token changes.

use super::Shared;
use super::idempotency::CallRequest;
use super::permission::Scopes;
use super::secrets::hash;
use super::store::ApiTokenRow;
use crate::control::names::{TokenName, Username};
use crate::error::{Code, Error, Result};
use crate::sync::{self, lock};
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock, Weak};

/// Sessions in the cache.
const REMEMBERED: usize = 10_000;

/// What a request says about itself, for the audit log.
#[derive(Debug, Clone, Default)]
pub struct CallOrigin {
    /// `cli`, `api` or the client's own name.
    pub client: String,
    pub request_id: String,
    pub presence: ClientPresence,
}

/// Whether the client still waits for the answer to its request.
#[derive(Debug, Clone, Default)]
pub struct ClientPresence(Option<Weak<()>>);

impl ClientPresence {
    /// Of a client that waits as long as `waiting` lives.
    #[must_use]
    pub fn of(waiting: &Arc<()>) -> Self {
        Self(Some(Arc::downgrade(waiting)))
    }

    /// True too where it is not known.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.0.as_ref().is_none_or(|waiting| waiting.strong_count() > 0)
    }
}

/// A user with a valid token. For one request.
#[derive(Debug, Clone)]
pub struct Caller {
    pub(super) session: Arc<CallerSession>,
    pub(super) origin: CallOrigin,
    /// Set when the audit log has an entry about the request.
    pub(super) noted: Arc<AtomicBool>,
    /// The request that changes are made for, if it has a key.
    pub(super) request: Option<CallRequest>,
}

impl Caller {
    #[must_use]
    pub fn username(&self) -> &Username {
        &self.session.username
    }

    /// The id of the token in use.
    #[must_use]
    pub fn token_id(&self) -> &str {
        &self.session.token_id
    }

    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.session.expires_at
    }

    #[must_use]
    pub fn origin(&self) -> &CallOrigin {
        &self.origin
    }
}

/// A known token and its user.
#[derive(Debug, Clone)]
pub(super) struct CallerSession {
    pub user_id: String,
    pub username: Username,
    pub token_id: String,
    pub token_name: TokenName,
    pub scopes: Scopes,
    pub organization_id: Option<String>,
    pub group_uuid: Option<String>,
    pub expires_at: Option<Timestamp>,
}

#[derive(Default)]
pub(super) struct CallerSessions {
    known: RwLock<HashMap<[u8; 32], Arc<CallerSession>>>,
    /// When tokens were last used, not yet stored.
    uses: Mutex<HashMap<String, Timestamp>>,
}

impl CallerSessions {
    /// Clears the cache. Call it after every committed change of tokens or users.
    pub fn forget(&self) {
        sync::write(&self.known).clear();
    }

    pub fn take_uses(&self) -> Vec<(String, Timestamp)> {
        lock(&self.uses).drain().collect()
    }
}

fn invalid() -> Error {
    Error::new(Code::Unauthenticated, "the API token is not valid")
        .hint("log in again with another token: torso auth login")
}

impl Shared {
    pub(super) fn authenticate(&self, bearer: &str, origin: &CallOrigin) -> Result<Caller> {
        if bearer.is_empty() {
            return Err(
                Error::new(Code::Unauthenticated, "no API token was sent").hint("log in first: torso auth login")
            );
        }
        // The hash is looked up, so timing reveals nothing about a token's text.
        let key = hash(bearer);
        let known = {
            let known = sync::read(&self.sessions.known);
            known.get(&key).cloned()
        };
        let session = match known {
            Some(session) => session,
            None => self.look_up(&key)?,
        };
        let now = Timestamp::now();
        if session.expires_at.is_some_and(|end| end <= now) {
            return Err(Error::new(
                Code::Unauthenticated,
                format!("the API token {} has expired", session.token_name),
            )
            .hint("log in again with another token: torso auth login"));
        }
        lock(&self.sessions.uses).insert(session.token_id.clone(), now);
        Ok(Caller {
            session,
            origin: origin.clone(),
            noted: Arc::default(),
            request: None,
        })
    }

    fn look_up(&self, key: &[u8; 32]) -> Result<Arc<CallerSession>> {
        // The lock is held until the session is cached, so that one revoked meanwhile is not cached.
        let records = self.records();
        let row = records.api_token_by_hash(key)?.ok_or_else(invalid)?;
        let user = records.user_by_id(&row.user_id)?.ok_or_else(invalid)?;
        let session = Arc::new(session(row, user.username)?);
        let mut known = sync::write(&self.sessions.known);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(*key, Arc::clone(&session));
        Ok(session)
    }
}

fn session(row: ApiTokenRow, username: Username) -> Result<CallerSession> {
    Ok(CallerSession {
        user_id: row.user_id,
        username,
        token_id: row.id,
        token_name: row.name,
        scopes: Scopes::parse(&row.scopes)?,
        organization_id: row.organization_id,
        group_uuid: row.group_uuid,
        expires_at: row.expires_at,
    })
}

//! Secrets shared by torso and its own processes. They are made again for each engine, or for each start of a process, and
//! never stored: the processes do not outlive it.

use crate::error::Result;
use crate::jwt::{JwtKey, random_bytes};
use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::json;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What the bearer of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    ReadOnly,
    ReadWrite,
}

/// Makes a key that opens the administration port of one process.
pub(super) fn admin_key() -> Result<Secret> {
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(random_bytes()?)))
}

/// The clock that says when a token ends. Tests set it to make tokens that have ended.
#[derive(Clone)]
pub struct TokenClock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl TokenClock {
    /// A clock that a function reads.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }
}

impl Default for TokenClock {
    /// The system's clock.
    fn default() -> Self {
        Self::new(Timestamp::now)
    }
}

impl fmt::Debug for TokenClock {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_tuple("TokenClock").field(&(self.0)()).finish()
    }
}

pub(super) struct ReplicationKeys {
    tokens: JwtKey,
    clock: TokenClock,
}

impl ReplicationKeys {
    pub fn generate(clock: TokenClock) -> Result<Self> {
        Ok(Self {
            tokens: JwtKey::generate()?,
            clock,
        })
    }

    /// The public key for checking tokens, in the form that the processes want.
    pub fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.tokens.public_key())
    }

    /// Makes a token for one namespace.
    pub fn token(&self, id: &str, access: Access, valid: Duration) -> Result<Secret> {
        let access = match access {
            Access::ReadOnly => "ro",
            Access::ReadWrite => "rw",
        };
        let now = u64::try_from((self.clock.0)().as_second()).unwrap_or(0);
        self.tokens
            .sign(&json!({ "exp": now + valid.as_secs(), "p": { access: { "ns": [id] } } }))
    }
}

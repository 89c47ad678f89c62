//! Secrets shared by torso and its own processes. They are made again for each engine, or for each start of a process, and
//! never stored: the processes do not outlive it.

use crate::error::Result;
use crate::jwt::{JwtKey, SEED_LENGTH, random_bytes};
use crate::secret::Secret;
use crate::sync::{read, write};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::json;
use std::fmt;
use std::sync::{Arc, RwLock};
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
    tokens: RwLock<JwtKey>,
    clock: TokenClock,
}

/// The bytes before the 32 bytes of a public Ed25519 key in a PEM file.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl ReplicationKeys {
    pub fn generate(clock: TokenClock) -> Result<Self> {
        Ok(Self {
            tokens: RwLock::new(JwtKey::generate()?),
            clock,
        })
    }

    /// Signs with the key of a seed from now on. Processes that run do not accept that.
    pub fn use_seed(&self, seed: &[u8; SEED_LENGTH]) -> Result<()> {
        *write(&self.tokens) = JwtKey::from_seed(seed)?;
        Ok(())
    }

    /// The public key for checking tokens.
    pub fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(read(&self.tokens).public_key())
    }

    /// The same with another one that is accepted too, in the form that the processes want.
    pub fn accepted(&self, other: Option<&str>) -> String {
        let own = self.public();
        match other.filter(|other| **other != own) {
            None => own,
            Some(other) => [own.as_str(), other].into_iter().filter_map(to_pem).collect(),
        }
    }

    /// Makes a token for one namespace.
    pub fn token(&self, id: &str, access: Access, valid: Duration) -> Result<Secret> {
        let access = match access {
            Access::ReadOnly => "ro",
            Access::ReadWrite => "rw",
        };
        let now = u64::try_from((self.clock.0)().as_second()).unwrap_or(0);
        read(&self.tokens).sign(&json!({ "exp": now + valid.as_secs(), "p": { access: { "ns": [id] } } }))
    }
}

/// A public key in PEM; none for a text that is no key.
fn to_pem(key: &str) -> Option<String> {
    let key = URL_SAFE_NO_PAD
        .decode(key)
        .ok()
        .filter(|key| key.len() == SEED_LENGTH)?;
    let text = STANDARD.encode([&SPKI[..], &key].concat());
    Some(format!(
        "-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n"
    ))
}

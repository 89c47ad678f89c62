//! Secrets shared by torso and its own processes. They are made anew for each engine and never stored: the processes do
//! not outlive it.

use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;
use std::time::Duration;

/// What the bearer of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    ReadOnly,
    ReadWrite,
}

pub(super) struct Keys {
    /// Opens the administration ports.
    pub admin: Secret,
    pair: Ed25519KeyPair,
}

impl Keys {
    pub fn generate() -> Result<Self> {
        let failed = |_| Error::new(Code::Internal, "the system gives no random numbers");
        let random = SystemRandom::new();
        let mut admin = [0; 32];
        random.fill(&mut admin).map_err(failed)?;
        let document = Ed25519KeyPair::generate_pkcs8(&random).map_err(failed)?;
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref())
            .map_err(|error| Error::new(Code::Internal, "cannot make a key").caused_by(error.to_string()))?;
        Ok(Self {
            admin: Secret::new(URL_SAFE_NO_PAD.encode(admin)),
            pair,
        })
    }

    /// The public key for checking tokens, in the form that the processes want.
    pub fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref())
    }

    /// Makes a token for one namespace.
    pub fn token(&self, id: &str, access: Access, valid: Duration) -> Secret {
        let access = match access {
            Access::ReadOnly => "ro",
            Access::ReadWrite => "rw",
        };
        let now = u64::try_from(Timestamp::now().as_second()).unwrap_or(0);
        let head = URL_SAFE_NO_PAD.encode(json!({ "alg": "EdDSA", "typ": "JWT" }).to_string());
        let claims = json!({ "exp": now + valid.as_secs(), "p": { access: { "ns": [id] } } });
        let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(signed.as_bytes()).as_ref());
        Secret::new(format!("{signed}.{signature}"))
    }
}

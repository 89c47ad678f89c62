//! A bare libSQL server that checks tokens, as one would run it by hand.

use crate::http::Side;
use crate::support::sqld::Sqld;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::io;
use tempfile::NamedTempFile;

pub struct Keyed {
    process: Sqld,
    token: String,
    _key: NamedTempFile,
}

impl Keyed {
    pub fn start() -> io::Result<Self> {
        let pair =
            Ed25519KeyPair::from_seed_unchecked(&[7; 32]).map_err(|error| io::Error::other(error.to_string()))?;
        let key = NamedTempFile::new()?;
        std::fs::write(&key, URL_SAFE_NO_PAD.encode(pair.public_key()))?;
        let path = key.path().to_str().ok_or_else(|| io::Error::other("a path"))?;
        let signed = [r#"{"alg":"EdDSA","typ":"JWT"}"#, r#"{"exp":4102444800}"#]
            .map(|part| URL_SAFE_NO_PAD.encode(part))
            .join(".");
        let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
        Ok(Self {
            process: Sqld::start_with(&["--auth-jwt-key-file", path]),
            token: format!("{signed}.{signature}"),
            _key: key,
        })
    }

    pub fn side(&self) -> Side {
        let authorization = format!("Bearer {}", self.token);
        Side::new(
            self.process.address(),
            "POST /v2/pipeline",
            "localhost",
            Some(&authorization),
        )
    }
}

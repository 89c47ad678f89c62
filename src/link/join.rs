//! How a machine becomes a node: it makes a key, sends a one-time token and a request for a certificate, and stores what it gets.

use super::NodeName;
use super::authority::{generate_request, write_private};
use super::dial::{dial, send};
use super::identity::{NodeIdentity, to_pem};
use super::messages::{JOIN_PATH, JoinMessage, JoinedMessage};
use super::server::runtime;
use super::tls::joining_config;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The file with the key and the request of a machine that has no answer yet: it asks again with the same.
const PENDING_FILE: &str = "joining.pem";

/// A machine that has become a node.
pub struct JoinedNode {
    pub node: NodeName,
    /// What the server has said besides.
    pub details: Value,
}

/// Makes this machine a node of the server at `HOST:PORT`, whose authority has a certificate with this SHA-256. Its identity is
/// stored in a directory. Fails when the server is another one or refuses the token.
pub fn join(dir: &Path, address: &str, fingerprint: &str, token: &Secret, details: Value) -> Result<JoinedNode> {
    let config = Arc::new(joining_config(fingerprint)?);
    let (key, signing_request) = pending_request(dir)?;
    let message = JoinMessage {
        token: token.expose().to_owned(),
        signing_request,
        details,
    };
    let runtime = runtime().map_err(|error| Error::io(error, "cannot start threads"))?;
    let joined = runtime.block_on(async {
        let connection = dial(address, config).await?;
        send::<JoinedMessage>(connection.sender, JOIN_PATH, &message, Duration::ZERO).await
    })?;
    let unusable = || {
        Error::new(
            Code::Unavailable,
            format!("the answer of the server at {address} cannot be used"),
        )
    };
    let joined = joined.ok_or_else(unusable)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(joined.certificate.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|cause| unusable().caused_by(cause))?;
    let [certificate, authority] = <[CertificateDer<'static>; 2]>::try_from(certificates).map_err(|_| unusable())?;
    if crate::checksum::sha256_of(&authority) != fingerprint {
        return Err(unusable());
    }
    let identity = NodeIdentity::new(dir, certificate, authority, key)?;
    identity.store()?;
    // The identity is there; a file that stays is used once more at most.
    let _ = std::fs::remove_file(dir.join(PENDING_FILE));
    Ok(JoinedNode {
        node: identity.name().clone(),
        details: joined.details,
    })
}

/// Returns the key and the request that a directory has of an earlier try, or new ones, which are stored.
fn pending_request(dir: &Path) -> Result<(PrivateKeyDer<'static>, String)> {
    const REQUEST: &str = "-----BEGIN CERTIFICATE REQUEST-----";
    let path = dir.join(PENDING_FILE);
    if let Ok(pem) = std::fs::read_to_string(&path)
        && let Ok(key) = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        && let Some(start) = pem.find(REQUEST)
    {
        return Ok((key, pem[start..].to_owned()));
    }
    let (key, request) = generate_request()?;
    write_private(&path, (to_pem("PRIVATE KEY", key.secret_der()) + &request).as_bytes())?;
    Ok((key, request))
}

//! The certificates with which the processes of a pool prove to each other who they are: a primary's replication port has
//! no other lock. They are made for each pool and each run of torso; the authority's own key is thrown away once it has
//! signed.
//!
//! A process takes its certificate and key from files, which it reads once, while it starts. They are in its directory
//! until it has started, readable by this user, and under the sandbox by this process only.

use crate::engine::disk;
use crate::engine::process::Listener;
use crate::engine::remote::ReplicaKeys;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The name that libSQL server's replicas expect in a primary's certificate.
const SERVER_NAME: &str = "sqld";

/// How long a process may take to show its certificate.
const PATIENCE: Duration = Duration::from_secs(2);

/// The certificates of a pool.
pub(super) struct LogKeys {
    /// For asking a primary for its certificate, as a replica does.
    client: Arc<ClientConfig>,
    authority: String,
    /// None where the primary is on another machine.
    primary: Option<Identity>,
    /// All replicas of a pool have the same one: the primary accepts any certificate of the authority.
    replica: Identity,
}

struct Identity {
    certificate: String,
    key: String,
}

/// The files for one process.
pub(super) struct KeyFiles {
    pub authority: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl LogKeys {
    pub fn generate() -> Result<Self> {
        let make = || -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
            let mut params = CertificateParams::new(Vec::new())?;
            params.distinguished_name.push(DnType::CommonName, "torso pool");
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            let key = KeyPair::generate()?;
            let authority = params.self_signed(&key)?;
            let issuer = Issuer::new(params, key);
            let replica = Identity::sign(&issuer, "replica", ExtendedKeyUsagePurpose::ClientAuth)?;
            let authority = authority.pem();
            Ok(Self {
                client: client_of(&authority, &replica)?,
                authority,
                primary: Some(Identity::sign(
                    &issuer,
                    SERVER_NAME,
                    ExtendedKeyUsagePurpose::ServerAuth,
                )?),
                replica,
            })
        };
        make().map_err(|error| Error::new(Code::Internal, "cannot make a certificate").caused_by(error))
    }

    /// Those of a pool whose primary is on another machine.
    pub fn receive(keys: &ReplicaKeys) -> Result<Self> {
        let replica = Identity {
            certificate: keys.certificate.clone(),
            key: keys.key.expose().to_owned(),
        };
        let client = client_of(&keys.authority, &replica)
            .map_err(|error| Error::new(Code::InvalidValue, "the keys of a pool cannot be used").caused_by(error))?;
        Ok(Self {
            client,
            authority: keys.authority.clone(),
            primary: None,
            replica,
        })
    }

    /// What replicas on other machines need of them.
    pub fn for_replicas(&self) -> ReplicaKeys {
        ReplicaKeys {
            authority: self.authority.clone(),
            certificate: self.replica.certificate.clone(),
            key: Secret::new(self.replica.key.clone()),
        }
    }

    /// Whether this pool's primary answers at a port: it shows the certificate, and so has read it.
    pub fn is_primary(&self, listener: &Listener) -> bool {
        let shake_hands = || -> Result<(), Box<dyn std::error::Error>> {
            let mut stream = TcpStream::connect_timeout(&listener.address(), PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            let mut connection = ClientConnection::new(Arc::clone(&self.client), SERVER_NAME.try_into()?)?;
            while connection.is_handshaking() {
                connection.complete_io(&mut stream)?;
            }
            Ok(())
        };
        shake_hands().is_ok()
    }

    /// Writes the files of a primary, or of a replica, into a directory.
    pub fn write_files(&self, dir: &Path, is_primary: bool) -> Result<KeyFiles> {
        let identity = match &self.primary {
            _ if !is_primary => &self.replica,
            Some(primary) => primary,
            None => {
                return Err(Error::new(
                    Code::Conflict,
                    "the primary of this pool is on another machine",
                ));
            }
        };
        let files = KeyFiles::in_dir(dir);
        disk::private_dir(dir)?;
        for (path, text) in [
            (&files.authority, &self.authority),
            (&files.certificate, &identity.certificate),
            (&files.key, &identity.key),
        ] {
            let mut file = disk::private_file(path)?;
            file.set_len(0)
                .and_then(|()| file.write_all(text.as_bytes()))
                .map_err(|error| Error::io(error, format!("cannot write {}", path.display())))?;
        }
        Ok(files)
    }
}

/// For asking a primary for its certificate.
fn client_of(
    authority: &str,
    replica: &Identity,
) -> Result<Arc<ClientConfig>, Box<dyn std::error::Error + Send + Sync>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    let client = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(replica.certificate.as_bytes())?],
            PrivateKeyDer::from_pem_slice(replica.key.as_bytes())?,
        )?;
    Ok(Arc::new(client))
}

impl Identity {
    fn sign(issuer: &Issuer<'_, KeyPair>, name: &str, usage: ExtendedKeyUsagePurpose) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        Ok(Self {
            certificate: params.signed_by(&key, issuer)?.pem(),
            key: key.serialize_pem(),
        })
    }
}

impl KeyFiles {
    fn in_dir(dir: &Path) -> Self {
        Self {
            authority: dir.join("authority.pem"),
            certificate: dir.join("certificate.pem"),
            key: dir.join("key.pem"),
        }
    }

    /// Removes the files in a directory. Missing ones are no error.
    pub fn remove(dir: &Path) -> Result<()> {
        let files = Self::in_dir(dir);
        for path in [&files.key, &files.certificate, &files.authority] {
            disk::remove(path)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn log_keys_are_private_files_that_go_and_differ_between_pools() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("keys");
        let one = LogKeys::generate().unwrap();
        let files = one.write_files(&home, true).unwrap();
        for path in [&files.authority, &files.certificate, &files.key] {
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let key = std::fs::read_to_string(&files.key).unwrap();
        assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"), "not PKCS#8");
        one.write_files(&home, false).unwrap();
        assert_ne!(std::fs::read_to_string(&files.key).unwrap(), key);
        KeyFiles::remove(&home).unwrap();
        KeyFiles::remove(&home).unwrap();
        assert_eq!(std::fs::read_dir(&home).unwrap().count(), 0);
        assert_ne!(one.authority, LogKeys::generate().unwrap().authority);
    }
}

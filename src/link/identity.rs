//! A node's identity: its key, its certificate and the authority that it trusts, in one file, so that they change together.

use super::NodeName;
use super::authority::write_private;
use super::certificate::{LinkHolder, ParsedCertificate};
use super::tls::TlsIdentity;
use crate::error::{Code, Error, Result};
use base64::Engine as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The file, in the node's directory.
const FILE: &str = "identity.pem";

/// Who a node is, and how it proves that.
pub struct NodeIdentity {
    path: PathBuf,
    name: NodeName,
    pub(super) tls: TlsIdentity,
    certificate: ParsedCertificate,
}

impl NodeIdentity {
    /// Reads the identity in a directory; none before the node has joined. Fails when the file is damaged.
    pub fn load(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(FILE);
        let pem = match std::fs::read(&path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(error, format!("cannot read {}", path.display()))),
        };
        let invalid = || {
            Error::new(
                Code::InvalidFile,
                format!("{} is not a node's identity", path.display()),
            )
            .hint("let the node join again, with a new token")
        };
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|cause| invalid().caused_by(cause))?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|cause| invalid().caused_by(cause))?;
        let Ok([certificate, authority]) = <[CertificateDer<'static>; 2]>::try_from(certificates) else {
            return Err(invalid());
        };
        Self::new(dir, certificate, authority, key)
            .map(Some)
            .map_err(|cause| invalid().caused_by(cause))
    }

    /// Puts an identity together. Nothing is written.
    pub(super) fn new(
        dir: &Path,
        certificate: CertificateDer<'static>,
        authority: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self> {
        let parsed = ParsedCertificate::parse(&certificate)?;
        let LinkHolder::Node(name) = parsed.holder.clone() else {
            return Err(Error::new(Code::InvalidFile, "the certificate is not a node's"));
        };
        Ok(Self {
            path: dir.join(FILE),
            name,
            tls: TlsIdentity::new(certificate, authority, key)?,
            certificate: parsed,
        })
    }

    /// Writes it, in one step.
    pub(super) fn store(&self) -> Result<()> {
        let mut pem = String::new();
        for certificate in [self.tls.certificate(), self.tls.authority()] {
            pem.push_str(&to_pem("CERTIFICATE", certificate));
        }
        pem.push_str(&to_pem("PRIVATE KEY", self.tls.key().secret_der()));
        write_private(&self.path, pem.as_bytes())
    }

    /// The node that it is.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// When its certificate ends. It is renewed long before, while the node can reach the server.
    #[must_use]
    pub fn valid_until(&self) -> SystemTime {
        self.certificate.not_after
    }

    pub(super) fn renewal_in(&self) -> Duration {
        self.certificate.renewal_in()
    }

    /// Returns the same node's next identity. Fails when the certificate is another node's, or does not fit the key.
    pub(super) fn renewed(&self, certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Result<Self> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let renewed = Self::new(dir, certificate, self.tls.authority().clone(), key)?;
        if renewed.name != self.name {
            return Err(Error::new(
                Code::InvalidValue,
                format!("the certificate is for {} and not for {}", renewed.name, self.name),
            ));
        }
        Ok(renewed)
    }
}

/// Encodes bytes in PEM, as RFC 7468 has it.
pub(super) fn to_pem(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = next;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

//! The server's own certificate authority, which signs for the server and for the nodes that join it. A node's key never leaves the
//! node: what comes is a request with the public key.

use super::NodeName;
use super::certificate::{DNS_NAME, LinkHolder};
use super::tls::TlsIdentity;
use crate::checksum;
use crate::error::{Code, Error, Result};
use crate::private_files;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: Duration = Duration::from_secs(86_400);

/// How long the authority's certificate is valid.
const AUTHORITY_VALIDITY: Duration = DAY.saturating_mul(3_650);

/// How long a certificate is valid: as long as a node may be away and still come back without joining again.
const VALIDITY: Duration = DAY.saturating_mul(90);

/// How much the clocks of two machines may differ: certificates are valid from before they are signed.
const CLOCK_SKEW: Duration = DAY;

/// The file of the authority's key and certificate, in the directory of the link.
const FILE: &str = "authority.pem";

/// A certificate authority.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    validity: Duration,
}

impl Authority {
    /// Opens the authority of a directory, or makes one where there is none. Its key is readable by this user only.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let pem = match std::fs::read(&path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let pem = generate().map_err(signing_error)?;
                write_private(&path, pem.as_bytes())?;
                pem.into_bytes()
            }
            Err(error) => return Err(Error::io(error, format!("cannot read {}", path.display()))),
        };
        Self::parse(&pem).map_err(|cause| {
            Error::new(
                Code::InvalidFile,
                format!("{} is not an authority's key and certificate", path.display()),
            )
            .caused_by(cause)
            .hint("put it back from a backup; without it every node has to join again")
        })
    }

    fn parse(pem: &[u8]) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let certificate = CertificateDer::from_pem_slice(pem)?;
        let key = KeyPair::try_from(&PrivateKeyDer::from_pem_slice(pem)?)?;
        Ok(Self {
            issuer: Issuer::from_ca_cert_der(&certificate, key)?,
            certificate,
            validity: VALIDITY,
        })
    }

    /// Has certificates valid for another time than 90 days.
    #[must_use]
    pub fn with_validity(self, validity: Duration) -> Self {
        Self { validity, ..self }
    }

    /// The certificate that nodes trust.
    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The SHA-256 of its certificate in hexadecimal, by which a node that joins knows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        checksum::sha256_of(&self.certificate)
    }

    /// Makes the server's key and certificate.
    pub(super) fn issue_for_server(&self) -> Result<TlsIdentity> {
        let key = KeyPair::generate().map_err(signing_error)?;
        let certificate = self.sign(&key, &LinkHolder::Server)?;
        let key = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|cause| Error::new(Code::Internal, "a key cannot be used").caused_by(cause))?;
        TlsIdentity::new(certificate, self.certificate.clone(), key)
    }

    /// Signs a certificate for a node, of whose request only the public key is used.
    pub(super) fn issue_for_node(&self, request: &SigningRequest, node: &NodeName) -> Result<CertificateDer<'static>> {
        self.sign(&request.0.public_key, &LinkHolder::Node(node.clone()))
    }

    fn sign(&self, key: &impl PublicKeyData, holder: &LinkHolder) -> Result<CertificateDer<'static>> {
        let not_before = SystemTime::now() - CLOCK_SKEW;
        let params = params_for(holder, not_before, self.validity + CLOCK_SKEW).map_err(signing_error)?;
        let certificate = params.signed_by(key, &self.issuer).map_err(signing_error)?;
        Ok(certificate.der().clone())
    }

    /// Signs a certificate for any time, for tests.
    #[cfg(test)]
    pub(super) fn issue_for_time(
        &self,
        key: &KeyPair,
        holder: &LinkHolder,
        not_before: SystemTime,
        validity: Duration,
    ) -> CertificateDer<'static> {
        let params = params_for(holder, not_before, validity).unwrap();
        params.signed_by(key, &self.issuer).unwrap().der().clone()
    }
}

/// A node's request for a certificate. Its signature proves that whoever sends it has the key.
pub(super) struct SigningRequest(CertificateSigningRequestParams);

impl SigningRequest {
    /// Parses a request in PEM and verifies its signature.
    pub fn parse(pem: &str) -> Result<Self> {
        CertificateSigningRequestParams::from_pem(pem)
            .map(Self)
            .map_err(|cause| Error::new(Code::InvalidValue, "that is no request for a certificate").caused_by(cause))
    }

    /// The SHA-256 of its public key, in hexadecimal.
    pub fn public_key(&self) -> String {
        checksum::sha256_of(&self.0.public_key.subject_public_key_info())
    }
}

/// Makes a key and a request to sign it.
pub(super) fn generate_request() -> Result<(PrivateKeyDer<'static>, String)> {
    let key = KeyPair::generate().map_err(signing_error)?;
    let request = request_for(&key)?;
    let key = PrivateKeyDer::try_from(key.serialize_der())
        .map_err(|cause| Error::new(Code::Internal, "a key cannot be used").caused_by(cause))?;
    Ok((key, request))
}

fn request_for(key: &KeyPair) -> Result<String> {
    CertificateParams::default()
        .serialize_request(key)
        .and_then(|request| request.pem())
        .map_err(signing_error)
}

fn params_for(
    holder: &LinkHolder,
    not_before: SystemTime,
    validity: Duration,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(vec![DNS_NAME.to_owned()])?;
    let uri = holder.to_uri();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, uri.as_str());
    params.subject_alt_names.push(SanType::URI(Ia5String::try_from(uri)?));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, not_before, validity);
    Ok(params)
}

fn set_validity(params: &mut CertificateParams, not_before: SystemTime, validity: Duration) {
    let since_epoch = not_before.duration_since(UNIX_EPOCH).unwrap_or_default();
    params.not_before = date_time_ymd(1970, 1, 1) + since_epoch;
    params.not_after = params.not_before + validity;
}

/// Makes an authority: its certificate and its key in PEM.
fn generate() -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "torso nodes");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    set_validity(&mut params, SystemTime::now() - CLOCK_SKEW, AUTHORITY_VALIDITY);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(certificate.pem() + &key.serialize_pem())
}

fn signing_error(cause: rcgen::Error) -> Error {
    Error::new(Code::Internal, "cannot make a certificate").caused_by(cause)
}

/// Writes a file that only this user can read, in one step, and its directory where that is missing.
pub(super) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let failed = |error| Error::io(error, format!("cannot write {}", path.display()));
    let dir = path.parent().unwrap_or(Path::new("."));
    private_files::create_directory(dir).map_err(failed)?;
    private_files::write_durably(path, content).map_err(failed)
}

//! TLS for the link: version 1.3 only, certificates of one authority on both sides, nothing resumed. A certificate can be replaced
//! while connections run: they go on, and new ones use the new one.

use super::certificate::DNS_NAME;
use crate::checksum;
use crate::error::{Code, Error, Result};
use crate::sync::{read, write};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use std::sync::{Arc, RwLock};

/// The protocol over TLS, in which the side that dials asks. Nothing else is spoken.
pub(super) const ALPN: &[u8] = b"h2";

/// The same protocol where the side that dials answers.
pub(super) const REVERSE_ALPN: &[u8] = b"torso-reverse-h2";

/// A certificate with its key, and the authority that signed it.
pub(super) struct TlsIdentity {
    certificate: CertificateDer<'static>,
    authority: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    certified: Arc<CertifiedKey>,
}

impl TlsIdentity {
    /// Fails when key and certificate do not belong together.
    pub fn new(
        certificate: CertificateDer<'static>,
        authority: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self> {
        // The authority's certificate goes along, because a node that joins knows only its fingerprint.
        let chain = vec![certificate.clone(), authority.clone()];
        let certified = CertifiedKey::from_der(chain, key.clone_key(), &provider()).map_err(|cause| {
            Error::new(Code::InvalidFile, "the certificate and its key do not belong together").caused_by(cause)
        })?;
        Ok(Self {
            certificate,
            authority,
            key,
            certified: Arc::new(certified),
        })
    }

    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub fn authority(&self) -> &CertificateDer<'static> {
        &self.authority
    }

    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }
}

/// The certificate in use, which can be replaced.
#[derive(Debug)]
pub(super) struct CurrentCertificate(RwLock<Arc<CertifiedKey>>);

impl CurrentCertificate {
    pub fn new(identity: &TlsIdentity) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Arc::clone(&identity.certified))))
    }

    pub fn replace(&self, identity: &TlsIdentity) {
        *write(&self.0) = Arc::clone(&identity.certified);
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&read(&self.0)))
    }
}

impl ResolvesClientCert for CurrentCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&read(&self.0)))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The listener's side. A peer without a certificate gets in, to join; one with a certificate of another authority does not.
pub(super) fn server_config(
    authority: &CertificateDer<'static>,
    current: Arc<CurrentCertificate>,
) -> Result<ServerConfig> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(authority)?), provider())
        .allow_unauthenticated()
        .build()
        .map_err(unusable)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unusable)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(current);
    config.alpn_protocols = vec![ALPN.to_vec(), REVERSE_ALPN.to_vec()];
    // A resumed session would keep a certificate that has ended since.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The side of a node that has a certificate.
pub(super) fn client_config(
    authority: &CertificateDer<'static>,
    current: Arc<CurrentCertificate>,
) -> Result<ClientConfig> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unusable)?
        .with_root_certificates(roots(authority)?)
        .with_client_cert_resolver(current);
    Ok(with_alpn(config))
}

/// The side of a node in a connection over which it answers.
pub(super) fn reverse_config(config: &ClientConfig) -> ClientConfig {
    let mut config = config.clone();
    config.alpn_protocols = vec![REVERSE_ALPN.to_vec()];
    config
}

/// The side of a machine that joins: it has no certificate yet, and knows the authority's fingerprint only.
pub(super) fn joining_config(fingerprint: &str) -> Result<ClientConfig> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(FingerprintVerifier(fingerprint.to_owned())))
        .with_no_client_auth();
    Ok(with_alpn(config))
}

/// The name in every certificate of the link.
pub(super) fn server_name() -> ServerName<'static> {
    // A constant, which parses.
    ServerName::try_from(DNS_NAME).unwrap_or_else(|_| unreachable!("{DNS_NAME} is no name"))
}

fn with_alpn(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(authority: &CertificateDer<'static>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).map_err(unusable)?;
    Ok(roots)
}

fn unusable(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(Code::Internal, "the link's certificates cannot be used").caused_by(cause)
}

/// Trusts the authority that has a fingerprint, which the other side sends along. All else is verified as ever.
#[derive(Debug)]
struct FingerprintVerifier(String);

impl ServerCertVerifier for FingerprintVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let authority = intermediates
            .iter()
            .find(|certificate| checksum::sha256_of(certificate) == self.0)
            .ok_or(rustls::CertificateError::UnknownIssuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

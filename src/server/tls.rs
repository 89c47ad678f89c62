//! TLS certificates: from files, or self-signed. For the latter, a certificate authority is made once and kept, so that
//! clients need to trust it only once; the server's certificate is made again at every start.

use crate::error::{Code, Error, Result};
use crate::private_files;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Days that the server's certificate is valid: not more than clients accept.
const SERVER_DAYS: i64 = 800;
/// Days that the authority's certificate is valid.
const AUTHORITY_DAYS: i64 = 3_650;

/// A server's certificate chain and key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// The files of the chain and the key, if they may be replaced while the server runs.
    files: Option<(PathBuf, PathBuf)>,
}

impl Identity {
    /// Reads PEM files, which are checked for changes while the server runs.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self> {
        let unreadable = |path: &Path, error: rustls::pki_types::pem::Error| match error {
            rustls::pki_types::pem::Error::Io(error) => Error::io(error, format!("cannot read {}", path.display())),
            error => Error::new(Code::InvalidFile, format!("{} is not a PEM file", path.display())).caused_by(error),
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unreadable(certificate, error))?;
        if chain.is_empty() {
            return Err(Error::new(
                Code::InvalidFile,
                format!("{} has no certificate", certificate.display()),
            )
            .hint("it has to be a PEM file with the server's certificate first"));
        }
        let loaded = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error))?;
        let identity = Self {
            chain,
            key: loaded,
            files: Some((certificate.to_owned(), key.to_owned())),
        };
        identity.config().map_err(|error| {
            Error::new(
                Code::InvalidFile,
                format!(
                    "the certificate {} and the key {} do not belong together",
                    certificate.display(),
                    key.display()
                ),
            )
            .caused_by(error)
            .hint("the key has to be that of the first certificate")
        })?;
        Ok(identity)
    }

    fn config(&self) -> Result<rustls::ServerConfig, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    pub(super) fn files(&self) -> Option<(PathBuf, PathBuf)> {
        self.files.clone()
    }

    pub(super) fn acceptor(&self) -> Result<TlsAcceptor> {
        let config = self
            .config()
            .map_err(|error| Error::new(Code::InvalidFile, "the certificate cannot be used").caused_by(error))?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// A self-signed certificate, and what its clients must trust.
pub struct SelfSigned {
    pub identity: Identity,
    /// The file with the authority's certificate.
    pub authority: PathBuf,
}

/// Makes a certificate for host names and IP addresses. The files are in `dir`: `ca.pem`, `ca-key.pem`, `server.pem`,
/// `server-key.pem`; keys are readable by this user only.
pub fn self_signed(dir: &Path, names: &[String]) -> Result<SelfSigned> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| Error::io(error, format!("cannot make the directory {}", dir.display())))?;
    let failed = |error: rcgen::Error| Error::new(Code::Internal, "cannot make a certificate").caused_by(error);
    let authority = dir.join("ca.pem");
    let authority_key = dir.join("ca-key.pem");
    let params = authority_params().map_err(failed)?;
    let key = if authority.exists() && authority_key.exists() {
        let text = std::fs::read_to_string(&authority_key)
            .map_err(|error| Error::io(error, format!("cannot read {}", authority_key.display())))?;
        KeyPair::from_pem(&text).map_err(|error| {
            Error::new(Code::InvalidFile, format!("{} is not a key", authority_key.display()))
                .caused_by(error)
                .hint(format!(
                    "remove {} to make a new authority, which clients must trust",
                    dir.display()
                ))
        })?
    } else {
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?;
        // The certificate last: it marks the authority as complete.
        write(&authority_key, &key.serialize_pem(), 0o600)?;
        write(&authority, &certificate.pem(), 0o644)?;
        key
    };
    let issuer = Issuer::new(params, key);

    let mut params = CertificateParams::new(names).map_err(|error| {
        Error::new(
            Code::InvalidValue,
            format!("no certificate can be made for {}", names.join(", ")),
        )
        .caused_by(error)
    })?;
    params.distinguished_name.push(DnType::CommonName, "torso server");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, SERVER_DAYS);
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
    let (certificate_file, key_file) = (dir.join("server.pem"), dir.join("server-key.pem"));
    write(&key_file, &key.serialize_pem(), 0o600)?;
    write(&certificate_file, &certificate.pem(), 0o644)?;
    Ok(SelfSigned {
        identity: Identity {
            files: None,
            ..Identity::load(&certificate_file, &key_file)?
        },
        authority,
    })
}

fn authority_params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "torso server's own authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, AUTHORITY_DAYS);
    Ok(params)
}

/// Makes a certificate valid from yesterday, in case clocks differ, for so many days.
fn set_validity(params: &mut CertificateParams, days: i64) {
    let today = Timestamp::now().to_zoned_datetime(TimeZone::UTC).date();
    let day = |from_now: i64| {
        let day = today.checked_add(from_now.days()).unwrap_or(today);
        date_time_ymd(day.year().into(), day.month().unsigned_abs(), day.day().unsigned_abs())
    };
    params.not_before = day(-1);
    params.not_after = day(days);
}

/// Writes a file atomically.
fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let permissions = std::fs::Permissions::from_mode(mode);
    private_files::write_durably_with(path, text.as_bytes(), |file| file.set_permissions(permissions))
        .map_err(|error| Error::io(error, format!("cannot write {}", path.display())))
}

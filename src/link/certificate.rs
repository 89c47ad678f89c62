//! What a certificate of the link says about its holder, in a name of a scheme of torso's own: `torso:server`, or
//! `torso:node:LOCATION:NODE`. All have the same DNS name too, which is what TLS compares.

use super::NodeName;
use crate::error::{Code, Error, Result};
use rustls::pki_types::CertificateDer;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

/// The DNS name in every certificate of the link. Machines have other names and addresses, which may change.
pub(super) const DNS_NAME: &str = "link.torso.internal";

/// Who holds a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LinkHolder {
    /// The machine with the control plane.
    Server,
    Node(NodeName),
}

impl LinkHolder {
    pub fn to_uri(&self) -> String {
        match self {
            Self::Server => "torso:server".to_owned(),
            Self::Node(name) => format!("torso:node:{}:{}", name.location(), name.node()),
        }
    }

    fn parse(uri: &str) -> Option<Self> {
        if uri == "torso:server" {
            return Some(Self::Server);
        }
        let (location, node) = uri.strip_prefix("torso:node:")?.split_once(':')?;
        NodeName::new(location, node).ok().map(Self::Node)
    }
}

/// What is read from a certificate.
pub(super) struct ParsedCertificate {
    pub holder: LinkHolder,
    pub not_before: SystemTime,
    pub not_after: SystemTime,
}

impl ParsedCertificate {
    /// Reads a certificate, which TLS has verified or which is this machine's own. Fails when it names no holder, or two.
    pub fn parse(certificate: &CertificateDer<'_>) -> Result<Self> {
        let invalid = |what: &str| Error::new(Code::InvalidFile, format!("the certificate {what}"));
        let (_, parsed) = parse_x509_certificate(certificate).map_err(|_| invalid("cannot be parsed"))?;
        let names = parsed
            .subject_alternative_name()
            .map_err(|_| invalid("cannot be parsed"))?
            .ok_or_else(|| invalid("names no node"))?;
        let mut uris = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        });
        let (Some(uri), None) = (uris.next(), uris.next()) else {
            return Err(invalid("does not name one node"));
        };
        let time = |time: x509_parser::time::ASN1Time| {
            UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or_default())
        };
        Ok(Self {
            holder: LinkHolder::parse(uri).ok_or_else(|| invalid("names no node"))?,
            not_before: time(parsed.validity().not_before),
            not_after: time(parsed.validity().not_after),
        })
    }

    /// How long until a third of its time is over, which is when the next one is fetched.
    pub fn renewal_in(&self) -> Duration {
        let validity = self.not_after.duration_since(self.not_before).unwrap_or_default();
        let due = self.not_before + validity / 3;
        due.duration_since(SystemTime::now()).unwrap_or_default()
    }
}

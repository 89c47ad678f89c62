//! What every HTTP client of the crate has to know.

use url::Url;

/// Whether an address is on this machine, where a proxy of the user's must not be used: it cannot reach it.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Makes ring the process's TLS provider. Call it before an HTTP client is built: `reqwest` wants one even where nothing is
/// encrypted.
pub fn use_ring() {
    // An error means that there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The text of the cause behind all others.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// What to do about a connection that could not be made, by its innermost cause; `usual` where the certificate is not it.
pub fn connect_hint(cause: &str, usual: &str) -> String {
    if cause.contains("UnknownIssuer") {
        return "its certificate is signed by an authority that is not trusted here: SSL_CERT_FILE=FILE names the authority's \
                file, which torso server --tls self-signed prints at its start"
            .to_owned();
    }
    if cause.contains("invalid peer certificate") {
        return "its certificate is not valid for this address or at this time; is the address right?".to_owned();
    }
    usual.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hint_about_a_certificate_says_what_is_wrong_with_it() {
        let hint = |cause: &str| connect_hint(cause, "usual");
        assert!(hint("invalid peer certificate: UnknownIssuer").contains("SSL_CERT_FILE"));
        assert!(hint("invalid peer certificate: Expired").contains("not valid"));
        assert_eq!(hint("Connection refused (os error 111)"), "usual");
    }
}

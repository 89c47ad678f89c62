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

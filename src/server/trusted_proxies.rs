//! The address of a client behind a proxy. A proxy that is trusted says in a header for whom it asks; whatever a client writes
//! into such a header itself stands further to the left, and is not believed.

use axum::http::HeaderMap;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// The proxies whose word is taken.
pub(super) struct TrustedProxies(Vec<IpNet>);

/// What a header says.
enum ForwardedAddress {
    Nothing,
    /// The nearest address that is no trusted proxy's.
    Client(IpAddr),
    /// All that is in it are trusted proxies, or it cannot be understood.
    Unclear,
}

impl TrustedProxies {
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether an address is a trusted proxy's.
    pub fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address of the client that a request is from. Where two headers disagree, one of them is the client's own, and
    /// neither is believed: then, and where none says anything, it is the address of the connection.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.has(peer) {
            return peer;
        }
        let listed = self.nearest(headers, "x-forwarded-for", Some);
        let forwarded = self.nearest(headers, "forwarded", forwarded_for);
        match (listed, forwarded) {
            (ForwardedAddress::Client(client), ForwardedAddress::Nothing)
            | (ForwardedAddress::Nothing, ForwardedAddress::Client(client)) => client,
            (ForwardedAddress::Client(one), ForwardedAddress::Client(other)) if one == other => one,
            _ => peer,
        }
    }

    fn nearest<'h>(
        &self,
        headers: &'h HeaderMap,
        name: &str,
        hop: impl Fn(&'h str) -> Option<&'h str>,
    ) -> ForwardedAddress {
        let mut hops = Vec::new();
        for value in headers.get_all(name) {
            let Ok(text) = value.to_str() else {
                return ForwardedAddress::Unclear;
            };
            hops.extend(text.split(','));
        }
        if hops.is_empty() {
            return ForwardedAddress::Nothing;
        }
        for text in hops.into_iter().rev() {
            match hop(text.trim()).and_then(parse_address) {
                Some(address) if self.has(address) => {}
                Some(address) => return ForwardedAddress::Client(address),
                None => return ForwardedAddress::Unclear,
            }
        }
        ForwardedAddress::Unclear
    }
}

/// What an element of `Forwarded` says about the address.
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })
}

/// An address with or without a port; of IPv6 with or without brackets.
fn parse_address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        proxies.client(peer.parse().unwrap(), &map).to_string()
    }

    #[test]
    fn proxy_client_is_the_nearest_address_that_is_no_proxy() {
        let listed = "x-forwarded-for";
        for (headers, address) in [
            (&[(listed, "192.0.2.1")][..], "192.0.2.1"),
            (&[(listed, "203.0.113.9, 192.0.2.1")], "192.0.2.1"),
            (&[(listed, "203.0.113.9, 192.0.2.1, 10.1.1.1")], "192.0.2.1"),
            (&[(listed, "203.0.113.9"), (listed, "192.0.2.1")], "192.0.2.1"),
            (&[(listed, "192.0.2.1:4711")], "192.0.2.1"),
            (&[(listed, "[2001:db8::1]:4711")], "2001:db8::1"),
            (&[(listed, "::ffff:192.0.2.1")], "192.0.2.1"),
            (
                &[("forwarded", "for=203.0.113.9, for=192.0.2.1;proto=https")],
                "192.0.2.1",
            ),
            (&[("forwarded", "proto=https;For=\"[2001:db8::1]:80\"")], "2001:db8::1"),
            (&[("forwarded", "for=192.0.2.1"), (listed, "192.0.2.1")], "192.0.2.1"),
        ] {
            assert_eq!(client("10.0.0.1", headers), address, "{headers:?}");
        }
    }

    #[test]
    fn proxy_counts_itself_where_its_client_is_unclear() {
        let listed = "x-forwarded-for";
        for headers in [
            &[][..],
            &[(listed, "")],
            &[(listed, "192.0.2.1, unknown")],
            &[(listed, "10.2.2.2")],
            &[("forwarded", "for=_hidden")],
            &[("forwarded", "proto=https")],
            // One of the two the client wrote itself.
            &[("forwarded", "for=203.0.113.9"), (listed, "192.0.2.1")],
        ] {
            assert_eq!(client("10.0.0.1", headers), "10.0.0.1", "{headers:?}");
        }
    }

    #[test]
    fn proxy_headers_of_an_untrusted_address_are_ignored() {
        assert_eq!(client("192.0.2.9", &[("x-forwarded-for", "203.0.113.9")]), "192.0.2.9");
        assert_eq!(
            client("::ffff:10.0.0.1", &[("x-forwarded-for", "203.0.113.9")]),
            "203.0.113.9"
        );
    }
}

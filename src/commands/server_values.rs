//! The values of `torso server`'s options: addresses, networks, domains, times and sizes.

use super::values::{Size, Span};
use crate::error::{Code, Error, Result};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;
use url::{Host, Url};

/// What a statement must be given at least, and a process.
const SHORTEST_STATEMENT: Duration = Duration::from_secs(1);
/// What must be between two backups at least, and between two comparisons of replicas.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// A machine asks every two seconds, and links are given up after some.
const SHORTEST_KEY_AGE: Duration = Duration::from_secs(10);
const LEAST_MEMORY: u64 = 128_000_000;

pub(super) fn statement_timeout(text: &str) -> Result<Duration> {
    let hint = "write a time such as 30s or 5m";
    parse_at_least(text, SHORTEST_STATEMENT, "a valid statement timeout", hint)
}

/// How old a machine's knowledge of revoked tokens may be.
pub(super) fn max_key_age(text: &str) -> Result<Duration> {
    let hint = "write a time such as 10m, 1h or 24h";
    parse_at_least(text, SHORTEST_KEY_AGE, "how old keys may be", hint)
}

/// How often something is done.
pub(super) fn backup_interval(text: &str) -> Result<Duration> {
    let hint = "write a time such as 6h or 24h";
    parse_at_least(text, SHORTEST_INTERVAL, "how often backups can be made", hint)
}

/// A time that is `shortest` or longer, and not never. `what` is what a text that says none is not.
fn parse_at_least(text: &str, shortest: Duration, what: &str, hint: &str) -> Result<Duration> {
    match text.parse()? {
        Span::For(time) if time >= shortest => Ok(time),
        _ => {
            let seconds = shortest.as_secs();
            let why = format!("{text:?} is not {what}: it must be at least {seconds}s, and not never");
            Err(Error::new(Code::InvalidValue, why).hint(hint))
        }
    }
}

/// How often replicas are compared with their primaries; none for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VerifyInterval(pub Option<Duration>);

pub(super) fn verify_interval(text: &str) -> Result<VerifyInterval> {
    match text.parse()? {
        Span::Never => Ok(VerifyInterval(None)),
        Span::For(time) if time >= SHORTEST_INTERVAL => Ok(VerifyInterval(Some(time))),
        Span::For(_) => Err(Error::new(
            Code::InvalidValue,
            format!("{text:?} is not how often replicas can be compared: it must be at least 1s"),
        )
        .hint("write a time such as 24h, or never")),
    }
}

pub(super) fn memory_per_process(text: &str) -> Result<u64> {
    let size: Size = text.parse()?;
    if size.0 >= LEAST_MEMORY {
        return Ok(size.0);
    }
    Err(Error::new(
        Code::InvalidValue,
        format!("{text:?} is too little memory for a database process"),
    )
    .hint("write a size of 128mb or more"))
}

/// A name in the DNS, in lower case.
pub(super) fn domain(text: &str) -> Result<String> {
    let wrong = || {
        Error::new(Code::InvalidValue, format!("{text:?} is not a domain")).hint("write a name such as db.example.com")
    };
    match Host::parse(text).map_err(|_| wrong())? {
        Host::Domain(name) if !name.ends_with('.') && !name.contains('*') => Ok(name),
        _ => Err(wrong()),
    }
}

/// Where clients reach the server: a host, and a path where a proxy has the server below one.
pub(super) fn public_url(text: &str) -> Result<Url> {
    let wrong = |why: &str| {
        Error::new(Code::InvalidValue, format!("{text:?} is not a server's address: {why}"))
            .hint("write an address such as https://db.example.com or https://example.com/torso")
    };
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("it does not start with https:// or http://"));
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it has more than a host, a port and a path"));
    }
    let mut parts = url.path().trim_matches('/').split('/');
    if url.path() != "/" && parts.any(|part| part.is_empty() || !part.bytes().all(is_plain)) {
        return Err(wrong(
            "its path has other characters than letters, digits, - and _, or an empty part",
        ));
    }
    Ok(url)
}

/// Whether a character of a path is the same in every spelling.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_".contains(&byte)
}

/// An address to listen on. Without a host it is this machine's own.
pub(super) fn listen_address(text: &str) -> Result<SocketAddr> {
    let wrong = || {
        Error::new(Code::InvalidValue, format!("{text:?} is not an address to listen on"))
            .hint("write one such as 127.0.0.1:8080, localhost:8080, [::1]:8080, 0.0.0.0:8080, or only a port")
    };
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let port: u16 = port.parse().map_err(|_| wrong())?;
    if host.is_empty() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(|_| wrong())?.collect();
    // A name may have addresses of both kinds; clients try the older one, too.
    let older = found.iter().find(|address| address.is_ipv4());
    older.or(found.first()).copied().ok_or_else(wrong)
}

/// A host and a port: `db.example.com:8081`.
pub(super) fn host_and_port(text: &str) -> Result<String> {
    let wrong = || {
        Error::new(Code::InvalidValue, format!("{text:?} is not a host and a port"))
            .hint("write one such as db.example.com:8081, 192.0.2.7:8081 or [2001:db8::7]:8081")
    };
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    match Host::parse(host) {
        Ok(_) if is_port => Ok(text.to_owned()),
        _ => Err(wrong()),
    }
}

/// A host, with a port or without one.
pub(super) fn advertised_host(text: &str) -> Result<String> {
    if Host::parse(text).is_ok() || host_and_port(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err(Error::new(Code::InvalidValue, format!("{text:?} is not a host"))
        .hint("write one such as lhr.example.com, 192.0.2.8 or lhr.example.com:8443"))
}

/// A network, or one address.
pub(super) fn network(text: &str) -> Result<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address).ok_or_else(|| {
        Error::new(Code::InvalidValue, format!("{text:?} is not an address or a network"))
            .hint("write one such as 192.0.2.7, 10.0.0.0/8 or fd00::/8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_domains_and_addresses_are_parsed_or_refused() {
        assert_eq!(domain("Db.Example.com").unwrap(), "db.example.com");
        for bad in [
            "",
            "1.2.3.4",
            "[::1]",
            "a b",
            "*.example.com",
            "example.com.",
            "http://x",
        ] {
            assert_eq!(domain(bad).unwrap_err().code(), Code::InvalidValue, "{bad}");
        }
        for (text, url) in [
            ("https://db.example.com", "https://db.example.com/"),
            ("https://example.com/torso", "https://example.com/torso"),
            ("http://x:8080/a/b-c/", "http://x:8080/a/b-c/"),
        ] {
            assert_eq!(public_url(text).unwrap().as_str(), url);
        }
        for bad in [
            "",
            "db.example.com",
            "ftp://x",
            "https://x/a//b",
            "https://x/a%20b",
            "https://x/{a}",
            "https://x?y",
            "https://x/y#z",
            "https://u@x",
            "file:///x",
        ] {
            assert_eq!(public_url(bad).unwrap_err().code(), Code::InvalidValue, "{bad}");
        }
    }

    #[test]
    fn node_address_is_a_host_and_a_port() {
        for text in ["db.example.com:8081", "192.0.2.7:1", "[2001:db8::7]:8081", "db:65535"] {
            assert_eq!(host_and_port(text).unwrap(), text);
            assert_eq!(advertised_host(text).unwrap(), text);
        }
        assert_eq!(advertised_host("lhr.example.com").unwrap(), "lhr.example.com");
        for bad in [
            "",
            "db",
            "db:",
            ":8081",
            "db:0",
            "db:99999",
            "https://db:1",
            "a b:1",
            "db:1/x",
        ] {
            assert_eq!(host_and_port(bad).unwrap_err().code(), Code::InvalidValue, "{bad}");
        }
        for bad in ["", ":8081", "https://db", "a b"] {
            assert_eq!(advertised_host(bad).unwrap_err().code(), Code::InvalidValue, "{bad}");
        }
    }

    #[test]
    fn listen_address_without_a_host_is_completed() {
        for (text, address) in [
            ("8080", "127.0.0.1:8080"),
            (":8080", "127.0.0.1:8080"),
            ("localhost:8080", "127.0.0.1:8080"),
            ("0.0.0.0:1", "0.0.0.0:1"),
            ("[::1]:8080", "[::1]:8080"),
        ] {
            assert_eq!(listen_address(text).unwrap().to_string(), address, "{text}");
        }
        for bad in [
            "",
            ":",
            "localhost",
            "localhost:",
            "127.0.0.1",
            "127.0.0.1:99999",
            "::1:8080:",
            "no.such.host.invalid:1",
        ] {
            let error = listen_address(bad).unwrap_err();
            assert_eq!(error.code(), Code::InvalidValue, "{bad}");
            assert!(error.hint_text().is_some());
        }
    }

    #[test]
    fn network_of_one_address_is_parsed() {
        for (text, net) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("fd00::/8", "fd00::/8"),
        ] {
            assert_eq!(network(text).unwrap().to_string(), net);
        }
        for bad in ["", "10.0.0.0/33", "proxy", "10.0.0"] {
            assert_eq!(network(bad).unwrap_err().code(), Code::InvalidValue, "{bad}");
        }
    }
}

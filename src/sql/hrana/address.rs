//! From the URL that a user gives to the server's HTTP address.
//!
//! All forms that libSQL clients take are accepted: `libsql:` is `https:` (or `http:` with `?tls=0`), `ws:` and `wss:`
//! are `http:` and `https:`, and the query may have a token. A path is kept, with or without a slash at its end.

use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use url::Url;

/// The HTTP address of a database.
#[derive(Debug, Clone)]
pub(super) struct Address {
    /// `http` or `https`, without query; its path ends with a slash, so that endpoints can be joined to it.
    pub base: Url,
    pub token: Option<Secret>,
}

impl Address {
    /// A token in the URL takes precedence over `fallback`.
    pub(super) fn new(url: &Url, fallback: Option<&Secret>) -> Result<Self> {
        let mut token = None;
        let mut tls = None;
        for (key, value) in url.query_pairs() {
            match &*key {
                "authToken" | "auth_token" | "jwt" if token.is_some() => {
                    return Err(invalid(url, "has two tokens")).map_err(|error| error.hint("leave one of them out"));
                }
                "authToken" | "auth_token" | "jwt" => token = Some(Secret::new(value.into_owned())),
                "tls" if value == "0" || value == "1" => tls = Some(value == "1"),
                "tls" => return Err(invalid(url, "has a tls= that is neither 0 nor 1")),
                _ => {
                    return Err(invalid(url, format!("has the unknown parameter {key:?}"))
                        .hint("only authToken, auth_token, jwt and tls are understood"));
                }
            }
        }
        let scheme = match (url.scheme(), tls) {
            ("libsql" | "http" | "ws", Some(false)) | ("http" | "ws", None) => "http",
            ("libsql" | "https" | "wss", None | Some(true)) => "https",
            ("http" | "https" | "ws" | "wss", Some(_)) => return Err(invalid(url, "contradicts itself: see its tls=")),
            _ => {
                return Err(invalid(url, "is not a database's URL")
                    .hint("libsql:, https:, http:, wss: and ws: are understood, and paths of files"));
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                invalid(url, "has a user name or a password").hint("give a token: ?authToken=… or the environment")
            );
        }
        if url.fragment().is_some() {
            return Err(invalid(url, "has a fragment (#…)"));
        }
        let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
            return Err(invalid(url, "has no host"));
        };
        let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
        let slash = if url.path().ends_with('/') { "" } else { "/" };
        // Built from its parts: the `url` crate does not turn a `libsql:` URL into an `https:` one.
        let base = Url::parse(&format!("{scheme}://{host}{port}{}{slash}", url.path()))
            .map_err(|error| invalid(url, format!("cannot be parsed: {error}")))?;
        let token = token
            .filter(|token| !token.expose().is_empty())
            .or_else(|| fallback.cloned());
        Ok(Self { base, token })
    }
}

/// The URL for messages: without its query and credentials, which may be secret.
pub(in crate::sql) fn display_url(url: &Url) -> String {
    let mut host = url.host_str().unwrap_or_default().to_owned();
    if let Some(port) = url.port() {
        host.push_str(&format!(":{port}"));
    }
    format!("{}://{host}{}", url.scheme(), url.path().trim_end_matches('/'))
}

fn invalid(url: &Url, what: impl std::fmt::Display) -> Error {
    Error::new(Code::InvalidValue, format!("{} {what}", display_url(url)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(url: &str) -> Result<String> {
        Address::new(&Url::parse(url).unwrap(), None).map(|address| address.base.to_string())
    }

    #[test]
    fn server_address_of_each_form_of_url_is_parsed() {
        for (url, expected) in [
            ("http://h", "http://h/"),
            ("http://h:8080/a/b", "http://h:8080/a/b/"),
            ("http://h:8080/a/b/", "http://h:8080/a/b/"),
            ("https://h?tls=1", "https://h/"),
            ("libsql://app-me.example.io", "https://app-me.example.io/"),
            ("libsql://h:8080?tls=0", "http://h:8080/"),
            ("libsql://h/dev/x?authToken=a.b.c", "https://h/dev/x/"),
            ("ws://127.0.0.1:9", "http://127.0.0.1:9/"),
            ("wss://h", "https://h/"),
            ("libsql://[::1]:80?tls=0", "http://[::1]/"),
        ] {
            assert_eq!(base(url).unwrap(), expected, "{url}");
        }
    }

    #[test]
    fn server_address_that_is_invalid_is_refused_without_secrets() {
        for url in [
            "http://h?tls=1",
            "https://h?tls=0",
            "libsql://h?tls=2",
            "libsql://h?authToken=hush&jwt=hush",
            "http://h?Token=hush",
            "http://me:hush@h",
            "http://h#hush",
            "ftp://h",
            "libsql:///x",
        ] {
            let error = base(url).unwrap_err();
            assert!(
                !format!("{error:?} {:?}", error.hint_text()).contains("hush"),
                "{error:?}"
            );
        }
    }

    #[test]
    fn server_address_with_a_token_in_its_url_uses_it() {
        let given = Secret::new("given".to_owned());
        let token = |url: &str| {
            Address::new(&Url::parse(url).unwrap(), Some(&given))
                .unwrap()
                .token
                .unwrap()
        };
        assert_eq!(token("libsql://h?jwt=own").expose(), "own");
        assert_eq!(token("libsql://h").expose(), "given");
        assert_eq!(token("libsql://h?auth_token=").expose(), "given");
    }
}

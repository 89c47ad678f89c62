//! The URL of a database or of one of its instances.
//!
//! A file's URL is made by this program's own engine only. What a server names is parsed here, where it arrives: it is an
//! address of the network without credentials, or an error. So nothing behind the parser can be led to a local file.

use crate::error::{Code, Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::path::PathBuf;
use url::Url;

/// The schemes of libSQL's clients. `libsql` is encrypted unless `?tls=0` says otherwise.
const SCHEMES: [&str; 5] = ["https", "http", "libsql", "wss", "ws"];

/// A database's URL. It reads as its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    text: String,
    target: UrlTarget,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum UrlTarget {
    /// Nothing is there, as of a database whose process was never started.
    Nowhere,
    File(PathBuf),
    Server(Url),
}

impl DatabaseUrl {
    /// The URL that an engine of this process gave: a file's, a server's, or an empty one.
    #[must_use]
    pub fn of_engine(text: String) -> Self {
        let target = if text.starts_with("file:") {
            UrlTarget::File(path_of(&text))
        } else {
            Url::parse(&text).map_or(UrlTarget::Nowhere, UrlTarget::Server)
        };
        Self { text, target }
    }

    /// The URL that a server names; an empty text is none. `invalid_value` for a scheme that is not one of libSQL's clients,
    /// for credentials, and for what no client sends.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self {
                text: String::new(),
                target: UrlTarget::Nowhere,
            });
        }
        // The text is not repeated: it may hold a secret.
        let refuse = |why: &str| Error::new(Code::InvalidValue, format!("a database's url {why}"));
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refuse("contains characters that are not allowed in a URL"));
        }
        let url = Url::parse(text).map_err(|_| refuse("cannot be parsed"))?;
        if !SCHEMES.contains(&url.scheme()) {
            return Err(refuse("is not one of http(s), libsql or ws(s)"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("has a user name or a password"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(refuse("has no host"));
        }
        if url.fragment().is_some() || !matches!(url.query(), None | Some("tls=0" | "tls=1")) {
            return Err(refuse("contains more than an address"));
        }
        Ok(Self {
            text: text.to_owned(),
            target: UrlTarget::Server(url),
        })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path of a file on this machine; none for a server's address.
    #[must_use]
    pub fn path(&self) -> Option<&PathBuf> {
        match &self.target {
            UrlTarget::File(path) => Some(path),
            UrlTarget::Server(_) | UrlTarget::Nowhere => None,
        }
    }

    /// A server's address.
    #[must_use]
    pub fn server(&self) -> Option<&Url> {
        match &self.target {
            UrlTarget::Server(url) => Some(url),
            UrlTarget::File(_) | UrlTarget::Nowhere => None,
        }
    }

    /// The address for HTTP: `libsql://h` is `https://h`, `wss:` is `https:`, `ws:` is `http:`.
    #[must_use]
    pub fn http(&self) -> Option<Url> {
        let url = self.server()?;
        let scheme = if self.is_encrypted() { "https" } else { "http" };
        let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
        // Built from its parts: the `url` crate does not turn a `libsql:` URL into an `https:` one.
        Url::parse(&format!("{scheme}://{}{port}{}", url.host_str()?, url.path())).ok()
    }

    fn is_encrypted(&self) -> bool {
        self.server().is_some_and(|url| match url.scheme() {
            "https" | "wss" => true,
            "libsql" => url.query() != Some("tls=0"),
            _ => false,
        })
    }

    /// Refuses an address that a token must not be sent to: a server that is asked over an encrypted connection names a
    /// plain one.
    pub fn check_for_token(&self, control: &Url) -> Result<()> {
        let Some(url) = self.server() else {
            return Err(
                Error::new(Code::Unavailable, "the server returned no address for the database")
                    .hint("try again in a moment: the database may still be in creation"),
            );
        };
        if control.scheme() == "https" && !self.is_encrypted() {
            return Err(Error::new(
                Code::Unavailable,
                format!(
                    "the server returned an unencrypted address for the database, {}://{}, and torso sends no token there",
                    url.scheme(),
                    url.host_str().unwrap_or_default()
                ),
            )
            .hint("the server's operator gives its databases encrypted addresses"));
        }
        Ok(())
    }
}

/// The path in a `file:` URL.
fn path_of(text: &str) -> PathBuf {
    let parsed = Url::parse(text).ok().and_then(|url| url.to_file_path().ok());
    parsed.unwrap_or_else(|| PathBuf::from(text.strip_prefix("file:").unwrap_or(text)))
}

impl std::ops::Deref for DatabaseUrl {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for DatabaseUrl {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DatabaseUrl".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "Empty where there is none." })
    }
}

/// As what a server names.
impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_url_of_a_server_is_an_address_of_the_network() {
        for (text, http) in [
            ("libsql://app-me.example.io", "https://app-me.example.io/"),
            ("libsql://h:8080?tls=0", "http://h:8080/"),
            ("https://h/db/app-me/", "https://h/db/app-me/"),
            ("wss://h", "https://h/"),
            ("ws://127.0.0.1:9", "http://127.0.0.1:9/"),
            ("http://[::1]:8080/db/x/", "http://[::1]:8080/db/x/"),
        ] {
            let url = DatabaseUrl::parse(text).unwrap();
            assert_eq!(url.http().unwrap().as_str(), http);
            assert_eq!((url.path(), &*url), (None, text));
        }
        for text in [
            "file:///etc/passwd",
            "file:x.db",
            "FILE:/x",
            "/etc/passwd",
            "x.db",
            ":memory:",
            "data:,x",
            "ftp://h",
            "unix:///run/x",
            "https://me@h",
            "https://me:hush@h",
            "https://h?authToken=hush",
            "libsql://h?tls=2",
            "https://h#x",
            "https://h/\n",
            "https://h/\u{1b}[2J",
            "libsql:///x",
            "https://",
        ] {
            let error = DatabaseUrl::parse(text).unwrap_err();
            assert!(!format!("{error}").contains("hush"), "{error}");
            assert!(serde_json::from_value::<DatabaseUrl>(serde_json::json!(text)).is_err());
        }
    }

    #[test]
    fn database_url_of_an_engine_may_be_a_file() {
        let url = DatabaseUrl::of_engine("file:/data/a%20b.db".to_owned());
        assert_eq!(url.path(), Some(&PathBuf::from("/data/a b.db")));
        assert_eq!(url.server(), None);
        let url = DatabaseUrl::of_engine(String::new());
        assert_eq!((url.path(), url.server()), (None, None));
    }

    #[test]
    fn database_url_that_is_plain_gets_no_token_of_an_encrypted_server() {
        let control = |text: &str| Url::parse(text).unwrap();
        for (server, database, fits) in [
            ("https://api.example", "libsql://db.example", true),
            ("https://api.example", "https://other.example", true),
            ("https://api.example", "http://db.example", false),
            ("https://api.example", "ws://db.example", false),
            ("https://api.example", "libsql://db.example?tls=0", false),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/db/x/", true),
            ("http://127.0.0.1:8080", "", false),
        ] {
            let url = DatabaseUrl::parse(database).unwrap();
            assert_eq!(url.check_for_token(&control(server)).is_ok(), fits, "{database}");
        }
    }
}

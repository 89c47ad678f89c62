//! The addresses at which clients reach databases.

use crate::control::database_url::DatabaseUrl;
use url::Url;

/// The longest label that can be part of a hostname.
const LONGEST_IN_HOST: usize = 63;

/// How clients reach the server, which determines the hostnames and URLs of databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public {
    /// Such as `http://127.0.0.1:8080`.
    pub base: Url,
    /// Databases are at `<label>.<domain>`, with the base's scheme and port. None for a path below the base.
    pub domain: Option<String>,
}

impl Public {
    /// The public URL of a label.
    #[must_use]
    pub fn database_url(&self, label: &str) -> DatabaseUrl {
        DatabaseUrl::of_engine(self.url(label))
    }

    #[must_use]
    pub fn url(&self, label: &str) -> String {
        let base = self.base.as_str().trim_end_matches('/');
        match &self.domain {
            // A longer label cannot be part of a hostname: the path is used.
            Some(domain) if label.len() <= LONGEST_IN_HOST => {
                let port = self.base.port().map_or_else(String::new, |port| format!(":{port}"));
                format!("{}://{label}.{domain}{port}", self.base.scheme())
            }
            _ => format!("{base}/db/{label}/"),
        }
    }

    /// The same without scheme and trailing slash; clients add their own scheme.
    #[must_use]
    pub fn hostname(&self, label: &str) -> String {
        let url = self.url(label);
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        rest.trim_end_matches('/').to_owned()
    }
}

//! Secrets: strings that cannot be printed by accident, and a way to replace one before it expires.

use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// A token, key or password. It has no `Display`, and its `Debug` shows nothing. The only way to its text is
/// [`Secret::expose`], which is easy to find in a review.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Obtains a new secret in place of one that expires, for code that uses secrets without knowing where they come from.
#[derive(Clone)]
pub struct Renewal {
    /// The age at which a secret is replaced, while it is still valid.
    pub after: Duration,
    ask: Arc<dyn Fn() -> Result<Secret> + Send + Sync>,
}

impl Renewal {
    #[must_use]
    pub fn new(after: Duration, ask: impl Fn() -> Result<Secret> + Send + Sync + 'static) -> Self {
        Self {
            after,
            ask: Arc::new(ask),
        }
    }

    /// Obtains the next secret.
    pub fn ask(&self) -> Result<Secret> {
        (self.ask)()
    }
}

impl std::fmt::Debug for Renewal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Renewal({:?})", self.after)
    }
}

impl PartialEq for Renewal {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.ask, &other.ask)
    }
}

//! A string that cannot be printed by accident: it has no `Display`, and its `Debug` shows nothing. And what has another one
//! made when it ends.

use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// A token, key or password. The only way to its text is [`Secret::expose`], which is easy to find in a review.
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

/// Has a secret made that takes the place of one that ends. Whoever uses secrets for long needs not know where they come from.
#[derive(Clone)]
pub struct Renewal {
    /// How long one is used before the next is asked for, while it still serves.
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

    /// The next one.
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

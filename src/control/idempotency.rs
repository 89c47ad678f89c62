//! Idempotency keys: what makes a change that is requested more than once take effect once.
//!
//! A client names every change by a random [`IdempotencyKey`] and sends the same key when it sends the change again. A server
//! keeps [`RequestMark`]s of what has taken effect, and its answers. How it does is in `hosted::idempotency`.

use crate::error::{Code, Error, Result};
use jiff::SignedDuration;
use std::fmt;
use std::str::FromStr;

/// The header of a request that has the key.
pub const HEADER: &str = "idempotency-key";

/// The header by which a server says that it knows keys, with the value [`ANNOUNCED`]. Others ignore them.
pub const ANNOUNCEMENT: &str = "torso-idempotency";
pub const ANNOUNCED: &str = "keys";

/// How long a server remembers a key.
pub const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// Characters of the longest key.
const LONGEST: usize = 255;

/// The name of a change, chosen by the client. Whoever knows it can ask for the answer again, so it is as good as random.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// A random key.
    #[must_use]
    pub fn generate() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::new(
            Code::InvalidValue,
            format!("the Idempotency-Key is not 1 to {LONGEST} visible ASCII characters"),
        )
        .hint("send a random UUID, and the same one when you send the request again"))
    }
}

// An answer may have a secret in it, and the key opens the answer.
impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey(…)")
    }
}

/// Identifies a request by its account and key: a hash of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestMark(pub [u8; 32]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idempotency_key_is_visible_ascii_of_bounded_length() {
        for good in ["a", &"x".repeat(255), IdempotencyKey::generate().as_str()] {
            assert_eq!(good.parse::<IdempotencyKey>().unwrap().as_str(), good);
        }
        for bad in ["", " ", "a b", "a\n", "é", &"x".repeat(256)] {
            assert_eq!(bad.parse::<IdempotencyKey>().unwrap_err().code(), Code::InvalidValue);
        }
        assert_ne!(IdempotencyKey::generate(), IdempotencyKey::generate());
    }
}

//! Tokens for the engine's processes, as a gateway sends them with requests. They must not leave the machine.

use crate::control::tokens::Authorization;
use crate::engine::sqld::{self, SqldEngine};
use crate::error::Result;
use crate::secret::Secret;
use crate::sync::lock;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long an internal token is valid for processes, and after what time a new one is made.
const INTERNAL: Duration = Duration::from_secs(3600);
const SHOWN: Duration = Duration::from_secs(1800);

/// A moment by both clocks. Processes judge tokens by the wall clock, which can jump; the other one stands still while the
/// machine sleeps.
#[derive(Debug, Clone, Copy)]
pub struct ClockReading {
    steady: Instant,
    wall: Timestamp,
}

impl ClockReading {
    pub fn now() -> Self {
        Self {
            steady: Instant::now(),
            wall: Timestamp::now(),
        }
    }
}

/// A token that processes accept.
struct InternalToken {
    token: Secret,
    made: ClockReading,
}

impl InternalToken {
    /// Whether both clocks say that it was made a short time ago.
    fn is_fresh(&self, now: ClockReading) -> bool {
        let by_wall = Duration::try_from(now.wall.duration_since(self.made.wall));
        now.steady.saturating_duration_since(self.made.steady) < SHOWN && by_wall.is_ok_and(|passed| passed < SHOWN)
    }
}

/// The tokens that are in use, by instance.
#[derive(Default)]
pub struct InternalTokens {
    internal: Mutex<HashMap<(String, sqld::Access), InternalToken>>,
}

impl InternalTokens {
    /// A token for a database that the processes accept at this moment.
    pub fn internal(
        &self,
        engine: &SqldEngine,
        instance: &str,
        authorization: Authorization,
        now: ClockReading,
    ) -> Result<Secret> {
        let access = engine_access(authorization);
        self.internal_of(instance, access, now, || engine.token(instance, access, INTERNAL))
    }

    fn internal_of(
        &self,
        instance: &str,
        access: sqld::Access,
        now: ClockReading,
        make: impl FnOnce() -> Result<Secret>,
    ) -> Result<Secret> {
        let mut internal = lock(&self.internal);
        internal.retain(|_, known| known.is_fresh(now));
        if let Some(known) = internal.get(&(instance.to_owned(), access)) {
            return Ok(known.token.clone());
        }
        let token = make()?;
        let known = InternalToken {
            token: token.clone(),
            made: now,
        };
        internal.insert((instance.to_owned(), access), known);
        Ok(token)
    }

    /// Forgets an internal token that a process has refused, so that a new one is made.
    pub fn forget_internal(&self, instance: &str, authorization: Authorization, refused: &str) {
        let mut internal = lock(&self.internal);
        internal.retain(|(known, access), internal| {
            known != instance || *access != engine_access(authorization) || internal.token.expose() != refused
        });
    }
}

fn engine_access(authorization: Authorization) -> sqld::Access {
    match authorization {
        Authorization::FullAccess => sqld::Access::ReadWrite,
        Authorization::ReadOnly => sqld::Access::ReadOnly,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn internal_token_is_renewed_when_either_clock_says_so() {
        let access = InternalTokens::default();
        let id = "instance";
        let made = Cell::new(0);
        let token = |now: ClockReading| {
            let made_now = || {
                made.set(made.get() + 1);
                Ok(Secret::new(made.get().to_string()))
            };
            let token = access.internal_of(id, sqld::Access::ReadWrite, now, made_now).unwrap();
            token.expose().to_owned()
        };
        let start = ClockReading::now();
        let later = |steady: u64, wall: i64| ClockReading {
            steady: start.steady + Duration::from_secs(steady),
            wall: start.wall + jiff::SignedDuration::from_secs(wall),
        };
        assert_eq!(token(start), "1");
        assert_eq!(token(later(1700, 1700)), "1");
        assert_eq!(token(later(1800, 1800)), "2", "it has aged");
        assert_eq!(token(later(1801, 5500)), "3", "the machine slept, or its clock jumped");
        assert_eq!(token(later(1802, 60)), "4", "its clock was set back");
        assert_eq!(token(later(1803, 61)), "4");
        access.forget_internal(id, Authorization::FullAccess, "3");
        assert_eq!(token(later(1804, 62)), "4", "another one was refused");
        access.forget_internal(id, Authorization::FullAccess, "4");
        assert_eq!(token(later(1805, 63)), "5");
    }
}

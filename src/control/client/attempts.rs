//! When a call is sent again: what is idempotent, what did not arrive, and a change at a server that makes it once for its key.
//! One try is `http`'s.

use super::call::{ApiCall, POLL, PROBE, TRIES_FOR_THE_ANSWER};
use super::failed_call::{FailedCall, uncertain};
use super::http::ApiTransport;
use crate::change_outcome::ChangeUnderWay;
use crate::control::endpoints::{Method, Operation};
use crate::control::idempotency::{ANNOUNCED, ANNOUNCEMENT};
use crate::error::{Code, Error};
use reqwest::blocking::Response;
use std::time::{Duration, Instant};

/// The longest Retry-After that is waited for. A longer one is an error that names it.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// Why a call failed in the end.
pub(super) struct LastFailure {
    pub error: Error,
    /// A try of it may have taken effect although its answer was lost.
    pub lost: bool,
}

impl ApiTransport {
    /// Tries a call until it succeeds, fails for good, or the time is up.
    pub(super) fn repeating<T>(
        &self,
        call: &ApiCall<'_>,
        deadline: Instant,
        finish: impl Fn(Response) -> std::result::Result<T, FailedCall>,
    ) -> std::result::Result<T, LastFailure> {
        let is_change = call.method != Method::Get && self.patience.is_of_command;
        let _change = is_change.then(ChangeUnderWay::begin);
        let mut lost = false;
        let url = self
            .url(&call.path, &call.query)
            .map_err(|error| LastFailure { error, lost })?;
        let mut tried = 0;
        loop {
            tried += 1;
            let failed = match self.once(call, &url, deadline).and_then(&finish) {
                Ok(done) => return Ok(done),
                Err(failed) => failed,
            };
            lost = lost || failed.is_lost();
            let last = |error| LastFailure {
                error: uncertain(error, call, lost),
                lost,
            };
            if !failed.again || !self.may_repeat(call, &failed, tried, lost, deadline) {
                return Err(last(failed.error));
            }
            let pause = match failed.pause {
                Some(requested) if requested > LONGEST_PAUSE => {
                    let seconds = requested.as_secs();
                    let hint = format!("the server asks to wait; try again in {seconds} s");
                    return Err(last(failed.error.hint(hint)));
                }
                // The jitter keeps clients that were refused together from coming back together.
                Some(requested) => requested + Duration::from_millis(fastrand::u64(0..250)),
                None => Duration::from_millis(fastrand::u64(100..200) << tried.min(4)),
            };
            if Instant::now() + pause >= deadline {
                return Err(last(failed.error));
            }
            if !self.pause(pause) {
                return Err(last(Error::new(Code::Interrupted, "interrupted")));
            }
        }
    }

    /// Whether a call that failed may be sent again. `lost` is whether this or an earlier try may have taken effect.
    fn may_repeat(&self, call: &ApiCall<'_>, failed: &FailedCall, tried: u32, lost: bool, deadline: Instant) -> bool {
        if tried < self.patience.tries && (call.repeatable || failed.unsent && !lost) {
            return true;
        }
        // The same key makes the same change once, and asks for its answer.
        let most = if self.patience.tries > 1 {
            TRIES_FOR_THE_ANSWER
        } else {
            1
        };
        lost && call.key.is_some() && tried < most && self.is_keyed(deadline)
    }

    /// Whether the server makes a change with a key once. One that has not said so yet is asked until it does, or the time is up.
    fn is_keyed(&self, deadline: Instant) -> bool {
        for _ in 0..TRIES_FOR_THE_ANSWER {
            self.probe(deadline);
            let left = deadline.saturating_duration_since(Instant::now());
            if self.knows_keys.get().is_some() || left.is_zero() || !self.pause(Duration::from_secs(1).min(left)) {
                break;
            }
        }
        self.knows_keys.get().unwrap_or(false)
    }

    /// Asks the server once whether it knows keys, unless it has said so.
    fn probe(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        if self.knows_keys.get().is_none()
            && let (Ok(client), Ok(url)) = (self.client(), self.url(&Operation::Health.path(None, &[]), &[]))
            && let Ok(response) = client.get(url).timeout(left.min(PROBE)).send()
        {
            self.note_keys(&response);
        }
    }

    /// Whether this is torso's own server. One that does not answer counts as another.
    pub(super) fn is_torso(&self) -> bool {
        self.probe(self.patience.deadline(self.patience.call));
        self.knows_keys.get().unwrap_or(false)
    }

    pub(super) fn note_keys(&self, response: &Response) {
        let announced = response
            .headers()
            .get(ANNOUNCEMENT)
            .is_some_and(|value| value == ANNOUNCED);
        // A proxy that answers for a server that is away says nothing about that.
        if announced || response.status().as_u16() < 500 {
            self.knows_keys.set(Some(announced));
        }
    }

    /// Waits; false if the user has interrupted the command.
    fn pause(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        while let left = until.saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            if (self.patience.stopped)() {
                return false;
            }
            std::thread::sleep(left.min(POLL));
        }
        true
    }
}

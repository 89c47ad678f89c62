//! How a call failed, and whether it may be sent again.

use super::call::ApiCall;
use crate::control::endpoints::Method;
use crate::error::{Code, Error};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A failed call.
pub(super) struct FailedCall {
    pub error: Error,
    /// Whether it may succeed when it is sent again.
    pub again: bool,
    /// Whether it is certain that nothing was done.
    pub unsent: bool,
    /// How long the server asks to wait.
    pub pause: Option<Duration>,
}

impl FailedCall {
    /// A failure that may be over in a moment.
    pub fn for_now(error: Error) -> Self {
        Self {
            again: true,
            ..Self::forever(error)
        }
    }

    pub fn forever(error: Error) -> Self {
        Self {
            error,
            again: false,
            unsent: false,
            pause: None,
        }
    }
}

impl From<FailedCall> for Error {
    fn from(failed: FailedCall) -> Self {
        failed.error
    }
}

impl FailedCall {
    /// Whether the call may have taken effect although its answer was lost.
    pub fn is_lost(&self) -> bool {
        matches!(self.error.code(), Code::Unavailable | Code::Timeout) && !self.unsent
    }
}

/// The error of a call, with a hint where it may have taken effect in this try or an earlier one.
pub(super) fn uncertain(error: Error, call: &ApiCall<'_>, lost: bool) -> Error {
    if lost && call.method != Method::Get && error.kind().retryable() {
        return error.hint(MAY_BE_MADE);
    }
    error
}

/// What to say of a change whose outcome is not known.
const MAY_BE_MADE: &str = "the change may have been made: check before you try again";

/// How many changes this process has sent without knowing their outcome.
static CHANGES_UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// Lives while the outcome of a change is not known.
pub(super) struct ChangeUnderWay;

impl ChangeUnderWay {
    /// Counts a call that changes something; none for one that only reads.
    pub fn begin(call: &ApiCall<'_>) -> Option<Self> {
        (call.method != Method::Get).then(|| {
            CHANGES_UNDER_WAY.fetch_add(1, Ordering::SeqCst);
            Self
        })
    }
}

impl Drop for ChangeUnderWay {
    fn drop(&mut self) {
        CHANGES_UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What to say when the process ends now, between sending a change and its answer; none if there is no such change.
#[must_use]
pub fn hint_of_unknown_outcome() -> Option<&'static str> {
    (CHANGES_UNDER_WAY.load(Ordering::SeqCst) > 0).then_some(MAY_BE_MADE)
}

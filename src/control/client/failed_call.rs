//! How a call failed, and whether it may be sent again.

use super::call::ApiCall;
use crate::change_outcome::MAY_BE_MADE;
use crate::control::endpoints::Method;
use crate::error::{Code, Error};
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

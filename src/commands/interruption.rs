//! Ctrl-C during the long steps of commands.

use crate::error::{Code, Error, Result};
use crate::shell::interrupt;

/// Takes Ctrl-C over from now on: long work asks [`check_interrupted`] now and then, and ends in order.
#[cfg(feature = "server")]
pub(super) fn catch_interrupts() {
    interrupt::install();
}

/// Stops long work after Ctrl-C.
pub(super) fn check_interrupted() -> Result<()> {
    if interrupt::pressed() {
        Err(Error::new(Code::Interrupted, "interrupted"))
    } else {
        Ok(())
    }
}

//! Ctrl-C during the long steps of commands about databases.

use crate::error::{Code, Error, Result};
use crate::shell::interrupt;

/// Stops long work after Ctrl-C.
pub(super) fn check_interrupted() -> Result<()> {
    if interrupt::pressed() {
        Err(Error::new(Code::Interrupted, "interrupted"))
    } else {
        Ok(())
    }
}

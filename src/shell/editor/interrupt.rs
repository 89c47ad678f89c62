//! Ctrl-C while a statement runs.
//!
//! While a person types, Ctrl-C is a key and the line editor's. While a statement runs it is a signal: [`listen`] makes it
//! call whatever [`guard`] was given last, and nothing more, so that the shell itself survives it.

use crate::error::{Code, Error, Result};
use crate::sql::Interrupter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};

static CURRENT: Mutex<Option<Interrupter>> = Mutex::new(None);
static PRESSED: AtomicBool = AtomicBool::new(false);
static LISTENING: Once = Once::new();

/// From now on Ctrl-C (and SIGTERM's kin stay as they are) stops the running statement instead of the program.
///
/// # Errors
/// If the handler cannot be installed.
pub fn listen() -> Result<()> {
    let mut result = Ok(());
    LISTENING.call_once(|| {
        result = ctrlc::set_handler(pressed)
            .map_err(|error| Error::new(Code::Internal, "Ctrl-C cannot be caught").caused_by(error));
    });
    result
}

/// Runs on the handler's own thread.
fn pressed() {
    PRESSED.store(true, Ordering::SeqCst);
    let current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(interrupt) = current {
        interrupt();
    }
}

/// While it lives, Ctrl-C calls its interrupter.
pub struct Guard(());

/// Routes Ctrl-C to `interrupter` until the guard is dropped.
#[must_use]
pub fn guard(interrupter: Interrupter) -> Guard {
    PRESSED.store(false, Ordering::SeqCst);
    *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = Some(interrupter);
    Guard(())
}

impl Guard {
    /// Whether Ctrl-C was pressed since the guard was made: what is left of a script or a paste should not run.
    #[must_use]
    pub fn pressed(&self) -> bool {
        PRESSED.load(Ordering::SeqCst)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

//! What this process has changed, or may have changed, when it ends before its work is done: by `--timeout`, Ctrl-C or a signal.
//!
//! Whoever sends a change to a server or runs a statement notes it here; whoever ends the process early asks for the hint. A command
//! that ends by itself needs none of it: its error says what became of its work.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What to say of a change whose outcome is not known.
pub const MAY_BE_MADE: &str = "the change may have been made: check before you try again";

/// What to say where something was done before the end.
const DONE_BEFORE: &str = "what was done before stays done: check before you run it again";

/// How many changes are under way.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// Whether something has been changed for good.
static CHANGED: AtomicBool = AtomicBool::new(false);

/// Lives while the outcome of a change is not known.
#[derive(Debug)]
pub struct ChangeUnderWay(());

impl ChangeUnderWay {
    /// Counts a change that begins now.
    #[must_use]
    pub fn begin() -> Self {
        UNDER_WAY.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for ChangeUnderWay {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Notes that something was changed which stays if the process ends now, and which doing the same again would change twice.
pub fn note_lasting_change() {
    CHANGED.store(true, Ordering::SeqCst);
}

/// What to say of changes when the process ends now; none if it has changed nothing that it knows of.
#[must_use]
pub fn hint_of_changes() -> Option<&'static str> {
    if UNDER_WAY.load(Ordering::SeqCst) > 0 {
        Some(MAY_BE_MADE)
    } else {
        CHANGED.load(Ordering::SeqCst).then_some(DONE_BEFORE)
    }
}

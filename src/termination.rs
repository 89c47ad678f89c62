//! Whether SIGTERM has this process put things in order, or ends it at once. What catches the signal says so here, and a time limit
//! asks before it sends the signal. What is put in order is up to who catches it.

use std::sync::atomic::{AtomicBool, Ordering};

static CAUGHT: AtomicBool = AtomicBool::new(false);

/// Notes that SIGTERM is caught from now on.
pub fn note_caught() {
    CAUGHT.store(true, Ordering::SeqCst);
}

/// Whether SIGTERM is caught.
pub fn is_caught() -> bool {
    CAUGHT.load(Ordering::SeqCst)
}

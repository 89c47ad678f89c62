//! What the engine notes of its troubles: statements that fail and why, indexes that it had to make for itself, logs that it
//! recovered. One listener for the whole process, because the engine has one log.

use crate::sync::lock;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Takes a result code and a text. Must not use the engine.
pub type Listener = Box<dyn Fn(i32, &str) + Send>;

static LISTENER: Mutex<Option<Listener>> = Mutex::new(None);
static INSTALLED: AtomicBool = AtomicBool::new(false);

fn noted(code: i32, text: &str) {
    if let Some(listener) = &*lock(&LISTENER) {
        listener(code, text);
    }
}

/// Has the engine call us. Only before anything in the process has used it; too late, it comes to nothing.
pub fn install() {
    // SAFETY: called at the start of the program, when no other thread runs and no connection is open. The function stays
    // for the life of the process, keeps nothing of what it is given, and does not call the engine.
    #[allow(unsafe_code)]
    let installed = unsafe { rusqlite::trace::config_log(Some(noted)) };
    INSTALLED.store(installed.is_ok(), Ordering::Relaxed);
}

/// Whether the engine tells what it notes.
#[must_use]
pub fn is_installed() -> bool {
    INSTALLED.load(Ordering::Relaxed)
}

/// Has `listener` hear of what the engine notes from now on.
pub fn listen(listener: Option<Listener>) {
    *lock(&LISTENER) = listener;
}

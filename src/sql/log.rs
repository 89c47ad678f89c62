//! SQLite's error log: statements that fail and why, automatic indexes, recovered write-ahead logs. There is one
//! listener for the whole process, because SQLite has one log.

use crate::sync::lock;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Called with a result code and a text. It must not use SQLite.
pub type LogListener = Box<dyn Fn(i32, &str) + Send>;

static LISTENER: Mutex<Option<LogListener>> = Mutex::new(None);
static INSTALLED: AtomicBool = AtomicBool::new(false);

fn noted(code: i32, text: &str) {
    if let Some(listener) = &*lock(&LISTENER) {
        listener(code, text);
    }
}

/// Registers with SQLite. It must be called before anything in the process uses SQLite; later it has no effect.
pub fn install() {
    // SAFETY: called at the start of the program, when no other thread runs and no connection is open. The function stays
    // for the life of the process, keeps nothing of what it is given, and does not call the engine.
    #[allow(unsafe_code)]
    let installed = unsafe { rusqlite::trace::config_log(Some(noted)) };
    INSTALLED.store(installed.is_ok(), Ordering::Relaxed);
}

/// Whether [`install`] has succeeded.
#[must_use]
pub fn is_installed() -> bool {
    INSTALLED.load(Ordering::Relaxed)
}

/// Sets who is called for entries of the log from now on.
pub fn listen(listener: Option<LogListener>) {
    *lock(&LISTENER) = listener;
}

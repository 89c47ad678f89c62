//! Whether SIGTERM has this process put things in order, or ends it at once. What catches the signal says so here, and a time limit
//! asks before it sends the signal. What is put in order is up to who catches it. And which signals stay ignored.

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

/// Whether this process was started with a signal ignored, as `nohup` does. It stays ignored then.
#[cfg(target_os = "linux")]
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| (mask >> (signal - 1)) & 1 == 1)
}

/// Elsewhere the system does not tell without a change of the signal's handling, so SIGHUP is left as it is.
#[cfg(all(unix, not(target_os = "linux")))]
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    signal == signal_hook::consts::SIGHUP
}

//! The pause before a program that ended is started again.

use std::time::Duration;

/// Doubled each time, up to the longest. A program that was ready is missed by its users meanwhile, and costs little to start: it
/// does not wait as long as one that cannot start.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(15);
const LONGEST_AFTER_READY: Duration = Duration::from_secs(1);

/// After a program was up for so long, the next pause is the first one again.
pub(super) const STEADY: Duration = Duration::from_secs(10);

/// The pause after a program ended that lived for so long.
pub(super) fn next_pause(last: Option<Duration>, was_ready: bool, lived: Duration) -> Duration {
    let longest = if was_ready { LONGEST_AFTER_READY } else { LONGEST };
    match last {
        Some(last) if lived <= STEADY => (last * 2).min(longest),
        _ => FIRST,
    }
}

//! How long writes take to a replica's process, as the canary tells (see `canary`): of the writes that it has shown, and of
//! those that it has not shown yet.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A canary that a replica does not show for so long is copied again there: databases are followed one by one, and it may be
/// the only one that is stuck.
const STALL: Duration = Duration::from_secs(30);

/// The most writes that are remembered while a replica does not show them.
const MOST_UNSEEN: usize = 64;

/// What the canary has told of a replica's process.
#[derive(Debug, Default)]
pub(super) struct ReplicaDelay {
    /// How long the last write that was seen took.
    last: Option<Duration>,
    /// Writes that it has not shown yet, and when they were acknowledged.
    unseen: VecDeque<(i64, Instant)>,
    /// When the canary was copied again there.
    pub copied_at: Option<Instant>,
}

impl ReplicaDelay {
    /// How long a write takes until the replica shows it; at least so long, while it does not show one. None before the first.
    pub fn at(&self, now: Instant) -> Option<Duration> {
        let unseen = self.unseen.front().map(|(_, since)| now.duration_since(*since));
        // One that was written a moment ago says less than the one before.
        unseen.into_iter().chain(self.last).max()
    }

    pub fn note_write(&mut self, number: i64, now: Instant) {
        if self.unseen.len() < MOST_UNSEEN {
            self.unseen.push_back((number, now));
        }
    }

    /// Notes what a read has found. True if nothing is missing any more.
    pub fn note_read(&mut self, number: i64, now: Instant) -> bool {
        if let Some(index) = self.unseen.iter().position(|(write, _)| *write == number) {
            let since = self.unseen[index].1;
            self.last = Some(now.duration_since(since));
            self.unseen.drain(..=index);
        }
        self.unseen.is_empty()
    }

    /// Whether the canary is to be copied again at the replica.
    pub fn is_stuck(&self, now: Instant) -> bool {
        let is_past = |since: Instant| now.duration_since(since) > STALL;
        self.unseen.front().is_some_and(|(_, since)| is_past(*since)) && self.copied_at.is_none_or(is_past)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canary_delay_is_that_of_the_oldest_write_that_is_not_seen() {
        let begun = Instant::now();
        let after = |ms: u64| begun + Duration::from_millis(ms);
        let ms = |ms: u64| Some(Duration::from_millis(ms));
        let mut delay = ReplicaDelay::default();
        assert_eq!(delay.at(begun), None);
        delay.note_write(1, begun);
        assert!(delay.note_read(1, after(3)));
        assert_eq!(delay.at(after(9_000)), ms(3));
        delay.note_write(2, after(10_000));
        // An older state says nothing.
        assert!(!delay.note_read(1, after(10_001)));
        assert_eq!(delay.at(after(10_001)), ms(3));
        delay.note_write(3, after(20_000));
        assert_eq!(delay.at(after(22_000)), ms(12_000));
        // It moves, but is always twelve seconds behind.
        assert!(!delay.note_read(2, after(22_000)));
        assert_eq!(delay.at(after(22_000)), ms(12_000));
        assert!(delay.note_read(3, after(22_500)));
        assert_eq!(delay.at(after(30_000)), ms(2_500));
    }

    #[test]
    fn canary_that_is_stuck_is_copied_again_once_in_a_while() {
        let begun = Instant::now();
        let after = |seconds: u64| begun + Duration::from_secs(seconds);
        let mut delay = ReplicaDelay::default();
        for second in 0..100 {
            delay.note_write(second, begun);
        }
        assert_eq!(delay.unseen.len(), MOST_UNSEEN);
        assert!(!delay.is_stuck(after(30)));
        assert!(delay.is_stuck(after(31)));
        delay.copied_at = Some(after(31));
        assert!(!delay.is_stuck(after(60)) && delay.is_stuck(after(62)));
    }
}

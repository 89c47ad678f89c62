//! Positions in the logs of databases, as clients carry them from a write to a read at another instance.

use crate::engine::Frame;
use std::fmt;
use std::str::FromStr;

/// A position in a database's log: what a client has written, and wants to see at a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPosition {
    epoch: u64,
    frame: Frame,
}

impl fmt::Display for LogPosition {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}-{:032x}-{}", self.epoch, self.frame.log, self.frame.count)
    }
}

impl FromStr for LogPosition {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut parts = text.split('-');
        let (Some(epoch), Some(log), Some(count), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(());
        };
        if log.len() != 32 || ![epoch, log, count].into_iter().all(digits) {
            return Err(());
        }
        Ok(Self {
            epoch: epoch.parse().map_err(drop)?,
            frame: Frame {
                log: u128::from_str_radix(log, 16).map_err(drop)?,
                count: count.parse().map_err(drop)?,
            },
        })
    }
}

impl LogPosition {
    /// Returns a position in the log of the primary of an epoch.
    #[must_use]
    pub fn new(epoch: u64, frame: Frame) -> Self {
        Self { epoch, frame }
    }

    /// How far it is in the log.
    #[must_use]
    pub fn frame(&self) -> Frame {
        self.frame
    }

    /// Whether an instance of an epoch that has `own` has everything up to this position. Of another log it has it when it has all
    /// that its primary has, which began that log with everything.
    #[must_use]
    pub fn is_reached(&self, epoch: u64, own: Frame, primary: Option<Frame>) -> bool {
        if epoch == self.epoch && own.log == self.frame.log {
            return own.count >= self.frame.count;
        }
        let has_all = |primary: Frame| own.log == primary.log && own.count >= primary.count;
        epoch >= self.epoch && primary.is_some_and(has_all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(log: u128, count: u64) -> Frame {
        Frame { log, count }
    }

    #[test]
    fn log_position_is_read_as_it_was_written_and_nothing_else_is() {
        let position = LogPosition {
            epoch: 3,
            frame: frame(u128::MAX - 1, 41),
        };
        let text = position.to_string();
        assert_eq!(text, "3-fffffffffffffffffffffffffffffffe-41");
        assert_eq!(text.parse(), Ok(position));
        let long = format!("{text}0000000000000000000000");
        for text in [
            "",
            "1",
            "3--41",
            "3-ff-41",
            "+3-fffffffffffffffffffffffffffffffe-41",
            &long,
            &text[1..],
        ] {
            assert_eq!(text.parse::<LogPosition>(), Err(()), "{text}");
        }
    }

    #[test]
    fn log_position_is_reached_by_its_own_log_or_by_everything_of_a_later_one() {
        let wanted = LogPosition {
            epoch: 2,
            frame: frame(7, 40),
        };
        for (epoch, own, primary, is_reached) in [
            (2, frame(7, 40), Some(frame(7, 90)), true),
            (2, frame(7, 39), Some(frame(7, 40)), false),
            (2, frame(7, 40), None, true),
            // The primary's process was killed, and began another log.
            (2, frame(8, 5), Some(frame(8, 6)), false),
            (2, frame(8, 6), Some(frame(8, 6)), true),
            (2, frame(6, 900), Some(frame(8, 6)), false),
            (2, frame(8, 6), None, false),
            // The primary was moved.
            (3, frame(7, 40), Some(frame(9, 2)), false),
            (3, frame(9, 2), Some(frame(9, 2)), true),
            // The route is older than the position.
            (1, frame(7, 99), Some(frame(7, 99)), false),
        ] {
            assert_eq!(
                wanted.is_reached(epoch, own, primary),
                is_reached,
                "{epoch} {own:?} {primary:?}"
            );
        }
    }
}

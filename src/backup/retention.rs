//! Which backups are kept: the newest of each of the last so many hours, days, weeks, months and years (grandfather, father, son).

use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// How many backups of each kind are kept. Times are UTC; weeks begin on Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Retention {
    hours: u32,
    days: u32,
    weeks: u32,
    months: u32,
    years: u32,
}

/// The number of the period that a time is in.
type PeriodOf = fn(Timestamp) -> i64;

impl Retention {
    /// A week of days, a month of weeks and a year of months.
    pub const USUAL: Self = Self {
        hours: 0,
        days: 7,
        weeks: 4,
        months: 12,
        years: 0,
    };

    /// The times in `all` that are not kept. The newest always is, and so is what is in the future by another clock.
    #[must_use]
    pub fn expired(&self, all: &[Timestamp]) -> Vec<Timestamp> {
        let mut sorted = all.to_vec();
        sorted.sort_unstable_by(|one, other| other.cmp(one));
        let mut retained: BTreeSet<Timestamp> = sorted.first().copied().into_iter().collect();
        for (count, period) in self.periods() {
            let mut seen = BTreeSet::new();
            for at in &sorted {
                if seen.len() >= count as usize {
                    break;
                }
                if seen.insert(period(*at)) {
                    retained.insert(*at);
                }
            }
        }
        sorted.retain(|at| !retained.contains(at));
        sorted
    }

    fn periods(&self) -> [(u32, PeriodOf); 5] {
        [
            (self.hours, |at| at.as_second().div_euclid(3_600)),
            (self.days, day),
            // The first day of 1970 was a Thursday.
            (self.weeks, |at| (day(at) + 3).div_euclid(7)),
            (self.months, |at| {
                let date = date(at);
                i64::from(date.year()) * 12 + i64::from(date.month())
            }),
            (self.years, |at| i64::from(date(at).year())),
        ]
    }

    fn units(&self) -> [(u32, char); 5] {
        [
            (self.hours, 'h'),
            (self.days, 'd'),
            (self.weeks, 'w'),
            (self.months, 'm'),
            (self.years, 'y'),
        ]
    }
}

fn day(at: Timestamp) -> i64 {
    at.as_second().div_euclid(86_400)
}

fn date(at: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}

impl FromStr for Retention {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Err(Error::new(
                Code::InvalidValue,
                format!("{text:?} does not say which backups to keep: {why}"),
            )
            .hint("write counts of hours, days, weeks, months and years, such as 7d,4w,12m"))
        };
        let mut retention = Self::default();
        for part in text.split(',') {
            let (Some(unit), Some(count)) = (part.chars().next_back(), part.get(..part.len().saturating_sub(1))) else {
                return refuse("a part is empty");
            };
            let place = match unit {
                'h' => &mut retention.hours,
                'd' => &mut retention.days,
                'w' => &mut retention.weeks,
                'm' => &mut retention.months,
                'y' => &mut retention.years,
                _ => return refuse("a count ends with h, d, w, m or y"),
            };
            match count.parse() {
                Ok(count @ 1..=10_000) if *place == 0 => *place = count,
                Ok(1..=10_000) => return refuse("a unit stands twice"),
                _ => return refuse("a count is 1 to 10000"),
            }
        }
        Ok(retention)
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self
            .units()
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, unit)| format!("{count}{unit}"))
            .collect();
        f.write_str(&parts.join(","))
    }
}

impl TryFrom<String> for Retention {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Retention> for String {
    fn from(retention: Retention) -> Self {
        retention.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    fn retained(retention: &str, all: &[Timestamp]) -> Vec<String> {
        let expired = retention.parse::<Retention>().unwrap().expired(all);
        let retained = all.iter().filter(|at| !expired.contains(at));
        retained.map(ToString::to_string).collect()
    }

    /// A backup every six hours of two years, the oldest first.
    fn two_years() -> Vec<Timestamp> {
        let end: Timestamp = "2026-11-30T18:00:00Z".parse().unwrap();
        let mut all: Vec<_> = (0..2 * 365 * 4)
            .map(|six| end - SignedDuration::from_hours(6 * six))
            .collect();
        all.reverse();
        all
    }

    #[test]
    fn retention_keeps_the_newest_of_each_period() {
        let all = two_years();
        let days = ["2026-11-28T18:00:00Z", "2026-11-29T18:00:00Z", "2026-11-30T18:00:00Z"];
        assert_eq!(retained("3d", &all), days);
        // 30 November 2026 is a Monday.
        assert_eq!(
            retained("3w", &all),
            ["2026-11-22T18:00:00Z", "2026-11-29T18:00:00Z", "2026-11-30T18:00:00Z"]
        );
        assert_eq!(
            retained("3m", &all),
            ["2026-09-30T18:00:00Z", "2026-10-31T18:00:00Z", "2026-11-30T18:00:00Z"]
        );
        assert_eq!(retained("2y", &all), ["2025-12-31T18:00:00Z", "2026-11-30T18:00:00Z"]);
        assert_eq!(retained("1h", &all), ["2026-11-30T18:00:00Z"]);
        // Of the weeks, the last two are among the days; so is the last month.
        assert_eq!(retained("7d,4w,12m", &all).len(), 7 + 2 + 11);
    }

    #[test]
    fn retention_counts_periods_that_have_backups_and_keeps_the_newest() {
        let all: Vec<Timestamp> = ["2020-01-01T00:00:00Z", "2023-05-05T00:00:00Z", "2026-11-30T00:00:00Z"]
            .map(|at| at.parse().unwrap())
            .into();
        assert_eq!(retained("3d", &all).len(), 3);
        assert_eq!(retained("1y", &all), ["2026-11-30T00:00:00Z"]);
        assert!(Retention::USUAL.expired(&[]).is_empty());
        assert_eq!(Retention::default().expired(&all).len(), 2);
    }

    #[test]
    fn retention_applied_again_expires_nothing_more() {
        let all = two_years();
        let expired = Retention::USUAL.expired(&all);
        let rest: Vec<_> = all.into_iter().filter(|at| !expired.contains(at)).collect();
        assert!(Retention::USUAL.expired(&rest).is_empty());
    }

    #[test]
    fn retention_is_read_as_it_is_written() {
        assert_eq!(Retention::USUAL.to_string(), "7d,4w,12m");
        assert_eq!("7d,4w,12m".parse::<Retention>().unwrap(), Retention::USUAL);
        assert_eq!("2y,24h".parse::<Retention>().unwrap().to_string(), "24h,2y");
        for wrong in ["", "7", "d", "7d,", "0d", "7d,7d", "-1d", "7x", "99999d", "7 d", "é"] {
            assert_eq!(
                wrong.parse::<Retention>().unwrap_err().code(),
                Code::InvalidValue,
                "{wrong}"
            );
        }
    }
}

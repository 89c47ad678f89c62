//! Names of backups: when they were made, and random digits.

use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The id of a backup, such as `20261130-031500-4f3a9c1b`: date and time in UTC, three digits for milliseconds, and five
/// that are random. Ids in order are in order of time.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupId(String);

impl BackupId {
    /// A new id of a backup that is made at a time.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        let time = at.strftime("%Y%m%d-%H%M%S");
        let milliseconds = at.subsec_millisecond();
        Self(format!("{time}-{milliseconds:03x}{:05x}", fastrand::u32(..1 << 20)))
    }

    /// Whether its time is more than some hours ago. One without a valid time is not.
    pub(super) fn is_older_than(&self, hours: i64) -> bool {
        let time = self
            .0
            .get(..15)
            .and_then(|time| DateTime::strptime("%Y%m%d-%H%M%S", time).ok());
        let at = time.and_then(|time| TimeZone::UTC.to_timestamp(time).ok());
        at.is_some_and(|at| Timestamp::now().as_second() - at.as_second() > hours * 3_600)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BackupId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = |part: &str, length: usize| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
        let is_hex = |part: &str| part.len() == 8 && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match text.split('-').collect::<Vec<_>>()[..] {
            [date, time, random] if digits(date, 8) && digits(time, 6) && is_hex(random) => Ok(Self(text.to_owned())),
            _ => Err(
                Error::new(Code::InvalidValue, format!("{text:?} is not the id of a backup"))
                    .hint("ids look like 20261130-031500-4f3a9c1b; torso db backups shows them"),
            ),
        }
    }
}

impl TryFrom<String> for BackupId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<BackupId> for String {
    fn from(id: BackupId) -> Self {
        id.0
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backup_id_is_its_time_and_is_read_back() {
        let at: Timestamp = "2026-11-30T03:15:00Z".parse().unwrap();
        let id = BackupId::new(at);
        assert!(id.as_str().starts_with("20261130-031500-"), "{id}");
        assert_eq!(id.as_str().parse::<BackupId>().unwrap(), id);
    }

    #[test]
    fn backup_id_of_another_form_is_refused() {
        for wrong in [
            "",
            "app",
            "20261130-031500",
            "20261130-031500-4f3a9c1",
            "20261130-031500-4F3A9C1B",
            "20261130-031500-4f3a9c1b-",
            "../20261130-031500-4f3a9c1b",
            "2026113x-031500-4f3a9c1b",
        ] {
            assert_eq!(
                wrong.parse::<BackupId>().unwrap_err().code(),
                Code::InvalidValue,
                "{wrong}"
            );
        }
    }
}

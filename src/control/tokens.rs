//! Database tokens and usage: the types for planes that stand between applications and their databases. Spelled as in
//! the Platform API (`tests/data/platform-api.openapi.json`: CreateTokenInput, Usage), with a few fields added. The hosted plane
//! signs and checks tokens; API tokens of users are in [`super::accounts`].

use super::names::{DatabaseName, GroupName};
use crate::error::{Code, Error};
use crate::secret::Secret;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What the bearer of a database token may do.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authorization {
    #[default]
    FullAccess,
    ReadOnly,
}

/// How long a token is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expiration {
    #[default]
    Never,
    After(Duration),
}

impl FromStr for Expiration {
    type Err = Error;

    /// `never`, `none`, `default`, or units from weeks to seconds in any order and once each: `2w1d30m`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::new(Code::InvalidValue, format!("{text:?} is not an expiration"))
                .hint("use never, or a time such as 30m, 2d or 2w1d30m")
        };
        if matches!(text, "never" | "none" | "default" | "") {
            return Ok(Self::Never);
        }
        let mut seconds = 0_u64;
        let mut digits = String::new();
        let mut seen = String::new();
        for c in text.chars() {
            if c.is_ascii_digit() {
                digits.push(c);
                continue;
            }
            let unit = match c {
                'w' => 604_800,
                'd' => 86_400,
                'h' => 3_600,
                'm' => 60,
                's' => 1,
                _ => return Err(wrong()),
            };
            if seen.contains(c) {
                return Err(wrong());
            }
            seen.push(c);
            let count: u64 = digits.parse().map_err(|_| wrong())?;
            digits.clear();
            seconds = count
                .checked_mul(unit)
                .and_then(|part| seconds.checked_add(part))
                .ok_or_else(wrong)?;
        }
        // A hundred years is the longest: a token that should live longer may as well never expire.
        if !digits.is_empty() || seconds == 0 || seconds > 3_155_760_000 {
            return Err(wrong());
        }
        Ok(Self::After(Duration::from_secs(seconds)))
    }
}

impl fmt::Display for Expiration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::After(span) => write!(f, "{}s", span.as_secs()),
        }
    }
}

/// The request for a database token. On the wire, `expiration` and `authorization` are in the query.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NewToken {
    /// Its name in lists. Not in the Platform API.
    pub name: Option<String>,
    pub expiration: Expiration,
    pub authorization: Authorization,
    pub permissions: TokenPermissions,
}

/// The body of a request for a token.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenPermissions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<AttachPermissions>,
    /// Permissions on tables. No engine here can enforce them, so they are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fine_grained_permissions: Option<Vec<TablePermission>>,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AttachPermissions {
    pub read_attach: AttachList,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AttachList {
    pub databases: Vec<String>,
}

/// Permitted actions on tables; without tables, on all of them.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TablePermission {
    #[serde(rename = "t")]
    pub tables: Option<Vec<String>>,
    #[serde(rename = "a")]
    pub actions: Vec<String>,
}

/// A new database token, with its text, which is not stored.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Minted {
    pub jwt: Secret,
    /// The id by which it is listed and revoked. Not in the Platform API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub expires_at: Option<Timestamp>,
}

/// A database token as it is stored: everything but its text.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseToken {
    pub id: String,
    #[serde(default)]
    pub name: Option<String>,
    /// The database it opens; none for one that opens a whole group.
    #[serde(default)]
    pub database: Option<DatabaseName>,
    pub group: GroupName,
    pub authorization: Authorization,
    #[cfg_attr(test, schemars(with = "String"))]
    pub created_at: Timestamp,
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub expires_at: Option<Timestamp>,
    /// The user who made it.
    pub created_by: String,
    /// When it was revoked, by itself or with others by a rotation.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub revoked_at: Option<Timestamp>,
}

/// The name of tokens that torso's commands make for themselves.
pub const OWN_LABEL: &str = "torso";

/// How long such a token is valid: longer than the reading of any result, and short in case it leaks. Commands that run
/// for longer renew it.
pub const OWN_LIFE: Duration = Duration::from_secs(3_600);

impl NewToken {
    /// Whether a command of torso makes it for itself.
    #[must_use]
    pub fn is_of_a_command(&self) -> bool {
        self.name.as_deref() == Some(OWN_LABEL)
            && matches!(self.expiration, Expiration::After(life) if life <= OWN_LIFE)
    }
}

impl DatabaseToken {
    /// Whether a command of torso made it for itself. A token with a longer life does not count, whatever its name.
    #[must_use]
    pub fn is_of_a_command(&self) -> bool {
        self.name.as_deref() == Some(OWN_LABEL)
            && self
                .expires_at
                .is_some_and(|end| end.duration_since(self.created_at).unsigned_abs() <= OWN_LIFE)
    }
}

/// Usage: rows and bytes.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    pub rows_read: u64,
    pub rows_written: u64,
    pub storage_bytes: u64,
    pub bytes_synced: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.rows_read += other.rows_read;
        self.rows_written += other.rows_written;
        self.storage_bytes += other.storage_bytes;
        self.bytes_synced += other.bytes_synced;
    }
}

/// The usage of one instance.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceUsage {
    pub uuid: String,
    pub usage: Usage,
}

/// The usage of a database. `usage` and `total` are the same numbers: clients read one or the other.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseUsage {
    pub uuid: String,
    pub instances: Vec<InstanceUsage>,
    #[serde(default)]
    pub usage: Usage,
    #[serde(default)]
    pub total: Usage,
}

/// A statement, and the rows it cost.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueryUsage {
    pub query: String,
    pub rows_read: u64,
    pub rows_written: u64,
}

/// The time span of a usage request; by default, from the beginning of the month until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_expiration_is_parsed_and_displayed() {
        let seconds = |text: &str| match text.parse::<Expiration>().unwrap() {
            Expiration::Never => 0,
            Expiration::After(span) => span.as_secs(),
        };
        assert_eq!(seconds("never"), 0);
        assert_eq!(seconds("none"), 0);
        assert_eq!(seconds("5m"), 300);
        assert_eq!(seconds("7d"), 604_800);
        assert_eq!(seconds("2w1d30m"), 2 * 604_800 + 86_400 + 1_800);
        for text in [
            "5",
            "m",
            "1x",
            "1d1d",
            "-1d",
            "0s",
            "1.5h",
            "99999999999999999999d",
            "never ",
        ] {
            assert!(text.parse::<Expiration>().is_err(), "{text}");
        }
    }
}

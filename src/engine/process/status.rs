//! What a supervised program is called, and how it is.

use std::fmt;
use std::time::Duration;

/// Which program it is, in errors, in the log and in metrics.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessLabel {
    pub location: String,
    pub group: String,
    /// The only database that it serves; none where those of a group share it.
    pub database: Option<OnlyDatabase>,
    /// The name of the pool, which no two pools share.
    pub pool: String,
    /// Such as `primary`.
    pub role: &'static str,
}

/// A database with a process of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OnlyDatabase {
    pub id: String,
    pub name: String,
}

impl ProcessLabel {
    /// The name of the only database that it serves.
    #[must_use]
    pub fn database_name(&self) -> Option<&str> {
        self.database.as_ref().map(|database| database.name.as_str())
    }
}

impl fmt::Display for ProcessLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (group, location) = (&self.group, &self.location);
        match self.database_name() {
            Some(name) => write!(f, "libSQL server of database {name} (group {group}) in {location}"),
            None => write!(f, "libSQL server of group {group} in {location}"),
        }
    }
}

/// The state of a supervised program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessStatus {
    pub label: ProcessLabel,
    pub is_ready: bool,
    /// It runs, and did not answer when it was last asked.
    pub is_silent: bool,
    /// Of a replica's: how long a write takes until it is visible there, as last measured; at least so long, while one is not.
    pub delay: Option<Duration>,
    pub pid: Option<u32>,
    /// Bytes of memory that it takes, without that of files, where that is known.
    pub memory: Option<u64>,
    /// How often it has failed to start or ended by itself, since the beginning.
    pub failures: u64,
    /// Why it does not run, or did not before it was started last.
    pub failure: Option<String>,
}

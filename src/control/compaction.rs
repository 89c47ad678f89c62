//! The result of compacting a database.

use super::names::DatabaseName;
use serde::{Deserialize, Serialize};

/// What a compaction has done, or would do.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compaction {
    pub database: DatabaseName,
    /// Bytes of the primary on disk before, with its write-ahead log.
    pub bytes_before: u64,
    /// The same afterwards; as estimated from its free pages, if it was not compacted.
    pub bytes_after: u64,
    /// False if nothing was to be gained, and after a dry run.
    pub compacted: bool,
    /// How long writes waited, in milliseconds; absent where nobody waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage_ms: Option<u64>,
}

impl Compaction {
    /// Bytes that are free on disk again.
    #[must_use]
    pub fn freed_bytes(&self) -> u64 {
        self.bytes_before.saturating_sub(self.bytes_after)
    }
}

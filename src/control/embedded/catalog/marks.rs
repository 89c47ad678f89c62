//! Marks of requests: which requests have changed the catalog.

use super::Catalog;
use crate::control::idempotency::{REMEMBERED, RequestMark};
use crate::error::Result;
use jiff::Timestamp;
use rusqlite::params;

/// Marks that are kept. A mark is needed only until the answer to its request is stored.
pub const KEPT: i64 = 10_000;

impl Catalog {
    /// Within a transaction: this change is a request's.
    pub fn add_mark(&self, mark: &RequestMark) -> Result<()> {
        self.execute(
            "INSERT OR IGNORE INTO applied_requests (mark, applied_at) VALUES (?1, ?2)",
            params![mark.0, Timestamp::now().to_string()],
        )?;
        self.execute(
            "DELETE FROM applied_requests WHERE id <= (SELECT max(id) FROM applied_requests) - ?1",
            [KEPT],
        )?;
        Ok(())
    }

    /// Within a transaction that undoes what a request did.
    pub fn remove_mark(&self, mark: Option<RequestMark>) -> Result<()> {
        if let Some(mark) = mark {
            self.execute("DELETE FROM applied_requests WHERE mark = ?1", [mark.0])?;
        }
        Ok(())
    }

    /// Whether a request that is still remembered has changed the catalog.
    pub fn has_mark(&self, mark: &RequestMark) -> Result<bool> {
        let since = Timestamp::now().saturating_sub(REMEMBERED).unwrap_or(Timestamp::MIN);
        let found = self.row(
            "SELECT 1 FROM applied_requests WHERE mark = ?1 AND applied_at >= ?2",
            params![mark.0, since.to_string()],
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }
}

//! What is read from and written to a database, which only a server counts.

use crate::control::names::DatabaseName;
use crate::control::tokens::{DatabaseUsage, QueryUsage, Span};
use crate::error::Result;

/// The counters of databases. Where databases are files, these fail with `unsupported`.
pub trait UsageOperations {
    fn database_usage(&self, name: &DatabaseName, span: Span) -> Result<DatabaseUsage>;
    /// The statements that read and wrote the most rows.
    fn top_queries(&self, name: &DatabaseName) -> Result<Vec<QueryUsage>>;
}

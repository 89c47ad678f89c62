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

/// The endpoints of counters, as rows of the table in [`endpoints`](crate::control::endpoints).
macro_rules! usage_endpoints {
    ($next:ident $($others:ident)*; $($rows:tt)*) => {
        $next! {
            $($others)*; $($rows)*
            DatabaseUsage, Call(databases::usage): scoped Get "/databases/{databaseName}/usage";
            TopQueries, Call(databases::top_queries): scoped Get "/databases/{databaseName}/usage/queries";
            DatabaseStats, Call(databases::stats): scoped Get "/databases/{databaseName}/stats";
        }
    };
}
pub(crate) use usage_endpoints;

//! What is read from and written to a database, which only a server counts.

use super::{Client, about_database, wire};
use crate::control::UsageOperations;
use crate::control::endpoints::Operation;
use crate::control::names::DatabaseName;
use crate::control::tokens::{DatabaseUsage, QueryUsage, Span, Usage};
use crate::error::Result;

impl UsageOperations for Client {
    fn database_usage(&self, name: &DatabaseName, span: Span) -> Result<DatabaseUsage> {
        let mut call = self.call(Operation::DatabaseUsage, &[name], about_database(name));
        if let Some(from) = span.from {
            call = call.query("from", from);
        }
        if let Some(to) = span.to {
            call = call.query("to", to);
        }
        let mut usage: DatabaseUsage = wire::read(wire::within(self.http.ask(&call)?, "database"), "usage")?;
        // Some servers fill in one of the two, some the other.
        if usage.usage == Usage::default() {
            usage.usage = usage.total;
        }
        usage.total = usage.usage;
        Ok(usage)
    }

    fn top_queries(&self, name: &DatabaseName) -> Result<Vec<QueryUsage>> {
        let call = self.call(Operation::DatabaseStats, &[name], about_database(name));
        wire::list(self.http.ask(&call)?, "top_queries")?
            .into_iter()
            .map(|query| wire::read(query, "a statement"))
            .collect()
    }
}

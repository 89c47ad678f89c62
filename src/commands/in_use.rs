//! Databases that applications use, which is said before they are destroyed. Only a server knows; of files, the engine refuses to
//! destroy one that is open.

use crate::commands::answers::{counted, listed};
use crate::context::Context;
use crate::control::types::{Database, DatabaseActivity};
use crate::error::Result;
use crate::ui::text::age;
use jiff::Timestamp;

/// Returns how databases are used, as in `database app is in use (2 connections, last request 3s ago)`; none where none is.
pub(super) fn describe_use<'d>(databases: impl IntoIterator<Item = &'d Database>) -> Option<String> {
    let used: Vec<String> = databases
        .into_iter()
        .filter_map(|database| {
            let parts = parts(database.activity.as_ref()?, Timestamp::now());
            Some(format!("database {} is in use ({})", database.name, listed(&parts)))
        })
        .collect();
    (!used.is_empty()).then(|| used.join(", "))
}

/// What is known of a use.
fn parts(activity: &DatabaseActivity, now: Timestamp) -> Vec<String> {
    let connections = usize::try_from(activity.connections).unwrap_or(usize::MAX);
    let connections = (connections > 0).then(|| counted(connections, "connection"));
    let last = activity.last_request_at;
    let last = last.map(|last| format!("last request {}", age(last, now)));
    connections.into_iter().chain(last).collect()
}

/// Asks before databases are destroyed, and says which of them are in use: in the question, or as a warning if it is not asked.
///
/// # Errors
///
/// Those of [`Context::confirm`].
pub(super) fn confirm_destruction<'d>(
    ctx: &Context,
    assumed: bool,
    doing: &str,
    name: &str,
    databases: impl IntoIterator<Item = &'d Database>,
) -> Result<()> {
    let Some(used) = describe_use(databases) else {
        return ctx.confirm(assumed, doing, name);
    };
    ctx.confirm(assumed, &format!("{doing} ({used})"), name)?;
    if assumed {
        ctx.ui.warn(format!("{used}: its applications lose their connections"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_use_is_described_by_connections_and_the_last_request() {
        let now: Timestamp = "2026-01-10T00:00:00Z".parse().unwrap();
        let last: Timestamp = "2026-01-09T23:59:57Z".parse().unwrap();
        for (connections, last_request_at, described) in [
            (1, None, "1 connection"),
            (2, Some(last), "2 connections, last request 3s ago"),
            (0, Some(last), "last request 3s ago"),
        ] {
            let activity = DatabaseActivity {
                connections,
                last_request_at,
            };
            assert_eq!(listed(&parts(&activity, now)), described);
        }
    }
}

//! From how the control plane says to reach an instance to what a session connects to.

use crate::control::types::Connection;
use crate::error::{Code, Error, Result};
use crate::sql::Target;
use crate::sql::companions::roll_back_unfinished;
use std::path::PathBuf;

/// For reading and, where the instance allows it, writing.
pub(crate) fn target(connection: &Connection) -> Result<Target> {
    match connection.url.path() {
        Some(path) => Ok(Target::File {
            path: path.clone(),
            read_only: connection.read_only,
            create: false,
            max_bytes: connection.size_limit,
            follow_links: true,
        }),
        None => Ok(Target::Remote {
            url: connection.url.server().cloned().ok_or_else(|| {
                Error::new(
                    Code::Unavailable,
                    format!("database {} has no address yet", connection.database),
                )
                .hint("try again in a moment")
            })?,
            token: connection.token.clone(),
            renewal: connection.renewal.clone(),
            read_only: connection.read_only,
        }),
    }
}

/// For reading only.
pub(super) fn reading(connection: &Connection) -> Result<Target> {
    if let Some(path) = connection.url.path().filter(|_| !connection.read_only) {
        roll_back_unfinished(path)?;
    }
    target(connection).map(|target| target.restricted(true, false))
}

/// The instance's file, where it is one on this machine.
pub(super) fn file(connection: &Connection) -> Option<PathBuf> {
    connection.url.path().cloned()
}

//! From how the control plane says to reach an instance to what a session connects to.

use crate::control::types::Connection;
use crate::error::{Code, Error, Result};
use crate::sql::Target;
use std::path::PathBuf;

/// For reading and, where the instance allows it, writing.
pub(crate) fn target(connection: &Connection) -> Result<Target> {
    match file(connection) {
        Some(path) => Ok(Target::File {
            path,
            read_only: connection.read_only,
            create: false,
            max_bytes: connection.size_limit,
            follow_links: true,
        }),
        None => Ok(Target::Remote {
            url: url::Url::parse(&connection.url).map_err(|error| {
                Error::new(
                    Code::Internal,
                    format!("database {} has no usable URL", connection.database),
                )
                .caused_by(error)
            })?,
            token: connection.token.clone(),
            renewal: connection.renewal.clone(),
            read_only: connection.read_only,
        }),
    }
}

/// For reading only.
pub(super) fn reading(connection: &Connection) -> Result<Target> {
    target(connection).map(|target| target.restricted(true, false))
}

/// The instance's file, where it is one on this machine.
pub(super) fn file(connection: &Connection) -> Option<PathBuf> {
    super::show::file_path(&connection.url).map(PathBuf::from)
}

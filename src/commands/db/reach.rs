//! From how the control plane says to reach an instance to what a session connects to.

use crate::context::Context;
use crate::control::types::Connection;
use crate::error::{Code, Error, Result};
use crate::sql::Target;
use crate::sql::companions::roll_back_unfinished;
use crate::ui::text;
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
            wait_replica: false,
        }),
    }
}

/// Has writes to a target be answered when a replica has them. Fails with `unsupported` where nobody can say that: of what is not
/// in a control plane, of files, and of Turso Cloud.
pub(super) fn wait_for_replicas(ctx: &Context, target: &mut Target, is_in_plane: bool, name: &str) -> Result<()> {
    let refused = |message: String, hint: &str| Err(Error::new(Code::Unsupported, message).hint(hint));
    let server = ctx.settings.server()?;
    match target {
        _ if !is_in_plane => refused(
            format!("--wait-replica is for databases by their names, and {name} is none"),
            "name a database of a server, as in torso db shell app --wait-replica",
        ),
        Target::Remote { .. } if server.is_some_and(|server| server.is_turso_cloud()) => refused(
            "Turso Cloud does not say which replica has a write".to_owned(),
            "leave out --wait-replica, or use a server of torso",
        ),
        Target::Remote { wait_replica, .. } => {
            *wait_replica = true;
            Ok(())
        }
        Target::File { .. } | Target::Memory => refused(
            format!("--wait-replica is for databases of a server, and {name} is on this machine"),
            "torso refreshes replicas on this machine after each command, and torso db sync does so at once",
        ),
    }
}

/// For reading only.
pub(super) fn reading(connection: &Connection) -> Result<Target> {
    if let Some(path) = connection.url.path().filter(|_| !connection.read_only) {
        roll_back_unfinished(path)?;
    }
    target(connection).map(|target| target.restricted(true, false))
}

/// What to say of a write that is refused because the database was opened read-only.
pub(super) fn read_only_hint(connection: &Connection) -> Option<String> {
    if !connection.read_only {
        return None;
    }
    let reason = connection
        .read_only_reason
        .as_deref()
        .unwrap_or("it was opened read-only");
    Some(format!("hint: {reason}"))
}

/// The instance's file, where it is one on this machine.
pub(super) fn file(connection: &Connection) -> Option<PathBuf> {
    connection.url.path().cloned()
}

/// What a database with a size limit may grow to, and what raises that.
pub(super) fn size_limit_note(connection: &Connection) -> Option<String> {
    let limit = text::size(connection.size_limit?);
    let name = &connection.database;
    Some(format!(
        "{name} may not grow beyond its size limit of {limit}; torso db config set {name} size-limit SIZE raises it"
    ))
}

/// The error of work on a database. SQLite says "full" for a full disk and for a full allowance.
pub(super) fn explain_full(connection: &Connection, error: Error) -> Error {
    match size_limit_note(connection) {
        Some(note) if error.code() == Code::DiskFull => {
            Error::new(Code::SizeLimit, error.message().to_owned()).hint(note)
        }
        _ => error,
    }
}

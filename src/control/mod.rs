//! The control plane: which databases, groups, locations and replicas are wanted, and the rules for changing that.
//!
//! [`ControlPlane`] is the seam between what a user types and where databases live. It has one method for each operation of the
//! Platform API in a trait for each noun (`endpoints`), is synchronous and object-safe, and knows nothing of terminals or settings,
//! so that it could run on another machine. `embedded` implements it over files of this machine, `hosted` for many organizations on
//! a server, and `client` over HTTP; client and server are mirror images through `endpoints`.
//!
//! # Invariants
//!
//! 1. The catalog never stores observed state; ids are identity, assigned once.
//! 2. Only `reconcile` calls an `Engine` method that changes something.
//! 3. The catalog commits before any effect; effects are idempotent; a crash in between is healed by the next pass.
//!    Absence never deletes: data is dropped only for a row marked doomed. Unknown files are reported, never removed.
//! 4. One process changes a catalog at a time; readers need no lock.
//! 5. Names exist only as parsed types; SQL sees only bound parameters; storage is named by id, never by a user's name,
//!    and a re-created database gets a new id.
//! 6. Secrets have no `Display`.
//! 7. A plane value already is somebody; who may do what is decided in one function.
//! 8. A file that a running server process owns is never opened by torso's own process.

pub mod accounts;
pub mod builtin_locations;
pub mod client;
pub mod compaction;
pub mod database_url;
pub mod embedded;
pub mod endpoints;
pub mod findings;
#[cfg(feature = "server")]
pub mod gateway_plane;
#[cfg(feature = "server")]
pub mod hosted;
pub mod idempotency;
mod instance;
pub mod location_status;
pub mod name_pattern;
pub mod names;
#[cfg(feature = "server")]
pub mod node;
pub mod node_status;
pub mod promotion;
pub mod server_configuration;
pub mod sizes;
mod store;
pub mod tokens;
pub mod types;
pub mod verification;

use crate::error::{Code, Error, Kind, Result};
use crate::temporary_files::UnfinishedFile;
pub use endpoints::{
    Accounts, ApiTokenOperations, BackupOperations, ControlPlane, DatabaseOperations, DatabaseTokenOperations,
    DatabaseVisitor, GroupOperations, InstanceOperations, InviteOperations, LIST_PAGE, ListPage, LocationOperations,
    MaintenanceOperations, MemberOperations, NodeOperations, OrganizationOperations, Progress, ServerOperations,
    TransferOperations, UsageOperations,
};
use std::path::{Path, PathBuf};

/// Makes what a caller asks for beside its operation optional: none if the token in use may not ask for it. The operation
/// itself says what is refused, so nobody needs more rights than it does.
pub fn if_allowed<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.code() == Code::Forbidden => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a control plane has left a question unanswered that another one, or another token, would have had answered.
#[must_use]
pub fn is_unanswered(error: &Error) -> bool {
    matches!(
        error.code().kind(),
        Kind::NotFound | Kind::Forbidden | Kind::Unsupported
    )
}

/// A place for a file under construction. Dropping it removes what is left there.
#[derive(Debug)]
pub struct Staging {
    /// The file to create.
    pub path: PathBuf,
    /// Locked while the builder lives, so that others do not remove the file.
    _lock: std::fs::File,
    /// Both go if the program is ended early.
    _early_end: [Option<UnfinishedFile>; 2],
}

impl Staging {
    /// A file to be made at `path`, with the lock beside it that `make_lock` makes.
    pub(crate) fn begin(path: PathBuf, make_lock: impl FnOnce(&Path) -> Result<std::fs::File>) -> Result<Self> {
        let mut lock_path = path.clone().into_os_string();
        lock_path.push(".lock");
        let early_end = [&path, Path::new(&lock_path)].map(UnfinishedFile::begin);
        Ok(Self {
            _lock: make_lock(Path::new(&lock_path))?,
            path,
            _early_end: early_end,
        })
    }

    /// What a builder has left that is no more, with its lock.
    pub(crate) fn of_the_dead(path: PathBuf, lock: std::fs::File) -> Self {
        Self {
            path,
            _lock: lock,
            _early_end: [None, None],
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm", "-journal", ".lock"] {
            let mut path = self.path.clone().into_os_string();
            path.push(suffix);
            // Nothing can be done about a failure here; a later caller tries again.
            let _ = std::fs::remove_file(path);
        }
    }
}

//! A server that has one database only, which everything that reaches it is for: what serves a file on a developer's machine.

use super::{Engines, Hosted};
use crate::control::gateway_plane::GatewayPlane as _;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use std::path::PathBuf;

/// The only database of a server.
#[derive(Debug)]
pub struct SoleDatabase {
    pub label: String,
    /// The token of every request, whatever it brings itself; none where requests have to bring one.
    pub open_token: Option<Secret>,
}

/// Where the state of a database is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrimaryFiles {
    /// The database file. It may have a write-ahead log beside it.
    pub data: PathBuf,
    /// What the database's process holds as long as it lives.
    pub process_lock: PathBuf,
}

impl Hosted {
    /// Has every request be for one database. Only the first call counts.
    pub fn serve_only(&self, database: SoleDatabase) {
        let _ = self.shared.sole_database.set(database);
    }

    /// The database that every request is for; none where the address says which.
    #[must_use]
    pub fn sole_database(&self) -> Option<&SoleDatabase> {
        self.shared.sole_database.get()
    }

    /// Where the primary of a database is on disk.
    pub fn primary_files(&self, label: &str) -> Result<PrimaryFiles> {
        let unknown = || Error::new(Code::Internal, format!("there is no database at {label}"));
        let route = self.route(label).ok_or_else(unknown)?;
        let Engines::Sqld(engine) = &self.shared.engine else {
            return Err(Error::new(Code::Internal, "databases are not served by processes"));
        };
        let (data, process_lock) = engine.files(&route.primary_site).ok_or_else(unknown)?;
        Ok(PrimaryFiles { data, process_lock })
    }
}

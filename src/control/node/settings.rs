//! The files of a node beside its identity.

use crate::engine::disk;
use crate::error::{Code, Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

const FILE: &str = "server.json";

/// Which server a node belongs to, and where others reach the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSettings {
    /// HOST:PORT.
    pub server: String,
    /// HOST or HOST:PORT.
    pub advertise: String,
}

impl NodeSettings {
    /// Reads them; none before the machine has joined.
    pub fn load(dir: &Path) -> Result<Option<Self>> {
        read_json(&dir.join(FILE))
    }

    pub(super) fn store(&self, dir: &Path) -> Result<()> {
        write_json(&dir.join(FILE), self)
    }
}

/// Reads a file; none if there is none.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|cause| {
            Error::new(Code::InvalidFile, format!("{} cannot be parsed", path.display())).caused_by(cause)
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(error, format!("cannot read {}", path.display()))),
    }
}

/// Writes a file that only this user can read, as a whole.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let failed = |error| Error::io(error, format!("cannot write {}", path.display()));
    let text = serde_json::to_vec(value)
        .map_err(|cause| Error::new(Code::Internal, "a file of the node cannot be written").caused_by(cause))?;
    let unfinished = disk::with_suffix(path, ".tmp");
    disk::remove(&unfinished)?;
    let mut file = disk::private_file(&unfinished)?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
    disk::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), disk::sync_dir)
}

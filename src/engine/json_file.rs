//! Small files as JSON, written as a whole or not at all. Only this user can read them.

use super::disk::{self, is_absent};
use crate::error::{Code, Error, Result};
use crate::private_files;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::Write as _;
use std::path::Path;

pub use crate::private_files::UNFINISHED;

/// Reads a file; none if there is none.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
            Error::new(Code::InvalidFile, format!("{} cannot be parsed", path.display())).caused_by(error)
        }),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(Error::io(error, format!("cannot read {}", path.display()))),
    }
}

/// Writes a file atomically; on disk when this returns.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    disk::write_durably(path, &to_json(value)?)
}

/// The same, on disk at some time: after a loss of power the file may be what it was before, or of no use.
pub fn write_json_lazily(path: &Path, value: &impl Serialize) -> Result<()> {
    let unfinished = private_files::unfinished(path);
    let text = to_json(value)?;
    let mut file = disk::private_file(&unfinished)?;
    file.set_len(0)
        .and_then(|()| file.write_all(&text))
        .map_err(|error| Error::io(error, format!("cannot write {}", unfinished.display())))?;
    disk::rename(&unfinished, path)
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|error| Error::new(Code::Internal, "cannot write a file of the engine").caused_by(error))
}

//! Small files of the engine, written as a whole or not at all.

use crate::engine::disk;
use crate::error::{Code, Error, Result};
use serde::Serialize;
use std::io::Write as _;
use std::path::Path;

/// The end of names of files that are not complete yet.
pub(super) const UNFINISHED: &str = ".tmp";

/// Writes a file atomically; on disk when this returns.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    write(path, value, true)?;
    path.parent().map_or(Ok(()), disk::sync_dir)
}

/// The same, on disk at some time: after a loss of power the file may be what it was before, or of no use.
pub(super) fn write_json_lazily(path: &Path, value: &impl Serialize) -> Result<()> {
    write(path, value, false)
}

fn write(path: &Path, value: &impl Serialize, sync: bool) -> Result<()> {
    let unfinished = disk::with_suffix(path, UNFINISHED);
    let text = serde_json::to_vec(value)
        .map_err(|error| Error::new(Code::Internal, "cannot write a file of the engine").caused_by(error))?;
    let mut file = disk::private_file(&unfinished)?;
    file.set_len(0)
        .and_then(|()| file.write_all(&text))
        .and_then(|()| if sync { file.sync_all() } else { Ok(()) })
        .map_err(|error| Error::io(error, format!("cannot write {}", unfinished.display())))?;
    disk::rename(&unfinished, path)
}

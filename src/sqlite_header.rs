//! What the header of a SQLite file says, read and changed without SQLite (sqlite.org/fileformat2.html, "The Database Header").
//! Opening, copying and checking databases is left to `engine` and `sql`.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Result, Seek as _, SeekFrom, Write as _};
use std::path::Path;

/// The first bytes of a SQLite file.
pub const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Where the version of the format is that a program has to know in order to write the file. 1: with a rollback journal,
/// 2: with a write-ahead log.
const WRITE_VERSION: u64 = 18;

/// A write version that no SQLite knows. Whoever opens such a file, a superuser too, can read it and cannot write to it.
const UNKNOWN_VERSION: u8 = 3;

/// Whether SQLite refuses to write to the file because of its header.
pub fn is_write_protected(path: &Path) -> Result<bool> {
    let mut version = [0];
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(WRITE_VERSION))?;
    file.read_exact(&mut version)?;
    Ok(version[0] >= UNKNOWN_VERSION)
}

/// Has SQLite refuse to write to the file, which must be in rollback mode. Not for a file that a connection of this process
/// has open: it would lose its locks.
pub fn protect(path: &Path) -> Result<()> {
    set_write_version(path, UNKNOWN_VERSION)
}

/// Takes the protection away. Not for a file that a connection of this process has open: it would lose its locks.
pub fn unprotect(path: &Path) -> Result<()> {
    match is_write_protected(path)? {
        true => set_write_version(path, 1),
        false => Ok(()),
    }
}

fn set_write_version(path: &Path, version: u8) -> Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.seek(SeekFrom::Start(WRITE_VERSION))?;
    file.write_all(&[version])
}

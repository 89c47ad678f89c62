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

/// Where the size of a page is, in two bytes.
const PAGE_SIZE: u64 = 16;

/// The bytes of the pages that a file has whole, where it was cut off within a page. None for every other file.
pub fn size_of_whole_pages(path: &Path) -> Result<Option<u64>> {
    let mut file = File::open(path)?;
    let mut header = [0; PAGE_SIZE as usize + 2];
    if file.read_exact(&mut header).is_err() || !header.starts_with(MAGIC) {
        return Ok(None);
    }
    let [.., high, low] = header;
    let page_size = match u64::from(u16::from_be_bytes([high, low])) {
        // The largest does not fit into two bytes.
        1 => 1 << 16,
        size => size,
    };
    let size = file.metadata()?.len();
    Ok(match size.checked_rem(page_size) {
        None | Some(0) => None,
        Some(cut) => Some(size - cut).filter(|whole| *whole > 0),
    })
}

/// The bytes of the header.
pub const LENGTH: usize = 100;

/// The bytes that a file must have by its header, which may be more than it has. None where the header does not know: a program that
/// does not count pages has changed the file last. What is in a log or journal beside the file is the caller's to look for.
#[must_use]
pub fn expected_size(header: &[u8; LENGTH]) -> Option<u64> {
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let page_size = match u64::from(u16::from_be_bytes([header[16], header[17]])) {
        // The largest does not fit into two bytes.
        1 => 1 << 16,
        size => size,
    };
    // The count of pages is valid if the change counter is what it was when they were counted.
    (number(24) == number(92)).then(|| u64::from(number(28)) * page_size)
}

/// What is added to the versions of a file that a server process has. No SQLite opens such a file.
const SERVED: u8 = 0xd0;

/// Where the change counter is. A connection that has read the file before compares it.
const CHANGE_COUNTER: u64 = 24;

/// Whether the file is marked as one that a server process has.
pub fn is_served(path: &Path) -> Result<bool> {
    let mut version = [0];
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(WRITE_VERSION))?;
    Ok(file.read(&mut version)? == 1 && version[0] & !3 == SERVED)
}

/// Has every SQLite refuse to open a file, until [`unmark_served`]. One that has it open notices at its next transaction. The
/// file must have a header, and no log beside it.
pub fn mark_served(file: &mut File) -> Result<()> {
    set_versions(file, |version| SERVED | (version & 3))
}

/// Takes that mark away.
pub fn unmark_served(file: &mut File) -> Result<()> {
    set_versions(file, |version| version & 3)
}

/// Changes the write and the read version, and counts a change, in one write.
fn set_versions(file: &mut File, change: impl Fn(u8) -> u8) -> Result<()> {
    let mut bytes = [0; (CHANGE_COUNTER + 4 - WRITE_VERSION) as usize];
    file.seek(SeekFrom::Start(WRITE_VERSION))?;
    file.read_exact(&mut bytes)?;
    bytes[0] = change(bytes[0]);
    bytes[1] = change(bytes[1]);
    let [.., a, b, c, d] = bytes;
    let changes = u32::from_be_bytes([a, b, c, d]).wrapping_add(1);
    bytes[(CHANGE_COUNTER - WRITE_VERSION) as usize..].copy_from_slice(&changes.to_be_bytes());
    file.seek(SeekFrom::Start(WRITE_VERSION))?;
    file.write_all(&bytes)?;
    file.sync_all()
}

fn set_write_version(path: &Path, version: u8) -> Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.seek(SeekFrom::Start(WRITE_VERSION))?;
    file.write_all(&[version])
}

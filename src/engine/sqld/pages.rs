//! The pages of a database that no process has open: those in its file, those that its write-ahead log has instead, and
//! those that a primary's replication log recorded last. Read without SQLite, which would repair what is to be judged.
//!
//! Formats: sqlite.org/fileformat2.html for the file and the write-ahead log; libsql-server's `replication_logger.rs` for
//! the replication log.

use super::files::{self, PAGE};
use crate::engine::Damage;
use crate::sqlite_header;
use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Result};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

const PAGE_BYTES: u64 = PAGE as u64;

/// Bytes of the write-ahead log's header, and of each frame's.
const WAL_HEADER: u64 = 32;
const WAL_FRAME_HEADER: u64 = 24;

/// How many frames at the end of a replication log are compared at most.
const COMPARED: u64 = 1024;

/// A database's pages.
pub(super) struct Pages {
    data: File,
    /// Pages in the file.
    in_file: u64,
    wal: Option<File>,
    /// The offset of the newest committed version of each page in the write-ahead log.
    in_wal: HashMap<u32, u64>,
    /// Pages of the database.
    pub count: u32,
}

/// What the first page says that later versions of it can be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    /// Raised by each change of the schema.
    schema_cookie: u32,
    auto_vacuum: bool,
    encoding: u32,
}

/// How a database's content relates to its replication log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    /// The log is empty, torn or missing: it proves nothing.
    Unknown,
    /// Every page of the last transaction in the log is the database's.
    Equal,
    /// Some are not.
    Differs,
    /// None of the newest pages in the log is the database's, and its header is older than the log's.
    Foreign,
}

fn big_endian(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u32::from_be_bytes)
}

impl Header {
    fn of(page: &[u8]) -> Self {
        Self {
            schema_cookie: big_endian(page, 40),
            auto_vacuum: big_endian(page, 52) != 0,
            encoding: big_endian(page, 56),
        }
    }

    /// Whether this cannot be a later state of a database that had `before`.
    fn contradicts(self, before: Self) -> bool {
        let fixed = before.encoding != 0 && before.schema_cookie > 0;
        self.schema_cookie < before.schema_cookie
            || (fixed && (self.encoding != before.encoding || self.auto_vacuum != before.auto_vacuum))
    }
}

impl Pages {
    /// Opens the database in the directory of a namespace.
    pub fn open(home: &Path) -> std::result::Result<Self, Damage> {
        let unreadable = |error: std::io::Error| Damage::damaged(format!("cannot be read: {error}"));
        match std::fs::symlink_metadata(home) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Damage::missing("is missing, with its directory"));
            }
            Err(error) => return Err(unreadable(error)),
            Ok(metadata) if !metadata.is_dir() => return Err(Damage::damaged("is not in a directory")),
            Ok(_) => {}
        }
        let path = home.join("data");
        match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(Damage::missing("is missing")),
            Err(error) => return Err(unreadable(error)),
            Ok(metadata) if !metadata.is_file() => return Err(Damage::damaged("is not a file")),
            Ok(metadata) if metadata.len() == 0 => return Err(Damage::damaged("is empty")),
            Ok(_) => {}
        }
        let data = File::open(&path).map_err(unreadable)?;
        let bytes = data.metadata().map_err(unreadable)?.len();
        let mut header = [0; 100];
        data.read_exact_at(&mut header, 0)
            .map_err(|_| Damage::damaged("is not a SQLite database"))?;
        if !header.starts_with(sqlite_header::MAGIC) {
            return Err(Damage::damaged("is not a SQLite database"));
        }
        if usize::from(u16::from_be_bytes([header[16], header[17]])) != PAGE {
            return Err(Damage::damaged("is another database: its pages have another size"));
        }
        let wal = open_optional(&home.join("data-wal")).map_err(unreadable)?;
        let (in_wal, committed) = match &wal {
            Some(wal) => committed_frames(wal).map_err(unreadable)?,
            None => (HashMap::new(), 0),
        };
        let mut pages = Self {
            data,
            in_file: bytes / PAGE_BYTES,
            wal,
            in_wal,
            count: committed,
        };
        let first = pages.read(1).map_err(unreadable)?.unwrap_or_default();
        // Whoever makes a database larger or smaller writes its pages there; the two counters say that it was not a SQLite
        // that does not.
        let noted = big_endian(&first, 28);
        let is_noted = noted != 0 && big_endian(&first, 24) == big_endian(&first, 92);
        if committed == 0 {
            pages.count = if is_noted { noted } else { 0 };
        } else if is_noted && noted != committed {
            return Err(Damage::damaged(
                "is not the database that its write-ahead log belongs to",
            ));
        }
        Ok(pages)
    }

    /// Whether a part of the database is neither in the file nor in the write-ahead log. It may be pages that are not in
    /// use, which only SQLite can tell.
    pub fn is_cut_short(&self) -> bool {
        let in_file = u32::try_from(self.in_file).unwrap_or(u32::MAX);
        (in_file.saturating_add(1)..=self.count).any(|page| !self.in_wal.contains_key(&page))
    }

    /// Whether the write-ahead log has a committed transaction.
    pub fn has_frames(&self) -> bool {
        !self.in_wal.is_empty()
    }

    pub fn has_wal(&self) -> bool {
        self.wal.is_some()
    }

    /// A page as a connection would read it; none if it is nowhere.
    fn read(&self, page: u32) -> Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; PAGE];
        if let (Some(wal), Some(offset)) = (&self.wal, self.in_wal.get(&page)) {
            wal.read_exact_at(&mut bytes, *offset)?;
            return Ok(Some(bytes));
        }
        if page == 0 || u64::from(page) > self.in_file {
            return Ok(None);
        }
        self.data
            .read_exact_at(&mut bytes, (u64::from(page) - 1) * PAGE_BYTES)?;
        Ok(Some(bytes))
    }

    /// Compares the database with the end of its replication log.
    pub fn compare_with_log(&self, log: &Path) -> Result<Agreement> {
        let Some(frames) = files::whole_log(log) else {
            return Ok(Agreement::Unknown);
        };
        if frames == 0 {
            return Ok(Agreement::Unknown);
        }
        let log = File::open(log)?;
        let (mut equal, mut different, mut last_is_equal) = (0_u32, 0_u32, true);
        let mut in_last = true;
        let mut newest: HashMap<u32, ()> = HashMap::new();
        let mut logged_header = None;
        for index in (frames.saturating_sub(COMPARED)..frames).rev() {
            let (page, size_after, bytes) = files::log_frame(&log, index)?;
            if size_after != 0 && index + 1 != frames {
                in_last = false;
            }
            if newest.insert(page, ()).is_some() {
                continue;
            }
            if page == 1 {
                logged_header = Some(Header::of(&bytes));
            }
            if self.read(page)?.is_some_and(|own| is_same_page(page, &own, &bytes)) {
                equal += 1;
            } else {
                different += 1;
                last_is_equal &= !in_last;
            }
        }
        if last_is_equal {
            return Ok(Agreement::Equal);
        }
        let contradicts = match (self.read(1)?, logged_header) {
            (Some(page), Some(logged)) => Header::of(&page).contradicts(logged),
            _ => false,
        };
        Ok(if equal == 0 && different > 0 && contradicts {
            Agreement::Foreign
        } else {
            Agreement::Differs
        })
    }
}

/// Whether two versions of a page have the same content. A process that takes a file in turns it to write-ahead logging in the
/// file itself, past its replication log: that changes the versions and counters in the header, and nothing else.
fn is_same_page(page: u32, one: &[u8], other: &[u8]) -> bool {
    /// Write and read version, change counter, and the version of SQLite that last changed them.
    const OF_FILE: [std::ops::Range<usize>; 3] = [18..20, 24..28, 92..100];
    let without = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        for range in OF_FILE {
            if let Some(part) = bytes.get_mut(range) {
                part.fill(0);
            }
        }
        bytes
    };
    one == other || (page == 1 && without(one) == without(other))
}

fn open_optional(path: &Path) -> Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The frames of a write-ahead log that belong to committed transactions: the offset of each page's newest version, and
/// the pages of the database after the last one (0 if there is none). Checksums are not verified: a torn transaction can
/// only be the last one, and counts as committed.
fn committed_frames(wal: &File) -> Result<(HashMap<u32, u64>, u32)> {
    let mut committed = HashMap::new();
    let mut count = 0;
    let length = wal.metadata()?.len();
    let mut header = [0; 32];
    if length < WAL_HEADER {
        return Ok((committed, count));
    }
    wal.read_exact_at(&mut header, 0)?;
    let mut pending = Vec::new();
    let mut at = WAL_HEADER;
    while at + WAL_FRAME_HEADER + PAGE_BYTES <= length {
        let mut frame = [0; 24];
        wal.read_exact_at(&mut frame, at)?;
        // The salt changes when the log is begun again over what was checkpointed.
        if frame[8..16] != header[16..24] {
            break;
        }
        pending.push((big_endian(&frame, 0), at + WAL_FRAME_HEADER));
        let size_after = big_endian(&frame, 4);
        if size_after != 0 {
            committed.extend(pending.drain(..));
            count = size_after;
        }
        at += WAL_FRAME_HEADER + PAGE_BYTES;
    }
    Ok((committed, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_page_differs_only_by_what_is_not_of_the_file_itself() {
        let page = vec![7; PAGE];
        let with = |at: usize| {
            let mut changed = page.clone();
            changed[at] = 8;
            changed
        };
        for at in [18, 19, 24, 27, 92, 95, 96, 99] {
            assert!(is_same_page(1, &page, &with(at)), "{at}");
            assert!(!is_same_page(2, &page, &with(at)), "{at}");
        }
        for at in [0, 17, 20, 28, 31, 40, 91, 100, PAGE - 1] {
            assert!(!is_same_page(1, &page, &with(at)), "{at}");
        }
    }
}

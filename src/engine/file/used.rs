//! How much of a database's file holds something, read without SQLite: who has the file open must not be disturbed.

use crate::engine::disk;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// Bytes of a database's pages that are not free, by the newest header that was committed. The file may be in use: it is only
/// read, and what is read while it changes is a little old.
pub(in crate::engine) fn used_bytes(data: &Path) -> Option<u64> {
    let pages = count_pages(data)?;
    Some(pages.all.saturating_sub(pages.free) * pages.size)
}

/// Bytes of all of a database's pages, by the same header.
pub(in crate::engine) fn content_bytes(data: &Path) -> Option<u64> {
    let pages = count_pages(data)?;
    Some(pages.all * pages.size)
}

/// The pages of a database.
struct PageCount {
    /// Bytes of one.
    size: u64,
    all: u64,
    free: u64,
}

fn count_pages(data: &Path) -> Option<PageCount> {
    let mut header = [0; 100];
    let file = File::open(data).ok()?;
    let main = file.take(100).read_exact(&mut header).ok().map(|()| header);
    let header = newest_header(&disk::with_suffix(data, "-wal")).or(main)?;
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let size = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    Some(PageCount {
        size,
        all: number(28).into(),
        free: number(36).into(),
    })
}

/// The header of a database in the last transaction of its write-ahead log that wrote one.
fn newest_header(log: &Path) -> Option<[u8; 100]> {
    let mut log = File::open(log).ok()?;
    let mut begin = [0; 32];
    log.read_exact(&mut begin).ok()?;
    let page = u64::from(u32::from_be_bytes([begin[8], begin[9], begin[10], begin[11]]));
    let (mut written, mut committed) = (None, None);
    for at in (32..).step_by(usize::try_from(page + 24).ok()?) {
        let mut frame = [0; 24];
        log.seek(SeekFrom::Start(at)).ok()?;
        // Frames with another salt are of an earlier round through the file.
        if log.read_exact(&mut frame).is_err() || frame[8..16] != begin[16..24] {
            break;
        }
        if frame[..4] == [0, 0, 0, 1] {
            written = Some(at + 24);
        }
        if frame[4..8] != [0; 4] {
            committed = written;
        }
    }
    let mut header = [0; 100];
    log.seek(SeekFrom::Start(committed?)).ok()?;
    log.read_exact(&mut header).ok()?;
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_bytes_are_those_of_pages_that_hold_something_also_in_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let connection = rusqlite::Connection::open(&data).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; CREATE TABLE t (x);
                 WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100)
                 INSERT INTO t SELECT zeroblob(4000) FROM c",
            )
            .unwrap();
        // Nothing is in the file itself yet.
        let full = used_bytes(&data).unwrap();
        assert!((400_000..500_000).contains(&full), "{full}");
        let content = content_bytes(&data).unwrap();
        assert_eq!(content, full);
        connection.execute_batch("DELETE FROM t").unwrap();
        let empty = used_bytes(&data).unwrap();
        assert!(empty <= 3 * 4096, "{empty}");
        assert_eq!(content_bytes(&data), Some(content));
        connection
            .execute_batch("BEGIN; INSERT INTO t VALUES (zeroblob(100000))")
            .unwrap();
        assert_eq!(used_bytes(&data), Some(empty));
        connection
            .execute_batch("ROLLBACK; PRAGMA wal_checkpoint(TRUNCATE)")
            .unwrap();
        assert_eq!(used_bytes(&data), Some(empty));
        assert_eq!(used_bytes(&dir.path().join("none")), None);
    }
}

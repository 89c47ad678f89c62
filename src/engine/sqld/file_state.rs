//! The state of a database's file, by which it is known again: a process does not notice when its file is exchanged.
//! When it is read and compared is `watch`'s.

use super::files::PAGE;
use crate::engine::Damage;
use crate::sqlite_header;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::time::SystemTime;

/// A file at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileState {
    identity: InodeIdentity,
    size: u64,
    modified: (i64, i64),
}

/// Which file it is, whatever is written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InodeIdentity {
    device_and_inode: (u64, u64),
    /// The number of a removed file may be that of the next one. None where the file system does not tell.
    created: Option<SystemTime>,
}

impl From<&Metadata> for FileState {
    fn from(metadata: &Metadata) -> Self {
        Self {
            identity: InodeIdentity {
                device_and_inode: (metadata.dev(), metadata.ino()),
                created: metadata.created().ok(),
            },
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl FileState {
    pub fn read(path: &Path) -> std::io::Result<Self> {
        let metadata = std::fs::symlink_metadata(path)?;
        if metadata.is_file() {
            Ok(Self::from(&metadata))
        } else {
            Err(ErrorKind::InvalidInput.into())
        }
    }

    pub fn identity(&self) -> InodeIdentity {
        self.identity
    }

    pub fn is_empty(&self) -> bool {
        self.size == 0
    }
}

/// What is wrong with the file of a database, compared with how it was before.
pub(super) fn find_damage(
    path: &Path,
    data: &std::io::Result<FileState>,
    before: Option<FileState>,
    is_doubted: bool,
) -> Option<Damage> {
    let data = match data {
        Ok(data) => data,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Some(Damage::missing("is missing"));
        }
        Err(error) if error.kind() == ErrorKind::InvalidInput => return Some(Damage::damaged("is not a file")),
        // Nothing is known; the process will say what it cannot read.
        Err(_) => return None,
    };
    if data.size == 0 {
        return Some(Damage::damaged("is empty"));
    }
    if before.is_some_and(|before| before.identity != data.identity) {
        return Some(Damage::damaged("was replaced by another file"));
    }
    if before == Some(*data) && !is_doubted {
        return None;
    }
    let mut header = [0; 100];
    let read = std::fs::File::open(path).and_then(|file| file.read_exact_at(&mut header, 0));
    if read.is_err() || !header.starts_with(sqlite_header::MAGIC) {
        return Some(Damage::damaged("is not a SQLite database any more"));
    }
    if usize::from(u16::from_be_bytes([header[16], header[17]])) != PAGE {
        return Some(Damage::damaged("is another database: its pages have another size"));
    }
    // With automatic vacuum a database becomes smaller when rows are deleted.
    let shrinks = header[52..56] != [0; 4];
    if !shrinks && before.is_some_and(|before| data.size < before.size) {
        return Some(Damage::damaged("was cut short"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_database(path: &Path, page_size: u16, pages: usize) {
        let mut bytes = vec![0; usize::from(page_size) * pages];
        bytes[..16].copy_from_slice(b"SQLite format 3\0");
        bytes[16..18].copy_from_slice(&page_size.to_be_bytes());
        std::fs::write(path, bytes).unwrap();
    }

    #[test]
    fn watched_file_is_compared_with_its_former_state() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let find = |before: Option<FileState>| {
            find_damage(&path, &FileState::read(&path), before, false).map(|damage| damage.reason)
        };
        let reason = |text: &str| Some(text.to_owned());
        assert_eq!(find(None), reason("is missing"));
        write_database(&path, 4096, 4);
        let before = FileState::read(&path).ok();
        assert_eq!(find(None), None);
        assert_eq!(find(before), None);
        write_database(&path, 4096, 9);
        assert_eq!(find(before), None);
        write_database(&path, 4096, 3);
        assert_eq!(find(before), reason("was cut short"));
        write_database(&path, 1024, 64);
        assert_eq!(find(before), reason("is another database: its pages have another size"));
        std::fs::write(&path, "text".repeat(9000)).unwrap();
        assert_eq!(find(before), reason("is not a SQLite database any more"));
        std::fs::write(&path, "").unwrap();
        assert_eq!(find(before), reason("is empty"));
        let other = dir.path().join("other");
        write_database(&other, 4096, 9);
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(find(before), reason("was replaced by another file"));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert_eq!(find(before), reason("is not a file"));
    }
}

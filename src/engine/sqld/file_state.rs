//! What identifies a file and its content, as far as the file system tells: two looks are compared by it.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A file at one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileState {
    pub device_and_inode: (u64, u64),
    pub size: u64,
    pub modified: (i64, i64),
}

impl From<&Metadata> for FileState {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device_and_inode: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl FileState {
    /// Reads it now; what is no plain file is an error.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        let metadata = std::fs::symlink_metadata(path)?;
        if metadata.is_file() {
            Ok(Self::from(&metadata))
        } else {
            Err(ErrorKind::InvalidInput.into())
        }
    }
}

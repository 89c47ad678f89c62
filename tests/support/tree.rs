//! Listings of a folder with everything below it, to see what a command left behind.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What a listing says of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub folder: bool,
    /// Permission bits.
    pub mode: u32,
    pub bytes: u64,
}

/// Everything below `root`, by its path relative to it. Symbolic links are listed, not followed.
pub fn list(root: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            let metadata = std::fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                folders.push(path.clone());
            }
            let entry = Entry {
                folder: metadata.is_dir(),
                mode: metadata.permissions().mode() & 0o7777,
                bytes: if metadata.is_dir() { 0 } else { metadata.len() },
            };
            found.insert(path.strip_prefix(root).unwrap().to_owned(), entry);
        }
    }
    found
}

/// Copies a folder with everything below it, times and modes included.
pub fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp")
        .arg("-a")
        .arg("--")
        .args([from, to])
        .status()
        .expect("cp cannot be run");
    assert!(status.success(), "cannot copy {} to {}", from.display(), to.display());
}

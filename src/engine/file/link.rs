//! The URL of a database that stays when its primary moves: a symbolic link to the primary's file, `<links>/<id>.db`, which is
//! replaced by a rename.
//!
//! SQLite resolves links before it names the log and the locks, so whoever opens the link shares them with whoever opens the
//! file. Where links cannot be made, the database's URL is that of its primary's file, and changes with it.

use super::{file, role};
use crate::engine::Site;
use crate::engine::disk;
use crate::error::Result;
use crate::private_files;
use std::path::{Path, PathBuf};

/// The link of a database.
pub(super) fn path(links: &Path, at: &Site) -> PathBuf {
    links.join(format!("{}.db", at.id))
}

/// What the link to an instance has to hold: relative for a location below the directory that has the links, so that this can
/// be moved or copied as a whole.
fn target(links: &Path, at: &Site) -> PathBuf {
    let file = file(at);
    match links.parent().map(|parent| file.strip_prefix(parent)) {
        Some(Ok(below)) if !at.external => Path::new("..").join(below),
        _ => file,
    }
}

/// Whether the link leads to an instance.
pub(super) fn leads_to(links: &Path, at: &Site) -> bool {
    std::fs::read_link(path(links, at)).is_ok_and(|held| held == target(links, at))
}

/// Leads the link to an instance. Whoever opens it meanwhile finds the former or the new instance.
pub(super) fn set(links: &Path, at: &Site) -> Result<()> {
    disk::private_dir(links)?;
    let path = path(links, at);
    // A copy of the data directory that followed links has a file here, to which somebody may have written.
    if std::fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_symlink()) {
        disk::rename(&path, &role::aside_path(links, &at.id)?)?;
    }
    let unfinished = disk::with_suffix(&path, ".tmp");
    disk::remove(&unfinished)?;
    if private_files::link(&target(links, at), &unfinished).is_err() {
        // Not every file system has links. A former one would lead to what is no primary any more.
        return disk::remove(&path);
    }
    disk::rename(&unfinished, &path)?;
    disk::sync_dir(links)
}

/// Removes the link if it leads to an instance.
pub(super) fn remove(links: &Path, at: &Site) -> Result<()> {
    if leads_to(links, at) {
        disk::remove(&path(links, at))?;
        disk::sync_dir(links)?;
    }
    Ok(())
}

/// The URL of a file. A path that is not UTF-8 cannot be written as a URL of text; its bytes are escaped one by one.
pub(super) fn file_url(path: &Path) -> String {
    let mut url = String::with_capacity(path.as_os_str().len() + 8);
    url.push_str("file:");
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => url.push(char::from(byte)),
            b'\\' if cfg!(windows) => url.push('/'),
            b':' if cfg!(windows) => url.push(':'),
            _ => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                url.push('%');
                url.push(char::from(HEX[usize::from(byte >> 4)]));
                url.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    url
}

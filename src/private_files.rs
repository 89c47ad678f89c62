//! Files and directories that only their owner can read, from their first moment, where the system has permissions for that; and
//! symbolic links. Also the one way to write a small file that a loss of power leaves whole. What is in files is the callers' business.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The end of names of files that are not complete yet.
pub const UNFINISHED: &str = ".tmp";

/// Where a file is written before it has its name.
#[must_use]
pub fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    name.into()
}

/// Writes a small file as a whole or not at all; it is on disk, under its name, when this returns. Only its owner can read it.
///
/// A loss of power at any moment leaves the former file or the new one. What may be left beside it has the name of
/// [`unfinished`], and is replaced by the next write.
pub fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_durably_with(path, bytes, |_| Ok(()))
}

/// [`write_durably`], with a change to the new file before it has its name, such as another mode.
pub fn write_durably_with(path: &Path, bytes: &[u8], change: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let aside = unfinished(path);
    // With another mode or owner than the new one is to have.
    match std::fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = options().write(true).create_new(true).open(&aside)?;
    let written = set_private(&file)
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| change(&file))
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&aside, path));
    if written.is_err() {
        // It only costs room.
        let _ = std::fs::remove_file(&aside);
    }
    written.and_then(|()| sync_folder_of(path))
}

/// Syncs the name of a file to disk.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => sync_folder(Path::new(".")),
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}

/// Syncs the names in a directory to disk.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    // Some file systems cannot, and a directory may be one that its user may write to and not read.
    #[cfg(unix)]
    if let Err(error) = File::open(path).and_then(|folder| folder.sync_all()) {
        use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
        if !matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported) {
            return Err(error);
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Gives its owner what the umask may have taken away.
fn set_private(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    return file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600));
    #[cfg(not(unix))]
    {
        let _ = file;
        Ok(())
    }
}

/// Returns options for opening a file that is made with mode 0600 where it is missing.
#[must_use]
pub fn options() -> OpenOptions {
    #[cfg_attr(not(unix), allow(unused_mut))] // nothing to set there
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes a directory and its missing parents, with mode 0700.
pub fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes an open file its owner's alone, if others may use it.
pub fn make_private(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// Makes a directory its owner's alone, if others may use it.
pub fn make_directory_private(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if path.metadata()?.permissions().mode() & 0o077 != 0 {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Makes a symbolic link to a file.
pub fn link(target: &Path, link: &Path) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::symlink(target, link);
    #[cfg(windows)]
    return std::os::windows::fs::symlink_file(target, link);
    #[cfg(not(any(unix, windows)))]
    {
        let _ = (target, link);
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_that_is_written_durably_is_replaced_whole_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("note.json");
        std::fs::write(unfinished(&path), "left by a loss of power").unwrap();
        write_durably(&path, b"first").unwrap();
        write_durably(&path, b"2nd").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"2nd");
        assert!(write_durably_with(&path, b"third", |_| Err(io::ErrorKind::Other.into())).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"2nd");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

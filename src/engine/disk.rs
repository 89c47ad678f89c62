//! Private files and directories: their modes do not depend on the umask, and their names can be synced to disk before
//! anything depends on them.

use crate::error::{Error, Result};
use crate::private_files;
use std::fs::{File, OpenOptions};
use std::path::Path;

/// The mode of a private read-only file.
pub const READ_ONLY: u32 = 0o400;
/// The mode of a private file.
pub const PRIVATE: u32 = 0o600;

/// Sets a file's or directory's mode.
pub fn set_mode(path: &Path, mode: u32) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
            .map_err(|error| Error::io(error, format!("cannot set the mode of {}", path.display())))
    }
    #[cfg(not(unix))]
    {
        let mut permissions = std::fs::metadata(path)
            .map_err(|error| Error::io(error, format!("cannot read the mode of {}", path.display())))?
            .permissions();
        permissions.set_readonly(mode & 0o200 == 0);
        std::fs::set_permissions(path, permissions)
            .map_err(|error| Error::io(error, format!("cannot set the mode of {}", path.display())))
    }
}

/// A file's permission bits, if the system has them.
#[must_use]
pub fn mode(metadata: &std::fs::Metadata) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        Some(metadata.permissions().mode() & 0o777)
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
}

/// Makes a directory, with its parents, that only its owner can read. An existing one stays as it is.
pub fn private_dir(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        private_dir(parent)?;
    }
    #[cfg_attr(not(unix), allow(unused_mut))] // nothing to set there
    let mut builder = std::fs::DirBuilder::new();
    // From the beginning: a process that is killed here must not leave it open to others.
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Ok(()) => {
            // The umask may have taken away what the owner needs.
            set_mode(path, 0o700)?;
            path.parent().map_or(Ok(()), sync_dir)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(Error::io(
            error,
            format!("cannot make the directory {}", path.display()),
        )),
    }
}

/// Opens a file for reading and writing. A missing one is made, empty and private.
pub fn private_file(path: &Path) -> Result<File> {
    let doing = || format!("cannot write {}", path.display());
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match options.open(path) {
        Ok(file) => return Ok(file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io(error, doing())),
    }
    options.create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(PRIVATE);
    }
    let file = options.open(path).map_err(|error| Error::io(error, doing()))?;
    set_mode(path, PRIVATE)?;
    Ok(file)
}

/// Syncs a file's content to disk.
pub fn sync_file(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| Error::io(error, format!("cannot write {}", path.display())))
}

/// Syncs the names in a directory to disk.
pub fn sync_dir(path: &Path) -> Result<()> {
    private_files::sync_folder(path)
        .map_err(|error| Error::io(error, format!("cannot write the directory {}", path.display())))
}

/// Writes a file whole or not at all, on disk when this returns (`private_files::write_durably`).
pub fn write_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    private_files::write_durably(path, bytes)
        .map_err(|error| Error::io(error, format!("cannot write {}", path.display())))
}

/// Removes a file. A missing one is not an error.
pub fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(error, format!("cannot remove {}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Whether an error means that the file, or its directory, does not exist.
#[cfg(feature = "server")]
pub fn is_absent(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
    )
}

/// Renames within a file system.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to)
        .map_err(|error| Error::io(error, format!("cannot move {} to {}", from.display(), to.display())))
}

/// A path with something added to its last component.
#[must_use]
pub fn with_suffix(path: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn private_file_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        private_dir(&deep).unwrap();
        private_dir(&deep).unwrap();
        assert_eq!(mode(&std::fs::metadata(dir.path().join("a")).unwrap()), Some(0o700));
        let file = deep.join("f");
        private_file(&file).unwrap();
        assert_eq!(mode(&std::fs::metadata(&file).unwrap()), Some(0o600));
    }

    #[test]
    fn remove_of_a_missing_file_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        remove(&dir.path().join("none")).unwrap();
        assert!(remove(dir.path()).is_err());
    }
}

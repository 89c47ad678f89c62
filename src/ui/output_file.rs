//! Files that answers are written to: what may be replaced by one.

use crate::error::{Code, Error, Result};
use std::path::Path;

/// Checks that a path leads to a file, or to nothing. Whoever gives a new file the path removes what is there, also a device or
/// a pipe, and for root nothing stands in the way of that.
///
/// # Errors
///
/// `invalid_file` for a directory, a device, a pipe or a socket.
pub fn check_replaceable(path: &Path) -> Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Entries there stand for devices and open files, whatever these are. Below `/dev` there are places for files, too.
    let is_special = parent
        .canonicalize()
        .is_ok_and(|parent| parent == Path::new("/dev") || parent.starts_with("/proc"));
    let what = match path.metadata() {
        Ok(found) if found.is_dir() => "a directory",
        Ok(found) if !found.is_file() => "a device, a pipe or a socket",
        _ if is_special => "among the devices",
        // Whatever else is wrong shows when the file is written.
        _ => return Ok(()),
    };
    Err(Error::new(
        Code::InvalidFile,
        format!("cannot write a file to {}: it is {what}", path.display()),
    ))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn output_file_replaces_files_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        check_replaceable(&file).unwrap();
        std::fs::write(&file, "x").unwrap();
        check_replaceable(&file).unwrap();
        check_replaceable(Path::new("a-name-that-nothing-has")).unwrap();
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, what) in [
            (dir.path(), "a directory"),
            (socket.as_path(), "a device, a pipe or a socket"),
            (Path::new("/dev/null"), "a device, a pipe or a socket"),
            (Path::new("/dev/a-name-that-nothing-has"), "among the devices"),
            (Path::new("/proc/self/fd/a"), "among the devices"),
        ] {
            let error = check_replaceable(path).unwrap_err();
            assert_eq!(
                error.message(),
                format!("cannot write a file to {}: it is {what}", path.display())
            );
        }
    }
}

//! Other programs that have a file open, as far as the system tells. SQLite's locks do not show a connection that is idle.

use std::path::Path;

/// A process that has a file open, with its name; none if none is found.
#[cfg(target_os = "linux")]
pub fn find_opener(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let wanted = std::fs::metadata(path).ok()?;
    let own = std::process::id().to_string();
    // Of other users' processes nothing can be read; SQLite's locks still show those that use the file.
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let pid = process.file_name().to_string_lossy().into_owned();
        if pid == own || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let Ok(open) = std::fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let has_it = open.flatten().any(|file| {
            std::fs::metadata(file.path()).is_ok_and(|file| (file.dev(), file.ino()) == (wanted.dev(), wanted.ino()))
        });
        if has_it {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (process {pid})", name.trim()));
        }
    }
    None
}

#[cfg(not(target_os = "linux"))]
pub fn find_opener(_path: &Path) -> Option<String> {
    None
}

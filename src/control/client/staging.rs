//! Where a file is built that is then sent to a server: the directory for temporary files, each file with a lock beside it
//! that is held while its command lives.

use crate::control::Staging;
use crate::error::{Error, Result};
use crate::private_files;
use std::fs::File;
use std::path::Path;

/// What names of staged files begin with.
const STAGED: &str = "torso-";

/// Removes what killed commands left: files whose lock nobody holds.
fn sweep(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let staged = path.file_name().and_then(|name| {
            let id = name.to_str()?.strip_prefix(STAGED)?.strip_suffix(".db.lock")?;
            uuid::Uuid::try_parse(id).ok()
        });
        // Other users' cannot be opened.
        if staged.is_some()
            && let Ok(lock) = File::open(&path)
            && lock.try_lock().is_ok()
        {
            drop(Staging::of_the_dead(path.with_extension(""), lock));
        }
    }
}

/// A new file, readable by this user only.
pub(super) fn begin() -> Result<Staging> {
    let dir = std::env::temp_dir();
    sweep(&dir);
    let path = dir.join(format!("{STAGED}{}.db", uuid::Uuid::new_v4()));
    let doing = |error| Error::io(error, format!("cannot write in {}", dir.display()));
    let private = |path: &Path| private_files::options().create_new(true).write(true).open(path);
    let staging = Staging::begin(path, |lock_path| {
        let lock = private(lock_path).map_err(doing)?;
        lock.lock().map_err(doing)?;
        Ok(lock)
    })?;
    // SQLite keeps the permissions of a file that is there.
    private(&staging.path).map_err(doing)?;
    Ok(staging)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staged_file_is_private_and_removed_with_its_builder() {
        let staging = begin().unwrap();
        let path = staging.path.clone();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600);
        }
        // Another command leaves it alone while it is in use.
        sweep(&std::env::temp_dir());
        assert!(path.exists());
        drop(staging);
        assert!(!path.exists());
    }

    #[test]
    fn staged_file_of_a_killed_command_is_removed_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let id = uuid::Uuid::new_v4();
        let keep = ["torso-notes.db.lock", "torso-notes.db", "other.db"].map(|name| dir.path().join(name));
        let gone = ["", "-journal", ".lock"].map(|more| dir.path().join(format!("torso-{id}.db{more}")));
        for path in keep.iter().chain(&gone) {
            std::fs::write(path, "").unwrap();
        }
        sweep(dir.path());
        assert!(keep.iter().all(|path| path.exists()) && !gone.iter().any(|path| path.exists()));
    }
}

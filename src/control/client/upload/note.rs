//! Notes of uploads under way, so that repeating a command whose process was killed resumes its upload.
//!
//! A note is a file with the upload's id, locked by the command that sends it, which removes it at its end. A note that
//! nobody locks was left by a killed command. Everything here may fail without harm: then the upload begins again.

use crate::checksum::hex;
use crate::private_files;
use ring::digest::{Context, SHA256};
use std::fs::File;
use std::io::{Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long notes of killed commands are kept. Servers discard uploads sooner.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// A note, locked by this process.
pub(super) struct UploadNote {
    path: PathBuf,
    file: File,
    /// Whether another command may still resume the upload.
    keep: bool,
}

impl UploadNote {
    /// Locks the note of the upload that `about` identifies: the server, the organization, the database, the content. None if
    /// that fails, or another command has it.
    pub fn take(dir: &Path, about: &[&str]) -> Option<Self> {
        private_files::create_directory(dir).ok()?;
        sweep(dir);
        let mut key = Context::new(&SHA256);
        for part in about {
            key.update(&(part.len() as u64).to_le_bytes());
            key.update(part.as_bytes());
        }
        let path = dir.join(hex(key.finish().as_ref()));
        let mut options = private_files::options();
        options.create(true).truncate(false).read(true).write(true);
        let file = options.open(&path).ok()?;
        file.try_lock().ok()?;
        Some(Self {
            path,
            file,
            keep: false,
        })
    }

    /// The id of the upload that a killed command left.
    pub fn left(&mut self) -> Option<String> {
        let mut text = String::new();
        self.file.rewind().ok()?;
        self.file.read_to_string(&mut text).ok()?;
        Some(text).filter(|text| !text.is_empty())
    }

    /// Writes the id of the upload.
    pub fn write(&mut self, id: &str) {
        // Without the id, a killed command is not resumed, which is no loss of data.
        let _ = self
            .file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(id.as_bytes()));
    }

    /// Leaves the note, so that the same command can resume the upload.
    pub fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for UploadNote {
    fn drop(&mut self) {
        if !self.keep {
            // What is left is removed by a later sweep.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes old notes that nobody locks.
fn sweep(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let old = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|time| time.elapsed().is_ok_and(|age| age > KEPT));
        if old
            && let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: [&str; 2] = ["http://server", "app"];

    #[test]
    fn upload_note_of_a_killed_command_is_found_by_the_same_command_only() {
        let dir = tempfile::tempdir().unwrap();
        let mut note = UploadNote::take(dir.path(), &ABOUT).unwrap();
        assert_eq!(note.left(), None);
        note.write("an-earlier-and-longer-one");
        note.write("u1");
        // While it lives nobody else takes it; what is about something else has its own.
        assert!(UploadNote::take(dir.path(), &ABOUT).is_none());
        assert_eq!(
            UploadNote::take(dir.path(), &["http://serverapp", ""]).unwrap().left(),
            None
        );
        note.keep();
        let mut again = UploadNote::take(dir.path(), &ABOUT).unwrap();
        assert_eq!(again.left().as_deref(), Some("u1"));
        drop(again);
        assert_eq!(UploadNote::take(dir.path(), &ABOUT).unwrap().left(), None);
    }

    #[test]
    fn upload_notes_that_are_old_are_removed_unless_locked() {
        let dir = tempfile::tempdir().unwrap();
        let held = UploadNote::take(dir.path(), &ABOUT).unwrap();
        let long_ago = std::time::SystemTime::now() - KEPT - Duration::from_secs(60);
        held.file.set_modified(long_ago).unwrap();
        let left = dir.path().join("left");
        File::create(&left).unwrap().set_modified(long_ago).unwrap();
        let fresh = dir.path().join("fresh");
        File::create(&fresh).unwrap();
        sweep(dir.path());
        assert!(held.path.exists() && fresh.exists() && !left.exists());
    }
}

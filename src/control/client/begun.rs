//! Notes of uploads under way, on this machine: so that a command whose process was killed can be given once more and go
//! on where it was.
//!
//! A note is a file that names the upload at the server, held with a lock by the command that sends it. It is gone when that
//! command ends in order; one that nobody holds was left by a command that was killed. Everything here may fail without
//! harm: then an upload begins anew.

use super::super::files::hex;
use ring::digest::{Context, SHA256};
use std::fs::File;
use std::io::{Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long notes are kept that nobody came back for. Servers forget uploads sooner.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// A note, held by this process.
pub(super) struct Note {
    path: PathBuf,
    file: File,
    /// Whether the upload may still be gone on with by another command.
    keep: bool,
}

impl Note {
    /// Takes the note of an upload that is told from all others by `about`: the server, whose it is, what it becomes, its
    /// content. None where no note can be taken, or another command is at the same.
    pub fn take(dir: &Path, about: &[&str]) -> Option<Self> {
        private_dir(dir).ok()?;
        sweep(dir);
        let mut key = Context::new(&SHA256);
        for part in about {
            key.update(&(part.len() as u64).to_le_bytes());
            key.update(part.as_bytes());
        }
        let path = dir.join(hex(key.finish().as_ref()));
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).ok()?;
        file.try_lock().ok()?;
        Some(Self {
            path,
            file,
            keep: false,
        })
    }

    /// The upload that a killed command had begun.
    pub fn left(&mut self) -> Option<String> {
        let mut text = String::new();
        self.file.rewind().ok()?;
        self.file.read_to_string(&mut text).ok()?;
        Some(text).filter(|text| !text.is_empty())
    }

    /// Notes which upload it is.
    pub fn write(&mut self, id: &str) {
        let _ = self
            .file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(id.as_bytes()));
    }

    /// The server still has what was sent: the same command may go on with it.
    pub fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if !self.keep {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes notes that are old and that nobody holds.
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

fn private_dir(dir: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: [&str; 2] = ["http://server", "app"];

    #[test]
    fn what_a_killed_command_noted_is_found_by_the_same_command_only() {
        let dir = tempfile::tempdir().unwrap();
        let mut note = Note::take(dir.path(), &ABOUT).unwrap();
        assert_eq!(note.left(), None);
        note.write("an-earlier-and-longer-one");
        note.write("u1");
        // While it lives nobody else takes it; what is about something else has its own.
        assert!(Note::take(dir.path(), &ABOUT).is_none());
        assert_eq!(Note::take(dir.path(), &["http://serverapp", ""]).unwrap().left(), None);
        note.keep();
        let mut again = Note::take(dir.path(), &ABOUT).unwrap();
        assert_eq!(again.left().as_deref(), Some("u1"));
        drop(again);
        assert_eq!(Note::take(dir.path(), &ABOUT).unwrap().left(), None);
    }

    #[test]
    fn old_notes_go_unless_somebody_holds_them() {
        let dir = tempfile::tempdir().unwrap();
        let held = Note::take(dir.path(), &ABOUT).unwrap();
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

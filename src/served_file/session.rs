//! A session's folder: its lock, and the record of how far the session is.

use super::unwritable;
use crate::error::{Code, Error, Result};
use crate::temporary_files::TemporaryFile;
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What is added to a file's name for the folder of its session.
const SUFFIX: &str = "-torso";

const RECORD: &str = "session.json";
const LOCK: &str = "lock";
const RESULT: &str = "result.db";
const SERVER: &str = "server";

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionPhase {
    /// The file has the newest state, and is locked.
    Preparing,
    /// The server has the same state, and nobody can reach it yet. The file is being marked.
    Marking,
    /// The server has the newest state.
    Serving,
}

/// What is known of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    pub phase: SessionPhase,
    /// How the file was: `wal`, or `delete` for a rollback journal.
    pub journal_mode: String,
    /// The file's permissions and owner.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Where the newest state is, below the folder, once it is there.
    pub data: Option<PathBuf>,
    /// What the server's process holds as long as it lives, below the folder.
    pub process_lock: Option<PathBuf>,
    /// Where the file is served, once it can be reached.
    pub url: Option<String>,
}

impl SessionRecord {
    /// Writes the record; what is there stays complete until then.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(RECORD);
        let doing = unwritable(&path);
        let text = serde_json::to_vec(self)
            .map_err(|error| Error::new(Code::Internal, format!("a session cannot be recorded: {error}")))?;
        let mut fresh = TemporaryFile::create_in(folder, ".tmp").map_err(&doing)?;
        fresh
            .write_all(&text)
            .and_then(|()| fresh.as_file().sync_all())
            .map_err(&doing)?;
        fresh.persist(&path, true).map_err(&doing)?;
        sync_folder(folder)
    }
}

/// The record of a folder; none where none was written yet.
pub fn read_record(folder: &Path) -> Result<Option<SessionRecord>> {
    let path = folder.join(RECORD);
    match std::fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(error, format!("cannot read {}", path.display()))),
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
            Error::new(Code::InvalidFile, format!("{} is damaged", path.display()))
                .caused_by(error)
                .hint("the newest state of the file is below that folder: keep it")
        }),
    }
}

/// The folder of the session of a file, whose path is not a link.
pub fn session_folder(path: &Path) -> PathBuf {
    with_suffix(path, SUFFIX)
}

/// Where a session's server has its files.
pub fn server_folder(folder: &Path) -> PathBuf {
    folder.join(SERVER)
}

/// The newest state on its way back.
pub fn result_file(folder: &Path) -> PathBuf {
    folder.join(RESULT)
}

/// A path with something added to its last component.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(unwritable(folder))
}

/// The lock of a session's folder. Held, it says that the session's torso lives.
#[derive(Debug)]
pub struct SessionLock {
    folder: PathBuf,
    _file: File,
}

impl SessionLock {
    /// Makes the folder where there is none, and takes its lock; none if another process has it.
    pub fn make_folder(folder: &Path) -> Result<Option<Self>> {
        loop {
            match DirBuilder::new().mode(0o700).create(folder) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(unwritable(folder)(error)),
                _ => {}
            }
            match Self::try_acquire(folder) {
                // Another process has just removed it.
                Err(_) if !folder.exists() => {}
                held => return held,
            }
        }
    }

    /// Takes the lock of an existing folder; none if another process has it.
    pub fn try_acquire(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(LOCK);
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(unwritable(&path))?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(unwritable(&path)(error)),
                Ok(()) => {}
            }
            // It may have been removed since it was opened: then it locks nothing.
            let is_same = match (file.metadata(), std::fs::metadata(&path)) {
                (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
                _ => false,
            };
            if is_same {
                // The process id is only for people, so a failure to write it (a full disk) is ignored.
                let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                return Ok(Some(Self {
                    folder: folder.to_owned(),
                    _file: file,
                }));
            }
        }
    }

    /// The process id of who holds the lock, for messages.
    pub fn holder(folder: &Path) -> Option<String> {
        let text = std::fs::read_to_string(folder.join(LOCK)).ok()?;
        Some(text).filter(|text| !text.is_empty())
    }

    /// Removes what is in the folder but the lock.
    pub fn clear_folder(&self) -> Result<()> {
        let entries = std::fs::read_dir(&self.folder).map_err(unwritable(&self.folder))?;
        for entry in entries {
            let entry = entry.map_err(unwritable(&self.folder))?;
            let path = entry.path();
            if entry.file_name() == LOCK {
                continue;
            }
            let removed = match entry.file_type() {
                Ok(kind) if kind.is_dir() => std::fs::remove_dir_all(&path),
                _ => std::fs::remove_file(&path),
            };
            removed.map_err(unwritable(&path))?;
        }
        Ok(())
    }

    /// Removes the folder with all that is in it.
    pub fn remove_folder(self) -> Result<()> {
        self.clear_folder()?;
        std::fs::remove_file(self.folder.join(LOCK))
            .and_then(|()| std::fs::remove_dir(&self.folder))
            .map_err(unwritable(&self.folder))?;
        self.folder.parent().map_or(Ok(()), sync_folder)
    }
}

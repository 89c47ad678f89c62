//! The way back: the newest state takes the file's place, whatever was killed before.
//!
//! Every step may be repeated. The state moves by renames from the server's files to `result.db` and from there to the file, so it
//! is complete wherever it is found.

use super::session::{SessionPhase, SessionRecord, read_record, result_file, session_folder, sync_folder, with_suffix};
use super::unwritable;
use crate::error::{Code, Error, Result};
use crate::sqlite_header;
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use std::fmt;
use std::fs::{File, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the process of a killed torso may take to end.
const ENDING: Duration = Duration::from_secs(10);

/// What SQLite keeps beside a file.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// What was brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restored {
    /// The file has it.
    InPlace(PathBuf),
    /// Another file is in the file's place, and stays there.
    Aside { path: PathBuf, aside: PathBuf },
}

impl Restored {
    pub fn is_aside(&self) -> bool {
        matches!(self, Self::Aside { .. })
    }
}

impl fmt::Display for Restored {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InPlace(path) => write!(
                out,
                "Put back what torso dev had served of {} when it was killed.",
                path.display()
            ),
            Self::Aside { path, aside } => write!(
                out,
                "{} was replaced while torso dev served it, and stays as it is; what was served is in {}.",
                path.display(),
                aside.display()
            ),
        }
    }
}

/// Brings a file's newest state back from its session's folder, whose lock is held; none if the file has it already. The folder
/// has nothing of worth afterwards.
pub fn restore(path: &Path, folder: &Path) -> Result<Option<Restored>> {
    let is_marked = match sqlite_header::is_served(path) {
        Ok(is_marked) => Some(is_marked),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(Error::io(error, format!("cannot read {}", path.display()))),
    };
    let Some(record) = read_record(folder)? else {
        return if is_marked == Some(true) {
            Err(lost(path))
        } else {
            Ok(None)
        };
    };
    await_process(path, folder, &record)?;
    let is_newest_in_folder = match (record.phase, is_marked) {
        (_, Some(true)) | (SessionPhase::Serving, _) => true,
        (SessionPhase::Preparing | SessionPhase::Marking, _) => false,
    };
    if !is_newest_in_folder {
        keep_file(path, &record);
        return Ok(None);
    }
    let result = result_file(folder);
    let data = record.data.as_ref().map(|data| folder.join(data));
    match data.filter(|data| data.exists()) {
        Some(data) => {
            fold(&data, &record)?;
            std::fs::rename(&data, &result).map_err(unwritable(&result))?;
        }
        None if result.exists() => {}
        None if is_marked == Some(true) => return Err(lost(path)),
        // It was put back already.
        None => return Ok(None),
    }
    finish(&result, &record)?;
    sync_folder(folder)?;
    let restored = if is_marked == Some(false) {
        let aside = free_name(path);
        Restored::Aside {
            path: path.to_owned(),
            aside,
        }
    } else {
        Restored::InPlace(path.to_owned())
    };
    let to = match &restored {
        Restored::InPlace(path) | Restored::Aside { aside: path, .. } => path,
    };
    for companion in COMPANIONS {
        // A log or journal would be taken for one of the state that comes back.
        remove(&with_suffix(to, companion))?;
    }
    std::fs::rename(&result, to).map_err(unwritable(to))?;
    path.parent().map_or(Ok(()), sync_folder)?;
    Ok(Some(restored))
}

/// Waits for the end of the server's process, which ends with its torso.
fn await_process(path: &Path, folder: &Path, record: &SessionRecord) -> Result<()> {
    let Some(lock) = record.process_lock.as_ref().map(|lock| folder.join(lock)) else {
        return Ok(());
    };
    let Ok(file) = File::open(&lock) else { return Ok(()) };
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(Error::io(error, format!("cannot lock {}", lock.display()))),
            Err(TryLockError::WouldBlock) if begun.elapsed() < ENDING => std::thread::sleep(Duration::from_millis(5)),
            Err(TryLockError::WouldBlock) => {
                let process = std::fs::read_to_string(&lock).unwrap_or_default();
                let process = process.trim();
                return Err(Error::new(
                    Code::DatabaseBusy,
                    format!("the process {process} that served {} has not ended", path.display()),
                )
                .hint(format!("end it with kill {process}, then try again; nothing is lost")));
            }
        }
    }
}

/// Has the file be in the mode that it was in before it was taken.
fn keep_file(path: &Path, record: &SessionRecord) {
    if record.journal_mode != "delete" && path.exists() {
        // What stays in another mode works as well; another program may be using it by now.
        let _ = set_journal_mode(path, &record.journal_mode);
    }
}

/// Folds the log of the server's database into it.
fn fold(data: &Path, record: &SessionRecord) -> Result<()> {
    set_journal_mode(data, &record.journal_mode)?;
    for companion in COMPANIONS {
        let beside = with_suffix(data, companion);
        if std::fs::metadata(&beside).is_ok_and(|beside| beside.len() > 0) {
            return Err(Error::new(
                Code::DatabaseBusy,
                format!("{} is in use, so it cannot be put back", data.display()),
            )
            .hint("close the programs that have it open, then try again; nothing is lost"));
        }
        remove(&beside)?;
    }
    Ok(())
}

fn set_journal_mode(path: &Path, mode: &str) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let set = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        connection.query_row(&format!("PRAGMA journal_mode = {mode}"), [], |_| Ok(()))?;
        connection.close().map_err(|(_, error)| error)
    };
    set().map_err(|error: rusqlite::Error| Error::new(Code::Io, format!("cannot write {}: {error}", path.display())))
}

/// Gives the state that comes back the permissions and the owner of the file, and has it on disk.
fn finish(result: &Path, record: &SessionRecord) -> Result<()> {
    std::fs::set_permissions(result, Permissions::from_mode(record.mode)).map_err(unwritable(result))?;
    // Only a superuser may give files away; to everybody else it is theirs already.
    let _ = std::os::unix::fs::chown(result, Some(record.uid), Some(record.gid));
    File::open(result)
        .and_then(|file| file.sync_all())
        .map_err(unwritable(result))
}

/// A name beside the file that nothing has.
fn free_name(path: &Path) -> PathBuf {
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut aside = with_suffix(path, &format!(".served-{stamp}"));
    let mut number = 1;
    while aside.exists() {
        number += 1;
        aside = with_suffix(path, &format!(".served-{stamp}-{number}"));
    }
    aside
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(unwritable(path)(error)),
        _ => Ok(()),
    }
}

fn lost(path: &Path) -> Error {
    Error::new(
        Code::InvalidFile,
        format!(
            "{} was served by torso dev, and its newest state is not in {}",
            path.display(),
            session_folder(path).display()
        ),
    )
    .hint(format!(
        "restore that folder; or remove it and use the older state: torso dev --db-file {} --accept-older",
        path.display()
    ))
}

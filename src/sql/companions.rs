//! The files that SQLite keeps beside a database: its write-ahead log and its rollback journal. What they hold is a part of the
//! database, so it is applied before a copy, and must not be left for a file that takes the database's place.

use super::restrict::distrust_schema;
use crate::error::{Code, Error, Result};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long whoever has a database open may still take to close it.
pub(super) const BUSY: Duration = Duration::from_millis(500);

/// The write-ahead log beside a database, if it is not empty.
pub(crate) fn log_of(path: &Path) -> Option<PathBuf> {
    companion(path, "-wal")
}

/// The rollback journal beside a database, if it is not empty.
pub(super) fn journal_of(path: &Path) -> Option<PathBuf> {
    companion(path, "-journal")
}

/// What SQLite keeps beside a database. It is beside the file that a link leads to.
fn companion(path: &Path, suffix: &str) -> Option<PathBuf> {
    let mut companion = std::fs::canonicalize(path).ok()?.into_os_string();
    companion.push(suffix);
    let companion = PathBuf::from(companion);
    std::fs::metadata(&companion)
        .is_ok_and(|metadata| metadata.len() > 0)
        .then_some(companion)
}

/// Undoes what a program that was killed left unfinished in a database, as whoever opens it for writing does. A database that is
/// in use, or has no journal, stays as it is.
///
/// # Errors
///
/// Where the file or its directory may not be written: without that, what is read is no content that the database ever had.
pub fn roll_back_unfinished(path: &Path) -> Result<()> {
    let Some(journal) = journal_of(path) else {
        return Ok(());
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let rolled_back = Connection::open_with_flags(path, flags).and_then(|connection| {
        distrust_schema(&connection)?;
        connection.busy_timeout(BUSY)?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
    });
    match rolled_back {
        Err(error)
            if matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied)
            ) =>
        {
            let why = format!(
                "{} cannot be used: a program was killed while it wrote, and {} must be applied",
                path.display(),
                journal.display()
            );
            Err(Error::new(Code::InvalidFile, why)
                .caused_by(error)
                .hint("make the file and its directory writable, or copy both files to a directory of yours"))
        }
        // What else is wrong shows when it is read.
        _ => Ok(()),
    }
}

/// Makes room for a database file at a path: removes what SQLite kept beside a former one, which would be taken for a part of the
/// new one.
///
/// # Errors
///
/// `database_busy` where another program has the former one open.
pub fn remove_companions(path: &Path) -> Result<()> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let companions = ["-wal", "-journal", "-shm"].map(beside);
    if !companions.iter().any(|companion| companion.symlink_metadata().is_ok()) {
        return Ok(());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let claimed = Connection::open_with_flags(path, flags).and_then(|former| {
        former.busy_timeout(BUSY)?;
        former.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT")
    });
    if let Err(error) = claimed
        && matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        )
    {
        return Err(
            Error::new(Code::DatabaseBusy, format!("another program holds {}", path.display()))
                .hint("close it, or write to another file"),
        );
    }
    for companion in companions {
        match std::fs::remove_file(&companion) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(error, format!("cannot remove {}", companion.display())));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(path: &Path, setup: &str) -> Connection {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch(setup).unwrap();
        connection
    }

    #[test]
    fn copy_in_the_place_of_a_database_is_not_read_with_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let (live, old, new) = (dir.path().join("live"), dir.path().join("old"), dir.path().join("new"));
        let writer = sample(&live, "pragma journal_mode = wal; create table old(a)");
        for suffix in ["", "-wal"] {
            let beside = |path: &Path| format!("{}{suffix}", path.display());
            std::fs::copy(beside(&live), beside(&old)).unwrap();
        }
        sample(&new, "create table new(a)");
        let held = sample(&old, "begin; select * from old");
        assert_eq!(remove_companions(&old).unwrap_err().code(), Code::DatabaseBusy);
        drop((writer, held));
        std::fs::write(dir.path().join("old-journal"), "x").unwrap();
        remove_companions(&old).unwrap();
        for suffix in ["-wal", "-shm", "-journal"] {
            assert!(!dir.path().join(format!("old{suffix}")).exists(), "{suffix}");
        }
        std::fs::rename(&new, &old).unwrap();
        let connection = Connection::open(&old).unwrap();
        let name: String = connection
            .query_row("select name from sqlite_schema", [], |row| row.get(0))
            .unwrap();
        assert_eq!(name, "new");
    }
}

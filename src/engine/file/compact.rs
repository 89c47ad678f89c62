//! Giving the free pages of a primary's file back to the disk, in its place: `VACUUM`, which SQLite makes in one transaction. What is
//! cut short leaves the file as it was.

use super::{copy, sqlite};
use crate::error::{Code, Error, Result};
use rusqlite::ErrorCode;
use std::path::Path;

/// Compacts a file.
///
/// # Errors
///
/// `database_busy` while an application uses it, `unsupported` where the schema has what only libSQL can make again.
pub(super) fn compact(path: &Path) -> Result<()> {
    let connection = copy::open_existing(path)?;
    connection
        .execute_batch("PRAGMA synchronous = FULL; VACUUM")
        .map_err(|error| not_compacted(path, error))?;
    // What it has written is in the log until then. Readers may be in the way: the next checkpoint does it.
    let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    connection.close().map_err(|(_, error)| sqlite(path, error))
}

/// Why a file could not be compacted.
pub(super) fn not_compacted(path: &Path, error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::new(Code::DatabaseBusy, format!("another program uses {}", path.display()))
                .hint("close the applications that have it open, then try again")
        }
        // A function or module that this SQLite does not have, or words in the schema that only libSQL reads.
        Some(ErrorCode::Unknown) => not_made_again(path, error),
        Some(ErrorCode::DatabaseCorrupt) if error.to_string().starts_with("malformed database schema") => {
            not_made_again(path, error)
        }
        _ => sqlite(path, error),
    }
}

fn not_made_again(path: &Path, error: rusqlite::Error) -> Error {
    let hint = if error.to_string().contains("libsql_vector_idx") {
        "drop the indexes of vectors, compact it, and create them again"
    } else {
        "drop what the cause names, compact it, and create it again"
    };
    Error::new(
        Code::Unsupported,
        format!(
            "{} has something in its schema that SQLite cannot make again",
            path.display()
        ),
    )
    .hint(hint)
    .caused_by(sqlite(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn compaction_of_a_file_gives_free_pages_back_and_keeps_its_rows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, x);
                 WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 500)
                 INSERT INTO t SELECT n, zeroblob(4000) FROM c; DELETE FROM t WHERE id > 10",
            )
            .unwrap();
        drop(connection);
        let before = std::fs::metadata(&path).unwrap().len();
        compact(&path).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() < before / 10);
        let connection = Connection::open(&path).unwrap();
        let count: i64 = connection
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!(count, 10);
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert_eq!(compact(&path).unwrap_err().code(), Code::DatabaseBusy);
        connection.execute_batch("ROLLBACK").unwrap();
        connection
            .execute_batch("CREATE TABLE c(x CHECK (abs(x) > 0))")
            .unwrap();
        compact(&path).unwrap();
    }

    #[test]
    fn compaction_of_a_schema_that_sqlite_cannot_read_is_unsupported() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE t(x); PRAGMA writable_schema = ON;
                 UPDATE sqlite_schema SET sql = 'CREATE TABLE t(x) RANDOM ROWID'",
            )
            .unwrap();
        connection.close().unwrap();
        let before = std::fs::read(&path).unwrap();
        let error = compact(&path).unwrap_err();
        assert_eq!(error.code(), Code::Unsupported, "{}", error.full_message());
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}

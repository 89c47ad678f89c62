//! Copying a SQLite file that a user named, or to a place that a user named.
//!
//! The source may be damaged, not a database, or in use by an application. It is read through SQLite's online backup,
//! so the copy is consistent and has what is still in a write-ahead log; then the copy is checked. Nothing is written
//! to the source, but what a program that was killed left unfinished in it is undone.

use super::codes::meaning;
use super::companions::{BUSY, journal_of, log_of, roll_back_unfinished};
use super::restrict::distrust_schema;
use crate::damage_check::find_damage;
use crate::error::{Code, Error, Result};
use crate::sqlite_header;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Pages copied between two reports of progress: 16 MiB with the usual page size.
const STEP: i32 = 4096;

/// How long an application may keep the source locked.
const PATIENCE: Duration = Duration::from_secs(5);

/// Copies the database at `from` to `to`, which is made again, and checks the copy. `progress` is called with the bytes
/// done and the total, and may stop the work with an error. After an error the caller removes what is left at `to`.
pub fn copy_file(from: &Path, to: &Path, progress: &mut dyn FnMut(u64, u64) -> Result<()>) -> Result<()> {
    check_header(from)?;
    let source = open_source(from)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copy = Connection::open_with_flags(to, flags).map_err(|error| failed(to, error))?;
    distrust_schema(&copy).map_err(|error| failed(to, error))?;
    // Nobody uses the copy before it is complete, so it needs no journal; it is synced to disk at the end.
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
        .map_err(|error| failed(to, error))?;
    backup(&source, from, &mut copy, to, progress)?;
    check_content(&copy, from)?;
    let mode: String = copy
        .query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))
        .map_err(|error| failed(to, error))?;
    if mode != "delete" {
        return Err(Error::new(
            Code::Internal,
            format!("the copy of {} stays in {mode} mode", from.display()),
        ));
    }
    copy.close().map_err(|(_, error)| failed(to, error))?;
    // A copy of a replica is a file that can be written to.
    sqlite_header::unprotect(to)
        .and_then(|()| File::open(to)?.sync_all())
        .map_err(|error| Error::io(error, format!("cannot write {}", to.display())))
}

/// Puts the content of `from` in the place of that of the database at `to`, which nobody else may have open: `database_busy` if
/// somebody has. It is one transaction: what is cut short leaves the former content.
pub fn replace_content(from: &Path, to: &Path, progress: &mut dyn FnMut(u64, u64) -> Result<()>) -> Result<()> {
    check_header(from)?;
    let source = open_source(from)?;
    #[cfg(unix)]
    crate::served_file::check_free(to)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(to, flags).map_err(|error| failed(to, error))?;
    let busy = || {
        Error::new(Code::DatabaseBusy, format!("another program holds {}", to.display()))
            .hint("close the applications that have it open, then try again")
    };
    target
        .busy_timeout(BUSY)
        .and_then(|()| target.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT"))
        .map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => busy(),
            _ => failed(to, error),
        })?;
    // In this mode the copy may have pages of another size. A connection that is idle keeps it from being left.
    let set_mode = |target: &Connection, mode: &str| -> Result<String> {
        target
            .query_row(&format!("PRAGMA journal_mode = {mode}"), [], |row| row.get(0))
            .map_err(|error| failed(to, error))
    };
    let former: String = target
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .map_err(|error| failed(to, error))?;
    if set_mode(&target, "DELETE")? != "delete" {
        return Err(busy());
    }
    let replaced = backup(&source, from, &mut target, to, progress);
    set_mode(&target, &former)?;
    replaced?;
    check_content(&target, from)?;
    target.close().map_err(|(_, error)| failed(to, error))
}

fn backup(
    source: &Connection,
    from: &Path,
    copy: &mut Connection,
    to: &Path,
    progress: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<()> {
    let page: u32 = source
        .query_row("PRAGMA page_size", [], |row| row.get(0))
        .map_err(|error| read_failed(from, to, error))?;
    let backup = Backup::new(source, copy).map_err(|error| failed(to, error))?;
    let mut deadline = Instant::now() + PATIENCE;
    loop {
        match backup.step(STEP).map_err(|error| read_failed(from, to, error))? {
            StepResult::Done => return Ok(()),
            StepResult::More => deadline = Instant::now() + PATIENCE,
            _ if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            _ => {
                return Err(
                    Error::new(Code::DatabaseBusy, format!("another program holds {}", from.display()))
                        .hint("close the applications that have it open, then try again"),
                );
            }
        }
        let at = backup.progress();
        let total = u64::try_from(at.pagecount).unwrap_or(0);
        let done = total.saturating_sub(u64::try_from(at.remaining).unwrap_or(0));
        progress(done * u64::from(page), total * u64::from(page))?;
    }
}

/// Reports a file that is not a database, or is truncated, more clearly than SQLite's "file is not a database".
/// Fails where a file is no whole SQLite database by its header, or is served by another torso.
pub fn check_header(path: &Path) -> Result<()> {
    #[cfg(unix)]
    crate::served_file::check_free(path)?;
    let refuse = |why: &str| Err(not_usable(path, why));
    let doing = |error| Error::io(error, format!("cannot read {}", path.display()));
    let metadata = std::fs::metadata(path).map_err(doing)?;
    if metadata.is_dir() {
        return refuse("it is a directory");
    }
    if !metadata.is_file() {
        return refuse("it is not a regular file");
    }
    let mut header = Vec::with_capacity(100);
    File::open(path)
        .and_then(|file| file.take(100).read_to_end(&mut header))
        .map_err(doing)?;
    if header.is_empty() {
        return refuse("it is empty");
    }
    if !header.starts_with(sqlite_header::MAGIC) {
        return refuse("it is not a SQLite database, or it is encrypted");
    }
    let Ok(header) = <&[u8; sqlite_header::LENGTH]>::try_from(header.as_slice()) else {
        return refuse("it is cut off within its header");
    };
    let expected = sqlite_header::expected_size(header).unwrap_or(0);
    if metadata.len() < expected && log_of(path).is_none() && journal_of(path).is_none() {
        return refuse(&format!("it is cut off: it has {} of {expected} bytes", metadata.len()));
    }
    Ok(())
}

/// Opens the source for reading. If its directory is not writable, SQLite cannot use a write-ahead log; if there is
/// none, the file is complete without it.
fn open_source(path: &Path) -> Result<Connection> {
    roll_back_unfinished(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let probe = |connection: &Connection| {
        distrust_schema(connection)?;
        connection.busy_timeout(PATIENCE)?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
    };
    let opened = Connection::open_with_flags(path, flags).and_then(|connection| probe(&connection).map(|_| connection));
    match opened {
        Ok(connection) => Ok(connection),
        Err(error)
            if matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)
            ) && log_of(path).is_none()
                && journal_of(path).is_none() =>
        {
            let url = immutable_url(path)?;
            Connection::open_with_flags(url.as_str(), flags | OpenFlags::SQLITE_OPEN_URI)
                .and_then(|connection| probe(&connection).map(|_| connection))
                .map_err(|error| read_failed(path, path, error))
        }
        Err(error) => Err(read_failed(path, path, error)),
    }
}

fn immutable_url(path: &Path) -> Result<url::Url> {
    let whole =
        std::path::absolute(path).map_err(|error| Error::io(error, format!("cannot read {}", path.display())))?;
    let mut url =
        url::Url::from_file_path(&whole).map_err(|()| not_usable(path, "its path cannot be written as a URL"))?;
    url.set_query(Some("immutable=1"));
    Ok(url)
}

/// Has SQLite check every page of the copy.
fn check_content(copy: &Connection, from: &Path) -> Result<()> {
    let Some(verdict) = find_damage(copy).map_err(|error| read_failed(from, from, error))? else {
        return Ok(());
    };
    let first = verdict
        .lines()
        .find(|line| !line.starts_with("***"))
        .unwrap_or(&verdict)
        .to_owned();
    Err(not_usable(from, &format!("it is damaged: {first}")).hint(recover_hint(from)))
}

/// What saves most of a damaged file.
fn recover_hint(path: &Path) -> String {
    format!(
        "torso db shell {} .recover prints what can be read of it, as SQL",
        path.display()
    )
}

fn not_usable(path: &Path, why: &str) -> Error {
    Error::new(Code::InvalidFile, format!("{} cannot be used: {why}", path.display()))
}

/// The error for a failed copy: the source is damaged, unless the copy's disk is full.
fn read_failed(from: &Path, to: &Path, error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => not_usable(from, "it is damaged")
            .caused_by(error)
            .hint(recover_hint(from)),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::new(Code::DatabaseBusy, format!("another program holds {}", from.display())).caused_by(error)
        }
        _ => failed(to, error),
    }
}

fn failed(path: &Path, error: rusqlite::Error) -> Error {
    let code = error
        .sqlite_error()
        .map_or(Code::SqlError, |error| match meaning(error.extended_code) {
            Code::ReadOnly => Code::Io,
            code => code,
        });
    Error::new(code, format!("cannot copy to or from {}", path.display())).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(path: &Path, setup: &str) -> Connection {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch(setup).unwrap();
        connection
    }

    fn copy(from: &Path, to: &Path) -> Result<()> {
        copy_file(from, to, &mut |_, _| Ok(()))
    }

    #[test]
    fn copy_replaces_content_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let replace = || replace_content(&path("from"), &path("to"), &mut |_, _| Ok(()));
        drop(sample(
            &path("from"),
            "PRAGMA page_size = 8192; CREATE TABLE new (x); INSERT INTO new VALUES (1), (2)",
        ));
        let to = sample(
            &path("to"),
            "PRAGMA journal_mode = WAL; CREATE TABLE old (x); INSERT INTO old VALUES (7)",
        );
        // An application has it open.
        assert_eq!(replace().unwrap_err().code(), Code::DatabaseBusy);
        let old: i64 = to.query_row("SELECT x FROM old", [], |row| row.get(0)).unwrap();
        assert_eq!(old, 7);
        drop(to);
        let mut steps = 0;
        let stopped = replace_content(&path("from"), &path("to"), &mut |_, _| {
            steps += 1;
            Err(Error::new(Code::Interrupted, "stop"))
        });
        if steps > 0 {
            assert_eq!(stopped.unwrap_err().code(), Code::Interrupted);
        }
        replace().unwrap();
        let to = Connection::open(path("to")).unwrap();
        let count: i64 = to.query_row("SELECT count(*) FROM new", [], |row| row.get(0)).unwrap();
        let mode: String = to.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        assert_eq!((count, mode.as_str()), (2, "wal"));
        assert!(to.query_row("SELECT x FROM old", [], |_| Ok(())).is_err());
    }

    const TABLE: &str =
        "CREATE TABLE t(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
        INSERT INTO t SELECT hex(randomblob(20)) FROM n;";

    #[test]
    fn copy_includes_what_is_in_the_log_and_keeps_the_source() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a b?.db"), dir.path().join("to"));
        let _held = sample(&from, &format!("PRAGMA journal_mode = WAL; {TABLE}"));
        let log = std::fs::metadata(log_of(&from).unwrap()).unwrap().len();
        copy(&from, &to).unwrap();
        assert_eq!(std::fs::metadata(log_of(&from).unwrap()).unwrap().len(), log);
        let copied = Connection::open(&to).unwrap();
        assert_eq!(
            copied
                .query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))
                .unwrap(),
            5000
        );
    }

    #[test]
    fn copy_of_a_database_whose_writer_was_killed_has_none_of_its_transaction() {
        let dir = tempfile::tempdir().unwrap();
        let (live, from) = (dir.path().join("live"), dir.path().join("from"));
        let writer = sample(
            &live,
            "create table t(a);
             with recursive c(x) as (select 1 union all select x + 1 from c limit 10000) insert into t select x from c;
             pragma cache_size = 5; begin; update t set a = -1",
        );
        // What is on disk in the middle of a transaction is what a kill leaves.
        std::fs::copy(&live, &from).unwrap();
        std::fs::copy(dir.path().join("live-journal"), dir.path().join("from-journal")).unwrap();
        drop(writer);
        let torn = |path: &Path| -> i64 {
            let url = immutable_url(path).unwrap();
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            let connection = Connection::open_with_flags(url.as_str(), flags).unwrap();
            connection
                .query_row("select count(*) from t where a = -1", [], |row| row.get(0))
                .unwrap()
        };
        assert!(torn(&from) > 0, "the transaction has reached the file");
        let to = dir.path().join("to");
        copy(&from, &to).unwrap();
        assert_eq!(torn(&to), 0);
    }

    #[test]
    fn copy_of_what_is_no_database_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let whole = dir.path().join("whole");
        sample(&whole, TABLE).close().unwrap();
        let bytes = std::fs::read(&whole).unwrap();
        let mut damaged = bytes.clone();
        damaged[4096..8192].fill(0xaa);
        let cases: [(&str, &[u8], &str); 5] = [
            ("empty", b"", "empty"),
            ("text", b"hello, world", "not a SQLite database"),
            ("header", &bytes[..50], "cut off"),
            ("half", &bytes[..bytes.len() / 2], "cut off"),
            ("damaged", &damaged, "damaged"),
        ];
        for (name, content, why) in cases {
            let from = dir.path().join(name);
            std::fs::write(&from, content).unwrap();
            let error = copy(&from, &dir.path().join(format!("{name}.copy"))).unwrap_err();
            assert_eq!(error.code(), Code::InvalidFile, "{name}: {error}");
            assert!(error.full_message().contains(why), "{name}: {error}");
            assert!(error.message().contains(name), "{error}");
        }
        assert_eq!(
            copy(&dir.path().join("nowhere"), &dir.path().join("x"))
                .unwrap_err()
                .code(),
            Code::FileNotFound
        );
        assert_eq!(
            copy(dir.path(), &dir.path().join("x")).unwrap_err().code(),
            Code::InvalidFile
        );
    }

    #[test]
    fn copy_that_is_stopped_by_its_progress_is_interrupted() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        sample(&from, "CREATE TABLE t(x); INSERT INTO t VALUES (zeroblob(40000000))")
            .close()
            .unwrap();
        let stop = &mut |_, _| Err(Error::new(Code::Interrupted, "stopped"));
        let error = copy_file(&from, &dir.path().join("to"), stop).unwrap_err();
        assert_eq!(error.code(), Code::Interrupted);
    }
}

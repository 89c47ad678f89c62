//! Copying: replicas, snapshots and seeds. SQLite's online backup reads a consistent state while applications write.

use super::note::{self, Copy, ReplicaNote};
use super::{COMPANIONS, changed_ns, file, position, sqlite, stat, unfinished, visible_damage};
use crate::damage_check::find_damage;
use crate::engine::disk::{self, with_suffix};
use crate::engine::{Damage, Position, Site};
use crate::error::{Code, Error, Result};
use crate::sqlite_header;
use crate::temporary_files::UnfinishedFile;
use jiff::Timestamp;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long another program may keep a source locked.
const PATIENCE: Duration = Duration::from_secs(5);

/// Two changes of a file within this time may get the same time stamp.
const GRAIN: Duration = Duration::from_millis(20);

/// Opens an existing database.
pub(super) fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .and_then(|connection| {
            // Its schema may have been written by anybody.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
            connection.busy_timeout(PATIENCE).map(|()| connection)
        })
        .map_err(|error| sqlite(path, error))
}

/// Opens a database that has content. SQLite would take an empty file for a new one.
pub(super) fn open_existing(path: &Path) -> Result<Connection> {
    #[cfg(unix)]
    crate::served_file::check_free(path)?;
    let Some(metadata) = stat(path)? else {
        return Err(Error::new(
            Code::Unavailable,
            format!("the database file {} is missing", path.display()),
        )
        .hint("torso doctor has details"));
    };
    match visible_damage(&metadata) {
        Some(damage) => Err(damage.to_error(path)),
        None => open(path),
    }
}

/// Opens a database to be copied, without changing it.
pub(super) fn open_source(path: &Path) -> Result<Connection> {
    let connection = open_existing(path)?;
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(|error| sqlite(path, error))?;
    Ok(connection)
}

/// Writes a complete copy in rollback mode to a new file, and syncs it to disk.
pub(super) fn backup(source: &Connection, from: &Path, to: &Path) -> Result<()> {
    clear(to)?;
    drop(disk::private_file(to)?);
    let mut copy = open(to)?;
    // A crash leaves a file that nobody uses, so no journal is needed, and no sync until the end.
    copy.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
        .map_err(|error| sqlite(to, error))?;
    let deadline = std::time::Instant::now() + PATIENCE;
    {
        let backup = Backup::new(source, &mut copy).map_err(|error| sqlite(to, error))?;
        loop {
            match backup.step(-1).map_err(|error| copy_failed(from, to, error))? {
                StepResult::Done => break,
                _ if std::time::Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
                _ => {
                    return Err(
                        Error::new(Code::DatabaseBusy, format!("another program holds {}", from.display()))
                            .hint("close the applications that have it open, then try again"),
                    );
                }
            }
        }
    }
    let mode: String = copy
        .query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))
        .map_err(|error| copy_failed(from, to, error))?;
    if mode != "delete" {
        return Err(Error::new(
            Code::Internal,
            format!("the copy {} stays in {mode} mode", to.display()),
        ));
    }
    copy.close().map_err(|(_, error)| sqlite(to, error))?;
    // A copy of a replica has its header.
    sqlite_header::unprotect(to).map_err(|error| unwritable(error, to))?;
    disk::sync_file(to)
}

fn unwritable(error: std::io::Error, path: &Path) -> Error {
    Error::io(error, format!("cannot write {}", path.display()))
}

/// The same, with proof: all pages are read a second time in the same read transaction, and the checksums of both copies must
/// be equal. Fails with `io` if they are not.
#[cfg(feature = "server")]
pub(super) fn backup_proven(source: &Connection, from: &Path, to: &Path) -> Result<()> {
    // The first read begins a transaction, in which both copies see the same state; others may write meanwhile.
    source
        .execute_batch("BEGIN")
        .and_then(|()| source.query_row("PRAGMA schema_version", [], |_| Ok(())))
        .map_err(|error| sqlite(from, error))?;
    let again = with_suffix(to, "-again");
    let proven = backup(source, from, to)
        .and_then(|()| backup(source, from, &again))
        .and_then(|()| check_equal(from, to, &again));
    if proven.is_err() {
        // What is not proven is nobody's to use. A failure to remove it only costs disk space.
        let _ = clear(to);
    }
    let cleared = clear(&again);
    let ended = source.execute_batch("COMMIT").map_err(|error| sqlite(from, error));
    proven.and(cleared).and(ended)
}

/// Fails unless two copies of a database have the same bytes.
#[cfg(feature = "server")]
fn check_equal(from: &Path, copy: &Path, again: &Path) -> Result<()> {
    let hash = |path: &Path| {
        File::open(path)
            .and_then(|mut file| crate::checksum::sha256(&mut file))
            .map_err(|error| Error::io(error, format!("cannot read {}", path.display())))
    };
    let (first, second) = (hash(copy)?, hash(again)?);
    if first == second {
        return Ok(());
    }
    Err(Error::new(
        Code::Io,
        format!(
            "two readings of {} gave different copies (SHA-256 {first} and {second})",
            from.display()
        ),
    )
    .hint("check the disk and the memory for faults, then try again"))
}

/// Removes a file under construction and what SQLite kept beside it.
pub(super) fn clear(path: &Path) -> Result<()> {
    disk::remove(path)?;
    COMPANIONS
        .iter()
        .try_for_each(|companion| disk::remove(&with_suffix(path, companion)))
}

/// The primary's position, taken when its last change is old enough that a further one would get another time stamp.
/// For a primary that is written to all the time, it is an uncertain position: the copy is good, but counts as stale.
fn conclusive_position(at: &Site) -> Result<Position> {
    for _ in 0..5 {
        let path = file(at);
        let Some(metadata) = stat(&path)? else { break };
        let position = position(at, &metadata)?;
        let changed = UNIX_EPOCH + Duration::from_nanos(u64::try_from(position.last_change_ns()).unwrap_or(0));
        match SystemTime::now().duration_since(changed) {
            Ok(age) if age < GRAIN => std::thread::sleep(GRAIN - age),
            // It is old enough, or in the future because of another clock; then waiting does not help.
            _ => return Ok(position),
        }
    }
    let Some(metadata) = stat(&file(at))? else {
        return Ok(Position {
            uncertain: true,
            ..Position::default()
        });
    };
    Ok(Position {
        uncertain: true,
        ..position(at, &metadata)?
    })
}

/// Makes `to` a copy of the primary `from`, through the connection that holds it or a new one. The caller has made sure
/// that there is at most an unaltered replica at `to`.
pub(super) fn replicate(held: Option<&Connection>, from: &Site, to: &Site) -> Result<()> {
    let (source, target, unfinished) = (file(from), file(to), unfinished(to));
    clear(&unfinished)?;
    let _early_end = UnfinishedFile::begin(&unfinished);
    // Taken before the copy: a change meanwhile makes the replica look stale, never fresher than it is.
    let position = conclusive_position(from)?;
    let result = match held {
        Some(connection) => backup(connection, &source, &unfinished),
        None => open_source(&source).and_then(|connection| backup(&connection, &source, &unfinished)),
    };
    if let Err(error) = result.and_then(|()| check_sound(&unfinished, &source)) {
        // The old copy stays. A failure to clear only costs disk space.
        let _ = clear(&unfinished);
        return Err(error);
    }
    // Modes stop nobody who is a superuser, as in a container; the header does.
    sqlite_header::protect(&unfinished)
        .and_then(|()| File::open(&unfinished)?.sync_all())
        .map_err(|error| unwritable(error, &unfinished))?;
    disk::set_mode(&unfinished, disk::READ_ONLY)?;
    let Some(metadata) = stat(&unfinished)? else {
        return Err(Error::new(
            Code::Io,
            format!("{} was removed by somebody else", unfinished.display()),
        ));
    };
    let copy = Copy {
        of: from.location.clone(),
        position,
        synced_at: Timestamp::now(),
        size: metadata.len(),
        changed_ns: changed_ns(&metadata),
        header: Some(note::header(&unfinished)?),
        write_protected: true,
    };
    let previous = match (stat(&target)?, note::read(to)?) {
        (Some(metadata), Some(note)) => note.current(to, &metadata)?.cloned(),
        _ => None,
    };
    note::write(
        to,
        &ReplicaNote {
            copy,
            previous,
            rising: false,
        },
    )?;
    // A log or journal of a former file would be taken for this one's.
    COMPANIONS
        .iter()
        .try_for_each(|companion| disk::remove(&with_suffix(&target, companion)))?;
    disk::rename(&unfinished, &target)?;
    disk::sync_dir(&to.dir)
}

/// A consistent copy in a file of the caller's.
pub(super) fn snapshot(from: &Site, to: &Path) -> Result<()> {
    let source = file(from);
    backup(&open_source(&source)?, &source, to)?;
    check_sound(to, &source)
}

/// Fails where a copy is damaged, and so its source: it would take the place of a copy that may be the last good one.
fn check_sound(copy: &Path, source: &Path) -> Result<()> {
    match find_damage(&open(copy)?) {
        Ok(None) => Ok(()),
        Ok(Some(verdict)) => {
            let first = verdict.lines().next().unwrap_or_default();
            Err(Damage::damaged(format!("is damaged: {first}")).to_error(source))
        }
        Err(error) => Err(copy_failed(source, copy, error)),
    }
}

/// The error of a copy: what is no sound database is its source.
fn copy_failed(source: &Path, copy: &Path, error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Damage::damaged("is damaged").to_error(source).caused_by(error)
        }
        _ => sqlite(copy, error),
    }
}

/// A seed must be a whole SQLite file: the magic, a size of whole pages, and nothing in a log or journal beside it.
pub(super) fn check_seed(seed: &Path) -> Result<()> {
    let refuse = |why: &str| {
        Err(Error::new(
            Code::InvalidFile,
            format!("{} cannot become a database: {why}", seed.display()),
        )
        .hint("give a complete SQLite file that no application has open"))
    };
    let Some(metadata) = stat(seed)? else {
        return refuse("it is not there");
    };
    let mut header = [0; 100];
    let read = File::open(seed).and_then(|mut file| file.read_exact(&mut header));
    if !metadata.is_file() || read.is_err() || !header.starts_with(sqlite_header::MAGIC) {
        return refuse("it is not a SQLite database");
    }
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        page => u64::from(page),
    };
    if page < 512 || !page.is_power_of_two() || metadata.len() % page != 0 {
        return refuse("it is cut short");
    }
    for companion in ["-wal", "-journal"] {
        if stat(&with_suffix(seed, companion))?.is_some_and(|beside| beside.len() > 0) {
            return refuse("it was not closed: a file beside it still has changes");
        }
    }
    Ok(())
}

/// Moves a seed into place as a primary in WAL mode.
pub(super) fn adopt(seed: &Path, at: &Site) -> Result<()> {
    let target = file(at);
    if stat(&target)?.is_none() {
        make_primary(seed)?;
        if let Err(error) = std::fs::rename(seed, &target) {
            if error.kind() != std::io::ErrorKind::CrossesDevices {
                return Err(Error::io(
                    error,
                    format!("cannot move {} to {}", seed.display(), target.display()),
                ));
            }
            let unfinished = unfinished(at);
            clear(&unfinished)?;
            let _early_end = UnfinishedFile::begin(&unfinished);
            std::fs::copy(seed, &unfinished)
                .map_err(|error| Error::io(error, format!("cannot write {}", unfinished.display())))?;
            disk::set_mode(&unfinished, disk::PRIVATE)?;
            disk::sync_file(&unfinished)?;
            disk::rename(&unfinished, &target)?;
        }
        disk::sync_dir(&at.dir)?;
    }
    clear(seed)
}

/// Puts a file that nobody else uses into WAL mode, makes it writable, and syncs it to disk.
pub(super) fn make_primary(path: &Path) -> Result<()> {
    disk::set_mode(path, disk::PRIVATE)?;
    sqlite_header::unprotect(path).map_err(|error| unwritable(error, path))?;
    let connection = open(path)?;
    connection
        .execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = WAL")
        .map_err(|error| sqlite(path, error))?;
    connection.close().map_err(|(_, error)| sqlite(path, error))?;
    disk::sync_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "server")]
    fn open_pair(dir: &Path) -> (Connection, std::path::PathBuf, std::path::PathBuf) {
        let (from, to) = (dir.join("from.db"), dir.join("to.db"));
        let writer = Connection::open(&from).unwrap();
        writer
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t(x); INSERT INTO t VALUES (randomblob(90000))")
            .unwrap();
        (writer, from, to)
    }

    #[cfg(feature = "server")]
    #[test]
    fn proven_copy_is_one_state_while_others_write() {
        let dir = tempfile::tempdir().unwrap();
        let (writer, from, to) = open_pair(dir.path());
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let done = &done;
            scope.spawn(move || {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    // Both or neither, in pages far from each other.
                    let both = "BEGIN; INSERT INTO t VALUES (randomblob(9000)); PRAGMA user_version = 7; COMMIT";
                    writer.execute_batch(both).unwrap();
                }
            });
            for _ in 0..20 {
                let source = open_source(&from).unwrap();
                let copied = backup_proven(&source, &from, &to);
                if copied.is_err() {
                    done.store(true, std::sync::atomic::Ordering::Relaxed);
                }
                copied.unwrap();
                assert!(stat(&with_suffix(&to, "-again")).unwrap().is_none());
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let copy = Connection::open(&to).unwrap();
        let verdict: String = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(verdict, "ok");
    }

    #[cfg(feature = "server")]
    #[test]
    fn copy_that_differs_from_a_second_reading_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (_writer, from, to) = open_pair(dir.path());
        let again = dir.path().join("again.db");
        let source = open_source(&from).unwrap();
        backup(&source, &from, &to).unwrap();
        backup(&source, &from, &again).unwrap();
        check_equal(&from, &to, &again).unwrap();
        let mut bytes = std::fs::read(&to).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&to, bytes).unwrap();
        let error = check_equal(&from, &to, &again).unwrap_err();
        assert_eq!(error.code(), Code::Io);
        assert!(error.message().contains("SHA-256"), "{error}");
    }
}

//! The files of a libSQL server process, as far as torso must know them: positions in replication logs, and what must
//! be repaired before a process is started over a directory.
//!
//! ```text
//! dbs/<id>/data, -wal, -shm          the database; of a running process, nobody else's to open
//! dbs/<id>/wallog, snapshots/, …     a primary's replication log
//! dbs/<id>/.sentinel                 there while a primary has it open; found at a start: it did not end cleanly
//! dbs/<id>/client_wal_index          how far a replica has come
//! metastore/                         settings of namespaces
//! ```

use super::role::ProcessRole;
use crate::engine::{Frame, Position, disk};
use crate::error::{Code, Error, Result};
use crate::sqlite_header;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A primary's replication log. Its header has the length.
pub(super) const LOG: &str = "wallog";

/// A replica's position in its primary's log.
pub(super) const INDEX: &str = "client_wal_index";

/// The namespace by which torso measures how long writes take (see `canary`). It is no database of anybody's.
pub(super) const CANARY: &str = "torso-canary";

/// The only page size of libSQL server.
pub(super) const PAGE: usize = 4096;

/// Bytes of a log's header, and of each frame: a page with a header.
const LOG_HEADER: usize = 64;
const LOG_FRAME: u64 = PAGE as u64 + 24;

/// The bytes of a SQLite database's header.
const HEADER: usize = 100;

const SENTINEL: &str = ".sentinel";

/// The database file of a namespace.
pub(super) fn database(db_path: &Path, id: &str) -> PathBuf {
    namespace(db_path, id).join("data")
}

pub(super) fn namespace(db_path: &Path, id: &str) -> PathBuf {
    db_path.join("dbs").join(id)
}

/// The namespaces of databases that have a directory.
pub(super) fn namespaces(db_path: &Path) -> Result<Vec<String>> {
    let mut all = names(&db_path.join("dbs"))?;
    all.retain(|name| name != CANARY);
    Ok(all)
}

/// Bytes of a namespace's log at its primary.
pub(super) fn log_bytes(db_path: &Path, id: &str) -> u64 {
    std::fs::metadata(log(ProcessRole::Primary, db_path, id)).map_or(0, |log| log.len())
}

/// The names in a directory; none if it does not exist.
pub(super) fn names(dir: &Path) -> Result<Vec<String>> {
    let doing = || format!("cannot list {}", dir.display());
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(error, doing())),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Error::io(error, doing()))?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The file with the length of a namespace's log, or with a replica's position in it.
fn log(place: ProcessRole, db_path: &Path, id: &str) -> PathBuf {
    namespace(db_path, id).join(match place {
        ProcessRole::Primary => LOG,
        ProcessRole::Replica => INDEX,
    })
}

/// When that file was last written; none if there is none.
pub(super) fn log_changed(place: ProcessRole, db_path: &Path, id: &str) -> Option<SystemTime> {
    std::fs::metadata(log(place, db_path, id)).ok()?.modified().ok()
}

/// The length of a namespace's log, or a replica's position in it. Uncertain while that cannot be read, and while a primary makes
/// its log anew of a database that has pages.
///
/// A replica without files has no frames, which are all there are as long as nothing was written: it is copied when it is opened.
pub(super) fn position(place: ProcessRole, db_path: &Path, id: &str) -> Position {
    let path = log(place, db_path, id);
    let mut header = Vec::with_capacity(LOG_HEADER);
    let read = File::open(&path).and_then(|file| {
        let metadata = file.metadata()?;
        file.take(LOG_HEADER as u64).read_to_end(&mut header)?;
        Ok(metadata)
    });
    let changed_ns = read
        .as_ref()
        .ok()
        .and_then(|metadata| metadata.modified().ok())
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_nanos()).ok())
        .unwrap_or(0);
    let frame = match (read, place) {
        (Ok(_), ProcessRole::Primary) => {
            primary_frame(&header).filter(|frame| frame.count > 0 || is_blank(&database(db_path, id)))
        }
        (Ok(_), ProcessRole::Replica) => replica_frame(&header),
        (Err(error), ProcessRole::Replica) if error.kind() == ErrorKind::NotFound => Some(Frame { log: 0, count: 0 }),
        (Err(_), _) => None,
    };
    Position {
        frame,
        changed_ns,
        uncertain: frame.is_none(),
        ..Position::default()
    }
}

/// Whether a database has only the page that each has from the beginning.
fn is_blank(database: &Path) -> bool {
    std::fs::metadata(database).map_or(true, |data| data.len() <= PAGE as u64)
}

fn number<const N: usize>(header: &[u8], at: usize) -> Option<[u8; N]> {
    header.get(at..at + N)?.try_into().ok()
}

fn primary_frame(header: &[u8]) -> Option<Frame> {
    let first = u64::from_le_bytes(number(header, 32)?);
    let frames = u64::from_le_bytes(number(header, 40)?);
    Some(Frame {
        log: u128::from_le_bytes(number(header, 16)?),
        count: first.checked_add(frames)?,
    })
}

fn replica_frame(header: &[u8]) -> Option<Frame> {
    // If the number or the log is missing, or the number is the highest one, nothing has been committed.
    let last = number(header, 16).map_or(u64::MAX, u64::from_le_bytes);
    Some(Frame {
        log: number(header, 0).map_or(0, u128::from_le_bytes),
        count: last.wrapping_add(1),
    })
}

/// Prepares the files for a start. The process must not be running.
///
/// A directory that was used in the other role is refused: a process over it would silently give wrong answers. After
/// an unclean end of a primary, its log is removed, so that the process begins a new one from the database.
pub(super) fn prepare(place: ProcessRole, db_path: &Path) -> Result<()> {
    for id in names(&db_path.join("dbs"))? {
        let dir = namespace(db_path, &id);
        let foreign = match place {
            ProcessRole::Primary => INDEX,
            ProcessRole::Replica => LOG,
        };
        if dir.join(foreign).exists() {
            let (is, was) = match place {
                ProcessRole::Primary => ("primary", "replica"),
                ProcessRole::Replica => ("replica", "primary"),
            };
            return Err(Error::new(
                Code::Conflict,
                format!("{} is a {was}'s and cannot be served as a {is}'s", dir.display()),
            )
            .hint("put back the directory that was there, or move this one out of the way"));
        }
        clear_helpers(&dir)?;
        if place == ProcessRole::Replica && is_half_copied(db_path, &id) {
            remove_tree(&dir)?;
        }
        if place == ProcessRole::Primary && (dir.join(SENTINEL).exists() || !is_whole(&dir.join(LOG))) {
            let log = dir.join(LOG);
            if log.is_dir() {
                remove_tree(&log)?;
            }
            disk::remove(&log)?;
            for part in ["snapshots", "to_compact"] {
                remove_tree(&dir.join(part))?;
            }
        }
    }
    Ok(())
}

/// Removes what says which role the files of a namespace were used in. No process may have them open.
pub(super) fn clear_role(home: &Path) -> Result<()> {
    for name in [INDEX, LOG, SENTINEL] {
        let path = home.join(name);
        if path.is_dir() {
            remove_tree(&path)?
        } else {
            disk::remove(&path)?
        }
    }
    ["snapshots", "to_compact", "tmp"]
        .iter()
        .try_for_each(|name| remove_tree(&home.join(name)))
}

/// Removes what a process would fail on and makes again: counters that are not JSON, as a power failure leaves them, and files
/// where it needs directories. None of them holds rows.
fn clear_helpers(dir: &Path) -> Result<()> {
    let counters = dir.join("stats.json");
    let is_json = |text: Vec<u8>| serde_json::from_slice::<serde_json::Value>(&text).is_ok();
    if std::fs::read(&counters).is_ok_and(|text| !is_json(text)) {
        disk::remove(&counters)?;
    }
    for part in ["tmp", "snapshots", "to_compact"] {
        let path = dir.join(part);
        if path.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
            disk::remove(&path)?;
        }
    }
    Ok(())
}

/// What in the directory of a process's own files would keep it from starting: it takes a file called `data` for a
/// database of its early versions, and needs directories where something else may be.
pub(super) fn obstacles(db_path: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = ["data", "data-wal", "data-shm"]
        .iter()
        .map(|name| db_path.join(name))
        .filter(|path| path.symlink_metadata().is_ok())
        .collect();
    let not_directories = ["dbs", "metastore"].iter().map(|name| db_path.join(name));
    all.extend(not_directories.filter(|path| path.symlink_metadata().is_ok_and(|found| !found.is_dir())));
    let version = db_path.join(".version");
    if version.symlink_metadata().is_ok_and(|found| !found.is_file()) || !is_version(&version) {
        all.push(version);
    }
    all
}

/// Whether a file has the version of a program, or is missing. A loss of power may leave it empty, and the program makes it again.
fn is_version(path: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(path) else {
        return true;
    };
    text.split('.').count() == 3 && text.starts_with(|first: char| first.is_ascii_digit())
}

/// Syncs what a process has made of a namespace to disk: it does not wait for that itself.
pub(super) fn sync_namespace(db_path: &Path, id: &str) -> Result<()> {
    let home = namespace(db_path, id);
    for part in ["data", "data-wal"] {
        let path = home.join(part);
        if path.exists() {
            disk::sync_file(&path)?;
        }
    }
    disk::sync_dir(&home)?;
    disk::sync_dir(&db_path.join("dbs"))
}

/// Whether a file begins as a SQLite database does and is as long as its pages; none if it is missing.
pub(super) fn has_database_header(path: &Path) -> Option<bool> {
    let mut header = Vec::with_capacity(HEADER);
    let read = File::open(path).and_then(|file| {
        let length = file.metadata()?.len();
        file.take(HEADER as u64).read_to_end(&mut header)?;
        Ok(length)
    });
    match read {
        Ok(length) => {
            let page = match number(&header, 16).map(u16::from_be_bytes) {
                Some(1) => 65_536,
                Some(size) => u64::from(size),
                None => 0,
            };
            Some(header.starts_with(sqlite_header::MAGIC) && page >= 512 && length % page == 0)
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => None,
        Err(_) => Some(false),
    }
}

/// Whether a log has exactly the frames that its header counts, or does not exist. A process that is told to end may close
/// the log during a transaction; then the database has the transaction, but replicas would never be sent it.
fn is_whole(log: &Path) -> bool {
    whole_log(log).is_some() || !log.exists()
}

/// The frames of a log that has exactly those that its header counts.
pub(super) fn whole_log(log: &Path) -> Option<u64> {
    let file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    let mut header = Vec::with_capacity(LOG_HEADER);
    file.take(LOG_HEADER as u64).read_to_end(&mut header).ok()?;
    let frames = u64::from_le_bytes(number(&header, 40)?);
    let bytes = frames.checked_mul(LOG_FRAME)?;
    (length.checked_sub(LOG_HEADER as u64) == Some(bytes)).then_some(frames)
}

/// A frame of a log: the number of the page, the pages of the database if it ends a transaction (else 0), the page.
pub(super) fn log_frame(log: &File, index: u64) -> std::io::Result<(u32, u32, Vec<u8>)> {
    use std::os::unix::fs::FileExt as _;
    let mut frame = vec![0; PAGE + 24];
    log.read_exact_at(&mut frame, LOG_HEADER as u64 + index * LOG_FRAME)?;
    let word = |at: usize| number(&frame, at).map_or(0, u32::from_le_bytes);
    let (page, size_after) = (word(16), word(20));
    Ok((page, size_after, frame.split_off(24)))
}

/// Whether a replica has rows but no record of which log they are from, because it was killed while it began. It would
/// apply the primary's log to rows of another one and count as equal. Nobody has used it yet, so it is copied again.
fn is_half_copied(db_path: &Path, id: &str) -> bool {
    let has_rows = std::fs::metadata(database(db_path, id)).is_ok_and(|data| data.len() > 0);
    has_rows
        && position(ProcessRole::Replica, db_path, id)
            .frame
            .is_none_or(|frame| frame.count == 0)
}

/// Removes a directory with its content. A missing one is not an error.
pub(super) fn remove_tree(dir: &Path) -> Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::io(error, format!("cannot remove {}", dir.display())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replica_that_does_not_know_its_log_is_copied_again() {
        let dir = tempfile::tempdir().unwrap();
        let with = |id: &str, index: Option<[u64; 3]>| {
            let home = namespace(dir.path(), id);
            std::fs::create_dir_all(&home).unwrap();
            std::fs::write(home.join("data"), b"rows").unwrap();
            if let Some(index) = index {
                std::fs::write(home.join(INDEX), index.map(u64::to_le_bytes).concat()).unwrap();
            }
            home
        };
        let whole = with("whole", Some([7, 7, 4]));
        let (without, empty) = (with("without", None), with("empty", Some([7, 7, u64::MAX])));
        prepare(ProcessRole::Replica, dir.path()).unwrap();
        assert!(whole.join("data").exists());
        assert!(!without.exists() && !empty.exists());
    }

    #[test]
    fn instance_files_that_a_process_fails_on_are_removed_at_start() {
        let dir = tempfile::tempdir().unwrap();
        let home = namespace(dir.path(), "a");
        std::fs::create_dir_all(home.join("snapshots")).unwrap();
        std::fs::create_dir(home.join(LOG)).unwrap();
        std::fs::write(home.join("data"), "rows").unwrap();
        for part in ["stats.json", "tmp", "to_compact"] {
            std::fs::write(home.join(part), "{\"id\":").unwrap();
        }
        prepare(ProcessRole::Primary, dir.path()).unwrap();
        assert_eq!(names(&home).unwrap(), ["data"]);
        std::fs::write(home.join("stats.json"), "{}").unwrap();
        std::fs::create_dir(home.join("tmp")).unwrap();
        prepare(ProcessRole::Primary, dir.path()).unwrap();
        assert_eq!(names(&home).unwrap(), ["data", "stats.json", "tmp"]);
    }

    #[test]
    fn version_that_a_loss_of_power_left_empty_is_an_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        assert!(obstacles(dir.path()).is_empty());
        let version = dir.path().join(".version");
        for (text, stays) in [("0.24.32", true), ("", false), ("\0\0\0\0\0\0\0", false)] {
            std::fs::write(&version, text).unwrap();
            assert_eq!(obstacles(dir.path()).is_empty(), stays, "{text:?}");
        }
    }

    #[test]
    fn replication_positions_are_compared_within_one_log() {
        let dir = tempfile::tempdir().unwrap();
        let home = namespace(dir.path(), "a");
        std::fs::create_dir_all(&home).unwrap();
        let log = 7_u128.to_le_bytes();
        let mut header = vec![0; 64];
        header[16..32].copy_from_slice(&log);
        header[32..40].copy_from_slice(&10_u64.to_le_bytes());
        header[40..48].copy_from_slice(&5_u64.to_le_bytes());
        std::fs::write(home.join(LOG), &header).unwrap();
        let primary = position(ProcessRole::Primary, dir.path(), "a");
        assert_eq!(primary.frame, Some(Frame { log: 7, count: 15 }));
        let replica = |last: Option<u64>| {
            let mut index = log.to_vec();
            index.extend(last.map_or(vec![], |last| last.to_le_bytes().to_vec()));
            std::fs::write(home.join(INDEX), index).unwrap();
            position(ProcessRole::Replica, dir.path(), "a")
        };
        assert_eq!(replica(Some(14)), primary);
        assert_ne!(replica(Some(13)), primary);
        assert_eq!(replica(None).frame, Some(Frame { log: 7, count: 0 }));
        assert_eq!(replica(Some(u64::MAX)).frame, Some(Frame { log: 7, count: 0 }));
        let empty = replica(None);
        std::fs::write(home.join(INDEX), "").unwrap();
        assert_eq!(position(ProcessRole::Replica, dir.path(), "a"), empty);
        std::fs::remove_file(home.join(INDEX)).unwrap();
        let without_files = position(ProcessRole::Replica, dir.path(), "a");
        assert_eq!(without_files, empty);
        assert_ne!(without_files, primary);
        let unknown = position(ProcessRole::Primary, dir.path(), "b");
        assert!(unknown.uncertain);
        assert_ne!(unknown, primary);
    }

    #[test]
    fn replication_log_without_frames_is_of_a_database_without_pages() {
        let dir = tempfile::tempdir().unwrap();
        let home = namespace(dir.path(), "a");
        std::fs::create_dir_all(&home).unwrap();
        std::fs::write(home.join(LOG), [0; LOG_HEADER]).unwrap();
        let without_files = position(ProcessRole::Replica, dir.path(), "b");
        let with_pages = |pages: usize| {
            std::fs::write(home.join("data"), vec![0; pages * PAGE]).unwrap();
            position(ProcessRole::Primary, dir.path(), "a")
        };
        assert_eq!(with_pages(1), without_files);
        // Its log is being made anew.
        assert!(with_pages(2).uncertain);
        assert_ne!(with_pages(2), without_files);
    }

    #[test]
    fn instance_directory_of_the_other_role_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let home = namespace(dir.path(), "a");
        std::fs::create_dir_all(home.join("snapshots")).unwrap();
        for part in [LOG, SENTINEL, "data"] {
            std::fs::write(home.join(part), "x").unwrap();
        }
        assert_eq!(
            prepare(ProcessRole::Replica, dir.path()).unwrap_err().code(),
            Code::Conflict
        );
        // A primary's that did not end cleanly begins a new log over the same data.
        prepare(ProcessRole::Primary, dir.path()).unwrap();
        assert_eq!(names(&home).unwrap(), [SENTINEL, "data"]);
        std::fs::write(home.join(INDEX), "x").unwrap();
        assert!(prepare(ProcessRole::Primary, dir.path()).is_err());
    }

    #[test]
    fn replication_log_that_is_whole_and_was_closed_stays() {
        let dir = tempfile::tempdir().unwrap();
        let home = namespace(dir.path(), "a");
        std::fs::create_dir_all(&home).unwrap();
        let log = home.join(LOG);
        let write = |counted: u64, frames: usize| {
            let mut bytes = vec![0; LOG_HEADER + frames * 4120];
            bytes[40..48].copy_from_slice(&counted.to_le_bytes());
            std::fs::write(&log, bytes).unwrap();
            prepare(ProcessRole::Primary, dir.path()).unwrap();
            log.exists()
        };
        assert!(write(0, 0));
        assert!(write(3, 3));
        // A transaction that was written and not counted; one that was counted and is not there.
        assert!(!write(3, 5));
        assert!(!write(3, 2));
    }
}

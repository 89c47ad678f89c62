//! A session without a server: what another connection sees, and what comes back after an end at each step.

use super::session::{read_record, session_folder, with_suffix};
use super::{ServedFile, TakenFile, check_free, take_notices};
use crate::error::Code;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::path::{Path, PathBuf};

fn count(path: &Path) -> rusqlite::Result<i64> {
    Connection::open(path)?.query_row("SELECT count(*) FROM t", [], |row| row.get(0))
}

/// A file with a row.
fn file(dir: &Path, mode: &str) -> PathBuf {
    let path = dir.canonicalize().unwrap().join("app.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch(&format!(
            "PRAGMA journal_mode = {mode}; CREATE TABLE t (x); INSERT INTO t VALUES (1)"
        ))
        .unwrap();
    path
}

/// Takes a file, and does what a server does: a copy, with a row more in its log.
fn serve(path: &Path) -> ServedFile {
    let mut taken = TakenFile::take(path).unwrap();
    let folder = taken.server_folder();
    std::fs::create_dir(&folder).unwrap();
    let (data, process_lock) = (folder.join("data"), folder.join("lock"));
    taken.copy_to(&data).unwrap();
    std::fs::write(&process_lock, "1").unwrap();
    let served = taken.give_to_server(&data, &process_lock).unwrap();
    let server = Connection::open(&data).unwrap();
    // As if it were killed: what is in its log is not folded in.
    server
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .unwrap();
    server
        .execute_batch("PRAGMA journal_mode = WAL; INSERT INTO t VALUES (2)")
        .unwrap();
    drop(server);
    assert!(with_suffix(&data, "-wal").metadata().unwrap().len() > 0);
    served
}

#[test]
fn served_file_is_nobody_elses_until_it_is_put_back() {
    for mode in ["DELETE", "WAL"] {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path(), mode);
        let mut served = serve(&path);
        assert!(count(&path).is_err(), "{mode}");
        let refused = TakenFile::take(&path).err().unwrap();
        assert_eq!(refused.code(), Code::DatabaseBusy);
        served.publish("http://127.0.0.1:1").unwrap();
        let refused = check_free(&path).unwrap_err();
        assert_eq!(refused.code(), Code::DatabaseBusy);
        assert!(refused.message().ends_with("at http://127.0.0.1:1"), "{refused}");
        assert_eq!(served.put_back().unwrap(), None);
        assert_eq!(count(&path).unwrap(), 2, "{mode}");
        let now: String = Connection::open(&path)
            .unwrap()
            .query_row("PRAGMA journal_mode", [], |row| row.get(0))
            .unwrap();
        assert_eq!(now, mode.to_lowercase());
        assert!(!session_folder(&path).exists());
        check_free(&path).unwrap();
    }
}

#[test]
fn served_file_that_was_left_comes_back_with_the_next_check() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "WAL");
    drop(serve(&path));
    assert!(count(&path).is_err());
    check_free(&path).unwrap();
    assert_eq!(count(&path).unwrap(), 2);
    assert!(
        take_notices()
            .iter()
            .any(|notice| notice.contains(path.to_str().unwrap()))
    );
    assert!(!session_folder(&path).exists());
}

#[test]
fn served_file_comes_back_from_every_step_of_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "DELETE");
    let before = std::fs::read(&path).unwrap();
    drop(serve(&path));
    let folder = session_folder(&path);
    let data = folder.join(read_record(&folder).unwrap().unwrap().data.unwrap());
    // Moved on its way, and killed before the file was replaced.
    Connection::open(&data)
        .unwrap()
        .query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))
        .unwrap();
    std::fs::rename(&data, folder.join("result.db")).unwrap();
    assert!(count(&path).is_err());
    check_free(&path).unwrap();
    assert_eq!(count(&path).unwrap(), 2);

    // Replaced already, and killed before the folder was removed.
    drop(serve(&path));
    let record = std::fs::read(folder.join("session.json")).unwrap();
    check_free(&path).unwrap();
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("session.json"), record).unwrap();
    check_free(&path).unwrap();
    assert_eq!(count(&path).unwrap(), 3);

    // Taken, and killed before the file was given to a server: the file was never anything but the newest state.
    std::fs::write(&path, before).unwrap();
    let taken = TakenFile::take(&path).unwrap();
    let record = std::fs::read(folder.join("session.json")).unwrap();
    drop(taken);
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("session.json"), record).unwrap();
    check_free(&path).unwrap();
    assert_eq!(count(&path).unwrap(), 1);
    assert!(!folder.exists());
}

#[test]
fn taken_file_that_is_given_up_is_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "WAL");
    drop(TakenFile::take(&path).unwrap());
    assert_eq!(count(&path).unwrap(), 1);
    assert!(!session_folder(&path).exists());
    let mode: String = Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn connection_that_slept_meanwhile_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "DELETE");
    let sleeper = Connection::open(&path).unwrap();
    let see = || sleeper.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
    assert_eq!(see().unwrap(), 1);
    let served = serve(&path);
    assert!(see().is_err());
    assert!(sleeper.execute("INSERT INTO t VALUES (9)", []).is_err());
    served.put_back().unwrap();
    assert!(see().is_err());
    assert!(sleeper.execute("INSERT INTO t VALUES (9)", []).is_err());
    drop(sleeper);
    assert_eq!(count(&path).unwrap(), 2);
    for companion in ["-wal", "-journal", "-shm"] {
        assert!(!with_suffix(&path, companion).exists());
    }
}

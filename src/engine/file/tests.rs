//! Tests of the file engine: instances made, refreshed and dropped.

use super::*;

#[test]
fn empty_database_is_taken_for_one_by_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("empty.db");
    std::fs::write(&path, empty_database()).unwrap();
    let conn = Connection::open(&path).unwrap();
    let text = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    assert_eq!(text("PRAGMA journal_mode"), "wal");
    assert_eq!(text("PRAGMA encoding"), "UTF-8");
}

pub(super) fn site(dir: &Path, location: &str) -> Site {
    Site {
        location: location.to_owned(),
        dir: dir.join(location),
        external: false,
        pool: None,
        id: "11111111-2222-4333-8444-555555555555".to_owned(),
        epoch: 1,
        database: None,
        group: None,
    }
}

pub(super) fn execute(at: &Site, sql: &str) {
    Connection::open(file(at)).unwrap().execute_batch(sql).unwrap();
}

fn count(path: &Path) -> i64 {
    let conn = Connection::open(path).unwrap();
    conn.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
}

/// A primary in ams with a table, and where its replica goes.
pub(super) fn primary(dir: &Path) -> (FileEngine, Site, Site) {
    let engine = FileEngine::default();
    let (from, to) = (site(dir, "ams"), site(dir, "lhr"));
    engine.create(&from).unwrap();
    execute(&from, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    (engine, from, to)
}

fn role(engine: &FileEngine, at: &Site) -> InstanceRole {
    engine.running(at).unwrap().unwrap().role
}

fn is_fresh(engine: &FileEngine, from: &Site, to: &Site) -> bool {
    let current = engine.running(from).unwrap().unwrap().position;
    matches!(role(engine, to), InstanceRole::Replica { position, altered: false, .. } if position == current)
}

#[test]
fn primary_created_again_is_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, from, _) = primary(dir.path());
    engine.create(&from).unwrap();
    assert_eq!(count(&file(&from)), 1);
    assert_eq!(role(&engine, &from), InstanceRole::Primary);
}

#[test]
fn primary_that_is_half_made_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let engine = FileEngine::default();
    let at = site(dir.path(), "ams");
    disk::private_dir(&at.dir).unwrap();
    std::fs::write(unfinished(&at), [7; 9000]).unwrap();
    engine.create(&at).unwrap();
    assert_eq!(engine.size(&at), Some(4096));
    execute(&at, "CREATE TABLE t (x)");
}

#[test]
fn replica_copy_includes_what_is_only_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, from, to) = primary(dir.path());
    let application = Connection::open(file(&from)).unwrap();
    application
        .execute_batch("PRAGMA wal_autocheckpoint = 0; INSERT INTO t VALUES (2), (3)")
        .unwrap();
    assert!(engine.running(&from).unwrap().unwrap().position.wal_size > 0);
    engine.copy(&from, &to).unwrap();
    assert_eq!(count(&file(&to)), 3);
    assert!(is_fresh(&engine, &from, &to));
    // The copy is one file that needs nothing beside it.
    assert!(!with_suffix(&file(&to), "-wal").exists());
    drop(application);
}

#[test]
fn replica_copy_does_not_change_its_source() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, from, to) = primary(dir.path());
    let application = Connection::open(file(&from)).unwrap();
    application.execute_batch("INSERT INTO t VALUES (2)").unwrap();
    let before = engine.running(&from).unwrap().unwrap().position;
    engine.copy(&from, &to).unwrap();
    engine.copy(&from, &to).unwrap();
    assert_eq!(engine.running(&from).unwrap().unwrap().position, before);
    drop(application);
}

#[test]
fn replica_is_stale_after_a_change_right_after_its_copy() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, from, to) = primary(dir.path());
    let application = Connection::open(file(&from)).unwrap();
    for round in 0..30 {
        // The same log frames are overwritten again and again, so sizes alone would show nothing.
        application
            .execute_batch("UPDATE t SET x = x + 1; PRAGMA wal_checkpoint(RESTART)")
            .unwrap();
        engine.copy(&from, &to).unwrap();
        assert!(is_fresh(&engine, &from, &to), "round {round}");
        application.execute_batch("UPDATE t SET x = x + 1").unwrap();
        assert!(!is_fresh(&engine, &from, &to), "round {round}");
    }
}

#[test]
fn replica_after_a_crash_between_note_and_rename_is_stale() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, from, to) = primary(dir.path());
    engine.copy(&from, &to).unwrap();
    let old = std::fs::read(file(&to)).unwrap();
    let modified = std::fs::metadata(file(&to)).unwrap().modified().unwrap();
    execute(&from, "INSERT INTO t VALUES (2)");
    engine.copy(&from, &to).unwrap();
    // As if the new note had been written and the new copy not yet moved into place.
    disk::remove(&file(&to)).unwrap();
    std::fs::write(file(&to), old).unwrap();
    std::fs::File::options()
        .write(true)
        .open(file(&to))
        .unwrap()
        .set_modified(modified)
        .unwrap();
    assert!(!is_fresh(&engine, &from, &to));
    assert!(matches!(
        role(&engine, &to),
        InstanceRole::Replica { altered: false, .. }
    ));
    engine.copy(&from, &to).unwrap();
    assert!(is_fresh(&engine, &from, &to));
    assert_eq!(count(&file(&to)), 2);
}

#[test]
fn replica_that_was_moved_to_another_disk_is_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, from, to) = primary(dir.path());
    engine.copy(&from, &to).unwrap();
    let bytes = std::fs::read(file(&to)).unwrap();
    disk::remove(&file(&to)).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(30));
    std::fs::write(file(&to), bytes).unwrap();
    assert!(matches!(
        role(&engine, &to),
        InstanceRole::Replica { altered: false, .. }
    ));
}

#[test]
fn replica_that_was_altered_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, from, to) = primary(dir.path());
    engine.copy(&from, &to).unwrap();
    disk::set_mode(&file(&to), disk::PRIVATE).unwrap();
    sqlite_header::unprotect(&file(&to)).unwrap();
    execute(&to, "INSERT INTO t VALUES (9)");
    assert!(matches!(
        role(&engine, &to),
        InstanceRole::Replica { altered: true, .. }
    ));
    assert_eq!(engine.copy(&from, &to).unwrap_err().code(), Code::Diverged);
    assert_eq!(engine.promote(&to).unwrap_err().code(), Code::Diverged);
    let aside = engine.set_aside(&to).unwrap();
    assert_eq!(count(&aside), 2);
    assert!(engine.running(&to).unwrap().is_none());
    engine.copy(&from, &to).unwrap();
    let orphans = engine.orphans(&to.dir, &|_| true).unwrap();
    assert_eq!(
        (orphans.len(), &orphans[0].path, orphans[0].kept_aside),
        (1, &aside, true)
    );
}

#[test]
fn set_aside_of_a_file_takes_its_log_along() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, from, _) = primary(dir.path());
    let application = Connection::open(file(&from)).unwrap();
    application
        .execute_batch("PRAGMA wal_autocheckpoint = 0; INSERT INTO t VALUES (2)")
        .unwrap();
    assert_eq!(engine.set_aside(&from).unwrap_err().code(), Code::DatabaseBusy);
    assert!(file(&from).exists());
    application
        .set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .unwrap();
    drop(application);
    assert!(engine.running(&from).unwrap().unwrap().position.wal_size > 0);
    assert_eq!(count(&engine.set_aside(&from).unwrap()), 2);
}

#[test]
fn roles_are_swapped_step_by_step() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, from, to) = primary(dir.path());
    engine.copy(&from, &to).unwrap();
    execute(&from, "INSERT INTO t VALUES (2)");
    engine.demote(&from, &to).unwrap();
    let other = Connection::open(file(&from)).unwrap();
    assert!(
        other
            .query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))
            .is_err(),
        "not held"
    );
    drop(other);
    assert!(matches!(role(&engine, &from), InstanceRole::Replica { of, altered: false, .. } if of == "lhr"));
    engine.promote(&to).unwrap();
    engine.promote(&to).unwrap();
    assert_eq!(role(&engine, &to), InstanceRole::Primary);
    assert!(!is_fresh(&engine, &to, &from));
    engine.copy(&to, &from).unwrap();
    engine.release(&from);
    assert!(is_fresh(&engine, &to, &from));
    execute(&to, "INSERT INTO t VALUES (3)");
    assert_eq!((count(&file(&to)), count(&file(&from))), (3, 2));
}

#[test]
fn promotion_that_was_cut_short_is_completed() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, from, to) = primary(dir.path());
    engine.copy(&from, &to).unwrap();
    let mut rising = note::read(&to).unwrap().unwrap();
    rising.rising = true;
    note::write(&to, &rising).unwrap();
    assert_eq!(role(&engine, &to), InstanceRole::Promoting);
    // The file may have become a primary's already, and may have been written to.
    copy::make_primary(&file(&to)).unwrap();
    execute(&to, "INSERT INTO t VALUES (2)");
    assert_eq!(role(&engine, &to), InstanceRole::Promoting);
    engine.promote(&to).unwrap();
    assert_eq!(role(&engine, &to), InstanceRole::Primary);
    assert_eq!(count(&file(&to)), 2);
}

#[test]
fn replica_note_that_cannot_be_read_counts_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, from, to) = primary(dir.path());
    engine.copy(&from, &to).unwrap();
    std::fs::write(note::path(&to), "{").unwrap();
    assert!(matches!(
        role(&engine, &to),
        InstanceRole::Replica { altered: true, .. }
    ));
}

#[test]
fn remove_leaves_nothing_and_may_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, from, to) = primary(dir.path());
    engine.copy(&from, &to).unwrap();
    std::fs::write(unfinished(&to), "x").unwrap();
    for at in [&from, &to, &to] {
        engine.remove(at).unwrap();
        assert_eq!(std::fs::read_dir(&at.dir).unwrap().count(), 0);
    }
    engine.remove(&site(dir.path(), "never")).unwrap();
}

#[test]
fn seed_is_whole_and_moves_once() {
    let dir = tempfile::tempdir().unwrap();
    let engine = FileEngine::default();
    let (seed, at) = (dir.path().join("seed"), site(dir.path(), "ams"));
    Connection::open(&seed)
        .unwrap()
        .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
        .unwrap();
    engine.check_seed(&seed).unwrap();
    let whole = std::fs::read(&seed).unwrap();
    std::fs::write(&seed, &whole[..whole.len() - 100]).unwrap();
    assert_eq!(engine.check_seed(&seed).unwrap_err().code(), Code::InvalidFile);
    std::fs::write(&seed, &whole).unwrap();
    std::fs::write(with_suffix(&seed, "-wal"), "frames").unwrap();
    assert_eq!(engine.check_seed(&seed).unwrap_err().code(), Code::InvalidFile);
    disk::remove(&with_suffix(&seed, "-wal")).unwrap();
    engine.adopt(&seed, &at).unwrap();
    assert!(!seed.exists());
    execute(&at, "INSERT INTO t VALUES (2)");
    // Cut short before the seed was removed, and begun again.
    std::fs::write(&seed, &whole).unwrap();
    engine.adopt(&seed, &at).unwrap();
    assert!(!seed.exists());
    assert_eq!(count(&file(&at)), 2);
}

#[test]
fn replica_takes_no_writes_in_any_mode_and_its_copies_do() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, from, to) = primary(dir.path());
    engine.copy(&from, &to).unwrap();
    disk::set_mode(&file(&to), disk::PRIVATE).unwrap();
    let refused = Connection::open(file(&to))
        .unwrap()
        .execute_batch("INSERT INTO t VALUES (2)");
    assert!(refused.unwrap_err().to_string().contains("readonly"));
    assert!(is_fresh(&engine, &from, &to));
    let copy = dir.path().join("copy.db");
    engine.snapshot(&to, &copy).unwrap();
    Connection::open(&copy)
        .unwrap()
        .execute_batch("INSERT INTO t VALUES (2)")
        .unwrap();
    assert_eq!(count(&copy), 2);
    // The file itself, given as a seed.
    let (seed, at) = (dir.path().join("seed"), site(dir.path(), "syd"));
    std::fs::copy(file(&to), &seed).unwrap();
    engine.adopt(&seed, &at).unwrap();
    execute(&at, "INSERT INTO t VALUES (2), (3)");
    assert_eq!(count(&file(&at)), 3);
}

#[test]
fn replica_of_an_earlier_torso_is_copied_again() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, from, to) = primary(dir.path());
    engine.copy(&from, &to).unwrap();
    let mut note = note::read(&to).unwrap().unwrap();
    note.copy.write_protected = false;
    note::write(&to, &note).unwrap();
    assert!(!is_fresh(&engine, &from, &to));
    assert!(matches!(
        role(&engine, &to),
        InstanceRole::Replica { altered: false, .. }
    ));
    engine.copy(&from, &to).unwrap();
    assert!(is_fresh(&engine, &from, &to));
}

#[test]
fn link_leads_to_the_primary_wherever_that_is() {
    let dir = tempfile::tempdir().unwrap();
    let links = dir.path().join("databases");
    let engine = FileEngine::with_links(links.clone());
    let (from, to) = (site(dir.path(), "ams"), site(dir.path(), "lhr"));
    engine.create(&from).unwrap();
    assert_eq!(engine.stable_url(&from), engine.url(&from), "before there is a link");
    engine.link(&from).unwrap();
    let url = engine.stable_url(&from);
    assert_ne!(url, engine.url(&from));
    let held = std::fs::read_link(links.join(format!("{}.db", from.id))).unwrap();
    assert!(held.is_relative(), "{}", held.display());
    // A connection through the link and one to the file share log and locks.
    let path = link::path(&links, &from);
    let through = Connection::open(&path).unwrap();
    through
        .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
        .unwrap();
    let direct = Connection::open(file(&from)).unwrap();
    direct.busy_timeout(std::time::Duration::ZERO).unwrap();
    assert_eq!(count(&file(&from)), 1);
    through
        .execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (2)")
        .unwrap();
    assert!(
        direct.execute_batch("BEGIN IMMEDIATE").is_err(),
        "the lock is not shared"
    );
    through.execute_batch("COMMIT").unwrap();
    assert_eq!(std::fs::read_dir(&links).unwrap().count(), 1, "a log beside the link");
    assert!(engine.hold(&from).is_err(), "in use through the link");
    drop((through, direct));
    engine.copy(&from, &to).unwrap();
    engine.demote(&from, &to).unwrap();
    engine.promote(&to).unwrap();
    assert!(!engine.is_linked(&to));
    engine.link(&to).unwrap();
    engine.release(&from);
    assert_eq!(engine.stable_url(&to), url);
    Connection::open(&path)
        .unwrap()
        .execute_batch("INSERT INTO t VALUES (3)")
        .unwrap();
    assert_eq!(count(&file(&to)), 3);
    // It goes with its primary, not with a replica.
    engine.remove(&from).unwrap();
    assert!(engine.is_linked(&to));
    engine.remove(&to).unwrap();
    assert!(!engine.is_linked(&to));
    assert_eq!(std::fs::read_dir(&links).unwrap().count(), 0);
}

#[test]
fn link_that_is_replaced_by_a_file_keeps_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let links = dir.path().join("databases");
    let engine = FileEngine::with_links(links.clone());
    let from = site(dir.path(), "ams");
    engine.create(&from).unwrap();
    std::fs::create_dir(&links).unwrap();
    std::fs::write(link::path(&links, &from), "rows").unwrap();
    engine.link(&from).unwrap();
    assert!(engine.is_linked(&from));
    let orphans = engine.orphans(&links, &|_| true).unwrap();
    assert_eq!((orphans.len(), orphans[0].kept_aside), (1, true));
    assert_eq!(std::fs::read(&orphans[0].path).unwrap(), b"rows");
}

#[test]
fn read_only_primary_is_read_and_not_written_by_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let run = |sql: &str| Connection::open(&path).unwrap().execute_batch(sql);
    run("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
    assert!(!sqlite_header::is_write_protected(&path).unwrap());
    sqlite_header::unprotect(&path).unwrap();
    sqlite_header::protect(&path).unwrap();
    assert!(sqlite_header::is_write_protected(&path).unwrap());
    for sql in [
        "INSERT INTO t VALUES (2)",
        "CREATE TABLE u (x)",
        "PRAGMA user_version = 1",
        "PRAGMA journal_mode = WAL",
        "VACUUM",
        "BEGIN IMMEDIATE",
    ] {
        let refused = run(sql).unwrap_err().to_string();
        assert!(refused.contains("readonly"), "{sql}: {refused}");
    }
    run("SELECT x FROM t; PRAGMA integrity_check").unwrap();
    sqlite_header::unprotect(&path).unwrap();
    run("INSERT INTO t VALUES (2)").unwrap();
}

#[test]
fn file_url_of_an_odd_path_is_escaped() {
    let at = Site {
        dir: PathBuf::from("/tmp/ä ?#%"),
        ..site(Path::new("/"), "ams")
    };
    let expected = format!("file:/tmp/%C3%A4%20%3F%23%25/{}.db", at.id);
    assert_eq!(FileEngine::default().url(&at), expected);
}

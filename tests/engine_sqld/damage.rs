//! Files of databases that are removed, replaced or damaged, while their processes run and while they do not. A file that
//! is not what its process left is not served, its replicas keep what they have, and its neighbours do not notice.
//!
//! `TORSO_TEST_DAMAGE=long` repeats the cases with more rows; the counts are printed.

use super::{Fleet, number, query};
use crate::support::until;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use torso::engine::{Engine as _, LocalFiles as _, Site};
use torso::error::Code;

const COUNT: &str = "select count(*) from t";

/// What is done to a database's directory.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Harm {
    DirectoryGone,
    FileGone,
    Emptied,
    CutShort,
    HeaderZeroed,
    OtherDatabase,
    OtherFile,
    DirectoryInItsPlace,
    LogGone,
}

const ALL: [Harm; 9] = [
    Harm::DirectoryGone,
    Harm::FileGone,
    Harm::Emptied,
    Harm::CutShort,
    Harm::HeaderZeroed,
    Harm::OtherDatabase,
    Harm::OtherFile,
    Harm::DirectoryInItsPlace,
    Harm::LogGone,
];

impl Harm {
    /// Whether there was anything to be harmed: SQLite removes a log itself when the last connection is closed, so a process that
    /// has ended in order may have left none.
    fn apply(self, home: &Path) -> bool {
        let data = home.join("data");
        match self {
            Self::DirectoryGone => fs::remove_dir_all(home).unwrap(),
            Self::FileGone => fs::remove_file(&data).unwrap(),
            Self::Emptied => fs::write(&data, "").unwrap(),
            Self::CutShort => {
                let length = fs::metadata(&data).unwrap().len();
                let file = fs::File::options().write(true).open(&data).unwrap();
                file.set_len(length / 2 / 4096 * 4096).unwrap();
            }
            Self::HeaderZeroed => {
                use std::os::unix::fs::FileExt as _;
                let file = fs::File::options().write(true).open(&data).unwrap();
                file.write_all_at(&[0; 100], 0).unwrap();
            }
            Self::OtherDatabase => {
                let other = tempfile::NamedTempFile::new().unwrap();
                let database = rusqlite::Connection::open(other.path()).unwrap();
                database
                    .execute_batch("create table other (y); insert into other values (7)")
                    .unwrap();
                drop(database);
                // Over the old file, as `cp` does.
                fs::copy(other.path(), &data).unwrap();
            }
            Self::OtherFile => fs::write(&data, "no database\n".repeat(1000)).unwrap(),
            Self::DirectoryInItsPlace => {
                fs::remove_file(&data).unwrap();
                fs::create_dir(&data).unwrap();
            }
            Self::LogGone => {
                let log = home.join("data-wal");
                if !log.exists() {
                    return false;
                }
                fs::remove_file(log).unwrap();
            }
        }
        true
    }
}

/// How the process that had the files ended before they were harmed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    /// It did not.
    Running,
    Stopped,
    /// With its supervisor, which could not note how it left its files.
    Killed,
}

/// A primary with so many rows that they are in the file and in the write-ahead log, and its replica.
fn database(fleet: &Fleet, id: &str, rows: u32) -> (Site, Site) {
    let (ams, lhr) = (fleet.site("ams", id), fleet.site("lhr", id));
    fleet.engine.create(&ams).unwrap();
    fleet.sql(&ams, "create table t (x)").unwrap();
    let insert = format!(
        "insert into t select randomblob(3000) from (with recursive c(n) as (select 1 union all select n + 1 from c where n < {rows}) select n from c)"
    );
    fleet.sql(&ams, &insert).unwrap();
    // A large log is written into the file, and the next transaction begins it anew.
    fleet
        .sql(&ams, "insert into t values ('more'); insert into t values ('last')")
        .unwrap();
    fleet.engine.copy(&ams, &lhr).unwrap();
    (ams, lhr)
}

fn home(fleet: &Fleet, at: &Site) -> PathBuf {
    fleet.home(at).join("sqld").join("dbs").join(&at.id)
}

/// A copy of a namespace's directory.
fn keep(home: &Path) -> tempfile::TempDir {
    let kept = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(home).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), kept.path().join(entry.file_name())).unwrap();
        }
    }
    kept
}

/// The rows in a replica's files, read from a copy of them.
pub(super) fn rows_in_files(home: &Path) -> i64 {
    let kept = keep(home);
    let database = rusqlite::Connection::open(kept.path().join("data")).unwrap();
    database.query_row(COUNT, [], |row| row.get(0)).unwrap()
}

fn is_refused(fleet: &Fleet, at: &Site) -> bool {
    fleet
        .engine
        .endpoint(at)
        .is_err_and(|error| error.code() == Code::DatabaseDamaged)
}

impl Harm {
    /// Whether a database with so many rows is whole all the same: all pages of a small one are still in its write-ahead log,
    /// which the file below does not change.
    fn is_harmless(self, rows: u32) -> bool {
        self == Self::OtherDatabase && rows < 1000
    }
}

/// One case: true if anything was there to be harmed.
fn hold(harm: Harm, moment: Moment, rows: u32) -> bool {
    let what = format!("{harm:?} while {moment:?} with {rows} rows");
    let mut fleet = Fleet::new();
    let (ams, lhr) = database(&fleet, "app", rows);
    let (neighbour, _) = database(&fleet, "neighbour", 3);
    let all = i64::from(rows) + 2;
    let place = home(&fleet, &ams);
    match moment {
        Moment::Running => {
            if harm == Harm::OtherDatabase {
                // It is the same file, so it is noticed by its size, which has to be seen once: that happens every two seconds.
                std::thread::sleep(Duration::from_secs(5));
            }
            harm.apply(&place);
            if harm.is_harmless(rows) {
                std::thread::sleep(Duration::from_secs(5));
                assert_eq!(fleet.number(&ams, COUNT), all, "{what}");
                return true;
            }
            until(&format!("it is noticed: {what}"), || is_refused(&fleet, &ams));
            until("the neighbour is back", || {
                fleet.try_sql(&neighbour, COUNT).is_ok_and(|rows| number(&rows) == 5)
            });
            // It was loaded, so it goes on. On a busy machine its process may just be starting again.
            until(&format!("the replica answers: {what}"), || {
                fleet.number_or_none(&lhr, COUNT) == Some(all)
            });
        }
        Moment::Stopped | Moment::Killed => {
            fleet.engine.shutdown();
            if moment == Moment::Killed {
                for at in [&ams, &lhr] {
                    fs::remove_file(fleet.home(at).join("left.json")).unwrap();
                }
            }
            let kept = keep(&place);
            if !harm.apply(&place) {
                return false;
            }
            fleet.restart();
            if harm.is_harmless(rows) {
                fleet.engine.start(&ams).unwrap();
                assert_eq!(fleet.number(&ams, COUNT), all, "{what}");
                return true;
            }
            let error = fleet.engine.start(&ams).expect_err(&what);
            assert_eq!(error.code(), Code::DatabaseDamaged, "{what}: {error}");
            assert!(fleet.engine.copy(&ams, &lhr).is_err(), "{what}");
            assert!(is_refused(&fleet, &ams), "{what}");
            let found = fleet.engine.running(&ams).unwrap().unwrap().damage.expect(&what);
            assert_eq!(
                found.missing,
                matches!(harm, Harm::DirectoryGone | Harm::FileGone),
                "{what}: {found:?}"
            );
            fleet.engine.start(&neighbour).unwrap();
            assert_eq!(fleet.number(&neighbour, COUNT), 5);
            // Its replica's process asks the primary's for it.
            fleet.engine.copy(&neighbour, &fleet.site("lhr", "neighbour")).unwrap();
            std::thread::sleep(Duration::from_millis(1500));
            assert_eq!(rows_in_files(&home(&fleet, &lhr)), all, "{what}");
            // Put back, it is served again.
            fleet.engine.shutdown();
            let _ = fs::remove_dir_all(&place);
            fs::create_dir(&place).unwrap();
            for entry in fs::read_dir(kept.path()).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), place.join(entry.file_name())).unwrap();
            }
            fleet.restart();
            fleet
                .engine
                .start(&ams)
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(fleet.number(&ams, COUNT), all, "{what}");
            fleet.engine.copy(&ams, &lhr).unwrap();
            assert_eq!(fleet.number(&lhr, COUNT), all, "{what}");
        }
    }
    true
}

#[allow(clippy::print_stdout)] // The counts are part of the proof; `--nocapture` shows them.
fn hold_all(moment: Moment) {
    let long = std::env::var("TORSO_TEST_DAMAGE").is_ok_and(|how| how == "long");
    let sizes: &[u32] = if long { &[1, 40, 2000, 8000] } else { &[1500] };
    let mut cases = 0;
    for harm in ALL {
        // Its process is started again, and the replication log tells what was lost: a test of its own.
        if harm == Harm::LogGone && moment == Moment::Running {
            continue;
        }
        for rows in sizes {
            // A file of one page is cut to nothing, which is another case.
            if harm == Harm::CutShort && *rows < 1000 {
                continue;
            }
            cases += u32::from(hold(harm, moment, *rows));
        }
    }
    println!("{cases} cases of damaged primaries, {moment:?}");
}

#[test]
fn primary_damaged_while_it_runs_is_not_served_and_replicas_keep_rows() {
    hold_all(Moment::Running);
}

#[test]
fn primary_damaged_while_stopped_is_not_served_and_replicas_keep_rows() {
    hold_all(Moment::Stopped);
}

#[test]
fn primary_damaged_after_a_crash_is_not_served_and_replicas_keep_rows() {
    hold_all(Moment::Killed);
}

/// What was in the log is gone when its process ends, unless it was written into the file before.
#[test]
fn write_ahead_log_removed_under_its_process_loses_nothing_silently() {
    for rows in [3, 1500] {
        let fleet = Fleet::new();
        let (ams, lhr) = database(&fleet, "app", rows);
        let (neighbour, _) = database(&fleet, "neighbour", 3);
        let all = i64::from(rows) + 2;
        std::thread::sleep(Duration::from_secs(5));
        let pid = fleet.pid(&ams);
        Harm::LogGone.apply(&home(&fleet, &ams));
        until("its process is started again", || fleet.pid(&ams) != pid);
        until("the neighbour is back", || {
            fleet.try_sql(&neighbour, COUNT).is_ok_and(|rows| number(&rows) == 5)
        });
        until("it is served with all its rows, or not at all", || {
            is_refused(&fleet, &ams) || fleet.try_sql(&ams, COUNT).is_ok_and(|rows| number(&rows) == all)
        });
        assert_eq!(fleet.number(&lhr, COUNT), all);
    }
}

/// SQLite removes the log itself when the last connection is closed, whoever has that.
#[test]
fn write_ahead_log_that_sqlite_removes_is_no_damage() {
    let fleet = Fleet::new();
    let (ams, _) = database(&fleet, "app", 40);
    let pid = fleet.pid(&ams);
    for round in 0..3 {
        let copy = fleet.dir.path().join(format!("copy-{round}"));
        fleet.engine.snapshot(&ams, &copy).unwrap();
        std::thread::sleep(Duration::from_secs(3));
        fleet.sql(&ams, "insert into t values ('more')").unwrap();
    }
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(fleet.number(&ams, COUNT), 45);
    assert_eq!(fleet.pid(&ams), pid, "its process was started again");
}

#[test]
fn damaged_primary_is_destroyed() {
    let mut fleet = Fleet::new();
    let (ams, lhr) = database(&fleet, "app", 3);
    let (neighbour, _) = database(&fleet, "neighbour", 3);
    fleet.engine.shutdown();
    Harm::Emptied.apply(&home(&fleet, &ams));
    fleet.restart();
    assert!(fleet.engine.start(&ams).is_err());
    for at in [&lhr, &ams] {
        fleet.engine.remove(at).unwrap();
        assert!(fleet.engine.running(at).unwrap().is_none());
        assert!(!home(&fleet, at).exists());
    }
    assert!(!fleet.home(&ams).join("damaged").join("app.json").exists());
    assert_eq!(fleet.number(&neighbour, COUNT), 5);
    // The name of the directory is free again.
    fleet.engine.create(&ams).unwrap();
    assert!(fleet.sql(&ams, COUNT).is_err());
}

#[test]
fn database_files_that_are_sound_are_not_called_damaged() {
    let mut fleet = Fleet::new();
    let (ams, lhr) = database(&fleet, "app", 2000);
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..6_i64 {
        // Deletions, so that pages become free; without a note of how the files were left, every other time.
        fleet
            .sql(&ams, "delete from t where rowid % 7 = 3; insert into t values ('more')")
            .unwrap();
        let rows = fleet.number(&ams, COUNT);
        if round % 2 == 0 {
            super::kill(fleet.pid(&ams));
        }
        if random.bool() {
            std::thread::sleep(Duration::from_millis(300));
        }
        fleet.engine.shutdown();
        if round % 3 == 0 {
            let _ = fs::remove_file(fleet.home(&ams).join("left.json"));
        }
        fleet.restart();
        fleet.engine.start(&ams).unwrap();
        assert_eq!(fleet.number(&ams, COUNT), rows);
        fleet.engine.copy(&ams, &lhr).unwrap();
        assert_eq!(fleet.number(&lhr, COUNT), rows);
    }
}

/// Whoever reads a primary through another one's token gets nothing of it.
#[test]
fn damaged_primary_answers_nothing_at_its_process() {
    let mut fleet = Fleet::new();
    let (ams, _) = database(&fleet, "app", 3);
    let (neighbour, _) = database(&fleet, "neighbour", 3);
    fleet.engine.shutdown();
    Harm::FileGone.apply(&home(&fleet, &ams));
    fleet.restart();
    fleet.engine.start(&neighbour).unwrap();
    // The address of the process, with the host of the damaged database.
    let mut endpoint = fleet.engine.endpoint(&neighbour).unwrap();
    endpoint.host = endpoint.host.replace("neighbour", "app");
    let token = fleet
        .engine
        .token("app", torso::engine::sqld::Access::ReadWrite, Duration::from_secs(60))
        .unwrap();
    assert!(query(&endpoint, token.expose(), "select 1").is_err());
    assert!(!home(&fleet, &ams).join("data").exists());
}

/// Overwrites the middle of pages, which leaves the header sound.
fn flip_pages(data: &Path) {
    use std::os::unix::fs::FileExt as _;
    let file = fs::File::options().write(true).open(data).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    for page in (1..pages).step_by(3) {
        file.write_all_at(&[0xff; 300], page * 4096).unwrap();
    }
}

fn is_sound(fleet: &Fleet, at: &Site, rows: i64) -> bool {
    let count = fleet.try_sql(at, COUNT);
    let told = fleet.try_sql(at, "select * from pragma_quick_check");
    count.is_ok_and(|found| number(&found) == rows) && told.is_ok_and(|told| told[0][0]["value"] == "ok")
}

#[test]
#[allow(clippy::print_stdout)] // The count is part of the proof; `--nocapture` shows it.
fn damaged_replica_is_copied_anew() {
    // Whether there was anything to be changed.
    type Change = Box<dyn Fn(&Path) -> bool>;
    let index = |content: &'static [u8]| -> Change {
        Box::new(move |home| fs::write(home.join("client_wal_index"), content).is_ok())
    };
    let mut changes: Vec<(String, Change)> = ALL
        .into_iter()
        .map(|harm| {
            (
                format!("{harm:?}"),
                Box::new(move |home: &Path| harm.apply(home)) as Change,
            )
        })
        .collect();
    changes.push(("an index of noise".to_owned(), index(&[0x5a; 32])));
    changes.push(("an index that is cut short".to_owned(), index(&[1; 10])));
    changes.push(("an index that is empty".to_owned(), index(b"")));
    changes.push((
        "flipped pages".to_owned(),
        Box::new(|home| {
            flip_pages(&home.join("data"));
            true
        }),
    ));
    let mut cases = 0;
    for moment in [Moment::Stopped, Moment::Killed] {
        for (what, change) in &changes {
            let what = format!("{what} while {moment:?}");
            let mut fleet = Fleet::new();
            let (ams, lhr) = database(&fleet, "app", 1500);
            fleet.engine.shutdown();
            if moment == Moment::Killed {
                fs::remove_file(fleet.home(&lhr).join("left.json")).unwrap();
            }
            if !change(&home(&fleet, &lhr)) {
                continue;
            }
            fleet.restart();
            fleet.engine.start(&ams).unwrap();
            let _ = fleet.engine.copy(&ams, &lhr);
            until(&format!("it is sound and fresh: {what}"), || {
                is_sound(&fleet, &lhr, 1502) && fleet.is_fresh(&ams, &lhr)
            });
            fleet.sql(&ams, "insert into t values (1)").unwrap();
            until(&format!("it follows: {what}"), || is_sound(&fleet, &lhr, 1503));
            cases += 1;
        }
    }
    println!("{cases} cases of damaged replicas");
}

/// A statement that fails as on a damaged file has the file read.
#[test]
fn replica_with_flipped_pages_is_copied_anew_while_it_runs() {
    let fleet = Fleet::new();
    let (ams, lhr) = database(&fleet, "app", 1500);
    flip_pages(&home(&fleet, &lhr).join("data"));
    let failed = fleet.try_sql(&lhr, "select sum(length(x)) from t").unwrap_err();
    assert!(failed.contains("malformed"), "{failed}");
    fleet.engine.suspect(&lhr);
    until("it is sound", || {
        is_sound(&fleet, &lhr, 1502) && fleet.is_fresh(&ams, &lhr)
    });
    assert_eq!(fleet.number(&ams, COUNT), 1502);
}

#[test]
fn primary_with_flipped_pages_is_not_served_after_a_failed_statement() {
    let fleet = Fleet::new();
    let (ams, lhr) = database(&fleet, "app", 1500);
    flip_pages(&home(&fleet, &ams).join("data"));
    assert!(fleet.try_sql(&ams, "select sum(length(x)) from t").is_err());
    fleet.engine.suspect(&ams);
    until("it is noticed", || is_refused(&fleet, &ams));
    assert!(is_sound(&fleet, &lhr, 1502));
}

#[test]
fn virtual_table_whose_index_is_inconsistent_is_no_damage_of_its_database() {
    let fleet = Fleet::new();
    let (ams, _) = database(&fleet, "app", 10);
    let sql = "create virtual table words using fts5(a); insert into words values ('x'); delete from words_data";
    fleet.sql(&ams, sql).unwrap();
    assert!(
        fleet
            .try_sql(&ams, "select * from words where words match 'x'")
            .is_err()
    );
    fleet.engine.suspect(&ams);
    std::thread::sleep(Duration::from_secs(6));
    assert!(!is_refused(&fleet, &ams));
    assert_eq!(fleet.number(&ams, COUNT), 12);
}

/// What a file was like is known before its database is acknowledged, so nothing that is lost later goes unnoticed.
#[test]
fn primary_whose_file_is_lost_right_after_its_creation_is_not_served() {
    for (is_removed, is_used) in [(false, false), (false, true), (true, false), (true, true)] {
        let what = format!("removed: {is_removed}, used: {is_used}");
        let fleet = Fleet::new();
        let ams = fleet.site("ams", "app");
        fleet.engine.create(&ams).unwrap();
        let endpoint = fleet.engine.endpoint(&ams).unwrap();
        let token = fleet
            .engine
            .token("app", torso::engine::sqld::Access::ReadWrite, Duration::from_secs(60))
            .unwrap();
        query(&endpoint, token.expose(), "create table t (x)").unwrap();
        let data = home(&fleet, &ams).join("data");
        if is_removed {
            // A new file may have the number of a removed one.
            fs::remove_file(&data).unwrap();
        } else {
            fs::rename(&data, data.with_file_name("data-away")).unwrap();
        }
        // Whoever has an address already reaches the process, which makes another file.
        let _ = query(&endpoint, token.expose(), "create table other (x)");
        if is_used {
            assert!(is_refused(&fleet, &ams), "{what}");
        }
        until(&format!("it is noticed: {what}"), || {
            let running = fleet.engine.running(&ams).unwrap().unwrap();
            running.damage.is_some()
        });
    }
}

/// The process that is asked answers from whatever is in the place of a lost file, until somebody looks.
#[test]
fn primary_whose_file_is_lost_is_noticed_when_a_statement_lacks_a_table() {
    let fleet = Fleet::new();
    let (ams, _) = database(&fleet, "app", 3);
    fleet.engine.check_file(&ams).unwrap();
    fs::remove_file(home(&fleet, &ams).join("data")).unwrap();
    let lost = fleet.engine.check_file(&ams).unwrap_err();
    assert_eq!(lost.code(), Code::DatabaseDamaged);
    assert!(is_refused(&fleet, &ams));
    // An export says the same, and is not made of what is there.
    let exported = fleet.engine.export(&ams, &fleet.dir.path().join("export.db"));
    assert!(exported.is_err());
}

#[test]
fn primary_that_is_removed_is_not_taken_for_a_lost_one() {
    let fleet = Fleet::new();
    let (neighbour, _) = database(&fleet, "neighbour", 3);
    let pid = fleet.pid(&neighbour);
    for round in 0..30 {
        let ams = fleet.site("ams", &format!("app{round}"));
        fleet.engine.create(&ams).unwrap();
        std::thread::scope(|scope| {
            let looking = scope.spawn(|| {
                while fleet.engine.running(&ams).is_ok_and(|running| running.is_some()) {
                    let _ = fleet.engine.check_file(&ams);
                }
            });
            fleet.engine.remove(&ams).unwrap();
            looking.join().unwrap();
        });
    }
    assert_eq!(fleet.pid(&neighbour), pid, "its process was started again");
}

/// A file that goes just before its process ends, however that ends: the next one must not take it for what was left.
#[test]
fn primary_whose_file_goes_before_its_process_ends_is_not_served() {
    for (files, is_killed) in [
        ("data data-wal", true),
        ("data", true),
        ("data-wal", true),
        ("data data-wal", false),
        ("data", false),
    ] {
        let what = format!("{files}, killed: {is_killed}");
        let mut fleet = Fleet::new();
        let (ams, lhr) = database(&fleet, "app", 40);
        let (place, pid) = (home(&fleet, &ams), fleet.pid(&ams));
        for name in files.split(' ') {
            fs::rename(place.join(name), place.join(format!("{name}-away"))).unwrap();
        }
        if is_killed {
            super::kill(pid);
            until(&format!("another process runs: {what}"), || {
                ![0, pid].contains(&fleet.pid(&ams))
            });
        } else {
            fleet.restart();
            let _ = fleet.engine.start(&ams);
        }
        until(&format!("it is not served: {what}"), || is_refused(&fleet, &ams));
        assert_eq!(rows_in_files(&home(&fleet, &lhr)), 42, "{what}");
    }
}

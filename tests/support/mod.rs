//! What the tests share: sealed worlds to run the program in, and the instruments that look at what it did.

pub mod beside;
pub mod golden;
pub mod hints;
pub mod hrana;
pub mod installed;
pub mod json_schemas;
#[cfg(target_os = "linux")]
pub mod linked;
#[cfg(target_os = "linux")]
pub mod machines;
pub mod network;
pub mod object_storage;
pub mod platform;
pub mod redact;
pub mod run;
pub mod scenario;
pub mod server;
pub mod sqld;
pub mod sqlite3;
pub mod state;
pub mod stub;
pub mod trace;
pub mod tree;
pub mod world;
pub mod yaml;

pub use run::Run;
pub use world::World;

use std::path::{Path, PathBuf};

/// The crate's folder.
pub fn crate_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of `tests/data`.
pub fn data(name: &str) -> PathBuf {
    crate_root().join("tests/data").join(name)
}

/// Runs `work` on each item, on as many threads as the machine has processors. Panics where any of them panicked.
pub fn in_parallel<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    work(item);
                }
            });
        }
    });
}

/// Makes the files of a namespace some that end libSQL server's process when they are written to: a write-ahead log whose pages
/// have another size than the server's, over a file that is in order by itself. The server finds nothing wrong before it is
/// written to.
pub fn make_fatal(home: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.db");
    let connection = rusqlite::Connection::open(&other).unwrap();
    connection
        .execute_batch(
            "pragma page_size = 1024; pragma journal_mode = wal; create table t (x); insert into t values (zeroblob(5000)); create table u (x); create table v (x)",
        )
        .unwrap();
    std::fs::copy(folder.path().join("other.db-wal"), home.join("data-wal")).unwrap();
    let _ = std::fs::remove_file(home.join("data-shm"));
    // A replication log without frames, which proves nothing.
    let mut log = std::fs::read(home.join("wallog")).unwrap();
    log.truncate(64);
    log[40..48].fill(0);
    std::fs::write(home.join("wallog"), log).unwrap();
}

/// Makes a SQLite file with damaged pages in the middle of a table.
pub fn damaged_database(path: &Path) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .execute_batch(
            "create table t (x); with recursive n(x) as (select 1 union all select x + 1 from n limit 500)
             insert into t select zeroblob(900) from n",
        )
        .unwrap();
    connection.close().unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    bytes[3 * 4096..5 * 4096].fill(0xa5);
    std::fs::write(path, bytes).unwrap();
}

/// Whether a process has a handler for a signal. Before that, the signal would kill it.
pub fn catches(pid: u32, signal: nix::sys::signal::Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_some_and(|mask| mask & 1 << (signal as i32 - 1) != 0)
}

/// Waits until something holds, half a minute at most.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "never: {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

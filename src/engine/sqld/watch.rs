//! Watches the files of running primaries. A process does not notice when its files are exchanged: it goes on with those that it
//! has open, opens what it finds in their place, and its replicas follow it.
//!
//! What is known of an acknowledged database, and when it is compared:
//!
//! | fact | kept in | compared |
//! |---|---|---|
//! | it exists | its record | at each start and here: its file is there, is no other kind of file, and has a database's header |
//! | which file it is | memory, from before its process could touch it (`health`) | here: device, inode and birth stay |
//! | how large it is | memory | here: it does not shrink, unless it vacuums itself |
//! | its log is the one that its process has open | the system | here, when the log is missing or another one |
//! | what its files were left like | `left.json` | at each start (`quarantine`) |
//! | its last transactions | its replication log | at a start over files that are not as they were left, or after a removed log |
//! | its pages fit together | itself | here, when it was written to and is quiet again; SQLite has the last word |
//!
//! A file that is missing or damaged at two looks in a row, the second right after the first, is withdrawn: its process is
//! started again without it. Where only the
//! log was removed, the process is started again, and the replication log tells whether transactions went with it. SQLite
//! removes the log itself when the last connection is closed, and then no process has it open.
//!
//! A look costs two `stat`s a database; one that has changed also has its first bytes read. Databases that their process was not
//! asked for since its start have no files open: they are looked at now and then. Before a database is used, and where a statement
//! says that a table is not there, its file is looked at too ([`check_file`]).

use super::Nodes;
use super::file_state::{FileState, find_damage};
use super::files;
use super::node::Node;
use super::pages::{Agreement, Pages};
use super::records;
use super::role::{self, ProcessRole};
use crate::engine::{Damage, disk};
use crate::error::Error;
use crate::sync::lock;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often the files are looked at that no process has opened.
const WHOLE: Duration = Duration::from_secs(60);

/// What is wrong with a database's files.
#[derive(Debug, Clone, PartialEq, Eq)]
enum FileFault {
    Damage(Damage),
    /// The write-ahead log that its process has open was removed.
    LogRemoved,
}

/// A database at the last look.
#[derive(Default)]
struct Observation {
    data: Option<FileState>,
    wal: Option<FileState>,
    /// Believed when it is there at two looks in a row: the process may be in the middle of something.
    fault: Option<FileFault>,
    /// Whether its pages did not fit together.
    is_inconsistent: bool,
}

impl Observation {
    /// Whether the next look decides something.
    fn is_doubted(&self) -> bool {
        self.fault.is_some() || self.is_inconsistent
    }
}

/// The databases of a process at the last look.
struct ProcessObservations {
    /// Another process may have opened other files.
    pid: Option<u32>,
    databases: HashMap<String, Observation>,
}

/// The state between two looks.
#[derive(Default)]
pub(super) struct Watch {
    processes: HashMap<PathBuf, ProcessObservations>,
    /// When all databases were looked at last.
    whole: Option<Instant>,
}

impl Watch {
    /// Looks at every database once that a primary has open, now and then at all, and withdraws those that are damaged.
    pub fn check(&mut self, nodes: &Nodes) {
        let all: Vec<_> = lock(nodes).values().cloned().collect();
        let whole = self.whole.is_none_or(|at| at.elapsed() >= WHOLE);
        if whole {
            self.whole = Some(Instant::now());
        }
        let mut processes = HashMap::new();
        for node in all.iter().filter(|node| node.process().is_ready()) {
            // Its disk is away. What it has open it would go on serving, for as long as nobody opens anything.
            if matches!(role::role_of(node.dir()), Ok(None)) {
                node.process().end_and_restart("its directory is missing");
            }
        }
        for node in all.iter().filter(|node| node.place == ProcessRole::Primary) {
            let before = self.processes.remove(node.dir());
            if node.process().is_ready() {
                // A replica has its primary open the databases that it follows.
                let pool = all.iter().filter(|other| other.pool == node.pool);
                let open = pool.flat_map(|other| other.served()).collect();
                let open = if whole { None } else { Some(open) };
                processes.insert(node.dir().to_owned(), check_process(node, before, open));
            }
        }
        self.processes = processes;
    }

    /// Whether the next look decides about a file that is missing or damaged.
    pub fn has_faults(&self) -> bool {
        let mut databases = self.processes.values().flat_map(|process| process.databases.values());
        databases.any(|database| database.fault.is_some())
    }
}

/// Looks at the databases that are `open`, and those in doubt; at all of them with none, and with a process that was not looked at
/// before: what its files are like at its start is what later looks compare with.
fn check_process(
    node: &Node,
    before: Option<ProcessObservations>,
    open: Option<HashSet<String>>,
) -> ProcessObservations {
    let (pid, damaged) = (node.process().pid(), node.health().all_damaged());
    let before = before.filter(|before| before.pid == pid);
    let open = open.filter(|_| before.is_some());
    let mut databases = before.map_or_else(HashMap::new, |before| before.databases);
    let ids: HashSet<String> = match open {
        Some(open) => {
            let doubted = databases.iter().filter(|(_, database)| database.is_doubted());
            doubted.map(|(id, _)| id.clone()).chain(open).collect()
        }
        None => {
            let all = records::acknowledged(node.dir()).unwrap_or_default();
            let all = HashSet::from_iter(all);
            databases.retain(|id, _| all.contains(id));
            all
        }
    };
    let removed = RemovedFiles::of(pid);
    for id in ids {
        let before = databases.remove(&id).unwrap_or_default();
        if damaged.contains_key(&id) || node.is_removing(&id) {
            continue;
        }
        if let Some(now) = check_database(node, &removed, &id, before) {
            databases.insert(id, now);
        }
    }
    ProcessObservations { pid, databases }
}

/// Looks at the file of a primary's database before it is used: its process would make a missing one anew, and its replicas would
/// follow. One that is damaged is withdrawn, and an error. Files of a process that is being started are judged by that.
pub(super) fn check_file(node: &Node, id: &str) -> Result<(), Error> {
    let is_known = node.health().damage(id).is_some() || node.is_removing(id);
    if is_known || !node.process().is_ready() || !records::is_acknowledged(node.dir(), id) {
        return Ok(());
    }
    let path = files::database(&role::db_path(node.dir()), id);
    match find_damage(&path, &FileState::read(&path), node.health().first_file(id), false) {
        // A process that has ended meanwhile has its files judged before the next start.
        Some(damage) if node.process().is_ready() => {
            act_on(node, id, &FileFault::Damage(damage.clone()));
            Err(damage.to_error(&path))
        }
        Some(_) | None => Ok(()),
    }
}

/// Looks at one database; none when something was done about it.
fn check_database(node: &Node, removed: &RemovedFiles, id: &str, before: Observation) -> Option<Observation> {
    let path = files::database(&role::db_path(node.dir()), id);
    let wal_path = disk::with_suffix(&path, "-wal");
    let (data, wal) = (FileState::read(&path), FileState::read(&wal_path).ok());
    // It may be lost before it is looked at here for the first time.
    let known = before.data.or_else(|| node.health().first_file(id));
    let damage = find_damage(&path, &data, known, before.fault.is_some());
    let fault = match damage {
        Some(damage) => Some(FileFault::Damage(damage)),
        None if is_other_file(before.wal, wal) && removed.has(&wal_path) => Some(FileFault::LogRemoved),
        None => None,
    };
    if let Some(fault) = fault {
        if before.fault.is_some() && act_on(node, id, &fault) {
            return None;
        }
        // Compared with how it was before, until it is decided.
        return Some(Observation {
            fault: Some(fault),
            ..before
        });
    }
    let data = data.ok();
    let is_quiet = before.data == data && before.wal == wal;
    let mut is_inconsistent = false;
    if !is_quiet || before.is_inconsistent {
        match read_pages(path.parent().unwrap_or(&path)) {
            // What was read while the process wrote may be wrong; what is found twice without a write is not.
            // Its log may be that of a file which was taken in, so only SQLite's own word counts.
            Err(_) if is_quiet && FileState::read(&path).ok() == data && FileState::read(&wal_path).ok() == wal => {
                node.health().read_again(id);
            }
            Err(_) => is_inconsistent = true,
            // They may be of no use, which SQLite can tell.
            Ok(pages) if pages.is_cut_short() => node.health().read_again(id),
            Ok(_) => {}
        }
    }
    Some(Observation {
        data: data.or(known),
        wal,
        fault: None,
        is_inconsistent,
    })
}

/// Does what a fault asks for. False if nothing was done.
fn act_on(node: &Node, id: &str, fault: &FileFault) -> bool {
    // A removal may be under way, which ends with the record.
    if !records::record(node.dir(), id).is_ok_and(|record| record.is_some()) {
        return false;
    }
    match fault {
        FileFault::Damage(damage) => node.withdraw(id, damage.clone()).is_ok(),
        FileFault::LogRemoved => {
            node.judge_again(id);
            true
        }
    }
}

fn is_other_file(before: Option<FileState>, now: Option<FileState>) -> bool {
    before.map(|state| state.identity()) != now.map(|state| state.identity())
}

/// The files that a process has open and that were removed, read when they are first asked for.
struct RemovedFiles {
    pid: Option<u32>,
    paths: OnceCell<HashSet<PathBuf>>,
}

impl RemovedFiles {
    fn of(pid: Option<u32>) -> Self {
        Self {
            pid,
            paths: OnceCell::new(),
        }
    }

    /// Whether a file is one of them. False where the system does not tell.
    fn has(&self, path: &Path) -> bool {
        // The system says so of the name of an open file (`proc_pid_fd(5)`).
        canonical(path).is_ok_and(|path| {
            let removed = disk::with_suffix(&path, " (deleted)");
            self.paths.get_or_init(|| read_removed(self.pid)).contains(&removed)
        })
    }
}

fn read_removed(pid: Option<u32>) -> HashSet<PathBuf> {
    let open = pid.and_then(|pid| std::fs::read_dir(format!("/proc/{pid}/fd")).ok());
    let targets = open
        .into_iter()
        .flatten()
        .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    targets
        .filter(|target| target.as_os_str().as_encoded_bytes().ends_with(b" (deleted)"))
        .collect()
}

/// The path of a file that may be gone, by that of its directory.
fn canonical(path: &Path) -> std::io::Result<PathBuf> {
    let parent = path.parent().unwrap_or(path).canonicalize()?;
    Ok(parent.join(path.file_name().unwrap_or_default()))
}

/// The pages of a database, if they fit together.
fn read_pages(home: &Path) -> Result<Pages, Damage> {
    let pages = Pages::open(home)?;
    if pages.has_frames() {
        return Ok(pages);
    }
    // Where a log was removed, a new one may have been made already; the database must have all transactions without it.
    match pages.compare_with_log(&home.join(files::LOG)) {
        Ok(Agreement::Differs | Agreement::Foreign) => Err(Damage::damaged("has lost its write-ahead log")),
        Ok(Agreement::Unknown | Agreement::Equal) | Err(_) => Ok(pages),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn watched_file_that_is_removed_is_found_while_a_process_has_it_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data-wal");
        let pid = Some(std::process::id());
        let file = std::fs::File::create(&path).unwrap();
        assert!(!RemovedFiles::of(pid).has(&path));
        std::fs::remove_file(&path).unwrap();
        assert!(RemovedFiles::of(pid).has(&path));
        // Another one in its place changes nothing.
        std::fs::write(&path, "").unwrap();
        assert!(RemovedFiles::of(pid).has(&path));
        drop(file);
        assert!(!RemovedFiles::of(pid).has(&path));
    }
}

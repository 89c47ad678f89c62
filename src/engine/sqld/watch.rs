//! Looks at the files of running primaries: one that is removed, replaced, emptied or cut short under its process is
//! noticed within seconds, and is not served any more. Costs two `stat`s for each database at each look; a file that
//! changed meanwhile also has its first bytes read.

use super::Nodes;
use super::files;
use super::node::Node;
use super::pages::{Agreement, Pages};
use super::records;
use super::role::{self, ProcessRole};
use crate::engine::{Damage, disk};
use crate::sqlite_header;
use crate::sync::lock;
use std::collections::HashMap;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// The files of a database at the last look.
struct Seen {
    /// The process that had them.
    pid: Option<u32>,
    data: Option<File>,
    wal: Option<File>,
    /// What was found wrong then. Only what is found twice is believed: the process may be in the middle of something.
    suspected: Option<Damage>,
    /// Whether its pages did not fit together then.
    within: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct File {
    device_and_inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
}

impl From<&Metadata> for File {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device_and_inode: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// The state between two looks.
#[derive(Default)]
pub(super) struct Watch {
    seen: HashMap<PathBuf, HashMap<String, Seen>>,
}

impl Watch {
    pub fn run(&mut self, nodes: &Nodes) {
        let all: Vec<_> = lock(nodes).values().cloned().collect();
        let mut seen = HashMap::new();
        for node in all.iter().filter(|node| node.place == ProcessRole::Primary) {
            let before = self.seen.remove(node.dir()).unwrap_or_default();
            if node.process().is_ready() {
                seen.insert(node.dir().to_owned(), look_at(node, before));
            }
        }
        self.seen = seen;
    }
}

fn look_at(node: &Node, mut before: HashMap<String, Seen>) -> HashMap<String, Seen> {
    let (pid, damaged) = (node.process().pid(), node.health().all_damaged());
    let mut seen = HashMap::new();
    for id in records::acknowledged(node.dir()).unwrap_or_default() {
        if damaged.contains_key(&id) {
            continue;
        }
        let before = before.remove(&id).filter(|before| before.pid == pid);
        let path = files::database(&role::db_path(node.dir()), &id);
        let (data, wal) = (stat(&path), stat(&disk::with_suffix(&path, "-wal")));
        let suspected = find_damage(&path, &data, before.as_ref());
        if let Some(damage) = &suspected
            && before.as_ref().is_some_and(|before| before.suspected.is_some())
            // A removal may be under way, which ends with the record.
            && records::record(node.dir(), &id).is_ok_and(|record| record.is_some())
            && node.withdraw(&id, damage.clone()).is_ok()
        {
            continue;
        }
        let quiet = before.as_ref().is_some_and(|before| {
            before.data == data.as_ref().ok().copied() && before.wal == wal.as_ref().ok().copied()
        });
        let mut within = false;
        if suspected.is_none() && (!quiet || before.as_ref().is_some_and(|before| before.within)) {
            match look_into(path.parent().unwrap_or(&path)) {
                // What was read while the process wrote may be wrong; what is found twice without a write is not.
                // Its log may be that of a file which was taken in, so only SQLite's own word counts.
                Err(_) if quiet && is_same(&path, data.as_ref().ok(), wal.as_ref().ok()) => {
                    node.health().read_again(&id);
                }
                Err(_) => within = true,
                // They may be of no use, which SQLite can tell.
                Ok(pages) if pages.is_cut_short() => node.health().read_again(&id),
                Ok(_) => {}
            }
        }
        // While something is suspected, the files are compared with how they were before.
        let now = match (before, &suspected) {
            (Some(before), Some(_)) => Seen { suspected, ..before },
            (before, _) => {
                let (data_before, wal_before) = before.map_or((None, None), |before| (before.data, before.wal));
                Seen {
                    pid,
                    data: data.ok().or(data_before),
                    wal: wal.ok().or(wal_before),
                    suspected,
                    within,
                }
            }
        };
        seen.insert(id, now);
    }
    seen
}

/// The pages of a database, if they fit together.
fn look_into(home: &Path) -> Result<Pages, Damage> {
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

/// Whether a database's files are still as they were.
fn is_same(path: &Path, data: Option<&File>, wal: Option<&File>) -> bool {
    stat(path).ok().as_ref() == data && stat(&disk::with_suffix(path, "-wal")).ok().as_ref() == wal
}

fn stat(path: &Path) -> std::io::Result<File> {
    let metadata = std::fs::symlink_metadata(path)?;
    if metadata.is_file() {
        Ok(File::from(&metadata))
    } else {
        Err(ErrorKind::InvalidInput.into())
    }
}

/// What is wrong with the file of a database, compared with how it was before. Its write-ahead log may go and come back: SQLite
/// removes it when the last connection is closed, whoever had that. Whether transactions went with it is told by
/// [`look_into`].
fn find_damage(path: &Path, data: &std::io::Result<File>, before: Option<&Seen>) -> Option<Damage> {
    let data = match data {
        Ok(data) => data,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Some(Damage::missing("is missing"));
        }
        Err(error) if error.kind() == ErrorKind::InvalidInput => return Some(Damage::damaged("is not a file")),
        // Nothing is known; the process will say what it cannot read.
        Err(_) => return None,
    };
    if data.size == 0 {
        return Some(Damage::damaged("is empty"));
    }
    let known = before.and_then(|before| before.data);
    if known.is_some_and(|known| known.device_and_inode != data.device_and_inode) {
        return Some(Damage::damaged("was replaced by another file"));
    }
    if known == Some(*data) && before.is_some_and(|before| before.suspected.is_none()) {
        return None;
    }
    let mut header = [0; 100];
    let read = std::fs::File::open(path).and_then(|file| file.read_exact_at(&mut header, 0));
    if read.is_err() || !header.starts_with(sqlite_header::MAGIC) {
        return Some(Damage::damaged("is not a SQLite database any more"));
    }
    // With automatic vacuum a database becomes smaller when rows are deleted.
    let shrinks = header[52..56] != [0; 4];
    if !shrinks && known.is_some_and(|known| data.size < known.size) {
        return Some(Damage::damaged("was cut short"));
    }
    None
}

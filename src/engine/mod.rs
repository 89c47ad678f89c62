//! Where databases run. An [`Engine`] is told *what* to run and where, never *why*: names, groups and rules are the
//! control plane's. `file` runs databases as plain SQLite files, one directory a location; `sqld` as namespaces of libSQL
//! server processes, which `process` supervises.
//!
//! Every method that changes something may be repeated: after a crash the control plane asks again, and what is already
//! so stays so. None of them leaves a half-made instance where an application could find it.

#[cfg(unix)]
pub mod child;
#[cfg(unix)]
pub mod confine;
pub mod disk;
pub mod file;
pub mod forbidden;
#[cfg(unix)]
pub mod process;
#[cfg(unix)]
pub mod sqld;
pub mod writes;

use crate::error::Result;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A place for one instance: a database, by its id, at a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The location's code.
    pub location: String,
    /// Where its instances live.
    pub dir: PathBuf,
    /// Whether the directory was given by a user, perhaps on a disk that can be away. Such a directory is never made
    /// here, and when it is not there nothing is concluded about what it holds.
    pub external: bool,
    /// Instances of one pool may share a process: their databases have the same group and the same primary location.
    /// None where that is not known any more, of what a destroyed database left behind.
    pub pool: Option<String>,
    /// The database's id.
    pub id: String,
}

/// A place in a replication log.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Frame {
    /// The log's id: a log that begins anew gets another one, and then frames cannot be compared.
    pub log: u128,
    /// How many frames it has.
    pub count: u64,
}

/// Two logs without a frame are alike: both databases are empty.
impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && (self.log == other.log || self.count == 0)
    }
}

impl Eq for Frame {}

/// A state of a database's content, as far as it can be told without opening it. Equal positions mean equal content.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Position {
    /// The last frame of its log, where it has one. What follows then says nothing about the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<Frame>,
    /// Bytes of the database file and of its write-ahead log.
    pub size: u64,
    pub wal_size: u64,
    /// When they last changed: nanoseconds since 1970, 0 when there is no log.
    pub changed_ns: i64,
    pub wal_changed_ns: i64,
    /// Set on a position that was changing while it was taken, or could not be told: it equals nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncertain: bool,
}

impl PartialEq for Position {
    fn eq(&self, other: &Self) -> bool {
        let file = |position: &Self| {
            (
                position.size,
                position.wal_size,
                position.changed_ns,
                position.wal_changed_ns,
            )
        };
        !self.uncertain
            && !other.uncertain
            && match (self.frame, other.frame) {
                (None, None) => file(self) == file(other),
                (ours, theirs) => ours == theirs,
            }
    }
}

impl Position {
    /// When the content last changed: nanoseconds since 1970.
    #[must_use]
    pub fn last_change_ns(&self) -> i64 {
        self.changed_ns.max(self.wal_changed_ns)
    }
}

/// What an instance is.
#[derive(Debug, Clone, PartialEq)]
pub enum Role {
    Primary,
    /// A consistent copy of the primary at the location `of`, as it was at `position`.
    Replica {
        of: String,
        position: Position,
        synced_at: Timestamp,
        /// Something other than the engine has changed the copy.
        altered: bool,
    },
    /// A replica whose promotion has begun and must be completed.
    Rising,
}

/// An instance as observed.
#[derive(Debug, Clone, PartialEq)]
pub struct Running {
    pub role: Role,
    /// Bytes on disk.
    pub size: u64,
    /// The content's state; of use for a primary.
    pub position: Position,
    /// False where it needs a process to be reached, and that does not run.
    pub serving: bool,
    /// What the engine enforces on it; none where the engine enforces nothing, and of a replica.
    pub limits: Option<Limits>,
}

impl Running {
    /// How far in its primary's log it is, on an engine that has such and where that can be told.
    #[must_use]
    pub fn frame(&self) -> Option<Frame> {
        let position = match &self.role {
            Role::Replica { position, .. } => position,
            Role::Primary | Role::Rising => &self.position,
        };
        position.frame.filter(|_| !position.uncertain)
    }
}

/// What an engine that stands between applications and files enforces on a primary, and so on its replicas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes.
    pub max_size: Option<u64>,
    pub allow_attach: bool,
    pub block_reads: bool,
    pub block_writes: bool,
    /// Writes are blocked because its owner stores more than is allowed.
    #[serde(default)]
    pub over_quota: bool,
}

/// A file that no database of the control plane's accounts for, or that was kept aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    pub path: PathBuf,
    /// The id the file's name begins with, where it has one.
    pub id: Option<String>,
    /// Kept aside by [`Engine::set_aside`].
    pub kept_aside: bool,
}

/// Runs instances.
///
/// Errors: `unavailable` when a location's directory is away, `database_busy` when an application holds a database that
/// is needed alone, `disk_full` and `io` naming the path.
pub trait Engine: Send {
    /// Makes a user's directory fit for instances. Refused when another location or another torso uses it.
    fn open_location(&self, location: &str, dir: &Path) -> Result<()>;
    /// Gives a directory back. Files in it stay.
    fn close_location(&self, dir: &Path) -> Result<()>;

    /// What is at a site; none when nothing is.
    fn running(&self, at: &Site) -> Result<Option<Running>>;
    /// Bytes on disk, if anything is there: [`Engine::running`] for long lists.
    fn size(&self, at: &Site) -> Option<u64>;
    /// How a client on this machine reaches the instance.
    fn url(&self, at: &Site) -> String;
    /// The file that holds the instance.
    fn path(&self, at: &Site) -> PathBuf;

    /// Has a primary that is there and not serving serve again.
    fn start(&self, at: &Site) -> Result<()>;
    /// Sets what is enforced on a primary, where the engine enforces anything.
    fn configure(&self, at: &Site, limits: &Limits) -> Result<()>;
    /// Returns once no transaction that writes to a primary is under way, where the engine can tell. One that is left open
    /// is ended for it after some seconds.
    fn await_writers(&self, _at: &Site) -> Result<()> {
        Ok(())
    }
    /// An empty primary, unless one is there.
    fn create(&self, at: &Site) -> Result<()>;
    /// Looks whether a file can be a primary's beginning: a complete SQLite database without loose ends.
    fn check_seed(&self, seed: &Path) -> Result<()>;
    /// Moves a SQLite file into place as the primary, unless one is there. The seed is gone afterwards.
    fn adopt(&self, seed: &Path, at: &Site) -> Result<()>;
    /// A consistent copy of an instance, in a new file of the caller's.
    fn snapshot(&self, from: &Site, to: &Path) -> Result<()>;
    /// Makes `to` a replica that has what the primary at `from` has now. Until it is complete the old copy stays.
    fn copy(&self, from: &Site, to: &Site) -> Result<()>;
    /// The same at several places, at the same time where the engine can: what came of each, in their order.
    fn copy_to_all(&self, from: &Site, to: &[Site]) -> Vec<Result<()>> {
        to.iter().map(|to| self.copy(from, to)).collect()
    }
    /// Keeps everyone else away from a primary until [`Engine::release`]. Fails at once when somebody has it open.
    fn hold(&self, at: &Site) -> Result<()>;
    fn release(&self, at: &Site);
    /// Ends the role of the primary at `from`, once the replica at `to` has everything it has.
    fn hand_over(&self, from: &Site, to: &Site) -> Result<()>;
    /// Makes a replica a primary.
    fn promote(&self, at: &Site) -> Result<()>;
    /// Moves an instance's file out of the way, complete and under a new name next to it.
    fn set_aside(&self, at: &Site) -> Result<PathBuf>;
    /// Removes an instance and everything that belongs to it.
    fn remove(&self, at: &Site) -> Result<()>;

    /// Files in a location's directory that belong to none of the instances it should have, as far as can be told.
    fn strays(&self, dir: &Path, known: &dyn Fn(&str) -> bool) -> Result<Vec<Stray>>;
    /// Files in a location's directory that were still being made. Whoever knows that nobody is making one now may
    /// remove them: nothing in them was ever in use.
    fn unfinished(&self, dir: &Path) -> Result<Vec<PathBuf>>;
}

//! Where databases run. An [`Engine`] is told *what* to run and where, never *why*: names, groups and rules are the
//! control plane's. `file` runs databases as plain SQLite files, one directory a location.
//!
//! Every method that changes something may be repeated: after a crash the control plane asks again, and what is already
//! so stays so. None of them leaves a half-made instance where an application could find it.

pub mod disk;
pub mod file;

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
    /// The database's id.
    pub id: String,
}

/// A state of a primary's content, as far as it can be told without opening it. Equal positions mean equal content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Bytes of the database file and of its write-ahead log.
    pub size: u64,
    pub wal_size: u64,
    /// When they last changed: nanoseconds since 1970, 0 when there is no log.
    pub changed_ns: i64,
    pub wal_changed_ns: i64,
    /// Set on a recorded position that was changing while it was taken: it equals nothing that is observed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncertain: bool,
}

impl Position {
    /// When the content last changed: nanoseconds since 1970.
    #[must_use]
    pub fn last_change_ns(&self) -> i64 {
        self.changed_ns.max(self.wal_changed_ns)
    }
}

/// What an instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub role: Role,
    /// Bytes on disk.
    pub size: u64,
    /// The content's state; of use for a primary.
    pub position: Position,
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
pub trait Engine {
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
}

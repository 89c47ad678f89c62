//! Where databases run. An [`Engine`] is told *what* to run and where, never *why*: names, groups and rules are the
//! control plane's. `file` runs databases as plain SQLite files, one directory a location; `sqld` as namespaces of libSQL
//! server processes, which `process` supervises.
//!
//! Every method that changes something is idempotent: after a crash the control plane calls it again. None of them
//! leaves a half-made instance where an application could find it.

#[cfg(feature = "server")]
pub mod child;
#[cfg(feature = "server")]
pub mod confine;
pub mod disk;
pub mod file;
#[cfg(feature = "server")]
pub mod json_file;
mod local_files;
#[cfg(feature = "server")]
pub mod process;
#[cfg(feature = "server")]
pub mod remote;
#[cfg(feature = "server")]
pub mod sqld;

pub use file::comparison::{ComparisonDepth, ContentComparison, ContentDifference};
pub use local_files::LocalFiles;

use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The place of one instance: a database, by its id, at a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The location's code.
    pub location: String,
    /// The directory of the location's instances.
    pub dir: PathBuf,
    /// Whether the directory was given by a user, perhaps on a disk that can be unmounted. Such a directory is never
    /// made here, and if it is missing, nothing is concluded about its content.
    pub external: bool,
    /// Instances of one pool may share a process: their databases have the same group and the same primary location.
    /// None if that is no longer known, for remains of a destroyed database.
    pub pool: Option<String>,
    /// The database's id.
    pub id: String,
    /// How often the database has had another primary, counted from 1. Where processes serve instances, what has another
    /// epoch is another instance (see [`Site::instance`]).
    pub epoch: u64,
    /// The names of the database and of its group, for messages. None if they are not known any more.
    pub database: Option<String>,
    pub group: Option<String>,
}

impl Site {
    /// What messages call the database.
    #[must_use]
    pub fn database_name(&self) -> &str {
        self.database.as_deref().unwrap_or(&self.id)
    }

    /// The name of the instance at processes: the database's id, and from the second primary on the epoch. Requests, tokens
    /// and replicas name what they want by it, so a process that has only an instance of an older epoch serves none of them.
    #[must_use]
    pub fn instance(&self) -> String {
        match self.epoch {
            0 | 1 => self.id.clone(),
            epoch => format!("{}{EPOCH}{epoch}", self.id),
        }
    }
}

/// Between a database's id and the epoch. Ids are hexadecimal digits and hyphens, so none ends with this and a number.
const EPOCH: &str = "-epoch";

/// The id of the database that an instance of this name is of, and the epoch.
#[must_use]
pub fn database_of_instance(instance: &str) -> (&str, u64) {
    let named = instance
        .rsplit_once(EPOCH)
        .and_then(|(id, epoch)| Some((id, epoch.parse().ok()?)));
    named.unwrap_or((instance, 1))
}

/// A position in a replication log.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Frame {
    /// The log's id. A log that begins again gets another one; then frame counts cannot be compared.
    pub log: u128,
    /// How many frames there are up to this position.
    pub count: u64,
}

/// Two logs without frames are equal: both databases are empty.
impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && (self.log == other.log || self.count == 0)
    }
}

impl Eq for Frame {}

/// Where a log ended when it was last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenLog {
    pub frame: Frame,
    pub at: Timestamp,
}

/// A state of a database's content, found out without opening the database. Equal positions mean equal content.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Position {
    /// The last frame of its replication log, if it has one. Then the other fields say nothing about the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<Frame>,
    /// Bytes of the database file and of its write-ahead log.
    pub size: u64,
    pub wal_size: u64,
    /// When these files last changed, in nanoseconds since 1970; 0 without a write-ahead log.
    pub changed_ns: i64,
    pub wal_changed_ns: i64,
    /// Set if the position was changing while it was taken, or could not be found out. It then equals no other
    /// position.
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
    /// How long a replica in this state has not had all that its primary has, in milliseconds: at most so long, and at least 1.
    /// `level_ago` is how long ago it was last seen to have everything. None if neither is known.
    #[must_use]
    pub fn behind_ms(&self, primary: &Self, level_ago: Option<Duration>) -> Option<u64> {
        let written = self.last_change_ns();
        let between = (written > 0).then(|| primary.last_change_ns().saturating_sub(written) / 1_000_000);
        // A database that rested for an hour is not an hour behind at its next write.
        let between = between.and_then(|ms| u64::try_from(ms).ok());
        let level_ago = level_ago.and_then(|ago| u64::try_from(ago.as_millis()).ok());
        Some(between.into_iter().chain(level_ago).min()?.max(1))
    }

    /// When the content last changed, in nanoseconds since 1970.
    #[must_use]
    pub fn last_change_ns(&self) -> i64 {
        self.changed_ns.max(self.wal_changed_ns)
    }
}

/// The role of an instance.
#[derive(Debug, Clone, PartialEq)]
pub enum InstanceRole {
    Primary,
    /// A consistent copy of the primary at the location `of`, as it was at `position`.
    Replica {
        of: String,
        position: Position,
        synced_at: Timestamp,
        /// Whether something other than the engine has changed the copy.
        altered: bool,
    },
    /// A replica whose promotion has begun and must be completed.
    Promoting,
}

/// Why an instance is not used: its file is not what it was left as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Whether there is no file at all.
    pub missing: bool,
    /// What was found, as the end of a sentence about the file: "is empty".
    pub reason: String,
}

impl Damage {
    #[must_use]
    pub fn missing(reason: impl Into<String>) -> Self {
        Self {
            missing: true,
            reason: reason.into(),
        }
    }

    #[must_use]
    pub fn damaged(reason: impl Into<String>) -> Self {
        Self {
            missing: false,
            reason: reason.into(),
        }
    }

    /// The error of whoever needs the file at `path`.
    #[must_use]
    pub fn to_error(&self, path: &Path) -> Error {
        Error::new(
            Code::DatabaseDamaged,
            format!("the database file {} {}", path.display(), self.reason),
        )
        .hint("torso doctor says what to do")
    }
}

/// An instance as observed.
#[derive(Debug, Clone, PartialEq)]
pub struct Running {
    pub role: InstanceRole,
    /// Set if its file is not what it was left as. Then it is not served, and nothing is copied from it.
    pub damage: Option<Damage>,
    /// Bytes on disk.
    pub size: u64,
    /// The state of its content; meaningful for a primary.
    pub position: Position,
    /// False if it is reached through a process, and that is not running.
    pub serving: bool,
    /// What is known of that process, if this engine has started one.
    pub process: Option<ProcessFacts>,
    /// The limits in force on it; none for a replica, and if the engine enforces none.
    pub limits: Option<DatabaseLimits>,
}

/// What is known of the process that serves an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessFacts {
    /// It runs, and did not answer when it was last asked.
    pub is_silent: bool,
    /// How often it has ended by itself, or did not start.
    pub failures: u64,
    /// Why, the last time.
    pub failure: Option<String>,
    /// How long ago a replica was last seen to have all that its primary had; none if it was not, since the server's start.
    pub level_ago: Option<Duration>,
    /// How long a write takes until it is visible at a replica, as last measured; at least so long, while one is not.
    pub delay: Option<Duration>,
    /// A replica's content was not that of its primary when they were last compared.
    pub has_diverged: bool,
}

impl Running {
    /// How far it is in its primary's replication log, if there is one and that is known.
    #[must_use]
    pub fn frame(&self) -> Option<Frame> {
        let position = match &self.role {
            InstanceRole::Replica { position, .. } => position,
            InstanceRole::Primary | InstanceRole::Promoting => &self.position,
        };
        position.frame.filter(|_| !position.uncertain)
    }

    /// Frames of its primary's log that a replica lacks. Positions in two logs cannot be compared: everything is still to come.
    /// None while a position is not known.
    #[must_use]
    pub fn lacking_frames(&self, primary: &Self) -> Option<u64> {
        let (own, primary) = (self.frame()?, primary.frame()?);
        let has = if primary.log == own.log { own.count } else { 0 };
        Some(primary.count.saturating_sub(has))
    }
}

/// The limits on a primary, and so on its replicas, which an engine enforces that stands between applications and
/// files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseLimits {
    /// Bytes.
    pub max_size: Option<u64>,
    pub allow_attach: bool,
    pub block_reads: bool,
    pub block_writes: bool,
    /// Nothing can be added because its owner stores more than its quota.
    #[serde(default)]
    pub over_quota: bool,
}

/// An orphaned file: it belongs to no database of the control plane, or was kept aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    pub path: PathBuf,
    /// The id that the file's name begins with, if any.
    pub id: Option<String>,
    /// Whether it was kept aside by [`LocalFiles::set_aside`].
    pub kept_aside: bool,
    /// What is known of what only it has, as a sentence.
    pub divergence: Option<String>,
}

impl Orphan {
    /// A file that nothing is known of beyond its name.
    #[must_use]
    pub fn new(path: PathBuf, id: String, kept_aside: bool) -> Self {
        Self {
            path,
            id: Some(id),
            kept_aside,
            divergence: None,
        }
    }
}

/// A comparison of databases that are open, each in a read transaction.
pub type OpenContent = Box<dyn FnOnce(ComparisonDepth) -> Result<ContentComparison> + Send>;

/// Makes copies at several sites at the same time. Returns the results in the order of `to`.
#[cfg(feature = "server")]
fn copy_in_parallel(to: &[Site], copy: impl Fn(&Site) -> Result<()> + Sync) -> Vec<Result<()>> {
    if let [only] = to {
        return vec![copy(only)];
    }
    let copy = &copy;
    std::thread::scope(|scope| {
        let copies: Vec<_> = to.iter().map(|to| scope.spawn(move || copy(to))).collect();
        let failed = |_| Err(Error::new(Code::Internal, "a thread that copied a database failed"));
        copies
            .into_iter()
            .map(|copy| copy.join().unwrap_or_else(failed))
            .collect()
    })
}

/// Runs instances.
///
/// Errors: `unavailable` if a location's directory is missing, `database_busy` if an application has a database open
/// that is needed exclusively, `disk_full` and `io` naming the path.
pub trait Engine: Send {
    /// Prepares a user's directory for instances. Refused if another location or another torso uses it.
    fn open_location(&self, location: &str, dir: &Path) -> Result<()>;
    /// Releases a directory. Files in it stay.
    fn close_location(&self, dir: &Path) -> Result<()>;

    /// Whether processes serve the instances, of which those of one pool share one.
    fn has_processes(&self) -> bool {
        false
    }

    /// Fails with `unsupported` for a location that can only have replicas.
    fn check_primary_location(&self, _location: &str) -> Result<()> {
        Ok(())
    }

    /// The observed instance at a site; none if there is nothing.
    fn running(&self, at: &Site) -> Result<Option<Running>>;
    /// What is wrong with the file of a primary that should exist, looked at more closely than [`Engine::running`] does.
    /// Not to be called by a program that has the file open.
    fn examine(&self, at: &Site) -> Result<Option<Damage>> {
        Ok(match self.running(at)? {
            Some(running) => running.damage,
            None => Some(Damage::missing("is missing")),
        })
    }
    /// Bytes on disk, if there is an instance: cheaper than [`Engine::running`], for long lists.
    fn size(&self, at: &Site) -> Option<u64>;
    /// Bytes that hold something: without free pages and logs, which go on taking room on disk.
    fn used(&self, at: &Site) -> Option<u64> {
        self.size(at)
    }
    /// The files of instances, where those of `at` are on this machine; `unsupported` where another machine has them.
    fn local_files(&self, at: &Site) -> Result<&dyn LocalFiles>;
    /// The error of whoever needs a database whose file is damaged.
    fn damage_error(&self, damage: &Damage, at: &Site) -> Error {
        match self.local_files(at) {
            Ok(files) => damage.to_error(&files.path(at)),
            Err(_) => damage.to_error(Path::new(&format!("{} in {}", at.database_name(), at.location))),
        }
    }
    /// How a client on this machine reaches the instance; empty if it cannot.
    fn url(&self, at: &Site) -> String;
    /// The URL of a database, which stays when its primary moves, where the engine has such ones; else that of its primary,
    /// which is at `at`.
    fn stable_url(&self, at: &Site) -> String {
        self.url(at)
    }
    /// Whether the URL that stays leads to the primary at `at`.
    fn is_linked(&self, _at: &Site) -> bool {
        true
    }
    /// Leads the URL that stays to the primary at `at`, at once and for all who open it from now on.
    fn link(&self, _at: &Site) -> Result<()> {
        Ok(())
    }

    /// Starts serving an existing primary again.
    fn start(&self, at: &Site) -> Result<()>;
    /// Sets the limits of a primary, if the engine enforces any.
    fn configure(&self, at: &Site, limits: &DatabaseLimits) -> Result<()>;
    /// Returns once no transaction that writes to a primary is under way, where the engine can tell. One that is left open
    /// is ended for it after some seconds.
    fn await_writers(&self, _at: &Site) -> Result<()> {
        Ok(())
    }
    /// Makes an empty primary, unless there is one.
    fn create(&self, at: &Site) -> Result<()>;
    /// Checks that a file can become a primary: a complete SQLite database without a log or journal beside it.
    fn check_seed(&self, seed: &Path) -> Result<()>;
    /// Makes `to` a replica that has everything that the primary at `from` has now. Until it is complete, the old copy
    /// stays.
    fn copy(&self, from: &Site, to: &Site) -> Result<()>;
    /// The same for several sites, in parallel if the engine can. Returns the results in the order of `to`.
    fn copy_to_all(&self, from: &Site, to: &[Site]) -> Vec<Result<()>> {
        to.iter().map(|to| self.copy(from, to)).collect()
    }
    /// The same, where the copy that is there is not to be trusted.
    fn copy_again(&self, from: &Site, to: &Site) -> Result<()> {
        self.copy(from, to)
    }
    /// Whether another machine makes the copy by itself, so that it need not be waited for. Then that machine hears of it now.
    fn is_copied_elsewhere(&self, _to: &Site) -> bool {
        false
    }
    /// Notes whether the content of a replica was that of its primary when they were compared.
    fn note_compared(&self, _replica: &Site, _is_equal: bool) {}
    /// Notes whether a database has no primary and none can be made, so that [`Engine::running`] finds nothing of it.
    fn note_missing(&self, _id: &str, _is_missing: bool) {}
    /// Has a replica be read although its primary is damaged, where that is not so by itself.
    fn serve_alone(&self, _at: &Site) -> Result<()> {
        Ok(())
    }
    /// Locks a primary exclusively until [`Engine::release`]. Fails at once if an application has it open.
    fn hold(&self, at: &Site) -> Result<()>;
    fn release(&self, at: &Site);
    /// Ends the role of the primary at `from`, once the replica at `to` has everything it has.
    fn demote(&self, from: &Site, to: &Site) -> Result<()>;
    /// Makes a replica a primary.
    fn promote(&self, at: &Site) -> Result<()>;
    /// Refuses writes to a primary, for the reason that clients are given, and returns once no transaction that writes is
    /// open: one that does not end is ended after some seconds. [`Engine::configure`] lifts it.
    fn block_writes(&self, _at: &Site, _reason: &str) -> Result<()> {
        Err(Error::new(
            Code::Internal,
            "files have no process that could refuse writes",
        ))
    }
    /// Has the process run that a primary will need, if one serves it. [`Engine::remove`] undoes that.
    fn prepare_primary(&self, _at: &Site) -> Result<()> {
        Ok(())
    }
    /// Makes primaries of replicas where processes serve both: `moves` has the replicas, and the primaries of a newer epoch
    /// at the same location. What has been done already is left as it is.
    fn take_over(&self, _moves: &[(Site, Site)]) -> Result<()> {
        Err(Error::new(Code::Internal, "files are promoted in their places"))
    }
    /// Whether a primary can be used now: it is sound, and the process that serves it, if one does, answers.
    fn answers(&self, at: &Site) -> bool {
        matches!(self.running(at), Ok(Some(running)) if running.damage.is_none())
    }
    /// Where the log of an instance ends, by its files alone: also of one that nothing serves.
    fn log_end(&self, _at: &Site) -> Option<Frame> {
        None
    }
    /// Where the log of a replica's primary ended when both were last looked at.
    fn last_seen_primary(&self, _replica: &Site) -> Option<SeenLog> {
        None
    }
    /// Ends the process of a primary that does not answer.
    fn fence(&self, _at: &Site) -> Result<()> {
        Ok(())
    }
    /// Has another machine set the files of an instance there aside, and waits until it has. It compares them by itself.
    fn set_aside_elsewhere(&self, at: &Site) -> Result<()> {
        self.local_files(at)?.set_aside(at).map(drop)
    }
    /// The files that were set aside in a location's directory and not compared with their successors yet, each with its
    /// database's id.
    fn uncompared(&self, _dir: &Path) -> Result<Vec<(PathBuf, String)>> {
        Ok(Vec::new())
    }
    /// Removes an instance and everything that belongs to it.
    fn remove(&self, at: &Site) -> Result<()>;

    /// Files in a location's directory that belong to none of the `known` instances, as far as their names tell.
    fn orphans(&self, dir: &Path, known: &dyn Fn(&str) -> bool) -> Result<Vec<Orphan>>;
    /// Unfinished files in a location's directory. A caller that knows that nobody is making one may remove them: they
    /// were never in use.
    fn unfinished(&self, dir: &Path) -> Result<Vec<PathBuf>>;
}

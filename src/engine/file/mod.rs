//! Databases as plain SQLite files: an instance is `<dir>/<id>.db`.
//!
//! A primary is an ordinary file in WAL mode (0600) that any application may open. A replica is a consistent copy in
//! rollback mode (0400) with a header that has SQLite refuse to write to it, replaced as a whole by a rename, with a note
//! beside it (`<id>.replica.json`, see `note`) saying whose copy it is and of which state. No note: a primary. A link leads to
//! the primary, wherever it is (see `link`).
//!
//! Rules against losing rows:
//! 1. A file is replaced only if it is an unaltered copy. Whatever else is found is moved aside first, never overwritten.
//! 2. A primary's role ends only while this process holds it alone, after its replica is complete and on disk; and its
//!    file is left in rollback mode, in which a connection that slept through the change notices that its file is gone.
//! 3. A database file is never opened and closed by other means while a connection of this process has it: POSIX would
//!    drop that connection's locks.
//! 4. A connection made for copying does not checkpoint when it closes, so that copying does not make its source look
//!    changed.

#[cfg(feature = "server")]
pub mod child;
mod compact;
pub mod comparison;
mod copy;
mod damage;
#[cfg(feature = "server")]
pub(in crate::engine) mod dump;
mod link;
mod note;
mod role;
mod used;

pub(in crate::engine) use used::{content_bytes, used_bytes};

use self::damage::{cut_off, visible_damage};
use super::disk::{self, with_suffix};
use super::{Damage, DatabaseLimits, Engine, InstanceRole, LocalFiles, Orphan, Position, Running, Site};
use crate::error::{Code, Error, Result};
use crate::sqlite_header;
use rusqlite::{Connection, ErrorCode};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// A file that marks a user's directory as a location, so that a mount point without its disk is not taken for an empty
/// location.
const MARK: &str = ".torso-location";

/// The suffix, after the id, of a copy under construction.
const UNFINISHED: &str = "db.tmp";

/// What SQLite keeps beside a database.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The engine over files. Holds nothing but the primaries it was asked to hold.
#[derive(Default)]
pub struct FileEngine {
    /// The directory of the links to primaries; none if databases have no URL but that of their primary's file.
    links: Option<PathBuf>,
    held: RefCell<HashMap<PathBuf, Connection>>,
}

impl FileEngine {
    /// An engine that gives each database a URL which stays when its primary moves: a link in the directory `links`.
    #[must_use]
    pub fn with_links(links: PathBuf) -> Self {
        Self {
            links: Some(links),
            ..Self::default()
        }
    }
}

/// The database file of a site.
fn file(at: &Site) -> PathBuf {
    at.dir.join(format!("{}.db", at.id))
}

/// A copy under construction.
fn unfinished(at: &Site) -> PathBuf {
    at.dir.join(format!("{}.{UNFINISHED}", at.id))
}

/// The metadata of a file; none if it does not exist.
fn stat(path: &Path) -> Result<Option<Metadata>> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(error, format!("cannot access {}", path.display()))),
    }
}

/// When a file last changed, in nanoseconds since 1970.
fn changed_ns(metadata: &Metadata) -> i64 {
    metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}

/// The state of a primary's content, from file metadata alone. An empty log counts as none.
fn position(at: &Site, metadata: &Metadata) -> Result<Position> {
    let wal = stat(&with_suffix(&file(at), "-wal"))?.filter(|wal| wal.len() > 0);
    Ok(Position {
        size: metadata.len(),
        wal_size: wal.as_ref().map_or(0, Metadata::len),
        changed_ns: changed_ns(metadata),
        wal_changed_ns: wal.as_ref().map_or(0, changed_ns),
        ..Position::default()
    })
}

/// Makes sure that a location's directory exists.
pub(super) fn present(at: &Site) -> Result<()> {
    if !at.external {
        return disk::private_dir(&at.dir);
    }
    if at.dir.join(MARK).exists() {
        Ok(())
    } else {
        Err(away(at))
    }
}

fn away(at: &Site) -> Error {
    Error::new(
        Code::Unavailable,
        format!(
            "the directory {} of location {} is not there",
            at.dir.display(),
            at.location
        ),
    )
    .hint("mount its disk, then try again")
}

/// Whether SQLite reports a full disk. Failing to grow the index of a write-ahead log has a code of its own, and a full
/// disk is the usual reason.
#[must_use]
pub fn is_disk_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| {
        error.code == ErrorCode::DiskFull || error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
    })
}

/// Turns SQLite's errors into torso's.
fn sqlite(path: &Path, error: rusqlite::Error) -> Error {
    let file = path.display();
    let described = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::new(Code::DatabaseBusy, format!("another program holds {file}"))
                .hint("close the applications that have it open, then try again")
        }
        _ if is_disk_full(&error) => Error::new(Code::DiskFull, format!("no space left to write {file}"))
            .hint("free some space, then try again; what was there is unchanged"),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::new(
            Code::InvalidFile,
            format!("{file} is damaged, or is not a SQLite database"),
        ),
        _ => Error::new(Code::Io, format!("cannot read or write {file}")),
    };
    described.caused_by(error)
}

/// The first page of an empty database in WAL mode, as SQLite itself would write it: the header's fields by offset
/// (sqlite.org/fileformat2.html), then an empty table leaf for the schema.
fn empty_database() -> [u8; 4096] {
    let mut page = [0; 4096];
    page[..16].copy_from_slice(sqlite_header::MAGIC);
    page[16..18].copy_from_slice(&4096_u16.to_be_bytes());
    // Write and read versions: WAL. No reserved bytes. The payload fractions are fixed.
    page[18..24].copy_from_slice(&[2, 2, 0, 64, 32, 32]);
    // Change counter, and the page count it vouches for.
    page[24..28].copy_from_slice(&1_u32.to_be_bytes());
    page[28..32].copy_from_slice(&1_u32.to_be_bytes());
    // Schema format 4, UTF-8; the counter and the version of the library that wrote it.
    page[44..48].copy_from_slice(&4_u32.to_be_bytes());
    page[56..60].copy_from_slice(&1_u32.to_be_bytes());
    page[92..96].copy_from_slice(&1_u32.to_be_bytes());
    page[96..100].copy_from_slice(&rusqlite::version_number().to_be_bytes());
    // A leaf of a table: no cells, which would begin at the page's end.
    page[100] = 13;
    page[105..107].copy_from_slice(&4096_u16.to_be_bytes());
    page
}

impl Engine for FileEngine {
    fn local_files(&self, _at: &Site) -> Result<&dyn LocalFiles> {
        Ok(self)
    }

    fn open_location(&self, location: &str, dir: &Path) -> Result<()> {
        disk::private_dir(dir)?;
        let mark = dir.join(MARK);
        match std::fs::read_to_string(&mark) {
            Ok(owner) if owner.trim() == location => Ok(()),
            Ok(owner) if !owner.trim().is_empty() => Err(Error::new(
                Code::Conflict,
                format!(
                    "{} is already the directory of location {}",
                    dir.display(),
                    owner.trim()
                ),
            )
            .hint(format!(
                "choose another directory, or remove {} if that location no longer exists",
                mark.display()
            ))),
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io(error, format!("cannot read {}", mark.display())))
            }
            // An earlier torso's mark may have lost its content with the power.
            Ok(_) | Err(_) => disk::write_durably(&mark, format!("{location}\n").as_bytes()),
        }
    }

    fn close_location(&self, dir: &Path) -> Result<()> {
        disk::remove(&dir.join(MARK))
    }

    fn running(&self, at: &Site) -> Result<Option<Running>> {
        let Some(metadata) = stat(&file(at))? else {
            return if at.external && !at.dir.join(MARK).exists() {
                Err(away(at))
            } else {
                Ok(None)
            };
        };
        let position = position(at, &metadata)?;
        let role = match note::read(at)? {
            None => InstanceRole::Primary,
            Some(note) => note.role(at, &metadata)?,
        };
        let damage = match role {
            InstanceRole::Primary => visible_damage(&metadata),
            InstanceRole::Replica { .. } | InstanceRole::Promoting => None,
        };
        Ok(Some(Running {
            role,
            damage,
            size: position.size + position.wal_size,
            position,
            serving: true,
            process: None,
            limits: None,
        }))
    }

    fn examine(&self, at: &Site) -> Result<Option<Damage>> {
        let Some(running) = self.running(at)? else {
            return Ok(Some(Damage::missing("is missing")));
        };
        if running.damage.is_some() || running.role != InstanceRole::Primary {
            return Ok(running.damage);
        }
        let mut header = [0; sqlite_header::LENGTH];
        let path = file(at);
        let read = File::open(&path).and_then(|mut file| file.read_exact(&mut header));
        Ok(match read {
            Ok(()) if header.starts_with(sqlite_header::MAGIC) => cut_off(&path, &header)?,
            Ok(()) => Some(Damage::damaged("is not a SQLite database")),
            Err(error) => Some(Damage::damaged(format!("cannot be read: {error}"))),
        })
    }

    fn size(&self, at: &Site) -> Option<u64> {
        let path = file(at);
        let size = std::fs::metadata(&path).ok()?.len();
        Some(size + std::fs::metadata(with_suffix(&path, "-wal")).map_or(0, |wal| wal.len()))
    }

    fn used(&self, at: &Site) -> Option<u64> {
        used_bytes(&file(at))
    }

    fn url(&self, at: &Site) -> String {
        link::file_url(&file(at))
    }

    fn stable_url(&self, at: &Site) -> String {
        match &self.links {
            Some(links) if link::leads_to(links, at) => link::file_url(&link::path(links, at)),
            _ => self.url(at),
        }
    }

    fn is_linked(&self, at: &Site) -> bool {
        self.links.as_ref().is_none_or(|links| link::leads_to(links, at))
    }

    fn link(&self, at: &Site) -> Result<()> {
        self.links.as_ref().map_or(Ok(()), |links| link::set(links, at))
    }

    /// Files need no process.
    fn start(&self, _at: &Site) -> Result<()> {
        Ok(())
    }

    /// Nothing to do: applications open the file themselves. Only torso's own shell honours limits, which it gets from
    /// the catalog.
    fn configure(&self, _at: &Site, _limits: &DatabaseLimits) -> Result<()> {
        Ok(())
    }

    fn create(&self, at: &Site) -> Result<()> {
        present(at)?;
        let path = file(at);
        if stat(&path)?.is_some() {
            return Ok(());
        }
        let unfinished = unfinished(at);
        let mut new = disk::private_file(&unfinished)?;
        new.write_all(&empty_database())
            .and_then(|()| new.set_len(4096))
            .and_then(|()| new.sync_all())
            .map_err(|error| Error::io(error, format!("cannot write {}", unfinished.display())))?;
        disk::rename(&unfinished, &path)?;
        disk::sync_dir(&at.dir)
    }

    fn check_seed(&self, seed: &Path) -> Result<()> {
        copy::check_seed(seed)
    }

    fn copy(&self, from: &Site, to: &Site) -> Result<()> {
        present(to)?;
        if let Some(Running {
            role: InstanceRole::Primary | InstanceRole::Promoting | InstanceRole::Replica { altered: true, .. },
            ..
        }) = self.running(to)?
        {
            return Err(Error::new(
                Code::Diverged,
                format!(
                    "{} is not an unaltered replica and will not be overwritten",
                    file(to).display()
                ),
            ));
        }
        let held = self.held.borrow();
        copy::replicate(held.get(&file(from)), from, to)
    }

    fn hold(&self, at: &Site) -> Result<()> {
        let path = file(at);
        if !self.held.borrow().contains_key(&path) {
            let connection = role::hold(&path)?;
            self.held.borrow_mut().insert(path, connection);
        }
        Ok(())
    }

    fn release(&self, at: &Site) {
        self.held.borrow_mut().remove(&file(at));
    }

    fn demote(&self, from: &Site, to: &Site) -> Result<()> {
        self.hold(from)?;
        let current = self.running(from)?.map(|running| running.position);
        let known = self.running(to)?.and_then(|running| match running.role {
            InstanceRole::Replica {
                position,
                altered: false,
                ..
            } => Some(position),
            _ => None,
        });
        if known.is_none() || known != current {
            self.copy(from, to)?;
        }
        let held = self.held.borrow();
        let Some(connection) = held.get(&file(from)) else {
            return Err(Error::new(
                Code::Internal,
                format!("{} is not locked for its demotion", file(from).display()),
            ));
        };
        role::demote(connection, from, to)
    }

    fn promote(&self, at: &Site) -> Result<()> {
        role::promote(at)
    }

    fn remove(&self, at: &Site) -> Result<()> {
        if at.external && !at.dir.join(MARK).exists() {
            return Err(away(at));
        }
        let path = file(at);
        let mut all = vec![path.clone(), unfinished(at), note::path(at), note::unfinished(at)];
        for companion in COMPANIONS {
            all.push(with_suffix(&path, companion));
            all.push(with_suffix(&unfinished(at), companion));
        }
        if let Some(links) = &self.links {
            link::remove(links, at)?;
        }
        // Somebody's directory in the place of the file goes if it is empty.
        let _ = std::fs::remove_dir(&path);
        all.iter().try_for_each(|path| disk::remove(path))?;
        if at.dir.is_dir() {
            disk::sync_dir(&at.dir)
        } else {
            Ok(())
        }
    }

    fn orphans(&self, dir: &Path, known: &dyn Fn(&str) -> bool) -> Result<Vec<Orphan>> {
        let mut orphans = Vec::new();
        for (path, id, rest) in ours(dir)? {
            let kept_aside = rest.starts_with(role::ASIDE);
            if kept_aside && COMPANIONS.iter().any(|companion| rest.ends_with(companion)) {
                continue;
            }
            if kept_aside || (!known(&id) && rest == "db") {
                orphans.push(Orphan::new(path, id, kept_aside));
            }
        }
        Ok(orphans)
    }

    fn unfinished(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let mut found = ours(dir)?;
        found.retain(|(_, _, rest)| rest.starts_with(UNFINISHED) || rest == note::UNFINISHED);
        Ok(found.into_iter().map(|(path, ..)| path).collect())
    }
}

impl LocalFiles for FileEngine {
    fn path(&self, at: &Site) -> PathBuf {
        file(at)
    }

    fn adopt(&self, seed: &Path, at: &Site) -> Result<()> {
        present(at)?;
        copy::adopt(seed, at)
    }

    fn snapshot(&self, from: &Site, to: &Path) -> Result<()> {
        copy::snapshot(from, to)
    }

    fn compact(&self, at: &Site) -> Result<()> {
        present(at)?;
        compact::compact(&file(at))
    }

    fn set_aside(&self, at: &Site) -> Result<PathBuf> {
        role::set_aside(at)
    }
}

/// The files in a directory whose names begin with an id: path, id, and the rest of the name after a dot. Only these
/// can be torso's; a user's directory may have other files.
fn ours(dir: &Path) -> Result<Vec<(PathBuf, String, String)>> {
    let doing = || format!("cannot list {}", dir.display());
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(error, doing())),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Error::io(error, doing()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some((id, rest)) = name.split_once('.')
            && id.len() == 36
            && uuid::Uuid::try_parse(id).is_ok()
        {
            found.push((entry.path(), id.to_owned(), rest.to_owned()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests;

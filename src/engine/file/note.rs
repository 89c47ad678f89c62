//! The note beside a replica: whose copy it is, of which state, and how to tell that nobody else has changed it.
//!
//! A new note is written before the new copy is moved into place, and describes the old copy too. Whichever of the two
//! is there after a crash is recognised, so a copy never looks fresher than it is.

use super::{changed_ns, file};
use crate::engine::disk;
use crate::engine::{InstanceRole, Position, Site};
use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// The description of one copy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Copy {
    /// The primary's location.
    pub of: String,
    /// The primary's state that was copied.
    pub position: Position,
    pub synced_at: Timestamp,
    /// The copy's own size and time of change. If they agree, the copy is unaltered.
    pub size: u64,
    pub changed_ns: i64,
    /// The changing part of the copy's header, in case the times differ because the files were moved to another disk.
    /// None if it could not be read safely.
    pub header: Option<String>,
    /// Whether the copy's header has SQLite refuse to write to it. One that an earlier torso made is replaced.
    #[serde(default)]
    pub write_protected: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ReplicaNote {
    pub copy: Copy,
    /// The copy that this one replaces.
    pub previous: Option<Copy>,
    /// Whether the replica is being promoted.
    #[serde(default)]
    pub rising: bool,
}

/// The suffix, after the id, of a note under construction.
pub(super) const UNFINISHED: &str = "replica.json.tmp";

pub(super) fn path(at: &Site) -> PathBuf {
    at.dir.join(format!("{}.replica.json", at.id))
}

pub(super) fn unfinished(at: &Site) -> PathBuf {
    at.dir.join(format!("{}.{UNFINISHED}", at.id))
}

/// The note of a site; none for a primary. An unreadable note matches no copy.
pub(super) fn read(at: &Site) -> Result<Option<ReplicaNote>> {
    let path = path(at);
    match std::fs::read(&path) {
        Ok(text) => Ok(Some(
            serde_json::from_slice(&text).unwrap_or_else(|_| ReplicaNote::void()),
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(error, format!("cannot read {}", path.display()))),
    }
}

/// Replaces the note. When this returns, its content is on disk, but perhaps not its name.
pub(super) fn write(at: &Site, note: &ReplicaNote) -> Result<()> {
    let unfinished = unfinished(at);
    let doing = || format!("cannot write {}", unfinished.display());
    let text = serde_json::to_vec(note)
        .map_err(|error| Error::new(Code::Internal, "cannot write a replica's note").caused_by(error))?;
    let mut file = disk::private_file(&unfinished)?;
    file.set_len(0)
        .and_then(|()| file.write_all(&text))
        .and_then(|()| file.sync_all())
        .map_err(|error| Error::io(error, doing()))?;
    disk::rename(&unfinished, &path(at))
}

/// The part of a database's header that changes with the content, in hexadecimal. Not for a file that a connection of
/// this process has open.
pub(super) fn header(path: &Path) -> Result<String> {
    let mut bytes = [0; 100];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| Error::io(error, format!("cannot read {}", path.display())))?;
    Ok(bytes[16..].iter().map(|byte| format!("{byte:02x}")).collect())
}

impl ReplicaNote {
    fn void() -> Self {
        Self {
            copy: Copy {
                of: String::new(),
                position: Position {
                    uncertain: true,
                    ..Position::default()
                },
                synced_at: Timestamp::UNIX_EPOCH,
                size: 0,
                changed_ns: 0,
                header: None,
                write_protected: false,
            },
            previous: None,
            rising: false,
        }
    }

    /// Which of the two copies a file is, if any.
    fn recognise(&self, path: &Path, metadata: &Metadata) -> Result<Option<&Copy>> {
        let candidates = || std::iter::once(&self.copy).chain(&self.previous);
        let same_size = |copy: &&Copy| copy.size == metadata.len();
        let time = changed_ns(metadata);
        if let Some(copy) = candidates().filter(same_size).find(|copy| copy.changed_ns == time) {
            return Ok(Some(copy));
        }
        if !candidates().filter(same_size).any(|copy| copy.header.is_some()) {
            return Ok(None);
        }
        let header = header(path)?;
        Ok(candidates()
            .filter(same_size)
            .find(|copy| copy.header.as_ref() == Some(&header)))
    }

    /// The copy at the site now, if it is unaltered.
    pub(super) fn current(&self, at: &Site, metadata: &Metadata) -> Result<Option<&Copy>> {
        self.recognise(&file(at), metadata)
    }

    /// The role of the file beside the note.
    pub(super) fn role(&self, at: &Site, metadata: &Metadata) -> Result<InstanceRole> {
        if self.rising {
            return Ok(InstanceRole::Promoting);
        }
        let current = self.current(at, metadata)?;
        let copy = current.unwrap_or(&self.copy);
        Ok(InstanceRole::Replica {
            of: copy.of.clone(),
            position: Position {
                uncertain: copy.position.uncertain || !copy.write_protected,
                ..copy.position.clone()
            },
            synced_at: copy.synced_at,
            altered: current.is_none(),
        })
    }
}

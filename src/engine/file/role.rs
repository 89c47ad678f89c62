//! Changing roles: holding a primary, demoting it, promoting a replica, and moving a file aside.

use super::note::{self, Copy, ReplicaNote};
use super::{changed_ns, copy, file, sqlite, stat};
use crate::engine::disk::{self, with_suffix};
use crate::engine::{Position, Site};
use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The rest of the name of a file that was kept aside, after the id and a dot.
pub(super) const ASIDE: &str = "diverged-";

/// Locks a database exclusively, for as long as the connection lives.
pub(super) fn hold(path: &Path) -> Result<Connection> {
    let connection = copy::open_existing(path)?;
    connection
        .busy_timeout(Duration::from_millis(500))
        .and_then(|()| connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT"))
        .map_err(|error| sqlite(path, error))?;
    Ok(connection)
}

/// Turns a held primary into a replica of the one at `to`, which must be up to date.
pub(super) fn demote(held: &Connection, from: &Site, to: &Site) -> Result<()> {
    let path = file(from);
    // Folds the log into the file. In rollback mode a connection that had the file open all the while, without having
    // used it, sees on its first write that the file was replaced.
    let mode: String = held
        .query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))
        .map_err(|error| sqlite(&path, error))?;
    if mode != "delete" {
        return Err(
            Error::new(Code::DatabaseBusy, format!("another program holds {}", path.display()))
                .hint("close the applications that have it open, then try again"),
        );
    }
    disk::set_mode(&path, disk::READ_ONLY)?;
    let Some(metadata) = stat(&path)? else {
        return Err(Error::new(
            Code::Io,
            format!("{} was removed by somebody else", path.display()),
        ));
    };
    let copy = Copy {
        of: to.location.clone(),
        // Its content is that of the new primary, whose file is about to change its mode.
        position: Position {
            uncertain: true,
            ..Position::default()
        },
        synced_at: Timestamp::now(),
        size: metadata.len(),
        changed_ns: changed_ns(&metadata),
        header: None,
        // The copy of the new primary that takes its place is.
        write_protected: false,
    };
    note::write(
        from,
        &ReplicaNote {
            copy,
            previous: None,
            rising: false,
        },
    )?;
    disk::sync_dir(&from.dir)
}

/// Makes a replica the primary. The note says so from the first step on, so that a crash in between is completed.
pub(super) fn promote(at: &Site) -> Result<()> {
    let path = file(at);
    let Some(mut note) = note::read(at)? else { return Ok(()) };
    if !note.rising {
        let unaltered = match stat(&path)? {
            Some(metadata) => note.current(at, &metadata)?.is_some(),
            None => false,
        };
        if !unaltered {
            return Err(Error::new(
                Code::Diverged,
                format!("{} is not an unaltered replica and cannot be promoted", path.display()),
            ));
        }
        note.rising = true;
        note::write(at, &note)?;
        disk::sync_dir(&at.dir)?;
    }
    copy::make_primary(&path)?;
    disk::remove(&note::path(at))?;
    disk::sync_dir(&at.dir)
}

/// A free name in a directory for a file of a database that is kept aside now.
pub(super) fn aside_path(dir: &Path, id: &str) -> Result<PathBuf> {
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let name = |number: u32| match number {
        0 => dir.join(format!("{id}.{ASIDE}{stamp}.db")),
        _ => dir.join(format!("{id}.{ASIDE}{stamp}-{number}.db")),
    };
    let mut number = 0;
    while stat(&name(number))?.is_some() {
        number += 1;
    }
    Ok(name(number))
}

/// Renames an instance's file, with its log folded in, to a name that says when and why. Where the file is gone, only what was beside
/// it is renamed: another file in its place would get that log.
pub(super) fn set_aside(at: &Site) -> Result<PathBuf> {
    let path = file(at);
    let aside = aside_path(&at.dir, &at.id)?;
    let is_there = stat(&path)?.is_some();
    let folded = if is_there {
        disk::set_mode(&path, disk::PRIVATE)?;
        fold(&path)
    } else {
        Err(Error::new(
            Code::DatabaseDamaged,
            format!("{} is missing", path.display()),
        ))
    };
    match folded {
        // It is not a database any more: its files are kept as they are.
        Err(error) if matches!(error.code(), Code::InvalidFile | Code::DatabaseDamaged) => {
            for companion in ["-wal", "-journal"] {
                if stat(&with_suffix(&path, companion))?.is_some() {
                    disk::rename(&with_suffix(&path, companion), &with_suffix(&aside, companion))?;
                }
            }
        }
        folded => folded?,
    }
    // The note goes last: without it, what is still in place would pass for a primary.
    if is_there {
        disk::rename(&path, &aside)?;
    }
    disk::remove(&with_suffix(&path, "-shm"))?;
    disk::remove(&note::path(at))?;
    disk::sync_dir(&at.dir)?;
    Ok(aside)
}

fn fold(path: &Path) -> Result<()> {
    let held = hold(path)?;
    let mode: String = held
        .query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))
        .map_err(|error| sqlite(path, error))?;
    if mode == "delete" {
        held.close().map_err(|(_, error)| sqlite(path, error))
    } else {
        Err(
            Error::new(Code::DatabaseBusy, format!("another program holds {}", path.display()))
                .hint("close the applications that have it open, then try again"),
        )
    }
}

//! Opens a SQLite file for a session, and says why it cannot be opened.

use crate::error::{Code, Error, Result};
use crate::sql::Target;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// How long to wait for another program's lock.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// Device and inode, which identify a file whatever its name.
pub(super) type FileIdentity = (u64, u64);

/// What identifies the file; none if there is none, or where the system does not say.
pub(super) fn identify(path: &Path) -> Option<FileIdentity> {
    let metadata = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        Some((metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
}

pub(super) fn connect(target: &Target) -> Result<(Connection, Option<FileIdentity>)> {
    let common = OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut limit = None;
    let (path, flags, watched) = match target {
        Target::File {
            path,
            read_only,
            create,
            max_bytes,
            follow_links,
        } => {
            limit = max_bytes.filter(|_| !read_only);
            let access = match (read_only, create) {
                (true, _) => OpenFlags::SQLITE_OPEN_READ_ONLY,
                (false, false) => OpenFlags::SQLITE_OPEN_READ_WRITE,
                (false, true) => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            };
            let links = if *follow_links {
                OpenFlags::empty()
            } else {
                OpenFlags::SQLITE_OPEN_NOFOLLOW
            };
            (path.as_path(), access | common | links, *read_only)
        }
        Target::Memory => (
            Path::new(":memory:"),
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | common,
            false,
        ),
        Target::Remote { url, .. } => {
            return Err(Error::new(Code::Internal, format!("{url} is not a file")));
        }
    };
    #[cfg(unix)]
    crate::served_file::check_free(path)?;
    // Before opening: if the file is replaced meanwhile, the next check sees the difference.
    let identity = if watched { identify(path) } else { None };
    let connection = Connection::open_with_flags(path, flags).map_err(|error| cannot_open(path, &error))?;
    prepare_connection(&connection)
        .and_then(|()| limit.map_or(Ok(()), |bytes| limit_size(&connection, bytes)))
        .map_err(|error| cannot_open(path, &error))?;
    Ok((connection, identity))
}

/// Limits the file's size. SQLite reports a statement that would exceed it as "database is full".
pub(super) fn limit_size(connection: &Connection, bytes: u64) -> rusqlite::Result<()> {
    let page_size: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let pages = bytes / u64::try_from(page_size).unwrap_or(4096).max(1);
    // SQLite counts pages in 32 bits; a file that is larger already keeps its size.
    let pages = pages.clamp(1, u64::from(u32::MAX) - 1);
    connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
}

pub(super) fn cannot_open(path: &Path, error: &rusqlite::Error) -> Error {
    let message = match error {
        // rusqlite adds the path to SQLite's message.
        rusqlite::Error::SqliteFailure(code, _) if code.code == rusqlite::ErrorCode::CannotOpen => {
            "unable to open database file".to_owned()
        }
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    };
    let code = if path.exists() {
        Code::InvalidFile
    } else {
        Code::FileNotFound
    };
    Error::new(
        code,
        format!("unable to open database \"{}\": {message}", path.display()),
    )
}

/// Sets the defaults of the `sqlite3` shell, which differ from the library's.
pub(super) fn prepare_connection(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)?;
    crate::sql::functions::register(connection)?;
    connection.busy_timeout(BUSY)
}

//! A file on its way to a server: locked, copied, and marked.

use super::openers::find_opener;
use super::restore::restore;
use super::served::ServedFile;
use super::session::{SessionLock, SessionPhase, SessionRecord, server_folder, session_folder};
use super::{RESTORED, busy, real_path, unwritable};
use crate::error::{Code, Error, Result};
use crate::sqlite_header;
use crate::sync::lock;
use rusqlite::{Connection, OpenFlags};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

const NO_DATABASE: &str = "it is not a SQLite database, or it is encrypted";

/// How long another program may still take to close the file.
const CLOSING: Duration = Duration::from_millis(500);

/// A file that is locked for a server, and still has the newest state itself. Dropping it leaves the file as it was.
pub struct TakenFile {
    path: PathBuf,
    folder: PathBuf,
    record: SessionRecord,
    // Dropped in this order. Closing any handle of the file gives up the connection's locks.
    connection: Option<Connection>,
    file: File,
    session: Option<SessionLock>,
}

impl TakenFile {
    /// Locks a file, which is made if there is none. What a killed torso has left is brought back first.
    ///
    /// # Errors
    ///
    /// `database_busy` if the file is served already, or another program has it open; `invalid_file` for what is not a database.
    pub fn take(path: &Path) -> Result<Self> {
        let path = real_path(path);
        let folder = session_folder(&path);
        check_parent(&path)?;
        if !folder.exists()
            && let Ok(metadata) = std::fs::metadata(&path)
        {
            check_kind(&path, &metadata)?;
        }
        let session = match SessionLock::make_folder(&folder)? {
            Some(session) => session,
            None => {
                let record = super::read_record(&folder).ok().flatten();
                return Err(busy(
                    &path,
                    record.as_ref().and_then(|record| record.url.as_deref()),
                    &folder,
                ));
            }
        };
        // What cannot be brought back stays where it is.
        if let Some(restored) = restore(&path, &folder)? {
            lock(&RESTORED).push(restored);
        }
        session.clear_folder()?;
        match Self::lock(&path, &folder) {
            Ok((record, connection, file)) => Ok(Self {
                path,
                folder,
                record,
                connection: Some(connection),
                file,
                session: Some(session),
            }),
            Err(error) => {
                // The file has everything. What is left of the folder is removed by the next command that opens the file.
                let _ = session.remove_folder();
                Err(error)
            }
        }
    }

    fn lock(path: &Path, folder: &Path) -> Result<(SessionRecord, Connection, File)> {
        let file = open_file(path)?;
        let metadata = file.metadata().map_err(unwritable(path))?;
        check_kind(path, &metadata)?;
        if let Some(other) = find_opener(path) {
            return Err(in_use(path, &format!("{other} has it open")));
        }
        let connection = hold(path)?;
        let journal_mode: String = pragma(path, &connection, "journal_mode")?;
        let record = SessionRecord {
            phase: SessionPhase::Preparing,
            journal_mode,
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            data: None,
            process_lock: None,
            url: None,
        };
        record.write(folder)?;
        // Folds a log into the file, which then has everything.
        let now: String = pragma(path, &connection, "journal_mode = DELETE")?;
        if now != "delete" {
            return Err(in_use(path, "its log is in use"));
        }
        Ok((record, connection, file))
    }

    /// The file itself, where links are followed.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder for the server's files, which goes with the session.
    #[must_use]
    pub fn server_folder(&self) -> PathBuf {
        server_folder(&self.folder)
    }

    /// Whether there is nothing in the file yet.
    pub fn is_empty(&self) -> Result<bool> {
        let metadata = self.file.metadata().map_err(unwritable(&self.path))?;
        Ok(metadata.len() == 0)
    }

    /// Writes a complete copy of the file to a new file.
    pub fn copy_to(&mut self, to: &Path) -> Result<()> {
        let mut copy = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(to)
            .map_err(unwritable(to))?;
        self.file
            .rewind()
            .and_then(|()| std::io::copy(&mut self.file, &mut copy))
            .and_then(|_| copy.sync_all())
            .map_err(unwritable(to))
    }

    /// Hands the file over to a server that has the same state on disk at `data`: from now on the newest state is there.
    /// `process_lock` is held by the server's process as long as it lives. Both are below [`TakenFile::server_folder`].
    pub fn give_to_server(mut self, data: &Path, process_lock: &Path) -> Result<ServedFile> {
        let below = |path: &Path| path.strip_prefix(&self.folder).map(Path::to_owned).ok();
        self.record.data = below(data);
        self.record.process_lock = below(process_lock);
        self.record.phase = SessionPhase::Marking;
        self.record.write(&self.folder)?;
        if let Some(connection) = self.connection.as_ref().filter(|_| self.is_empty().unwrap_or(false)) {
            // The mark needs a header to be in.
            connection
                .execute_batch("CREATE TABLE served (x); DROP TABLE served")
                .map_err(|error| unusable(&self.path, &error))?;
        }
        sqlite_header::mark_served(&mut self.file).map_err(unwritable(&self.path))?;
        self.record.phase = SessionPhase::Serving;
        self.record.write(&self.folder)?;
        // Without it, dropping this changes nothing any more.
        drop(self.connection.take());
        let session = self.session.take();
        let session = session.ok_or_else(|| Error::new(Code::Internal, "a session was given to a server twice"))?;
        Ok(ServedFile::new(
            self.path.clone(),
            self.folder.clone(),
            self.record.clone(),
            session,
        ))
    }
}

impl Drop for TakenFile {
    fn drop(&mut self) {
        // Once the file may be marked, the next command that opens it finds out.
        if self.record.phase != SessionPhase::Preparing {
            return;
        }
        if let Some(connection) = self.connection.take() {
            // What stays in another mode works as well; there is nobody to tell.
            let _ = connection.execute_batch(&format!("PRAGMA journal_mode = {}", self.record.journal_mode));
        }
        if let Some(session) = self.session.take() {
            let _ = session.remove_folder();
        }
    }
}

/// Gives up the newest state of a file whose session's folder is gone, and has the file be used as it was before it was served.
///
/// # Errors
///
/// `conflict` if the newest state is there, or the file is not marked as served.
pub fn accept_older(path: &Path) -> Result<()> {
    let path = real_path(path);
    let folder = session_folder(&path);
    if folder.exists() {
        return Err(Error::new(
            Code::Conflict,
            format!("the newest state of {} is in {}", path.display(), folder.display()),
        )
        .hint("leave --accept-older out: torso puts it back by itself"));
    }
    let refuse = || {
        Error::new(
            Code::Conflict,
            format!("{} has its newest state itself", path.display()),
        )
        .hint("leave --accept-older out")
    };
    if !is_served(&path) {
        return Err(refuse());
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .and_then(|mut file| sqlite_header::unmark_served(&mut file))
        .map_err(unwritable(&path))
}

fn is_served(path: &Path) -> bool {
    sqlite_header::is_served(path).unwrap_or(false)
}

fn check_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    if parent.is_dir() {
        return Ok(());
    }
    Err(Error::new(
        Code::FileNotFound,
        format!("there is no folder {} for {}", parent.display(), path.display()),
    )
    .hint(format!("make it first: mkdir -p {}", parent.display())))
}

/// Opens a file for reading and writing; an empty one is made where there is none.
fn open_file(path: &Path) -> Result<File> {
    if path.is_symlink() && !path.exists() {
        return Err(refused(path, "it is a link to a file that is not there").hint("make the file, or remove the link"));
    }
    // To open a pipe would wait for somebody else.
    if let Ok(metadata) = std::fs::metadata(path) {
        check_kind(path, &metadata)?;
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                Error::io(error, format!("cannot write {}", path.display()))
                    .hint("a file that is served is written to: give yourself the right to, or serve a copy")
            }
            _ => Error::io(error, format!("cannot open {}", path.display())),
        })
}

fn check_kind(path: &Path, metadata: &std::fs::Metadata) -> Result<()> {
    if metadata.is_dir() {
        return Err(refused(path, "it is a folder").hint("name a file in it"));
    }
    if !metadata.is_file() {
        return Err(refused(path, "it is not a regular file"));
    }
    if metadata.nlink() > 1 {
        return Err(refused(
            path,
            "it has other names (hard links), under which it would not come back",
        )
        .hint(format!("serve a copy of it: cp {0} {0}.copy", path.display())));
    }
    if is_served(path) {
        return Err(Error::new(
            Code::InvalidFile,
            format!(
                "{} was served by torso dev, and the folder {} with its newest state is gone",
                path.display(),
                session_folder(path).display()
            ),
        )
        .hint(format!(
            "move that folder back; or use the older state that is in the file: torso dev --db-file {} --accept-older",
            path.display()
        )));
    }
    if metadata.len() == 0 {
        return Ok(());
    }
    let mut magic = [0; sqlite_header::MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    match read {
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => {
            return Err(Error::io(error, format!("cannot read {}", path.display())));
        }
        Ok(()) if magic == *sqlite_header::MAGIC => {}
        _ => return Err(refused(path, NO_DATABASE).hint("name a database, or a file that is not there yet")),
    }
    if sqlite_header::is_write_protected(path).unwrap_or(false) {
        return Err(refused(path, "it is a replica, which takes no writes")
            .hint("serve the database itself: torso dev --db NAME"));
    }
    Ok(())
}

/// Locks a file exclusively, for as long as the connection lives.
fn hold(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .and_then(|connection| {
            connection.busy_timeout(CLOSING)?;
            connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT")?;
            Ok(connection)
        })
        .map_err(|error| unusable(path, &error))
}

fn pragma(path: &Path, connection: &Connection, text: &str) -> Result<String> {
    connection
        .query_row(&format!("PRAGMA {text}"), [], |row| row.get(0))
        .map_err(|error| unusable(path, &error))
}

/// Why SQLite does not take a file.
fn unusable(path: &Path, error: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as E;
    match error.sqlite_error_code() {
        Some(E::DatabaseBusy | E::DatabaseLocked) => in_use(path, "another program is using it"),
        Some(E::NotADatabase) => refused(path, NO_DATABASE),
        Some(E::DatabaseCorrupt) => refused(path, "it is damaged").hint(format!(
            "torso db shell {} .recover prints what can be read of it",
            path.display()
        )),
        _ => Error::new(Code::Io, format!("cannot use {}: {error}", path.display())),
    }
}

fn refused(path: &Path, why: &str) -> Error {
    Error::new(Code::InvalidFile, format!("{} cannot be served: {why}", path.display()))
}

fn in_use(path: &Path, how: &str) -> Error {
    Error::new(
        Code::DatabaseBusy,
        format!("{} cannot be served: {how}", path.display()),
    )
    .hint("close the applications that have it open, then try again")
}

//! A SQLite file on its way to a server: in pieces, gone on with where it broke off, and checked on arrival.
//!
//! A torso server takes the pieces before it makes the database, so that nothing half-made is ever seen. Turso Cloud makes
//! the database first and takes the pieces at the database's own address; there a failure removes it again.

use super::begun::Note;
use super::http::{Call, Failed, LOOK};
use super::refusal::About;
use super::{Client, about, about_database, is_unsupported, wire};
use crate::control::files::{SQLITE_HEADER, sha256};
use crate::control::names::{DatabaseName, TokenId};
use crate::control::routes;
use crate::control::tokens::{Expiration, NewToken};
use crate::control::types::{CreateDatabase, Database};
use crate::control::{ControlPlane, Progress, Staging};
use crate::error::{Code, Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};
use url::Url;

/// Bytes sent at once: at most, and at the beginning. How many it is between them depends on how fast they go, so that a slow
/// way shows progress and takes an interrupt as well.
const CHUNK: u64 = 8 << 20;
const FIRST_CHUNK: u64 = 256 << 10;

/// How long a piece may take until the next is larger, and from when on it is smaller.
const QUICK: Duration = Duration::from_millis(500);
const SLOW: Duration = Duration::from_secs(2);

/// How often a piece is tried before the upload is given up; with the pauses, some five minutes.
const TRIES: u32 = 10;

/// How often a database is asked for whose file has arrived; with the pauses, a quarter of a minute.
const FEW: u32 = 6;

/// How long a token lasts that is made for one step of an upload.
const STEP: Duration = Duration::from_secs(300);

/// An upload as the server tells of it.
#[derive(Deserialize)]
struct Upload {
    id: String,
    /// Bytes that it has.
    offset: u64,
}

/// How far an upload to a database of Turso Cloud is described by the server.
#[derive(Deserialize)]
struct Begun {
    chunk_size: u64,
    upload_id: Value,
}

/// What names of staged files begin with.
const STAGED: &str = "torso-";

/// Removes what commands left that were killed: nobody holds their locks any more.
fn sweep(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let staged = path.file_name().and_then(|name| {
            let id = name.to_str()?.strip_prefix(STAGED)?.strip_suffix(".db.lock")?;
            uuid::Uuid::try_parse(id).ok()
        });
        // Other users' cannot be opened.
        if staged.is_some()
            && let Ok(lock) = File::open(&path)
            && lock.try_lock().is_ok()
        {
            drop(Staging::new(path.with_extension(""), lock));
        }
    }
}

/// A place in the directory for temporary files, readable by this user only.
pub(super) fn staging() -> Result<Staging> {
    let dir = std::env::temp_dir();
    sweep(&dir);
    let path = dir.join(format!("{STAGED}{}.db", uuid::Uuid::new_v4()));
    let mut lock_path = path.clone().into_os_string();
    lock_path.push(".lock");
    let doing = |error| Error::io(error, format!("cannot write in {}", dir.display()));
    let private = |path: &Path| {
        let mut options = File::options();
        options.create_new(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path)
    };
    let lock = private(lock_path.as_ref()).map_err(doing)?;
    lock.lock().map_err(doing)?;
    // SQLite keeps the permissions of a file that is there.
    let staging = Staging::new(path, lock);
    private(&staging.path).map_err(doing)?;
    Ok(staging)
}

impl Client {
    /// Makes a database of a file, whole or not at all.
    pub(super) fn create_from_file(
        &self,
        request: &CreateDatabase,
        path: &Path,
        progress: &mut Progress<'_>,
    ) -> Result<Database> {
        let mut file = File::open(path).map_err(|error| cannot_read(path, error))?;
        let size = file.metadata().map_err(|error| cannot_read(path, error))?.len();
        // A server takes anything else for a dump.
        let mut header = Vec::with_capacity(SQLITE_HEADER.len());
        (&file)
            .take(SQLITE_HEADER.len() as u64)
            .read_to_end(&mut header)
            .and_then(|_| file.rewind())
            .map_err(|error| cannot_read(path, error))?;
        if header != SQLITE_HEADER {
            return Err(Error::new(
                Code::InvalidFile,
                format!("{} is not a SQLite database", path.display()),
            )
            .hint("a dump becomes a database with torso db create NAME --from-dump FILE"));
        }
        let sha256 = file
            .rewind()
            .and_then(|()| sha256(&mut file))
            .map_err(|error| cannot_read(path, error))?;
        let mut note = self.note(request, &sha256);
        let left = note.as_mut().and_then(Note::left).and_then(|id| self.left(&id, size));
        let begun = left.map_or_else(|| self.begin(size, &sha256), Ok);
        match begun {
            Ok(upload) => {
                if let Some(note) = &mut note {
                    note.write(&upload.id);
                }
                let id: TokenId = upload.id.parse()?;
                let made = match self.send(&mut file, path, size, upload, progress) {
                    Ok(()) => self.create_from_upload(request, &id, &mut || progress(size, size)),
                    Err(error) => Err(error),
                };
                made.map_err(|error| self.ended(error, &id, note))
            }
            Err(error) if is_unsupported(&error) => self.create_then_fill(request, &mut file, path, size, progress),
            Err(error) => Err(error),
        }
    }

    /// What becomes of an upload that failed: what the server keeps is gone on with by the same command, where trying again
    /// may help, and forgotten else.
    fn ended(&self, error: Error, id: &TokenId, note: Option<Note>) -> Error {
        match note {
            Some(note) if error.kind().retryable() => {
                note.keep();
                error.hint("the same command goes on where this one ended, within an hour")
            }
            _ => {
                self.give_up(id);
                error
            }
        }
    }

    /// The note of an upload that becomes this database.
    fn note(&self, request: &CreateDatabase, sha256: &str) -> Option<Note> {
        let organization = self.organization.as_ref().map_or("", |slug| slug.as_str());
        let about = [&*self.address(), organization, request.name.as_str(), sha256];
        Note::take(self.notes.as_deref()?, &about)
    }

    /// An upload that a killed command had begun, if the server still has it.
    fn left(&self, id: &str, size: u64) -> Option<Upload> {
        let about = About::new("the upload", Code::UploadNotFound, Code::Conflict);
        let id: TokenId = id.parse().ok()?;
        let reply = self
            .http
            .ask(&Call::get(self.scoped(&routes::upload(&id)), about))
            .ok()?;
        let upload: Upload = wire::read(wire::within(reply, "upload"), "the upload").ok()?;
        (upload.offset <= size).then_some(upload)
    }

    fn begin(&self, size: u64, sha256: &str) -> Result<Upload> {
        let call = Call::post(
            self.scoped(routes::UPLOADS),
            about("the upload").only_here("take uploads in pieces"),
        )
        .body(json!({ "size": size, "sha256": sha256 }));
        wire::read(wire::within(self.http.ask(&call)?, "upload"), "the upload")
    }

    /// Sends all pieces to a torso server, which compares the whole with the checksum.
    fn send(
        &self,
        file: &mut File,
        path: &Path,
        size: u64,
        mut upload: Upload,
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        let id: TokenId = upload.id.parse()?;
        let at = self.scoped(&routes::upload(&id));
        let about = || About::new("the upload", Code::UploadNotFound, Code::Conflict);
        let mut retries = Retries::default();
        let mut chunk = FIRST_CHUNK;
        while upload.offset < size {
            progress(upload.offset, size)?;
            let length = chunk.min(size - upload.offset);
            let begun = Instant::now();
            let piece = piece(file, upload.offset, length).map_err(|error| cannot_read(path, error))?;
            let mut url = self.http.url(&at, &[])?;
            url.query_pairs_mut().append_pair("offset", &upload.offset.to_string());
            match self.http.put(&url, None, piece, &about()) {
                Ok(reply) => {
                    let next: Upload = wire::read(wire::within(reply, "upload"), "the upload")?;
                    if next.offset <= upload.offset {
                        return Err(
                            Error::new(Code::Unavailable, "the server does not keep what is uploaded")
                                .hint("try again in a moment"),
                        );
                    }
                    upload.offset = next.offset;
                    retries = Retries::default();
                    chunk = match begun.elapsed() {
                        took if took < QUICK => CHUNK.min(2 * chunk),
                        took if took > SLOW => FIRST_CHUNK.max(chunk / 2),
                        _ => chunk,
                    };
                }
                Err(mut failed) => loop {
                    // The server may not know yet that the connection is gone on which the piece came.
                    failed.again |= failed.error.code() == Code::Conflict;
                    retries.pause(failed, &mut || progress(upload.offset, size))?;
                    // How much of the piece arrived is known to the server only.
                    match self.http.ask(&Call::get(&*at, about())) {
                        Ok(reply) => {
                            upload = wire::read(wire::within(reply, "upload"), "the upload")?;
                            chunk = FIRST_CHUNK;
                            break;
                        }
                        Err(error) if error.kind().retryable() => failed = Failed::for_now(error),
                        Err(error) => return Err(error),
                    }
                },
            }
        }
        progress(size, size)
    }

    /// Has the server make the database of what it has. An upload is used once, so asking again after an answer was lost
    /// cannot make two; and one that is gone then is in the database that is there.
    fn create_from_upload(
        &self,
        request: &CreateDatabase,
        id: &TokenId,
        go_on: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Database> {
        let seed = json!({ "type": "upload", "id": id.to_string() });
        let mut retries = Retries { done: 0, most: FEW };
        let mut lost = false;
        loop {
            let error = match self.post_database(request, Some(seed.clone())) {
                Err(error) if lost && error.code() == Code::DatabaseExists && self.is_used(id)? => {
                    return self.get_database(&request.name);
                }
                // The first request is still at work.
                Err(error) if lost && error.code() == Code::Conflict => error,
                Err(error) if error.kind().retryable() => error,
                made => return made,
            };
            lost = true;
            retries.pause(Failed::for_now(error), go_on)?;
        }
    }

    fn is_used(&self, id: &TokenId) -> Result<bool> {
        let about = About::new("the upload", Code::UploadNotFound, Code::Conflict);
        match self.http.ask(&Call::get(self.scoped(&routes::upload(id)), about)) {
            Ok(_) => Ok(false),
            Err(error) if error.code() == Code::UploadNotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Has the server forget what has arrived. Where it cannot be told, it does so by itself within an hour.
    fn give_up(&self, id: &TokenId) {
        let at = self.scoped(&routes::upload(id));
        let about = About::new("the upload", Code::UploadNotFound, Code::Conflict);
        let _ = self.http.in_passing().ask(&Call::delete(at, about));
    }

    /// Makes a database at Turso Cloud, fills it, and removes it when that fails.
    fn create_then_fill(
        &self,
        request: &CreateDatabase,
        file: &mut File,
        path: &Path,
        size: u64,
        progress: &mut Progress<'_>,
    ) -> Result<Database> {
        let file = &mut prepared(file, path)?;
        let database = self.post_database(request, Some(json!({ "type": "database_upload" })))?;
        match self.fill(&database, file, path, size, progress) {
            Ok(()) => self.get_database(&request.name),
            Err(error) => {
                let left = self.delete_database(&request.name).err();
                Err(match left {
                    None => error,
                    Some(_) => error.hint(format!(
                        "database {0} was made and is not complete: torso db destroy {0}",
                        request.name
                    )),
                })
            }
        }
    }

    fn fill(
        &self,
        database: &Database,
        file: &mut Prepared,
        path: &Path,
        size: u64,
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        let address = match database.url.strip_prefix("libsql://") {
            Some(host) => format!("https://{host}/"),
            None => format!("{}/", database.url.trim_end_matches('/')),
        };
        let host = Url::parse(&address)
            .map_err(|error| Error::new(Code::Unavailable, "the database has no usable address").caused_by(error))?;
        let join = |rest: &str| {
            host.join(rest)
                .map_err(|error| Error::new(Code::Unavailable, "the upload has no usable address").caused_by(error))
        };
        let about = || about_database(&database.name);
        let start = serde_json::to_vec(&json!({ "db_size_bytes": size })).unwrap_or_default();
        let at = join("v2/upload/start")?;
        let reply = self.step(&database.name, &at, &start, &about(), &mut || progress(0, size))?;
        let begun: Begun = wire::read(reply, "the upload")?;
        let id: TokenId = match &begun.upload_id {
            Value::String(id) => id.parse()?,
            other => other.to_string().parse()?,
        };
        // A server that names no size, or one too large to hold, gets our own.
        let chunk = if (1..=64 << 20).contains(&begun.chunk_size) {
            begun.chunk_size
        } else {
            CHUNK
        };
        let mut offset = 0;
        let mut index = 0_u64;
        while offset < size {
            progress(offset, size)?;
            let length = chunk.min(size - offset);
            let bytes = file.piece(offset, length).map_err(|error| cannot_read(path, error))?;
            let at = join(&format!("v2/upload/{id}/chunk/{index}"))?;
            self.step(&database.name, &at, &bytes, &about(), &mut || progress(offset, size))?;
            offset += length;
            index += 1;
        }
        let at = join(&format!("v2/upload/{id}/finalize"))?;
        self.step(&database.name, &at, &[], &about(), &mut || progress(size, size))?;
        progress(size, size)
    }

    /// One request to the database's own address, with a fresh token each time it is tried, as long as `go_on` says so.
    fn step(
        &self,
        name: &DatabaseName,
        url: &Url,
        bytes: &[u8],
        about: &About<'_>,
        go_on: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Value> {
        let mut retries = Retries::default();
        let once = self.trying_once();
        let wanted = NewToken {
            expiration: Expiration::After(STEP),
            ..NewToken::default()
        };
        loop {
            let failed = match once.create_database_token(name, &wanted) {
                Ok(token) => match self.http.put(url, Some(&token.jwt), bytes.to_vec(), about) {
                    Ok(reply) => return Ok(reply),
                    Err(failed) => failed,
                },
                Err(error) if error.kind().retryable() => Failed::for_now(error),
                Err(error) => return Err(error),
            };
            retries.pause(failed, go_on)?;
        }
    }
}

/// Counts failures, and waits longer after each.
struct Retries {
    done: u32,
    most: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self { done: 0, most: TRIES }
    }
}

impl Retries {
    /// Waits before the next try, as long as `go_on` says so; hands the error back when there is no point in one.
    fn pause(&mut self, failed: Failed, go_on: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        self.done += 1;
        if !failed.again || self.done >= self.most {
            return Err(failed.error);
        }
        let doubling = Duration::from_millis(250 << self.done.min(8));
        let asked = failed.pause.unwrap_or(doubling).min(Duration::from_secs(60));
        let until = Instant::now() + asked + Duration::from_millis(fastrand::u64(0..250));
        loop {
            go_on()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(LOOK));
        }
    }
}

fn cannot_read(path: &Path, error: std::io::Error) -> Error {
    Error::io(error, format!("cannot read {}", path.display()))
}

fn piece(file: &mut File, offset: u64, length: u64) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// A file in the form that Turso Cloud takes.
struct Prepared<'a>(&'a mut File);

impl Prepared<'_> {
    fn piece(&mut self, offset: u64, length: u64) -> std::io::Result<Vec<u8>> {
        let mut bytes = piece(self.0, offset, length)?;
        // The header's read and write versions, 2: it is in WAL mode, as the service wants it. The log is empty.
        for at in [18, 19] {
            if (offset..offset + length).contains(&at)
                && let Ok(at) = usize::try_from(at - offset)
            {
                bytes[at] = 2;
            }
        }
        Ok(bytes)
    }
}

/// Refuses a file that Turso Cloud would refuse, before anything is made there.
fn prepared<'a>(file: &'a mut File, path: &Path) -> Result<Prepared<'a>> {
    let header = piece(file, 0, 100).map_err(|error| cannot_read(path, error))?;
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let wrong = if u16::from_be_bytes([header[16], header[17]]) != 4096 {
        Some("its pages are not of 4096 bytes; PRAGMA page_size = 4096; VACUUM changes that")
    } else if number(52) != 0 {
        Some("auto_vacuum is on; PRAGMA auto_vacuum = 0; VACUUM changes that")
    } else if number(56) > 1 {
        Some("its text is not in UTF-8; a dump of it can be loaded")
    } else {
        None
    };
    match wrong {
        Some(why) => Err(
            Error::new(Code::InvalidFile, format!("Turso Cloud does not take the file: {why}"))
                .hint("torso db create NAME --from-dump takes it as SQL"),
        ),
        None => Ok(Prepared(file)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staged_file_is_private_and_goes_with_its_builder() {
        let staging = staging().unwrap();
        let path = staging.path.clone();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600);
        }
        // Another command leaves it alone while it is in use.
        sweep(&std::env::temp_dir());
        assert!(path.exists());
        drop(staging);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_command_left_goes_with_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let id = uuid::Uuid::new_v4();
        let keep = ["torso-notes.db.lock", "torso-notes.db", "other.db"].map(|name| dir.path().join(name));
        let gone = ["", "-journal", ".lock"].map(|more| dir.path().join(format!("torso-{id}.db{more}")));
        for path in keep.iter().chain(&gone) {
            std::fs::write(path, "").unwrap();
        }
        sweep(dir.path());
        assert!(keep.iter().all(|path| path.exists()) && !gone.iter().any(|path| path.exists()));
    }

    #[test]
    fn the_file_arrives_in_wal_mode_and_otherwise_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let mut bytes = vec![7_u8; 8192];
        bytes[16..18].copy_from_slice(&4096_u16.to_be_bytes());
        bytes[52..60].fill(0);
        std::fs::write(&path, &bytes).unwrap();
        let mut file = File::open(&path).unwrap();
        let mut prepared = prepared(&mut file, &path).unwrap();
        let mut sent = prepared.piece(0, 19).unwrap();
        sent.extend(prepared.piece(19, 8192 - 19).unwrap());
        bytes[18..20].fill(2);
        assert!(sent == bytes);
    }

    #[test]
    fn a_file_that_the_service_refuses_is_told_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let mut bytes = vec![0_u8; 1024];
        bytes[16..18].copy_from_slice(&1024_u16.to_be_bytes());
        std::fs::write(&path, &bytes).unwrap();
        let error = prepared(&mut File::open(&path).unwrap(), &path).err().unwrap();
        assert_eq!(error.code(), Code::InvalidFile);
        assert!(error.message().contains("4096"), "{error}");
    }
}

//! A SQLite file on its way to a server: sent in pieces, resumed where it broke off, and checked on arrival.
//!
//! torso's own server takes the pieces before it makes the database, so nothing half-made is ever seen. How Turso Cloud takes a
//! file is in `cloud`.

mod cloud;
mod note;

use super::api_error::CallSubject;
use super::call::POLL;
use super::failed_call::FailedCall;
use super::{Client, about, is_unsupported, wire};
use crate::checksum::sha256;
use crate::control::DatabaseOperations as _;
use crate::control::Progress;
use crate::control::endpoints::Operation;
use crate::control::names::TokenId;
use crate::control::types::{CreateDatabase, Database};
use crate::error::{Code, Error, Result};
use crate::sqlite_header;
use note::UploadNote;
use serde::Deserialize;
use serde_json::json;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of the largest piece, and of the first one. Between the two a piece grows and shrinks with the speed of the connection,
/// so that a slow one still shows progress and can be interrupted.
const CHUNK: u64 = 8 << 20;
const FIRST_CHUNK: u64 = 256 << 10;

/// Bytes of the smallest piece, for a proxy on the way that takes no larger bodies.
const SMALLEST_CHUNK: u64 = 64 << 10;

/// After a piece that took less than the first, the next one is larger; after one that took more than the second, smaller.
const QUICK: Duration = Duration::from_millis(500);
const SLOW: Duration = Duration::from_secs(2);

/// Tries of a piece before the upload is given up: some five minutes, with the pauses.
const TRIES: u32 = 10;

/// Tries of the request that makes the database: some 15 seconds, with the pauses.
const FEW: u32 = 6;

/// An upload, as the server describes it.
#[derive(Deserialize)]
struct Upload {
    id: String,
    /// Bytes that have arrived.
    offset: u64,
}

impl Client {
    /// Makes a database from a SQLite file. After an error there is none.
    pub(super) fn create_from_file(
        &self,
        request: &CreateDatabase,
        path: &Path,
        progress: &mut Progress<'_>,
    ) -> Result<Database> {
        let mut file = File::open(path).map_err(|error| cannot_read(path, error))?;
        let size = file.metadata().map_err(|error| cannot_read(path, error))?.len();
        // Checked here because a server would take anything else for a dump.
        let mut header = Vec::with_capacity(sqlite_header::MAGIC.len());
        (&file)
            .take(sqlite_header::MAGIC.len() as u64)
            .read_to_end(&mut header)
            .and_then(|_| file.rewind())
            .map_err(|error| cannot_read(path, error))?;
        if header != sqlite_header::MAGIC {
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
        let left = note
            .as_mut()
            .and_then(UploadNote::left)
            .and_then(|id| self.left(&id, size));
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

    /// Sends a SQLite file to a torso server, and has `use_upload` do something with it.
    pub(super) fn send_file<T>(&self, path: &Path, use_upload: impl FnOnce(&TokenId) -> Result<T>) -> Result<T> {
        let mut file = File::open(path).map_err(|error| cannot_read(path, error))?;
        let size = file.metadata().map_err(|error| cannot_read(path, error))?.len();
        let sha256 = sha256(&mut file).map_err(|error| cannot_read(path, error))?;
        let upload = self.begin(size, &sha256)?;
        let id: TokenId = upload.id.parse()?;
        self.send(&mut file, path, size, upload, &mut |_, _| Ok(()))
            .and_then(|()| use_upload(&id))
            .inspect_err(|_| self.give_up(&id))
    }

    /// Ends an upload that failed. If trying again may help, the note is kept and the same command resumes it; else the
    /// server discards it.
    fn ended(&self, error: Error, id: &TokenId, note: Option<UploadNote>) -> Error {
        match note {
            Some(note) if error.kind().retryable() => {
                note.keep();
                error.hint("run the same command again within an hour: it continues where this one stopped")
            }
            _ => {
                self.give_up(id);
                error
            }
        }
    }

    /// The note of the upload of this content for this database.
    fn note(&self, request: &CreateDatabase, sha256: &str) -> Option<UploadNote> {
        let organization = self.organization.as_ref().map_or("", |slug| slug.as_str());
        let about = [&*self.address(), organization, request.name.as_str(), sha256];
        UploadNote::take(self.notes.as_deref()?, &about)
    }

    /// The upload of a killed command, if the server still has it.
    fn left(&self, id: &str, size: u64) -> Option<Upload> {
        let about = CallSubject::new("the upload", Code::UploadNotFound, Code::Conflict);
        let id: TokenId = id.parse().ok()?;
        let reply = self.http.ask(&self.call(Operation::GetUpload, &[&id], about)).ok()?;
        let upload: Upload = wire::read(wire::within(reply, "upload"), "the upload").ok()?;
        (upload.offset <= size).then_some(upload)
    }

    fn begin(&self, size: u64, sha256: &str) -> Result<Upload> {
        let call = self
            .call(
                Operation::BeginUpload,
                &[],
                about("the upload").only_here("take uploads in pieces"),
            )
            .body(json!({ "size": size, "sha256": sha256 }));
        wire::read(wire::within(self.http.ask(&call)?, "upload"), "the upload")
    }

    /// Sends all pieces to a torso server, which checks the whole against the checksum.
    fn send(
        &self,
        file: &mut File,
        path: &Path,
        size: u64,
        mut upload: Upload,
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        let id: TokenId = upload.id.parse()?;
        let at = self.path(Operation::PutChunk, &[&id]);
        let about = || CallSubject::new("the upload", Code::UploadNotFound, Code::Conflict);
        let mut retries = Retries::default();
        let mut chunk = FIRST_CHUNK;
        // What is taken on the way, as far as that has been found out.
        let mut largest = CHUNK;
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
                        return Err(Error::new(Code::Unavailable, "the server does not store the upload")
                            .hint("try again in a moment"));
                    }
                    upload.offset = next.offset;
                    retries = Retries::default();
                    chunk = match begun.elapsed() {
                        took if took < QUICK => largest.min(2 * chunk),
                        took if took > SLOW => largest.min(FIRST_CHUNK.max(chunk / 2)),
                        _ => chunk,
                    };
                }
                // Nothing of it arrived.
                Err(failed) if failed.error.code() == Code::TooLarge && length > SMALLEST_CHUNK => {
                    largest = SMALLEST_CHUNK.max(length / 2);
                    chunk = largest;
                }
                Err(mut failed) => loop {
                    // A conflict: the server may not have noticed yet that the piece's former connection is gone.
                    failed.again |= failed.error.code() == Code::Conflict;
                    retries.pause(failed, &mut || progress(upload.offset, size))?;
                    // Only the server knows how much of the piece arrived.
                    match self.http.ask(&self.call(Operation::GetUpload, &[&id], about())) {
                        Ok(reply) => {
                            upload = wire::read(wire::within(reply, "upload"), "the upload")?;
                            chunk = largest.min(FIRST_CHUNK);
                            break;
                        }
                        Err(error) if error.kind().retryable() => failed = FailedCall::for_now(error),
                        Err(error) => return Err(error),
                    }
                },
            }
        }
        progress(size, size)
    }

    /// Has the server make the database from the upload. An upload is used once, so a retry after a lost answer cannot make a
    /// second database: where the name is taken by then and the upload gone, the first request has made it.
    fn create_from_upload(
        &self,
        request: &CreateDatabase,
        id: &TokenId,
        go_on: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Database> {
        let seed = json!({ "type": "upload", "id": id.to_string() });
        let mut retries = Retries { done: 0, most: FEW };
        let mut lost = false;
        let call = self.new_database(request, Some(seed))?;
        loop {
            let error = match self.send_new_database(&call, request) {
                Err(error) if lost && error.code() == Code::DatabaseExists && self.is_used(id)? => {
                    return self.get_database(&request.name);
                }
                // The first request is still being worked on.
                Err(error) if lost && error.code() == Code::Conflict => error,
                Err(error) if error.kind().retryable() => error,
                made => return made,
            };
            lost = true;
            retries.pause(FailedCall::for_now(error), go_on)?;
        }
    }

    fn is_used(&self, id: &TokenId) -> Result<bool> {
        let about = CallSubject::new("the upload", Code::UploadNotFound, Code::Conflict);
        match self.http.ask(&self.call(Operation::GetUpload, &[id], about)) {
            Ok(_) => Ok(false),
            Err(error) if error.code() == Code::UploadNotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Has the server discard what has arrived. Nothing is lost when that fails: it does so by itself within an hour.
    fn give_up(&self, id: &TokenId) {
        let about = CallSubject::new("the upload", Code::UploadNotFound, Code::Conflict);
        let _ = self
            .http
            .in_passing()
            .ask(&self.call(Operation::DropUpload, &[id], about));
    }
}

/// Counts failures, and waits longer after each one.
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
    /// Waits before the next try, for as long as `go_on` allows it; returns the error when another try is pointless.
    fn pause(&mut self, failed: FailedCall, go_on: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        self.done += 1;
        if !failed.again || self.done >= self.most {
            return Err(failed.error);
        }
        let doubling = Duration::from_millis(250 << self.done.min(8));
        let pause = failed.pause.unwrap_or(doubling).min(Duration::from_secs(60));
        let until = Instant::now() + pause + Duration::from_millis(fastrand::u64(0..250));
        loop {
            go_on()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(POLL));
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

//! Files on their way to become databases: sent in pieces, gone on with after an interruption, compared with their
//! checksum, and used once. A SQLite file is taken as it is once it was looked at; of anything else, SQL text, a database is
//! made. Both happen in confined processes of their own.
//!
//! ```text
//! <data>/uploads/<id>/upload.json   whose it is, its size and checksum
//! <data>/uploads/<id>/data          what has arrived
//! ```

mod dumps;

use super::caller::ClientPresence;
use super::{Engines, Shared, new_id, private_paths};
use crate::checksum::{hex, sha256};
use crate::engine::disk;
use crate::engine::file::child as work;
use crate::error::{Code, Error, Result};
use crate::sqlite_header;
use crate::sync::lock;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs::{DirEntry, File};
use std::io::{ErrorKind, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// How long an upload waits for its next piece, and to be used.
const KEPT: SignedDuration = SignedDuration::from_hours(1);

/// Uploads under way at the same time in an organization.
const MOST: usize = 32;

/// Bytes of the largest upload.
const LARGEST: u64 = 1 << 40;

/// Bytes moved at once.
const PIECE: usize = 1 << 16;

/// An upload as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Upload {
    pub id: String,
    /// Bytes that it will have.
    pub size: u64,
    /// Bytes that have arrived: where the next piece begins.
    pub offset: u64,
    pub complete: bool,
    /// Then it is given up, unless more of it arrives.
    pub expires_at: Timestamp,
}

/// What is written down of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct About {
    organization: String,
    /// None: not known until it has arrived.
    size: Option<u64>,
    /// In hexadecimal.
    sha256: Option<String>,
    created_at: Timestamp,
}

pub(super) struct Uploads {
    dir: PathBuf,
    /// Those that somebody writes to or uses now.
    busy: Mutex<HashSet<String>>,
    /// The dumps among them of which databases are being made.
    dumps: Mutex<HashMap<String, dumps::RunningDump>>,
}

/// Keeps others from an upload while it lives.
struct UploadLock<'a> {
    uploads: &'a Uploads,
    id: String,
}

impl Drop for UploadLock<'_> {
    fn drop(&mut self) {
        lock(&self.uploads.busy).remove(&self.id);
    }
}

/// An id as it is part of paths: nothing else is, and each upload has one, however it was written.
fn canonical(id: &str) -> Result<String> {
    let id = uuid::Uuid::try_parse(id).map_err(|_| not_found(id))?;
    Ok(id.hyphenated().to_string())
}

fn not_found(id: &str) -> Error {
    let short: String = id.chars().take(36).collect();
    Error::new(Code::UploadNotFound, format!("there is no upload {short:?}"))
        .hint("an upload can be used once, within an hour of its last chunk; start another one")
}

fn wrong(message: String, hint: &str) -> Error {
    Error::new(Code::InvalidValue, message).hint(hint)
}

impl Uploads {
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            busy: Mutex::default(),
            dumps: Mutex::default(),
        }
    }

    fn home(&self, id: &str) -> Result<PathBuf> {
        Ok(self.dir.join(canonical(id)?))
    }

    fn reserve(&self, id: &str) -> Result<UploadLock<'_>> {
        let canonical = canonical(id)?;
        if lock(&self.busy).insert(canonical.clone()) {
            return Ok(UploadLock {
                uploads: self,
                id: canonical,
            });
        }
        Err(
            Error::new(Code::Conflict, format!("another request is using the upload {id}"))
                .hint("wait until it is done, then ask for the upload's offset"),
        )
    }

    fn about(&self, id: &str, organization: &str) -> Result<(PathBuf, About)> {
        let home = self.home(id)?;
        let path = home.join("upload.json");
        let about: About = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|_| not_found(id))?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(not_found(id)),
            Err(error) => return Err(Error::io(error, format!("cannot read {}", path.display()))),
        };
        if about.organization != organization || is_old(&home, &about) {
            return Err(not_found(id));
        }
        Ok((home, about))
    }

    pub fn begin(&self, organization: &str, size: Option<u64>, sha256: Option<[u8; 32]>) -> Result<Upload> {
        if size.is_some_and(|size| size == 0 || size > LARGEST) {
            return Err(wrong(
                format!("an upload cannot have {} bytes", size.unwrap_or(0)),
                "send the size of the file in bytes",
            ));
        }
        let here = self.sweep(Some(organization))?;
        if here >= MOST {
            return Err(Error::new(
                Code::RateLimited,
                format!("{here} uploads of the organization are under way"),
            )
            .hint("finish or use some of them first"));
        }
        let id = new_id();
        let home = self.home(&id)?;
        let about = About {
            organization: organization.to_owned(),
            size,
            sha256: sha256.map(|hash| hex(&hash)),
            created_at: Timestamp::now(),
        };
        disk::private_dir(&home)?;
        drop(disk::private_file(&home.join("data"))?);
        self.write(&home, &about)?;
        described(id, &home, &about)
    }

    fn write(&self, home: &Path, about: &About) -> Result<()> {
        let path = home.join("upload.json");
        let text = serde_json::to_vec(about)
            .map_err(|error| Error::new(Code::Internal, "cannot describe an upload").caused_by(error))?;
        let mut file = disk::private_file(&path)?;
        file.set_len(0)
            .and_then(|()| file.write_all(&text))
            .map_err(|error| Error::io(error, format!("cannot write {}", path.display())))
    }

    pub fn get(&self, organization: &str, id: &str) -> Result<Upload> {
        let (home, about) = self.about(id, organization)?;
        described(id.to_owned(), &home, &about)
    }

    /// Takes a piece. One that was sent before may be sent again; one that leaves a gap is refused. What arrived before
    /// the connection broke is kept.
    pub fn put(&self, organization: &str, id: &str, offset: u64, reader: &mut dyn Read, len: u64) -> Result<Upload> {
        self.about(id, organization)?;
        let _busy = self.reserve(id)?;
        // Whoever had it before may have used it up.
        let (home, about) = self.about(id, organization)?;
        let now = described(id.to_owned(), &home, &about)?;
        let size = about.size.unwrap_or(LARGEST);
        if offset > now.offset {
            return Err(Error::new(
                Code::Conflict,
                format!("the piece begins at {offset}, but {} bytes have arrived", now.offset),
            )
            .hint(format!("go on at {}", now.offset)));
        }
        if offset.checked_add(len).is_none_or(|end| end > size) {
            return Err(wrong(
                format!("a piece of {len} bytes at {offset} goes beyond the {size} of the upload"),
                "send the file as it was when the upload began",
            ));
        }
        let path = home.join("data");
        let mut file = disk::private_file(&path)?;
        let failed = |error| Error::io(error, format!("cannot write {}", path.display()));
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let mut piece = vec![0; PIECE];
        let mut left = len;
        while left > 0 {
            let most = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
            let read = match reader.read(&mut piece[..most]) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(Error::new(Code::Unavailable, "the piece did not arrive")
                        .caused_by(error)
                        .hint("ask for the upload's offset, then continue there"));
                }
            };
            file.write_all(&piece[..read]).map_err(failed)?;
            left -= read as u64;
        }
        drop(file);
        if left > 0 && about.size.is_some() {
            return Err(Error::new(
                Code::Unavailable,
                format!("the last {left} bytes of the piece did not arrive"),
            )
            .hint("ask for the upload's offset, then continue there"));
        }
        described(id.to_owned(), &home, &about)
    }

    /// A whole upload from one stream, whose size is known at its end.
    pub fn receive(&self, organization: &str, reader: &mut dyn Read, most: u64) -> Result<Upload> {
        let upload = self.begin(organization, None, None)?;
        let received = self
            .put(
                organization,
                &upload.id,
                0,
                &mut reader.take(most.saturating_add(1)),
                LARGEST,
            )
            .and_then(|now| {
                if now.offset > most {
                    return Err(
                        Error::new(Code::QuotaExceeded, format!("the upload has more than {most} bytes"))
                            .hint("send less, or ask the server's administrator for more (torso server --quota)"),
                    );
                }
                let (home, mut about) = self.about(&upload.id, organization)?;
                about.size = Some(now.offset);
                self.write(&home, &about)?;
                described(upload.id.clone(), &home, &about)
            });
        if received.is_err() {
            self.drop(&upload.id);
        }
        received
    }

    /// Removes an upload that nobody is at work on: how far it was.
    pub fn give_up(&self, organization: &str, id: &str) -> Result<Upload> {
        self.about(id, organization)?;
        self.end_dump(id)?;
        let _busy = self.reserve(id)?;
        // Whoever had it before may have used it up.
        let (home, about) = self.about(id, organization)?;
        let was = described(id.to_owned(), &home, &about)?;
        std::fs::remove_dir_all(&home)
            .map_err(|error| Error::io(error, format!("cannot remove {}", home.display())))?;
        Ok(was)
    }

    fn is_busy(&self, entry: &DirEntry) -> bool {
        entry
            .file_name()
            .to_str()
            .is_some_and(|id| lock(&self.busy).contains(id))
    }

    /// Removes an upload that was used or given up. What cannot be removed is when it is old.
    fn drop(&self, id: &str) {
        if let Ok(home) = self.home(id) {
            let _ = std::fs::remove_dir_all(home);
        }
    }

    /// Removes what is old; how many an organization has left.
    pub fn sweep(&self, organization: Option<&str>) -> Result<usize> {
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(Error::io(error, format!("cannot list {}", self.dir.display()))),
        };
        let mut left = 0;
        for entry in entries.flatten() {
            let about = std::fs::read(entry.path().join("upload.json"))
                .ok()
                .and_then(|text| serde_json::from_slice::<About>(&text).ok());
            match about {
                Some(about) if is_old(&entry.path(), &about) && !self.is_busy(&entry) => {
                    drop(std::fs::remove_dir_all(entry.path()))
                }
                Some(about) => left += usize::from(Some(about.organization.as_str()) == organization),
                // One that is just being made, or that was not.
                None => {
                    let old = entry
                        .metadata()
                        .and_then(|metadata| metadata.modified())
                        .is_ok_and(|time| time.elapsed().is_ok_and(|age| age.as_secs() > 3600));
                    if old {
                        let _ = std::fs::remove_dir_all(entry.path());
                    }
                }
            }
        }
        Ok(left)
    }
}

/// When something of an upload arrived last.
fn last(home: &Path, about: &About) -> Timestamp {
    let written = std::fs::metadata(home.join("data")).and_then(|metadata| metadata.modified());
    let written = written.ok().and_then(|time| Timestamp::try_from(time).ok());
    written.map_or(about.created_at, |written| written.max(about.created_at))
}

fn is_old(home: &Path, about: &About) -> bool {
    Timestamp::now().duration_since(last(home, about)) > KEPT
}

fn described(id: String, home: &Path, about: &About) -> Result<Upload> {
    let path = home.join("data");
    let offset = std::fs::metadata(&path)
        .map_err(|error| Error::io(error, format!("cannot access {}", path.display())))?
        .len();
    let expires_at = last(home, about)
        .checked_add(KEPT)
        .map_err(|error| Error::new(Code::Internal, "cannot read the clock").caused_by(error))?;
    Ok(Upload {
        id,
        size: about.size.unwrap_or(offset),
        offset,
        complete: about.size == Some(offset),
        expires_at,
    })
}

impl Shared {
    /// Puts what was uploaded at `to` as a SQLite file, and has `make` use it. The upload is gone when that succeeds, and
    /// can be used again when it fails.
    pub(super) fn with_upload<T>(
        &self,
        organization: &str,
        id: &str,
        to: &Path,
        presence: &ClientPresence,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let uploads = &self.uploads;
        uploads.about(id, organization)?;
        let _busy = uploads.reserve(id)?;
        // Whoever had it before may have used it up.
        let (home, about) = uploads.about(id, organization)?;
        let upload = described(id.to_owned(), &home, &about)?;
        if !upload.complete {
            return Err(Error::new(
                Code::Conflict,
                format!("only {} of the upload's {} bytes arrived", upload.offset, upload.size),
            )
            .hint("send the rest first"));
        }
        let data = home.join("data");
        let unreadable = |error| Error::io(error, format!("cannot read {}", data.display()));
        if let Some(wanted) = &about.sha256
            && File::open(&data)
                .and_then(|mut file| sha256(&mut file))
                .map_err(unreadable)?
                != *wanted
        {
            uploads.drop(id);
            return Err(Error::new(
                Code::InvalidFile,
                "the upload is not the file that was announced: the checksums differ",
            )
            .hint("upload the file once more, and do not change it meanwhile"));
        }
        let mut head = Vec::new();
        File::open(&data)
            .and_then(|file| file.take(sqlite_header::MAGIC.len() as u64).read_to_end(&mut head))
            .map_err(unreadable)?;
        if head.is_empty() {
            return Err(Error::new(Code::InvalidFile, "the uploaded file is empty")
                .hint("upload a SQLite file, or a dump in SQL; a new database needs neither"));
        }
        let named = |error: Error| about_upload(error, &data, to);
        if head == sqlite_header::MAGIC {
            self.check_schema(&data).map_err(named)?;
            // The upload keeps it until it is a database: what cannot be made now can be later.
            std::fs::hard_link(&data, to)
                .map_err(|error| Error::io(error, format!("cannot use {}", data.display())))?;
        } else {
            let turn = uploads.begin_dump(id, organization)?;
            self.restore(&data, to, &turn, presence).map_err(named)?;
        }
        let made = make().map_err(named)?;
        uploads.drop(id);
        Ok(made)
    }

    /// Refuses a file whose schema reaches beyond it.
    fn check_schema(&self, file: &Path) -> Result<()> {
        match &self.engine {
            // The engine's own helper looks before it takes the file.
            Engines::Sqld(_) => Ok(()),
            Engines::Files => work::check_schema(file),
        }
    }
}

/// An error that names the upload and not the server's files: those of the upload, and what is made of it beside `made`.
fn about_upload(error: Error, data: &Path, made: &Path) -> Error {
    let error = [data, made]
        .into_iter()
        .filter_map(Path::parent)
        .fold(error, |error, dir| {
            error.map_text(|text| private_paths::replace_below(text, dir, "the uploaded file"))
        });
    match error.hint_text() {
        None if error.code() == Code::InvalidFile => error.hint("upload a sound SQLite file, or a dump in SQL"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    /// Makes an upload begun, and its last piece arrived, so many minutes ago.
    fn age(uploads: &Uploads, id: &str, begun: i64, arrived: u64) {
        let home = uploads.home(id).unwrap();
        let (_, mut about) = uploads.about(id, "o").unwrap();
        about.created_at -= SignedDuration::from_mins(begun);
        uploads.write(&home, &about).unwrap();
        let data = File::options().append(true).open(home.join("data")).unwrap();
        data.set_modified(SystemTime::now() - Duration::from_secs(60 * arrived))
            .unwrap();
    }

    #[test]
    fn upload_is_the_same_however_its_id_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(dir.path().to_owned());
        let id = uploads.begin("o", Some(4), None).unwrap().id;
        let busy = uploads.reserve(&id).unwrap();
        for written in [id.to_uppercase(), id.replace('-', ""), format!("{{{id}}}")] {
            let error = uploads.put("o", &written, 0, &mut &b"abcd"[..], 4).unwrap_err();
            assert_eq!(error.code(), Code::Conflict, "{written}");
        }
        drop(busy);
        assert!(
            uploads
                .put("o", &id.to_uppercase(), 0, &mut &b"abcd"[..], 4)
                .unwrap()
                .complete
        );
    }

    #[test]
    fn upload_is_forgotten_an_hour_after_its_last_part() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(dir.path().to_owned());
        let begin = || uploads.begin("o", Some(4), None).unwrap().id;
        let [slow, left, used] = [begin(), begin(), begin()];
        age(&uploads, &slow, 60 * 30, 59);
        age(&uploads, &left, 61, 61);
        age(&uploads, &used, 61, 61);
        let busy = uploads.reserve(&used).unwrap();
        assert_eq!(uploads.get("o", &left).unwrap_err().code(), Code::UploadNotFound);
        assert_eq!(uploads.sweep(Some("o")).unwrap(), 2);
        let there = |id: &str| uploads.home(id).unwrap().exists();
        assert_eq!([there(&slow), there(&left), there(&used)], [true, false, true]);
        drop(busy);
        assert_eq!(uploads.sweep(Some("o")).unwrap(), 1);
        // With the next piece there is another hour.
        let now = uploads.put("o", &slow, 0, &mut &b"ab"[..], 2).unwrap();
        assert_eq!(now.offset, 2);
        assert!(now.expires_at > Timestamp::now() + SignedDuration::from_mins(59));
    }
}

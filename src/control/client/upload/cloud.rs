//! A SQLite file on its way to Turso Cloud: the database is made first, and the pieces go to the database's own address. A
//! failure on the way removes the database again.

use super::{CHUNK, Retries, cannot_read, piece};
use crate::control::Progress;
use crate::control::client::api_error::CallSubject;
use crate::control::client::failed_call::FailedCall;
use crate::control::client::{Client, about_database, wire};
use crate::control::names::{DatabaseName, TokenId};
use crate::control::tokens::{Expiration, NewToken};
use crate::control::types::{CreateDatabase, Database};
use crate::control::{DatabaseOperations as _, DatabaseTokenOperations as _};
use crate::error::{Code, Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs::File;
use std::path::Path;
use std::time::Duration;
use url::Url;

/// How long the token of one request is valid.
const STEP: Duration = Duration::from_secs(300);

/// What the service answers when an upload begins.
#[derive(Deserialize)]
struct StartedUpload {
    chunk_size: u64,
    upload_id: Value,
}

impl Client {
    /// Makes a database, fills it, and deletes it when that fails.
    pub(super) fn create_then_fill(
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
            Ok(()) => Ok(self.get_database(&request.name).unwrap_or(database)),
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
        database.url.check_for_token(self.http.base())?;
        let mut host = database
            .url
            .http()
            .ok_or_else(|| Error::new(Code::Unavailable, "the database has no usable address"))?;
        if !host.path().ends_with('/') {
            host.set_path(&format!("{}/", host.path()));
        }
        let join = |rest: &str| {
            host.join(rest)
                .map_err(|error| Error::new(Code::Unavailable, "the upload has no usable address").caused_by(error))
        };
        let about = || about_database(&database.name);
        let start = serde_json::to_vec(&json!({ "db_size_bytes": size })).unwrap_or_default();
        let at = join("v2/upload/start")?;
        let reply = self.step(&database.name, &at, &start, &about(), &mut || progress(0, size))?;
        let begun: StartedUpload = wire::read(reply, "the upload")?;
        let id: TokenId = match &begun.upload_id {
            Value::String(id) => id.parse()?,
            other => other.to_string().parse()?,
        };
        // A size that is missing, or too large for memory, is replaced by our own.
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

    /// One request to the database's own address, with a fresh token for each try. `go_on` is called while it waits, and may
    /// stop it with an error.
    fn step(
        &self,
        name: &DatabaseName,
        url: &Url,
        bytes: &[u8],
        about: &CallSubject<'_>,
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
                Err(error) if error.kind().retryable() => FailedCall::for_now(error),
                Err(error) => return Err(error),
            };
            retries.pause(failed, go_on)?;
        }
    }
}

/// A file in the form that Turso Cloud takes.
struct Prepared<'a>(&'a mut File);

impl Prepared<'_> {
    fn piece(&mut self, offset: u64, length: u64) -> std::io::Result<Vec<u8>> {
        let mut bytes = piece(self.0, offset, length)?;
        // Bytes 18 and 19 of the header are the read and write versions. The service wants a file in WAL mode, which is 2;
        // the log is empty.
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
    fn cloud_upload_sends_the_file_in_wal_mode_and_otherwise_unchanged() {
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
    fn cloud_upload_that_the_service_would_refuse_fails_before() {
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

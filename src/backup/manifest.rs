//! The manifest of a backup: what it is a copy of, and how its content is checked. It is a line with a seal and a JSON document.
//!
//! The seal is a checksum of the document, or with a key a code that only the key's holder can make. It is compared with the
//! exact bytes, so a manifest of which any byte was changed is refused, and so is one that was made without the key.

use super::content::StoredContent;
use super::{BackupId, BackupKey};
use crate::checksum::{hex, sha256_of};
use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use ring::hmac;
use serde::{Deserialize, Serialize};

/// The version of the format that is written, and the only one that is read.
const FORMAT: u32 = 1;
/// What a manifest begins with.
const MAGIC: &str = "torso-backup";

/// The manifest of one backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    pub id: BackupId,
    /// When its content was copied.
    pub created_at: Timestamp,
    /// The version of torso that wrote it.
    pub torso_version: String,
    pub subject: BackupSubject,
    pub encrypted: bool,
    pub contents: Vec<StoredContent>,
}

/// What a backup is a copy of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum BackupSubject {
    Database(DatabaseSubject),
    Group(GroupSubject),
    Server(ServerSubject),
}

/// A server: its own files, one for each content, and backups of all its databases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerSubject {
    /// What tells one server from another, wherever it is.
    pub server: String,
    /// The paths of the files below the data directory, in the order of the contents.
    pub files: Vec<String>,
    pub databases: Vec<IncludedDatabase>,
}

/// A group of a server: backups of all its databases, and no content of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupSubject {
    /// The server, as in [`ServerSubject`].
    pub server: String,
    pub id: String,
    pub name: String,
    pub databases: Vec<IncludedDatabase>,
}

/// A database of a server or of a group, and the backup that has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncludedDatabase {
    /// The directory of its organization.
    pub organization: String,
    pub id: String,
    pub name: String,
    pub backup: BackupId,
}

/// A database, as it was when it was copied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseSubject {
    pub id: String,
    pub name: String,
    pub group: String,
    /// The location of the instance that was copied; none where it could not be known.
    pub location: Option<String>,
    /// The state of the instance before it was copied, where its control plane can tell two states apart without reading them.
    pub position: Option<String>,
    /// It was made for a backup of a server or of a group, and is deleted with the last one that refers to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expires: bool,
}

impl Manifest {
    pub(super) fn new(
        id: BackupId,
        created_at: Timestamp,
        subject: BackupSubject,
        encrypted: bool,
        contents: Vec<StoredContent>,
    ) -> Self {
        Self {
            format: FORMAT,
            id,
            created_at,
            torso_version: env!("CARGO_PKG_VERSION").to_owned(),
            subject,
            encrypted,
            contents,
        }
    }

    /// The database that it is a copy of; none if it is of a server.
    #[must_use]
    pub fn database(&self) -> Option<&DatabaseSubject> {
        match &self.subject {
            BackupSubject::Database(database) => Some(database),
            BackupSubject::Group(_) | BackupSubject::Server(_) => None,
        }
    }

    /// The group that it is a copy of, if it is of one.
    #[must_use]
    pub fn group(&self) -> Option<&GroupSubject> {
        match &self.subject {
            BackupSubject::Group(group) => Some(group),
            BackupSubject::Database(_) | BackupSubject::Server(_) => None,
        }
    }

    /// The server that it is a copy of, if it is of one.
    #[must_use]
    pub fn server(&self) -> Option<&ServerSubject> {
        match &self.subject {
            BackupSubject::Server(server) => Some(server),
            BackupSubject::Database(_) | BackupSubject::Group(_) => None,
        }
    }

    /// The databases whose backups it refers to: none if it is of a single database.
    #[must_use]
    pub fn included(&self) -> &[IncludedDatabase] {
        match &self.subject {
            BackupSubject::Database(_) => &[],
            BackupSubject::Group(group) => &group.databases,
            BackupSubject::Server(server) => &server.databases,
        }
    }

    /// Whether it is a copy of a database that is called so.
    #[must_use]
    pub fn is_of(&self, name: &str) -> bool {
        self.database().is_some_and(|database| database.name == name)
    }

    /// Bytes of what was copied.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.contents.iter().map(|content| content.bytes).sum()
    }

    /// Bytes that are stored.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.contents.iter().map(|content| content.stored_bytes).sum()
    }

    /// The SHA-256 of what was copied, where that is one file.
    #[must_use]
    pub fn sha256(&self) -> Option<&str> {
        match &self.contents[..] {
            [only] => Some(&only.sha256),
            _ => None,
        }
    }

    /// The sealed bytes.
    pub(super) fn seal(&self, key: Option<&BackupKey>) -> Result<Vec<u8>> {
        let document = serde_json::to_string_pretty(self)
            .map_err(|error| Error::new(Code::Internal, "cannot write a manifest").caused_by(error))?;
        let seal = match key {
            None => format!("sha256 {}", sha256_of(document.as_bytes())),
            Some(key) => {
                let code = hmac::sign(&key.of_seal(), document.as_bytes());
                format!("hmac-sha256 {} {}", key.fingerprint(), hex(code.as_ref()))
            }
        };
        Ok(format!("{MAGIC} {FORMAT} {seal}\n{document}").into_bytes())
    }

    /// Reads sealed bytes, whose seal is checked as far as that can be done with the key, or without one.
    ///
    /// # Errors
    ///
    /// `backup_damaged` if any byte is not as it was written, `backup_key` if it was sealed with another key.
    pub(super) fn open(sealed: &[u8], key: Option<&BackupKey>) -> Result<Self> {
        let text = std::str::from_utf8(sealed).map_err(|_| damaged("it is not text"))?;
        let (line, document) = text.split_once('\n').ok_or_else(|| damaged("it is cut off"))?;
        let words: Vec<&str> = line.split(' ').collect();
        let [MAGIC, version, algorithm, ref seal @ ..] = words[..] else {
            return Err(damaged("it does not begin as one"));
        };
        if version != FORMAT.to_string() {
            return Err(
                damaged(&format!("this torso reads version {FORMAT}, and it says {version:?}"))
                    .hint("a later torso may read it"),
            );
        }
        match (algorithm, seal, key) {
            ("sha256", [sum], _) => {
                if **sum != sha256_of(document.as_bytes()) {
                    return Err(damaged("its checksum is wrong"));
                }
            }
            // What it says is shown, and nothing is restored by it.
            ("hmac-sha256", [_, _], None) => {}
            ("hmac-sha256", [fingerprint, code], Some(key)) => {
                if **fingerprint != key.fingerprint() {
                    return Err(Error::new(Code::BackupKey, "the backup was encrypted with another key")
                        .hint("give the key that it was made with: --key-file PATH"));
                }
                // The code is no secret, so nothing is learnt from how long this takes.
                if **code != hex(hmac::sign(&key.of_seal(), document.as_bytes()).as_ref()) {
                    return Err(damaged("its seal does not fit"));
                }
            }
            _ => return Err(damaged("its seal is of no known kind")),
        }
        let manifest: Self =
            serde_json::from_str(document).map_err(|error| damaged("it cannot be read").caused_by(error))?;
        if manifest.encrypted != (algorithm == "hmac-sha256") {
            return Err(damaged("its seal is not that of its content"));
        }
        Ok(manifest)
    }
}

fn damaged(why: &str) -> Error {
    Error::new(Code::BackupDamaged, format!("the backup's manifest is damaged: {why}"))
        .hint("choose another backup: torso db backups")
}

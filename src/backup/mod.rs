//! Backups: copies of databases in a directory or in object storage, compressed, encrypted if there is a key, and checked.
//!
//! A [`Repository`] is a place for backups. Each backup has its content in objects and a manifest, which is written last and
//! sealed: what has no manifest is no backup, and whoever changes a byte of either is found out before anything is restored.
//!
//! ```text
//! databases/<database id>/<backup id>/content     zstd, then XChaCha20-Poly1305 in frames if there is a key
//! databases/<database id>/<backup id>/manifest    what it is a copy of, checksums of the pieces and of the whole
//! groups/<group id>/<backup id>/manifest          which backups have the databases of a group
//! servers/<backup id>/content, content-1, ...     the files of a server that are no databases
//! servers/<backup id>/manifest                    the same, and which backups have its databases
//! ```
//!
//! This room knows files and objects. Which database is copied, and when, is for its callers to decide.

mod cipher;
mod content;
mod destination;
mod id;
mod key;
mod manifest;
mod objects;
mod repository;
mod retention;
mod s3;

pub use destination::BackupDestination;
pub use id::BackupId;
pub use key::BackupKey;
pub use manifest::{BackupSubject, DatabaseSubject, GroupSubject, IncludedDatabase, Manifest, ServerSubject};
pub use repository::{ListedBackup, Repository};
pub use retention::Retention;

#[cfg(test)]
mod tests;

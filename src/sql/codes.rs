//! The one table from SQLite's result codes to torso's error codes.

use crate::error::Code;
use rusqlite::ffi;

/// The error code for an extended result code.
#[must_use]
pub fn meaning(extended: i32) -> Code {
    match (extended, extended & 0xff) {
        // The index of a write-ahead log cannot grow; space is the usual reason.
        (ffi::SQLITE_IOERR_SHMSIZE, _) | (_, ffi::SQLITE_FULL) => Code::DiskFull,
        (_, ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED) => Code::DatabaseBusy,
        (_, ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB) => Code::InvalidFile,
        (_, ffi::SQLITE_READONLY) => Code::ReadOnly,
        (_, ffi::SQLITE_INTERRUPT) => Code::Interrupted,
        (_, ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN | ffi::SQLITE_PERM) => Code::Io,
        _ => Code::SqlError,
    }
}

//! The catalog's file: opening, migrating, transactions, and what SQLite's errors mean here. The queries are in
//! `places` (locations, groups) and `databases`; the rules are the plane's.
//!
//! A reader opens what is there and takes no lock. Only the holder of the catalog's lock creates, migrates or writes.

pub mod databases;
pub mod places;

use crate::engine::disk;
use crate::error::{Code, Error, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The steps from nothing to the current schema, in order; step n leads to version n.
const MIGRATIONS: [&str; 1] = [include_str!("../migrations/0001.sql")];

/// Pages in the write-ahead log before it is copied into the catalog. Kept small, because the log stays when a process
/// ends (no checkpoint, no two fsyncs) and the next one reads it through.
const CHECKPOINT_PAGES: u32 = 256;

/// The linked SQLite's version, and whether it has the fix without which a WAL can lose commits.
pub fn linked_sqlite() -> (&'static str, bool) {
    (rusqlite::version(), rusqlite::version_number() >= 3_051_003)
}

/// An open catalog.
pub struct Catalog {
    conn: Connection,
    path: PathBuf,
}

impl Catalog {
    /// Opens the catalog for reading; none when there is not one yet. One of an older torso must be migrated before it
    /// is used, see [`Catalog::is_current`].
    pub fn open(path: &Path) -> Result<Option<Self>> {
        if !path
            .try_exists()
            .map_err(|error| Error::io(error, format!("cannot look at {}", path.display())))?
        {
            return Ok(None);
        }
        let catalog = Self::connect(path)?;
        // Version 0: whoever made the file was killed before the schema was in it.
        Ok((catalog.version()? > 0).then_some(catalog))
    }

    /// Opens the catalog for the holder of its lock, who creates and migrates it as needed.
    pub fn prepare(path: &Path) -> Result<Self> {
        drop(disk::private_file(path)?);
        let catalog = Self::connect(path)?;
        catalog.migrate()?;
        Ok(catalog)
    }

    pub fn is_current(&self) -> Result<bool> {
        Ok(self.version()? == MIGRATIONS.len())
    }

    /// Brings the schema to the current version. For the holder of the lock.
    pub fn migrate(&self) -> Result<()> {
        let from = self.version()?;
        if from == 0 {
            self.pragma("journal_mode", "WAL")?;
        }
        if from == MIGRATIONS.len() {
            return Ok(());
        }
        self.write(|| {
            for (step, sql) in (1_i64..).zip(MIGRATIONS).skip(from) {
                self.conn.execute_batch(sql).map_err(|error| self.error(error))?;
                self.pragma("user_version", step)?;
            }
            Ok(())
        })
    }

    fn connect(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags).map_err(|error| describe(path, error))?;
        let catalog = Self {
            conn,
            path: path.to_owned(),
        };
        catalog
            .conn
            .busy_timeout(Duration::from_secs(60))
            .and_then(|()| {
                catalog
                    .conn
                    .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            })
            .map_err(|error| catalog.error(error))?;
        catalog.conn.set_prepared_statement_cache_capacity(64);
        Ok(catalog)
    }

    fn version(&self) -> Result<usize> {
        let version: i64 = self
            .conn
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(|error| self.error(error))?;
        match usize::try_from(version) {
            Ok(version) if version <= MIGRATIONS.len() => Ok(version),
            _ => Err(Error::new(
                Code::CatalogTooNew,
                format!(
                    "the catalog {} has version {version}, newer than this torso knows",
                    self.path.display()
                ),
            )
            .hint("use the newer torso that wrote it")),
        }
    }

    fn pragma(&self, name: &str, value: impl rusqlite::ToSql) -> Result<()> {
        self.conn
            .pragma_update(None, name, value)
            .map_err(|error| self.error(error))
    }

    /// Makes the connection ready for changes that must last: call once the lock is held.
    pub fn durable(&self) -> Result<()> {
        self.pragma("foreign_keys", true)?;
        self.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)?;
        self.pragma("synchronous", "FULL")
    }

    /// Runs `change` in one transaction, on disk when this returns. On an error nothing has changed.
    pub fn write<T>(&self, change: impl FnOnce() -> Result<T>) -> Result<T> {
        let transaction = Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate)
            .map_err(|error| self.error(error))?;
        let value = change()?;
        transaction.commit().map_err(|error| self.error(error))?;
        Ok(value)
    }

    /// Like [`Catalog::write`], for bookkeeping that may be lost with the power: it is not waited for.
    pub fn write_lazily(&self, change: impl FnOnce() -> Result<()>) -> Result<()> {
        self.pragma("synchronous", "NORMAL")?;
        let result = self.write(change);
        self.pragma("synchronous", "FULL")?;
        result
    }

    /// What SQLite finds wrong with the file or its references, in its own words; empty when sound.
    pub fn integrity(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut statement = self
            .conn
            .prepare("PRAGMA integrity_check")
            .map_err(|error| self.error(error))?;
        let lines = statement
            .query_map([], |row| row.get::<_, String>(0))
            .map_err(|error| self.error(error))?;
        for line in lines {
            found.push(line.map_err(|error| self.error(error))?);
        }
        found.retain(|line| line != "ok");
        let mut statement = self
            .conn
            .prepare("PRAGMA foreign_key_check")
            .map_err(|error| self.error(error))?;
        let tables = statement
            .query_map([], |row| row.get::<_, String>(0))
            .map_err(|error| self.error(error))?;
        for table in tables {
            found.push(format!(
                "a row of {} refers to nothing",
                table.map_err(|error| self.error(error))?
            ));
        }
        Ok(found)
    }

    fn error(&self, error: rusqlite::Error) -> Error {
        describe(&self.path, error)
    }

    /// Runs one statement.
    fn execute(&self, sql: &str, params: impl rusqlite::Params) -> Result<usize> {
        self.conn
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params))
            .map_err(|error| self.error(error))
    }

    /// All rows of a query.
    fn rows<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.conn
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_map(params, read)?.collect())
            .map_err(|error| self.error(error))
    }

    /// The only row of a query, if there is one.
    fn row<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.rows(sql, params, read)?.into_iter().next())
    }
}

/// A name, id or time from a column. What does not parse was not written by us.
fn parsed<T>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    parse(column, row.get_ref(column)?.as_str()?)
}

/// The same, where the column may be NULL.
fn parsed_maybe<T>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<T>>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.get_ref(column)?
        .as_str_or_null()?
        .map(|text| parse(column, text))
        .transpose()
}

fn parse<T>(column: usize, text: &str) -> rusqlite::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

fn describe(path: &Path, error: rusqlite::Error) -> Error {
    let file = path.display();
    let described = match error.sqlite_error_code() {
        _ if crate::engine::file::is_disk_full(&error) => {
            Error::new(Code::DiskFull, format!("no space left to write the catalog {file}"))
                .hint("free some space, then try again; nothing was changed")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::new(Code::CatalogBusy, format!("another program holds the catalog {file}"))
                .hint("try again when it is done")
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Error::new(Code::CatalogDamaged, format!("the catalog {file} is damaged"))
                .hint("torso doctor says more; the databases themselves are separate files and are untouched")
        }
        Some(
            ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::SystemIoFailure,
        ) => Error::new(Code::Io, format!("cannot read or write the catalog {file}"))
            .hint("look at the owner and mode of the file and its directory"),
        None => Error::new(
            Code::CatalogDamaged,
            format!("the catalog {file} holds what torso never wrote"),
        ),
        Some(_) => Error::new(Code::Internal, format!("the catalog {file} refused a statement")),
    };
    described.caused_by(error)
}

/// A connection for the plane's own tests, which play the application.
#[cfg(test)]
pub(super) fn open_for_test(url: &str) -> Connection {
    Connection::open_with_flags(
        url,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_URI,
    )
    .unwrap()
}

#[cfg(test)]
mod tests;

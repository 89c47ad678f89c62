//! A SQLite file of torso's own: opening, migrating, transactions and errors. Schema and queries are its owners': the
//! embedded plane's catalog, the hosted plane's accounts.
//!
//! A reader takes no lock. Only the holder of the owner's lock creates, migrates or writes.

use crate::engine::disk;
use crate::error::{Code, Error, Result};
#[cfg(feature = "server")]
use rusqlite::backup::Backup;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Pages in the write-ahead log before a checkpoint. Small, because a process does not checkpoint when it ends (that
/// would be two fsyncs), and the next one has to read the log.
const CHECKPOINT_PAGES: u32 = 256;

/// Copies a file of torso's own, as it is at one moment, to a new file. Others may be writing to it.
#[cfg(feature = "server")]
pub fn copy_file(from: &Path, to: &Path) -> Result<()> {
    const NOUN: &str = "the file";
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags).map_err(|error| describe(NOUN, from, error))?;
    source
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .and_then(|_| source.busy_timeout(Duration::from_secs(60)))
        .map_err(|error| describe(NOUN, from, error))?;
    drop(disk::private_file(to)?);
    let failed = |error| describe(NOUN, to, error);
    let mut copy = Connection::open_with_flags(to, flags).map_err(failed)?;
    Backup::new(&source, &mut copy)
        .and_then(|backup| backup.run_to_completion(i32::MAX, Duration::from_millis(10), None))
        .map_err(failed)?;
    copy.close().map_err(|(_, error)| failed(error))?;
    disk::sync_file(to)
}

/// The kind of a file.
#[derive(Debug, Clone, Copy)]
pub struct StoreKind {
    /// Its name in errors: "the catalog".
    pub noun: &'static str,
    /// The migrations from an empty file to the current schema; number n leads to version n.
    pub migrations: &'static [&'static str],
}

/// An open file.
pub struct Store {
    conn: Connection,
    path: PathBuf,
    kind: StoreKind,
}

impl Store {
    /// Opens the file for reading; none if there is none yet. A file of an older torso must be migrated before use, see
    /// [`Store::is_current`].
    pub fn open(path: &Path, kind: StoreKind) -> Result<Option<Self>> {
        if !path
            .try_exists()
            .map_err(|error| Error::io(error, format!("cannot access {}", path.display())))?
        {
            return Ok(None);
        }
        let store = Self::connect(path, kind)?;
        // Version 0: the process that made the file was killed before it wrote the schema.
        Ok((store.version()? > 0).then_some(store))
    }

    /// Opens the file for the holder of the lock, and creates or migrates it as needed.
    pub fn prepare(path: &Path, kind: StoreKind) -> Result<Self> {
        drop(disk::private_file(path)?);
        let store = Self::connect(path, kind)?;
        store.migrate()?;
        Ok(store)
    }

    pub fn is_current(&self) -> Result<bool> {
        Ok(self.version()? == self.kind.migrations.len())
    }

    /// Migrates the schema to the current version. For the holder of the lock.
    pub fn migrate(&self) -> Result<()> {
        let from = self.version()?;
        if from == 0 {
            self.pragma("journal_mode", "WAL")?;
        }
        if from == self.kind.migrations.len() {
            return Ok(());
        }
        self.write(|| {
            for (step, sql) in (1_i64..).zip(self.kind.migrations).skip(from) {
                self.conn.execute_batch(sql).map_err(|error| self.error(error))?;
                self.pragma("user_version", step)?;
            }
            Ok(())
        })
    }

    fn connect(path: &Path, kind: StoreKind) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags).map_err(|error| describe(kind.noun, path, error))?;
        let store = Self {
            conn,
            path: path.to_owned(),
            kind,
        };
        store
            .conn
            .busy_timeout(Duration::from_secs(60))
            .and_then(|()| {
                store
                    .conn
                    .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            })
            .map_err(|error| store.error(error))?;
        store.conn.set_prepared_statement_cache_capacity(64);
        Ok(store)
    }

    fn version(&self) -> Result<usize> {
        let version: i64 = self
            .conn
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(|error| self.error(error))?;
        match usize::try_from(version) {
            Ok(version) if version <= self.kind.migrations.len() => Ok(version),
            _ => Err(Error::new(
                Code::CatalogTooNew,
                format!(
                    "{} {} has version {version}, newer than this torso knows",
                    self.kind.noun,
                    self.path.display()
                ),
            )
            .hint("use the newer torso that wrote it")),
        }
    }

    pub fn pragma(&self, name: &str, value: impl rusqlite::ToSql) -> Result<()> {
        self.conn
            .pragma_update(None, name, value)
            .map_err(|error| self.error(error))
    }

    /// Makes the connection's commits durable: call it once the lock is held.
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

    /// Like [`Store::write`], for bookkeeping that may be lost in a power failure: it does not wait for the disk.
    pub fn write_lazily(&self, change: impl FnOnce() -> Result<()>) -> Result<()> {
        self.pragma("synchronous", "NORMAL")?;
        let result = self.write(change);
        self.pragma("synchronous", "FULL")?;
        result
    }

    /// What SQLite's integrity and foreign key checks report; empty if the file is sound.
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
                "a row of {} refers to a row that does not exist",
                table.map_err(|error| self.error(error))?
            ));
        }
        Ok(found)
    }

    pub fn error(&self, error: rusqlite::Error) -> Error {
        describe(self.kind.noun, &self.path, error)
    }

    /// Runs one statement; returns the number of changed rows.
    pub fn execute(&self, sql: &str, params: impl rusqlite::Params) -> Result<usize> {
        self.conn
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params))
            .map_err(|error| self.error(error))
    }

    /// All rows of a query.
    pub fn rows<T>(
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
    pub fn row<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.rows(sql, params, read)?.into_iter().next())
    }
}

/// A column with a number that is not negative.
pub fn count(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

/// A column with a name, id or time. Text that does not parse is an error: torso did not write it.
pub fn parsed<T>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    parse(column, row.get_ref(column)?.as_str()?)
}

/// The same for a column that may be NULL.
pub fn parsed_maybe<T>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<T>>
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

fn describe(noun: &str, path: &Path, error: rusqlite::Error) -> Error {
    let file = path.display();
    let described = match error.sqlite_error_code() {
        _ if crate::engine::file::is_disk_full(&error) => {
            Error::new(Code::DiskFull, format!("no space left to write {noun} {file}"))
                .hint("free some space, then try again; nothing was changed")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::new(Code::CatalogBusy, format!("another program holds {noun} {file}"))
                .hint("try again when it is done")
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Error::new(Code::CatalogDamaged, format!("{noun} {file} is damaged")).hint(
                "restore it from a backup; the databases are separate files below the directory locations and are not \
                     damaged: take each into a new directory with torso --data-dir NEW db create NAME --from-file FILE",
            )
        }
        Some(
            ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::SystemIoFailure,
        ) => Error::new(Code::Io, format!("cannot read or write {noun} {file}"))
            .hint("check the owner and mode of the file and its directory"),
        None => Error::new(
            Code::CatalogDamaged,
            format!("{noun} {file} has data that torso did not write: it was edited or is damaged"),
        ),
        Some(_) => Error::new(Code::Internal, format!("{noun} {file} refused a statement")),
    };
    described.caused_by(error)
}

/// Checks that the migrations lead to the schema in `written`; returns that schema.
#[cfg(test)]
#[track_caller]
pub fn migrated_schema(kind: StoreKind, written: &str) -> Vec<(String, String, String)> {
    let made = |steps: &[&str]| {
        let conn = Connection::open_in_memory().unwrap();
        for step in steps {
            conn.execute_batch(step).unwrap();
        }
        schema_of(&conn)
    };
    let schema = made(&[written]);
    assert_eq!(made(kind.migrations), schema);
    schema
}

/// The schema in SQLite's catalog, without comments and with white space normalized.
#[cfg(test)]
fn schema_of(conn: &Connection) -> Vec<(String, String, String)> {
    let mut statement = conn
        .prepare("SELECT type, name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name")
        .unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?)))
        .unwrap();
    rows.map(|row| {
        let (kind, name, sql): (String, String, String) = row.unwrap();
        let code: Vec<&str> = sql.lines().map(|line| line.split("--").next().unwrap_or("")).collect();
        let words: Vec<&str> = code.iter().flat_map(|line| line.split_whitespace()).collect();
        (kind, name, words.join(" "))
    })
    .collect()
}

/// The number of numbered migrations in a folder; there must be no gap.
#[cfg(test)]
pub fn numbered(folder: &Path) -> usize {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected: Vec<String> = (1..=names.len()).map(|step| format!("{step:04}.sql")).collect();
    assert_eq!(names, expected);
    names.len()
}

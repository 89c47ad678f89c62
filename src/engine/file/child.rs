//! Work on database files for a helper process: files that a server process has open, and files that users sent. A
//! helper may crash, and has no other connection to the files (see rule 3 of the parent module).

pub use super::dump::restore;

use super::{copy, sqlite, with_suffix};
use crate::engine::{disk, forbidden};
use crate::error::{Code, Error, Result};
use rusqlite::Connection;
use std::path::Path;

/// The only page size that libSQL server takes.
const PAGE_SIZE: u32 = 4096;

/// Writes a consistent, compact copy of a database that others may be writing to. `to` must not exist.
pub fn export(from: &Path, to: &Path) -> Result<()> {
    compact(&copy::open_source(from)?, from, to)
}

/// Refuses a database whose schema reaches beyond it: whoever looks at a view runs what it says.
pub fn check_schema(seed: &Path) -> Result<()> {
    copy::check_seed(seed)?;
    look_at_schema(&copy::open_source(seed)?, seed)
}

fn look_at_schema(connection: &Connection, seed: &Path) -> Result<()> {
    let look = || {
        let mut statement = connection.prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let sql: String = row.get(1)?;
            if let Some(found) = forbidden::forbidden(&sql) {
                return Ok(Some((row.get::<_, String>(0)?, found)));
            }
        }
        Ok(None)
    };
    match look().map_err(|error| sqlite(seed, error))? {
        None => Ok(()),
        Some((name, found)) => Err(Error::new(
            Code::InvalidFile,
            format!(
                "{} cannot become a database: {name:?} of its schema uses {found}, which reaches beyond a database",
                seed.display()
            ),
        )
        .hint(format!("drop {name:?} from the file, then try again"))),
    }
}

/// Checks that a file is a sound database that libSQL server takes. A sound one in another form is converted into `to`;
/// true if that was needed.
pub fn check_or_convert(seed: &Path, to: &Path) -> Result<bool> {
    copy::check_seed(seed)?;
    let connection = copy::open_source(seed)?;
    let ask = |sql: &str| -> Result<String> {
        connection
            .query_row(sql, [], |row| row.get(0))
            .map_err(|error| sqlite(seed, error))
    };
    let verdict = ask("PRAGMA quick_check(1)")?;
    if verdict != "ok" {
        return Err(Error::new(
            Code::InvalidFile,
            format!("{} is damaged: {verdict}", seed.display()),
        ));
    }
    look_at_schema(&connection, seed)?;
    let page_size: u32 = connection
        .query_row("PRAGMA page_size", [], |row| row.get(0))
        .map_err(|error| sqlite(seed, error))?;
    if page_size == PAGE_SIZE {
        return Ok(false);
    }
    connection
        .execute_batch(&format!("PRAGMA page_size = {PAGE_SIZE}"))
        .map_err(|error| sqlite(seed, error))?;
    compact(&connection, seed, to)?;
    Ok(true)
}

fn compact(source: &Connection, from: &Path, to: &Path) -> Result<()> {
    copy::clear(to)?;
    // Made private before SQLite writes to it.
    drop(disk::private_file(to)?);
    let Some(target) = to.to_str() else {
        return Err(Error::new(
            Code::InvalidValue,
            format!("{} is not a path that SQLite can be told", to.display()),
        ));
    };
    let written = source
        .execute("VACUUM INTO ?1", [target])
        .map_err(|error| sqlite(from, error))
        .and_then(|_| disk::sync_file(to));
    if written.is_err() {
        copy::clear(to)?;
    }
    for companion in ["-wal", "-journal"] {
        disk::remove(&with_suffix(to, companion))?;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(path: &Path, page_size: u32) {
        let connection = Connection::open(path).unwrap();
        connection
            .execute_batch(&format!(
                "PRAGMA page_size = {page_size}; PRAGMA user_version = 7; CREATE TABLE t(x);
                 INSERT INTO t(rowid, x) VALUES (5, 'a'), (9, 'b')"
            ))
            .unwrap();
    }

    #[test]
    fn only_other_page_sizes_are_converted() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("to.db");
        for (page_size, converted) in [(512, true), (4096, false), (65_536, true)] {
            let from = dir.path().join(format!("{page_size}.db"));
            make(&from, page_size);
            assert_eq!(check_or_convert(&from, &to).unwrap(), converted);
            assert_eq!(to.exists(), converted);
            let result = Connection::open(if converted { &to } else { &from }).unwrap();
            let ask = |sql: &str| result.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
            assert_eq!(ask("PRAGMA page_size"), 4096);
            assert_eq!(ask("PRAGMA user_version"), 7);
            assert_eq!(ask("SELECT sum(rowid) FROM t"), 14);
            let _ = std::fs::remove_file(&to);
        }
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from.db"), dir.path().join("to.db"));
        make(&from, 4096);
        let mut bytes = std::fs::read(&from).unwrap();
        bytes[4096..4200].fill(0xff);
        std::fs::write(&from, &bytes).unwrap();
        assert_eq!(check_or_convert(&from, &to).unwrap_err().code(), Code::InvalidFile);
        std::fs::write(&from, b"no database").unwrap();
        assert_eq!(check_or_convert(&from, &to).unwrap_err().code(), Code::InvalidFile);
        assert!(!to.exists());
    }

    #[test]
    fn an_export_is_consistent_and_leaves_its_source_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from.db"), dir.path().join("to.db"));
        make(&from, 4096);
        let writer = Connection::open(&from).unwrap();
        writer
            .execute_batch("PRAGMA journal_mode = WAL; INSERT INTO t VALUES ('c'); BEGIN; INSERT INTO t VALUES ('d')")
            .unwrap();
        let log = || std::fs::read(with_suffix(&from, "-wal")).unwrap();
        let before = log();
        export(&from, &to).unwrap();
        assert_eq!(log(), before);
        let copy = Connection::open(&to).unwrap();
        let count: i64 = copy.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 3);
    }
}

//! Work on database files for a helper process: files that a server process has open, and files that users sent. A
//! helper may crash, and has no other connection to the files (see rule 3 of the parent module).

mod divergence;
mod vectors;

pub use divergence::{Divergence, find_divergence};

use super::{copy, dump, sqlite, with_suffix};
use crate::damage_check::find_damage;
use crate::engine::disk;
use crate::error::{Code, Error, Result};
use crate::sqlite_header;
use crate::sqltext::policy;
use rusqlite::Connection;
use std::path::Path;

/// The only page size that libSQL server takes.
const PAGE_SIZE: u32 = 4096;

/// Writes a consistent copy of a database that others may be writing to, page by page in one read transaction, proves that
/// by a checksum of a second reading, and checks its structure. `to` must not exist.
///
/// A copy by statements (`VACUUM INTO`) would run what is in the schema, and libSQL's vector indexes need functions that
/// this SQLite does not have.
pub fn export(from: &Path, to: &Path) -> Result<()> {
    copy::backup_proven(&copy::open_source(from)?, from, to)?;
    check_content(to)
}

/// Writes a copy of a database without its free pages, and checks its structure. `to` must not exist.
///
/// # Errors
///
/// `unsupported` where the schema has what only libSQL can make again: indexes of vectors.
pub fn compact_to(from: &Path, to: &Path) -> Result<()> {
    compact(&copy::open_source(from)?, from, to)?;
    check_content(to)
}

/// Reads a whole database, and checks its structure.
pub fn check_content(file: &Path) -> Result<()> {
    check_structure(&copy::open_source(file)?, file)
}

/// Refuses a database whose schema has what a hosted database may not use: whoever looks at a view runs what it says.
pub fn check_schema(seed: &Path) -> Result<()> {
    copy::check_seed(seed)?;
    judge_schema(&copy::open_source(seed)?, seed)
}

/// Makes a database from a dump. `to` must not exist; if the dump fails, or its schema has what a hosted database may not
/// use, it does not exist afterwards either.
pub fn restore(from: &Path, to: &Path) -> Result<()> {
    dump::restore(from, to)?;
    let judged = copy::open_source(to).and_then(|connection| judge_schema(&connection, to));
    if judged.is_err() {
        copy::clear(to)?;
    }
    judged
}

/// Judges every row of the schema, and the names of vector indexes, which the engine pastes into SQL of its own.
fn judge_schema(connection: &Connection, seed: &Path) -> Result<()> {
    let refuse = |name: &str, why: &policy::Violation| {
        Err(Error::new(
            Code::InvalidFile,
            format!(
                "{} cannot become a database: {name:?} of its schema: {why}",
                seed.display()
            ),
        )
        .hint(format!("drop {name:?} from the file, then try again")))
    };
    // A schema that this SQLite cannot read, libSQL may: it is judged all the same, and refused elsewhere if it is damaged.
    connection
        .execute_batch("PRAGMA writable_schema = on")
        .map_err(|error| sqlite(seed, error))?;
    let objects = texts(
        connection,
        "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid",
    );
    for (name, sql) in objects.map_err(|error| sqlite(seed, error))? {
        if let Err(why) = policy::check_schema_object(&sql) {
            return refuse(&name, &why);
        }
    }
    let has_indexes = connection.table_exists(None, policy::VECTOR_INDEX_TABLE);
    if !has_indexes.map_err(|error| sqlite(seed, error))? {
        vectors::check(connection, seed)?;
        return reset_schema(connection, seed);
    }
    let names = format!(
        "SELECT CAST(name AS TEXT), '' FROM {} WHERE name IS NOT NULL",
        policy::VECTOR_INDEX_TABLE
    );
    for (name, _) in texts(connection, &names).map_err(|error| sqlite(seed, error))? {
        if let Err(why) = policy::check_vector_index_name(&name) {
            return refuse(policy::VECTOR_INDEX_TABLE, &why);
        }
    }
    vectors::check(connection, seed)?;
    reset_schema(connection, seed)
}

fn reset_schema(connection: &Connection, seed: &Path) -> Result<()> {
    connection
        .execute_batch("PRAGMA writable_schema = reset")
        .map_err(|error| sqlite(seed, error))
}

fn texts(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((text(row, 0)?, text(row, 1)?)))?;
    rows.collect()
}

/// A text that may be no UTF-8, which the policy then refuses for what it cannot parse.
fn text(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<String> {
    let value = row.get_ref(at)?;
    Ok(value
        .as_bytes()
        .map_or_else(|_| "\0".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned()))
}

/// Checks that a database, which may have a log beside it, can be opened and read.
pub fn check_soundness(path: &Path) -> Result<()> {
    let connection = Connection::open(path).map_err(|error| sqlite(path, error))?;
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| sqlite(path, error))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(Error::new(
        Code::InvalidFile,
        format!("{} is damaged: {verdict}", path.display()),
    ))
}

/// Checks that a file is a sound database that libSQL server takes. A sound one in another form is converted into `to`;
/// true if that was needed.
pub fn check_or_convert(seed: &Path, to: &Path) -> Result<bool> {
    copy::check_seed(seed)?;
    let connection = copy::open_source(seed)?;
    check_structure(&connection, seed)?;
    judge_schema(&connection, seed)?;
    let page_size: u32 = connection
        .query_row("PRAGMA page_size", [], |row| row.get(0))
        .map_err(|error| sqlite(seed, error))?;
    let protected = sqlite_header::is_write_protected(seed)
        .map_err(|error| Error::io(error, format!("cannot read {}", seed.display())))?;
    if page_size == PAGE_SIZE && !protected {
        return Ok(false);
    }
    connection
        .execute_batch(&format!("PRAGMA page_size = {PAGE_SIZE}"))
        .map_err(|error| sqlite(seed, error))?;
    compact(&connection, seed, to)?;
    Ok(true)
}

/// Has SQLite check the structure of all tables and indexes. Where the schema has an expression that only libSQL knows, in
/// a constraint, nothing is checked beyond what a copy of the pages shows.
fn check_structure(connection: &Connection, file: &Path) -> Result<()> {
    forget_modules(connection);
    match find_damage(connection) {
        Ok(None) => Ok(()),
        Ok(Some(problem)) => Err(Error::new(
            Code::InvalidFile,
            format!("{} is damaged: {problem}", file.display()),
        )),
        Err(error) => Err(sqlite(file, error)),
    }
}

/// Makes a connection pass over virtual tables. What full-text and R-tree indexes keep in their tables is rows to the database; where
/// they do not agree with each other, the file is sound, and a statement can make the index again or drop it.
#[allow(unsafe_code)]
fn forget_modules(connection: &Connection) {
    // SAFETY: the connection is open while it is borrowed, and no statement of it is running. Without a list of those to keep, all
    // modules are removed.
    unsafe {
        rusqlite::ffi::sqlite3_drop_modules(connection.handle(), std::ptr::null_mut());
    }
}

fn compact(source: &Connection, from: &Path, to: &Path) -> Result<()> {
    copy::clear(to)?;
    // Made private before SQLite writes to it.
    drop(disk::private_file(to)?);
    let Some(target) = to.to_str() else {
        return Err(Error::new(
            Code::InvalidValue,
            format!("{} is not a path that SQLite accepts", to.display()),
        ));
    };
    let written = source
        .execute("VACUUM INTO ?1", [target])
        .map_err(|error| super::compact::not_compacted(from, error))
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
    fn export_converts_files_of_another_page_size_only() {
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
    fn seed_file_that_is_damaged_is_refused() {
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
    fn export_is_consistent_and_leaves_its_source_unchanged() {
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

    fn refusal_of(schema: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from.db");
        let connection = Connection::open(&from).unwrap();
        connection.execute_batch(schema).unwrap();
        connection.close().unwrap();
        match check_schema(&from) {
            Err(error) => {
                assert_eq!(error.code(), Code::InvalidFile);
                error.full_message()
            }
            Ok(()) => String::new(),
        }
    }

    /// As a file may be written with any tool.
    fn forged(row: &str, sql: &str) -> String {
        let [kind, name, table] = row.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{row}")
        };
        format!(
            "CREATE TABLE t(x); PRAGMA writable_schema = on;
             INSERT INTO sqlite_schema VALUES ('{kind}', '{name}', '{table}', 0, {});",
            crate::sqltext::quote::literal(sql)
        )
    }

    #[test]
    fn schema_check_names_what_is_not_allowed() {
        for (schema, object) in [
            ("CREATE VIEW v AS SELECT readfile('x')".to_owned(), "\"v\""),
            (
                "CREATE VIEW v AS SELECT * FROM (SELECT 1) window, 'fsdir'".to_owned(),
                "\"v\"",
            ),
            (
                "CREATE TABLE t(x); CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE 'sqlite_dbpage' SET data = 1; END"
                    .to_owned(),
                "\"r\"",
            ),
            ("CREATE TABLE t(x DEFAULT (replicate('a', 9)))".to_owned(), "\"t\""),
            (forged("table u u", "CREATE TABLE u(a, b AS (padl(a, 9)))"), "\"u\""),
            (
                forged("table u u", "CREATE VIRTUAL TABLE u USING fts5(a, content='fsdir')"),
                "\"u\"",
            ),
            (forged("table u u", "CREATE VIRTUAL TABLE u USING fsdir"), "\"u\""),
            (
                forged("index i t", "CREATE INDEX \"i; SELECT 1\" ON t (libsql_vector_idx(x))"),
                "\"i\"",
            ),
            (
                "CREATE TABLE libsql_vector_meta_shadow (name TEXT PRIMARY KEY, metadata BLOB) WITHOUT ROWID;
                 INSERT INTO libsql_vector_meta_shadow VALUES ('a; b', x'00')"
                    .to_owned(),
                "libsql_vector_meta_shadow",
            ),
        ] {
            let refusal = refusal_of(&schema);
            assert!(refusal.contains(object), "{schema}: {refusal:?}");
        }
        let harmless =
            "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT, b TEXT DEFAULT 'readfile(1)' CHECK (length(b) < 9),
                 c AS (a + 1), FOREIGN KEY (b) REFERENCES u(x) ON DELETE CASCADE);
             CREATE UNIQUE INDEX \"an index\" ON t (lower(b)) WHERE a > 1;
             CREATE VIEW [all of it] AS WITH x AS (SELECT 1) SELECT *, row_number() OVER (ORDER BY a) FROM t, x;
             CREATE TRIGGER r AFTER UPDATE OF a ON t WHEN new.a > 1 BEGIN SELECT raise(ABORT, 'no'); END;
             CREATE VIRTUAL TABLE f USING fts5(a, b, tokenize = 'porter ascii');
             CREATE VIRTUAL TABLE g USING rtree(id, x, y);";
        assert_eq!(refusal_of(harmless), "");
    }
}

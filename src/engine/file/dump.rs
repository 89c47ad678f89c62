//! Makes a database from a dump, SQL text that a user sent, in a sandboxed helper process. The text can only affect the
//! new database: it cannot attach or load anything, and its time is limited.

use super::{copy, sqlite};
use crate::engine::disk;
use crate::error::{Code, Error, Result};
use crate::sqltext::policy::{self, VectorIndex};
use crate::sqltext::quote::{identifier, literal};
use crate::sqltext::split::complete;
use crate::sqltext::token::next_significant;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::Null;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a dump may run.
pub(in crate::engine) const LONGEST_DUMP: Duration = Duration::from_secs(300);

/// A table that is there while a vector index is added.
const PLACE: &str = "torso_vector_index_place";

/// Bytes of the longest statement.
const LONGEST: usize = 256 << 20;

/// SQLite's virtual machine steps between two checks of the time.
const STEPS: i32 = 100_000;

/// Makes a database from a dump. `to` must not exist; if the dump fails, it does not exist afterwards either.
pub fn restore(dump: &Path, to: &Path) -> Result<()> {
    copy::clear(to)?;
    // Private from the first byte on.
    drop(disk::private_file(to)?);
    let done = run(dump, to).and_then(|()| disk::sync_file(to));
    if done.is_err() {
        copy::clear(to)?;
    }
    done
}

fn run(dump: &Path, to: &Path) -> Result<()> {
    let mut connection = copy::open(to)?;
    connection
        .execute_batch(
            "PRAGMA page_size = 4096; PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;
             PRAGMA temp_store = MEMORY; PRAGMA locking_mode = EXCLUSIVE; PRAGMA foreign_keys = OFF",
        )
        .map_err(|error| sqlite(to, error))?;
    bound(&mut connection).map_err(|error| sqlite(to, error))?;
    let mut reader =
        BufReader::new(File::open(dump).map_err(|error| Error::io(error, format!("cannot read {}", dump.display())))?);
    let mut text = Vec::new();
    let mut vector_indexes = Vec::new();
    let (mut line, mut begun) = (0_u64, 1_u64);
    loop {
        let read = reader
            .read_until(b'\n', &mut text)
            .map_err(|error| Error::io(error, format!("cannot read {}", dump.display())))?;
        line += 1;
        if text.len() > LONGEST {
            return Err(refused(begun, "a statement is longer than 256 MB"));
        }
        let is_end = read == 0;
        if is_end || (text.trim_ascii_end().ends_with(b";") && complete(&text)) {
            let sql = std::str::from_utf8(&text).map_err(|_| refused(begun, "the text is not UTF-8"))?;
            if is_end && !complete(&text) && next_significant(&text).is_some() {
                return Err(refused(begun, "the dump ends within a statement"));
            }
            match policy::parse_vector_index(sql) {
                // Only libSQL can make one. What it keeps is in the dump, and is judged with the schema.
                Some(index) => vector_indexes.push((begun, index)),
                None => connection
                    .execute_batch(sql)
                    .map_err(|error| refused(begun, &words(&error)))?,
            }
            text.clear();
            begun = line + 1;
        }
        if is_end {
            break;
        }
    }
    if !connection.is_autocommit() {
        return Err(refused(line, "the dump ends before its transaction is committed"));
    }
    connection
        .authorizer(None::<fn(AuthContext<'_>) -> Authorization>)
        .and_then(|()| connection.execute_batch("PRAGMA journal_mode = DELETE"))
        .and_then(|()| write_header(&connection))
        .map_err(|error| sqlite(to, error))?;
    for (line, index) in &vector_indexes {
        add_vector_index(&connection, index).map_err(|why| refused(*line, &why))?;
    }
    connection.close().map_err(|(_, error)| sqlite(to, error))
}

/// Adds a vector index to the schema, over the content that the dump has of it.
fn add_vector_index(connection: &Connection, index: &VectorIndex) -> std::result::Result<(), String> {
    let has_row = |table: &str, condition: &str| {
        let sql = format!("SELECT count(*) FROM {} WHERE {condition}", identifier(table));
        let count = connection.query_row(&sql, [], |row| row.get::<_, i64>(0));
        count.is_ok_and(|count| count > 0)
    };
    let is_named = |column: &str, name: &str| format!("lower({column}) = lower({})", literal(name));
    if !has_row(
        "sqlite_schema",
        &format!("type = 'table' AND {}", is_named("name", &index.table)),
    ) {
        return Err(format!("no such table: {}", index.table));
    }
    let content = format!("{}{}", index.name, policy::VECTOR_SHADOW_SUFFIX);
    if !has_row("sqlite_schema", &is_named("name", &content))
        || !has_row(policy::VECTOR_INDEX_TABLE, &is_named("name", &index.name))
    {
        return Err(format!(
            "the dump has no content of the vector index {}; leave the index out, and create it in the database",
            index.name
        ));
    }
    // Its own tree of pages is empty: it is made for a column of an empty table.
    let flags = FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection
        .create_scalar_function("libsql_vector_idx", -1, flags, |_| Ok(Null))
        .and_then(|()| {
            connection.execute_batch(&format!(
                "BEGIN; CREATE TABLE {PLACE}(x); CREATE INDEX {} ON {PLACE}(x); PRAGMA writable_schema = on;
                 UPDATE sqlite_schema SET tbl_name = {}, sql = {} WHERE type = 'index' AND {};
                 PRAGMA writable_schema = reset; DROP TABLE {PLACE}; COMMIT",
                identifier(&index.name),
                literal(&index.table),
                literal(&index.sql),
                is_named("name", &index.name)
            ))
        })
        .map_err(|error| words(&error))
}

/// Writes the first page of a database that has none, because nothing was written: an empty database is a file with a
/// header all the same.
fn write_header(connection: &Connection) -> rusqlite::Result<()> {
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    if pages > 0 {
        return Ok(());
    }
    connection.execute_batch("PRAGMA user_version = 0")
}

/// Limits what the text may do, and for how long.
fn bound(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.authorizer(Some(|context: AuthContext<'_>| match context.action {
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => Authorization::Deny,
        AuthAction::Function { function_name } if function_name.eq_ignore_ascii_case("load_extension") => {
            Authorization::Deny
        }
        AuthAction::Pragma { pragma_name, .. }
            if [
                "temp_store_directory",
                "data_store_directory",
                "journal_mode",
                "temp_store",
            ]
            .iter()
            .any(|name| pragma_name.eq_ignore_ascii_case(name)) =>
        {
            Authorization::Ignore
        }
        _ => Authorization::Allow,
    }))?;
    let deadline = Instant::now() + LONGEST_DUMP;
    connection.progress_handler(STEPS, Some(move || Instant::now() > deadline))
}

/// The error of a dump that does not end.
pub(in crate::engine) fn dump_too_long(dump: &Path) -> Error {
    Error::new(
        Code::InvalidFile,
        format!("{} takes longer than {} s", dump.display(), LONGEST_DUMP.as_secs()),
    )
    .hint("send the SQLite file itself; or a part as a dump, and the rest as statements")
}

/// What SQLite says of a statement, without the statement: it has values of the user's, which no log should have.
fn words(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        error if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => {
            format!("it takes longer than {} s", LONGEST_DUMP.as_secs())
        }
        other => other.to_string(),
    }
}

fn refused(line: u64, why: &str) -> Error {
    Error::new(
        Code::InvalidFile,
        format!("the dump cannot become a database: {why} (statement of line {line})"),
    )
    .hint("make it with .dump of torso or sqlite3, or send the SQLite file itself")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restored(sql: &str) -> Result<Connection> {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("dump.sql"), dir.path().join("to.db"));
        std::fs::write(&from, sql).unwrap();
        let done = restore(&from, &to);
        assert_eq!(to.exists(), done.is_ok());
        done.map(|()| {
            let connection = Connection::open(&to).unwrap();
            // In memory, so that the file can be removed.
            let mut copy = Connection::open_in_memory().unwrap();
            rusqlite::backup::Backup::new(&connection, &mut copy)
                .unwrap()
                .step(-1)
                .unwrap();
            copy
        })
    }

    #[test]
    fn dump_becomes_a_database() {
        let connection = restored(
            "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(x, y DEFAULT ';\n');\nINSERT INTO t VALUES('a;\n\
             b', 1);\nCREATE TRIGGER tr AFTER INSERT ON t BEGIN\n  UPDATE t SET y = CASE WHEN y THEN 2 END;\n  \
             DELETE FROM t WHERE x = ';';\nEND;\nCREATE VIEW v AS SELECT x FROM t;\nCOMMIT;\n",
        )
        .unwrap();
        let ask = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(ask("SELECT x FROM v"), "a;\nb");
        assert_eq!(ask("SELECT count(*) || '' FROM sqlite_schema"), "3");
    }

    #[test]
    fn dump_that_reaches_outside_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("other.db");
        for sql in [
            format!("ATTACH '{}' AS o;", other.display()),
            format!("CREATE TABLE t(x); VACUUM INTO '{}';", other.display()),
            "SELECT load_extension('x');".to_owned(),
            "SELECT readfile('x');".to_owned(),
            "BEGIN; CREATE TABLE t(x);".to_owned(),
            "CREATE TABLE t(x); INSERT INTO t VALUES ('open".to_owned(),
            "no sql at all".to_owned(),
        ] {
            let error = restored(&sql).unwrap_err();
            assert_eq!(error.code(), Code::InvalidFile, "{sql}: {error}");
        }
        assert!(!other.exists());
    }
}

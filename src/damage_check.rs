//! Asks SQLite for the first sign of damage in a database that is open. What becomes of a damaged file, and how it is said, is the
//! callers' business.

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Params};

/// What a check has shown.
enum StructureCheck {
    Sound,
    Damaged(String),
    /// The schema has a function, a collation or a tokenizer that only its application or libSQL knows.
    NotChecked,
}

/// What SQLite finds first in the structure of a database (`quick_check`); none if it is sound. Where the schema has a function, a
/// collation or a tokenizer that only its application or libSQL knows, nothing is checked beyond what a copy of the pages shows.
///
/// # Errors
///
/// Those of SQLite, for what cannot be read at all.
pub fn find_damage(connection: &Connection) -> rusqlite::Result<Option<String>> {
    Ok(match check(connection, &query("quick_check", ""), [])? {
        StructureCheck::Damaged(what) => Some(what),
        StructureCheck::Sound | StructureCheck::NotChecked => None,
    })
}

/// The same, with indexes compared with their tables (`integrity_check`). Where the whole cannot be checked at once, each table is
/// that can.
pub fn find_damage_of_indexes(connection: &Connection) -> rusqlite::Result<Option<String>> {
    match check(connection, &query("integrity_check", ""), [])? {
        StructureCheck::Damaged(what) => return Ok(Some(what)),
        StructureCheck::Sound => return Ok(None),
        StructureCheck::NotChecked => {}
    }
    let mut tables = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let names = tables.query_map([], |row| row.get::<_, String>(0))?;
    for name in names.collect::<rusqlite::Result<Vec<_>>>()? {
        if let StructureCheck::Damaged(what) = check(connection, &query("integrity_check", "(?1)"), [name])? {
            return Ok(Some(what));
        }
    }
    Ok(None)
}

/// A query for the first sign of damage: no row if there is none. A vector index of libSQL keeps its entries in a table of its own;
/// SQLite misses them in the index's pages. The index of a full-text table may differ from the text that it is of, where that is in
/// another table; 'rebuild' makes it again. So with R-trees: what a virtual table keeps is its own. Values that break a constraint
/// are the user's: SQLite writes them where constraints are not checked, or were added later.
fn query(pragma: &str, table: &str) -> String {
    format!(
        "SELECT {pragma} FROM pragma_{pragma}{table} WHERE {pragma} <> 'ok' \
         AND {pragma} NOT LIKE 'CHECK constraint failed in %' AND {pragma} NOT LIKE '% value in %.%' \
         AND {pragma} NOT LIKE '%inverted index for FTS% table %' AND {pragma} NOT LIKE 'In RTree %' AND NOT EXISTS \
         (SELECT 1 FROM sqlite_schema WHERE type = 'index' AND instr(lower(sql), 'libsql_vector_idx') > 0 \
          AND {pragma} = 'wrong # of entries in index ' || name) LIMIT 1"
    )
}

fn check(connection: &Connection, query: &str, params: impl Params) -> rusqlite::Result<StructureCheck> {
    // Constraints are not asked for, and might have functions of an application. Only a closed connection refuses.
    let _ = connection.pragma_update(None, "ignore_check_constraints", true);
    match connection.query_row(query, params, |row| row.get(0)).optional() {
        Ok(None) => Ok(StructureCheck::Sound),
        Ok(Some(what)) => Ok(StructureCheck::Damaged(what)),
        Err(rusqlite::Error::SqlInputError { .. }) => Ok(StructureCheck::NotChecked),
        // Damage has codes of its own.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::Unknown) => Ok(StructureCheck::NotChecked),
        Err(error) => Err(error),
    }
}

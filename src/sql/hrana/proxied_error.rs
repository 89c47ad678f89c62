//! Errors of statements that a replica's process had its primary run. The process passes on the message only, so SQLite's result
//! code is worked out from it: a script must see the same code wherever it wrote.
//!
//! Messages are those of SQLite 3.45 (`sqlite3ErrStr`, `sqlite3ErrorMsg`, `sqlite3HaltConstraint`) and of libSQL server 0.24.

use rusqlite::ffi;

/// What stands before the message of the primary.
const PREFIX: &str = "error executing a request on the primary: ";

/// How messages of result codes begin, which SQLite or the server's own connection gives.
const CODES: &[(&str, i32)] = &[
    ("UNIQUE constraint failed", ffi::SQLITE_CONSTRAINT_UNIQUE),
    ("NOT NULL constraint failed", ffi::SQLITE_CONSTRAINT_NOTNULL),
    ("CHECK constraint failed", ffi::SQLITE_CONSTRAINT_CHECK),
    ("FOREIGN KEY constraint failed", ffi::SQLITE_CONSTRAINT_FOREIGNKEY),
    ("constraint failed", ffi::SQLITE_CONSTRAINT),
    ("cannot store ", ffi::SQLITE_CONSTRAINT),
    ("database is locked", ffi::SQLITE_BUSY),
    ("database table is locked", ffi::SQLITE_LOCKED),
    ("out of memory", ffi::SQLITE_NOMEM),
    ("attempt to write a readonly database", ffi::SQLITE_READONLY),
    ("interrupted", ffi::SQLITE_INTERRUPT),
    ("disk I/O error", ffi::SQLITE_IOERR),
    ("database disk image is malformed", ffi::SQLITE_CORRUPT),
    ("database or disk is full", ffi::SQLITE_FULL),
    ("unable to open database file", ffi::SQLITE_CANTOPEN),
    ("string or blob too big", ffi::SQLITE_TOOBIG),
    ("datatype mismatch", ffi::SQLITE_MISMATCH),
    ("bad parameter or other API misuse", ffi::SQLITE_MISUSE),
    ("not authorized", ffi::SQLITE_AUTH),
    ("column index out of range", ffi::SQLITE_RANGE),
    ("file is not a database", ffi::SQLITE_NOTADB),
];

/// How other messages of SQLite begin, of statements that it does not prepare or that have no code of their own.
const PLAIN: &[&str] = &[
    "no such ",
    "near \"",
    "incomplete input",
    "unrecognized token",
    "table ",
    "index ",
    "view ",
    "trigger ",
    "there is already",
    "duplicate column",
    "ambiguous column",
    "wrong number of",
    "misuse of",
    "unknown ",
    "cannot ",
    "too many",
    "integer overflow",
    "malformed",
    "bad JSON",
    "JSON ",
    "object name reserved",
    "AUTOINCREMENT",
    "sub-select",
    "row value",
    "parser stack",
    "all VALUES",
    "SELECTs to the left",
    "a GROUP BY",
    "aggregate functions",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "foreign key",
    "default value",
    "generated column",
    "error in ",
    "second argument",
    "first argument",
    "non-deterministic",
    "expression tree",
    "values for",
    "conflicting",
    "UPSERT",
    "ON CONFLICT",
    "RETURNING",
    "DISTINCT",
    "window ",
    "frame ",
    "unsupported",
    "recursive",
    "circular reference",
    "hex literal",
    "oversized",
    "variable number",
    "Cannot ",
    "SQL logic error",
    "virtual table",
    "fts5",
    "PRIMARY KEY",
    "missing datatype",
    "number of columns",
    "vtable",
    "set of",
];

/// The message of a primary and SQLite's result code of it; none for any other message.
pub(super) fn parse_proxied(text: &str) -> Option<(&str, i32)> {
    let message = text.strip_prefix(PREFIX)?;
    if let Some((_, code)) = CODES.iter().find(|(start, _)| message.starts_with(start)) {
        return Some((message, *code));
    }
    // Of a statement that is not prepared, its text is repeated with the place.
    let prepared = !message.contains(" at offset ") && !PLAIN.iter().any(|start| message.starts_with(start));
    // The words of anybody else are those of a trigger's RAISE.
    let code = if prepared {
        ffi::SQLITE_CONSTRAINT
    } else {
        ffi::SQLITE_ERROR
    };
    Some((message, code))
}

/// A message without the text of the statement behind it, and the place in it.
pub(super) fn split_place<'t>(message: &'t str, sql: &str) -> (&'t str, Option<usize>) {
    let parts = message
        .rsplit_once(" at offset ")
        .and_then(|(before, place)| Some((before.split_once(" in ")?.0, place.parse::<usize>().ok()?)));
    match parts {
        Some((message, place)) if place <= sql.len() => (message, Some(place)),
        Some((message, _)) => (message, None),
        None => (message, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxied_errors_have_the_codes_of_the_primary() {
        for (message, code) in [
            ("no such table: nothing", 1),
            ("NOT NULL constraint failed: t.y", 19),
            ("UNIQUE constraint failed: t.y", 19),
            ("CHECK constraint failed: z<9", 19),
            ("FOREIGN KEY constraint failed", 19),
            ("cannot store TEXT value in INTEGER column t.x", 19),
            ("raised!", 19),
            ("datatype mismatch", 20),
            ("string or blob too big", 18),
            ("database or disk is full", 13),
            ("database is locked", 5),
            ("table t has 3 columns but 1 values were supplied", 1),
            ("integer overflow", 1),
            ("table t already exists in create table t(x) at offset 13", 1),
        ] {
            let text = format!("{PREFIX}{message}");
            let (told, found) = parse_proxied(&text).unwrap();
            assert_eq!((told, found & 0xff), (message, code), "{message}");
        }
        assert_eq!(parse_proxied("SendFailure to execute queries via RPC protocol"), None);
    }

    #[test]
    fn proxied_errors_repeat_the_statement_with_the_place() {
        let sql = "create table t(x)";
        let (message, place) = split_place("table t already exists in create table t(x) at offset 13", sql);
        assert_eq!((message, place), ("table t already exists", Some(13)));
        assert_eq!(split_place("no such table: a", sql), ("no such table: a", None));
    }
}

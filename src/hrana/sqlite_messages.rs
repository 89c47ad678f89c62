//! SQLite's result codes, worked out from its messages where only those are known.
//!
//! Messages are those of SQLite 3.45 and later (`sqlite3ErrStr`, `sqlite3ErrorMsg`, `sqlite3HaltConstraint`, `json.c`, `fts5`), and
//! of libSQL's vectors.

/// How messages of SQLite's result codes begin.
const CODES: &[(&str, &str)] = &[
    ("UNIQUE constraint failed", "SQLITE_CONSTRAINT"),
    ("NOT NULL constraint failed", "SQLITE_CONSTRAINT"),
    ("CHECK constraint failed", "SQLITE_CONSTRAINT"),
    ("FOREIGN KEY constraint failed", "SQLITE_CONSTRAINT"),
    ("constraint failed", "SQLITE_CONSTRAINT"),
    ("cannot store ", "SQLITE_CONSTRAINT"),
    ("database is locked", "SQLITE_BUSY"),
    ("database table is locked", "SQLITE_LOCKED"),
    ("out of memory", "SQLITE_NOMEM"),
    ("attempt to write a readonly database", "SQLITE_READONLY"),
    ("interrupted", "SQLITE_INTERRUPT"),
    ("disk I/O error", "SQLITE_IOERR"),
    ("database disk image is malformed", "SQLITE_CORRUPT"),
    ("database or disk is full", "SQLITE_FULL"),
    ("unable to open database file", "SQLITE_CANTOPEN"),
    ("string or blob too big", "SQLITE_TOOBIG"),
    ("datatype mismatch", "SQLITE_MISMATCH"),
    ("bad parameter or other API misuse", "SQLITE_MISUSE"),
    ("not authorized", "SQLITE_AUTH"),
    ("column index out of range", "SQLITE_RANGE"),
    ("file is not a database", "SQLITE_NOTADB"),
];

/// The messages of the code `SQLITE_ERROR`, most of them of statements that SQLite does not prepare. A star stands for any text.
const TEMPLATES: &[&str] = &[
    "no such table: *",
    "no such view: *",
    "no such column: *",
    "no such index: *",
    "no such trigger: *",
    "no such window: *",
    "no such module: *",
    "no such function: *",
    "no such savepoint: *",
    "no such collation sequence: *",
    "no such tokenizer: *",
    "no such database: *",
    "no such fts5 column: *",
    "no tables specified",
    "no query solution",
    r#"near "*": syntax error"#,
    "syntax error",
    "syntax error *",
    "incomplete input",
    r#"unrecognized token: "*""#,
    "parser stack overflow",
    "Recursion limit",
    "ambiguous column name: *",
    "ambiguous reference to * in USING()",
    "* may not be used as a window function",
    "* columns assigned * values",
    "* values for * columns",
    "* BY term out of range - should be between 1 and *",
    "* ORDER BY term does not match any column in the result set",
    "table * already exists",
    "view * already exists",
    "index * already exists",
    "trigger * already exists",
    "* cannot reference objects in database *",
    "* RETURNING is not available on virtual tables",
    "* cannot use variables",
    "* clause should come after * not before",
    "* prohibited in index expressions",
    "* prohibited in partial index WHERE clauses",
    "* prohibited in CHECK constraints",
    "* prohibited in generated columns",
    "* references tables to its right",
    "*.xBestIndex malfunction",
    "* - should this be a string literal in single-quotes?",
    "*ON CONFLICT clause does not match any PRIMARY KEY or UNIQUE constraint",
    "'*' is not a function",
    "AUTOINCREMENT is only allowed on an INTEGER PRIMARY KEY",
    "AUTOINCREMENT not allowed on WITHOUT ROWID tables",
    "Cannot add a PRIMARY KEY column",
    "Cannot add a UNIQUE column",
    "Cannot add a column to a view",
    "Cannot add a NOT NULL column with default value NULL",
    "Cannot add a REFERENCES column with non-NULL default value",
    "Cannot add a column with non-constant default",
    "cannot add a STORED column",
    "DISTINCT aggregates must have exactly one argument",
    "DISTINCT is not supported for window functions",
    "Expression tree is too large (maximum depth *)",
    "FILTER clause may only be used with aggregate window functions",
    "FILTER may not be used with non-aggregate *()",
    "HAVING clause on a non-aggregate query",
    "a GROUP BY clause is required before HAVING",
    "IN(...) element has * term* - expected *",
    "ORDER BY may not be used with non-aggregate *()",
    "ORDER BY without LIMIT on *",
    "PRIMARY KEY missing on table *",
    "RAISE() may only be used within a trigger-program",
    "RANGE with offset PRECEDING/FOLLOWING requires one ORDER BY expression",
    r#"RETURNING may not use "TABLE.*" wildcards"#,
    "SELECTs to the left and right of * do not have the same number of result columns",
    "Safety level may not be changed inside a transaction",
    r#"UPSERT not implemented for virtual table "*""#,
    "VIEWs and/or subqueries nested too deep",
    "a JOIN clause is required before *",
    "a NATURAL join may not have an ON or USING clause",
    "aggregate functions are not allowed in the GROUP BY clause",
    "all VALUES must have the same number of terms",
    "at most * tables in a join",
    "circular reference: *",
    "recursive reference in a subquery: *",
    "recursive aggregate queries not supported",
    "cannot drop column from *",
    "cannot rename columns of *",
    "cannot * rowid alias: *",
    r#"cannot INSERT into generated column "*""#,
    r#"cannot UPDATE generated column "*""#,
    "cannot UPSERT a view",
    "cannot change * wal mode from within a transaction",
    "cannot commit - no transaction is active",
    "cannot commit transaction - SQL statements in progress",
    "cannot create * trigger on view: *",
    "cannot create INSTEAD OF trigger on table: *",
    r#"cannot create a TEMP index on non-TEMP table "*""#,
    "cannot create trigger on system table",
    "cannot create triggers on shadow tables",
    "cannot create triggers on virtual tables",
    r#"cannot drop * column: "*""#,
    r#"cannot drop column "*": no other columns exist"#,
    "cannot join using column * - column not present in both tables",
    "cannot modify * because it is a view",
    "cannot open savepoint - SQL statements in progress",
    "cannot open table with generated columns: *",
    "cannot open table without rowid: *",
    "cannot open view: *",
    "cannot open virtual table: *",
    "cannot open value of type *",
    "cannot override * of window: *",
    "cannot release savepoint - SQL statements in progress",
    "cannot rollback - no transaction is active",
    "cannot start a transaction within a transaction",
    "cannot use DEFAULT on a generated column",
    "cannot use RETURNING in a trigger",
    "cannot use window functions in recursive queries",
    "conflicting ON CONFLICT clauses specified",
    "corrupt database",
    "corrupt schema",
    "default value of column [*] is not constant",
    "destination database is in use",
    "duplicate WITH table name: *",
    "duplicate column name: *",
    "error in table *",
    "error in view *",
    "error in index *",
    "error in trigger *",
    "expected * columns for '*' but got *",
    "expressions prohibited in PRIMARY KEY and UNIQUE constraints",
    r#"foreign key mismatch - "*" referencing "*""#,
    "foreign key on * should reference only one column of table *",
    r#"generated column loop on "*""#,
    "generated columns cannot be part of the PRIMARY KEY",
    "hex literal too big: *",
    "index associated with UNIQUE or PRIMARY KEY constraint cannot be dropped",
    "internal query planner error",
    "missing datatype for *",
    "misuse of * function *()",
    "misuse of aggregate function *()",
    "misuse of aggregate: *()",
    "misuse of aliased aggregate *",
    "misuse of aliased window function *",
    "misuse of window function *()",
    "more than * aggregate terms",
    "multiple references to recursive table: *",
    "multiple recursive references: *",
    "must have at least one non-generated column",
    "non-deterministic use of *() in *",
    "number of columns in foreign key does not match the number of columns in the referenced table",
    "object name reserved for internal use: *",
    "oversized integer: *",
    "parameters are not allowed in views",
    "qualified table names are not allowed on INSERT, UPDATE, and DELETE statements within triggers",
    "row value misused",
    "second argument to *() must be a constant between 0.0 and 1.0",
    "statement too long",
    "sub-select returns * columns - expected *",
    "table * has * columns but * values were supplied",
    "table * has no column named *",
    "table * has * values for * columns",
    "table * has more than one primary key",
    "table sqlite_* may not be *",
    "target object/alias may not appear in FROM clause: *",
    "temporary storage cannot be changed from within a transaction",
    "temporary table name must be unqualified",
    "temporary trigger may not have qualified name",
    "the INDEXED BY clause is not allowed on UPDATE or DELETE statements within triggers",
    "the NOT INDEXED clause is not allowed on UPDATE or DELETE statements within triggers",
    "there is already a table named *",
    "there is already an index named *",
    "there is already another table or index with this name: *",
    "too many FROM clause terms, max: *",
    "too many RIGHT JOINs",
    "too many SQL variables",
    "too many arguments on *",
    "too many attached databases - max *",
    "too many columns *",
    "too many levels of trigger recursion",
    r#"too many references to "*": max 65535"#,
    "too many terms in *",
    r#"trigger "*" may not write to shadow table "*""#,
    r#"trigger "*" contains too many steps"#,
    "triggers nested too deep",
    "unable to identify the object to be reindexed",
    r#"unknown column "*" in foreign key definition"#,
    "unknown database *",
    "unknown datatype for *",
    "unknown function: *()",
    "unknown join type: *",
    "unknown or unsupported join type: *",
    "unknown table option: *",
    "unsafe use of *",
    "unsupported encoding: *",
    "unsupported frame specification",
    "unsupported use of NULLS *",
    "use DROP TABLE to delete table *",
    "use DROP VIEW to delete view *",
    "variable number must be between ?1 and ?*",
    "view * is circularly defined",
    "view * may not be altered",
    "views may not be indexed",
    "virtual tables cannot use computed columns",
    "virtual tables may not be altered",
    "virtual tables may not be indexed",
    "vtable constructor *",
    "wrong number of arguments to function *()",
    "integer overflow",
    "malformed JSON",
    "malformed MATCH expression: *",
    "bad JSON path: *",
    "JSON path error near *",
    "JSON cannot hold BLOB values",
    "json_object() *",
    "json_insert() *",
    "json_replace() *",
    "json_set() *",
    "json_array_insert() *",
    "LIKE or GLOB pattern too complex",
    "ESCAPE expression must be a single character",
    "first argument to *",
    "second argument to *",
    "frame starting offset must be a non-negative *",
    "frame ending offset must be a non-negative *",
    "argument of * must be a *",
    "fts5: *",
    "fts5 *",
    "unknown special query: *",
    "unterminated string",
    "vector*",
    "SQL logic error",
];

/// Returns the name of the result code that SQLite gives with a message. What is no message of SQLite's is somebody's own: the words
/// of a trigger's RAISE.
#[must_use]
pub fn result_code(message: &str) -> &'static str {
    if let Some((_, code)) = CODES.iter().find(|(start, _)| message.starts_with(start)) {
        return code;
    }
    if TEMPLATES.iter().any(|template| is_of_template(message, template)) {
        "SQLITE_UNKNOWN"
    } else {
        "SQLITE_CONSTRAINT"
    }
}

/// Whether a message is made of a template, in which each star stands for any text.
fn is_of_template(message: &str, template: &str) -> bool {
    let mut pieces = template.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| message.strip_prefix(first)) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What SQLite itself says, of statements that fail with `SQLITE_ERROR`, and what triggers say.
    #[test]
    fn result_code_of_a_message_is_that_of_sqlite() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT NOT NULL DEFAULT '', c INT AS (a + 1), d UNIQUE CHECK (d < 9));
                 INSERT INTO t (a, d) VALUES (0, 0);
                 CREATE VIEW v AS SELECT a FROM t;
                 CREATE TABLE strict (a INT) STRICT;
                 CREATE TABLE said (text);
                 CREATE TRIGGER raises BEFORE INSERT ON said BEGIN
                     SELECT CASE new.text
                         WHEN 'a' THEN raise(ABORT, 'cannot delete an order')
                         WHEN 'b' THEN raise(FAIL, 'no such customer')
                         WHEN 'c' THEN raise(ROLLBACK, 'too many rows')
                         WHEN 'd' THEN raise(ABORT, 'unknown user: eve')
                         WHEN 'e' THEN raise(ABORT, 'table is full') END;
                 END",
            )
            .unwrap();
        for sql in [
            "INSERT INTO nothing VALUES (1)",
            "INSERT INTO t (nothing) VALUES (1)",
            "INSERT INTO strict VALUES (1, 2)",
            "INSERT INTO t (c) VALUES (1)",
            "UPDATE t SET c = 1",
            "UPDATE v SET a = 1",
            "DELETE FROM v",
            "DELETE FROM t WHERE nothing = 1",
            "DELETE FROM t WHERE nothing() = 1",
            "DELETE FROM t WHERE abs() = 1",
            "DELETE FROM t WHERE sum(a) = 1",
            "INSERT INTO t (a) SELECT 1, 2",
            "INSERT INTO t (a) SELECT abs(-9223372036854775808)",
            "INSERT INTO t (b) SELECT json('{')",
            "INSERT INTO t (b) SELECT json_extract('{}', 'x')",
            "INSERT INTO t (a) VALUES (1) ON CONFLICT (b) DO NOTHING",
            "INSERT INTO t (a) VALUES (1), (2, 3)",
            "INSERT INTO t (a) VALUES ((SELECT 1, 2))",
            "CREATE TABLE t (x)",
            "CREATE TABLE two (x, x)",
            "CREATE TABLE sqlite_own (x)",
            "CREATE TABLE none (x) nothing",
            "CREATE TABLE keyless (x) WITHOUT ROWID",
            "CREATE INDEX t ON t (a)",
            "CREATE INDEX i ON t (nothing)",
            "CREATE INDEX i ON v (a)",
            "CREATE INDEX i ON t (random())",
            "CREATE VIEW w AS SELECT ?",
            "CREATE TRIGGER x INSTEAD OF INSERT ON t BEGIN SELECT 1; END",
            "CREATE TRIGGER x BEFORE INSERT ON v BEGIN SELECT 1; END",
            "CREATE VIRTUAL TABLE x USING nothing",
            "ALTER TABLE t ADD COLUMN x UNIQUE",
            "ALTER TABLE t ADD COLUMN x NOT NULL",
            "ALTER TABLE t DROP COLUMN a",
            "ALTER TABLE t DROP COLUMN d",
            "ALTER TABLE t DROP COLUMN nothing",
            "ALTER TABLE t RENAME TO v",
            "ALTER TABLE v ADD COLUMN x",
            "DROP TABLE v",
            "DROP VIEW t",
            "DROP INDEX nothing",
            "DROP TRIGGER nothing",
            "DROP INDEX sqlite_autoindex_t_1",
            "COMMIT",
            "ROLLBACK",
            "RELEASE nothing",
            "SELECT a FROM t UNION SELECT 1, 2",
            "SELECT 1 ORDER BY 2",
            "SELECT a FROM t HAVING a",
            "SELECT * FROM t JOIN t",
            "SELECT a FROM t, t AS o",
            "SELECT (1, 2)",
        ] {
            let error = connection.execute_batch(sql).err();
            let (failure, message) = match error {
                Some(rusqlite::Error::SqliteFailure(failure, Some(message))) => (failure, message),
                Some(rusqlite::Error::SqlInputError { error, msg, .. }) => (error, msg),
                None => panic!("{sql} succeeds"),
                other => panic!("{sql}: {other:?}"),
            };
            assert_eq!(failure.extended_code, 1, "{sql}: {message}");
            assert_eq!(result_code(&message), "SQLITE_UNKNOWN", "{sql}: {message}");
        }
        for sql in [
            "INSERT INTO said VALUES ('a')",
            "INSERT INTO said VALUES ('b')",
            "INSERT INTO said VALUES ('c')",
            "INSERT INTO said VALUES ('d')",
            "INSERT INTO said VALUES ('e')",
            "INSERT INTO strict VALUES ('x')",
            "INSERT INTO t (b) VALUES (NULL)",
            "INSERT INTO t (d) VALUES (10)",
        ] {
            let error = connection.execute_batch(sql).unwrap_err();
            let rusqlite::Error::SqliteFailure(failure, Some(message)) = error else {
                panic!("{sql}: {error:?}")
            };
            assert_eq!(failure.extended_code & 0xff, 19, "{sql}: {message}");
            assert_eq!(result_code(&message), "SQLITE_CONSTRAINT", "{sql}: {message}");
        }
    }
}
